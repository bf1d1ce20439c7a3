#include "worker/functions.hpp"

#include <fmt/format.h>

#include "core/text.hpp"

namespace reprise::worker {

Status FunctionTable::add(Function function) {
  std::string id = fmt::format("{}@{}", function.name, function.version);
  const std::scoped_lock lock(mutex_);
  if (const auto found = functions_.find(id); found != functions_.end()) {
    if (found->second->signature == function.signature) return {};
    return fail(
        ErrorCode::conflict,
        fmt::format(
            "function \"{}\" is already registered with another signature; give the new one "
            "another version",
            escape_for_terminal(id)));
  }
  functions_.emplace(std::move(id), std::make_shared<const Function>(std::move(function)));
  return {};
}

std::shared_ptr<const Function> FunctionTable::find(std::string_view id) const {
  const std::scoped_lock lock(mutex_);
  const auto found = functions_.find(id);
  return found == functions_.end() ? nullptr : found->second;
}

std::vector<std::string> FunctionTable::ids() const {
  const std::scoped_lock lock(mutex_);
  std::vector<std::string> all;
  all.reserve(functions_.size());
  for (const auto& [id, function] : functions_) all.push_back(id);
  return all;
}

}  // namespace reprise::worker
