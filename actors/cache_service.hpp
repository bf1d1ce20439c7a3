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

  explicit CacheService(CacheServiceOptions options) : options_(std::move(options)) {}

  /// @return the answers that are known now; the others come from one of the functions below
  [[nodiscard]] scheduler::LookedUp look_up(std::vector<Attempt> attempts);
  /// Looks after those who wait: all, or those for one of `keys`.
  [[nodiscard]] scheduler::LookedUp look_again();
  [[nodiscard]] scheduler::LookedUp look_again(std::span<const Key> keys);
  struct Committed {
    bool kept = false;  // all of them or none, but for those that were refused
    // By position: why a result is not to be kept, e.g. "input_changed: …"; empty: none is refused.
    std::vector<std::string> refused{};
  };
  /// Keeps results, with what went into their keys, and ends their leases; but not those whose
  /// input files are not what they were when their keys were made. Those who wait for them are to
  /// be looked after then.
  Committed commit(std::vector<cache::Commit> commits);
  /// Computations that ended without a result to keep.
  void give_up(std::span<const Key> keys);
  /// A run came to rest. @return what it was to compute still and nobody computes now
  std::vector<Key> end_run(scheduler::RunIndex run);
  /// Prolongs the leases of what is computed here; every third of lease_term.
  void renew();
  /// Gives up everything.
  void close();

  [[nodiscard]] bool has_waiting() const { return flights_.has_waiting(); }
  [[nodiscard]] bool has_leases() const { return flights_.has_leases(); }

 private:
  using Asked = SingleFlight::Waiting;

  /// What went into a key, and the files that were read for it.
  struct Made {
    std::string material;
    std::vector<worker::LocalInput> read;
  };

  [[nodiscard]] bool look_at_candidates(const Attempt& attempt, const Material& material,
                                        cache::CandidateSearch& search, scheduler::Answer& answer);
  [[nodiscard]] std::string changed_input(const Made& made);
  void look_at_target(const Attempt& attempt, scheduler::Answer& answer);
  void look_up_as_of(const Attempt& attempt, scheduler::Answer& answer);
  [[nodiscard]] scheduler::LookedUp find_or_wait(std::vector<Asked> asked);
  [[nodiscard]] std::vector<Result<cache::FoundOrLeased>> find_or_lease(
      const std::vector<Asked>& asked, Time now);
  [[nodiscard]] Result<std::vector<cache::FoundOrLeased>> find_or_lease(
      const std::vector<cache::Query>& queries, const cache::LeaseTerms& terms);
  [[nodiscard]] bool has_its_files(const Payload& value) const;
  [[nodiscard]] bool serve(const Asked& asked, cache::FoundOrLeased& found, Time now,
                           scheduler::Answer& answer);
  void prolong(const std::vector<Asked>& asked,
               const std::vector<Result<cache::FoundOrLeased>>& found, Time now);
  void tell_wait(Asked& asked, const std::optional<cache::LeaseAnswer>& lease,
                 scheduler::LookedUp& answers) const;
  [[nodiscard]] bool may_wait(const Asked& asked, Time now) const;

  CacheServiceOptions options_;
  // What went into the keys that missed, until their results arrive; bounded by the number of tasks
  // in flight.
  std::unordered_map<Key, Made> made_;
  SingleFlight flights_;
};

}  // namespace reprise::actors
