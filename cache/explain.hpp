// Why a result was not found in the cache: which parts of its key differ from the nearest result
// that is kept, or what became of the result that was there. Digests are all it takes, so this
// works long after the run, and before it.
#pragma once

#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cache/store.hpp"
#include "core/cache_key.hpp"

namespace reprise::cache {

/// One part of a key that differs. `reason` is from the closed list of docs/caching.md: version,
/// signature, code, salt, dep:<n>, param:<n>, platform, env:<n>, command, arg:<n>.
struct Difference {
  std::string reason;
  std::string before;  // text, or the digest's text; empty = the part was not there
  std::string now;

  bool operator==(const Difference&) const = default;
};

/// The parts that differ, in the order in which the first one is the primary reason: version,
/// signature, code, salt, dependencies, environment, arguments. Account and name are not compared.
[[nodiscard]] std::vector<Difference> differences(const Material& before, const Material& now);

/// Number of parts that a key has.
[[nodiscard]] std::size_t part_count(const Material& material);

/// A result that may be compared with.
struct Neighbour {
  Record record;  // without value and material
  Material material;
};

struct MissExplanation {
  std::string reason;                    // first_seen, or the first difference, or what became of
                                         // the result: expired max_age invalidated corrupt evicted
  std::vector<Difference> differences;   // from `nearest`; empty when the key itself was there
  std::optional<Neighbour> nearest;      // none: first_seen
  std::optional<KeyPast::Version> last;  // of the key itself, when it was there
};

/// @param now     what the key is made of
/// @param past    what is known of that key
/// @param task    display name of the task: its own last result is the nearest one, else the one
///                with the fewest differences among the newest `fewest_of` does
/// @param others  results under the same name, newest first; those of other accounts do not count
[[nodiscard]] MissExplanation explain_miss(const Material& now, const KeyPast& past,
                                           std::string_view task,
                                           std::span<const Neighbour> others);
inline constexpr std::size_t fewest_of = 100;

/// Explains misses against a store as it was at one moment; asks it once per name.
class Explainer {
 public:
  Explainer(Store& store, Time moment) : store_(store), moment_(moment) {}

  /// @param max_age  of results that the task takes; none = any
  /// @error unavailable, io: the store
  [[nodiscard]] Result<MissExplanation> miss(const Material& now, const Key& key,
                                             std::string_view task,
                                             std::optional<Duration> max_age = {});

 private:
  Store& store_;
  Time moment_;
  struct Neighbours {
    std::vector<Neighbour> all;
    std::map<std::string, std::size_t, std::less<>> newest_of_task;
  };
  std::map<std::string, Neighbours> by_name_;
};

}  // namespace reprise::cache
