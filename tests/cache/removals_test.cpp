// What is computed while it is removed is not kept, whoever computes it and however it is chosen.
#include "cache/removals.hpp"

#include <functional>

#include <boost/test/unit_test.hpp>

#include "cache/erasure.hpp"
#include "cache/memory_store.hpp"
#include "cache/sqlite_leases.hpp"
#include "cache/tiered_store.hpp"
#include "tests/cache/cache_folder.hpp"

namespace reprise::cache {

BOOST_AUTO_TEST_SUITE(removals_tests)
namespace {

using namespace testing;
using namespace std::chrono_literals;

struct Folder : CacheFolder {
  /// Begins to compute something, does `meanwhile`, and commits it.
  Kept computed(Commit result, const std::function<void()>& meanwhile, Time when = at(100)) {
    const auto store = this->store();
    result.since = store->removals();
    meanwhile();
    const auto kept = store->commit({&result, 1}, when);
    BOOST_REQUIRE_MESSAGE(kept.has_value(), (kept ? "" : kept.error().message));
    return kept->front();
  }
  bool is_fenced(const Commit& result, const std::function<void()>& meanwhile) {
    return computed(result, meanwhile) == Kept::fenced;
  }
  auto fence(Selection selection) {
    return [this, chosen = std::move(selection)] {
      BOOST_REQUIRE(upkeep()->fence(chosen, at(10)).has_value());
    };
  }
  auto erase(ErasureRequest request) {
    return [this, asked = std::move(request)] {
      auto erasure = Erasure::open(folder / "cache.db", folder / "blobs");
      BOOST_REQUIRE(erasure.has_value());
      const auto plan = (*erasure)->plan(asked);
      BOOST_REQUIRE(plan.has_value());
      BOOST_REQUIRE((*erasure)->erase(*plan, {}, false, at(10)).has_value());
    };
  }
  auto remove(std::string name) {
    return [this, removed = std::move(name)] {
      BOOST_REQUIRE(upkeep()->remove({key(removed)}, at(10)).has_value());
    };
  }
  bool hits(const std::string& name) { return find(*store(), name, at(200)).has_value(); }
};

Commit of_version(std::string version) {
  Material material;
  material.name = "align";
  material.version = std::move(version);
  Commit made = commit("v" + material.version, value("x"));
  made.material = material.encode();
  return made;
}

BOOST_FIXTURE_TEST_SUITE(Removals, Folder)

BOOST_AUTO_TEST_CASE(what_is_computed_while_its_key_is_removed_is_not_kept) {
  keep("k", "old", at(0));
  BOOST_TEST(is_fenced(testing::commit("k", value("new")), remove("k")));
  BOOST_TEST(!hits("k"));
  BOOST_TEST(store()->statistics()->fenced == 1);
  // Removed once more, and where nothing ever was.
  BOOST_TEST(is_fenced(testing::commit("k", value("new")), remove("k")));
  BOOST_TEST(is_fenced(testing::commit("never", value("new")), remove("never")));
  BOOST_TEST(!hits("never"));
}

BOOST_AUTO_TEST_CASE(what_is_computed_is_found_by_task_run_and_version_without_having_been_kept) {
  const Commit made = testing::commit("k", value("new"));  // align[s1], of run 7
  RunId other;
  other.bytes[0] = 8;
  BOOST_TEST(is_fenced(made, fence({.name = "align"})));
  BOOST_TEST(is_fenced(made, fence({.name = "align[s1]"})));
  BOOST_TEST(is_fenced(made, fence({.run = made.run})));
  BOOST_TEST(is_fenced(made, fence({.name = "align", .run = made.run})));
  BOOST_TEST(is_fenced(made, fence({.keys = {key("j"), key("k")}})));
  BOOST_TEST(is_fenced(of_version("1"), fence({.version = "1"})));
  BOOST_TEST(!hits("k"));
  BOOST_TEST(!is_fenced(of_version("2"), fence({.version = "1"})));
  for (const Selection& not_it :
       {Selection{.name = "ali"}, Selection{.name = "align[s"}, Selection{.run = other},
        Selection{.keys = {key("j")}}, Selection{.name = "align", .run = other},
        Selection{.keys = {key("k")}, .name = "sort"}})
    BOOST_TEST(!is_fenced(testing::commit("k", value("new")), fence(not_it)));
  BOOST_TEST(hits("k"));
}

BOOST_AUTO_TEST_CASE(what_is_computed_while_it_is_erased_is_not_kept) {
  keep("k", "old", at(0));
  const Commit made = testing::commit("k", value("new"));
  BOOST_TEST(is_fenced(made, erase({.selection = Selection{.keys = {key("k")}}})));
  BOOST_TEST(is_fenced(made, erase({.selection = Selection{.keys = {key("k")}}})));
  BOOST_TEST(is_fenced(made, erase({.selection = Selection{.name = "align"}})));
  BOOST_TEST(is_fenced(made, erase({.values = {made.value.digest}})));
  FileValue file;
  file.content = *blobs->put("secret");
  file.size = 6;
  const Commit names = testing::commit("f", *Payload::of(Value(List{file.to_value()})));
  BOOST_TEST(is_fenced(names, erase({.values = {file.content}})));
  BOOST_TEST(!is_fenced(made, erase({.values = {sha256("another")}})));
}

BOOST_AUTO_TEST_CASE(what_begins_after_a_removal_is_kept_also_before_the_older_one_ends) {
  keep("k", "old", at(0));
  Commit slow = testing::commit("k", value("slow"));
  slow.since = store()->removals();
  remove("k")();
  Commit anew = testing::commit("k", value("anew"));
  anew.since = store()->removals();
  BOOST_TEST((store()->commit({&anew, 1}, at(20))->front() == Kept::added));
  BOOST_TEST((store()->commit({&slow, 1}, at(30))->front() == Kept::fenced));
  BOOST_TEST((find(*store(), "k", at(40))->value == anew.value));
  // The same value is no harm.
  slow.value = anew.value;
  BOOST_TEST((store()->commit({&slow, 1}, at(30))->front() == Kept::duplicate));
}

BOOST_AUTO_TEST_CASE(who_waited_for_what_is_removed_need_not_wait) {
  keep("k", "old", at(0));
  const auto leases = *SqliteLeases::open(folder / "cache.db");
  const LeaseWish wish{.key = key("k"), .even_if_published = true};
  const auto first = leases->acquire({&wish, 1}, {.owner = "a", .now = at(1)})->front();
  remove("k")();
  const auto second = leases->acquire({&wish, 1}, {.owner = "b", .now = at(1)})->front();
  BOOST_TEST((second.kind == LeaseAnswer::Kind::granted));
  BOOST_TEST(second.lease.token > first.lease.token);
}

BOOST_AUTO_TEST_CASE(what_began_before_the_removals_that_are_remembered_is_not_kept) {
  const Commit made = testing::commit("k", value("new"));
  const auto remove_many = [this](std::int64_t count) {
    std::set<Key> never;
    for (std::int64_t i = 0; i < count; ++i) never.insert(key("never " + std::to_string(i)));
    BOOST_REQUIRE(upkeep()->remove(never, at(10)).has_value());
  };
  BOOST_TEST(!is_fenced(made, [&] { remove_many(removals_remembered / 2); }));
  BOOST_TEST(is_fenced(testing::commit("k", value("newer")),
                       [&] { remove_many(removals_remembered + 1); }));
}

BOOST_AUTO_TEST_CASE(what_is_removed_here_while_it_is_computed_is_not_shared_either) {
  const auto shared = std::make_shared<MemoryStore>();
  struct Shared final : Store {
    explicit Shared(std::shared_ptr<MemoryStore> memory) : to(std::move(memory)) {}
    Result<std::vector<Found>> search(std::span<const Query> queries, Time now) override {
      return to->search(queries, now);
    }
    Result<std::vector<Kept>> commit(std::span<const Commit> commits, Time now) override {
      std::vector<Commit> own(commits.begin(), commits.end());
      for (Commit& each : own)
        if (each.lease) each.lease->scope = Lease::Scope::folder;
      return to->commit(own, now);
    }
    Result<std::vector<Record>> list(const Listing& listing) override { return to->list(listing); }
    Result<std::vector<Record>> versions(std::string_view prefix) override {
      return to->versions(prefix);
    }
    Result<Statistics> statistics() override { return to->statistics(); }
    std::shared_ptr<MemoryStore> to;
  };
  TieredStore::Options options;
  options.local = store();
  options.remote = std::make_unique<Shared>(shared);
  options.remote_leases = shared;
  TieredStore tiers(std::move(options));
  const LeaseWish wish{.key = key("k")};
  Commit made = testing::commit("k", value("new"));
  made.since = tiers.removals();
  made.lease = tiers.acquire({&wish, 1}, {.owner = "a", .now = at(1)})->front().lease;
  made.lease->scope = Lease::Scope::shared;
  fence({.name = "align"})();
  BOOST_TEST((tiers.commit({&made, 1}, at(20))->front() == Kept::fenced));
  BOOST_REQUIRE(tiers.flush(20s));
  BOOST_TEST(!find(*shared, "k", at(30)));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace

BOOST_AUTO_TEST_SUITE_END()

}  // namespace reprise::cache
