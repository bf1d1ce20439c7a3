#include "common.hpp"

void build() {
  reprise::flow f("x");
  f.map(count, f.constant(std::vector<int>{1}));
}
