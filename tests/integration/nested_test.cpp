// Flows that run flows, from the outside: made by commands, killed in the middle, on a server.
#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <csignal>
#include <thread>

#include "tests/integration/site.hpp"
#include "tests/integration/tally.hpp"

BOOST_AUTO_TEST_SUITE(nested_tests)

using namespace reprise::integration;
using namespace std::chrono_literals;

namespace {

constexpr int steps = 20;

const std::string inner = R"(version: 1
name: inner
params: {n: {type: int}, tally: {type: string}}
tasks:
)" + tallied_step("0.1", "$I") +
                          R"(outputs: {last: "${{ step[params.n - 1].stdout }}"}
)";

constexpr const char* outer = R"(version: 1
name: outer
params: {n: {type: int, default: 20}, tally: {type: string}}
tasks:
  plan: {shell: cat inner.yaml > flow.yaml, inputs: [inner.yaml], outputs: [flow.yaml]}
  work:
    flow: "${{ plan.outputs['flow.yaml'] }}"
    params: {n: "${{ params.n }}", tally: "${{ params.tally }}"}
outputs: {last: "${{ work.last }}"}
)";

void write_flows(const Home& home) {
  home.write("inner.yaml", inner);
  home.write("outer.yaml", outer);
}

long ended_steps(const Home& home) {
  long ended = 0;
  for (const auto& [line, count] : tally_lines(home)) ended += line.starts_with("end");
  return ended;
}

/// All steps ran, those in `finished` once.
void check_steps(const Home& home, const std::vector<std::string>& finished) {
  auto all = tally_lines(home);
  for (int i = 0; i < steps; ++i) BOOST_TEST(all["end " + std::to_string(i)] >= 1, i);
  BOOST_TEST(!finished.empty());
  for (const std::string& name : finished) BOOST_TEST(all[beginning_of(name)] == 1, name);
}

Json row_of(const Json& runs, const std::string& flow) {
  for (const Json& row : runs.at("runs"))
    if (row.at("flow") == flow) return row;
  return Json::object();
}

struct Nesting : Home {
  Nesting() { write_flows(*this); }
  Json runs() { return invoke(*this, {"ps", "--all"}).document; }
  std::string id_of(const std::string& flow) { return row_of(runs(), flow).value("run", ""); }
  std::string state_of(const std::string& flow) { return row_of(runs(), flow).value("state", ""); }
};

}  // namespace

BOOST_FIXTURE_TEST_SUITE(nested, Nesting)

BOOST_AUTO_TEST_CASE(a_command_writes_a_flow_that_runs) {
  const Outcome o = invoke(*this, {"run", "outer.yaml", "-p", "n=3", "-p", tally_of(*this)});
  BOOST_REQUIRE_MESSAGE(o.code == 0, o.shown());
  BOOST_TEST(o.at("/outputs/last") == "2\n");
  BOOST_TEST(o.counted("executed") == 2);
  const Json row = row_of(runs(), "inner");
  BOOST_TEST(row.at("parent") == id_of("outer"));
  BOOST_TEST(row.at("parent_task") == "work");
  BOOST_TEST(row.at("state") == "success");
  // What people ran last is what they asked for.
  const Outcome status = invoke(*this, {"status", "last"});
  BOOST_TEST(status.text("flow") == "outer");
  BOOST_TEST(status.at("/parent").is_null());
  const Finished shown = run({"status", row.at("run")});
  BOOST_TEST(shown.out.find("nested in run " + id_of("outer").substr(0, 10) + ", task work") !=
                 std::string::npos,
             shown.out);
}

BOOST_AUTO_TEST_CASE(removing_a_run_removes_what_was_nested_in_it) {
  const auto begin = [&] {
    const Outcome o =
        invoke(*this, {"run", "outer.yaml", "--new", "-p", "n=1", "-p", tally_of(*this)});
    BOOST_REQUIRE_MESSAGE(o.code == 0, o.shown());
  };
  begin();
  const Finished removed = run({"runs", "rm", "last", "-y"});
  BOOST_TEST(removed.err.find("removed 1 run and 1 nested in it") != std::string::npos,
             removed.err);
  BOOST_TEST(runs().at("runs").empty());
  begin();
  begin();
  // The nested runs count with those around them, not for themselves.
  const Outcome collected = invoke(*this, {"runs", "gc", "--keep", "1", "-y"});
  BOOST_TEST(collected.at("/removed").size() == 2u, collected.shown());
  BOOST_TEST(runs().at("runs").size() == 2u);
  BOOST_TEST(row_of(runs(), "inner").at("parent") == id_of("outer"));
}

BOOST_AUTO_TEST_CASE(a_run_whose_nested_run_waits_for_a_person_is_cancelled_with_it) {
  write("asks.yaml", "version: 1\nname: asks\ntasks: {ask: {run: [echo], trigger: manual_only}}\n");
  write("around.yaml", "version: 1\nname: around\ntasks: {w: {flow: asks.yaml}}\n");
  BOOST_TEST(run({"run", "around.yaml"}).code == 9);
  BOOST_TEST(state_of("asks") == "paused");
  BOOST_TEST(run({"cancel", "last"}).code == 0);
  for (const char* flow : {"around", "asks"}) BOOST_TEST(state_of(flow) == "cancelled", flow);
}

BOOST_AUTO_TEST_CASE(
    a_nested_run_that_waits_is_not_taken_from_the_process_that_runs_the_outer_one) {
  write("asks.yaml", "version: 1\nname: asks\ntasks: {ask: {run: [echo], trigger: manual_only}}\n");
  write("around.yaml",
        "version: 1\nname: around\ntasks:\n  w: {flow: asks.yaml}\n"
        "  long: {shell: 'while [ ! -e go ]; do sleep 0.05; done', cwd: flow}\n");
  auto outer = start({"run", "around.yaml"});
  BOOST_REQUIRE(until([&] { return state_of("asks") == "paused"; }));
  const Finished refused = run({"cancel", id_of("asks")});
  BOOST_TEST(refused.code == 6, refused.err);
  BOOST_TEST(refused.err.find("cancel that one") != std::string::npos, refused.err);
  write("go", "");
  BOOST_TEST(outer->wait().code == 9);
  BOOST_TEST(run({"cancel", id_of("asks")}).code == 0);
  BOOST_TEST(state_of("asks") == "cancelled");
}

BOOST_AUTO_TEST_CASE(it_needs_neither_a_journal_nor_a_second_file) {
  write("static.yaml",
        "version: 1\nparams: {tally: {type: string}}\ntasks:\n"
        "  each:\n    map: {over: [1, 2], as: k}\n    flow: inner.yaml\n"
        "    params: {n: \"${{ k }}\", tally: \"${{ params.tally }}\"}\n"
        "outputs: {o: \"${{ each.map(e, e.last).join('') }}\"}\n");
  const Outcome o = invoke(
      *this, {"run", "static.yaml", "--durability", "none", "--slots", "1", "-p", tally_of(*this)});
  BOOST_REQUIRE_MESSAGE(o.code == 0, o.shown());
  BOOST_TEST(o.at("/outputs/o") == "0\n1\n");
}

BOOST_AUTO_TEST_CASE(results_within_are_kept_under_their_own_keys) {
  std::string cached = inner;
  cached.replace(cached.find("    env:"), 0, "    cache: true\n");
  write("inner.yaml", cached);
  for (int i = 0; i < 2; ++i) {
    const Outcome o =
        invoke(*this, {"run", "outer.yaml", "--new", "-p", "n=2", "-p", tally_of(*this)});
    BOOST_TEST(o.code == 0, o.shown());
  }
  BOOST_TEST(tally_lines(*this)["begin 0"] == 1);
}

BOOST_AUTO_TEST_CASE(what_is_no_flow_fails_its_task_and_says_where) {
  write("f.yaml",
        "version: 1\ntasks:\n"
        "  mk: {shell: \"printf 'version: 1\\ntasks: {x: {rum: [a]}}\\n' > f\", outputs: "
        "[f]}\n"
        "  w: {flow: \"${{ mk.outputs['f'] }}\"}\n");
  const Outcome o = invoke(*this, {"run", "f.yaml"});
  BOOST_TEST(o.code == 1);
  BOOST_TEST(o.at("/failures/0/task") == "w");
  BOOST_TEST(o.at("/failures/0/message") ==
             "the flow that it is to run has mistakes: 2:13: unknown key 'rum' in task 'x'");
}

BOOST_AUTO_TEST_CASE(a_failure_within_is_told_with_the_run_and_the_task) {
  write("inner.yaml",
        "version: 1\nname: inner\nparams: {n: {type: int}, tally: {type: string}}\ntasks:\n"
        "  x: {shell: exit 3}\n  y: {needs: [x], run: [\"true\"]}\n");
  const Outcome o = invoke(*this, {"run", "outer.yaml", "-p", tally_of(*this)});
  BOOST_TEST(o.code == 1);
  BOOST_TEST(o.at("/failures/0/message") ==
             "run " + id_of("inner").substr(0, 10) + " of flow \"inner\" failed: x: exit 3");
}

BOOST_AUTO_TEST_CASE(a_flow_that_runs_itself_comes_to_an_end) {
  const std::string self =
      "version: 1\nname: self\nparams: {me: {type: string}}\ntasks:\n"
      "  again: {flow: \"${{ params.me }}\", params: {me: \"${{ params.me }}\"}}\n";
  write("self.yaml", self);
  const Outcome o = invoke(*this, {"run", "self.yaml", "-p", "me=" + self});
  BOOST_TEST(o.code == 1);
  const std::string message = o.at("/failures/0/message");
  BOOST_TEST(message.ends_with(
                 "runs are nested more than 16 deep; does flow \"self\" run itself without end?"),
             message);
  BOOST_TEST(runs().at("runs").size() == 17u);
}

BOOST_AUTO_TEST_CASE(an_interrupt_cancels_what_is_nested) {
  const auto program = start({"run", "outer.yaml", "--slots", "2", "-p", tally_of(*this)});
  BOOST_REQUIRE(until([&] { return ended_steps(*this) >= 2; }));
  program->send(SIGINT);
  (void)program->wait();
  BOOST_TEST(state_of("outer") == "cancelled");
  BOOST_TEST(state_of("inner") == "cancelled");
  BOOST_TEST(ended_steps(*this) < steps);
}

BOOST_AUTO_TEST_CASE(who_goes_on_after_kill_9_goes_on_with_the_same_nested_run) {
  const Arguments command{"run", "outer.yaml", "--slots", "2", "-p", tally_of(*this)};
  const auto program = start(command);
  BOOST_REQUIRE(until([&] { return ended_steps(*this) >= 6; }));
  program->send(SIGKILL);
  BOOST_REQUIRE_EQUAL(program->wait().code, 128 + SIGKILL);
  const std::string nested = id_of("inner");
  BOOST_TEST(state_of("inner") == "interrupted");
  const std::vector<std::string> finished = succeeded(*this, nested);
  const Outcome o = invoke(*this, command);
  BOOST_REQUIRE_MESSAGE(o.code == 0, o.shown());
  BOOST_TEST(o.at("/continued") == true);
  BOOST_TEST(o.at("/outputs/last") == std::to_string(steps - 1) + "\n");
  BOOST_TEST(id_of("inner") == nested);
  BOOST_TEST(runs().at("runs").size() == 2u);
  check_steps(*this, finished);
}

BOOST_AUTO_TEST_CASE(only_outer_runs_are_resumed_with_all) {
  const auto program = start({"run", "outer.yaml", "--slots", "2", "-p", tally_of(*this)});
  BOOST_REQUIRE(until([&] { return ended_steps(*this) >= 2; }));
  program->send(SIGKILL);
  (void)program->wait();
  const Outcome o = invoke(*this, {"resume", "--all"});
  BOOST_REQUIRE_MESSAGE(o.code == 0, o.shown());
  BOOST_TEST(o.at("/runs").size() == 1u);
  BOOST_TEST(state_of("inner") == "success");
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(nested_on_a_server)

namespace {

Json runs_at(Site& site) {
  return Json::parse(site.ask({"ps", "--all", "--json"}).out);
}

}  // namespace

BOOST_AUTO_TEST_CASE(a_server_that_is_killed_goes_on_with_what_is_nested) {
  Site site;
  write_flows(site.home);
  site.start_worker("w1");
  const Finished id = site.ask({"submit", "outer.yaml", "--json", "-p", tally_of(site.home)});
  BOOST_REQUIRE_MESSAGE(id.code == 0, id.err);
  const std::string run = Json::parse(id.out).at("run");
  BOOST_REQUIRE(until([&] { return ended_steps(site.home) >= 6; }));
  const std::string nested = row_of(runs_at(site), "inner").at("run");
  const std::string listen = site.place;
  site.server->send(SIGKILL);
  (void)site.server->wait();
  site.start_server(listen);
  const Finished waited = site.ask({"wait", run});
  BOOST_TEST(waited.code == 0, waited.err);
  const Json runs = runs_at(site);
  BOOST_TEST(runs.at("runs").size() == 2u, runs.dump());
  BOOST_TEST(row_of(runs, "inner").at("run") == nested);
  BOOST_TEST(row_of(runs, "inner").at("parent") == run);
  auto all = tally_lines(site.home);
  for (int i = 0; i < steps; ++i) {
    BOOST_TEST(all["end " + std::to_string(i)] == 1, i);
    BOOST_TEST(all["begin " + std::to_string(i)] == 1, i);
  }
}

BOOST_AUTO_TEST_CASE(files_of_the_flow_beside_come_with_the_submit) {
  Site site;
  site.start_worker("w1");
  site.home.write("beside.yaml",
                  "version: 1\ntasks: {t: {run: [cat, in.txt], inputs: [in.txt]}}\n"
                  "outputs: {o: \"${{ t.stdout }}\"}\n");
  site.home.write("in.txt", "from here\n");
  site.home.write("f.yaml",
                  "version: 1\ntasks: {w: {flow: beside.yaml}}\n"
                  "outputs: {o: \"${{ w.o }}\"}\n");
  const Finished f = site.ask({"run", "f.yaml", "--json"});
  BOOST_REQUIRE_MESSAGE(f.code == 0, f.err);
  BOOST_TEST(Json::parse(f.out).at("outputs").at("o") == "from here\n");
}

BOOST_AUTO_TEST_CASE(cancel_and_pause_reach_what_is_nested) {
  Site site;
  write_flows(site.home);
  site.start_worker("w1");
  const auto submit = [&] {
    const Finished id = site.ask({"submit", "outer.yaml", "--json", "-p", tally_of(site.home)});
    BOOST_REQUIRE_MESSAGE(id.code == 0, id.err);
    return Json::parse(id.out).at("run").get<std::string>();
  };
  const std::string paused = submit();
  BOOST_REQUIRE(until([&] { return ended_steps(site.home) >= 2; }));
  BOOST_TEST(site.ask({"pause", paused}).code == 0);
  BOOST_TEST(until([&] { return row_of(runs_at(site), "outer").at("state") == "paused"; }));
  BOOST_TEST(row_of(runs_at(site), "inner").at("state") == "paused");
  const long before = ended_steps(site.home);
  BOOST_TEST(before < steps);
  const Finished resumed = site.ask({"resume", paused});
  BOOST_TEST(resumed.code == 0, resumed.err);
  BOOST_TEST(runs_at(site).at("runs").size() == 2u);
  auto all = tally_lines(site.home);
  for (int i = 0; i < steps; ++i) BOOST_TEST(all["begin " + std::to_string(i)] == 1, i);

  std::filesystem::remove(site.home.path / "tally");
  const std::string cancelled = submit();
  BOOST_REQUIRE(until([&] { return ended_steps(site.home) >= 2; }));
  BOOST_TEST(site.ask({"cancel", cancelled}).code == 0);
  (void)site.ask({"wait", cancelled});
  for (const char* flow : {"outer", "inner"})
    BOOST_TEST(row_of(runs_at(site), flow).at("state") == "cancelled");
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE_END()
