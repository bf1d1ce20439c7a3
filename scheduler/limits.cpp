#include "scheduler/limits.hpp"

#include <fmt/format.h>

#include "core/assert.hpp"
#include "core/text.hpp"

namespace reprise::scheduler {

Status check_limits(const FlowSpec& flow, const LimitSizes& sizes) {
  for (const TaskKind& kind : flow.kinds)
    for (const std::string& name : kind.limits)
      if (!sizes.contains(name))
        return fail(ErrorCode::invalid_argument,
                    fmt::format("task \"{}\" counts against the limit \"{}\", which nobody set; "
                                "set it with --limit {}=N or the setting limits",
                                escape_for_terminal(kind.cache_name), escape_for_terminal(name),
                                escape_for_terminal(name)));
  return {};
}

Limits::Limits(LimitSizes sizes) {
  for (const auto& [name, size] : sizes) limits_[name].size = size;
}

const std::string* Limits::full(const std::vector<std::string>& names) const {
  for (const std::string& name : names)
    if (const auto found = limits_.find(name);
        found != limits_.end() && found->second.taken >= found->second.size)
      return &name;
  return nullptr;
}

void Limits::take(const std::vector<std::string>& names) {
  for (const std::string& name : names)
    if (const auto found = limits_.find(name); found != limits_.end()) ++found->second.taken;
}

void Limits::release(const std::vector<std::string>& names) {
  for (const std::string& name : names) {
    const auto found = limits_.find(name);
    if (found == limits_.end()) continue;
    REPRISE_ASSERT(found->second.taken > 0, name);
    --found->second.taken;
  }
}

std::uint32_t Limits::size_of(const std::string& name) const {
  const auto found = limits_.find(name);
  return found == limits_.end() ? 0 : found->second.size;
}

std::uint32_t Limits::taken_of(const std::string& name) const {
  const auto found = limits_.find(name);
  return found == limits_.end() ? 0 : found->second.taken;
}

void Limits::check_invariants() const {
  for (const auto& [name, limit] : limits_)
    REPRISE_ASSERT(limit.taken <= limit.size, name, limit.taken, limit.size);
}

}  // namespace reprise::scheduler
