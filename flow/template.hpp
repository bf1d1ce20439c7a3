// Text with `${{ expression }}` parts, as flow files use it for arguments, scripts and outputs.
//
// `$${{` stands for `${{`. A template that is one expression and nothing else keeps the
// expression's value; any other is text.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "flow/expression.hpp"

namespace reprise {

/// A template taken apart.
class TemplateText {
 public:
  struct Part {
    std::string literal;    // text in front of the expression
    std::size_t begin = 0;  // bytes [begin, end) of the template: the expression without its marks
    std::size_t end = 0;
    std::vector<expression::Tree> tree;  // one, or none at the end
  };

  /// Problem::begin and end count from the start of `text`.
  [[nodiscard]] static tl::expected<TemplateText, expression::Problem> parse(std::string_view text);

  [[nodiscard]] const std::vector<Part>& parts() const { return parts_; }
  /// Exactly one expression and nothing around it but blanks.
  [[nodiscard]] const expression::Tree* single() const;
  [[nodiscard]] bool has_expressions() const;
  /// What all its expressions read.
  [[nodiscard]] expression::Reads reads(std::string_view map_variable = {}) const;

  /// The text with every expression replaced by its value's text (expression::to_text).
  /// @error as expression::evaluate()
  [[nodiscard]] Result<std::string> text(const expression::Scope& scope,
                                         const expression::Options& options = {}) const;
  /// The value of a single expression, else the text.
  [[nodiscard]] Result<expression::Evaluated> value(const expression::Scope& scope,
                                                    const expression::Options& options = {}) const;

 private:
  std::vector<Part> parts_;
};

// The same for text that is used once.

/// @error invalid_argument: the template does not parse, or as expression::evaluate()
[[nodiscard]] Result<std::string> evaluate_text(std::string_view text,
                                                const expression::Scope& scope,
                                                const expression::Options& options = {});
[[nodiscard]] Result<Value> evaluate_value(std::string_view text, const expression::Scope& scope,
                                           const expression::Options& options = {});
/// An element of `run`: a single expression that gives a list becomes one argument per element,
/// anything else one argument.
[[nodiscard]] Result<std::vector<std::string>> evaluate_arguments(
    std::string_view text, const expression::Scope& scope, const expression::Options& options = {});
/// What a template reads; nothing when it does not parse.
[[nodiscard]] expression::Reads template_reads(std::string_view text,
                                               std::string_view map_variable = {});
/// `text` such that, as a template, it stands for itself.
[[nodiscard]] std::string escape_template(std::string_view text);

}  // namespace reprise
