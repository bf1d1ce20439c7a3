// The files that a value speaks of: they lie in the blob store, and without them it is of no use.
#pragma once

#include <string_view>
#include <vector>

#include "core/payload.hpp"
#include "core/value.hpp"

namespace reprise::cache {

/// Every file within `value`, however deep, in order; one that is there twice comes twice.
[[nodiscard]] std::vector<FileValue> files_in(const Value& value);

/// The same of an encoded value; none where it does not decode or is not at hand. Costs one walk
/// over the bytes where there is no file.
[[nodiscard]] std::vector<FileValue> files_in(const Payload& value);

}  // namespace reprise::cache
