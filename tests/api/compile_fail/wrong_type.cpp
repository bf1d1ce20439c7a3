#include "common.hpp"

void build() {
  reprise::flow f("x");
  f.call(top, 3, 2);  // an int for the words
}
