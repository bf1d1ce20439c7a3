#include "tests/conformance/case_file.hpp"

#include <fstream>

#include <fmt/format.h>

namespace reprise::conformance {

expected<std::vector<Json>> read_cases(const std::filesystem::path& path) {
  const auto refuse = [&](error_code code, const std::string& why) {
    return tl::unexpected(
        error{code, fmt::format("cannot read cases from \"{}\": {}", path.string(), why)});
  };
  std::ifstream in(path, std::ios::binary);
  if (!in || std::filesystem::is_directory(path))
    return refuse(error_code::io, "there is no such file, or it may not be read");
  Json all;
  try {
    all = Json::parse(in);
  } catch (const Json::exception& e) {
    return refuse(error_code::corrupt, e.what());
  }
  if (!all.is_array()) return refuse(error_code::corrupt, "it is no list of cases");
  std::vector<Json> cases;
  for (Json& each : all) {
    if (!each.is_object() || !each.contains("id") || !each["id"].is_string())
      return refuse(error_code::corrupt,
                    fmt::format("its entry {} is no object with a text \"id\"", cases.size()));
    cases.push_back(std::move(each));
  }
  return cases;
}

const Json& object_in(const Json& parent, const char* name) {
  static const Json none = Json::object();
  const auto found = parent.find(name);
  if (found == parent.end() || found->is_null()) return none;
  if (!found->is_object()) throw bad_case(fmt::format("\"{}\" is no object", name));
  return *found;
}

const Json& list_in(const Json& parent, const char* name) {
  static const Json none = Json::array();
  const auto found = parent.find(name);
  if (found == parent.end() || found->is_null()) return none;
  if (!found->is_array()) throw bad_case(fmt::format("\"{}\" is no list", name));
  return *found;
}

std::string text_in(const Json& parent, const char* name) {
  const auto found = parent.find(name);
  if (found == parent.end() || !found->is_string())
    throw bad_case(fmt::format("\"{}\" is missing or no text", name));
  return found->get<std::string>();
}

double number_in(const Json& parent, const char* name) {
  const auto found = parent.find(name);
  if (found == parent.end() || !found->is_number())
    throw bad_case(fmt::format("\"{}\" is missing or no number", name));
  return found->get<double>();
}

double number_in(const Json& parent, const char* name, double otherwise) {
  const auto found = parent.find(name);
  if (found == parent.end() || found->is_null()) return otherwise;
  return number_in(parent, name);
}

bool flag_in(const Json& parent, const char* name, bool otherwise) {
  const auto found = parent.find(name);
  if (found == parent.end() || found->is_null()) return otherwise;
  if (!found->is_boolean()) throw bad_case(fmt::format("\"{}\" is not true or false", name));
  return found->get<bool>();
}

std::vector<CaseRun> runs_of(const Json& test_case) {
  std::vector<CaseRun> runs;
  const Json& prior = list_in(test_case, "prior_runs");
  for (std::size_t i = 0; i < prior.size(); ++i) {
    if (!prior[i].is_object()) throw bad_case(fmt::format("prior_runs[{}] is no object", i));
    runs.push_back({&prior[i], fmt::format("prior_runs[{}].", i)});
  }
  runs.push_back({&test_case, ""});
  return runs;
}

}  // namespace reprise::conformance
