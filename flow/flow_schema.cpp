// The JSON schema of flow files, printed from the tables that decode them.
#include <nlohmann/json.hpp>

#include "flow/flow_file.hpp"
#include "flow/flow_file_decoder.hpp"

namespace reprise {

namespace {

using Json = nlohmann::ordered_json;

template <class Target>
Json object_schema(std::span<const flow_file::KeyRule<Target>> rules) {
  Json schema{{"type", "object"}, {"additionalProperties", false}};
  Json required = Json::array();
  Json properties = Json::object();
  for (const auto& rule : rules) {
    Json value = Json::parse(rule.schema);
    Json property = Json::object();
    // Draft-07 ignores what stands beside a $ref, so the description goes around it.
    if (value.contains("$ref"))
      property["allOf"] = Json::array({value});
    else
      property = std::move(value);
    if (!rule.description.empty()) property["description"] = rule.description;
    properties[std::string(rule.name)] = std::move(property);
    if (rule.required) required.push_back(rule.name);
  }
  if (!required.empty()) schema["required"] = std::move(required);
  schema["properties"] = std::move(properties);
  return schema;
}

}  // namespace

std::string print_schema() {
  using namespace flow_file;
  Json task = object_schema(task_keys());
  task["oneOf"] =
      Json::parse(R"([{"required": ["run"]}, {"required": ["shell"]}, {"required": ["call"]}])");
  const Json hook_bodies = task["oneOf"];
  task["oneOf"].push_back(Json::parse(R"({"required": ["flow"]})"));

  Json definitions = Json::object();
  definitions["duration"] = Json::parse(
      R"({"type": "string", "pattern": "^([0-9]+(ms|s|m|h|d))+$", "examples": ["30s", "1h30m"]})");
  definitions["bytes"] = Json::parse(
      R"({"type": "string", "pattern": "^[0-9]+(B|KiB|MiB|GiB|TiB)$", "examples": ["512MiB", "4GiB"]})");
  definitions["param"] = object_schema(parameter_keys());
  definitions["retry"] = object_schema(retry_keys());
  definitions["stale"] = object_schema(stale_keys());
  definitions["negative"] = object_schema(negative_keys());
  definitions["hash"] = object_schema(hash_keys());
  Json cache_settings = object_schema(cache_keys());
  definitions["cache"] = Json{{"oneOf", Json::array({Json{{"type", "boolean"}}, cache_settings})}};
  definitions["resources"] = Json::parse(
      R"({"type": "object", "properties": {"cpus": {"type": "number", "minimum": 0.001, "maximum": 1000000}, "memory": {"$ref": "#/definitions/bytes"}}, "additionalProperties": {"type": "integer", "minimum": 0}})");
  Json trigger_object = object_schema(trigger_keys());
  definitions["trigger"] =
      Json{{"oneOf", Json::array({trigger_object["properties"]["name"], trigger_object})}};
  definitions["map"] = object_schema(map_keys());
  definitions["reduce"] = object_schema(reduce_keys());
  definitions["hook"] = object_schema(hook_keys());
  definitions["hook"]["oneOf"] = hook_bodies;
  definitions["task_hooks"] = Json::parse(hooks_schema(false));
  definitions["run_hooks"] = Json::parse(hooks_schema(true));
  definitions["exits"] = Json::parse(exits_schema());
  definitions["policy"] = object_schema(policy_keys());
  definitions["task"] = std::move(task);

  Json schema{{"$schema", "http://json-schema.org/draft-07/schema#"},
              {"$id", "https://reprise.example/schema/flow-1.json"},
              {"title", "reprise flow file"}};
  schema.update(object_schema(flow_keys()));
  schema["definitions"] = std::move(definitions);
  return schema.dump(2) + "\n";
}

}  // namespace reprise
