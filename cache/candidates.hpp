// Earlier results that a task may take although they lie under another key: those of the same work
// (account, name, version, types, code, salts, dependencies, environment) that its validator finds
// valid.
//
// The exact key is the fast way. It finds nothing where the writer's validator compared other
// things than the reader's does, and never for a validator that is user code. Both then look
// through what is kept under the name, newest first.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "cache/explain.hpp"
#include "cache/store.hpp"
#include "core/cache_key.hpp"
#include "flow/attempt.hpp"
#include "flow/flow_spec.hpp"

namespace reprise::cache {

/// Whether only inputs and parameters of the run tell the two apart.
[[nodiscard]] bool is_same_work(const Material& mine, const Material& theirs);

/// Whether a stock validator finds a result valid that was kept with `theirs`, where `mine` holds
/// only what it compares. A validator that compares all inputs finds such results by their key
/// alone; never true for it, for `custom` and for `never_use`.
[[nodiscard]] bool is_valid_for(Validator validator, const Material& mine, const Material& theirs);

/// Whether a task with this policy looks for candidates at all.
[[nodiscard]] bool has_candidates(const CachePolicy& policy);

/// Asks the store once for each name, so it is to be made for one round of look-ups.
class CandidateSearch {
 public:
  static constexpr std::size_t candidates_max = 100;
  /// A user's validator sees the values of the newest candidates up to so many bytes together.
  static constexpr std::uint64_t bytes_max = std::uint64_t{64} << 20;

  /// @param moment  what was committed by then, and is fresh then
  /// @param past    the store is asked for what was there at `moment`, not for what is
  CandidateSearch(Store& store, Time moment, bool past)
      : store_(store), moment_(moment), past_(past) {}

  /// The newest result of each key that is the same work, and that `reader` takes, the newest
  /// first, without values.
  /// @param reader  query_of() the task
  /// @error unavailable, io
  [[nodiscard]] Result<std::vector<const Neighbour*>> same_work(const std::string& name,
                                                                const Material& mine,
                                                                const Query& reader);

  /// What a stock validator takes, with its value; none: nothing, or what its own key finds.
  /// @error as same_work()
  [[nodiscard]] Result<std::optional<Record>> valid(const std::string& name, const Material& mine,
                                                    const Query& reader, Validator validator);

  /// What a user's validator is asked about, with values; those that cannot be read are left out.
  /// @error as same_work()
  [[nodiscard]] Result<std::vector<Candidate>> for_user(const std::string& name,
                                                        const Material& mine, const Query& reader);

 private:
  [[nodiscard]] Result<std::vector<std::optional<Record>>> read(
      const std::vector<const Neighbour*>& chosen, const Query& reader);

  Store& store_;
  Time moment_;
  bool past_;
  std::map<std::string, std::vector<Neighbour>> by_name_;
};

}  // namespace reprise::cache
