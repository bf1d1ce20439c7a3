#include "flow/template.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "core/text.hpp"

namespace reprise {

namespace {

constexpr std::string_view opening = "${{";
constexpr std::string_view escaped = "$${{";

/// Position of the `}}` that ends the expression beginning at `at`; quotes and the braces of map
/// literals are skipped.
std::size_t end_of_expression(std::string_view text, std::size_t at) {
  int braces = 0;
  while (at < text.size()) {
    const char c = text[at];
    if (c == '\'' || c == '"') {
      for (++at; at < text.size() && text[at] != c; ++at) {
        if (text[at] == '\\') ++at;
      }
    } else if (c == '{') {
      ++braces;
    } else if (c == '}') {
      if (braces == 0) return text.substr(at).starts_with("}}") ? at : std::string_view::npos;
      --braces;
    }
    ++at;
  }
  return std::string_view::npos;
}

bool is_blank(std::string_view text) {
  return text.find_first_not_of(" \t\r\n") == std::string_view::npos;
}

}  // namespace

tl::expected<TemplateText, expression::Problem> TemplateText::parse(std::string_view text) {
  TemplateText result;
  std::string literal;
  std::size_t at = 0;
  while (at < text.size()) {
    const std::size_t dollar = text.find('$', at);
    if (dollar == std::string_view::npos) break;
    literal += text.substr(at, dollar - at);
    const std::string_view rest = text.substr(dollar);
    if (rest.starts_with(escaped)) {
      literal += opening;
      at = dollar + escaped.size();
    } else if (rest.starts_with(opening)) {
      const std::size_t begin = dollar + opening.size();
      const std::size_t end = end_of_expression(text, begin);
      if (end == std::string_view::npos) {
        // The mistake may be inside, an open quote for example; then that is what to show.
        std::size_t stop = text.find("}}", begin);
        if (stop == std::string_view::npos) {
          return tl::unexpected(
              expression::Problem{.code = "RP1305",
                                  .message = "'${{' is never closed by '}}'",
                                  .begin = dollar,
                                  .end = begin,
                                  .suggestion = {},
                                  .help = {"write $${{ for the text ${{ itself"}});
        }
        auto inner = expression::Tree::parse(text.substr(begin, stop - begin));
        expression::Problem problem =
            inner ? expression::Problem{.code = "RP1305",
                                        .message = "the braces do not match",
                                        .begin = 0,
                                        .end = stop - begin,
                                        .suggestion = {},
                                        .help = {}}
                  : std::move(inner.error());
        problem.begin += begin;
        problem.end += begin;
        return tl::unexpected(std::move(problem));
      }
      auto tree = expression::Tree::parse(text.substr(begin, end - begin));
      if (!tree) {
        expression::Problem problem = std::move(tree.error());
        problem.begin += begin;
        problem.end += begin;
        return tl::unexpected(std::move(problem));
      }
      Part part{.literal = std::move(literal), .begin = begin, .end = end, .tree = {}};
      part.tree.push_back(*std::move(tree));
      result.parts_.push_back(std::move(part));
      literal.clear();
      at = end + 2;
    } else {
      literal += '$';
      at = dollar + 1;
    }
  }
  literal += text.substr(std::min(at, text.size()));
  if (!literal.empty() || result.parts_.empty()) {
    result.parts_.push_back(
        {.literal = std::move(literal), .begin = text.size(), .end = text.size(), .tree = {}});
  }
  return result;
}

const expression::Tree* TemplateText::single() const {
  const Part& first = parts_.front();
  if (first.tree.empty() || !is_blank(first.literal) || parts_.size() > 2) return nullptr;
  if (parts_.size() == 2 && (!parts_[1].tree.empty() || !is_blank(parts_[1].literal)))
    return nullptr;
  return &first.tree.front();
}

bool TemplateText::has_expressions() const {
  return !parts_.front().tree.empty();
}

expression::Reads TemplateText::reads(std::string_view map_variable) const {
  expression::Reads all;
  const auto merge = [](std::vector<std::string>& into, const std::vector<std::string>& from) {
    for (const std::string& name : from) {
      if (std::ranges::find(into, name) == into.end()) into.push_back(name);
    }
  };
  for (const Part& part : parts_) {
    for (const expression::Tree& tree : part.tree) {
      const expression::Reads reads = tree.reads(map_variable);
      merge(all.names, reads.names);
      merge(all.own, reads.own);
      merge(all.parameters, reads.parameters);
    }
  }
  return all;
}

Result<std::string> TemplateText::text(const expression::Scope& scope,
                                       const expression::Options& options) const {
  std::string result;
  for (const Part& part : parts_) {
    result += part.literal;
    for (const expression::Tree& tree : part.tree) {
      const auto value = expression::evaluate(tree, scope, options);
      if (!value) return tl::unexpected(value.error());
      auto text = expression::to_text(value->value, value->hint, options.file_text);
      if (!text) return text;
      result += *text;
    }
  }
  return result;
}

Result<expression::Evaluated> TemplateText::value(const expression::Scope& scope,
                                                  const expression::Options& options) const {
  if (const expression::Tree* tree = single()) return expression::evaluate(*tree, scope, options);
  auto joined = text(scope, options);
  if (!joined) return tl::unexpected(std::move(joined.error()));
  return expression::Evaluated{.value = Value(*std::move(joined)), .hint = {}};
}

namespace {

Result<TemplateText> parsed(std::string_view text) {
  auto result = TemplateText::parse(text);
  if (result) return *std::move(result);
  return fail(ErrorCode::invalid_argument,
              fmt::format("template \"{}\": {}", shorten(escape_for_terminal(text), 80),
                          result.error().message));
}

}  // namespace

Result<std::string> evaluate_text(std::string_view text, const expression::Scope& scope,
                                  const expression::Options& options) {
  const auto parts = parsed(text);
  if (!parts) return tl::unexpected(parts.error());
  return parts->text(scope, options);
}

Result<Value> evaluate_value(std::string_view text, const expression::Scope& scope,
                             const expression::Options& options) {
  const auto parts = parsed(text);
  if (!parts) return tl::unexpected(parts.error());
  auto value = parts->value(scope, options);
  if (!value) return tl::unexpected(std::move(value.error()));
  return std::move(value->value);
}

Result<std::vector<std::string>> evaluate_arguments(std::string_view text,
                                                    const expression::Scope& scope,
                                                    const expression::Options& options) {
  const auto parts = parsed(text);
  if (!parts) return tl::unexpected(parts.error());
  if (parts->single() == nullptr) {
    auto one = parts->text(scope, options);
    if (!one) return tl::unexpected(std::move(one.error()));
    return std::vector<std::string>{*std::move(one)};
  }
  const auto value = parts->value(scope, options);
  if (!value) return tl::unexpected(value.error());
  std::vector<std::string> arguments;
  const auto add = [&](const Value& item) -> Status {
    auto argument = expression::to_text(item, value->hint, options.file_text);
    if (!argument) return tl::unexpected(std::move(argument.error()));
    arguments.push_back(*std::move(argument));
    return {};
  };
  if (const auto* list = value->value.get_if<List>()) {
    for (const Value& item : *list) {
      if (auto added = add(item); !added) return tl::unexpected(std::move(added.error()));
    }
  } else if (auto added = add(value->value); !added) {
    return tl::unexpected(std::move(added.error()));
  }
  return arguments;
}

expression::Reads template_reads(std::string_view text, std::string_view map_variable) {
  const auto parts = TemplateText::parse(text);
  return parts ? parts->reads(map_variable) : expression::Reads{};
}

std::string escape_template(std::string_view text) {
  std::string result;
  std::size_t at = 0;
  while (at < text.size()) {
    const std::size_t found = text.find(opening, at);
    if (found == std::string_view::npos) break;
    result += text.substr(at, found - at);
    result += escaped;
    at = found + opening.size();
  }
  result += text.substr(std::min(at, text.size()));
  return result;
}

}  // namespace reprise
