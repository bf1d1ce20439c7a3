// What all leases do. Built into several programs, as store_contract_test.cpp.
#include <algorithm>
#include <chrono>
#include <map>

#include <rapidcheck.h>
#include <boost/test/unit_test.hpp>

#include "cache/lease_table.hpp"
#include "tests/cache/cache_support.hpp"
#include "tests/cache/contract_stores.hpp"
#include "tests/support/temporary_folder.hpp"

namespace reprise::cache {

BOOST_AUTO_TEST_SUITE(leases_contract_tests)
namespace {

using namespace testing;
using namespace std::chrono_literals;
using Kind = LeaseAnswer::Kind;

LeaseTerms terms(std::string owner, Time now, Duration term = 30s) {
  return {.owner = std::move(owner), .term = term, .now = now};
}

LeaseAnswer acquire(Leases& leases, std::string_view name, const LeaseTerms& asked,
                    bool even_if_published = false) {
  const LeaseWish wish{.key = key(name), .even_if_published = even_if_published};
  auto answers = leases.acquire({&wish, 1}, asked);
  if (!answers) BOOST_FAIL(answers.error().message);
  BOOST_REQUIRE(answers->size() == 1u);
  return answers->front();
}

bool renew(Leases& leases, std::string_view name, const Lease& lease, Time now,
           Duration term = 30s) {
  const HeldLease held{key(name), lease};
  auto answers = leases.renew({&held, 1}, terms(lease.owner, now, term));
  if (!answers) BOOST_FAIL(answers.error().message);
  return answers->front();
}

bool release(Leases& leases, std::string_view name, const Lease& lease, Time now = at(0)) {
  const HeldLease held{key(name), lease};
  auto answers = leases.release({&held, 1}, now);
  if (!answers) BOOST_FAIL(answers.error().message);
  return answers->front();
}

Kept publish(Store& store, std::string_view name, std::string text, const Lease& lease,
             Time now = at(0), std::optional<Duration> expires_after = {}) {
  Commit made = commit(name, value(std::move(text)), expires_after);
  made.lease = lease;
  auto kept = store.commit({&made, 1}, now);
  if (!kept) BOOST_FAIL(kept.error().message);
  return kept->front();
}

struct AllLeases {
  reprise::testing::TemporaryFolder folder;
  std::vector<NamedLeases> all = make_leases(folder.path());

  template <class Body>
  void each(Body body) {
    for (NamedLeases& one : all) {
      if (!one.other) one.other = one.leases;
      BOOST_TEST_CONTEXT(one.name) body(*one.store, *one.leases, *one.other);
    }
  }
};

BOOST_FIXTURE_TEST_SUITE(Leases_, AllLeases)

BOOST_AUTO_TEST_CASE(what_a_dead_owner_held_is_given_up_or_runs_out) {
  each([](Store&, Leases& mine, Leases& others) {
    for (const char* name : {"k", "l"}) acquire(mine, name, terms("dead", at(0)));
    acquire(mine, "m", terms("alive", at(0)));
    BOOST_TEST(others.release_all_of("dead").has_value());
    const Kind k = acquire(others, "k", terms("b", at(1))).kind;
    BOOST_TEST((acquire(others, "l", terms("b", at(1))).kind == k));  // all of them, or none
    BOOST_TEST((acquire(others, "m", terms("b", at(1))).kind == Kind::held));
    BOOST_TEST((acquire(others, "k", terms("b", at(31))).kind == Kind::granted));
  });
}

BOOST_AUTO_TEST_CASE(one_of_those_who_miss_computes_and_the_others_are_told_who) {
  each([](Store&, Leases& mine, Leases& others) {
    const LeaseAnswer granted = acquire(mine, "k", terms("a", at(0)));
    BOOST_TEST((granted.kind == Kind::granted));
    BOOST_TEST(granted.lease.owner == "a");
    BOOST_TEST(granted.lease.token > 0u);
    BOOST_TEST((granted.until == at(30)));
    const LeaseAnswer held = acquire(others, "k", terms("b", at(10)));
    BOOST_TEST((held.kind == Kind::held));
    BOOST_TEST(held.lease.owner == "a");
    BOOST_TEST(held.lease.token == 0u);  // not theirs to present
    BOOST_TEST((held.since == at(0)));
    BOOST_TEST((held.until == at(30)));
    BOOST_TEST((acquire(others, "another", terms("b", at(10))).kind == Kind::granted));
  });
}

BOOST_AUTO_TEST_CASE(its_owner_gets_the_same_lease_again_prolonged) {
  each([](Store&, Leases& mine, Leases& others) {
    const Lease first = acquire(mine, "k", terms("a", at(0))).lease;
    const LeaseAnswer again = acquire(others, "k", terms("a", at(20)));
    BOOST_TEST((again.lease == first));
    BOOST_TEST((again.since == at(0)));
    BOOST_TEST((again.until == at(50)));
  });
}

BOOST_AUTO_TEST_CASE(a_lease_that_ran_out_is_taken_over_with_a_greater_token) {
  each([](Store&, Leases& mine, Leases& others) {
    const Lease first = acquire(mine, "k", terms("a", at(0))).lease;
    BOOST_TEST((acquire(others, "k", terms("b", at(30) - 1us)).kind == Kind::held));
    const LeaseAnswer second = acquire(others, "k", terms("b", at(30)));
    BOOST_TEST((second.kind == Kind::granted));
    BOOST_TEST(second.lease.token > first.token);
    BOOST_TEST((second.since == at(30)));
    BOOST_TEST(!renew(mine, "k", first, at(31)));
    BOOST_TEST(!release(mine, "k", first));
    BOOST_TEST(renew(others, "k", second.lease, at(31)));
  });
}

BOOST_AUTO_TEST_CASE(renewing_prolongs_also_a_lease_that_ran_out_but_nobody_took) {
  each([](Store&, Leases& mine, Leases& others) {
    const Lease lease = acquire(mine, "k", terms("a", at(0))).lease;
    BOOST_TEST(renew(mine, "k", lease, at(20)));
    BOOST_TEST((acquire(others, "k", terms("b", at(40))).kind == Kind::held));
    BOOST_TEST(renew(mine, "k", lease, at(60)));
    BOOST_TEST((acquire(others, "k", terms("b", at(80))).until == at(90)));
  });
}

BOOST_AUTO_TEST_CASE(a_released_lease_is_free_at_once_and_the_next_token_is_greater) {
  each([](Store&, Leases& mine, Leases& others) {
    const Lease first = acquire(mine, "k", terms("a", at(0))).lease;
    BOOST_TEST(release(mine, "k", first));
    BOOST_TEST(!release(mine, "k", first));
    BOOST_TEST(!renew(mine, "k", first, at(1)));
    const LeaseAnswer second = acquire(others, "k", terms("b", at(-5)));  // a clock that is behind
    BOOST_TEST((second.kind == Kind::granted));
    BOOST_TEST(second.lease.token > first.token);
    BOOST_TEST((acquire(mine, "k", terms("a", at(0))).kind == Kind::held));
  });
}

BOOST_AUTO_TEST_CASE(a_fresh_result_is_published_unless_it_is_to_be_made_again) {
  each([](Store& store, Leases& mine, Leases& others) {
    keep(store, commit("k", value("x"), 10s), at(0));
    BOOST_TEST((acquire(mine, "k", terms("a", at(9))).kind == Kind::published));
    BOOST_TEST((acquire(mine, "k", terms("a", at(9)), true).kind == Kind::granted));
    // Whoever asks meanwhile is served with what is there.
    BOOST_TEST((acquire(others, "k", terms("b", at(9))).kind == Kind::published));
    BOOST_TEST((acquire(others, "k", terms("b", at(10))).kind == Kind::held));
  });
}

BOOST_AUTO_TEST_CASE(an_older_version_that_is_still_fresh_is_published_too) {
  each([](Store& store, Leases& mine, Leases&) {
    keep(store, commit("k", value("lasting")), at(0));
    keep(store, commit("k", value("short"), 5s), at(1));
    BOOST_TEST((acquire(mine, "k", terms("a", at(100))).kind == Kind::published));
  });
}

BOOST_AUTO_TEST_CASE(a_commit_ends_the_lease_that_it_presents) {
  each([](Store& store, Leases& mine, Leases& others) {
    const Lease lease = acquire(mine, "k", terms("a", at(0))).lease;
    BOOST_TEST((publish(store, "k", "x", lease, at(1)) == Kept::added));
    BOOST_TEST(find(store, "k", at(2)).has_value());
    BOOST_TEST(!renew(mine, "k", lease, at(2)));
    BOOST_TEST((acquire(others, "k", terms("b", at(2))).kind == Kind::published));
    BOOST_TEST((acquire(others, "k", terms("b", at(2)), true).kind == Kind::granted));
  });
}

BOOST_AUTO_TEST_CASE(a_late_commit_of_a_lost_lease_is_refused) {
  each([](Store& store, Leases& mine, Leases& others) {
    const Lease lost = acquire(mine, "k", terms("a", at(0))).lease;
    const Lease taken = acquire(others, "k", terms("b", at(40))).lease;
    BOOST_TEST((publish(store, "k", "late", lost, at(41)) == Kept::fenced));
    BOOST_TEST(!find(store, "k", at(42)));
    BOOST_TEST((publish(store, "k", "in time", taken, at(43)) == Kept::added));
    BOOST_TEST((publish(store, "k", "late", lost, at(44)) == Kept::fenced));
    BOOST_TEST(find(store, "k", at(45))->value.view() == value("in time").view());
    BOOST_TEST(find(store, "k", at(45))->version == 1u);
    BOOST_TEST(store.statistics()->fenced == 2u);
  });
}

BOOST_AUTO_TEST_CASE(a_late_commit_of_the_value_that_is_there_is_no_trouble) {
  each([](Store& store, Leases& mine, Leases& others) {
    const Lease lost = acquire(mine, "k", terms("a", at(0))).lease;
    const Lease taken = acquire(others, "k", terms("b", at(40))).lease;
    BOOST_TEST((publish(store, "k", "x", taken, at(41), 100s) == Kept::added));
    BOOST_TEST((publish(store, "k", "x", lost, at(42), 500s) == Kept::duplicate));
    BOOST_TEST((publish(store, "k", "x", taken, at(43), 500s) == Kept::duplicate));  // sent twice
    BOOST_TEST((find(store, "k", at(44))->expires == at(141)));
    BOOST_TEST(store.statistics()->versions == 1u);
    BOOST_TEST(store.statistics()->fenced == 0u);
  });
}

BOOST_AUTO_TEST_CASE(a_lease_that_ran_out_but_nobody_took_still_publishes) {
  each([](Store& store, Leases& mine, Leases&) {
    const Lease lease = acquire(mine, "k", terms("a", at(0))).lease;
    BOOST_TEST((publish(store, "k", "x", lease, at(100)) == Kept::added));
  });
}

BOOST_AUTO_TEST_CASE(what_is_fenced_holds_up_nothing_else_of_its_batch) {
  each([](Store& store, Leases& mine, Leases&) {
    const Lease lease = acquire(mine, "a", terms("a", at(0))).lease;
    BOOST_TEST(release(mine, "a", lease));
    std::vector<Commit> batch{commit("a", value("1")), commit("b", value("2"))};
    batch[0].lease = lease;
    auto kept = store.commit(batch, at(1));
    BOOST_REQUIRE(kept);
    BOOST_TEST((*kept == std::vector<Kept>{Kept::fenced, Kept::added}));
  });
}

BOOST_AUTO_TEST_CASE(leases_of_the_other_scope_are_not_this_stores_to_tell) {
  each([](Store& store, Leases& mine, Leases&) {
    Lease lease = acquire(mine, "k", terms("a", at(0))).lease;
    lease.scope = lease.scope == Lease::Scope::folder ? Lease::Scope::shared : Lease::Scope::folder;
    lease.token = 1;
    BOOST_TEST((publish(store, "k", "x", lease) == Kept::added));
  });
}

BOOST_AUTO_TEST_CASE(commits_without_a_lease_are_kept_and_leave_leases_alone) {
  each([](Store& store, Leases& mine, Leases&) {
    const Lease lease = acquire(mine, "k", terms("a", at(0))).lease;
    keep(store, commit("k", value("by another")), at(1));
    BOOST_TEST(renew(mine, "k", lease, at(2)));
    BOOST_TEST((publish(store, "k", "mine", lease, at(3)) == Kept::added));
    BOOST_TEST(find(store, "k", at(4))->version == 2u);
  });
}

BOOST_AUTO_TEST_CASE(many_are_asked_for_at_once) {
  each([](Store& store, Leases& mine, Leases& others) {
    keep(store, commit("there", value("x")), at(0));
    (void)acquire(others, "theirs", terms("b", at(0)));
    std::vector<LeaseWish> wishes;
    for (const char* name : {"mine", "there", "theirs", "mine"})
      wishes.push_back({key(name), false});
    for (int i = 0; i < 2000; ++i) wishes.push_back({key(std::to_string(i)), false});
    auto answers = mine.acquire(wishes, terms("a", at(1)));
    BOOST_REQUIRE(answers);
    BOOST_REQUIRE(answers->size() == wishes.size());
    BOOST_TEST(((*answers)[0].kind == Kind::granted));
    BOOST_TEST(((*answers)[1].kind == Kind::published));
    BOOST_TEST(((*answers)[2].kind == Kind::held));
    BOOST_TEST(((*answers)[3].lease == (*answers)[0].lease));
    std::vector<HeldLease> held;
    for (std::size_t i = 4; i < wishes.size(); ++i)
      held.push_back({wishes[i].key, (*answers)[i].lease});
    auto renewed = mine.renew(held, terms("a", at(2)));
    BOOST_REQUIRE(renewed);
    BOOST_TEST(std::count(renewed->begin(), renewed->end(), true) == 2000);
    auto released = mine.release(held, at(3));
    BOOST_REQUIRE(released);
    BOOST_TEST(std::count(released->begin(), released->end(), true) == 2000);
    BOOST_TEST(mine.acquire({}, terms("a", at(1)))->empty());
    BOOST_TEST(mine.renew({}, terms("a", at(1)))->empty());
    BOOST_TEST(mine.release({}, at(1))->empty());
  });
}

BOOST_AUTO_TEST_CASE(owners_are_data_and_terms_have_limits) {
  each([](Store&, Leases& mine, Leases& others) {
    const std::string odd("a\0'; \xff--", 9);
    const Lease lease = acquire(mine, "k", terms(odd, at(0))).lease;
    BOOST_TEST(acquire(others, "k", terms("b", at(0))).lease.owner == odd);
    BOOST_TEST(release(mine, "k", lease));
    const LeaseWish wish{key("k"), false};
    for (const LeaseTerms& bad : {terms("", at(0)), terms(std::string(257, 'x'), at(0)),
                                  terms("a", at(0), 1us), terms("a", at(0), 25h)})
      BOOST_TEST((mine.acquire({&wish, 1}, bad).error().code == ErrorCode::invalid_argument));
  });
}

BOOST_AUTO_TEST_CASE(a_ready_set_is_looked_up_or_leased) {
  each([](Store& store, Leases& mine, Leases& others) {
    keep(store, commit("there", value("x")), at(0));
    (void)acquire(others, "theirs", terms("b", at(0)));
    const std::vector<Query> keys{{key("there")}, {key("theirs")}, {key("new")}};
    auto answers = look_up_or_lease(store, mine, keys, terms("a", at(1)));
    BOOST_REQUIRE(answers);
    BOOST_TEST((*answers)[0].record->value.view() == value("x").view());
    BOOST_TEST(((*answers)[1].lease->kind == Kind::held));
    BOOST_TEST(((*answers)[2].lease->kind == Kind::granted));
    BOOST_TEST(look_up_or_lease(store, mine, {}, terms("a", at(1)))->empty());
  });
}

BOOST_AUTO_TEST_CASE(random_histories_are_those_of_the_simplest_table) {
  each([](Store&, Leases& mine, Leases& others) {
    int round = 0;
    BOOST_TEST(rc::check([&] {
      ++round;
      LeaseTable table;
      std::vector<HeldLease> known;
      const int steps = *rc::gen::inRange(0, 30);
      for (int step = 0; step < steps; ++step) {
        Leases& leases = *rc::gen::arbitrary<bool>() ? mine : others;
        const LeaseTerms asked =
            terms(*rc::gen::element<std::string>("a", "b", "c"), at(*rc::gen::inRange(0, 60)),
                  std::chrono::seconds{*rc::gen::inRange(1, 40)});
        if (known.empty() || *rc::gen::inRange(0, 3) != 0) {
          const LeaseWish wish{
              key(std::to_string(round) + *rc::gen::element<std::string>("x", "y")), false};
          auto got = leases.acquire({&wish, 1}, asked);
          RC_ASSERT(got.has_value());
          const LeaseAnswer expected = table.acquire(wish.key, asked);
          RC_ASSERT(got->front().kind == expected.kind);
          RC_ASSERT(got->front().lease.owner == expected.lease.owner);
          RC_ASSERT(got->front().lease.token == expected.lease.token);
          RC_ASSERT(got->front().since == expected.since);
          RC_ASSERT(got->front().until == expected.until);
          if (expected.kind == Kind::granted) known.push_back({wish.key, got->front().lease});
        } else if (*rc::gen::arbitrary<bool>()) {
          const HeldLease lease = *rc::gen::elementOf(known);
          auto got = leases.renew({&lease, 1}, asked);
          RC_ASSERT(got.has_value());
          RC_ASSERT(got->front() == table.renew(lease, asked));
        } else {
          const HeldLease lease = *rc::gen::elementOf(known);
          auto got = leases.release({&lease, 1}, asked.now);
          RC_ASSERT(got.has_value());
          RC_ASSERT(got->front() == table.release(lease));
        }
      }
    }));
  });
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace

BOOST_AUTO_TEST_SUITE_END()

}  // namespace reprise::cache
