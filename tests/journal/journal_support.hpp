// Runs, changes and batches as the journal's tests need them, and random ones.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include <rapidcheck.h>

#include "journal/journal.hpp"

namespace reprise::journal::testing {

inline Time at(std::int64_t nanoseconds) {
  return Time(Duration(nanoseconds));
}
/// Some day in 2026 and so many milliseconds.
inline Time later(std::int64_t milliseconds) {
  return at(1'790'000'000'000'000'000 + milliseconds * 1'000'000);
}

inline TaskChange change(std::uint32_t task, TaskState state, std::int64_t milliseconds = 0) {
  TaskChange result;
  result.task = TaskId{task};
  result.state = state;
  result.at = later(milliseconds);
  return result;
}

/// The end of an attempt whose body ran for so long.
inline TaskChange ended(std::uint32_t task, TaskState state, std::int64_t milliseconds,
                        std::int64_t took) {
  TaskChange result = change(task, state, milliseconds);
  result.executed = true;
  result.run_count = 1;
  result.duration = std::chrono::milliseconds{took};
  return result;
}

inline TaskChange mapped(std::uint32_t task, std::uint32_t width,
                         std::vector<std::string> labels = {}) {
  TaskChange result = change(task, TaskState::mapped);
  result.detail.emplace();
  result.detail->width = width;
  result.detail->labels = std::move(labels);
  return result;
}

inline Batch batch(RunId run, std::vector<TaskChange> tasks, std::optional<RunChange> change = {}) {
  return Batch{run, std::move(tasks), std::move(change)};
}

inline RunChange run_is(RunState state, std::int64_t milliseconds = 0, std::string message = {}) {
  return RunChange{state, later(milliseconds), std::move(message)};
}

inline RunRow row(std::int64_t milliseconds, std::string flow_name = "align",
                  std::string_view flow_bytes = "flow") {
  static int calls =
      0;  // ids never go back, so a later case would get the last time of an earlier one
  RunRow result;
  result.id = RunId::generate(later(0) + std::chrono::hours{++calls});
  result.flow_name = std::move(flow_name);
  result.flow = sha256(flow_bytes);
  result.parameters_digest = sha256("parameters");
  result.parameters = {
      {"n", Payload::of(std::string("\x03"))}, {"nil", Payload::nil()}, {"none", Payload{}}};
  result.folder = "/flows";
  result.source_file = std::string("a\0b", 3);
  result.submitted_by = "ana@build1";
  result.state = RunState::running;
  result.submitted = later(milliseconds);
  result.options = std::string("\x80\0", 2);
  return result;
}

/// Equality says nothing about whether the bytes of a result are at hand.
inline bool same_bytes(const Batch& a, const Batch& b) {
  for (std::size_t i = 0; i < a.tasks.size(); ++i) {
    const Payload& x = a.tasks[i].result;
    const Payload& y = b.tasks[i].result;
    if (x.is_at_hand() != y.is_at_hand() || (x.is_at_hand() && x.view() != y.view())) return false;
  }
  return true;
}

namespace random {

inline std::string text() {
  return *rc::gen::arbitrary<std::string>();
}

inline Payload payload() {
  switch (*rc::gen::inRange(0, 4)) {
    case 0:
      return {};
    case 1:
      return Payload::nil();
    case 2: {
      Payload by_digest = Payload::of("x" + text());
      by_digest.bytes = nullptr;
      return by_digest;
    }
    default:
      return Payload::of("x" + text());
  }
}

inline ChangeDetail detail() {
  ChangeDetail result;
  result.message = text();
  if (*rc::gen::arbitrary<bool>()) result.start_time = at(*rc::gen::arbitrary<std::int64_t>());
  if (*rc::gen::arbitrary<bool>()) result.key = Key{sha256(text())};
  if (*rc::gen::arbitrary<bool>())
    result.origin = RunId::generate(later(*rc::gen::inRange(0, 1000)));
  result.labels = *rc::gen::arbitrary<std::vector<std::string>>();
  result.width = *rc::gen::arbitrary<std::uint32_t>();
  result.exit_code = *rc::gen::arbitrary<std::int32_t>();
  result.signal = *rc::gen::arbitrary<std::int32_t>();
  result.failure =
      static_cast<FailureClass>(*rc::gen::inRange(0, static_cast<int>(last_failure_class) + 1));
  result.worker = text();
  return result;
}

inline TaskChange task_change() {
  TaskChange result;
  result.task = TaskId{*rc::gen::arbitrary<std::uint32_t>()};
  result.state = static_cast<TaskState>(*rc::gen::inRange(0, task_state_count));
  result.cache =
      static_cast<CacheOutcome>(*rc::gen::inRange(0, static_cast<int>(CacheOutcome::bypass) + 1));
  result.executed = *rc::gen::arbitrary<bool>();
  result.run_count = *rc::gen::element<std::uint32_t>(0, 1, 2, UINT32_MAX);
  result.loop_count = *rc::gen::element<std::uint32_t>(0, 1, 2, UINT32_MAX);
  result.at = at(*rc::gen::arbitrary<std::int64_t>());
  result.duration = Duration(*rc::gen::arbitrary<std::int64_t>());
  result.result = payload();
  if (*rc::gen::arbitrary<bool>()) result.detail = detail();
  return result;
}

inline Batch batch() {
  Batch result;
  const int tasks = *rc::gen::inRange(0, 20);
  for (int i = 0; i < tasks; ++i) result.tasks.push_back(task_change());
  if (*rc::gen::arbitrary<bool>())
    result.change = RunChange{
        static_cast<RunState>(*rc::gen::inRange(0, static_cast<int>(RunState::interrupted) + 1)),
        at(*rc::gen::arbitrary<std::int64_t>()), text()};
  return result;
}

}  // namespace random
}  // namespace reprise::journal::testing
