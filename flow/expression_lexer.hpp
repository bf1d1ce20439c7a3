// Words of an expression. Internal to the parser.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "flow/expression.hpp"

namespace reprise::expression {

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

/// Throws a ParseError.
[[noreturn]] void refuse(std::size_t begin, std::size_t end, std::string message,
                         std::string suggestion = {}, std::vector<std::string> help = {});

class Lexer {
 public:
  explicit Lexer(std::string_view source) : source_(source) {}

  /// The next word; after the last one Token::Kind::end for ever.
  Token next();

 private:
  void name(Token& token);
  void number(Token& token);
  void end_of_number(const Token& token);
  void string(Token& token);
  void escape(std::string& text);
  void sign(Token& token);

  std::string_view source_;
  std::size_t at_ = 0;
};

[[nodiscard]] inline bool is_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}
[[nodiscard]] inline bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

}  // namespace reprise::expression
