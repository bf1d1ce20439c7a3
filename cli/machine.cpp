#include "cli/machine.hpp"

#include <fmt/format.h>

#include "core/assignment.hpp"
#include "worker/declaration.hpp"

namespace reprise::cli {

Result<ParsedMachine> parse_machine(const MachineOptions& options) {
  auto declared = worker::read_declaration(
      {options.cpus, options.memory, options.gpus, options.resources, options.labels});
  if (!declared) return tl::unexpected(declared.error());
  ParsedMachine machine;
  machine.capacity = std::move(declared->capacity);
  machine.labels = std::move(declared->labels);
  const Status limited =
      for_each_assignment(options.limits, "--limit", [&](const Assignment& each) -> Status {
        const auto limit =
            parse_whole_number(each.value, fmt::format("--limit {}:", each.name), 1, 1'000'000'000);
        if (!limit) return tl::unexpected(limit.error());
        machine.limits[each.name] = static_cast<std::uint32_t>(*limit);
        return {};
      });
  if (!limited) return tl::unexpected(limited.error());
  const Status weighted =
      for_each_assignment(options.weights, "--weight", [&](const Assignment& each) -> Status {
        const auto weight =
            parse_number(each.value, fmt::format("--weight {}:", each.name), 0.001, 1'000'000);
        if (!weight) return tl::unexpected(weight.error());
        machine.weights[each.name] = *weight;
        return {};
      });
  if (!weighted) return tl::unexpected(weighted.error());
  return machine;
}

}  // namespace reprise::cli
