// Runs that share results through a server with which something is wrong, from the middle of the
// run on: they end as they would have without it, in time, and say what they missed.
#include <boost/test/unit_test.hpp>

#include <functional>

#include "tests/integration/support.hpp"
#include "tests/support/redis_server.hpp"
#include "tests/support/tcp_proxy.hpp"

BOOST_AUTO_TEST_SUITE(redis_in_trouble)

using namespace reprise::integration;
using namespace std::chrono_literals;
using reprise::testing::RedisServer;
using reprise::testing::TcpProxy;
using Manner = TcpProxy::Manner;

namespace {

/// The first stage is everybody's own; while it runs, the server gets into trouble. The second is
/// looked up afterwards.
constexpr const char* stages_flow = R"(version: 1
name: stages
params:
  who: {type: string}
tasks:
  first:
    map: {over: "${{ range(4) }}", as: i}
    env: {WHO: "${{ params.who }}", I: "${{ i }}"}
    cache: true
    shell: "sleep 0.15; echo $I"  # of the same value for all, though everybody makes it
  second:
    needs: [first]
    map: {over: "${{ range(8) }}", as: i}
    env: {I: "${{ i }}"}
    cache: true
    shell: sleep 0.01; echo $(( I * I ))
  sum:
    env: {LIST: "${{ second.map(s, s.stdout).join('') }}"}
    shell: |
      total=0
      for x in $LIST; do total=$(( total + x )); done
      echo $total
outputs:
  total: "${{ sum.stdout }}"
)";

/// A node with a data folder of its own.
struct Node : Home {
  explicit Node(std::uint16_t port) : port_(port) { write("stages.yaml", stages_flow); }

  Arguments line(const std::string& who) const {
    return {"run",     "stages.yaml", "-p",      "who=" + who,
            "--slots", "2",           "--redis", "127.0.0.1:" + std::to_string(port_)};
  }
  Outcome run(const std::string& who) { return invoke(*this, line(who)); }
  /// Calls `trouble` once the first task has run.
  Outcome run(const std::string& who, const std::function<void()>& trouble) {
    Arguments arguments = line(who);
    arguments.insert(arguments.end(), {"--json", "--progress", "counter"});
    const auto begin = std::chrono::steady_clock::now();
    const auto program = start(std::move(arguments));
    BOOST_TEST(program->shows("1/"));
    trouble();
    return outcome_of(*program, begin);
  }
  /// "miss first_seen", "hit", "bypass tier_down" …
  std::string why(const Outcome& outcome, const std::string& task) {
    const Outcome told = invoke(*this, {"cache", "explain", outcome.text("run"), task});
    return told.text("outcome") + " " + told.text("reason");
  }

 private:
  std::uint16_t port_;
};

void check_right(const Outcome& outcome) {
  BOOST_TEST(outcome.code == 0, outcome.shown());
  BOOST_TEST(outcome.at("/outputs/total") == "140\n");
  BOOST_TEST(outcome.counted("executed") + outcome.counted("cached") == 13);
}

struct Trouble {
  std::string name;
  std::function<void(RedisServer&, TcpProxy&)> begins;
  std::string second;       // why a task of the second stage ran, or did not
  bool is_harmless = true;  // the server has what it had
  bool is_lying = false;    // what it says of leases is not to be relied on
};

const std::vector<Trouble> troubles{
    {"late, but in time", [](RedisServer&, TcpProxy& proxy) { proxy.be_late(50); }, "hit redis"},
    {"too late", [](RedisServer&, TcpProxy& proxy) { proxy.be_late(1000); }, "bypass tier_down"},
    {"cut", [](RedisServer&, TcpProxy& proxy) { proxy.set(Manner::cut); }, "bypass tier_down"},
    {"truncated", [](RedisServer&, TcpProxy& proxy) { proxy.set(Manner::truncate); },
     "bypass tier_down"},
    {"dripping", [](RedisServer&, TcpProxy& proxy) { proxy.set(Manner::drip); },
     "bypass tier_down"},
    {"silent", [](RedisServer&, TcpProxy& proxy) { proxy.set(Manner::swallow); },
     "bypass tier_down"},
    {"corrupting", [](RedisServer&, TcpProxy& proxy) { proxy.set(Manner::corrupt); }, ""},
    {"corrupting questions",
     [](RedisServer&, TcpProxy& proxy) { proxy.set(Manner::corrupt_questions); }, "", true, true},
    {"hanging", [](RedisServer& server, TcpProxy&) { server.stop(); }, "bypass tier_down"},
    {"dead", [](RedisServer& server, TcpProxy&) { server.kill(); }, "bypass tier_down", false},
    {"restarted empty",
     [](RedisServer& server, TcpProxy&) {
       server.kill();
       server.start();
     },
     "miss first_seen", false},
    {"flushed", [](RedisServer& server, TcpProxy&) { server("FLUSHALL"); }, "miss first_seen",
     false},
    {"a replica", [](RedisServer& server, TcpProxy&) { server("REPLICAOF", "127.0.0.1", "1"); },
     "hit redis"},
    {"without enough replicas",
     [](RedisServer& server, TcpProxy&) { server("CONFIG", "SET", "min-replicas-to-write", "1"); },
     "hit redis"},
    {"full", [](RedisServer& server, TcpProxy&) { server("CONFIG", "SET", "maxmemory", "1"); },
     "hit redis"},
    {"evicting",
     [](RedisServer& server, TcpProxy&) {
       server("CONFIG", "SET", "maxmemory-policy", "allkeys-lru");
       server("CONFIG", "SET", "maxmemory", "1");
     },
     "", false},
    {"closed to who has not got the new password",
     [](RedisServer& server, TcpProxy&) {
       server("CONFIG", "SET", "requirepass", "new");
       server.password = "new";
       server("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes");
     },
     "bypass tier_down"},
};

}  // namespace

BOOST_AUTO_TEST_CASE(whatever_happens_to_the_server_a_run_succeeds_in_time) {
  for (const Trouble& trouble : troubles) {
    BOOST_TEST_CONTEXT(trouble.name) {
      RedisServer server;
      TcpProxy proxy(server.port());
      Node maker(server.port());
      check_right(maker.run("maker"));

      Node node(proxy.port());
      const Outcome outcome = node.run("node", [&] { trouble.begins(server, proxy); });
      check_right(outcome);
      // 0.3 s of work, five times 350 ms until nobody asks any more, a probe or two.
      BOOST_TEST(outcome.seconds < 8, outcome.shown());
      if (!trouble.second.empty()) BOOST_TEST(node.why(outcome, "second[3]") == trouble.second);
      const bool is_told = outcome.err.find("warning: redis 127.0.0.1:") != std::string::npos;
      if (trouble.second == "bypass tier_down") BOOST_TEST(is_told, outcome.shown());
      // What the node made itself it has, whatever the server thinks of it.
      proxy.set(Manner::pass);
      server.go_on();
      const Outcome again = node.run("node");
      check_right(again);
      if (!trouble.is_lying) BOOST_TEST(again.counted("executed") == 1, again.shown());

      if (!trouble.is_harmless) continue;
      if (!server.password.empty()) server("CONFIG", "SET", "requirepass", "");
      Node other(server.port());
      const Outcome later = other.run("maker");
      check_right(later);
      BOOST_TEST(later.counted("cached") == 12);
    }
  }
}

BOOST_AUTO_TEST_CASE(what_one_node_removes_the_others_make_anew) {
  RedisServer server;
  Node a(server.port()), b(server.port());
  check_right(a.run("both"));
  const Outcome before = b.run("both");
  BOOST_TEST(before.counted("executed") == 1, before.shown());
  const Arguments remove{"cache",
                         "rm",
                         "--task",
                         "second",
                         "-y",
                         "--redis",
                         "127.0.0.1:" + std::to_string(server.port())};
  const Outcome removed = invoke(a, remove);
  BOOST_TEST(removed.code == 0, removed.shown());
  BOOST_TEST(removed.at("/removed") == 8);
  const Outcome after = b.run("both");
  check_right(after);
  BOOST_TEST(after.counted("executed") == 9, after.shown());
  BOOST_TEST(b.why(after, "second[3]") == "miss invalidated");
  BOOST_TEST(a.run("both").counted("executed") == 1);  // of b's
  const Arguments count{"cache", "stats", "--redis", "127.0.0.1:" + std::to_string(server.port())};
  const Outcome counts = invoke(a, count);
  BOOST_TEST(counts.at("/shared/tier_down").is_null());
  BOOST_TEST(counts.at("/shared/entries") == 12, counts.shown());
  BOOST_TEST(counts.at("/shared/hits") >= 12);
  // What cannot be removed everywhere is removed nowhere.
  server.kill();
  BOOST_TEST(invoke(a, remove).code != 0);
  const Outcome down = invoke(a, count);
  BOOST_TEST(down.code == 0, down.shown());
  BOOST_TEST(down.at("/shared/tier_down").is_string());
  BOOST_TEST(a.run("both").counted("executed") == 1);
}

BOOST_AUTO_TEST_CASE(what_one_node_erases_the_others_do_not_serve) {
  RedisServer server;
  Node a(server.port()), b(server.port());
  check_right(a.run("both"));
  BOOST_TEST(b.run("both").counted("executed") == 1);
  const Outcome erased = invoke(a, {"cache", "erase", "--task", "second", "-y", "--redis",
                                    "127.0.0.1:" + std::to_string(server.port())});
  BOOST_TEST(erased.code == 0, erased.shown());
  BOOST_TEST(erased.at("/tiers/1/tier") == "nodes", erased.shown());
  BOOST_TEST(erased.at("/tiers/1/counts/told") == 8, erased.shown());
  const Outcome after = b.run("both");
  check_right(after);
  BOOST_TEST(after.counted("executed") == 9, after.shown());
  BOOST_TEST(b.why(after, "second[3]") == "miss invalidated");
}

BOOST_AUTO_TEST_CASE(files_that_one_node_made_are_hits_on_another) {
  RedisServer server;
  Node a(server.port()), b(server.port());
  const Arguments line{"run", "files.yaml", "--out",
                       "out", "--redis",    "127.0.0.1:" + std::to_string(server.port())};
  for (Node* node : {&a, &b})
    node->write("files.yaml", R"(version: 1
name: files
tasks:
  make:
    map: {over: [a, b, c], as: x}
    shell: 'echo $REPRISE_ITEM > letter; chmod +x letter'
    outputs: [letter]
    cache: true
  join: {shell: "cat ${{ make[0].outputs['letter'] }} > joined", outputs: [joined], cache: true}
outputs: {joined: "${{ join.outputs['joined'] }}"}
)");
  BOOST_TEST(invoke(a, line).counted("executed") == 4);
  const Outcome second = invoke(b, line);
  BOOST_TEST(second.counted("executed") == 0, second.shown());
  BOOST_TEST(b.read("out/joined") == "a\n");
}

BOOST_AUTO_TEST_CASE(with_keys_only_signed_results_are_taken) {
  RedisServer server;
  Node a(server.port()), b(server.port()), stranger(server.port());
  for (Node* node : {&a, &b}) {
    node->write("keys", std::string(64, '7') + "\n");
    std::filesystem::permissions(node->path / "keys", std::filesystem::perms::owner_read);
    node->environment["REPRISE_REDIS_MAC_KEY_FILE"] = (node->path / "keys").string();
  }
  check_right(stranger.run("both"));
  check_right(a.run("both"));
  const Outcome counts = invoke(a, {"cache", "stats"});
  BOOST_TEST(counts.at("/misses_by_reason/bad_mac") == 12, counts.shown());
  const Outcome served = b.run("both");
  check_right(served);
  BOOST_TEST(served.counted("executed") == 1, served.shown());
  BOOST_TEST(b.why(served, "first[1]") == "hit redis");
}

BOOST_AUTO_TEST_SUITE_END()
