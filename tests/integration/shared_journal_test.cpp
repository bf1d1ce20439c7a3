// What people see of a server whose journal is shared through Redis while Redis is away: answers.
#include <boost/test/unit_test.hpp>

#include <csignal>
#include <thread>

#include "tests/integration/site.hpp"
#include "tests/support/redis_server.hpp"

BOOST_AUTO_TEST_SUITE(shared_journal_tests)

using namespace reprise::integration;
using reprise::testing::RedisServer;
using namespace std::chrono_literals;

namespace {

constexpr const char* quick = "version: 1\nname: q\ntasks: {a: {run: [\"true\"]}}\n";
constexpr const char* slow = "version: 1\nname: slow\ntasks: {a: {run: [sleep, \"60\"]}}\n";

struct Shared : Site {
  RedisServer redis{{"--appendonly", "yes"}};

  Shared() {
    server->send(SIGTERM);
    server->wait();
    start_server("127.0.0.1:0", {"--journal", url(), "--lead-term", "2s"});
    home.write("q.yaml", quick);
    home.write("slow.yaml", slow);
  }
  [[nodiscard]] std::string url() const {
    return "redis://127.0.0.1:" + std::to_string(redis.port());
  }
  void lose_redis() {
    redis.kill();
    BOOST_REQUIRE(server->shows("nothing is acknowledged until the journal can be written"));
  }
  struct Asked : Finished {
    double seconds = 0;
  };
  Asked timed(Arguments words) {
    const auto begin = std::chrono::steady_clock::now();
    Asked asked{ask(std::move(words)), 0};
    asked.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    return asked;
  }
};

}  // namespace

BOOST_FIXTURE_TEST_SUITE(shared_journal, Shared)

// One write that could not be made held up everybody who asked the server something.
BOOST_AUTO_TEST_CASE(everybody_gets_an_answer_while_redis_is_away) {
  start_worker("w1");
  BOOST_REQUIRE(ask({"submit", "slow.yaml"}).code == 0);
  BOOST_REQUIRE(until([&] {
    return ask({"status", "last"}).out.find("running") != std::string::npos;
  }));
  lose_redis();

  const Asked refused = timed({"submit", "q.yaml"});
  BOOST_TEST(refused.code == 3, refused.err);
  BOOST_TEST(refused.seconds < 20);
  BOOST_TEST(refused.err.find("until") != std::string::npos, refused.err);
  const Asked impatient = timed({"submit", "q.yaml", "--wait", "--timeout", "1s"});
  BOOST_TEST(impatient.code == 7, impatient.err);
  const Asked cancelled = timed({"cancel", "last"});
  BOOST_TEST(cancelled.code == 3, cancelled.err);
  BOOST_TEST(cancelled.seconds < 20);

  auto waiting = home.start(there({"submit", "q.yaml"}));
  for (const Arguments& words :
       {Arguments{"status", "--live"}, {"ps", "--all"}, {"worker", "ls"}, {"status", "last"}}) {
    const Asked answered = timed(words);
    BOOST_TEST(answered.code == 0, joined(words) << ": " << answered.err);
    BOOST_TEST(answered.seconds < 4, joined(words) << " took " << answered.seconds << " s");
  }
  BOOST_TEST(ask({"wait", "last", "--timeout", "1s"}).code == 7);
  waiting->wait();

  redis.start();
  const Asked accepted = timed({"submit", "q.yaml", "--wait"});
  BOOST_TEST(accepted.code == 0, accepted.err);
  BOOST_TEST(accepted.seconds < 10, "took " << accepted.seconds << " s");
}

// A client that knows both servers ended with "another server leads now", not authorised.
BOOST_AUTO_TEST_CASE(a_client_goes_on_with_the_server_that_leads_now) {
  const auto standby = home.start({"server", "start", "--listen", "127.0.0.1:0", "--port-file",
                                   "port-of-b", "--journal", url(), "--lead-term", "2s", "--data",
                                   "data-of-b", "--secret-file", secret().string()});
  BOOST_REQUIRE(standby->shows("standing by"));
  server->send(SIGSTOP);
  BOOST_REQUIRE(standby->shows("listening on "));
  BOOST_REQUIRE(until([&] { return std::filesystem::exists(home.path / "port-of-b"); }));
  server->send(SIGCONT);
  place += ",127.0.0.1:" + lines_of(home.read("port-of-b")).at(0);
  const Asked accepted = timed({"submit", "q.yaml"});
  BOOST_TEST(accepted.code == 0, accepted.err);
  standby->send(SIGTERM);
  standby->wait();
}

// The line told how long it would be until Redis was asked again, and so was another each time.
BOOST_AUTO_TEST_CASE(a_standby_says_once_that_redis_is_away) {
  const auto standby =
      home.start({"server", "start", "--listen", "127.0.0.1:0", "--journal", url(), "--lead-term",
                  "2s", "--data", "data-of-b", "--secret-file", secret().string()});
  BOOST_REQUIRE(standby->shows("standing by"));
  redis.kill();
  BOOST_REQUIRE(standby->shows("standing by: redis"));
  std::this_thread::sleep_for(3s);
  standby->send(SIGTERM);
  const Finished ended = standby->wait();
  std::size_t lines = 0;
  for (const std::string& line : lines_of(ended.err))
    lines += line.find("standing by: redis") != std::string::npos ? 1 : 0;
  BOOST_TEST(lines == 1, ended.err);
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE_END()
