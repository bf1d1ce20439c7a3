#include "api/engine_run.hpp"

#include <thread>

#include <boost/test/unit_test.hpp>

#include "core/time.hpp"
#include "tests/api/tasks.hpp"

BOOST_AUTO_TEST_SUITE(live_run_tests)

using namespace reprise;
using namespace reprise::samples;
using namespace std::chrono_literals;

namespace {

/// An engine that does what the test says: it tells changes and keeps results, and runs nothing.
class fake_engine final : public Engine {
 public:
  Result<RunStarted> submit(std::shared_ptr<const FlowSpec> flow, RunOptions options) override {
    submitted = std::move(flow);
    asked = std::move(options);
    if (on_submit) on_submit();
    return RunStarted{id, false, "/nowhere"};
  }
  std::optional<RunResult> wait(const RunId&, std::optional<Duration>) override {
    const std::lock_guard guard(mutex_);
    return ended;
  }
  Status cancel(const RunId&, std::vector<std::string> tasks, std::string reason) override {
    cancelled = std::move(tasks);
    cancelled.push_back(std::move(reason));
    return reprise::fail(ErrorCode::conflict, "the run is already finished");
  }
  Status pause(const RunId&, std::vector<std::string>, std::string) override { return {}; }
  Result<Payload> result(const RunId&, NodeId node) override {
    const std::lock_guard guard(mutex_);
    ++asked_for_results;
    const auto found = results.find(node.value);
    if (found == results.end())
      return reprise::fail(ErrorCode::unavailable, "task is not finished");
    return found->second;
  }
  Result<std::map<std::string, scheduler::InitialState>> states(const RunId&) override {
    return std::map<std::string, scheduler::InitialState>{};
  }
  bool is_responding(Duration) override { return true; }
  Status amend(journal::Batch, std::optional<journal::Summary>) override { return {}; }
  void forget(const RunId&) override { ++forgotten; }
  void abandon() override {}
  void start() override {}
  void listen(Listener listener) override { listener_ = std::move(listener); }

  void tell(std::vector<journal::TaskChange> tasks, std::optional<RunState> state = {}) {
    journal::Batch batch{id, std::move(tasks), {}};
    if (state) batch.change = journal::RunChange{*state, {}, ""};
    listener_(batch);
  }
  void keep(std::uint32_t node, Result<Payload> result) {
    const std::lock_guard guard(mutex_);
    results.insert_or_assign(node, std::move(result));
  }

  RunId id = RunId::generate(now());
  std::shared_ptr<const FlowSpec> submitted;
  RunOptions asked;
  std::function<void()> on_submit;
  std::vector<std::string> cancelled;
  std::optional<RunResult> ended;
  int forgotten = 0;
  int asked_for_results = 0;

 private:
  std::mutex mutex_;
  std::map<std::uint32_t, Result<Payload>> results;
  Listener listener_;
};

journal::TaskChange change(std::uint32_t task, TaskState state, std::uint32_t width = 0) {
  journal::TaskChange made;
  made.task = TaskId{task};
  made.state = state;
  made.run_count = 1;
  if (width > 0) {
    made.detail.emplace();
    made.detail->width = width;
  }
  return made;
}

template <class T>
Payload payload(const T& value) {
  return Payload::of(codec::encode(value).bytes);
}

struct fixture {
  std::shared_ptr<worker::FunctionTable> functions = std::make_shared<worker::FunctionTable>();
  fake_engine* engine = new fake_engine;
  std::shared_ptr<detail::engine_state> state =
      std::make_shared<detail::engine_state>(std::unique_ptr<Engine>(engine), functions);

  std::shared_ptr<detail::live_run> submit(const flow& f, const submit_options& options = {}) {
    auto live = detail::engine_state::submit(state, f.state(), options);
    BOOST_REQUIRE_MESSAGE(live, (live ? "" : live.error().message));
    return *live;
  }
  Error refused(const flow& f, const submit_options& options = {}) {
    auto live = detail::engine_state::submit(state, f.state(), options);
    BOOST_REQUIRE(!live);
    return live.error();
  }
};

}  // namespace

BOOST_FIXTURE_TEST_SUITE(live_run_suite, fixture)

BOOST_AUTO_TEST_CASE(a_run_is_submitted_with_its_functions_and_options) {
  flow f("flow");
  f.call(twice, f.parameter<int>("n"));
  const auto live = submit(f, {.parameters = {{"n", 3}},
                               .cache = cache_mode::read_only,
                               .always_new = true,
                               .resume = engine->id.text()});
  BOOST_TEST(functions->find("twice@1") != nullptr);
  BOOST_TEST((engine->asked.parameters == Parameters{{"n", payload(3)}}));
  BOOST_TEST((engine->asked.cache == CacheMode::read_only));
  BOOST_TEST(engine->asked.always_new);
  BOOST_TEST((engine->asked.resume == engine->id));
  BOOST_TEST((refused(f, {.resume = "x"}).code == ErrorCode::invalid_argument));
}

BOOST_AUTO_TEST_CASE(waiting_ends_with_the_node_and_not_with_others) {
  flow f("flow");
  auto a = f.call(twice, 1);
  auto b = f.call(twice, 2);
  const run r(submit(f));
  engine->keep(1, payload(4));
  BOOST_TEST(r[b].get() == 4);
  BOOST_TEST((r[a].try_get(5ms).error().code == error_code::unavailable));
  std::jthread later([&] {
    engine->tell({change(1, TaskState::success)});
    engine->keep(0, payload(2));
    engine->tell({change(0, TaskState::success)});
  });
  BOOST_TEST(r[a].get() == 2);
}

BOOST_AUTO_TEST_CASE(a_mapped_node_is_asked_for_when_its_elements_ended) {
  flow f("flow");
  auto all = f.map(twice, std::vector<int>{1, 2});
  const run r(submit(f));
  engine->tell({change(0, TaskState::mapped, 2)});
  const int before = engine->asked_for_results;
  BOOST_TEST(!r[all].try_get(30ms));
  BOOST_TEST(engine->asked_for_results - before <=
             3);  // at the start and at the end: elements are open
  engine->tell({change(1, TaskState::success), change(2, TaskState::success)});
  engine->keep(0, payload(std::vector{2, 4}));
  BOOST_TEST((r[all].get() == std::vector{2, 4}));
}

BOOST_AUTO_TEST_CASE(changes_told_before_the_run_is_known_count) {
  flow f("flow");
  auto a = f.map(twice, std::vector<int>{1, 2});
  engine->on_submit = [&] {
    auto failed = change(2, TaskState::failed);
    failed.run_count = 3;
    failed.detail.emplace();
    failed.detail->message = "why not";
    failed.detail->exit_code = 4;
    engine->tell({change(0, TaskState::mapped, 2), change(1, TaskState::success), failed},
                 RunState::failed);
  };
  engine->keep(0, reprise::fail(ErrorCode::not_found, "no result"));
  const run r(submit(f));
  BOOST_CHECK_EXCEPTION(r[a].get(), task_error, [](const task_error& e) {
    return e.task() == "twice[1]" && e.state() == "failed" && e.attempt() == 3 && e.exit() == 4 &&
           e.message() == "why not" &&
           std::string(e.what()) == "task \"twice[1]\" is failed: why not";
  });
}

BOOST_AUTO_TEST_CASE(a_node_without_result_in_a_run_that_ended_is_an_error_and_no_endless_wait) {
  flow f("flow");
  auto a = f.call(twice, 1);
  const run r(submit(f));
  engine->tell({}, RunState::cancelled);
  BOOST_CHECK_THROW(r[a].get(), task_error);
  BOOST_TEST(r[a].ready());
}

BOOST_AUTO_TEST_CASE(a_skipped_task_has_no_result_but_one_that_gives_none_is_fine) {
  flow f("flow");
  auto a = f.call(twice, 1);
  auto b = f.call(note, "x", 1);
  const run r(submit(f));
  engine->tell({change(0, TaskState::skipped), change(1, TaskState::skipped)});
  engine->keep(0, Payload::nil());
  engine->keep(1, Payload::nil());
  BOOST_CHECK_THROW(r[a].get(), task_error);
  BOOST_CHECK_NO_THROW(r[b].get());
  BOOST_TEST(r[b].try_get(0s).has_value());
}

BOOST_AUTO_TEST_CASE(a_result_of_another_type_is_refused) {
  flow f("flow");
  auto a = f.call(twice, 1);
  const run r(submit(f));
  engine->keep(0, payload(std::string("two")));
  BOOST_CHECK_THROW(r[a].get(), usage_error);
  BOOST_TEST((r[a].try_get(0s).error().message == "\"two\" is no i64"));
}

BOOST_AUTO_TEST_CASE(a_result_that_is_not_here_is_an_error) {
  flow f("flow");
  auto a = f.call(twice, 1);
  const run r(submit(f));
  Payload elsewhere = payload(std::string("long"));
  elsewhere.bytes = nullptr;
  engine->keep(0, elsewhere);
  BOOST_TEST((r[a].try_get(0s).error().code == error_code::unavailable));
}

BOOST_AUTO_TEST_CASE(what_a_run_gives_back_is_passed_on) {
  flow f("flow");
  f.call(twice, 1);
  const run r(submit(f));
  BOOST_TEST(!r.wait_for(0s));
  RunResult ended;
  ended.id = engine->id;
  ended.state = RunState::failed;
  ended.message = "why";
  ended.summary = {
      .tasks = 6, .executed = 5, .cached = 4, .failed = 3, .skipped = 2, .cancelled = 1};
  ended.carried = 7;
  ended.makespan = 8s;
  ended.outputs["n"] = payload(9);
  engine->ended = ended;
  const run_result seen = r.wait();
  BOOST_TEST(
      (seen.state == run_state::failed && seen.message == "why" && seen.id == engine->id.text()));
  BOOST_TEST((seen.tasks == 6 && seen.executed == 5 && seen.cached == 4 && seen.failed == 3 &&
              seen.skipped == 2 && seen.cancelled == 1 && seen.carried == 7 &&
              seen.makespan == 8s));
  BOOST_TEST((seen.outputs.at("n") == value(9)));
  BOOST_TEST((r.cancel_tasks({"a"}, "reason").error() ==
              error{error_code::conflict, "the run is already finished"}));
  BOOST_TEST(engine->cancelled == (std::vector<std::string>{"a", "reason"}),
             boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(runs_are_forgotten_once_they_ended_and_nobody_asks) {
  flow f("flow");
  f.call(twice, 1);
  submit(f).reset();
  BOOST_TEST(engine->forgotten == 0);  // still running
  engine->ended = RunResult{};
  const auto kept = submit(f);
  BOOST_TEST(engine->forgotten == 1);
}

BOOST_AUTO_TEST_CASE(one_name_means_one_body_in_an_engine_unless_it_is_dynamic) {
  flow f("one"), g("two"), h("three");
  f.call(task<"same">([](int n) { return n; }), 1);
  g.call(task<"same">([](int n) { return n + 1; }), 1);
  const auto first = submit(f);
  BOOST_TEST((refused(g).code == ErrorCode::conflict));
  const auto same_again = submit(f);

  const auto dynamic = [](const std::string& text) {
    return dynamic_task("dyn", 1, [text](std::span<const value>, context&) { return value(text); });
  };
  h.call(dynamic("a"), 1);
  h.call(dynamic("b"), 1, 2);
  const auto third = submit(h);
  BOOST_TEST((std::get<FunctionBody>(engine->submitted->kinds[0].body).function == "dyn@1"));
  BOOST_TEST((std::get<FunctionBody>(engine->submitted->kinds[1].body).function == "dyn~2@1"));
  BOOST_TEST(engine->submitted->kinds[1].cache_name == "dyn");
  BOOST_TEST(functions->ids().size() == 3u);
  const auto fourth = submit(h);  // the same bodies: nothing new
  BOOST_TEST(functions->ids().size() == 3u);
}

BOOST_AUTO_TEST_CASE(the_names_of_built_in_functions_are_taken) {
  worker::add_builtins(*functions);
  flow f("flow");
  f.call(task<"trace.noop">([](int n) { return n; }), 1);
  BOOST_TEST((refused(f).code == ErrorCode::conflict));
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE_END()
