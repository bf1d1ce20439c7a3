#include "common.hpp"

struct plain {
  int x = 0;
};
constexpr auto bad = reprise::task<"bad">([](int x) { return std::vector<plain>{{x}}; });
