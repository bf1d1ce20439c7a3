#include "journal/memory_journal.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "journal/run_codec.hpp"

namespace reprise::journal {
namespace {

tl::unexpected<Error> no_such_run(const RunId& run) {
  return fail(ErrorCode::not_found, fmt::format("no run \"{}\"", run.text()));
}

bool matches(const RunRow& row, const RunQuery& query) {
  return (!query.flow_name || row.flow_name == *query.flow_name) &&
         (!query.state || row.state == *query.state) && (!query.flow || row.flow == *query.flow) &&
         (!query.parameters_digest || row.parameters_digest == *query.parameters_digest) &&
         (!query.since || row.submitted >= *query.since);
}

}  // namespace

void apply(const RunChange& change, RunRow& row) {
  row.state = change.state;
  row.message = change.message;
  row.finished = is_finished(change.state) ? std::optional(change.at) : std::nullopt;
}

Result<Epoch> MemoryJournal::begin_epoch(std::uint64_t nonce, const std::string&, Time) {
  if (epoch_.number++ == 0) epoch_.journal = nonce;
  epoch_.nonce = nonce;
  return epoch_;
}

Status MemoryJournal::open_run(const RunRow& row, std::string_view flow_bytes) {
  if (!runs_.try_emplace(row.id, Run{row, {}}).second)
    return fail(ErrorCode::conflict, fmt::format("run \"{}\" exists already", row.id.text()));
  flows_.try_emplace(row.flow, flow_bytes);
  return {};
}

Result<Offset> MemoryJournal::append(std::span<const Batch> batches) {
  for (const Batch& batch : batches)
    if (!runs_.contains(batch.run)) return no_such_run(batch.run);
  for (const Batch& batch : batches) {
    if (batch.count() == 0) continue;
    Run& run = runs_.at(batch.run);
    run.entries.push_back({last_ + 1, batch});
    last_ += batch.count();
    if (batch.change) apply(*batch.change, run.row);
  }
  return last_;
}

Status MemoryJournal::set_summary(const RunId& run, const Summary& summary) {
  const auto it = runs_.find(run);
  if (it == runs_.end()) return no_such_run(run);
  it->second.row.summary = summary;
  return {};
}

Result<std::vector<RunRow>> MemoryJournal::runs(const RunQuery& query) {
  std::vector<RunRow> rows;
  const auto range = ids_with_prefix(query.id_prefix.value_or(""));
  if (!range) return rows;
  for (auto it = runs_.upper_bound(range->last);
       it != runs_.begin() && rows.size() < query.limit;) {
    --it;
    if (it->first < range->first) break;
    if (matches(it->second.row, query)) rows.push_back(it->second.row);
  }
  return rows;
}

Result<std::string> MemoryJournal::flow(const Digest& digest) {
  const auto it = flows_.find(digest);
  if (it == flows_.end())
    return fail(ErrorCode::not_found, fmt::format("no flow \"{}\"", digest.text()));
  return it->second;
}

Result<std::vector<Journal::Entry>> MemoryJournal::read(const RunId& run, Offset after,
                                                        std::size_t limit) {
  const auto it = runs_.find(run);
  if (it == runs_.end()) return no_such_run(run);
  const std::vector<Entry>& all = it->second.entries;
  auto entry = std::partition_point(all.begin(), all.end(), [&](const Entry& e) {
    return e.first + e.batch.count() - 1 <= after;
  });
  std::vector<Entry> result;
  for (std::size_t taken = 0;
       entry != all.end() && (taken == 0 || taken + entry->batch.count() <= limit); ++entry) {
    taken += entry->batch.count();
    result.push_back(*entry);
  }
  return result;
}

Status MemoryJournal::remove(const RunId& run) {
  const auto it = runs_.find(run);
  if (it == runs_.end()) return no_such_run(run);
  const Digest flow = it->second.row.flow;
  runs_.erase(it);
  const auto same_flow = [&](const auto& other) { return other.second.row.flow == flow; };
  if (std::none_of(runs_.begin(), runs_.end(), same_flow)) flows_.erase(flow);
  return {};
}

}  // namespace reprise::journal
