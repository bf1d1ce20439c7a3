#include "common.hpp"

struct plain {
  int x = 0;
};
constexpr auto bad = reprise::task<"bad">([](plain p) { return p.x; });
