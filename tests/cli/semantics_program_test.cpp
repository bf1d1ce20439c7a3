// What tasks and runs mean, through the real program: signals, hooks, contexts, secrets, the tasks
// that decide.
#include <boost/test/unit_test.hpp>

#include <sys/stat.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>

#include <nlohmann/json.hpp>

#include "tests/cli/program.hpp"
#include "tests/cli/schema_check.hpp"

BOOST_TEST_DONT_PRINT_LOG_VALUE(std::vector<std::string>)

BOOST_AUTO_TEST_SUITE(semantics_program_tests)

using namespace reprise::cli::test;
using Json = nlohmann::json;

namespace {

struct Place : Home {
  Place() {
    // Where the program under test is found by the tasks it runs.
    environment["PATH"] = std::string(std::getenv("REPRISE_BIN_DIR")) + ":/usr/bin:/bin";
  }

  Json document(std::vector<std::string> arguments) {
    arguments.emplace_back("--json");
    return document_in(run(std::move(arguments)));
  }

  /// The states of a task in the last run, in order.
  std::vector<std::string> states_of(const std::string& task) {
    std::vector<std::string> states;
    const Json all = document({"events", "last"});
    for (const Json& event : all["events"])
      if (event.value("task", "") == task) states.push_back(event["state"]);
    return states;
  }
  [[nodiscard]] std::string last_state_of(const std::string& task) {
    const auto states = states_of(task);
    return states.empty() ? "" : states.back();
  }
};

std::string message_of(const Finished& f) {
  return "out: " + f.out + "\nerr: " + f.err;
}

using States = std::vector<std::string>;

}  // namespace

BOOST_FIXTURE_TEST_SUITE(program_semantics, Place)

BOOST_AUTO_TEST_CASE(each_signal_ends_the_attempt_in_its_state) {
  write("signals.yaml", R"(version: 1
defaults: {retry: {max: 3}}
tasks:
  skip: {run: [reprise, signal, skip, --message, nothing new]}
  below: {needs: [skip], run: ["false"]}
  success: {shell: "reprise signal success --value '{\"rows\": 3}'; exit 9"}
  fail: {shell: "reprise signal fail --message 'no way'", retry: {max: 0}, allow_failure: true}
  refuse: {shell: "reprise signal validation-fail", retry: {max: 0}, allow_failure: true}
  trigger: {shell: "reprise signal trigger-fail", retry: {max: 0}, allow_failure: true}
  again: {shell: "test $REPRISE_RUN_COUNT = 2 || reprise signal retry", retry: {max: 0}}
  loop: {shell: "test $REPRISE_CTX_TASK_LOOP_COUNT = 4 || reprise signal loop --value $((${REPRISE_CTX_TASK_LOOP_RESULT:-0} + 10)); echo ${REPRISE_CTX_TASK_LOOP_RESULT:-0}"}
outputs: {rows: "${{ success.value['rows'] }}", last: "${{ loop.stdout }}"}
)");
  const Json result = document({"run", "signals.yaml"});
  BOOST_TEST(result["state"] == "success", result.dump());
  BOOST_TEST(result["outputs"]["rows"] == 3);
  BOOST_TEST(result["outputs"]["last"] == "30\n");
  BOOST_TEST(last_state_of("skip") == "skipped");
  BOOST_TEST(last_state_of("below") == "skipped");
  BOOST_TEST(last_state_of("success") == "success");
  BOOST_TEST(last_state_of("fail") == "failed");
  BOOST_TEST(last_state_of("refuse") == "validation_failed");
  BOOST_TEST(last_state_of("trigger") == "trigger_failed");
  BOOST_TEST((states_of("again").back() == "success"));
  BOOST_TEST(std::ranges::count(states_of("again"), "retrying") == 1);
  BOOST_TEST(std::ranges::count(states_of("loop"), "looped") == 3);
}

BOOST_AUTO_TEST_CASE(a_command_can_pause_and_a_person_lets_it_go_on) {
  write("pause.yaml", R"(version: 1
tasks:
  ask: {shell: "test $REPRISE_CTX_RESUME = true || reprise signal pause --message 'look at it'"}
)");
  const Finished paused = run({"run", "pause.yaml"});
  BOOST_TEST(paused.code == 9, message_of(paused));
  BOOST_TEST(last_state_of("ask") == "paused");
  const Finished resumed = run({"resume", "last"});
  BOOST_TEST(resumed.code == 0, message_of(resumed));
}

constexpr const char* waiting_flow = R"(version: 1
tasks:
  first: {run: [echo]}
  ask: {needs: [first], run: [echo], trigger: manual_only}
  each: {map: {over: [x, y], as: v}, run: [echo, "${{ v }}"], trigger: manual_only}
  below: {needs: [ask], run: [echo]}
)";

BOOST_AUTO_TEST_CASE(tasks_that_wait_for_a_person_are_listed) {
  write("waits.yaml", waiting_flow);
  const Finished paused = run({"run", "waits.yaml"});
  BOOST_TEST(paused.code == 9, message_of(paused));
  BOOST_TEST(paused.err.find("paused: ask, each[x], each[y]") != std::string::npos, paused.err);
  BOOST_TEST(paused.err.find("reprise resume ") != std::string::npos, paused.err);
  const Json names{"ask", "each[x]", "each[y]"};
  const Json status = document({"status", "last"});
  BOOST_TEST(status["paused"] == names, status.dump());
  for (const Json& group : status["groups"]) {
    const bool waits = group["group"] == "ask" || group["group"] == "each";
    BOOST_TEST(
        group["waiting_reason"] == (waits ? Json("paused: until a person resumes it") : Json()),
        group.dump());
    BOOST_TEST(group["note"] == group["waiting_reason"]);
  }
  const Finished shown = run({"status", "last"});
  BOOST_TEST(shown.out.find("paused  ask, each[x], each[y]") != std::string::npos, shown.out);
  BOOST_TEST(shown.err.find("next: reprise resume ") != std::string::npos, shown.err);
  const Json resumed = document({"resume", "last", "ask"});
  BOOST_TEST(resumed["paused"] == Json({"each[x]", "each[y]"}), resumed.dump());
}

BOOST_AUTO_TEST_CASE(a_run_that_waits_for_a_person_can_be_cancelled) {
  write("waits.yaml", waiting_flow);
  BOOST_TEST(run({"run", "waits.yaml"}).code == 9);
  const Finished some = run({"cancel", "last", "ask"});
  BOOST_TEST(some.code == 6, message_of(some));
  BOOST_TEST(some.err.find("is paused; cancel all of it, or resume it first") != std::string::npos,
             some.err);
  BOOST_TEST(document({"cancel", "last", "--reason", "enough"})["state"] == "cancelled");
  const Json status = document({"status", "last"});
  BOOST_TEST(status["state"] == "cancelled", status.dump());
  BOOST_TEST(status["message"] == "enough");
  BOOST_TEST(status["summary"]["cancelled"] == 4, status.dump());
  BOOST_TEST(status["paused"].empty());
  BOOST_TEST(last_state_of("first") == "success");
  BOOST_TEST(last_state_of("below") == "cancelled");
  BOOST_TEST(run({"cancel", "last"}).code == 6);
  BOOST_TEST(run({"resume", "last"}).code == 6);
  // Its tasks are tried again like those of any other cancelled run.
  BOOST_TEST(document({"retry", "last", "--cancelled"})["state"] == "paused");
}

BOOST_AUTO_TEST_CASE(what_ran_and_was_stored_is_a_success_wherever_it_is_shown) {
  write("stored.yaml", "version: 1\ntasks: {src: {run: [echo, x], cache: true}}\n");
  BOOST_TEST(run({"run", "stored.yaml"}).code == 0);
  const Json explained = document({"explain", "last", "src"});
  BOOST_TEST(explained["state"] == "success");
  BOOST_TEST(explained["stored"] == true);
  BOOST_TEST(run({"explain", "last", "src"}).out.starts_with("src is success"));
  const std::string replayed = run({"replay", "last"}).out;
  BOOST_TEST(replayed.find("✓ success         src  stored") != std::string::npos, replayed);
  BOOST_TEST(replayed.find("cached") == std::string::npos, replayed);
  const Json past = document({"history", "--task", "src"});
  BOOST_TEST(past["entries"][0]["state"] == "success");
  BOOST_TEST(past["entries"][0]["stored"] == true);

  BOOST_TEST(run({"run", "stored.yaml"}).code == 0);
  const Json hit = document({"explain", "last", "src"});
  BOOST_TEST(hit["state"] == "cached");
  BOOST_TEST(hit["stored"] == false);
  const Json all = document({"history", "--task", "src"});
  const std::string first = all["entries"][1]["run"], second = all["entries"][0]["run"];
  const Json diff = document({"diff", first, second, "-v"});
  BOOST_REQUIRE(diff["tasks"].size() == 1u);
  BOOST_TEST(diff["tasks"][0]["left"]["state"] == "success");
  BOOST_TEST(diff["tasks"][0]["left"]["stored"] == true);
  BOOST_TEST(diff["tasks"][0]["right"]["state"] == "cached");
}

BOOST_AUTO_TEST_CASE(a_person_lets_single_paused_tasks_go_on) {
  write("two.yaml", R"(version: 1
tasks:
  left: {run: ["true"], trigger: manual_only}
  right: {run: ["true"], trigger: manual_only}
  free: {run: ["true"]}
)");
  BOOST_TEST(run({"run", "two.yaml"}).code == 9);
  const Finished unknown = run({"resume", "last", "lefd"});
  BOOST_TEST(unknown.code == 5, message_of(unknown));
  BOOST_TEST(unknown.err.find("did you mean \"left\"?") != std::string::npos, unknown.err);
  const Finished done = run({"resume", "last", "free"});
  BOOST_TEST(done.code == 6, message_of(done));
  const Finished half = run({"resume", "last", "left"});
  BOOST_TEST(half.code == 9, message_of(half));
  BOOST_TEST(half.err.find("continues where it stopped") != std::string::npos, half.err);
  BOOST_TEST(last_state_of("left") == "success");
  BOOST_TEST(last_state_of("right") == "paused");
  const Finished whole = run({"resume", "last", "right"});
  BOOST_TEST(whole.code == 0, message_of(whole));
  BOOST_TEST(last_state_of("right") == "success");
  BOOST_TEST(run({"resume", "--all", "last", "left"}).code == 2);
}

BOOST_AUTO_TEST_CASE(a_signal_outside_of_a_task_or_of_nonsense_is_a_usage_error) {
  for (const auto& arguments :
       std::vector<std::vector<std::string>>{{"signal", "skip"},
                                             {"signal"},
                                             {"signal", "skipp"},
                                             {"signal", "skip", "--in", "10s"},
                                             {"signal", "retry", "--value", "1"},
                                             {"signal", "retry", "--in", "soon"},
                                             {"signal", "success", "--value", "{"}}) {
    const Finished f = run(arguments);
    BOOST_TEST(f.code == 2, message_of(f));
    BOOST_TEST(f.out.empty());
    BOOST_TEST(!f.err.empty());
  }
  BOOST_TEST(run({"signal", "skip"}).err.find("REPRISE_SIGNAL_FILE is not set") !=
             std::string::npos);
  BOOST_TEST(run({"signal", "skipp"}).err.find("did you mean \"skip\"?") != std::string::npos);
  environment["REPRISE_SIGNAL_FILE"] = (path / "signal").string();
  BOOST_TEST(document({"signal", "retry", "--in", "90s"})["signal"] == "retry");
  BOOST_TEST(read("signal") == "{\"signal\":\"retry\",\"in\":\"90000ms\"}\n");
}

BOOST_AUTO_TEST_CASE(exit_codes_mean_what_the_flow_says) {
  write("exit.yaml", R"(version: 1
defaults: {retry: {max: 0}}
tasks:
  later: {shell: "test $REPRISE_RUN_COUNT = 3 || exit 75", exit: {75: retry}}
  none: {shell: "exit 77", exit: {75: retry, 77: skip}}
)");
  BOOST_TEST(run({"run", "exit.yaml"}).code == 0);
  BOOST_TEST(std::ranges::count(states_of("later"), "retrying") == 2);
  BOOST_TEST(last_state_of("none") == "skipped");
}

BOOST_AUTO_TEST_CASE(each_state_on_the_way_is_an_event) {
  write("way.yaml", R"(version: 1
tasks:
  again: {shell: "test $REPRISE_RUN_COUNT = 2", retry: {max: 1}}
  kept: {shell: "echo x", cache: true}
)");
  BOOST_TEST(run({"run", "way.yaml"}).code == 0);
  const States again = states_of("again");
  BOOST_REQUIRE(again.size() >= 3);
  const auto failed = std::ranges::find(again, "failed");
  BOOST_REQUIRE((failed != again.end() && failed + 1 != again.end()));
  BOOST_TEST(*(failed + 1) == "retrying");
  const States kept = states_of("kept");
  BOOST_REQUIRE(kept.size() >= 2);
  BOOST_TEST((States(kept.end() - 2, kept.end()) == States{"success", "success"}));
  const std::string shown = run({"events", "last"}).out;
  BOOST_TEST(shown.find("cached          kept  stored") != std::string::npos, shown);
  const Json all = document({"events", "last"});
  for (const Json& event : all["events"]) {
    if (event.value("task", "") != "kept") continue;
    if (event["state"] != "success") continue;
    BOOST_TEST(event.value("on_the_way", false) == !event.value("stored", false));
  }
  // A hit is one state.
  BOOST_TEST(run({"run", "way.yaml"}).code == 0);
  BOOST_TEST((states_of("kept") == States{"cached"}));
}

BOOST_AUTO_TEST_CASE(hooks_are_told_of_tasks_and_of_the_run) {
  const std::string told = (path / "told").string();
  write("hooks.yaml", R"(version: 1
params: {told: {type: string}}
on:
  running: {shell: 'echo "run $REPRISE_STATE" >> $TOLD', env: {TOLD: "${{ params.told }}"}}
  failed:
    - {run: [sh, -c, 'echo "run $REPRISE_STATE: $REPRISE_MESSAGE" >> "$0"', "${{ params.told }}"]}
    - {run: [sh, -c, 'echo "run again" >> "$0"', "${{ params.told }}"]}
tasks:
  work:
    shell: "exit 3"
    retry: {max: 1}
    on:
      retrying: {shell: 'echo "$REPRISE_TASK $REPRISE_STATE_BEFORE $REPRISE_STATE" >> $TOLD', env: {TOLD: "${{ params.told }}"}}
      failed: {shell: 'echo "$REPRISE_TASK $REPRISE_STATE $REPRISE_MESSAGE" >> $TOLD', env: {TOLD: "${{ params.told }}"}}
      success: {run: [touch, "${{ params.told }}-never"]}
)");
  const Finished f = run({"run", "hooks.yaml", "-p", "told=" + told});
  BOOST_TEST(f.code == 1, message_of(f));
  const std::string all = read("told");
  BOOST_TEST(all.find("run running\nwork failed exit 3\nwork failed retrying\nwork failed exit "
                      "3\nrun failed") == 0,
             all);
  BOOST_TEST(all.ends_with("run again\n"));
  BOOST_TEST(!std::filesystem::exists(told + "-never"));
}

BOOST_AUTO_TEST_CASE(named_tasks_decide_the_run) {
  const std::string flow = R"(tasks:
  build: {run: ["true"]}
  notify: {needs: [build], run: ["false"]}
)";
  write("default.yaml", "version: 1\n" + flow);
  write("named.yaml", "version: 1\nreference: [build]\n" + flow);
  BOOST_TEST(run({"run", "default.yaml"}).code == 1);
  BOOST_TEST(run({"run", "named.yaml"}).code == 0);
}

BOOST_AUTO_TEST_CASE(the_context_is_given_on_the_command_line) {
  write("context.yaml", R"(version: 1
tasks:
  show: {shell: "echo $REPRISE_CTX_STAGE $REPRISE_CTX_COUNT ${REPRISE_CTX_TAGS-none} $REPRISE_CTX_YESTERDAY; cat $REPRISE_CONTEXT_FILE", cache: true}
outputs: {text: "${{ show.stdout }}"}
)");
  const Json result = document({"run", "context.yaml", "-c", "stage=blue=green", "-c", "count=3",
                                "-c", "tags=[1, 2]", "-c", "date=2026-03-01"});
  const std::string text = result["outputs"]["text"];
  BOOST_TEST(text.starts_with("blue=green 3 none 2026-02-28\n"), text);
  const Json file = Json::parse(text.substr(text.find('\n')));
  BOOST_TEST(file["tags"] == Json::parse("[1, 2]"));
  BOOST_TEST(file["task_run_count"] == 1);
  // No part of the key.
  BOOST_TEST(document({"run", "context.yaml", "-c", "stage=red"})["summary"]["cached"] == 1);
  for (const char* wrong : {"stage", "=x"})
    BOOST_TEST(run({"run", "context.yaml", "-c", wrong}).code == 2, wrong);
}

BOOST_AUTO_TEST_CASE(a_run_can_start_in_the_middle) {
  write("chain.yaml", R"(version: 1
tasks:
  first: {run: ["false"]}
  second: {needs: [first], run: ["true"]}
  third: {needs: [second], run: ["true"]}
)");
  const Finished f = run({"run", "chain.yaml", "--start-task", "second"});
  BOOST_TEST(last_state_of("second") == "success", message_of(f));
  BOOST_TEST(last_state_of("third") == "success");
  BOOST_TEST(last_state_of("first") != "failed");
  const Finished typo = run({"run", "chain.yaml", "--start-task", "secnod"});
  BOOST_TEST(typo.code == 2);
  BOOST_TEST(typo.err.find("did you mean \"second\"?") != std::string::npos, message_of(typo));
}

BOOST_AUTO_TEST_CASE(a_single_pass_does_not_wait_for_a_retry) {
  write("retry.yaml", R"(version: 1
tasks:
  busy: {run: ["false"], retry: {max: 1, delay: 1h}}
)");
  const Finished f = run({"run", "retry.yaml", "--single-pass"});
  BOOST_TEST(f.code == 9, message_of(f));
  BOOST_TEST(last_state_of("busy") == "retrying");
}

BOOST_AUTO_TEST_CASE(a_secret_is_given_to_the_command_alone) {
  write("secret.yaml", R"(version: 1
tasks:
  use:
    shell: "echo \"have $TOKEN\"; test ${#TOKEN} = 7"
    env: {TOKEN: "secret://token"}
    cache: true
outputs: {text: "${{ use.stdout }}"}
)");
  std::filesystem::create_directory(path / "secrets");
  write("secrets/token", "hunter2\n");
  const auto token = path / "secrets/token";
  ::chmod(token.c_str(), 0644);
  const Finished open = run({"run", "secret.yaml", "--secrets", "secrets"});
  BOOST_TEST(open.code == 1);
  BOOST_TEST(open.err.find("chmod 600") != std::string::npos, message_of(open));
  ::chmod(token.c_str(), 0600);
  const Json result = document({"run", "secret.yaml", "--secrets", "secrets"});
  BOOST_TEST(result["outputs"]["text"] == "have ***\n");
  BOOST_TEST(run({"logs", "last"}).out.find("have ***") != std::string::npos);
  // Nothing in the data directory, whatever its form, holds it.
  std::size_t files = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(path / "data")) {
    if (!entry.is_regular_file()) continue;
    ++files;
    std::ifstream in(entry.path(), std::ios::binary);
    const std::string bytes{std::istreambuf_iterator<char>(in), {}};
    BOOST_TEST(bytes.find("hunter2") == std::string::npos, entry.path());
  }
  BOOST_TEST(files > 3u);
  // Part of the key by its name only, and found in the folder that the environment names.
  write("secrets/token", "other\n");
  environment["REPRISE_SECRETS_DIR"] = (path / "secrets").string();
  BOOST_TEST(document({"run", "secret.yaml"})["summary"]["cached"] == 1);
}

BOOST_AUTO_TEST_CASE(a_result_found_at_its_target_is_not_made_again) {
  write("target.yaml", R"(version: 1
params: {day: {type: string}, tally: {type: string}}
tasks:
  make:
    shell: 'echo x >> "$TALLY"; echo "${{ params.day }}" > out.txt'
    env: {TALLY: "${{ params.tally }}"}
    outputs: [out.txt]
    target: "kept/${{ params.day }}.txt"
  up: {call: text.upper@1, args: [abc], target: up.json}
  use: {shell: "cat ${{ make.outputs['out.txt'] }}; echo ${{ up }}"}
  fails: {shell: "echo y > o; false", outputs: [o], target: failed.txt, allow_failure: true}
outputs: {text: "${{ use.stdout }}"}
)");
  const auto go = [&](const std::string& day) {
    return document(
        {"run", "target.yaml", "-p", "day=" + day, "-p", "tally=" + (path / "tally").string()});
  };
  BOOST_TEST(go("monday")["outputs"]["text"] == "monday\nABC\n");
  BOOST_TEST(read("kept/monday.txt") == "monday\n");
  BOOST_TEST(read("up.json") == "\"ABC\"\n");
  BOOST_TEST(!std::filesystem::exists(path / "failed.txt"));
  write("kept/monday.txt", "by hand\n");
  BOOST_TEST(go("monday")["outputs"]["text"] == "by hand\nABC\n");
  BOOST_TEST((states_of("make") == States{"cached"}));
  BOOST_TEST(run({"events", "last"})
                 .out.find("result found at target \"" + (path / "kept/monday.txt").string()) !=
             std::string::npos);
  BOOST_TEST(read("tally") == "x\n");
  BOOST_TEST(go("tuesday")["outputs"]["text"] == "tuesday\nABC\n");
  BOOST_TEST(read("tally") == "x\nx\n");
  const Json plan = document({"plan", "target.yaml", "-p", "day=monday", "-p", "tally=t"});
  BOOST_TEST(plan["summary"]["cached"] == 2, plan.dump());
}

// An output that could not be made was missing without a word, and the run a success.
BOOST_AUTO_TEST_CASE(a_run_whose_output_cannot_be_made_fails_and_says_which) {
  write("o.yaml",
        "version: 1\ntasks: {jp: {call: json.parse@1, args: [\"[1]\"]}}\n"
        "outputs: {bad: \"${{ jp[9] }}\", good: \"${{ jp[0] }}\"}\n");
  const Finished f = run({"run", "o.yaml"});
  BOOST_TEST(f.code == 1, message_of(f));
  BOOST_TEST(f.err.find("output \"bad\": ") != std::string::npos, message_of(f));
  BOOST_TEST(f.out.find("good = 1") != std::string::npos, message_of(f));
}

BOOST_AUTO_TEST_CASE(an_output_of_a_skipped_task_is_left_out) {
  write("o.yaml",
        "version: 1\ntasks:\n"
        "  a: {run: [\"true\"], when: \"false\"}\n"
        "  b: {run: [\"false\"], allow_failure: true}\n"
        "outputs: {a: \"${{ a.stdout }}\", b: \"${{ b.stdout }}\"}\n");
  const Finished f = run({"run", "o.yaml"});
  BOOST_TEST(f.code == 0, message_of(f));
}

// The cache may make a run faster, never fail it.
BOOST_AUTO_TEST_CASE(a_damaged_cache_fails_no_run) {
  write("c.yaml", "version: 1\ntasks: {a: {run: [\"true\"], cache: true}}\n");
  BOOST_TEST(run({"run", "c.yaml"}).code == 0);
  const auto cache = std::filesystem::path(environment.at("REPRISE_DATA")) / "cache.db";
  std::filesystem::remove(cache.string() + "-wal");
  std::filesystem::remove(cache.string() + "-shm");
  std::ofstream(cache) << "this is no database, and no part of one either; it is only long enough";
  const Finished f = run({"run", "c.yaml"});
  BOOST_TEST(f.code == 0, message_of(f));
  BOOST_TEST(f.err.find("the cache is not used and keeps nothing") != std::string::npos,
             message_of(f));
  BOOST_TEST(f.err.find("cache.db\" away") != std::string::npos, message_of(f));
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE_END()
