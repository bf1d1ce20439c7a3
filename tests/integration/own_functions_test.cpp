// Functions that users bring: in a worker of their own, in a plugin, and what they cannot break.
#include <boost/test/unit_test.hpp>

#include <signal.h>
#include <sys/stat.h>

#include <fstream>

#include "tests/integration/support.hpp"

BOOST_AUTO_TEST_SUITE(own_functions_tests)

using namespace reprise::integration;

namespace {

std::string built(const std::string& name) {
  return std::string(std::getenv("REPRISE_BIN_DIR")) + "/" + name;
}

std::string example(const std::string& name) {
  return std::string(std::getenv("REPRISE_SOURCE_DIR")) + "/examples/functions/" + name;
}

bool is_gone(pid_t pid) {
  std::ifstream in("/proc/" + std::to_string(pid) + "/stat");
  std::string line;
  if (!std::getline(in, line)) return true;
  return line[line.rfind(')') + 2] == 'Z';
}

/// A server on a port that was free, and workers that are programs of their own.
struct OwnWorkers : Home {
  std::string place;
  std::unique_ptr<Program> server;
  std::vector<std::unique_ptr<Program>> workers;

  void start_server() {
    server = start({"server", "start", "--listen", "127.0.0.1:0", "--port-file", "port"});
    BOOST_REQUIRE_MESSAGE(server->shows("listening on "), server->output());
    BOOST_REQUIRE(until([&] { return std::filesystem::exists(path / "port"); }));
    place = "127.0.0.1:" + lines_of(read("port")).at(0);
  }
  Program& start_program(const std::string& program, Arguments more) {
    Arguments all{program, "--server", place};
    all.insert(all.end(), more.begin(), more.end());
    workers.push_back(
        std::make_unique<Program>(all, environment, path, reprise::cli::test::Wiring::pipes));
    return *workers.back();
  }
  Program& start_worker(const std::string& program, Arguments more) {
    Program& worker = start_program(program, std::move(more));
    BOOST_REQUIRE_MESSAGE(worker.shows("serving scheduler"), worker.output());
    return worker;
  }
  Outcome submit(const std::string& flow, Arguments more = {}) {
    Arguments all{"submit", flow, "--server", place, "--wait", "--json"};
    all.insert(all.end(), more.begin(), more.end());
    const auto begin = std::chrono::steady_clock::now();
    return outcome_of(*start(std::move(all)), begin);
  }
};

}  // namespace

BOOST_FIXTURE_TEST_SUITE(own_functions, OwnWorkers)

BOOST_AUTO_TEST_CASE(a_worker_of_ones_own_runs_what_a_flow_file_calls) {
  start_server();
  start_worker(built("examples/example_worker"), {"--name", "mine", "--slots", "2"});
  const Outcome o = submit(example("words.yaml"));
  BOOST_REQUIRE_MESSAGE(o.code == 0, o.shown());
  BOOST_TEST(o.at("/outputs/words/fox") == 2);
  BOOST_TEST(o.at("/outputs/words/the") == 2);
  const Outcome again = submit(example("words.yaml"));
  BOOST_TEST(again.counted("cached") >= 3, again.shown());
  const Outcome list = invoke(*this, {"worker", "ls", "--server", place});
  const std::string limits = list.at("/workers/0/enforcement");
  BOOST_TEST((limits == "cgroup" || limits == "rlimit"), limits);
}

BOOST_AUTO_TEST_CASE(a_worker_of_ones_own_has_what_flags_and_settings_say) {
  start_server();
  environment["REPRISE_SLOTS"] = "3";
  environment["REPRISE_LABELS"] = "zone=a";
  start_worker(built("examples/example_worker"),
               {"--name", "mine", "--gpus=1", "--resource", "tape=2", "--resource", "license=1"});
  const Outcome list = invoke(*this, {"worker", "ls", "--server", place});
  BOOST_TEST(list.at("/workers/0/slots") == 3, list.shown());
  BOOST_TEST(list.at("/workers/0/labels/zone") == "a", list.shown());
  BOOST_TEST(list.at("/workers/0/resources/tape") == 2, list.shown());
  BOOST_TEST(list.at("/workers/0/resources/license") == 1, list.shown());
  BOOST_TEST(list.at("/workers/0/resources/gpus") == 1, list.shown());
  for (const auto& [option, value, part] :
       {std::tuple{"--slots", "0", "--slots: "}, std::tuple{"--memory", "lots", "--memory: "},
        std::tuple{"--resource", "tape", "--resource \"tape\" has no \"=\""},
        std::tuple{"--slot", "2", "no option \"--slot\"; there are --name, --log-format"},
        std::tuple{"--log-level", "all", "--log-level: \"all\" is none; there are debug, info"}}) {
    Program& worker = start_program(built("examples/example_worker"), {option, value});
    const Finished refused = worker.wait();
    BOOST_TEST(refused.code == 2);
    BOOST_TEST(refused.err.find(part) != std::string::npos, refused.err);
  }
  Program& telling = start_program(built("examples/example_worker"),
                                   {"--name", "telling", "--log-format", "json", "--slots", "1"});
  BOOST_TEST(telling.shows("limits"), telling.output());
  telling.send(SIGTERM);
  const std::vector<std::string> lines = lines_of(telling.wait().err);
  BOOST_TEST(lines.size() >= 2u);
  for (const std::string& line : lines) {
    const Json entry = Json::parse(line, nullptr, false);
    BOOST_TEST((entry.contains("time") && entry.contains("level") && entry.contains("msg")), line);
  }
}

BOOST_AUTO_TEST_CASE(a_crash_fails_its_own_attempt_and_the_worker_goes_on) {
  start_server();
  start_worker(built("odd_worker"), {"--name", "odd", "--slots", "1"});
  write("odd.yaml",
        "version: 1\nname: odd\ntasks:\n"
        "  crash: {map: {over: [0, 1, 2], as: n}, call: odd.crash@1, args: {n: '${{ n }}'}}\n"
        "  other: {call: odd.process@1}\noutputs: {other: '${{ other }}'}\n");
  const Outcome o = submit("odd.yaml");
  BOOST_TEST(o.code == 1, o.shown());
  BOOST_TEST(o.counted("failed") == 1);
  BOOST_TEST(o.at("/outputs/other") > 0);
  const Outcome events = invoke(*this, {"events", "last"});
  BOOST_TEST(events.out.find("ended by signal 6 (SIGABRT): an odd number") != std::string::npos,
             events.shown());
}

BOOST_AUTO_TEST_CASE(a_function_that_does_not_stop_ends_with_its_time_or_its_worker) {
  start_server();
  Program& worker =
      start_worker(built("odd_worker"), {"--name", "odd", "--slots", "2", "--grace", "200ms"});
  const std::string file = (path / "pid").string();
  write("late.yaml", "version: 1\nname: late\ntasks:\n  spin: {call: odd.spin@1, args: ['" + file +
                         "'], timeout: 100ms}\n");
  const Outcome late = submit("late.yaml");
  BOOST_TEST(late.code == 1, late.shown());
  pid_t spinning = 0;
  std::ifstream(file) >> spinning;
  BOOST_REQUIRE(spinning > 0);
  BOOST_TEST(until([&] { return is_gone(spinning); }));

  std::filesystem::remove(file);
  write("ever.yaml",
        "version: 1\nname: ever\ntasks:\n  spin: {call: odd.spin@1, args: ['" + file + "']}\n");
  auto client = start({"submit", "ever.yaml", "--server", place});
  BOOST_REQUIRE(until([&] {
    std::ifstream(file) >> spinning;
    return std::filesystem::exists(file) && spinning > 0 && !is_gone(spinning);
  }));
  worker.send(SIGKILL);
  (void)worker.wait();
  BOOST_TEST(until([&] { return is_gone(spinning); }));
}

BOOST_AUTO_TEST_CASE(one_name_and_version_has_one_signature) {
  start_server();
  start_worker(built("odd_worker"), {"--name", "first"});
  environment["ODD_WRONG"] = "1";
  Program& second = start_program(built("odd_worker"), {"--name", "second"});
  const Finished left = second.wait();
  BOOST_TEST(left.code == 2);
  BOOST_TEST(left.err.find("function \"odd.crash@1\" is known with another signature: (str n) -> "
                           "(i64 result) here, (i64 n) -> (i64 result) at worker \"first\"") !=
                 std::string::npos,
             left.err);
}

BOOST_AUTO_TEST_CASE(a_task_goes_to_a_worker_that_has_its_function) {
  start_server();
  start_worker(built("examples/example_worker"), {"--name", "a", "--slots", "8"});
  start_worker(built("odd_worker"), {"--name", "b", "--slots", "1"});
  write("odd.yaml",
        "version: 1\nname: odd\ntasks:\n"
        "  crash: {map: {over: [0, 2, 4, 6], as: n}, call: odd.crash@1, args: {n: '${{ n }}'}}\n");
  const Outcome o = submit("odd.yaml");
  BOOST_TEST(o.code == 0, o.shown());
}

BOOST_AUTO_TEST_CASE(a_task_waits_for_a_worker_that_brings_its_function) {
  start_server();
  Program& first = start_worker(built("odd_worker"), {"--name", "first"});
  write("later.yaml",
        "version: 1\nname: later\ntasks:\n"
        "  words: {call: words.count@1, args: [dog and dog]}\n");
  const Outcome submitted = invoke(*this, {"submit", "later.yaml", "--server", place});
  BOOST_TEST(submitted.code == 0, submitted.shown());
  BOOST_TEST(
      submitted.err.find("warning[RP1204]: unknown function 'words.count@1'") != std::string::npos,
      submitted.err);
  const Arguments explain{"explain", "last", "words", "--server", place};
  BOOST_REQUIRE(until([&] {
    const Outcome o = invoke(*this, explain);
    return o.code == 0 && o.at("/waiting/reason") == "no_worker_for_task";
  }));
  BOOST_TEST(invoke(*this, explain).at("/waiting/text") ==
             "it needs words.count@1; live workers offer no version of it");
  first.send(SIGTERM);
  (void)first.wait();
  start_worker(built("examples/example_worker"), {"--name", "second"});
  BOOST_TEST(invoke(*this, {"wait", "last", "--server", place}).code == 0);

  // Functions are given their arguments in order, so names say nothing as long as nobody knows it.
  write("named.yaml",
        "version: 1\nname: named\ntasks:\n  x: {call: no.such@1, args: {b: 1, a: 2}}\n");
  const Outcome named = submit("named.yaml");
  BOOST_TEST(named.code == 2);
  BOOST_TEST(
      named.err.find("the order of the arguments of 'no.such@1' is not known") != std::string::npos,
      named.err);
}

BOOST_AUTO_TEST_CASE(a_plugin_runs_in_a_run_and_in_a_worker) {
  const std::string plugin = built("examples/example_plugin.so");
  const Outcome o = invoke(*this, {"run", example("words.yaml"), "--plugin", plugin});
  BOOST_REQUIRE_MESSAGE(o.code == 0, o.shown());
  BOOST_TEST(o.at("/outputs/words/dog") == 2);
  BOOST_TEST(invoke(*this, {"check", example("words.yaml"), "--plugin", plugin}).code == 0);
  BOOST_TEST(invoke(*this, {"check", example("words.yaml")}).code == 0);  // others may have it
  BOOST_TEST(invoke(*this, {"plan", example("words.yaml")}).at("/summary/run") == 4);
  BOOST_TEST(invoke(*this, {"run", example("words.yaml")}).code == 2);  // here nobody will
  start_server();
  const std::string reprise = built("reprise");
  workers.push_back(start({"worker", "start", "--server", place, "--plugin", plugin}));
  BOOST_REQUIRE_MESSAGE(workers.back()->shows("serving scheduler"), workers.back()->output());
  const Outcome submitted = submit(example("words.yaml"));
  BOOST_TEST(submitted.code == 0, submitted.shown());
  BOOST_TEST(submitted.at("/outputs/words/dog") == 2);
}

BOOST_AUTO_TEST_CASE(a_plugin_that_others_could_have_written_is_refused) {
  const auto original = built("examples/example_plugin.so");
  const auto refusal = [&](const std::string& plugin) {
    const Outcome o = invoke(*this, {"run", example("words.yaml"), "--plugin", plugin});
    BOOST_TEST(o.code == 2, o.shown());
    return o.err;
  };
  const auto copy = path / "own" / "plugin.so";
  std::filesystem::create_directories(copy.parent_path());
  std::filesystem::copy_file(original, copy);
  BOOST_TEST(invoke(*this, {"run", example("words.yaml"), "--plugin", copy.string()}).code == 0);

  ::chmod(copy.c_str(), 0757);
  BOOST_TEST(refusal(copy.string()).find("can be written by everybody") != std::string::npos);
  ::chmod(copy.c_str(), 0755);
  ::chmod(copy.parent_path().c_str(), 0777);
  BOOST_TEST(refusal(copy.string()).find("can be written by everybody") != std::string::npos);
  ::chmod(copy.parent_path().c_str(), 0755);
  if (::geteuid() == 0) {
    BOOST_REQUIRE(::chown(copy.c_str(), 4711, 4711) == 0);
    BOOST_TEST(refusal(copy.string()).find("belongs to user 4711") != std::string::npos);
  }
  BOOST_TEST(refusal("missing.so").find("No such file") != std::string::npos);
  write("text.so", "this is no library");
  BOOST_TEST(refusal("text.so").find("is no shared object") != std::string::npos);
  BOOST_TEST(refusal(built("odd_plugin.so")).find("version 99 of the plugin interface") !=
             std::string::npos);
}

BOOST_AUTO_TEST_CASE(isolation_process_gives_a_function_of_a_run_its_own_process) {
  write("isolated.yaml",
        "version: 1\nname: isolated\ntasks:\n"
        "  sum: {call: list.sum@1, args: [[1, 2, 3]], isolation: process}\n"
        "outputs: {sum: '${{ sum }}'}\n");
  const Outcome o = invoke(*this, {"run", "isolated.yaml"});
  BOOST_TEST(o.code == 0, o.shown());
  BOOST_TEST(o.at("/outputs/sum") == 6);
}

BOOST_AUTO_TEST_CASE(the_hidden_argument_is_of_no_use_to_people) {
  const Finished finished = run({"__functions"});
  BOOST_TEST(finished.code == 2);
  BOOST_TEST(finished.err.find("for this program's own use") != std::string::npos);
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE_END()
