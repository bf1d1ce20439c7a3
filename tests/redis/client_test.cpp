// Against real servers, and against things that only pretend to be one.
#include "redis/client.hpp"

#include <sys/socket.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <thread>
#include <utility>

#include <boost/test/unit_test.hpp>

#include "redis/policy.hpp"
#include "tests/support/redis_server.hpp"
#include "tests/support/tcp_proxy.hpp"

namespace reprise::redis {

BOOST_AUTO_TEST_SUITE(Client_)
namespace {

using namespace std::chrono_literals;
using reprise::testing::answer_with;
using reprise::testing::RedisServer;
using reprise::testing::say_nothing;
using reprise::testing::TcpProxy;
using reprise::testing::TcpServer;
using reprise::testing::TemporaryFolder;
using reprise::testing::write_file;

const Library library{.name = "t1",
                      .revision = 2,
                      .code =
                          "#!lua name=t1\n"
                          "redis.register_function{function_name='t1_revision', "
                          "callback=function() return 2 end, flags={'no-writes'}}\n"
                          "redis.register_function('t1_put', function(keys, argv) return "
                          "redis.call('SET', keys[1], argv[1]) end)\n"};

Commands one(std::initializer_list<std::string_view> words) {
  Commands commands;
  commands.begin(words.size());
  for (const auto word : words) commands.argument(word);
  return commands;
}

Commands put(std::string_view key, std::string_view value) {
  return one({"FCALL", "t1_put", "1", key, value});
}

// The reply of the only command.
Reply ask(Client& client, const Commands& commands, Client::Needs needs = Client::Needs::nothing) {
  auto replies = client.run(commands, 5s, needs);
  if (!replies) BOOST_FAIL(replies.error().message);
  return replies->front();
}

Error refused(Client& client, const Commands& commands, Duration budget = 5s,
              Client::Needs needs = Client::Needs::nothing) {
  auto replies = client.run(commands, budget, needs);
  if (replies) BOOST_FAIL("was answered");
  return replies.error();
}

Settings settings_for(std::uint16_t port) {
  Settings settings;
  settings.endpoint.port = port;
  return settings;
}

std::filesystem::path password_file(const TemporaryFolder& folder, std::string_view password) {
  const auto file = folder / "password";
  write_file(file, std::string(password) + "\n");
  std::filesystem::permissions(
      file, std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
  return file;
}

template <class Body>
Duration time_of(Body body) {
  const auto begin = std::chrono::steady_clock::now();
  body();
  return std::chrono::steady_clock::now() - begin;
}

BOOST_AUTO_TEST_CASE(many_commands_take_one_round_trip_over_port_and_socket) {
  RedisServer server;
  Settings by_socket = server.settings();
  by_socket.endpoint.socket = server.socket();
  for (const Settings& settings : {server.settings(), by_socket}) {
    Client client(settings);
    Commands commands;
    for (int i = 0; i < 20'000; ++i) commands.add("SET", "k" + std::to_string(i), i);
    for (int i = 0; i < 20'000; ++i) commands.add("GET", "k" + std::to_string(i));
    auto replies = client.run(commands, 10s);
    BOOST_REQUIRE_MESSAGE(replies, replies.error().message);
    BOOST_REQUIRE(replies->size() == 40'000u);
    for (int i = 0; i < 20'000; ++i)
      BOOST_REQUIRE((*replies)[20'000u + static_cast<unsigned>(i)].text == std::to_string(i));
    BOOST_TEST(client.counters().round_trips == 1u);
    BOOST_TEST(client.counters().connects == 1u);
  }
}

BOOST_AUTO_TEST_CASE(large_values_go_both_ways_at_once) {
  RedisServer server;
  Client client(server.settings());
  const std::string large(8 << 20, 'x');
  Commands commands;
  for (int i = 0; i < 4; ++i) commands.add("SET", "large", large).add("GET", "large");
  auto replies = client.run(commands, 20s);
  BOOST_REQUIRE_MESSAGE(replies, replies.error().message);
  BOOST_TEST((replies->back().text == large));
}

BOOST_AUTO_TEST_CASE(errors_of_single_commands_are_replies) {
  RedisServer server;
  Client client(server.settings());
  Commands commands;
  commands.add("NONSENSE").add("SET", "a", "1").add("LPUSH", "a", "x").add("GET", "a");
  auto replies = client.run(commands, 5s);
  BOOST_REQUIRE(replies);
  BOOST_TEST((*replies)[0].is_error());
  BOOST_TEST((*replies)[2].text.starts_with("WRONGTYPE"));
  BOOST_TEST((*replies)[3].text == "1");
}

BOOST_AUTO_TEST_CASE(databases_are_apart) {
  RedisServer server;
  Settings second = server.settings();
  second.database = 2;
  Client here(server.settings()), there(second);
  (void)ask(there, one({"SET", "k", "2"}));
  BOOST_TEST(ask(here, one({"GET", "k"})).is_nil());
  BOOST_TEST(ask(there, one({"GET", "k"})).text == "2");
}

BOOST_AUTO_TEST_CASE(users_are_known_by_the_password_in_a_file_also_after_it_changed) {
  TemporaryFolder folder;
  RedisServer server({"--requirepass", "first"});
  server("ACL", "SETUSER", "me", "on", ">mine", "~*", "+@all");
  Settings settings = server.settings();
  settings.user = "me";
  settings.password_file = password_file(folder, "wrong");
  Client client(settings);
  const Error error = refused(client, one({"GET", "k"}));
  BOOST_TEST((error.code == ErrorCode::denied), error.message);
  BOOST_TEST(error.message.find("check the user \"me\" and the password file") !=
             std::string::npos);
  BOOST_TEST(error.message.find("wrong") == std::string::npos);
  (void)password_file(folder, "mine");
  BOOST_TEST(ask(client, one({"ACL", "WHOAMI"})).text == "me");

  // Changed while connected: the next connection takes the new one.
  server("ACL", "SETUSER", "me", "resetpass", ">other");
  (void)password_file(folder, "other");
  server("CLIENT", "KILL", "USER", "me");
  BOOST_TEST(ask(client, one({"ACL", "WHOAMI"})).text == "me");
}

BOOST_AUTO_TEST_CASE(without_a_password_a_server_that_wants_one_is_denied) {
  RedisServer server({"--requirepass", "first"});
  Client client(server.settings());
  BOOST_TEST((refused(client, one({"GET", "k"})).code == ErrorCode::denied));
}

BOOST_AUTO_TEST_CASE(functions_are_loaded_where_they_are_missing_or_old) {
  RedisServer server;
  Client client(server.settings(), library);
  BOOST_TEST(ask(client, put("k", "1"), Client::Needs::functions).is_status("OK"));
  server("FUNCTION", "FLUSH");  // and lost again while connected
  BOOST_TEST(ask(client, put("k", "2"), Client::Needs::functions).is_status("OK"));
  BOOST_TEST(server("GET", "k").text == "2");

  Library newer = library;
  newer.revision = 3;
  newer.code.replace(newer.code.find("return 2"), 8, "return 3");
  Client after(server.settings(), newer);
  BOOST_TEST(ask(after, one({"FCALL_RO", "t1_revision", "0"})).integer == 3);
  Client before(server.settings(), library);  // leaves the newer one
  BOOST_TEST(ask(before, one({"FCALL_RO", "t1_revision", "0"})).integer == 3);
}

BOOST_AUTO_TEST_CASE(who_may_not_load_functions_reads_and_is_told_what_to_do) {
  TemporaryFolder folder;
  RedisServer server;
  server("ACL", "SETUSER", "reader", "on", ">secret", "~*", "+@read", "+fcall", "+fcall_ro");
  server("SET", "k", "1");
  Settings settings = server.settings();
  settings.user = "reader";
  settings.password_file = password_file(folder, "secret");
  Client client(settings, library);
  BOOST_TEST(ask(client, one({"GET", "k"})).text == "1");
  const Error error = refused(client, put("k", "2"), 5s, Client::Needs::functions);
  BOOST_TEST((error.code == ErrorCode::denied));
  BOOST_TEST(
      error.message.find("run reprise cache init-redis as a user who may") != std::string::npos,
      error.message);
  BOOST_TEST(ask(client, one({"GET", "k"})).text == "1");
  BOOST_TEST((client.breaker_state() == BreakerState::closed));

  Client administrator(server.settings(), library);
  BOOST_TEST(administrator.install_functions().has_value());
  Client again(settings, library);  // may call what is there, but not write
  BOOST_TEST(ask(again, put("k", "2"), Client::Needs::functions).is_error());
}

BOOST_AUTO_TEST_CASE(a_server_that_was_restarted_is_found_again_without_a_failure) {
  RedisServer server;
  Client client(server.settings(), library);
  (void)ask(client, put("k", "1"), Client::Needs::functions);
  server.kill();
  server.start();  // empty
  BOOST_TEST(ask(client, one({"GET", "k"})).is_nil());
  server.kill();
  server.start();
  BOOST_TEST(ask(client, put("k", "2"), Client::Needs::functions).is_status("OK"));
  BOOST_TEST(client.counters().failures == 0u);
  BOOST_TEST(client.counters().connects == 3u);
}

BOOST_AUTO_TEST_CASE(a_server_that_is_gone_is_asked_a_few_times_and_then_left_alone) {
  RedisServer server;
  const std::uint16_t port = server.port();
  server.kill();
  Time clock{1'790'000'000s};
  Settings settings = settings_for(port);
  settings.breaker = {.failures = 3, .first_pause = 2s, .longest_pause = 60s, .jitter = 0};
  Client client(settings, {}, [&] { return clock; });
  for (int i = 0; i < 3; ++i)
    BOOST_TEST((refused(client, one({"GET", "k"})).code == ErrorCode::unavailable));
  BOOST_TEST((client.breaker_state() == BreakerState::open));
  const Error error = refused(client, one({"GET", "k"}));
  BOOST_TEST(error.message == "redis 127.0.0.1:" + std::to_string(port) +
                                  ": did not answer lately; asked again in 2.0 s");
  BOOST_TEST(client.counters().refusals == 1u);
  server.start();
  BOOST_TEST((refused(client, one({"GET", "k"})).code == ErrorCode::unavailable));
  clock += 2s;
  settings.budgets.operation = 5s;
  BOOST_TEST(ask(client, one({"GET", "k"})).is_nil());
  BOOST_TEST((client.breaker_state() == BreakerState::closed));
  BOOST_TEST(client.counters().openings == 1u);
}

BOOST_AUTO_TEST_CASE(nobody_waits_longer_than_agreed) {
  RedisServer stopped;
  stopped.stop();
  TcpServer silent(say_nothing);
  RedisServer real;
  TcpProxy dripping(real.port());
  dripping.set(TcpProxy::Manner::drip);
  for (const std::uint16_t port : {stopped.port(), silent.port(), dripping.port()}) {
    Client client(settings_for(port));
    Commands much;
    for (int i = 0; i < 1000; ++i) much.add("GET", "k");
    const Duration took =
        time_of([&] { BOOST_TEST((refused(client, much, 400ms).code == ErrorCode::unavailable)); });
    BOOST_TEST(took >= 200ms);
    BOOST_TEST(took < 3s);
  }
  stopped.go_on();
}

BOOST_AUTO_TEST_CASE(whatever_a_server_says_is_an_error_and_no_harm) {
  const std::vector<std::string> answers{
      "HTTP/1.1 400 Bad Request\r\n\r\n",
      "\r\n\r\n",
      std::string(1000, '\0'),
      "*2147483647\r\n",
      "$536870912\r\n",
      "*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n",
      "+OK\r\n+OK\r\n+OK\r\n+OK\r\n+OK\r\n+OK\r\n+OK\r\n",
      "-ERR max number of clients reached\r\n",
      "-LOADING Redis is loading the dataset in memory\r\n"};
  for (const std::string& answer : answers) {
    TcpServer server(answer_with(answer));
    Client client(settings_for(server.port()), library);
    for (int i = 0; i < 3; ++i) {
      const Error error = refused(client, put("k", "1"), 300ms, Client::Needs::functions);
      BOOST_TEST((error.code == ErrorCode::corrupt || error.code == ErrorCode::unavailable),
                 error.message);
    }
  }
}

BOOST_AUTO_TEST_CASE(a_reply_above_the_limit_ends_the_connection) {
  RedisServer server;
  server("SET", "large", std::string(200'000, 'x'));
  Settings settings = server.settings();
  settings.limits.reply_bytes = 100'000;
  Client client(settings);
  BOOST_TEST((refused(client, one({"GET", "large"})).code == ErrorCode::corrupt));
  BOOST_TEST(ask(client, one({"GET", "small"})).is_nil());
}

BOOST_AUTO_TEST_CASE(a_connection_cut_in_the_middle_is_made_anew) {
  RedisServer server;
  TcpProxy proxy(server.port());
  Settings settings = server.settings();
  settings.endpoint.port = proxy.port();
  Client client(settings);
  (void)ask(client, one({"SET", "k", std::string(1000, 'x')}));
  for (const auto manner : {TcpProxy::Manner::truncate, TcpProxy::Manner::cut}) {
    proxy.set(manner);
    BOOST_TEST((refused(client, one({"GET", "k"})).code == ErrorCode::unavailable));
    proxy.set(TcpProxy::Manner::pass);
    BOOST_TEST(ask(client, one({"GET", "k"})).text.size() == 1000u);
  }
}

BOOST_AUTO_TEST_CASE(replies_are_taken_as_they_come_and_from_the_first_when_sent_again) {
  // Answers each command with a number; the first connection ends after four answers. What greets
  // the server on a new connection is one of them.
  std::atomic<int> connections{0};
  TcpServer server([&](int descriptor) {
    const int most = connections++ == 0 ? 4 : 1000;
    char buffer[4096];
    for (int answered = 0; answered < most;) {
      const ssize_t got = ::recv(descriptor, buffer, sizeof buffer, 0);
      if (got <= 0) return;
      const auto asked = std::count(buffer, buffer + got, '*');
      std::string answers;
      for (std::ptrdiff_t i = 0; i < asked && answered < most; ++i)
        answers += ":" + std::to_string(100 * connections + answered++) + "\r\n";
      if (::send(descriptor, answers.data(), answers.size(), MSG_NOSIGNAL) < 0) return;
    }
    ::shutdown(descriptor, SHUT_RDWR);
  });
  Client client(settings_for(server.port()));
  std::vector<std::pair<std::size_t, std::int64_t>> taken;
  const Take take = [&](std::size_t number, Reply& reply) {
    taken.emplace_back(number, reply.integer);
  };
  BOOST_REQUIRE(client.read(one({"PING"}), 5s, take).has_value());
  BOOST_REQUIRE(client.read(one({"PING"}), 5s, take).has_value());
  BOOST_TEST(taken.size() == 2u);
  taken.clear();
  Commands many;
  for (int i = 0; i < 4; ++i) many.add("PING");
  BOOST_REQUIRE(client.read(many, 5s, take).has_value());
  const std::vector<std::pair<std::size_t, std::int64_t>> expected{
      {0, 103}, {0, 201}, {1, 202}, {2, 203}, {3, 204}};
  BOOST_TEST((taken == expected));
  BOOST_TEST(client.counters().failures == 0u);
}

BOOST_AUTO_TEST_CASE(there_is_no_such_host) {
  Settings settings;
  settings.endpoint.host = "no-such-host.invalid";
  Client client(settings);
  const Duration took = time_of([&] {
    BOOST_TEST((refused(client, one({"GET", "k"}), 400ms).code == ErrorCode::unavailable));
  });
  BOOST_TEST(took < 3s);
}

BOOST_AUTO_TEST_CASE(threads_share_a_client) {
  RedisServer server;
  Client client(server.settings());
  std::vector<std::thread> threads;
  std::atomic<int> wrong{0};
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&, t] {
      for (int i = 0; i < 200; ++i) {
        const std::string own = std::to_string(t * 1000 + i);
        auto replies = client.run(one({"ECHO", own}), 5s);
        if (!replies || replies->front().text != own) ++wrong;
      }
    });
  for (std::thread& thread : threads) thread.join();
  BOOST_TEST(wrong == 0);
}

BOOST_AUTO_TEST_CASE(the_servers_policy_is_found_out_as_far_as_the_user_may_ask) {
  TemporaryFolder folder;
  RedisServer server(
      {"--maxmemory", "50mb", "--maxmemory-policy", "allkeys-lru", "--appendonly", "yes"});
  Client administrator(server.settings());
  auto facts = inspect(administrator);
  BOOST_REQUIRE(facts);
  BOOST_TEST((facts->maxmemory_policy == "allkeys-lru"));
  BOOST_TEST((facts->maxmemory == 50ull << 20));
  BOOST_TEST((facts->aof_enabled == true));
  BOOST_TEST((facts->appendfsync == "everysec"));
  BOOST_TEST((check_policy(*facts, Role::cache).front().verdict == Verdict::warning));
  BOOST_TEST((check_policy(*facts, Role::journal).front().verdict == Verdict::refused));

  const auto as = [&](const char* user) {
    Settings settings = server.settings();
    settings.user = user;
    settings.password_file = password_file(folder, "secret");
    Client client(settings);
    auto found = inspect(client);
    BOOST_REQUIRE_MESSAGE(found, found.error().message);
    return *found;
  };
  // CONFIG is forbidden: INFO tells most of it.
  server("ACL", "SETUSER", "no-config", "on", ">secret", "~*", "+@all", "-config");
  BOOST_TEST((as("no-config").maxmemory_policy == "allkeys-lru"));
  BOOST_TEST((as("no-config").appendfsync == std::nullopt));
  server("ACL", "SETUSER", "nothing", "on", ">secret", "~*", "+get");
  BOOST_TEST((as("nothing") == ServerFacts{}));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace reprise::redis
