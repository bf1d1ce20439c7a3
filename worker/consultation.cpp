#include "worker/consultation.hpp"

#include <algorithm>
#include <exception>
#include <stdexcept>
#include <vector>

#include <fmt/format.h>

#include "core/failure.hpp"
#include "core/text.hpp"
#include "worker/function_pool.hpp"
#include "worker/thrown.hpp"

namespace reprise::worker {

namespace {

Value value_of(const Payload& payload) {
  const Result<Value> value = payload.is_none() ? Result<Value>(Value{}) : payload.value();
  return value ? *value : Value{};
}

Map fields_of(const StateRecord& record) {
  Map fields{{"state", name(record.state)}, {"message", record.message}};
  if (!record.result.is_none()) fields.emplace_back("result", value_of(record.result));
  if (record.start_time) fields.emplace_back("start_time", timestamp_value(*record.start_time));
  return fields;
}

Map digests_as_values(const std::map<std::string, Digest>& digests) {
  Map map;
  for (const auto& [name, digest] : digests) map.emplace_back(name, digest.text());
  return map;
}

Map fields_of(const Candidate& earlier) {
  Map fields{{"result", value_of(earlier.value)},
             {"run", earlier.run.text()},
             {"committed", timestamp_value(earlier.committed)},
             {"inputs", digests_as_values(earlier.inputs)}};
  if (earlier.expires) fields.emplace_back("expires", timestamp_value(*earlier.expires));
  if (earlier.parameters) fields.emplace_back("parameters", digests_as_values(*earlier.parameters));
  return fields;
}

// The state that a hook gave. @error invalid_argument: it is none
Result<StateRecord> record_from(const Value& value) {
  const Value* state = value.find("state");
  const std::string* text = state != nullptr ? state->get_if<std::string>() : nullptr;
  const auto known = text != nullptr ? task_state_from(*text) : std::nullopt;
  if (!known)
    return fail(ErrorCode::invalid_argument,
                "it gave back something that is no state: " + shorten(to_json(value), 80));
  StateRecord record;
  record.state = *known;
  if (const Value* message = value.find("message"))
    if (const auto* given = message->get_if<std::string>()) record.message = *given;
  if (const Value* result = value.find("result")) {
    auto payload = Payload::of(*result);
    if (!payload) return tl::unexpected(payload.error());
    record.result = std::move(*payload);
  }
  if (const Value* start = value.find("start_time")) {
    auto time = as_timestamp(*start);
    if (!time) return tl::unexpected(time.error());
    record.start_time = *time;
  }
  return record;
}

bool is_told(const Hook& hook, TaskState state) {
  if (hook.on.empty()) return true;
  return std::any_of(hook.on.begin(), hook.on.end(), [&](const std::string& on) {
    if (on == "finished") return is_finished(state);
    const auto kind = task_state_from(on);
    return kind && is_kind_of(state, *kind);
  });
}

bool is_told(const Hook& hook, RunState state) {
  if (hook.on.empty()) return true;
  return std::any_of(hook.on.begin(), hook.on.end(), [&](const std::string& on) {
    return on == "finished" ? is_finished(state) : on == name(state);
  });
}

// The function that is asked is not there, or what it gave makes no sense.
struct Nonsense : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// What is being caught.
Thrown thrown_now() {
  try {
    throw;
  } catch (const Nonsense& error) {
    return {"HookFailed", describe(error).what};
  } catch (const CallFailed& error) {
    return {error.type, describe(error).what};
  } catch (const std::exception& error) {
    return describe(error);
  } catch (...) {
    return {"unknown", "something that is no std::exception"};
  }
}

Payload payload_or_nil(const Value& value) {
  Result<Payload> payload = Payload::of(value);
  return payload ? std::move(*payload) : Payload::nil();
}

class Answering {
 public:
  Answering(const Consultation& with, const Attempt& attempt, const std::stop_token& stop)
      : with_(with), attempt_(attempt), question_(*attempt.question), stop_(stop) {}

  Outcome answer() {
    Outcome outcome;
    outcome.started = attempt_.context->now();
    switch (question_.kind) {
      case Question::Kind::trigger:
        ask_trigger(outcome);
        break;
      case Question::Kind::cache_key:
        ask_for_key(outcome);
        break;
      case Question::Kind::validator:
        ask_validator(outcome);
        break;
      case Question::Kind::hooks:
        ask_hooks(kind().hooks, outcome);
        break;
      case Question::Kind::run_hooks:
        ask_run_hooks(outcome);
        break;
    }
    return outcome;
  }

 private:
  const TaskKind& kind() const { return attempt_.context->flow->kind_of(attempt_.node); }

  // @throws what the function throws
  Value call(const std::string& id, std::span<const Argument> arguments) {
    const auto function = with_.find(id);
    if (!function) throw Nonsense(fmt::format("no function \"{}\" here", escape_for_terminal(id)));
    return value_of(function->body(Call{arguments, attempt_, stop_}).value);
  }

  static void set(Outcome& outcome, Ending&& ending) {
    outcome.state = ending.state;
    outcome.message = std::move(ending.message);
    outcome.value = std::move(ending.value);
    outcome.start_time = ending.start_time;
  }

  // To be called where something is caught, which is the result, as that of a body that throws it.
  static void set_failed(Outcome& outcome, std::string_view asked, const std::string& id) {
    const Thrown thrown = thrown_now();
    outcome.state = TaskState::failed;
    outcome.failure = FailureClass::validation;
    outcome.message = fmt::format("{} \"{}\": {}", asked, escape_for_terminal(id), thrown.what);
    outcome.value = failure_payload(thrown.type, outcome.message);
    outcome.is_final = true;
  }

  void ask_trigger(Outcome& outcome) {
    List upstreams;
    for (const Question::Upstream& upstream : question_.upstreams) {
      Map fields = fields_of(upstream.state);
      fields.emplace_back("name", upstream.name);
      upstreams.emplace_back(std::move(fields));
    }
    const Argument argument{"upstreams", payload_or_nil(Value{std::move(upstreams)})};
    const std::string& id = kind().trigger.function;
    try {
      const Value verdict = call(id, {&argument, 1});
      const bool* passes = verdict.get_if<bool>();
      if (passes == nullptr)
        throw Nonsense("it gave neither true nor false: " + shorten(to_json(verdict), 80));
      outcome.state = TaskState::success;
      outcome.value = payload_or_nil(Value{*passes});
    } catch (Ending& ending) {
      set(outcome, std::move(ending));
    } catch (...) {
      set_failed(outcome, "trigger", id);
    }
  }

  void ask_for_key(Outcome& outcome) {
    const std::string& id = kind().cache.key_function;
    try {
      outcome.value = payload_or_nil(call(id, attempt_.arguments));
      outcome.state = TaskState::success;
    } catch (...) {
      set_failed(outcome, "key function", id);
    }
  }

  // What the task would be given now, as values and as the digests that keys are made of.
  Payload present() const {
    Map inputs, input_digests, parameters, parameter_digests;
    for (const Argument& argument : attempt_.arguments) {
      const Payload& value = argument.value.is_none() ? Payload::nil() : argument.value;
      inputs.emplace_back(argument.name, value_of(value));
      input_digests.emplace_back(argument.name, value.digest.text());
    }
    for (const auto& [name, value] : attempt_.context->parameters) {
      parameters.emplace_back(name, value_of(value));
      parameter_digests.emplace_back(name, value.digest.text());
    }
    return payload_or_nil(Value{Map{{"inputs", std::move(inputs)},
                                    {"input_digests", std::move(input_digests)},
                                    {"parameters", std::move(parameters)},
                                    {"parameter_digests", std::move(parameter_digests)}}});
  }

  void ask_validator(Outcome& outcome) {
    const std::string& id = kind().cache.validator_function;
    const Payload now = present();
    outcome.state = TaskState::success;
    outcome.value = Payload::nil();
    try {
      for (std::size_t i = 0; i < question_.candidates.size() && !stop_.stop_requested(); ++i) {
        const Argument arguments[] = {
            {"earlier", payload_or_nil(Value{fields_of(question_.candidates[i])})}, {"now", now}};
        const Value verdict = call(id, arguments);
        const bool* is_valid = verdict.get_if<bool>();
        if (is_valid == nullptr)
          throw Nonsense("it gave neither true nor false: " + shorten(to_json(verdict), 80));
        if (!*is_valid) continue;
        outcome.value = payload_or_nil(Value{static_cast<std::int64_t>(i)});
        return;
      }
    } catch (Ending& ending) {
      set(outcome, std::move(ending));
      if (outcome.state == TaskState::success) outcome.value = Payload::nil();  // no position
    } catch (...) {
      set_failed(outcome, "validator", id);
    }
  }

  void ask_hooks(const std::vector<Hook>& hooks, Outcome& outcome) {
    StateRecord after = question_.after;
    const Payload before = payload_or_nil(Value{fields_of(question_.before)});
    bool goes_on = true;
    for (std::size_t i = 0; goes_on && i < hooks.size() && !stop_.stop_requested(); ++i) {
      if (!is_told(hooks[i], after.state)) continue;
      if (const auto* command = std::get_if<CommandBody>(&hooks[i].body)) {
        take_note(*command, name(question_.before.state), name(after.state), after.message);
      } else if (const auto* function = std::get_if<reprise::FunctionBody>(&hooks[i].body)) {
        goes_on = ask_hook(function->function, before, after, outcome);
      }
    }
    outcome.state = after.state;
    outcome.message = after.message;
    outcome.value = after.result;
    outcome.start_time = after.start_time;
  }

  // False: no further hook is asked.
  bool ask_hook(const std::string& id, const Payload& before, StateRecord& after,
                Outcome& outcome) {
    const Argument arguments[] = {{"before", before},
                                  {"after", payload_or_nil(Value{fields_of(after)})}};
    try {
      const Value given = call(id, arguments);
      if (given.is_nil()) return true;
      Result<StateRecord> record = record_from(given);
      if (!record) throw Nonsense(record.error().message);
      after = std::move(*record);
      return true;
    } catch (Ending& ending) {
      after = {ending.state, std::move(ending.message), std::move(ending.value), ending.start_time};
      outcome.is_final = after.state == TaskState::paused;
    } catch (...) {
      set_failed(outcome, "hook", id);
      after = {outcome.state, outcome.message, outcome.value, std::nullopt};
    }
    return false;
  }

  void take_note(const CommandBody& command, std::string_view before, std::string_view after,
                 std::string_view message) {
    constexpr std::size_t message_bytes_max = 64 << 10;
    const Outcome ended = with_.run_command(
        attempt_, command,
        {{"REPRISE_STATE", std::string(after)},
         {"REPRISE_STATE_BEFORE", std::string(before)},
         {"REPRISE_MESSAGE", escape_for_terminal(message.substr(0, message_bytes_max))}});
    if (ended.state != TaskState::success && with_.warn)
      with_.warn(fmt::format("a hook's command failed: {}", ended.message));
  }

  void ask_run_hooks(Outcome& outcome) {
    RunState after = question_.run_after;
    outcome.message = question_.run_message;
    outcome.state = TaskState::running;  // as it was
    const auto fields = [](RunState state, const std::string& message) {
      return payload_or_nil(Value{Map{{"state", name(state)}, {"message", message}}});
    };
    for (const Hook& hook : attempt_.context->flow->run_hooks) {
      if (stop_.stop_requested()) break;
      if (!is_told(hook, after)) continue;
      if (const auto* command = std::get_if<CommandBody>(&hook.body)) {
        take_note(*command, name(question_.run_before), name(after), outcome.message);
        continue;
      }
      const auto* function = std::get_if<reprise::FunctionBody>(&hook.body);
      if (function == nullptr) continue;
      const Argument arguments[] = {{"before", fields(question_.run_before, {})},
                                    {"after", fields(after, outcome.message)}};
      try {
        const Value given = call(function->function, arguments);
        if (given.is_nil()) continue;
        const Result<StateRecord> record = record_from(given);
        const auto state = record ? run_state_from(name(record->state)) : std::nullopt;
        if (!state) throw Nonsense("it gave back something that is no state of a run");
        after = *state;
        outcome.state = record->state;
        outcome.message = record->message;
      } catch (Ending& ending) {
        outcome.state = is_failed(ending.state) ? TaskState::failed : ending.state;
        outcome.message = std::move(ending.message);
        return;
      } catch (...) {
        set_failed(outcome, "hook of the run", function->function);
        return;
      }
    }
  }

  const Consultation& with_;
  const Attempt& attempt_;
  const Question& question_;
  const std::stop_token& stop_;
};

}  // namespace

Outcome Consultation::answer(const Attempt& attempt, const std::stop_token& stop) const {
  return Answering(*this, attempt, stop).answer();
}

}  // namespace reprise::worker
