#include "common.hpp"

void build() {
  reprise::flow f("x");
  f.reduce(top, f.constant(std::vector<words>{}), words{});
}
