#include "tests/cli/schema_check.hpp"

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <regex>

#include <boost/test/unit_test.hpp>

namespace reprise::cli::test {
namespace {

bool has_type(const nlohmann::json& value, const std::string& type) {
  if (type == "object") return value.is_object();
  if (type == "array") return value.is_array();
  if (type == "string") return value.is_string();
  if (type == "integer") return value.is_number_integer();
  if (type == "number") return value.is_number();
  if (type == "boolean") return value.is_boolean();
  if (type == "null") return value.is_null();
  return false;
}

nlohmann::json load(const std::filesystem::path& file) {
  std::ifstream stream(file);
  return nlohmann::json::parse(stream, nullptr, false);
}

}  // namespace

std::string violation(const nlohmann::json& document, const nlohmann::json& schema,
                      const std::filesystem::path& folder, const std::string& place) {
  if (schema.contains("$ref")) {
    const nlohmann::json other = load(folder / schema["$ref"].get<std::string>());
    if (other.is_discarded()) return place + ": no schema " + schema["$ref"].get<std::string>();
    return violation(document, other, folder, place);
  }
  if (schema.contains("anyOf")) {
    std::string all;
    for (const nlohmann::json& choice : schema["anyOf"]) {
      const std::string one = violation(document, choice, folder, place);
      if (one.empty()) return {};
      all += (all.empty() ? "" : "; or ") + one;
    }
    return all;
  }
  if (schema.contains("const") && document != schema["const"])
    return place + ": is not " + schema["const"].dump();
  if (schema.contains("enum") &&
      std::find(schema["enum"].begin(), schema["enum"].end(), document) == schema["enum"].end())
    return place + ": " + document.dump() + " is none of " + schema["enum"].dump();
  if (schema.contains("type")) {
    const nlohmann::json types =
        schema["type"].is_array() ? schema["type"] : nlohmann::json::array({schema["type"]});
    if (std::none_of(types.begin(), types.end(),
                     [&](const nlohmann::json& t) { return has_type(document, t); }))
      return place + ": " + document.dump() + " is no " + schema["type"].dump();
  }
  if (schema.contains("minimum") && document.is_number() && document < schema["minimum"])
    return place + ": too small";
  if (schema.contains("pattern") && document.is_string() &&
      !std::regex_search(document.get<std::string>(),
                         std::regex(schema["pattern"].get<std::string>())))
    return place + ": " + document.dump() + " does not match " + schema["pattern"].dump();
  if (document.is_object() && schema.contains("required"))
    for (const nlohmann::json& name : schema["required"])
      if (!document.contains(name)) return place + ": lacks " + name.dump();
  if (document.is_object() && schema.contains("properties"))
    for (const auto& [name, value] : document.items()) {
      if (!schema["properties"].contains(name)) {
        if (schema.value("additionalProperties", false)) continue;
        return place + ": \"" + name + "\" is not in the schema";
      }
      if (auto inner = violation(value, schema["properties"][name], folder, place + "." + name);
          !inner.empty())
        return inner;
    }
  if (document.is_array() && schema.contains("items"))
    for (std::size_t i = 0; i < document.size(); ++i)
      if (auto inner = violation(document[i], schema["items"], folder,
                                 place + "[" + std::to_string(i) + "]");
          !inner.empty())
        return inner;
  return {};
}

std::string violation(const nlohmann::json& document) {
  const std::string name = document.is_object() ? document.value("schema", "") : "";
  if (!name.starts_with("reprise.") || name.find('/') == std::string::npos)
    return "no schema named: " + document.dump().substr(0, 80);
  const char* root = std::getenv("REPRISE_SOURCE_DIR");
  if (!root) return "REPRISE_SOURCE_DIR is not set";
  std::string file = name.substr(8);
  std::replace(file.begin(), file.end(), '/', '-');
  const std::filesystem::path folder = std::filesystem::path(root) / "docs" / "schema";
  const nlohmann::json schema = load(folder / (file + ".json"));
  if (schema.is_discarded()) return "no schema " + file + ".json";
  return violation(document, schema, folder);
}

nlohmann::json document_in(const Finished& program) {
  nlohmann::json parsed = nlohmann::json::parse(program.out, nullptr, false);
  BOOST_REQUIRE_MESSAGE(!parsed.is_discarded(), program.out + program.err);
  BOOST_TEST(violation(parsed) == "", program.out);
  return parsed;
}

}  // namespace reprise::cli::test
