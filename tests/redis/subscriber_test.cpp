#include "redis/subscriber.hpp"

#include <chrono>
#include <condition_variable>
#include <fstream>
#include <functional>
#include <map>
#include <mutex>
#include <string>

#include <boost/test/unit_test.hpp>

#include "tests/support/redis_server.hpp"
#include "tests/support/temporary_folder.hpp"

BOOST_AUTO_TEST_SUITE(Subscriber)

using namespace reprise;
using namespace std::chrono_literals;
using reprise::testing::RedisServer;

namespace {

struct Ear {
  std::mutex mutex;
  std::condition_variable changed;
  std::map<std::string, int> heard;

  redis::Subscriber listening_to(const redis::Settings& settings) {
    return redis::Subscriber(settings, [this](const std::string& channel) {
      const std::lock_guard guard(mutex);
      ++heard[channel];
      changed.notify_all();
    });
  }
  bool hears(const std::string& channel, int times) {
    std::unique_lock lock(mutex);
    return changed.wait_for(lock, 30s, [&] { return heard[channel] >= times; });
  }
  int count(const std::string& channel) {
    const std::lock_guard guard(mutex);
    return heard[channel];
  }
};

bool comes_true(const std::function<bool()>& condition) {
  const auto deadline = std::chrono::steady_clock::now() + 30s;
  while (!condition())
    if (std::chrono::steady_clock::now() > deadline) return false;
  return true;
}

}  // namespace

BOOST_AUTO_TEST_CASE(what_is_said_on_a_channel_is_heard_and_on_others_is_not) {
  RedisServer server;
  Ear ear;
  redis::Subscriber subscriber = ear.listening_to(server.settings());
  subscriber.listen_to({"a", "b"});
  BOOST_TEST(comes_true([&] { return subscriber.is_listening(); }));
  BOOST_TEST(ear.hears("a", 1));  // once when it begins: something may have been said before
  server("PUBLISH", "a", "C");
  BOOST_TEST(ear.hears("a", 2));
  subscriber.listen_to({"b", "c"});
  BOOST_TEST(ear.hears("c", 1));
  BOOST_TEST(comes_true([&] { return server("PUBLISH", "a", "C").integer == 0; }));
  server("PUBLISH", "c", "R");
  BOOST_TEST(ear.hears("c", 2));
  BOOST_TEST(ear.count("a") == 2);
  BOOST_TEST(ear.count("b") == 1);
}

BOOST_AUTO_TEST_CASE(a_lost_connection_is_made_again_with_the_password) {
  RedisServer server({"--requirepass", "secret"});
  server.password = "secret";
  reprise::testing::TemporaryFolder folder;
  redis::Settings settings = server.settings();
  settings.password_file = folder / "password";
  {
    std::ofstream(settings.password_file) << "secret\n";
    std::filesystem::permissions(settings.password_file, std::filesystem::perms::owner_read);
  }
  Ear ear;
  redis::Subscriber subscriber = ear.listening_to(settings);
  subscriber.listen_to({"a"});
  BOOST_TEST(ear.hears("a", 1));
  server("CLIENT", "KILL", "TYPE", "pubsub");
  BOOST_TEST(ear.hears("a", 2));  // after the gap
  BOOST_TEST(comes_true([&] { return subscriber.is_listening(); }));
  server.kill();
  BOOST_TEST(comes_true([&] { return !subscriber.is_listening(); }));
  server.start();
  BOOST_TEST(ear.hears("a", 3));
  server("PUBLISH", "a", "C");
  BOOST_TEST(ear.hears("a", 4));
}

BOOST_AUTO_TEST_CASE(it_ends_at_once_whatever_the_server_does) {
  RedisServer server;
  server.stop();
  Ear ear;
  {
    redis::Subscriber subscriber = ear.listening_to(server.settings());
    subscriber.listen_to({"a"});
    BOOST_TEST(!subscriber.is_listening());
  }
  server.go_on();
  BOOST_TEST(ear.count("a") == 0);
}

BOOST_AUTO_TEST_SUITE_END()
