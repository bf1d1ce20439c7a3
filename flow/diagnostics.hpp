// Mistakes in a file a person wrote: what, where, and the way out, as text with carets and as JSON.
//
//   error[RP1203]: unknown task 'lnit' in 'needs' of task 'test'
//     --> flow.yaml:5:33
//      |
//    5 |   - {id: test, needs: [prépare, lnit], run: [make, check]}
//      |                                 ^^^^ did you mean 'lint'?
//      = help: tasks in this file: lint, prépare, test          (reprise help RP1203)
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "flow/flow_spec.hpp"

namespace reprise {

/// Another place that belongs to the mistake, for example the next edge of a cycle.
struct RelatedPlace {
  SourceSpan span;
  std::string label;  // shown beside the carets
  bool operator==(const RelatedPlace&) const = default;
};

struct Diagnostic {
  enum class Severity : std::uint8_t { error, warning };

  std::string code;  // "RP1203"; docs/errors.md has an entry for each
  Severity severity = Severity::error;
  std::string message;     // one line; quotes values in single quotes
  SourceSpan span;         // line 0 = the file as a whole
  std::string suggestion;  // text to put in place of the span; empty = none
  std::string
      label;  // shown beside the carets; empty = "did you mean …?" when there is a suggestion
  std::vector<std::string> help;
  std::vector<RelatedPlace> related;
  std::string pointer;  // JSON pointer (RFC 6901) of the value, "" = the whole document
  bool operator==(const Diagnostic&) const = default;
};

/// More mistakes than this are counted, not shown.
inline constexpr std::size_t max_shown_diagnostics = 20;

/// Orders by position in the file, then by code; keeps the order of equals.
void sort_by_position(std::vector<Diagnostic>& diagnostics);

/// The diagnostics as text for people, in the order given, separated by blank lines, at most
/// max_shown_diagnostics and then "… and N more". Anything that came from the file is escaped.
///
/// @param file_name  as the user typed it
/// @param text       the file, for the lines shown; may be empty
/// @param colour     with ANSI colours
[[nodiscard]] std::string render(std::span<const Diagnostic> diagnostics,
                                 std::string_view file_name, std::string_view text, bool colour);

/// The first mistakes in one line, "3:7: unknown key 'shel'; 5:1: …; and 2 more". Warnings are left
/// out. @param most  at least 1
[[nodiscard]] std::string describe(std::span<const Diagnostic> diagnostics, std::size_t most);

/// JSON array of objects with pointer, file, line, column, end_column, code, severity, message,
/// suggestion (null = none), help and related places. All of them, uncapped.
[[nodiscard]] std::string to_json(std::span<const Diagnostic> diagnostics,
                                  std::string_view file_name);

}  // namespace reprise
