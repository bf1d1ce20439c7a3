// What the body of a task in a case does.
#pragma once

#include <cstdint>
#include <exception>
#include <map>
#include <optional>
#include <string>

#include "reprise/context.hpp"
#include "tests/conformance/values.hpp"

namespace reprise::conformance {

/// What bodies and handlers of cases throw.
class Boom : public std::exception {
 public:
  [[nodiscard]] const char* what() const noexcept override { return "boom"; }
};

/// @throws bad_case: of a type, or with a member or a signal, that this runner does not know
void check_behaviour(const Json& behaviour);

/// @param call   how many-th call of the body this is, from 1
/// @param task   name of the task: of the parameter, where it is one
/// @throws       what the behaviour says: a signal, Boom, or another exception where the inputs do
///               not fit
[[nodiscard]] value behave(const Json& behaviour, const std::string& task,
                           const std::map<std::string, value>& inputs, std::uint64_t call,
                           context& about);

/// @throws the signal; bad_case: there is none of this name
[[noreturn]] void raise_signal(const Json& description);

}  // namespace reprise::conformance
