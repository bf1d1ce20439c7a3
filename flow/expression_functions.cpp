#include "flow/expression_functions.hpp"

#include <algorithm>
#include <regex>

#include <fmt/format.h>

namespace reprise::expression {

namespace {

using Kind = Type::Kind;

constexpr std::size_t max_pattern_length = 256;
constexpr std::size_t max_pattern_states = 8192;
constexpr std::size_t max_matched_bytes = 64 << 10;
constexpr std::size_t max_matching_work = 8u << 20;  // states × bytes, about a second

// libstdc++'s breadth-first matcher: no back references, no exponential time and, what matters as
// much, a stack that depends on the pattern and not on the text. The default matcher recurses once
// per character.
#ifdef __GLIBCXX__
constexpr auto syntax =
    std::regex::ECMAScript | std::regex::nosubs | std::regex_constants::__polynomial;
#else
constexpr auto syntax = std::regex::ECMAScript | std::regex::nosubs;
#endif

/// Upper bound of the matcher's states: counted repetitions copy what they repeat.
std::size_t states_of(std::string_view pattern) {
  std::size_t factor = 1;
  for (std::size_t at = pattern.find('{'); at != std::string_view::npos;
       at = pattern.find('{', at + 1)) {
    std::size_t highest = 0;
    std::size_t number = 0;
    for (std::size_t i = at + 1; i < pattern.size() && pattern[i] != '}'; ++i) {
      if (pattern[i] >= '0' && pattern[i] <= '9')
        number = std::min<std::size_t>(number * 10 + static_cast<std::size_t>(pattern[i] - '0'),
                                       1u << 20);
      else
        number = 0;
      highest = std::max(highest, number);
    }
    factor = std::min<std::size_t>(factor * std::max<std::size_t>(highest, 1), 1u << 20);
  }
  return factor * std::max<std::size_t>(pattern.size(), 1);
}

Result<std::regex> compile(std::string_view pattern) {
  if (pattern.size() > max_pattern_length) {
    return fail(ErrorCode::invalid_argument,
                fmt::format("the pattern is longer than {} bytes", max_pattern_length));
  }
  if (states_of(pattern) > max_pattern_states) {
    return fail(ErrorCode::invalid_argument,
                "the pattern's counted repetitions multiply to too much");
  }
  try {
    (void)std::regex(pattern.begin(), pattern.end(), syntax);
    // Searching would begin anew at every byte; this way one pass does.
    return std::regex(fmt::format("[^]*?(?:{})", pattern), syntax);
  } catch (const std::regex_error& error) {
    std::string_view what = "it cannot be read";
    switch (error.code()) {
      case std::regex_constants::error_paren:
        what = "a parenthesis does not match";
        break;
      case std::regex_constants::error_brack:
        what = "a '[' is never closed";
        break;
      case std::regex_constants::error_brace:
      case std::regex_constants::error_badbrace:
        what = "a '{' count is wrong";
        break;
      case std::regex_constants::error_badrepeat:
        what = "nothing to repeat in front of '*', '+' or '?'";
        break;
      case std::regex_constants::error_escape:
        what = "an escape is unknown";
        break;
      case std::regex_constants::error_range:
        what = "a range in '[…]' is the wrong way round";
        break;
      case std::regex_constants::error_backref:
      case std::regex_constants::error_complexity:
        what = "back references are not supported";
        break;
      default:
        break;
    }
    return fail(ErrorCode::invalid_argument, fmt::format("not a regular expression: {}", what));
  }
}

}  // namespace

std::span<const FunctionRule> function_rules() {
  static const std::array<FunctionRule, 12> rules{{
      {FunctionId::size,
       "size",
       1,
       1,
       {"slmB", ""},
       Type::of(Kind::integer),
       "1 argument",
       "size(params.samples)"},
      {FunctionId::contains,
       "contains",
       2,
       2,
       {"sl", ""},
       Type::of(Kind::boolean),
       "2 arguments",
       "name.contains('part')"},
      {FunctionId::starts_with,
       "startsWith",
       2,
       2,
       {"s", "s"},
       Type::of(Kind::boolean),
       "2 arguments",
       "name.startsWith('x')"},
      {FunctionId::ends_with,
       "endsWith",
       2,
       2,
       {"s", "s"},
       Type::of(Kind::boolean),
       "2 arguments",
       "name.endsWith('.gz')"},
      {FunctionId::matches,
       "matches",
       2,
       2,
       {"s", "s"},
       Type::of(Kind::boolean),
       "2 arguments",
       "name.matches('^s[0-9]+$')"},
      {FunctionId::to_string,
       "string",
       1,
       1,
       {"", ""},
       Type::of(Kind::text),
       "1 argument",
       "string(3)"},
      {FunctionId::to_int,
       "int",
       1,
       1,
       {"sifb", ""},
       Type::of(Kind::integer),
       "1 argument",
       "int('3')"},
      {FunctionId::to_float,
       "float",
       1,
       1,
       {"sif", ""},
       Type::of(Kind::number),
       "1 argument",
       "float('0.5')"},
      {FunctionId::json,
       "json",
       1,
       1,
       {"", ""},
       Type::of(Kind::text),
       "1 argument",
       "json(params.samples)"},
      {FunctionId::join,
       "join",
       1,
       2,
       {"l", "s"},
       Type::of(Kind::text),
       "1 or 2 arguments",
       "names.join(',')"},
      {FunctionId::quote,
       "quote",
       1,
       1,
       {"sifblF", ""},
       Type::of(Kind::text),
       "1 argument",
       "quote(params.title)"},
      {FunctionId::range,
       "range",
       1,
       2,
       {"i", "i"},
       Type::list_of(Type::of(Kind::integer)),
       "1 or 2 arguments",
       "range(10)"},
  }};
  return rules;
}

const FunctionRule* find_function(std::string_view name) {
  const auto rules = function_rules();
  const auto rule = std::ranges::find(rules, name, &FunctionRule::name);
  return rule == rules.end() ? nullptr : &*rule;
}

std::optional<std::string> pattern_problem(std::string_view pattern) {
  const auto compiled = compile(pattern);
  if (compiled) return std::nullopt;
  return compiled.error().message;
}

Result<bool> matches(std::string_view text, std::string_view pattern) {
  const auto compiled = compile(pattern);
  if (!compiled) return tl::unexpected(compiled.error());
  if (text.size() > max_matched_bytes || text.size() * states_of(pattern) > max_matching_work) {
    return fail(ErrorCode::invalid_argument,
                fmt::format("the text of {} bytes is too long for this pattern", text.size()));
  }
  try {
    return std::regex_search(text.begin(), text.end(), *compiled,
                             std::regex_constants::match_continuous);
  } catch (const std::regex_error&) {
    return fail(ErrorCode::invalid_argument, "the pattern is too complex");
  }
}

}  // namespace reprise::expression
