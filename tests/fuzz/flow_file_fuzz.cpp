// Flow files as people and programs send them: any bytes give a flow or at least one complaint, and
// every complaint can be shown. What decodes is a flow that holds together and survives being
// written and read.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "core/text.hpp"
#include "flow/error_pages.hpp"
#include "flow/expression.hpp"
#include "flow/flow_file.hpp"
#include "flow/template.hpp"

using namespace reprise;

namespace {

void require(bool condition) {
  if (!condition) std::abort();
}

const FlowFileOptions& known_functions() {
  static const FlowFileOptions made = [] {
    FlowFileOptions known;
    known.functions.emplace();
    (*known.functions)["text.join@1"] = {.inputs = {{"texts", "list<str>"}, {"separator", "str"}},
                                         .outputs = {{"result", "str"}}};
    (*known.functions)["math.scale@1"] = {.inputs = {{"value", "f64"}},
                                          .outputs = {{"result", "f64"}}};
    return known;
  }();
  return made;
}

/// Beside the file lie one that is right and the file itself.
FlowFileOptions options(std::string_view text) {
  FlowFileOptions given = known_functions();
  given.beside = std::make_shared<FilesBeside>();
  given.beside->way = {"fuzz.yaml"};
  given.beside->read = [text](const std::string& name) -> Result<std::string> {
    if (name == "self.yaml") return std::string(text);
    return std::string("version: 1\nparams: {n: {type: int}}\ntasks: {t: {run: [x]}}\n");
  };
  return given;
}

class NoScope : public expression::Scope {
 public:
  const Value* find(std::string_view) const override { return &some; }
  const Value* parameter(std::string_view) const override { return &list; }

 private:
  Value some{Map{{Value("stdout"), Value("x")}, {Value("outputs"), Value(Map{})}}};
  Value list{List{Value(1), Value("a"), Value(2.5)}};
};

void evaluate_all(const FlowSpec& flow) {
  const NoScope scope;
  const expression::Options few{.fuel = 10'000, .file_text = {}};
  const auto run = [&](const Template& text) { (void)evaluate_arguments(text.text, scope, few); };
  for (const TaskKind& kind : flow.kinds) {
    if (const auto* command = std::get_if<CommandBody>(&kind.body)) {
      for (const Template& argument : command->argv) run(argument);
      run(command->script);
    }
    if (!kind.when.empty()) require(expression::Tree::parse(kind.when).has_value());
  }
  for (const Expression& expression : flow.expressions) {
    const auto tree = expression::Tree::parse(expression.text);
    require(tree.has_value());
    (void)expression::evaluate(*tree, scope, few);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const FlowFile file = decode_flow_file(text, "fuzz.yaml", options(text));
  require(file.flow.has_value() == file.diagnostics.empty());
  const std::string shown = render(file.diagnostics, "fuzz.yaml", text, false);
  require(is_utf8(shown));
  for (const char c : shown) require(c == '\n' || static_cast<unsigned char>(c) >= 0x20);
  (void)to_json(file.diagnostics, "fuzz.yaml");
  for (const Diagnostic& diagnostic : file.diagnostics) {
    require(find_error_page(diagnostic.code) != nullptr);
    require(diagnostic.span.line == 0 ||
            (diagnostic.span.column >= 1 && diagnostic.span.end_column > diagnostic.span.column));
  }
  if (file.flow) {
    require(check(*file.flow).has_value());
    const auto again = FlowSpec::decode(file.flow->encode());
    require(again.has_value() && again->encode() == file.flow->encode());
    evaluate_all(*file.flow);
  }
  // The same bytes as an expression and as a template.
  if (const auto tree = expression::Tree::parse(text)) {
    const auto printed = expression::Tree::parse(tree->print());
    // Parentheses for every operation may take a tree over the limits of length and nesting.
    if (printed) require(printed->print() == tree->print());
    const NoScope scope;
    (void)expression::evaluate(*tree, scope, {.fuel = 10'000, .file_text = {}});
  }
  (void)TemplateText::parse(text);
  return 0;
}
