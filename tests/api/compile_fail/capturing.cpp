#include "common.hpp"

void build() {
  int k = 3;
  auto bad = reprise::task<"bad">([k](int x) { return x + k; });
  (void)bad;
}
