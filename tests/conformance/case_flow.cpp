#include "tests/conformance/case_flow.hpp"

#include <algorithm>
#include <cmath>
#include <deque>
#include <functional>
#include <set>

#include <fmt/format.h>

#include "tests/conformance/behaviour.hpp"
#include "tests/conformance/values.hpp"

namespace reprise::conformance {
namespace {

using std::chrono::nanoseconds;

nanoseconds seconds(double count) {
  if (!(std::abs(count) < 1e9)) throw bad_case("a time is out of range");
  return std::chrono::duration_cast<nanoseconds>(std::chrono::duration<double>(count));
}

/// A dependency as the file has it: "a", or {"task": "a", "mapped": true, "flattened": true}.
struct Dependency {
  std::string task;
  bool mapped = false;
  bool flattened = false;
};

Dependency dependency(const Json& description) {
  if (description.is_string()) return {description.get<std::string>()};
  check_members(description, "an upstream", {"task", "mapped", "flattened"});
  return {text_in(description, "task"), flag_in(description, "mapped", false),
          flag_in(description, "flattened", false)};
}

/// Copies of texts that options only view; they live as long as the builder.
class Texts {
 public:
  std::string_view keep(std::string text) { return kept_.emplace_back(std::move(text)); }

 private:
  std::deque<std::string> kept_;
};

struct OneInput {
  std::string name;
  bool is_flattened_whole = false;  // [[1], [2]] is [1, 2] for the body; no map
  bool is_state_only = false;       // of a mapped task that gives no data: the body must not see it
};

/// One level of lists less; anything else stays as it is.
value flattened(const value& nested) {
  const auto* lists = nested.get_if<value::list>();
  if (lists == nullptr) return nested;
  value::list all;
  for (const value& each : *lists) {
    const auto* items = each.get_if<value::list>();
    if (items == nullptr) return nested;
    all.insert(all.end(), items->begin(), items->end());
  }
  return all;
}

/// The trigger that the interface has by name; those of the case alone are set as functions.
trigger::rule trigger_of(const Json& options, bool is_merge) {
  const auto found = options.find("trigger");
  if (found == options.end() || found->is_null())
    return is_merge ? trigger::not_all_skipped : trigger::all_successful;
  const std::string name = found->is_string() ? found->get<std::string>() : text_in(*found, "name");
  if (name != "some_failed" && name != "some_successful" && found->is_object())
    check_members(*found, "a trigger without bounds", {"name"});
  const auto bound = [&](const char* which) {
    if (!found->is_object()) return -1.0;
    check_members(*found, "a trigger", {"name", "at_least", "at_most"});
    return number_in(*found, which, -1);
  };
  if (name == "some_failed") return trigger::some_failed(bound("at_least"), bound("at_most"));
  if (name == "some_successful")
    return trigger::some_successful(bound("at_least"), bound("at_most"));
  if (name == "all_successful") return trigger::all_successful;
  if (name == "all_failed") return trigger::all_failed;
  if (name == "any_successful") return trigger::any_successful;
  if (name == "any_failed") return trigger::any_failed;
  if (name == "all_finished" || name == "always_run") return trigger::all_finished;
  if (name == "not_all_skipped") return trigger::not_all_skipped;
  if (name == "manual_only") return trigger::manual_only;
  if (name == "custom_false" || name == "custom_error" || name == "resource_cleanup_trigger" ||
      name == "resource_cleanup")
    return trigger::all_successful;
  throw bad_case(fmt::format("no trigger is called \"{}\"", name));
}

class Builder {
 public:
  Builder(const Json& test_case, Tally& tally)
      : case_(test_case),
        tally_(tally),
        numbers_(task_numbers(test_case)),
        flow_(text_in(test_case, "id")) {}

  flow build() {
    for (const auto& [name, number] : numbers_) visit(name);
    for (const Json& task : tasks()) order(task);
    std::vector<node<value>> deciding;
    for (const Json& name : list_in(case_, "reference_tasks")) {
      if (!name.is_string()) throw bad_case("a reference task has no name");
      const auto found = nodes_.find(name.get<std::string>());
      if (found == nodes_.end())
        throw usage_error(
            error_code::invalid_argument,
            fmt::format("reference task \"{}\" is no task of the flow", name.get<std::string>()));
      deciding.push_back(found->second);
    }
    if (!deciding.empty()) flow_.decided_by(deciding);
    add_run_handlers();
    return std::move(flow_);
  }

 private:
  const Json& tasks() const { return list_in(case_, "tasks"); }

  const Json& task(const std::string& name) const {
    const auto found = numbers_.find(name);
    if (found == numbers_.end()) throw bad_case(fmt::format("there is no task \"{}\"", name));
    return tasks()[found->second];
  }

  node<value>& made(const std::string& name) {
    (void)task(name);
    return nodes_.at(name);
  }

  /// Makes what `name` takes values from, then itself.
  void visit(const std::string& name) {
    if (nodes_.contains(name)) return;
    if (!open_.insert(name).second)
      throw usage_error(error_code::invalid_argument,
                        fmt::format("task \"{}\" takes values from itself: cycle", name));
    const Json& described = task(name);
    for (const auto& [argument, from] : object_in(described, "inputs").items())
      if (from.contains("task")) visit(text_in(from, "task"));
    for (const Json& upstream : list_in(described, "upstream"))
      if (const Dependency from = dependency(upstream); from.mapped) visit(from.task);
    add(name, described);
    open_.erase(name);
  }

  void add(const std::string& name, const Json& described) {
    check_members(described, fmt::format("task \"{}\"", name),
                  {"name", "upstream", "inputs", "cache_name", "behaviour", "options", "note"});
    const Json& behaviour = object_in(described, "behaviour");
    const Json& options = object_in(described, "options");
    check_members(options, "\"options\"",
                  {"trigger", "retries", "retry_delay_s", "timeout_s", "skip_on_upstream_skip",
                   "cache_for_s", "cache_validator", "cache_key", "state_handlers", "on_failure"});
    check_behaviour(behaviour);
    const std::string type = text_in(behaviour, "type");
    if (type == "parameter") {
      check_parameter(name, described);
      add_parameter(name, behaviour);
    }

    std::vector<OneInput> names;
    std::vector<input> inputs = inputs_of(described, names);
    // The name of the task, where it differs from the case's name for it: what the cache knows.
    const std::string task_name =
        described.contains("cache_name") ? text_in(described, "cache_name") : name;
    const dynamic_task body(task_name, 1, body_of(name, behaviour, names),
                            options_of(options, type, names));
    node<value> added = flow_.call_with(body, inputs);
    added.named(name);
    set_trigger(added, name, options);
    add_handlers(added, name, options);
    nodes_.emplace(name, std::move(added));
  }

  /// What a run is given comes from nowhere else.
  static void check_parameter(const std::string& name, const Json& described) {
    const Json& inputs = object_in(described, "inputs");
    const bool is_fed = std::any_of(inputs.begin(), inputs.end(),
                                    [](const Json& from) { return from.contains("task"); });
    if (is_fed || !list_in(described, "upstream").empty())
      throw usage_error(error_code::invalid_argument,
                        fmt::format("parameter \"{}\" cannot have upstreams", name));
  }

  void add_parameter(const std::string& name, const Json& behaviour) {
    if (behaviour.contains("default") && !flag_in(behaviour, "required", false))
      (void)flow_.parameter<value>(name, to_value(behaviour["default"]));
    else
      (void)flow_.parameter<value>(name);
  }

  std::vector<input> inputs_of(const Json& described, std::vector<OneInput>& names) {
    std::vector<input> inputs;
    const Json& all = object_in(described, "inputs");
    std::vector<std::string> order;
    for (const auto& [argument, from] : all.items()) order.push_back(argument);
    // The resource trigger finds these two by their places.
    const auto rank = [](const std::string& argument) {
      return argument == "mgr" ? 0 : argument == "resource" ? 1 : 2;
    };
    std::stable_sort(order.begin(), order.end(),
                     [&](const auto& a, const auto& b) { return rank(a) < rank(b); });
    for (const std::string& argument : order) {
      const Json& from = all[argument];
      check_members(from, fmt::format("input \"{}\"", argument),
                    {"task", "const", "mapped", "flattened"});
      OneInput& kept = names.emplace_back(OneInput{argument});
      if (from.contains("task")) {
        const Dependency given = dependency(from);
        kept.is_flattened_whole = given.flattened && !given.mapped;
        inputs.push_back(shaped(input(argument, made(given.task)), given));
      } else if (from.contains("const")) {
        Dependency given{"", flag_in(from, "mapped", false), flag_in(from, "flattened", false)};
        kept.is_flattened_whole = given.flattened && !given.mapped;
        inputs.push_back(shaped(input(argument, to_value(from["const"])), given));
      } else {
        throw bad_case(fmt::format("input \"{}\" has neither task nor const", argument));
      }
    }
    std::size_t number = 0;
    for (const Json& upstream : list_in(described, "upstream")) {
      const Dependency from = dependency(upstream);
      if (!from.mapped) continue;
      const OneInput& kept =
          names.emplace_back(OneInput{fmt::format("~{}", number++), false, true});
      inputs.push_back(shaped(input(kept.name, made(from.task)), from));
    }
    return inputs;
  }

  static input shaped(const input& whole, const Dependency& as) {
    if (!as.mapped) return whole;
    return as.flattened ? whole.flattened() : whole.mapped();
  }

  dynamic_task::body_type body_of(const std::string& name, const Json& behaviour,
                                  const std::vector<OneInput>& names) {
    return [name, behaviour, names, number = numbers_.at(name), &tally = tally_](
               std::span<const value> given, context& about) {
      struct Ends {
        Tally& tally;
        ~Ends() { tally.body_ends(); }
      };
      const std::uint64_t call = tally.body_begins(number, about);
      const Ends ends{tally};
      std::map<std::string, value> inputs;
      for (std::size_t i = 0; i < names.size() && i < given.size(); ++i)
        if (!names[i].is_state_only)
          inputs.emplace(names[i].name,
                         names[i].is_flattened_whole ? flattened(given[i]) : given[i]);
      return behave(behaviour, name, inputs, call, about);
    };
  }

  task_options options_of(const Json& options, const std::string& type,
                          const std::vector<OneInput>& inputs) {
    task_options how;
    const double retries = number_in(options, "retries", 0);
    if (!(retries >= 0 && retries <= 10'000 && std::floor(retries) == retries))
      throw bad_case("retries must be 0 to 10000");
    how.retries = static_cast<std::uint32_t>(retries);
    how.retry_delay = seconds(number_in(options, "retry_delay_s", 0));
    how.timeout = seconds(number_in(options, "timeout_s", 0));
    const bool is_merge = type == "merge";
    how.skip_on_upstream_skip = flag_in(options, "skip_on_upstream_skip", !is_merge);
    how.trigger = trigger_of(options, is_merge);
    how.cache = cache_of(options, inputs);
    return how;
  }

  names kept_names(const std::vector<std::string>& all) {
    names kept;
    for (const std::string& each : all) {
      if (kept.count == kept.text.size()) throw bad_case("more than sixteen names");
      kept.text[kept.count++] = texts_.keep(each);
    }
    return kept;
  }

  cache_option cache_of(const Json& options, const std::vector<OneInput>& inputs) {
    cached policy;
    const double seconds_kept = number_in(options, "cache_for_s", 0);
    const bool is_kept = options.contains("cache_for_s") && !options["cache_for_s"].is_null();
    // Zero is over at once, which is another thing than never.
    if (is_kept) policy.expires_after = std::max(seconds(seconds_kept), nanoseconds(1));
    policy.validator = is_kept ? validator::duration_only : validator::never_use;
    policy.same_run = false;  // results of one run are there for others
    if (options.contains("cache_validator") && !options["cache_validator"].is_null())
      set_validator(policy, options["cache_validator"], inputs, is_kept);
    if (options.contains("cache_key") && !options["cache_key"].is_null())
      policy.shared_key = texts_.keep(text_in(options, "cache_key"));
    std::vector<std::string> ignored;
    for (const OneInput& each : inputs)
      if (each.is_state_only) ignored.push_back(each.name);
    policy.ignore = kept_names(ignored);
    // A state that a run is given as cached is judged by the validator, whether the task's own
    // results are kept or not.
    cache_option option(policy);
    option.enabled = is_kept;
    return option;
  }

  void set_validator(cached& policy, const Json& description, const std::vector<OneInput>& inputs,
                     bool is_kept) {
    const std::string name =
        description.is_string() ? description.get<std::string>() : text_in(description, "name");
    std::vector<std::string> listed;
    if (description.is_object()) {
      check_members(description, "a validator", {"name", "validate_on"});
      for (const Json& each : list_in(description, "validate_on")) {
        if (!each.is_string()) throw bad_case("\"validate_on\" lists names");
        listed.push_back(each.get<std::string>());
      }
    }
    // What the task or flow does not have is nothing to compare, unless a given state had it.
    const auto keep = [&](const std::function<bool(const std::string&)>& exists) {
      if (is_kept) std::erase_if(listed, [&](const std::string& each) { return !exists(each); });
    };
    if (name == "duration_only") {
      policy.validator = validator::duration_only;
    } else if (name == "never_use") {
      policy.validator = validator::never_use;
    } else if (name == "all_inputs") {
      policy.validator = validator::all_inputs;
    } else if (name == "all_parameters") {
      policy.validator = validator::all_parameters;
    } else if (name == "partial_parameters_only") {
      keep([&](const std::string& each) { return has_parameter(case_, each); });
      policy.validator = listed.empty() ? validator::duration_only : validator::partial_parameters;
      policy.validate_on = kept_names(listed);
    } else if (name == "partial_inputs_only") {
      keep([&](const std::string& each) {
        return std::any_of(inputs.begin(), inputs.end(),
                           [&](const OneInput& one) { return one.name == each; });
      });
      policy.validator = listed.empty() ? validator::duration_only : validator::partial_inputs;
      policy.validate_on = kept_names(listed);
    } else {
      throw bad_case(fmt::format("no validator is called \"{}\"", name));
    }
  }

  void set_trigger(const node<value>& added, const std::string& name, const Json& options);
  void add_handlers(const node<value>& added, const std::string& name, const Json& options);
  void add_run_handlers();

  void order(const Json& described) {
    node<value>& later = nodes_.at(text_in(described, "name"));
    for (const Json& upstream : list_in(described, "upstream"))
      if (const Dependency from = dependency(upstream); !from.mapped) later.after(made(from.task));
  }

  const Json& case_;
  Tally& tally_;
  std::map<std::string, std::size_t> numbers_;
  flow flow_;
  Texts texts_;
  std::map<std::string, node<value>> nodes_;
  std::set<std::string> open_;
};

// --- triggers

/// The resource and its manager come first; they must neither have failed nor been skipped.
bool may_clean_up(std::span<const state> upstreams, context&) {
  for (std::size_t i = 0; i < std::min<std::size_t>(2, upstreams.size()); ++i)
    if (is_kind_of(upstreams[i].kind, task_state::failed) ||
        upstreams[i].kind == task_state::skipped)
      throw signal::skip("there is no resource to clean up");
  return std::all_of(upstreams.begin(), upstreams.end(),
                     [](const state& each) { return is_finished(each.kind); });
}

// --- handlers

/// Whether a handler that is for states `on` is for this one; of a class that only sorts others,
/// for all of these.
bool is_for(const std::string& on, task_state kind) {
  if (on.empty() || on == "State") return true;
  if (on == "Finished") return is_finished(kind) || kind == task_state::looped;
  const auto wanted = parse_task_state(on);
  if (!wanted) throw bad_case(fmt::format("no state is called \"{}\"", on));
  return is_kind_of(kind, *wanted);
}

/// The state in a handler's description: {"do": "replace", "state": "Success", "result": 5}.
Json replacement(const Json& handler) {
  Json described = handler;
  if (handler.contains("state") && handler["state"].is_object()) described = handler["state"];
  described.erase("do");
  described.erase("on");
  return described;
}

std::optional<state> answer(const Json& handler) {
  const std::string what = text_in(handler, "do");
  if (what == "raise_signal") raise_signal(handler);
  if (what == "raise_error") throw Boom();
  if (what == "replace")
    return state_in(replacement(handler), std::chrono::system_clock::now()).state;
  return std::nullopt;
}

void check_handler(const Json& handler) {
  const std::string what = text_in(handler, "do");
  if (what == "raise_signal") {
    Json signal = handler;
    signal.erase("do");
    signal.erase("on");
    signal["type"] = "signal";
    check_behaviour(signal);
  } else if (what == "replace") {
    if (handler.contains("state") && handler["state"].is_object())
      check_members(handler, "a handler", {"do", "on", "state"});
    (void)state_in(replacement(handler), {});
  } else if (what == "raise_error" || what == "record" || what == "return_none") {
    check_members(handler, "a handler", {"do", "on"});
  } else {
    throw bad_case(fmt::format("no handler does \"{}\"", what));
  }
  if (handler.contains("on")) (void)is_for(text_in(handler, "on"), task_state::pending);
}

task_state as_task_state(run_state state) {
  switch (state) {
    case run_state::success:
      return task_state::success;
    case run_state::failed:
      return task_state::failed;
    case run_state::cancelled:
      return task_state::cancelled;
    case run_state::cancelling:
      return task_state::cancelling;
    case run_state::queued:
      return task_state::scheduled;
    case run_state::running:
    case run_state::paused:
    case run_state::interrupted:
      break;
  }
  return task_state::running;
}

run_state as_run_state(task_state kind) {
  if (is_kind_of(kind, task_state::failed)) return run_state::failed;
  if (is_kind_of(kind, task_state::success)) return run_state::success;
  if (kind == task_state::cancelled) return run_state::cancelled;
  if (is_kind_of(kind, task_state::running)) return run_state::running;
  return run_state::paused;
}

void Builder::set_trigger(const node<value>& added, const std::string& name, const Json& options) {
  const auto found = options.find("trigger");
  if (found == options.end() || found->is_null()) return;
  const Json& given = *found;
  const std::string kind = given.is_string() ? given.get<std::string>() : text_in(given, "name");
  const std::string own = fmt::format("{}: {}", name, kind);
  if (kind == "custom_false") {
    flow_.trigger_by(added, own, [](std::span<const state>, context&) { return false; });
  } else if (kind == "custom_error") {
    flow_.trigger_by(added, own, [](std::span<const state>, context&) -> bool { throw Boom(); });
  } else if (kind == "resource_cleanup_trigger" || kind == "resource_cleanup") {
    flow_.trigger_by(added, own, may_clean_up);
  } else if (given.is_object() && number_in(given, "at_most", 0) < 0) {
    // A bound that nothing keeps to; to the interface a negative one is none.
    flow_.trigger_by(added, own,
                     [](std::span<const state> upstreams, context&) { return upstreams.empty(); });
  }
}

void Builder::add_handlers(const node<value>& added, const std::string& name, const Json& options) {
  const std::size_t number = numbers_.at(name);
  std::size_t count = 0;
  for (const Json& handler : list_in(options, "state_handlers")) {
    check_handler(handler);
    const std::string on = handler.contains("on") ? text_in(handler, "on") : "";
    flow_.on_change(added, fmt::format("{}: handler {}", name, count++),
                    [handler, on, number, &tally = tally_](const state&, const state& after,
                                                           context&) -> std::optional<state> {
                      if (!is_for(on, after.kind)) return std::nullopt;
                      tally.handler_called(number);
                      return answer(handler);
                    });
  }
  const auto told = options.find("on_failure");
  if (told == options.end() || told->is_null() || *told == false) return;
  flow_.on_failure(
      added, fmt::format("{}: on failure", name),
      [number, &tally = tally_](const state&, context&) { tally.failure_told(number); });
}

void Builder::add_run_handlers() {
  std::size_t count = 0;
  for (const Json& handler : list_in(case_, "flow_state_handlers")) {
    check_handler(handler);
    const std::string on = handler.contains("on") ? text_in(handler, "on") : "";
    flow_.on_change(fmt::format("flow handler {}", count++),
                    [handler, on, &tally = tally_](const run_change& after,
                                                   context&) -> std::optional<run_change> {
                      if (!is_for(on, as_task_state(after.state))) return std::nullopt;
                      tally.handler_called(Tally::flow);
                      const std::optional<state> other = answer(handler);
                      if (!other) return std::nullopt;
                      return run_change{as_run_state(other->kind), other->message};
                    });
  }
}

}  // namespace

bool has_parameter(const Json& test_case, const std::string& name) {
  for (const Json& task : list_in(test_case, "tasks"))
    if (task.value("name", "") == name &&
        object_in(task, "behaviour").value("type", "") == "parameter")
      return true;
  return false;
}

std::map<std::string, std::size_t> task_numbers(const Json& test_case) {
  std::map<std::string, std::size_t> numbers;
  const Json& tasks = list_in(test_case, "tasks");
  for (std::size_t i = 0; i < tasks.size(); ++i)
    if (!numbers.emplace(text_in(tasks[i], "name"), i).second)
      throw bad_case(fmt::format("two tasks are called \"{}\"", text_in(tasks[i], "name")));
  return numbers;
}

flow build_flow(const Json& test_case, Tally& tally) {
  return Builder(test_case, tally).build();
}

given_state state_in(const Json& description, std::chrono::system_clock::time_point now) {
  static const std::set<std::string> wrappers{"Queued", "Submitted", "ClientFailed"};
  if (description.is_string()) return state_in(Json{{"state", description}}, now);
  check_members(description, "a state",
                {"state", "message", "result", "start_in_s", "run_count", "wraps", "cached_inputs",
                 "cached_parameters", "expires_in_s", "map_states"});
  const std::string name = text_in(description, "state");
  given_state made;
  if (wrappers.contains(name)) {  // what they hold is the state
    const auto wrapped = description.find("wraps");
    if (wrapped == description.end() || wrapped->is_null()) return made;
    return state_in(*wrapped, now);
  }
  const auto kind = parse_task_state(name);
  if (!kind) throw bad_case(fmt::format("no state is called \"{}\"", name));
  made.state.kind = *kind;
  const auto after = [&](const char* member) {
    return now + std::chrono::duration_cast<std::chrono::system_clock::duration>(
                     seconds(number_in(description, member)));
  };
  const auto values = [&](const char* member) -> std::optional<std::map<std::string, value>> {
    if (!description.contains(member) || description[member].is_null()) return std::nullopt;
    std::map<std::string, value> all;
    for (const auto& [key, each] : object_in(description, member).items())
      all.emplace(key, to_value(each));
    return all;
  };
  if (description.contains("message")) made.state.message = text_in(description, "message");
  if (description.contains("result")) made.state.result = to_value(description["result"]);
  if (description.contains("start_in_s") && !description["start_in_s"].is_null())
    made.state.start_time = after("start_in_s");
  else if (*kind == task_state::scheduled || *kind == task_state::retrying)
    made.state.start_time = now;
  made.run_count = static_cast<std::uint32_t>(
      number_in(description, "run_count", *kind == task_state::retrying ? 1 : 0));
  made.inputs = values("cached_inputs");
  made.parameters = values("cached_parameters");
  if (description.contains("expires_in_s") && !description["expires_in_s"].is_null())
    made.expires = after("expires_in_s");
  for (const Json& each : list_in(description, "map_states")) {
    if (each.is_null())
      made.elements.emplace_back(std::nullopt);
    else
      made.elements.emplace_back(state_in(each, now));
  }
  return made;
}

}  // namespace reprise::conformance
