// What was said about this machine, read.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "cli/options.hpp"
#include "core/result.hpp"
#include "flow/flow_spec.hpp"

namespace reprise::cli {

struct ParsedMachine {
  Resources capacity{0, 0, {}};  // 0 = not said
  std::map<std::string, std::string> labels;
  std::map<std::string, std::uint32_t> limits;
  std::map<std::string, double> weights;
};

/// @error invalid_argument: names the flag and what is wrong with it
[[nodiscard]] Result<ParsedMachine> parse_machine(const MachineOptions& options);

}  // namespace reprise::cli
