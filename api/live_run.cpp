#include "api/live_run.hpp"

#include <algorithm>
#include <thread>
#include <utility>

#include <fmt/format.h>

#include "api/convert.hpp"
#include "api/states.hpp"
#include "core/failure.hpp"

namespace reprise::detail {
namespace {

using steady = std::chrono::steady_clock;

// A result and the news of how its task ended come by different ways.
constexpr std::chrono::milliseconds news_late{300};

}  // namespace

steady::time_point limit_of(std::optional<std::chrono::nanoseconds> timeout) {
  return timeout && *timeout < std::chrono::hours(24 * 365) ? steady::now() + *timeout
                                                            : steady::time_point::max();
}

CacheMode to_internal(cache_mode mode) {
  switch (mode) {
    case cache_mode::normal:
      return CacheMode::normal;
    case cache_mode::refresh:
      return CacheMode::refresh;
    case cache_mode::read_only:
      return CacheMode::read_only;
    case cache_mode::write_only:
      return CacheMode::write_only;
    case cache_mode::off:
      return CacheMode::off;
    case cache_mode::only:
      return CacheMode::only;
  }
  return CacheMode::normal;
}

run_result result_from(const RunId& id, RunState state, const std::string& message,
                       const journal::Summary& summary,
                       const std::map<std::string, Payload>& outputs) {
  run_result result;
  result.id = id.text();
  result.state = to_public(state);
  result.message = message;
  result.tasks = summary.tasks;
  result.executed = summary.executed;
  result.cached = summary.cached;
  result.failed = summary.failed;
  result.skipped = summary.skipped;
  result.cancelled = summary.cancelled;
  for (const auto& [name, payload] : outputs) {
    if (payload.is_none() || !payload.is_at_hand()) continue;
    if (expected<value> read = value::from_bytes(payload.view()))
      result.outputs.emplace(name, std::move(*read));
  }
  return result;
}

live_run::live_run(std::shared_ptr<flow_state> flow, std::shared_ptr<const FlowSpec> spec,
                   std::shared_ptr<run_watch> watch)
    : flow_(std::move(flow)), spec_(std::move(spec)), watch_(std::move(watch)) {}

fetched live_run::fetch(const node_ref& node, std::optional<std::chrono::nanoseconds> timeout) {
  if (node.is_constant) return std::string(flow_->constant(node.index).view());
  const NodeId id{node.index};
  if (node.index >= spec_->nodes.size())
    return error{error_code::not_found, "the task was added to the flow after this run began"};
  const auto limit = limit_of(timeout);
  begin_watching();
  // The watch knows when to ask; that it may know less (of a continued run) or sooner than the
  // run costs a second look.
  auto pause = std::chrono::milliseconds(1);
  for (;;) {
    const bool was_over = watch_->run_ended();
    Result<Payload> found = result_of(id);
    // A skipped task is a success without a result, which comes as nil, or as a record of the
    // signal. The result may be here a moment before the news of how it came about.
    const bool may_be_skipped =
        found && found->is_at_hand() && (found->is_nil() || is_failure(found->view()));
    if (may_be_skipped)
      static_cast<void>(watch_->wait_for_node(id, std::min(limit, steady::now() + news_late)));
    const bool is_absent =
        found && (found->is_none() || (may_be_skipped && watch_->was_skipped(id)));
    if (found && !is_absent) {
      if (!found->is_at_hand())
        return error{error_code::unavailable,
                     "the result is kept elsewhere and cannot be read here"};
      return std::string(found->view());
    }
    if (found) return why_no_result(id, "it ended without a result");
    if (auto why = trouble()) return std::move(*why);
    if (found.error().code != ErrorCode::unavailable || was_over)
      return why_no_result(id, found.error().message);
    const auto now = steady::now();
    if (now >= limit) return to_public(found.error());
    if (watch_->wait_for_node(id, std::min(limit, now + std::chrono::milliseconds(200)))) {
      std::this_thread::sleep_until(std::min(limit, steady::now() + pause));
      pause = std::min(pause * 2, std::chrono::milliseconds(50));
    }
  }
}

task_error::details live_run::why_no_result(NodeId node, const std::string& message) {
  task_error::details details;
  details.task = spec_->nodes[node.value].name;
  auto failed = watch_->failure_of(node);
  if (!failed) {
    // That it has no result may be known a moment before the news of how it ended is here.
    static_cast<void>(watch_->wait_for_node(node, steady::now() + news_late));
    failed = watch_->failure_of(node);
  }
  if (!failed) {
    details.state = "without a result";
    details.message = message;
    return details;
  }
  if (failed->index) details.task += fmt::format("[{}]", *failed->index);
  details.attempt = failed->why.attempt;
  details.state = reprise::name(failed->why.state);
  details.exit = failed->why.exit_code;
  details.message = failed->why.message;
  details.log_tail = log_tail(failed->task, failed->why.attempt);
  return details;
}

std::vector<event> live_run::events_of(const journal::TaskChange& change,
                                       std::uint64_t offset) const {
  std::vector<event> all;
  const auto [node, index] = watch_->place_of(change.task);
  for (const TaskState state : journal::states_on_the_way(change)) {
    event& told = all.emplace_back();
    told.task = spec_->nodes[node.value].name;
    told.index = index;
    told.state = to_public(state);
    told.message = change.detail ? change.detail->message : "";
    told.at = std::chrono::time_point_cast<std::chrono::system_clock::duration>(change.at);
    told.offset = offset;
  }
  return all;
}

}  // namespace reprise::detail
