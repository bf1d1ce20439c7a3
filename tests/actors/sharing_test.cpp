// Results shared between engines: through one data folder, and through a Redis server.
#include <atomic>
#include <filesystem>
#include <set>
#include <thread>

#include <boost/test/unit_test.hpp>

#include "actors/engine.hpp"
#include "cache/sqlite_store.hpp"
#include "flow/flow_builder.hpp"
#include "tests/support/redis_server.hpp"
#include "tests/support/temporary_folder.hpp"

BOOST_AUTO_TEST_SUITE(sharing)

using namespace reprise;
using namespace std::chrono_literals;
using reprise::testing::RedisServer;
using reprise::testing::TemporaryFolder;

namespace {

/// A body that counts its calls, and may be held up.
struct Counted {
  std::atomic<int> calls{0};
  std::atomic<bool> is_open{true};
  std::size_t bytes = 0;  // of each result, at least
  std::shared_ptr<worker::FunctionTable> table = std::make_shared<worker::FunctionTable>();

  Counted() {
    worker::Function function;
    function.name = "count";
    function.body = [this](const worker::Call& call) -> worker::Returned {
      const int number = ++calls;
      while (!is_open && !call.stop.stop_requested()) std::this_thread::yield();
      return {*Payload::of(Value{std::string(bytes, 'x') + std::to_string(number)}), {}};
    };
    BOOST_REQUIRE(table->add(std::move(function)).has_value());
  }
};

std::shared_ptr<const FlowSpec> flow_of(const std::string& name, int tasks = 1) {
  FlowBuilder builder(name);
  TaskKind kind;
  kind.cache_name = "count";
  kind.body = FunctionBody{"count@1"};
  kind.cache.enabled = true;
  const std::uint32_t index = builder.add_kind(kind);
  for (int i = 0; i < tasks; ++i) builder.add_node("t" + std::to_string(i), index);
  return std::make_shared<const FlowSpec>(*std::move(builder).finish());
}

std::unique_ptr<Engine> open(const Counted& bodies, const std::string& data,
                             std::optional<redis::Settings> redis = {}, KeySpace space = {}) {
  EngineOptions options;
  options.space = std::move(space);
  options.data = data;
  options.slots = 2;
  options.grace = 1s;
  options.functions = bodies.table;
  options.redis = std::move(redis);
  auto engine = Engine::open(options);
  BOOST_REQUIRE_MESSAGE(engine.has_value(), (engine ? "" : engine.error().message));
  return std::move(*engine);
}

/// A run that asks for what another one computes, and holds.
struct Waiter {
  RunId leader;
  RunId waiter;

  Waiter(Counted& bodies, Engine& first, Engine& second) {
    bodies.is_open = false;
    const auto a = first.submit(flow_of("a"), {});
    BOOST_REQUIRE(a.has_value());
    while (bodies.calls == 0) std::this_thread::yield();
    const auto b = second.submit(flow_of("b"), {});
    BOOST_REQUIRE(b.has_value());
    BOOST_TEST(!second.wait(b->id, 200ms).has_value());
    leader = a->id;
    waiter = b->id;
  }
};

RunResult run(Engine& engine, const std::shared_ptr<const FlowSpec>& flow) {
  const auto started = engine.submit(flow, {});
  BOOST_REQUIRE(started.has_value());
  const auto result = engine.wait(started->id, 60s);
  BOOST_REQUIRE(result.has_value());
  return *result;
}

}  // namespace

BOOST_AUTO_TEST_CASE(tasks_of_one_run_do_not_wait_for_each_other) {
  Counted bodies;
  TemporaryFolder data;
  const auto engine = open(bodies, data.path());
  BOOST_TEST(run(*engine, flow_of("many", 20)).summary.executed == 20U);
  BOOST_TEST(run(*engine, flow_of("many", 20)).summary.cached == 20U);
}

BOOST_AUTO_TEST_CASE(two_runs_of_one_engine_compute_a_key_once) {
  Counted bodies;
  TemporaryFolder data;
  const auto engine = open(bodies, data.path());
  const Waiter runs(bodies, *engine, *engine);
  bodies.is_open = true;
  BOOST_TEST(engine->wait(runs.waiter, 60s)->summary.cached == 1U);
  BOOST_TEST(bodies.calls == 1);
}

BOOST_AUTO_TEST_CASE(two_engines_of_one_folder_compute_a_key_once) {
  Counted bodies;
  TemporaryFolder data;
  const auto first = open(bodies, data.path());
  const auto second = open(bodies, data.path());
  const Waiter runs(bodies, *first, *second);
  bodies.is_open = true;
  BOOST_TEST(second->wait(runs.waiter, 60s)->summary.cached == 1U);
  BOOST_TEST(first->wait(runs.leader, 60s)->summary.executed == 1U);
  BOOST_TEST(bodies.calls == 1);
}

BOOST_AUTO_TEST_CASE(who_waits_computes_when_the_other_one_is_cancelled) {
  Counted bodies;
  TemporaryFolder data;
  const auto first = open(bodies, data.path());
  const auto second = open(bodies, data.path());
  const Waiter runs(bodies, *first, *second);
  BOOST_TEST(first->cancel(runs.leader, {}, "no more").has_value());
  BOOST_REQUIRE(first->wait(runs.leader, 60s).has_value());
  bodies.is_open = true;
  BOOST_TEST(second->wait(runs.waiter, 60s)->summary.executed == 1U);
}

// What went into the key was forgotten, and the result kept without it.
BOOST_AUTO_TEST_CASE(a_hit_in_another_account_leaves_alone_what_is_computed_in_the_own_one) {
  Counted held, free;
  TemporaryFolder data;
  const auto trying = open(held, data.path(), {}, {.account = "try", .also_read = {"main"}});
  held.is_open = false;
  const auto slow = trying->submit(flow_of("slow"), {});
  BOOST_REQUIRE(slow.has_value());
  while (held.calls == 0) std::this_thread::yield();
  BOOST_TEST(
      run(*open(free, data.path(), {}, {.account = "main"}), flow_of("good")).summary.executed ==
      1U);
  BOOST_TEST(run(*trying, flow_of("other")).summary.cached == 1U);
  held.is_open = true;
  BOOST_TEST(trying->wait(slow->id, 60s)->summary.executed == 1U);
  const auto store = cache::SqliteStore::open({.path = data.path() / "cache.db"});
  BOOST_REQUIRE(store.has_value());
  const auto kept = (*store)->recent("count", now(), 10);
  BOOST_REQUIRE(kept.has_value());
  std::set<std::string> accounts;
  for (const cache::Record& record : *kept) {
    const auto material = Material::decode(record.material);
    BOOST_REQUIRE(material.has_value());
    accounts.insert(material->account);
  }
  BOOST_TEST((accounts == std::set<std::string>{"main", "try"}));
}

// Such a record was taken for somebody's computation that is under way, and waited for.
BOOST_AUTO_TEST_CASE(a_result_whose_value_is_gone_is_computed_again_at_once) {
  Counted bodies;
  bodies.bytes = 1U << 20U;
  TemporaryFolder data;
  const auto engine = open(bodies, data.path());
  BOOST_TEST(run(*engine, flow_of("a")).summary.executed == 1U);
  std::filesystem::remove_all(data.path() / "blobs");
  const auto again = engine->submit(flow_of("b"), {});
  BOOST_REQUIRE(again.has_value());
  const auto result = engine->wait(again->id, 60s);
  BOOST_REQUIRE(result.has_value());
  BOOST_TEST(result->summary.executed == 1U);
}

BOOST_AUTO_TEST_CASE(nodes_that_share_nothing_but_a_server_share_results) {
  RedisServer server;
  Counted bodies;
  TemporaryFolder here, there;
  {
    const auto first = open(bodies, here.path(), server.settings());
    BOOST_TEST(run(*first, flow_of("a")).summary.executed == 1U);
  }
  const auto second = open(bodies, there.path(), server.settings());
  BOOST_TEST(run(*second, flow_of("b")).summary.cached == 1U);
  BOOST_TEST(bodies.calls == 1);
}

BOOST_AUTO_TEST_CASE(a_server_that_is_gone_is_a_miss) {
  std::optional<redis::Settings> settings;
  {
    RedisServer server;
    settings = server.settings();
  }
  Counted bodies;
  TemporaryFolder data;
  const auto engine = open(bodies, data.path(), settings);
  BOOST_TEST(run(*engine, flow_of("a")).summary.executed == 1U);
  BOOST_TEST(run(*engine, flow_of("a")).summary.cached == 1U);
}

BOOST_AUTO_TEST_SUITE_END()
