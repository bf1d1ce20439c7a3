// Explaining, forking, retrying and looking back, with a real engine over a real data folder.
#include <atomic>
#include <filesystem>
#include <fstream>
#include <thread>

#include <rapidcheck.h>
#include <boost/test/unit_test.hpp>

#include <fmt/format.h>

#include "actors/engine.hpp"
#include "actors/explain_run.hpp"
#include "actors/file_hasher.hpp"
#include "actors/fork.hpp"
#include "actors/lineage.hpp"
#include "actors/plan.hpp"
#include "cache/read_only_store.hpp"
#include "cache/redis_functions.hpp"
#include "cache/redis_invalidations.hpp"
#include "cache/redis_store.hpp"
#include "cache/sqlite_store.hpp"
#include "cache/tiered_store.hpp"
#include "cache/upkeep.hpp"
#include "flow/flow_builder.hpp"
#include "journal/sqlite_journal.hpp"
#include "tests/support/redis_server.hpp"
#include "tests/support/temporary_folder.hpp"

BOOST_AUTO_TEST_SUITE(TimeTravel)

using namespace reprise;
using namespace std::chrono_literals;

namespace {

// What one history is made of. Every field enters the key of some task.
struct Shape {
  int quality = 0;
  int constant = 0;
  std::string version = "1";
  std::string salt{};
  bool declares_home = false;
  bool extra_dependency = false;
  bool only_duration = false;          // last does not look at what it is given
  std::optional<Duration> lasts = {};  // results of right
};

/// Bytes that do not get smaller.
std::string noise(std::size_t size, std::uint64_t state) {
  std::string bytes(size, '\0');
  for (char& byte : bytes) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    byte = static_cast<char>(state >> 56);
  }
  return bytes;
}

struct World {
  testing::TemporaryFolder folder;
  std::shared_ptr<worker::FunctionTable> functions = std::make_shared<worker::FunctionTable>();
  bool has_bulk = false;  // flows have that, too
  std::shared_ptr<std::atomic<int>> executions = std::make_shared<std::atomic<int>>(0);
  std::shared_ptr<std::atomic<bool>> fails = std::make_shared<std::atomic<bool>>(false);
  std::optional<redis::Settings> redis{};

  World() {
    worker::Function bulk;
    bulk.name = "bulk";
    bulk.body = [count = executions](const worker::Call& call) {
      ++*count;
      const auto seed = *call.arguments.front().value.value()->get_if<std::int64_t>();
      const std::string bytes = noise(40'000, static_cast<std::uint64_t>(seed));
      return worker::Returned{*Payload::of(Value{Bytes{bytes}}), {}};
    };
    RC_ASSERT(functions->add(std::move(bulk)).has_value());
    worker::Function sum;
    sum.name = "sum";
    sum.body = [count = executions](const worker::Call& call) {
      ++*count;
      std::int64_t total = 0;
      for (const Argument& argument : call.arguments)
        total += *argument.value.value()->get_if<std::int64_t>();
      return worker::Returned{*Payload::of(Value{total / 2}), {}};  // halves: values repeat
    };
    RC_ASSERT(functions->add(std::move(sum)).has_value());
    worker::Function fragile;
    fragile.name = "fragile";
    fragile.body = [count = executions, fail = fails](const worker::Call&) {
      ++*count;
      if (*fail) throw std::runtime_error("not today");
      return worker::Returned{*Payload::of(Value{7}), {}};
    };
    RC_ASSERT(functions->add(std::move(fragile)).has_value());
  }

  [[nodiscard]] TaskKind kind(const std::string& name, const Shape& shape) const {
    TaskKind made;
    made.cache_name = name;
    made.version = shape.version;
    made.body = FunctionBody{"sum@1"};
    made.signature.inputs = {{"x", "any"}, {"y", "any"}};
    made.cache.enabled = true;
    made.cache.salt = shape.salt;
    if (shape.declares_home) made.cache.environment = {"HOME"};
    if (shape.extra_dependency) made.cache.dependencies["data"] = sha256("set");
    return made;
  }

  // left and right take the parameter and a constant, both feeds the last. What bulk gives lies in
  // a file of its own.
  [[nodiscard]] std::shared_ptr<const FlowSpec> flow(const Shape& shape) const {
    FlowBuilder builder("small");
    Parameter quality;
    quality.name = "quality";
    quality.type = "int";
    quality.default_value = *Payload::of(Value{0});
    const auto parameter = builder.add_parameter(quality);
    const NodeId left = builder.add_node("left", builder.add_kind(kind("left", shape)));
    builder.add_parameter_input("x", parameter);
    builder.add_constant("y", *Payload::of(Value{0}));
    TaskKind of_right = kind("right", {});
    of_right.cache.expires_after = shape.lasts;
    const NodeId right = builder.add_node("right", builder.add_kind(of_right));
    builder.add_constant("x", *Payload::of(Value{shape.constant}));
    builder.add_constant("y", *Payload::of(Value{1}));
    TaskKind of_last = kind("last", {});
    if (shape.only_duration) of_last.cache.validator = Validator::duration_only;
    builder.add_node("last", builder.add_kind(of_last));
    builder.add_upstream("x", left);
    builder.add_upstream("y", right);
    if (has_bulk) {
      TaskKind of_bulk = kind("bulk", {});
      of_bulk.body = FunctionBody{"bulk@1"};
      of_bulk.signature.inputs = {{"x", "any"}};
      builder.add_node("bulk", builder.add_kind(of_bulk));
      builder.add_parameter_input("x", parameter);
    }
    auto made = std::move(builder).finish();
    RC_ASSERT(made.has_value());
    return std::make_shared<const FlowSpec>(std::move(*made));
  }

  [[nodiscard]] RunId run(const std::shared_ptr<const FlowSpec>& flow, RunOptions options) const {
    EngineOptions how;
    how.data = folder.path();
    how.slots = 2;
    how.grace = 1s;
    how.functions = functions;
    how.redis = redis;
    auto engine = Engine::open(how);
    RC_ASSERT(engine.has_value());
    const auto started = (*engine)->submit(flow, std::move(options));
    RC_ASSERT(started.has_value());
    RC_ASSERT((*engine)->wait(started->id, 60s).has_value());
    return started->id;
  }
  [[nodiscard]] RunId run(const Shape& shape, std::optional<Time> as_of = {}) const {
    RunOptions options;
    options.parameters["quality"] = *Payload::of(Value{shape.quality});
    options.as_of = as_of;
    options.always_new = true;
    return run(flow(shape), std::move(options));
  }

  [[nodiscard]] std::unique_ptr<cache::SqliteStore> store() const {
    auto opened = cache::SqliteStore::open({.path = folder / "cache.db"});
    RC_ASSERT(opened.has_value());
    return std::move(*opened);
  }
  [[nodiscard]] std::unique_ptr<journal::SqliteJournal> journal() const {
    auto opened = journal::SqliteJournal::open({.path = folder / "journal.db"});
    RC_ASSERT(opened.has_value());
    return std::move(*opened);
  }
  [[nodiscard]] std::unique_ptr<cache::BlobStore> blobs() const {
    auto opened = cache::BlobStore::open({.folder = folder / "blobs"});
    RC_ASSERT(opened.has_value());
    return std::move(*opened);
  }
};

struct Seen {
  journal::RunRow row;
  journal::RunView view;
};

Seen seen(journal::Journal& journal, const RunId& run) {
  journal::RunQuery query;
  query.id_prefix = run.text();
  auto rows = journal.runs(query);
  RC_ASSERT(rows.has_value() && rows->size() == 1);
  auto view = journal::load_run(journal, rows->front());
  RC_ASSERT(view.has_value());
  return {rows->front(), std::move(*view)};
}

std::int64_t number(const Payload& payload) {
  return *payload.value()->get_if<std::int64_t>();
}

rc::Gen<Shape> any_shape() {
  return rc::gen::build<Shape>(
      rc::gen::set(&Shape::quality, rc::gen::inRange(0, 6)),
      rc::gen::set(&Shape::constant, rc::gen::inRange(0, 3)),
      rc::gen::set(&Shape::version, rc::gen::element<std::string>("1", "2")),
      rc::gen::set(&Shape::salt, rc::gen::element<std::string>("", "grain")),
      rc::gen::set(&Shape::declares_home, rc::gen::arbitrary<bool>()),
      rc::gen::set(&Shape::extra_dependency, rc::gen::arbitrary<bool>()),
      rc::gen::set(&Shape::only_duration, rc::gen::arbitrary<bool>()),
      rc::gen::set(&Shape::lasts, rc::gen::element<std::optional<Duration>>(
                                      std::nullopt, std::chrono::hours{1}, 1ms)));
}

/// Results are over, removed, collected, damaged or lost; or nothing happens.
void something_happens(const World& world) {
  const Time over = now() + 2ms;  // what lives for a millisecond
  while (now() < over) std::this_thread::yield();
  const auto upkeep = [&] {
    auto opened =
        cache::Upkeep::open(world.folder / "cache.db", world.blobs(), world.folder / "blobs");
    RC_ASSERT(opened.has_value());
    return *std::move(opened);
  };
  const int what = *rc::gen::inRange(0, 8);
  if (what == 0) {
    const auto listed = world.store()->list({});
    for (const cache::Record& record : *listed)
      if (*rc::gen::arbitrary<bool>()) RC_ASSERT(upkeep()->remove({record.key}, now()).has_value());
  } else if (what == 1) {
    cache::CollectRequest request;
    request.max_bytes = *rc::gen::inRange<std::uint64_t>(0, 100'000);
    request.grace = Duration{0};
    RC_ASSERT(upkeep()->collect(request, now()).has_value());
  } else if (what < 5) {
    for (const auto& entry :
         std::filesystem::recursive_directory_iterator(world.folder / "blobs")) {
      if (!entry.is_regular_file() || *rc::gen::arbitrary<bool>()) continue;
      if (what == 2) {
        std::filesystem::remove(entry.path());
      } else {
        std::filesystem::permissions(entry.path(), std::filesystem::perms::owner_all);
        std::ofstream(entry.path(), std::ios::app) << "damage";
      }
    }
  }
}

}  // namespace

BOOST_AUTO_TEST_CASE(what_a_plan_predicts_is_what_the_run_does_and_says) {
  std::map<std::string, int> reasons;
  BOOST_TEST(rc::check([&reasons] {
    World world;
    world.has_bulk = true;
    const int steps = *rc::gen::inRange(1, 8);
    for (int step = 0; step < steps; ++step) {
      const Shape shape = *any_shape();
      const auto store = world.store();
      if (step > 0) something_happens(world);
      const auto before = store->statistics();
      actors::RememberingHasher hasher(*cache::FileDigests::open({}));
      const Parameters parameters{{"quality", *Payload::of(Value{shape.quality})}};
      const auto plan = make_plan(world.flow(shape), parameters, *store, hasher, {.explain = true});
      RC_ASSERT(plan.has_value());
      RC_ASSERT(plan->predictions.size() == 4u);
      RC_ASSERT(store->statistics()->versions <= before->versions);  // damage is seen, that is all
      const RunId run = world.run(shape);
      const auto journal = world.journal();
      const Seen after = seen(*journal, run);
      const ExplainSources sources{*journal, *store, nullptr, hasher};
      for (const Prediction& prediction : plan->predictions) {
        const auto task = after.view.find_task(prediction.task);
        RC_ASSERT(task.has_value());
        const auto explanation = explain_task(sources, after.row, after.view, *task);
        RC_ASSERT(explanation.has_value());
        ++reasons[explanation->reason];
        const bool hit = explanation->outcome == TaskExplanation::Outcome::hit;
        if (prediction.reason == "upstream") {
          // Not known before, and never more than a hit or a difference in what upstreams gave.
          RC_ASSERT(hit || !prediction.key);
          continue;
        }
        RC_ASSERT(hit == (prediction.outcome == Prediction::Outcome::hit));
        RC_ASSERT(hit == (after.view.cache(*task) == journal::CacheOutcome::hit));
        // What was looked at is set aside, so the run finds it gone.
        const bool is_damaged = prediction.reason == "corrupt" || prediction.reason == "evicted";
        RC_ASSERT(is_damaged || explanation->reason == prediction.reason);
        RC_ASSERT(explanation->miss.differences == prediction.miss.differences);
        if (!hit) RC_ASSERT(explanation->key == prediction.key);
      }
    }
  }));
  // The histories reach what they are to reach.
  for (const char* reason : {"first_seen", "local", "version", "salt", "env:HOME", "dep:data",
                             "arg:x", "invalidated", "expired"})
    BOOST_TEST(reasons[reason] > 0, reason);
}

BOOST_AUTO_TEST_CASE(a_plan_knows_what_does_not_depend_on_what_runs_first) {
  World world;
  (void)world.run(Shape{.quality = 4, .only_duration = true});
  const auto store = world.store();
  actors::RememberingHasher hasher(*cache::FileDigests::open({}));
  const Shape changed{.quality = 9, .only_duration = true};
  const Parameters parameters{{"quality", *Payload::of(Value{changed.quality})}};
  const auto plan = make_plan(world.flow(changed), parameters, *store, hasher, {.explain = true});
  BOOST_REQUIRE(plan.has_value());
  BOOST_TEST(plan->cached == 2u);  // right and last
  BOOST_TEST(plan->run == 1u);
  const int before = *world.executions;
  (void)world.run(changed);
  BOOST_TEST(*world.executions == before + 1);
}

BOOST_AUTO_TEST_CASE(a_plan_asks_the_shared_server_and_leaves_it_as_it_is) {
  testing::RedisServer server;
  World made, fresh;
  made.has_bulk = fresh.has_bulk = true;
  made.redis = fresh.redis = server.settings();
  const Shape shape{.quality = 4};
  (void)made.run(shape);
  const auto client = std::make_shared<redis::Client>(server.settings(), cache::redis_functions());
  std::vector<std::string> warnings;
  const auto planned = [&] {
    cache::TieredStore::Options tiers;
    tiers.local = std::make_unique<cache::ReadOnlyStore>(fresh.store());
    tiers.remote = std::make_unique<cache::RedisStore>(
        cache::RedisStore::Options{.client = client, .read_only = true});
    tiers.invalidations = std::make_shared<cache::RedisInvalidations>(client);
    tiers.warn = [&](std::string line) { warnings.push_back(std::move(line)); };
    cache::TieredStore store(std::move(tiers));
    actors::RememberingHasher hasher(*cache::FileDigests::open({}));
    const Parameters parameters{{"quality", *Payload::of(Value{shape.quality})}};
    auto plan = make_plan(fresh.flow(shape), parameters, store, hasher, {.explain = true});
    BOOST_REQUIRE_MESSAGE(plan.has_value(), (plan ? "" : plan.error().message));
    return *std::move(plan);
  };
  const auto look_ups = [&] {
    return cache::RedisStore({.client = client}).statistics()->look_ups;
  };
  const auto asked = look_ups();
  const Plan first = planned();
  BOOST_TEST(first.cached == 4u);
  BOOST_TEST(first.predictions.front().reason == "redis");
  BOOST_TEST(look_ups() == asked);
  BOOST_TEST(fresh.store()->statistics()->versions == 0u);
  const int before = *fresh.executions;
  (void)fresh.run(shape);
  BOOST_TEST(*fresh.executions == before);
  // Removed there: here it is not used either, though there are copies now.
  const auto listed = fresh.store()->list({});
  std::vector<Key> keys;
  for (const cache::Record& record : *listed) keys.push_back(record.key);
  BOOST_REQUIRE(keys.size() == 4u);
  BOOST_REQUIRE(cache::RedisInvalidations(client).invalidate(keys, now()).has_value());
  BOOST_TEST(planned().run == 4u);
  BOOST_TEST(fresh.store()->statistics()->versions == 4u);
  (void)fresh.run(shape);
  BOOST_TEST(*fresh.executions == before + 4);
  BOOST_TEST(planned().cached == 4u);
  BOOST_TEST(warnings.empty());
  server.kill();
  BOOST_TEST(planned().cached == 4u);
  BOOST_TEST(!warnings.empty());
}

BOOST_AUTO_TEST_CASE(a_changed_parameter_is_named_as_the_cause) {
  World world;
  (void)world.run(Shape{.quality = 4});
  const RunId run = world.run(Shape{.quality = 9});
  const auto store = world.store();
  const auto journal = world.journal();
  actors::RememberingHasher hasher(*cache::FileDigests::open({}));
  const Seen after = seen(*journal, run);
  const auto left = explain_task({*journal, *store, nullptr, hasher}, after.row, after.view,
                                 *after.view.find_task("left"));
  BOOST_REQUIRE(left.has_value());
  BOOST_TEST(left->reason == "arg:x");
  BOOST_REQUIRE(left->causes.size() == 1u);
  BOOST_TEST((left->causes[0].kind == Cause::Kind::parameter));
  BOOST_TEST(left->causes[0].name == "quality");
  BOOST_TEST(left->causes[0].before == "4");
  BOOST_TEST(left->causes[0].now == "9");
  const auto last = explain_task({*journal, *store, nullptr, hasher}, after.row, after.view,
                                 *after.view.find_task("last"));
  BOOST_REQUIRE(last.has_value());
  BOOST_REQUIRE(last->causes.size() == 1u);
  BOOST_TEST((last->causes[0].kind == Cause::Kind::upstream));
  BOOST_TEST(last->causes[0].name == "left");
}

BOOST_AUTO_TEST_CASE(a_run_as_of_a_moment_sees_nothing_newer_and_keeps_nothing) {
  World world;
  (void)world.run(Shape{.quality = 4});
  const Time between = now();
  (void)world.run(Shape{.quality = 8});
  const int before = *world.executions;
  // What was there then is found; what came later is not, and is not kept either.
  (void)world.run(Shape{.quality = 4}, between);
  BOOST_TEST(*world.executions == before);
  (void)world.run(Shape{.quality = 8}, between);
  BOOST_TEST(*world.executions == before + 2);  // left and last
  (void)world.run(Shape{.quality = 8}, between);
  BOOST_TEST(*world.executions == before + 4);
  const auto versions = world.store()->statistics();
  BOOST_TEST(versions->versions == 5u);
  (void)world.run(Shape{.quality = 8});
  BOOST_TEST(*world.executions == before + 4);
}

BOOST_AUTO_TEST_CASE(a_run_beyond_the_horizon_fails_instead_of_guessing) {
  World world;
  (void)world.run(Shape{.quality = 4});
  const Time then = now();
  {
    auto upkeep =
        cache::Upkeep::open(world.folder / "cache.db", world.blobs(), world.folder / "blobs");
    BOOST_REQUIRE(upkeep.has_value());
    cache::CollectRequest request;
    request.max_bytes = 0;
    const auto gone = (*upkeep)->collect(request, now());
    BOOST_REQUIRE(gone.has_value());
    BOOST_TEST(gone->entries.size() == 3u);
  }
  const RunId run = world.run(Shape{.quality = 4}, then);
  const auto journal = world.journal();
  const Seen after = seen(*journal, run);
  BOOST_TEST((after.view.state() == RunState::failed));
  const std::string message(after.view.message(*after.view.find_task("left")));
  BOOST_TEST(message.starts_with("history_horizon: "), message);
  const auto listed = world.store()->list({.as_of = then});
  BOOST_REQUIRE(!listed.has_value());
  BOOST_TEST(listed.error().message.starts_with("history_horizon: "));
}

BOOST_AUTO_TEST_CASE(a_fork_does_again_what_was_named_and_what_follows) {
  World world;
  const RunId old = world.run(Shape{.quality = 4});
  const auto journal = world.journal();
  const auto blobs = world.blobs();
  const Seen parent = seen(*journal, old);
  ForkRequest request;
  request.at = {"left"};
  request.parameters = parent.row.parameters;
  auto fork = make_fork(parent.row, parent.view, request, *blobs);
  BOOST_REQUIRE(fork.has_value());
  BOOST_TEST(fork->given == 1u);
  BOOST_TEST(fork->again == 2u);
  const int before = *world.executions;
  fork->run.cache = CacheMode::refresh;
  const RunId forked = world.run(parent.view.shared_flow(), fork->run);
  BOOST_TEST(*world.executions == before + 2);
  const Seen child = seen(*journal, forked);
  BOOST_TEST((child.view.state() == RunState::success));
  BOOST_TEST(!child.view.executed(*child.view.find_task("right")));
  BOOST_TEST((child.view.result(*child.view.find_task("last")) ==
              parent.view.result(*parent.view.find_task("last"))));
  // A given result leads back to the run that made it.
  const auto provenance = provenance_of(*journal, nullptr, forked, "last");
  BOOST_REQUIRE(provenance.has_value());
  BOOST_REQUIRE(provenance->makers.size() == 3u);
  for (const Maker& maker : provenance->makers)
    BOOST_TEST((maker.run == (maker.task == "right" ? old : forked)), maker.task);

  request.at.clear();
  const auto nothing = make_fork(parent.row, parent.view, request, *blobs);
  BOOST_REQUIRE(!nothing.has_value());
  BOOST_TEST((nothing.error().code == ErrorCode::invalid_argument));
  request.at = {"lefd"};
  const auto unknown = make_fork(parent.row, parent.view, request, *blobs);
  BOOST_REQUIRE(!unknown.has_value());
  BOOST_TEST((unknown.error().code == ErrorCode::not_found));
  request.at.clear();
  request.parameters["quality"] = *Payload::of(Value{10});
  const auto changed = make_fork(parent.row, parent.view, request, *blobs);
  BOOST_REQUIRE(changed.has_value());
  BOOST_TEST(changed->again == 2u);
  const RunId third = world.run(parent.view.shared_flow(), changed->run);
  const Seen grandchild = seen(*journal, third);
  BOOST_TEST(number(grandchild.view.result(*grandchild.view.find_task("left"))) == 5);
}

BOOST_AUTO_TEST_CASE(a_retry_goes_on_in_the_same_run_with_new_attempts) {
  World world;
  FlowBuilder builder("fragile");
  TaskKind fragile;
  fragile.cache_name = "fragile";
  fragile.body = FunctionBody{"fragile@1"};
  TaskKind sum = world.kind("after", {});
  sum.cache.enabled = false;
  sum.signature.inputs = {{"x", "any"}};
  const NodeId first = builder.add_node("first", builder.add_kind(fragile));
  builder.add_node("after", builder.add_kind(sum));
  builder.add_upstream("x", first);
  TaskKind alone = sum;
  alone.cache_name = "alone";
  builder.add_node("alone", builder.add_kind(alone));
  builder.add_constant("x", *Payload::of(Value{4}));
  auto made = std::move(builder).finish();
  BOOST_REQUIRE(made.has_value());
  const auto flow = std::make_shared<const FlowSpec>(std::move(*made));
  *world.fails = true;
  const RunId run = world.run(flow, {});
  const auto journal = world.journal();
  const Seen failed = seen(*journal, run);
  BOOST_TEST((failed.view.state() == RunState::failed));
  const auto batch = make_retry(failed.row, failed.view, {}, now());
  BOOST_REQUIRE(batch.has_value());
  BOOST_TEST(batch->tasks.size() == 2u);  // first and after; alone is done
  const std::vector<journal::Batch> batches{*batch};
  BOOST_REQUIRE(journal->append(batches).has_value());
  *world.fails = false;
  const int before = *world.executions;
  RunOptions again;
  again.resume = run;
  BOOST_TEST((world.run(flow, again) == run));
  BOOST_TEST(*world.executions == before + 2);
  const Seen after = seen(*journal, run);
  BOOST_TEST((after.view.state() == RunState::success));
  BOOST_TEST(after.view.run_count(*after.view.find_task("first")) == 2u);
  BOOST_TEST(after.view.run_count(*after.view.find_task("alone")) == 1u);
  const auto nothing = make_retry(after.row, after.view, {}, now());
  BOOST_REQUIRE(!nothing.has_value());
  BOOST_TEST((nothing.error().code == ErrorCode::conflict));
}

BOOST_AUTO_TEST_CASE(what_was_made_of_a_result_is_found_over_several_runs) {
  World world;
  const RunId run = world.run(Shape{.quality = 4});
  (void)world.run(Shape{.quality = 4, .constant = 2});  // left is a hit, last is another one
  const auto journal = world.journal();
  const Seen first = seen(*journal, run);
  const Key left = *first.view.detail(*first.view.find_task("left"))->key;
  const Key right = *first.view.detail(*first.view.find_task("right"))->key;
  const auto of_left = made_of(*journal, {left});
  BOOST_REQUIRE(of_left.has_value());
  BOOST_TEST(of_left->size() == 2u);
  BOOST_TEST(!of_left->contains(right));
  const auto of_right = made_of(*journal, {right});
  BOOST_REQUIRE(of_right.has_value());
  BOOST_TEST(of_right->size() == 1u);
}

BOOST_AUTO_TEST_SUITE_END()
