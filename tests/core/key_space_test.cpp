#include "core/key_space.hpp"

#include <set>
#include <vector>

#include <boost/test/unit_test.hpp>

BOOST_AUTO_TEST_SUITE(key_space)

using namespace reprise;

namespace {

Material of(const std::string& name, const std::string& salt = "") {
  Material material;
  material.name = name;
  material.version = "1";
  material.salt = salt;
  return material;
}

Key key_in(const KeySpace& space, Material material) {
  space.apply_to(material);
  return Key::of(material);
}

}  // namespace

BOOST_AUTO_TEST_CASE(the_space_of_nobody_changes_no_key) {
  BOOST_TEST((key_in(KeySpace{}, of("align", "own")) == Key::of(of("align", "own"))));
}

BOOST_AUTO_TEST_CASE(accounts_and_salts_part_keys) {
  const std::vector<KeySpace> spaces{
      {},
      {.account = "lab"},
      {.salt = "a"},
      {.salt = "b"},
      {.salts = {{"align", "a"}}},
      {.salts = {{"align", "b"}}},
      {.salt = "a", .salts = {{"align", "a"}}},
  };
  std::set<Key> keys;
  for (const KeySpace& space : spaces) keys.insert(key_in(space, of("align")));
  BOOST_TEST(keys.size() == spaces.size());
}

BOOST_AUTO_TEST_CASE(a_salt_of_one_task_leaves_others_alone) {
  const KeySpace space{.salts = {{"align", "2"}}};
  BOOST_TEST((key_in(space, of("report")) == Key::of(of("report"))));
}

BOOST_AUTO_TEST_CASE(salts_that_read_alike_put_together_differ) {
  const Key a = key_in({.salt = "ab"}, of("align", "c"));
  const Key b = key_in({.salt = "a"}, of("align", "bc"));
  const Key c = key_in({.salt = "a", .salts = {{"align", "b"}}}, of("align", "c"));
  BOOST_TEST((a != b));
  BOOST_TEST((b != c));
  BOOST_TEST((a != c));
}

BOOST_AUTO_TEST_CASE(salts_can_be_printed) {
  const auto shown = [](const KeySpace& space, const std::string& own) {
    Material material = of("align", own);
    space.apply_to(material);
    return shown_salt(material.salt);
  };
  BOOST_TEST(shown({}, "own") == "own");
  BOOST_TEST(shown({.salt = "a"}, "") == "operator's: a");
  BOOST_TEST(shown({.salt = "a", .salts = {{"align", "b\xff"}}}, "c") ==
             "operator's: a, task's by the operator: b\\xff, task's own: c");
}

BOOST_AUTO_TEST_CASE(settings_are_read) {
  const auto space = KeySpace::parse("lab", "s", "align=1, a=b=2 ,last=");
  BOOST_REQUIRE(space);
  const KeySpace expected{
      .account = "lab", .salt = "s", .salts = {{"align", "1"}, {"a=b", "2"}, {"last", ""}}};
  BOOST_TEST((*space == expected));
}

BOOST_AUTO_TEST_CASE(what_is_no_setting_is_refused) {
  BOOST_TEST(!KeySpace::parse("", "", ""));
  BOOST_TEST(!KeySpace::parse("\xff", "", ""));
  for (const char* salts : {"align", "=1", "a=1,,b=2", "a=1,b"})
    BOOST_TEST(!KeySpace::parse("default", "", salts), salts);
}

BOOST_AUTO_TEST_SUITE_END()
