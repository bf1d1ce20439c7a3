#include "core/assignment.hpp"

#include <charconv>
#include <type_traits>

#include <fmt/format.h>

#include "core/text.hpp"

namespace reprise {
namespace {

template <class Number>
Result<Number> parse(std::string_view text, std::string_view what, Number least, Number most) {
  Number number{};
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, number);
  if (error != std::errc{} || stop != end || !(number >= least && number <= most))
    return fail(ErrorCode::invalid_argument,
                fmt::format("{} \"{}\" is no {} from {} to {}", what, escape_for_terminal(text),
                            std::is_integral_v<Number> ? "whole number" : "number", least, most));
  return number;
}

}  // namespace

Result<Assignment> parse_assignment(std::string_view text, std::string_view option) {
  const std::size_t sign = text.find('=');
  if (sign == std::string_view::npos)
    return fail(ErrorCode::invalid_argument,
                fmt::format("{} \"{}\" has no \"=\"; write {} NAME=VALUE", option,
                            escape_for_terminal(text), option));
  if (sign == 0)
    return fail(ErrorCode::invalid_argument, fmt::format("{} \"{}\" has no name before the \"=\"",
                                                         option, escape_for_terminal(text)));
  return Assignment{std::string(text.substr(0, sign)), std::string(text.substr(sign + 1))};
}

Status for_each_assignment(const std::vector<std::string>& list, std::string_view option,
                           const std::function<Status(const Assignment&)>& add) {
  for (const std::string& text : list) {
    std::string_view rest = text;
    while (!rest.empty()) {
      const std::size_t comma = rest.find(',');
      const auto assignment = parse_assignment(rest.substr(0, comma), option);
      if (!assignment) return tl::unexpected(assignment.error());
      if (const Status added = add(*assignment); !added) return added;
      rest = comma == std::string_view::npos ? std::string_view() : rest.substr(comma + 1);
    }
  }
  return {};
}

Result<std::uint64_t> parse_whole_number(std::string_view text, std::string_view what,
                                         std::uint64_t least, std::uint64_t most) {
  return parse<std::uint64_t>(text, what, least, most);
}

Result<double> parse_number(std::string_view text, std::string_view what, double least,
                            double most) {
  return parse<double>(text, what, least, most);
}

}  // namespace reprise
