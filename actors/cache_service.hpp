// What the cache actor does, without CAF: makes keys, looks them up, tells who computes what
// misses, keeps results. A store that fails is a miss and a counter, never a failed task.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "actors/single_flight.hpp"
#include "cache/blob_store.hpp"
#include "cache/candidates.hpp"
#include "cache/leases.hpp"
#include "cache/miss_reasons.hpp"
#include "cache/store.hpp"
#include "core/clock.hpp"
#include "core/key_space.hpp"
#include "scheduler/events.hpp"
#include "worker/material.hpp"

namespace reprise::actors {

struct CacheServiceOptions {
  std::shared_ptr<cache::Store> store;
  std::shared_ptr<cache::Leases> leases;       // null: others are not kept from computing the same
  std::unique_ptr<worker::FileHasher> hasher;  // digests of input files, for the keys of commands
  KeySpace space{};
  std::shared_ptr<Clock> clock;
  // Takes in what is found at targets; files that results speak of are in it. May be null.
  std::shared_ptr<cache::BlobStore> blobs;
  // Whether the owner of a lease of this folder is known to be no more; null: of nobody.
  std::function<bool(const std::string& owner)> is_dead{};
  // A result that is larger, with the files it speaks of, is not kept.
  std::uint64_t max_value_bytes = 1ull << 30;
};

/// Of all attempts that miss one key, of this process or another that shares the leases, one at a
/// time computes; the answers to the others wait for its result (docs/caching.md, "Sharing"). Tasks
/// of one run never wait for each other. Blocks on the store; one thread at a time.
class CacheService {
 public:
  /// A process that died holds the others up no longer than this.
  static constexpr Duration lease_term = std::chrono::seconds{10};
  /// Nobody waits longer for somebody else: what he computes may be stuck.
  static constexpr Duration wait_most = std::chrono::minutes{10};

  explicit CacheService(CacheServiceOptions options)
      : options_(std::move(options)), reasons_(*options_.store) {}

  /// @return the answers that are known now; the others come from one of the functions below
  [[nodiscard]] scheduler::LookedUp look_up(std::vector<Attempt> attempts);
  /// Looks after those who wait: all, or those for one of `keys`.
  [[nodiscard]] scheduler::LookedUp look_again();
  [[nodiscard]] scheduler::LookedUp look_again(std::span<const Key> keys);
  /// Keeps results, with what went into their keys, and ends their leases. Those who wait for them
  /// are to be looked after then.
  /// @return one line per commit: why it was not kept; empty = it was
  std::vector<std::string> commit(std::span<cache::Commit> commits);
  /// Computations that ended without a result to keep, and what there is to count of them.
  void give_up(std::span<const Key> keys, const cache::UseCounts& why);
  /// A run came to rest. @return what it was to compute still and nobody computes now
  /// @param past_cache  tasks of it that were not looked up, because it said off
  std::vector<Key> end_run(scheduler::RunIndex run, std::uint64_t past_cache = 0);
  /// Prolongs the leases of what is computed here; every third of lease_term.
  void renew();
  /// Gives up everything.
  void close();

  [[nodiscard]] bool has_waiting() const { return flights_.has_waiting(); }
  /// What they wait for; a key may be there twice.
  [[nodiscard]] std::vector<Key> waited_for() const { return flights_.waited_for(); }
  [[nodiscard]] bool has_leases() const { return flights_.has_leases(); }

 private:
  using Asked = SingleFlight::Waiting;
  /// What went into a key, and the files that were read for it.
  struct Made {
    std::string material;
    std::vector<worker::LocalInput> read;
    std::optional<std::uint64_t> since{};  // Store::removals() when the first of them began
  };

  [[nodiscard]] bool look_at_candidates(const Attempt& attempt, const Material& material,
                                        cache::CandidateSearch& search, scheduler::Answer& answer);
  [[nodiscard]] std::string changed_input(const Made& made);
  void forget_made(const Key& key);
  void note_begin(const Attempt& attempt, const Key& key, std::uint64_t removals);
  [[nodiscard]] std::optional<std::uint64_t> beginning_of(const RunId& run) const;
  void look_at_other_accounts(std::vector<Asked>& asked, std::vector<scheduler::Answer>& known,
                              Time now);
  [[nodiscard]] Key key_as_of(const Material& material, const Key& own, Time moment) const;
  void look_at_target(const Attempt& attempt, scheduler::Answer& answer);
  void look_up_as_of(const Attempt& attempt, scheduler::Answer& answer);
  [[nodiscard]] scheduler::LookedUp find_or_wait(std::vector<Asked> asked);
  [[nodiscard]] std::vector<Result<cache::FoundOrLeased>> find_or_lease(
      const std::vector<Asked>& asked, Time now);
  [[nodiscard]] Result<std::vector<cache::FoundOrLeased>> find_or_lease(
      const std::vector<cache::Query>& queries, const cache::LeaseTerms& terms);
  /// A result whose files are not all there, and right, is of no use: says which one is not.
  struct Loss {
    cache::Miss miss = cache::Miss::evicted;  // or corrupt
    std::string text;                         // one line
  };
  [[nodiscard]] std::optional<Loss> lost_file(const Payload& value) const;
  [[nodiscard]] bool has_its_files(const Payload& value) const { return !lost_file(value); }
  [[nodiscard]] static std::string gone_since(Time moment, const Loss& loss);
  [[nodiscard]] bool serve(const Asked& asked, cache::FoundOrLeased& found, Time now,
                           scheduler::Answer& answer);
  void prolong(const std::vector<Asked>& asked,
               const std::vector<Result<cache::FoundOrLeased>>& found, Time now);
  void tell_wait(Asked& asked, const std::optional<cache::LeaseAnswer>& lease,
                 scheduler::LookedUp& answers) const;
  [[nodiscard]] bool may_wait(const Asked& asked, Time now) const;
  void count_wait(const Asked& asked, Time now);
  void count_hit(const Asked& asked, const cache::FoundOrLeased& found, Time now,
                 scheduler::Answer& answer);
  void count_miss(const Attempt& attempt, const Key& key, cache::Miss fate, Time now);
  void tell_counts();
  [[nodiscard]] std::string why_not(const cache::Commit& commit, const Made& made);

  CacheServiceOptions options_;
  // What went into the keys that missed, until their results arrive; bounded by the number of tasks
  // in flight.
  std::unordered_map<Key, Made> made_;
  // Store::removals() when the first task of a run began, by the run's index. It stands for tasks
  // whose key another one of the run had, too, and has committed.
  std::unordered_map<std::uint32_t, std::pair<RunId, std::uint64_t>> began_;
  SingleFlight flights_;
  cache::MissReasons reasons_;
  cache::UseCounts counts_;  // not told to the store yet
};

}  // namespace reprise::actors
