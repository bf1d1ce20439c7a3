#pragma once

// The rules of the house that a compiler does not check: who may include whom, what pure code may
// not touch, and what no file may say. One file's text goes in, the broken rules come out, so that
// the rules themselves can be tested.

#include <string>
#include <string_view>
#include <vector>

namespace reprise::layering {

struct Violation {
  int line = 0;  // from 1; 0 = the whole file
  std::string message;

  friend bool operator==(const Violation&, const Violation&) = default;
};

/// @param path  from the root, with "/": "flow/state.hpp".
/// @param text  the file's whole text.
/// Rules about includes apply to C++ files, rules about words to every file.
[[nodiscard]] std::vector<Violation> check_file(std::string_view path, std::string_view text);

/// Whether check_file has anything to say about a file of this path: sources, scripts, build files,
/// pages, samples; not the licence, and not corpora, which hold arbitrary bytes.
[[nodiscard]] bool is_checked(std::string_view path);

}  // namespace reprise::layering
