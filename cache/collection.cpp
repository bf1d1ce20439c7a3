// Collecting: what goes to make room, in which order, and what stays.
//
// The table may have millions of rows, and others use it meanwhile. So rows are read in windows of
// a few hundred, what goes goes in transactions of as many, and nothing is held open between them;
// what is kept in memory is 60 bytes per entry where a budget asks for an order, and 200 per blob.
// Every step leaves a sound cache, so collecting may be stopped, or killed, after any of them.
//
// A dry run takes the same decisions in the same order; it notes what would be gone, and passes it
// over from there on.
#include <algorithm>
#include <chrono>
#include <system_error>
#include <thread>
#include <tuple>
#include <unordered_map>

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
  bool frees = true;  // something, once it and those that share its blobs are gone
};

// Bytes under one digest.
struct Held {
  std::uint64_t bytes = 0;
  std::uint32_t uses = 0;  // by versions that are there
  bool stays = false;      // whatever goes
};

// The bytes of a value that lie in its row.
std::uint64_t inline_bytes(const Record& record) {
  return record.value.size <= inline_value_bytes ? record.value.size : 0;
}

}  // namespace

struct Upkeep::State::Collection {
  const CollectRequest& request;
  Time now;
  std::vector<BlobFile> files;
  Collected collected{};
  std::unordered_map<Digest, Held> held{};  // by `files`
  std::uint64_t total = 0;                  // of results, each byte once
  std::set<Digest> freed{};                 // by entries that went
  std::set<std::int64_t> gone_versions{};   // in a dry run
  std::set<Key> gone_keys{};                // the same

  [[nodiscard]] bool is_gone(const UpkeepRow& row) const {
    return gone_versions.contains(row.id) || gone_keys.contains(row.record.key);
  }
  // Several files may have the same digest.
  void weigh_files() {
    for (const BlobFile& file : files) {
      Held& blob = held[file.digest];
      blob.bytes += file.bytes;
      blob.stays = blob.stays || file.modified > now - request.grace ||
                   request.blobs_in_use.contains(file.digest);
    }
  }
};

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
Status Upkeep::State::trim_history(Collection& collection) {
  const CollectRequest& request = collection.request;
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
    auto kept = is_kept(request, row.record);
    if (!kept) return kept;
    return !*kept;
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
      "w.number > v.number AND w.status <> 3)",
      nanoseconds(collection.now - request.keep_for));
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
                         ++collection.collected.versions;
                         if (row->status <= VersionStatus::negative)
                           collection.collected.value_bytes += inline_bytes(row->record);
                         if (request.dry_run) collection.gone_versions.insert(row->id);
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

Result<bool> Upkeep::State::is_kept(const CollectRequest& request, const Record& record) {
  if (request.active.contains(record.run)) return true;
  if (request.used.contains({record.key, record.value.digest})) return true;
  return is_pinned(record);
}

std::vector<Digest> Upkeep::State::blobs_of(const UpkeepRow& row) const {
  std::vector<Digest> digests;
  if (inline_bytes(row.record) == 0) digests.push_back(row.record.value.digest);
  for (const FileValue& file : files_of(row)) digests.push_back(file.content);
  return digests;
}

// What is there, and who needs it.
Status Upkeep::State::mark(Collection& collection) {
  collection.weigh_files();
  return each_window(is_good, Extra::value, collection.request.rows_per_step,
                     [&](std::vector<UpkeepRow>& rows) -> Status {
                       for (const UpkeepRow& row : rows) {
                         if (collection.is_gone(row)) continue;
                         const auto kept = is_kept(collection.request, row.record);
                         if (!kept) return tl::unexpected(kept.error());
                         collection.total += inline_bytes(row.record);
                         for (const Digest& digest : blobs_of(row)) {
                           const auto blob = collection.held.find(digest);
                           if (blob == collection.held.end()) continue;
                           if (blob->second.uses++ == 0) collection.total += blob->second.bytes;
                           blob->second.stays = blob->second.stays || *kept;
                         }
                       }
                       go_on(collection.request);
                       return {};
                     });
}

// Entries that are too old, then those that are worth least for the room they take
// (GreedyDual-Size-Frequency: uses × cost ÷ bytes), until the rest fits. Entries that share a blob
// have a part of it each.
Status Upkeep::State::evict(Collection& collection) {
  const CollectRequest& request = collection.request;
  const bool has_budget = request.max_age || request.max_bytes;
  if (has_budget)
    if (auto marked = mark(collection); !marked || is_stopped) return marked;
  std::vector<Candidate> candidates;
  const auto note = [&](const UpkeepRow& row) {
    const auto use = request.uses.find(row.record.key);
    Candidate candidate{row.id, 0, row.record.committed};
    double uses = 1;
    if (use != request.uses.end()) {
      uses += static_cast<double>(use->second.count);
      candidate.last = std::max(candidate.last, use->second.last);
    }
    std::uint64_t bytes = inline_bytes(row.record);
    const std::vector<Digest> digests = blobs_of(row);
    candidate.frees = digests.empty();
    for (const Digest& digest : digests) {
      const auto blob = collection.held.find(digest);
      if (blob == collection.held.end()) continue;
      bytes += blob->second.bytes / std::max(blob->second.uses, 1U);
      candidate.frees = candidate.frees || !blob->second.stays;
    }
    candidate.worth =
        uses * seconds(row.record.cost) / static_cast<double>(std::max(bytes, least_bytes));
    candidates.push_back(candidate);
  };
  const auto noted = each_window(is_head, has_budget ? Extra::value : Extra::none,
                                 request.rows_per_step, [&](std::vector<UpkeepRow>& rows) {
                                   if (has_budget) std::ranges::for_each(rows, note);
                                   collection.collected.entries_left += rows.size();
                                   go_on(request);
                                   return Status{};
                                 });
  if (!noted || is_stopped || !has_budget) return noted;
  std::ranges::sort(candidates, [](const Candidate& a, const Candidate& b) {
    return std::tie(a.worth, a.last, a.id) < std::tie(b.worth, b.last, b.id);
  });
  for (auto next = candidates.begin(); next != candidates.end() && !is_stopped;) {
    const auto step = [&]() -> Status {
      for (std::uint32_t n = 0; n < request.rows_per_step && next != candidates.end(); ++next) {
        const bool is_old = request.max_age && next->last < collection.now - *request.max_age;
        const bool is_much = request.max_bytes && collection.total > *request.max_bytes;
        if (!is_old && !is_much) continue;
        if (!is_old && !next->frees) {
          ++collection.collected.pinned;
          continue;
        }
        ++n;
        const auto freed = evict_one(collection, next->id, is_old ? "age" : "size");
        if (!freed) return tl::unexpected(freed.error());
        collection.total -= std::min(collection.total, *freed);
      }
      return {};
    };
    if (const Status done = request.dry_run ? step() : write(step); !done) return done;
    go_on(request);
  }
  if (request.max_bytes && collection.total > *request.max_bytes)
    collection.collected.over = collection.total - *request.max_bytes;
  return {};
}

// It may have been superseded, pinned or removed since it was noted. All versions of the key go
// with it, so each of them may keep it.
Result<std::uint64_t> Upkeep::State::evict_one(Collection& collection, std::int64_t version_id,
                                               std::string_view why) {
  Collected& collected = collection.collected;
  auto head = rows_where("id = ?1 AND " + std::string(is_head), version_id);
  if (!head) return tl::unexpected(head.error());
  if (head->empty()) return 0;
  Record& record = head->front().record;
  auto versions = rows_where("key = ?1 AND " + std::string(is_good), Blob{record.key.digest.raw()},
                             Extra::value);
  if (!versions) return tl::unexpected(versions.error());
  std::erase_if(*versions, [&](const UpkeepRow& row) { return collection.is_gone(row); });
  for (const UpkeepRow& row : *versions) {
    const auto kept = is_kept(collection.request, row.record);
    if (!kept) return tl::unexpected(kept.error());
    if (!*kept) continue;
    ++collected.pinned;
    return 0;
  }
  std::uint64_t bytes = 0;
  for (const UpkeepRow& row : *versions) {
    bytes += inline_bytes(row.record);
    for (const Digest& digest : blobs_of(row)) {
      const auto blob = collection.held.find(digest);
      if (blob == collection.held.end() || blob->second.uses == 0) continue;
      if (--blob->second.uses > 0 || blob->second.stays) continue;
      bytes += blob->second.bytes;
      collection.freed.insert(digest);
    }
    collected.value_bytes += inline_bytes(row.record);
    collected.evicted_bytes += inline_bytes(row.record);
    if (row.id != version_id) ++collected.versions;
  }
  if (collection.request.dry_run)
    collection.gone_keys.insert(record.key);
  else if (auto removed = remove_key(record.key, collection.now); !removed)
    return tl::unexpected(removed.error());
  collected.cost += record.cost;
  --collected.entries_left;
  collected.entries.push_back({std::move(record), std::string(why)});
  return bytes;
}

Result<std::unordered_set<Digest>> Upkeep::State::needed_blobs(const Collection& collection) {
  const CollectRequest& request = collection.request;
  std::unordered_set<Digest> needed(request.blobs_in_use.begin(), request.blobs_in_use.end());
  const auto marked =
      each_window(is_good, Extra::value, request.rows_per_step, [&](std::vector<UpkeepRow>& rows) {
        for (const UpkeepRow& row : rows)
          if (!collection.is_gone(row))
            for (const Digest& digest : blobs_of(row)) needed.insert(digest);
        go_on(request);
        return Status{};
      });
  if (!marked) return tl::unexpected(marked.error());
  return needed;
}

Status Upkeep::State::sweep(Collection& collection) {
  const CollectRequest& request = collection.request;
  Collected& collected = collection.collected;
  if (collection.files.empty()) return {};
  // Marked after the list was made: what is published meanwhile is younger than the grace time.
  auto needed = needed_blobs(collection);
  if (!needed) return tl::unexpected(needed.error());
  if (is_stopped) return {};
  std::uint32_t n = 0;
  for (const BlobFile& file : collection.files) {
    if (++n % request.rows_per_step == 0 && !go_on(request)) return {};
    if (needed->contains(file.digest)) continue;
    // As it is now: somebody may have made it young to refer to it.
    const auto still = blob_file(file.path);
    if (!still || still->modified > collection.now - request.grace) continue;
    ++collected.blobs;
    collected.blob_bytes += file.bytes;
    if (collection.freed.contains(file.digest)) collected.evicted_bytes += file.bytes;
    if (request.dry_run) continue;
    std::error_code error;
    fs::remove(file.path, error);
  }
  return {};
}

Status Upkeep::State::count_evicted(const Collected& collected) {
  if (collected.entries.empty()) return {};
  return write([&]() -> Status {
    Statement add(*database,
                  "INSERT INTO counter(name, value) VALUES(?1, ?2) "
                  "ON CONFLICT(name) DO UPDATE SET value = value + excluded.value");
    if (auto done = add.run(std::string_view("use.evicted.count"), collected.entries.size()); !done)
      return done;
    if (auto done = add.run(std::string_view("use.evicted.bytes"), collected.evicted_bytes); !done)
      return done;
    return add.run(std::string_view("use.evicted.ns"), collected.cost.count());
  });
}

Result<Collected> Upkeep::collect(const CollectRequest& request, Time now) {
  State::Collection collection{request, now, blob_files(state_->folder)};
  Collected& collected = collection.collected;
  state_->is_stopped = false;
  state_->last_step = {};
  // Sizes alone: values are last in their rows, so this walks the table without reading them.
  Statement sum(*state_->database,
                fmt::format("SELECT ifnull(sum(size), 0) FROM version WHERE {} AND size <= {}",
                            is_good, inline_value_bytes));
  auto found = sum.next();
  if (!found) return tl::unexpected(found.error());
  collected.bytes_before = static_cast<std::uint64_t>(sum.integer(0));
  sum.reset();
  for (const BlobFile& file : collection.files) collected.bytes_before += file.bytes;
  for (auto step : {&State::trim_history, &State::evict, &State::sweep}) {
    if (auto done = ((*state_).*step)(collection); !done) return tl::unexpected(done.error());
    if (state_->is_stopped) break;
  }
  collected.is_complete = !state_->is_stopped;
  if (!request.dry_run)
    if (auto noted = state_->count_evicted(collected); !noted) return tl::unexpected(noted.error());
  return std::move(collected);
}

}  // namespace reprise::cache
