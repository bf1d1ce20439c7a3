// What tasks, flows and runs mean, through the public API and the real engine.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <mutex>
#include <thread>
#include <vector>

#include <boost/test/unit_test.hpp>

#include "reprise/reprise.hpp"
#include "tests/support/temporary_folder.hpp"

BOOST_AUTO_TEST_SUITE(semantics)

using namespace reprise;
using namespace std::chrono_literals;

namespace {

/// An engine in memory whose clock does not wait.
struct Bench {
  skipping_clock clock;
  engine where{engine_options{.in_memory = true, .slots = 2, .grace = 1s, .clock = clock}};
  submit_options options{.record_events = true};

  reprise::run run(const flow& f) {
    reprise::run started = where.run(f, options);
    started.wait();
    return started;
  }
};

using arguments = std::span<const value>;

dynamic_task giving(const std::string& name, const value& result, const task_options& how = {}) {
  return {name, "1", [result](arguments, context&) { return result; }, how};
}

dynamic_task failing(const std::string& name, const task_options& how = {}) {
  return {name, "1", [](arguments, context&) -> value { throw std::runtime_error("it is broken"); },
          how};
}

std::string history(const reprise::run& run, const std::string& task) {
  std::string all;
  for (const event& each : run.events())
    if (each.task == task) all += (all.empty() ? "" : " ") + std::string(class_name(each.state));
  return all;
}

task_state state_of(const reprise::run& run, const std::string& task) {
  return run.states().at(task).state.kind;
}

}  // namespace

BOOST_AUTO_TEST_CASE(each_state_is_told_by_itself) {
  Bench bench;
  flow f("f");
  int calls = 0;
  auto a = f.call_with(dynamic_task("a", "1",
                                    [&](arguments, context&) -> value {
                                      if (++calls == 1) throw std::runtime_error("once");
                                      return 7;
                                    },
                                    {.retries = 1, .cache = true}),
                       {});
  BOOST_TEST(history(bench.run(f), "a") == "Running Failed Retrying Running Success Cached");
  BOOST_TEST(history(bench.run(f), "a") == "Cached");
}

BOOST_AUTO_TEST_CASE(hooks_see_every_state_and_may_replace_it) {
  Bench bench;
  flow f("f");
  auto a = f.call_with(failing("a"), {});
  std::string seen;
  std::mutex mutex;
  f.on_change(a, "look", [&](const state& before, const state& after, context&) {
    const std::lock_guard guard(mutex);
    seen += std::string(name(before.kind)) + ">" + std::string(name(after.kind)) + " ";
    return std::optional<state>();
  });
  f.on_change(a, "mend", [&](const state&, const state& after, context&) {
    return is_kind_of(after.kind, task_state::failed)
               ? std::optional(state{task_state::success, "mended", value(5)})
               : std::nullopt;
  });
  auto b = f.call_with(
      dynamic_task("b", "1",
                   [](arguments given, context&) -> value { return *given[0].as<int>() + 1; }),
      {input("x", a)});
  reprise::run run = bench.run(f);
  BOOST_TEST(seen == "pending>running running>failed ");
  BOOST_TEST((state_of(run, "a") == task_state::success));
  BOOST_TEST(run[b].get().to_json() == "6");
}

BOOST_AUTO_TEST_CASE(a_hook_that_throws_ends_the_task_without_running_it) {
  Bench bench;
  flow f("f");
  std::atomic<int> bodies{0};
  auto a =
      f.call_with(dynamic_task("a", "1", [&](arguments, context&) -> value { return ++bodies; },
                               {.retries = 3}),
                  {});
  f.on_change(a, "broken", [](const state&, const state&, context&) -> std::optional<state> {
    throw std::runtime_error("no good");
  });
  reprise::run run = bench.run(f);
  BOOST_TEST((state_of(run, "a") == task_state::failed));
  BOOST_TEST(bodies == 0);
  BOOST_TEST(run.states().at("a").state.message == "hook \"hook:broken@1\": no good");
}

BOOST_AUTO_TEST_CASE(a_result_that_a_hook_refuses_is_not_kept) {
  Bench bench;
  for (int round = 0; round < 2; ++round) {
    flow f("f");
    auto a = f.call_with(giving("a", 1, {.cache = true}), {});
    f.on_change(a, "refuse", [](const state&, const state& after, context&) {
      return after.kind == task_state::success
                 ? std::optional(state{task_state::validation_failed, "refused"})
                 : std::nullopt;
    });
    reprise::run run = bench.run(f);
    BOOST_TEST(history(run, "a") == "Running ValidationFailed");
  }
}

BOOST_AUTO_TEST_CASE(retries_do_not_wait_for_the_worlds_clock) {
  Bench bench;
  flow f("f");
  f.call_with(failing("a", {.retries = 3, .retry_delay = 10h}), {});
  const auto start = std::chrono::steady_clock::now();
  reprise::run run = bench.run(f);
  BOOST_TEST((std::chrono::steady_clock::now() - start < 20s));
  BOOST_TEST((run.wait().makespan >= 30h));
  BOOST_TEST(history(run, "a") ==
             "Running Failed Retrying Running Failed Retrying Running Failed Retrying Running "
             "Failed");
}

BOOST_AUTO_TEST_CASE(one_pass_leaves_what_waits_and_another_run_goes_on_with_it) {
  Bench bench;
  flow f("f");
  std::atomic<int> ups{0};
  auto up =
      f.call_with(dynamic_task("up", "1", [&](arguments, context&) -> value { return ++ups; }), {});
  auto a = f.call_with(giving("a", 2, {.trigger = trigger::manual_only}), {input("x", up)});
  bench.options.single_pass = true;
  reprise::run first = bench.run(f);
  BOOST_TEST((first.wait().state == run_state::paused));
  BOOST_TEST((state_of(first, "a") == task_state::paused));
  bench.options.initial_states = first.states();
  bench.options.initial_states["a"].state.kind = task_state::resume;
  reprise::run second = bench.run(f);
  BOOST_TEST((second.wait().state == run_state::success));
  BOOST_TEST((state_of(second, "a") == task_state::success));
  BOOST_TEST(ups == 1);
}

BOOST_AUTO_TEST_CASE(start_tasks_do_not_ask_what_is_above_them) {
  Bench bench;
  flow f("f");
  auto t1 = f.call_with(failing("t1"), {});
  auto t2 = f.call_with(giving("t2", 1), {input("x", t1)});
  auto t3 = f.call_with(giving("t3", 1), {input("x", t2)});
  bench.options.start_tasks = {"t2"};
  reprise::run run = bench.run(f);
  BOOST_TEST((run.wait().state == run_state::success));
  BOOST_TEST((state_of(run, "t1") == task_state::pending));
  BOOST_TEST((state_of(run, "t3") == task_state::success));
  bench.options.start_tasks = {"nobody"};
  BOOST_TEST((bench.run(f).wait().state == run_state::failed));
}

BOOST_AUTO_TEST_CASE(what_was_given_its_end_does_not_wait_for_what_is_above_it) {
  Bench bench;
  flow f("f");
  auto up = f.call_with(giving("up", 1), {});
  auto a = f.call_with(giving("a", 2), {input("x", up)});
  f.call_with(giving("b", 3), {input("x", a)});
  bench.options.initial_states["a"].state.kind = task_state::trigger_failed;
  reprise::run run = bench.run(f);
  BOOST_TEST((state_of(run, "up") == task_state::success));
  BOOST_TEST((state_of(run, "a") == task_state::trigger_failed));
  BOOST_TEST((state_of(run, "b") == task_state::trigger_failed));
}

BOOST_AUTO_TEST_CASE(given_elements_wait_for_those_above_them) {
  Bench bench;
  flow f("f");
  auto list = f.call_with(giving("list", value::list{1, 2, 3}), {});
  auto echo = [](arguments given, context&) { return given[0]; };
  auto above = f.call_with(dynamic_task("above", "1", echo), {input("x", list).mapped()});
  auto below = f.call_with(dynamic_task("below", "1", echo), {input("x", above).mapped()});
  given_state ten;
  ten.state = {task_state::success, "", value(10)};
  given_state& mapped = bench.options.initial_states["below"];
  mapped.state.kind = task_state::mapped;
  mapped.elements = {std::nullopt, ten, std::nullopt};
  reprise::run run = bench.run(f);
  BOOST_TEST((run.wait().state == run_state::success));
  BOOST_TEST(run[below].get().to_json() == "[1,10,3]");
  // All of them given: nothing of it is waited for.
  mapped.elements = {ten, ten, ten};
  BOOST_TEST((bench.run(f).wait().state == run_state::success));
}

BOOST_AUTO_TEST_CASE(a_trigger_of_ones_own_decides) {
  Bench bench;
  flow f("f");
  auto up = f.call_with(giving("up", 1), {});
  auto yes = f.call_with(giving("yes", 1), {input("x", up)});
  auto no = f.call_with(giving("no", 1), {input("x", up)});
  auto broken = f.call_with(giving("broken", 1), {input("x", up)});
  f.trigger_by(yes, "yes", [](std::span<const state> above, context&) {
    return above.size() == 1 && above[0].kind == task_state::success;
  });
  f.trigger_by(no, "no", [](std::span<const state>, context&) { return false; });
  f.trigger_by(broken, "broken", [](std::span<const state>, context&) -> bool {
    throw std::runtime_error("cannot tell");
  });
  reprise::run run = bench.run(f);
  BOOST_TEST((state_of(run, "yes") == task_state::success));
  BOOST_TEST((state_of(run, "no") == task_state::trigger_failed));
  BOOST_TEST((state_of(run, "broken") == task_state::trigger_failed));
  BOOST_TEST(run.states().at("broken").state.message ==
             "trigger \"trigger:broken@1\": cannot tell");
}

BOOST_AUTO_TEST_CASE(the_runs_hooks_are_asked_before_it_begins_and_ends) {
  Bench bench;
  std::string seen;
  flow f("f");
  f.call_with(giving("a", 1), {});
  f.on_change("look", [&](const run_change& after, context&) {
    seen += std::string(name(after.state)) + " ";
    return std::optional<run_change>();
  });
  f.on_end("refuse", [&](const run_change&, context&) {
    return std::optional(run_change{run_state::failed, "not good enough"});
  });
  const run_result result = bench.run(f).wait();
  BOOST_TEST(seen == "running success ");
  BOOST_TEST((result.state == run_state::failed));
  BOOST_TEST(result.message == "not good enough");
}

BOOST_AUTO_TEST_CASE(a_failure_is_what_tasks_below_find_in_the_place_of_a_result) {
  Bench bench;
  flow f("f");
  auto a = f.call_with(failing("a"), {});
  auto b = f.call_with(
      dynamic_task("b", "1", [](arguments given, context&) -> value { return given[0].to_json(); },
                   {.trigger = trigger::all_finished}),
      {input("x", a)});
  reprise::run run = bench.run(f);
  BOOST_TEST(*run[b].get().get_if<std::string>() ==
             R"({"message":"it is broken","exception":"std::runtime_error"})");
}

BOOST_AUTO_TEST_CASE(the_context_holds_what_is_always_there_and_what_the_run_was_given) {
  Bench bench;
  flow f("f");
  auto a = f.call_with(dynamic_task("a", "1",
                                    [](arguments, context& about) -> value {
                                      return value::map{
                                          {"run_count", *about.get<int>("task_run_count")},
                                          {"today", *about.get<std::string>("today")},
                                          {"tomorrow", *about.get<std::string>("tomorrow_nodash")},
                                          {"mine", *about.get<std::string>("mine")},
                                          {"none", !about.get<value>("no such thing")}};
                                    }),
                       {});
  bench.options.context = {{"date", "2026-02-28"}, {"mine", "yes"}};
  BOOST_TEST(
      bench.run(f)[a].get().to_json() ==
      R"({"mine":"yes","none":true,"today":"2026-02-28","tomorrow":"20260301","run_count":1})");
}

BOOST_AUTO_TEST_CASE(a_loop_without_end_fails_and_says_so) {
  Bench bench;
  flow f("f");
  f.call_with(
      dynamic_task("a", "1", [](arguments, context&) -> value { throw signal::loop(value(1)); }),
      {});
  bench.options.record_events = false;
  reprise::run run = bench.run(f);
  BOOST_TEST((run.wait().state == run_state::failed));
  BOOST_TEST(run.states().at("a").state.message == "looped 10000 times without coming to an end");
}

BOOST_AUTO_TEST_CASE(one_branch_runs_and_merge_gives_its_result) {
  Bench bench;
  flow f("f");
  auto condition = f.call(task<"cond">([]() { return std::string("b"); }));
  auto a = f.case_of(condition, "a");
  auto b = f.case_of(condition, "b");
  auto in_a = f.call(task<"in_a">([]() { return 1; })).after(a);
  auto in_b = f.call(task<"in_b">([]() { return 2; })).after(b);
  auto next = f.call(task<"next">([](int x) { return x + 10; }), in_a);
  auto both = f.merge(next, in_b);
  auto flag = f.call(task<"flag">([]() { return false; }));
  auto [yes, no] = f.if_else(flag);
  f.call(task<"yes">([]() { return 1; })).after(yes);
  f.call(task<"no">([]() { return 1; })).after(no);
  reprise::run run = bench.run(f);
  BOOST_TEST(run[both].get() == 2);
  BOOST_TEST((state_of(run, "next") == task_state::skipped));
  BOOST_TEST((state_of(run, "yes") == task_state::skipped));
  BOOST_TEST((state_of(run, "no") == task_state::success));
}

BOOST_AUTO_TEST_CASE(a_resource_is_cleaned_up_whatever_becomes_of_the_tasks_inside) {
  Bench bench;
  flow f("f");
  auto database =
      f.manage(task<"open">([](std::string name) { return name + " is open"; }),
               task<"close">([](std::string) -> int { throw std::runtime_error("stuck"); }), "db");
  auto inside =
      f.call(task<"inside">([](std::string handle) { return handle.size(); }), database.handle);
  auto broken = f.call(task<"broken">([]() -> int { throw std::runtime_error("no"); }));
  database.around(inside, broken);
  reprise::run run = bench.run(f);
  // The block decides, not the cleanup.
  BOOST_TEST((run.wait().state == run_state::failed));
  BOOST_TEST(run.wait().message == "1 of the tasks that decide the run failed");
  BOOST_TEST(history(run, "close") == "Running Failed");

  flow g("g");
  auto missing = g.manage(task<"open2">([]() -> int { throw std::runtime_error("no such"); }),
                          task<"close2">([](int) {}));
  auto within = g.call(task<"within">([](int x) { return x; }), missing.handle);
  missing.around(within);
  reprise::run second = bench.run(g);
  BOOST_TEST((second.wait().state == run_state::failed));
  BOOST_TEST((state_of(second, "within") == task_state::trigger_failed));
  BOOST_TEST((state_of(second, "close2") == task_state::skipped));
}

BOOST_AUTO_TEST_CASE(a_result_found_at_its_target_stands_for_the_task) {
  reprise::testing::TemporaryFolder folder;
  const std::string target = (folder.path() / "${{ params.day }}" / "${{ n }}.json").string();
  std::atomic<int> calls{0};
  flow f("f");
  f.parameter<std::string>("day", "monday");
  const dynamic_task work("work", "1",
                          [&](arguments given, context&) -> value {
                            ++calls;
                            if (given[0] == value(2)) return {};
                            return value::list{given[0], "x"};
                          },
                          {.target = target});
  auto some = f.call_with(work, {input("n", value(1))});
  auto nothing = f.call_with(work, {input("n", value(2))});
  {
    Bench bench;
    reprise::run run = bench.run(f);
    BOOST_TEST(history(run, "work") == "Running Success");
    BOOST_TEST(std::filesystem::exists(folder.path() / "monday/1.json"));
    BOOST_TEST(!std::filesystem::exists(folder.path() / "monday/2.json"));
  }
  Bench bench;
  reprise::run run = bench.run(f);
  BOOST_TEST(history(run, "work") == "Cached");
  bool is_told = false;
  for (const event& each : run.events())
    is_told =
        is_told || (each.task == "work" && each.message.starts_with("result found at target \""));
  BOOST_TEST(is_told);
  BOOST_TEST((run[some].get() == value(value::list{1, "x"})));
  BOOST_TEST(run[nothing].get().is_nil());
  BOOST_TEST(calls == 3);
}

BOOST_AUTO_TEST_CASE(a_paused_run_lets_nothing_more_begin) {
  Bench bench;
  flow f("f");
  std::atomic<bool> has_begun{false};
  std::atomic<bool> may_end{false};
  auto a = f.call_with(dynamic_task("a", "1",
                                    [&](arguments, context& about) -> value {
                                      has_begun = true;
                                      while (!may_end && !about.stop_requested())
                                        std::this_thread::yield();
                                      return 1;
                                    }),
                       {});
  auto b = f.call_with(giving("b", 2), {input("x", a)});
  f.call_with(giving("c", 2), {input("x", b)});
  reprise::run run = bench.where.run(f, bench.options);
  while (!has_begun) std::this_thread::yield();
  BOOST_TEST(run.pause().has_value());
  may_end = true;
  BOOST_TEST((run.wait().state == run_state::paused));
  BOOST_TEST((state_of(run, "a") == task_state::success));
  BOOST_TEST((state_of(run, "b") == task_state::paused));
  BOOST_TEST((state_of(run, "c") == task_state::pending));
}

BOOST_AUTO_TEST_SUITE_END()
