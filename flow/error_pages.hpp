// What each error code means and what to do about it: `reprise help RP1203`, docs/errors.md.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace reprise {

struct ErrorPage {
  std::string_view code;
  std::string_view title;
  std::string_view text;  // what it means, and the way out
};

/// By ascending code.
[[nodiscard]] std::span<const ErrorPage> error_pages();
/// nullptr: no such code.
[[nodiscard]] const ErrorPage* find_error_page(std::string_view code);
/// docs/errors.md, made of the pages; a test compares.
[[nodiscard]] std::string error_pages_markdown();

}  // namespace reprise
