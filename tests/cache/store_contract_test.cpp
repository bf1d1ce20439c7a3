// What every store does. The same cases are built into several programs, each with stores of its
// own (make_stores).
#include <chrono>

#include <boost/test/unit_test.hpp>

#include "tests/cache/cache_support.hpp"
#include "tests/cache/contract_stores.hpp"
#include "tests/support/temporary_folder.hpp"

namespace reprise::cache {

BOOST_AUTO_TEST_SUITE(store_contract_tests)
namespace {

using namespace testing;
using namespace std::chrono_literals;

BOOST_FIXTURE_TEST_SUITE(Store_, Stores)

BOOST_AUTO_TEST_CASE(what_was_committed_is_found_with_all_that_was_said_about_it) {
  each([](Store& store) {
    keep(store, commit("k", value("result"), 10s), at(5));
    const auto found = find(store, "k", at(6));
    BOOST_REQUIRE(found);
    BOOST_TEST((found->key == key("k")));
    BOOST_TEST(found->version == 1u);
    BOOST_TEST(found->name == "align");
    BOOST_TEST(found->value.view() == value("result").view());
    BOOST_TEST((found->committed == at(5)));
    BOOST_TEST((found->expires == at(15)));
    BOOST_TEST(found->run.bytes[0] == 7);
    BOOST_TEST(found->task == "align[s1]");
    BOOST_TEST((found->cost == 250ms));
  });
}

BOOST_AUTO_TEST_CASE(answers_come_in_the_order_of_the_questions) {
  each([](Store& store) {
    for (const char* name : {"a", "b", "c"}) keep(store, commit(name, value(name)));
    const std::vector<Key> keys{key("c"), key("none"), key("a"), key("c"), key("b")};
    auto found = store.look_up(keys, at(1));
    BOOST_REQUIRE(found);
    std::vector<std::string> texts;
    for (const auto& record : *found)
      texts.push_back(record ? *record->value.value()->get_if<std::string>() : "-");
    BOOST_TEST(texts == (std::vector<std::string>{"c", "-", "a", "c", "b"}));
    BOOST_TEST(store.look_up({}, at(1))->empty());
  });
}

BOOST_AUTO_TEST_CASE(values_of_every_size_come_back) {
  each([](Store& store) {
    for (const std::size_t size : {0u, 1u, 100u, 32'700u, 32'768u, 33'000u, 2'000'000u}) {
      keep(store, commit("k" + std::to_string(size), value(std::string(size, 'x'))));
      BOOST_TEST(find(store, "k" + std::to_string(size))->value.view() ==
                 value(std::string(size, 'x')).view());
    }
    keep(store, commit("nil", Payload::nil()));
    BOOST_TEST(find(store, "nil")->value.is_nil());
  });
}

BOOST_AUTO_TEST_CASE(a_value_that_is_not_at_hand_cannot_be_kept_and_nothing_else_of_the_batch_is) {
  each([](Store& store) {
    Payload elsewhere = value("elsewhere");
    elsewhere.bytes = nullptr;
    for (const Payload& bad : {elsewhere, Payload{}}) {
      const std::vector<Commit> batch{commit("good", value("x")), commit("bad", bad)};
      BOOST_TEST((store.commit(batch, at(0)).error().code == ErrorCode::invalid_argument));
      BOOST_TEST(!find(store, "good"));
    }
  });
}

BOOST_AUTO_TEST_CASE(a_result_is_fresh_strictly_before_it_expires) {
  each([](Store& store) {
    keep(store, commit("k", value("x"), 10s), at(0));
    BOOST_TEST(find(store, "k", at(10) - 1ns).has_value());
    BOOST_TEST(!find(store, "k", at(10)).has_value());
    keep(store, commit("never fresh", value("x"), 0s), at(0));
    BOOST_TEST(!find(store, "never fresh", at(0)).has_value());
  });
}

BOOST_AUTO_TEST_CASE(the_same_value_again_is_no_new_version_but_lives_longer) {
  each([](Store& store) {
    keep(store, commit("k", value("x"), 10s), at(0));
    keep(store, commit("k", value("x"), 10s), at(8));
    BOOST_TEST(store.versions("")->size() == 1u);
    BOOST_TEST((find(store, "k", at(15))->expires == at(18)));
    BOOST_TEST((find(store, "k", at(15))->committed == at(0)));
    keep(store, commit("k", value("x")), at(9));
    BOOST_TEST((find(store, "k", at(100))->expires == std::nullopt));
  });
}

BOOST_AUTO_TEST_CASE(versions_are_numbered_and_the_newest_fresh_one_is_found) {
  each([](Store& store) {
    keep(store, commit("k", value("one")), at(0));
    keep(store, commit("k", value("two"), 10s), at(1));
    BOOST_TEST(find(store, "k", at(2))->version == 2u);
    BOOST_TEST(find(store, "k", at(11))->version == 1u);  // "two" is over, "one" has no end
    keep(store, commit("k", value("one")), at(20));  // back to an older value: a version of its own
    BOOST_TEST(find(store, "k", at(21))->version == 3u);
    BOOST_TEST(values_of(store.versions(key("k").text())) ==
               (std::vector<std::string>{"one", "two", "one"}));
  });
}

BOOST_AUTO_TEST_CASE(times_of_one_key_increase_also_when_clocks_do_not) {
  each([](Store& store) {
    keep(store, commit("k", value("one")), at(10));
    keep(store, commit("k", value("two")), at(3));
    auto versions = store.versions("");
    BOOST_REQUIRE(versions);
    BOOST_TEST(((*versions)[0].committed == at(10) + 1ns));
  });
}

BOOST_AUTO_TEST_CASE(a_commit_says_what_became_of_it) {
  each([](Store& store) {
    const std::vector<Commit> batch{commit("k", value("one")), commit("k", value("one")),
                                    commit("k", value("two"))};
    auto kept = store.commit(batch, at(0));
    BOOST_REQUIRE(kept);
    BOOST_TEST((*kept == std::vector<Kept>{Kept::added, Kept::same, Kept::added}));
  });
}

BOOST_AUTO_TEST_CASE(a_copy_keeps_its_time_and_never_supersedes_what_is_newer) {
  each([](Store& store) {
    Commit copy = commit("k", value("copied"), 50s);
    copy.committed = at(-100);
    const auto keep_copy = [&] {
      auto kept = store.commit({&copy, 1}, at(10));
      if (!kept) BOOST_FAIL(kept.error().message);
      return kept->front();
    };
    BOOST_TEST((keep_copy() == Kept::added));
    BOOST_TEST((find(store, "k", at(11))->committed == at(-100)));
    BOOST_TEST((find(store, "k", at(11))->expires == at(60)));
    BOOST_TEST((keep_copy() == Kept::same));
    keep(store, commit("k", value("newer"), 5s), at(20));
    BOOST_TEST((keep_copy() == Kept::older));
    BOOST_TEST(store.versions("")->size() == 2u);
    copy.committed = at(21);
    BOOST_TEST((keep_copy() == Kept::added));
    BOOST_TEST(find(store, "k", at(22))->version == 3u);
  });
}

BOOST_AUTO_TEST_CASE(one_batch_may_name_a_key_twice) {
  each([](Store& store) {
    const std::vector<Commit> batch{commit("k", value("one")), commit("k", value("two")),
                                    commit("k", value("two"))};
    BOOST_TEST(store.commit(batch, at(0)).has_value());
    BOOST_TEST(find(store, "k")->version == 2u);
  });
}

BOOST_AUTO_TEST_CASE(the_list_shows_the_newest_version_of_each_key_newest_first) {
  each([](Store& store) {
    Commit merge = commit("m", value("merged"));
    merge.name = "merge";
    keep(store, commit("a", value("1")), at(0));
    keep(store, merge, at(1));
    keep(store, commit("b", value("22"), 1s), at(2));
    keep(store, commit("a", value("333")), at(3));
    const auto listed = [&](Listing listing) { return values_of(store.list(listing)); };
    using Texts = std::vector<std::string>;
    BOOST_TEST(listed({}) ==
               (Texts{"(4)", "(3)", "(7)"}));  // by size: the values themselves are not fetched
    BOOST_TEST(listed({.name_prefix = "al"}) == (Texts{"(4)", "(3)"}));
    BOOST_TEST(listed({.name_prefix = "align2"}) == Texts{});
    BOOST_TEST(listed({.as_of = at(2)}) == (Texts{"(3)", "(7)", "(2)"}));
    BOOST_TEST(listed({.as_of = at(1)}) == (Texts{"(7)", "(2)"}));
    BOOST_TEST(listed({.as_of = at(-1)}) == Texts{});
    BOOST_TEST(listed({.limit = 1}) == (Texts{"(4)"}));
    BOOST_TEST((*store.list({}))[0].material.empty());
  });
}

BOOST_AUTO_TEST_CASE(versions_are_found_by_the_beginning_of_their_key) {
  each([](Store& store) {
    for (int i = 0; i < 40; ++i)
      keep(store, commit("k" + std::to_string(i), value(std::to_string(i))));
    const std::string hex = key("k17").digest.hex();
    const auto only = std::vector<std::string>{"17"};
    for (const std::string& prefix :
         {"k1:" + hex, hex, hex.substr(0, 15), "k1:" + hex.substr(0, 16)})
      BOOST_TEST(values_of(store.versions(prefix)) == only, prefix);
    std::size_t together = 0;
    for (const char digit : std::string("0123456789abcdef"))
      together += store.versions(std::string(1, digit))->size();
    BOOST_TEST(together == 40u);
    BOOST_TEST((*store.versions(hex))[0].material == "material of k17");
    for (const std::string& bad :
         {std::string("xyz"), hex + "0", std::string("k2:00"), std::string("k1:g")})
      BOOST_TEST((store.versions(bad).error().code == ErrorCode::invalid_argument), bad);
  });
}

BOOST_AUTO_TEST_CASE(names_and_tasks_are_data) {
  each([](Store& store) {
    Commit odd = commit("k", value("x"));
    odd.name = std::string("a\0'; DROP TABLE version; --\xff", 29);
    odd.task = std::string("\x1b[31m\0", 6);
    keep(store, odd);
    BOOST_TEST(find(store, "k")->name == odd.name);
    BOOST_TEST(find(store, "k")->task == odd.task);
    BOOST_TEST(store.list({.name_prefix = odd.name.substr(0, 3)})->size() == 1u);
    BOOST_TEST(store.list({.name_prefix = "a%"})->empty());
  });
}

BOOST_AUTO_TEST_CASE(statistics_count) {
  each([](Store& store) {
    keep(store, commit("a", value("1")));   // 2 bytes encoded
    keep(store, commit("a", value("22")));  // 3
    keep(store, commit("a", value("22")));
    keep(store, commit("b", value("333")));  // 4
    (void)find(store, "a");
    (void)find(store, "none");
    (void)find(store, "b");
    const Statistics expected{
        .entries = 2, .versions = 3, .value_bytes = 9, .look_ups = 3, .hits = 2, .misses = 1};
    BOOST_TEST((*store.statistics() == expected));
  });
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace

BOOST_AUTO_TEST_SUITE_END()

}  // namespace reprise::cache
