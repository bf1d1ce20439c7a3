#include "flow/argument_scope.hpp"

namespace reprise {

const Value* ArgumentScope::decoded(Decoded& kept, std::string_view name, const Payload& payload) {
  if (const auto found = kept.find(name); found != kept.end()) return &found->second;
  if (!payload.is_at_hand()) return nullptr;
  Result<Value> value = payload.is_none() ? Result<Value>{Value{}} : payload.value();
  if (!value) return nullptr;
  return &kept.emplace(name, std::move(*value)).first->second;
}

const Value* ArgumentScope::find(std::string_view name) const {
  for (const Argument& argument : arguments_)
    if (argument.name == name) return decoded(names_, name, argument.value);
  return nullptr;
}

const Value* ArgumentScope::parameter(std::string_view name) const {
  const auto found = parameters_.find(std::string(name));
  return found == parameters_.end() ? nullptr : decoded(parameter_values_, name, found->second);
}

}  // namespace reprise
