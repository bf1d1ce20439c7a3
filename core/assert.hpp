// REPRISE_ASSERT(condition, values…): a broken promise inside the program. Prints the values,
// aborts, stays on in release.
#pragma once

#include <initializer_list>
#include <string>

#include <fmt/format.h>

namespace reprise::detail {

[[noreturn]] void assertion_failed(const char* condition, const char* file, int line,
                                   std::string values);

template <class... Values>
[[nodiscard]] std::string render_values(const Values&... values) {
  std::string text;
  ((text += fmt::format(" {}", values)), ...);
  return text;
}

}  // namespace reprise::detail

#define REPRISE_ASSERT(condition, ...)                                                    \
  do {                                                                                    \
    if (!(condition)) [[unlikely]]                                                        \
      ::reprise::detail::assertion_failed(#condition, __FILE__, __LINE__,                 \
                                          ::reprise::detail::render_values(__VA_ARGS__)); \
  } while (false)
