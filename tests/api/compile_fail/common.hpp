// What every program here begins with. Each of the others holds one mistake; CMakeLists.txt names
// the message that the compiler must give for it. control.cpp holds none.
#pragma once

#include <map>
#include <string>
#include <vector>

#include <reprise/reprise.hpp>

using words = std::map<std::string, int>;
inline constexpr auto count = reprise::task<"wc.count", 2>([](std::string text) {
  return words{{text, 1}};
});
inline constexpr auto merge = reprise::task<"wc.merge">([](words a, words) { return a; });
inline constexpr auto top =
    reprise::task<"wc.top">([](words, int n) { return std::vector<int>{n}; });
