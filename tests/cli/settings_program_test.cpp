// The real program with files of settings, and what shells complete.
#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <csignal>
#include <cstdlib>

#include <sys/stat.h>
#include <nlohmann/json.hpp>

#include "tests/cli/program.hpp"
#include "tests/cli/schema_check.hpp"

BOOST_AUTO_TEST_SUITE(settings_program_tests)

using namespace reprise::cli::test;
using Json = nlohmann::json;

namespace {

constexpr const char* small_flow = R"(version: 1
name: small
params:
  names: {type: list, default: [ada, grace]}
defaults: {cache: true}
tasks:
  greet:
    map: {over: "${{ params.names }}", as: name}
    run: [echo, "${{ name }}"]
)";
constexpr const char* waiting_flow = R"(version: 1
name: waiting
params: {go: {type: string}}
tasks:
  first: {run: ["true"]}
  wait: {needs: [first], shell: "while ! test -e $GO; do sleep 0.05; done", env: {GO: "${{ params.go }}"}}
)";
constexpr const char* failing_flow = R"(version: 1
name: "50% off: now"
tasks:
  good: {run: ["true"]}
  bad: {needs: [good], run: ["false"]}
)";

Json parse(const std::string& text) {
  return Json::parse(text, nullptr, false);
}

struct Place : Home {
  Place() {
    environment.erase("REPRISE_DATA");
    std::filesystem::create_directories(path / "project/flows");
    std::filesystem::create_directories(path / ".config/reprise");
    write("project/flows/small.yaml", small_flow);
    write("project/flows/waiting.yaml", waiting_flow);
    write("failing.yaml", failing_flow);
  }
  /// Value and origin of a setting as `config show` tells them.
  std::pair<std::string, std::string> setting(const std::string& key,
                                              std::vector<std::string> arguments = {}) {
    arguments.insert(arguments.end(), {"config", "show", "--json"});
    const Json document = parse(run(arguments).out);
    for (const Json& each : document.value("settings", Json::array()))
      if (each["key"] == key)
        return {each["value"].is_null() ? "" : each["value"].get<std::string>(), each["origin"]};
    return {"no such key", ""};
  }
  /// A run of the flow that waits, left interrupted.
  void interrupt(const std::string& go) {
    const auto program =
        start({"run", "project/flows/waiting.yaml", "-p", "go=" + (path / go).string()});
    BOOST_REQUIRE(program->shows("[1/"));
    program->send(SIGTERM);
    BOOST_REQUIRE(program->wait().code == 128 + SIGTERM);
  }
};

std::string message_of(const Finished& f) {
  return "out: " + f.out + "\nerr: " + f.err;
}

}  // namespace

BOOST_FIXTURE_TEST_SUITE(program_settings, Place)

BOOST_AUTO_TEST_CASE(flags_beat_variables_beat_files) {
  using Pair = std::pair<std::string, std::string>;
  BOOST_TEST((setting("slots") == Pair{"", "default"}));
  write(".config/reprise/config.toml", "slots = 2\ncolor = 'never'\n");
  BOOST_TEST((setting("slots") == Pair{"2", "file"}));
  write("reprise.toml", "slots = 3\n");
  BOOST_TEST((setting("slots") == Pair{"3", "file"}));
  BOOST_TEST((setting("color") == Pair{"never", "file"}));
  environment["REPRISE_COLOR"] = "always";
  BOOST_TEST((setting("color") == Pair{"always", "variable"}));
  BOOST_TEST((setting("color", {"--color", "auto"}) == Pair{"auto", "flag"}));
  const Finished shown = run({"config", "show", "--origin", "--color", "never"});
  BOOST_TEST(shown.out.find((path / "reprise.toml").string() + ":1:1") != std::string::npos,
             shown.out);
}

BOOST_AUTO_TEST_CASE(a_setting_does_what_its_flag_does) {
  write("project/reprise.toml",
        "data = 'kept'\nslots = 1\ncache = 'off'\ndurability = 'sync'\n"
        "grace = '1s'\nprogress = 'json'\nout = 'out'\n");
  const Finished f = run({"run", "project/flows/small.yaml"});
  BOOST_TEST(f.code == 0, message_of(f));
  BOOST_TEST(f.out.find("reprise.event/1") != std::string::npos);         // progress
  BOOST_TEST(std::filesystem::exists(path / "project/kept/journal.db"));  // data
  const Finished again = run({"run", "project/flows/small.yaml", "--progress", "none", "--json"});
  BOOST_TEST(parse(again.out)["summary"]["cached"] == 0, message_of(again));  // cache
  const Finished flagged =
      run({"run", "project/flows/small.yaml", "--progress", "none", "--cache", "normal", "--json"});
  BOOST_TEST(flagged.code == 0);
  const Finished cached =
      run({"run", "project/flows/small.yaml", "--progress", "none", "--cache", "normal", "--json"});
  BOOST_TEST(parse(cached.out)["summary"]["cached"] == 2, message_of(cached));
  environment["REPRISE_DATA"] = (path / "elsewhere").string();
  BOOST_TEST(run({"run", "project/flows/small.yaml", "-q"}).code == 0);
  BOOST_TEST(std::filesystem::exists(path / "elsewhere/journal.db"));
}

BOOST_AUTO_TEST_CASE(a_mistake_in_a_file_stops_commands_before_they_start) {
  write("project/reprise.toml", "slotz = 1\ngrace = 'soon'\n");
  const std::string file = (path / "project/reprise.toml").string();
  const Finished f = run({"run", "project/flows/small.yaml", "--json"});
  BOOST_TEST(f.code == 2);
  BOOST_TEST(f.err.find(file + ":1:1: there is no setting \"slotz\"; did you mean \"slots\"?") !=
                 std::string::npos,
             f.err);
  BOOST_TEST(f.err.find(file + ":2:9: ") != std::string::npos, f.err);
  const Json problem = parse(f.out);
  BOOST_TEST(violation(problem) == "");
  BOOST_TEST(problem["errors"].size() == 2u);
  BOOST_TEST(!std::filesystem::exists(path / ".local/share/reprise"));
  std::filesystem::rename(path / "project/reprise.toml", path / "reprise.toml");
  for (const char* command : {"ps", "status", "doctor", "version"}) {
    const Finished each = run({command});
    BOOST_TEST(each.code == (std::string(command) == "version"  ? 0
                             : std::string(command) == "doctor" ? 1
                                                                : 2),
               command << message_of(each));
  }
  BOOST_TEST(run({"doctor"}).out.find("reprise.toml:1:1: ") != std::string::npos);
  BOOST_TEST(run({"config", "path"}).code == 0);
  BOOST_TEST(run({"config", "show"}).code == 2);
  BOOST_TEST(run({"config", "show", "--config", "missing.toml"}).code == 2);
}

BOOST_AUTO_TEST_CASE(the_documents_match_their_schemas) {
  write("reprise.toml", "slots = 2\n");
  for (const std::vector<std::string>& command :
       std::vector<std::vector<std::string>>{{"config", "show"}, {"config", "path"}, {"doctor"}}) {
    auto arguments = command;
    arguments.emplace_back("--json");
    const Json document = parse(run(arguments).out);
    BOOST_TEST(violation(document) == "", command.front());
  }
  const Finished sample = run({"config", "show", "--sample"});
  BOOST_TEST(sample.out.find("\n#slots = 8\n") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(the_head_of_a_run_tells_its_plan) {
  const Finished first = run({"run", "project/flows/small.yaml"});
  BOOST_TEST(first.err.find("plan: 2 tasks · 0 cached · 2 to run\n") != std::string::npos,
             first.err);
  const Finished second = run({"run", "project/flows/small.yaml"});
  BOOST_TEST(second.err.find("plan: 2 tasks · 2 cached") != std::string::npos, second.err);
  BOOST_TEST(run({"run", "project/flows/small.yaml", "-q"}).err.find("plan:") == std::string::npos);
  BOOST_TEST(run({"run", "project/flows/small.yaml", "--cache", "refresh"}).err.find("plan:") ==
             std::string::npos);
}

BOOST_AUTO_TEST_CASE(entries_of_the_cache_show_elements_by_their_labels) {
  BOOST_REQUIRE(run({"run", "project/flows/small.yaml"}).code == 0);
  const Json list = parse(run({"cache", "ls", "--json"}).out);
  std::vector<std::string> tasks;
  for (const Json& entry : list["entries"]) tasks.push_back(entry["task"]);
  std::sort(tasks.begin(), tasks.end());
  BOOST_TEST((tasks == std::vector<std::string>{"greet[ada]", "greet[grace]"}));
}

BOOST_AUTO_TEST_CASE(a_github_log_is_folded_and_failures_are_annotated) {
  environment["GITHUB_ACTIONS"] = "true";
  const Finished f = run({"run", "failing.yaml"});
  BOOST_TEST(f.code == 1);
  const std::size_t group = f.err.find("::group::run "), good = f.err.find("good"),
                    end = f.err.find("::endgroup::"),
                    bad = f.err.find("::error file=failing.yaml,line=5::bad exit 1");
  BOOST_TEST(f.err.find("  50%25 off: now\n", group) != std::string::npos, f.err);
  BOOST_TEST((group < good && good < end && end < bad && bad != std::string::npos), f.err);
  environment.erase("GITHUB_ACTIONS");
  BOOST_TEST(run({"run", "failing.yaml"}).err.find("::") == std::string::npos);
}

BOOST_AUTO_TEST_CASE(cancelled_tasks_are_told_in_one_line) {
  std::string many = waiting_flow;
  for (int i = 0; i < 50; ++i)
    many += "  after" + std::to_string(i) + ": {needs: [wait], run: ['true']}\n";
  write("many.yaml", many);
  const auto program = start({"run", "many.yaml", "-p", "go=" + (path / "never").string()});
  BOOST_REQUIRE(program->shows("1/52]"));
  program->send(SIGINT);
  const Finished f = program->wait();
  BOOST_TEST(f.code == 8);
  std::size_t lines = 0;
  for (std::size_t at = f.err.find("⊘ cancelled"); at != std::string::npos;
       at = f.err.find("⊘ cancelled", at + 1))
    ++lines;
  BOOST_TEST(lines <= 2u, f.err);  // the one that ran, and all others
  BOOST_TEST(f.err.find("50 tasks  Ctrl-C") != std::string::npos, f.err);
}

BOOST_AUTO_TEST_CASE(all_interrupted_runs_are_resumed) {
  const Finished none = run({"resume", "--all", "--json"});
  BOOST_TEST(none.code == 0, message_of(none));
  BOOST_TEST(parse(none.out)["runs"].empty());
  interrupt("one");
  interrupt("two");
  BOOST_TEST(run({"resume"}).code == 2);
  BOOST_TEST(run({"resume", "last", "--all"}).code == 2);
  write("one", "");
  write("two", "");
  const Finished f = run({"resume", "--all", "--json"});
  BOOST_TEST(f.code == 0, message_of(f));
  const Json document = parse(f.out);
  BOOST_TEST(violation(document) == "", f.out);
  BOOST_REQUIRE(document["runs"].size() == 2u);
  for (const Json& each : document["runs"]) {
    BOOST_TEST(each["state"] == "success");
    BOOST_TEST(each["continued"] == true);
  }
  BOOST_TEST(document["runs"][0]["run"] < document["runs"][1]["run"]);
  BOOST_TEST(parse(run({"ps", "--json"}).out)["runs"].empty());
}

BOOST_AUTO_TEST_CASE(a_journal_that_is_just_being_made_holds_no_runs) {
  std::filesystem::create_directories(path / "new");
  write("new/journal.db", "");
  write("new/cache.db", "");
  const Finished status = run({"status", "--data", "new"});
  BOOST_TEST(status.code == 5);
  BOOST_TEST(status.err.find("there are no runs yet") != std::string::npos, status.err);
  BOOST_TEST(run({"ps", "--all", "--data", "new"}).code == 0);
  BOOST_TEST(run({"cache", "ls", "--data", "new"}).code == 0);
  BOOST_TEST(run({"plan", "project/flows/small.yaml", "--data", "new"}).code == 0);
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_FIXTURE_TEST_SUITE(completion, Place)

namespace {

/// What bash would offer for this line, the cursor at its end.
std::vector<std::string> offered(Place& place, const std::string& line) {
  const std::string program = std::string(std::getenv("REPRISE_BIN_DIR")) + "/reprise";
  place.write("ask.bash", R"(set -eu
source <("$1" completion bash)
COMP_LINE=${2/#reprise/$1} COMP_POINT=${#COMP_LINE}
compopt() { :; }
_reprise
printf '%s\n' "${COMPREPLY[@]+"${COMPREPLY[@]}"}"
)");
  Program bash({"/bin/bash", (place.path / "ask.bash").string(), program, line}, place.environment,
               place.path, Wiring::pipes);
  const Finished f = bash.wait();
  BOOST_TEST(f.code == 0, line << ": " << f.err);
  std::vector<std::string> words;
  std::string word;
  for (const char c : f.out) {
    if (c != '\n')
      word += c;
    else if (!word.empty())
      words.push_back(std::exchange(word, {}));
  }
  std::sort(words.begin(), words.end());
  return words;
}

bool has(const std::vector<std::string>& words, const std::string& word) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

using Words = std::vector<std::string>;

}  // namespace

BOOST_AUTO_TEST_CASE(bash_completes_commands_flags_and_words) {
  BOOST_TEST((offered(*this, "reprise ru") == Words{"run", "runs"}));
  BOOST_TEST((offered(*this, "reprise cache s") == Words{"show", "stats"}));
  BOOST_TEST((offered(*this, "reprise run --dur") == Words{"--durability"}));
  BOOST_TEST((offered(*this, "reprise --json status --col") == Words{"--color"}));
  BOOST_TEST((offered(*this, "reprise run x --cache re") == Words{"read-only", "refresh"}));
  BOOST_TEST((offered(*this, "reprise run x --cache=o") == Words{"off", "only"}));
  BOOST_TEST((offered(*this, "reprise completion ") == Words{"bash", "fish", "zsh"}));
  BOOST_TEST(offered(*this, "reprise nonsense x").empty());
}

BOOST_AUTO_TEST_CASE(bash_completes_files_where_files_go) {
  BOOST_TEST((offered(*this, "reprise run project/fl") == Words{"project/flows"}));
  BOOST_TEST(
      (offered(*this, "reprise check project/flows/w") == Words{"project/flows/waiting.yaml"}));
  BOOST_TEST((offered(*this, "reprise run x --out pro") == Words{"project"}));
  BOOST_TEST((offered(*this, "reprise ps --data=pro") == Words{"project"}));
}

BOOST_AUTO_TEST_CASE(bash_completes_runs_tasks_and_entries) {
  BOOST_TEST((offered(*this, "reprise status ") == Words{"last"}));  // nothing was run yet
  BOOST_REQUIRE(run({"run", "project/flows/small.yaml"}).code == 0);
  const std::string id = parse(run({"status", "--json"}).out)["run"].get<std::string>();
  BOOST_TEST((offered(*this, "reprise status 0") == Words{id.substr(0, 10)}));
  BOOST_TEST((offered(*this, "reprise logs last:s") == Words{"small"}));  // after the ":"
  BOOST_TEST((offered(*this, "reprise logs last greet[a") == Words{"greet\\[ada\\]"}));
  BOOST_TEST((offered(*this, "reprise logs " + id + " gr").size() == 3u));
  BOOST_TEST((offered(*this, "reprise history sm") == Words{"small"}));
  BOOST_TEST(offered(*this, "reprise cache get k1").size() == 2u);
  BOOST_TEST(has(offered(*this, "reprise resume --"), "--all"));
  BOOST_TEST((offered(*this, "reprise --data elsewhere status ") == Words{"last"}));
}

BOOST_AUTO_TEST_CASE(names_that_could_not_be_typed_are_not_offered) {
  write("odd.yaml",
        "version: 1\nname: odd\ntasks:\n  \"a b\": {run: ['true']}\n"
        "  \"c\\e[31md\": {run: ['true']}\n");
  BOOST_REQUIRE(run({"run", "odd.yaml"}).code == 0);
  BOOST_TEST((offered(*this, "reprise logs last ") == Words{"a\\ b"}));
  BOOST_TEST(run({"__complete", "--", "logs", "last", ""}).out.find('\x1b') == std::string::npos);
}

BOOST_AUTO_TEST_CASE(asking_never_fails) {
  for (const std::vector<std::string>& words : std::vector<std::vector<std::string>>{
           {}, {"--"}, {"--", ""}, {"--", "run", "--", "--x"}, {"--", "--nonsense", "x", ""}}) {
    std::vector<std::string> arguments{"__complete"};
    arguments.insert(arguments.end(), words.begin(), words.end());
    const Finished f = run(arguments);
    BOOST_TEST(f.code == 0);
    BOOST_TEST(f.err.empty());
  }
  for (const char* shell : {"bash", "zsh", "fish"})
    BOOST_TEST(run({"completion", shell}).out.find("__complete") != std::string::npos);
  BOOST_TEST(run({"completion", "tcsh"}).code == 2);
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE_END()
