#include "actors/past_runs.hpp"

#include <algorithm>
#include <map>
#include <set>

#include <fmt/format.h>

#include "actors/run_options.hpp"
#include "journal/history.hpp"
#include "journal/run_view.hpp"

namespace reprise::actors {

Result<std::optional<InterruptedRun>> PastRuns::find_interrupted(const Digest& flow,
                                                                 const Digest& parameters,
                                                                 const RunOptions& options) {
  journal::RunQuery query;
  if (options.resume) {
    query.id_prefix = options.resume->text();
  } else {
    query.flow = flow;
    query.parameters_digest = parameters;
    query.limit = 20;
  }
  auto rows = journal_.runs(query);
  if (!rows) return tl::unexpected(rows.error());
  if (options.resume && rows->empty())
    return fail(ErrorCode::not_found, fmt::format("no run \"{}\"", options.resume->text()));
  for (const journal::RunRow& row : *rows) {
    const RunState state = folder_.effective_state(row);
    if (options.resume && is_finished(state))
      return fail(ErrorCode::conflict, fmt::format("run {} is finished ({}); nothing to resume",
                                                   row.id.short_text(), name(state)));
    if (state != RunState::interrupted && !(options.resume && state == RunState::paused)) {
      if (options.resume)
        return fail(ErrorCode::conflict, fmt::format("run {} is {} in another process",
                                                     row.id.short_text(), name(state)));
      continue;
    }
    auto began = decode_options(row.options);
    if (!began) return tl::unexpected(began.error());
    if (!options.resume && !same_shape(*began, options)) continue;
    auto lock = folder_.own(row.id);
    if (!lock) {
      if (options.resume) return tl::unexpected(lock.error());
      continue;  // another process was quicker
    }
    auto past = read(row.id);
    if (!past) return tl::unexpected(past.error());
    return InterruptedRun{row.id, std::move(*lock), std::move(*past), std::move(*began)};
  }
  return std::nullopt;
}

Result<std::optional<InterruptedRun>> PastRuns::find_nested(const RunId& id) {
  journal::RunQuery query;
  query.id_prefix = id.text();
  const auto rows = journal_.runs(query);
  if (!rows) return tl::unexpected(rows.error());
  if (rows->empty()) return std::nullopt;
  auto began = decode_options(rows->front().options);
  if (!began) return tl::unexpected(began.error());
  auto lock = folder_.own(id);
  if (!lock) return tl::unexpected(lock.error());
  auto past = read(id);
  if (!past) return tl::unexpected(past.error());
  return InterruptedRun{id, std::move(*lock), std::move(*past), std::move(*began)};
}

Result<std::shared_ptr<const FlowSpec>> PastRuns::flow_of(const RunId& id) {
  journal::RunQuery query;
  query.id_prefix = id.text();
  const auto rows = journal_.runs(query);
  if (!rows) return tl::unexpected(rows.error());
  if (rows->empty()) return nullptr;
  return journal::flow_of(journal_, rows->front());
}

Result<std::optional<Parameters>> PastRuns::parameters_of(const RunId& id) {
  journal::RunQuery query;
  query.id_prefix = id.text();
  auto rows = journal_.runs(query);
  if (!rows) return tl::unexpected(rows.error());
  if (rows->empty()) return std::optional<Parameters>();
  return std::optional(std::move(rows->front().parameters));
}

std::vector<float> PastRuns::usual_seconds(const FlowSpec& flow) {
  constexpr std::uint32_t runs = 2;
  constexpr std::size_t changes_max = 20'000;
  const auto usual = journal::usual_durations(journal_, flow.name, runs, changes_max);
  if (usual.empty()) return {};
  std::vector<float> all;
  all.reserve(flow.nodes.size());
  for (const Node& node : flow.nodes) {
    const auto known = usual.find(node.name);
    all.push_back(known == usual.end() ? 0.0F : static_cast<float>(seconds(known->second)));
  }
  return all;
}

Result<std::vector<journal::Batch>> PastRuns::read(const RunId& run) {
  auto entries = journal_.read(run, 0);
  if (!entries) return tl::unexpected(entries.error());
  std::vector<journal::Batch> past;
  past.reserve(entries->size());
  for (journal::Journal::Entry& entry : *entries) {
    // A result that is nowhere any more was never told to anybody as final: its task runs again.
    std::erase_if(entry.batch.tasks, [&](journal::TaskChange& change) {
      if (change.result.is_none() || change.result.is_at_hand()) return false;
      auto value = blobs_.get_value(change.result.digest);
      if (!value) return true;
      change.result = std::move(*value);
      return false;
    });
    past.push_back(std::move(entry.batch));
  }
  return past;
}

std::vector<std::pair<NodeId, std::uint32_t>> expanded_in(const std::vector<journal::Batch>& past,
                                                          std::size_t nodes) {
  std::vector<std::pair<NodeId, std::uint32_t>> expanded;
  std::set<TaskId> known;
  for (const journal::Batch& batch : past)
    for (const journal::TaskChange& change : batch.tasks)
      if (change.state == TaskState::mapped && change.task.value < nodes &&
          known.insert(change.task).second)
        expanded.emplace_back(NodeId{change.task.value}, change.detail ? change.detail->width : 0);
  return expanded;
}

}  // namespace reprise::actors
