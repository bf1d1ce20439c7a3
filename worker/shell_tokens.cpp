#include "worker/shell_tokens.hpp"

#include <algorithm>
#include <array>

namespace reprise::worker {
namespace {

constexpr auto none = std::string_view::npos;

bool is_blank(char c) {
  return c == ' ' || c == '\t';
}

// A character that ends a word, and after which another one, or a comment, begins.
bool is_operator(char c) {
  return std::string_view(";&|()<>").find(c) != none;
}

class Lexer {
 public:
  explicit Lexer(std::string_view text) : text_(text) {}

  ShellTokens run() {
    // The number of a line is no business of a script whose comments do not count.
    if (text_.find("LINENO") != none) return {{}, std::string(text_)};
    if (text_.starts_with("#!")) {
      at_ = std::min(text_.find('\n'), text_.size());
      tokens_.words.emplace_back(text_.substr(0, at_));
    }
    while (at_ < text_.size()) {
      const char c = text_[at_];
      if (is_blank(c)) {
        ++at_;
      } else if (c == '\n') {
        if (!tokens_.words.empty() && tokens_.words.back() != "\n")
          tokens_.words.emplace_back("\n");
        ++at_;
      } else if (c == '#') {
        at_ = std::min(text_.find('\n', at_), text_.size());
      } else if (!take_word()) {
        tokens_.rest = text_.substr(at_);
        break;
      }
    }
    if (tokens_.rest.empty() && !tokens_.words.empty() && tokens_.words.back() == "\n")
      tokens_.words.pop_back();
    return std::move(tokens_);
  }

 private:
  // A word with its quotes, or operators in a row. False: it is not understood. An operator that
  // gets another meaning by what stands right before it (2>, f() stays with it.
  bool take_word() {
    std::size_t end = is_operator(text_[at_]) ? end_of_operators(at_) : end_of_word(at_);
    if (end != none && end < text_.size() && !is_operator(text_[at_]) &&
        std::string_view("<>(").find(text_[end]) != none)
      end = end_of_operators(end);
    if (end == none) return false;
    tokens_.words.emplace_back(text_.substr(at_, end - at_));
    at_ = end;
    return true;
  }

  [[nodiscard]] std::size_t end_of_operators(std::size_t at) const {
    const std::size_t begin = at;
    while (at < text_.size() && is_operator(text_[at])) ++at;
    return text_.substr(begin, at - begin).find("<<") == none ? at : none;
  }

  [[nodiscard]] std::size_t end_of_word(std::size_t at) const {
    while (at < text_.size()) {
      const char c = text_[at];
      if (is_blank(c) || c == '\n' || is_operator(c)) return at;
      at = after(at);
      if (at == none) return none;
    }
    return at;
  }

  // Behind one character of a word, or what it opens.
  [[nodiscard]] std::size_t after(std::size_t at) const {
    switch (text_[at]) {
      case '\\':
        return at + 1 < text_.size() ? at + 2 : none;
      case '\'': {
        const std::size_t end = text_.find('\'', at + 1);
        return end == none ? none : end + 1;
      }
      case '"':
        return after_double_quotes(at + 1);
      case '`':
        return none;
      case '$':
        return after_dollar(at, false);
      default:
        return at + 1;
    }
  }

  [[nodiscard]] std::size_t after_double_quotes(std::size_t at) const {
    while (at < text_.size()) {
      switch (text_[at]) {
        case '"':
          return at + 1;
        case '\\':
          at += 2;
          break;
        case '`':
          return none;
        case '$':
          at = after_dollar(at, true);
          if (at == none) return none;
          break;
        default:
          ++at;
      }
    }
    return none;
  }

  // Simple expansions only: what holds quotes, comments or further expansions of its own is not
  // understood.
  [[nodiscard]] std::size_t after_dollar(std::size_t at, bool is_quoted) const {
    if (at + 1 == text_.size()) return at + 1;
    const char next = text_[at + 1];
    if (text_.substr(at).starts_with("${{")) {  // of a flow file; no shell reads it
      const std::size_t end = text_.find("}}", at);
      return end == none ? none : end + 2;
    }
    if (next == '{') return behind('}', at + 2, "\"'`\\$\n");
    if (text_.substr(at).starts_with("$((")) return after_arithmetic(at + 3);
    if (next == '(') {
      // The patterns of a `case` have closing parentheses of their own.
      const std::size_t end = behind(')', at + 2, "\"'`\\#(\n");
      return end == none || text_.substr(at, end - at).find("case") != none ? none : end;
    }
    if (!is_quoted && (next == '\'' || next == '"')) return none;
    return at + (next == '#' || next == '$' ? 2U : 1U);
  }

  [[nodiscard]] std::size_t after_arithmetic(std::size_t at) const {
    for (; at + 1 < text_.size(); ++at) {
      if (text_.substr(at, 2) == "))") return at + 2;
      if (std::string_view("\"'`\\#{\n").find(text_[at]) != none) return none;
      if (text_.substr(at, 2) == "$(") return none;
    }
    return none;
  }

  [[nodiscard]] std::size_t behind(char closing, std::size_t at, std::string_view refused) const {
    for (; at < text_.size(); ++at) {
      if (text_[at] == closing) return at + 1;
      if (refused.find(text_[at]) != none) return none;
    }
    return none;
  }

  std::string_view text_;
  std::size_t at_ = 0;
  ShellTokens tokens_;
};

}  // namespace

ShellTokens shell_tokens(std::string_view script) {
  return Lexer(script).run();
}

bool is_shell(std::string_view program) {
  static constexpr std::array<std::string_view, 5> names{"sh", "bash", "dash", "ash", "ksh"};
  return std::ranges::find(names, program.substr(program.rfind('/') + 1)) != names.end();
}

bool is_shell_script(std::string_view content) {
  if (!content.starts_with("#!")) return false;
  std::string_view line = content.substr(2, content.find('\n') - 2);
  const auto next_word = [&] {
    line.remove_prefix(std::min(line.find_first_not_of(" \t"), line.size()));
    const std::string_view word = line.substr(0, line.find_first_of(" \t"));
    line.remove_prefix(word.size());
    return word;
  };
  const std::string_view interpreter = next_word();
  if (is_shell(interpreter)) return true;
  return interpreter.substr(interpreter.rfind('/') + 1) == "env" && is_shell(next_word());
}

}  // namespace reprise::worker
