#include "worker/local_runner.hpp"

#include <cxxabi.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <exception>
#include <typeinfo>
#include <variant>

#include <fmt/format.h>

#include "core/failure.hpp"
#include "core/text.hpp"
#include "worker/consultation.hpp"
#include "worker/secrets.hpp"
#include "worker/target.hpp"

namespace reprise::worker {
namespace {

constexpr std::size_t message_columns = 400;

std::uint64_t next_serial() {
  static std::atomic<std::uint64_t> last{0};
  return ++last;
}

std::string type_name(const std::exception& error) {
  int status = 0;
  const std::unique_ptr<char, decltype(&std::free)> name(
      abi::__cxa_demangle(typeid(error).name(), nullptr, nullptr, &status), &std::free);
  return status == 0 ? name.get() : typeid(error).name();
}

std::string first_line(std::string_view text) {
  return shorten(escape_for_terminal(text.substr(0, text.find('\n'))), message_columns);
}

void set_failed(Outcome& outcome, FailureClass failure, std::string message) {
  outcome.state = TaskState::failed;
  outcome.failure = failure;
  outcome.message = std::move(message);
}

// The one place where what user code throws becomes a state.
void call(const Function& function, const Attempt& attempt, const std::stop_token& stop,
          Outcome& outcome) {
  try {
    Returned returned = function.body(Call{attempt.arguments, attempt, stop});
    outcome.state = TaskState::success;
    outcome.value = std::move(returned.value);
    outcome.uncacheable = std::move(returned.uncacheable);
  } catch (Ending& ending) {
    end_as(outcome, std::move(ending));
  } catch (const std::exception& error) {
    const std::string type = type_name(error);
    const std::string what = first_line(error.what());
    set_failed(outcome, FailureClass::task, fmt::format("{}: {}", type, what));
    outcome.value = failure_payload(type, what);
  } catch (...) {
    set_failed(outcome, FailureClass::task, "the body threw something that is no std::exception");
    outcome.value = failure_payload("unknown", outcome.message);
  }
}

Outcome pass(const Attempt& attempt) {
  Outcome outcome;
  outcome.started = attempt.context->now();
  outcome.executed = true;
  outcome.state = TaskState::success;
  if (attempt.arguments.empty()) {
    outcome.value = Payload::nil();
    return outcome;
  }
  if (attempt.arguments.size() == 1) {
    outcome.value = attempt.arguments[0].value;
    return outcome;
  }
  Map map;
  for (const Argument& argument : attempt.arguments) {
    auto value = argument.value.is_none() ? Result<Value>(Value{}) : argument.value.value();
    if (!value) {
      set_failed(outcome, FailureClass::cannot_start, value.error().message);
      return outcome;
    }
    map.emplace_back(Value(argument.name), *std::move(value));
  }
  auto joined = Payload::of(Value(std::move(map)));
  if (joined)
    outcome.value = *std::move(joined);
  else
    set_failed(outcome, FailureClass::task, joined.error().message);
  return outcome;
}

}  // namespace

LocalRunner::LocalRunner(Options options)
    : options_(std::move(options)),
      serial_(next_serial()),
      commands_({options_.blobs.get(), options_.environment, options_.grace,
                 secret_folders(options_.secrets, options_.environment), options_.warn}) {}

Outcome LocalRunner::run(const Attempt& attempt, std::stop_token stop) {
  if (stop.stop_requested()) {
    Outcome outcome;
    outcome.state = TaskState::cancelled;
    outcome.failure = FailureClass::cancelled;
    outcome.message = "cancelled before it started";
    outcome.started = attempt.context->now();
    return outcome;
  }
  if (attempt.question) return answer(attempt, stop);
  if (!has_target(attempt)) return run_body(attempt, std::move(stop));
  const auto path = target_path(attempt);
  if (!path) {
    Outcome outcome;
    outcome.started = attempt.context->now();
    set_failed(outcome, FailureClass::cannot_start, path.error().message);
    return outcome;
  }
  Outcome outcome = run_body(attempt, std::move(stop));
  if (outcome.state != TaskState::success) return outcome;
  if (const Status written = write_target(attempt, *path, outcome.value, options_.blobs.get());
      !written) {
    set_failed(outcome, FailureClass::task, written.error().message);
    outcome.value = failure_payload("TargetFailed", outcome.message);
  }
  return outcome;
}

Outcome LocalRunner::run_body(const Attempt& attempt, std::stop_token stop) {
  const Body& body = attempt.context->flow->kind_of(attempt.node).body;
  if (const auto* function = std::get_if<reprise::FunctionBody>(&body)) {
    return run_function(attempt, *function, std::move(stop));
  }
  if (const auto* command = std::get_if<CommandBody>(&body)) {
    const auto resources = resources_of(attempt.context);
    return commands_.run(attempt, *command, *resources, std::move(stop));
  }
  return pass(attempt);
}

Outcome LocalRunner::run_function(const Attempt& attempt, const reprise::FunctionBody& body,
                                  std::stop_token stop) {
  Outcome outcome;
  outcome.started = attempt.context->now();
  const auto function = find_function(body.function);
  if (!function) {
    set_failed(outcome, FailureClass::cannot_start, unknown_function(body.function));
    return outcome;
  }
  outcome.executed = true;
  call(*function, attempt, stop, outcome);
  outcome.duration = attempt.context->now() - outcome.started;
  return outcome;
}

Outcome LocalRunner::answer(const Attempt& attempt, const std::stop_token& stop) {
  const Consultation consultation{
      [this](const std::string& id) { return find_function(id); },
      [&](const Attempt& asked, const CommandBody& command, const Environment& about) {
        return commands_.run_hook(asked, command, *resources_of(asked.context), about, stop);
      },
      options_.warn};
  return consultation.answer(attempt, stop);
}

std::shared_ptr<const Function> LocalRunner::find_function(const std::string& id) const {
  // Most attempts call what the one before called. Entries are never removed, so what was found
  // stays right.
  struct Last {
    std::uint64_t runner = 0;
    std::string id;
    std::shared_ptr<const Function> function;
  };
  thread_local Last last;
  if (last.runner == serial_ && last.id == id) return last.function;
  auto found = options_.functions ? options_.functions->find(id) : nullptr;
  if (found) last = {serial_, id, found};
  return found;
}

std::string LocalRunner::unknown_function(const std::string& id) const {
  const std::vector<std::string> ids =
      options_.functions ? options_.functions->ids() : std::vector<std::string>{};
  const std::string name = id.substr(0, id.rfind('@')) + "@";
  std::string others;
  for (const std::string& known : ids) {
    if (known.starts_with(name))
      others += fmt::format("{}\"{}\"", others.empty() ? "" : ", ", known);
  }
  return others.empty()
             ? fmt::format("no function \"{}\" here{}", escape_for_terminal(id),
                           did_you_mean(id, ids))
             : fmt::format("no function \"{}\" here; there is {}", escape_for_terminal(id), others);
}

std::shared_ptr<RunResources> LocalRunner::resources_of(
    const std::shared_ptr<const RunContext>& run) {
  const std::scoped_lock lock(mutex_);
  if (const auto known = runs_.find(run->folder); known != runs_.end()) {
    known->second.context = run;
    return known->second.resources;
  }
  std::erase_if(runs_, [](const auto& known) { return known.second.context.expired(); });
  auto resources = std::make_shared<RunResources>(run->folder, options_.logs);
  runs_.emplace(run->folder, KnownRun{run, resources});
  return resources;
}

}  // namespace reprise::worker
