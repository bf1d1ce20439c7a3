#include "worker/command.hpp"

#include <signal.h>
#include <sys/stat.h>

#include <atomic>
#include <set>
#include <sstream>

#include <boost/test/unit_test.hpp>

#include "tests/worker/support.hpp"
#include "worker/local_runner.hpp"
#include "worker/slot_pool.hpp"

BOOST_AUTO_TEST_SUITE(command_tests)

using namespace reprise;
using namespace reprise::worker;
using namespace reprise::worker::test;
using namespace std::chrono_literals;

namespace {

class Commands {
 public:
  Commands() {
    std::filesystem::create_directories(flows);
    std::filesystem::create_directories(run_folder);
    blobs = cache::BlobStore::open({.folder = folder.path() / "blobs", .sync = false}).value();
  }

  TemporaryFolder folder;
  std::filesystem::path flows = folder.path() / "flows";
  std::filesystem::path run_folder = folder.path() / "run";
  std::shared_ptr<cache::BlobStore> blobs;
  LogLimits limits;
  Duration grace = 5s;

  [[nodiscard]] LocalRunner::Options options() const {
    return {.functions = nullptr,
            .blobs = blobs,
            .grace = grace,
            .logs = limits,
            .environment = {{"PATH", "/usr/bin:/bin"}, {"HOME", "/root"}, {"SECRET", "x"}}};
  }
  Outcome run(OneTask& task, std::stop_token stop = {}) {
    task.flow.folder = flows.string();
    LocalRunner runner(options());
    return runner.run(task.attempt(run_folder, 7), std::move(stop));
  }
  Outcome run(CommandBody body) {
    OneTask task(std::move(body));
    return run(task);
  }
  FileValue blob(const std::string& content) {
    write_file(folder.path() / "blob", content);
    return blobs->put_file(folder.path() / "blob").value();
  }
  std::string log(Stream stream) {
    const auto opened = open_log(run_folder, TaskId{7}, 1, stream);
    return opened ? opened->read(0, 1 << 20).value() : "";
  }
  static std::string stdout_of(const Outcome& outcome) {
    BOOST_REQUIRE_MESSAGE(outcome.state == TaskState::success, outcome.message);
    const Value value = outcome.value.value().value();
    return *value.find("stdout")->get_if<std::string>();
  }
  std::string output_of(const Outcome& outcome, const std::string& name) {
    BOOST_REQUIRE_MESSAGE(outcome.state == TaskState::success, outcome.message);
    const Value value = outcome.value.value().value();
    return blobs->get(as_file(*value.find("outputs")->find(name))->content).value();
  }
};

CommandBody with_outputs(CommandBody body, std::vector<std::string> outputs) {
  body.outputs = std::move(outputs);
  return body;
}

}  // namespace

BOOST_FIXTURE_TEST_SUITE(command, Commands)

BOOST_AUTO_TEST_CASE(a_success_has_exit_outputs_and_what_it_printed) {
  const Outcome outcome = run(
      with_outputs(shell("echo hello; echo warn >&2; mkdir sub; printf x > sub/a; printf y > b"),
                   {"sub/a", "b"}));
  BOOST_TEST((outcome.state == TaskState::success));
  BOOST_TEST((outcome.failure == FailureClass::none));
  BOOST_TEST(outcome.executed);
  BOOST_TEST((outcome.value == *Payload::of(command_result({}))) == false);
  const Value value = outcome.value.value().value();
  BOOST_TEST((*value.find("exit") == Value(0)));
  BOOST_TEST(stdout_of(outcome) == "hello\n");
  BOOST_TEST(output_of(outcome, "sub/a") == "x");
  BOOST_TEST(output_of(outcome, "b") == "y");
  BOOST_TEST(log(Stream::out) == "hello\n");
  BOOST_TEST(log(Stream::err) == "warn\n");
}

BOOST_AUTO_TEST_CASE(the_folder_is_fresh_and_gone_afterwards) {
  OneTask task(shell("pwd; ls -A; echo left > over; mkdir -p d/e; chmod 000 d"));
  task.flow.folder = flows.string();
  LocalRunner runner(options());
  const Outcome first = runner.run(task.attempt(run_folder, 1), {});
  const Outcome second = runner.run(task.attempt(run_folder, 2), {});
  std::istringstream lines(stdout_of(second));
  std::string working;
  std::string rest;
  std::getline(lines, working);
  BOOST_TEST(working.starts_with((run_folder / "attempts").string()));
  BOOST_TEST(!std::getline(lines, rest), rest);
  runner.tidy();  // as a slot does
  BOOST_TEST(!std::filesystem::exists(working + "/over"));
  BOOST_TEST(stdout_of(first) == stdout_of(second));
}

BOOST_AUTO_TEST_CASE(nothing_of_the_attempts_remains_when_the_runner_goes) {
  static_cast<void>(run(shell("echo x > y")));
  BOOST_TEST(!std::filesystem::exists(run_folder / "attempts"));
}

BOOST_AUTO_TEST_CASE(a_failure_has_exit_code_and_the_last_line_of_stderr) {
  const Outcome outcome = run(shell("printf 'first\\nbad \\033[31mthing\\n\\n  \\n' >&2; exit 2"));
  BOOST_TEST((outcome.state == TaskState::failed && outcome.failure == FailureClass::task));
  BOOST_TEST(outcome.exit_code == 2);
  BOOST_TEST(outcome.message == "exit 2: bad \\x1b[31mthing");
  BOOST_TEST(outcome.value.is_none());
  BOOST_TEST(outcome.executed);
  BOOST_TEST(run(shell("exit 3")).message == "exit 3");
  const Outcome wordy = run(shell("head -c 100000 /dev/zero | tr '\\0' x >&2; exit 1"));
  BOOST_TEST(wordy.message.size() < 230U);
}

BOOST_AUTO_TEST_CASE(a_script_stops_at_its_first_error_and_unset_variable) {
  BOOST_TEST(run(shell("false; echo not reached")).exit_code == 1);
  BOOST_TEST((run(shell("echo $NOPE")).state == TaskState::failed));
}

BOOST_AUTO_TEST_CASE(a_signal_has_a_class_and_a_name) {
  const Outcome outcome = run(shell("kill -SEGV $$"));
  BOOST_TEST((outcome.state == TaskState::failed && outcome.failure == FailureClass::signal));
  BOOST_TEST(outcome.signal == 11);
  BOOST_TEST(outcome.message == "ended by signal 11 (SIGSEGV)");
}

BOOST_AUTO_TEST_CASE(a_missing_program_names_where_it_was_looked_for) {
  const Outcome outcome = run(argv({"no-such-program"}));
  BOOST_TEST((outcome.state == TaskState::failed && outcome.failure == FailureClass::cannot_start));
  BOOST_TEST(outcome.message ==
             "cannot run \"no-such-program\": no such file in PATH /usr/bin:/bin");
  BOOST_TEST(!outcome.executed);
  BOOST_TEST(run(argv({"./nope.sh"})).message ==
             "cannot run \"./nope.sh\": no such file in the flow's folder \"" + flows.string() +
                 "\"");
  BOOST_TEST(run(argv({"/no/such"})).message ==
             "cannot run \"/no/such\": no such file, or its interpreter is missing");
}

BOOST_AUTO_TEST_CASE(the_environment_is_exactly_the_allow_list) {
  const std::string text = stdout_of(run(argv({"env"})));
  std::istringstream lines(text);
  std::set<std::string> names;
  for (std::string line; std::getline(lines, line);) names.insert(line.substr(0, line.find('=')));
  BOOST_TEST(std::erase_if(names, [](const std::string& name) {
               return name.starts_with("REPRISE_CTX_");
             }) > 10u);
  BOOST_TEST((names == std::set<std::string>{"PATH", "HOME", "REPRISE_RUN", "REPRISE_TASK",
                                             "REPRISE_ATTEMPT", "REPRISE_RUN_COUNT",
                                             "REPRISE_CONTEXT_FILE", "REPRISE_SIGNAL_FILE"}),
             text);
}

BOOST_AUTO_TEST_CASE(a_command_leaves_no_core_dump) {
  // It is forbidden a moment after the start.
  const Outcome outcome =
      run(shell("i=0; while test \"$(ulimit -c)\" != 0 && test $i -lt 500; do i=$((i+1)); "
                "sleep 0.01; done; ulimit -c"));
  BOOST_TEST(stdout_of(outcome) == "0\n");
}

BOOST_AUTO_TEST_CASE(memory_beyond_what_the_task_declares_is_not_given_and_the_message_says_so) {
  OneTask task(
      shell("i=0; while test \"$(ulimit -v)\" = unlimited && test $i -lt 500; do "
            "i=$((i+1)); sleep 0.01; done; ulimit -v; "
            "echo 'cannot allocate memory' >&2; exit 1"));
  task.kind().resources.memory_bytes = 512u << 20;
  const Outcome outcome = run(task);
  BOOST_TEST(outcome.message ==
             "out of memory: it may use 512.0 MiB; exit 1: cannot allocate memory");
  BOOST_TEST((outcome.state == TaskState::failed && outcome.failure == FailureClass::memory));
  BOOST_TEST(log(Stream::out) == "524288\n");
}

BOOST_AUTO_TEST_CASE(a_script_of_the_flow_runs_in_the_attempts_folder) {
  write_file(flows / "tools" / "where.sh", "#!/bin/sh\necho \"$0\"; pwd\n");
  std::filesystem::permissions(flows / "tools" / "where.sh", std::filesystem::perms::owner_all);
  const std::string text = stdout_of(run(argv({"./tools/where.sh"})));
  BOOST_TEST(text.find((flows / "tools/where.sh").string()) == 0U);
  BOOST_TEST(text.find((run_folder / "attempts").string()) != std::string::npos);
}

BOOST_AUTO_TEST_CASE(cwd_flow_runs_in_the_flows_folder) {
  write_file(flows / "here", "yes");
  CommandBody body = with_outputs(shell("cat here; echo made > result"), {"result"});
  body.in_flow_folder = true;
  const Outcome outcome = run(body);
  BOOST_TEST(stdout_of(outcome) == "yes");
  BOOST_TEST(output_of(outcome, "result") == "made\n");
  BOOST_TEST(std::filesystem::exists(flows / "result"));
}

BOOST_AUTO_TEST_CASE(input_files_are_there_and_the_originals_are_safe) {
  write_file(flows / "data" / "x.csv", "1,2\n");
  CommandBody body = shell(
      "cat data/x.csv inputs/0/r.fq r.fq \"$REPRISE_INPUT_fetch\"; "
      "(echo changed >> data/x.csv) 2>/dev/null || true; (echo changed >> r.fq) 2>/dev/null || "
      "true; "
      "echo ${{ fetch.outputs['r.fq'] }} > /dev/null; test ! -w / || exit 0; test ! -w data/x.csv");
  body.input_files = {{"data/x.csv", {}}, {"${{ fetch.outputs['r.fq'] }}", {}}};
  OneTask task(body);
  const FileValue reads = blob("ACGT\n");
  task.with_upstream("fetch", command_result({{"r.fq", reads}}));
  BOOST_TEST(stdout_of(run(task)) == "1,2\nACGT\nACGT\nACGT\n");
  BOOST_TEST(read_file(flows / "data" / "x.csv") == "1,2\n");
  BOOST_TEST(blobs->get(reads.content).value() == "ACGT\n");
}

BOOST_AUTO_TEST_CASE(large_input_files_are_linked) {
  const std::string big(5 << 20, 'x');
  write_file(flows / "big", big);
  CommandBody body = shell("wc -c < big; wc -c < \"$REPRISE_INPUT_fetch\"");
  body.input_files = {{"big", {}}};
  OneTask task(body);
  task.with_upstream("fetch", command_result({{"huge", blob(big)}}));
  BOOST_TEST(stdout_of(run(task)) == "5242880\n5242880\n");
}

BOOST_AUTO_TEST_CASE(a_missing_input_file_is_named) {
  CommandBody body = argv({"true"});
  body.input_files = {{"nope.csv", {}}};
  const Outcome outcome = run(body);
  BOOST_TEST((outcome.failure == FailureClass::cannot_start));
  BOOST_TEST(outcome.message.find("nope.csv") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(a_program_that_an_upstream_built_can_be_run) {
  write_file(folder.path() / "prog", "#!/bin/sh\necho built $1\n");
  std::filesystem::permissions(folder.path() / "prog", std::filesystem::perms::owner_all);
  const FileValue program = blobs->put_file(folder.path() / "prog").value();
  OneTask task(argv({"${{ build.outputs['prog'] }}", "well"}));
  task.with_upstream("build", command_result({{"prog", program}}));
  BOOST_TEST(stdout_of(run(task)) == "built well\n");
}

BOOST_AUTO_TEST_CASE(a_declared_output_must_be_made_and_be_a_file) {
  const Outcome missing = run(with_outputs(shell("true"), {"x"}));
  BOOST_TEST((missing.state == TaskState::failed && missing.failure == FailureClass::task));
  BOOST_TEST(missing.message == "declared output \"x\" was not made");
  BOOST_TEST(run(with_outputs(shell("mkdir x"), {"x"})).message ==
             "declared output \"x\" is a folder; name the files in it, or pack them into one");
  BOOST_TEST(run(with_outputs(shell("mkfifo x"), {"x"})).message ==
             "declared output \"x\" is no file");
  BOOST_TEST(run(with_outputs(shell("true"), {"../x"})).message ==
             "declared output \"../x\" is no path below the task's folder");
  BOOST_TEST(run(with_outputs(shell("echo > a"), {"a/b"})).message ==
             "declared output \"a/b\" was not made");
}

BOOST_AUTO_TEST_CASE(an_output_behind_a_symbolic_link_is_refused) {
  write_file(folder.path() / "private" / "secret", "hunter2");
  const std::string target = (folder.path() / "private").string();
  for (const auto& [script, output] :
       std::vector<std::pair<std::string, std::string>>{{"ln -s " + target + "/secret x", "x"},
                                                        {"ln -s " + target + " d", "d/secret"},
                                                        {"ln -s ../../.. up", "up/private/secret"},
                                                        {"echo y > y; ln -s y x", "x"}}) {
    const Outcome outcome = run(with_outputs(shell(script), {output}));
    BOOST_TEST((outcome.state == TaskState::failed), script);
    BOOST_TEST(outcome.message.find("symbolic link") != std::string::npos, outcome.message);
  }
}

BOOST_AUTO_TEST_CASE(output_that_is_no_text_is_bytes_and_long_output_is_cut_between_characters) {
  const Outcome bytes = run(shell("printf '\\377'"));
  BOOST_TEST((bytes.state == TaskState::success));
  BOOST_TEST((*bytes.value.value()->find("stdout") == Value(Bytes{"\xff"})));
  // Three bytes a character: 65536 is not a multiple.
  const std::string text = stdout_of(run(
      shell("i=0; while test $i -lt 300; do printf '%0100d' 0 | sed 's/0/€/g'; i=$((i+1)); done")));
  BOOST_TEST(text.size() == 65535U);
}

BOOST_AUTO_TEST_CASE(the_log_is_capped_and_the_command_goes_on) {
  limits.stream_bytes = 1000;
  const Outcome outcome = run(shell("head -c 200000 /dev/zero | tr '\\0' x; echo end >&2"));
  BOOST_TEST((outcome.state == TaskState::success));
  BOOST_TEST(log(Stream::out) == std::string(1000, 'x') + "\n… output truncated at 1000 B\n");
  BOOST_TEST(log(Stream::err) == "end\n");
}

BOOST_AUTO_TEST_CASE(names_are_never_paths) {
  OneTask task(shell("printf '%s' \"$REPRISE_TASK\"; cat \"$REPRISE_INPUT______evil\""),
               "../../x\x1b");
  task.with_upstream("../../evil", Value("v"));
  std::string variable;
  for (const ExposedInput& input : exposed_inputs(task.attempt(run_folder, 7)))
    variable = input.variable;
  OneTask again(shell("printf '%s' \"$REPRISE_TASK\"; cat \"$" + variable + "\""), "../../x\x1b");
  again.with_upstream("../../evil", Value("v"));
  BOOST_TEST(stdout_of(run(again)) == "../../x\x1b\"v\"\n");
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder.path())) {
    BOOST_TEST(entry.path().string().find("evil") == std::string::npos);
  }
}

BOOST_AUTO_TEST_CASE(a_time_limit_ends_the_whole_tree) {
  OneTask task(shell("setsid sh -c 'echo $$ > ../../pid; sleep 1000' & sleep 1000"));
  task.kind().timeout = 300ms;
  task.flow.folder = flows.string();
  std::atomic<bool> is_over{false};
  Outcome outcome;
  {
    SlotPool pool({.slots = 1, .grace = 2s}, std::make_shared<LocalRunner>(options()),
                  [&](std::vector<Finished> batch) {
                    outcome = batch[0].outcome;
                    is_over = true;
                  });
    pool.submit({task.attempt(run_folder, 7)});
    BOOST_REQUIRE(eventually([&] { return is_over.load(); }));
  }
  BOOST_TEST((outcome.state == TaskState::timed_out && outcome.failure == FailureClass::timeout));
  BOOST_TEST(outcome.message == "timed out after 300ms");
  BOOST_TEST(outcome.signal == SIGTERM);
  const std::string pid = read_file(run_folder / "pid");
  BOOST_REQUIRE(!pid.empty());
  const std::string state = read_file("/proc/" + pid.substr(0, pid.find('\n')) + "/stat");
  BOOST_TEST((state.empty() || state.find(") Z ") != std::string::npos), state);
}

BOOST_AUTO_TEST_CASE(cancelling_a_command_reports_it_as_cancelled) {
  OneTask task(shell("echo started; sleep 1000"));
  std::stop_source stop;
  Outcome outcome;
  std::thread thread([&] { outcome = run(task, stop.get_token()); });
  BOOST_TEST(eventually([&] { return log(Stream::out) == "started\n"; }));  // from the first byte
  stop.request_stop();
  thread.join();
  BOOST_TEST((outcome.state == TaskState::cancelled && outcome.failure == FailureClass::cancelled));
}

BOOST_AUTO_TEST_CASE(the_same_attempt_gives_the_same_result) {
  OneTask task(shell("md5sum ${{ fetch.outputs['r.fq'] }}; pwd > /dev/null"));
  const FileValue reads = blob("ACGT\n");
  task.with_upstream("fetch", command_result({{"r.fq", reads}}));
  const Payload first = run(task).value;
  run_folder = folder.path() / "another run";
  OneTask other(shell("md5sum ${{ fetch.outputs['r.fq'] }}; pwd > /dev/null"));
  other.with_upstream("fetch", command_result({{"r.fq", reads}}));
  BOOST_TEST((run(other).value == first));
}

BOOST_AUTO_TEST_CASE(a_thousand_commands_through_the_pool) {
  OneTask task(argv({"/bin/true"}));
  task.flow.folder = flows.string();
  std::atomic<int> right{0};
  SlotPool pool({.slots = 2}, std::make_shared<LocalRunner>(options()),
                [&](std::vector<Finished> batch) {
                  for (const Finished& done : batch)
                    right += done.outcome.state == TaskState::success;
                });
  std::vector<Attempt> all;
  for (std::uint32_t i = 0; i < 1000; ++i) all.push_back(task.attempt(run_folder, i));
  pool.submit(std::move(all));
  BOOST_TEST(eventually([&] { return right == 1000; }, 60s));
  BOOST_TEST(!std::filesystem::exists(run_folder / "logs"));  // nothing was printed
}

// ---- signals

BOOST_AUTO_TEST_CASE(a_signal_wins_over_the_exit_code) {
  const auto signalling = [&](const std::string& json, const std::string& then = "") {
    return run(shell("printf '%s' '" + json + "' > \"$REPRISE_SIGNAL_FILE\"; " + then));
  };
  const Outcome skip = signalling(R"({"signal": "skip", "message": "nothing new", "value": [1]})",
                                  "echo no >&2; exit 3");
  BOOST_TEST((skip.state == TaskState::skipped));
  BOOST_TEST((skip.failure == FailureClass::none));
  BOOST_TEST(skip.message == "nothing new");
  BOOST_TEST(to_json(skip.value.value().value()) == "[1]");
  BOOST_TEST(skip.executed);

  const Time before = now();
  const Outcome retry = signalling(R"({"signal": "retry", "in": "1h"})");
  BOOST_TEST((retry.state == TaskState::retrying));
  BOOST_REQUIRE(retry.start_time);
  BOOST_TEST((*retry.start_time >= before + 1h && *retry.start_time <= now() + 1h));

  const Outcome pause = signalling(R"({"signal": "pause", "message": "look at it"})", "kill -9 $$");
  BOOST_TEST((pause.state == TaskState::paused));
  BOOST_TEST(!pause.start_time);

  const Outcome loop = signalling(R"({"signal": "loop", "value": {"page": 2}})");
  BOOST_TEST((loop.state == TaskState::looped));
  BOOST_TEST(to_json(loop.value.value().value()) == R"({"page":2})");
  BOOST_TEST(signalling(R"({"signal": "loop"})").value.is_nil());

  const Outcome fail = signalling(R"({"signal": "fail"})");
  BOOST_TEST((fail.state == TaskState::failed && fail.failure == FailureClass::task));
  BOOST_TEST(fail.message == "it signalled fail");
  BOOST_TEST((signalling(R"({"signal": "validation-fail"})").failure == FailureClass::validation));
  BOOST_TEST((signalling(R"({"signal": "trigger-fail"})").state == TaskState::trigger_failed));
}

BOOST_AUTO_TEST_CASE(a_signalled_success_has_outputs_and_a_value) {
  const Outcome outcome = run(with_outputs(
      shell(R"(echo x > a; echo '{"signal": "success", "value": 42}' > "$REPRISE_SIGNAL_FILE"
               echo printed; exit 4)"),
      {"a"}));
  BOOST_TEST(output_of(outcome, "a") == "x\n");
  BOOST_TEST(stdout_of(outcome) == "printed\n");
  const Value value = outcome.value.value().value();
  BOOST_TEST((*value.find("value") == Value(42)));
  BOOST_TEST((*value.find("exit") == Value(4)));
  // What it declared to make it still has to make.
  const Outcome without =
      run(with_outputs(shell(R"(echo '{"signal": "success"}' > "$REPRISE_SIGNAL_FILE")"), {"a"}));
  BOOST_TEST((without.state == TaskState::failed));
}

BOOST_AUTO_TEST_CASE(a_signal_that_makes_no_sense_fails_the_attempt) {
  const Outcome outcome = run(shell(R"(echo '{"signal": "skipp"}' > "$REPRISE_SIGNAL_FILE")"));
  BOOST_TEST((outcome.state == TaskState::failed && outcome.failure == FailureClass::task));
  BOOST_TEST(
      outcome.message.find("the signal it left makes no sense: there is no signal \"skipp\"") == 0);
}

BOOST_AUTO_TEST_CASE(a_signal_is_for_its_own_attempt_and_lies_outside_of_the_folder) {
  OneTask task(shell(R"(case $REPRISE_SIGNAL_FILE in "$PWD"/*) exit 9;; esac
                        test ! -e "$REPRISE_SIGNAL_FILE"
                        test "$REPRISE_ATTEMPT" != "${REPRISE_ATTEMPT%.1.1}" || exit 0
                        echo '{"signal": "skip"}' > "$REPRISE_SIGNAL_FILE"
                        : > "$REPRISE_SIGNAL_FILE.unfinished")"));
  task.flow.folder = flows.string();
  {
    LocalRunner runner(options());
    BOOST_TEST((runner.run(task.attempt(run_folder, 1), {}).state == TaskState::skipped));
    BOOST_TEST((runner.run(task.attempt(run_folder, 2), {}).state == TaskState::success));
  }
  BOOST_TEST(!std::filesystem::exists(run_folder / "attempts"));
}

BOOST_AUTO_TEST_CASE(an_attempt_that_was_stopped_is_cancelled_whatever_it_signalled) {
  OneTask task(
      shell(R"(echo '{"signal": "success"}' > "$REPRISE_SIGNAL_FILE"; echo up; sleep 60)"));
  std::stop_source stop;
  std::jthread asker([&] {
    eventually([&] { return log(Stream::out) == "up\n"; });
    stop.request_stop();
  });
  BOOST_TEST((run(task, stop.get_token()).state == TaskState::cancelled));
}

BOOST_AUTO_TEST_CASE(exit_codes_mean_what_the_task_says) {
  CommandBody body = shell("echo page-2; echo why >&2; exit $CODE");
  body.exits = {{75, TaskState::retrying},
                {77, TaskState::skipped},
                {3, TaskState::success},
                {4, TaskState::looped},
                {5, TaskState::validation_failed}};
  const auto with_code = [&](const std::string& code) {
    body.environment["CODE"] = {code, {}};
    OneTask task(body);
    task.kind().retry.delay = 1h;
    return run(task);
  };
  BOOST_TEST((with_code("77").state == TaskState::skipped));
  const Outcome retry = with_code("75");
  BOOST_TEST((retry.state == TaskState::retrying && *retry.start_time > now() + 59min));
  BOOST_TEST(stdout_of(with_code("3")) == "page-2\n");
  BOOST_TEST(to_json(with_code("4").value.value().value()) == "\"page-2\"");
  const Outcome invalid = with_code("5");
  BOOST_TEST((invalid.state == TaskState::validation_failed));
  BOOST_TEST(invalid.message == "exit 5: why");
  BOOST_TEST(invalid.exit_code == 5);
  BOOST_TEST((with_code("6").state == TaskState::failed));
  BOOST_TEST((with_code("0").state == TaskState::success));
}

// ---- context

BOOST_AUTO_TEST_CASE(the_context_is_in_the_environment_and_in_a_file) {
  OneTask task(
      shell(R"(echo "$REPRISE_CTX_TASK_NAME $REPRISE_CTX_TASK_RUN_COUNT $REPRISE_CTX_RESUME"
                        echo "$REPRISE_CTX_MY_KEY ${REPRISE_CTX_LIST-none} ${REPRISE_CTX_MAP_INDEX-none}"
                        cat "$REPRISE_CONTEXT_FILE")"));
  Attempt attempt = task.attempt(run_folder, 7);
  auto context = std::make_shared<RunContext>(*attempt.context);
  context->context = {{"my-key", *Payload::of(Value(2.5))},
                      {"MY_KEY", *Payload::of(Value("loses"))},
                      {"list", *Payload::of(Value(List{1, "b"}))},
                      {"zero", *Payload::of(Value(std::string("a\0b", 3)))}};
  attempt.context = context;
  attempt.run_count = 3;
  attempt.loop_result = *Payload::of(Value(Map{{"page", 7}}));
  LocalRunner runner(options());
  std::istringstream lines(stdout_of(runner.run(attempt, {})));
  std::string line;
  std::getline(lines, line);
  BOOST_TEST(line == "work 3 false");
  std::getline(lines, line);
  BOOST_TEST(line == "2.5 none none");
  std::getline(lines, line);
  const Value file = from_json(line).value();
  BOOST_TEST(to_json(*file.find("list")) == R"([1,"b"])");
  BOOST_TEST(to_json(*file.find("task_loop_result")) == R"({"page":7})");
  BOOST_TEST((*file.find("map_index") == Value{}));
  BOOST_TEST((*file.find("zero") == Value(std::string("a\0b", 3))));
}

BOOST_AUTO_TEST_CASE(what_a_run_is_told_anew_is_not_what_its_commands_were_told_before) {
  OneTask task(
      shell(R"(echo "$REPRISE_CTX_STAGE $REPRISE_CTX_TASK_ID"; cat "$REPRISE_CONTEXT_FILE")"));
  LocalRunner runner(options());
  const auto told = [&](const char* stage) {
    Attempt attempt = task.attempt(run_folder, 7);
    auto context = std::make_shared<RunContext>(*attempt.context);
    context->context = {{"stage", *Payload::of(Value(stage))},
                        {"Task-Id", *Payload::of(Value("not of the run"))}};
    attempt.context = context;
    return stdout_of(runner.run(attempt, {}));
  };
  const std::string first = told("test"), second = told("production");
  BOOST_TEST(first.starts_with("test work\n"));
  BOOST_TEST(first.find(R"("stage":"test")") != std::string::npos);
  BOOST_TEST(first.find(R"("Task-Id":"not of the run")") != std::string::npos);
  BOOST_TEST(second.starts_with("production work\n"));
  BOOST_TEST(second.find(R"("stage":"production")") != std::string::npos);
}

// ---- secrets

BOOST_AUTO_TEST_CASE(a_secret_reaches_the_command_and_nothing_that_is_kept) {
  write_file(folder.path() / "secrets/token", "hunter2\n");
  ::chmod((folder.path() / "secrets/token").c_str(), 0600);
  CommandBody body = shell(R"(test ${#TOKEN} = 7; echo "out $TOKEN"; echo "err $TOKEN" >&2
      printf '{"signal": "fail", "message": "bad %s", "value": ["%s"]}' "$TOKEN" "$TOKEN" > "$REPRISE_SIGNAL_FILE")");
  body.environment["TOKEN"] = {"secret://token", {}};
  OneTask task(body);
  LocalRunner::Options how = options();
  how.secrets = folder.path() / "secrets";
  LocalRunner runner(how);
  const Outcome outcome = runner.run(task.attempt(run_folder, 7), {});
  BOOST_TEST((outcome.state == TaskState::failed));
  BOOST_TEST(outcome.message == "bad ***");
  BOOST_TEST(to_json(outcome.value.value().value()) == R"(["***"])");
  BOOST_TEST(log(Stream::out) == "out ***\n");
  BOOST_TEST(log(Stream::err) == "err ***\n");
}

BOOST_AUTO_TEST_CASE(a_secret_that_is_not_there_keeps_the_command_from_starting) {
  CommandBody body = shell("true");
  body.environment["TOKEN"] = {"secret://token", {}};
  const Outcome outcome = run(body);
  BOOST_TEST((outcome.failure == FailureClass::cannot_start));
  BOOST_TEST(outcome.message.find("environment variable \"TOKEN\": secret \"token\"") == 0);
  BOOST_TEST(!outcome.executed);
}

BOOST_AUTO_TEST_CASE(what_a_parameter_says_is_no_secret) {
  OneTask task(shell("echo $TOKEN"));
  std::get<CommandBody>(task.kind().body).environment["TOKEN"] = {"${{ params.p }}", {}};
  task.with_parameter("p", Value("secret://token"));
  BOOST_TEST(stdout_of(run(task)) == "secret://token\n");
}

// ---- hooks

BOOST_AUTO_TEST_CASE(a_hooks_command_is_told_the_states_and_cannot_signal) {
  OneTask task(shell("true"));
  const auto told = folder.path() / "told";
  Hook hook;
  hook.on = {"failed"};
  hook.body = shell(
      "printf '%s\\n' \"$REPRISE_STATE $REPRISE_STATE_BEFORE $REPRISE_MESSAGE $REPRISE_TASK "
      "$REPRISE_RUN ${REPRISE_SIGNAL_FILE-none}\" >> " +
      told.string());
  Hook other = hook;
  other.on = {"success"};
  task.kind().hooks = {other, hook, hook};
  Attempt attempt = task.attempt(run_folder, 7);
  Question question;
  question.before.state = TaskState::running;
  question.after = {TaskState::timed_out, "too\nslow", {}, {}};
  attempt.question = std::make_shared<const Question>(question);
  LocalRunner runner(options());
  const Outcome outcome = runner.run(attempt, {});
  BOOST_TEST((outcome.state == TaskState::timed_out));
  const std::string line = "timed_out running too\\nslow work 01ARZ3NDEKTSV4RRFFQ69G5FAV none\n";
  BOOST_TEST(read_file(told) == line + line);
}

BOOST_AUTO_TEST_CASE(a_hook_of_the_run_knows_no_task) {
  OneTask task(shell("true"));
  Hook hook;
  hook.body = shell(
      "printf '%s\\n' \"$REPRISE_STATE ${REPRISE_TASK-none} ${REPRISE_CTX_TASK_NAME-none} "
      "$REPRISE_CTX_FLOW_RUN_ID\"; false");
  task.flow.run_hooks = {hook};
  Attempt attempt = task.attempt(run_folder);
  Question question;
  question.kind = Question::Kind::run_hooks;
  question.run_after = RunState::failed;
  attempt.task = TaskId{9};
  attempt.question = std::make_shared<const Question>(question);
  std::vector<std::string> warnings;
  LocalRunner::Options how = options();
  how.warn = [&](std::string line) { warnings.push_back(std::move(line)); };
  LocalRunner runner(how);
  BOOST_TEST((runner.run(attempt, {}).state == TaskState::running));  // as it was
  BOOST_TEST(open_log(run_folder, TaskId{9}, 1, Stream::out)->read(0, 1000).value() ==
             "failed none none 01ARZ3NDEKTSV4RRFFQ69G5FAV\n");
  BOOST_TEST(warnings == std::vector<std::string>{"a hook's command failed: exit 1"});
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE_END()
