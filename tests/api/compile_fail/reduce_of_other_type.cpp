#include "common.hpp"

void build() {
  reprise::flow f("x");
  f.reduce(merge, f.constant(std::vector<std::string>{"a"}), words{});
}
