// What people say that a machine has for tasks, read.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "core/result.hpp"
#include "flow/flow_spec.hpp"

namespace reprise::worker {

/// As flags and settings give it.
struct Declaration {
  std::string cpus;                     // "2", "0.5"; empty = a processor for each slot
  std::optional<std::uint64_t> memory;  // bytes; none = what the machine has
  std::uint32_t gpus = 0;
  std::vector<std::string> resources;  // "NAME=COUNT", or several after commas
  std::vector<std::string> labels;     // "NAME=VALUE", likewise
};

struct Declared {
  Resources capacity{0, 0, {}};  // 0 = not said
  std::map<std::string, std::string> labels;
};

/// @error invalid_argument: names the flag and what is wrong with it
[[nodiscard]] Result<Declared> read_declaration(const Declaration& declaration);

}  // namespace reprise::worker
