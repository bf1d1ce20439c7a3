#include "cache/tiered_store.hpp"

#include <atomic>
#include <map>
#include <mutex>
#include <set>

#include <rapidcheck.h>
#include <boost/test/unit_test.hpp>

#include "cache/memory_store.hpp"
#include "tests/cache/cache_support.hpp"

namespace reprise::cache {

BOOST_AUTO_TEST_SUITE(tiered_store_tests)
namespace {

using namespace testing;
using namespace std::chrono_literals;
using Kind = LeaseAnswer::Kind;

// What nodes share, in memory, with leases of the shared scope; and it may be out of order.
class SharedStore final : public Store, public Leases {
 public:
  std::atomic<bool> is_down{false};
  std::atomic<bool> is_full{false};
  std::atomic<int> commits{0};
  MemoryStore memory;

  Result<std::vector<Found>> search(std::span<const Query> queries, Time now) override {
    if (is_down) return gone();
    return memory.search(queries, now);
  }
  Result<std::vector<Kept>> commit(std::span<const Commit> given, Time now) override {
    ++commits;
    if (is_down) return gone();
    if (is_full) return fail(ErrorCode::exhausted, "the server is full");
    std::vector<Commit> turned(given.begin(), given.end());
    for (Commit& each : turned)
      if (each.lease) each.lease->scope = other(each.lease->scope);
    return memory.commit(turned, now);
  }
  Result<std::vector<Record>> list(const Listing& listing) override {
    if (is_down) return gone();
    return memory.list(listing);
  }
  Result<std::vector<Record>> versions(std::string_view prefix) override {
    if (is_down) return gone();
    return memory.versions(prefix);
  }
  Result<Statistics> statistics() override { return memory.statistics(); }

  Result<std::vector<LeaseAnswer>> acquire(std::span<const LeaseWish> wishes,
                                           const LeaseTerms& terms) override {
    if (is_down) return gone();
    auto answers = memory.acquire(wishes, terms);
    if (answers)
      for (LeaseAnswer& answer : *answers) answer.lease.scope = other(answer.lease.scope);
    return answers;
  }
  Result<std::vector<bool>> renew(std::span<const HeldLease> leases,
                                  const LeaseTerms& terms) override {
    if (is_down) return gone();
    return memory.renew(leases, terms);
  }
  Result<std::vector<bool>> release(std::span<const HeldLease> leases, Time now) override {
    if (is_down) return gone();
    return memory.release(leases, now);
  }

 private:
  static tl::unexpected<Error> gone() { return fail(ErrorCode::unavailable, "nobody is there"); }
  static Lease::Scope other(Lease::Scope scope) {
    return scope == Lease::Scope::folder ? Lease::Scope::shared : Lease::Scope::folder;
  }
};

// Several nodes keep stores of their own in front of one that they share.
class Forward final : public Store {
 public:
  explicit Forward(Store& to) : to_(to) {}
  Result<std::vector<Found>> search(std::span<const Query> queries, Time now) override {
    return to_.search(queries, now);
  }
  Result<std::vector<Kept>> commit(std::span<const Commit> commits, Time now) override {
    return to_.commit(commits, now);
  }
  Result<std::vector<Record>> list(const Listing& listing) override { return to_.list(listing); }
  Result<std::vector<Record>> versions(std::string_view prefix) override {
    return to_.versions(prefix);
  }
  Result<Statistics> statistics() override { return to_.statistics(); }

 private:
  Store& to_;
};

struct Node {
  explicit Node(const std::shared_ptr<SharedStore>& shared, std::uint64_t queue_bytes = 1 << 20) {
    TieredStore::Options options;
    options.local = std::make_unique<Forward>(*local);
    options.remote = std::make_unique<Forward>(*shared);
    options.local_leases = local;
    options.remote_leases = shared;
    options.queue_bytes = queue_bytes;
    options.retry_pause = 1ms;
    options.last_wait = 1ms;
    options.clock = [this] { return clock.load(); };
    options.warn = [this](std::string line) {
      const std::lock_guard guard(mutex);
      warnings.push_back(std::move(line));
    };
    store = std::make_unique<TieredStore>(std::move(options));
  }
  void settle() const { BOOST_REQUIRE(store->flush(20s)); }

  std::shared_ptr<MemoryStore> local = std::make_shared<MemoryStore>();
  std::atomic<Time> clock{at(0)};
  std::mutex mutex;
  std::vector<std::string> warnings;
  std::unique_ptr<TieredStore> store;
};

template <class Condition>
bool comes_true(Condition condition) {
  const auto deadline = std::chrono::steady_clock::now() + 20s;
  while (!condition())
    if (std::chrono::steady_clock::now() > deadline) return false;
  return true;
}

Kept publish(Store& store, std::string_view name, std::string text, std::optional<Lease> lease,
             Time now = at(0)) {
  Commit made = commit(name, value(std::move(text)));
  made.lease = std::move(lease);
  auto kept = store.commit({&made, 1}, now);
  if (!kept) BOOST_FAIL(kept.error().message);
  return kept->front();
}

LeaseAnswer acquire(Leases& leases, std::string_view name, std::string owner, Time now) {
  const LeaseWish wish{.key = key(name), .even_if_published = false};
  auto answers = leases.acquire({&wish, 1}, {.owner = std::move(owner), .term = 30s, .now = now});
  if (!answers) BOOST_FAIL(answers.error().message);
  return answers->front();
}

struct Two {
  std::shared_ptr<SharedStore> shared = std::make_shared<SharedStore>();
  Node a{shared}, b{shared};
};

BOOST_FIXTURE_TEST_SUITE(TieredStore_, Two)

BOOST_AUTO_TEST_CASE(what_one_node_made_is_found_by_the_other_and_taken_over) {
  keep(*a.store, commit("k", value("x"), 100s), at(0));
  a.settle();
  const auto found = find(*b.store, "k", at(10));
  BOOST_REQUIRE(found);
  BOOST_TEST(found->value.view() == value("x").view());
  b.clock = at(10);
  b.settle();
  const auto promoted = find(*b.local, "k", at(10));
  BOOST_REQUIRE(promoted);
  BOOST_TEST((promoted->committed == at(0)));  // then, not when it came here
  BOOST_TEST((promoted->expires == at(100)));
  BOOST_TEST((promoted->run == found->run));
  shared->is_down = true;
  BOOST_TEST(find(*b.store, "k", at(20)).has_value());
  BOOST_TEST(b.store->tiers().promoted == 1u);
  BOOST_TEST(b.store->tiers().remote_hits == 1u);
  BOOST_TEST(a.store->tiers().copied == 1u);
}

BOOST_AUTO_TEST_CASE(what_a_run_made_and_is_not_copied_yet_hides_nothing_of_others_from_it) {
  keep(*a.store, commit("k", value("other")), at(0));
  a.settle();
  shared->is_full = true;
  Commit own = commit("k", value("own"));
  own.run.bytes[0] = 9;
  keep(*b.store, own, at(1));
  const Query reader{.key = key("k"), .not_of = own.run};
  const auto found = b.store->find({&reader, 1}, at(2));
  BOOST_REQUIRE((found && found->front()));
  BOOST_TEST(found->front()->value.view() == value("other").view());
  BOOST_TEST(find(*b.store, "k", at(2))->value.view() == value("own").view());
  shared->is_full = false;
  b.settle();
}

BOOST_AUTO_TEST_CASE(a_shared_store_that_is_down_is_a_miss_and_nothing_else) {
  shared->is_down = true;
  BOOST_TEST(!find(*a.store, "k"));
  keep(*a.store, commit("k", value("x")));
  BOOST_TEST(find(*a.store, "k").has_value());
  BOOST_TEST(a.store->list({})->size() == 1u);
  BOOST_TEST(a.store->versions("")->size() == 1u);
  BOOST_TEST(a.store->statistics()->entries == 1u);
  BOOST_TEST((acquire(*a.store, "other", "me", at(0)).kind == Kind::granted));
  const TierCounts counts = a.store->tiers();
  BOOST_TEST(counts.remote_unavailable == 1u);
  BOOST_TEST(counts.last_error == "nobody is there");
  BOOST_TEST(counts.local_leases == 1u);
  BOOST_TEST(counts.waiting == 1u);
  BOOST_TEST(a.store->impairment() == "nobody is there");
  {
    // Each kind of trouble is told once, however often it happens.
    BOOST_TEST(!find(*a.store, "another"));
    const std::lock_guard guard(a.mutex);
    BOOST_TEST(a.warnings == (std::vector<std::string>{
                                 "nobody is there; continuing without it",
                                 "nobody is there; new results are kept by this node alone"}));
  }

  shared->is_down = false;  // what waited is copied
  a.settle();
  BOOST_TEST(!find(*a.store, "another"));
  BOOST_TEST(a.store->impairment().empty());
  BOOST_TEST(find(*b.store, "k").has_value());
  BOOST_TEST(a.store->tiers().waiting == 0u);
  BOOST_TEST(a.store->tiers().waiting_bytes == 0u);
}

BOOST_AUTO_TEST_CASE(what_waits_is_bounded_and_the_rest_is_dropped_and_counted) {
  Node small(shared, 1000);
  shared->is_down = true;
  for (int i = 0; i < 10; ++i)
    keep(*small.store, commit(std::to_string(i), value(std::string(300, 'x'))));
  BOOST_TEST(small.store->tiers().waiting == 3u);
  BOOST_TEST(small.store->tiers().dropped == 7u);
  for (int i = 0; i < 10; ++i) BOOST_TEST(find(*small.store, std::to_string(i)).has_value());
  shared->is_down = false;
  small.settle();
  BOOST_TEST(shared->memory.statistics()->entries == 3u);
}

BOOST_AUTO_TEST_CASE(a_full_shared_store_drops_copies_and_goes_on) {
  shared->is_full = true;
  for (int i = 0; i < 5; ++i) keep(*a.store, commit(std::to_string(i), value("x")));
  a.settle();
  BOOST_TEST(a.store->tiers().dropped == 5u);
  shared->is_full = false;
  keep(*a.store, commit("after", value("x")));
  a.settle();
  BOOST_TEST(find(shared->memory, "after").has_value());
}

BOOST_AUTO_TEST_CASE(giving_up_a_node_waits_for_its_copies_but_not_for_a_server_that_is_down) {
  {
    Node node(shared);
    keep(*node.store, commit("k", value("x")));
    node.settle();
    shared->is_down = true;
    keep(*node.store, commit("lost there", value("x")));
    BOOST_TEST(comes_true([&] { return shared->commits > 2; }));  // it was tried
  }
  BOOST_TEST(find(shared->memory, "k").has_value());
  BOOST_TEST(!find(shared->memory, "lost there"));
}

BOOST_AUTO_TEST_CASE(leases_are_between_nodes_and_a_late_commit_is_kept_nowhere) {
  const LeaseAnswer lost = acquire(*a.store, "k", "a", at(0));
  BOOST_TEST((lost.lease.scope == Lease::Scope::shared));
  BOOST_TEST((acquire(*b.store, "k", "b", at(1)).kind == Kind::held));
  const LeaseAnswer taken = acquire(*b.store, "k", "b", at(40));
  BOOST_TEST((taken.kind == Kind::granted));
  BOOST_TEST((publish(*a.store, "k", "late", lost.lease, at(41)) == Kept::fenced));
  BOOST_TEST(!find(*a.local, "k", at(42)));
  BOOST_TEST((publish(*b.store, "k", "in time", taken.lease, at(43)) == Kept::added));
  BOOST_TEST(find(shared->memory, "k", at(44)).has_value());  // at once
  BOOST_TEST((publish(*a.store, "k", "late", lost.lease, at(44)) == Kept::fenced));
  BOOST_TEST((publish(*a.store, "k", "in time", lost.lease, at(44)) == Kept::duplicate));
  BOOST_TEST(find(*a.store, "k", at(45))->value.view() == value("in time").view());
  BOOST_TEST(a.store->statistics()->fenced == 2u);
  BOOST_TEST((acquire(*a.store, "k", "a", at(45)).kind == Kind::published));
}

BOOST_AUTO_TEST_CASE(a_lease_whose_server_is_gone_still_publishes_here_and_is_checked_later) {
  const Lease lost = acquire(*a.store, "lost", "a", at(0)).lease;
  const Lease kept = acquire(*a.store, "kept", "a", at(0)).lease;
  (void)acquire(*b.store, "lost", "b", at(40));
  shared->is_down = true;
  const std::vector<HeldLease> held{{key("lost"), lost}, {key("kept"), kept}};
  auto renewed = a.store->renew(held, {.owner = "a", .term = 30s, .now = at(41)});
  BOOST_REQUIRE(renewed);
  BOOST_TEST((*renewed == std::vector<bool>{true, true}));  // nobody knows
  BOOST_TEST((publish(*a.store, "lost", "late", lost, at(42)) == Kept::added));
  BOOST_TEST((publish(*a.store, "kept", "x", kept, at(42)) == Kept::added));
  shared->is_down = false;
  a.settle();
  BOOST_TEST(!find(shared->memory, "lost", at(43)));
  BOOST_TEST(find(shared->memory, "kept", at(43)).has_value());
  BOOST_TEST(a.store->tiers().fenced == 1u);
}

BOOST_AUTO_TEST_CASE(leases_of_both_scopes_go_where_they_came_from) {
  const Lease there = acquire(*a.store, "there", "a", at(0)).lease;
  shared->is_down = true;
  const Lease here = acquire(*a.store, "here", "a", at(0)).lease;
  shared->is_down = false;
  BOOST_TEST((here.scope == Lease::Scope::folder));
  const std::vector<HeldLease> held{
      {key("there"), there}, {key("here"), here}, {key("none"), here}};
  auto renewed = a.store->renew(held, {.owner = "a", .term = 30s, .now = at(1)});
  BOOST_REQUIRE(renewed);
  BOOST_TEST((*renewed == std::vector<bool>{true, true, false}));
  auto released = a.store->release(held, at(2));
  BOOST_REQUIRE(released);
  BOOST_TEST((*released == std::vector<bool>{true, true, false}));
  BOOST_TEST((publish(*a.store, "here", "x", here, at(3)) == Kept::fenced));
}

BOOST_AUTO_TEST_CASE(lists_show_what_is_here_and_of_there_what_is_not) {
  keep(*a.store, commit("both", value("1")), at(0));
  keep(*a.store, commit("there", value("22")), at(1));
  a.settle();
  (void)find(*b.store, "both");
  b.settle();
  keep(*b.local, commit("here", value("333")), at(2));
  BOOST_TEST(values_of(b.store->list({})) == (std::vector<std::string>{"(4)", "(3)", "(2)"}));
  BOOST_TEST(values_of(b.store->list({.limit = 1})) == (std::vector<std::string>{"(4)"}));
  BOOST_TEST(values_of(b.store->versions(key("there").text())) == (std::vector<std::string>{"22"}));
}

BOOST_AUTO_TEST_CASE(what_was_committed_here_is_not_asked_for_there_until_it_is_copied) {
  keep(*a.store, commit("k", value("x")), at(0));
  a.settle();
  shared->is_full = false;
  keep(*a.store, commit("k", value("x"), 0s), at(1));  // over at once
  BOOST_TEST(!find(*a.store, "k", at(2)));
  a.settle();
  BOOST_TEST(!find(*a.store, "k", at(2)));
}

BOOST_AUTO_TEST_CASE(statistics_add_up) {
  keep(*a.store, commit("k", value("x")));
  a.settle();
  (void)find(*b.store, "k");
  (void)find(*b.store, "none");
  b.settle();
  (void)find(*b.store, "k");
  const Statistics statistics = *b.store->statistics();
  BOOST_TEST(statistics.look_ups == 3u);
  BOOST_TEST(statistics.hits == 2u);
  BOOST_TEST(statistics.misses == 1u);
}

BOOST_AUTO_TEST_CASE(random_nodes_serve_only_what_was_committed_and_is_fresh) {
  BOOST_TEST(rc::check([] {
    auto store = std::make_shared<SharedStore>();
    std::vector<std::unique_ptr<Node>> nodes;
    for (int i = 0; i < 3; ++i) nodes.push_back(std::make_unique<Node>(store));
    struct Made {
      std::string text;
      std::optional<Time> expires;
    };
    std::map<std::string, std::vector<Made>> made;
    Time now = at(0);
    const int steps = *rc::gen::inRange(0, 40);
    for (int step = 0; step < steps; ++step) {
      now += std::chrono::seconds{*rc::gen::inRange(0, 3)};
      Node& node = *nodes[*rc::gen::inRange<std::size_t>(0, nodes.size())];
      node.clock = now;
      const std::string name = *rc::gen::element<std::string>("a", "b");
      switch (*rc::gen::inRange(0, 6)) {
        case 0:
          store->is_down = *rc::gen::arbitrary<bool>();
          break;
        case 1:
        case 2: {
          const std::string text = *rc::gen::element<std::string>("x", "y", "z");
          std::optional<Duration> lasts;
          if (*rc::gen::arbitrary<bool>()) lasts = std::chrono::seconds{*rc::gen::inRange(0, 6)};
          std::optional<Time> expires;
          if (lasts) expires = now + *lasts;
          made[name].push_back({text, expires});
          const Commit one = commit(name, value(text), lasts);
          RC_ASSERT(node.store->commit({&one, 1}, now).has_value());
          break;
        }
        default: {
          if (*rc::gen::arbitrary<bool>() && !store->is_down) node.settle();
          const Key wanted = key(name);
          auto found = node.store->look_up({&wanted, 1}, now);
          RC_ASSERT(found.has_value());
          if (!(*found)[0]) continue;
          const std::string text = *(*found)[0]->value.value()->get_if<std::string>();
          RC_ASSERT(std::any_of(made[name].begin(), made[name].end(), [&](const Made& each) {
            return each.text == text && (!each.expires || now < *each.expires);
          }));
        }
      }
    }
  }));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace

BOOST_AUTO_TEST_SUITE_END()

}  // namespace reprise::cache
