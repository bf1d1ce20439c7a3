#include "cache/explain.hpp"

#include <boost/test/unit_test.hpp>

#include "cache/memory_store.hpp"
#include "tests/cache/cache_support.hpp"

namespace reprise::cache {

BOOST_AUTO_TEST_SUITE(Explain)
namespace {

using namespace testing;

Material material() {
  Material m;
  m.name = "align";
  m.version = "1";
  m.signature = sha256("signature");
  m.dependencies = {{"platform", sha256("linux")}};
  m.environment = {{"LANG", "C"}};
  m.arguments = {{"command", sha256("argv")}, {"in:fetch", sha256("reads")}};
  return m;
}

Neighbour neighbour(const std::string& task, Material m) {
  Neighbour made;
  made.record.key = Key::of(m);
  made.record.task = task;
  made.material = std::move(m);
  return made;
}

std::vector<std::string> reasons(const std::vector<Difference>& found) {
  std::vector<std::string> list;
  for (const Difference& difference : found) list.push_back(difference.reason);
  return list;
}

BOOST_AUTO_TEST_CASE(parts_are_told_in_the_order_of_their_weight) {
  const Material before = material();
  Material now = before;
  now.arguments["in:fetch"] = sha256("other reads");
  now.arguments["command"] = sha256("other argv");
  now.arguments["a"] = sha256("new");
  now.environment["LANG"] = "de";
  now.environment["TZ"] = "UTC";
  now.dependencies["param:q"] = sha256("30");
  now.dependencies["ref"] = sha256("r");
  now.dependencies.erase("platform");
  now.salt = "grain";
  now.code = sha256("code");
  now.signature = sha256("another");
  now.version = "2";
  const std::vector<std::string> expected{"version", "signature", "code",    "salt",
                                          "param:q", "platform",  "dep:ref", "env:LANG",
                                          "env:TZ",  "command",   "arg:a",   "arg:in:fetch"};
  const auto found = differences(before, now);
  BOOST_TEST(reasons(found) == expected, boost::test_tools::per_element());
  BOOST_TEST(found[0].before == "1");
  BOOST_TEST(found[0].now == "2");
  BOOST_TEST(found[5].now == "");  // the platform is gone
  BOOST_TEST(found[8].before == "");
  BOOST_TEST(differences(before, before).empty());
  Material set_to_nothing = before;
  set_to_nothing.environment["TZ"] = "";
  const auto set = differences(before, set_to_nothing);
  BOOST_REQUIRE(set.size() == 1u);
  BOOST_TEST(set[0].now == "\"\"");
}

BOOST_AUTO_TEST_CASE(the_tasks_own_last_result_is_nearest_even_if_another_differs_less) {
  Material other = material();
  other.arguments["command"] = sha256("x");
  Material own = material();
  own.version = "0";
  own.salt = "s";
  const std::vector<Neighbour> neighbours{neighbour("align[b]", other), neighbour("align[a]", own)};
  const auto same_task = explain_miss(material(), {}, "align[a]", neighbours);
  BOOST_TEST(same_task.reason == "version");
  BOOST_TEST(same_task.nearest->record.task == "align[a]");
  const auto fewest = explain_miss(material(), {}, "align[c]", neighbours);
  BOOST_TEST(fewest.reason == "command");
  BOOST_TEST(fewest.nearest->record.task == "align[b]");
}

BOOST_AUTO_TEST_CASE(other_accounts_are_never_compared_with) {
  Material other = material();
  other.account = "somebody";
  const std::vector<Neighbour> neighbours{neighbour("align", other)};
  const auto explanation = explain_miss(material(), {}, "align", neighbours);
  BOOST_TEST(explanation.reason == "first_seen");
  BOOST_TEST(!explanation.nearest.has_value());
}

BOOST_AUTO_TEST_CASE(a_result_that_was_there_is_explained_by_what_became_of_it) {
  const auto reason = [](VersionStatus status, std::optional<Time> expires) {
    KeyPast past;
    past.versions.push_back({{}, status});
    past.versions[0].record.expires = expires;
    return explain_miss(material(), past, "align", {}).reason;
  };
  BOOST_TEST(reason(VersionStatus::ok, at(1)) == "expired");
  BOOST_TEST(reason(VersionStatus::tombstone, {}) == "invalidated");
  BOOST_TEST(reason(VersionStatus::damaged, {}) == "corrupt");
  KeyPast gone;
  gone.horizon = at(5);
  BOOST_TEST(explain_miss(material(), gone, "align", {}).reason == "evicted");
}

BOOST_AUTO_TEST_CASE(a_store_is_asked_as_of_the_moment) {
  MemoryStore store;
  Material old = material();
  Commit kept = commit("one", value("x"));
  kept.key = Key::of(old);
  kept.task = "align";
  kept.material = old.encode();
  BOOST_REQUIRE(store.commit({&kept, 1}, at(10)).has_value());
  Material now = material();
  now.salt = "grain";
  Explainer before(store, at(9)), after(store, at(10));
  BOOST_TEST(before.miss(now, Key::of(now), "align")->reason == "first_seen");
  BOOST_TEST(after.miss(now, Key::of(now), "align")->reason == "salt");
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace reprise::cache
