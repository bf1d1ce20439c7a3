// What can be said of an expression before the run: names, types, arguments of functions.
#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "core/text.hpp"
#include "flow/expression.hpp"
#include "flow/expression_functions.hpp"

namespace reprise::expression {

namespace {

using Kind = Type::Kind;

std::string_view noun(Kind kind) {
  switch (kind) {
    case Kind::any:
      return "any value";
    case Kind::nil:
      return "null";
    case Kind::boolean:
      return "a bool";
    case Kind::integer:
      return "an int";
    case Kind::number:
      return "a float";
    case Kind::text:
      return "a string";
    case Kind::bytes:
      return "bytes";
    case Kind::file:
      return "a file";
    case Kind::list:
      return "a list";
    case Kind::map:
      return "a map";
    case Kind::command:
      return "the result of a command";
  }
  return "a value";
}

bool is_number(Kind kind) {
  return kind == Kind::integer || kind == Kind::number || kind == Kind::any;
}
bool is(Kind kind, Kind wanted) {
  return kind == wanted || kind == Kind::any;
}

class Checker {
 public:
  Checker(const Tree& tree, const Declarations& declarations, std::vector<Problem>& problems)
      : tree_(tree), declarations_(declarations), problems_(problems) {}

  Type check(std::uint32_t at) {  // depth is limited by the parser
    const Term& term = tree_.terms()[at];
    switch (term.kind) {
      case Term::Kind::literal:
        return Type::of_value(term.value);
      case Term::Kind::name:
        return name(term);
      case Term::Kind::parameter:
        return parameter(term);
      case Term::Kind::member:
        return member(term, check(term.operands[0]), term.text);
      case Term::Kind::index:
        return index(term);
      case Term::Kind::call:
        return call(term);
      case Term::Kind::macro:
        return macro(term);
      case Term::Kind::negate: {
        const Type type = check(term.operands[0]);
        if (!is_number(type.kind)) {
          report("RP1303", term,
                 fmt::format("'-' needs a number, but '{}' is {}",
                             tree_.source_of(tree_.terms()[term.operands[0]]), type.describe()));
        }
        return type;
      }
      case Term::Kind::invert:
        condition(term.operands[0], "'!'");
        return Type::of(Kind::boolean);
      case Term::Kind::binary:
        return binary(term);
      case Term::Kind::conditional: {
        condition(term.operands[0], "'?:'");
        const Type yes = check(term.operands[1]);
        const Type no = check(term.operands[2]);
        return yes.kind == no.kind ? yes : Type::of(Kind::any);
      }
      case Term::Kind::list: {
        std::optional<Type> element;
        for (const std::uint32_t operand : term.operands) {
          Type type = check(operand);
          if (!element)
            element = std::move(type);
          else if (element->kind != type.kind)
            element = Type::of(Kind::any);
        }
        return Type::list_of(element.value_or(Type::of(Kind::any)));
      }
      case Term::Kind::map:
        for (const std::uint32_t operand : term.operands) (void)check(operand);
        return Type::of(Kind::map);
    }
    return {};
  }

 private:
  void report(std::string code, const Term& term, std::string message, std::string suggestion = {},
              std::vector<std::string> help = {}) {
    problems_.push_back({.code = std::move(code),
                         .message = std::move(message),
                         .begin = term.begin,
                         .end = term.end,
                         .suggestion = std::move(suggestion),
                         .help = std::move(help)});
  }

  Type name(const Term& term) {
    for (auto bound = bound_.rbegin(); bound != bound_.rend(); ++bound) {
      if (bound->first == term.text) return bound->second;
    }
    if (declarations_.name) {
      if (auto type = declarations_.name(term.text)) return *std::move(type);
    }
    std::vector<std::string> help;
    std::string suggestion;
    if (declarations_.parameter && declarations_.parameter(term.text)) {
      suggestion = "params." + term.text;
    } else {
      const std::vector<std::string> known =
          declarations_.known_names ? declarations_.known_names() : std::vector<std::string>{};
      if (auto near = suggest(term.text, known)) suggestion = reference_to(*near);
      std::string names;
      for (const std::string& candidate : known) {
        if (names.size() > 120) {
          names += ", …";
          break;
        }
        names += (names.empty() ? "" : ", ") + reference_to(candidate);
      }
      if (!names.empty()) help.push_back("names here: " + names);
    }
    report("RP1302", term, fmt::format("unknown name '{}'", term.text), std::move(suggestion),
           std::move(help));
    return {};
  }

  /// align-reads is a subtraction; when a task is called so, that is not what was meant.
  bool is_task_with_dash(const Term& term) {
    const Term& left = tree_.terms()[term.operands[0]];
    const std::string_view behind = std::string_view(tree_.source()).substr(left.begin);
    if (left.kind != Term::Kind::name || !declarations_.known_names ||
        !behind.substr(left.end - left.begin).starts_with('-'))
      return false;
    for (const std::string& candidate : declarations_.known_names()) {
      if (is_identifier(candidate) || candidate.size() <= left.text.size() ||
          !behind.starts_with(candidate))
        continue;
      problems_.push_back(
          {.code = "RP1302",
           .message = fmt::format("'{}' is read as a subtraction", candidate),
           .begin = left.begin,
           .end = left.begin + candidate.size(),
           .suggestion = reference_to(candidate),
           .help = {"names with other characters than letters, digits and '_' are quoted"}});
      return true;
    }
    return false;
  }

  Type parameter(const Term& term) {
    if (declarations_.parameter) {
      if (auto type = declarations_.parameter(term.text)) return *std::move(type);
    }
    const std::vector<std::string> known = declarations_.known_parameters
                                               ? declarations_.known_parameters()
                                               : std::vector<std::string>{};
    std::string suggestion;
    if (auto near = suggest(term.text, known)) suggestion = "params." + *near;
    std::string help = "this file declares no params";
    if (!known.empty()) {
      help = "params of this file: ";
      for (const std::string& candidate : known)
        help += (help.ends_with(": ") ? "" : ", ") + candidate;
    }
    report("RP1302", term, fmt::format("unknown parameter '{}'", term.text), std::move(suggestion),
           {std::move(help)});
    return {};
  }

  /// A named part of a value: x.outputs, x['outputs'].
  Type member(const Term& term, const Type& object, const std::string& name) {
    if (object.kind == Kind::command) {
      if (name == "outputs") {
        Type outputs = Type::of(Kind::map);
        outputs.outputs = object.outputs;
        outputs.element = std::make_shared<const Type>(Type::of(Kind::file));
        return outputs;
      }
      if (name == "stdout") return Type::of(Kind::text);
      if (name == "exit") return Type::of(Kind::integer);
      if (name == "value") return {};  // of a success that it signalled
      static const std::vector<std::string> fields{"outputs", "stdout", "exit", "value"};
      const std::string_view object_text = tree_.source_of(tree_.terms()[term.operands[0]]);
      const auto near = suggest(name, fields);
      report("RP1302", term, fmt::format("the result of a command has no '{}'", name),
             near ? fmt::format("{}.{}", object_text, *near) : std::string{},
             {"it has outputs, stdout and exit: outputs['FILE'] is a file it declares; and value, "
              "when "
              "it signalled a success with one"});
      return {};
    }
    if (object.kind == Kind::map) {
      if (object.outputs) {
        if (std::ranges::find(*object.outputs, name) == object.outputs->end())
          unknown_output(term, object, name);
        return Type::of(Kind::file);
      }
      return object.element ? *object.element : Type{};
    }
    if (object.kind == Kind::any) return {};
    if (object.kind == Kind::list) {
      const Term& inner = tree_.terms()[term.operands[0]];
      const bool mapped = object.element && object.element->kind == Kind::command;
      std::vector<std::string> help;
      const std::string text(tree_.source_of(inner));
      if (mapped && !declarations_.map_variable.empty()) {
        help.push_back(fmt::format("'{}' is mapped; {}[{}] is the element that belongs to this one",
                                   text, text, declarations_.map_variable));
      } else if (mapped) {
        help.push_back(fmt::format(
            "'{}' is mapped; {}[0] is its first element, {}.map(x, x.{}) takes it from all", text,
            text, text, name));
      }
      report("RP1303", term, fmt::format("a list has no '{}'", name), {}, std::move(help));
      return {};
    }
    report("RP1303", term, fmt::format("{} has no '{}'", object.describe(), name));
    return {};
  }

  void unknown_output(const Term& term, const Type& object, const std::string& name) {
    const auto near = suggest(name, *object.outputs);
    std::string declared;
    for (const std::string& output : *object.outputs)
      declared += (declared.empty() ? "" : ", ") + output;
    const std::string_view text = tree_.source_of(tree_.terms()[term.operands[0]]);
    report("RP1211", term, fmt::format("the task has no output '{}'", name),
           near ? fmt::format("{}[{}]", text, quoted(*near)) : std::string{},
           {declared.empty() ? "the task declares no 'outputs'" : "its outputs: " + declared});
  }

  Type index(const Term& term) {
    const Term& inner = tree_.terms()[term.operands[0]];
    const Term& by = tree_.terms()[term.operands[1]];
    const Type object = check(term.operands[0]);
    const auto is_bound = [&](const std::string& name) {
      return std::ranges::any_of(bound_, [&](const auto& entry) { return entry.first == name; });
    };
    const bool own = inner.kind == Term::Kind::name && by.kind == Term::Kind::name &&
                     !is_bound(inner.text) && !is_bound(by.text) &&
                     !declarations_.map_variable.empty() && by.text == declarations_.map_variable &&
                     inner.text != declarations_.map_variable;
    if (own && (object.kind == Kind::list || object.kind == Kind::any)) {
      return object.element ? *object.element : Type{};
    }
    if (own) {
      report("RP1303", term,
             fmt::format("'{}' is not mapped, so it has no element for '{}'", inner.text, by.text),
             inner.text);
      return {};
    }
    const Type key = check(term.operands[1]);
    switch (object.kind) {
      case Kind::list:
        if (!is(key.kind, Kind::integer)) {
          std::vector<std::string> help;
          if (!declarations_.map_variable.empty()) {
            help.push_back(fmt::format("[{}] takes the element that belongs to this one",
                                       declarations_.map_variable));
          }
          report("RP1303", term,
                 fmt::format("a list is indexed by an int, not by {}", key.describe()), {},
                 std::move(help));
        }
        return object.element ? *object.element : Type{};
      case Kind::map:
      case Kind::command:
        if (!is(key.kind, Kind::text)) {
          report("RP1303", term,
                 fmt::format("a map is indexed by a string, not by {}", key.describe()));
          return {};
        }
        if (by.kind == Term::Kind::literal)
          return member(term, object, std::get<std::string>(by.value.data));
        return object.kind == Kind::map && object.element ? *object.element : Type{};
      case Kind::any:
        return {};
      case Kind::nil:
      case Kind::boolean:
      case Kind::integer:
      case Kind::number:
      case Kind::text:
      case Kind::bytes:
      case Kind::file:
        break;
    }
    report("RP1303", term, fmt::format("{} cannot be indexed", object.describe()));
    return {};
  }

  Type call(const Term& term) {
    const FunctionRule* rule = find_function(term.text);
    std::vector<Type> arguments;
    for (const std::uint32_t operand : term.operands) arguments.push_back(check(operand));
    if (rule == nullptr) {
      std::vector<std::string> known;
      std::string list;
      for (const FunctionRule& candidate : function_rules()) {
        known.emplace_back(candidate.name);
        list += (list.empty() ? "" : ", ") + std::string(candidate.name);
      }
      for (const char* macro : {"map", "filter", "exists", "all"}) known.emplace_back(macro);
      std::string message = fmt::format("unknown function '{}'", term.text);
      if (const auto near = suggest(term.text, known))
        message += fmt::format("; did you mean '{}'?", *near);
      report("RP1304", term, std::move(message), {},
             {"functions: " + list + "; on lists map, filter, exists, all"});
      return {};
    }
    if (arguments.size() < rule->min_arguments || arguments.size() > rule->max_arguments) {
      report("RP1303", term,
             fmt::format("'{}' takes {}, not {}", rule->name, rule->usage, arguments.size()), {},
             {fmt::format("as in {}", rule->example)});
      return rule->result;
    }
    for (std::size_t i = 0; i < arguments.size(); ++i) {
      const std::string_view accepted = rule->accepts[i];
      if (accepts(accepted, arguments[i].kind)) continue;
      report("RP1303", tree_.terms()[term.operands[i]],
             fmt::format("'{}' cannot take {}", rule->name, arguments[i].describe()), {},
             {fmt::format("as in {}", rule->example)});
    }
    if (rule->name == "matches" && arguments.size() == 2) {
      const Term& pattern = tree_.terms()[term.operands[1]];
      if (pattern.kind == Term::Kind::literal) {
        if (const auto* text = pattern.value.get_if<std::string>()) {
          if (const auto wrong = pattern_problem(*text)) report("RP1306", pattern, *wrong);
        }
      }
    }
    return rule->result;
  }

  Type macro(const Term& term) {
    const Type object = check(term.operands[0]);
    if (!is(object.kind, Kind::list)) {
      report("RP1303", tree_.terms()[term.operands[0]],
             fmt::format("'{}' needs a list, but '{}' is {}", term.text,
                         tree_.source_of(tree_.terms()[term.operands[0]]), object.describe()));
    }
    bound_.emplace_back(term.variable, object.element ? *object.element : Type{});
    const Type body = check(term.operands[1]);
    bound_.pop_back();
    if (term.text == "map") return Type::list_of(body);
    if (!is(body.kind, Kind::boolean)) {
      report("RP1303", tree_.terms()[term.operands[1]],
             fmt::format("'{}' needs a condition, but this is {}", term.text, body.describe()));
    }
    return term.text == "filter" ? object : Type::of(Kind::boolean);
  }

  void condition(std::uint32_t at, std::string_view who) {
    const Type type = check(at);
    if (is(type.kind, Kind::boolean)) return;
    const Term& term = tree_.terms()[at];
    report(
        "RP1303", term,
        fmt::format("{} needs a bool, but '{}' is {}", who, tree_.source_of(term), type.describe()),
        {},
        type.kind == Kind::text || type.kind == Kind::list
            ? std::vector<std::string>{fmt::format("to ask whether it is empty: size({}) == 0",
                                                   tree_.source_of(term))}
            : std::vector<std::string>{});
  }

  Type binary(const Term& term) {
    const std::string& sign = term.text;
    if (sign == "-" && is_task_with_dash(term)) return {};
    if (sign == "&&" || sign == "||") {
      const std::string who = "'" + sign + "'";
      condition(term.operands[0], who);
      condition(term.operands[1], who);
      return Type::of(Kind::boolean);
    }
    const Type left = check(term.operands[0]);
    const Type right = check(term.operands[1]);
    const Kind a = left.kind;
    const Kind b = right.kind;
    const auto wrong = [&](std::vector<std::string> help = {}) {
      report("RP1303", term,
             fmt::format("'{}' cannot take {} and {}", sign, left.describe(), right.describe()), {},
             std::move(help));
    };
    if (sign == "==" || sign == "!=") {
      if (!may_be(left, right) && !may_be(right, left) && a != Kind::nil && b != Kind::nil) {
        std::vector<std::string> help;
        if (a == Kind::text || b == Kind::text)
          help.push_back("a string never equals anything else; int(x) and string(x) convert");
        wrong(std::move(help));
      }
      return Type::of(Kind::boolean);
    }
    if (sign == "in") {
      if (b == Kind::text)
        wrong({"to look for text inside text: text.contains('part')"});
      else if (!is(b, Kind::list) && !is(b, Kind::map))
        wrong();
      return Type::of(Kind::boolean);
    }
    if (sign == "<" || sign == "<=" || sign == ">" || sign == ">=") {
      const bool numbers = is_number(a) && is_number(b);
      const bool texts = is(a, Kind::text) && is(b, Kind::text);
      if (!numbers && !texts) wrong();
      return Type::of(Kind::boolean);
    }
    if (sign == "+") {
      if (is(a, Kind::text) && is(b, Kind::text) && (a == Kind::text || b == Kind::text))
        return Type::of(Kind::text);
      if (is(a, Kind::list) && is(b, Kind::list) && (a == Kind::list || b == Kind::list)) {
        return a == Kind::list ? left : right;
      }
      if (a == Kind::any && b == Kind::any) return {};
      if (a == Kind::text || b == Kind::text) {
        wrong(
            {"string(x) makes a string of a number; in text ${{ }} parts can simply follow each "
             "other"});
        return Type::of(Kind::text);
      }
    }
    if (!is_number(a) || !is_number(b)) {
      wrong();
      return {};
    }
    if (sign == "%" && (a == Kind::number || b == Kind::number)) {
      wrong({"'%' is for ints"});
      return Type::of(Kind::integer);
    }
    const Term& divisor = tree_.terms()[term.operands[1]];
    if ((sign == "/" || sign == "%") && divisor.kind == Term::Kind::literal &&
        divisor.value == Value(0)) {
      report("RP1303", term, "division by zero");
    }
    if (a == Kind::number || b == Kind::number) return Type::of(Kind::number);
    return a == Kind::integer && b == Kind::integer ? Type::of(Kind::integer) : Type{};
  }

  const Tree& tree_;
  const Declarations& declarations_;
  std::vector<Problem>& problems_;
  std::vector<std::pair<std::string, Type>> bound_;  // loop variables
};

}  // namespace

bool accepts(std::string_view accepted, Type::Kind kind) {
  if (kind == Kind::any || accepted.empty()) return true;
  for (const char c : accepted) {
    switch (c) {
      case 's':
        if (kind == Kind::text) return true;
        break;
      case 'i':
        if (kind == Kind::integer) return true;
        break;
      case 'f':
        if (kind == Kind::number) return true;
        break;
      case 'b':
        if (kind == Kind::boolean) return true;
        break;
      case 'l':
        if (kind == Kind::list) return true;
        break;
      case 'm':
        if (kind == Kind::map || kind == Kind::command) return true;
        break;
      case 'F':
        if (kind == Kind::file) return true;
        break;
      case 'n':
        if (kind == Kind::nil) return true;
        break;
      case 'B':
        if (kind == Kind::bytes) return true;
        break;
      default:
        break;
    }
  }
  return false;
}

Type Type::list_of(Type element) {
  Type list = of(Kind::list);
  if (element.kind != Kind::any) list.element = std::make_shared<const Type>(std::move(element));
  return list;
}

Type Type::from_signature(std::string_view type) {
  if (type == "nil") return of(Kind::nil);
  if (type == "bool") return of(Kind::boolean);
  if (type == "i64" || type == "u64") return of(Kind::integer);
  if (type == "f64") return of(Kind::number);
  if (type == "str") return of(Kind::text);
  if (type == "bytes") return of(Kind::bytes);
  if (type == "file") return of(Kind::file);
  if (type.starts_with("list<") && type.ends_with('>')) {
    return list_of(from_signature(type.substr(5, type.size() - 6)));
  }
  if (type.starts_with("map<str,") && type.ends_with('>')) {
    Type map = of(Kind::map);
    Type element = from_signature(type.substr(8, type.size() - 9));
    if (element.kind != Kind::any) map.element = std::make_shared<const Type>(std::move(element));
    return map;
  }
  return {};
}

Type Type::of_value(const Value& value) {
  if (value.is_nil()) return of(Kind::nil);
  if (value.get_if<bool>() != nullptr) return of(Kind::boolean);
  if (value.get_if<std::int64_t>() != nullptr || value.get_if<std::uint64_t>() != nullptr)
    return of(Kind::integer);
  if (value.get_if<double>() != nullptr) return of(Kind::number);
  if (value.get_if<std::string>() != nullptr) return of(Kind::text);
  if (value.get_if<Bytes>() != nullptr) return of(Kind::bytes);
  if (value.get_if<Map>() != nullptr) return of(Kind::map);
  if (const auto* list = value.get_if<List>()) {
    std::optional<Type> element;
    for (const Value& item : *list) {
      Type type = of_value(item);
      if (!element)
        element = std::move(type);
      else if (element->kind != type.kind)
        return of(Kind::list);
    }
    return list_of(element.value_or(Type{}));
  }
  if (is_file(value)) return of(Kind::file);
  return {};
}

std::string Type::describe() const {
  if (kind != Kind::list || !element) return std::string(noun(kind));
  switch (element->kind) {
    case Kind::boolean:
      return "a list of bools";
    case Kind::integer:
      return "a list of ints";
    case Kind::number:
      return "a list of floats";
    case Kind::text:
      return "a list of strings";
    case Kind::file:
      return "a list of files";
    case Kind::list:
      return "a list of lists";
    case Kind::map:
      return "a list of maps";
    case Kind::command:
      return "the list of a mapped command's results";
    case Kind::any:
    case Kind::nil:
    case Kind::bytes:
      break;
  }
  return "a list";
}

bool may_be(const Type& from, const Type& to) {
  if (from.kind == Kind::any || to.kind == Kind::any) return true;
  if (from.kind == to.kind) {
    if (from.kind == Kind::list && from.element && to.element)
      return may_be(*from.element, *to.element);
    return true;
  }
  if (from.kind == Kind::integer && to.kind == Kind::number) return true;
  return from.kind == Kind::command && to.kind == Kind::map;
}

Type check(const Tree& tree, const Declarations& declarations, std::vector<Problem>& problems) {
  return Checker(tree, declarations, problems).check(tree.root());
}

}  // namespace reprise::expression
