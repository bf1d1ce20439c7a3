#include "flow/yaml.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>

#include <fmt/format.h>

#include "core/text.hpp"

namespace reprise::yaml {

namespace {

bool is_space(char c) {
  return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}
bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
bool is_continuation(char c) {
  return (static_cast<unsigned char>(c) & 0xc0) == 0x80;
}

constexpr std::size_t index_step = 256;  // bytes between two entries of the index of characters

std::size_t utf8_length(char lead) {
  const auto c = static_cast<unsigned char>(lead);
  return c < 0x80 ? 1 : c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : c >= 0xc0 ? 2 : 1;
}

/// Digits without a leading zero, as JSON has them: 010 means eight to some readers and ten to
/// others.
bool is_plain_decimal(std::string_view digits) {
  return !digits.empty() && std::ranges::all_of(digits, is_digit) &&
         (digits == "0" || digits[0] != '0');
}

std::optional<Value> integer_value(std::string_view text) {
  const bool negative = text.starts_with('-');
  std::string_view digits = text;
  if (negative || text.starts_with('+')) digits.remove_prefix(1);
  int base = 10;
  if (digits.starts_with("0x") || digits.starts_with("0o")) {
    base = digits[1] == 'x' ? 16 : 8;
    if (digits != text) return std::nullopt;  // the core schema has no signed hex
    digits.remove_prefix(2);
  } else if (!is_plain_decimal(digits)) {
    return std::nullopt;
  }
  std::uint64_t magnitude = 0;
  const auto [end, error] =
      std::from_chars(digits.data(), digits.data() + digits.size(), magnitude, base);
  if (digits.empty() || end != digits.data() + digits.size()) return std::nullopt;
  constexpr auto highest = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
  if (error == std::errc::result_out_of_range || (negative && magnitude > highest + 1)) {
    double wide = 0;
    if (base != 10) return std::nullopt;
    std::from_chars(digits.data(), digits.data() + digits.size(), wide);
    return Value(negative ? -wide : wide);
  }
  if (negative) return Value(static_cast<std::int64_t>(0 - magnitude));
  return Value(magnitude);
}

std::optional<Value> float_value(std::string_view text) {
  std::string_view rest = text;
  const bool negative = rest.starts_with('-');
  if (negative || rest.starts_with('+')) rest.remove_prefix(1);
  if (rest == ".inf" || rest == ".Inf" || rest == ".INF") {
    const double infinite = std::numeric_limits<double>::infinity();
    return Value(negative ? -infinite : infinite);
  }
  if (text == ".nan" || text == ".NaN" || text == ".NAN")
    return Value(std::numeric_limits<double>::quiet_NaN());
  std::size_t at = 0;
  while (at < rest.size() && is_digit(rest[at])) ++at;
  const std::string_view whole = rest.substr(0, at);
  if (!whole.empty() && !is_plain_decimal(whole)) return std::nullopt;
  std::size_t fraction = 0;
  if (at < rest.size() && rest[at] == '.') {
    for (++at; at < rest.size() && is_digit(rest[at]); ++at) ++fraction;
  }
  if (whole.empty() && fraction == 0) return std::nullopt;
  if (at < rest.size() && (rest[at] == 'e' || rest[at] == 'E')) {
    if (++at < rest.size() && (rest[at] == '+' || rest[at] == '-')) ++at;
    if (at == rest.size()) return std::nullopt;
    while (at < rest.size() && is_digit(rest[at])) ++at;
  }
  if (at != rest.size()) return std::nullopt;
  double number = 0;
  const std::string_view magnitude = rest;
  const auto parsed =
      std::from_chars(magnitude.data(), magnitude.data() + magnitude.size(), number);
  if (parsed.ec == std::errc::result_out_of_range) number = std::numeric_limits<double>::infinity();
  return Value(negative ? -number : number);
}

}  // namespace

const Node* Node::find(std::string_view name) const {
  for (const Entry& entry : entries) {
    if (entry.key->text == name) return entry.value;
  }
  return nullptr;
}

Value scalar_value(const Node& scalar) {
  if (scalar.style != Node::Style::plain) return Value(scalar.text);
  const std::string_view text = scalar.text;
  if (text.empty() || text == "~" || text == "null" || text == "Null" || text == "NULL")
    return Value();
  if (text == "true" || text == "True" || text == "TRUE") return Value(true);
  if (text == "false" || text == "False" || text == "FALSE") return Value(false);
  const char first = text.front();
  if (is_digit(first) || first == '-' || first == '+' || first == '.') {
    if (auto integer = integer_value(text)) return *std::move(integer);
    if (auto number = float_value(text)) return *std::move(number);
  }
  return Value(scalar.text);
}

// Recursion is bounded by max_depth.
Value to_value(const Node& node) {
  if (node.is_scalar()) return scalar_value(node);
  if (node.is_sequence()) {
    List list;
    list.reserve(node.items.size());
    for (const Node* item : node.items) list.push_back(to_value(*item));
    return Value(std::move(list));
  }
  Map map;
  map.reserve(node.entries.size());
  for (const Entry& entry : node.entries)
    map.emplace_back(Value(entry.key->text), to_value(*entry.value));
  return Value(std::move(map));
}

void Document::index_lines() {
  line_starts_ = {0};
  characters_.clear();
  std::uint32_t characters = 0;
  for (std::size_t i = 0; i < text_.size(); ++i) {
    if (i % index_step == 0) characters_.push_back(characters);
    if (!is_continuation(text_[i])) ++characters;
    if (text_[i] == '\n') line_starts_.push_back(static_cast<std::uint32_t>(i + 1));
  }
  characters_.push_back(characters);
}

std::uint32_t Document::characters_before(std::size_t offset) const {
  std::uint32_t characters = characters_[offset / index_step];
  for (std::size_t i = offset / index_step * index_step; i < offset; ++i)
    characters += is_continuation(text_[i]) ? 0 : 1;
  return characters;
}

SourceSpan Document::span(std::size_t begin, std::size_t end) const {
  begin = std::min(begin, text_.size());
  end = std::clamp(end, begin, text_.size());
  const auto after = std::ranges::upper_bound(line_starts_, begin);
  const auto line = static_cast<std::uint32_t>(after - line_starts_.begin());
  std::size_t stop = after == line_starts_.end() ? end : std::min<std::size_t>(end, *after - 1);
  if (stop > begin && text_[stop - 1] == '\r') --stop;
  const std::uint32_t before = characters_before(begin);
  const std::uint32_t column = 1 + before - characters_before(line_starts_[line - 1]);
  return {line, column,
          std::max(column + 1, column + characters_before(std::max(stop, begin)) - before)};
}

SourceSpan Document::span(const Node& node) const {
  const bool quoted = node.is_scalar() && (node.style == Node::Style::single_quoted ||
                                           node.style == Node::Style::double_quoted);
  if (quoted) return span(node.begin - 1, node.end + 1);
  // `key:` with nothing behind it has no place of its own.
  if (node.is_scalar() && node.begin == node.end && node.key != nullptr) return span(*node.key);
  std::size_t end = node.end;
  while (end > node.begin && is_space(text_[end - 1])) --end;
  return span(node.begin, end);
}

SourceSpan Document::span_within(const Node& scalar, std::size_t begin, std::size_t end) const {
  using Style = Node::Style;
  const std::string_view value = scalar.text;
  end = std::min(end, value.size());
  begin = std::min(begin, end);
  // Walks text and file side by side. Where they differ, the file has a quote too much, an escape,
  // or indentation and line ends that folding removed.
  std::size_t at = scalar.begin;
  const std::size_t limit = std::min<std::size_t>(scalar.end, text_.size());
  std::size_t source_begin = at;
  std::size_t source_end = at;
  std::size_t i = 0;
  while (i <= end) {
    if (i == begin) source_begin = at;
    if (i == end) {
      source_end = std::max(at, source_begin);
      break;
    }
    if (at >= limit) {
      if (i < begin) source_begin = limit;
      source_end = limit;
      break;
    }
    const char c = text_[at];
    if (scalar.style == Style::double_quoted && c == '\\' && at + 1 < limit) {
      const char kind = text_[at + 1];
      std::size_t length = kind == 'x' ? 4 : kind == 'u' ? 6 : kind == 'U' ? 10 : 2;
      const std::size_t bytes = utf8_length(value[i]);
      if (kind == 'u' && bytes == 4) length = 12;  // a surrogate pair, as JSON writes it
      if (kind == '\n' || kind == '\r') {  // the line goes on; nothing in the text stands for it
        for (++at; at < limit && is_space(text_[at]);) ++at;
        continue;
      }
      at = std::min(at + length, limit);
      if (begin > i && begin < i + bytes) source_begin = at;
      if (end > i && end < i + bytes) end = i + bytes;
      i += bytes;
    } else if (scalar.style == Style::single_quoted && c == '\'') {
      at += 2;
      ++i;
    } else if (c == value[i]) {
      ++at;
      ++i;
    } else if (is_space(c)) {
      ++at;
      const bool folded = value[i] == ' ' || value[i] == '\n';
      if (folded) {
        while (at < limit && is_space(text_[at])) ++at;
        ++i;
      } else if (i == begin) {
        source_begin = at;
      }
    } else {
      ++i;  // no idea: stay close
    }
  }
  return span(source_begin, source_end);
}

std::string Document::pointer(const Node& node) {
  std::vector<std::string> steps;
  for (const Node* at = &node; at->parent != nullptr; at = at->parent) {
    if (at->parent->is_sequence()) {
      steps.push_back(fmt::format("/{}", at->index));
      continue;
    }
    std::string step = "/";
    for (const char c : at->key != nullptr ? at->key->text : at->text) {
      if (c == '~')
        step += "~0";
      else if (c == '/')
        step += "~1";
      else
        step += c;
    }
    steps.push_back(std::move(step));
  }
  std::string pointer;
  for (auto step = steps.rbegin(); step != steps.rend(); ++step) pointer += *step;
  return pointer;
}

}  // namespace reprise::yaml
