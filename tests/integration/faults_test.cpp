// The fault matrix on several hosts: a server, two workers and a client, each in a network of its
// own with a certificate and a data directory of its own, while work goes on. Whatever happens, no
// task is lost, none counts twice, and nothing wrong comes out of the cache. Each row prints its
// figures.
#include <boost/test/unit_test.hpp>

#include <csignal>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <set>

#include <fmt/format.h>

#include "tests/integration/support.hpp"
#include "tests/support/net_lab.hpp"
#include "tests/support/redis_server.hpp"

BOOST_AUTO_TEST_SUITE(faults_tests)

using namespace reprise::integration;
using reprise::testing::NetLab;
using reprise::testing::RedisServer;
using reprise::testing::SmallDisk;
using reprise::testing::TemporaryFolder;
using Clock = std::chrono::steady_clock;
using namespace std::chrono_literals;

namespace {

// The same faults in ten times the work.
const bool is_soak = std::getenv("REPRISE_FAULTS_SOAK") != nullptr;

// Commands that write down each execution, whoever asked for it.
const std::size_t counted_tasks = is_soak ? 600 : 60;
std::string counted_flow() {
  return fmt::format(R"(version: 1
name: counted
params:
  log: {{type: string}}
tasks:
  work:
    map: {{over: "${{{{ range({}) }}}}", as: i}}
    env: {{LOG: "${{{{ params.log }}}}", I: "${{{{ i }}}}"}}
    shell: 'echo "$I" >> "$LOG"; sleep 0.1'
)",
                     counted_tasks);
}

constexpr const char* trace_file = "wfformat/medium/montage-chameleon-dss-125d-001.json.gz";
// Some seven seconds for one slot.
const std::string trace_scale = is_soak ? "2e-3" : "2e-4";

double seconds_since(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

/// The nodes' certificates, made once.
const Home& authority() {
  static const std::unique_ptr<Home> home = [] {
    auto made = std::make_unique<Home>();
    BOOST_REQUIRE(made->run({"cluster", "init", "ca"}).code == 0);
    for (const auto& [name, role] :
         {std::pair{"s1", "scheduler"}, std::pair{"s2", "scheduler"}, std::pair{"w1", "worker"},
          std::pair{"w2", "worker"}, std::pair{"c1", "client"}})
      BOOST_REQUIRE(made->run({"cluster", "add-node", name, "--role", role, "--dir", "ca"}).code ==
                    0);
    return made;
  }();
  return *home;
}

std::string certificates_of(const std::string& host) {
  return (authority().path / "ca/nodes" / host).string();
}

struct Site {
  NetLab lab{{"s1", "s2", "w1", "w2", "c1", "r1"}};
  std::map<std::string, std::unique_ptr<Home>> homes;
  std::map<std::string, std::unique_ptr<Program>> programs;
  std::filesystem::path trace;
  std::string digest;  // that the trace ends in
  std::size_t tasks = 0;
  Arguments server_options;
  bool has_standby = false;

  Site() {
    for (const char* host : {"s1", "s2", "w1", "w2", "c1", "r1"})
      homes[host] = std::make_unique<Home>();
    homes["c1"]->write("counted.yaml", counted_flow());
  }

  Home& home(const std::string& host) { return *homes.at(host); }
  std::string place(const std::string& host) { return lab.address(host) + ":4747"; }
  std::string servers() { return place("s1") + (has_standby ? "," + place("s2") : ""); }
  Program& program(const std::string& host) { return *programs.at(host); }

  std::unique_ptr<Program> start(const std::string& host, Arguments arguments) {
    arguments.insert(arguments.end(), {"--certs", certificates_of(host)});
    return lab.on(host, [&] { return home(host).start(std::move(arguments)); });
  }
  void start_server(const std::string& host = "s1", const std::string& ready = "listening on ") {
    Arguments arguments{"server",          "start", "--listen",     place(host),
                        "--suspect-after", "500ms", "--lost-after", "1500ms"};
    arguments.insert(arguments.end(), server_options.begin(), server_options.end());
    programs[host] = start(host, std::move(arguments));
    BOOST_REQUIRE_MESSAGE(program(host).shows(ready), program(host).output());
  }
  void start_worker(const std::string& name) {
    programs[name] =
        start(name, {"worker", "start", "--server", servers(), "--name", name, "--slots", "2"});
    BOOST_REQUIRE_MESSAGE(program(name).shows("serving scheduler"), program(name).output());
  }
  std::unique_ptr<Program> submit(Arguments what) {
    Arguments all{"submit"};
    all.insert(all.end(), what.begin(), what.end());
    all.insert(all.end(), {"--server", servers(), "--wait", "--json"});
    return start("c1", std::move(all));
  }
  std::unique_ptr<Program> submit_trace(Arguments more = {}) {
    Arguments what{trace.string(), "--mode", "timed", "--scale", trace_scale};
    what.insert(what.end(), more.begin(), more.end());
    return submit(std::move(what));
  }
  [[nodiscard]] std::filesystem::path log() { return home("c1").path / "log"; }
  std::unique_ptr<Program> submit_counted() {
    return submit({"counted.yaml", "-p", "log=" + log().string()});
  }
  [[nodiscard]] std::vector<std::string> executions() { return lines_of(home("c1").read("log")); }
  Outcome ask(Arguments arguments) {
    arguments.insert(arguments.end(), {"--server", servers(), "--json"});
    const auto begin = Clock::now();
    return outcome_of(*start("c1", std::move(arguments)), begin);
  }
};

/// nullptr: not on this machine, which was said.
std::unique_ptr<Site> new_site() {
  const auto folder = workflows();
  if (!folder) return nullptr;
  auto site = std::make_unique<Site>();
  site->trace = *folder / trace_file;
  for (const Row& row : expected_rows(*folder)) {
    if (row.at("file") != trace_file) continue;
    site->digest = row.at("chain_digest");
    site->tasks = std::stoul(row.at("tasks"));
  }
  BOOST_REQUIRE(!site->digest.empty());
  return site;
}

/// What came of the work, beside what it should be.
struct Figures {
  std::size_t lost = 0;
  std::size_t duplicated = 0;
  std::size_t stale = 0;
  std::size_t repeated = 0;  // executions of commands beyond one each
  double detected = -1;      // seconds until somebody noticed
  double recovered = 0;      // seconds from the fault to the end of all work
};

/// Tasks by how often they reached success in the journal.
void count_successes(Site& site, const std::string& run, std::size_t tasks, Figures& figures) {
  const Outcome o = site.ask({"events", run});
  std::map<std::string, std::size_t> successes;
  const Json events = o.at("/events");
  for (const Json& event : events) {
    if (event.value("type", "") != "task" || event.contains("on_the_way")) continue;
    const std::string state = event.value("state", "");
    if (state == "success" || state == "cached") ++successes[event.value("task", "")];
  }
  for (const auto& [task, times] : successes) figures.duplicated += times - 1;
  figures.lost += tasks > successes.size() ? tasks - successes.size() : 0;
}

/// Runs the trace and the counted commands, lets `fault` happen in the middle of both, and checks
/// what came of them.
template <class Fault>
Figures suffer(Site& site, const std::string& row, Fault fault) {
  const auto begin = Clock::now();
  auto trace = site.submit_trace();
  auto counted = site.submit_counted();
  BOOST_REQUIRE(until([&] { return site.executions().size() >= 15; }));
  Figures figures;
  const auto struck = Clock::now();
  figures.detected = fault();
  const Outcome of_trace = outcome_of(*trace, begin);
  const Outcome of_counted = outcome_of(*counted, begin);
  figures.recovered = seconds_since(struck);
  BOOST_TEST(of_trace.code == 0, of_trace.shown());
  BOOST_TEST(of_trace.digest() == site.digest);
  BOOST_TEST(of_counted.code == 0, of_counted.shown());

  const std::vector<std::string> executions = site.executions();
  const std::set<std::string> distinct(executions.begin(), executions.end());
  figures.lost += counted_tasks - distinct.size();
  figures.repeated = executions.size() - distinct.size();
  count_successes(site, of_trace.text("run"), site.tasks, figures);
  count_successes(site, of_counted.text("run"), counted_tasks, figures);
  // Once more: what is in the cache now is all of it, and right.
  const Outcome again = outcome_of(*site.submit_trace(), Clock::now());
  if (again.digest() != site.digest) ++figures.stale;
  // A standby comes with an empty cache.
  if (!site.has_standby) BOOST_TEST(again.counted("executed") == 0, again.shown());
  BOOST_TEST(figures.lost == 0u);
  BOOST_TEST(figures.duplicated == 0u);
  BOOST_TEST(figures.stale == 0u);
  std::cout << fmt::format(
                   "fault {}: lost {}, duplicated {}, stale {}, commands executed again {} of {}, "
                   "{}over {:.1f} s after the fault\n",
                   row, figures.lost, figures.duplicated, figures.stale, figures.repeated,
                   counted_tasks,
                   figures.detected < 0
                       ? std::string()
                       : fmt::format("detected after {:.2f} s, ", figures.detected),
                   figures.recovered)
            << std::flush;
  return figures;
}

/// A site with a server and two workers.
std::unique_ptr<Site> running_site() {
  auto site = new_site();
  if (!site) return nullptr;
  site->start_server();
  site->start_worker("w1");
  site->start_worker("w2");
  return site;
}

/// Seconds until the server says `text`.
double until_server_says(Site& site, const std::string& text, const std::string& host = "s1") {
  const auto begin = Clock::now();
  BOOST_TEST(site.program(host).shows(text), site.program(host).output());
  return seconds_since(begin);
}

void pause_for(Clock::duration time) {
  const auto end = Clock::now() + time;
  until([&] { return Clock::now() >= end; });
}

}  // namespace

BOOST_AUTO_TEST_SUITE(faults)

BOOST_AUTO_TEST_CASE(w1_a_worker_is_killed) {
  const auto site = running_site();
  if (!site) return;
  const Figures figures = suffer(*site, "W1", [&] {
    site->program("w1").send(SIGKILL);
    return until_server_says(*site, "worker \"w1\" is gone");
  });
  BOOST_TEST(figures.detected <= 5.0);
  BOOST_TEST(figures.repeated <= 4u);  // what it had in hand
}

BOOST_AUTO_TEST_CASE(w3_a_worker_stands_still_for_a_moment_and_nothing_is_repeated) {
  const auto site = running_site();
  if (!site) return;
  const Figures figures = suffer(*site, "W3 (0.3 s)", [&] {
    site->program("w1").send(SIGSTOP);
    pause_for(300ms);
    site->program("w1").send(SIGCONT);
    return -1.0;
  });
  BOOST_TEST(figures.repeated == 0u);
}

BOOST_AUTO_TEST_CASE(w3_a_worker_stands_still_for_too_long) {
  const auto site = running_site();
  if (!site) return;
  suffer(*site, "W3 (lost)", [&] {
    site->program("w1").send(SIGSTOP);
    const double detected = until_server_says(*site, "worker \"w1\" was lost");
    site->program("w1").send(SIGCONT);
    return detected;
  });
}

BOOST_AUTO_TEST_CASE(w5_a_worker_is_cut_off_in_both_directions) {
  const auto site = running_site();
  if (!site) return;
  suffer(*site, "W5", [&] {
    site->lab.cut("w1");
    const double detected = until_server_says(*site, "worker \"w1\" was lost");
    site->lab.heal("w1");
    return detected;
  });
}

BOOST_AUTO_TEST_CASE(w6_a_worker_hears_nothing_but_is_heard) {
  const auto site = running_site();
  if (!site) return;
  suffer(*site, "W6 (towards)", [&] {
    site->lab.cut_towards("w1");
    const double detected = until_server_says(*site, "worker \"w1\" was lost");
    site->lab.heal("w1");
    return detected;
  });
}

BOOST_AUTO_TEST_CASE(w6_a_worker_is_not_heard_but_hears) {
  const auto site = running_site();
  if (!site) return;
  suffer(*site, "W6 (from)", [&] {
    site->lab.cut_from("w1");
    const double detected = until_server_says(*site, "worker \"w1\" was lost");
    site->lab.heal("w1");
    return detected;
  });
}

BOOST_AUTO_TEST_CASE(w7_a_workers_network_comes_and_goes) {
  const auto site = running_site();
  if (!site) return;
  const Figures figures = suffer(*site, "W7", [&] {
    for (int i = 0; i < 8; ++i) {
      site->lab.cut("w1");
      pause_for(150ms);
      site->lab.heal("w1");
      pause_for(150ms);
    }
    return -1.0;
  });
  BOOST_TEST(figures.repeated <= counted_tasks);  // at most once each
}

BOOST_AUTO_TEST_CASE(w13_a_worker_is_killed_and_back_at_once_under_the_same_name) {
  const auto site = running_site();
  if (!site) return;
  suffer(*site, "W13", [&] {
    site->program("w1").send(SIGKILL);
    (void)site->program("w1").wait();
    site->start_worker("w1");
    return -1.0;
  });
}

BOOST_AUTO_TEST_CASE(w16_a_worker_is_drained_under_load_and_no_task_is_killed) {
  const auto site = running_site();
  if (!site) return;
  const Figures figures = suffer(*site, "W16", [&] {
    site->program("w1").send(SIGTERM);
    const Finished left = site->program("w1").wait();
    BOOST_TEST(left.code == 0, left.err);
    return -1.0;
  });
  BOOST_TEST(figures.repeated == 0u);
}

BOOST_AUTO_TEST_CASE(s1_the_server_is_killed_and_what_ran_is_not_run_again) {
  const auto site = running_site();
  if (!site) return;
  const Figures figures = suffer(*site, "S1", [&] {
    site->program("s1").send(SIGKILL);
    (void)site->program("s1").wait();
    const auto begin = Clock::now();
    site->start_server();
    return seconds_since(begin);
  });
  BOOST_TEST(figures.repeated == 0u);
}

BOOST_AUTO_TEST_CASE(s9_the_end_of_the_journal_is_torn) {
  const auto site = running_site();
  if (!site) return;
  suffer(*site, "S9", [&] {
    site->program("s1").send(SIGKILL);
    (void)site->program("s1").wait();
    const auto log = site->home("s1").path / "data/journal.db-wal";
    std::error_code ignored;
    const auto size = std::filesystem::file_size(log, ignored);
    if (!ignored && size > 1000) std::filesystem::resize_file(log, size - 777);
    site->start_server();
    return -1.0;
  });
}

BOOST_AUTO_TEST_CASE(c1_a_client_is_killed_between_question_and_answer) {
  const auto site = running_site();
  if (!site) return;
  // It is killed at ever later moments; whatever it had said, one run comes of it.
  for (int i = 0; i < 4; ++i) {
    const std::string key = fmt::format("key {}", i);
    auto first = site->submit_trace({"--id-key", key});
    pause_for(std::chrono::milliseconds{30 * i});
    first->send(SIGKILL);
    const Outcome second = outcome_of(*site->submit_trace({"--id-key", key}), Clock::now());
    BOOST_TEST(second.digest() == site->digest, second.shown());
    const Outcome third = outcome_of(*site->submit_trace({"--id-key", key}), Clock::now());
    BOOST_TEST(third.text("run") == second.text("run"));
    BOOST_TEST(site->ask({"ps", "--all"}).at("/runs").size() == static_cast<std::size_t>(i + 1));
  }
  std::cout << "fault C1: 4 clients killed, 4 runs, each once\n";
}

BOOST_AUTO_TEST_CASE(c3_a_cancellation_races_the_end) {
  const auto site = running_site();
  if (!site) return;
  site->home("c1").write("quick.yaml",
                         "version: 1\nname: quick\ntasks:\n  a: {shell: 'sleep 0.1'}\n  b: {needs: "
                         "[a], shell: 'true'}\n");
  std::map<std::string, int> ends;
  for (int i = 0; i < 6; ++i) {
    Arguments submit{"submit", "quick.yaml", "--server", site->servers()};
    const Finished id = site->start("c1", std::move(submit))->wait();
    BOOST_REQUIRE_MESSAGE(id.code == 0, id.err);
    const std::string run = lines_of(id.out).at(0);
    pause_for(std::chrono::milliseconds{25 * i});
    const Outcome cancelled = site->ask({"cancel", run});
    const Outcome end = site->ask({"wait", run});
    const std::string state = site->ask({"status", run}).text("state");
    ++ends[state];
    // Who was told that it is cancelled finds it cancelled, for ever.
    BOOST_TEST((cancelled.code == 0 ? state == "cancelled" : state == "success"),
               cancelled.shown() << end.shown());
    BOOST_TEST(site->ask({"status", run}).text("state") == state);
  }
  std::cout << fmt::format("fault C3: {} cancelled, {} finished first, none both\n",
                           ends["cancelled"], ends["success"]);
}

BOOST_AUTO_TEST_CASE(k1_a_blob_under_a_living_entry_is_damaged) {
  const auto site = running_site();
  if (!site) return;
  site->home("c1").write("large.yaml", R"(version: 1
name: large
tasks:
  make:
    shell: 'seq 20000 > numbers.txt'
    outputs: [numbers.txt]
    cache: true
  sum:
    needs: [make]
    shell: "cksum < ${{ make.outputs['numbers.txt'] }}"
    cache: true
outputs: {sum: "${{ sum.stdout }}"}
)");
  const Outcome first = outcome_of(*site->submit({"large.yaml"}), Clock::now());
  BOOST_REQUIRE_MESSAGE(first.code == 0, first.shown());
  std::size_t damaged = 0;
  for (const auto& entry :
       std::filesystem::recursive_directory_iterator(site->home("s1").path / "data/blobs")) {
    if (!entry.is_regular_file() || entry.file_size() < 50'000) continue;
    std::filesystem::permissions(entry.path(), std::filesystem::perms::owner_all);
    std::fstream file(entry.path(), std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(1000);
    file.put('X');
    ++damaged;
  }
  BOOST_REQUIRE(damaged == 1u);
  const Outcome second = outcome_of(*site->submit({"large.yaml"}), Clock::now());
  BOOST_TEST(second.code == 0, second.shown());
  BOOST_TEST(second.counted("executed") == 1);  // make; its value is the same, so sum is a hit
  BOOST_TEST((second.at("/outputs") == first.at("/outputs")));
  const Outcome third = outcome_of(*site->submit({"large.yaml"}), Clock::now());
  BOOST_TEST(third.counted("cached") == 2, third.shown());
  std::cout << "fault K1: one damaged blob, made again once, 0 wrong bytes\n";
}

BOOST_AUTO_TEST_CASE(k4_many_ask_for_the_same_at_once) {
  const auto site = running_site();
  if (!site) return;
  site->home("c1").write("same.yaml", R"(version: 1
name: same
params:
  log: {type: string}
tasks:
  work:
    map: {over: "${{ range(50) }}", as: i}
    env: {I: "${{ i }}"}
    shell: 'echo "$I" >> )" + site->log().string() +
                                          R"('
    cache: true
)");
  std::vector<std::unique_ptr<Program>> clients;
  for (int i = 0; i < 20; ++i) clients.push_back(site->submit({"same.yaml", "-p", "log=x"}));
  for (const auto& client : clients) BOOST_TEST(client->wait().code == 0);
  BOOST_TEST(site->executions().size() == 50u);
  std::cout << fmt::format("fault K4: 1,000 questions for 50 keys, {} executions\n",
                           site->executions().size());
}

BOOST_AUTO_TEST_SUITE_END()

// ---- a journal that servers share in Redis ----

namespace {

struct SharedSite {
  std::unique_ptr<Site> site = new_site();
  std::unique_ptr<RedisServer> redis;

  template <class Action>
  auto on_redis(Action action) {
    return site->lab.on("r1", std::move(action));
  }
  explicit SharedSite(bool has_standby = false, const std::vector<std::string>& more = {}) {
    if (!site) return;
    site->has_standby = has_standby;
    std::vector<std::string> options{
        "--bind",       "127.0.0.1", site->lab.address("r1"), "--protected-mode", "no",
        "--appendonly", "yes"};
    options.insert(options.end(), more.begin(), more.end());
    redis = on_redis([&] { return std::make_unique<RedisServer>(options); });
    site->server_options = {"--journal",
                            fmt::format("redis://{}:{}", site->lab.address("r1"), redis->port()),
                            "--lead-term", "2s"};
    site->start_server();
    if (has_standby) site->start_server("s2", "standing by");
    site->start_worker("w1");
    site->start_worker("w2");
  }
  ~SharedSite() {
    if (site) on_redis([&] { return (redis.reset(), 0); });
  }
  void command(const std::vector<std::string>& words) {
    on_redis([&] { return redis->run(words); });
  }
};

}  // namespace

BOOST_AUTO_TEST_SUITE(shared_journal)

BOOST_AUTO_TEST_CASE(s2_the_leader_is_killed_and_a_standby_takes_over) {
  SharedSite shared(true);
  if (!shared.site) return;
  const Figures figures = suffer(*shared.site, "S2", [&] {
    shared.site->program("s1").send(SIGKILL);
    return until_server_says(*shared.site, "listening on ", "s2");
  });
  BOOST_TEST(figures.detected <= 10.0);
}

BOOST_AUTO_TEST_CASE(s3_the_leader_stands_still_and_finds_itself_replaced) {
  SharedSite shared(true);
  if (!shared.site) return;
  suffer(*shared.site, "S3", [&] {
    shared.site->program("s1").send(SIGSTOP);
    const double detected = until_server_says(*shared.site, "listening on ", "s2");
    shared.site->program("s1").send(SIGCONT);
    until_server_says(*shared.site, "leads no more", "s1");
    return detected;
  });
}

BOOST_AUTO_TEST_CASE(r1_redis_is_killed_and_started_again) {
  SharedSite shared;
  if (!shared.site) return;
  suffer(*shared.site, "R1", [&] {
    shared.on_redis([&] { return (shared.redis->kill(), shared.redis->start(), 0); });
    return -1.0;
  });
}

BOOST_AUTO_TEST_CASE(r4_redis_is_full_for_a_while) {
  SharedSite shared;
  if (!shared.site) return;
  suffer(*shared.site, "R4", [&] {
    shared.command({"CONFIG", "SET", "maxmemory", "1"});
    const double detected =
        until_server_says(*shared.site, "nothing is acknowledged until the journal");
    pause_for(500ms);
    shared.command({"CONFIG", "SET", "maxmemory", "0"});
    return detected;
  });
}

BOOST_AUTO_TEST_CASE(r5_the_disk_of_redis_is_full_for_a_while) {
  TemporaryFolder folder;
  SmallDisk disk(folder / "disk", "size=8m");  // gone after the server that writes to it
  BOOST_REQUIRE_MESSAGE(disk.works(), "a file system of its own can only be mounted by root");
  SharedSite shared(false, {"--dir", (folder / "disk").string()});
  if (!shared.site) return;
  suffer(*shared.site, "R5", [&] {
    std::ofstream(folder / "disk/ballast") << std::string(8 << 20, 'x');
    const double detected =
        until_server_says(*shared.site, "nothing is acknowledged until the journal");
    pause_for(500ms);
    std::filesystem::remove(folder / "disk/ballast");
    return detected;
  });
}

BOOST_AUTO_TEST_CASE(r8_redis_stands_still_for_a_while) {
  SharedSite shared;
  if (!shared.site) return;
  suffer(*shared.site, "R8", [&] {
    shared.redis->stop();
    const double detected =
        until_server_says(*shared.site, "nothing is acknowledged until the journal");
    pause_for(1s);
    shared.redis->go_on();
    return detected;
  });
}

BOOST_AUTO_TEST_CASE(r10_redis_forgets_everything) {
  SharedSite shared;
  if (!shared.site) return;
  suffer(*shared.site, "R10", [&] {
    shared.command({"FLUSHALL"});
    return until_server_says(*shared.site, "leads no more");
  });
}

BOOST_AUTO_TEST_CASE(s5_answers_of_redis_are_lost) {
  SharedSite shared;
  if (!shared.site) return;
  suffer(*shared.site, "S5", [&] {
    for (int i = 0; i < 3; ++i) {
      shared.site->lab.cut_from("r1");  // what is asked arrives, and is done
      pause_for(400ms);
      shared.site->lab.heal("r1");
      pause_for(200ms);
    }
    return -1.0;
  });
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE_END()
