// Lexer and parser of expressions, and the way back to text.
#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

#include <fmt/format.h>

#include "core/text.hpp"
#include "flow/expression.hpp"

namespace reprise::expression {

namespace {

constexpr std::uint32_t max_nesting = 64;    // brackets and operators within each other, as written
constexpr std::uint32_t max_tree_depth = 256;  // chains like 1 + 1 + 1 … lean to the left

constexpr std::array<std::string_view, 6> reserved_words{"true", "false", "null", "in", "params", "tasks"};
constexpr std::array<std::string_view, 4> macros{"map", "filter", "exists", "all"};

bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }

struct Token {
  enum class Kind : std::uint8_t { end, name, number, string, sign };
  Kind kind = Kind::end;
  std::size_t begin = 0;
  std::size_t end = 0;
  std::string text;  // of a name or sign; content of a string
  Value value;       // of a number
};

/// Thrown inside the parser only and caught in Tree::parse.
struct ParseError {
  Problem problem;
};

[[noreturn]] void refuse(std::size_t begin, std::size_t end, std::string message, std::string suggestion = {},
                         std::vector<std::string> help = {}) {
  throw ParseError{{.code = "RP1301", .message = std::move(message), .begin = begin, .end = end,
                    .suggestion = std::move(suggestion), .help = std::move(help)}};
}

void append_utf8(std::string& text, std::uint32_t code) {
  if (code < 0x80) {
    text += static_cast<char>(code);
  } else if (code < 0x800) {
    text += static_cast<char>(0xc0 | (code >> 6));
    text += static_cast<char>(0x80 | (code & 0x3f));
  } else if (code < 0x10000) {
    text += static_cast<char>(0xe0 | (code >> 12));
    text += static_cast<char>(0x80 | ((code >> 6) & 0x3f));
    text += static_cast<char>(0x80 | (code & 0x3f));
  } else {
    text += static_cast<char>(0xf0 | (code >> 18));
    text += static_cast<char>(0x80 | ((code >> 12) & 0x3f));
    text += static_cast<char>(0x80 | ((code >> 6) & 0x3f));
    text += static_cast<char>(0x80 | (code & 0x3f));
  }
}

class Lexer {
 public:
  explicit Lexer(std::string_view source) : source_(source) {}

  Token next() {
    while (at_ < source_.size() && (source_[at_] == ' ' || source_[at_] == '\t' || source_[at_] == '\n' ||
                                    source_[at_] == '\r')) {
      ++at_;
    }
    Token token;
    token.begin = token.end = at_;
    if (at_ == source_.size()) return token;
    const char c = source_[at_];
    if (is_letter(c)) name(token);
    else if (is_digit(c) || (c == '.' && at_ + 1 < source_.size() && is_digit(source_[at_ + 1]))) number(token);
    else if (c == '\'' || c == '"') string(token);
    else sign(token);
    token.end = at_;
    return token;
  }

 private:
  void name(Token& token) {
    token.kind = Token::Kind::name;
    while (at_ < source_.size() && (is_letter(source_[at_]) || is_digit(source_[at_]))) ++at_;
    token.text = source_.substr(token.begin, at_ - token.begin);
    if (token.text == "and") refuse(token.begin, at_, "'and' is written '&&'", "&&");
    if (token.text == "or") refuse(token.begin, at_, "'or' is written '||'", "||");
    if (token.text == "not") refuse(token.begin, at_, "'not' is written '!'", "!");
  }

  void number(Token& token) {
    token.kind = Token::Kind::number;
    if (source_.substr(at_).starts_with("0x")) {
      at_ += 2;
      std::uint64_t value = 0;
      const auto [end, error] = std::from_chars(source_.data() + at_, source_.data() + source_.size(), value, 16);
      at_ = static_cast<std::size_t>(end - source_.data());
      if (error != std::errc{}) refuse(token.begin, std::max(at_, token.begin + 2), "not a number");
      token.value = Value(value);
      end_of_number(token);
      return;
    }
    bool is_float = false;
    while (at_ < source_.size() && is_digit(source_[at_])) ++at_;
    if (at_ + 1 < source_.size() && source_[at_] == '.' && is_digit(source_[at_ + 1])) {
      is_float = true;
      for (++at_; at_ < source_.size() && is_digit(source_[at_]);) ++at_;
    }
    if (at_ < source_.size() && (source_[at_] == 'e' || source_[at_] == 'E')) {
      std::size_t exponent = at_ + 1;
      if (exponent < source_.size() && (source_[exponent] == '+' || source_[exponent] == '-')) ++exponent;
      if (exponent < source_.size() && is_digit(source_[exponent])) {
        is_float = true;
        for (at_ = exponent; at_ < source_.size() && is_digit(source_[at_]);) ++at_;
      }
    }
    const char* begin = source_.data() + token.begin;
    const char* end = source_.data() + at_;
    if (is_float) {
      double value = 0;
      if (std::from_chars(begin, end, value).ec != std::errc{}) refuse(token.begin, at_, "the number is too large");
      token.value = Value(value);
    } else {
      std::uint64_t value = 0;
      if (std::from_chars(begin, end, value).ec != std::errc{}) refuse(token.begin, at_, "the number is too large");
      token.value = Value(value);
    }
    end_of_number(token);
  }

  void end_of_number(const Token& token) {
    if (at_ < source_.size() && is_letter(source_[at_])) {
      while (at_ < source_.size() && (is_letter(source_[at_]) || is_digit(source_[at_]))) ++at_;
      refuse(token.begin, at_, fmt::format("'{}' is neither a number nor a name",
                                           source_.substr(token.begin, at_ - token.begin)));
    }
  }

  void string(Token& token) {
    token.kind = Token::Kind::string;
    const char quote = source_[at_++];
    while (at_ < source_.size() && source_[at_] != quote) {
      if (source_[at_] == '\\') escape(token.text);
      else token.text += source_[at_++];
    }
    if (at_ == source_.size()) refuse(token.begin, token.begin + 1, "a quote is never closed");
    ++at_;
  }

  void escape(std::string& text) {
    const std::size_t begin = at_++;
    const char c = at_ < source_.size() ? source_[at_++] : '\0';
    switch (c) {
      case 'n': text += '\n'; return;
      case 't': text += '\t'; return;
      case 'r': text += '\r'; return;
      case '\\':
      case '\'':
      case '"':
      case '/': text += c; return;
      case 'u':
      case 'U': {
        const std::size_t digits = c == 'u' ? 4 : 8;
        std::uint32_t code = 0;
        const char* first = source_.data() + at_;
        const char* last = first + std::min(digits, source_.size() - at_);
        const auto [end, error] = std::from_chars(first, last, code, 16);
        if (error != std::errc{} || end != first + digits || code > 0x10ffff || (code >= 0xd800 && code < 0xe000)) {
          refuse(begin, std::min(at_ + digits, source_.size()), "not the code of a character");
        }
        at_ += digits;
        append_utf8(text, code);
        return;
      }
      default: refuse(begin, at_, "unknown escape in a string", {}, {R"(known are \n \t \r \\ \' \" \/ \uXXXX)"});
    }
  }

  void sign(Token& token) {
    token.kind = Token::Kind::sign;
    static constexpr std::array<std::string_view, 8> twos{"==", "!=", "<=", ">=", "&&", "||", "=~", "**"};
    const std::string_view rest = source_.substr(at_);
    for (const std::string_view two : twos) {
      if (!rest.starts_with(two)) continue;
      if (two == "=~") refuse(at_, at_ + 2, "there is no '=~'", {}, {"write text.matches('pattern')"});
      if (two == "**") refuse(at_, at_ + 2, "there is no '**'");
      token.text = two;
      at_ += 2;
      return;
    }
    const char c = rest[0];
    if (std::string_view("+-*/%<>!?:.,()[]{}").find(c) != std::string_view::npos) {
      token.text = std::string(1, c);
      ++at_;
      return;
    }
    if (c == '=') refuse(at_, at_ + 1, "'=' does not compare", "==");
    if (c == '&') refuse(at_, at_ + 1, "'&' is not an operator", "&&");
    if (c == '|') refuse(at_, at_ + 1, "'|' is not an operator", "||");
    std::size_t length = 1;
    while (at_ + length < source_.size() && (static_cast<unsigned char>(source_[at_ + length]) & 0xc0) == 0x80) ++length;
    refuse(at_, at_ + length, fmt::format("'{}' has no place in an expression", source_.substr(at_, length)), {},
           c == '$'      ? std::vector<std::string>{"inside ${{ }} names stand without '$'"}
           : length > 1 ? std::vector<std::string>{"a task whose name is no identifier is tasks['its name']"}
                        : std::vector<std::string>{});
  }

  std::string_view source_;
  std::size_t at_ = 0;
};

}  // namespace

// Recursive descent, one function per level of precedence; nesting is limited.
class Parser {
 public:
  explicit Parser(Tree& tree) : tree_(tree), lexer_(tree.source_) { advance(); }

  void parse() {
    if (token_.kind == Token::Kind::end) refuse(0, tree_.source_.size(), "an expression is missing here");
    tree_.root_ = conditional();
    if (token_.kind != Token::Kind::end) unexpected("the end of the expression or an operator");
  }

 private:
  using Index = std::uint32_t;

  void advance() {
    previous_end_ = token_.end;
    token_ = lexer_.next();
  }
  [[nodiscard]] bool is(std::string_view sign) const {
    return token_.kind == Token::Kind::sign && token_.text == sign;
  }
  bool accept(std::string_view sign) {
    if (!is(sign)) return false;
    advance();
    return true;
  }
  void expect(std::string_view sign) {
    if (!accept(sign)) unexpected(fmt::format("'{}'", sign));
  }
  [[noreturn]] void unexpected(std::string_view wanted) const {
    if (token_.kind == Token::Kind::end) {
      refuse(previous_end_ > 0 ? previous_end_ - 1 : 0, previous_end_,
             fmt::format("the expression ends where {} is expected", wanted));
    }
    refuse(token_.begin, token_.end,
           fmt::format("'{}' where {} is expected",
                       std::string_view(tree_.source_).substr(token_.begin, token_.end - token_.begin), wanted));
  }

  Index add(Term::Kind kind, std::size_t begin, std::string text = {}, std::vector<Index> operands = {}) {
    Term term;
    term.kind = kind;
    term.begin = static_cast<std::uint32_t>(begin);
    term.end = static_cast<std::uint32_t>(previous_end_);
    term.text = std::move(text);
    for (const Index operand : operands) term.depth = std::max(term.depth, tree_.terms_[operand].depth + 1);
    if (term.depth > max_tree_depth) refuse(begin, previous_end_, "the expression is too long to be evaluated safely");
    term.operands = std::move(operands);
    tree_.terms_.push_back(std::move(term));
    return static_cast<Index>(tree_.terms_.size() - 1);
  }
  Index binary(Index left, std::string sign, Index right) {
    return add(Term::Kind::binary, tree_.terms_[left].begin, std::move(sign), {left, right});
  }

  struct Nested {
    explicit Nested(Parser& parser) : parser_(parser) {
      if (++parser_.nesting_ > max_nesting) {
        refuse(parser_.token_.begin, parser_.token_.end, "the expression is nested too deeply");
      }
    }
    ~Nested() { --parser_.nesting_; }
    Nested(const Nested&) = delete;
    Nested& operator=(const Nested&) = delete;
    Parser& parser_;
  };

  Index conditional() {
    const Nested nested(*this);
    const Index condition = disjunction();
    if (!accept("?")) return condition;
    const Index yes = conditional();
    expect(":");
    const Index no = conditional();
    return add(Term::Kind::conditional, tree_.terms_[condition].begin, {}, {condition, yes, no});
  }

  Index disjunction() {
    Index left = conjunction();
    while (accept("||")) left = binary(left, "||", conjunction());
    return left;
  }

  Index conjunction() {
    Index left = comparison();
    while (accept("&&")) left = binary(left, "&&", comparison());
    return left;
  }

  Index comparison() {
    Index left = sum();
    for (;;) {
      std::string sign;
      for (const std::string_view candidate : {"==", "!=", "<=", ">=", "<", ">"}) {
        if (is(candidate)) sign = candidate;
      }
      if (token_.kind == Token::Kind::name && token_.text == "in") sign = "in";
      if (sign.empty()) return left;
      advance();
      left = binary(left, sign, sum());
    }
  }

  Index sum() {
    Index left = product();
    while (is("+") || is("-")) {
      const std::string sign = token_.text;
      advance();
      left = binary(left, sign, product());
    }
    return left;
  }

  Index product() {
    Index left = unary();
    while (is("*") || is("/") || is("%")) {
      const std::string sign = token_.text;
      advance();
      left = binary(left, sign, unary());
    }
    return left;
  }

  Index unary() {
    const std::size_t begin = token_.begin;
    if (is("!") || is("-")) {
      const Nested nested(*this);
      const bool invert = is("!");
      advance();
      // -9223372036854775808 is a number although its digits alone are too many for one.
      const Index operand = unary();
      const Term& term = tree_.terms_[operand];
      if (!invert && term.kind == Term::Kind::literal && term.begin == begin + 1) {
        if (const auto* large = term.value.get_if<std::uint64_t>(); large != nullptr && *large == 1ULL << 63) {
          const Index literal = add(Term::Kind::literal, begin);
          tree_.terms_[literal].value = Value(INT64_MIN);
          return literal;
        }
      }
      return add(invert ? Term::Kind::invert : Term::Kind::negate, begin, {}, {operand});
    }
    return postfix();
  }

  Index postfix() {
    Index object = primary();
    for (;;) {
      const std::size_t begin = tree_.terms_[object].begin;
      if (accept(".")) {
        if (token_.kind != Token::Kind::name) unexpected("a name");
        const Token member = token_;
        advance();
        if (is("(")) object = method(object, member);
        else object = add(Term::Kind::member, begin, member.text, {object});
      } else if (accept("[")) {
        const Index index = conditional();
        expect("]");
        object = add(Term::Kind::index, begin, {}, {object, index});
      } else {
        return object;
      }
    }
  }

  Index method(Index object, const Token& name) {
    expect("(");
    const std::size_t begin = tree_.terms_[object].begin;
    if (std::ranges::find(macros, name.text) != macros.end()) {
      if (token_.kind != Token::Kind::name) unexpected("the name of a variable");
      const Token variable = token_;
      if (!is_identifier(variable.text)) {
        refuse(variable.begin, variable.end, fmt::format("'{}' cannot be a variable", variable.text));
      }
      advance();
      expect(",");
      const Index body = conditional();
      expect(")");
      const Index term = add(Term::Kind::macro, begin, name.text, {object, body});
      tree_.terms_[term].variable = variable.text;
      return term;
    }
    std::vector<Index> operands{object};
    arguments(operands, ")");
    return add(Term::Kind::call, begin, name.text, std::move(operands));
  }

  void arguments(std::vector<Index>& operands, std::string_view close) {
    if (accept(close)) return;
    do {
      if (is(close)) break;  // a comma behind the last one
      operands.push_back(conditional());
    } while (accept(","));
    if (!accept(close)) unexpected(fmt::format("',' or '{}'", close));
  }

  Index primary() {
    const Token token = token_;
    switch (token.kind) {
      case Token::Kind::end: unexpected("a value");
      case Token::Kind::number:
      case Token::Kind::string: {
        advance();
        const Index literal = add(Term::Kind::literal, token.begin);
        tree_.terms_[literal].value = token.kind == Token::Kind::string ? Value(token.text) : token.value;
        return literal;
      }
      case Token::Kind::name: return name(token);
      case Token::Kind::sign: break;
    }
    if (accept("(")) {
      const Index inner = conditional();
      expect(")");
      return inner;
    }
    if (accept("[")) {
      std::vector<Index> operands;
      arguments(operands, "]");
      return add(Term::Kind::list, token.begin, {}, std::move(operands));
    }
    if (accept("{")) return map(token.begin);
    unexpected("a value");
  }

  Index map(std::size_t begin) {
    const Nested nested(*this);
    std::vector<Index> operands;
    while (!is("}")) {
      operands.push_back(conditional());
      expect(":");
      operands.push_back(conditional());
      if (!accept(",")) break;
    }
    if (!accept("}")) unexpected("',' or '}'");
    return add(Term::Kind::map, begin, {}, std::move(operands));
  }

  Index name(const Token& token) {
    advance();
    if (token.text == "true" || token.text == "false" || token.text == "null") {
      const Index literal = add(Term::Kind::literal, token.begin);
      if (token.text != "null") tree_.terms_[literal].value = Value(token.text == "true");
      return literal;
    }
    if (token.text == "in") refuse(token.begin, token.end, "'in' needs something in front of it");
    if (token.text == "params" || token.text == "tasks") {
      const bool parameter = token.text == "params";
      std::string wanted;
      if (accept(".")) {
        if (token_.kind != Token::Kind::name) unexpected("a name");
        wanted = token_.text;
        advance();
      } else if (accept("[")) {
        if (token_.kind != Token::Kind::string) unexpected(fmt::format("a quoted name, as in {}['name']", token.text));
        wanted = token_.text;
        advance();
        expect("]");
      } else {
        refuse(token.begin, token.end, fmt::format("'{}' stands alone", token.text), {},
               {parameter ? "write params.NAME" : "write tasks['NAME']"});
      }
      return add(parameter ? Term::Kind::parameter : Term::Kind::name, token.begin, std::move(wanted));
    }
    if (accept("(")) {
      std::vector<Index> operands;
      arguments(operands, ")");
      return add(Term::Kind::call, token.begin, token.text, std::move(operands));
    }
    return add(Term::Kind::name, token.begin, token.text);
  }

  Tree& tree_;
  Lexer lexer_;
  Token token_;
  std::size_t previous_end_ = 0;
  std::uint32_t nesting_ = 0;
};

tl::expected<Tree, Problem> Tree::parse(std::string_view source) {
  Tree tree;
  if (source.size() > max_length) {
    return tl::unexpected<Problem>(Problem{.code = "RP1301",
                                           .message = fmt::format("the expression is longer than {}",
                                                                  describe_bytes(max_length)),
                                           .begin = 0, .end = 1, .suggestion = {}, .help = {}});
  }
  tree.source_ = source;
  try {
    Parser(tree).parse();
  } catch (ParseError& error) {
    return tl::unexpected<Problem>(std::move(error.problem));
  }
  return tree;
}

Reads Tree::reads(std::string_view map_variable) const {
  Reads reads;
  const auto add = [](std::vector<std::string>& list, const std::string& name) {
    if (std::ranges::find(list, name) == list.end()) list.push_back(name);
  };
  std::vector<std::string_view> bound;  // loop variables
  // Depth is limited by the parser.
  const auto walk = [&](const auto& self, const Term& term) -> void {
    const auto is_bound = [&](std::string_view name) { return std::ranges::find(bound, name) != bound.end(); };
    switch (term.kind) {
      case Term::Kind::name:
        if (!is_bound(term.text)) add(reads.names, term.text);
        return;
      case Term::Kind::parameter: add(reads.parameters, term.text); return;
      case Term::Kind::index: {
        const Term& object = terms_[term.operands[0]];
        const Term& index = terms_[term.operands[1]];
        if (object.kind == Term::Kind::name && index.kind == Term::Kind::name && !map_variable.empty() &&
            index.text == map_variable && !is_bound(index.text) && !is_bound(object.text) &&
            object.text != map_variable) {
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
      case Term::Kind::map: break;
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
      for (std::size_t i = from; i < term.operands.size(); ++i) text += (i > from ? ", " : "") + operand(i);
      return text;
    };
    switch (term.kind) {
      case Term::Kind::literal: return literal_text(term.value).value_or("null");
      case Term::Kind::name: return reference_to(term.text);
      case Term::Kind::parameter:
        return is_identifier(term.text) ? "params." + term.text : "params[" + quoted(term.text) + "]";
      case Term::Kind::member: return operand(0) + "." + term.text;
      case Term::Kind::index: return operand(0) + "[" + operand(1) + "]";
      case Term::Kind::call: return term.text + "(" + all(0) + ")";
      case Term::Kind::macro: return operand(0) + "." + term.text + "(" + term.variable + ", " + operand(1) + ")";
      case Term::Kind::negate: return "(-" + operand(0) + ")";
      case Term::Kind::invert: return "(!" + operand(0) + ")";
      case Term::Kind::binary: return "(" + operand(0) + " " + term.text + " " + operand(1) + ")";
      case Term::Kind::conditional: return "(" + operand(0) + " ? " + operand(1) + " : " + operand(2) + ")";
      case Term::Kind::list: return "[" + all(0) + "]";
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
      case '\'': result += "\\'"; break;
      case '\\': result += "\\\\"; break;
      case '\n': result += "\\n"; break;
      case '\r': result += "\\r"; break;
      case '\t': result += "\\t"; break;
      default:
        if (static_cast<unsigned char>(c) < 0x20) result += fmt::format("\\u{:04x}", static_cast<unsigned char>(c));
        else result += c;
    }
  }
  return result + "'";
}

std::optional<std::string> literal_text(const Value& value) {
  if (value.is_nil()) return "null";
  if (const auto* b = value.get_if<bool>()) return *b ? "true" : "false";
  if (const auto* i = value.get_if<std::int64_t>()) return *i < 0 ? fmt::format("({})", *i) : fmt::format("{}", *i);
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
