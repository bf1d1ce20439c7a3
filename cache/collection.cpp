// Collecting: what goes to make room, in which order, and what stays.
//
// The table may have millions of rows, and others use it meanwhile. So rows are read in windows of
// a few hundred, what goes goes in transactions of as many, and nothing is held open between them;
// what is kept in memory is 60 bytes per entry where a budget asks for an order, and 32 per blob.
// Every step leaves a sound cache, so collecting may be stopped, or killed, after any of them.
#include <algorithm>
#include <chrono>
#include <system_error>
#include <thread>
#include <tuple>

#include <fmt/format.h>

#include "cache/blob_files.hpp"
#include "cache/sqlite_store.hpp"
#include "cache/upkeep.hpp"
#include "cache/upkeep_state.hpp"

namespace reprise::cache {
namespace {

namespace fs = std::filesystem;
using sqlite::Blob;
using sqlite::Statement;
using Steady = std::chrono::steady_clock;

constexpr std::uint64_t least_bytes = 4096;
constexpr std::chrono::milliseconds longest_pause{20};

std::int64_t nanoseconds(Time time) {
  return time.time_since_epoch().count();
}
Time time_of(std::int64_t nanoseconds) {
  return Time(Duration(nanoseconds));
}

// What an entry is worth by the room it takes.
struct Candidate {
  std::int64_t id = 0;
  double worth = 0;
  Time last;
  std::uint64_t bytes = 0;
};

}  // namespace

// Who waits for the lock looks for it now and then: a pause as long as the step lets him find it
// free.
bool Upkeep::State::go_on(const CollectRequest& request) {
  if (!request.dry_run && last_step != Steady::time_point{})
    std::this_thread::sleep_for(
        std::min<Steady::duration>(Steady::now() - last_step, longest_pause));
  last_step = Steady::now();
  is_stopped = request.on_step && !request.on_step();
  return !is_stopped;
}

// Superseded versions beyond the newest few, once they are old.
Status Upkeep::State::trim_history(const CollectRequest& request, Time now, Collected& collected) {
  Statement newer(*database, "SELECT count(*) FROM version WHERE key = ?1 AND number > ?2");
  Statement next(*database,
                 "SELECT committed FROM version WHERE key = ?1 AND number > ?2 ORDER BY number "
                 "LIMIT 1");
  const auto goes = [&](const UpkeepRow& row) -> Result<bool> {
    const sqlite::ResetAtEnd reset(newer);
    newer.start(Blob{row.record.key.digest.raw()}, row.number);
    auto found = newer.next();
    if (!found) return found;
    if (newer.integer(0) < request.keep_versions) return false;
    auto pinned = is_pinned(row.record);
    if (!pinned) return pinned;
    return !*pinned && !request.active.contains(row.record.run);
  };
  const auto remove = [&](const UpkeepRow& row) -> Status {
    next.start(Blob{row.record.key.digest.raw()}, row.number);
    auto found = next.next();
    if (!found) return tl::unexpected(found.error());
    const auto horizon = *found ? std::optional(time_of(next.integer(0))) : std::nullopt;
    next.reset();
    if (horizon)
      if (auto set = set_horizon(row.record.key, *horizon); !set) return set;
    return remove_version(row.record.key, row.id);
  };
  const std::string is_old_and_superseded = fmt::format(
      "committed < {} AND EXISTS(SELECT 1 FROM version w WHERE w.key = v.key AND "
      "w.number > v.number)",
      nanoseconds(now - request.keep_for));
  // Newest first: those below a version that goes have as many above them that stay.
  return each_window(is_old_and_superseded, Extra::none, request.rows_per_step,
                     [&](std::vector<UpkeepRow>& rows) -> Status {
                       std::vector<const UpkeepRow*> going;
                       for (const UpkeepRow& row : rows) {
                         const auto is_going = goes(row);
                         if (!is_going) return tl::unexpected(is_going.error());
                         if (*is_going) going.push_back(&row);
                       }
                       for (const UpkeepRow* row : going) {
                         ++collected.versions;
                         if (row->status <= VersionStatus::negative)
                           collected.value_bytes += row->record.value.size;
                       }
                       if (going.empty() || request.dry_run) {
                         go_on(request);
                         return {};
                       }
                       const auto done = write([&]() -> Status {
                         for (const UpkeepRow* row : going)
                           if (auto removed = remove(*row); !removed) return removed;
                         return {};
                       });
                       go_on(request);
                       return done;
                     });
}

// Entries that are too old, then those that are worth least for the room they take
// (GreedyDual-Size-Frequency: uses × cost ÷ bytes), until the rest fits.
Status Upkeep::State::evict(const CollectRequest& request, Time now, Collected& collected) {
  // What trimming history freed, or would.
  std::uint64_t total =
      collected.bytes_before - std::min(collected.bytes_before, collected.value_bytes);
  std::vector<Candidate> candidates;
  const auto note = [&](const UpkeepRow& row) {
    const auto use = request.uses.find(row.record.key);
    Candidate candidate{row.id, 0, row.record.committed, row.record.value.size};
    double uses = 1;
    if (use != request.uses.end()) {
      uses += static_cast<double>(use->second.count);
      candidate.last = std::max(candidate.last, use->second.last);
    }
    for (const FileValue& file : files_of(row))
      if (const auto blob = blob_file(blobs->path_of(file.content))) candidate.bytes += blob->bytes;
    candidate.worth = uses * seconds(row.record.cost) /
                      static_cast<double>(std::max(candidate.bytes, least_bytes));
    candidates.push_back(candidate);
  };
  const bool has_budget = request.max_age || request.max_bytes;
  const auto noted = each_window(is_head, has_budget ? Extra::value : Extra::none,
                                 request.rows_per_step, [&](std::vector<UpkeepRow>& rows) {
                                   if (has_budget)
                                     for (const UpkeepRow& row : rows) note(row);
                                   collected.entries_left += rows.size();
                                   go_on(request);
                                   return Status{};
                                 });
  if (!noted || is_stopped || !has_budget) return noted;
  std::ranges::sort(candidates, [](const Candidate& a, const Candidate& b) {
    return std::tie(a.worth, a.last, a.id) < std::tie(b.worth, b.last, b.id);
  });
  Statement key_of(*database, "SELECT key FROM version WHERE id = ?1");
  for (auto next = candidates.begin(); next != candidates.end() && !is_stopped;) {
    const auto step = [&]() -> Status {
      for (std::uint32_t n = 0; n < request.rows_per_step && next != candidates.end(); ++next) {
        const bool is_old = request.max_age && next->last < now - *request.max_age;
        const bool is_much = request.max_bytes && total > *request.max_bytes;
        if (!is_old && !is_much) continue;
        ++n;
        if (auto done = evict_one(request, next->id, is_old ? "age" : "size", now, collected);
            !done)
          return tl::unexpected(done.error());
        else if (*done)
          total -= std::min(total, next->bytes);
      }
      return {};
    };
    if (const Status done = request.dry_run ? step() : write(step); !done) return done;
    go_on(request);
  }
  return {};
}

// Looked at once more: it may have been superseded, pinned or removed since it was noted.
Result<bool> Upkeep::State::evict_one(const CollectRequest& request, std::int64_t version_id,
                                      std::string_view why, Time now, Collected& collected) {
  auto rows = rows_where("id = ?1 AND " + std::string(is_head), version_id);
  if (!rows) return tl::unexpected(rows.error());
  if (rows->empty()) return false;
  Record& record = rows->front().record;
  auto pinned = is_pinned(record);
  if (!pinned) return pinned;
  if (*pinned || request.active.contains(record.run)) {
    ++collected.pinned;
    return false;
  }
  if (!request.dry_run)
    if (auto removed = remove_key(record.key, now); !removed)
      return tl::unexpected(removed.error());
  collected.value_bytes += record.value.size;
  collected.cost += record.cost;
  --collected.entries_left;
  collected.entries.push_back({std::move(record), std::string(why)});
  return true;
}

Result<std::unordered_set<Digest>> Upkeep::State::needed_blobs(const CollectRequest& request) {
  std::unordered_set<Digest> needed(request.blobs_in_use.begin(), request.blobs_in_use.end());
  const auto marked =
      each_window(is_good, Extra::value, request.rows_per_step, [&](std::vector<UpkeepRow>& rows) {
        for (const UpkeepRow& row : rows) {
          if (!row.record.value.bytes) needed.insert(row.record.value.digest);
          for (const FileValue& file : files_of(row)) needed.insert(file.content);
        }
        go_on(request);
        return Status{};
      });
  if (!marked) return tl::unexpected(marked.error());
  return needed;
}

Status Upkeep::State::sweep(const CollectRequest& request, Time now, Collected& collected) {
  const std::vector<BlobFile> files = blob_files(folder);
  if (files.empty()) return {};
  // Marked after the list was made: what is published meanwhile is younger than the grace time.
  auto needed = needed_blobs(request);
  if (!needed) return tl::unexpected(needed.error());
  if (is_stopped) return {};
  std::uint32_t n = 0;
  for (const BlobFile& file : files) {
    if (++n % request.rows_per_step == 0 && !go_on(request)) return {};
    if (needed->contains(file.digest)) continue;
    // As it is now: somebody may have made it young to refer to it.
    const auto still = blob_file(file.path);
    if (!still || still->modified > now - request.grace) continue;
    ++collected.blobs;
    collected.blob_bytes += file.bytes;
    if (request.dry_run) continue;
    std::error_code error;
    fs::remove(file.path, error);
  }
  return {};
}

Status Upkeep::State::count_evicted(const Collected& collected) {
  if (collected.entries.empty()) return {};
  std::uint64_t bytes = 0;
  for (const auto& each : collected.entries) bytes += each.record.value.size;
  return write([&]() -> Status {
    Statement add(*database,
                  "INSERT INTO counter(name, value) VALUES(?1, ?2) "
                  "ON CONFLICT(name) DO UPDATE SET value = value + excluded.value");
    if (auto done = add.run(std::string_view("use.evicted.count"), collected.entries.size()); !done)
      return done;
    if (auto done = add.run(std::string_view("use.evicted.bytes"), bytes); !done) return done;
    return add.run(std::string_view("use.evicted.ns"), collected.cost.count());
  });
}

Result<Collected> Upkeep::collect(const CollectRequest& request, Time now) {
  Collected collected;
  std::uint64_t inline_bytes = 0;
  state_->is_stopped = false;
  state_->last_step = {};
  // Sizes alone: values are last in their rows, so this walks the table without reading them.
  Statement sum(*state_->database,
                fmt::format("SELECT ifnull(sum(size), 0) FROM version WHERE {} AND size <= {}",
                            is_good, inline_value_bytes));
  auto found = sum.next();
  if (!found) return tl::unexpected(found.error());
  inline_bytes = static_cast<std::uint64_t>(sum.integer(0));
  sum.reset();
  collected.bytes_before = inline_bytes + state_->blobs->usage().second;
  for (auto step : {&State::trim_history, &State::evict, &State::sweep}) {
    if (auto done = ((*state_).*step)(request, now, collected); !done)
      return tl::unexpected(done.error());
    if (state_->is_stopped) break;
  }
  collected.is_complete = !state_->is_stopped;
  if (!request.dry_run)
    if (auto noted = state_->count_evicted(collected); !noted) return tl::unexpected(noted.error());
  return collected;
}

}  // namespace reprise::cache
