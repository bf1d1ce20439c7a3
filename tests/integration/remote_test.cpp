// Commands with --server, from a client that shares no folder with server and workers.
#include <csignal>
#include <fstream>
#include <thread>

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/integration/site.hpp"

using namespace reprise::integration;

namespace {

constexpr const char* letters = R"(version: 1
name: letters
params:
  who: {type: list, default: [ana, bo]}
tasks:
  greet:
    map: {over: "${{ params.who }}", as: s}
    run: [./greet.sh, "${{ s }}"]
    inputs: ["data/${{ s }}.txt", common.txt]
    outputs: [letter.txt]
    cache: true
  join:
    needs: [greet]
    shell: cat ${{ greet[0].outputs['letter.txt'] }} ${{ greet[1].outputs['letter.txt'] }} > all.txt
    outputs: [all.txt]
outputs: {all: "${{ join.outputs['all.txt'] }}"}
)";

void write_letters(const Home& home, const std::string& folder) {
  std::filesystem::create_directories(home.path / folder / "data");
  home.write(folder + "/letters.yaml", letters);
  home.write(folder + "/greet.sh",
             "#!/bin/sh\ncat \"data/$1.txt\" common.txt > letter.txt; echo \"wrote to $1\"\n");
  std::filesystem::permissions(home.path / folder / "greet.sh", std::filesystem::perms::owner_all);
  home.write(folder + "/data/ana.txt", "dear ana\n");
  home.write(folder + "/data/bo.txt", "dear bo\n");
  home.write(folder + "/common.txt", std::string(600'000, 'c') + "\n");
}

/// What a service told its manager.
class FakeManager {
 public:
  explicit FakeManager(const std::filesystem::path& path) {
    socket_ = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.string().copy(address.sun_path, sizeof address.sun_path - 1);
    BOOST_REQUIRE(::bind(socket_, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
  }
  ~FakeManager() { ::close(socket_); }
  FakeManager(const FakeManager&) = delete;
  FakeManager& operator=(const FakeManager&) = delete;

  bool hears(const std::string& text) {
    return until([&] {
      char buffer[4096];
      ssize_t got = 0;
      while ((got = ::recv(socket_, buffer, sizeof buffer, MSG_DONTWAIT)) > 0)
        heard_ += std::string(buffer, static_cast<std::size_t>(got)) + "\n";
      return heard_.find(text) != std::string::npos;
    });
  }

 private:
  int socket_ = -1;
  std::string heard_;
};

}  // namespace

BOOST_AUTO_TEST_SUITE(remote)

BOOST_AUTO_TEST_CASE(input_files_go_along_and_output_files_come_back) {
  Site site;
  site.start_worker("w1", "1");
  site.start_worker("w2", "1");
  write_letters(site.home, "project");
  const Finished f = site.ask({"run", "project/letters.yaml", "--out", "results"});
  BOOST_REQUIRE_MESSAGE(f.code == 0, f.err);
  BOOST_TEST(f.out.find("output all → results/all.txt") != std::string::npos, f.out);
  const std::string all = site.home.read("results/all.txt");
  BOOST_TEST(all.starts_with("dear ana\nccc"));
  BOOST_TEST(all.size() == 2 * 600'001u + 9 + 8);
  // The same content from another folder, which is gone before anything of it runs, is a hit.
  write_letters(site.home, "elsewhere");
  for (auto& [name, worker] : site.workers) {
    worker->send(SIGTERM);
    BOOST_TEST(worker->wait().code == 0);
  }
  const Finished id = site.ask({"submit", "elsewhere/letters.yaml", "--json"});
  BOOST_REQUIRE_MESSAGE(id.code == 0, id.err);
  const Json submitted = Json::parse(id.out);
  BOOST_TEST(submitted.at("durability") == "stable");
  std::filesystem::remove_all(site.home.path / "elsewhere");
  site.start_worker("w3");
  const std::string run = submitted.at("run");
  BOOST_TEST(site.ask({"wait", run}).code == 0);
  const Json status = Json::parse(site.ask({"status", run, "--json"}).out);
  BOOST_TEST(status.at("summary").at("cached") == 2, status.dump());
  // Another content is another key; a new worker has to get it.
  write_letters(site.home, "elsewhere");
  site.home.write("elsewhere/data/bo.txt", "dear bob\n");
  const Finished changed =
      site.ask({"run", "elsewhere/letters.yaml", "--out", "results", "--json"});
  BOOST_REQUIRE_MESSAGE(changed.code == 0, changed.err);
  BOOST_TEST(Json::parse(changed.out).at("summary").at("cached") == 1);
}

// Only declared input files went along; a parameter was a path on a machine that has no such file.
BOOST_AUTO_TEST_CASE(files_given_as_parameters_go_along) {
  Site site;
  std::filesystem::create_directories(site.home.path / "project");
  site.home.write("project/inner.yaml",
                  "version: 1\nparams: {f: {type: file}}\n"
                  "tasks: {a: {run: [cat, \"${{ params.f }}\"], cache: true}}\n"
                  "outputs: {text: \"${{ a.stdout }}\"}\n");
  site.home.write("project/outer.yaml",
                  "version: 1\nparams: {f: {type: file}, d: {type: file, default: d.txt}}\ntasks:\n"
                  "  given: {flow: inner.yaml, params: {f: \"${{ params.f }}\"}}\n"
                  "  named: {flow: inner.yaml, params: {f: n.txt}}\n"
                  "  own: {run: [cat, \"${{ params.d }}\"]}\n"
                  "outputs: {text: \"${{ given.text + named.text + own.stdout }}\"}\n");
  site.home.write("given.txt", "given ");
  site.home.write("project/n.txt", "named ");
  site.home.write("project/d.txt", "default");
  const Finished id = site.ask({"submit", "project/outer.yaml", "-p", "f=given.txt"});
  BOOST_REQUIRE_MESSAGE(id.code == 0, id.err);
  std::filesystem::remove_all(site.home.path / "project");
  std::filesystem::remove(site.home.path / "given.txt");
  site.start_worker("w1");
  const Finished ended = site.ask({"wait", "last", "--json"});
  BOOST_TEST(ended.code == 0, ended.out + ended.err);
  const Finished shown = site.ask({"logs", "last", "own"});
  BOOST_TEST(shown.out.find("default") != std::string::npos, shown.out + shown.err);
}

// Whoever may submit could have read any file of the server's machine.
BOOST_AUTO_TEST_CASE(a_server_takes_no_file_that_did_not_come_with_the_flow) {
  Site site;
  site.start_worker("w1");
  site.home.write("inner.yaml",
                  "version: 1\nparams: {f: {type: file}}\n"
                  "tasks: {a: {run: [cat, \"${{ params.f }}\"]}}\n");
  site.home.write("outer.yaml",
                  "version: 1\ntasks:\n"
                  "  name: {shell: \"printf /etc/hostname\"}\n"
                  "  read: {flow: inner.yaml, params: {f: \"${{ name.stdout }}\"}}\n");
  const Finished f = site.ask({"run", "outer.yaml"});
  BOOST_TEST(f.code == 1, f.out + f.err);
  BOOST_TEST(f.err.find("did not come with the flow") != std::string::npos, f.err);
}

BOOST_AUTO_TEST_CASE(a_missing_input_file_is_said_before_anything_begins) {
  Site site;
  write_letters(site.home, "project");
  std::filesystem::remove(site.home.path / "project/data/bo.txt");
  const Finished f = site.ask({"submit", "project/letters.yaml"});
  BOOST_TEST(f.code != 0);
  BOOST_TEST(f.err.find("bo.txt") != std::string::npos, f.err);
  BOOST_TEST(Json::parse(site.ask({"ps", "--all", "--json"}).out).at("runs").empty());
}

BOOST_AUTO_TEST_CASE(logs_are_found_with_the_worker_that_wrote_them) {
  Site site;
  site.start_worker("w1", "1");
  site.start_worker("w2", "1");
  site.home.write("talk.yaml",
                  "version: 1\nname: talk\ntasks:\n  a: {shell: 'echo first; while [ ! -e "
                  "go ]; do sleep 0.05; done; echo last; echo trouble >&2', cwd: flow}\n");
  const Finished id = site.ask({"submit", "talk.yaml"});
  BOOST_REQUIRE_MESSAGE(id.code == 0, id.err);
  const std::string run = lines_of(id.out).at(0);
  auto follower = site.home.start(site.there({"logs", run, "-f"}));
  BOOST_TEST(follower->shows("first"));
  site.home.write("go", "");
  const Finished followed = follower->wait();
  BOOST_TEST(followed.code == 0, followed.err);
  BOOST_TEST(followed.out == "first\nlast\ntrouble\n");
  BOOST_TEST(site.ask({"logs", run, "a", "--stream", "err"}).out == "trouble\n");
  const Finished events = site.ask({"events", run, "-f", "--jsonl"});
  BOOST_TEST(events.code == 0, events.err);
  BOOST_TEST(lines_of(events.out).size() >= 2u);
  BOOST_TEST(events.out.find("\"success\"") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(runs_of_a_server_are_paused_resumed_retried_and_forked_from_afar) {
  Site site;
  site.start_worker("w1", "1");
  site.home.write("steps.yaml",
                  "version: 1\nname: steps\nparams:\n  p: {type: string, default: x}\ntasks:\n"
                  "  a: {shell: 'touch began; while [ ! -e go ]; do sleep 0.05; done; echo a', "
                  "cwd: flow}\n"
                  "  b: {needs: [a], shell: 'test -e good && echo ${{ params.p }}', cwd: flow}\n"
                  "outputs: {b: \"${{ b.stdout }}\"}\n");
  const std::string run = lines_of(site.ask({"submit", "steps.yaml"}).out).at(0);
  BOOST_REQUIRE(until([&] { return std::filesystem::exists(site.home.path / "began"); }));
  BOOST_TEST(site.ask({"pause", run}).code == 0);
  site.home.write("go", "");
  BOOST_TEST(site.ask({"wait", run}).code == 9);
  const Finished resumed = site.ask({"resume", run});
  BOOST_TEST(resumed.code == 1, resumed.err);  // b wants its file
  site.home.write("good", "");
  const Finished retried = site.ask({"retry", run, "--failed"});
  BOOST_TEST(retried.code == 0, retried.err);
  BOOST_TEST(retried.out.find("output b = x") != std::string::npos, retried.out);
  BOOST_TEST(site.ask({"retry", run}).code == 6);  // nothing is left to be tried again
  const Finished forked = site.ask({"fork", run, "-p", "p=y"});
  BOOST_TEST(forked.code == 0, forked.err);
  BOOST_TEST(forked.out.find("output b = y") != std::string::npos, forked.out);
  BOOST_TEST(forked.err.find("1 result taken, 1 task done again") != std::string::npos, forked.err);
  BOOST_TEST(site.ask({"cache", "explain", run, "b"}).code == 0);
}

BOOST_AUTO_TEST_CASE(a_run_of_a_server_that_waits_for_a_person_can_be_cancelled) {
  Site site;
  site.start_worker("w1", "1");
  site.home.write("waits.yaml",
                  "version: 1\nname: waits\ntasks:\n  a: {run: [echo]}\n"
                  "  b: {needs: [a], run: [echo], trigger: manual_only}\n");
  const auto submit = [&] { return lines_of(site.ask({"submit", "waits.yaml"}).out).at(0); };
  const std::string first = submit(), second = submit();
  for (const std::string& run : {first, second}) BOOST_TEST(site.ask({"wait", run}).code == 9);
  const Finished some = site.ask({"cancel", first, "b"});
  BOOST_TEST(some.code == 6, some.err);
  const Finished done = site.ask({"cancel", first, "--reason", "enough"});
  BOOST_TEST(done.code == 0, done.err);
  const auto check = [&](const std::string& run) {
    const Json status = Json::parse(site.ask({"status", run, "--json"}).out);
    BOOST_TEST(status.at("state") == "cancelled", status.dump());
    BOOST_TEST(status.at("summary").at("cancelled") == 1, status.dump());
    BOOST_TEST(site.ask({"wait", run}).code == 8);
    BOOST_TEST(site.ask({"resume", run}).code == 6);
  };
  check(first);
  // The next server knows the other one from the journal alone.
  site.server->send(SIGTERM);
  BOOST_TEST(site.server->wait().code == 0);
  site.start_server(site.place);
  const Finished later = site.ask({"cancel", second});
  BOOST_TEST(later.code == 0, later.err);
  check(second);
}

BOOST_AUTO_TEST_CASE(what_servers_and_workers_keep_is_their_owners_alone) {
  const mode_t before = ::umask(022);
  Site site;
  site.start_worker("w1", "1");
  ::umask(before);
  const std::filesystem::path data = site.home.environment.at("REPRISE_DATA");
  const auto is_private = [](const std::filesystem::path& path) {
    const auto shared = std::filesystem::perms::group_all | std::filesystem::perms::others_all;
    return (std::filesystem::status(path).permissions() & shared) == std::filesystem::perms::none;
  };
  for (const auto& path :
       {data, data / "journal.db", data / "cache.db", site.home.path / "data-of-w1",
        site.home.path / "data-of-w1/workers", site.home.path / "data-of-w1/workers/w1"}) {
    BOOST_TEST(std::filesystem::exists(path), path);
    BOOST_TEST(is_private(path), path);
  }
}

BOOST_AUTO_TEST_CASE(single_paused_tasks_of_a_server_s_run_go_on) {
  Site site;
  site.start_worker("w1", "1");
  site.home.write("two.yaml",
                  "version: 1\nname: two\ntasks:\n"
                  "  left: {run: ['true'], trigger: manual_only}\n"
                  "  right: {run: ['true'], trigger: manual_only}\n");
  const std::string run = lines_of(site.ask({"submit", "two.yaml"}).out).at(0);
  BOOST_TEST(site.ask({"wait", run}).code == 9);
  BOOST_TEST(site.ask({"resume", run, "middle"}).code == 5);
  const Finished half = site.ask({"resume", run, "left"});
  BOOST_TEST(half.code == 9, half.err);
  BOOST_TEST(site.ask({"resume", run, "left"}).code == 6);  // it is done
  const Finished whole = site.ask({"resume", run, "right"});
  BOOST_TEST(whole.code == 0, whole.err);
}

BOOST_AUTO_TEST_CASE(an_interrupted_client_cancels_and_a_stubborn_one_leaves) {
  Site site;
  site.start_worker("w1", "1");
  site.home.write("long.yaml",
                  "version: 1\nname: long\ntasks:\n  a: {shell: 'touch began; sleep "
                  "60', cwd: flow}\n");
  auto client = site.home.start(site.there({"run", "long.yaml"}));
  BOOST_REQUIRE(until([&] { return std::filesystem::exists(site.home.path / "began"); }));
  client->send(SIGINT);
  const Finished left = client->wait();
  BOOST_TEST(left.code == 8, left.err);
  BOOST_TEST(left.err.find("cancelling") != std::string::npos);
  std::filesystem::remove(site.home.path / "began");
  auto gone = site.home.start(site.there({"run", "long.yaml"}));
  BOOST_REQUIRE(until([&] { return std::filesystem::exists(site.home.path / "began"); }));
  gone->send(SIGTERM);
  const Finished ended = gone->wait();
  BOOST_TEST(ended.code == 128 + SIGTERM, ended.err);
  BOOST_TEST(ended.err.find("the run goes on; follow it: reprise wait") != std::string::npos);
  BOOST_TEST(Json::parse(site.ask({"status", "last", "--json"}).out).at("state") == "running");
}

BOOST_AUTO_TEST_CASE(a_service_tells_its_manager_how_it_is_and_logs_in_the_chosen_format) {
  Home home;
  FakeManager manager(home.path / "notify");
  home.environment["NOTIFY_SOCKET"] = (home.path / "notify").string();
  home.environment["WATCHDOG_USEC"] = "200000";
  auto server = home.start({"server", "start", "--listen", "127.0.0.1:0", "--log-format", "json"});
  BOOST_TEST(manager.hears("READY=1\nSTATUS=0 workers connected"));
  BOOST_TEST(manager.hears("WATCHDOG=1"));
  server->send(SIGTERM);
  const Finished ended = server->wait();
  BOOST_TEST(manager.hears("STOPPING=1"));
  const Json line = Json::parse(lines_of(ended.err).at(0));
  BOOST_TEST(line.at("level") == "info");
  BOOST_TEST(line.at("msg").get<std::string>().starts_with("listening on 127.0.0.1:"));
  BOOST_TEST(line.contains("time"));
}

BOOST_AUTO_TEST_CASE(whether_a_server_is_there_is_told_by_the_exit_code) {
  Site site;
  BOOST_TEST(site.ask({"status", "--live"}).code == 0);
  BOOST_TEST(site.ask({"status", "--ready", "--json"}).code == 0);
  site.server->send(SIGTERM);
  BOOST_TEST(site.server->wait().code == 0);
  BOOST_TEST(site.ask({"status", "--live"}).code == 3);
}

BOOST_AUTO_TEST_SUITE_END()
