#include <boost/test/unit_test.hpp>

#include <chrono>
#include <random>
#include <set>

#include "cli/attempt_history.hpp"
#include "cli/console.hpp"
#include "cli/run_trace.hpp"
#include "journal/memory_journal.hpp"
#include "tests/cli/goldens.hpp"
#include "tests/cli/trace_check.hpp"

BOOST_AUTO_TEST_SUITE(run_trace_tests)

using namespace reprise;
using namespace reprise::cli;
using namespace reprise::cli::test;
using std::chrono::milliseconds;

namespace {

/// a → b, c and d by themselves.
std::shared_ptr<const FlowSpec> small_flow() {
  FlowBuilder builder("small");
  const std::uint32_t kind = builder.add_kind({});
  const NodeId a = builder.add_node("a", kind);
  builder.add_node("b", kind);
  builder.add_upstream("x", a);
  builder.add_node("c", kind);
  builder.add_node("d", kind);
  return std::make_shared<const FlowSpec>(std::move(builder).finish().value());
}

journal::TaskChange began(std::uint32_t task, milliseconds at, std::uint32_t number = 1) {
  journal::TaskChange c = change(task, TaskState::running, at);
  c.run_count = number;
  return c;
}

journal::TaskChange ended(std::uint32_t task, TaskState state, milliseconds at, milliseconds took,
                          std::uint32_t number = 1) {
  journal::TaskChange c = change(task, state, at);
  c.run_count = number;
  c.executed = true;
  c.duration = took;
  return c;
}

journal::TaskChange retried(std::uint32_t task, milliseconds at, milliseconds took) {
  journal::TaskChange c = ended(task, TaskState::retrying, at, took);
  c.detail.emplace();
  c.detail->failure = FailureClass::task;
  c.detail->message = "exit 2";
  return c;
}

AttemptHistory history_of(std::shared_ptr<const FlowSpec> flow,
                          const std::vector<journal::Batch>& batches) {
  AttemptHistory history(std::move(flow));
  for (const journal::Batch& each : batches) BOOST_REQUIRE(history.apply(each));
  return history;
}

journal::RunRow row_of(const std::string& flow) {
  journal::RunRow row;
  row.id = run_id;
  row.flow_name = flow;
  row.submitted = start;
  return row;
}

/// What a run's trace says. @param otlp  else Chrome's
Json traced(const AttemptHistory& history, Time until, bool otlp = false,
            RunState state = RunState::success) {
  std::string text;
  const Write write = [&](std::string_view bytes) { text += bytes; };
  const RecordedRun run(row_of("small"), state, history, until);
  journal::MemoryJournal journal;
  Origins origins(journal);
  if (otlp)
    write_otlp_trace(run, origins, write);
  else
    write_chrome_trace(run, write);
  Json parsed = Json::parse(text, nullptr, false);
  BOOST_REQUIRE_MESSAGE(!parsed.is_discarded(), text);
  return parsed;
}

std::vector<Json> events(const Json& trace, const std::string& phase) {
  std::vector<Json> found;
  for (const Json& event : trace["traceEvents"])
    if (event["ph"] == phase) found.push_back(event);
  return found;
}

/// "b 1 failed 1000-3000", for comparing.
std::vector<std::string> told(const AttemptHistory& history,
                              const std::vector<PastAttempt>& attempts) {
  std::vector<std::string> lines;
  for (const PastAttempt& a : attempts) {
    const auto since = [](Time t) {
      return std::to_string(std::chrono::duration_cast<milliseconds>(t - start).count());
    };
    lines.push_back(history.view().task_name(a.task) + " " + std::to_string(a.number) + " " +
                    std::string(name(a.state)) + " " + since(a.begin) + "-" + since(a.end) +
                    (a.is_mark ? " mark" : ""));
  }
  return lines;
}

using Lines = std::vector<std::string>;

}  // namespace

BOOST_AUTO_TEST_SUITE(attempts_of_runs)

BOOST_AUTO_TEST_CASE(each_try_has_its_time_and_the_state_it_ended_in) {
  const auto history = history_of(
      small_flow(), {batch({began(0, milliseconds{10})}),
                     batch({retried(0, milliseconds{110}, milliseconds{90})}),
                     batch({began(0, milliseconds{500}, 2)}),
                     batch({ended(0, TaskState::success, milliseconds{600}, milliseconds{100}, 2)}),
                     batch({hit(2), change(3, TaskState::skipped, milliseconds{7})})});
  BOOST_TEST(told(history, history.attempts(start)) ==
                 (Lines{"c 0 cached 0-0 mark", "d 0 skipped 7-7 mark", "a 1 failed 10-100",
                        "a 2 success 500-600"}),
             boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(what_runs_goes_on_until_now) {
  const auto history = history_of(small_flow(), {batch({began(0, milliseconds{10})})});
  const auto attempts = history.attempts(start + std::chrono::seconds{2});
  BOOST_TEST(told(history, attempts) == (Lines{"a 1 running 10-2000"}),
             boost::test_tools::per_element());
  BOOST_TEST(attempts.front().is_open());
}

BOOST_AUTO_TEST_CASE(an_attempt_that_died_with_its_process_is_lost) {
  const auto history = history_of(
      small_flow(),
      {batch({began(0, milliseconds{10}), began(2, milliseconds{20})}),
       batch({began(0, milliseconds{5000}, 2)}),
       batch({ended(0, TaskState::success, milliseconds{6000}, milliseconds{1000}, 2)})});
  BOOST_TEST(told(history, history.attempts(start + std::chrono::seconds{6})) ==
                 (Lines{"a 1 lost 10-20", "c 1 running 20-6000", "a 2 success 5000-6000"}),
             boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(an_attempt_of_which_only_the_end_is_known_began_its_duration_before) {
  const auto history = history_of(
      small_flow(), {batch({ended(0, TaskState::success, milliseconds{300}, milliseconds{100})})});
  BOOST_TEST(told(history, history.attempts(start)) == (Lines{"a 1 success 200-300"}),
             boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(the_critical_path_leads_through_retries_and_waits) {
  const auto history = history_of(
      small_flow(), {batch({began(0, milliseconds{10}), began(2, milliseconds{10})}),
                     batch({retried(0, milliseconds{110}, milliseconds{90})}),
                     batch({began(0, milliseconds{500}, 2)}),
                     batch({ended(0, TaskState::success, milliseconds{600}, milliseconds{100}, 2)}),
                     batch({began(1, milliseconds{601})}),
                     batch({ended(2, TaskState::success, milliseconds{700}, milliseconds{690})}),
                     batch({ended(1, TaskState::success, milliseconds{900}, milliseconds{299})})});
  const auto attempts = history.attempts(start);
  const auto waits = waits_between(history.view(), attempts);
  BOOST_TEST(waits.size() == 1u);
  std::vector<PastAttempt> path;
  for (const std::uint32_t i : critical_path(attempts, waits)) path.push_back(attempts[i]);
  BOOST_TEST(told(history, path) ==
                 (Lines{"a 1 failed 10-100", "a 2 success 500-600", "b 1 success 601-900"}),
             boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(an_element_waits_for_the_same_element_of_a_task_that_is_mapped_as_well) {
  FlowBuilder builder("pairs");
  const std::uint32_t kind = builder.add_kind({});
  const NodeId a = builder.add_node("a", kind);
  builder.add_constant("over", Payload::of(Value(1)).value(), {.mapped = true});
  builder.add_node("b", kind);
  builder.add_upstream("x", a, {.mapped = true});
  const auto flow = std::make_shared<const FlowSpec>(std::move(builder).finish().value());
  const auto history = history_of(
      flow, {batch({expanded(0, {"p", "q"}), expanded(1, {"p", "q"})}),
             batch({ended(2, TaskState::success, milliseconds{200}, milliseconds{100}),
                    ended(3, TaskState::success, milliseconds{300}, milliseconds{200}),
                    ended(4, TaskState::success, milliseconds{500}, milliseconds{100})})});
  const auto attempts = history.attempts(start);
  BOOST_TEST(told(history, attempts) == (Lines{"a[p] 1 success 100-200", "a[q] 1 success 100-300",
                                               "b[p] 1 success 400-500"}),
             boost::test_tools::per_element());
  const auto waits = waits_between(history.view(), attempts);
  BOOST_REQUIRE(waits.size() == 1u);
  BOOST_TEST(waits[0].first == 0u);  // not a[q], which ended later
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(run_trace)

BOOST_AUTO_TEST_CASE(a_chrome_trace_has_slots_names_and_arrows) {
  const auto history = history_of(
      small_flow(), {batch({began(0, milliseconds{0}), began(2, milliseconds{50}), hit(3)}),
                     batch({ended(0, TaskState::success, milliseconds{100}, milliseconds{100})}),
                     batch({began(1, milliseconds{100})}),
                     batch({ended(1, TaskState::failed, milliseconds{200}, milliseconds{100}),
                            ended(2, TaskState::success, milliseconds{250}, milliseconds{200})})});
  const Json trace = traced(history, start);
  BOOST_TEST(trace_violation(trace) == "");
  BOOST_TEST(trace["otherData"]["run"] == run_id.text());
  std::map<std::string, int> thread;
  for (const Json& slice : events(trace, "X")) thread[slice["name"]] = slice["tid"];
  BOOST_TEST(thread["d"] == 0);
  BOOST_TEST(thread["a"] == 1);
  BOOST_TEST(thread["c"] == 2);
  BOOST_TEST(thread["b"] == 1);  // the lowest that is free
  BOOST_REQUIRE(events(trace, "s").size() == 1u);
  BOOST_TEST(events(trace, "s")[0]["ts"] == 99999.999);
  BOOST_TEST(events(trace, "f")[0]["ts"] == 100000.0);
  BOOST_TEST(events(trace, "C").back()["args"]["running"] == 0);
}

BOOST_AUTO_TEST_CASE(the_check_sees_what_viewers_would_complain_about) {
  const auto trace = [](Json slices) {
    Json events = Json::array();
    events.push_back({{"ph", "M"}, {"pid", 1}, {"tid", 1}, {"name", "process_name"}});
    events.push_back({{"ph", "M"}, {"pid", 1}, {"tid", 1}, {"name", "thread_name"}});
    for (Json& slice : slices) {
      slice.update({{"ph", "X"}, {"pid", 1}, {"name", "x"}});
      events.push_back(slice);
    }
    return nlohmann::json(Json{{"traceEvents", events}});
  };
  const Json a{{"tid", 1}, {"ts", 0}, {"dur", 10}}, inner{{"tid", 1}, {"ts", 2}, {"dur", 8}},
      crossing{{"tid", 1}, {"ts", 5}, {"dur", 10}}, unnamed{{"tid", 2}, {"ts", 0}, {"dur", 1}};
  BOOST_TEST(trace_violation(trace(Json::array({a, inner}))) == "");
  BOOST_TEST(trace_violation(trace(Json::array({a, crossing}))) != "");
  BOOST_TEST(trace_violation(trace(Json::array({a, unnamed}))) != "");
}

// 10. of what a first-time user must find true: opens without warnings about overlaps.
BOOST_AUTO_TEST_CASE(whatever_the_times_no_two_slices_of_a_slot_overlap) {
  std::mt19937 random(20);
  for (int round = 0; round < 20; ++round) {
    FlowBuilder builder("random");
    const std::uint32_t kind = builder.add_kind({});
    constexpr std::uint32_t count = 60;
    for (std::uint32_t i = 0; i < count; ++i) {
      builder.add_node("n" + std::to_string(i), kind);
      if (i > 0) builder.add_state_only(NodeId{static_cast<std::uint32_t>(random()) % i});
    }
    const auto flow = std::make_shared<const FlowSpec>(std::move(builder).finish().value());
    AttemptHistory history(flow);
    for (std::uint32_t i = 0; i < count; ++i) {
      const Duration begin{random() % 1'000'000}, took{random() % 300'000};
      journal::TaskChange running = change(i, TaskState::running);
      running.at += begin;
      running.run_count = 1;
      journal::TaskChange end = ended(i, TaskState::success, {}, {});
      end.at += begin + took;
      end.duration = took;
      switch (random() % 4) {
        case 0:
          BOOST_REQUIRE(history.apply(batch({running})));
          break;
        case 1:
          BOOST_REQUIRE(history.apply(batch({end})));
          break;
        case 2:
          BOOST_REQUIRE(history.apply(batch({hit(i)})));
          break;
        default:
          BOOST_REQUIRE(history.apply(batch({running, end})));
      }
    }
    BOOST_TEST(trace_violation(traced(history, start + milliseconds{2})) == "");
  }
}

BOOST_AUTO_TEST_CASE(odd_names_and_messages_are_text) {
  AttemptHistory history(nodes({"__proto__", "a\"b\\c", "\xff", "../x", "\x1b[31m"}));
  for (std::uint32_t i = 0; i < 5; ++i)
    BOOST_REQUIRE(
        history.apply(batch({ran(i, TaskState::failed, milliseconds{5}, "\"\\\xfe\n</script>")})));
  const Json trace = traced(history, start);
  BOOST_TEST(trace_violation(trace) == "");
  BOOST_TEST(events(trace, "X")[1]["name"] == "a\"b\\c");
  BOOST_TEST(traced(history, start, true)["resourceSpans"].size() == 1u);
}

BOOST_AUTO_TEST_CASE(a_run_of_a_hundred_thousand_tasks_is_traced_in_proportion) {
  constexpr std::uint32_t count = 100'000;
  AttemptHistory history(nodes({"all"}));
  journal::TaskChange many = change(0, TaskState::mapped);
  many.detail.emplace();
  many.detail->width = count;
  BOOST_REQUIRE(history.apply(batch({many})));
  for (std::uint32_t i = 1; i <= count; ++i)
    BOOST_REQUIRE(
        history.apply(batch({ended(i, TaskState::success, milliseconds{i}, milliseconds{8})})));
  std::size_t bytes = 0, largest = 0;
  write_chrome_trace(RecordedRun(row_of("many"), RunState::success, history, start),
                     [&](std::string_view part) {
                       bytes += part.size();
                       largest = std::max(largest, part.size());
                     });
  BOOST_TEST(bytes > 100u * count);
  BOOST_TEST(largest < 10'000u);  // it goes out piece by piece
}

BOOST_AUTO_TEST_CASE(an_otlp_trace_has_a_span_for_each_attempt_below_the_run) {
  journal::TaskChange cancelled = change(0, TaskState::cancelled, milliseconds{400});
  cancelled.run_count = 1;  // while it waited for the second one
  const auto history =
      history_of(small_flow(), {batch({began(0, milliseconds{10})}),
                                batch({retried(0, milliseconds{110}, milliseconds{90})}),
                                batch({cancelled}), batch({hit(2)})});
  const Json spans = traced(history, start, true,
                            RunState::cancelled)["resourceSpans"][0]["scopeSpans"][0]["spans"];
  BOOST_REQUIRE(spans.size() == 4u);
  std::set<std::string> ids;
  for (const Json& span : spans) {
    BOOST_TEST(span["traceId"].get<std::string>().size() == 32u);
    BOOST_TEST(span["traceId"] == spans[0]["traceId"]);
    BOOST_TEST(span["spanId"].get<std::string>().size() == 16u);
    BOOST_TEST(ids.insert(span["spanId"]).second);
    BOOST_TEST(span["startTimeUnixNano"].is_string());  // 64-bit numbers are text in OTLP/JSON
    BOOST_TEST(span["endTimeUnixNano"].get<std::string>() >=
               span["startTimeUnixNano"].get<std::string>());
    if (&span != &spans[0]) BOOST_TEST(span["parentSpanId"] == spans[0]["spanId"]);
  }
  BOOST_TEST(!spans[0].contains("parentSpanId"));
  BOOST_TEST(spans[2]["name"] == "a");
  BOOST_TEST(spans[2]["status"]["code"] == 2);
  BOOST_TEST(spans[2]["status"]["message"] == "exit 2");
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE_END()
