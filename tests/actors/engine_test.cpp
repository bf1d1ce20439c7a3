#include <boost/test/unit_test.hpp>

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <thread>

#include <fmt/format.h>

#include "actors/engine.hpp"
#include "flow/flow_builder.hpp"
#include "journal/sqlite_journal.hpp"
#include "tests/support/temporary_folder.hpp"

BOOST_AUTO_TEST_SUITE(Engine_)

using namespace reprise;
using namespace std::chrono_literals;

namespace {

struct Bodies {
  std::shared_ptr<worker::FunctionTable> table = std::make_shared<worker::FunctionTable>();

  void add(const std::string& name, worker::FunctionBody body) {
    worker::Function function;
    function.name = name;
    function.body = std::move(body);
    BOOST_REQUIRE(table->add(std::move(function)).has_value());
  }
};

TaskKind calls(const std::string& name) {
  TaskKind kind;
  kind.cache_name = name;
  kind.body = FunctionBody{name + "@1"};
  kind.signature.inputs = {};
  return kind;
}

std::shared_ptr<const FlowSpec> finish(FlowBuilder&& builder) {
  auto flow = std::move(builder).finish();
  BOOST_REQUIRE_MESSAGE(flow.has_value(), (flow ? "" : flow.error().message));
  return std::make_shared<const FlowSpec>(std::move(*flow));
}

/// A journal over another one, which some of what is written does not reach.
class OtherJournal : public journal::Journal {
 public:
  explicit OtherJournal(std::unique_ptr<journal::SqliteJournal> local) : local_(std::move(local)) {}
  Result<journal::Epoch> begin_epoch(std::uint64_t nonce, const std::string& server,
                                     Time at) override {
    return local_->begin_epoch(nonce, server, at);
  }
  Status open_run(const journal::RunRow& row, std::string_view flow) override {
    return local_->open_run(row, flow);
  }
  Result<journal::Offset> append(std::span<const journal::Batch> batches) override {
    return local_->append(batches);
  }
  Status flush() override { return local_->flush(); }
  Status set_summary(const RunId& run, const journal::Summary& summary) override {
    return local_->set_summary(run, summary);
  }
  Result<std::vector<journal::RunRow>> runs(const journal::RunQuery& query) override {
    return local_->runs(query);
  }
  Result<std::string> flow(const Digest& digest) override { return local_->flow(digest); }
  Result<std::vector<Entry>> read(const RunId& run, journal::Offset after,
                                  std::size_t limit) override {
    return local_->read(run, after, limit);
  }
  Status remove(const RunId& run) override { return local_->remove(run); }

 private:
  std::unique_ptr<journal::SqliteJournal> local_;
};

class FullJournal final : public OtherJournal {
 public:
  using OtherJournal::OtherJournal;
  Result<journal::Offset> append(std::span<const journal::Batch>) override {
    return fail(ErrorCode::exhausted, "no space left on device");
  }
};

struct Away {
  std::mutex mutex;
  std::condition_variable changed;
  bool is_over = false;
  std::atomic<bool> waits = false;

  void wait() {
    std::unique_lock guard(mutex);
    if (is_over) return;
    waits = true;
    changed.wait(guard, [&] { return is_over; });
    waits = false;
  }
  void end() {
    const std::lock_guard guard(mutex);
    is_over = true;
    changed.notify_all();
  }
};

/// Appending waits, as that to a server that is away.
class AwayJournal final : public OtherJournal {
 public:
  AwayJournal(std::unique_ptr<journal::SqliteJournal> local, std::shared_ptr<Away> away)
      : OtherJournal(std::move(local)), away_(std::move(away)) {}
  Result<journal::Offset> append(std::span<const journal::Batch> batches) override {
    away_->wait();
    return OtherJournal::append(batches);
  }

 private:
  std::shared_ptr<Away> away_;
};

std::unique_ptr<Engine> open(const Bodies& bodies, const std::string& data = {}, unsigned slots = 2,
                             Durability durability = Durability::group) {
  EngineOptions options;
  options.data = data;
  options.slots = slots;
  options.durability = data.empty() ? Durability::none : durability;
  options.grace = 1s;
  options.functions = bodies.table;
  auto engine = Engine::open(options);
  BOOST_REQUIRE_MESSAGE(engine.has_value(), (engine ? "" : engine.error().message));
  return std::move(*engine);
}

RunResult run(Engine& engine, const std::shared_ptr<const FlowSpec>& flow,
              RunOptions options = {}) {
  const auto started = engine.submit(flow, std::move(options));
  BOOST_REQUIRE_MESSAGE(started.has_value(), (started ? "" : started.error().message));
  const auto result = engine.wait(started->id, 60s);
  BOOST_REQUIRE(result.has_value());
  return *result;
}

}  // namespace

BOOST_AUTO_TEST_CASE(a_diamond_gives_its_result) {
  Bodies bodies;
  bodies.add("one", [](const worker::Call&) {
    return worker::Returned{*Payload::of(Value{1}), {}};
  });
  bodies.add("add", [](const worker::Call& call) {
    std::int64_t sum = 0;
    for (const Argument& argument : call.arguments)
      sum += *argument.value.value()->get_if<std::int64_t>();
    return worker::Returned{*Payload::of(Value{sum}), {}};
  });
  FlowBuilder builder("diamond");
  const NodeId a = builder.add_node("a", builder.add_kind(calls("one")));
  const auto add = builder.add_kind(calls("add"));
  const NodeId b = builder.add_node("b", add);
  builder.add_upstream("x", a);
  const NodeId c = builder.add_node("c", add);
  builder.add_upstream("x", a);
  const NodeId d = builder.add_node("d", add);
  builder.add_upstream("x", b);
  builder.add_upstream("y", c);
  const auto flow = finish(std::move(builder));
  const auto engine = open(bodies);
  const auto started = engine->submit(flow, {});
  BOOST_REQUIRE(started.has_value());
  BOOST_REQUIRE(engine->wait(started->id, 10s).has_value());
  const auto value = engine->result(started->id, d);
  BOOST_REQUIRE(value.has_value());
  BOOST_TEST((*value->value() == Value{2}));
}

BOOST_AUTO_TEST_CASE(every_task_runs_exactly_once_under_load) {
  Bodies bodies;
  std::atomic<int> ran{0};
  bodies.add("count", [&](const worker::Call&) {
    ++ran;
    return worker::Returned{Payload::nil(), {}};
  });
  FlowBuilder builder("many");
  const auto kind = builder.add_kind(calls("count"));
  constexpr int count = 20'000;
  for (int i = 0; i < count; ++i) builder.add_node(fmt::format("n{}", i), kind);
  const auto flow = finish(std::move(builder));
  testing::TemporaryFolder folder;
  for (const Durability durability : {Durability::group, Durability::sync, Durability::none}) {
    ran = 0;
    const auto engine = open(bodies, folder.path().string(), 4, durability);
    RunOptions options;
    options.always_new = true;
    const RunResult result = run(*engine, flow, options);
    BOOST_TEST((result.state == RunState::success));
    BOOST_TEST(result.summary.executed == static_cast<std::uint64_t>(count));
    BOOST_TEST(ran == count);
  }
}

BOOST_AUTO_TEST_CASE(batches_are_told_in_order_and_end_with_the_run) {
  Bodies bodies;
  bodies.add("nothing", [](const worker::Call&) { return worker::Returned{Payload::nil(), {}}; });
  FlowBuilder builder("chain");
  const auto kind = builder.add_kind(calls("nothing"));
  NodeId last;
  for (int i = 0; i < 100; ++i) {
    const NodeId node = builder.add_node(fmt::format("n{}", i), kind);
    if (i > 0) builder.add_state_only(last);
    last = node;
  }
  const auto flow = finish(std::move(builder));
  const auto engine = open(bodies);
  std::mutex mutex;
  std::vector<std::uint32_t> finished;
  std::optional<RunState> end;
  engine->listen([&](const journal::Batch& batch) {
    const std::lock_guard guard(mutex);
    for (const journal::TaskChange& change : batch.tasks)
      if (is_finished(change.state)) finished.push_back(change.task.value);
    if (batch.change) end = batch.change->state;
  });
  run(*engine, flow);
  const std::lock_guard guard(mutex);
  BOOST_REQUIRE(finished.size() == 100u);
  BOOST_TEST(std::is_sorted(finished.begin(), finished.end()));
  BOOST_TEST((end == RunState::success));
}

BOOST_AUTO_TEST_CASE(a_result_too_large_for_the_journal_survives_its_process) {
  Bodies bodies;
  std::atomic<int> made{0}, used{0};
  std::atomic<bool> fail_second{true};
  bodies.add("large", [&](const worker::Call&) {
    ++made;
    return worker::Returned{*Payload::of(Value{std::string(100'000, 'x')}), {}};
  });
  std::mutex mutex;
  std::condition_variable changed;
  bool stop_seen = false;
  bodies.add("size", [&](const worker::Call& call) {
    if (fail_second) {  // stays until the engine is closed, as a body that was running when its
                        // process died
      std::unique_lock guard(mutex);
      while (!call.stop.stop_requested()) changed.wait_for(guard, 5ms);
      stop_seen = true;
    }
    ++used;
    return worker::Returned{
        *Payload::of(Value{static_cast<std::int64_t>(call.arguments[0].value.size)}), {}};
  });
  FlowBuilder builder("large");
  const NodeId a = builder.add_node("a", builder.add_kind(calls("large")));
  const NodeId b = builder.add_node("b", builder.add_kind(calls("size")));
  builder.add_upstream("x", a);
  const auto flow = finish(std::move(builder));
  testing::TemporaryFolder folder;
  RunId first;
  {
    const auto engine = open(bodies, folder.path().string());
    std::mutex told_mutex;
    std::condition_variable told_changed;
    bool a_done = false;
    engine->listen([&](const journal::Batch& batch) {
      const std::lock_guard guard(told_mutex);
      for (const journal::TaskChange& change : batch.tasks)
        if (change.task.value == a.value && is_finished(change.state)) a_done = true;
      told_changed.notify_all();
    });
    const auto started = engine->submit(flow, {});
    BOOST_REQUIRE(started.has_value());
    first = started->id;
    std::unique_lock guard(told_mutex);
    BOOST_REQUIRE(told_changed.wait_for(guard, 10s, [&] { return a_done; }));
    std::this_thread::sleep_for(20ms);  // longer than a group of changes may wait for company
  }
  fail_second = false;
  const auto engine = open(bodies, folder.path().string());
  const auto started = engine->submit(flow, {});
  BOOST_REQUIRE(started.has_value());
  BOOST_TEST(started->continued);
  BOOST_TEST((started->id == first));
  const auto result = engine->wait(started->id, 10s);
  BOOST_REQUIRE(result.has_value());
  BOOST_TEST((result->state == RunState::success));
  BOOST_TEST(made == 1);
  BOOST_TEST(result->carried == 1u);
  BOOST_TEST((*engine->result(started->id, b)->value() == Value{std::int64_t{100'005}}));
}

BOOST_AUTO_TEST_CASE(cancel_ends_a_body_that_looks_at_its_stop_token) {
  Bodies bodies;
  std::mutex mutex;
  std::condition_variable changed;
  bool running = false;
  bodies.add("wait", [&](const worker::Call& call) -> worker::Returned {
    std::unique_lock guard(mutex);
    running = true;
    changed.notify_all();
    while (!call.stop.stop_requested()) changed.wait_for(guard, 5ms);
    throw std::runtime_error("stopped");
  });
  FlowBuilder builder("wait");
  const NodeId a = builder.add_node("a", builder.add_kind(calls("wait")));
  builder.add_node("b", 0);
  builder.add_state_only(a);
  const auto flow = finish(std::move(builder));
  const auto engine = open(bodies);
  const auto started = engine->submit(flow, {});
  BOOST_REQUIRE(started.has_value());
  {
    std::unique_lock guard(mutex);
    BOOST_REQUIRE(changed.wait_for(guard, 10s, [&] { return running; }));
  }
  BOOST_TEST(engine->cancel(started->id, {}, "a test").has_value());
  const auto result = engine->wait(started->id, 10s);
  BOOST_REQUIRE(result.has_value());
  BOOST_TEST((result->state == RunState::cancelled));
  BOOST_TEST(result->summary.cancelled == 2u);
  BOOST_TEST((engine->cancel(started->id, {}, "again").error().code == ErrorCode::conflict));
  BOOST_TEST((engine->cancel(RunId{}, {}, "nobody").error().code == ErrorCode::not_found));
}

BOOST_AUTO_TEST_CASE(a_body_that_does_not_stop_is_abandoned_and_its_slot_replaced) {
  Bodies bodies;
  static std::atomic<bool> let_go{false};
  bodies.add("deaf", [](const worker::Call&) {
    while (!let_go) std::this_thread::sleep_for(1ms);
    return worker::Returned{Payload::nil(), {}};
  });
  bodies.add("nothing", [](const worker::Call&) { return worker::Returned{Payload::nil(), {}}; });
  FlowBuilder builder("deaf");
  TaskKind deaf = calls("deaf");
  deaf.timeout = 50ms;
  builder.add_node("a", builder.add_kind(std::move(deaf)));
  const NodeId b = builder.add_node("b", builder.add_kind(calls("nothing")));
  (void)b;
  const auto flow = finish(std::move(builder));
  {
    const auto engine = open(bodies, {}, 1);
    const RunResult result = run(*engine, flow);
    BOOST_TEST((result.state == RunState::failed));
    BOOST_TEST(result.summary.executed == 2u);
    let_go = true;
  }
}

BOOST_AUTO_TEST_CASE(a_thousand_runs_in_a_row_leave_nothing_behind) {
  Bodies bodies;
  bodies.add("nothing", [](const worker::Call&) { return worker::Returned{Payload::nil(), {}}; });
  FlowBuilder builder("tiny");
  builder.add_node("a", builder.add_kind(calls("nothing")));
  const auto flow = finish(std::move(builder));
  const auto engine = open(bodies);
  for (int i = 0; i < 1000; ++i) {
    const RunResult result = run(*engine, flow);
    BOOST_TEST((result.state == RunState::success));
    engine->forget(result.id);
    BOOST_TEST(!engine->wait(result.id, 0s).has_value());
  }
}

// A change that came from elsewhere than the engine's own journal was missing where that is shared.
BOOST_AUTO_TEST_CASE(what_amends_a_run_is_written_by_the_journal_that_leads) {
  Bodies bodies;
  bodies.add("nothing", [](const worker::Call&) { return worker::Returned{Payload::nil(), {}}; });
  FlowBuilder builder("tiny");
  builder.add_node("a", builder.add_kind(calls("nothing")));
  const auto flow = finish(std::move(builder));
  testing::TemporaryFolder folder;
  const auto path = folder / "journal.db";
  const auto engine = open(bodies, folder.path());
  const RunResult result = run(*engine, flow);
  engine->forget(result.id);
  journal::Batch batch;
  batch.run = result.id;
  batch.change = journal::RunChange{RunState::interrupted, now(), "as asked"};
  BOOST_REQUIRE(engine->amend(batch, {}).has_value());
  const auto journal = journal::SqliteJournal::open({.path = path});
  BOOST_REQUIRE(journal.has_value());
  const auto rows = (*journal)->runs({});
  BOOST_REQUIRE(rows.has_value());
  BOOST_TEST((rows->front().state == RunState::interrupted));
  const auto in_memory = open(bodies);
  BOOST_TEST((in_memory->amend(batch, {}).error().code == ErrorCode::conflict));
}

// It was told as failed, and found as interrupted by everybody else.
BOOST_AUTO_TEST_CASE(a_run_whose_end_cannot_be_written_is_left_interrupted) {
  Bodies bodies;
  bodies.add("nothing", [](const worker::Call&) { return worker::Returned{Payload::nil(), {}}; });
  FlowBuilder builder("tiny");
  builder.add_node("a", builder.add_kind(calls("nothing")));
  const auto flow = finish(std::move(builder));
  testing::TemporaryFolder folder;
  EngineOptions options;
  options.data = folder.path();
  options.slots = 1;
  options.functions = bodies.table;
  options.share_journal = [](std::unique_ptr<journal::SqliteJournal> local) {
    return std::make_unique<FullJournal>(std::move(local));
  };
  const auto engine = Engine::open(options);
  BOOST_REQUIRE(engine.has_value());
  const RunResult result = run(**engine, flow);
  BOOST_TEST((result.state == RunState::interrupted));
  BOOST_TEST(result.message == "the journal could not be written: no space left on device");
}

// What cannot be written now is refused before anything is begun.
BOOST_AUTO_TEST_CASE(a_submit_does_not_wait_for_a_journal_that_waits) {
  Bodies bodies;
  bodies.add("nothing", [](const worker::Call&) { return worker::Returned{Payload::nil(), {}}; });
  FlowBuilder builder("tiny");
  builder.add_node("a", builder.add_kind(calls("nothing")));
  const auto flow = finish(std::move(builder));
  testing::TemporaryFolder folder;
  const auto away = std::make_shared<Away>();
  EngineOptions options;
  options.data = folder.path();
  options.slots = 1;
  options.functions = bodies.table;
  options.journal_waits = [away] { return away->waits.load(); };
  options.share_journal = [away](std::unique_ptr<journal::SqliteJournal> local) {
    return std::make_unique<AwayJournal>(std::move(local), away);
  };
  const auto engine = Engine::open(options);
  BOOST_REQUIRE(engine.has_value());
  BOOST_REQUIRE((*engine)->submit(flow, {}).has_value());
  // Its first changes wait with the journal, on whose thread everything else would come next.
  while (!away->waits) std::this_thread::yield();
  RunOptions another;
  another.always_new = true;
  const auto refused = (*engine)->submit(flow, another);
  BOOST_REQUIRE(!refused.has_value());
  BOOST_TEST((refused.error().code == ErrorCode::unavailable));
  away->end();
  BOOST_TEST((run(**engine, flow, another).state == RunState::success));
}

BOOST_AUTO_TEST_CASE(a_flow_that_is_wrong_starts_nothing) {
  FlowSpec flow;
  flow.nodes.push_back(Node{.name = "a",
                            .kind = 7,
                            .first_input = 0,
                            .input_count = 0,
                            .expected_seconds = 0,
                            .span = {}});
  const auto engine = open(Bodies{});
  const auto started = engine->submit(std::make_shared<const FlowSpec>(flow), {});
  BOOST_REQUIRE(!started.has_value());
  BOOST_TEST((started.error().code == ErrorCode::invalid_argument));
}

BOOST_AUTO_TEST_SUITE_END()
