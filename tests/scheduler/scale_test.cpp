// What many tasks at once cost the scheduler.
#include <boost/test/unit_test.hpp>

#include <deque>

#include <fmt/format.h>
#include <malloc.h>

#include "flow/flow_builder.hpp"
#include "scheduler/scheduler.hpp"
#include "tests/support/scheduler_bench.hpp"

namespace reprise::test {

BOOST_AUTO_TEST_SUITE(scale)
namespace {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool counts_bytes = false;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
constexpr bool counts_bytes = false;
#else
constexpr bool counts_bytes = true;
#endif
#else
constexpr bool counts_bytes = true;
#endif

double heap_bytes() {
  const struct mallinfo2 info = ::mallinfo2();
  return static_cast<double>(info.uordblks + info.hblkhd);
}

std::shared_ptr<const FlowSpec> finish(FlowBuilder builder) {
  auto flow = std::move(builder).finish();
  BOOST_REQUIRE_MESSAGE(flow.has_value(), flow.error().message);
  return std::make_shared<const FlowSpec>(*std::move(flow));
}

TaskKind kind_of(bool cached) {
  TaskKind kind;
  kind.cache_name = "f";
  kind.body = FunctionBody{"f@1"};
  kind.cache.enabled = cached;
  return kind;
}

std::shared_ptr<const FlowSpec> independent(std::size_t count, bool cached) {
  FlowBuilder builder("independent");
  const auto kind = builder.add_kind(kind_of(cached));
  for (std::size_t i = 0; i < count; ++i) builder.add_node(fmt::format("n{}", i), kind);
  return finish(std::move(builder));
}

std::shared_ptr<const FlowSpec> mapped(std::size_t count, bool texts) {
  FlowBuilder builder("mapped");
  builder.add_node("all", builder.add_kind(kind_of(false)));
  List list;
  for (std::size_t i = 0; i < count; ++i)
    list.push_back(texts ? Value{fmt::format("s{}", i)} : Value{static_cast<std::int64_t>(i)});
  builder.add_constant("x", *Payload::of(Value{std::move(list)}), {.mapped = true});
  return finish(std::move(builder));
}

std::shared_ptr<const FlowSpec> over_range(std::size_t count) {
  FlowBuilder builder("range");
  builder.add_node("all", builder.add_kind(kind_of(false)));
  builder.add_expression("x", {fmt::format("range({})", count), {}, {}}, {.mapped = true});
  return finish(std::move(builder));
}

/// A scheduler that was given `flow`, and what it wanted done.
struct Given {
  scheduler::Scheduler scheduler{2};
  scheduler::Effects effects;

  Given(const std::shared_ptr<const FlowSpec>& flow, CacheMode cache) {
    auto context = std::make_shared<RunContext>();
    context->flow = flow;
    context->cache = cache;
    scheduler::Submit submit;
    submit.run = scheduler::RunIndex{0};
    submit.context = std::move(context);
    handle(std::move(submit));
  }
  void handle(scheduler::Event event) {
    effects = scheduler.handle(std::move(event), Time{});
    scheduler.check_invariants();
  }
};

BOOST_AUTO_TEST_CASE(look_ups_before_the_cache_are_bounded_however_many_tasks_are_ready) {
  constexpr std::size_t count = 20'000, most = 8192;
  Given given(independent(count, true), CacheMode::normal);
  std::deque<Attempt> asked;
  std::size_t answered = 0;
  const auto take = [&] {
    for (Attempt& attempt : given.effects.look_ups) asked.push_back(std::move(attempt));
  };
  take();
  BOOST_TEST(asked.size() == most);
  while (!asked.empty()) {
    scheduler::LookedUp event;
    for (std::size_t i = 0; i < 1000 && !asked.empty(); ++i, asked.pop_front()) {
      scheduler::Answer& answer = event.answers.emplace_back();
      answer.attempt = {scheduler::RunIndex{0}, asked.front().task, asked.front().number};
      answer.value = Payload::nil();
    }
    answered += event.answers.size();
    given.handle(std::move(event));
    take();
    BOOST_TEST_REQUIRE(asked.size() <= most);
  }
  BOOST_TEST(answered == count);
  BOOST_TEST(given.effects.ended.size() == 1U);
}

BOOST_AUTO_TEST_CASE(tasks_that_wait_for_other_runs_take_no_place_before_the_cache) {
  constexpr std::size_t count = 10'000;
  Given given(independent(count, true), CacheMode::normal);
  scheduler::LookedUp event;
  for (const Attempt& attempt : given.effects.look_ups)
    event.waits.push_back(
        {{scheduler::RunIndex{0}, attempt.task, attempt.number}, RunId{}, Time{}});
  const std::size_t first = given.effects.look_ups.size();
  given.handle(std::move(event));
  BOOST_TEST(first + given.effects.look_ups.size() == count);
}

BOOST_AUTO_TEST_CASE(a_cancelled_run_leaves_no_look_ups_for_later) {
  Given given(independent(20'000, true), CacheMode::normal);
  const Attempt first = given.effects.look_ups.front();
  given.handle(scheduler::Cancel{scheduler::RunIndex{0}, {}, "enough"});
  BOOST_TEST(given.effects.ended.size() == 1U);
  scheduler::LookedUp late;
  late.answers.emplace_back().attempt = {scheduler::RunIndex{0}, first.task, first.number};
  given.handle(std::move(late));
  BOOST_TEST(given.effects.look_ups.empty());
}

BOOST_AUTO_TEST_CASE(what_is_kept_of_a_range_when_it_is_submitted_does_not_grow_with_it) {
  const auto kept = [](std::size_t count) {
    const auto flow = over_range(count);
    const Given given(flow, CacheMode::normal);
    std::size_t bytes = flow->encode().size();
    for (const journal::Batch& batch : given.effects.batches)
      bytes += journal::encode(batch).size();
    return bytes;
  };
  BOOST_TEST(kept(1'000'000) - kept(10) <= 16u);
}

BOOST_AUTO_TEST_CASE(a_waiting_element_costs_at_most_64_bytes) {
  if (!counts_bytes) return;  // a sanitizer's heap says nothing about ours
  constexpr std::size_t count = 200'000;
  for (const bool texts : {false, true}) {
    const double before = heap_bytes();
    Given given(mapped(count, texts), CacheMode::off);
    given.effects = {};
    BOOST_TEST((heap_bytes() - before) / count <= 64.0);
  }
}

BOOST_AUTO_TEST_CASE(a_task_of_a_graph_costs_at_most_400_bytes_with_its_result) {
  if (!counts_bytes) return;
  constexpr std::size_t count = 100'000, width = 1000;
  const double before = heap_bytes();
  FlowBuilder builder("rows");
  const auto kind = builder.add_kind(kind_of(false));
  for (std::size_t i = 0; i < count; ++i) {
    builder.add_node(fmt::format("n{}", i), kind);
    if (i < width) continue;
    builder.add_upstream("a", NodeId{static_cast<std::uint32_t>(i - width)});
    builder.add_upstream("b", NodeId{static_cast<std::uint32_t>(i / width * width - 1)});
  }
  Given given(finish(std::move(builder)), CacheMode::off);
  double most = 0;
  std::int64_t serial = 0;
  while (!given.effects.dispatches.empty()) {
    scheduler::Reported reported;
    for (const Attempt& attempt : given.effects.dispatches)
      reported.reports.push_back(
          {{scheduler::RunIndex{0}, attempt.task, attempt.number}, success(Value{++serial})});
    given.effects = given.scheduler.handle(std::move(reported), Time{});
    if (serial % 1000 < 2) most = std::max(most, heap_bytes());
  }
  BOOST_TEST(given.effects.ended.size() == 1U);
  BOOST_TEST((most - before) / count <= 400);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace reprise::test
