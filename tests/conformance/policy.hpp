// Cache policies as the cases write them: "INPUTS + TASK_SOURCE - 'debug'", {"key_fn": "const:K"}.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "reprise/error.hpp"
#include "tests/conformance/case_file.hpp"

namespace reprise::conformance {

struct Policy {
  std::vector<std::string> parts;  // "INPUTS" …, in their order; empty: nothing is kept
  std::set<std::string> excluded;  // inputs that do not count
  std::string key_function;        // instead of parts
  std::string storage_key;         // instead of all
  std::map<std::string, std::string> configured;  // "isolation", "lock_manager", "key_storage"

  [[nodiscard]] bool is_off() const {
    return parts.empty() && key_function.empty() && storage_key.empty();
  }
  /// One at a time computes a key, the others wait for it.
  [[nodiscard]] bool is_serializable() const;
  [[nodiscard]] bool has(const std::string& part) const;
};

/// The policy of a call.
/// @param otherwise  where the call names none
/// @error invalid_argument: it contradicts itself, as a user would be told
/// @throws bad_case: this runner does not understand it
[[nodiscard]] expected<Policy> policy_of(const Json& call, const std::string& otherwise);

}  // namespace reprise::conformance
