// Our words as the public API's.
#pragma once

#include "core/result.hpp"
#include "reprise/error.hpp"

namespace reprise::detail {

[[nodiscard]] inline error to_public(const Error& internal) {
  // The public list is ours and one more at its end.
  static_assert(static_cast<int>(error_code::invalid_argument) ==
                static_cast<int>(ErrorCode::invalid_argument));
  static_assert(static_cast<int>(error_code::corrupt) == static_cast<int>(ErrorCode::corrupt));
  static_assert(static_cast<int>(error_code::internal) == static_cast<int>(ErrorCode::internal));
  return {static_cast<error_code>(internal.code), internal.message};
}

}  // namespace reprise::detail
