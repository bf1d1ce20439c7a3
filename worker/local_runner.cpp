#include "worker/local_runner.hpp"

#include <algorithm>
#include <atomic>
#include <exception>
#include <memory>
#include <utility>
#include <variant>

#include <fmt/format.h>

#include "core/failure.hpp"
#include "core/text.hpp"
#include "worker/consultation.hpp"
#include "worker/secrets.hpp"
#include "worker/target.hpp"
#include "worker/thrown.hpp"

namespace reprise::worker {
namespace {

std::uint64_t next_serial() {
  static std::atomic<std::uint64_t> last{0};
  return ++last;
}

// The one place where what user code throws becomes a state.
template <class Body>
void call(const Body& body, const Attempt& attempt, const std::stop_token& stop, Outcome& outcome) {
  try {
    Returned returned = body(Call{attempt.arguments, attempt, stop});
    outcome.state = TaskState::success;
    outcome.value = std::move(returned.value);
    outcome.uncacheable = std::move(returned.uncacheable);
  } catch (Ending& ending) {
    end_as(outcome, std::move(ending));
  } catch (const CallFailed& failed) {
    const bool is_thrown = failed.type != "Crash" && failed.type != "OutOfMemory";
    set_failed(outcome, failed.failure,
               is_thrown ? fmt::format("{}: {}", failed.type, failed.what()) : failed.what());
    outcome.value = failure_payload(failed.type, failed.what());
    outcome.signal = failed.signal;
    outcome.exit_code = failed.exit_code;
  } catch (const std::exception& error) {
    const Thrown thrown = describe(error);
    set_failed(outcome, FailureClass::task, fmt::format("{}: {}", thrown.type, thrown.what));
    outcome.value = failure_payload(thrown.type, thrown.what);
  } catch (...) {
    set_failed(outcome, FailureClass::task, "the body threw something that is no std::exception");
    outcome.value = failure_payload("unknown", outcome.message);
  }
}

// Of the run that this thread's last command was of.
std::weak_ptr<RunResources>& last_used() {
  thread_local std::weak_ptr<RunResources> last;
  return last;
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
                 secret_folders(options_.secrets, options_.environment), options_.warn,
                 options_.enforcement.get()}) {}

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
    last_used() = resources;
    return commands_.run(attempt, *command, *resources, std::move(stop));
  }
  return pass(attempt);
}

void LocalRunner::tidy() {
  if (const auto resources = std::exchange(last_used(), {}).lock()) resources->folders->tidy();
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
  if (is_isolated(*function, attempt))
    call([&](const Call& about) { return call_isolated(*function, about); }, attempt, stop,
         outcome);
  else
    call(function->body, attempt, stop, outcome);
  outcome.executed = outcome.failure != FailureClass::cannot_start;
  outcome.duration = attempt.context->now() - outcome.started;
  return outcome;
}

Outcome LocalRunner::answer(const Attempt& attempt, const std::stop_token& stop) {
  const Consultation consultation{
      [&](const std::string& id) { return function_to_ask(id, attempt); },
      [&](const Attempt& asked, const CommandBody& command, const Environment& about) {
        return commands_.run_hook(asked, command, *resources_of(asked.context), about, stop);
      },
      options_.warn};
  return consultation.answer(attempt, stop);
}

bool LocalRunner::is_isolated(const Function& function, const Attempt& attempt) const {
  switch (function.home) {
    case Function::Home::pool:
      return true;
    case Function::Home::user:
      if (options_.isolates_functions) return true;
      break;
    case Function::Home::program:
      break;
  }
  // A hook's function need not be known to a pool because its task's is.
  return !attempt.question && attempt.context->flow->kind_of(attempt.node).isolated;
}

bool LocalRunner::ends_by_force(const Attempt& attempt) const {
  if (Runner::ends_by_force(attempt)) return true;
  if (attempt.question) return false;
  const auto* body =
      std::get_if<reprise::FunctionBody>(&attempt.context->flow->kind_of(attempt.node).body);
  const auto function = body != nullptr ? find_function(body->function) : nullptr;
  return function && options_.pool && is_isolated(*function, attempt);
}

Returned LocalRunner::call_isolated(const Function& function, const Call& call) {
  if (!options_.pool)
    throw CallFailed(FailureClass::cannot_start, "Crash",
                     fmt::format("function \"{}\" is to have a process of its own, which this "
                                 "program does not give",
                                 escape_for_terminal(function.name)));
  const auto resources = resources_of(call.attempt.context);
  const std::string& run_folder = call.attempt.context->folder;
  const bool is_hook = call.attempt.question != nullptr;  // several may be asked one question
  const auto log_of = [&](Stream stream) {
    return LogWriter(run_folder, call.attempt.task, call.attempt.number, stream, *resources->logs,
                     is_hook);
  };
  LogWriter out = log_of(Stream::out), err = log_of(Stream::err);
  const std::string id = fmt::format("{}@{}", function.name, function.version);
  const auto complain = [&] {
    for (const LogWriter* log : {&out, &err})
      if (!log->status() && options_.warn) options_.warn(log->status().error().message);
  };
  try {
    Returned returned = options_.pool->call(id, call, {out, err});
    complain();
    return returned;
  } catch (...) {
    complain();
    throw;
  }
}

std::shared_ptr<const Function> LocalRunner::function_to_ask(const std::string& id,
                                                             const Attempt& attempt) {
  const auto function = find_function(id);
  if (!function || !is_isolated(*function, attempt)) return function;
  auto asked = std::make_shared<Function>(*function);
  asked->body = [this, function](const Call& call) { return call_isolated(*function, call); };
  return asked;
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
    if (known->second.context.lock() != run)
      known->second = {run, std::make_shared<RunResources>(*run, *known->second.resources)};
    return known->second.resources;
  }
  std::erase_if(runs_, [](const auto& known) { return known.second.context.expired(); });
  auto resources = std::make_shared<RunResources>(*run, options_.logs);
  runs_.emplace(run->folder, KnownRun{run, resources});
  return resources;
}

}  // namespace reprise::worker
