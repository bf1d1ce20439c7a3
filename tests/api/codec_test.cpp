#include "reprise/codec.hpp"

#include <cmath>
#include <fstream>
#include <limits>
#include <sstream>

#include <rapidcheck.h>
#include <boost/test/unit_test.hpp>

#include "core/canon.hpp"
#include "core/text.hpp"
#include "reprise/value.hpp"
#include "tests/api/sample_types.hpp"

BOOST_AUTO_TEST_SUITE(codec_suite)

using namespace std::string_literals;
using namespace reprise::samples;
namespace codec = reprise::codec;

namespace {

template <class T>
std::string hex(const T& value) {
  return reprise::to_hex(codec::encode(value).bytes);
}

template <class T>
void check_round_trip(const T& value) {
  const codec::encoded bytes = codec::encode(value);
  const auto back = codec::decode<T>(bytes.bytes);
  BOOST_REQUIRE_MESSAGE(back, (back ? "" : back.error().message));
  BOOST_TEST((*back == value));
  BOOST_TEST((codec::encode(*back).bytes == bytes.bytes));
  // Whatever C++ writes, the rest of the program finds canonical: it writes the same bytes.
  const auto seen = reprise::decode(bytes.bytes);
  BOOST_REQUIRE(seen);
  const auto again = reprise::encode(*seen);
  BOOST_REQUIRE(again);
  BOOST_TEST((*again == bytes.bytes));
}

std::map<std::string, std::string> golden_values() {
  const char* shared = std::getenv("REPRISE_SHARED_DIR");
  const char* source = std::getenv("REPRISE_SOURCE_DIR");
  const std::string folder =
      shared != nullptr ? shared : (source != nullptr ? source + "/../shared"s : "../shared");
  std::ifstream file(folder + "/reference/cache_key_vectors.txt");
  std::map<std::string, std::string> all;
  for (std::string line; std::getline(file, line);) {
    const auto canon = line.find("canon=");
    if (!line.starts_with("V ") || canon == std::string::npos) continue;
    std::string name = line.substr(2, canon - 2);
    name.erase(name.find_last_not_of(' ') + 1);
    all[name] = line.substr(canon + 6, line.find(' ', canon) - canon - 6);
  }
  return all;
}

}  // namespace

BOOST_AUTO_TEST_CASE(golden_vectors_are_met) {
  const auto golden = golden_values();
  if (golden.empty()) {
    std::cout << "SKIPPED: no ../shared/reference/cache_key_vectors.txt\n";
    return;
  }
  const std::map<std::string, std::string> ours = {
      {"nil", hex(std::monostate())},
      {"true", hex(true)},
      {"0", hex(0)},
      {"127", hex(127)},
      {"128", hex(128)},
      {"-1", hex(-1)},
      {"-33", hex(-33)},
      {"2^63", hex(std::uint64_t{1} << 63)},
      {"1.0", hex(1.0)},
      {"-0.0", hex(-0.0)},
      {"NaN", hex(-std::numeric_limits<double>::quiet_NaN())},
      {"\"\"", hex(""s)},
      {"\"é\"", hex("é"s)},
      {"bytes 00", hex(std::vector<char>{'\0'})},
      {"[]", hex(std::vector<int>{})},
      {"[1,[2]]", hex(reprise::value(reprise::value::list{1, reprise::value::list{2}}))},
      {"[1,2]", hex(std::vector<int>{1, 2})},
      {"tuple(1,2)", hex(std::tuple(1, 2))},
      {"set{2,1}", hex(std::unordered_set<int>{2, 1})},
      {"{\"b\":1,\"a\":2}", hex(std::map<std::string, int>{{"b", 1}, {"a", 2}})},
      {"{1:\"x\"}", hex(std::map<int, std::string>{{1, "x"}})},
      {"{\"1\":\"x\"}", hex(std::unordered_map<std::string, std::string>{{"1", "x"}})},
  };
  std::size_t met = 0;
  for (const auto& [name, bytes] : golden) {
    const auto found = ours.find(name);
    if (found == ours.end()) continue;  // files and user hashes are no C++ values
    BOOST_TEST(found->second == bytes, "of " + name);
    ++met;
  }
  BOOST_TEST(met == ours.size());
}

BOOST_AUTO_TEST_CASE(standard_types_come_back_as_they_went) {
  check_round_trip(std::numeric_limits<std::int64_t>::min());
  check_round_trip(std::numeric_limits<std::uint64_t>::max());
  check_round_trip(static_cast<std::int8_t>(-128));
  check_round_trip('x');
  check_round_trip(1.5f);
  check_round_trip(std::numeric_limits<double>::infinity());
  check_round_trip("a\0b"s);
  check_round_trip(std::vector<std::byte>{std::byte{0}, std::byte{255}});
  check_round_trip(std::vector<unsigned char>{1, 2, 3});
  check_round_trip(std::array<char, 3>{'a', '\0', 'b'});
  check_round_trip(std::vector<std::int8_t>{-1, 1});
  check_round_trip(std::vector<bool>{true, false, true});
  check_round_trip(std::deque<int>{1, 2});
  check_round_trip(std::list<std::string>{"a", "b"});
  check_round_trip(std::array<double, 3>{1, 2, 3});
  check_round_trip(std::set<std::string>{"b", "aa", "a"});
  check_round_trip(std::unordered_set<int>{5, 300, -7, 70000});
  check_round_trip(std::map<std::tuple<int, std::string>, std::vector<double>>{{{1, "x"}, {1.0}},
                                                                               {{0, "yy"}, {}}});
  check_round_trip(std::pair<int, std::optional<std::string>>{1, std::nullopt});
  check_round_trip(std::optional<int>{7});
  check_round_trip(std::tuple<>{});
  check_round_trip(std::set<std::set<int>>{{1, 2}, {}, {3}});
  check_round_trip(std::variant<int, std::string, std::monostate>{"x"});
  check_round_trip(std::complex<double>{1, -2});
  check_round_trip(colour::blue);
  check_round_trip(std::chrono::sys_time<std::chrono::nanoseconds>{std::chrono::nanoseconds{-1}});
  check_round_trip(std::chrono::sys_time<std::chrono::nanoseconds>{
      std::chrono::nanoseconds{1'700'000'000'123'456'789}});
}

BOOST_AUTO_TEST_CASE(structs_come_back_as_they_went) {
  const option sample{.strike = 1.0, .days = 3, .tags = {"x", "a"}, .kind = colour::blue};
  check_round_trip(sample);
  check_round_trip(std::vector<option>{sample, {}});
  check_round_trip(point{.x = 1.0, .y = 2.0f});
  check_round_trip(nested{.where = {.x = 1, .y = 2},
                          .what = sample,
                          .either = "text",
                          .seen = {3, 1},
                          .pair = {1, 1.0},
                          .any = reprise::value::list{1, 2.0, "three"},
                          .colours = {{"sky", colour::blue}}});
  check_round_trip(tree{.name = "root",
                        .weight = 1.0,
                        .children = {{.name = "leaf", .weight = 2.0, .children = {}}, {}}});
  check_round_trip(geo::place{.name = "here", .at = {.x = 1, .y = 2}});
  check_round_trip(std::map<std::string, fraction>{{"half", {1, 2}}});
}

BOOST_AUTO_TEST_CASE(floats_stay_floats_also_in_defined_structs) {
  BOOST_TEST(hex(1.0f) == "cb3ff0000000000000");
  BOOST_TEST(hex(point{.x = 1.0, .y = 2.0f}) == "92cb3ff0000000000000cb4000000000000000");
  BOOST_TEST(hex(std::vector<double>{1}) != hex(std::vector<int>{1}));
}

BOOST_AUTO_TEST_CASE(maps_of_defined_structs_are_sorted_by_encoded_key) {
  // MSGPACK_DEFINE_MAP(weight, name, children): shorter keys come first.
  BOOST_TEST(hex(tree{.name = "t", .weight = 0, .children = {}}) ==
             "83a46e616d65a174"
             "a6776569676874cb0000000000000000"
             "a86368696c6472656e90");
}

BOOST_AUTO_TEST_CASE(order_and_width_of_the_source_do_not_matter) {
  std::unordered_map<std::string, int> forward, backward;
  for (int i = 0; i < 100; ++i) forward[std::to_string(i)] = i;
  for (int i = 99; i >= 0; --i) backward[std::to_string(i)] = i;
  backward.rehash(1000);
  BOOST_TEST(hex(forward) == hex(backward));
  BOOST_TEST(hex(std::int8_t{5}) == hex(std::uint64_t{5}));
  BOOST_TEST(hex(std::set<int>{1, 2}) == hex(std::unordered_set<int>{2, 1}));
  BOOST_TEST(hex(std::tuple(1, 2)) == hex(std::pair(1, 2)));
  BOOST_TEST(hex(std::vector<int>{1, 2}) != hex(std::tuple(1, 2)));
}

BOOST_AUTO_TEST_CASE(text_that_is_not_utf8_is_carried_and_not_cached) {
  const codec::encoded broken = codec::encode(std::vector<std::string>{"fine", "\xff"});
  BOOST_TEST(broken.uncacheable == "text is not UTF-8");
  BOOST_TEST((codec::decode<std::vector<std::string>>(broken.bytes).value() ==
              std::vector<std::string>{"fine", "\xff"}));
  BOOST_TEST(codec::encode("é"s).uncacheable.empty());
}

BOOST_AUTO_TEST_CASE(nesting_above_the_limit_is_not_cached) {
  tree deep;
  for (int i = 0; i < 31; ++i) deep = tree{.name = "", .weight = 0, .children = {deep}};
  BOOST_TEST(
      codec::encode(deep)
          .uncacheable.empty());  // 32 maps and 31 lists around the leaf's empty list: level 63
  check_round_trip(deep);
  deep = tree{.name = "", .weight = 0, .children = {deep}};
  deep = tree{.name = "", .weight = 0, .children = {deep}};
  BOOST_TEST(codec::encode(deep).uncacheable == "it is nested deeper than 64 levels");
}

BOOST_AUTO_TEST_CASE(numbers_are_range_checked) {
  const auto bytes = codec::encode(300).bytes;
  BOOST_TEST(!codec::decode<std::int8_t>(bytes));
  BOOST_TEST(!codec::decode<std::uint8_t>(bytes));
  BOOST_TEST(codec::decode<std::uint16_t>(bytes).value() == 300);
  BOOST_TEST(!codec::decode<unsigned>(codec::encode(-1).bytes));
  BOOST_TEST(
      !codec::decode<std::int64_t>(codec::encode(std::numeric_limits<std::uint64_t>::max()).bytes));
  BOOST_TEST(!codec::decode<int>(codec::encode(1.0).bytes));
  BOOST_TEST(codec::decode<double>(codec::encode(1).bytes).value() == 1.0);
}

BOOST_AUTO_TEST_CASE(values_of_another_type_are_refused_with_both_named) {
  const auto wrong = codec::decode<std::vector<int>>(codec::encode("text"s).bytes);
  BOOST_REQUIRE(!wrong);
  BOOST_TEST((wrong.error() ==
              reprise::error{reprise::error_code::invalid_argument, "\"text\" is no list<i64>"}));
  BOOST_TEST(!codec::decode<std::string>(codec::encode(std::vector<char>{'a'}).bytes));
  BOOST_TEST(!codec::decode<bool>(codec::encode(1).bytes));
  BOOST_TEST(!(codec::decode<std::tuple<int, int>>(codec::encode(std::tuple(1)).bytes)));
  BOOST_TEST((!codec::decode<std::array<int, 2>>(codec::encode(std::vector{1, 2, 3}).bytes)));
  BOOST_TEST((!codec::decode<std::variant<int, bool>>(codec::encode(std::tuple(2, 1)).bytes)));
  BOOST_TEST(!codec::decode<std::set<int>>(codec::encode(std::tuple(1)).bytes));
  BOOST_TEST((codec::decode<std::set<int>>(codec::encode(std::vector{2, 1, 2}).bytes).value() ==
              std::set{1, 2}));
}

BOOST_AUTO_TEST_CASE(a_record_of_another_name_version_or_shape_is_refused) {
  const auto bytes = codec::encode(option{}).bytes;
  const auto other = codec::decode<other_option>(bytes);
  BOOST_REQUIRE(!other);
  BOOST_TEST(other.error().message.find("the record is a samples.option@1") != std::string::npos);
  codec::writer out;
  out.begin_record("samples.option", "1", 1);
  out.text("strike");
  out.real(1);
  const auto lacking = codec::decode<option>(out.finish().bytes);
  BOOST_REQUIRE(!lacking);
  BOOST_TEST(lacking.error().message.find("has no field \"days\"") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(broken_bytes_are_corrupt_and_cost_no_memory) {
  const auto refused = [](const std::string& bytes) {
    const auto read = codec::decode<std::vector<reprise::value>>(bytes);
    BOOST_REQUIRE(!read);
    return read.error().code;
  };
  using enum reprise::error_code;
  BOOST_TEST((refused("") == corrupt));
  BOOST_TEST((refused("\x92\x01") == corrupt));
  BOOST_TEST((refused("\x90\x90") == corrupt));
  BOOST_TEST((refused("\xdd\xff\xff\xff\xff") == corrupt));
  BOOST_TEST((refused("\x91\xdd\x0f\xff\xff\xff\x01") == corrupt));
  BOOST_TEST((refused("\xc1") == corrupt));
  BOOST_TEST((refused(std::string(1'000'000, '\x91') + "\x90") == corrupt));
}

BOOST_AUTO_TEST_CASE(no_bytes_crash_the_reader) {
  rc::check("decode gives a value or an error", [](const std::string& bytes) {
    (void)codec::decode<nested>(bytes);
    (void)codec::decode<tree>(bytes);
    (void)codec::decode<std::map<std::set<int>, std::tuple<std::string, std::vector<option>>>>(
        bytes);
    if (const auto any = codec::decode<reprise::value>(bytes)) (void)any->to_json();
  });
  rc::check("also when one byte is wrong", [](int x, const std::string& text) {
    nested sample;
    sample.what.days = x;
    sample.either = text;
    sample.seen = {x};
    std::string bytes = codec::encode(sample).bytes;
    bytes[*rc::gen::inRange<std::size_t>(0, bytes.size())] = *rc::gen::arbitrary<char>();
    (void)codec::decode<nested>(bytes);
  });
}

BOOST_AUTO_TEST_CASE(any_value_comes_back_and_is_canonical) {
  using sample =
      std::map<std::string, std::tuple<std::int64_t, std::vector<double>, std::set<std::string>>>;
  rc::check("round trip", [](const sample& value) {
    const auto bytes = codec::encode(value);
    RC_ASSERT((codec::decode<sample>(bytes.bytes).value() == value));
    if (!bytes.uncacheable.empty()) return;
    RC_ASSERT(reprise::encode(reprise::decode(bytes.bytes).value()).value() == bytes.bytes);
    RC_ASSERT(reprise::value::from_bytes(bytes.bytes)->to_bytes() == bytes.bytes);
  });
  rc::check("different values have different bytes", [](const sample& a, const sample& b) {
    RC_ASSERT((a == b) == (codec::encode(a).bytes == codec::encode(b).bytes));
  });
}

BOOST_AUTO_TEST_CASE(a_hand_written_packer_that_miscounts_is_a_logic_error) {
  BOOST_CHECK_THROW((void)codec::encode(miscounting{.items = 1}), std::logic_error);
  BOOST_CHECK_THROW((void)codec::encode(miscounting{.items = 3}), std::logic_error);
  BOOST_TEST(hex(miscounting{.items = 2}) == "920102");
}

BOOST_AUTO_TEST_CASE(types_have_portable_names) {
  using codec::type_name;
  BOOST_TEST(type_name<std::monostate>() == "nil");
  BOOST_TEST(type_name<bool>() == "bool");
  BOOST_TEST(type_name<int>() == "i64");
  BOOST_TEST(type_name<long>() == "i64");
  BOOST_TEST(type_name<unsigned>() == "u64");
  BOOST_TEST(type_name<float>() == "f64");
  BOOST_TEST(type_name<std::string>() == "str");
  BOOST_TEST(type_name<std::vector<unsigned char>>() == "bytes");
  BOOST_TEST(type_name<std::vector<int>>() == "list<i64>");
  BOOST_TEST((type_name<std::map<std::string, std::vector<float>>>() == "map<str,list<f64>>"));
  BOOST_TEST((type_name<std::tuple<int, std::set<bool>>>() == "tuple<i64,set<bool>>"));
  BOOST_TEST((type_name<std::pair<int, std::optional<double>>>() == "tuple<i64,opt<f64>>"));
  BOOST_TEST((type_name<std::variant<int, std::string>>() == "rec<oneof<i64,str>>"));
  BOOST_TEST(type_name<std::chrono::system_clock::time_point>() == "time");
  BOOST_TEST(type_name<colour>() == "i64");
  BOOST_TEST(type_name<option>() == "rec<samples.option@1>");
  BOOST_TEST(type_name<point>() == "rec<list,f64,f64>");
  BOOST_TEST(type_name<tree>() ==
             "rec<map,\"weight\",f64,\"name\",str,\"children\",list<rec<^1>>>");
  BOOST_TEST(type_name<geo::place>() == "rec<geo.place@3>");
  BOOST_TEST(type_name<fraction>() == "any");
  BOOST_TEST(type_name<reprise::value>() == "any");
}

BOOST_AUTO_TEST_SUITE_END()
