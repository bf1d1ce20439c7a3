#include <boost/test/unit_test.hpp>

#include "tests/worker/support.hpp"
#include "worker/command.hpp"

BOOST_AUTO_TEST_SUITE(binding)

using namespace reprise;
using namespace reprise::worker;
using namespace reprise::worker::test;

namespace {

const Environment host{{"PATH", "/bin"}, {"HOME", "/home/ana"}, {"LANG", "C.UTF-8"},
                       {"TZ", "UTC"},    {"SECRET", "hunter2"}, {"REPRISE_DATA", "/data"}};

BoundCommand bound(OneTask& task) {
  const auto& body = std::get<CommandBody>(task.flow.kinds[0].body);
  auto command = bind_command(task.attempt("/run"), body, "/run/attempts/0", host);
  BOOST_REQUIRE_MESSAGE(command, (command ? "" : command.error().message));
  return *std::move(command);
}

std::string refusal(OneTask& task) {
  const auto& body = std::get<CommandBody>(task.flow.kinds[0].body);
  auto command = bind_command(task.attempt("/run"), body, "/run/attempts/0", host);
  return command ? "accepted" : command.error().message;
}

std::vector<std::string> paths(const Staging& staging) {
  std::vector<std::string> all;
  for (const auto& place : staging.places()) all.push_back(place.path);
  return all;
}

using Texts = std::vector<std::string>;

}  // namespace

BOOST_AUTO_TEST_CASE(arguments_are_taken_as_they_are_and_templates_replaced) {
  OneTask task(argv(
      {"echo", "a  b", "$(touch x)", "`id`", "'\"\\", "new\nline", "q=${{ params.quality }}"}));
  task.with_parameter("quality", Value(30));
  BOOST_TEST((bound(task).arguments ==
              Texts{"echo", "a  b", "$(touch x)", "`id`", "'\"\\", "new\nline", "q=30"}));
}

BOOST_AUTO_TEST_CASE(a_script_goes_to_a_shell_that_stops_at_errors) {
  OneTask task(shell("echo ${{ params.quality }}"));
  task.with_parameter("quality", Value(30));
  BOOST_TEST((bound(task).arguments == Texts{"/bin/sh", "-eu", "-c", "echo 30"}));
}

BOOST_AUTO_TEST_CASE(the_environment_is_the_allow_list_and_what_the_task_names) {
  CommandBody body = argv({"env"});
  body.environment["GREETING"] = {"hello ${{ params.who }}", {}};
  OneTask task(body, "odd ../name\x1b");
  task.with_parameter("who", Value("you"));
  const Environment expected{{"PATH", "/bin"},
                             {"HOME", "/home/ana"},
                             {"LANG", "C.UTF-8"},
                             {"TZ", "UTC"},
                             {"GREETING", "hello you"},
                             {"REPRISE_RUN", "01ARZ3NDEKTSV4RRFFQ69G5FAV"},
                             {"REPRISE_TASK", "odd ../name\x1b"},
                             {"REPRISE_ATTEMPT", "01ARZ3NDEKTSV4RRFFQ69G5FAV.0.1"},
                             {"REPRISE_RUN_COUNT", "1"}};
  BOOST_TEST((bound(task).environment == expected));
}

BOOST_AUTO_TEST_CASE(variables_declared_for_the_cache_key_are_passed_on) {
  OneTask task(argv({"env"}));
  task.kind().cache.environment = {"SECRET", "UNSET"};
  const BoundCommand command = bound(task);
  BOOST_TEST(command.environment.at("SECRET") == "hunter2");
  BOOST_TEST(!command.environment.contains("UNSET"));
  BOOST_TEST(!command.environment.contains("REPRISE_DATA"));
}

BOOST_AUTO_TEST_CASE(an_upstream_file_is_a_path_below_the_folder_the_same_in_every_run) {
  OneTask task(argv(
      {"cat", "${{ fetch.outputs['sub/reads.fq'] }}", "x=${{ fetch.outputs['sub/reads.fq'] }}"}));
  task.with_upstream("fetch", command_result({{"sub/reads.fq", file_of("ACGT")}}));
  const BoundCommand command = bound(task);
  BOOST_TEST((command.arguments == Texts{"cat", "inputs/0/reads.fq", "x=inputs/0/reads.fq"}));
  BOOST_TEST((paths(command.staging) == Texts{"inputs/0/reads.fq"}));
  BOOST_TEST(command.environment.at("REPRISE_INPUT_fetch") == "/run/attempts/0/inputs/0/reads.fq");
}

BOOST_AUTO_TEST_CASE(in_the_flow_folder_paths_are_absolute) {
  CommandBody body = argv({"cat", "${{ fetch.outputs['reads.fq'] }}"});
  body.in_flow_folder = true;
  OneTask task(body);
  task.flow.folder = "/flows";
  task.with_upstream("fetch", command_result({{"reads.fq", file_of("ACGT")}}));
  const BoundCommand command = bound(task);
  BOOST_TEST((command.arguments == Texts{"cat", "/run/attempts/0/inputs/0/reads.fq"}));
  BOOST_TEST(command.working_folder == "/flows");
}

BOOST_AUTO_TEST_CASE(several_outputs_are_a_folder_and_values_are_json) {
  OneTask task(argv({"true"}));
  task.with_upstream("split",
                     command_result({{"a.txt", file_of("a")}, {"deep/b.txt", file_of("b")}}))
      .with_upstream("count", Value(Map{{Value("n"), Value(3)}}))
      .with_upstream("quiet", command_result({}));
  const BoundCommand command = bound(task);
  BOOST_TEST(command.environment.at("REPRISE_INPUT_split") == "/run/attempts/0/inputs/0");
  BOOST_TEST(command.environment.at("REPRISE_INPUT_count") == "/run/attempts/0.value0.json");
  BOOST_TEST(command.environment.at("REPRISE_INPUT_quiet") == "/run/attempts/0.value1.json");
  BOOST_TEST((paths(command.staging) == Texts{"inputs/0/a.txt", "inputs/0/deep/b.txt"}));
  BOOST_REQUIRE(command.values.size() == 2u);
  BOOST_TEST(command.values[0] == "{\"n\":3}\n");
}

BOOST_AUTO_TEST_CASE(a_mapped_upstream_is_a_folder_with_one_folder_per_element) {
  OneTask task(argv({"true"}));
  task.with_upstream("align", Value(List{command_result({{"out.bam", file_of("1")}}),
                                         command_result({{"out.bam", file_of("2")}})}));
  const BoundCommand command = bound(task);
  BOOST_TEST(command.environment.at("REPRISE_INPUT_align") == "/run/attempts/0/inputs/0");
  BOOST_TEST((paths(command.staging) == Texts{"inputs/0/0/out.bam", "inputs/0/1/out.bam"}));
}

BOOST_AUTO_TEST_CASE(names_of_outputs_never_leave_the_folder) {
  OneTask task(
      argv({"cat", "${{ evil.outputs['../../etc/passwd'] }}", "${{ evil.outputs['..'] }}"}));
  task.with_upstream("evil",
                     command_result({{"../../etc/passwd", file_of("1")}, {"..", file_of("2")}}));
  for (const std::string& path : paths(bound(task).staging)) BOOST_TEST(is_inner_path(path));
}

BOOST_AUTO_TEST_CASE(the_map_variable_is_in_the_environment) {
  OneTask text(argv({"true"}));
  text.with_item("s", Value("s 1"));
  Attempt attempt = text.attempt("/run");
  attempt.map_index = 4;
  const auto command = bind_command(attempt, argv({"true"}), "/run/attempts/0", host).value();
  BOOST_TEST(command.environment.at("REPRISE_ITEM") == "s 1");
  BOOST_TEST(command.environment.at("REPRISE_ITEM_s") == "s 1");
  BOOST_TEST(command.environment.at("REPRISE_MAP_INDEX") == "4");
  OneTask list(argv({"true"}));
  list.with_item("pair", Value(List{Value(1), Value("a b")}));
  BOOST_TEST(bound(list).environment.at("REPRISE_ITEM") == "[1,\"a b\"]");
  OneTask file(argv({"true"}));
  file.with_item("f", file_of("x").to_value());
  BOOST_TEST(bound(file).environment.at("REPRISE_ITEM") == "inputs/0/file");
}

BOOST_AUTO_TEST_CASE(variables_of_odd_names_give_way_to_exact_ones) {
  OneTask task(argv({"true"}));
  task.with_upstream("a-b", Value(1))
      .with_upstream("a_b", Value(2))
      .with_upstream("fetch[]", Value(3))
      .with_upstream("\xc3\xa9", Value(4));
  Texts variables;
  for (const ExposedInput& input : exposed_inputs(task.attempt()))
    variables.push_back(input.variable);
  BOOST_TEST(
      (variables == Texts{"", "REPRISE_INPUT_a_b", "REPRISE_INPUT_fetch", "REPRISE_INPUT___"}));
  OneTask both(argv({"true"}));
  both.with_upstream("fetch[]", Value(1)).with_upstream("fetch", Value(2));
  variables.clear();
  for (const ExposedInput& input : exposed_inputs(both.attempt()))
    variables.push_back(input.variable);
  BOOST_TEST((variables == Texts{"REPRISE_INPUT_fetch__", "REPRISE_INPUT_fetch"}));
}

BOOST_AUTO_TEST_CASE(input_files_keep_their_own_names) {
  CommandBody body = argv({"true"});
  body.input_files = {{"data/./x.csv", {}},
                      {"../shared/ref.fa", {}},
                      {"${{ fetch.outputs['sub/r.fq'] }}", {}},
                      {"data/${{ params.which }}.csv", {}}};
  OneTask task(body);
  task.flow.folder = "/flows";
  task.with_parameter("which", Value("y"))
      .with_upstream("fetch", command_result({{"sub/r.fq", file_of("1")}}));
  const BoundCommand command = bound(task);
  BOOST_TEST((paths(command.staging) ==
              Texts{"data/x.csv", "ref.fa", "sub/r.fq", "data/y.csv", "inputs/0/r.fq"}));
  using Local = Staging::Place::Local;
  BOOST_TEST(std::get<Local>(command.staging.places()[1].source).from == "/flows/../shared/ref.fa");
}

BOOST_AUTO_TEST_CASE(two_input_files_of_one_name_are_refused) {
  CommandBody body = argv({"true"});
  body.input_files = {{"/a/x", {}}, {"/b/x", {}}};
  OneTask task(body);
  BOOST_TEST(refusal(task) == "two input files are both called \"x\"");
}

BOOST_AUTO_TEST_CASE(what_no_program_can_be_given_is_refused) {
  OneTask nul(argv({"echo", "${{ params.text }}"}));
  nul.with_parameter("text", Value(std::string("a\0b", 3)));
  BOOST_TEST(refusal(nul) == "an argument holds a NUL character, which no program can be given");
  CommandBody body = argv({"true"});
  body.environment["A=B"] = {"x", {}};
  OneTask name(body);
  BOOST_TEST(refusal(name) == "\"A=B\" is no name of an environment variable");
  OneTask broken(argv({"echo", "${{ nothing.here }}"}));
  BOOST_TEST(refusal(broken).starts_with("argument: "));
}

BOOST_AUTO_TEST_CASE(inner_paths) {
  for (const char* good : {"a", "a/b", "..a", "a..b", ".hidden", "a b", "__proto__"})
    BOOST_TEST(is_inner_path(good));
  for (const char* bad : {"", "/", "/a", "a/", "a//b", ".", "..", "a/..", "../a", "./a", "a/./b"}) {
    BOOST_TEST(!is_inner_path(bad), bad);
  }
  BOOST_TEST(!is_inner_path(std::string_view("a\0b", 3)));
  BOOST_TEST(!is_inner_path(std::string(300, 'x')));
}

BOOST_AUTO_TEST_SUITE_END()
