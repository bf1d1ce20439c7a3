#include "common.hpp"

constexpr auto bad = reprise::task<"bad">([](const int* p) { return *p; });
