#include "tests/conformance/behaviour.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <condition_variable>
#include <mutex>

#include <fmt/format.h>

#include "reprise/adapt.hpp"
#include "reprise/signal.hpp"

namespace reprise::conformance {
namespace {

/// As the engine writes failures: what the older engines give as the result of a signal without one
/// is the signal itself.
struct SignalItself {
  std::string exception;
  std::string message;
};
REPRISE_ADAPT(SignalItself, "failure", 1, exception, message)

struct Type {
  std::string_view name;
  std::array<const char*, 3> needed{};   // members that it cannot do without; null: no more
  std::array<const char*, 3> allowed{};  // and others that it may have
};
constexpr std::array types{Type{"success", {}, {"value"}},
                           Type{"fail"},
                           Type{"fail_first", {"times"}, {"value"}},
                           Type{"sequence", {"steps"}},
                           Type{"signal", {"signal"}, {"result", "start_in_s"}},
                           Type{"sleep", {"seconds"}, {"value"}},
                           Type{"echo", {"key"}},
                           Type{"add", {"key", "amount"}},
                           Type{"sum"},
                           Type{"sum_list", {"key"}},
                           Type{"fail_if", {"key", "equals"}},
                           Type{"signal_if", {"key", "equals", "signal"}, {"result", "start_in_s"}},
                           Type{"context", {"key"}},
                           Type{"parameter", {}, {"default", "required"}},
                           Type{"compare", {"equals"}},
                           Type{"merge"},
                           Type{"loop", {"until", "add"}, {"fail_at"}}};
const Words signals{"SKIP",  "FAIL", "SUCCESS",     "RETRY",
                    "PAUSE", "LOOP", "TRIGGERFAIL", "VALIDATIONFAIL"};

bool is_among(const std::array<const char*, 3>& members, const std::string& name) {
  return std::any_of(members.begin(), members.end(),
                     [&](const char* each) { return each != nullptr && name == each; });
}

void check_type(const Json& behaviour) {
  const std::string name = text_in(behaviour, "type");
  const auto* const type =
      std::find_if(types.begin(), types.end(), [&](const Type& each) { return each.name == name; });
  if (type == types.end()) throw bad_case(fmt::format("no behaviour is called \"{}\"", name));
  for (const char* needed : type->needed)
    if (needed != nullptr && !behaviour.contains(needed))
      throw bad_case(fmt::format("\"{}\" needs \"{}\"", name, needed));
  for (const auto& [member, any] : behaviour.items())
    if (member != "type" && !is_among(type->needed, member) && !is_among(type->allowed, member))
      throw bad_case(fmt::format("\"{}\" has a member \"{}\", which is not known", name, member));
}

/// Seconds as the engine wants them.
std::chrono::nanoseconds seconds(double count) {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::duration<double>(count));
}

const value& input(const std::map<std::string, value>& inputs, const std::string& name) {
  const auto found = inputs.find(name);
  if (found == inputs.end()) throw std::runtime_error(fmt::format("no input \"{}\"", name));
  return found->second;
}

value member(const Json& behaviour, const char* name) {
  const auto found = behaviour.find(name);
  return found == behaviour.end() ? value() : to_value(*found);
}

void sleep(double count, const context& about) {
  std::mutex mutex;
  std::condition_variable_any never;
  std::unique_lock lock(mutex);
  never.wait_for(lock, about.stop_token(), seconds(count), [] { return false; });
  if (about.stop_requested()) throw std::runtime_error("asked to stop");
}

value parameter(const std::string& name, const context& about) {
  std::optional<value> given = about.parameter<value>(name);
  if (!given) throw std::runtime_error(fmt::format("parameter \"{}\" is required", name));
  return *given;
}

value merge(const std::map<std::string, value>& inputs) {
  for (const auto& [name, any] : inputs)  // in the order of their names
    if (!any.is_nil()) return any;
  return {};
}

value loop(const Json& behaviour, context& about) {
  const std::int64_t count = about.get<std::int64_t>("task_loop_count").value_or(1);
  const auto fail_at = behaviour.find("fail_at");
  if (fail_at != behaviour.end() && *fail_at == count && about.run_count() == 1) throw Boom();
  const value sum = plus(about.loop_result<value>().value_or(value(0)), member(behaviour, "add"));
  if (static_cast<double>(count) < number_in(behaviour, "until")) throw signal::loop(sum);
  return sum;
}

}  // namespace

void check_behaviour(const Json& behaviour) {
  check_type(behaviour);
  const std::string type = text_in(behaviour, "type");
  if (type == "signal" || type == "signal_if") {
    const std::string signal = text_in(behaviour, "signal");
    if (!is_one_of(signals, signal))
      throw bad_case(fmt::format("no signal is called \"{}\"", signal));
  }
  if (type == "sequence") {
    const Json& steps = list_in(behaviour, "steps");
    if (steps.empty()) throw bad_case("a sequence has no steps");
    for (const Json& step : steps) check_behaviour(step);
  }
}

void raise_signal(const Json& description) {
  const std::string name = text_in(description, "signal");
  const bool has_result = description.contains("result");
  const value result = member(description, "result");
  std::optional<std::chrono::nanoseconds> start_in;
  if (description.contains("start_in_s")) start_in = seconds(number_in(description, "start_in_s"));
  if (name == "SKIP") {
    if (has_result) throw signal::skip("", result);
    throw signal::skip();
  }
  if (name == "FAIL") {
    if (has_result) throw signal::fail("", result);
    throw signal::fail();
  }
  if (name == "SUCCESS") {
    if (has_result) throw signal::success(result);
    throw signal::success(SignalItself{name, {}});
  }
  if (name == "RETRY") throw signal::retry(start_in.value_or(std::chrono::nanoseconds(0)));
  if (name == "PAUSE") throw signal::pause("", start_in);
  if (name == "LOOP") throw signal::loop(result);
  if (name == "TRIGGERFAIL") throw signal::trigger_fail();
  if (name == "VALIDATIONFAIL") throw signal::validation_fail();
  throw bad_case(fmt::format("no signal is called \"{}\"", name));
}

value behave(const Json& behaviour, const std::string& task,
             const std::map<std::string, value>& inputs, std::uint64_t call, context& about) {
  const std::string type = text_in(behaviour, "type");
  if (type == "success") return member(behaviour, "value");
  if (type == "fail") throw Boom();
  if (type == "fail_first") {
    if (static_cast<double>(call) <= number_in(behaviour, "times")) throw Boom();
    return member(behaviour, "value");
  }
  if (type == "sequence") {
    const Json& steps = list_in(behaviour, "steps");
    return behave(steps[std::min<std::size_t>(call, steps.size()) - 1], task, inputs, call, about);
  }
  if (type == "signal") raise_signal(behaviour);
  if (type == "sleep") {
    sleep(number_in(behaviour, "seconds"), about);
    return member(behaviour, "value");
  }
  if (type == "sum") {
    value sum = 0;
    for (const auto& [name, any] : inputs) sum = plus(sum, any);
    return sum;
  }
  if (type == "context") return about.get<value>(text_in(behaviour, "key")).value_or(value());
  if (type == "parameter") return parameter(task, about);
  if (type == "merge") return merge(inputs);
  if (type == "loop") return loop(behaviour, about);
  if (type == "compare") {
    if (!equal_in_bodies(input(inputs, "value"), behaviour.value("equals", Json())))
      throw signal::skip("it is another value");
    return {};
  }
  const value& given = input(inputs, text_in(behaviour, "key"));
  if (type == "add") return plus(given, member(behaviour, "amount"));
  if (type == "sum_list") {
    const auto* items = given.get_if<value::list>();
    if (items == nullptr) throw std::runtime_error("this is no list");
    value sum = 0;
    for (const value& item : *items) sum = plus(sum, item);
    return sum;
  }
  if (type == "fail_if" || type == "signal_if") {
    if (equal_in_bodies(given, behaviour.value("equals", Json()))) {
      if (type == "fail_if") throw Boom();
      raise_signal(behaviour);
    }
  }
  return given;  // echo
}

}  // namespace reprise::conformance
