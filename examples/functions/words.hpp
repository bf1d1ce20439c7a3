// The tasks that worker.cpp and plugin.cpp offer.
#pragma once

#include <cctype>
#include <map>
#include <string>

#include <reprise/reprise.hpp>

namespace examples {

using words = std::map<std::string, int>;

// Parameters have the names that flow files may call them by.
inline constexpr auto count = reprise::task<"words.count">(
    [](std::string text) -> words {
      words found;
      std::string word;
      for (const unsigned char c : text + ' ') {
        if (std::isalpha(c)) {
          word += static_cast<char>(std::tolower(c));
        } else if (!word.empty()) {
          ++found[word];
          word.clear();
        }
      }
      return found;
    },
    {.names = {"text"}});

inline constexpr auto merge = reprise::task<"words.merge">(
    [](std::vector<words> parts) -> words {
      words all;
      for (const words& part : parts)
        for (const auto& [word, n] : part) all[word] += n;
      return all;
    },
    {.names = {"parts"}});

}  // namespace examples
