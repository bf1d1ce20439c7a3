// How states look: a glyph and a word, and a colour that only repeats what they say.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "flow/state.hpp"
#include "journal/records.hpp"

namespace reprise::cli {

enum class ColorChoice { automatic, always, never };

/// What decides about colour on one stream.
struct ColorSituation {
  ColorChoice choice = ColorChoice::automatic;  // --color
  std::optional<std::string> no_color;          // environment; unset = nullopt
  std::optional<std::string> clicolor_force;
  std::optional<std::string> force_color;
  std::optional<std::string> term;
  bool is_terminal = false;  // of that very stream
};

/// --color, then a non-empty NO_COLOR, then CLICOLOR_FORCE or FORCE_COLOR ("" and "0" do not
/// force), then TERM=dumb, then whether the stream is a terminal.
[[nodiscard]] bool wants_color(const ColorSituation& situation);

/// The sixteen-colour palette, as far as it is used.
enum class Ink { plain, bold, dim, red, green, yellow, blue, magenta, cyan };

/// Puts colours around text, or nothing when `colored` is false.
struct Style {
  bool colored = false;
  [[nodiscard]] std::string operator()(Ink ink, std::string_view text) const;
};

/// A task's end as people are told of it: cached is what was served from the cache. What ran and
/// was put there is a success.
struct ShownState {
  TaskState state = TaskState::pending;
  bool stored = false;
};
[[nodiscard]] ShownState shown_state(TaskState state, journal::CacheOutcome cache);

[[nodiscard]] std::string_view glyph(TaskState state);
[[nodiscard]] std::string_view glyph(RunState state);
[[nodiscard]] Ink ink(TaskState state);
[[nodiscard]] Ink ink(RunState state);

}  // namespace reprise::cli
