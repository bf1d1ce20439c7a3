// What stands where a failed task would have a result: a task that runs all the same can look at
// it.
#pragma once

#include <string_view>

#include "core/payload.hpp"
#include "core/value.hpp"

namespace reprise {

/// A record "failure" with the fields `exception` (the type of what was thrown, or the name of a
/// signal: "FAIL", "SKIP", "TRIGGERFAIL") and `message`, cut to a length that a value may have.
[[nodiscard]] Payload failure_payload(std::string_view exception, std::string_view message);

/// Whether these canonical bytes are such a record.
[[nodiscard]] bool is_failure(std::string_view bytes);
/// Whether this value is one.
[[nodiscard]] bool is_failure_record(const Value& value);

/// Whether it is such a record or has one anywhere in it. False for one whose bytes are not at
/// hand. Costs a search through its bytes.
[[nodiscard]] bool holds_failure(const Payload& value);

}  // namespace reprise
