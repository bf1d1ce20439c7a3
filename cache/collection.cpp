// Collecting: what goes to make room, in which order, and what stays.
#include <algorithm>
#include <system_error>
#include <tuple>

#include <fmt/format.h>

#include "cache/blob_files.hpp"
#include "cache/upkeep.hpp"
#include "cache/upkeep_state.hpp"

namespace reprise::cache {
namespace {

namespace fs = std::filesystem;
using sqlite::Blob;
using sqlite::Statement;

constexpr std::size_t keys_at_once = 500;  // a transaction: others wait for no longer than that
constexpr std::uint64_t least_bytes = 4096;

std::int64_t nanoseconds(Time time) {
  return time.time_since_epoch().count();
}
Time time_of(std::int64_t nanoseconds) {
  return Time(Duration(nanoseconds));
}

}  // namespace

// Superseded versions beyond the newest few, once they are old.
Status Upkeep::State::trim_history(const CollectRequest& request, Time now, Collected& collected) {
  auto all =
      rows(fmt::format("committed < {} AND EXISTS(SELECT 1 FROM version w WHERE w.key = v.key "
                       "AND w.number > v.number)",
                       nanoseconds(now - request.keep_for)));
  if (!all) return tl::unexpected(all.error());
  std::vector<const UpkeepRow*> going;
  for (const UpkeepRow& row : *all) {
    Statement newer(
        *database,
        "SELECT count(*), (SELECT committed FROM version WHERE key = ?1 AND number > ?2 "
        "ORDER BY number LIMIT 1) FROM version WHERE key = ?1 AND number > ?2");
    newer.start(Blob{row.record.key.digest.raw()}, row.number);
    auto found = newer.next();
    if (!found) return tl::unexpected(found.error());
    if (newer.integer(0) < request.keep_versions) continue;
    auto pinned = is_pinned(row.record);
    if (!pinned) return tl::unexpected(pinned.error());
    if (*pinned || request.active.contains(row.record.run)) continue;
    going.push_back(&row);
    ++collected.versions;
    collected.value_bytes += row.status <= VersionStatus::negative ? row.record.value.size : 0;
  }
  if (request.dry_run) return {};
  for (std::size_t i = 0; i < going.size(); i += keys_at_once) {
    const auto done = write([&]() -> Status {
      for (std::size_t k = i; k < std::min(i + keys_at_once, going.size()); ++k) {
        const UpkeepRow& row = *going[k];
        Statement next(*database,
                       "SELECT committed FROM version WHERE key = ?1 AND number > ?2 ORDER BY "
                       "number LIMIT 1");
        next.start(Blob{row.record.key.digest.raw()}, row.number);
        auto found = next.next();
        if (!found) return tl::unexpected(found.error());
        if (*found)
          if (auto set = set_horizon(row.record.key, time_of(next.integer(0))); !set) return set;
        next.reset();
        if (auto removed = remove_version(row.id); !removed) return removed;
      }
      return {};
    });
    if (!done) return done;
  }
  return {};
}

// Entries that are too old, then those that are worth least for the room they take
// (GreedyDual-Size-Frequency: uses × cost ÷ bytes), until the rest fits.
Status Upkeep::State::evict(const CollectRequest& request, Time now, Collected& collected) {
  auto heads = rows(
      "status IN (0, 1) AND NOT EXISTS(SELECT 1 FROM version w WHERE w.key = v.key AND w.number > "
      "v.number AND w.status <> 3)");
  if (!heads) return tl::unexpected(heads.error());
  struct Candidate {
    const UpkeepRow* row;
    double worth;
    Time last;
    std::uint64_t bytes;
  };
  std::uint64_t total = collected.bytes_before;
  // What trimming history freed, or would.
  total -= std::min(total, collected.value_bytes);
  std::vector<Candidate> candidates;
  for (const UpkeepRow& row : *heads) {
    const auto use = request.uses.find(row.record.key);
    Candidate candidate{&row, 0, row.record.committed, row.record.value.size};
    double uses = 1;
    if (use != request.uses.end()) {
      uses += static_cast<double>(use->second.count);
      candidate.last = std::max(candidate.last, use->second.last);
    }
    if (auto value = value_of(row.id, row.record.value); value && *value) {
      if (const auto decoded = (*value)->value())
        for (const Digest& file : files_in(*decoded)) {
          const auto blob = blob_file(blobs->path_of(file));
          if (blob) candidate.bytes += blob->bytes;
        }
    }
    candidate.worth = uses * seconds(row.record.cost) /
                      static_cast<double>(std::max(candidate.bytes, least_bytes));
    candidates.push_back(candidate);
  }
  std::ranges::sort(candidates, [](const Candidate& a, const Candidate& b) {
    return std::tie(a.worth, a.last) < std::tie(b.worth, b.last);
  });
  std::set<Key> going;
  for (const Candidate& candidate : candidates) {
    const Record& record = candidate.row->record;
    const bool is_old = request.max_age && candidate.last < now - *request.max_age;
    const bool is_much = request.max_bytes && total > *request.max_bytes;
    if (!is_old && !is_much) continue;
    auto pinned = is_pinned(record);
    if (!pinned) return tl::unexpected(pinned.error());
    if (*pinned || request.active.contains(record.run)) {
      ++collected.pinned;
      continue;
    }
    going.insert(record.key);
    total -= std::min(total, candidate.bytes);
    collected.value_bytes += record.value.size;
    collected.cost += record.cost;
    collected.entries.push_back({record, is_old ? "age" : "size"});
    collected.entries.back().record.material.clear();
  }
  collected.entries_left = heads->size() - going.size();
  if (request.dry_run) return {};
  std::size_t done_keys = 0;
  std::vector<Key> keys(going.begin(), going.end());
  while (done_keys < keys.size()) {
    const auto done = write([&]() -> Status {
      for (std::size_t n = 0; n < keys_at_once && done_keys < keys.size(); ++n, ++done_keys)
        if (auto removed = remove_key(keys[done_keys], now); !removed) return removed;
      return {};
    });
    if (!done) return done;
  }
  return {};
}

Result<std::set<Digest>> Upkeep::State::needed_blobs(const std::set<Digest>& in_use) {
  std::set<Digest> needed = in_use;
  auto all = rows("status IN (0, 1)");
  if (!all) return tl::unexpected(all.error());
  for (const UpkeepRow& row : *all) {
    needed.insert(row.record.value.digest);
    auto value = value_of(row.id, row.record.value);
    if (!value) return tl::unexpected(value.error());
    if (!*value) continue;
    if (const auto decoded = (*value)->value())
      for (const Digest& file : files_in(*decoded)) needed.insert(file);
  }
  return needed;
}

Status Upkeep::State::sweep(const CollectRequest& request, Time now, Collected& collected) {
  const std::vector<BlobFile> files = blob_files(folder);
  // Marked after the list was made: what is published meanwhile is younger than the grace time.
  auto needed = needed_blobs(request.blobs_in_use);
  if (!needed) return tl::unexpected(needed.error());
  for (const BlobFile& file : files) {
    if (needed->contains(file.digest) || file.modified > now - request.grace) continue;
    ++collected.blobs;
    collected.blob_bytes += file.bytes;
    if (request.dry_run) continue;
    std::error_code error;
    fs::remove(file.path, error);
  }
  return {};
}

Result<Collected> Upkeep::collect(const CollectRequest& request, Time now) {
  Collected collected;
  Statement sum(
      *state_->database,
      "SELECT ifnull(sum(size), 0) FROM version WHERE status IN (0, 1) AND value IS NOT NULL");
  auto found = sum.next();
  if (!found) return tl::unexpected(found.error());
  collected.bytes_before =
      static_cast<std::uint64_t>(sum.integer(0)) + state_->blobs->usage().second;
  sum.reset();
  for (auto step : {&State::trim_history, &State::evict, &State::sweep})
    if (auto done = ((*state_).*step)(request, now, collected); !done)
      return tl::unexpected(done.error());
  if (!request.dry_run)
    if (auto done = state_->write([&] { return state_->recount(); }); !done)
      return tl::unexpected(done.error());
  return collected;
}

}  // namespace reprise::cache
