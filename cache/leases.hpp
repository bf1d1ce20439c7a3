// Who computes what: of all who miss the same key, in any process and on any node that share the
// leases, one at a time computes and publishes; the others wait for it.
//
// A lease is an owner, a token and an end. Tokens of a key only grow, so that a publication can be
// refused when its owner was given up meanwhile (docs/caching.md, "Sharing"). Leases hold up work
// only; they decide nothing about whether a value is right. Losing them costs a second computation.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cache/store.hpp"
#include "core/result.hpp"
#include "core/time.hpp"

namespace reprise::cache {

struct LeaseWish {
  Key key{};
  bool even_if_published = false;  // to compute again what is there: refresh, or it was not usable
};

/// Who asks, for how long, and when.
struct LeaseTerms {
  std::string
      owner{};  // "node/worker#incarnation": 1 to 256 bytes; the same one gets its lease again
  Duration term = std::chrono::seconds{30};  // 1 ms to 1 day
  Time now{};  // leases shared between nodes go by their server's clock instead

  /// @error invalid_argument
  [[nodiscard]] Status check() const;
};

struct LeaseAnswer {
  enum class Kind : std::uint8_t {
    granted,    // to you: compute, renew every third of the term, and commit with this lease
    held,       // somebody else computes it
    published,  // a fresh result is there: look it up
  };

  Kind kind = Kind::published;
  Lease lease{};  // yours, or who holds it; the token of others is not told
  Time since{};   // it is held
  Time until{};   // it ends unless it is renewed
};

struct HeldLease {
  Key key{};
  Lease lease{};
};

class Leases {
 public:
  virtual ~Leases() = default;

  /// Asks for many at once. An owner who holds a lease gets the same one, prolonged.
  /// @return one answer per wish, in order
  /// @error invalid_argument: terms; unavailable, exhausted, denied, io. Blocks.
  [[nodiscard]] virtual Result<std::vector<LeaseAnswer>> acquire(std::span<const LeaseWish> wishes,
                                                                 const LeaseTerms& terms) = 0;
  /// Prolongs; the owner is the lease's. False: it was lost, for good.
  /// @error as acquire
  [[nodiscard]] virtual Result<std::vector<bool>> renew(std::span<const HeldLease> leases,
                                                        const LeaseTerms& terms) = 0;
  /// Gives up without a result. False: it was not held any more.
  /// @error as acquire
  [[nodiscard]] virtual Result<std::vector<bool>> release(std::span<const HeldLease> leases,
                                                          Time now) = 0;
  /// Gives up all that an owner holds who is known to be dead, so that nobody waits until it runs
  /// out. Does nothing where that cannot be found out: leases of a server shared between nodes.
  /// @error as acquire
  [[nodiscard]] virtual Status release_all_of(std::string_view owner) {
    static_cast<void>(owner);
    return {};
  }
};

/// A result, or who is to make it.
struct FoundOrLeased {
  std::optional<Record> record{};
  std::optional<LeaseAnswer> lease{};  // without a record, or with a stale one: granted or held
  Tier tier = Tier::local;             // as Found
  Miss miss = Miss::absent;
};

/// Looks up a whole ready set; what misses, or is stale, is leased or told who computes it. A
/// result that was published between the two is looked up again; one that then is still of no use
/// (its value is gone) is leased all the same.
/// @error as Store::look_up and Leases::acquire. Blocks.
[[nodiscard]] Result<std::vector<FoundOrLeased>> look_up_or_lease(Store& store, Leases& leases,
                                                                  std::span<const Query> queries,
                                                                  const LeaseTerms& terms);

}  // namespace reprise::cache
