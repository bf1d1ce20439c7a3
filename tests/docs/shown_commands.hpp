#pragma once

// Commands and files shown in a page, so that a test can do what a reader would do.
//
//   ```yaml hello.yaml          a file: written under that name before the commands that follow are
//   run
//   ```console                  "$ command" lines, each followed by what it prints on both streams
//
// Expected output may leave things out: a line "..." stands for any number of lines. Run ids,
// durations and dates are compared as kinds, not as values, and runs of blanks as one.

#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace reprise::docs {

struct ShownFile {
  int line = 0;
  std::string name;
  std::string text;

  friend bool operator==(const ShownFile&, const ShownFile&) = default;
};

struct ShownCommand {
  int line = 0;
  std::string command;
  std::vector<std::string> output;

  friend bool operator==(const ShownCommand&, const ShownCommand&) = default;
};

using ShownStep = std::variant<ShownFile, ShownCommand>;

/// What a page shows, in order. Other blocks are not looked at.
[[nodiscard]] std::vector<ShownStep> shown_steps(std::string_view page);

/// A line with everything that differs from run to run replaced by its kind.
[[nodiscard]] std::string normalized(std::string_view line);

/// Whether `actual` is what `shown` promises.
[[nodiscard]] bool is_as_shown(const std::vector<std::string>& shown,
                               const std::vector<std::string>& actual);

/// Targets of relative links and names of pages ("docs/x.md") in a text.
[[nodiscard]] std::vector<std::string> mentioned_pages(std::string_view text);
[[nodiscard]] std::vector<std::string> relative_links(std::string_view page);

[[nodiscard]] std::vector<std::string> lines_of(std::string_view text);

}  // namespace reprise::docs
