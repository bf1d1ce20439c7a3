#include "flow/waiting_reason.hpp"

#include <array>

#include <fmt/format.h>

namespace reprise {

namespace {

constexpr std::array<std::string_view, 9> names{"upstream",           "slots",         "resources",
                                                "no_worker_for_task", "retry_backoff", "paused",
                                                "concurrency_limit",  "when_false",    "cache"};

}  // namespace

std::string_view name(WaitingReason reason) {
  return names.at(static_cast<std::size_t>(reason));
}

std::string waiting_message(WaitingReason reason, std::string_view text) {
  return fmt::format("{}: {}", name(reason), text);
}

std::optional<WaitingReason> waiting_reason_in(std::string_view message, std::string_view& text) {
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (!message.starts_with(names[i]) || !message.substr(names[i].size()).starts_with(": "))
      continue;
    text = message.substr(names[i].size() + 2);
    return static_cast<WaitingReason>(i);
  }
  return std::nullopt;
}

}  // namespace reprise
