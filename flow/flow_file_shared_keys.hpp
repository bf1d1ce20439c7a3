// Parts of values and schemas that several tables of keys share. Internal to the tables.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <string_view>

#include "flow/flow_file_decoder.hpp"

namespace reprise::flow_file {

inline constexpr std::int64_t most_int64 = std::numeric_limits<std::int64_t>::max();
inline constexpr std::int64_t most_uint32 = std::numeric_limits<std::uint32_t>::max();

inline constexpr std::string_view text_schema = R"({"type": "string"})";
inline constexpr std::string_view bool_schema = R"({"type": "boolean"})";
inline constexpr std::string_view texts_schema =
    R"({"type": "array", "items": {"type": "string", "minLength": 1}, "uniqueItems": true})";
inline constexpr std::string_view duration_schema = R"({"$ref": "#/definitions/duration"})";

/// Complains about a key that is kept for later.
void not_supported(Decoder& decoder, const yaml::Node& value, std::string_view instead);
/// Version text: "2", 2, 2.1 as written.
void read_version(Decoder& decoder, const yaml::Node& value, Text& out);

}  // namespace reprise::flow_file
