#include "flow/flow_file_decoder.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include <fmt/format.h>

#include "core/text.hpp"

namespace reprise::flow_file {

namespace {

constexpr std::size_t most_names_looked_at = 2'000'000;

bool looks_like_bool(std::string_view text) {
  for (const std::string_view word : {"yes", "Yes", "YES", "on", "On", "ON", "y", "Y"}) {
    if (text == word) return true;
  }
  return false;
}

bool looks_like_no(std::string_view text) {
  for (const std::string_view word : {"no", "No", "NO", "off", "Off", "OFF", "n", "N"}) {
    if (text == word) return true;
  }
  return false;
}

bool has_leading_zero(std::string_view text) {
  if (text.starts_with('-') || text.starts_with('+')) text.remove_prefix(1);
  return text.size() > 1 && text[0] == '0' &&
         std::ranges::all_of(text, [](char c) { return c >= '0' && c <= '9'; });
}

std::string without_leading_zeros(std::string_view text) {
  const bool negative = text.starts_with('-');
  const std::size_t first = text.find_first_of("123456789");
  if (first == std::string_view::npos) return "0";
  return (negative ? "-" : "") + std::string(text.substr(first));
}

bool is_whole_number(std::string_view text) {
  return !text.empty() && std::ranges::all_of(text, [](char c) { return c >= '0' && c <= '9'; });
}

}  // namespace

Diagnostic& Complaints::add(std::string_view code, const yaml::Node& node, std::string message,
                            Advice advice) {
  return diagnostics_.emplace_back(Diagnostic{.code = std::string(code),
                                              .severity = Diagnostic::Severity::error,
                                              .message = std::move(message),
                                              .span = document_.span(node),
                                              .suggestion = std::move(advice.suggestion),
                                              .label = std::move(advice.label),
                                              .help = std::move(advice.help),
                                              .related = {},
                                              .pointer = yaml::Document::pointer(node)});
}

Diagnostic& Complaints::add_within(std::string_view code, const yaml::Node& scalar,
                                   std::size_t begin, std::size_t end, std::string message,
                                   Advice advice) {
  Diagnostic& diagnostic = add(code, scalar, std::move(message), std::move(advice));
  if (!scalar.text.empty()) diagnostic.span = document_.span_within(scalar, begin, end);
  return diagnostic;
}

std::string Complaints::name_of(const yaml::Node& node) const {
  std::vector<const yaml::Node*> way;
  for (const yaml::Node* at = &node; at->parent != nullptr; at = at->parent) way.push_back(at);
  std::ranges::reverse(way);
  const auto step = [](const yaml::Node& at, bool first) {
    if (at.parent->is_sequence()) return fmt::format("[{}]", at.index);
    return (first ? "" : ".") + (at.key != nullptr ? at.key->text : at.text);
  };
  std::string task;
  std::size_t from = 0;
  if (way.size() >= 2 && way[0]->key != nullptr && way[0]->key->text == "tasks" &&
      way[0]->is_mapping()) {
    task = way[1]->key != nullptr ? way[1]->key->text : way[1]->text;
    from = 2;
  }
  std::string name;
  for (std::size_t i = from; i < way.size(); ++i) name += step(*way[i], name.empty());
  if (task.empty() && from == 0) return name.empty() ? "the file" : fmt::format("'{}'", name);
  if (name.empty()) return fmt::format("task '{}'", task);
  return fmt::format("'{}' of task '{}'", name, task);
}

bool Complaints::can_afford(std::size_t names) const {
  return diagnostics_.size() * names < most_names_looked_at;
}

std::string Complaints::near(std::string_view word, std::span<const std::string> candidates) const {
  if (!can_afford(candidates.size())) return {};
  return suggest(word, candidates).value_or("");
}

std::string describe(const yaml::Node& node) {
  if (node.is_sequence()) return "a list";
  if (node.is_mapping()) return "a map";
  const Value value = yaml::scalar_value(node);
  if (value.is_nil()) return node.text.empty() ? "nothing" : "null";
  if (value.get_if<bool>() != nullptr) return fmt::format("the bool {}", node.text);
  if (value.get_if<std::string>() != nullptr)
    return fmt::format("the text '{}'", shorten(escape_for_terminal(node.text), 40));
  return fmt::format("the number {}", shorten(node.text, 40));
}

std::string listed(std::vector<std::string> names) {
  constexpr std::size_t most = 12;
  std::ranges::sort(names);
  std::string text;
  for (std::size_t i = 0; i < names.size() && i < most; ++i)
    text += (i > 0 ? ", " : "") + shorten(escape_for_terminal(names[i]), 40);
  if (names.size() > most) text += fmt::format(", … ({} more)", names.size() - most);
  return text;
}

void Decoder::wrong_type(const yaml::Node& node, std::string_view wanted, Advice advice) {
  if (node.broken) return;
  complaints_.add(
      "RP1103", node,
      fmt::format("{} must be {}, not {}", complaints_.name_of(node), wanted, describe(node)),
      std::move(advice));
}

void Decoder::unknown_key(const yaml::Node& key, const yaml::Node& map,
                          const std::vector<std::string>& known) {
  Advice advice{.suggestion = complaints_.near(key.text, known), .label = {}, .help = {}};
  if (advice.suggestion.empty()) {
    std::string names;  // in the table's order: the important ones come first
    for (const std::string& name : known) names += (names.empty() ? "" : ", ") + name;
    advice.help = {"known keys: " + names};
  }
  complaints_.add("RP1101", key,
                  fmt::format("unknown key '{}' in {}", key.text, complaints_.name_of(map)),
                  std::move(advice));
}

void Decoder::missing_key(const yaml::Node& map, std::string_view key,
                          std::string_view description) {
  std::string help = fmt::format("{}: {}", key, description);
  if (help.ends_with('.')) help.pop_back();
  const std::size_t start = key.size() + 2;
  if (start + 1 < help.size() && !(help[start + 1] >= 'A' && help[start + 1] <= 'Z')) {
    help[start] = static_cast<char>(std::tolower(static_cast<unsigned char>(help[start])));
  }
  complaints_.add("RP1102", map.key != nullptr ? *map.key : map,
                  fmt::format("{} has no '{}'", complaints_.name_of(map), key),
                  {.suggestion = {}, .label = {}, .help = {std::move(help)}});
}

std::optional<std::string> Decoder::text(const yaml::Node& node, std::string_view wanted) {
  if (node.is_scalar() && yaml::scalar_value(node).get_if<std::string>() != nullptr)
    return node.text;
  Advice advice;
  if (node.is_scalar() && !node.text.empty() && wanted == "text") {
    advice.suggestion = fmt::format("\"{}\"", node.text);
    advice.label = "in quotes it is text";
  }
  wrong_type(node, wanted, std::move(advice));
  return std::nullopt;
}

std::optional<bool> Decoder::boolean(const yaml::Node& node, std::string_view wanted) {
  if (node.is_scalar()) {
    const Value value = yaml::scalar_value(node);
    if (const bool* result = value.get_if<bool>()) return *result;
    const bool yes = looks_like_bool(node.text);
    if (yes || looks_like_no(node.text)) {
      wrong_type(node, wanted,
                 {.suggestion = yes ? "true" : "false",
                  .label = {},
                  .help = {"yes, no, on and off are plain text in a flow file"}});
      return std::nullopt;
    }
    if (node.text == "true" || node.text == "false") {
      wrong_type(node, wanted,
                 {.suggestion = node.text, .label = "quotes make it text", .help = {}});
      return std::nullopt;
    }
  }
  wrong_type(node, wanted);
  return std::nullopt;
}

std::optional<std::int64_t> Decoder::integer(const yaml::Node& node, std::int64_t least,
                                             std::int64_t most) {
  const Value value = node.is_scalar() ? yaml::scalar_value(node) : Value();
  const auto* number = value.get_if<std::int64_t>();
  if (number == nullptr && value.get_if<std::uint64_t>() == nullptr) {
    Advice advice;
    if (node.is_scalar() && has_leading_zero(node.text)) {
      advice = {
          .suggestion = without_leading_zeros(node.text),
          .label = {},
          .help = {"a number with leading zeros is text: nobody knows whether 010 is 8 or 10"}};
    } else if (node.is_scalar() && node.style != yaml::Node::Style::plain &&
               is_whole_number(node.text)) {
      advice = {.suggestion = node.text, .label = "quotes make it text", .help = {}};
    }
    wrong_type(node, "a whole number", std::move(advice));
    return std::nullopt;
  }
  if (number == nullptr || *number < least || *number > most) {
    std::string range = fmt::format("at least {}", least);
    if (most != std::numeric_limits<std::int64_t>::max())
      range = fmt::format("between {} and {}", least, most);
    complaints_.add(
        "RP1105", node,
        fmt::format("{} must be {}, not {}", complaints_.name_of(node), range, node.text));
    return std::nullopt;
  }
  return *number;
}

std::optional<double> Decoder::number(const yaml::Node& node) {
  const Value value = node.is_scalar() ? yaml::scalar_value(node) : Value();
  if (const auto* i = value.get_if<std::int64_t>()) return static_cast<double>(*i);
  if (const auto* u = value.get_if<std::uint64_t>()) return static_cast<double>(*u);
  if (const auto* d = value.get_if<double>()) {
    if (std::isfinite(*d)) return *d;
  }
  wrong_type(node, "a number");
  return std::nullopt;
}

std::optional<Duration> Decoder::duration(const yaml::Node& node) {
  const Value value = node.is_scalar() ? yaml::scalar_value(node) : Value();
  if (value.get_if<std::string>() == nullptr) {
    Advice advice;
    const auto* number = value.get_if<std::int64_t>();
    if (number != nullptr && *number >= 0) {
      advice = {.suggestion = fmt::format("{}s", *number),
                .label = {},
                .help = {"units: ms s m h d, as in 250ms, 30s or 1h30m"}};
    }
    wrong_type(node, "a duration with a unit", std::move(advice));
    return std::nullopt;
  }
  auto parsed = parse_duration(node.text);
  if (!parsed) {
    std::string why =
        std::move(parsed.error().message);  // duration "x" has an unknown unit…; write …
    if (const std::size_t quote = why.find("\" "); quote != std::string::npos)
      why = why.substr(quote + 2);
    const std::size_t hint = why.find("; ");
    complaints_.add(
        "RP1106", node,
        fmt::format("{} is no duration: it {}", complaints_.name_of(node), why.substr(0, hint)),
        {.suggestion = {}, .label = {}, .help = {"units: ms s m h d, as in 250ms, 30s or 1h30m"}});
    return std::nullopt;
  }
  return *parsed;
}

std::optional<std::uint64_t> Decoder::bytes(const yaml::Node& node) {
  const Value value = node.is_scalar() ? yaml::scalar_value(node) : Value();
  if (value.get_if<std::string>() == nullptr) {
    wrong_type(node, "a size with a unit",
               {.suggestion = {},
                .label = {},
                .help = {"units: B KiB MiB GiB TiB, as in 512MiB or 4GiB"}});
    return std::nullopt;
  }
  const std::size_t digits = std::min(node.text.find_first_not_of("0123456789"), node.text.size());
  const std::string_view unit = std::string_view(node.text).substr(digits);
  std::uint64_t factor = 0;
  for (const auto& [name, shift] :
       {std::pair{"B", 0}, {"KiB", 10}, {"MiB", 20}, {"GiB", 30}, {"TiB", 40}}) {
    if (unit == name) factor = std::uint64_t{1} << shift;
  }
  std::uint64_t number = 0;
  if (digits > 0 && digits <= 18) number = std::stoull(node.text.substr(0, digits));
  if (digits == 0 || digits > 18 || factor == 0 ||
      number > std::numeric_limits<std::uint64_t>::max() / factor) {
    std::string suggestion;
    if (digits > 0 && factor == 0 && !unit.empty()) {
      const char first =
          unit.find_first_of("kKmMgGtT") == 0 ? static_cast<char>(std::toupper(unit[0])) : '\0';
      if (first != '\0') suggestion = fmt::format("{}{}iB", node.text.substr(0, digits), first);
    }
    complaints_.add(
        "RP1107", node, fmt::format("{} is no size: '{}'", complaints_.name_of(node), node.text),
        {.suggestion = std::move(suggestion),
         .label = {},
         .help = {"a whole number and one of B KiB MiB GiB TiB, as in 512MiB or 4GiB"}});
    return std::nullopt;
  }
  return number * factor;
}

std::optional<std::size_t> Decoder::word(const yaml::Node& node,
                                         std::initializer_list<std::string_view> words) {
  std::string list;
  std::vector<std::string> candidates;
  for (const std::string_view candidate : words) {
    list += (list.empty() ? "" : ", ") + std::string(candidate);
    candidates.emplace_back(candidate);
  }
  if (!node.is_scalar() || yaml::scalar_value(node).get_if<std::string>() == nullptr) {
    wrong_type(node, fmt::format("one of {}", list));
    return std::nullopt;
  }
  const auto found = std::ranges::find(words, node.text);
  if (found != words.end()) return static_cast<std::size_t>(found - words.begin());
  complaints_.add("RP1104", node,
                  fmt::format("{} cannot be '{}'", complaints_.name_of(node), node.text),
                  {.suggestion = complaints_.near(node.text, candidates),
                   .label = {},
                   .help = {"one of: " + list}});
  return std::nullopt;
}

std::optional<std::string> Decoder::written(const yaml::Node& node) {
  if (node.is_scalar() &&
      (node.style != yaml::Node::Style::plain || !yaml::scalar_value(node).is_nil()))
    return node.text;
  wrong_type(node, "text",
             node.is_scalar() && node.style == yaml::Node::Style::plain && node.text.empty()
                 ? Advice{.suggestion = {}, .label = {}, .help = {"write \"\" for the empty text"}}
                 : Advice{});
  return std::nullopt;
}

bool Decoder::is_list(const yaml::Node& node, std::string_view wanted) {
  if (node.is_sequence()) return true;
  Advice advice;
  if (node.is_scalar() && !node.text.empty() &&
      node.text.find_first_of(",[]{}") == std::string::npos) {
    advice.suggestion = fmt::format("[{}]", node.style == yaml::Node::Style::plain
                                                ? node.text
                                                : fmt::format("\"{}\"", node.text));
  }
  wrong_type(node, wanted, std::move(advice));
  return false;
}

bool Decoder::is_map(const yaml::Node& node, std::string_view wanted) {
  if (node.is_mapping()) return true;
  wrong_type(node, wanted);
  return false;
}

std::vector<Text> Decoder::texts(const yaml::Node& node, std::string_view wanted, bool distinct) {
  std::vector<Text> list;
  if (!is_list(node, wanted)) return list;
  std::vector<std::pair<std::string_view, const yaml::Node*>> seen;
  for (const yaml::Node* item : node.items) {
    if (item->broken) continue;
    auto element = text(*item);
    if (!element) continue;
    if (element->empty()) {
      complaints_.add("RP1108", *item, fmt::format("{} is empty", complaints_.name_of(*item)));
      continue;
    }
    list.push_back({.text = *std::move(element), .node = item});
    if (distinct) seen.emplace_back(item->text, item);
  }
  std::ranges::stable_sort(seen, {}, &std::pair<std::string_view, const yaml::Node*>::first);
  for (std::size_t i = 1; i < seen.size(); ++i) {
    if (seen[i].first != seen[i - 1].first) continue;
    Diagnostic& diagnostic = complaints_.add(
        "RP1112", *seen[i].second,
        fmt::format("'{}' is in {} twice", seen[i].first, complaints_.name_of(node)),
        {.suggestion = {}, .label = "again here", .help = {}});
    diagnostic.related.push_back({complaints_.document().span(*seen[i - 1].second), "first here"});
  }
  return list;
}

}  // namespace reprise::flow_file
