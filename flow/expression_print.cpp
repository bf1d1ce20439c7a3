// What a parsed expression reads, and the way back to text.
#include <algorithm>
#include <array>
#include <cmath>

#include <fmt/format.h>

#include "flow/expression.hpp"
#include "flow/expression_lexer.hpp"

namespace reprise::expression {

namespace {

constexpr std::array<std::string_view, 6> reserved_words{"true", "false",  "null",
                                                         "in",   "params", "tasks"};

}  // namespace

Reads Tree::reads(std::string_view map_variable) const {
  Reads reads;
  const auto add = [](std::vector<std::string>& list, const std::string& name) {
    if (std::ranges::find(list, name) == list.end()) list.push_back(name);
  };
  std::vector<std::string_view> bound;  // loop variables
  // Depth is limited by the parser.
  const auto walk = [&](const auto& self, const Term& term) -> void {
    const auto is_bound = [&](std::string_view name) {
      return std::ranges::find(bound, name) != bound.end();
    };
    switch (term.kind) {
      case Term::Kind::name:
        if (!is_bound(term.text)) add(reads.names, term.text);
        return;
      case Term::Kind::parameter:
        add(reads.parameters, term.text);
        return;
      case Term::Kind::index: {
        const Term& object = terms_[term.operands[0]];
        const Term& index = terms_[term.operands[1]];
        if (object.kind == Term::Kind::name && index.kind == Term::Kind::name &&
            !map_variable.empty() && index.text == map_variable && !is_bound(index.text) &&
            !is_bound(object.text) && object.text != map_variable) {
          add(reads.own, object.text);
          return;
        }
        break;
      }
      case Term::Kind::macro:
        self(self, terms_[term.operands[0]]);
        bound.push_back(term.variable);
        self(self, terms_[term.operands[1]]);
        bound.pop_back();
        return;
      case Term::Kind::literal:
      case Term::Kind::member:
      case Term::Kind::call:
      case Term::Kind::negate:
      case Term::Kind::invert:
      case Term::Kind::binary:
      case Term::Kind::conditional:
      case Term::Kind::list:
      case Term::Kind::map:
        break;
    }
    for (const std::uint32_t operand : term.operands) self(self, terms_[operand]);
  };
  walk(walk, terms_[root_]);
  return reads;
}

std::string Tree::print(const Rename& rename) const {
  const auto print_term = [&](const auto& self, std::uint32_t at) -> std::string {
    if (rename) {
      if (auto other = rename(at)) return *std::move(other);
    }
    const Term& term = terms_[at];
    const auto operand = [&](std::size_t i) { return self(self, term.operands[i]); };
    const auto all = [&](std::size_t from) {
      std::string text;
      for (std::size_t i = from; i < term.operands.size(); ++i)
        text += (i > from ? ", " : "") + operand(i);
      return text;
    };
    switch (term.kind) {
      case Term::Kind::literal:
        return literal_text(term.value).value_or("null");
      case Term::Kind::name:
        return reference_to(term.text);
      case Term::Kind::parameter:
        return is_identifier(term.text) ? "params." + term.text
                                        : "params[" + quoted(term.text) + "]";
      case Term::Kind::member:
        return operand(0) + "." + term.text;
      case Term::Kind::index:
        return operand(0) + "[" + operand(1) + "]";
      case Term::Kind::call:
        return term.text + "(" + all(0) + ")";
      case Term::Kind::macro:
        return operand(0) + "." + term.text + "(" + term.variable + ", " + operand(1) + ")";
      case Term::Kind::negate:
        return "(-" + operand(0) + ")";
      case Term::Kind::invert:
        return "(!" + operand(0) + ")";
      case Term::Kind::binary:
        return "(" + operand(0) + " " + term.text + " " + operand(1) + ")";
      case Term::Kind::conditional:
        return "(" + operand(0) + " ? " + operand(1) + " : " + operand(2) + ")";
      case Term::Kind::list:
        return "[" + all(0) + "]";
      case Term::Kind::map: {
        std::string text = "{";
        for (std::size_t i = 0; i + 1 < term.operands.size(); i += 2) {
          text += (i > 0 ? ", " : "") + operand(i) + ": " + operand(i + 1);
        }
        return text + "}";
      }
    }
    return {};
  };
  return print_term(print_term, root_);
}

std::string quoted(std::string_view text) {
  std::string result = "'";
  for (const char c : text) {
    switch (c) {
      case '\'':
        result += "\\'";
        break;
      case '\\':
        result += "\\\\";
        break;
      case '\n':
        result += "\\n";
        break;
      case '\r':
        result += "\\r";
        break;
      case '\t':
        result += "\\t";
        break;
      default:
        if (static_cast<unsigned char>(c) < 0x20)
          result += fmt::format("\\u{:04x}", static_cast<unsigned char>(c));
        else
          result += c;
    }
  }
  return result + "'";
}

std::optional<std::string> literal_text(const Value& value) {
  if (value.is_nil()) return "null";
  if (const auto* b = value.get_if<bool>()) return *b ? "true" : "false";
  if (const auto* i = value.get_if<std::int64_t>())
    return *i < 0 ? fmt::format("({})", *i) : fmt::format("{}", *i);
  if (const auto* u = value.get_if<std::uint64_t>()) return fmt::format("{}", *u);
  if (const auto* d = value.get_if<double>()) {
    if (!std::isfinite(*d)) return std::nullopt;
    std::string text = fmt::format("{}", *d);
    if (text.find_first_of(".e") == std::string::npos) text += ".0";
    return *d < 0 || std::signbit(*d) ? "(" + text + ")" : text;
  }
  if (const auto* s = value.get_if<std::string>()) return quoted(*s);
  std::string text;
  if (const auto* list = value.get_if<List>()) {
    for (const Value& item : *list) {
      const auto part = literal_text(item);
      if (!part) return std::nullopt;
      text += (text.empty() ? "" : ", ") + *part;
    }
    return "[" + text + "]";
  }
  if (const auto* map = value.get_if<Map>()) {
    for (const auto& [key, item] : *map) {
      const auto name = literal_text(key);
      const auto part = literal_text(item);
      if (!name || !part) return std::nullopt;
      text += (text.empty() ? "" : ", ") + *name + ": " + *part;
    }
    return "{" + text + "}";
  }
  return std::nullopt;
}

bool is_identifier(std::string_view text) {
  if (text.empty() || !is_letter(text[0])) return false;
  if (!std::ranges::all_of(text, [](char c) { return is_letter(c) || is_digit(c); })) return false;
  if (text == "and" || text == "or" || text == "not") return false;
  return std::ranges::find(reserved_words, text) == reserved_words.end();
}

std::string reference_to(std::string_view task) {
  return is_identifier(task) ? std::string(task) : "tasks[" + quoted(task) + "]";
}

}  // namespace reprise::expression
