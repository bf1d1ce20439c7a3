#include "common.hpp"

constexpr auto bad = reprise::task<"bad">([](int) -> const char* { return "x"; });
