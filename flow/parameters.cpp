// Binding a flow's parameters: which values a run starts with.
#include <algorithm>
#include <charconv>
#include <cmath>

#include <fmt/format.h>

#include "core/text.hpp"
#include "flow/flow_spec.hpp"

namespace reprise {
namespace {

tl::unexpected<Error> bad(std::string message) {
  return fail(ErrorCode::invalid_argument, std::move(message));
}

std::string shown(std::string_view text) {
  return shorten(escape_for_terminal(text), 80);
}

std::string shown_value(const Value& value) {
  return shown(to_json(value));
}

bool is_of_type(const Value& value, std::string_view type) {
  auto is = [&]<class... T>() { return (std::holds_alternative<T>(value.data) || ...); };
  if (type == "string") return is.operator()<std::string>();
  if (type == "int") return is.operator()<std::int64_t, std::uint64_t>();
  if (type == "float") return is.operator()<double>();
  if (type == "bool") return is.operator()<bool>();
  if (type == "list") return is.operator()<List>();
  if (type == "file") return is.operator()<std::string>() || is_file(value);  // text is a path
  return true;                                                                // any
}

/// `payload` when it fits the parameter; whole numbers become floats where a float is asked for.
Result<Payload> fitting(const Parameter& parameter, const Payload& payload) {
  if (parameter.type == "any" || parameter.type.empty()) return payload;
  auto value = payload.value();
  if (!value)
    return bad(fmt::format("parameter \"{}\": {}", shown(parameter.name), value.error().message));
  if (parameter.type == "float") {
    if (const auto* whole = value->get_if<std::int64_t>())
      return Payload::of(Value(static_cast<double>(*whole)));
    if (const auto* whole = value->get_if<std::uint64_t>())
      return Payload::of(Value(static_cast<double>(*whole)));
  }
  if (!is_of_type(*value, parameter.type))
    return bad(fmt::format("parameter \"{}\" must be of type {}, not {}", shown(parameter.name),
                           shown(parameter.type), shown_value(*value)));
  return payload;
}

Status check_choice(const Parameter& parameter, const Payload& payload) {
  if (parameter.choices.empty()) return {};
  // The choices of a file are paths; what is a file already was chosen by its path.
  if (parameter.type == "file" && payload.value() && is_file(*payload.value())) return {};
  std::string all;
  for (const Payload& choice : parameter.choices) {
    auto fitted = fitting(parameter, choice);
    if (fitted && *fitted == payload) return {};
    auto value = choice.value();
    if (value) all += (all.empty() ? "" : ", ") + to_json(*value);
  }
  auto value = payload.value();
  return bad(fmt::format("parameter \"{}\" must be one of {}, not {}", shown(parameter.name),
                         shown(all), value ? shown_value(*value) : std::string("what was given")));
}

template <class Number>
std::optional<Number> whole_number(std::string_view text) {
  if (text.starts_with('+')) text.remove_prefix(1);
  Number number{};
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return number;
}

Result<Value> parse_list(std::string_view text) {
  if (text.find_first_not_of(" \t\n") != std::string_view::npos &&
      text[text.find_first_not_of(" \t\n")] == '[')
    return from_json(text);
  List list;
  while (!text.empty()) {
    auto comma = text.find(',');
    list.emplace_back(text.substr(0, comma));
    if (comma == std::string_view::npos) break;
    text.remove_prefix(comma + 1);
    if (text.empty()) list.emplace_back("");  // "a," has two elements
  }
  return Value(std::move(list));
}

Result<Value> parse_value(const Parameter& parameter, std::string_view text) {
  auto refuse = [&](std::string_view wanted) {
    return bad(fmt::format("parameter \"{}\" must be {}, not \"{}\"", shown(parameter.name), wanted,
                           shown(text)));
  };
  if (parameter.type == "int") {
    if (auto number = whole_number<std::int64_t>(text)) return Value(*number);
    if (auto number = whole_number<std::uint64_t>(text)) return Value(*number);
    return refuse("a whole number");
  }
  if (parameter.type == "float") {
    auto number = whole_number<double>(text);
    if (!number || !std::isfinite(*number)) return refuse("a number");
    return Value(*number);
  }
  if (parameter.type == "bool") {
    if (text == "true") return Value(true);
    if (text == "false") return Value(false);
    return refuse("true or false");
  }
  if (parameter.type == "list") {
    auto list = parse_list(text);
    if (!list) return refuse("a list such as a,b or [\"a\", \"b\"]");
    return list;
  }
  if (parameter.type == "any" || parameter.type.empty()) {
    auto value = from_json(text);
    return value ? *std::move(value) : Value(text);
  }
  return Value(text);  // string, file
}

}  // namespace

Result<Parameters> bind_parameters(const FlowSpec& flow, const Parameters& given,
                                   bool allow_missing) {
  std::vector<std::string> names;
  for (const Parameter& parameter : flow.parameters) names.push_back(parameter.name);
  for (const auto& entry : given)  // first: a misspelt name explains why another one is missing
    if (std::find(names.begin(), names.end(), entry.first) == names.end())
      return bad(fmt::format("flow \"{}\" has no parameter \"{}\"{}", shown(flow.name),
                             shown(entry.first), did_you_mean(entry.first, names)));
  Parameters bound;
  for (const Parameter& parameter : flow.parameters) {
    auto found = given.find(parameter.name);
    if (found == given.end() && !parameter.default_value) {
      if (allow_missing) continue;
      return bad(fmt::format("parameter \"{}\" has no default and was not given; add -p {}=…",
                             shown(parameter.name), shown(parameter.name)));
    }
    const Payload& payload = found != given.end() ? found->second : *parameter.default_value;
    auto fitted = fitting(parameter, payload);
    if (!fitted) return tl::unexpected(std::move(fitted.error()));
    if (auto fine = check_choice(parameter, *fitted); !fine)
      return tl::unexpected(std::move(fine.error()));
    bound.emplace(parameter.name, *std::move(fitted));
  }
  return bound;
}

Result<Payload> parse_parameter(const Parameter& parameter, std::string_view text) {
  auto value = parse_value(parameter, text);
  if (!value) return tl::unexpected(std::move(value.error()));
  auto payload = Payload::of(*value);
  if (!payload)
    return bad(fmt::format("parameter \"{}\": {}", shown(parameter.name), payload.error().message));
  return payload;
}

}  // namespace reprise
