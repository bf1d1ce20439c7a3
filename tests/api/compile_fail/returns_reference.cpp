#include "common.hpp"

int global = 0;
constexpr auto bad = reprise::task<"bad">([](int) -> int& { return global; });
