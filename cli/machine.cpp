#include "cli/machine.hpp"

#include <charconv>
#include <cmath>
#include <string_view>

#include <fmt/format.h>

#include "core/text.hpp"

namespace reprise::cli {
namespace {

/// Calls `add` with each assignment of a list, in which commas separate several.
template <class Add>
Status for_each_assignment(const std::vector<std::string>& list, std::string_view option, Add add) {
  for (const std::string& text : list) {
    std::string_view rest = text;
    while (!rest.empty()) {
      const std::size_t comma = rest.find(',');
      const auto assignment = parse_assignment(rest.substr(0, comma), option);
      if (!assignment) return tl::unexpected(assignment.error());
      if (const Status added = add(*assignment); !added) return added;
      rest = comma == std::string_view::npos ? std::string_view() : rest.substr(comma + 1);
    }
  }
  return {};
}

template <class Number>
Result<Number> parse(const std::string& text, std::string_view what, Number least, Number most) {
  Number number{};
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, number);
  if (error != std::errc{} || stop != end || !(number >= least && number <= most))
    return fail(ErrorCode::invalid_argument,
                fmt::format("{} \"{}\" is no {} from {} to {}", what, escape_for_terminal(text),
                            std::is_integral_v<Number> ? "whole number" : "number", least, most));
  return number;
}

}  // namespace

Result<ParsedMachine> parse_machine(const MachineOptions& options) {
  ParsedMachine machine;
  if (!options.cpus.empty()) {
    const auto cpus = parse<double>(options.cpus, "--cpus", 0.001, 1'000'000);
    if (!cpus) return tl::unexpected(cpus.error());
    machine.capacity.cpu_milli = static_cast<std::uint32_t>(std::lround(*cpus * 1000));
  }
  machine.capacity.memory_bytes = options.memory.value_or(0);
  const auto count = [](auto& into, std::string_view option, auto least, auto most) {
    return [&into, option, least, most](const Assignment& each) -> Status {
      const auto number = parse(each.value, fmt::format("{} {}:", option, each.name), least, most);
      if (!number) return tl::unexpected(number.error());
      into[each.name] = *number;
      return {};
    };
  };
  if (const Status read = for_each_assignment(
          options.resources, "--resource",
          count(machine.capacity.custom, "--resource", std::uint64_t{0}, std::uint64_t{1} << 53));
      !read)
    return tl::unexpected(read.error());
  for (const char* own : {"cpus", "memory"})
    if (machine.capacity.custom.contains(own))
      return fail(ErrorCode::invalid_argument, fmt::format("--resource {0}: use --{0}", own));
  if (options.gpus > 0) machine.capacity.custom[std::string(gpus_name)] = options.gpus;
  if (const Status read = for_each_assignment(options.labels, "--label",
                                              [&](const Assignment& each) -> Status {
                                                machine.labels[each.name] = each.value;
                                                return {};
                                              });
      !read)
    return tl::unexpected(read.error());
  if (const Status read = for_each_assignment(
          options.limits, "--limit",
          count(machine.limits, "--limit", std::uint32_t{1}, std::uint32_t{1'000'000'000}));
      !read)
    return tl::unexpected(read.error());
  if (const Status read = for_each_assignment(
          options.weights, "--weight", count(machine.weights, "--weight", 0.001, 1'000'000.0));
      !read)
    return tl::unexpected(read.error());
  return machine;
}

}  // namespace reprise::cli
