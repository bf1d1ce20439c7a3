#include "common.hpp"

void build() {
  reprise::flow f("x");
  f.map(count, f.constant(std::string("a")));
}
