// A server, workers and clients as processes of their own: what works, and what survives whom.
#include <boost/test/unit_test.hpp>

#include <csignal>
#include <fstream>
#include <set>

#include "tests/integration/support.hpp"

BOOST_AUTO_TEST_SUITE(cluster)

using namespace reprise::integration;

namespace {

/// A server and its workers in one data directory, on a port that was free.
struct Cluster {
  Home home;
  std::string place;  // of the server
  std::unique_ptr<Program> server;
  std::map<std::string, std::unique_ptr<Program>> workers;

  Cluster() { start_server("127.0.0.1:0"); }
  void start_server(const std::string& listen) {
    std::filesystem::remove(home.path / "port");
    server = home.start({"server", "start", "--listen", listen, "--port-file", "port",
                         "--suspect-after", "300ms", "--lost-after", "1s"});
    BOOST_REQUIRE_MESSAGE(server->shows("listening on "), server->output());
    BOOST_REQUIRE(until([&] { return std::filesystem::exists(home.path / "port"); }));
    place = "127.0.0.1:" + lines_of(home.read("port")).at(0);
  }
  Program& start_worker(const std::string& name, const std::string& slots = "2",
                        const Arguments& more = {}) {
    auto& worker = workers[name];
    Arguments all{"worker", "start", "--server", place, "--name", name, "--slots", slots};
    all.insert(all.end(), more.begin(), more.end());
    worker = home.start(std::move(all));
    BOOST_REQUIRE_MESSAGE(worker->shows("serving scheduler"), worker->output());
    return *worker;
  }
  [[nodiscard]] Arguments submit(const std::string& flow, Arguments more = {}) const {
    Arguments all{"submit", flow, "--server", place, "--wait", "--json"};
    all.insert(all.end(), more.begin(), more.end());
    return all;
  }
  Outcome run(const std::string& flow, Arguments more = {}) {
    Arguments all = submit(flow, std::move(more));
    const auto begin = std::chrono::steady_clock::now();
    return outcome_of(*home.start(std::move(all)), begin);
  }
  [[nodiscard]] long finished_tasks(const std::string& run) {
    const Outcome o = invoke(home, {"events", run});
    const Json events = o.at("/events");
    long count = 0;
    for (const Json& event : events)
      count += event.value("type", "") == "task" && event.value("state", "") == "success";
    return count;
  }
};

/// Every task of the run reached success, and none twice.
void check_once(Cluster& cluster, const std::string& run, std::size_t tasks) {
  const std::vector<std::string> names = succeeded(cluster.home, run);
  BOOST_TEST(names.size() == tasks);
  BOOST_TEST(std::set<std::string>(names.begin(), names.end()).size() == tasks);
}

constexpr const char* letters = R"(version: 1
name: letters
tasks:
  make:
    map: {over: [a, b, c], as: x}
    shell: 'printf "%s %020000d" "$REPRISE_ITEM" 7 > letter.txt'
    outputs: [letter.txt]
    cache: true
  join:
    needs: [make]
    shell: cat ${{ make[0].outputs['letter.txt'] }} ${{ make[2].outputs['letter.txt'] }} | wc -c
    cache: true
outputs: {size: "${{ join.stdout }}"}
)";

/// Each task leaves a line as it begins: one that is run twice shows.
std::string counted(int tasks, const std::string& seconds) {
  std::string items;
  for (int i = 0; i < tasks; ++i) items += (i > 0 ? ", " : "") + std::to_string(i);
  return "version: 1\nname: counted\ntasks:\n  work:\n    map: {over: [" + items +
         "], as: x}\n    shell: 'echo \"$REPRISE_ITEM\" >> counter; sleep " + seconds +
         "'\n    cwd: flow\n";
}

constexpr const char* long_at_first = R"(version: 1
name: long
tasks:
  a: {cwd: flow, shell: 'test -e first || { touch first; sleep 300; }'}
)";

/// How often each task began.
std::map<std::string, int> begun(Cluster& cluster) {
  std::map<std::string, int> count;
  if (std::filesystem::exists(cluster.home.path / "counter"))
    for (const std::string& item : lines_of(cluster.home.read("counter"))) ++count[item];
  return count;
}

/// Processes that belong to attempts of flows in this folder.
int attempts_alive(const std::filesystem::path& folder) {
  int count = 0;
  std::error_code ignored;
  for (const auto& process : std::filesystem::directory_iterator("/proc", ignored)) {
    std::ifstream file(process.path() / "environ", std::ios::binary);
    const std::string environment{std::istreambuf_iterator<char>(file), {}};
    count += environment.find("REPRISE_ATTEMPT=") != std::string::npos &&
             environment.find(folder.string()) != std::string::npos;
  }
  return count;
}

}  // namespace

BOOST_AUTO_TEST_CASE(a_trace_on_two_workers_gives_the_known_digest_and_then_comes_from_the_cache) {
  const auto folder = workflows();
  if (!folder) return;
  Cluster cluster;
  cluster.start_worker("w1");
  cluster.start_worker("w2");
  for (const Row& row : expected_rows(*folder)) {
    if (!row.at("file").starts_with("wfformat/") || std::stol(row.at("tasks")) > 1100) continue;
    BOOST_TEST_CONTEXT(row.at("file")) {
      const long tasks = std::stol(row.at("tasks"));
      const std::string file = (*folder / row.at("file")).string();
      const Outcome cold = cluster.run(file);
      BOOST_TEST(cold.code == 0, cold.shown());
      BOOST_TEST(cold.digest() == row.at("chain_digest"));
      BOOST_TEST(cold.counted("executed") == tasks);
      const Outcome again = cluster.run(file);
      BOOST_TEST(again.digest() == row.at("chain_digest"));
      BOOST_TEST(again.counted("executed") == 0);
      BOOST_TEST(again.counted("cached") == tasks);
    }
  }
}

BOOST_AUTO_TEST_CASE(files_go_from_worker_to_worker_by_way_of_the_server) {
  Cluster cluster;
  cluster.home.write("letters.yaml", letters);
  cluster.start_worker("w1", "1");
  cluster.start_worker("w2", "1");
  const Outcome o = cluster.run("letters.yaml");
  BOOST_REQUIRE_MESSAGE(o.code == 0, o.shown());
  BOOST_TEST(o.counted("executed") == 4);
  const Outcome again = cluster.run("letters.yaml");
  BOOST_TEST(again.counted("cached") == 4, again.shown());
}

BOOST_AUTO_TEST_CASE(a_run_survives_a_killed_worker_and_nothing_is_lost_or_doubled) {
  Cluster cluster;
  cluster.home.write("layers.json", layered_trace(20, 20, 0.02));
  cluster.start_worker("w1");
  cluster.start_worker("w2");
  const auto begin = std::chrono::steady_clock::now();
  auto client =
      cluster.home.start(cluster.submit("layers.json", {"--mode", "sleep", "--scale", "1"}));
  BOOST_REQUIRE(until([&] { return cluster.finished_tasks("last") >= 40; }));
  cluster.workers.at("w1")->send(SIGKILL);
  BOOST_TEST(cluster.server->shows("worker \"w1\" was lost"));
  const Outcome o = outcome_of(*client, begin);
  BOOST_TEST(o.code == 0, o.shown());
  BOOST_TEST(o.text("state") == "success");
  check_once(cluster, o.text("run"), 400);
}

BOOST_AUTO_TEST_CASE(a_worker_that_stood_still_for_too_long_does_not_count_and_comes_back) {
  Cluster cluster;
  cluster.home.write("layers.json", layered_trace(20, 20, 0.02));
  cluster.start_worker("w1");
  cluster.start_worker("w2");
  const auto begin = std::chrono::steady_clock::now();
  auto client =
      cluster.home.start(cluster.submit("layers.json", {"--mode", "sleep", "--scale", "1"}));
  BOOST_REQUIRE(until([&] { return cluster.finished_tasks("last") >= 40; }));
  cluster.workers.at("w1")->send(SIGSTOP);
  BOOST_TEST(cluster.server->shows("worker \"w1\" was lost"));
  cluster.workers.at("w1")->send(SIGCONT);
  BOOST_TEST(cluster.workers.at("w1")->shows("the link to the scheduler is over"));
  const Outcome o = outcome_of(*client, begin);
  BOOST_TEST(o.code == 0, o.shown());
  check_once(cluster, o.text("run"), 400);
  BOOST_TEST(until([&] {
    return invoke(cluster.home, {"worker", "ls", "--server", cluster.place})
               .at("/workers")
               .size() == 2;
  }));
}

BOOST_AUTO_TEST_CASE(a_server_that_was_killed_goes_on_with_its_runs_and_the_client_never_notices) {
  Cluster cluster;
  cluster.home.write("layers.json", layered_trace(20, 20, 0.02));
  cluster.start_worker("w1");
  cluster.start_worker("w2");
  const auto begin = std::chrono::steady_clock::now();
  auto client =
      cluster.home.start(cluster.submit("layers.json", {"--mode", "sleep", "--scale", "1"}));
  BOOST_REQUIRE(until([&] { return cluster.finished_tasks("last") >= 40; }));
  cluster.server->send(SIGKILL);
  (void)cluster.server->wait();
  cluster.start_server(cluster.place);
  const Outcome o = outcome_of(*client, begin);
  BOOST_TEST(o.code == 0, o.shown());
  BOOST_TEST(o.text("state") == "success");
  check_once(cluster, o.text("run"), 400);
}

BOOST_AUTO_TEST_CASE(what_is_alive_when_the_server_is_killed_is_not_run_again) {
  constexpr int tasks = 32;
  Cluster cluster;
  cluster.home.write("counted.yaml", counted(tasks, "0.3"));
  cluster.start_worker("w1");
  cluster.start_worker("w2");
  const auto begin = std::chrono::steady_clock::now();
  auto client = cluster.home.start(cluster.submit("counted.yaml"));
  for (const std::size_t killed_at : {std::size_t{6}, std::size_t{18}}) {
    BOOST_REQUIRE(until([&] { return begun(cluster).size() >= killed_at; }));
    cluster.server->send(SIGKILL);
    (void)cluster.server->wait();
    cluster.start_server(cluster.place);
  }
  const Outcome o = outcome_of(*client, begin);
  BOOST_TEST(o.code == 0, o.shown());
  BOOST_TEST(o.text("state") == "success");
  check_once(cluster, o.text("run"), tasks);
  const auto counts = begun(cluster);
  BOOST_TEST(counts.size() == tasks);
  for (const auto& [item, count] : counts) BOOST_TEST(count == 1, item << " began " << count);
}

BOOST_AUTO_TEST_CASE(a_worker_that_was_killed_ends_what_it_left_behind_when_it_starts_again) {
  Cluster cluster;
  cluster.home.write("long.yaml", long_at_first);
  Program& worker = cluster.start_worker("w1");
  auto client = cluster.home.start(cluster.submit("long.yaml"));
  BOOST_REQUIRE(until([&] { return std::filesystem::exists(cluster.home.path / "first"); }));
  worker.send(SIGKILL);
  (void)worker.wait();
  BOOST_TEST(attempts_alive(cluster.home.path) > 0);
  cluster.start_worker("w1");
  const Outcome o = outcome_of(*client, std::chrono::steady_clock::now());
  BOOST_TEST(o.code == 0, o.shown());
  BOOST_TEST(attempts_alive(cluster.home.path) == 0);
}

BOOST_AUTO_TEST_CASE(a_worker_that_was_cut_off_for_long_leaves_no_process_behind) {
  Cluster cluster;
  cluster.home.write("long.yaml", long_at_first);
  Program& worker = cluster.start_worker("w1", "2", {"--orphan-after", "2s"});
  auto client = cluster.home.start(cluster.submit("long.yaml"));
  BOOST_REQUIRE(until([&] { return std::filesystem::exists(cluster.home.path / "first"); }));
  BOOST_TEST(attempts_alive(cluster.home.path) > 0);
  cluster.server->send(SIGSTOP);
  BOOST_TEST(worker.shows("ending what runs"),
             worker.output() << invoke(cluster.home, {"events", "last"}).shown());
  BOOST_TEST(until([&] { return attempts_alive(cluster.home.path) == 0; }));
  cluster.server->send(SIGCONT);
  const Outcome o = outcome_of(*client, std::chrono::steady_clock::now());
  BOOST_TEST(o.code == 0, o.shown());
}

BOOST_AUTO_TEST_CASE(a_server_that_stood_still_while_another_took_over_steps_down) {
  Cluster cluster;
  cluster.home.write("counted.yaml", counted(4, "0.2"));
  auto stale = std::move(cluster.server);
  stale->send(SIGSTOP);
  // As on a file system whose locks another machine does not see.
  const auto lock = cluster.home.path / "data" / "server.lock";
  BOOST_REQUIRE(std::filesystem::remove(lock));
  cluster.start_server("127.0.0.1:0");
  stale->send(SIGCONT);
  const Finished ended = stale->wait();
  BOOST_TEST(ended.code == 1);
  BOOST_TEST(stale->output().find("another server leads here since") != std::string::npos,
             stale->output());
  cluster.start_worker("w1");
  const Outcome o = cluster.run("counted.yaml");
  BOOST_TEST(o.code == 0, o.shown());
}

BOOST_AUTO_TEST_CASE(a_worker_that_is_asked_to_end_finishes_what_it_runs_first) {
  Cluster cluster;
  cluster.home.write(
      "slow.yaml",
      "version: 1\nname: slow\ntasks:\n  a: {shell: 'touch began; sleep 1; echo done', "
      "cwd: flow}\noutputs: {text: \"${{ a.stdout }}\"}\n");
  Program& worker = cluster.start_worker("w1");
  auto client = cluster.home.start(cluster.submit("slow.yaml"));
  BOOST_REQUIRE(until([&] { return std::filesystem::exists(cluster.home.path / "began"); }));
  worker.send(SIGTERM);
  const Finished left = worker.wait();
  BOOST_TEST(left.code == 0, left.err);
  const Outcome o = outcome_of(*client, std::chrono::steady_clock::now());
  BOOST_TEST(o.code == 0, o.shown());
  BOOST_TEST(o.counted("executed") == 1);
}

BOOST_AUTO_TEST_CASE(a_task_gets_what_it_asks_for_and_explains_itself_until_then) {
  Cluster cluster;
  cluster.home.write("gpu.yaml", R"(version: 1
name: gpu
tasks:
  train:
    resources: {gpus: 2, memory: 1MiB}
    require: {zone: a}
    shell: printf '%s %s' "$REPRISE_GPUS" "$CUDA_VISIBLE_DEVICES"
outputs: {gpus: "${{ train.stdout }}"}
)");
  cluster.start_worker("plain");
  const auto begin = std::chrono::steady_clock::now();
  auto client = cluster.home.start(cluster.submit("gpu.yaml"));
  const Arguments explain{"explain", "last", "train", "--server", cluster.place};
  BOOST_REQUIRE(until([&] {
    const Outcome o = invoke(cluster.home, explain);
    return o.code == 0 && o.at("/waiting/reason") == "no_worker_for_task";
  }));
  BOOST_TEST(invoke(cluster.home, explain).at("/waiting/text") ==
             "it requires zone=a; none of 1 worker has it");
  auto& worker = cluster.workers["big"];
  worker = cluster.home.start({"worker", "start", "--server", cluster.place, "--name", "big",
                               "--slots", "2", "--gpus", "3", "--label", "zone=a,disk=ssd"});
  const Outcome o = outcome_of(*client, begin);
  BOOST_TEST(o.code == 0, o.shown());
  BOOST_TEST(o.at("/outputs/gpus") == "0,1 0,1");
  const Outcome list = invoke(cluster.home, {"worker", "ls", "--server", cluster.place});
  bool is_listed = false;
  for (const Json& each : list.at("/workers"))
    is_listed |= each["worker"] == "big" && each["resources"]["gpus"] == 3 &&
                 each["labels"]["zone"] == "a" && each["memory_bytes"] > 0 && each["version"] != "";
  BOOST_TEST(is_listed, list.shown());
}

BOOST_AUTO_TEST_CASE(a_worker_is_drained_and_stopped_from_elsewhere) {
  Cluster cluster;
  cluster.home.write("one.yaml", "version: 1\nname: one\ntasks: {a: {run: [\"true\"]}}\n");
  Program& worker = cluster.start_worker("w1");
  const auto steer = [&](const char* verb, const char* name) {
    return invoke(cluster.home, {"worker", verb, name, "--server", cluster.place});
  };
  BOOST_TEST(steer("drain", "nobody").code == 5);
  BOOST_TEST(steer("drain", "w1").code == 0);
  const auto begin = std::chrono::steady_clock::now();
  auto client = cluster.home.start(cluster.submit("one.yaml"));
  BOOST_REQUIRE(until([&] {
    const Outcome o = invoke(cluster.home, {"explain", "last", "a", "--server", cluster.place});
    return o.at("/waiting/text") == "no worker takes new work now";
  }));
  BOOST_TEST(steer("undrain", "w1").code == 0);
  BOOST_TEST(outcome_of(*client, begin).code == 0);
  BOOST_TEST(steer("stop", "w1").code == 0);
  BOOST_TEST(worker.wait().code == 0);
}

BOOST_AUTO_TEST_CASE(a_server_that_has_enough_to_do_says_so) {
  Home home;
  home.write("slow.yaml", "version: 1\nname: slow\ntasks: {a: {run: [\"true\"], limit: db}}\n");
  auto server = home.start({"server", "start", "--listen", "127.0.0.1:0", "--port-file", "port",
                            "--max-runs", "1", "--limit", "db=1"});
  BOOST_REQUIRE(until([&] { return std::filesystem::exists(home.path / "port"); }));
  const std::string place = "127.0.0.1:" + lines_of(home.read("port")).at(0);
  BOOST_TEST(invoke(home, {"submit", "slow.yaml", "--server", place}).code == 0);
  const Outcome refused = invoke(home, {"submit", "slow.yaml", "--server", place});
  BOOST_TEST(refused.code == 3, refused.shown());
  BOOST_TEST(refused.err.find("1 of at most 1 runs are under way; try again in 10 s") !=
             std::string::npos);
  home.write("odd.yaml", "version: 1\nname: odd\ntasks: {a: {run: [\"true\"], limit: net}}\n");
  const Outcome odd = invoke(home, {"submit", "odd.yaml", "--server", place});
  BOOST_TEST(odd.code == 2, odd.shown());
}

BOOST_AUTO_TEST_CASE(a_worker_with_another_secret_is_turned_away) {
  Cluster cluster;
  cluster.home.write("other", std::string(64, 'x'));
  std::filesystem::permissions(cluster.home.path / "other", std::filesystem::perms::owner_read);
  auto worker = cluster.home.start(
      {"worker", "start", "--server", cluster.place, "--name", "spy", "--secret-file", "other"});
  BOOST_TEST(worker->shows("cannot connect"), worker->output());
  BOOST_TEST(cluster.server->shows("turned away"));
  const Outcome client = outcome_of(
      *cluster.home.start({"ps", "--server", cluster.place, "--secret-file", "other", "--json"}),
      std::chrono::steady_clock::now());
  BOOST_TEST(client.code == 4, client.shown());
  BOOST_TEST(
      invoke(cluster.home, {"worker", "ls", "--server", cluster.place}).at("/workers").empty());
}

BOOST_AUTO_TEST_CASE(the_same_key_is_the_same_run_also_after_a_restart) {
  Cluster cluster;
  cluster.home.write("one.yaml", "version: 1\nname: one\ntasks:\n  a: {shell: 'echo x'}\n");
  cluster.home.write("two.yaml", "version: 1\nname: two\ntasks:\n  a: {shell: 'echo y'}\n");
  cluster.start_worker("w1");
  const Outcome first = cluster.run("one.yaml", {"--id-key", "k"});
  BOOST_REQUIRE_MESSAGE(first.code == 0, first.shown());
  BOOST_TEST(cluster.run("one.yaml", {"--id-key", "k"}).text("run") == first.text("run"));
  BOOST_TEST(cluster.run("two.yaml", {"--id-key", "k"}).code == 6);
  cluster.server->send(SIGTERM);
  BOOST_TEST(cluster.server->wait().code == 0);
  cluster.start_server(cluster.place);
  BOOST_TEST(cluster.run("one.yaml", {"--id-key", "k"}).text("run") == first.text("run"));
  BOOST_TEST(cluster.run("two.yaml", {"--id-key", "k"}).code == 6);
}

BOOST_AUTO_TEST_CASE(runs_of_a_server_are_listed_waited_for_and_cancelled_over_the_link) {
  Cluster cluster;
  cluster.home.write("long.yaml", "version: 1\nname: long\ntasks:\n  a: {shell: 'sleep 60'}\n");
  cluster.start_worker("w1");
  const Finished id = cluster.home.run({"submit", "long.yaml", "--server", cluster.place});
  BOOST_REQUIRE_MESSAGE(id.code == 0, id.err);
  const std::string run = lines_of(id.out).at(0);
  const auto ask = [&](Arguments arguments) {
    arguments.insert(arguments.end(), {"--server", cluster.place});
    return invoke(cluster.home, std::move(arguments));
  };
  BOOST_TEST(ask({"status", run}).text("state") == "running");
  BOOST_TEST(ask({"ps"}).at("/runs").size() == 1u);
  BOOST_TEST(ask({"wait", run, "--timeout", "50ms"}).code == 7);
  BOOST_TEST(ask({"cancel", run}).code == 0);
  BOOST_TEST(ask({"wait", run}).code == 8);
  BOOST_TEST(ask({"cancel", run}).code == 6);
  BOOST_TEST(ask({"status", "nosuch"}).code == 5);
}

BOOST_AUTO_TEST_CASE(beyond_loopback_a_server_wants_certificates) {
  Home home;
  const Finished f = home.run({"server", "start", "--listen", "0.0.0.0:0"});
  BOOST_TEST(f.code == 4, f.err);
}

BOOST_AUTO_TEST_CASE(with_certificates_each_node_is_what_its_certificate_says) {
  Home home;
  BOOST_REQUIRE(home.run({"cluster", "init", "ca"}).code == 0);
  for (const auto& [name, role] :
       {std::pair{"s", "scheduler"}, std::pair{"w", "worker"}, std::pair{"c", "client"}})
    BOOST_REQUIRE(home.run({"cluster", "add-node", name, "--role", role, "--dir", "ca"}).code == 0);
  auto server = home.start({"server", "start", "--listen", "127.0.0.1:0", "--port-file", "port",
                            "--certs", "ca/nodes/s"});
  BOOST_REQUIRE(until([&] { return std::filesystem::exists(home.path / "port"); }));
  const std::string place = "127.0.0.1:" + lines_of(home.read("port")).at(0);
  auto worker = home.start({"worker", "start", "--server", place, "--certs", "ca/nodes/w"});
  BOOST_REQUIRE_MESSAGE(worker->shows("serving scheduler \"s\""), worker->output());
  home.write("one.yaml", "version: 1\nname: one\ntasks:\n  a: {shell: 'echo x'}\n");
  const Finished good =
      home.run({"submit", "one.yaml", "--server", place, "--certs", "ca/nodes/c", "--wait"});
  BOOST_TEST(good.code == 0, good.err);
  const Finished bad = home.run({"submit", "one.yaml", "--server", place, "--certs", "ca/nodes/w"});
  BOOST_TEST(bad.code != 0, bad.out);
}

BOOST_AUTO_TEST_SUITE_END()
