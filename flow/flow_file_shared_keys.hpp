// Parts of values and schemas that several tables of keys share. Internal to the tables.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "flow/flow_file_decoder.hpp"

namespace reprise::flow_file {

inline constexpr std::int64_t most_int64 = std::numeric_limits<std::int64_t>::max();
inline constexpr std::int64_t most_uint32 = std::numeric_limits<std::uint32_t>::max();

inline constexpr std::string_view text_schema = R"({"type": "string"})";
inline constexpr std::string_view filled_schema = R"({"type": "string", "minLength": 1})";
// What is taken as it is written: "2", 2, 2.1.
inline constexpr std::string_view written_schema =
    R"({"type": ["string", "number", "boolean"], "minLength": 1})";
inline constexpr std::string_view written_map_schema =
    R"({"type": "object", "additionalProperties": {"type": ["string", "number", "boolean"]}})";
inline constexpr std::string_view argv_schema =
    R"({"type": "array", "minItems": 1, "items": {"type": ["string", "number", "boolean"]}})";
inline constexpr std::string_view call_schema = R"({"type": "string", "pattern": "^[^@]+@.+$"})";
inline constexpr std::string_view bool_schema = R"({"type": "boolean"})";
inline constexpr std::string_view texts_schema =
    R"({"type": "array", "items": {"type": "string", "minLength": 1}, "uniqueItems": true})";
inline constexpr std::string_view duration_schema = R"({"$ref": "#/definitions/duration"})";

inline constexpr std::string_view environment_schema =
    R"({"type": "object", "propertyNames": {"pattern": "^(?!REPRISE_)[^=]+$"}, "additionalProperties": {"type": ["string", "number", "boolean"]}})";

/// Variables of a command, also `secret://NAME`.
void read_environment(Decoder& decoder, const yaml::Node& value,
                      std::vector<std::pair<std::string, Text>>& out);

/// `on` of a task and of the flow; `exit` of a task. The schemas are those of their values.
void read_task_hooks(Decoder& decoder, const yaml::Node& value, std::vector<HookDraft>& hooks);
void read_run_hooks(Decoder& decoder, const yaml::Node& value, std::vector<HookDraft>& hooks);
void read_exits(Decoder& decoder, const yaml::Node& value,
                std::map<std::uint32_t, TaskState>& exits);

/// Version text: "2", 2, 2.1 as written.
void read_version(Decoder& decoder, const yaml::Node& value, Text& out);

}  // namespace reprise::flow_file
