// Where results are kept between runs. Implementations in memory, in SQLite, in Redis, and one that
// joins two of them.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "cache/use_counts.hpp"
#include "core/cache_key.hpp"
#include "core/payload.hpp"
#include "core/result.hpp"
#include "core/time.hpp"
#include "core/ulid.hpp"

namespace reprise::cache {

/// What may become of a version; the numbers are part of the format of cache.db and of Redis.
enum class VersionStatus : std::int64_t {
  ok = 0,
  negative = 1,   // a failure that is remembered; its value is a KeptFailure (flow/cache_life.hpp)
  tombstone = 2,  // from here on there is no result
  damaged = 3,    // its value did not match its digest; the number is not used again
};

/// One version of the result kept under a key. Versions are never changed; a newer one supersedes
/// an older.
struct Record {
  Key key;
  std::uint32_t version = 0;  // 1, 2, 3 … per key
  std::string name;           // the task's cache name
  Payload value;              // from find always at hand; see list and versions
  Time committed;
  std::optional<Time> expires;  // fresh while now < expires
  RunId run;                    // that produced it
  std::string task;             // display name of the task in that run
  Duration cost{0};             // how long the body took
  std::string material;         // Material::encode(), to explain misses; only from versions
  VersionStatus status = VersionStatus::ok;  // or negative

  [[nodiscard]] bool is_fresh(Time now) const { return !expires || now < *expires; }
};

/// What a reader takes under one key, besides a fresh result.
struct Query {
  Key key;
  std::optional<Duration> max_age{};  // committed at most this long ago; none = whenever
  // Where there is nothing fresh: the newest result that is over since less than this.
  Duration stale{0};
  bool failures = false;          // a remembered failure is an answer, too
  std::optional<RunId> not_of{};  // what this run made is none; none = whoever made it

  /// The newest version decides: fresh wins over stale, wherever it stands.
  [[nodiscard]] bool takes(const Record& version, Time now) const {
    if (not_of == version.run) return false;
    if (version.status == VersionStatus::negative && !failures) return false;
    return version.is_fresh(now) && (!max_age || now - version.committed <= *max_age);
  }
  [[nodiscard]] bool takes_stale(const Record& version, Time now) const {
    return not_of != version.run && version.status == VersionStatus::ok && version.expires &&
           *version.expires <= now && now - *version.expires < stale &&
           (!max_age || now - version.committed <= *max_age);
  }
};

/// Where an answer came from.
enum class Tier : std::uint8_t { memory, local, redis };

/// Why a store has no answer, as far as it can tell from what lies under the key.
enum class Miss : std::uint8_t {
  absent,  // nothing does
  expired,
  max_age,      // fresh, and too old for this reader
  invalidated,  // removed
  corrupt,
  evicted,         // the record is there, its value is not
  foreign_schema,  // a newer program wrote it
  bad_mac,         // nobody who has a key wrote it
};

/// Why a query does not take what is the newest of its key.
[[nodiscard]] Miss miss_of_newest(const Query& query, const Record& newest, Time now);

/// What a store knows of one query.
struct Found {
  std::optional<Record> record{};
  Tier tier = Tier::local;
  Miss miss = Miss::absent;  // without a record, or with one that is stale
};

/// The right to publish under a key, given by Leases::acquire (cache/leases.hpp).
struct Lease {
  /// Who can tell whether it is still held: the store of a data folder (or of a process) knows
  /// nothing of leases given by a server shared between nodes, and the other way round.
  enum class Scope : std::uint8_t { folder, shared };

  Scope scope = Scope::folder;
  std::string owner{};      // at most 256 bytes of any kind
  std::uint64_t token = 0;  // grows with every lease of a key

  bool operator==(const Lease&) const = default;
};

/// A result to keep. The store assigns the version.
struct Commit {
  Key key;
  std::string name;
  Payload value;
  std::optional<Duration> expires_after;
  RunId run;
  std::string task;
  Duration cost{0};
  std::string material;
  std::optional<Lease> lease{};  // to be held still; none = whoever comes may write
  // Store::removals() when its computation began: what was removed later is not kept. None = it was
  // not computed, or by nobody who asked.
  std::optional<std::uint64_t> since{};
  std::optional<Time> committed{};           // where this is a copy from another store; none = now
  VersionStatus status = VersionStatus::ok;  // or negative
  // A version of its own also where the value is the current one: its age counts from now. For
  // readers who ask for a max_age.
  bool anew = false;
};

/// What is kept already, to be kept elsewhere or once more; without expiry and material.
[[nodiscard]] Commit copy_of(const Record& record);

/// What became of a commit.
enum class Kept : std::uint8_t {
  added,      // a new version
  same,       // the value was current already; its expiry was set anew
  duplicate,  // the same, but the lease is not held any more: late news, nothing changed
  fenced,     // the lease is not held any more, or it was removed while it was computed, and
              // another value may be there: nothing was kept
  older,      // a copy of what was superseded here: nothing was kept
  foreign,    // what lies under the key was written by a newer program: it was left alone
};

struct Listing {
  std::string name_prefix{};    // empty = all
  std::optional<Time> as_of{};  // as the list would have been then; none = now
  std::uint32_t limit = 1000;
};

/// What is known of one key at a moment in the past.
struct KeyPast {
  struct Version {
    Record record;  // without value and material; `expires` as it was then
    VersionStatus status = VersionStatus::ok;
  };
  std::vector<Version> versions;  // committed at that moment or before, newest first
  std::optional<Time> horizon;    // what was before this is not known any more
};

/// An answer out of the past.
struct PastAnswer {
  std::optional<Record> record;   // none: there was no fresh result then
  std::optional<Time> horizon{};  // set: nobody knows any more what was before this moment
};

struct Statistics {
  std::uint64_t entries = 0;  // keys with a current version
  std::uint64_t versions = 0;
  std::uint64_t value_bytes = 0;  // of all versions
  std::uint64_t blob_files = 0;
  std::uint64_t blob_bytes = 0;
  std::uint64_t look_ups = 0;  // since the store was made = hits + misses
  std::uint64_t hits = 0;
  std::uint64_t misses = 0;
  std::uint64_t corrupt = 0;  // versions dropped because their value did not match its digest
  std::uint64_t fenced = 0;   // commits refused because their lease was not held any more
  UseCounts use{};            // told to count()

  bool operator==(const Statistics&) const = default;
};

class Store {
 public:
  virtual ~Store() = default;

  /// The newest record of each key that its query takes, in the order asked; nullopt is a miss.
  /// Every value's digest was verified; one that does not match is dropped, counted and a miss.
  /// What is found stale counts as a miss, too: it is about to be computed anew.
  /// @param queries  at most 100'000; keys may occur twice
  /// @error unavailable, io. Blocks.
  [[nodiscard]] virtual Result<std::vector<Found>> search(std::span<const Query> queries,
                                                          Time now) = 0;
  /// The same for those who do not ask why and where from.
  [[nodiscard]] Result<std::vector<std::optional<Record>>> find(std::span<const Query> queries,
                                                                Time now);
  /// The same for fresh results of any age.
  [[nodiscard]] Result<std::vector<std::optional<Record>>> look_up(std::span<const Key> keys,
                                                                   Time now);
  /// Keeps all of them or none, but for those whose lease (of a scope that this store can tell) is
  /// not held any more. Committing the value that is already current is no new version, but its
  /// expiry counts from now; the value of a failure is never that of a result. A lease ends with
  /// the commit that presents it.
  /// @return one answer per commit, in order
  /// @error invalid_argument: a value is none or not at hand; unavailable, exhausted (disk full),
  /// io. Blocks.
  virtual Result<std::vector<Kept>> commit(std::span<const Commit> commits, Time now) = 0;

  /// The number of the newest removal, for the commit of what begins to be computed now. 0 where
  /// nothing is removed, and where nobody can tell. Blocks.
  [[nodiscard]] virtual std::uint64_t removals() { return 0; }
  /// Which of these would not be kept, because they were removed meanwhile; none where nobody can
  /// tell. Blocks.
  [[nodiscard]] virtual std::vector<bool> are_removed(std::span<const Commit> commits) {
    return std::vector<bool>(commits.size());
  }

  /// The newest version of each key, whether expired or not, newest first. Values by digest and
  /// size only.
  [[nodiscard]] virtual Result<std::vector<Record>> list(const Listing& listing) = 0;
  /// All versions of the keys that start with `key_prefix` (hex digits, with or without "k1:"),
  /// newest first. Values are at hand up to 64 MiB altogether, the newest ones first. @error
  /// invalid_argument: not hex digits
  [[nodiscard]] virtual Result<std::vector<Record>> versions(std::string_view key_prefix) = 0;
  [[nodiscard]] virtual Result<Statistics> statistics() = 0;
  /// Adds to statistics().use; kept within about a second where the store lasts. That this fails is
  /// no trouble.
  virtual void count(const UseCounts& seen) { static_cast<void>(seen); }
  /// Everything that statistics() counts begins at zero again; what is kept stays.
  /// @error unavailable: this store cannot; io
  virtual Status forget_counts();
  /// Why the last look_up() may have missed what is kept: a part of the store did not answer.
  /// Empty: all did. Does not block.
  [[nodiscard]] virtual std::string impairment() const { return {}; }

  // What was. These have a general implementation over list() and versions() that knows neither
  // tombstones nor what was removed; a store that keeps such things knows better.

  /// What look_up() gave, or would have given, at `moment`: only versions committed by then count,
  /// and expiry is judged as of then; remembered failures are passed over. Values are verified.
  /// Changes nothing, counts nothing.
  /// @error unavailable, io. Blocks.
  [[nodiscard]] virtual Result<std::vector<PastAnswer>> look_up_as_of(std::span<const Key> keys,
                                                                      Time moment);
  /// @error unavailable, io. Blocks.
  [[nodiscard]] virtual Result<KeyPast> past_of(const Key& key, Time moment);
  /// Versions under one cache name that were committed by `moment`, newest first, with materials
  /// and without values: those that may explain a miss.
  /// @error unavailable, io. Blocks.
  [[nodiscard]] virtual Result<std::vector<Record>> recent(std::string_view name, Time moment,
                                                           std::uint32_t limit);
  /// Newest first, without values and with materials: the versions whose value has this digest.
  /// @param digest_prefix  hex digits, with or without "sha256:". @error invalid_argument: not that
  [[nodiscard]] virtual Result<std::vector<Record>> versions_of_value(
      std::string_view digest_prefix, std::uint32_t limit);
};

}  // namespace reprise::cache
