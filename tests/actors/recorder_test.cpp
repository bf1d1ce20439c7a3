#include <boost/test/unit_test.hpp>

#include <caf/all.hpp>

#include "actors/recorder.hpp"
#include "actors/scheduler_actor.hpp"
#include "tests/support/flow_text.hpp"

BOOST_AUTO_TEST_SUITE(recorder_tests)

using namespace reprise;
using namespace reprise::actors;
using namespace std::chrono_literals;
using scheduler::RunIndex;

namespace {

RunId run_id() {
  RunId id;
  id.bytes[0] = 1;
  return id;
}

scheduler::Effects change_with(std::size_t dispatches, bool has_ended = false) {
  scheduler::Effects effects;
  journal::Batch& batch = effects.batches.emplace_back();
  batch.run = run_id();
  batch.tasks.emplace_back();
  effects.dispatches.resize(dispatches);
  if (has_ended) effects.ended.push_back({RunIndex{0}, RunState::success, {}});
  return effects;
}

struct Bench {
  explicit Bench(Durability durability, bool has_journal = true)
      : recorder(durability, has_journal) {}
  Recorder recorder;

  Recorder::Step perform(scheduler::Effects effects) {
    return recorder.perform(std::move(effects), [](const RunIndex&) {
      return std::pair(run_id(), journal::Summary{.tasks = 7});
    });
  }
  static std::size_t dispatches(const Recorder::Step& step) {
    std::size_t count = 0;
    for (const scheduler::Effects& each : step.act) count += each.dispatches.size();
    return count;
  }
};

}  // namespace

BOOST_AUTO_TEST_SUITE(RecorderTest)

BOOST_AUTO_TEST_CASE(in_groups_work_goes_on_and_people_wait) {
  Bench bench(Durability::group);
  const auto first = bench.perform(change_with(2));
  BOOST_TEST(Bench::dispatches(first) == 2U);
  BOOST_TEST(first.appends.empty());
  BOOST_TEST(first.wants_write_out);
  BOOST_TEST(!bench.perform(change_with(0)).wants_write_out);  // it comes anyway
  const auto last = bench.perform(change_with(1, true));
  BOOST_TEST(Bench::dispatches(last) == 1U);
  BOOST_TEST(last.ended.empty());
  BOOST_REQUIRE(last.appends.size() == 1U);
  BOOST_TEST(last.appends[0].batches.size() == 3U);
  BOOST_TEST(last.appends[0].summaries.size() == 1U);
  BOOST_TEST(!bench.recorder.is_settled());
  const auto told = bench.recorder.durable({last.appends[0].ticket, {}});
  BOOST_TEST(told.ended.size() == 1U);
  BOOST_TEST(bench.recorder.is_settled());
}

BOOST_AUTO_TEST_CASE(in_step_with_the_disk_work_waits_too) {
  Bench bench(Durability::sync);
  const auto step = bench.perform(change_with(2, true));
  BOOST_TEST(Bench::dispatches(step) == 0U);
  BOOST_REQUIRE(step.appends.size() == 1U);
  const auto later = bench.recorder.durable({step.appends[0].ticket, {}});
  BOOST_TEST(Bench::dispatches(later) == 2U);
  BOOST_TEST(later.ended.size() == 1U);
}

BOOST_AUTO_TEST_CASE(without_a_journal_nothing_waits) {
  Bench bench(Durability::none, false);
  const auto step = bench.perform(change_with(2, true));
  BOOST_TEST(Bench::dispatches(step) == 2U);
  BOOST_TEST(step.ended.size() == 1U);
  BOOST_TEST(step.appends.empty());
  BOOST_TEST(bench.recorder.is_settled());
}

BOOST_AUTO_TEST_CASE(a_journal_that_fails_settles_everything_with_its_trouble) {
  Bench bench(Durability::group);
  const auto step = bench.perform(change_with(1, true));
  const auto after = bench.recorder.durable({step.appends[0].ticket, fail(ErrorCode::io, "gone")});
  BOOST_TEST(after.ended.size() == 1U);
  BOOST_TEST(bench.recorder.is_lost());
  BOOST_TEST(bench.recorder.is_settled());
  BOOST_TEST(bench.recorder.trouble().error().message == "gone");
  BOOST_TEST(Bench::dispatches(bench.perform(change_with(2))) == 2U);
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(SchedulerActor)

namespace {

/// A scheduler with one run, whose journal is this test.
struct Stage {
  caf::actor_system_config config;
  caf::actor_system system{config};
  caf::scoped_actor self{system};
  caf::actor scheduler;

  Stage() {
    SchedulerActorOptions options;
    options.workers = {};  // nothing begins
    options.journal = self;
    options.clock = std::make_shared<Clock>();
    options.on_end = [](const RunEnd&) {};
    options.on_journal_lost = [](const Error&) {};
    options.cache = options.worker =
        system.spawn([](caf::event_based_actor* nobody) -> caf::behavior {
          nobody->set_default_handler(caf::drop);
          return {[](const WriteOut&) {}};
        });
    bystander = options.worker;
    scheduler = spawn_scheduler_actor(system, std::move(options));
    auto context = std::make_shared<RunContext>();
    context->run = run_id();
    context->flow = test::flow("a -> b");
    context->clock = std::make_shared<Clock>();
    self->send(scheduler, Begin{{RunIndex{0}, context, {}}});
  }
  ~Stage() {
    caf::anon_send_exit(scheduler, caf::exit_reason::user_shutdown);
    caf::anon_send_exit(bystander, caf::exit_reason::user_shutdown);
  }
  caf::actor bystander;

  /// Everything that was appended is on disk, or lost, until the cancellation is, whose ticket this
  /// gives back.
  std::uint64_t cancellation() {
    for (;;) {
      std::uint64_t ticket = 0;
      bool is_it = false;
      self->receive([&](const Append& append) {
        ticket = append.ticket;
        for (const journal::Batch& batch : append.batches)
          is_it |= batch.change && batch.change->state == RunState::cancelled;
      });
      if (is_it) return ticket;
      self->send(scheduler, Durable{ticket, {}});
    }
  }
};

}  // namespace

// A server that died right after the answer went on with the run.
BOOST_AUTO_TEST_CASE(a_cancellation_is_answered_once_it_is_on_disk) {
  Stage stage;
  stage.self->send(stage.scheduler, CancelRun{RunIndex{0}, {}, "not wanted"});
  const std::uint64_t ticket = stage.cancellation();
  // Had it been answered already, that would come before the answer to this.
  stage.self->send(stage.scheduler, AskStates{RunIndex{0}});
  bool is_early = false;
  stage.self->receive([](const StatesAnswer&) {}, [&](const Status&) { is_early = true; });
  BOOST_TEST(!is_early);
  stage.self->send(stage.scheduler, Durable{ticket, {}});
  stage.self->receive([](const Status& status) { BOOST_TEST(status.has_value()); });
}

// Started again, the server would go on with the run.
BOOST_AUTO_TEST_CASE(a_cancellation_that_no_disk_takes_is_refused) {
  Stage stage;
  stage.self->send(stage.scheduler, CancelRun{RunIndex{0}, {}, "not wanted"});
  stage.self->send(stage.scheduler, Durable{stage.cancellation(), fail(ErrorCode::io, "gone")});
  stage.self->receive([](const Status& status) { BOOST_TEST(!status.has_value()); });
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE_END()
