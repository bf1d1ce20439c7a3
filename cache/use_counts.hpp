// What became of look-ups and results, counted by name: what `reprise cache stats` shows.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "core/time.hpp"

namespace reprise::cache {

/// Sums under names of two words with a dot between them:
///
///   hit.      memory local redis stale waited pinned: look-ups that were answered
///   miss.     first_seen version signature code salt dep param platform env command arg expired
///             max_age invalidated evicted corrupt bad_mac type_mismatch foreign_schema
///             history_horizon
///   bypass.   off refresh uncacheable tier_down wait_timeout oom: nothing was looked up, or what
///             was found out did not count
///   unkept.   input_changed fenced lease_lost too_large publish_dropped failed read_only
///             uncacheable refused: results that are not kept
///   saved.    ns: what the results of hits had cost
///   wait.     count ns: look-ups that waited for somebody else's computation
///   bytes.    read written: of values
///   evicted.  count bytes ns: by collecting
///
/// Every look-up is one of the first three: their sum is look_ups().
class UseCounts {
 public:
  void add(std::string_view name, std::int64_t by = 1) {
    if (by == 0) return;
    if (const auto known = sums_.find(name); known != sums_.end())
      known->second += by;
    else
      sums_.emplace(name, by);
  }
  void add(std::string_view kind, std::string_view what, std::int64_t by) {
    std::string name(kind);
    name.append(".").append(what);
    add(name, by);
  }
  UseCounts& operator+=(const UseCounts& more) {
    for (const auto& [name, by] : more.sums_) add(name, by);
    return *this;
  }

  [[nodiscard]] bool is_empty() const { return sums_.empty(); }
  [[nodiscard]] std::int64_t of(std::string_view name) const {
    const auto known = sums_.find(name);
    return known == sums_.end() ? 0 : known->second;
  }
  /// What is counted under `kind`, by what follows the dot.
  [[nodiscard]] std::map<std::string, std::int64_t> all_of(std::string_view kind) const {
    std::map<std::string, std::int64_t> found;
    for (const auto& [name, sum] : sums_)
      if (name.size() > kind.size() && name[kind.size()] == '.' && name.starts_with(kind))
        found.emplace(name.substr(kind.size() + 1), sum);
    return found;
  }
  [[nodiscard]] std::int64_t sum_of(std::string_view kind) const {
    std::int64_t sum = 0;
    for (const auto& [what, each] : all_of(kind)) sum += each;
    return sum;
  }
  [[nodiscard]] std::int64_t look_ups() const {
    return sum_of("hit") + sum_of("miss") + sum_of("bypass");
  }
  [[nodiscard]] const std::map<std::string, std::int64_t, std::less<>>& sums() const {
    return sums_;
  }

  bool operator==(const UseCounts&) const = default;

 private:
  std::map<std::string, std::int64_t, std::less<>> sums_;
};

}  // namespace reprise::cache
