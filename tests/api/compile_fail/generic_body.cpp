#include "common.hpp"

constexpr auto bad = reprise::task<"bad">([](auto x) { return x; });
