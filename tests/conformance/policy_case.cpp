#include "tests/conformance/policy_case.hpp"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <set>
#include <thread>

#include <fmt/format.h>

#include "tests/conformance/behaviour.hpp"
#include "tests/conformance/policy.hpp"
#include "tests/conformance/values.hpp"

namespace reprise::conformance {
namespace {

using std::chrono::nanoseconds;

/// What a call's task waits for, so that calls happen one after the other also where the runs that
/// they are in overlap.
class Gate {
 public:
  void open() {
    const std::lock_guard guard(mutex_);
    is_open_ = true;
    opened_.notify_all();
  }
  void pass(const context& about) {
    std::unique_lock lock(mutex_);
    if (!opened_.wait(lock, about.stop_token(), [&] { return is_open_; }))
      throw std::runtime_error("asked to stop");
  }

 private:
  std::mutex mutex_;
  std::condition_variable_any opened_;
  bool is_open_ = false;
};

struct Call {
  std::size_t number = 0;
  const Json* described = nullptr;
  std::string run;    // flow run
  std::string group;  // of calls at the same time; empty: none
  std::string parent;
  std::map<std::string, value> inputs;
  Policy policy;
  std::optional<std::string> refusal;
  // Keeps what it made only when its parent ends.
  bool is_lazy = false;
  bool is_never_kept = false;
  // One of several at the same time of which one shall compute. Runs wait for each other's results;
  // tasks of one run do not.
  bool is_apart = false;
  // One of several at the same time, in several flow runs, of which each that finds nothing
  // computes: it must not wait for another run, so it keeps what it made when all have ended.
  bool is_unlocked = false;
  Gate gate;

  std::string state;  // "Completed" …; empty: not made yet
  std::optional<value> result;
  std::optional<reprise::run> own;  // where it is made, when that is not its flow run
};

struct FlowRun {
  std::unique_ptr<flow> tasks;
  std::map<std::string, value> parameters;
  std::map<std::size_t, node<value>> nodes;  // by call
  std::vector<node<value>> last;             // the next call follows these
  Gate end;
  std::optional<run> started;
};

std::string text_or(const Json& parent, const char* name, const std::string& otherwise) {
  const auto found = parent.find(name);
  return found == parent.end() || found->is_null() ? otherwise : text_in(parent, name);
}

bool has(const Json& parent, const char* name) {
  const auto found = parent.find(name);
  return found != parent.end() && !found->is_null();
}

std::string digest_of(const std::map<std::string, value>& inputs) {
  value::map all;
  for (const auto& [name, any] : inputs) all.emplace_back(name, any);
  return value(all).to_json();
}

class PolicyCase {
 public:
  PolicyCase(const Json& test_case, Tally& tally, const Place& place, Deadline deadline,
             bool is_continued)
      : case_(test_case),
        tally_(tally),
        deadline_(deadline),
        is_continued_(is_continued),
        engine_(engine_for_cases(place, slots_for(test_case), clock_)) {}

  ~PolicyCase() {
    // Runs keep their engine alive, and with it bodies that wait at the gates.
    for (auto& [name, flow_run] : runs_) flow_run.started.reset();
    for (Call& call : calls_) call.own.reset();
  }
  PolicyCase(const PolicyCase&) = delete;
  PolicyCase& operator=(const PolicyCase&) = delete;

  std::vector<Difference> run() {
    check_words();
    read_calls();
    for (Call& call : calls_)
      call.is_unlocked =
          !call.is_apart && !call.is_lazy && !call.is_never_kept &&
          std::any_of(calls_.begin(), calls_.end(), [&](const Call& other) {
            return !call.group.empty() && other.group == call.group && other.run != call.run;
          });
    describe_flows();
    for (std::size_t i = 0; i < calls_.size();) i = make(i);
    commit(lazy_);
    for (auto& [name, flow_run] : runs_) {
      flow_run.end.open();
      if (flow_run.started && !flow_run.started->wait_for(left())) is_late_ = true;
    }
    return compare();
  }

 private:
  static unsigned slots_for(const Json& test_case) {
    return static_cast<unsigned>(2 * list_in(test_case, "calls").size() + 2);
  }

  nanoseconds left() const {
    return std::max<nanoseconds>(deadline_ - std::chrono::steady_clock::now(), nanoseconds(0));
  }

  bool setting(const char* name) const {
    const Json& settings = object_in(case_, "settings");
    return flag_in(settings, name, false);
  }

  void check_words() const {
    check_requirements(case_);
    check_members(case_, "the case",
                  {"id", "source", "category", "tasks", "run_options", "calls", "settings",
                   "expect", "requires", "verified", "oracle", "engine", "note", "divergence_ok"});
    check_members(object_in(case_, "settings"), "\"settings\"",
                  {"tasks.refresh_cache", "tasks.disable_caching", "tasks.default_no_cache",
                   "results.persist_by_default"});
    for (const Json& each : list_in(case_, "expect"))
      check_members(each, "an expectation",
                    {"state", "result", "error", "body_executions", "all_results_equal", "note"});
  }

  void read_calls() {
    const Json& all = list_in(case_, "calls");
    for (const Json& described : all) {
      check_members(described, "a call",
                    {"task",
                     "source",
                     "inputs",
                     "defaults",
                     "body_returns",
                     "flow_run",
                     "flow_parameters",
                     "parent",
                     "concurrent_group",
                     "advance_s",
                     "policy",
                     "isolation",
                     "isolation_level",
                     "lock_manager",
                     "key_storage",
                     "cache_expiration_s",
                     "persist_result",
                     "refresh_cache",
                     "commit_mode",
                     "note"});
      (void)text_in(described, "task");
      Call& call = calls_.emplace_back();
      call.number = calls_.size() - 1;
      call.described = &described;
      call.run = text_or(described, "flow_run", "");
      call.group = text_or(described, "concurrent_group", "");
      call.parent = text_or(described, "parent", "");
      for (const auto& [name, any] : object_in(described, "defaults").items())
        call.inputs.insert_or_assign(name, to_value(any));
      for (const auto& [name, any] : object_in(described, "inputs").items())
        call.inputs.insert_or_assign(name, to_value(any));
      read_policy(call);
    }
  }

  void read_policy(Call& call) {
    const Json& described = *call.described;
    const bool is_kept =
        flag_in(described, "persist_result", setting("results.persist_by_default"));
    const bool by_default_off = setting("tasks.default_no_cache") || !is_kept;
    expected<Policy> policy = policy_of(described, by_default_off ? "NO_CACHE" : "DEFAULT");
    if (!policy) {
      call.refusal = policy.error().message;
      return;
    }
    call.policy = std::move(*policy);
    if (!flag_in(described, "persist_result", true) || setting("tasks.disable_caching"))
      call.policy = {};
    const std::string commit = text_or(described, "commit_mode", "LAZY");
    if (!is_one_of({"LAZY", "EAGER", "OFF"}, commit))
      throw bad_case(fmt::format("no commit mode is called \"{}\"", commit));
    call.is_never_kept = commit == "OFF";
    call.is_apart = !call.group.empty() && call.policy.is_serializable();
    call.is_lazy = !call.parent.empty() && commit == "LAZY";
  }

  // --- flows

  void describe_flows() {
    for (Call& call : calls_) {
      FlowRun& flow_run = runs_[call.run];
      if (!flow_run.tasks) {
        flow_run.tasks =
            std::make_unique<flow>(fmt::format("{} {}", text_in(case_, "id"), call.run));
        for (const auto& [name, any] : object_in(*call.described, "flow_parameters").items()) {
          flow_run.parameters.insert_or_assign(name, to_value(any));
          (void)flow_run.tasks->parameter<value>(name);
        }
      }
      if (call.refusal || is_alone(call)) continue;
      try {
        const node<value> made = add(*flow_run.tasks, call, flow_run.parameters, flow_run.last);
        flow_run.nodes.emplace(call.number, made);
        // A group is followed as a whole; its members follow what was before it.
        if (call.group.empty())
          flow_run.last = {made};
        else if (is_last_of_group(call))
          flow_run.last = members_of(flow_run, call.group);
      } catch (const usage_error& refused) {
        call.refusal = refused.what();
      }
    }
    // The runs end together: one that had ended could not be continued by another process.
    for (auto& [name, flow_run] : runs_) {
      const dynamic_task wait("end", 1,
                              [&gate = flow_run.end](std::span<const value>, context& about) {
                                gate.pass(about);
                                return value();
                              });
      (void)flow_run.tasks->call_with(wait, {}).named("end");
    }
  }

  bool is_last_of_group(const Call& call) const {
    for (std::size_t i = call.number + 1; i < calls_.size(); ++i)
      if (calls_[i].group == call.group && calls_[i].run == call.run) return false;
    return true;
  }

  std::vector<node<value>> members_of(const FlowRun& flow_run, const std::string& group) const {
    std::vector<node<value>> all;
    for (const auto& [number, made] : flow_run.nodes)
      if (calls_[number].group == group) all.push_back(made);
    return all;
  }

  /// Made in a run of its own.
  static bool is_alone(const Call& call) {
    return call.is_lazy || call.is_never_kept || call.is_apart || call.is_unlocked;
  }

  node<value> add(flow& tasks, Call& call, const std::map<std::string, value>& parameters,
                  const std::vector<node<value>>& after) {
    task_options waits;
    waits.trigger = trigger::all_finished;
    waits.skip_on_upstream_skip = false;
    const dynamic_task gate(
        fmt::format("gate {}", call.number), 1,
        [&opens = call.gate](std::span<const value>, context& about) {
          opens.pass(about);
          return value();
        },
        waits);
    node<value> opened = tasks.call_with(gate, {}).named(fmt::format("gate {}", call.number));
    for (const node<value>& earlier : after) opened.after(earlier);
    node<value> made = task_of(tasks, call, parameters, body_of(call));
    made.after(opened);
    return made;
  }

  dynamic_task::body_type body_of(const Call& call) {
    const Json returned = call.described->value("body_returns", Json());
    return [returned, number = call.number, is_beside = !call.group.empty(), &tally = tally_](
               std::span<const value>, context& about) {
      struct Ends {
        Tally& tally;
        ~Ends() { tally.body_ends(); }
      };
      (void)tally.body_begins(number, about);
      const Ends ends{tally};
      // Long enough for those at the same time to look for each other's result before there is one.
      if (is_beside) std::this_thread::sleep_for(std::chrono::milliseconds(50));
      if (returned.is_object() && returned.size() == 1 && returned.value("raise", false))
        throw Boom();
      return to_value(returned);
    };
  }

  node<value> task_of(flow& tasks, Call& call, const std::map<std::string, value>& parameters,
                      const dynamic_task::body_type& body) {
    std::deque<std::string> texts;
    const auto keep = [&](std::string text) -> std::string_view {
      return texts.emplace_back(std::move(text));
    };
    std::vector<input> inputs;
    for (const auto& [name, any] : call.inputs) inputs.emplace_back(name, any);
    task_options how;
    how.cache = cache_of(call, parameters, keep);
    // Sharing is by the keys below; the name only has to be one that no other body has.
    const std::string name =
        fmt::format("{} #{}", text_or(*call.described, "task", "task"), call.number);
    node<value> made = tasks.call_with(dynamic_task(name, 1, body, how), inputs).named(name);
    if (!call.policy.key_function.empty() && call.policy.storage_key.empty())
      tasks.cache_key_by(made, name, key_of(call));
    return made;
  }

  template <class Keep>
  cache_option cache_of(const Call& call, const std::map<std::string, value>& parameters,
                        const Keep& keep) const {
    if (call.policy.is_off()) return false;
    const Json& described = *call.described;
    cached how;
    how.validator = validator::duration_only;
    how.same_run = true;  // these calls know no runs but what a policy names
    if (has(described, "cache_expiration_s")) {
      const double expires = number_in(described, "cache_expiration_s");
      if (!(expires < 1e9)) throw bad_case("a time is out of range");
      // What is over before it began is kept for the shortest time there is.
      how.expires_after = std::max(std::chrono::duration_cast<nanoseconds>(
                                       std::chrono::duration<double>(std::max(expires, 0.0))),
                                   nanoseconds(1));
    }
    if (has(described, "refresh_cache")) how.refresh = flag_in(described, "refresh_cache", false);
    if (!call.policy.storage_key.empty()) {
      how.shared_key = keep("storage " + call.policy.storage_key);
      return how;
    }
    if (!call.policy.key_function.empty()) return how;
    std::string key;
    for (const std::string& part : call.policy.parts) {
      if (part == "INPUTS") {
        if (call.inputs.empty()) continue;
        how.validator = validator::all_inputs;
        how.ignore = ignored_by(call);
      } else if (part == "FLOW_PARAMETERS") {
        if (parameters.empty()) continue;
        how.per_parameters = true;
      } else if (part == "RUN_ID") {
        how.per_run = true;
      } else {
        how.salt = keep(text_or(described, "source", "def " + text_or(described, "task", "task")));
      }
      key += (key.empty() ? "" : "+") + part;
    }
    if (key.empty()) return false;  // nothing that a result could be known by
    how.shared_key = keep("policy " + key);
    return how;
  }

  static names ignored_by(const Call& call) {
    names ignored;
    for (const auto& [name, any] : call.inputs) {
      if (!call.policy.excluded.contains(name)) continue;
      if (ignored.count == ignored.text.size()) throw bad_case("more than sixteen names");
      ignored.text[ignored.count++] = name;
    }
    return ignored;
  }

  key_function key_of(const Call& call) {
    const std::string& kind = call.policy.key_function;
    if (kind == "const:none") return [](std::span<const value>, context&) { return std::nullopt; };
    if (kind.starts_with("const:"))
      return [key = kind.substr(6)](std::span<const value>, context&) { return key; };
    if (kind == "inputs")
      return [key = digest_of(call.inputs)](std::span<const value>, context&) { return key; };
    if (kind == "flow_run_id")
      return [](std::span<const value>, context& about) { return about.run_id(); };
    if (kind == "unique")
      return [number = call.number](std::span<const value>, context& about) {
        static std::atomic<int> count{0};
        return fmt::format("{} {} {}", about.run_id(), number, ++count);
      };
    throw bad_case(fmt::format("no key function is called \"{}\"", kind));
  }

  // --- calls

  /// Makes call `first` and those at the same time. @return the one after them
  std::size_t make(std::size_t first) {
    std::size_t end = first + 1;
    if (!calls_[first].group.empty())
      while (end < calls_.size() && calls_[end].group == calls_[first].group) ++end;
    if (!lazy_.empty() && calls_[first].parent != calls_[lazy_.front()].parent) commit(lazy_);
    const double wait = number_in(*calls_[first].described, "advance_s", 0);
    if (wait > 0)
      clock_.advance(std::chrono::duration_cast<nanoseconds>(std::chrono::duration<double>(wait)));
    for (std::size_t i = first; i < end; ++i) start(calls_[i]);
    for (std::size_t i = first; i < end; ++i) calls_[i].gate.open();
    for (std::size_t i = first; i < end; ++i) await(calls_[i]);
    commit(unlocked_);
    return end;
  }

  submit_options options(const std::map<std::string, value>& parameters) const {
    submit_options made;
    made.parameters = parameters;
    made.always_new = !is_continued_;
    if (setting("tasks.refresh_cache")) made.cache = cache_mode::refresh;
    return made;
  }

  void start(Call& call) {
    FlowRun& flow_run = runs_.at(call.run);
    if (call.refusal) return;
    if (is_alone(call)) return start_alone(call);
    if (flow_run.started) return;
    expected<reprise::run> started = engine_.try_run(*flow_run.tasks, options(flow_run.parameters));
    if (started)
      flow_run.started = std::move(*started);
    else
      call.refusal = started.error().message;
  }

  void await(Call& call) {
    if (call.refusal) return;
    if (is_alone(call)) return await_alone(call);
    FlowRun& flow_run = runs_.at(call.run);
    if (!flow_run.started) return;
    const node<value>& made = flow_run.nodes.at(call.number);
    const expected<value> got = (*flow_run.started)[made].try_get(left());
    if (!got && got.error().code == error_code::unavailable) {
      is_late_ = true;
      return;
    }
    take(call, flow_run.started->states());
  }

  void take(Call& call, const std::map<std::string, given_state>& states) {
    const std::string name =
        fmt::format("{} #{}", text_or(*call.described, "task", "task"), call.number);
    const auto found = states.find(name);
    if (found == states.end()) return;
    const state& ended = found->second.state;
    call.result = ended.result;
    if (!is_kind_of(ended.kind, task_state::success))
      call.state = class_name(ended.kind);
    else
      // A result that was made here and kept is in class Cached, too.
      call.state = tally_.executions(call.number) > 0 ? "Completed" : "Cached";
  }

  /// In a run of its own. Where what it makes is kept later, or never, that run looks up and keeps
  /// nothing.
  void start_alone(Call& call) {
    flow own(fmt::format("{} alone {}", text_in(case_, "id"), call.number));
    const auto& parameters = runs_.at(call.run).parameters;
    for (const auto& [name, any] : parameters) (void)own.parameter<value>(name);
    (void)task_of(own, call, parameters, body_of(call));
    submit_options how = options(parameters);
    if (!call.is_apart) how.cache = cache_mode::read_only;
    expected<reprise::run> started = engine_.try_run(own, how);
    if (started)
      call.own = std::move(*started);
    else
      call.refusal = started.error().message;
  }

  void await_alone(Call& call) {
    if (!call.own->wait_for(left())) {
      is_late_ = true;
      return;
    }
    take(call, call.own->states());
    if (call.state == "Completed" && !call.policy.is_off() && (call.is_lazy || call.is_unlocked))
      (call.is_lazy ? lazy_ : unlocked_).push_back(call.number);
  }

  /// Keeps what these calls made.
  void commit(std::vector<std::size_t>& made) {
    for (const std::size_t number : made) {
      Call& call = calls_[number];
      flow own(fmt::format("{} commit {}", text_in(case_, "id"), number));
      const auto& parameters = runs_.at(call.run).parameters;
      for (const auto& [name, any] : parameters) (void)own.parameter<value>(name);
      (void)task_of(own, call, parameters,
                    [made = call.result.value_or(value())](std::span<const value>, context&) {
                      return made;
                    });
      submit_options how = options(parameters);
      how.cache = cache_mode::write_only;
      const expected<reprise::run> started = engine_.try_run(own, how);
      if (!started || !started->wait_for(left())) is_late_ = true;
    }
    made.clear();
  }

  // --- comparison

  std::vector<Difference> compare() const {
    const Json& wanted = list_in(case_, "expect");
    std::vector<Difference> found;
    if (is_late_) found.push_back({"deadline", "all calls end", "some go on"});
    std::size_t at = 0;
    for (std::size_t i = 0; i < wanted.size(); ++i) {
      if (at >= calls_.size()) {
        found.push_back({fmt::format("expect[{}]", i), wanted[i].dump(), "there is no such call"});
        break;
      }
      const bool is_of_group =
          wanted[i].contains("body_executions") || wanted[i].contains("all_results_equal");
      const std::vector<std::size_t> spoken_of =
          is_of_group ? group_of(at) : std::vector<std::size_t>{at};
      if (is_of_group)
        compare_group(wanted[i], i, spoken_of, found);
      else
        compare_call(wanted[i], i, calls_[at], found);
      at += wanted.size() == calls_.size() ? 1 : spoken_of.size();
    }
    if (found.empty() && at < calls_.size())
      found.push_back({"expect", "something of every call", fmt::format("nothing of call {}", at)});
    return found;
  }

  std::vector<std::size_t> group_of(std::size_t number) const {
    const std::string& group = calls_[number].group;
    if (group.empty()) return {number};
    std::vector<std::size_t> all;
    for (const Call& call : calls_)
      if (call.group == group) all.push_back(call.number);
    return all;
  }

  void compare_call(const Json& wanted, std::size_t i, const Call& call,
                    std::vector<Difference>& found) const {
    if (wanted.contains("error") != call.refusal.has_value()) {
      found.push_back({fmt::format("expect[{}].error", i),
                       wanted.contains("error") ? wanted["error"].dump() : "none",
                       call.refusal.value_or("the call is accepted")});
      return;
    }
    if (call.refusal) return;
    if (wanted.contains("state") && wanted["state"] != call.state)
      found.push_back(
          {fmt::format("expect[{}].state", i), wanted["state"].dump(), Json(call.state).dump()});
    if (wanted.contains("result") && !is_expected(wanted["result"], call.result))
      found.push_back({fmt::format("expect[{}].result", i), wanted["result"].dump(),
                       call.result ? call.result->to_json() : "null"});
  }

  void compare_group(const Json& wanted, std::size_t i, const std::vector<std::size_t>& group,
                     std::vector<Difference>& found) const {
    std::uint64_t executions = 0;
    bool are_equal = true;
    for (const std::size_t number : group) {
      executions += tally_.executions(number);
      are_equal = are_equal && calls_[number].result == calls_[group.front()].result;
    }
    if (wanted.contains("body_executions") && wanted["body_executions"] != executions)
      found.push_back({fmt::format("expect[{}].body_executions", i),
                       wanted["body_executions"].dump(), std::to_string(executions)});
    if (wanted.contains("all_results_equal") && wanted["all_results_equal"] != are_equal)
      found.push_back({fmt::format("expect[{}].all_results_equal", i),
                       wanted["all_results_equal"].dump(), are_equal ? "true" : "false"});
  }

  const Json& case_;
  Tally& tally_;
  Deadline deadline_;
  bool is_continued_;
  std::deque<Call> calls_;
  std::map<std::string, FlowRun> runs_;
  std::vector<std::size_t> lazy_;      // calls whose parent has not ended
  std::vector<std::size_t> unlocked_;  // calls that others were made beside
  bool is_late_ = false;
  skipping_clock clock_;
  engine engine_;
};

}  // namespace

bool is_policy_case(const Json& test_case) {
  return test_case.contains("calls");
}

std::vector<Difference> run_policy_case(const Json& test_case, Tally& tally, const Place& place,
                                        Deadline deadline, bool is_continued) {
  tally.begin_run(0);
  return PolicyCase(test_case, tally, place, deadline, is_continued).run();
}

}  // namespace reprise::conformance
