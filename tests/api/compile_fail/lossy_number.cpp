#include "common.hpp"

void build() {
  reprise::flow f("x");
  f.call(top, words{}, 2.5);  // a fraction for an int
}
