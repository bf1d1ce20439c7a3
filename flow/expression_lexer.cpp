#include "flow/expression_lexer.hpp"

#include <algorithm>
#include <array>
#include <charconv>

#include <fmt/format.h>

namespace reprise::expression {

namespace {

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

}  // namespace

void refuse(std::size_t begin, std::size_t end, std::string message, std::string suggestion,
            std::vector<std::string> help) {
  throw ParseError{{.code = "RP1301",
                    .message = std::move(message),
                    .begin = begin,
                    .end = end,
                    .suggestion = std::move(suggestion),
                    .help = std::move(help)}};
}

Token Lexer::next() {
  while (at_ < source_.size() && (source_[at_] == ' ' || source_[at_] == '\t' ||
                                  source_[at_] == '\n' || source_[at_] == '\r')) {
    ++at_;
  }
  Token token;
  token.begin = token.end = at_;
  if (at_ == source_.size()) return token;
  const char c = source_[at_];
  if (is_letter(c))
    name(token);
  else if (is_digit(c) || (c == '.' && at_ + 1 < source_.size() && is_digit(source_[at_ + 1])))
    number(token);
  else if (c == '\'' || c == '"')
    string(token);
  else
    sign(token);
  token.end = at_;
  return token;
}

void Lexer::name(Token& token) {
  token.kind = Token::Kind::name;
  while (at_ < source_.size() && (is_letter(source_[at_]) || is_digit(source_[at_]))) ++at_;
  token.text = source_.substr(token.begin, at_ - token.begin);
  if (token.text == "and") refuse(token.begin, at_, "'and' is written '&&'", "&&");
  if (token.text == "or") refuse(token.begin, at_, "'or' is written '||'", "||");
  if (token.text == "not") refuse(token.begin, at_, "'not' is written '!'", "!");
}

void Lexer::number(Token& token) {
  token.kind = Token::Kind::number;
  if (source_.substr(at_).starts_with("0x")) {
    at_ += 2;
    std::uint64_t value = 0;
    const auto [end, error] =
        std::from_chars(source_.data() + at_, source_.data() + source_.size(), value, 16);
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
    if (exponent < source_.size() && (source_[exponent] == '+' || source_[exponent] == '-'))
      ++exponent;
    if (exponent < source_.size() && is_digit(source_[exponent])) {
      is_float = true;
      for (at_ = exponent; at_ < source_.size() && is_digit(source_[at_]);) ++at_;
    }
  }
  const char* begin = source_.data() + token.begin;
  const char* end = source_.data() + at_;
  if (is_float) {
    double value = 0;
    if (std::from_chars(begin, end, value).ec != std::errc{})
      refuse(token.begin, at_, "the number is too large");
    token.value = Value(value);
  } else {
    std::uint64_t value = 0;
    if (std::from_chars(begin, end, value).ec != std::errc{})
      refuse(token.begin, at_, "the number is too large");
    token.value = Value(value);
  }
  end_of_number(token);
}

void Lexer::end_of_number(const Token& token) {
  if (at_ < source_.size() && is_letter(source_[at_])) {
    while (at_ < source_.size() && (is_letter(source_[at_]) || is_digit(source_[at_]))) ++at_;
    refuse(token.begin, at_,
           fmt::format("'{}' is neither a number nor a name",
                       source_.substr(token.begin, at_ - token.begin)));
  }
}

void Lexer::string(Token& token) {
  token.kind = Token::Kind::string;
  const char quote = source_[at_++];
  while (at_ < source_.size() && source_[at_] != quote) {
    if (source_[at_] == '\\')
      escape(token.text);
    else
      token.text += source_[at_++];
  }
  if (at_ == source_.size()) refuse(token.begin, token.begin + 1, "a quote is never closed");
  ++at_;
}

void Lexer::escape(std::string& text) {
  const std::size_t begin = at_++;
  const char c = at_ < source_.size() ? source_[at_++] : '\0';
  switch (c) {
    case 'n':
      text += '\n';
      return;
    case 't':
      text += '\t';
      return;
    case 'r':
      text += '\r';
      return;
    case '\\':
    case '\'':
    case '"':
    case '/':
      text += c;
      return;
    case 'u':
    case 'U': {
      const std::size_t digits = c == 'u' ? 4 : 8;
      std::uint32_t code = 0;
      const char* first = source_.data() + at_;
      const char* last = first + std::min(digits, source_.size() - at_);
      const auto [end, error] = std::from_chars(first, last, code, 16);
      if (error != std::errc{} || end != first + digits || code > 0x10ffff ||
          (code >= 0xd800 && code < 0xe000)) {
        refuse(begin, std::min(at_ + digits, source_.size()), "not the code of a character");
      }
      at_ += digits;
      append_utf8(text, code);
      return;
    }
    default:
      refuse(begin, at_, "unknown escape in a string", {},
             {R"(known are \n \t \r \\ \' \" \/ \uXXXX)"});
  }
}

void Lexer::sign(Token& token) {
  token.kind = Token::Kind::sign;
  static constexpr std::array<std::string_view, 8> twos{
      "==", "!=", "<=", ">=", "&&", "||", "=~", "**"};
  const std::string_view rest = source_.substr(at_);
  for (const std::string_view two : twos) {
    if (!rest.starts_with(two)) continue;
    if (two == "=~")
      refuse(at_, at_ + 2, "there is no '=~'", {}, {"write text.matches('pattern')"});
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
  while (at_ + length < source_.size() &&
         (static_cast<unsigned char>(source_[at_ + length]) & 0xc0) == 0x80)
    ++length;
  refuse(at_, at_ + length,
         fmt::format("'{}' has no place in an expression", source_.substr(at_, length)), {},
         c == '$' ? std::vector<std::string>{"inside ${{ }} names stand without '$'"}
         : length > 1
             ? std::vector<std::string>{"a task whose name is no identifier is tasks['its name']"}
             : std::vector<std::string>{});
}

}  // namespace reprise::expression
