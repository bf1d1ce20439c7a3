#include "worker/functions.hpp"

#include <fmt/format.h>

#include "core/failure.hpp"
#include "core/text.hpp"

namespace reprise::worker {

namespace {

std::string_view signal_name(TaskState state) {
  switch (state) {
    case TaskState::skipped:
      return "SKIP";
    case TaskState::trigger_failed:
      return "TRIGGERFAIL";
    case TaskState::validation_failed:
      return "VALIDATIONFAIL";
    default:
      return "FAIL";
  }
}

}  // namespace

void end_as(Outcome& outcome, Ending&& ending) {
  outcome.state = ending.state;
  outcome.message = std::move(ending.message);
  outcome.value = std::move(ending.value);
  outcome.start_time = ending.start_time;
  if (is_failed(ending.state))
    outcome.failure = ending.state == TaskState::validation_failed ? FailureClass::validation
                                                                   : FailureClass::task;
  if (outcome.value.is_none() && (is_failed(ending.state) || ending.state == TaskState::skipped))
    outcome.value = failure_payload(signal_name(ending.state), outcome.message);
  if (ending.state == TaskState::cancelled) outcome.failure = FailureClass::cancelled;
}

void set_failed(Outcome& outcome, FailureClass failure, std::string message) {
  outcome.state = TaskState::failed;
  outcome.failure = failure;
  outcome.message = std::move(message);
}

Status FunctionTable::add(Function function) {
  std::string id = fmt::format("{}@{}", function.name, function.version);
  const std::scoped_lock lock(mutex_);
  if (const auto found = functions_.find(id); found != functions_.end()) {
    if (found->second->signature == function.signature) return {};
    return fail(
        ErrorCode::conflict,
        fmt::format(
            "function \"{}\" is already registered with another signature; give the new one "
            "another version",
            escape_for_terminal(id)));
  }
  functions_.emplace(std::move(id), std::make_shared<const Function>(std::move(function)));
  return {};
}

std::shared_ptr<const Function> FunctionTable::find(std::string_view id) const {
  const std::scoped_lock lock(mutex_);
  const auto found = functions_.find(id);
  return found == functions_.end() ? nullptr : found->second;
}

std::vector<std::string> FunctionTable::ids() const {
  const std::scoped_lock lock(mutex_);
  std::vector<std::string> all;
  all.reserve(functions_.size());
  for (const auto& [id, function] : functions_) all.push_back(id);
  return all;
}

}  // namespace reprise::worker
