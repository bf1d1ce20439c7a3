#include "common.hpp"

void build() {
  reprise::flow f("x");
  f.call(top, words{});  // the second argument is missing
}
