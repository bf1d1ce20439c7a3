#include "common.hpp"

void build() {
  int k = 3;
  auto bad = reprise::task<"bad">([&](int x) -> int { return x + k; });
  (void)bad;
}
