// Parameters that are files count by what is in them, wherever they lie and whoever runs the flow.
#include <boost/test/unit_test.hpp>

#include <filesystem>

#include <nlohmann/json.hpp>

#include "tests/cli/program.hpp"
#include "tests/cli/schema_check.hpp"

BOOST_AUTO_TEST_SUITE(file_parameters_program_tests)

using namespace reprise::cli::test;
using Json = nlohmann::json;

namespace {

struct Place : Home {
  Place() {
    std::filesystem::create_directory(path / "flows");
    write("flows/f.yaml",
          "version: 1\nparams: {f: {type: file, default: own.txt}}\ntasks:\n"
          "  a: {run: [cat, \"${{ params.f }}\"], cache: true}\n"
          "outputs: {text: \"${{ a.stdout }}\"}\n");
    write("flows/own.txt", "beside the flow\n");
  }
  Json document(std::vector<std::string> arguments) {
    arguments.emplace_back("--json");
    return document_in(run(std::move(arguments)));
  }
  Json ran(const std::string& file) { return document({"run", "flows/f.yaml", "-p", "f=" + file}); }
};

std::string text_in(const Json& run) {
  return run.at("outputs").at("text");
}
long cached_in(const Json& run) {
  return run.at("summary").at("cached");
}

}  // namespace

BOOST_FIXTURE_TEST_SUITE(file_parameters, Place)

// The path was all that counted: a changed file gave the result of the one before.
BOOST_AUTO_TEST_CASE(another_content_is_another_result) {
  write("i.txt", "one\n");
  BOOST_TEST(text_in(ran((path / "i.txt").string())) == "one\n");
  write("i.txt", "two\n");
  const Json changed = ran((path / "i.txt").string());
  BOOST_TEST(text_in(changed) == "two\n");
  BOOST_TEST(cached_in(changed) == 0);
  write("j.txt", "one\n");
  const Json same = ran((path / "j.txt").string());
  BOOST_TEST(text_in(same) == "one\n");
  BOOST_TEST(cached_in(same) == 1);
}

BOOST_AUTO_TEST_CASE(a_path_counts_from_where_the_command_is_given_and_a_default_from_the_flow) {
  write("i.txt", "given\n");
  BOOST_TEST(text_in(ran("i.txt")) == "given\n");
  BOOST_TEST(text_in(document({"run", "flows/f.yaml"})) == "beside the flow\n");
  write("parameters.yaml", "f: i.txt\n");
  const Json from_file = document({"run", "flows/f.yaml", "--param-file", "parameters.yaml"});
  BOOST_TEST(text_in(from_file) == "given\n");
  BOOST_TEST(cached_in(from_file) == 1);
}

BOOST_AUTO_TEST_CASE(a_file_that_is_not_there_is_refused_before_anything_runs) {
  for (const char* file : {"nofile", "flows", ""}) {
    const Finished f = run({"run", "flows/f.yaml", "-p", std::string("f=") + file});
    BOOST_TEST(f.code == 2, f.err);
    BOOST_TEST(f.err.find("parameter \"f\"") != std::string::npos, f.err);
  }
  std::filesystem::remove(path / "flows/own.txt");
  BOOST_TEST(run({"run", "flows/f.yaml"}).code == 2);
  BOOST_TEST(document({"ps", "--all"}).at("runs").empty());
}

BOOST_AUTO_TEST_CASE(a_plan_knows_the_file_as_well) {
  write("i.txt", "one\n");
  const auto planned = [&] {
    return document({"plan", "flows/f.yaml", "-p", "f=i.txt"})
        .at("summary")
        .at("cached")
        .get<int>();
  };
  BOOST_TEST(planned() == 0);
  (void)ran("i.txt");
  BOOST_TEST(planned() == 1);
  write("i.txt", "two\n");
  BOOST_TEST(planned() == 0);
}

BOOST_AUTO_TEST_CASE(scripts_variables_and_declared_inputs_have_the_file) {
  write("flows/g.yaml",
        "version: 1\nparams: {f: {type: file}}\ntasks:\n"
        "  a: {shell: \"cat ${{ params.f }}\", cache: true}\n"
        "  b: {shell: cat $F, env: {F: \"${{ params.f }}\"}, cache: true}\n"
        "  c: {shell: cat f, inputs: [\"${{ params.f }}\"], cache: true}\n"
        "outputs: {text: \"${{ a.stdout + b.stdout + c.stdout }}\"}\n");
  write("i.txt", "x");
  const auto given = [&] { return document({"run", "flows/g.yaml", "-p", "f=i.txt"}); };
  BOOST_TEST(text_in(given()) == "xxx");
  write("i.txt", "y");
  const Json changed = given();
  BOOST_TEST(text_in(changed) == "yyy");
  BOOST_TEST(cached_in(changed) == 0);
  BOOST_TEST(cached_in(given()) == 3);
}

BOOST_AUTO_TEST_CASE(flows_within_flows_have_it_too) {
  write("flows/outer.yaml",
        "version: 1\nparams: {g: {type: file}}\ntasks:\n"
        "  own: {flow: f.yaml, params: {f: own.txt}}\n"
        "  given: {flow: f.yaml, params: {f: \"${{ params.g }}\"}}\n"
        "  none: {flow: f.yaml}\n"
        "outputs: {text: \"${{ own.text + given.text + none.text }}\"}\n");
  write("i.txt", "1\n");
  write("flows/own.txt", "2\n");
  const auto outer = [&] { return document({"run", "flows/outer.yaml", "-p", "g=i.txt"}); };
  BOOST_TEST(text_in(outer()) == "2\n1\n2\n");
  write("i.txt", "3\n");
  write("flows/own.txt", "4\n");
  BOOST_TEST(text_in(outer()) == "4\n3\n4\n");
}

BOOST_AUTO_TEST_CASE(what_is_done_again_has_the_file_as_it_was) {
  write("flows/h.yaml",
        "version: 1\nparams: {f: {type: file}}\ntasks:\n"
        "  a: {shell: \"cat ${{ params.f }}; exit 3\"}\n");
  write("i.txt", "as it was\n");
  BOOST_TEST(run({"run", "flows/h.yaml", "-p", "f=i.txt"}).code == 1);
  std::filesystem::remove(path / "i.txt");
  BOOST_TEST(run({"retry", "last"}).code == 1);
  const Finished logs = run({"logs", "last", "a"});
  BOOST_TEST(logs.out.find("as it was") != std::string::npos, logs.out + logs.err);
  BOOST_TEST(run({"fork", "last"}).code == 1);
}

BOOST_AUTO_TEST_CASE(a_file_is_no_text) {
  write("flows/t.yaml",
        "version: 1\nparams: {f: {type: file}}\n"
        "tasks: {a: {run: [echo], when: \"params.f == 'x'\"}}\n");
  const Finished checked = run({"check", "flows/t.yaml"});
  BOOST_TEST(checked.code == 2, checked.out + checked.err);
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE_END()
