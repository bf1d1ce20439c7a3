// The real program: exit codes, streams, documents.
#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <fstream>
#include <set>
#include <sstream>

#include <sys/stat.h>
#include <nlohmann/json.hpp>

#include "tests/cli/program.hpp"
#include "tests/cli/schema_check.hpp"

BOOST_AUTO_TEST_SUITE(program_tests)

using namespace reprise::cli::test;
using Json = nlohmann::json;

namespace {

constexpr const char* good_flow = R"(version: 1
name: good
params:
  who: {type: string, default: world}
  times: {type: int, default: 2}
defaults: {cache: true}
tasks:
  hello:
    shell: |
      echo "hello ${{ params.who }}" | tee hello.txt
      echo note >&2
    outputs: [hello.txt]
  twice:
    map: {over: "${{ range(params.times) }}", as: i}
    needs: [hello]
    run: [echo, "${{ i }}"]
outputs:
  greeting: "${{ hello.stdout }}"
  file: "${{ hello.outputs['hello.txt'] }}"
)";

constexpr const char* bad_flow = R"(version: 1
name: bad
tasks:
  first: {shell: "echo one; echo '\e[31mtrouble' >&2; exit 3"}
  second: {needs: [first], shell: "true"}
)";

/// Runs until it is told to stop, and does not like to be told.
constexpr const char* stubborn_flow = R"(version: 1
name: stubborn
tasks:
  wait: {shell: "trap '' TERM; echo up; while :; do sleep 0.1; done"}
)";
constexpr const char* slow_flow = R"(version: 1
name: slow
tasks:
  before: {run: ["true"]}
  wait: {needs: [before], run: [sleep, "60"]}
)";

/// Ends when the file "go" is there.
constexpr const char* patient_flow = R"(version: 1
name: patient
tasks:
  first: {shell: "echo 1 >> $TALLY", env: {TALLY: "${{ params.tally }}"}}
  wait: {needs: [first], shell: "while ! test -e $GO; do sleep 0.05; done", env: {GO: "${{ params.go }}"}}
params:
  go: {type: string}
  tally: {type: string}
)";

struct Ready : Home {
  Ready() {
    write("good.yaml", good_flow);
    write("bad.yaml", bad_flow);
    write("slow.yaml", slow_flow);
    write("stubborn.yaml", stubborn_flow);
    write("patient.yaml", patient_flow);
  }
  /// A good run, a second one from the cache, and a failed one.
  void fill() {
    BOOST_REQUIRE_EQUAL(run({"run", "good.yaml", "--out", "out"}).code, 0);
    BOOST_REQUIRE_EQUAL(run({"run", "good.yaml", "--out", "out"}).code, 0);
    BOOST_REQUIRE_EQUAL(run({"run", "bad.yaml"}).code, 1);
  }
  std::vector<std::string> patient() {
    return {"run", "patient.yaml",
            "-p",  "go=" + (path / "go").string(),
            "-p",  "tally=" + (path / "tally").string()};
  }
};

Json parse(const std::string& text) {
  return Json::parse(text, nullptr, false);
}

std::string message_of(const Finished& f) {
  return "out: " + f.out + "\nerr: " + f.err;
}

/// Whether `condition` comes true within half a minute.
template <class Condition>
bool until(Condition condition) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds{30};
  while (std::chrono::steady_clock::now() < deadline)
    if (condition()) return true;
  return false;
}

/// The key of an entry of the cache whose task is `task`.
std::string key_of(Home& home, const std::string& task) {
  const Json list = parse(home.run({"cache", "ls", "--json", "--task", task}).out);
  return list["entries"].empty() ? "" : list["entries"][0]["key"].get<std::string>();
}

}  // namespace

BOOST_FIXTURE_TEST_SUITE(program, Ready)

BOOST_AUTO_TEST_CASE(every_misuse_has_its_exit_code_and_starts_nothing) {
  write("broken.yaml", "version: 1\ntasks: {a: {rnu: [x]}}\n");
  const std::vector<std::pair<std::vector<std::string>, int>> cases{
      {{}, 2},
      {{"rnu", "good.yaml"}, 2},
      {{"run"}, 2},
      {{"run", "missing.yaml"}, 2},
      {{"run", "broken.yaml"}, 2},
      {{"run", "good.yaml", "--bogus"}, 2},
      {{"run", "good.yaml", "extra"}, 2},
      {{"run", "good.yaml", "-p", "who"}, 2},
      {{"run", "good.yaml", "-p", "whoo=x"}, 2},
      {{"run", "good.yaml", "-p", "times=many"}, 2},
      {{"run", "good.yaml", "--param-file", "missing.yaml"}, 2},
      {{"run", "good.yaml", "--slots", "none"}, 2},
      {{"run", "good.yaml", "--cache", "sometimes"}, 2},
      {{"run", "good.yaml", "--touch", "a"}, 2},
      {{"run", "good.yaml", "--out", "good.yaml"}, 2},
      {{"run", "good.yaml", "--json", "--fields", "bogus"}, 2},
      {{"run", "good.yaml", "--fields", "run"}, 2},
      {{"check", "broken.yaml"}, 2},
      {{"check", "good.yaml", "broken.yaml"}, 2},
      {{"resume", "last"}, 5},
      {{"status"}, 5},
      {{"status", "01JD4Q7ZK8"}, 5},
      {{"events", "last"}, 5},
      {{"logs", "last"}, 5},
      {{"wait", "last"}, 5},
      {{"cancel", "last"}, 5},
      {{"runs"}, 2},
      {{"runs", "rm", "last"}, 5},
      {{"runs", "gc"}, 2},
      {{"cache", "get", "k1:00"}, 5},
      {{"cache", "show", "nonsense"}, 5},
      {{"cache", "nonsense"}, 2},
      {{"help", "RP0000"}, 5},
      {{"help", "nonsense"}, 2},
      {{"ps", "--state", "sleeping"}, 2},
      {{"ps", "--all", "--since", "soon"}, 2},
      {{"history", "--since", "2999-01-01T00:00:00Z"}, 2},
      {{"--data"}, 2},
  };
  for (const auto& [arguments, code] : cases) {
    const Finished f = run(arguments);
    std::string line;
    for (const std::string& argument : arguments) line += argument + " ";
    BOOST_TEST(f.code == code, line << "gave " << f.code << "\n" << message_of(f));
    if (code != 0) BOOST_TEST(!f.err.empty(), line << "said nothing");
    const bool wants_json = std::count(arguments.begin(), arguments.end(), "--json") > 0;
    BOOST_TEST(f.out.empty() == !wants_json, line << "wrote to stdout: " << f.out);
  }
  BOOST_TEST(!std::filesystem::exists(path / "data" / "journal.db"));
}

BOOST_AUTO_TEST_CASE(a_mistyped_command_gets_a_suggestion) {
  BOOST_TEST(run({"rnu"}).err ==
             "error: \"rnu\" is no command; did you mean \"run\"?\nsee `reprise --help`\n");
  BOOST_TEST(run({"rerun", "last"}).err.find("did you mean \"retry\", or \"fork\"?") !=
             std::string::npos);
}

BOOST_AUTO_TEST_CASE(a_run_succeeds_is_cached_and_leaves_its_files) {
  const Finished first = run({"run", "good.yaml", "--json", "--out", "out", "-p", "who=you"});
  BOOST_REQUIRE_MESSAGE(first.code == 0, message_of(first));
  const Json a = parse(first.out);
  BOOST_TEST(violation(a) == "");
  BOOST_TEST(a["state"] == "success");
  BOOST_TEST(a["summary"]["tasks"] == 3);
  BOOST_TEST(a["summary"]["executed"] == 3);
  BOOST_TEST(a["outputs"]["greeting"] == "hello you\n");
  BOOST_TEST(a["outputs"]["file"]["path"] == "out/hello.txt");
  BOOST_TEST(read("out/hello.txt") == "hello you\n");
  const Json b = parse(run({"run", "good.yaml", "--json", "--out", "out", "-p", "who=you"}).out);
  BOOST_TEST(b["summary"]["executed"] == 0);
  BOOST_TEST(b["summary"]["cached"] == 3);
  BOOST_TEST(b["outputs"]["greeting"] == a["outputs"]["greeting"]);
  const Finished failed = run({"run", "bad.yaml", "--json"});
  BOOST_TEST(failed.code == 1);
  BOOST_TEST(violation(parse(failed.out)) == "");
  BOOST_TEST(parse(failed.out)["failures"][0]["task"] == "first");
  BOOST_TEST(failed.err.find("    \\x1b[31mtrouble\n") != std::string::npos,
             failed.err);  // the log's tail
  BOOST_TEST(failed.err.find("logs: reprise logs ") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(a_link_in_the_output_folder_is_replaced_not_followed) {
  write("precious", "keep me");
  std::filesystem::create_directory(path / "out");
  std::filesystem::create_symlink(path / "precious", path / "out" / "hello.txt");
  BOOST_REQUIRE(run({"run", "good.yaml", "--out", "out"}).code == 0);
  BOOST_TEST(read("precious") == "keep me");
  BOOST_TEST(!std::filesystem::is_symlink(path / "out" / "hello.txt"));
  BOOST_TEST(read("out/hello.txt") == "hello world\n");
}

BOOST_AUTO_TEST_CASE(parameters_come_from_files_and_flags_in_the_types_of_the_flow) {
  write("params.yaml", "who: file\ntimes: 1\n");
  const Json a = parse(run({"run", "good.yaml", "--json", "--param-file", "params.yaml"}).out);
  BOOST_TEST(a["outputs"]["greeting"] == "hello file\n");
  BOOST_TEST(a["summary"]["tasks"] == 2);
  write("params.json", R"({"who": "json"})");
  const Json b = parse(
      run({"run", "good.yaml", "--json", "--param-file", "params.json", "-p", "who=flag"}).out);
  BOOST_TEST(b["outputs"]["greeting"] == "hello flag\n");
}

BOOST_AUTO_TEST_CASE(json_means_exactly_one_document_that_matches_its_schema) {
  fill();
  const std::string key = key_of(*this, "hello");
  BOOST_REQUIRE(!key.empty());
  write("broken.yaml", "version: 1\ntasks: {a: {rnu: [x]}}\n");
  write("mapped.yaml",
        "version: 1\ntasks:\n  m: {map: {over: [1, 2]}, run: [echo, '${{ item }}']}\n"
        "  none: {map: {over: []}, run: [echo, '${{ item }}']}\n");
  BOOST_REQUIRE(run({"run", "mapped.yaml"}).code == 0);
  const std::vector<std::vector<std::string>> commands{
      {"run", "good.yaml", "--out", "out"},
      {"check", "good.yaml", "bad.yaml"},
      {"check", "broken.yaml"},
      {"run", "broken.yaml"},
      {"plan", "good.yaml"},
      {"plan", "broken.yaml"},
      {"ps", "--all"},
      {"ps"},
      {"status"},
      {"status", "last:bad"},
      {"status", "--ready"},
      {"history"},
      {"history", "good", "--task", "hello"},
      {"events", "last:good"},
      {"events", "last:bad"},
      {"logs", "last:good"},
      {"logs", "last:bad", "--failed"},
      {"wait", "last:good"},
      {"wait", "last:bad"},
      {"cache", "ls"},
      {"cache", "stats"},
      {"cache", "show", key},
      {"cache", "get", key},
      {"cache", "explain", "last:good", "hello"},
      {"cache", "explain", "last:bad", "first"},
      {"cache", "explain", "last:good", "helo"},
      {"cache", "explain", "last:mapped", "m"},
      {"cache", "explain", "last:mapped", "none"},
      {"cache", "show", key, "--provenance"},
      {"cache", "ls", "--as-of", "last:good"},
      {"cache", "rm", key, "--dry-run"},
      {"cache", "rm"},
      {"cache", "pin", key, "--why", "paper"},
      {"cache", "pin", "--run", "last:good"},
      {"cache", "gc", "--dry-run", "--max-size", "0B"},
      {"cache", "gc"},
      {"cache", "verify"},
      {"diff", "last:good", "last:bad"},
      {"diff", "last:good", "last:good", "-v"},
      {"fork", "last:good", "--at", "hello"},
      {"fork", "last:good"},
      {"retry", "last:bad"},
      {"replay", "last:good", "--verify"},
      {"replay", "last:bad"},
      {"doctor"},
      {"version"},
      {"help", "RP1203"},
      {"help", "run"},
      {"completion", "bash"},
      {"runs", "gc", "--keep", "1", "--dry-run"},
      {"runs", "rm", "last:bad", "-y"},
      {"status", "nonsense"},
      {"rnu"},
      {"cancel", "last"},
      {"resume", "last"},
      {"cache", "get", "k1:ffff"}};
  for (auto arguments : commands) {
    arguments.emplace_back("--json");
    const Finished f = run(arguments);
    std::string line;
    for (const std::string& argument : arguments) line += argument + " ";
    const Json document = parse(f.out);
    BOOST_TEST(!document.is_discarded(), line << "is not one document: " << f.out);
    if (document.is_discarded()) continue;
    BOOST_TEST(violation(document) == "", line);
    BOOST_TEST(std::count(f.out.begin(), f.out.end(), '\n') == 1, line);
    if (document.value("schema", "") == "reprise.problem/1") {
      BOOST_TEST(document["exit_code"] == f.code, line);
      BOOST_TEST(!f.err.empty(), line);
    }
  }
}

BOOST_AUTO_TEST_CASE(a_plan_tells_what_would_run_and_changes_nothing) {
  const Finished before = run({"plan", "good.yaml", "--json", "--exit-code"});
  BOOST_TEST(before.code == 10, message_of(before));
  BOOST_TEST(parse(before.out)["summary"]["run"] >= 2);  // the list of `twice` may not be known yet
  BOOST_TEST(!std::filesystem::exists(path / "data"));
  fill();
  const std::string counters = run({"cache", "stats", "--json"}).out;
  const Finished after = run({"plan", "good.yaml", "--json", "--exit-code"});
  BOOST_TEST(after.code == 0, message_of(after));
  BOOST_TEST(parse(after.out)["summary"]["cached"] == 3);
  BOOST_TEST(run({"plan", "good.yaml", "-p", "who=other", "--exit-code"}).code == 10);
  BOOST_TEST(run({"cache", "stats", "--json"}).out == counters);
}

BOOST_AUTO_TEST_CASE(mistakes_in_a_file_are_listed_with_their_places) {
  write("broken.yaml", "version: 1\ntasks: {a: {rnu: [x]}, b: {needs: [c], run: [x]}}\n");
  const Finished f = run({"run", "broken.yaml", "--json"});
  BOOST_TEST(f.code == 2);
  const Json p = parse(f.out);
  BOOST_TEST(violation(p) == "");
  BOOST_REQUIRE(p["errors"].size() >= 2);
  BOOST_TEST(p["errors"][0]["line"] == 2);
  BOOST_TEST(p["errors"][0]["file"] == "broken.yaml");
  BOOST_TEST(f.err.find("--> broken.yaml:2:") != std::string::npos, f.err);
  BOOST_TEST(run({"run", "broken.yaml"}).out == "");
}

BOOST_AUTO_TEST_CASE(fields_choose_from_documents_and_lists) {
  fill();
  BOOST_TEST(run({"run", "good.yaml", "--json", "--fields", "state,summary", "--out", "out"})
                 .out.starts_with(R"({"schema":"reprise.run/1","state":"success","summary":{)"));
  const Json list = parse(run({"ps", "--all", "--json", "--fields", "flow"}).out);
  BOOST_TEST(list["runs"][0] == Json({{"flow", "good"}}));
  BOOST_TEST(run({"ps", "--all", "--json", "--fields", "bogus"}).code == 2);
}

BOOST_AUTO_TEST_CASE(streams_are_lines_of_json) {
  const Finished f = run({"run", "good.yaml", "--progress=json", "--out", "out"});
  std::istringstream lines(f.out);
  std::string line;
  Json last;
  std::size_t events = 0;
  while (std::getline(lines, line)) {
    last = parse(line);
    BOOST_REQUIRE_MESSAGE(!last.is_discarded(), line);
    BOOST_TEST(violation(last) == "", line);
    events += last["schema"] == "reprise.event/1";
  }
  BOOST_TEST(events >= 4u);
  BOOST_TEST(last["schema"] == "reprise.run/1");  // the result comes last
  const Finished both = run({"run", "good.yaml", "--progress=json", "--json", "--out", "out"});
  BOOST_TEST(parse(both.out)["schema"] == "reprise.run/1");  // then the events go to stderr
  BOOST_TEST(both.err.find("reprise.event/1") != std::string::npos);
  for (const auto& command :
       {std::vector<std::string>{"events", "last", "--jsonl"}, {"logs", "last:good", "--jsonl"}}) {
    std::istringstream stream(run(command).out);
    while (std::getline(stream, line)) BOOST_TEST(violation(parse(line)) == "", line);
  }
}

BOOST_AUTO_TEST_CASE(offsets_of_events_can_be_gone_on_from) {
  fill();
  const Json all = parse(run({"events", "last:good", "--json"}).out)["events"];
  BOOST_REQUIRE(all.size() > 3);
  const Json rest = parse(
      run({"events", "last:good", "--json", "--after", all[1]["offset"].dump()}).out)["events"];
  BOOST_TEST(rest.size() == all.size() - 2);
  BOOST_TEST(rest[0] == all[2]);
}

BOOST_AUTO_TEST_CASE(nothing_but_text_reaches_what_is_no_terminal) {
  write(
      "odd.json",
      R"({"version": 1, "name": "odd\u001b[2J", "tasks": {"__proto__": {"run": ["true"]}, "../x": {"run": ["true"]},
    "esc\u001b[31m": {"shell": "printf '\\033[1mbold\\n'; exit 1"}, "wide 読み": {"run": ["true"]}}})");
  fill();
  BOOST_TEST(run({"run", "odd.json"}).code == 1);
  BOOST_TEST(!std::filesystem::exists(path / "x"));
  for (const auto& arguments :
       std::vector<std::vector<std::string>>{{"run", "odd.json"},
                                             {"check", "odd.json"},
                                             {"status"},
                                             {"ps", "--all"},
                                             {"history"},
                                             {"events", "last"},
                                             {"logs", "last"},
                                             {"wait", "last"},
                                             {"cache", "ls"},
                                             {"cache", "stats"},
                                             {"doctor"},
                                             {"version"},
                                             {"--help"},
                                             {"run", "--help"},
                                             {"rnu\x1b"},
                                             {"run", "\x1b[2J"},
                                             {"status", "\x1b[2J"},
                                             {"run", "odd.json", "--json"},
                                             {"run", "bad.yaml", "--progress", "bar"}}) {
    const Finished f = run(arguments);
    BOOST_TEST((f.out + f.err).find('\x1b') == std::string::npos,
               arguments[0] << ": " << message_of(f));
  }
  BOOST_TEST(run({"status", "--color", "always"}).out.find('\x1b') != std::string::npos);
  BOOST_TEST(run({"logs", "last:bad", "--raw"}).out.find("one\n") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(no_color_is_respected_on_a_terminal) {
  fill();
  BOOST_TEST(run({"status"}, Wiring::terminal).out.find("\x1b[") != std::string::npos);
  environment["NO_COLOR"] = "1";
  BOOST_TEST(run({"status"}, Wiring::terminal).out.find("\x1b[") == std::string::npos);
}

BOOST_AUTO_TEST_CASE(a_closed_pipe_ends_it_quietly) {
  fill();
  for (const auto& arguments : std::vector<std::vector<std::string>>{{"events", "last"},
                                                                     {"logs", "last"},
                                                                     {"ps", "--all"},
                                                                     {"status"},
                                                                     {"cache", "ls"},
                                                                     {"--help"},
                                                                     {"ps", "--json", "--all"}}) {
    const Finished f = run(arguments, Wiring::closed_stdout);
    BOOST_TEST(f.err.find("error") == std::string::npos, f.err);
    BOOST_TEST(f.code == 141);
  }
  BOOST_TEST(run({"run", "good.yaml", "--out", "out"}, Wiring::closed_stdout).code == 141);
  BOOST_TEST(parse(run({"status", "--json"}).out)["state"] ==
             "success");  // the run itself was not harmed
}

BOOST_AUTO_TEST_CASE(quiet_means_ids_only) {
  const Finished f = run({"run", "good.yaml", "-q", "--out", "out"});
  BOOST_TEST(f.out.size() == 27u);
  BOOST_TEST(f.err == "");
  BOOST_TEST(run({"ps", "--all", "-q"}).out == f.out);
  BOOST_TEST(run({"status", "-q"}).out == "success\n");
}

BOOST_AUTO_TEST_CASE(logs_are_found_by_task_attempt_stream_and_pattern) {
  fill();
  BOOST_TEST(run({"logs", "last:bad", "first"}).out == "one\n\\x1b[31mtrouble\n");
  BOOST_TEST(run({"logs", "last:bad", "first", "--stream", "out"}).out == "one\n");
  BOOST_TEST(run({"logs", "last:bad", "--grep", "^o"}).out == "first | one\n");
  BOOST_TEST(run({"logs", "last:bad", "first", "--attempt", "2"}).out == "");
  BOOST_TEST(run({"logs", "last:bad", "first", "--attempt", "0"}).code == 2);
  BOOST_TEST(run({"logs", "last:bad", "--grep", "("}).code == 2);
  const Finished missing = run({"logs", "last:bad", "fisrt"});
  BOOST_TEST(missing.code == 5);
  BOOST_TEST(missing.err.find("did you mean") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(values_and_files_come_out_of_the_cache) {
  fill();
  const std::string key = key_of(*this, "hello");
  BOOST_REQUIRE(!key.empty());
  BOOST_TEST(run({"cache", "get", key + ":hello.txt"}).out == "hello world\n");
  BOOST_TEST(run({"cache", "get", key.substr(0, 15) + ":hello.txt", "-o", "copy.txt"}).code == 0);
  BOOST_TEST(read("copy.txt") == "hello world\n");
  BOOST_TEST(run({"cache", "get", key + ":hello.txt", "-o", "copy.txt"}).code == 6);
  BOOST_TEST(run({"cache", "get", key + ":other.txt"}).code == 5);
  BOOST_TEST(!parse(run({"cache", "get", key}).out).is_discarded());
  BOOST_TEST(run({"cache", "show", key}).out.find("hello") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(what_was_removed_from_the_cache_is_not_given_any_more) {
  write("kept.yaml", "version: 1\ntasks: {a: {run: [echo, x], cache: true}}\n");
  const auto document = [&](std::vector<std::string> arguments) {
    arguments.emplace_back("--json");
    return document_in(run(std::move(arguments)));
  };
  BOOST_REQUIRE(run({"run", "kept.yaml"}).code == 0);
  const std::string key = document({"cache", "ls"})["entries"][0]["key"];
  BOOST_TEST(document({"cache", "show", key})["removed"].is_null());
  BOOST_TEST(run({"cache", "rm", key, "-y"}).code == 0);
  const Finished got = run({"cache", "get", key});
  BOOST_TEST(got.code == 5, got.out);
  BOOST_TEST(got.out.empty());
  BOOST_TEST(got.err.find("was removed at 20") != std::string::npos, got.err);
  BOOST_TEST(run({"cache", "get", key, "--as-of", "last"}).code == 0);
  BOOST_TEST(run({"cache", "get", key, "--as-of", "0s"}).code == 5);
  const Json shown = document({"cache", "show", key});
  BOOST_TEST(!shown["removed"].is_null());
  BOOST_TEST(shown["versions"].size() == 1u);
  BOOST_TEST(run({"cache", "show", key}).out.find("removed\n") != std::string::npos);
  BOOST_TEST(document({"cache", "show", key, "--as-of", "last"})["removed"].is_null());

  BOOST_REQUIRE(run({"run", "kept.yaml"}).code == 0);
  BOOST_TEST(run({"cache", "get", key}).code == 0);
  BOOST_TEST(document({"cache", "show", key})["removed"].is_null());
  BOOST_TEST(run({"cache", "show", key}).out.find("removed\n") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(the_past_of_what_was_erased_is_not_known) {
  write("kept.yaml", "version: 1\ntasks: {a: {run: [echo, x], cache: true}}\n");
  BOOST_REQUIRE(run({"run", "kept.yaml"}).code == 0);
  const Json listed = document_in(run({"cache", "ls", "--json"}));
  const std::string key = listed["entries"][0]["key"];
  BOOST_REQUIRE(run({"cache", "erase", key, "-y"}).code == 0);
  for (const std::string& named : {key, key.substr(3), key.substr(0, 15)})
    for (const char* command : {"get", "show"}) {
      const Finished then = run({"cache", command, named, "--as-of", "last"});
      BOOST_TEST(then.code == 5);
      BOOST_TEST(then.err.find("history_horizon") != std::string::npos, named + ": " + then.err);
      BOOST_TEST(run({"cache", command, named}).err.find("has no entry") != std::string::npos);
    }
}

BOOST_AUTO_TEST_CASE(removing_runs_wants_a_yes_and_keeps_the_cache) {
  fill();
  BOOST_TEST(run({"runs", "rm", "last:good"}).code == 2);  // nobody to ask
  BOOST_TEST(parse(run({"ps", "--all", "--json"}).out)["runs"].size() == 3);
  BOOST_TEST(run({"runs", "rm", "last:good", "-y"}).code == 0);
  BOOST_TEST(parse(run({"ps", "--all", "--json"}).out)["runs"].size() == 2);
  BOOST_TEST(run({"runs", "gc", "--keep", "0", "--dry-run"}).code == 0);
  BOOST_TEST(parse(run({"ps", "--all", "--json"}).out)["runs"].size() == 2);
  BOOST_TEST(run({"runs", "gc", "--keep", "0", "-y"}).code == 0);
  BOOST_TEST(parse(run({"ps", "--all", "--json"}).out)["runs"].size() == 0);
  BOOST_TEST(std::filesystem::is_empty(path / "data" / "runs"));
  BOOST_TEST(
      parse(run({"run", "good.yaml", "--json", "--out", "out"}).out)["summary"]["executed"] == 0);
}

BOOST_AUTO_TEST_CASE(a_data_directory_that_cannot_be_used_is_told_before_anything_starts) {
  write("data", "I am a file");
  const Finished f = run({"run", "good.yaml"});
  BOOST_TEST(f.code == 2);
  BOOST_TEST(f.err.find("data") != std::string::npos, f.err);
  BOOST_TEST(run({"doctor"}).code == 1);
}

BOOST_AUTO_TEST_CASE(the_version_is_told_at_once) {
  auto best = std::chrono::steady_clock::duration::max();
  for (int i = 0; i < 10; ++i) {
    const auto begin = std::chrono::steady_clock::now();
    BOOST_REQUIRE(run({"version"}).code == 0);
    best = std::min(best, std::chrono::steady_clock::now() - begin);
  }
  // 10 ms on a quiet machine; ten times that is no matter of noise any more.
  BOOST_TEST(std::chrono::duration<double>(best).count() < 0.1);
}

BOOST_AUTO_TEST_CASE(every_command_and_flag_is_in_the_reference) {
  std::ifstream stream(std::string(std::getenv("REPRISE_SOURCE_DIR")) + "/docs/cli.md");
  const std::string reference{std::istreambuf_iterator<char>(stream), {}};
  const auto commands_in = [](const std::string& help) {
    std::vector<std::string> names;
    std::istringstream lines(help.substr(std::min(help.find("Subcommands:"), help.size())));
    std::string line;
    std::getline(lines, line);
    while (std::getline(lines, line) && line.starts_with("  "))
      if (line[2] != ' ') names.push_back(line.substr(2, line.find(' ', 2) - 2));
    return names;
  };
  std::vector<std::vector<std::string>> commands;
  for (const std::string& name : commands_in(run({"--help"}).out)) {
    commands.push_back({name});
    for (const std::string& sub : commands_in(run({name, "--help"}).out))
      commands.push_back({name, sub});
  }
  BOOST_REQUIRE(commands.size() > 20);
  for (auto command : commands) {
    std::string title = "### reprise";
    for (const std::string& word : command) title += " " + word;
    command.emplace_back("--help");
    const std::string help = run(command).out;
    if (help.find("Subcommands:") != std::string::npos) continue;
    const std::size_t begin = reference.find(title + "\n");
    BOOST_TEST(begin != std::string::npos, "docs/cli.md has no section \"" << title << "\"");
    if (begin == std::string::npos) continue;
    const std::string section = reference.substr(begin, reference.find("\n### ", begin) - begin);
    for (std::size_t at = help.find("--"); at != std::string::npos; at = help.find("--", at + 2)) {
      std::size_t end = at + 2;
      while (end < help.size() &&
             (std::isalpha(static_cast<unsigned char>(help[end])) || help[end] == '-'))
        ++end;
      const std::string flag = help.substr(at, end - at);
      if (flag == "--help" || flag == "--") continue;
      BOOST_TEST(section.find("`" + flag) != std::string::npos,
                 title << " does not tell of " << flag);
    }
  }
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_FIXTURE_TEST_SUITE(signals, Ready)

BOOST_AUTO_TEST_CASE(ctrl_c_cancels_and_says_so) {
  const auto program = start({"run", "slow.yaml", "--json"});
  BOOST_REQUIRE(program->shows("[1/2]"));
  program->send(SIGINT);
  const Finished f = program->wait();
  BOOST_TEST(f.code == 8);
  BOOST_TEST(f.err.find("cancelling; press Ctrl-C again") != std::string::npos);
  BOOST_TEST(parse(f.out)["state"] == "cancelled");
  BOOST_TEST(violation(parse(f.out)) == "");
}

BOOST_AUTO_TEST_CASE(a_run_is_watched_until_it_is_at_rest) {
  const auto program = start(patient());
  BOOST_REQUIRE(until([&] { return run({"status", "-q"}).out == "running\n"; }));
  const auto watcher = start({"status", "--watch"});
  BOOST_TEST(watcher->shows("running"));
  write("go", "");
  BOOST_TEST(program->wait().code == 0);
  const Finished f = watcher->wait();
  BOOST_TEST(f.code == 0, message_of(f));
  BOOST_TEST(f.out.find("success") != std::string::npos, f.out);
  BOOST_TEST(f.out.find('\x1b') == std::string::npos, f.out);
  BOOST_TEST(run({"status", "--watch", "--json"}).code == 2);
  BOOST_TEST(run({"status", "--watch"}).code == 0);  // it is over
}

BOOST_AUTO_TEST_CASE(ctrl_c_twice_leaves_the_run_to_be_resumed) {
  const auto program = start({"run", "stubborn.yaml", "--grace", "1s"});
  BOOST_REQUIRE(program->shows("run "));
  BOOST_REQUIRE(until([&] { return run({"logs", "last"}).out == "up\n"; }));
  program->send(SIGINT);
  BOOST_REQUIRE(program->shows("cancelling"));
  program->send(SIGINT);
  const Finished f = program->wait();
  BOOST_TEST(f.code == 130, message_of(f));
  BOOST_TEST(f.err.find("reprise resume ") != std::string::npos, f.err);
  BOOST_TEST(parse(run({"status", "--json"}).out)["state"] == "interrupted");
  BOOST_TEST(run({"wait", "last"}).code == 9);
  BOOST_TEST(run({"cancel", "last"}).code == 0);
  BOOST_TEST(parse(run({"status", "--json"}).out)["state"] == "cancelled");
}

BOOST_AUTO_TEST_CASE(a_terminated_run_is_interrupted_and_goes_on_where_it_was) {
  const auto program = start(patient());
  BOOST_REQUIRE(program->shows("[1/2]"));
  program->send(SIGTERM);
  BOOST_TEST(program->wait().code == 128 + SIGTERM);
  BOOST_TEST(parse(run({"ps", "--json"}).out)["runs"][0]["state"] == "interrupted");
  write("go", "");
  const Finished f = run({"resume", "last", "--json"});
  BOOST_TEST(f.code == 0, message_of(f));
  BOOST_TEST(parse(f.out)["continued"] == true);
  BOOST_TEST(read("tally") == "1\n");  // what was finished did not run again
  BOOST_TEST(run({"resume", "last"}).code == 6);
}

BOOST_AUTO_TEST_CASE(the_same_run_after_kill_9_continues_and_loses_nothing) {
  {
    const auto program = start(patient());
    BOOST_REQUIRE(program->shows("[1/2]"));
    program->send(SIGKILL);
    BOOST_TEST(program->wait().code == 128 + SIGKILL);
  }
  write("go", "");
  auto again = patient();
  again.emplace_back("--json");
  const Finished f = run(again);
  BOOST_TEST(f.code == 0);
  BOOST_TEST(parse(f.out)["continued"] == true);
  BOOST_TEST(f.err.find("continues where it was interrupted") != std::string::npos);
  BOOST_TEST(read("tally") == "1\n");
}

BOOST_AUTO_TEST_CASE(another_process_waits_follows_and_cancels) {
  const auto program = start(patient());
  BOOST_REQUIRE(program->shows("[1/2]"));
  BOOST_TEST(run({"wait", "last", "--timeout", "100ms"}).code == 7);
  BOOST_TEST(parse(run({"ps", "--json"}).out)["runs"][0]["state"] == "running");
  BOOST_TEST(run({"runs", "rm", "last", "-y"}).code == 6);
  BOOST_TEST(run({"resume", "last"}).code == 6);
  BOOST_TEST(run({"cancel", "last", "no-such-task"}).code == 5);
  const auto waiting = start({"wait", "last"});
  const Finished cancelled = run({"cancel", "last", "--reason", "enough of it"});
  BOOST_TEST(cancelled.code == 0, message_of(cancelled));
  BOOST_TEST(waiting->wait().code == 8);
  const Finished f = program->wait();
  BOOST_TEST(f.code == 8);
  BOOST_TEST(parse(run({"status", "--json"}).out)["message"] == "enough of it");
  BOOST_TEST(run({"cancel", "last"}).code == 6);
}

BOOST_AUTO_TEST_CASE(logs_are_followed_to_the_end) {
  write("talk.yaml",
        "version: 1\nname: talk\nparams: {go: {type: string}}\ntasks:\n  t:\n    env: {GO: '${{ "
        "params.go }}'}\n"
        "    shell: 'echo early; while ! test -e $GO; do sleep 0.05; done; echo late'\n");
  const auto program = start({"run", "talk.yaml", "-p", "go=" + (path / "go").string()});
  BOOST_REQUIRE(program->shows("run "));
  BOOST_REQUIRE(until([&] { return !run({"logs", "last", "-q"}).out.empty(); }));
  const auto follower = start({"logs", "last", "t", "-f"});
  BOOST_REQUIRE(follower->shows("early"));
  write("go", "");
  BOOST_TEST(follower->wait().out == "early\nlate\n");
  BOOST_TEST(program->wait().code == 0);
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_FIXTURE_TEST_SUITE(on_a_terminal, Ready)

namespace {

std::size_t count(const std::string& text, const std::string& part) {
  std::size_t n = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++n;
  return n;
}

/// The cursor was hidden and is there again at the end.
void check_cursor(const std::string& screen) {
  BOOST_TEST(count(screen, "\x1b[?25l") >= 1u, screen);
  BOOST_TEST(count(screen, "\x1b[?25l") == count(screen, "\x1b[?25h"), screen);
  BOOST_TEST(screen.rfind("\x1b[?25h") > screen.rfind("\x1b[?25l"));
}

}  // namespace

BOOST_AUTO_TEST_CASE(a_bar_is_drawn_and_taken_away) {
  const auto program = start(patient(), Wiring::terminal);
  BOOST_REQUIRE(program->shows("1/2"));
  BOOST_REQUIRE(program->shows("▶ wait"));
  program->resize(40);
  write("go", "");
  const Finished f = program->wait();
  BOOST_TEST(f.code == 0);
  check_cursor(f.out);
  BOOST_TEST(f.out.find("success") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(the_cursor_comes_back_however_it_ends) {
  for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGABRT}) {
    const auto program = start({"run", "slow.yaml", "--new"}, Wiring::terminal);
    BOOST_REQUIRE(program->shows("▶ wait"));
    program->send(signal);
    const Finished f = program->wait();
    BOOST_TEST(f.code == (signal == SIGINT ? 8 : 128 + signal));
    check_cursor(f.out);
  }
}

BOOST_AUTO_TEST_CASE(the_cursor_is_there_while_it_is_stopped) {
  const auto program = start(patient(), Wiring::terminal);
  BOOST_REQUIRE(program->shows("▶ wait"));
  program->send(SIGTSTP);
  BOOST_REQUIRE(program->shows("\x1b[?25h"));
  // It shows the cursor before it stops; a signal to go on that comes between the two is lost.
  BOOST_REQUIRE(until([&] {
    std::ifstream stream("/proc/" + std::to_string(program->pid()) + "/stat");
    const std::string line{std::istreambuf_iterator<char>(stream), {}};
    const std::size_t name_end = line.rfind(") ");
    return name_end != std::string::npos && line[name_end + 2] == 'T';
  }));
  program->send(SIGCONT);
  write("go", "");
  const Finished f = program->wait();
  BOOST_TEST(f.code == 0);
  check_cursor(f.out);
}

BOOST_AUTO_TEST_CASE(deleting_asks_on_a_terminal) {
  fill();
  const auto program = start({"runs", "rm", "last"}, Wiring::terminal);
  BOOST_REQUIRE(program->shows("remove 1 run? [y/N]"));
  program->send(SIGINT);
  BOOST_TEST(program->wait().code == 128 + SIGINT);
  BOOST_TEST(parse(run({"ps", "--all", "--json"}).out)["runs"].size() == 3);
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE_END()
