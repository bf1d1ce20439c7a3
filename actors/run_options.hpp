// What a run was asked for, as bytes kept with it, so that whoever continues it goes on as it
// began.
#pragma once

#include <string>
#include <string_view>

#include "actors/engine.hpp"

namespace reprise::actors {

/// Cache mode and moment, context, labels and shape; canonical, so that equal options give equal
/// bytes.
[[nodiscard]] std::string encode_options(const RunOptions& options);

/// @param bytes  of encode_options(); an older program wrote only the cache mode
/// @error corrupt
[[nodiscard]] Result<RunOptions> decode_options(std::string_view bytes);

/// The two would run the same: equal but for how they use the cache, and for their labels.
[[nodiscard]] bool same_shape(const RunOptions& a, const RunOptions& b);

}  // namespace reprise::actors
