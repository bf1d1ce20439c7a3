// What every store does with results that are past their time and with failures that are
// remembered. Built into several programs, as store_contract_test.cpp is.
#include <chrono>

#include <boost/test/unit_test.hpp>

#include "cache/reading.hpp"
#include "tests/cache/cache_support.hpp"
#include "tests/cache/contract_stores.hpp"
#include "tests/support/temporary_folder.hpp"

namespace reprise::cache {

BOOST_AUTO_TEST_SUITE(store_life_tests)
namespace {

using namespace testing;
using namespace std::chrono_literals;

std::string ask(Store& store, const Query& query, Time now) {
  auto found = store.find({&query, 1}, now);
  if (!found) BOOST_FAIL(found.error().message);
  const std::optional<Record>& record = found->front();
  if (!record) return "-";
  std::string text = *record->value.value()->get_if<std::string>();
  if (!record->is_fresh(now)) text += " (stale)";
  if (record->status == VersionStatus::negative) text += " (failure)";
  return text;
}

Commit failure(std::string_view name, std::string text, Duration lasts) {
  Commit made = commit(name, value(std::move(text)), lasts);
  made.status = VersionStatus::negative;
  return made;
}

BOOST_FIXTURE_TEST_SUITE(StoreLife, Stores)

BOOST_AUTO_TEST_CASE(a_stale_result_is_found_by_those_who_ask_for_it_and_not_too_late) {
  each([](Store& store) {
    keep(store, commit("k", value("x"), 10s), at(0));
    const Query patient{.key = key("k"), .stale = 5s};
    BOOST_TEST(ask(store, patient, at(9)) == "x");
    BOOST_TEST(ask(store, patient, at(10)) == "x (stale)");
    BOOST_TEST(ask(store, patient, at(15) - 1ns) == "x (stale)");
    BOOST_TEST(ask(store, patient, at(15)) == "-");
    BOOST_TEST(ask(store, {.key = key("k")}, at(10)) == "-");
  });
}

BOOST_AUTO_TEST_CASE(of_several_the_newest_is_stale_and_a_fresh_one_comes_first) {
  each([](Store& store) {
    keep(store, commit("k", value("one"), 10s), at(0));
    keep(store, commit("k", value("two"), 10s), at(2));
    keep(store, commit("m", value("lasting")), at(0));
    keep(store, commit("m", value("short"), 1s), at(2));
    BOOST_TEST(ask(store, {.key = key("k"), .stale = 60s}, at(20)) == "two (stale)");
    BOOST_TEST(ask(store, {.key = key("m"), .stale = 60s}, at(20)) == "lasting");
  });
}

BOOST_AUTO_TEST_CASE(stale_values_of_every_size_come_back) {
  each([](Store& store) {
    for (const std::size_t size : {0u, 5'000u, 100'000u, 2'000'000u}) {
      const std::string name = "k" + std::to_string(size);
      keep(store, commit(name, value(noise(size).empty() ? "" : std::string(size, 'x')), 1s));
      BOOST_TEST(ask(store, {.key = key(name), .stale = 60s}, at(9)) ==
                 std::string(size, 'x') + " (stale)");
    }
  });
}

BOOST_AUTO_TEST_CASE(what_is_stale_counts_as_a_miss) {
  each([](Store& store) {
    keep(store, commit("k", value("x"), 10s), at(0));
    BOOST_TEST(ask(store, {.key = key("k"), .stale = 60s}, at(11)) == "x (stale)");
    BOOST_TEST(store.statistics()->hits == 0u);
    BOOST_TEST(store.statistics()->misses == 1u);
  });
}

BOOST_AUTO_TEST_CASE(a_reader_may_refuse_what_is_old) {
  each([](Store& store) {
    keep(store, commit("k", value("x")), at(0));
    BOOST_TEST(ask(store, {.key = key("k"), .max_age = 5s}, at(5)) == "x");
    BOOST_TEST(ask(store, {.key = key("k"), .max_age = 5s}, at(5) + 1ns) == "-");
    BOOST_TEST(ask(store, {.key = key("k")}, at(6)) == "x");
  });
}

// Else a value that never changes would be computed at every look-up from then on.
BOOST_AUTO_TEST_CASE(a_reader_may_refuse_what_its_own_run_made) {
  each([](Store& store) {
    RunId own;
    own.bytes[0] = 9;
    Commit later = commit("k", value("own"));
    later.run = own;
    keep(store, commit("k", value("other")), at(0));
    keep(store, later, at(1));
    later.key = key("m");
    keep(store, later, at(1));
    BOOST_TEST(ask(store, {.key = key("k")}, at(2)) == "own");
    BOOST_TEST(ask(store, {.key = key("k"), .not_of = own}, at(2)) == "other");
    BOOST_TEST(!store.find(std::vector<Query>{{.key = key("m"), .not_of = own}}, at(2))->front());
  });
}

BOOST_AUTO_TEST_CASE(the_same_value_made_anew_is_young_again) {
  each([](Store& store) {
    keep(store, commit("k", value("x")), at(0));
    Commit again = commit("k", value("x"));
    again.anew = true;
    keep(store, again, at(10));
    BOOST_TEST(ask(store, {.key = key("k"), .max_age = 5s}, at(12)) == "x");
    BOOST_TEST(store.versions("")->size() == 2u);
    BOOST_TEST(store.statistics()->entries == 1u);
  });
}

BOOST_AUTO_TEST_CASE(a_failure_is_an_answer_only_to_those_who_ask_for_failures) {
  each([](Store& store) {
    keep(store, commit("k", value("old"), 10s), at(0));
    keep(store, failure("k", "no such sample", 60s), at(20));
    BOOST_TEST(ask(store, {.key = key("k"), .failures = true}, at(21)) ==
               "no such sample (failure)");
    BOOST_TEST(ask(store, {.key = key("k")}, at(21)) == "-");
    BOOST_TEST(ask(store, {.key = key("k")}, at(5)) == "old");
    BOOST_TEST(ask(store, {.key = key("k"), .failures = true}, at(80)) == "-");
    // Past its time it is nothing to anybody, also to those who would take a stale result.
    BOOST_TEST(ask(store, {.key = key("k"), .stale = 100s, .failures = true}, at(81)) ==
               "old (stale)");
  });
}

BOOST_AUTO_TEST_CASE(a_success_after_a_failure_is_the_next_version) {
  each([](Store& store) {
    keep(store, failure("k", "x", 60s), at(0));
    keep(store, commit("k", value("x")), at(1));  // the same bytes, and yet no failure
    BOOST_TEST(ask(store, {.key = key("k"), .failures = true}, at(2)) == "x");
    auto versions = store.versions(key("k").text());
    BOOST_REQUIRE(versions);
    BOOST_REQUIRE(versions->size() == 2u);
    BOOST_TEST((*versions)[0].version == 2u);
    BOOST_TEST(((*versions)[0].status == VersionStatus::ok));
    BOOST_TEST(((*versions)[1].status == VersionStatus::negative));
    BOOST_TEST(store.statistics()->entries == 1u);
  });
}

BOOST_AUTO_TEST_CASE(the_same_failure_again_lasts_longer) {
  each([](Store& store) {
    keep(store, failure("k", "x", 10s), at(0));
    keep(store, failure("k", "x", 10s), at(8));
    BOOST_TEST(store.versions("")->size() == 1u);
    BOOST_TEST(ask(store, {.key = key("k"), .failures = true}, at(15)) == "x (failure)");
    BOOST_TEST(store.list({})->size() == 1u);
  });
}

BOOST_AUTO_TEST_CASE(the_past_knows_of_failures_and_serves_none) {
  each([](Store& store) {
    keep(store, commit("k", value("one")), at(0));
    keep(store, failure("k", "two", 60s), at(5));
    const Key wanted = key("k");
    auto then = store.look_up_as_of({&wanted, 1}, at(6));
    BOOST_REQUIRE(then);
    BOOST_REQUIRE(then->front().record);
    BOOST_TEST(then->front().record->value.view() == value("one").view());
    auto past = store.past_of(wanted, at(6));
    BOOST_REQUIRE(past);
    BOOST_REQUIRE(past->versions.size() == 2u);
    BOOST_TEST((past->versions[0].status == VersionStatus::negative));
  });
}

BOOST_AUTO_TEST_CASE(a_hit_may_prolong_what_it_found) {
  CachePolicy policy;
  policy.enabled = true;
  policy.expires_after = 10s;
  policy.life.sliding = true;
  each([&](Store& store) {
    keep(store, commit("k", value("x"), 10s), at(0));
    const auto found = find(store, "k", at(8));
    BOOST_REQUIRE(found);
    const auto more = prolonged(policy, *found, at(8));
    BOOST_REQUIRE(more);
    keep(store, *more, at(8));
    BOOST_TEST((find(store, "k", at(17))->expires == at(18)));
    BOOST_TEST(!find(store, "k", at(18)));
    BOOST_TEST(store.versions("")->size() == 1u);
    // Something newer came between the hit and this: it stays what it is.
    keep(store, commit("k", value("y"), 10s), at(20));
    keep(store, *more, at(21));
    BOOST_TEST(find(store, "k", at(22))->value.view() == value("y").view());
    BOOST_TEST((find(store, "k", at(22))->expires == at(30)));
  });
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace

BOOST_AUTO_TEST_SUITE_END()

}  // namespace reprise::cache
