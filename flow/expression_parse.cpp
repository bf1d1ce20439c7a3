// Parser of expressions.
#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "core/text.hpp"
#include "flow/expression.hpp"
#include "flow/expression_lexer.hpp"

namespace reprise::expression {

namespace {

constexpr std::uint32_t max_nesting = 64;  // brackets and operators within each other, as written
constexpr std::uint32_t max_tree_depth = 256;  // chains like 1 + 1 + 1 … lean to the left

constexpr std::array<std::string_view, 4> macros{"map", "filter", "exists", "all"};

}  // namespace

// Recursive descent, one function per level of precedence; nesting is limited.
class Parser {
 public:
  explicit Parser(Tree& tree) : tree_(tree), lexer_(tree.source_) { advance(); }

  void parse() {
    if (token_.kind == Token::Kind::end)
      refuse(0, tree_.source_.size(), "an expression is missing here");
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
    refuse(
        token_.begin, token_.end,
        fmt::format("'{}' where {} is expected",
                    std::string_view(tree_.source_).substr(token_.begin, token_.end - token_.begin),
                    wanted));
  }

  Index add(Term::Kind kind, std::size_t begin, std::string text = {},
            std::vector<Index> operands = {}) {
    Term term;
    term.kind = kind;
    term.begin = static_cast<std::uint32_t>(begin);
    term.end = static_cast<std::uint32_t>(previous_end_);
    term.text = std::move(text);
    for (const Index operand : operands)
      term.depth = std::max(term.depth, tree_.terms_[operand].depth + 1);
    if (term.depth > max_tree_depth)
      refuse(begin, previous_end_, "the expression is too long to be evaluated safely");
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
        if (const auto* large = term.value.get_if<std::uint64_t>();
            large != nullptr && *large == 1ULL << 63) {
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
        if (is("("))
          object = method(object, member);
        else
          object = add(Term::Kind::member, begin, member.text, {object});
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
        refuse(variable.begin, variable.end,
               fmt::format("'{}' cannot be a variable", variable.text));
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
      case Token::Kind::end:
        unexpected("a value");
      case Token::Kind::number:
      case Token::Kind::string: {
        advance();
        const Index literal = add(Term::Kind::literal, token.begin);
        tree_.terms_[literal].value =
            token.kind == Token::Kind::string ? Value(token.text) : token.value;
        return literal;
      }
      case Token::Kind::name:
        return name(token);
      case Token::Kind::sign:
        break;
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
        if (token_.kind != Token::Kind::string)
          unexpected(fmt::format("a quoted name, as in {}['name']", token.text));
        wanted = token_.text;
        advance();
        expect("]");
      } else {
        refuse(token.begin, token.end, fmt::format("'{}' stands alone", token.text), {},
               {parameter ? "write params.NAME" : "write tasks['NAME']"});
      }
      return add(parameter ? Term::Kind::parameter : Term::Kind::name, token.begin,
                 std::move(wanted));
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
    return tl::unexpected<Problem>(Problem{
        .code = "RP1301",
        .message = fmt::format("the expression is longer than {}", describe_bytes(max_length)),
        .begin = 0,
        .end = 1,
        .suggestion = {},
        .help = {}});
  }
  tree.source_ = source;
  try {
    Parser(tree).parse();
  } catch (ParseError& error) {
    return tl::unexpected<Problem>(std::move(error.problem));
  }
  return tree;
}

}  // namespace reprise::expression
