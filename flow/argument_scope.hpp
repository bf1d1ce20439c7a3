// Arguments of a task and parameters of its run as the names an expression may use. Values are
// decoded when first asked for.
#pragma once

#include <map>
#include <span>
#include <string>
#include <string_view>

#include "flow/attempt.hpp"
#include "flow/expression.hpp"

namespace reprise {

/// Refers to what it was made from; that must live as long.
class ArgumentScope final : public expression::Scope {
 public:
  ArgumentScope(std::span<const Argument> arguments, const Parameters& parameters)
      : arguments_(arguments), parameters_(parameters) {}

  [[nodiscard]] const Value* find(std::string_view name) const override;
  [[nodiscard]] const Value* parameter(std::string_view name) const override;

 private:
  using Decoded = std::map<std::string, Value, std::less<>>;
  [[nodiscard]] static const Value* decoded(Decoded& kept, std::string_view name,
                                            const Payload& payload);

  std::span<const Argument> arguments_;
  const Parameters& parameters_;
  mutable Decoded names_;
  mutable Decoded parameter_values_;
};

}  // namespace reprise
