#include "cli/style.hpp"

#include <fmt/format.h>

namespace reprise::cli {

bool wants_color(const ColorSituation& s) {
  const auto is_set = [](const std::optional<std::string>& value) {
    return value && !value->empty();
  };
  const auto forces = [&](const std::optional<std::string>& value) {
    return is_set(value) && *value != "0";
  };
  if (s.choice != ColorChoice::automatic) return s.choice == ColorChoice::always;
  if (is_set(s.no_color)) return false;
  if (forces(s.clicolor_force) || forces(s.force_color)) return true;
  if (s.term && *s.term == "dumb") return false;
  return s.is_terminal;
}

std::string Style::operator()(Ink ink, std::string_view text) const {
  if (!colored || ink == Ink::plain || text.empty()) return std::string(text);
  const char* code = "0";
  switch (ink) {
    case Ink::plain:
      break;
    case Ink::bold:
      code = "1";
      break;
    case Ink::dim:
      code = "2";
      break;
    case Ink::red:
      code = "31";
      break;
    case Ink::green:
      code = "32";
      break;
    case Ink::yellow:
      code = "33";
      break;
    case Ink::blue:
      code = "34";
      break;
    case Ink::magenta:
      code = "35";
      break;
    case Ink::cyan:
      code = "36";
      break;
  }
  return fmt::format("\x1b[{}m{}\x1b[0m", code, text);
}

ShownState shown_state(TaskState state, journal::CacheOutcome cache) {
  const bool stored = state == TaskState::cached && cache != journal::CacheOutcome::hit;
  return {stored ? TaskState::success : state, stored};
}

std::string_view glyph(TaskState state) {
  switch (state) {
    case TaskState::pending:
    case TaskState::scheduled:
    case TaskState::retrying:
    case TaskState::paused:
    case TaskState::resume:
    case TaskState::queued:
      return "·";
    case TaskState::ready:
    case TaskState::submitted:
      return "○";
    case TaskState::running:
    case TaskState::cancelling:
      return "▶";
    case TaskState::success:
    case TaskState::mapped:
    case TaskState::looped:
      return "✓";
    case TaskState::cached:
      return "≡";
    case TaskState::skipped:
      return "–";
    case TaskState::failed:
    case TaskState::trigger_failed:
    case TaskState::timed_out:
    case TaskState::validation_failed:
      return "✗";
    case TaskState::cancelled:
      return "⊘";
    case TaskState::lost:
      return "?";
  }
  return "?";
}

std::string_view glyph(RunState state) {
  switch (state) {
    case RunState::queued:
      return "·";
    case RunState::running:
      return "▶";
    case RunState::paused:
      return "·";
    case RunState::success:
      return "✓";
    case RunState::failed:
      return "✗";
    case RunState::cancelling:
    case RunState::cancelled:
      return "⊘";
    case RunState::interrupted:
      return "?";
  }
  return "?";
}

Ink ink(TaskState state) {
  if (state == TaskState::cached) return Ink::cyan;
  if (state == TaskState::skipped) return Ink::dim;
  if (is_success(state)) return Ink::green;
  if (is_failed(state)) return Ink::red;
  if (is_running(state)) return Ink::blue;
  if (state == TaskState::cancelled || state == TaskState::lost || state == TaskState::retrying)
    return Ink::yellow;
  return Ink::plain;
}

Ink ink(RunState state) {
  switch (state) {
    case RunState::success:
      return Ink::green;
    case RunState::failed:
      return Ink::red;
    case RunState::running:
      return Ink::blue;
    case RunState::paused:
    case RunState::cancelling:
    case RunState::cancelled:
    case RunState::interrupted:
      return Ink::yellow;
    case RunState::queued:
      return Ink::plain;
  }
  return Ink::plain;
}

}  // namespace reprise::cli
