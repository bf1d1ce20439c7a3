// Tasks that several tests use.
#pragma once

#include <map>
#include <optional>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "reprise/reprise.hpp"

namespace reprise::samples {

using words = std::map<std::string, int>;

inline constexpr auto count = reprise::task<"wc.count", 2>(
    [](std::string text) -> words {
      words found;
      std::istringstream in(text);
      for (std::string word; in >> word;) ++found[word];
      return found;
    },
    {.retries = 2, .cache = true});

inline constexpr auto merge = reprise::task<"wc.merge">([](words a, words b) -> words {
  for (const auto& [word, n] : b) a[word] += n;
  return a;
});

inline constexpr auto top =
    reprise::task<"wc.top">([](words all, int least) -> std::vector<std::string> {
      std::vector<std::string> found;
      for (const auto& [word, n] : all)
        if (n >= least) found.push_back(word);
      return found;
    });

inline int add_function(int a, int b) {
  return a + b;
}
inline constexpr auto add = reprise::task<"add">(&add_function);

inline constexpr auto twice = reprise::task<"twice">([](int n) { return 2 * n; });

inline constexpr auto numbers = reprise::task<"numbers">([](int n) {
  std::vector<int> all;
  for (int i = 0; i < n; ++i) all.push_back(i);
  return all;
});

inline constexpr auto note = reprise::task<"note">([](const std::string&, std::optional<int>) {});

inline constexpr auto fail = reprise::task<"fail">(
    [](int n) -> int { throw std::runtime_error("no good: " + std::to_string(n)); });

}  // namespace reprise::samples
