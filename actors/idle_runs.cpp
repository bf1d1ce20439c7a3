#include "actors/idle_runs.hpp"

#include <algorithm>
#include <cstdint>
#include <utility>

#include <fmt/format.h>

#include "actors/run_options.hpp"

namespace reprise {

Result<std::vector<journal::RunRow>> runs_nested_in(journal::Journal& journal,
                                                    std::set<RunId> outer) {
  journal::RunQuery all;
  all.limit = UINT32_MAX;
  auto rows = journal.runs(all);
  if (!rows) return tl::unexpected(rows.error());
  std::ranges::reverse(*rows);  // a nested run is younger than the one around it
  std::vector<journal::RunRow> found;
  for (journal::RunRow& row : *rows) {
    const auto began = actors::decode_options(row.options);
    if (!began || !began->nested_in || !outer.contains(began->nested_in->run)) continue;
    if (outer.insert(row.id).second) found.push_back(std::move(row));
  }
  return found;
}

journal::Batch make_cancel(const journal::RunRow& row, const journal::RunView& view,
                           const std::string& reason, Time now) {
  journal::Batch batch;
  batch.run = row.id;
  for (std::uint32_t t = 0; t < view.size(); ++t) {
    const TaskId task{t};
    const TaskState state = view.state(task);
    const bool is_over = is_finished(state) && state != TaskState::looped;  // another one follows
    if (!view.counts_as_task(task) || is_over) continue;
    batch.tasks.push_back(view.amendment(task, TaskState::cancelled, now, reason));
  }
  batch.change = journal::RunChange{RunState::cancelled, now, reason};
  return batch;
}

namespace {

/// A nested run is its outermost one's process's, also while it rests.
Status check_outer_runs(journal::Journal& journal, const journal::DataFolder& folder,
                        const journal::RunRow& row) {
  journal::RunRow inner = row;
  for (;;) {
    const auto began = actors::decode_options(inner.options);
    if (!began || !began->nested_in) return {};
    const RunId outer = began->nested_in->run;
    if (folder.is_owned(outer))
      return fail(ErrorCode::conflict,
                  fmt::format("run {} is nested in run {}, which is being run; cancel that one",
                              row.id.short_text(), outer.short_text()));
    journal::RunQuery query;
    query.id_prefix = outer.text();
    auto rows = journal.runs(query);
    if (!rows) return tl::unexpected(rows.error());
    if (rows->empty()) return {};
    inner = std::move(rows->front());
  }
}

}  // namespace

Result<std::vector<Cancellation>> cancel_idle(journal::Journal& journal,
                                              const journal::DataFolder& folder,
                                              const journal::RunRow& row, const std::string& reason,
                                              Time now) {
  if (Status free = check_outer_runs(journal, folder, row); !free)
    return tl::unexpected(free.error());
  auto nested = runs_nested_in(journal, {row.id});
  if (!nested) return tl::unexpected(nested.error());
  nested->insert(nested->begin(), row);
  std::vector<Cancellation> all;
  for (const journal::RunRow& each : *nested) {
    if (is_finished(each.state)) continue;
    auto lock = folder.own(each.id);
    if (!lock) return tl::unexpected(lock.error());
    auto view = journal::load_run(journal, each);
    if (!view) return tl::unexpected(view.error());
    journal::Batch batch = make_cancel(each, *view, reason, now);
    if (const Status applied = view->apply(batch); !applied) return tl::unexpected(applied.error());
    all.push_back({*std::move(lock), std::move(batch), view->summary()});
  }
  std::ranges::reverse(all);
  return all;
}

}  // namespace reprise
