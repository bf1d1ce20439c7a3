#include "common.hpp"

void build() {
  reprise::flow f("x");
  auto text = f.constant(std::string("a"));
  f.call(top, text, 2);  // a node of text for the words
}
