// A store of this node before one that nodes share.
//
//   look up   here first; what misses there; what is found there is taken over in the background
//   commit    kept here before anybody is told; the copy for there follows in the background,
//             unless it presents a lease that only there can be told: then that is asked first
//   removed   there by another node: not served here any more within a second, or once the server
//             is back; a copy that may have been is confirmed there first
//   leases    from there, as long as it answers; else from here, for the processes of this folder
//
// The shared store can make work faster and never fails it: whatever goes wrong there is a miss, a
// copy that comes later, or a number in tiers().
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "cache/invalidation_log.hpp"
#include "cache/leases.hpp"
#include "cache/store.hpp"

namespace reprise::cache {

/// What happened between the tiers since the store was made.
struct TierCounts {
  std::uint64_t remote_hits = 0;
  std::uint64_t remote_misses = 0;
  std::uint64_t remote_unavailable = 0;  // keys not asked for there, because nobody answered
  std::uint64_t promoted = 0;            // records taken over from there
  std::uint64_t copied = 0;              // commits kept there, too
  std::uint64_t fenced = 0;              // commits refused there
  std::uint64_t waiting = 0;             // copies on their way
  std::uint64_t waiting_bytes = 0;
  std::uint64_t dropped = 0;  // copies and promotions given up: queue full, refused, or at the end
  std::uint64_t local_leases = 0;  // granted here, because nobody answered there
  std::string last_error{};        // of the shared store; empty = none yet

  bool operator==(const TierCounts&) const = default;
};

/// Safe from any thread. One thread of its own does what may lag.
class TieredStore final : public Store, public Leases {
 public:
  struct Options {
    std::unique_ptr<Store> local = nullptr;   // durable
    std::unique_ptr<Store> remote = nullptr;  // shared
    std::shared_ptr<Leases> local_leases = nullptr;
    std::shared_ptr<Leases> remote_leases = nullptr;           // null: only those of this folder
    std::shared_ptr<InvalidationLog> invalidations = nullptr;  // null: nobody tells of any
    /// Marks as removed here what was removed there, and when; null: it is only passed over.
    std::function<void(const std::map<Key, Time>&)> forget{};
    Duration coherence = std::chrono::seconds{1};    // for so long, what is told may be missed
    std::uint64_t queue_bytes = 64ull << 20;         // of values waiting; what is beyond is dropped
    Duration retry_pause = std::chrono::seconds{1};  // between attempts to copy
    Duration last_wait = std::chrono::seconds{2};    // for copies, when the store is given up
    std::function<Time()> clock = now;               // for how long promoted records stay fresh
    std::function<void(std::string)> warn{};  // one line for people, once for each kind of trouble
                                              // with the shared store; from any thread
  };
  explicit TieredStore(Options options);
  ~TieredStore() override;

  [[nodiscard]] Result<std::vector<Found>> search(std::span<const Query> queries,
                                                  Time now) override;
  /// @error of the local store only
  Result<std::vector<Kept>> commit(std::span<const Commit> commits, Time now) override;
  /// What is here, and of there the keys that are not here.
  [[nodiscard]] Result<std::vector<Record>> list(const Listing& listing) override;
  [[nodiscard]] Result<std::vector<Record>> versions(std::string_view key_prefix) override;
  // The past is what was known here.
  [[nodiscard]] Result<std::vector<PastAnswer>> look_up_as_of(std::span<const Key> keys,
                                                              Time moment) override;
  [[nodiscard]] Result<KeyPast> past_of(const Key& key, Time moment) override;
  [[nodiscard]] Result<std::vector<Record>> recent(std::string_view name, Time moment,
                                                   std::uint32_t limit) override;
  [[nodiscard]] Result<std::vector<Record>> versions_of_value(std::string_view digest_prefix,
                                                              std::uint32_t limit) override;
  /// Of the local store; hits include those found there by this process.
  [[nodiscard]] Result<Statistics> statistics() override;
  // Here.
  [[nodiscard]] std::uint64_t removals() override;
  [[nodiscard]] std::vector<bool> are_removed(std::span<const Commit> commits) override;
  void count(const UseCounts& seen) override;
  Status forget_counts() override;
  /// The shared store did not answer; "oom: …" when it is full and grants no lease.
  [[nodiscard]] std::string impairment() const override;

  [[nodiscard]] Result<std::vector<LeaseAnswer>> acquire(std::span<const LeaseWish> wishes,
                                                         const LeaseTerms& terms) override;
  /// A lease of which nobody can tell is taken to be held: the commit finds out.
  [[nodiscard]] Result<std::vector<bool>> renew(std::span<const HeldLease> leases,
                                                const LeaseTerms& terms) override;
  [[nodiscard]] Result<std::vector<bool>> release(std::span<const HeldLease> leases,
                                                  Time now) override;
  [[nodiscard]] Status release_all_of(std::string_view owner) override;

  [[nodiscard]] TierCounts tiers() const;
  /// Waits until nothing is on its way. False: not in time.
  bool flush(Duration timeout);

 private:
  using Guard = std::unique_lock<std::mutex>;

  enum class Trouble : std::uint8_t { asking, keeping };
  void note(const Error& error, Trouble trouble);
  void hear_news();
  [[nodiscard]] std::vector<std::optional<Record>> doubted(std::span<const Query> keys,
                                                           std::vector<Found>& found);
  bool ask_remote(std::span<const Query> missing, std::span<const std::size_t> positions, Time now,
                  std::vector<Found>& found);
  std::vector<Kept> commit_leased(std::span<const Commit> commits, Time now,
                                  std::vector<bool>& is_settled);
  void queue_copy(const Commit& commit, Time now);
  void queue_promotion(const Record& record);
  void work(const std::stop_token& stop);
  void promote(Guard& guard);
  bool copy(Guard& guard);
  template <class Ask>
  Result<std::vector<bool>> ask_each(std::span<const HeldLease> leases, Ask ask);

  struct Copy {
    Commit commit;
    Time now;
  };

  Options options_;
  std::mutex local_order_;  // held while the local store is written
  mutable std::mutex mutex_;
  std::condition_variable_any changed_;
  std::deque<Copy> copies_;
  std::unordered_map<Key, std::uint32_t> uncopied_;  // copies waiting or on their way, by key
  std::unordered_map<Key, Record> promotions_;
  std::uint64_t promotion_bytes_ = 0;
  // Keys committed here while look-ups are under way, which may come back with something older.
  std::unordered_set<Key> overtaken_;
  std::uint32_t look_ups_ = 0;   // under way
  bool is_busy_ = false;         // the thread is at work on what it took from the queues
  bool is_remote_down_ = false;  // the last copy was not taken
  TierCounts counts_;
  std::int64_t dropped_copies_ = 0;  // not told to count() yet
  std::chrono::steady_clock::time_point news_due_{};
  InvalidationLog::News news_;                               // all that was told
  std::string impairment_;                                   // of the last look-up
  std::set<std::pair<Trouble, ErrorCode>> troubles_told_{};  // to people
  std::jthread worker_;                                      // last: it uses all of the above
};

}  // namespace reprise::cache
