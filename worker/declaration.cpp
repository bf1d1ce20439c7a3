#include "worker/declaration.hpp"

#include <cmath>

#include <fmt/format.h>

#include "core/assignment.hpp"

namespace reprise::worker {

Result<Declared> read_declaration(const Declaration& declaration) {
  Declared declared;
  Resources& capacity = declared.capacity;
  if (!declaration.cpus.empty()) {
    const auto cpus = parse_number(declaration.cpus, "--cpus", 0.001, 1'000'000);
    if (!cpus) return tl::unexpected(cpus.error());
    capacity.cpu_milli = static_cast<std::uint32_t>(std::lround(*cpus * 1000));
  }
  capacity.memory_bytes = declaration.memory.value_or(0);
  const Status counted = for_each_assignment(
      declaration.resources, "--resource", [&](const Assignment& each) -> Status {
        const auto count = parse_whole_number(each.value, fmt::format("--resource {}:", each.name),
                                              0, std::uint64_t{1} << 53);
        if (!count) return tl::unexpected(count.error());
        capacity.custom[each.name] = *count;
        return {};
      });
  if (!counted) return tl::unexpected(counted.error());
  for (const char* own : {"cpus", "memory"})
    if (capacity.custom.contains(own))
      return fail(ErrorCode::invalid_argument, fmt::format("--resource {0}: use --{0}", own));
  if (declaration.gpus > 0) capacity.custom[std::string(gpus_name)] = declaration.gpus;
  const Status labelled =
      for_each_assignment(declaration.labels, "--label", [&](const Assignment& each) -> Status {
        declared.labels[each.name] = each.value;
        return {};
      });
  if (!labelled) return tl::unexpected(labelled.error());
  return declared;
}

}  // namespace reprise::worker
