// Expressions: values, mistakes in them, and limits.
#include <chrono>

#include <fmt/format.h>
#include <rapidcheck.h>
#include <boost/test/unit_test.hpp>

#include "core/text.hpp"
#include "flow/expression.hpp"

BOOST_AUTO_TEST_SUITE(expressions)

using namespace reprise;
using namespace reprise::expression;

namespace {

MapScope some_scope() {
  MapScope scope;
  const Value file = FileValue{.content = sha256("x"), .size = 1, .executable = false}.to_value();
  const Value result(Map{{Value("exit"), Value(0)},
                         {Value("outputs"), Value(Map{{Value("o.txt"), file}})},
                         {Value("stdout"), Value("hi\n")}});
  scope.names.emplace("one", result);
  scope.names.emplace("many", Value(List{result, result}));
  scope.names.emplace("many[]", Value(Map{{Value("stdout"), Value("own")}}));
  scope.names.emplace("s", Value("a"));
  scope.names.emplace("odd name", Value("odd"));
  scope.names.emplace("file", file);
  scope.parameters.emplace("n", Value(3));
  scope.parameters.emplace("xs", Value(List{Value("a"), Value("b"), Value("c")}));
  scope.parameters.emplace("text", Value("it's 日本"));
  return scope;
}

std::string value_of(std::string_view text) {
  const auto tree = Tree::parse(text);
  if (!tree) return "parse: " + tree.error().message;
  const MapScope scope = some_scope();
  const auto value = evaluate(*tree, scope);
  if (!value) return "error: " + value.error().message;
  return to_json(value->value);
}

std::string parse_error(std::string_view text) {
  const auto tree = Tree::parse(text);
  return tree ? "none"
              : fmt::format("{}-{} {}", tree.error().begin, tree.error().end, tree.error().message);
}

Declarations some_declarations() {
  Declarations declarations;
  declarations.name = [](std::string_view name) -> std::optional<Type> {
    if (name == "s") return Type::of(Type::Kind::text);
    if (name == "any") return Type{};
    Type command = Type::of(Type::Kind::command);
    command.outputs =
        std::make_shared<const std::vector<std::string>>(std::vector<std::string>{"o.txt"});
    if (name == "one") return command;
    if (name == "many") return Type::list_of(command);
    return std::nullopt;
  };
  declarations.parameter = [](std::string_view name) -> std::optional<Type> {
    if (name == "n") return Type::of(Type::Kind::integer);
    if (name == "f") return Type::of(Type::Kind::number);
    if (name == "text") return Type::of(Type::Kind::text);
    if (name == "xs") return Type::of(Type::Kind::list);
    return std::nullopt;
  };
  declarations.known_names = [] { return std::vector<std::string>{"s", "one", "many"}; };
  declarations.known_parameters = [] { return std::vector<std::string>{"n", "f", "text", "xs"}; };
  declarations.map_variable = "s";
  return declarations;
}

/// Type, or "RP1303 'text of the place'" of the first problem.
std::string checked(std::string_view text) {
  const auto tree = Tree::parse(text);
  if (!tree) return "parse: " + tree.error().message;
  std::vector<Problem> problems;
  const Type type = check(*tree, some_declarations(), problems);
  if (problems.empty()) return type.describe();
  return fmt::format("{} '{}'", problems[0].code,
                     text.substr(problems[0].begin, problems[0].end - problems[0].begin));
}

}  // namespace

BOOST_AUTO_TEST_CASE(literals_stand_for_themselves) {
  BOOST_TEST(value_of("null") == "null");
  BOOST_TEST(value_of("true") == "true");
  BOOST_TEST(value_of("12") == "12");
  BOOST_TEST(value_of("0xff") == "255");
  BOOST_TEST(value_of("18446744073709551615") == "18446744073709551615");
  BOOST_TEST(value_of("-9223372036854775808") == "-9223372036854775808");
  BOOST_TEST(value_of("1.50") == "1.5");
  BOOST_TEST(value_of(".5e1") == "5.0");
  BOOST_TEST(value_of("'a\\n\\u00e9\\'\"'") == "\"a\\né'\\\"\"");
  BOOST_TEST(value_of("\"日本\"") == "\"日本\"");
  BOOST_TEST(value_of("[1, 'a', [], ]") == "[1,\"a\",[]]");
  BOOST_TEST(value_of("{'a': 1, 'b': [2]}") == "{\"a\":1,\"b\":[2]}");
}

BOOST_AUTO_TEST_CASE(operators_bind_as_in_c) {
  BOOST_TEST(value_of("1 + 2 * 3") == "7");
  BOOST_TEST(value_of("(1 + 2) * 3") == "9");
  BOOST_TEST(value_of("10 - 2 - 3") == "5");
  BOOST_TEST(value_of("7 / 2") == "3");
  BOOST_TEST(value_of("-7 / 2") == "-3");
  BOOST_TEST(value_of("7 % -2") == "1");
  BOOST_TEST(value_of("7 / 2.0") == "3.5");
  BOOST_TEST(value_of("1 < 2 && !(2 > 3) || false") == "true");
  BOOST_TEST(value_of("true || false && false") == "true");
  BOOST_TEST(value_of("1 == 1.0") == "true");
  BOOST_TEST(value_of("'1' == 1") == "false");
  BOOST_TEST(value_of("'a' < 'b'") == "true");
  BOOST_TEST(value_of("1 > 2 ? 'a' : 2 > 1 ? 'b' : 'c'") == "\"b\"");
  BOOST_TEST(value_of("'a' + 'b'") == "\"ab\"");
  BOOST_TEST(value_of("[1] + [2]") == "[1,2]");
  BOOST_TEST(value_of("2 in [1, 2]") == "true");
  BOOST_TEST(value_of("'a' in {'a': 1}") == "true");
  BOOST_TEST(value_of("--3") == "3");
  BOOST_TEST(value_of("18446744073709551615 > 1") == "true");
  BOOST_TEST(value_of("18446744073709551615 < -1") == "false");
}

BOOST_AUTO_TEST_CASE(logic_stops_as_soon_as_the_answer_is_known) {
  BOOST_TEST(value_of("false && 1 / 0 == 0") == "false");
  BOOST_TEST(value_of("true || 1 / 0 == 0") == "true");
  BOOST_TEST(value_of("true ? 1 : 1 / 0") == "1");
}

BOOST_AUTO_TEST_CASE(names_reach_tasks_parameters_and_own_elements) {
  BOOST_TEST(value_of("params.n + 1") == "4");
  BOOST_TEST(value_of("params['n']") == "3");
  BOOST_TEST(value_of("one.exit") == "0");
  BOOST_TEST(value_of("one['stdout']") == "\"hi\\n\"");
  BOOST_TEST(value_of("many[1].stdout") == "\"hi\\n\"");
  BOOST_TEST(value_of("many[-1].exit") == "0");
  BOOST_TEST(value_of("many[s].stdout") == "\"own\"");
  BOOST_TEST(value_of("tasks['many'][s].stdout") == "\"own\"");
  BOOST_TEST(value_of("tasks.one.exit") == "0");
  BOOST_TEST(value_of("tasks['odd name']") == "\"odd\"");
}

BOOST_AUTO_TEST_CASE(functions_work_on_both_sides_of_a_dot) {
  BOOST_TEST(value_of("size(params.xs)") == "3");
  BOOST_TEST(value_of("params.text.size()") == "7");
  BOOST_TEST(value_of("'abc'.startsWith('ab') && endsWith('abc', 'bc') && 'abc'.contains('b')") ==
             "true");
  BOOST_TEST(value_of("params.xs.contains('b')") == "true");
  BOOST_TEST(value_of("'s12'.matches('^s[0-9]+$')") == "true");
  BOOST_TEST(value_of("'xs12'.matches('^s[0-9]+$')") == "false");
  BOOST_TEST(value_of("string(1.0) + string(true) + string(null)") == "\"1.0true\"");
  BOOST_TEST(value_of("int('12') + int(3.9) + int(true)") == "16");
  BOOST_TEST(value_of("int(' 12 ') + float('0.5 ')") == "12.5");
  BOOST_TEST(value_of("float('0.5') + float(1)") == "1.5");
  BOOST_TEST(value_of("params.xs.join(', ')") == "\"a, b, c\"");
  BOOST_TEST(value_of("json([1, 'a'])") == "\"[1,\\\"a\\\"]\"");
  BOOST_TEST(value_of("quote(params.text)") == "\"'it'\\\\''s 日本'\"");
  BOOST_TEST(value_of("quote(params.xs)") == "\"'a' 'b' 'c'\"");
  BOOST_TEST(value_of("range(3)") == "[0,1,2]");
  BOOST_TEST(value_of("range(2, 4)") == "[2,3]");
  BOOST_TEST(value_of("range(3, 1)") == "[]");
}

BOOST_AUTO_TEST_CASE(lists_are_mapped_filtered_and_asked) {
  BOOST_TEST(value_of("params.xs.map(x, x + '!')") == "[\"a!\",\"b!\",\"c!\"]");
  BOOST_TEST(value_of("params.xs.filter(x, x != 'b')") == "[\"a\",\"c\"]");
  BOOST_TEST(value_of("params.xs.exists(x, x == 'c')") == "true");
  BOOST_TEST(value_of("params.xs.all(x, x == 'c')") == "false");
  BOOST_TEST(value_of("[[1, 2], [3]].map(x, x.map(y, y * 10))") == "[[10,20],[30]]");
  BOOST_TEST(value_of("[1].map(s, s)") == "[1]");  // the inner variable hides the outer one
  BOOST_TEST(value_of("many.map(m, m.stdout)") == "[\"hi\\n\",\"hi\\n\"]");
}

BOOST_AUTO_TEST_CASE(errors_name_the_part_that_failed) {
  BOOST_TEST(value_of("1 + 1 / 0") ==
             "error: cannot evaluate \"1 / 0\" in \"1 + 1 / 0\": division by zero");
  BOOST_TEST(value_of("params.xs[7]") ==
             "error: cannot evaluate \"params.xs[7]\": index 7 of a list of 3");
  BOOST_TEST(value_of("one.outputs['p']") ==
             "error: cannot evaluate \"one.outputs['p']\": there is no \"p\" in it");
  BOOST_TEST(value_of("nobody") == "error: cannot evaluate \"nobody\": there is no \"nobody\"");
  BOOST_TEST(value_of("params.gone") ==
             "error: cannot evaluate \"params.gone\": there is no parameter \"gone\"");
  BOOST_TEST(value_of("'a' + 1") ==
             "error: cannot evaluate \"'a' + 1\": '+' cannot take a string and an int");
  BOOST_TEST(value_of("9223372036854775807 + 1") ==
             "error: cannot evaluate \"9223372036854775807 + 1\": the result does not fit 64 bits");
  BOOST_TEST(value_of("int('1x')") == "error: cannot evaluate \"int('1x')\": \"1x\" is not an int");
  BOOST_TEST(value_of("1 && true")
                 .starts_with("error: cannot evaluate \"1\" in \"1 && true\": a bool is needed"));
  BOOST_TEST(value_of("{'a': 1, 'a': 2}").starts_with("error: cannot evaluate \"'a'\""));
  BOOST_TEST(value_of("-9223372036854775808 / -1").starts_with("error:"));
  BOOST_TEST(value_of("-9223372036854775808 % -1") == "0");
}

BOOST_AUTO_TEST_CASE(parse_errors_have_places) {
  BOOST_TEST(parse_error("a = b") == "2-3 '=' does not compare");
  BOOST_TEST(parse_error("a and b") == "2-5 'and' is written '&&'");
  BOOST_TEST(parse_error("(a") == "1-2 the expression ends where ')' is expected");
  BOOST_TEST(parse_error("a b") ==
             "2-3 'b' where the end of the expression or an operator is expected");
  BOOST_TEST(parse_error("'a") == "0-1 a quote is never closed");
  BOOST_TEST(parse_error("1a") == "0-2 '1a' is neither a number nor a name");
  BOOST_TEST(parse_error("a # b") == "2-3 '#' has no place in an expression");
  BOOST_TEST(parse_error("é") == "0-2 'é' has no place in an expression");
  BOOST_TEST(parse_error("params + 1") == "0-6 'params' stands alone");
  BOOST_TEST(parse_error("99999999999999999999") == "0-20 the number is too large");
  BOOST_TEST(parse_error("x.map(true, 1)") == "6-10 'true' cannot be a variable");
  BOOST_TEST(parse_error("") == "0-0 an expression is missing here");
}

BOOST_AUTO_TEST_CASE(types_are_known_before_the_run_where_they_can_be) {
  BOOST_TEST(checked("params.n > 3 && params.text != ''") == "a bool");
  BOOST_TEST(checked("params.n / 2.0") == "a float");
  BOOST_TEST(checked("one.outputs['o.txt']") == "a file");
  BOOST_TEST(checked("one.outputs[params.text]") == "a file");
  BOOST_TEST(checked("many.map(m, m.exit)") == "a list of ints");
  BOOST_TEST(checked("many[s].stdout") == "a string");
  BOOST_TEST(checked("any.thing[1].else + 3") == "any value");
  BOOST_TEST(checked("params.n + 'a'") == "RP1303 'params.n + 'a''");
  BOOST_TEST(checked("!params.n") == "RP1303 'params.n'");
  BOOST_TEST(checked("params.n == 'a'") == "RP1303 'params.n == 'a''");
  BOOST_TEST(checked("one.outputs['p']") == "RP1211 'one.outputs['p']'");
  BOOST_TEST(checked("one.output") == "RP1302 'one.output'");
  BOOST_TEST(checked("many.stdout") == "RP1303 'many.stdout'");
  BOOST_TEST(checked("many['a']") == "RP1303 'many['a']'");
  BOOST_TEST(checked("one[s]") == "RP1303 'one[s]'");
  BOOST_TEST(checked("unknown + 1") == "RP1302 'unknown'");
  BOOST_TEST(checked("params.q") == "RP1302 'params.q'");
  BOOST_TEST(checked("sise(params.xs)") == "RP1304 'sise(params.xs)'");
  BOOST_TEST(checked("size()") == "RP1303 'size()'");
  BOOST_TEST(checked("params.text.matches('(')") == "RP1306 ''(''");
}

BOOST_AUTO_TEST_CASE(reads_tell_whole_values_from_own_elements) {
  const auto reads = Tree::parse(
                         "fetch[s].a + fetch[0].b + merge.c + params.p + xs.map(merge2, merge2 + "
                         "s2) + tasks['o d'][s]")
                         ->reads("s");
  BOOST_TEST((reads.names == std::vector<std::string>{"fetch", "merge", "xs", "s2"}));
  BOOST_TEST((reads.own == std::vector<std::string>{"fetch", "o d"}));
  BOOST_TEST((reads.parameters == std::vector<std::string>{"p"}));
  BOOST_TEST((Tree::parse("fetch[s]")->reads("").names == std::vector<std::string>{"fetch", "s"}));
}

BOOST_AUTO_TEST_CASE(printing_gives_text_that_means_the_same) {
  for (const char* text :
       {"1 + 2 * 3 - -4", "!(a && b) || c ? [1, {'k': 'v\\'\\n'}] : null", "params.a['b c'].d[0](",
        "tasks['x y'].z[s]", "xs.map(x, x.filter(y, y in [1, 2.0, -0.5]))", "'é'.size() + 0xff % 3",
        "-9223372036854775808"}) {
    const auto tree = Tree::parse(text);
    if (!tree) continue;
    const auto again = Tree::parse(tree->print());
    BOOST_REQUIRE_MESSAGE(again, tree->print());
    BOOST_TEST(again->print() == tree->print());
    const MapScope scope = some_scope();
    const auto first = evaluate(*tree, scope);
    const auto second = evaluate(*again, scope);
    BOOST_TEST(first.has_value() == second.has_value(), text);
    if (first && second) BOOST_TEST((first->value == second->value), text);
  }
}

BOOST_AUTO_TEST_CASE(limits_hold) {
  BOOST_TEST(parse_error(std::string(1000, '(') + "1").find("nested too deeply") !=
             std::string::npos);
  BOOST_TEST(parse_error(std::string(1000, '-') + "1").find("nested too deeply") !=
             std::string::npos);
  BOOST_TEST(parse_error(std::string(1000, '[')).find("nested too deeply") != std::string::npos);
  std::string chain = "1";
  for (int i = 0; i < 1000; ++i) chain += "+1";
  BOOST_TEST(parse_error(chain).find("too long") != std::string::npos);
  std::string dots = "a";
  for (int i = 0; i < 1000; ++i) dots += ".b";
  BOOST_TEST(parse_error(dots).find("too long") != std::string::npos);
  BOOST_TEST(parse_error(std::string(20'000, '1')).find("longer than") != std::string::npos);
  BOOST_TEST(
      value_of("range(1000000000)").starts_with("error: \"range(1000000000)\" takes more than"));
  BOOST_TEST(value_of("range(9223372036854775807)").starts_with("error:"));
  BOOST_TEST(value_of("range(1000).map(a, range(1000).map(b, range(1000)))").starts_with("error:"));
  BOOST_TEST(value_of("range(-9223372036854775808, 9223372036854775807)").starts_with("error:"));
}

BOOST_AUTO_TEST_CASE(patterns_cannot_hang_or_overflow) {
  const auto started = std::chrono::steady_clock::now();
  MapScope scope;
  scope.parameters.emplace("long", Value(std::string(60'000, 'a')));
  const auto run = [&](std::string_view text) {
    const auto tree = Tree::parse(text);
    BOOST_REQUIRE(tree);
    return evaluate(*tree, scope);
  };
  const auto evil = run("params.long.matches('(a+)+$')");
  BOOST_REQUIRE(evil);
  BOOST_TEST((evil->value == Value(true)));
  BOOST_TEST(run("params.long.matches('(a|aa)*b')").has_value());
  BOOST_TEST(!run("params.long.matches('((a{100}){100}){100}')"));
  BOOST_TEST(!run("params.long.matches('(a)\\\\1')"));
  BOOST_TEST(!run("params.long.matches('a{1,99999}')"));
  BOOST_TEST(value_of("'0123456789abcdef0123456789abcdef'.matches('^[0-9a-f]{32}$')") == "true");
  BOOST_TEST(std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count() <
             20);
}

BOOST_AUTO_TEST_CASE(conditions_are_true_or_false) {
  const MapScope scope = some_scope();
  BOOST_TEST(evaluate_condition("params.n == 3", scope).value());
  BOOST_TEST(!evaluate_condition("params.n == 4", scope).value());
  BOOST_TEST(evaluate_condition("params.n", scope).error().message ==
             "condition \"params.n\" is an int, not true or false");
  BOOST_TEST(evaluate_condition("params.n ==", scope)
                 .error()
                 .message.starts_with("condition \"params.n ==\": "));
}

BOOST_AUTO_TEST_CASE(identifiers_and_references) {
  BOOST_TEST(is_identifier("a_1"));
  for (const char* word : {"", "1a", "a-b", "in", "params", "true", "not", "é"})
    BOOST_TEST(!is_identifier(word), word);
  BOOST_TEST(reference_to("a") == "a");
  BOOST_TEST(reference_to("it's") == "tasks['it\\'s']");
}

BOOST_AUTO_TEST_CASE(any_text_parses_or_is_refused_and_quoted_text_is_itself) {
  BOOST_TEST(rc::check("parsing never fails badly", [](const std::string& text) {
    const auto tree = Tree::parse(text);
    if (tree) {
      const auto again = Tree::parse(tree->print());
      RC_ASSERT(again.has_value());
      RC_ASSERT(again->print() == tree->print());
    } else {
      RC_ASSERT(tree.error().begin <= tree.error().end);
      RC_ASSERT(tree.error().end <= std::max<std::size_t>(text.size(), 1));
    }
  }));
  BOOST_TEST(rc::check("pieces of expressions", []() {
    static const std::vector<std::string> pieces{
        "params.n", "one", "(", ")",       "[", "]", "+", "-",  "!", "&&", "?",
        ":",        "'a'", "1", ".map(x,", "x", ",", ".", "in", "{", "}",  "size("};
    std::string text;
    for (const std::string& piece :
         *rc::gen::container<std::vector<std::string>>(rc::gen::elementOf(pieces)))
      text += piece + " ";
    const auto tree = Tree::parse(text);
    if (!tree) return;
    std::vector<Problem> problems;
    (void)check(*tree, some_declarations(), problems);
    for (const Problem& problem : problems)
      RC_ASSERT(problem.begin < problem.end && problem.end <= text.size());
    const MapScope scope = some_scope();
    const auto value = evaluate(*tree, scope);
    const auto again = Tree::parse(tree->print());
    RC_ASSERT(again.has_value());
    const auto same = evaluate(*again, scope);
    RC_ASSERT(value.has_value() == same.has_value());
    if (value) RC_ASSERT(value->value == same->value);
  }));
  BOOST_TEST(rc::check("a quoted text is itself", []() {
    static const std::vector<std::string> pieces{"a",  "'", "\\", "\n",      "\t",  "\x01", "\r",
                                                 "\"", "é", "日", "\\u0041", "${{", "}}"};
    std::string text;
    for (const std::string& piece :
         *rc::gen::container<std::vector<std::string>>(rc::gen::elementOf(pieces)))
      text += piece;
    const auto tree = Tree::parse(quoted(text));
    RC_ASSERT(tree.has_value());
    RC_ASSERT(tree->terms()[tree->root()].value == Value(text));
  }));
}

BOOST_AUTO_TEST_SUITE_END()
