#include "worker/command_context.hpp"

#include <algorithm>
#include <optional>
#include <string_view>
#include <utility>
#include <variant>

#include "core/text.hpp"
#include "flow/context_values.hpp"

namespace reprise::worker {

namespace {

constexpr std::string_view prefix = "REPRISE_CTX_";

std::optional<std::string> as_text(const Value& value) {
  if (const auto* text = value.get_if<std::string>()) {
    if (text->size() > variable_bytes_max || text->find('\0') != std::string::npos)
      return std::nullopt;
    return *text;
  }
  if (const auto* truth = value.get_if<bool>()) return *truth ? "true" : "false";
  if (const auto* number = value.get_if<std::int64_t>()) return std::to_string(*number);
  const bool is_number =
      value.get_if<std::uint64_t>() != nullptr || value.get_if<double>() != nullptr;
  return is_number ? std::optional(to_json(value)) : std::nullopt;
}

bool is_upper(char c) {
  return c >= 'A' && c <= 'Z';
}

std::string upper(std::string text) {
  for (char& c : text)
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
  return text;
}

std::string lower(std::string text) {
  for (char& c : text)
    if (is_upper(c)) c = static_cast<char>(c - 'A' + 'a');
  return text;
}

const std::string& name_of(const Value& key) {
  return std::get<std::string>(key.data);
}

bool has_any(const Environment& environment) {
  const auto first = environment.lower_bound(std::string(prefix));
  return first != environment.end() && first->first.starts_with(prefix);
}

}  // namespace

CommandContext::CommandContext(const RunContext& run) {
  const Map values = run_context_values(run);
  json_ = to_json(Value(values));
  Environment variables;
  for (const bool has_upper : {false, true}) {
    for (const auto& [key, value] : values) {
      const std::string& name = name_of(key);
      if (std::any_of(name.begin(), name.end(), is_upper) != has_upper) continue;
      const std::string variable = as_variable(name);
      if (is_of_attempt(lower(variable))) continue;
      if (auto text = as_text(value))
        variables.emplace(std::string(prefix) + upper(variable), *std::move(text));
    }
  }
  for (const auto& [name, text] : variables) variables_.push_back({name, name + '=' + text});
}

std::string CommandContext::json(Map of_attempt) const {
  if (of_attempt.empty()) return json_ + '\n';
  std::string all = json_;
  all.back() = ',';
  all.append(to_json(Value(std::move(of_attempt))), 1);
  all += '\n';
  return all;
}

void CommandContext::add_variables(const Map& of_attempt, const Environment& set,
                                   std::vector<std::string>& all) const {
  const bool may_be_set = has_any(set);
  const auto is_free = [&](const std::string& name) { return !may_be_set || !set.contains(name); };
  for (const auto& [key, value] : of_attempt) {
    const auto text = as_text(value);
    if (!text) continue;
    std::string entry = std::string(prefix) + upper(name_of(key));
    if (!is_free(entry)) continue;
    entry += '=';
    entry += *text;
    all.push_back(std::move(entry));
  }
  for (const Variable& variable : variables_)
    if (is_free(variable.name)) all.push_back(variable.entry);
}

}  // namespace reprise::worker
