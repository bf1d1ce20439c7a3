#include "common.hpp"

constexpr auto bad = reprise::task<"bad">([](std::string& text) { text += "x"; });
