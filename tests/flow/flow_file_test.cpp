// Flow files: what they mean as a FlowSpec, and what is said about broken ones.
#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <regex>
#include <set>

#include <fmt/format.h>
#include <boost/test/unit_test.hpp>
#include <nlohmann/json.hpp>

#include "core/text.hpp"
#include "flow/error_pages.hpp"
#include "flow/flow_file.hpp"
#include "flow/yaml.hpp"

BOOST_TEST_DONT_PRINT_LOG_VALUE(std::vector<std::string>)

BOOST_AUTO_TEST_SUITE(flow_file)

using namespace reprise;
namespace fs = std::filesystem;

namespace {

fs::path source_folder() {
  const char* folder = std::getenv("REPRISE_SOURCE_DIR");
  return folder != nullptr ? fs::path(folder) : fs::path(".");
}

std::string read(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  BOOST_REQUIRE_MESSAGE(file, "cannot read " + path.string());
  return {std::istreambuf_iterator<char>(file), {}};
}

FlowFileOptions options(std::string folder = {}) {
  FlowFileOptions made;
  made.folder = std::move(folder);
  made.functions.emplace();
  auto& functions = *made.functions;
  functions["bam.merge@3"] = {.inputs = {{"parts", "list<any>"}}, .outputs = {{"result", "file"}}};
  functions["text.join@1"] = {.inputs = {{"texts", "list<str>"}, {"separator", "str"}},
                              .outputs = {{"result", "str"}}};
  functions["text.length@1"] = {.inputs = {{"text", "str"}}, .outputs = {{"result", "i64"}}};
  functions["told@1"] = {.inputs = {{"before", "any"}, {"after", "any"}},
                         .outputs = {{"result", "any"}}};
  functions["math.scale@1"] = {.inputs = {{"value", "f64"}, {"factor", "f64"}},
                               .outputs = {{"result", "f64"}}};
  made.beside = std::make_shared<FilesBeside>();
  made.beside->way = {"flow.yaml"};
  made.beside->read = [](const std::string& name) -> Result<std::string> {
    if (name != "inner.yaml") return fail(ErrorCode::not_found, "no such file");
    return std::string("version: 1\nparams: {n: {type: int}}\ntasks: {t: {run: [x]}}\n");
  };
  return made;
}

/// Decodes what must be right.
FlowSpec flow(std::string_view text, const FlowFileOptions& given = options()) {
  FlowFile file = decode_flow_file(text, "flow.yaml", given);
  BOOST_REQUIRE_MESSAGE(file.flow, render(file.diagnostics, "flow.yaml", text, false));
  BOOST_TEST(file.diagnostics.empty());
  BOOST_TEST(bool(check(*file.flow)));
  const auto again = FlowSpec::decode(file.flow->encode());
  BOOST_REQUIRE_MESSAGE(again, again.error().message);
  BOOST_TEST(again->encode() == file.flow->encode());
  return *std::move(file.flow);
}

/// "RP1203 5:33" of every mistake.
std::vector<std::string> mistakes(std::string_view text, const FlowFileOptions& given = options()) {
  std::vector<std::string> found;
  const FlowFile file = decode_flow_file(text, "flow.yaml", given);
  BOOST_TEST(!file.flow);
  for (const Diagnostic& d : file.diagnostics)
    found.push_back(fmt::format("{} {}:{}", d.code, d.span.line, d.span.column));
  return found;
}

/// "param mapped s <- samples" for every input of a node.
std::vector<std::string> inputs(const FlowSpec& spec, std::uint32_t node) {
  std::vector<std::string> list;
  for (const Input& input : spec.inputs_of(NodeId{node})) {
    const std::string name =
        input.source == Input::Source::state_only ? "" : " " + spec.names[input.name];
    const std::string mapped = input.mapped ? " mapped" : "";
    switch (input.source) {
      case Input::Source::constant:
        list.push_back(fmt::format("constant{}{} <- {}", mapped, name,
                                   to_json(*spec.constants[input.index].value())));
        break;
      case Input::Source::upstream:
        list.push_back(fmt::format("task{}{} <- {}", mapped, name, spec.nodes[input.index].name));
        break;
      case Input::Source::parameter:
        list.push_back(
            fmt::format("param{}{} <- {}", mapped, name, spec.parameters[input.index].name));
        break;
      case Input::Source::expression: {
        std::string reads;
        for (const NodeId read : spec.expressions[input.index].reads)
          reads += " " + spec.nodes[read.value].name;
        list.push_back(fmt::format("expression{}{} <- {} reads{}", mapped, name,
                                   spec.expressions[input.index].text,
                                   reads.empty() ? " nothing" : reads));
        break;
      }
      case Input::Source::state_only:
        list.push_back(fmt::format("state <- {}", spec.nodes[input.index].name));
        break;
    }
  }
  return list;
}

const CommandBody& command(const FlowSpec& spec, std::uint32_t node) {
  return std::get<CommandBody>(spec.kind_of(NodeId{node}).body);
}

/// Whether a value is what a schema says; the part of draft-07 that print_schema() uses.
bool fits(const nlohmann::json& value, const nlohmann::json& schema, const nlohmann::json& root) {
  using Json = nlohmann::json;
  const auto all = [&](const Json& values, const Json& each) {
    return std::ranges::all_of(values, [&](const Json& one) { return fits(one, each, root); });
  };
  const auto has = [&](const char* key) { return schema.contains(key); };
  const auto is = [&](const Json& type) {
    return type == "number"    ? value.is_number()
           : type == "integer" ? value.is_number_integer()
                               : type == value.type_name();
  };
  if (has("$ref"))
    return fits(value, root.at(Json::json_pointer(schema["$ref"].get<std::string>().substr(1))),
                root);
  if (has("allOf") && !std::ranges::all_of(schema["allOf"],
                                           [&](const Json& one) { return fits(value, one, root); }))
    return false;
  if (has("oneOf") && std::ranges::count_if(schema["oneOf"], [&](const Json& one) {
                        return fits(value, one, root);
                      }) != 1)
    return false;
  if (has("const") && value != schema["const"]) return false;
  if (has("enum") && std::ranges::find(schema["enum"], value) == schema["enum"].end()) return false;
  if (has("type") &&
      !(schema["type"].is_array() ? std::ranges::any_of(schema["type"], is) : is(schema["type"])))
    return false;
  if (value.is_number() && ((has("minimum") && value < schema["minimum"]) ||
                            (has("maximum") && value > schema["maximum"])))
    return false;
  if (value.is_string()) {
    const auto text = value.get<std::string>();
    if (text.size() < schema.value("minLength", 0u) || text.size() > schema.value("maxLength", ~0u))
      return false;
    if (has("pattern") &&
        !std::regex_search(text, std::regex(schema["pattern"].get<std::string>())))
      return false;
  }
  if (value.is_array()) {
    if (value.size() < schema.value("minItems", 0u)) return false;
    if (schema.value("uniqueItems", false) &&
        std::set<Json>(value.begin(), value.end()).size() != value.size())
      return false;
    return !has("items") || all(value, schema["items"]);
  }
  if (!value.is_object()) return true;
  if (value.size() < schema.value("minProperties", 0u)) return false;
  for (const Json& key : schema.value("required", Json::array()))
    if (!value.contains(key)) return false;
  for (const auto& [key, inner] : value.items()) {
    if (has("propertyNames") && !fits(key, schema["propertyNames"], root)) return false;
    if (has("properties") && schema["properties"].contains(key)) {
      if (!fits(inner, schema["properties"][key], root)) return false;
    } else if (has("additionalProperties")) {
      const Json& others = schema["additionalProperties"];
      if (others.is_boolean() ? !others.get<bool>() : !fits(inner, others, root)) return false;
    }
  }
  return true;
}

using Strings = std::vector<std::string>;

}  // namespace

BOOST_AUTO_TEST_CASE(every_broken_file_gets_its_golden_messages) {
  const fs::path folder = source_folder() / "tests/flow/broken";
  const bool update = std::getenv("REPRISE_UPDATE_GOLDEN") != nullptr;
  std::size_t count = 0;
  for (const auto& entry : fs::directory_iterator(folder)) {
    const fs::path path = entry.path();
    if (path.extension() == ".golden") continue;
    ++count;
    const std::string text = read(path);
    const std::string name = path.filename().string();
    const FlowFile file = decode_flow_file(text, name, options(folder.string()));
    BOOST_TEST(!file.flow, name + " decodes");
    BOOST_TEST(!file.diagnostics.empty(), name + " has no diagnostics");
    const std::string rendered = render(file.diagnostics, name, text, false);
    fs::path golden = path;
    golden += ".golden";
    if (update) std::ofstream(golden, std::ios::binary) << rendered;
    BOOST_TEST(rendered == read(golden), name + ":\n" + rendered);
    // Whatever a file contains, the terminal sees plain lines.
    BOOST_TEST(std::ranges::none_of(rendered,
                                    [](char c) {
                                      return (static_cast<unsigned char>(c) < 0x20 && c != '\n') ||
                                             c == 0x7f;
                                    }),
               name);
    BOOST_TEST(is_utf8(rendered), name);
    for (const Diagnostic& d : file.diagnostics) {
      BOOST_TEST((find_error_page(d.code) != nullptr), name + ": " + d.code);
      BOOST_TEST(d.message.find('\n') == std::string::npos, name);
    }
    BOOST_TEST(nlohmann::json::parse(to_json(file.diagnostics, name)).size() ==
               file.diagnostics.size());
  }
  BOOST_TEST(count >= 60u);
}

BOOST_AUTO_TEST_CASE(every_code_in_the_sources_has_a_page_and_the_page_is_printed_in_the_docs) {
  std::set<std::string> used;
  const std::regex code("\"(RP[12][0-9]{3})\"");
  for (const auto& entry : fs::directory_iterator(source_folder() / "flow")) {
    const std::string extension = entry.path().extension().string();
    if ((extension != ".cpp" && extension != ".hpp") ||
        entry.path().filename() == "error_pages.cpp")
      continue;
    const std::string text = read(entry.path());
    for (std::sregex_iterator match(text.begin(), text.end(), code), end; match != end; ++match)
      used.insert((*match)[1]);
  }
  BOOST_TEST(used.contains("RP1203"));
  for (const std::string& each : used)
    BOOST_TEST((find_error_page(each) != nullptr), each + " has no page");
  std::set<std::string_view> pages;
  for (const ErrorPage& page : error_pages()) {
    BOOST_TEST(used.contains(std::string(page.code)), std::string(page.code) + " is never used");
    BOOST_TEST(pages.insert(page.code).second, std::string(page.code) + " is there twice");
  }
  const fs::path docs = source_folder() / "docs/errors.md";
  if (std::getenv("REPRISE_UPDATE_GOLDEN") != nullptr)
    std::ofstream(docs, std::ios::binary) << error_pages_markdown();
  BOOST_TEST(read(docs) == error_pages_markdown());
}

BOOST_AUTO_TEST_CASE(the_broken_files_between_them_show_every_code_of_flow_files) {
  std::set<std::string> shown;
  const fs::path folder = source_folder() / "tests/flow/broken";
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (entry.path().extension() == ".golden") continue;
    const std::string text = read(entry.path());
    for (const Diagnostic& d : decode_flow_file(text, "f", options(folder.string())).diagnostics)
      shown.insert(d.code);
  }
  // Too large to keep: these have tests of their own.
  const std::set<std::string> elsewhere{"RP1001", "RP1013", "RP1299"};
  for (const ErrorPage& page : error_pages()) {
    if (page.code.starts_with("RP1") && !elsewhere.contains(std::string(page.code))) {
      BOOST_TEST(shown.contains(std::string(page.code)),
                 std::string(page.code) + " is shown by no file");
    }
  }
}

BOOST_AUTO_TEST_CASE(the_message_form_is_the_documented_one) {
  const std::string text =
      "version: 1\ntasks:\n  prépare: {run: [x]}\n  lint: {run: [x]}\n"
      "  test: {needs: [prépare, lnit], run: [make, check]}\n";
  const FlowFile file = decode_flow_file(text, "flow.yaml", options());
  BOOST_TEST(render(file.diagnostics, "flow.yaml", text, false) ==
             "error[RP1203]: unknown task 'lnit' in 'needs' of task 'test'\n"
             "  --> flow.yaml:5:27\n"
             "   |\n"
             " 5 |   test: {needs: [prépare, lnit], run: [make, check]}\n"
             "   |                           ^^^^ did you mean 'lint'?\n"
             "   = help: tasks in this file: lint, prépare, test          (reprise help RP1203)\n");
  const std::string coloured = render(file.diagnostics, "flow.yaml", text, true);
  BOOST_TEST(coloured.find("\x1b[1;31m") != std::string::npos);
  BOOST_TEST(std::regex_replace(coloured, std::regex("\x1b\\[[0-9;]*m"), "") ==
             render(file.diagnostics, "flow.yaml", text, false));
}

BOOST_AUTO_TEST_CASE(the_json_form_has_pointer_place_and_suggestion) {
  const std::string text =
      "version: 1\ntasks:\n  \"a/b~c\": {run: [x]}\n  test: {needs: [x, \"a/b~d\"], run: [make]}\n "
      " x: {run: [x]}\n";
  const FlowFile file = decode_flow_file(text, "flow.yaml", options());
  const auto list = nlohmann::json::parse(to_json(file.diagnostics, "dir/flow.yaml"));
  BOOST_REQUIRE(list.size() == 1u);
  BOOST_TEST(list[0]["pointer"] == "/tasks/test/needs/1");
  BOOST_TEST(list[0]["file"] == "dir/flow.yaml");
  BOOST_TEST(list[0]["line"] == 4);
  BOOST_TEST(list[0]["column"] == 21);
  BOOST_TEST(list[0]["end_column"] == 28);
  BOOST_TEST(list[0]["code"] == "RP1203");
  BOOST_TEST(list[0]["severity"] == "error");
  BOOST_TEST(list[0]["message"] == "unknown task 'a/b~d' in 'needs' of task 'test'");
  BOOST_TEST(list[0]["suggestion"] == "a/b~c");
  const auto key =
      decode_flow_file("version: 1\ntasks: {\"a/b~c\": {run: [x], nees: []}}\n", "f", options());
  BOOST_TEST(key.diagnostics.at(0).pointer == "/tasks/a~1b~0c/nees");
}

BOOST_AUTO_TEST_CASE(all_mistakes_of_one_file_are_reported_sorted_by_position) {
  BOOST_TEST((mistakes("version: 2\nparms: {}\ntasks:\n  a: {run: [x], needs: [b]}\n  c: {when: '1 "
                       "+', shell: x, timeout: 3}\n") ==
              Strings{"RP1110 1:10", "RP1101 2:1", "RP1203 4:25", "RP1301 5:16", "RP1103 5:39"}));
}

BOOST_AUTO_TEST_CASE(at_most_twenty_are_shown_and_all_are_counted) {
  std::string text = "version: 1\ntasks:\n";
  for (int i = 0; i < 23; ++i) text += fmt::format("  t{}: {{run: [x], needs: [q]}}\n", i);
  const FlowFile file = decode_flow_file(text, "f.yaml", options());
  BOOST_TEST(file.diagnostics.size() == 23u);
  const std::string rendered = render(file.diagnostics, "f.yaml", text, false);
  BOOST_TEST(rendered.ends_with("\n\n… and 3 more\n"));
  BOOST_TEST(nlohmann::json::parse(to_json(file.diagnostics, "f.yaml")).size() == 23u);
}

BOOST_AUTO_TEST_CASE(the_reference_sample_becomes_the_documented_graph) {
  const char* shared = std::getenv("REPRISE_SHARED_DIR");
  const fs::path sample = (shared != nullptr ? fs::path(shared) : source_folder() / "../shared") /
                          "reference/flow_sample.yaml";
  if (!fs::exists(sample)) {
    BOOST_TEST_MESSAGE("SKIPPED: no " << sample);
    return;
  }
  const FlowSpec spec = flow(read(sample));
  BOOST_TEST(spec.name == "align-genomes");
  BOOST_TEST(spec.nodes.size() == 4u);
  BOOST_TEST((inputs(spec, 0) == Strings{"param mapped s <- samples"}));
  BOOST_TEST((inputs(spec, 1) == Strings{"param mapped s <- samples", "state <- fetch",
                                         "task mapped fetch[] <- fetch"}));
  BOOST_TEST((inputs(spec, 2) == Strings{"task parts <- align"}));
  BOOST_TEST((inputs(spec, 3) == Strings{"task merge <- merge"}));
  const TaskKind& fetch = spec.kind_of(NodeId{0});
  BOOST_TEST(fetch.max_parallel == 8u);
  BOOST_TEST((fetch.timeout == std::chrono::minutes(10)));
  BOOST_TEST(fetch.retry.max == 2u);
  BOOST_TEST(fetch.retry.exponential);
  BOOST_TEST((fetch.retry.on == std::vector{FailureClass::worker_lost, FailureClass::timeout}));
  BOOST_TEST(!fetch.cache.enabled);
  const TaskKind& align = spec.kind_of(NodeId{1});
  BOOST_TEST(align.cache.enabled);
  BOOST_TEST(align.cache.salt == "ref-2026-11");
  BOOST_TEST((align.cache.environment == Strings{"LANG"}));
  BOOST_TEST(align.resources.cpu_milli == 2000u);
  BOOST_TEST(align.resources.memory_bytes == 4ull << 30);
  BOOST_TEST((command(spec, 1).outputs == Strings{"out.bam"}));
  const TaskKind& merge = spec.kind_of(NodeId{2});
  BOOST_TEST(merge.reduce_fanin == 16u);
  BOOST_TEST(merge.version == "3");
  BOOST_TEST(merge.cache_name == "bam.merge");
  BOOST_TEST(spec.kind_of(NodeId{3}).when == "params.quality >= 20");
  BOOST_TEST(command(spec, 3).script.text ==
             "report --in \"$REPRISE_INPUT_merge\" > report.html\n");
  BOOST_TEST(spec.parameters.size() == 2u);
  BOOST_TEST(to_json(*spec.parameters[1].default_value->value()) == "30");
  BOOST_TEST(spec.outputs.size() == 1u);
}

BOOST_AUTO_TEST_CASE(a_function_that_others_may_have_is_a_warning) {
  const std::string_view text =
      "version: 1\ntasks:\n  a: {call: bam.merge@4, args: [1, x]}\n"
      "  b: {run: [x], on: {failed: {call: no.such@1}}}\n";
  BOOST_TEST((mistakes(text) == Strings{"RP1204 3:13", "RP1204 4:37"}));
  for (const auto missing :
       {FlowFileOptions::Missing::waits, FlowFileOptions::Missing::elsewhere}) {
    FlowFileOptions given = options();
    given.missing_function = missing;
    const FlowFile file = decode_flow_file(text, "flow.yaml", given);
    BOOST_REQUIRE(file.flow.has_value());
    BOOST_REQUIRE(file.diagnostics.size() == 2u);
    for (const Diagnostic& d : file.diagnostics) {
      BOOST_TEST(d.code == "RP1204");
      BOOST_TEST((d.severity == Diagnostic::Severity::warning));
    }
    BOOST_TEST(file.diagnostics[0].suggestion == "bam.merge@3");
    BOOST_TEST((inputs(*file.flow, 0) == Strings{"constant 0 <- 1", "constant 1 <- \"x\""}));
    // A name and no version is never a function.
    BOOST_TEST(
        (mistakes("version: 1\ntasks: {a: {call: bam.merge}}\n", given) == Strings{"RP1204 2:19"}));
  }
}

BOOST_AUTO_TEST_CASE(named_arguments_need_a_function_whose_order_of_them_is_known) {
  const std::string_view text =
      "version: 1\ntasks:\n  a: {call: no.such@1, args: {y: 1, x: 2}}\n"
      "  b: {call: no.such@1, args: {x: 2}}\n";
  FlowFileOptions given = options();
  given.missing_function = FlowFileOptions::Missing::elsewhere;
  BOOST_TEST(decode_flow_file(text, "flow.yaml", given).flow.has_value());
  given.missing_function = FlowFileOptions::Missing::waits;
  BOOST_TEST((mistakes(text, given) == Strings{"RP1204 3:13", "RP1205 3:24", "RP1204 4:13"}));
}

BOOST_AUTO_TEST_CASE(an_input_whose_variable_is_taken_is_told) {
  const auto told = [](std::string_view needs) {
    const FlowFile file = decode_flow_file(
        fmt::format("version: 1\ntasks:\n  a-b: {{run: [x]}}\n  a_b: {{run: [x]}}\n"
                    "  a.b: {{run: [x]}}\n  c: {{run: [y], needs: {}}}\n",
                    needs),
        "flow.yaml", options());
    BOOST_TEST(file.flow.has_value());
    Strings all;
    for (const Diagnostic& d : file.diagnostics) {
      BOOST_TEST((d.severity == Diagnostic::Severity::warning));
      all.push_back(fmt::format("{} {}:{} {}", d.code, d.span.line, d.span.column, d.message));
    }
    return all;
  };
  BOOST_TEST(
      (told("[a-b, a_b]") ==
       Strings{"RP1114 6:25 the result of 'a-b' is in no variable: REPRISE_INPUT_a_b has that of "
               "'a_b'"}));
  BOOST_TEST(
      (told("[a-b, a.b]") ==
       Strings{"RP1114 6:30 the result of 'a.b' is in no variable: REPRISE_INPUT_a_b has that of "
               "'a-b'"}));
  BOOST_TEST(told("[a-b]").empty());
}

BOOST_AUTO_TEST_CASE(yaml_and_json_of_one_flow_give_one_flow) {
  const FlowSpec yaml = flow(
      "version: 1\nname: f\ntasks:\n  a: {run: [echo, 'é \"x\"']}\n  b:\n    needs: [a]\n    "
      "shell: |\n      x\n      y\n");
  const FlowSpec json = flow(
      "{\"version\": 1, \"name\": \"f\",\n\t\"tasks\": {\"a\": {\"run\": [\"echo\", \"\\u00e9 "
      "\\\"x\\\"\"]},\n\t\"b\": {\"needs\": [\"a\"], \"shell\": \"x\\ny\\n\"}}}\n");
  BOOST_TEST(command(yaml, 0).argv[1].text == command(json, 0).argv[1].text);
  BOOST_TEST(command(yaml, 1).script.text == command(json, 1).script.text);
  BOOST_TEST((inputs(yaml, 1) == inputs(json, 1)));
}

BOOST_AUTO_TEST_CASE(a_minimal_flow_takes_its_name_from_the_file) {
  const FlowFile file = decode_flow_file("version: 1\ntasks: {a: {run: [x]}}\n",
                                         "some/where/nightly.yaml", options("/home/me"));
  BOOST_REQUIRE(file.flow);
  BOOST_TEST(file.flow->name == "nightly");
  BOOST_TEST(file.flow->folder == "/home/me");
  BOOST_TEST(file.flow->source_file == "some/where/nightly.yaml");
  const TaskKind& kind = file.flow->kind_of(NodeId{0});
  BOOST_TEST(kind.version == "1");
  BOOST_TEST(kind.cache_name == "a");
  BOOST_TEST(!kind.cache.enabled);
  BOOST_TEST((kind.retry == RetryPolicy{}));
  BOOST_TEST(file.flow->nodes[0].span.line == 2u);
  BOOST_TEST(file.flow->nodes[0].span.column == 9u);
}

BOOST_AUTO_TEST_CASE(odd_task_names_are_data) {
  const FlowSpec spec = flow(
      "version: 1\ntasks:\n  __proto__: {run: [x]}\n  ../x: {run: [x]}\n  \"a\\eb\": {run: [x]}\n  "
      "'two words': {run: [x]}\n  '1': {run: [x]}\n  true: {run: [x]}\n"
      "  all: {run: [echo, \"${{ tasks['../x'].stdout }}${{ tasks['two words'].stdout }}${{ "
      "tasks['a\\u001bb'].stdout }}${{ __proto__.stdout }}\"]}\n");
  BOOST_TEST(spec.nodes[2].name ==
             "a\x1b"
             "b");
  BOOST_TEST((inputs(spec, 6) == Strings{"task ../x <- ../x", "task two words <- two words",
                                         "task a\x1b"
                                         "b <- a\x1b"
                                         "b",
                                         "task __proto__ <- __proto__"}));
}

BOOST_AUTO_TEST_CASE(needs_and_templates_make_each_upstream_an_input_once) {
  const FlowSpec spec = flow(
      "version: 1\ntasks:\n  a: {run: [x], outputs: [o]}\n  b: {run: [x]}\n"
      "  c:\n    needs: [b]\n    run: [x, \"${{ a.outputs['o'] }} ${{ b.stdout }} ${{ a.exit "
      "}}\"]\n    when: a.exit == 0 && b.exit == 0\n    env: {A: \"${{ a.stdout }}\", N: 3}\n");
  BOOST_TEST((inputs(spec, 2) == Strings{"task b <- b", "task a <- a"}));
  BOOST_TEST(command(spec, 2).environment.at("N").text == "3");
}

BOOST_AUTO_TEST_CASE(map_over_takes_lists_parameters_tasks_and_expressions) {
  const FlowSpec spec = flow(
      "version: 1\nparams: {xs: {type: list, default: [a]}, n: {type: int, default: 2}}\ntasks:\n"
      "  a: {map: {over: [1, two, 3.0]}, run: [x, \"${{ item }}\"]}\n"
      "  b: {map: {over: \"${{ params.xs }}\", as: x}, run: [x, \"${{ x }}\"]}\n"
      "  c: {map: {over: a, as: r}, run: [x, \"${{ r.stdout }}\"]}\n"
      "  d: {map: {over: \"${{ range(params.n) }}\", as: i}, run: [x, \"${{ i + 1 }}\"]}\n"
      "  e: {map: {over: \"${{ a.filter(r, r.exit == 0) }}\", as: r}, run: [x, \"${{ r.stdout "
      "}}\"]}\n"
      "  f: {map: {over: [x, \"${{ params.n }}\"]}, run: [x]}\n");
  BOOST_TEST((inputs(spec, 0) == Strings{"constant mapped item <- [1,\"two\",3.0]"}));
  BOOST_TEST((inputs(spec, 1) == Strings{"param mapped x <- xs"}));
  BOOST_TEST((inputs(spec, 2) == Strings{"task mapped r <- a"}));
  BOOST_TEST((inputs(spec, 3) == Strings{"expression mapped i <- range(params.n) reads nothing"}));
  BOOST_TEST((inputs(spec, 4) ==
              Strings{"expression mapped r <- a.filter(r, r.exit == 0) reads a", "task a <- a"}));
  BOOST_TEST(
      (inputs(spec, 5) == Strings{"expression mapped item <- ['x', params.n] reads nothing"}));
}

BOOST_AUTO_TEST_CASE(needs_on_a_mapped_task_waits_for_all_and_its_own_element_is_an_input) {
  const FlowSpec spec = flow(
      "version: 1\ntasks:\n  m: {map: {over: [1, 2], as: s}, run: [x], outputs: [o]}\n"
      "  own: {map: {over: [1, 2], as: s}, run: [x, \"${{ m[s].outputs['o'] }}\"]}\n"
      "  both: {map: {over: [1, 2], as: s}, run: [x, \"${{ m[s].stdout }} ${{ size(m) }}\"]}\n"
      "  waits: {map: {over: [1, 2], as: s}, needs: [m], run: [x, \"${{ m[s].stdout }}\"]}\n");
  BOOST_TEST((inputs(spec, 1) == Strings{"constant mapped s <- [1,2]", "task mapped m[] <- m"}));
  BOOST_TEST((inputs(spec, 2) ==
              Strings{"constant mapped s <- [1,2]", "task m <- m", "task mapped m[] <- m"}));
  BOOST_TEST((inputs(spec, 3) ==
              Strings{"constant mapped s <- [1,2]", "state <- m", "task mapped m[] <- m"}));
}

BOOST_AUTO_TEST_CASE(arguments_of_a_call_become_inputs_under_the_functions_names) {
  const FlowSpec spec = flow(
      "version: 1\nparams: {sep: {type: string, default: '-'}, f: {type: float, default: "
      "2}}\ntasks:\n"
      "  words: {map: {over: [a, b]}, call: text.length@1}\n"
      "  by_name: {call: text.join@1, args: {separator: \"${{ params.sep }}\", texts: [a, \"b${{ "
      "params.sep }}\"]}}\n"
      "  by_place: {call: text.join@1, needs: [words], args: [[x, \"$${{ y\"], \"${{ by_name "
      "}}\"]}\n"
      "  scaled: {call: math.scale@1, args: [3, \"${{ params.f }}\"]}\n"
      "  each: {map: {over: [p, q], as: x}, call: text.length@1, args: {text: \"${{ x }}:${{ "
      "words[x] }}\"}}\n"
      "  text: {call: text.length@1, args: [t]}\n"
      "  clash: {call: text.length@1, args: [\"n=${{ text }}\"]}\n");
  BOOST_TEST((inputs(spec, 0) == Strings{"constant mapped text <- [\"a\",\"b\"]"}));
  BOOST_TEST((inputs(spec, 1) ==
              Strings{"expression texts <- ['a', ('b' + string(params.sep))] reads nothing",
                      "param separator <- sep"}));
  BOOST_TEST((inputs(spec, 2) == Strings{"constant texts <- [\"x\",\"${{ y\"]",
                                         "task separator <- by_name", "state <- words"}));
  BOOST_TEST((inputs(spec, 3) == Strings{"constant value <- 3.0", "param factor <- f"}));
  BOOST_TEST((inputs(spec, 4) ==
              Strings{"expression text <- string(x) + ':' + string(words[x]) reads words",
                      "constant mapped x <- [\"p\",\"q\"]", "task mapped words[] <- words"}));
  BOOST_TEST((inputs(spec, 6) ==
              Strings{"expression text <- ('n=' + string(tasks['text (task)'])) reads text",
                      "task text (task) <- text"}));
  BOOST_TEST((spec.kind_of(NodeId{1}).signature == options().functions->at("text.join@1")));
}

BOOST_AUTO_TEST_CASE(reduce_keeps_its_fanin_and_reads_the_whole_list) {
  const FlowSpec spec = flow(
      "version: 1\ntasks:\n  m: {map: {over: [1, 2]}, run: [x], outputs: [o]}\n"
      "  r: {reduce: {over: m}, run: [cat, \"${{ m.map(x, x.outputs['o']) }}\"], outputs: [o]}\n"
      "  s: {reduce: {over: m, fanin: 2}, call: bam.merge@3}\n");
  BOOST_TEST((inputs(spec, 1) == Strings{"task m <- m"}));
  BOOST_TEST(spec.kind_of(NodeId{1}).reduce_fanin == 16u);
  BOOST_TEST((inputs(spec, 2) == Strings{"task parts <- m"}));
  BOOST_TEST(spec.kind_of(NodeId{2}).reduce_fanin == 2u);
}

BOOST_AUTO_TEST_CASE(calls_are_not_checked_when_the_functions_are_not_known) {
  FlowFileOptions unknown = options();
  unknown.functions.reset();
  const FlowSpec spec = flow(
      "version: 1\ntasks:\n  a: {call: some.thing@7, args: [1, x]}\n  b: {call: other@2, args: {k: "
      "\"${{ a }}\"}}\n",
      unknown);
  BOOST_TEST((inputs(spec, 0) == Strings{"constant 0 <- 1", "constant 1 <- \"x\""}));
  BOOST_TEST((inputs(spec, 1) == Strings{"task k <- a"}));
  BOOST_TEST(spec.kind_of(NodeId{0}).version == "7");
}

BOOST_AUTO_TEST_CASE(defaults_hold_for_tasks_without_their_own) {
  const FlowSpec spec = flow(
      "version: 1\ndefaults: {timeout: 1h30m, cache: {for: 1d}, env: {A: x, B: y}, retry: {max: "
      "3}}\ntasks:\n"
      "  a: {run: [x]}\n  b: {run: [x], timeout: 250ms, cache: false, env: {B: z}, retry: {max: "
      "0}}\n  c: {call: text.length@1, args: [x]}\n");
  BOOST_TEST((spec.kind_of(NodeId{0}).timeout == std::chrono::minutes(90)));
  BOOST_TEST((spec.kind_of(NodeId{0}).cache.expires_after == std::chrono::hours(24)));
  BOOST_TEST(spec.kind_of(NodeId{0}).cache.enabled);
  BOOST_TEST((spec.kind_of(NodeId{1}).timeout == std::chrono::milliseconds(250)));
  BOOST_TEST(!spec.kind_of(NodeId{1}).cache.enabled);
  BOOST_TEST(spec.kind_of(NodeId{1}).retry.max == 0u);
  BOOST_TEST(command(spec, 1).environment.at("A").text == "x");
  BOOST_TEST(command(spec, 1).environment.at("B").text == "z");
  BOOST_TEST(spec.kind_of(NodeId{2}).retry.max == 3u);
}

BOOST_AUTO_TEST_CASE(the_life_of_results_is_read_in_short_and_in_full) {
  const FlowSpec spec = flow(
      "version: 1\ntasks:\n"
      "  a: {run: [x], cache: {for: 1d, sliding: true, jitter: 15, max_age: 2h, stale: 10m, "
      "negative: 1m}}\n"
      "  b: {run: [x], cache: {ttl: 1d, stale: {while_revalidate: 1m, if_error: 7d}, "
      "negative: {exits: [65, 66]}}}\n"
      "  c: {run: [x], cache: {negative: {for: 1h, kinds: [validation]}}}\n");
  const CacheLife a = spec.kind_of(NodeId{0}).cache.life;
  const FailureCaching whatever{
      std::chrono::minutes(1), {FailureClass::task, FailureClass::validation}, {}};
  BOOST_TEST((a == CacheLife{true, std::chrono::minutes(10), Duration{0}, 15, std::chrono::hours(2),
                             whatever}));
  const CacheLife b = spec.kind_of(NodeId{1}).cache.life;
  BOOST_TEST((b.stale_while_revalidate == std::chrono::minutes(1)));
  BOOST_TEST((b.stale_if_error == std::chrono::hours(24 * 7)));
  BOOST_TEST((b.failures == FailureCaching{std::chrono::minutes(5), {}, {65, 66}}));
  BOOST_TEST((spec.kind_of(NodeId{2}).cache.life.failures ==
              FailureCaching{std::chrono::hours(1), {FailureClass::validation}, {}}));
}

BOOST_AUTO_TEST_CASE(hooks_are_kept_in_the_order_of_the_file) {
  const FlowSpec spec = flow(
      "version: 1\nparams: {who: {type: string, default: ops}}\n"
      "on: {finished: {shell: 'echo over', cwd: flow}}\ntasks:\n  a:\n    run: [x]\n    on:\n"
      "      timed_out: {run: [mail, \"${{ params.who }}\"], env: {T: 'secret://t', N: 1}}\n"
      "      failed:\n        - {call: told@1}\n        - {run: [mail]}\n");
  BOOST_REQUIRE(spec.run_hooks.size() == 1u);
  BOOST_TEST((spec.run_hooks[0].on == Strings{"finished"}));
  BOOST_TEST(std::get<CommandBody>(spec.run_hooks[0].body).script.text == "echo over");
  BOOST_TEST(std::get<CommandBody>(spec.run_hooks[0].body).in_flow_folder);
  const std::vector<Hook>& hooks = spec.kind_of(NodeId{0}).hooks;
  BOOST_REQUIRE(hooks.size() == 3u);
  BOOST_TEST((hooks[0].on == Strings{"timed_out"} && hooks[1].on == Strings{"failed"} &&
              hooks[2].on == Strings{"failed"}));
  const auto& mail = std::get<CommandBody>(hooks[0].body);
  BOOST_TEST(mail.argv.at(1).text == "${{ params.who }}");
  BOOST_TEST(mail.environment.at("T").text == "secret://t");
  BOOST_TEST((hooks[1].body == Body{FunctionBody{"told@1"}}));
}

BOOST_AUTO_TEST_CASE(exit_codes_and_deciding_tasks_are_kept) {
  const FlowSpec spec = flow(
      "version: 1\nreference: [b, a]\ntasks:\n  a: {run: [x], exit: {75: retry, 255: loop}}\n"
      "  b: {needs: [a], shell: x}\n  c: {needs: [b], run: [x], allow_failure: true}\n");
  BOOST_TEST((command(spec, 0).exits == std::map<std::uint32_t, TaskState>{
                                            {75, TaskState::retrying}, {255, TaskState::looped}}));
  BOOST_TEST((spec.reference_nodes == std::vector{NodeId{1}, NodeId{0}}));
}

BOOST_AUTO_TEST_CASE(a_long_delay_is_not_cut_by_a_limit_that_nobody_gave) {
  const FlowSpec spec =
      flow("version: 1\ntasks: {a: {run: [x], retry: {max: 10000, delay: 2h}}}\n");
  BOOST_TEST(spec.kind_of(NodeId{0}).retry.max == 10'000u);
  BOOST_TEST((spec.kind_of(NodeId{0}).retry.max_delay == std::chrono::hours(2)));
}

BOOST_AUTO_TEST_CASE(bounds_that_depend_on_the_number_of_tasks_are_not_contradictory) {
  for (const char* bounds : {"at_least: 0.5, at_most: 1", "at_least: 3, at_most: 0.9",
                             "at_least: 0, at_most: 0", "at_least: 2, at_most: 2"})
    (void)flow(fmt::format(
        "version: 1\ntasks: {{a: {{run: [x], trigger: {{name: some_failed, {}}}}}}}\n", bounds));
}

BOOST_AUTO_TEST_CASE(every_policy_reaches_the_task) {
  const FlowSpec spec = flow(
      "version: 1\ntasks:\n  up: {run: [x]}\n  a:\n    needs: [up]\n    run: [x]\n    version: "
      "2.1\n    isolation: process\n    cwd: flow\n    skip_on_upstream_skip: false\n"
      "    trigger: {name: some_failed, at_least: 0.5, at_most: 3}\n    resources: {cpus: 0.5, "
      "memory: 512MiB, gpus: 2}\n"
      "    retry: {max: 100, delay: 1s, backoff: fixed, max_delay: 1m, on: [exit, signal, "
      "validation, cannot_start]}\n"
      "    cache: {ttl: 0s, validator: partial_inputs, validate_on: [up], key: shared, ignore: "
      "[up], salt: s, env: [A, B], deps: {tool: '1.2'}}\n"
      "  b: {run: [x], trigger: always_run, cache: {version: 7}}\n");
  const TaskKind& kind = spec.kind_of(NodeId{1});
  BOOST_TEST(kind.version == "2.1");
  BOOST_TEST(kind.isolated);
  BOOST_TEST(!kind.skip_on_upstream_skip);
  BOOST_TEST(
      (kind.trigger ==
       Trigger{.kind = Trigger::Kind::some_failed, .at_least = 0.5, .at_most = 3, .function = {}}));
  BOOST_TEST(kind.resources.cpu_milli == 500u);
  BOOST_TEST(kind.resources.memory_bytes == 512u << 20);
  BOOST_TEST(kind.resources.custom.at("gpus") == 2u);
  BOOST_TEST(kind.retry.max == 100u);
  BOOST_TEST(!kind.retry.exponential);
  BOOST_TEST((kind.retry.max_delay == std::chrono::minutes(1)));
  BOOST_TEST((kind.retry.on == std::vector{FailureClass::task, FailureClass::signal,
                                           FailureClass::validation, FailureClass::cannot_start}));
  BOOST_TEST((kind.cache.validator == Validator::partial_inputs));
  BOOST_TEST((kind.cache.expires_after == Duration{0}));
  BOOST_TEST((kind.cache.validate_on == Strings{"up"}));
  BOOST_TEST((kind.cache.shared_key == "shared"));
  BOOST_TEST((kind.cache.ignored == Strings{"up"}));
  BOOST_TEST((kind.cache.dependencies.at("tool") == sha256("1.2")));
  BOOST_TEST(command(spec, 1).in_flow_folder);
  BOOST_TEST((spec.kind_of(NodeId{2}).trigger.kind == Trigger::Kind::all_finished));
  BOOST_TEST(spec.kind_of(NodeId{2}).version == "7");
}

BOOST_AUTO_TEST_CASE(where_and_in_which_order_tasks_run_is_theirs_or_the_default) {
  const FlowSpec spec = flow(
      "version: 1\ndefaults: {require: {zone: a}, limit: db, priority: 3}\ntasks:\n"
      "  a: {run: [x]}\n"
      "  b: {run: [x], require: {disk: ssd, rack: 7}, limit: [net, db], priority: -1000}\n");
  const TaskKind& a = spec.kind_of(NodeId{0});
  BOOST_TEST((a.require == std::map<std::string, std::string>{{"zone", "a"}}));
  BOOST_TEST((a.limits == Strings{"db"}));
  BOOST_TEST(a.priority == 3);
  const TaskKind& b = spec.kind_of(NodeId{1});
  BOOST_TEST((b.require == std::map<std::string, std::string>{{"disk", "ssd"}, {"rack", "7"}}));
  BOOST_TEST((b.limits == Strings{"db", "net"}));
  BOOST_TEST(b.priority == -1000);
}

BOOST_AUTO_TEST_CASE(scalars_are_those_of_the_core_schema) {
  const auto value = [](std::string text) {
    std::vector<Diagnostic> none;
    const std::string file = "v: " + text + "\n";
    const yaml::Document document = yaml::Document::parse(file, none);
    return to_json(yaml::to_value(*document.root()->find("v")));
  };
  for (const char* text :
       {"yes", "no", "on", "off", "010", "-007", "0b11", "1_000", "1:30", "1:30:00", "2001-01-01",
        "0x", "+", ".", "1e", "'3'", "\"true\"", "=", "NO"}) {
    BOOST_TEST(value(text).starts_with('"'), std::string(text) + " is " + value(text));
  }
  BOOST_TEST(value("true") == "true");
  BOOST_TEST(value("FALSE") == "false");
  BOOST_TEST(value("~") == "null");
  BOOST_TEST(value("") == "null");
  BOOST_TEST(value("-12") == "-12");
  BOOST_TEST(value("+3") == "3");
  BOOST_TEST(value("0x1F") == "31");
  BOOST_TEST(value("0o17") == "15");
  BOOST_TEST(value("18446744073709551615") == "18446744073709551615");
  BOOST_TEST(value("-9223372036854775808") == "-9223372036854775808");
  BOOST_TEST(value("1e3") == "1000.0");
  BOOST_TEST(value(".5") == "0.5");
}

BOOST_AUTO_TEST_CASE(single_quoted_text_is_folded_as_yaml_says) {
  const auto text = [](std::string_view source) {
    std::vector<Diagnostic> none;
    const std::string file = fmt::format("v: '{}'\n", source);
    const yaml::Document document = yaml::Document::parse(file, none);
    BOOST_REQUIRE(document.root() != nullptr);
    return document.root()->find("v")->text;
  };
  BOOST_TEST(text("") == "");
  BOOST_TEST(text("it''s ''''") == "it's ''");
  BOOST_TEST(text("  a  b  ") == "  a  b  ");
  BOOST_TEST(text("a  \n   b") == "a b");
  BOOST_TEST(text("a \r\n  \r\n \r\n b ") == "a\n\nb ");
  BOOST_TEST(text("\n a\n ") == " a ");
  BOOST_TEST(text(std::string(200, '\'')) == std::string(100, '\''));
}

BOOST_AUTO_TEST_CASE(arguments_and_variables_keep_numbers_as_they_are_written) {
  const FlowSpec spec =
      flow("version: 1\ntasks: {a: {run: [head, -n, 10, 1.50, true, 0x1F], env: {N: 1.0}}}\n");
  Strings argv;
  for (const Template& argument : command(spec, 0).argv) argv.push_back(argument.text);
  BOOST_TEST((argv == Strings{"head", "-n", "10", "1.50", "true", "0x1F"}));
  BOOST_TEST(command(spec, 0).environment.at("N").text == "1.0");
}

BOOST_AUTO_TEST_CASE(a_local_program_is_an_input_file) {
  const fs::path folder =
      fs::temp_directory_path() / fmt::format("reprise-flow-file-{}", ::getpid());
  fs::create_directories(folder);
  std::ofstream(folder / "go.sh") << "#!/bin/sh\n";
  const FlowSpec spec = flow(
      "version: 1\ntasks:\n  a: {run: [./go.sh, x]}\n  b: {run: [./go.sh], inputs: [go.sh]}\n  c: "
      "{run: [./go.sh], cwd: flow}\n",
      options(folder.string()));
  BOOST_TEST(command(spec, 0).input_files.size() == 1u);
  BOOST_TEST(command(spec, 0).input_files[0].text == "go.sh");
  BOOST_TEST(command(spec, 1).input_files.size() == 1u);
  BOOST_TEST(command(spec, 2).input_files.empty());
  BOOST_TEST((mistakes("version: 1\ntasks: {a: {run: [./gone.sh]}}\n", options(folder.string())) ==
              Strings{"RP1212 2:19"}));
  FlowFileOptions unchecked = options(folder.string());
  unchecked.check_files = false;
  (void)flow("version: 1\ntasks: {a: {run: [./gone.sh]}}\n", unchecked);
  fs::remove_all(folder);
}

BOOST_AUTO_TEST_CASE(allow_failure_names_the_tasks_that_decide) {
  const FlowSpec spec = flow(
      "version: 1\ntasks:\n  a: {run: [x]}\n  b: {needs: [a], run: [x], allow_failure: true}\n  c: "
      "{needs: [a], run: [x]}\n");
  BOOST_TEST((spec.reference_nodes == std::vector{NodeId{2}}));
  BOOST_TEST(flow("version: 1\ntasks: {a: {run: [x]}}\n").reference_nodes.empty());
}

BOOST_AUTO_TEST_CASE(outputs_are_templates_or_whole_results) {
  const FlowSpec spec = flow(
      "version: 1\ntasks: {a: {run: [x], outputs: [o]}}\noutputs: {f: \"${{ a.outputs['o'] }}\", "
      "whole: '${{ a }}', text: 'exit ${{ a.exit }}', n: 3}\n");
  BOOST_TEST((spec.outputs[0].kind == Output::Kind::expression));
  BOOST_TEST((spec.outputs[1].kind == Output::Kind::node));
  BOOST_TEST((spec.outputs[1].node == NodeId{0}));
  BOOST_TEST(spec.outputs[2].text.text == "exit ${{ a.exit }}");
  BOOST_TEST(spec.outputs[3].text.text == "3");
}

BOOST_AUTO_TEST_CASE(hostile_files_are_refused_at_once) {
  const auto started = std::chrono::steady_clock::now();
  const auto code = [](const std::string& text) {
    const FlowFile file = decode_flow_file(text, "f", options());
    return file.diagnostics.empty() ? std::string("none") : file.diagnostics[0].code;
  };
  BOOST_TEST(code(std::string(100'000'000, '[')) == "RP1001");
  for (const char* unit :
       {"[", "{", "- ", "? ", "{\"a\":", "[{", "\"", "&", "!", "|", "[\n", "{a: ", "a: ", ": "}) {
    std::string text;
    while (text.size() + 16 < yaml::max_bytes) text += unit;
    BOOST_TEST(code(text).starts_with("RP1"), unit);
    BOOST_TEST(code("version: 1\nx: " + text.substr(0, text.size() / 2)).starts_with("RP1"), unit);
  }
  std::string many = "version: 1\ntasks: [";
  while (many.size() + 16 < yaml::max_bytes) many += "1,";
  BOOST_TEST(code(many + "1]\n") == "RP1013");
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count();
  BOOST_TEST(seconds < 60);  // tens of files of 8 MB, also under a sanitizer
}

BOOST_AUTO_TEST_CASE(a_large_flow_takes_time_in_proportion) {
  std::string text = "{\"version\":1,\"tasks\":{\"t0\":{\"run\":[\"x\"]}";
  for (int i = 1; i < 20'000; ++i)
    text += fmt::format(",\"t{}\":{{\"run\":[\"x\"],\"needs\":[\"t{}\"]}}", i, i - 1);
  text += "}}";
  const auto started = std::chrono::steady_clock::now();
  BOOST_TEST(flow(text).nodes.size() == 20'000u);
  BOOST_TEST(std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count() <
             20);
}

BOOST_AUTO_TEST_CASE(places_are_right_in_quoted_folded_and_wide_text) {
  const auto place = [](std::string_view text) {
    const FlowFile file = decode_flow_file(text, "f", options());
    BOOST_REQUIRE(file.diagnostics.size() == 1u);
    const SourceSpan span = file.diagnostics[0].span;
    return fmt::format("{}:{}-{}", span.line, span.column, span.end_column);
  };
  BOOST_TEST(place("version: 1\ntasks: {a: {run: [\"é\\t\\u00e9${{ params.q }}\"]}}\n") ==
             "2:33-41");
  BOOST_TEST(place("version: 1\ntasks: {a: {run: ['it''s ${{ params.q }}']}}\n") == "2:30-38");
  BOOST_TEST(
      place("version: 1\ntasks:\n  a:\n    shell: |\n      one\n\n      two ${{ params.q }}\n") ==
      "7:15-23");
  BOOST_TEST(
      place("version: 1\ntasks:\n  a:\n    shell: >\n      one\n      two ${{ params.q }}\n") ==
      "6:15-23");
  BOOST_TEST(place("version: 1\ntasks:\n  a:\n    shell: one\n      two ${{ params.q }}\n") ==
             "5:15-23");
  BOOST_TEST(place("version: 1\ntasks: {a: {run: [\"\\ud83d\\ude00${{ params.q }}\"]}}\n") ==
             "2:36-44");
  BOOST_TEST(place("\xef\xbb\xbfversion: 1\r\ntasks: {a: {run: [x], nees: []}}\r\n") == "2:23-27");
}

BOOST_AUTO_TEST_CASE(the_schema_lists_every_key_and_is_draft_07) {
  const auto schema = nlohmann::json::parse(print_schema());
  BOOST_TEST(schema["$schema"] == "http://json-schema.org/draft-07/schema#");
  BOOST_TEST((schema["required"] == nlohmann::json{"version", "tasks"}));
  for (const char* key : {"run",
                          "shell",
                          "call",
                          "args",
                          "needs",
                          "map",
                          "reduce",
                          "when",
                          "inputs",
                          "outputs",
                          "env",
                          "cache",
                          "retry",
                          "timeout",
                          "resources",
                          "trigger",
                          "skip_on_upstream_skip",
                          "allow_failure",
                          "isolation",
                          "cwd",
                          "version",
                          "description",
                          "require",
                          "limit",
                          "priority",
                          "on"}) {
    BOOST_TEST(schema["definitions"]["task"]["properties"].contains(key), key);
  }
  for (const char* key : {"for", "ttl", "validator", "validate_on", "key", "ignore", "version",
                          "salt", "env", "deps", "sliding", "stale", "negative"}) {
    BOOST_TEST(schema["definitions"]["cache"]["oneOf"][1]["properties"].contains(key), key);
  }
  // Every reference points somewhere.
  const std::string text = schema.dump();
  const std::regex reference("\"#/definitions/([a-z]+)\"");
  for (std::sregex_iterator match(text.begin(), text.end(), reference), end; match != end;
       ++match) {
    BOOST_TEST(schema["definitions"].contains((*match)[1].str()), (*match)[1].str());
  }
}

// An editor with the schema and `reprise check` must not tell people different things about what
// may stand where. What the checker finds besides (names, types of expressions) is not in the
// table.
BOOST_AUTO_TEST_CASE(the_schema_and_the_checker_agree_on_shapes) {
  using Json = nlohmann::json;
  struct Row {
    const char* key;
    std::vector<const char*> values;  // JSON
  };
  const std::vector<Row> of_a_task = {
      {"run", {R"(["a", 1, true, 1.5])", "[]", R"("a")", "[null]", R"([["x"]])"}},
      {"timeout", {R"("1h30m")", "10", R"("10")", R"("1.5h")", R"("5w")"}},
      {"retry",
       {R"({"max": 10000})", R"({"max": 10001})", "3", "{}", R"({"on": ["exit", "exit"]})",
        R"({"on": []})", R"({"delay": 5})", R"({"backoff": "linear"})"}},
      {"cache",
       {"true", "{}", R"("yes")", "null", R"({"ttl": "5m"})", R"({"salt": 5})",
        R"({"version": true})", R"({"version": ""})", R"({"env": ["A", "A"]})", R"({"env": [""]})",
        R"({"deps": {"a": ""}})", R"({"validator": "x"})"}},
      {"resources",
       {R"({"cpus": 0.5, "memory": "4GiB", "gpu": 1})", R"({"cpus": 0})", R"({"cpus": 0.0001})",
        R"({"memory": "4GB"})", R"({"memory": 4})", R"({"gpu": -1})", R"({"gpu": 1.5})"}},
      {"env",
       {R"({"A": "x", "B": 1, "C": true})", R"({"A": null})", R"({"A": ["x"]})",
        R"({"REPRISE_X": "1"})", R"({"A=B": "1"})"}},
      {"outputs", {"[]", R"(["x"])", R"([""])", "[1]", R"("x")", R"(["x", "x"])"}},
      {"when", {R"("true")", "true", "1", R"("")"}},
      {"map", {R"({"over": [1]})", "{}", "[1]", R"({"over": [1], "max_parallel": 0})"}},
      {"trigger", {R"("all_failed")", R"("x")", R"({"name": "some_failed", "at_least": -1})"}},
      {"isolation", {R"("process")", R"("x")"}},
      {"version", {"1", "true", R"("")", "1.5", "null"}},
      {"priority", {"1000", "1001", "1.5"}},
      {"limit", {R"([])", "1"}},
      {"require", {R"({"zone": 1})", R"({"zone": null})", R"(["a"])"}},
      {"exit", {R"({"75": "retry"})", R"({"0": "skip"})", R"({"256": "skip"})", "{}"}},
      {"on",
       {R"({"failed": {"run": ["x"]}})", R"({"failed": []})", R"({"nope": {"run": ["x"]}})",
        R"({"failed": {"run": ["x"], "shell": "y"}})", R"({"failed": {"call": "x"}})",
        R"({"failed": {"call": "a b@1"}})"}},
      {"shell", {R"("x")"}},  // beside 'run'
      {"unknown", {"1"}},
  };
  const std::vector<Row> of_a_flow = {
      {"version", {"1", "2", R"("1")", "null"}},
      {"name", {R"("é x")", R"("")", "3"}},
      {"tasks", {"{}", "[]", R"({"A b": {"run": ["x"]}})", R"({"a": {}})"}},
      {"params", {R"({"X": {"type": "int"}})", R"({"1x": {"type": "int"}})", R"({"x": {}})"}},
      {"outputs", {R"({"x": 5})", R"({"x": null})", R"({"x": ["a"]})"}},
      {"reference", {R"(["a"])", "[]"}},
      {"defaults", {R"({"timeout": "5s"})", R"({"run": ["x"]})"}},
      {"unknown", {"1"}},
  };
  const Json schema = Json::parse(print_schema());
  FlowFileOptions given = options();
  given.missing_function = FlowFileOptions::Missing::elsewhere;
  const auto compare = [&](const Json& document) {
    const std::string text = document.dump();
    const bool is_right = decode_flow_file(text, "f.json", given).flow.has_value();
    BOOST_TEST(fits(document, schema, schema) == is_right, text);
  };
  const Json plain = Json::parse(R"({"version": 1, "tasks": {"a": {"run": ["x"]}}})");
  for (const Row& row : of_a_task)
    for (const char* value : row.values) {
      Json document = plain;
      document["tasks"]["a"][row.key] = Json::parse(value);
      compare(document);
    }
  for (const Row& row : of_a_flow)
    for (const char* value : row.values) {
      Json document = plain;
      document[row.key] = Json::parse(value);
      compare(document);
    }
  for (const char* call : {"a@1", "Foo.Bar@1.2", "a b@1", "a", "@1", "a@"}) {
    Json document = plain;
    document["tasks"]["a"] = {{"call", call}};
    compare(document);
  }
}

BOOST_AUTO_TEST_CASE(the_manual_shows_a_flow_that_decodes_and_names_every_key_of_a_task) {
  const std::string manual = read(source_folder() / "docs/flow-files.md");
  const std::size_t begin = manual.find("```yaml\n") + 8;
  (void)flow(manual.substr(begin, manual.find("```", begin) - begin));
  const auto schema = nlohmann::json::parse(print_schema());
  for (const auto& [key, value] : schema["definitions"]["task"]["properties"].items()) {
    if (value["description"] == "Not supported yet.") continue;
    BOOST_TEST(manual.find("`" + key + "`") != std::string::npos, key + " is not explained");
  }
}

BOOST_AUTO_TEST_CASE(the_example_flows_decode) {
  const fs::path folder = source_folder() / "examples";
  std::size_t count = 0;
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (entry.path().extension() != ".yaml") continue;
    ++count;
    FlowFileOptions with_folder = options(folder.string());
    with_folder.functions.reset();
    (void)flow(read(entry.path()), with_folder);
  }
  BOOST_TEST(count >= 2u);
}

BOOST_AUTO_TEST_SUITE_END()
