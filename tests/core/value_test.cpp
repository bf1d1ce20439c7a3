#include "core/value.hpp"

#include <limits>

#include <rapidcheck/boost_test.h>
#include <boost/test/unit_test.hpp>
#include <nlohmann/json.hpp>

#include "core/canon.hpp"
#include "tests/core/random_values.hpp"

BOOST_AUTO_TEST_SUITE(value)

using namespace reprise;

BOOST_AUTO_TEST_CASE(small_unsigned_numbers_are_numbers_like_others) {
  BOOST_TEST((Value(std::uint64_t{5}) == Value(5)));
  BOOST_TEST(Value(std::uint64_t{1} << 63).get_if<std::uint64_t>());
}

BOOST_AUTO_TEST_CASE(find_looks_for_text_keys) {
  Value map = Map{{1, "no"}, {"1", "yes"}};
  BOOST_REQUIRE(map.find("1"));
  BOOST_TEST((*map.find("1") == Value("yes")));
  BOOST_TEST(!map.find("2"));
  BOOST_TEST(!Value(1).find("1"));
}

BOOST_AUTO_TEST_CASE(file_is_read_back) {
  FileValue file{sha256("abc"), 3, true};
  BOOST_TEST(is_file(file.to_value()));
  BOOST_TEST((as_file(file.to_value()).value() == file));
  for (const Value& other :
       {Value(), Value("x"), Value(Ext{ext::file, "junk"}), Value(Ext{ext::file, ""}),
        Value(Ext{ext::blob, file.to_value().get_if<Ext>()->payload})}) {
    BOOST_TEST(!is_file(other));
    BOOST_TEST((as_file(other).error().code == ErrorCode::invalid_argument));
  }
}

BOOST_AUTO_TEST_CASE(a_set_forgets_order_and_repetition) {
  BOOST_TEST((set_value({3, 1, 2, 1}).value() == set_value({1, 2, 3}).value()));
  BOOST_TEST((elements_of(set_value({3, 1, 3}).value()).value() == List{1, 3}));
  BOOST_TEST((elements_of(tuple_value({3, 1, 3}).value()).value() == List{3, 1, 3}));
  BOOST_TEST((elements_of(List{1}).value() == List{1}));
  BOOST_TEST(!elements_of(1));
  BOOST_TEST((elements_of(Ext{ext::tuple, "\x91"}).error().code == ErrorCode::corrupt));
}

BOOST_AUTO_TEST_CASE(helpers_refuse_what_cannot_be_encoded) {
  BOOST_TEST(!tuple_value({"\xff"}));
  BOOST_TEST(!set_value({"\xff"}));
  BOOST_TEST(!record_value("\xff", "1", {}));
  BOOST_TEST(!record_value("a", "1", {{"x", 1}, {"x", 2}}));
  BOOST_TEST(!user_hash_value("sha", "\xff"));
}

BOOST_AUTO_TEST_CASE(timestamps_are_read_back) {
  for (std::int64_t nanoseconds :
       {0l, 1l, -1l, 1'500'000'000l, -1'500'000'001l, 4'102'444'800'000'000'000l}) {
    Time time{Duration(nanoseconds)};
    BOOST_TEST((as_timestamp(timestamp_value(time)).value() == time));
  }
  for (Time time : {Time::min(), Time::max()})
    BOOST_TEST(timestamp_value(time).get_if<Ext>()->payload.size() == 12u);
  BOOST_TEST(!as_timestamp(Ext{ext::timestamp, timestamp_payload(1, 1'000'000'000)}));
  BOOST_TEST(!as_timestamp(Ext{ext::timestamp, timestamp_payload(INT64_MAX, 0)}));
  BOOST_TEST(!as_timestamp(Ext{ext::timestamp, "1234"}));
}

BOOST_AUTO_TEST_CASE(directories_differ_in_names_content_kind_and_mode) {
  using Kind = DirectoryEntry::Kind;
  auto root = [](DirectoryEntry entry) { return directory_root({std::move(entry)}).value(); };
  DirectoryEntry file{"a", Kind::file, sha256("1"), "", false};
  std::vector<DirectoryEntry> others(5, file);
  others[0].name = "b";
  others[1].content = sha256("2");
  others[2].executable = true;
  others[3] = {"a", Kind::link, {}, "1", false};
  others[4] = {"a", Kind::directory, sha256("1"), "", false};
  for (const auto& other : others) BOOST_TEST((root(other) != root(file)));
  BOOST_TEST(!directory_root({file, file}));
  DirectoryEntry odd{"\xff", Kind::file, {}, "", false};
  BOOST_TEST(!directory_root({odd}));
}

BOOST_AUTO_TEST_CASE(json_shows_every_type) {
  BOOST_TEST(to_json(Map{{"a", List{1, 1.5, true, Value()}}, {"b", "é\n\""}}) ==
             R"({"a":[1,1.5,true,null],"b":"é\n\""})");
  BOOST_TEST(to_json(Bytes{"hello"}) == R"({"$bytes":"aGVsbG8="})");
  BOOST_TEST(to_json(Bytes{}) == R"({"$bytes":""})");
  BOOST_TEST(
      to_json(FileValue{sha256("abc"), 3, false}.to_value()) ==
      R"({"$file":"sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad","size":3})");
  BOOST_TEST(to_json(FileValue{Digest{}, 0, true}.to_value()).find(R"("executable":true)") !=
             std::string::npos);
  BOOST_TEST(to_json(tuple_value({1, "x"}).value()) == R"([1,"x"])");
  BOOST_TEST(to_json(set_value({2, 1}).value()) == "[1,2]");
  BOOST_TEST(to_json(record_value("p", "1", {{"x", 1}}).value()) == R"({"x":1})");
  BOOST_TEST(to_json(timestamp_value(Time(std::chrono::milliseconds(1500)))) ==
             R"("1970-01-01T00:00:01.500000Z")");
  BOOST_TEST(to_json(Ext{42, "x"}) == R"({"$ext":42,"$bytes":"eA=="})");
  BOOST_TEST(to_json(std::numeric_limits<double>::infinity()) == "null");
  BOOST_TEST(to_json(std::numeric_limits<std::uint64_t>::max()) == "18446744073709551615");
  BOOST_TEST(to_json("\xff") == "\"\xef\xbf\xbd\"");
}

BOOST_AUTO_TEST_CASE(json_keeps_apart_keys_that_would_look_alike) {
  BOOST_TEST(to_json(Map{{1, "x"}, {true, "y"}}) == R"({"1":"x","true":"y"})");
  BOOST_TEST(to_json(Map{{1, "x"}, {"1", "y"}}) == R"({"$map":[[1,"x"],["1","y"]]})");
}

BOOST_AUTO_TEST_CASE(json_of_keys_within_keys_does_not_grow_without_bounds) {
  Value value = "\"";
  for (int i = 0; i < 60; ++i)
    value = Map{{value, value.get_if<std::string>() ? Value(1) : Value("x")}};
  BOOST_TEST(to_json(value).size() < 2000u);
  BOOST_TEST(to_json(Map{{List{1}, "x"}}) == R"({"$map":[[[1],"x"]]})");
}

BOOST_AUTO_TEST_CASE(json_becomes_a_value) {
  BOOST_TEST(
      (from_json(R"( {"a": [1, -2, 1.0, 18446744073709551615, "é", null, false, {}], "b": []} )")
           .value() == Value(Map{{"a", List{1, -2, 1.0, std::numeric_limits<std::uint64_t>::max(),
                                            "é", Value(), false, Map{}}},
                                 {"b", List{}}})));
  for (const char* text :
       {"", "[", "{\"a\":1,\"a\":2}", "[1,]", "nul", "[1] 2", "\"\xff\"", "'a'"}) {
    auto refused = from_json(text);
    BOOST_REQUIRE(!refused);
    BOOST_TEST((refused.error().code == ErrorCode::invalid_argument));
    BOOST_TEST(refused.error().message.size() > 10);
  }
}

BOOST_AUTO_TEST_CASE(json_that_is_too_deep_is_refused) {
  auto nested = [](std::size_t levels) {
    return std::string(levels, '[') + std::string(levels, ']');
  };
  BOOST_TEST(from_json(nested(65)).has_value());  // the innermost list is at level 64
  BOOST_TEST(encode(from_json(nested(65)).value()).has_value());
  BOOST_TEST(!from_json(nested(66)));
  BOOST_TEST(!from_json(nested(1'000'000)));
}

RC_BOOST_PROP(json_never_fails, (const Value& value)) {
  std::string text = to_json(value);
  RC_ASSERT(from_json(text).has_value());
}

RC_BOOST_PROP(json_is_written_as_the_library_does, (const Value& value)) {
  const std::string text = to_json(value);
  RC_ASSERT(nlohmann::ordered_json::parse(text).dump() == text);
}

BOOST_AUTO_TEST_SUITE_END()
