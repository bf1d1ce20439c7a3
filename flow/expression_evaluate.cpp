// Evaluation of expressions over values. Values are passed as shared pointers, into the scope where
// possible, so that fetch[3].outputs['x'] copies one file's digest and not the results of all of
// fetch.
#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <memory>

#include <fmt/format.h>

#include "core/failure.hpp"
#include "core/text.hpp"
#include "flow/expression.hpp"
#include "flow/expression_functions.hpp"

namespace reprise::expression {

namespace {

using Shared = std::shared_ptr<const Value>;

/// Thrown inside the evaluator only and caught in evaluate().
struct Failure {
  Error error;
};

/// A value within something that outlives the evaluation.
Shared borrow(const Value& value) {
  return {std::shared_ptr<const Value>(), &value};
}
Shared own(Value value) {
  return std::make_shared<const Value>(std::move(value));
}
/// A part of a value; keeps the whole alive.
Shared part(const Shared& whole, const Value& inner) {
  return {whole, &inner};
}

std::string_view noun(const Value& value) {
  if (value.is_nil()) return "null";
  if (value.get_if<bool>() != nullptr) return "a bool";
  if (value.get_if<std::int64_t>() != nullptr || value.get_if<std::uint64_t>() != nullptr)
    return "an int";
  if (value.get_if<double>() != nullptr) return "a float";
  if (value.get_if<std::string>() != nullptr) return "a string";
  if (value.get_if<Bytes>() != nullptr) return "bytes";
  if (value.get_if<List>() != nullptr) return "a list";
  if (value.get_if<Map>() != nullptr) return "a map";
  if (is_failure_record(value)) return "the failure of a task";
  return is_file(value) ? "a file" : "a value without operations";
}

bool is_number(const Value& value) {
  return value.get_if<std::int64_t>() != nullptr || value.get_if<std::uint64_t>() != nullptr ||
         value.get_if<double>() != nullptr;
}

double as_double(const Value& value) {
  if (const auto* i = value.get_if<std::int64_t>()) return static_cast<double>(*i);
  if (const auto* u = value.get_if<std::uint64_t>()) return static_cast<double>(*u);
  return std::get<double>(value.data);
}

/// -1, 0, 1, or 2 when one is not a number (NaN). Integers compare exactly; mixed ones as floats.
int compare_numbers(const Value& a, const Value& b) {
  const auto* ai = a.get_if<std::int64_t>();
  const auto* bi = b.get_if<std::int64_t>();
  if (ai != nullptr && bi != nullptr) return *ai < *bi ? -1 : *ai > *bi ? 1 : 0;
  const auto* au = a.get_if<std::uint64_t>();
  const auto* bu = b.get_if<std::uint64_t>();
  if (au != nullptr && bu != nullptr) return *au < *bu ? -1 : *au > *bu ? 1 : 0;
  if (au != nullptr && bi != nullptr) return 1;  // unsigned is used above INT64_MAX only
  if (ai != nullptr && bu != nullptr) return -1;
  const double x = as_double(a);
  const double y = as_double(b);
  if (std::isnan(x) || std::isnan(y)) return 2;
  return x < y ? -1 : x > y ? 1 : 0;
}

bool equal(const Value& a, const Value& b) {
  if (is_number(a) && is_number(b)) return compare_numbers(a, b) == 0;
  return a == b;
}

std::string shell_quoted(std::string_view text) {
  std::string result = "'";
  for (const char c : text) {
    if (c == '\'')
      result += "'\\''";
    else
      result += c;
  }
  return result + "'";
}

class Evaluator {
 public:
  Evaluator(const Tree& tree, const Scope& scope, const Options& options)
      : tree_(tree), scope_(scope), options_(options), fuel_(options.fuel) {}

  Shared evaluate(std::uint32_t at) {  // depth is limited by the parser
    const Term& term = tree_.terms()[at];
    burn(1);
    switch (term.kind) {
      case Term::Kind::literal:
        return borrow(term.value);
      case Term::Kind::name:
        return name(term);
      case Term::Kind::parameter:
        if (const Value* value = scope_.parameter(term.text)) {
          hint_ = term.text;
          return borrow(*value);
        }
        refuse(term, fmt::format("there is no parameter \"{}\"", escape_for_terminal(term.text)));
      case Term::Kind::member:
        return member(term, evaluate(term.operands[0]), term.text);
      case Term::Kind::index:
        return index(term);
      case Term::Kind::call:
        return call(term);
      case Term::Kind::macro:
        return macro(term);
      case Term::Kind::negate:
        return negate(term);
      case Term::Kind::invert:
        return own(!truth(term.operands[0]));
      case Term::Kind::binary:
        return binary(term);
      case Term::Kind::conditional:
        return evaluate(term.operands[truth(term.operands[0]) ? 1 : 2]);
      case Term::Kind::list: {
        List list;
        list.reserve(term.operands.size());
        for (const std::uint32_t operand : term.operands) list.push_back(copy(evaluate(operand)));
        return own(std::move(list));
      }
      case Term::Kind::map:
        return map(term);
    }
    refuse(term, "cannot be evaluated");
  }

  [[nodiscard]] const std::string& hint() const { return hint_; }

 private:
  [[noreturn]] void refuse(const Term& term, std::string_view why) const {
    const std::string place = shorten(escape_for_terminal(tree_.source_of(term)), 60);
    std::string_view source = tree_.source();
    source.remove_prefix(std::min(source.find_first_not_of(" \t\r\n"), source.size()));
    source = source.substr(0, source.find_last_not_of(" \t\r\n") + 1);
    const std::string whole = shorten(escape_for_terminal(source), 80);
    std::string message = fmt::format("cannot evaluate \"{}\"", place);
    if (place != whole) message += fmt::format(" in \"{}\"", whole);
    throw Failure{{ErrorCode::invalid_argument, fmt::format("{}: {}", message, why)}};
  }

  void burn(std::uint64_t amount) {
    if (fuel_ < amount) {
      throw Failure{{ErrorCode::exhausted,
                     fmt::format("\"{}\" takes more than {} steps",
                                 shorten(escape_for_terminal(tree_.source()), 80), options_.fuel)}};
    }
    fuel_ -= amount;
  }

  /// What copying a value costs.
  void burn_for(const Value& value) {
    if (const auto* list = value.get_if<List>()) {
      burn(list->size());
      for (const Value& item : *list) burn_for(item);
    } else if (const auto* map = value.get_if<Map>()) {
      burn(map->size());
      for (const auto& [key, item] : *map) burn_for(item);
    } else if (const auto* text = value.get_if<std::string>()) {
      burn(text->size() / 32);
    }
  }

  Value copy(const Shared& value) {
    burn_for(*value);
    return *value;
  }

  bool truth(std::uint32_t at) {
    const Shared value = evaluate(at);
    if (const bool* result = value->get_if<bool>()) return *result;
    refuse(tree_.terms()[at], fmt::format("a bool is needed, this is {}", noun(*value)));
  }

  [[nodiscard]] const Shared* bound(std::string_view name) const {
    for (auto variable = bound_.rbegin(); variable != bound_.rend(); ++variable) {
      if (variable->first == name) return &variable->second;
    }
    return nullptr;
  }

  Shared name(const Term& term) {
    if (const Shared* variable = bound(term.text)) return *variable;
    if (const Value* value = scope_.find(term.text)) {
      hint_ = term.text;
      return borrow(*value);
    }
    refuse(term, fmt::format("there is no \"{}\"", escape_for_terminal(term.text)));
  }

  Shared member(const Term& term, const Shared& object, const std::string& key) {
    if (const auto* map = object->get_if<Map>()) {
      burn(map->size() / 8);
      if (const Value* value = object->find(key)) {
        hint_ = key;
        return part(object, *value);
      }
      refuse(term, fmt::format("there is no \"{}\" in it", escape_for_terminal(key)));
    }
    refuse(term, fmt::format("{} has no \"{}\"", noun(*object), escape_for_terminal(key)));
  }

  Shared index(const Term& term) {
    const Term& inner = tree_.terms()[term.operands[0]];
    const Term& by = tree_.terms()[term.operands[1]];
    if (inner.kind == Term::Kind::name && by.kind == Term::Kind::name &&
        bound(inner.text) == nullptr && bound(by.text) == nullptr) {
      if (const Value* element = scope_.find(inner.text + "[]")) {
        hint_ = inner.text;
        return borrow(*element);
      }
    }
    const Shared object = evaluate(term.operands[0]);
    const Shared key = evaluate(term.operands[1]);
    if (const auto* list = object->get_if<List>()) {
      const auto* at = key->get_if<std::int64_t>();
      if (at == nullptr)
        refuse(term, fmt::format("a list is indexed by an int, not by {}", noun(*key)));
      const auto size = static_cast<std::int64_t>(list->size());
      const std::int64_t place = *at < 0 ? *at + size : *at;  // -1 is the last one
      if (place < 0 || place >= size)
        refuse(term, fmt::format("index {} of a list of {}", *at, size));
      return part(object, (*list)[static_cast<std::size_t>(place)]);
    }
    if (object->get_if<Map>() != nullptr) {
      const auto* text = key->get_if<std::string>();
      if (text == nullptr)
        refuse(term, fmt::format("a map is indexed by a string, not by {}", noun(*key)));
      return member(term, object, *text);
    }
    refuse(term, fmt::format("{} cannot be indexed", noun(*object)));
  }

  Shared negate(const Term& term) {
    const Shared value = evaluate(term.operands[0]);
    if (const auto* d = value->get_if<double>()) return own(-*d);
    if (const auto* i = value->get_if<std::int64_t>(); i != nullptr && *i != INT64_MIN)
      return own(-*i);
    refuse(term, is_number(*value) ? "the number is out of range"
                                   : fmt::format("{} cannot be negated", noun(*value)));
  }

  Shared map(const Term& term) {
    Map map;
    for (std::size_t i = 0; i + 1 < term.operands.size(); i += 2) {
      Value key = copy(evaluate(term.operands[i]));
      burn(map.size());
      for (const auto& [other, unused] : map) {
        if (other == key) refuse(tree_.terms()[term.operands[i]], "the key is there twice");
      }
      map.emplace_back(std::move(key), copy(evaluate(term.operands[i + 1])));
    }
    return own(std::move(map));
  }

  Shared macro(const Term& term) {
    const Shared object = evaluate(term.operands[0]);
    const auto* list = object->get_if<List>();
    if (list == nullptr)
      refuse(term, fmt::format("\"{}\" needs a list, this is {}", term.text, noun(*object)));
    List result;
    bool all = true;
    bool exists = false;
    for (const Value& item : *list) {
      bound_.emplace_back(term.variable, part(object, item));
      if (term.text == "map") {
        result.push_back(copy(evaluate(term.operands[1])));
      } else {
        const bool holds = truth(term.operands[1]);
        all = all && holds;
        exists = exists || holds;
        if (holds && term.text == "filter") result.push_back(copy(part(object, item)));
      }
      bound_.pop_back();
    }
    if (term.text == "all") return own(all);
    if (term.text == "exists") return own(exists);
    return own(std::move(result));
  }

  Shared binary(const Term& term) {
    const std::string& sign = term.text;
    if (sign == "&&") return own(truth(term.operands[0]) && truth(term.operands[1]));
    if (sign == "||") return own(truth(term.operands[0]) || truth(term.operands[1]));
    const Shared left = evaluate(term.operands[0]);
    const Shared right = evaluate(term.operands[1]);
    if (sign == "==" || sign == "!=") {
      burn_for(*left);
      return own(equal(*left, *right) == (sign == "=="));
    }
    if (sign == "in") return own(contains(term, *right, *left));
    const auto wrong = [&]() {
      refuse(term, fmt::format("'{}' cannot take {} and {}", sign, noun(*left), noun(*right)));
    };
    if (sign == "<" || sign == "<=" || sign == ">" || sign == ">=") {
      int order = 0;
      const auto* a = left->get_if<std::string>();
      const auto* b = right->get_if<std::string>();
      if (a != nullptr && b != nullptr)
        order = a->compare(*b);
      else if (is_number(*left) && is_number(*right))
        order = compare_numbers(*left, *right);
      else
        wrong();
      if (order == 2 && a == nullptr) return own(false);  // NaN
      return own(sign == "<"    ? order < 0
                 : sign == "<=" ? order <= 0
                 : sign == ">"  ? order > 0
                                : order >= 0);
    }
    if (sign == "+") {
      const auto* a = left->get_if<std::string>();
      const auto* b = right->get_if<std::string>();
      if (a != nullptr && b != nullptr) {
        burn((a->size() + b->size()) / 32);
        return own(*a + *b);
      }
      if (left->get_if<List>() != nullptr && right->get_if<List>() != nullptr) {
        List sum = std::get<List>(copy(left).data);
        Value more = copy(right);
        for (Value& item : std::get<List>(more.data)) sum.push_back(std::move(item));
        return own(std::move(sum));
      }
    }
    if (!is_number(*left) || !is_number(*right)) wrong();
    return arithmetic(term, *left, *right);
  }

  Shared arithmetic(const Term& term, const Value& left, const Value& right) {
    const char sign = term.text[0];
    const auto* a = left.get_if<std::int64_t>();
    const auto* b = right.get_if<std::int64_t>();
    if (a != nullptr && b != nullptr) {
      std::int64_t result = 0;
      bool overflow = false;
      switch (sign) {
        case '+':
          overflow = __builtin_add_overflow(*a, *b, &result);
          break;
        case '-':
          overflow = __builtin_sub_overflow(*a, *b, &result);
          break;
        case '*':
          overflow = __builtin_mul_overflow(*a, *b, &result);
          break;
        case '/':
        case '%':
          if (*b == 0) refuse(term, "division by zero");
          if (*b == -1) {  // INT64_MIN / -1 does not fit
            overflow = sign == '/' && *a == INT64_MIN;
            result = sign == '%' || overflow ? 0 : -*a;
          } else {
            result = sign == '/' ? *a / *b : *a % *b;
          }
          break;
        default:
          break;
      }
      if (overflow) refuse(term, "the result does not fit 64 bits");
      return own(result);
    }
    const double x = as_double(left);
    const double y = as_double(right);
    switch (sign) {
      case '+':
        return own(x + y);
      case '-':
        return own(x - y);
      case '*':
        return own(x * y);
      case '/':
        if (y == 0) refuse(term, "division by zero");
        return own(x / y);
      default:
        refuse(term, "'%' is for ints");
    }
  }

  bool contains(const Term& term, const Value& whole, const Value& wanted) {
    if (const auto* list = whole.get_if<List>()) {
      burn(list->size());
      for (const Value& item : *list) {
        if (equal(item, wanted)) return true;
      }
      return false;
    }
    if (const auto* map = whole.get_if<Map>()) {
      burn(map->size());
      for (const auto& [key, value] : *map) {
        if (equal(key, wanted)) return true;
      }
      return false;
    }
    refuse(term, fmt::format("{} has no elements to look through", noun(whole)));
  }

  Shared call(const Term& term) {
    const FunctionRule* rule = find_function(term.text);
    if (rule == nullptr) refuse(term, fmt::format("there is no function \"{}\"", term.text));
    const std::size_t count = term.operands.size();
    if (count < rule->min_arguments || count > rule->max_arguments) {
      refuse(term, fmt::format("\"{}\" takes {}, not {}", rule->name, rule->usage, count));
    }
    std::vector<Shared> arguments;
    for (std::size_t i = 0; i < count; ++i) {
      arguments.push_back(evaluate(term.operands[i]));
      const Type::Kind kind = Type::of_value(*arguments[i]).kind;
      if (kind == Type::Kind::any || !accepts(rule->accepts[i], kind)) {
        if (rule->accepts[i].empty()) continue;
        refuse(term, fmt::format("\"{}\" cannot take {}", rule->name, noun(*arguments[i])));
      }
    }
    const Value& first = *arguments[0];
    const auto text_of = [](const Value& value) -> const std::string& {
      return std::get<std::string>(value.data);
    };
    switch (rule->id) {
      case FunctionId::size:
        return own(size(first));
      case FunctionId::contains: {
        const auto* text = first.get_if<std::string>();
        if (text == nullptr) return own(contains(term, first, *arguments[1]));
        const auto* wanted = arguments[1]->get_if<std::string>();
        if (wanted == nullptr)
          refuse(term, fmt::format("\"contains\" cannot look for {} in text", noun(*arguments[1])));
        burn(text->size() / 32);
        return own(text->find(*wanted) != std::string::npos);
      }
      case FunctionId::starts_with:
        return own(text_of(first).starts_with(text_of(*arguments[1])));
      case FunctionId::ends_with:
        return own(text_of(first).ends_with(text_of(*arguments[1])));
      case FunctionId::matches: {
        burn(1000 + text_of(first).size());
        const auto found = matches(text_of(first), text_of(*arguments[1]));
        if (!found) refuse(term, found.error().message);
        return own(*found);
      }
      case FunctionId::to_string:
        return own(text(term, first));
      case FunctionId::to_int:
        return own(to_int(term, first));
      case FunctionId::to_float:
        return own(to_float(term, first));
      case FunctionId::json:
        burn_for(first);
        return own(to_json(first));
      case FunctionId::join: {
        const std::string separator = count > 1 ? text_of(*arguments[1]) : "";
        std::string joined;
        bool fresh = true;
        for (const Value& item : std::get<List>(first.data)) {
          if (!fresh) joined += separator;
          fresh = false;
          joined += text(term, item);
          burn(1 + separator.size() / 32);
        }
        return own(std::move(joined));
      }
      case FunctionId::quote: {
        const auto* list = first.get_if<List>();
        if (list == nullptr) return own(shell_quoted(text(term, first)));
        std::string line;
        for (const Value& item : *list)
          line += (line.empty() ? "" : " ") + shell_quoted(text(term, item));
        return own(std::move(line));
      }
      case FunctionId::range: {
        const std::int64_t from = count > 1 ? std::get<std::int64_t>(first.data) : 0;
        const auto* last = arguments.back()->get_if<std::int64_t>();
        if (last == nullptr || (count > 1 && first.get_if<std::int64_t>() == nullptr))
          refuse(term, "the range is too large");
        if (*last > from) {
          const std::uint64_t count_of =
              static_cast<std::uint64_t>(*last) - static_cast<std::uint64_t>(from);
          // Every element takes memory: two million are possible.
          burn(std::min<std::uint64_t>(count_of, UINT64_MAX / 2) * 2);
        }
        List numbers;
        for (std::int64_t i = from; i < *last; ++i) numbers.emplace_back(i);
        return own(std::move(numbers));
      }
    }
    refuse(term, "cannot be evaluated");
  }

  /// Characters of a text, bytes of bytes, entries of a list or map.
  static std::int64_t size(const Value& value) {
    if (const auto* list = value.get_if<List>()) return static_cast<std::int64_t>(list->size());
    if (const auto* map = value.get_if<Map>()) return static_cast<std::int64_t>(map->size());
    if (const auto* bytes = value.get_if<Bytes>())
      return static_cast<std::int64_t>(bytes->data.size());
    std::int64_t characters = 0;
    if (const auto* text = value.get_if<std::string>()) {
      for (const char c : *text)
        characters += (static_cast<unsigned char>(c) & 0xc0) != 0x80 ? 1 : 0;
    }
    return characters;
  }

  std::string text(const Term& term, const Value& value) {
    burn_for(value);
    auto result = to_text(value, hint_, options_.file_text);
    if (!result) refuse(term, result.error().message);
    return *std::move(result);
  }

  // What programs print ends with a line end.
  static std::string_view without_blanks(std::string_view text) {
    const std::size_t first = text.find_first_not_of(" \t\r\n");
    if (first == std::string_view::npos) return {};
    return text.substr(first, text.find_last_not_of(" \t\r\n") - first + 1);
  }

  Value to_int(const Term& term, const Value& value) {
    if (const auto* b = value.get_if<bool>()) return Value(*b ? 1 : 0);
    if (const auto* d = value.get_if<double>()) {
      if (!(*d > -9.2e18 && *d < 9.2e18)) refuse(term, "the number does not fit 64 bits");
      return Value(static_cast<std::int64_t>(*d));
    }
    if (const auto* s = value.get_if<std::string>()) {
      std::int64_t number = 0;
      const std::string_view digits = without_blanks(*s);
      const auto [end, error] =
          std::from_chars(digits.data(), digits.data() + digits.size(), number);
      if (digits.empty() || error != std::errc{} || end != digits.data() + digits.size()) {
        refuse(term, fmt::format("\"{}\" is not an int", shorten(escape_for_terminal(*s), 40)));
      }
      return Value(number);
    }
    return value;
  }

  Value to_float(const Term& term, const Value& value) {
    if (is_number(value)) return Value(as_double(value));
    const auto& s = std::get<std::string>(value.data);
    double number = 0;
    const std::string_view digits = without_blanks(s);
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
    if (digits.empty() || error != std::errc{} || end != digits.data() + digits.size()) {
      refuse(term, fmt::format("\"{}\" is not a float", shorten(escape_for_terminal(s), 40)));
    }
    return Value(number);
  }

  const Tree& tree_;
  const Scope& scope_;
  const Options& options_;
  std::uint64_t fuel_;
  std::string hint_;
  std::vector<std::pair<std::string, Shared>> bound_;  // loop variables
};

}  // namespace

const Value* MapScope::find(std::string_view name) const {
  const auto found = names.find(name);
  return found == names.end() ? nullptr : &found->second;
}

const Value* MapScope::parameter(std::string_view name) const {
  const auto found = parameters.find(name);
  return found == parameters.end() ? nullptr : &found->second;
}

Result<Evaluated> evaluate(const Tree& tree, const Scope& scope, const Options& options) {
  try {
    Evaluator evaluator(tree, scope, options);
    const Shared value = evaluator.evaluate(tree.root());
    return Evaluated{.value = *value, .hint = evaluator.hint()};
  } catch (Failure& failure) {
    return tl::unexpected(std::move(failure.error));
  }
}

Result<bool> evaluate_condition(std::string_view text, const Scope& scope) {
  const auto tree = Tree::parse(text);
  if (!tree) {
    return fail(ErrorCode::invalid_argument,
                fmt::format("condition \"{}\": {}", shorten(escape_for_terminal(text), 80),
                            tree.error().message));
  }
  auto value = evaluate(*tree, scope);
  if (!value) return tl::unexpected(std::move(value.error()));
  if (const bool* result = value->value.get_if<bool>()) return *result;
  return fail(ErrorCode::invalid_argument,
              fmt::format("condition \"{}\" is {}, not true or false",
                          shorten(escape_for_terminal(text), 80), noun(value->value)));
}

Result<std::string> to_text(const Value& value, std::string_view hint, const FileText& file_text) {
  if (value.is_nil()) return std::string();
  if (const auto* b = value.get_if<bool>()) return std::string(*b ? "true" : "false");
  if (const auto* i = value.get_if<std::int64_t>()) return fmt::format("{}", *i);
  if (const auto* u = value.get_if<std::uint64_t>()) return fmt::format("{}", *u);
  if (const auto* d = value.get_if<double>()) {
    std::string text = fmt::format("{}", *d);
    if (std::isfinite(*d) && text.find_first_of(".e") == std::string::npos) text += ".0";
    return text;
  }
  if (const auto* s = value.get_if<std::string>()) return *s;
  if (is_file(value)) {
    const auto file = as_file(value);
    if (!file) return tl::unexpected(file.error());
    return file_text ? file_text(*file, hint) : file->content.text();
  }
  if (const auto* list = value.get_if<List>()) {
    std::string text;
    bool fresh = true;
    for (const Value& item : *list) {
      auto element = to_text(item, hint, file_text);
      if (!element) return element;
      if (!fresh) text += ' ';
      fresh = false;
      text += *element;
    }
    return text;
  }
  if (value.get_if<Bytes>() != nullptr)
    return fail(ErrorCode::invalid_argument, "bytes have no text");
  return to_json(value);
}

}  // namespace reprise::expression
