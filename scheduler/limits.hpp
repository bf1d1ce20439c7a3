// How many tasks that count against a named limit are under way, and whether there may be more.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "core/result.hpp"
#include "flow/flow_spec.hpp"

namespace reprise::scheduler {

/// Tasks at once, by name of the limit.
using LimitSizes = std::map<std::string, std::uint32_t>;

/// @error invalid_argument: a task counts against a limit that nobody set
[[nodiscard]] Status check_limits(const FlowSpec& flow, const LimitSizes& sizes);

class Limits {
 public:
  explicit Limits(LimitSizes sizes = {});

  /// The first of `names` that is full; nullptr: there is room. Unknown ones are never full.
  [[nodiscard]] const std::string* full(const std::vector<std::string>& names) const;
  void take(const std::vector<std::string>& names);
  void release(const std::vector<std::string>& names);
  [[nodiscard]] std::uint32_t size_of(const std::string& name) const;
  [[nodiscard]] std::uint32_t taken_of(const std::string& name) const;
  void check_invariants() const;

 private:
  struct Limit {
    std::uint32_t size = 0;
    std::uint32_t taken = 0;
  };
  std::map<std::string, Limit> limits_;
};

}  // namespace reprise::scheduler
