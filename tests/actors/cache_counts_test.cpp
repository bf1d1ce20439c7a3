// What became of look-ups adds up, whatever runs do.
#include <map>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

#include <boost/test/unit_test.hpp>

#include "actors/engine.hpp"
#include "cache/sqlite_store.hpp"
#include "flow/flow_builder.hpp"
#include "tests/support/temporary_folder.hpp"

BOOST_AUTO_TEST_SUITE(CacheCounts)

using namespace reprise;
using namespace std::chrono_literals;
using reprise::testing::TemporaryFolder;

namespace {

/// Bodies that succeed, give much, or fail.
std::shared_ptr<worker::FunctionTable> bodies() {
  auto table = std::make_shared<worker::FunctionTable>();
  const auto add = [&](std::string name, auto body) {
    worker::Function function;
    function.name = std::move(name);
    function.body = body;
    BOOST_REQUIRE(table->add(std::move(function)).has_value());
  };
  add("good", [](const worker::Call&) -> worker::Returned {
    return {*Payload::of(Value{std::string("small")}), {}};
  });
  add("large", [](const worker::Call&) -> worker::Returned {
    return {*Payload::of(Value{std::string(5000, 'x')}), {}};
  });
  add("bad", [](const worker::Call&) -> worker::Returned { throw std::runtime_error("no"); });
  return table;
}

struct Task {
  std::string body;
  std::string version;
};

std::shared_ptr<const FlowSpec> flow_of(const std::vector<Task>& tasks) {
  FlowBuilder builder("counts");
  for (std::size_t i = 0; i < tasks.size(); ++i) {
    TaskKind kind;
    kind.cache_name = tasks[i].body;
    kind.body = FunctionBody{tasks[i].body + "@1"};
    kind.cache.enabled = true;
    kind.version = tasks[i].version;
    builder.add_node("t" + std::to_string(i), builder.add_kind(kind));
  }
  return std::make_shared<const FlowSpec>(*std::move(builder).finish());
}

cache::UseCounts counts_in(const std::filesystem::path& data) {
  auto store = cache::SqliteStore::open({.path = data / "cache.db", .read_only = true});
  BOOST_REQUIRE_MESSAGE(store.has_value(), (store ? "" : store.error().message));
  return (*store)->statistics()->use;
}

struct Engines {
  TemporaryFolder data;
  std::unique_ptr<Engine> engine = open();

  std::unique_ptr<Engine> open() const {
    EngineOptions options;
    options.data = data.path();
    options.slots = 2;
    options.functions = bodies();
    options.max_value_bytes = 1000;
    auto opened = Engine::open(options);
    BOOST_REQUIRE_MESSAGE(opened.has_value(), (opened ? "" : opened.error().message));
    return std::move(*opened);
  }
  RunResult run(const std::vector<Task>& tasks, CacheMode mode = CacheMode::normal) {
    RunOptions options;
    options.cache = mode;
    options.always_new = true;
    const auto started = engine->submit(flow_of(tasks), options);
    BOOST_REQUIRE_MESSAGE(started.has_value(), (started ? "" : started.error().message));
    const auto result = engine->wait(started->id, 60s);
    BOOST_REQUIRE(result.has_value());
    return *result;
  }
  cache::UseCounts counts() {
    engine.reset();  // writes what was not written yet
    return counts_in(data.path());
  }
};

}  // namespace

BOOST_AUTO_TEST_CASE(every_look_up_is_a_hit_a_miss_or_a_bypass_and_none_is_counted_twice) {
  std::mt19937 chance(20261129);
  const auto any_of = [&](const auto& choices) {
    return choices[std::uniform_int_distribution<std::size_t>(0, choices.size() - 1)(chance)];
  };
  const std::vector<std::string> body_names{"good", "good", "large", "bad"}, versions{"1", "2"};
  const std::vector<CacheMode> modes{CacheMode::normal,    CacheMode::normal, CacheMode::refresh,
                                     CacheMode::read_only, CacheMode::off,    CacheMode::only};
  for (int history = 0; history < 12; ++history) {
    Engines engines;
    std::int64_t asked = 0;
    for (int i = 0; i < 6; ++i) {
      std::vector<Task> tasks(1 + chance() % 4);
      for (Task& task : tasks) task = {any_of(body_names), any_of(versions)};
      engines.run(tasks, any_of(modes));
      asked += static_cast<std::int64_t>(tasks.size());
      if (chance() % 4 == 0) {  // a new process
        engines.engine.reset();
        engines.engine = engines.open();
      }
    }
    const cache::UseCounts counts = engines.counts();
    BOOST_TEST_CONTEXT("history " << history) {
      BOOST_TEST(counts.look_ups() == asked);
      BOOST_TEST(counts.sum_of("hit") + counts.sum_of("miss") + counts.sum_of("bypass") == asked);
    }
  }
}

BOOST_AUTO_TEST_CASE(each_is_counted_under_its_reason) {
  Engines engines;
  engines.run({{"good", "1"}});                                 // first_seen
  engines.run({{"good", "1"}});                                 // local
  engines.run({{"good", "2"}}, CacheMode::read_only);           // version, read_only
  engines.run({{"good", "1"}}, CacheMode::refresh);             // refresh
  engines.run({{"good", "1"}, {"good", "1"}}, CacheMode::off);  // off, twice
  engines.run({{"large", "1"}});                                // first_seen, too_large
  engines.run({{"bad", "1"}});                                  // first_seen, failed
  const cache::UseCounts counts = engines.counts();
  using Sums = std::map<std::string, std::int64_t>;
  BOOST_TEST((counts.all_of("hit") == Sums{{"local", 1}}));
  BOOST_TEST((counts.all_of("miss") == Sums{{"first_seen", 3}, {"version", 1}}));
  BOOST_TEST((counts.all_of("bypass") == Sums{{"off", 2}, {"refresh", 1}}));
  BOOST_TEST((counts.all_of("unkept") == Sums{{"failed", 1}, {"read_only", 1}, {"too_large", 1}}));
  BOOST_TEST(counts.of("saved.ns") > 0);
  BOOST_TEST(counts.of("bytes.read") == 6);
  BOOST_TEST(counts.of("bytes.written") == 6);
}

BOOST_AUTO_TEST_CASE(counts_begin_at_zero_again_and_results_stay) {
  Engines engines;
  engines.run({{"good", "1"}});
  engines.engine.reset();
  {
    auto store = cache::SqliteStore::open({.path = engines.data.path() / "cache.db"});
    BOOST_REQUIRE(store.has_value());
    BOOST_REQUIRE((*store)->forget_counts().has_value());
    const cache::Statistics statistics = *(*store)->statistics();
    BOOST_TEST(statistics.use.is_empty());
    BOOST_TEST(statistics.look_ups == 0u);
    BOOST_TEST(statistics.entries == 1u);
    BOOST_TEST(statistics.value_bytes == 6u);
  }
  engines.engine = engines.open();
  BOOST_TEST(engines.run({{"good", "1"}}).summary.cached == 1U);
  BOOST_TEST(engines.counts().of("hit.local") == 1);
}

BOOST_AUTO_TEST_SUITE_END()
