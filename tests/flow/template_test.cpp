// Templates: text with expressions in it.
#include <fmt/format.h>
#include <rapidcheck.h>
#include <boost/test/unit_test.hpp>

#include "flow/template.hpp"

BOOST_AUTO_TEST_SUITE(templates)

using namespace reprise;

namespace {

expression::MapScope some_scope() {
  expression::MapScope scope;
  const Value file = FileValue{.content = sha256("x"), .size = 1, .executable = false}.to_value();
  scope.names.emplace("align", Value(Map{{Value("outputs"), Value(Map{{Value("out.bam"), file}})},
                                         {Value("stdout"), Value("hi")}}));
  scope.names.emplace("files", Value(List{file, file}));
  scope.names.emplace("file", file);
  scope.parameters.emplace("n", Value(3));
  scope.parameters.emplace("xs", Value(List{Value("a b"), Value(2)}));
  scope.parameters.emplace("nil", Value());
  return scope;
}

std::string text_of(std::string_view text, const expression::Options& options = {}) {
  const expression::MapScope scope = some_scope();
  const auto result = evaluate_text(text, scope, options);
  return result ? *result : "error: " + result.error().message;
}

expression::Options with_paths() {
  expression::Options options;
  options.file_text = [](const FileValue& file, std::string_view hint) {
    return fmt::format("in/{}/{}", file.content.hex().substr(0, 4), hint);
  };
  return options;
}

}  // namespace

BOOST_AUTO_TEST_CASE(text_without_expressions_is_itself) {
  for (const char* text : {"", "plain", "$HOME ${HOME} $$ $", "}} {{ }", "a $ {{ b"})
    BOOST_TEST(text_of(text) == text);
}

BOOST_AUTO_TEST_CASE(expressions_are_replaced_by_their_text) {
  BOOST_TEST(text_of("n=${{ params.n }}, ${{params.n+1}}.") == "n=3, 4.");
  BOOST_TEST(text_of("${{ params.xs }}") == "a b 2");
  BOOST_TEST(text_of("[${{ params.nil }}]") == "[]");
  BOOST_TEST(text_of("${{ 1.0 }} ${{ true }}") == "1.0 true");
  BOOST_TEST(text_of("${{ {'a': {'b': 1}} }}") == "{\"a\":{\"b\":1}}");
  BOOST_TEST(text_of("${{ '}}' }}${{ \"${{\" }}") == "}}${{");
}

BOOST_AUTO_TEST_CASE(two_dollars_stand_for_the_mark_itself) {
  BOOST_TEST(text_of("$${{ params.n }}") == "${{ params.n }}");
  BOOST_TEST(text_of("$$${{ x }}") == "$${{ x }}");
  BOOST_TEST(text_of(escape_template("a ${{ b $${{ c")) == "a ${{ b $${{ c");
}

BOOST_AUTO_TEST_CASE(files_are_replaced_by_what_the_caller_says) {
  BOOST_TEST(text_of("cat ${{ align.outputs['out.bam'] }}", with_paths()) == "cat in/2d71/out.bam");
  BOOST_TEST(text_of("${{ files }}", with_paths()) == "in/2d71/files in/2d71/files");
  BOOST_TEST(text_of("${{ quote(file) }}", with_paths()) == "'in/2d71/file'");
  BOOST_TEST(
      text_of("${{ files.map(f, string(f) + '!').join(' ') }}", with_paths()).ends_with("!"));
  BOOST_TEST(text_of("${{ file }}").starts_with("sha256:2d711642"));
}

BOOST_AUTO_TEST_CASE(a_single_expression_keeps_its_value) {
  const expression::MapScope scope = some_scope();
  BOOST_TEST((evaluate_value("${{ params.n }}", scope).value() == Value(3)));
  BOOST_TEST((evaluate_value(" ${{ params.n }}\n", scope).value() == Value(3)));
  BOOST_TEST((evaluate_value("${{ params.n }}${{ params.n }}", scope).value() == Value("33")));
  BOOST_TEST((evaluate_value("3", scope).value() == Value("3")));
}

BOOST_AUTO_TEST_CASE(an_argument_that_is_a_list_becomes_several) {
  const expression::MapScope scope = some_scope();
  using List = std::vector<std::string>;
  BOOST_TEST((evaluate_arguments("${{ params.xs }}", scope).value() == List{"a b", "2"}));
  BOOST_TEST((evaluate_arguments("x${{ params.xs }}", scope).value() == List{"xa b 2"}));
  BOOST_TEST((evaluate_arguments("${{ [] }}", scope).value() == List{}));
  BOOST_TEST((evaluate_arguments("", scope).value() == List{""}));
  BOOST_TEST((evaluate_arguments("${{ params.n }}", scope).value() == List{"3"}));
}

BOOST_AUTO_TEST_CASE(mistakes_have_places) {
  const auto place = [](std::string_view text) {
    const auto parsed = TemplateText::parse(text);
    return parsed ? std::string("none")
                  : fmt::format("{} {}-{}", parsed.error().code, parsed.error().begin,
                                parsed.error().end);
  };
  BOOST_TEST(place("a ${{ params.n") == "RP1305 2-5");
  BOOST_TEST(place("a ${{ 'x }}") == "RP1301 6-7");
  BOOST_TEST(place("é ${{ 1 + }}") == "RP1301 9-10");
  BOOST_TEST(place("${{ }}") == "RP1301 3-4");
  BOOST_TEST(text_of("${{ 1 / 0 }}") == "error: cannot evaluate \"1 / 0\": division by zero");
  BOOST_TEST(text_of("${{ 1 + }}").starts_with("error: template \"${{ 1 + }}\": "));
}

BOOST_AUTO_TEST_CASE(reads_are_those_of_all_expressions) {
  const expression::Reads reads =
      template_reads("${{ a.x }} ${{ b[s] }} ${{ a.y + params.p }}", "s");
  BOOST_TEST((reads.names == std::vector<std::string>{"a"}));
  BOOST_TEST((reads.own == std::vector<std::string>{"b"}));
  BOOST_TEST((reads.parameters == std::vector<std::string>{"p"}));
}

BOOST_AUTO_TEST_CASE(escaped_text_is_itself_as_a_template) {
  BOOST_TEST(rc::check("escape_template", []() {
    static const std::vector<std::string> pieces{"$", "{", "}", "${{", "}}", "a", " ", "'", "$${{"};
    std::string text;
    for (const std::string& piece :
         *rc::gen::container<std::vector<std::string>>(rc::gen::elementOf(pieces)))
      text += piece;
    const expression::MapScope scope;
    RC_ASSERT(evaluate_text(escape_template(text), scope).value() == text);
    (void)TemplateText::parse(text);  // never fails badly
  }));
}

BOOST_AUTO_TEST_SUITE_END()
