#include "core/canon.hpp"

#include <cmath>
#include <limits>

#include <rapidcheck/boost_test.h>
#include <boost/test/unit_test.hpp>

#include "core/pack.hpp"
#include "core/text.hpp"
#include "tests/core/random_values.hpp"
#include "tests/core/vectors.hpp"

BOOST_AUTO_TEST_SUITE(canonical_encoding)

using namespace reprise;
using reprise::tests::is_same;
using reprise::tests::Vectors;

namespace {

using Table = std::vector<std::pair<std::string, Value>>;

/// Every value has the bytes and the digest of its vector, and every vector is tried.
void check_vectors(const std::string& file, const Table& table) {
  Vectors vectors(file);
  for (const auto& [name, value] : table) {
    BOOST_TEST_CONTEXT(name) {
      auto vector = vectors.values.find(name);
      BOOST_REQUIRE(vector != vectors.values.end());
      auto bytes = encode(value);
      BOOST_REQUIRE(bytes);
      BOOST_TEST(to_hex(*bytes) == vector->second.canon);
      BOOST_TEST(digest_in("arg", *bytes).hex() == vector->second.digest);
      auto back = decode(*bytes);
      BOOST_REQUIRE(back);
      BOOST_TEST(is_same(*back, value));
      vectors.values.erase(vector);
    }
  }
  for (const auto& left : vectors.values) BOOST_ERROR("vector not tried: " + left.first);
}

Value file_of(std::string_view content, bool executable) {
  return FileValue{sha256(content), content.size(), executable}.to_value();
}

Value nested_list(int levels) {
  Value value = List{};
  for (int i = 0; i < levels; ++i) value = List{std::move(value)};
  return value;
}

std::string bytes_of(std::initializer_list<int> bytes) {
  std::string text;
  for (int byte : bytes) text.push_back(static_cast<char>(byte));
  return text;
}

}  // namespace

BOOST_AUTO_TEST_CASE(golden_vectors_hold) {
  check_vectors("cache_key_vectors.txt",
                {{"nil", Value()},
                 {"true", true},
                 {"0", 0},
                 {"127", 127},
                 {"128", 128},
                 {"-1", -1},
                 {"-33", -33},
                 {"2^63", std::uint64_t{1} << 63},
                 {"1.0", 1.0},
                 {"-0.0", -0.0},
                 {"NaN", std::numeric_limits<double>::quiet_NaN()},
                 {"\"\"", ""},
                 {"\"é\"", "é"},
                 {"bytes 00", Bytes{std::string(1, '\0')}},
                 {"[]", List{}},
                 {"[1,[2]]", List{1, List{2}}},
                 {"[1,2]", List{1, 2}},
                 {"tuple(1,2)", tuple_value({1, 2}).value()},
                 {"set{2,1}", set_value({2, 1}).value()},
                 {"{\"b\":1,\"a\":2}", Map{{"b", 1}, {"a", 2}}},
                 {"{1:\"x\"}", Map{{1, "x"}}},
                 {"{\"1\":\"x\"}", Map{{"1", "x"}}},
                 {"file 'abc'", file_of("abc", false)},
                 {"file 'abc' +x", file_of("abc", true)},
                 {"user_hash(sha, h4Sh)", user_hash_value("sha", "h4Sh").value()}});
}

BOOST_AUTO_TEST_CASE(golden_vectors_of_all_widths_hold) {
  Table table = {
      {"-9223372036854775808", std::numeric_limits<std::int64_t>::min()},
      {"9223372036854775807", std::numeric_limits<std::int64_t>::max()},
      {"18446744073709551615", std::numeric_limits<std::uint64_t>::max()},
      {"nested tuple",
       tuple_value({tuple_value({1}).value(), List{tuple_value({}).value()}}).value()},
      {"mixed keys", Map{{"b", 1},
                         {"aa", 2},
                         {1, 3},
                         {-1, 4},
                         {Value(), 5},
                         {false, 6},
                         {1.5, 7},
                         {Bytes{"b"}, 8}}},
      {"set of text", set_value({"bb", "a", "ccc", "a"}).value()},
      {"record", record_value("point", "2", {{"y", 1.5}, {"x", 0.5}}).value()},
      {"blob", blob_value(sha256("abc"), 3)},
      {"timestamp 1.5", timestamp_value(Time(std::chrono::milliseconds(1500)))},
      {"timestamp -0.25", timestamp_value(Time(std::chrono::milliseconds(-250)))},
  };
  for (std::int64_t n : {255l, 256l, 65535l, 65536l, 4294967295l, 4294967296l, -32l, -128l, -129l,
                         -32768l, -32769l, -2147483648l, -2147483649l})
    table.emplace_back(std::to_string(n), n);
  for (std::size_t n : {31u, 32u, 255u, 256u})
    table.emplace_back("text*" + std::to_string(n), std::string(n, 'x'));
  for (std::size_t n : {0u, 255u, 256u})
    table.emplace_back("bytes*" + std::to_string(n), Bytes{std::string(n, 'x')});
  for (std::size_t n : {15u, 16u}) table.emplace_back("list*" + std::to_string(n), List(n));
  for (std::size_t n : {1u, 2u, 3u, 4u, 8u, 16u, 17u})
    table.emplace_back("ext 42*" + std::to_string(n), Ext{42, std::string(n, 'x')});
  Map map;
  for (int i = 15; i >= 0; --i) map.emplace_back(i, Value());
  table.emplace_back("map*16", map);
  std::vector<DirectoryEntry> inner(1), outer(3);
  inner[0] = {"b", DirectoryEntry::Kind::file, sha256("2"), "", true};
  outer[0] = {"s", DirectoryEntry::Kind::directory, directory_root(inner).value(), "", false};
  outer[1] = {"l", DirectoryEntry::Kind::link, {}, "a", false};
  outer[2] = {"a", DirectoryEntry::Kind::file, sha256("1"), "", false};
  table.emplace_back("directory", directory_value(directory_root(outer).value()));
  check_vectors("canon_vectors.txt", table);

  BOOST_TEST(directory_root(outer).value().hex() ==
             Vectors("cache_key_vectors.txt").keys.at("dir"));
  BOOST_TEST(directory_root({}).value().hex() == Vectors("canon_vectors.txt").keys.at("dir empty"));
}

BOOST_AUTO_TEST_CASE(look_alikes_differ) {
  std::vector<Value> values = {Value(),
                               false,
                               0,
                               0.0,
                               -0.0,
                               "",
                               Bytes{},
                               List{},
                               Map{},
                               "0",
                               Bytes{"0"},
                               1,
                               true,
                               1.0,
                               List{1},
                               tuple_value({1}).value(),
                               set_value({1}).value(),
                               Map{{1, 1}},
                               Map{{"1", 1}},
                               List{1, 2},
                               List{List{1}, 2},
                               List{Value{List{1, 2}}},
                               tuple_value({}).value(),
                               set_value({}).value(),
                               file_of("", false),
                               blob_value(sha256(""), 0)};
  std::vector<std::string> encoded;
  for (const Value& value : values) encoded.push_back(encode(value).value());
  std::sort(encoded.begin(), encoded.end());
  BOOST_TEST((std::adjacent_find(encoded.begin(), encoded.end()) == encoded.end()));
}

BOOST_AUTO_TEST_CASE(all_nans_are_one) {
  double other = std::bit_cast<double>(std::uint64_t{0xfff8'0000'dead'beef});
  BOOST_TEST(encode(other).value() == encode(std::numeric_limits<double>::quiet_NaN()).value());
}

BOOST_AUTO_TEST_CASE(text_must_be_utf8) {
  for (const char* text :
       {"\xff", "a\xc3", "\xc0\xaf", "\xed\xa0\x80", "\xf4\x90\x80\x80", "12345678\x80"}) {
    auto refused = encode(List{text});
    BOOST_REQUIRE(!refused);
    BOOST_TEST((refused.error().code == ErrorCode::invalid_argument));
    BOOST_TEST(refused.error().message.find("not UTF-8") != std::string::npos);
    BOOST_TEST(is_utf8(refused.error().message));
  }
  BOOST_TEST(encode(Bytes{"\xff"}).has_value());
}

BOOST_AUTO_TEST_CASE(level_64_is_accepted_and_level_65_refused) {
  BOOST_TEST(encode(nested_list(64)).has_value());
  auto refused = encode(nested_list(65));
  BOOST_REQUIRE(!refused);
  BOOST_TEST((refused.error().code == ErrorCode::invalid_argument));
  Value map = 1, refused_map = 1;
  for (int i = 0; i < 64; ++i) map = Map{{map, 1}};
  BOOST_TEST(encode(map).has_value());
  BOOST_TEST(!encode(Map{{map, 1}}));
}

BOOST_AUTO_TEST_CASE(levels_inside_of_tuples_and_sets_count) {
  // A tuple is an extension around a list: its elements are two levels down.
  BOOST_TEST(encode(List{tuple_value({nested_list(61)}).value()}).has_value());
  BOOST_TEST(!encode(List{tuple_value({nested_list(62)}).value()}));
  BOOST_TEST(!tuple_value({nested_list(63)}));
  // Elements of a set are one level down.
  BOOST_TEST(encode(List{set_value({nested_list(62)}).value()}).has_value());
  BOOST_TEST(!encode(List{set_value({nested_list(63)}).value()}));
  Value deep = 1;
  int levels = 0;
  for (; levels < 100; ++levels) {
    auto next = tuple_value({deep});
    if (!next) break;
    deep = *next;
  }
  BOOST_TEST(levels == 32);
}

BOOST_AUTO_TEST_CASE(hostile_extension_payloads_do_not_exhaust_the_stack) {
  std::string payload = "\xc0";
  for (int i = 0; i < 3000; ++i) {
    std::string outer;
    Packer(outer).ext(ext::set, payload);
    payload = outer;
  }
  BOOST_TEST(!encode(Ext{ext::set, payload}));
  BOOST_TEST(encode(Ext{42, payload}).has_value());  // nobody looks inside
}

BOOST_AUTO_TEST_CASE(duplicate_keys_are_refused) {
  BOOST_TEST(!encode(Map{{"a", 1}, {"b", 2}, {"a", 3}}));
  BOOST_TEST(!encode(Map{{1, 1}, {1, 1}}));
  BOOST_TEST(encode(Map{{1, 1}, {"1", 1}, {1.0, 1}}).has_value());
}

BOOST_AUTO_TEST_CASE(a_map_has_one_encoding_whatever_its_order) {
  Map map = {{"zz", 1}, {"a", List{1, Map{{"y", 1}, {"x", 2}}}}, {3, 2}, {"b", 3}};
  std::string expected = encode(map).value();
  for (int i = 0; i < 20; ++i) {
    std::next_permutation(map.begin(), map.end(), [](const auto& a, const auto& b) {
      return encode(a.first).value() < encode(b.first).value();
    });
    BOOST_TEST(encode(map).value() == expected);
  }
}

RC_BOOST_PROP(decode_gives_back_what_was_encoded, (const Value& value)) {
  auto bytes = encode(value);
  RC_ASSERT(bytes.has_value());
  auto back = decode(*bytes);
  RC_ASSERT(back.has_value());
  RC_ASSERT(is_same(*back, value));
  RC_ASSERT(encode(*back).value() == *bytes);
}

RC_BOOST_PROP(different_values_have_different_bytes, (const Value& a, const Value& b)) {
  RC_ASSERT((encode(a).value() == encode(b).value()) == is_same(a, b));
}

RC_BOOST_PROP(elements_of_a_list_are_told_apart, (const std::vector<Value>& list)) {
  std::vector<std::string> expected;
  for (const Value& element : list) expected.push_back(encode(element).value());
  std::string whole = encode(list).value();
  auto parts = list_elements(whole);
  RC_ASSERT(parts.has_value());
  RC_ASSERT(std::equal(parts->begin(), parts->end(), expected.begin(), expected.end()));
  RC_ASSERT(encode_list(*parts) == whole);
  std::string tuple = encode(tuple_value(list).value()).value();
  RC_ASSERT(list_elements(tuple).value().size() == list.size());
}

RC_BOOST_PROP(arbitrary_bytes_do_not_harm, (const std::string& bytes)) {
  auto value = decode(bytes);
  if (value) (void)encode(*value);
  (void)list_elements(bytes);
}

RC_BOOST_PROP(damaged_encodings_do_not_harm, (const Value& value, std::uint8_t byte)) {
  std::string bytes = encode(value).value();
  auto at = *rc::gen::inRange<std::size_t>(0, bytes.size());
  std::string cut = bytes.substr(0, at);
  RC_ASSERT(!decode(cut));
  std::string changed = bytes;
  changed[at] = static_cast<char>(byte);
  if (auto other = decode(changed)) (void)encode(*other);
  RC_ASSERT(!decode(bytes + '\xc0'));
}

BOOST_AUTO_TEST_CASE(decode_accepts_any_width) {
  auto check = [](std::string bytes, const Value& expected) {
    auto value = decode(bytes);
    BOOST_REQUIRE(value);
    BOOST_TEST(is_same(*value, expected));
  };
  check(bytes_of({0xcc, 1}), 1);
  check(bytes_of({0xd3, 0, 0, 0, 0, 0, 0, 0, 7}), 7);
  check(bytes_of({0xd1, 0xff, 0xff}), -1);
  check(bytes_of({0xca, 0x3f, 0xc0, 0, 0}), 1.5);
  check(bytes_of({0xd9, 1, 'x'}), "x");
  check(bytes_of({0xdb, 0, 0, 0, 1, 'x'}), "x");
  check(bytes_of({0xdd, 0, 0, 0, 1, 2}), List{2});
  check(bytes_of({0xdf, 0, 0, 0, 1, 2, 3}), Map{{2, 3}});
  check(bytes_of({0xc7, 1, 42, 'x'}), Ext{42, "x"});
}

BOOST_AUTO_TEST_CASE(short_timestamps_become_the_one_form) {
  auto expect = [](const std::string& bytes, Time time) {
    auto value = decode(bytes);
    BOOST_REQUIRE(value);
    BOOST_TEST((*value == timestamp_value(time)));
    BOOST_TEST((as_timestamp(*value).value() == time));
  };
  expect(bytes_of({0xd6, 0xff, 0, 0, 0, 5}), Time(std::chrono::seconds(5)));
  expect(bytes_of({0xd7, 0xff, 0, 0, 0, 4, 0, 0, 0, 5}),
         Time(std::chrono::seconds(5) + Duration(1)));
}

BOOST_AUTO_TEST_CASE(a_key_that_comes_twice_in_other_bytes_is_found) {
  BOOST_TEST(!decode(bytes_of({0x82, 1, 0xc0, 0xcc, 1, 0xc0})));
  BOOST_TEST(!decode(bytes_of({0x82, 0xa1, 'a', 0xc0, 0xa1, 'a', 0xc0})));
  BOOST_TEST(!decode(bytes_of({0x82, 0xa1, 'a', 0xc0, 0xd9, 1, 'a', 0xc0})));
  BOOST_TEST(decode(bytes_of({0x82, 0xa1, 'b', 0xc0, 0xa1, 'a', 0xc0})).has_value());
}

BOOST_AUTO_TEST_CASE(counts_that_cannot_be_true_are_refused_before_memory_is_taken) {
  for (const std::string& bytes :
       {bytes_of({0xdd, 0xff, 0xff, 0xff, 0xff}), bytes_of({0xdf, 0xff, 0xff, 0xff, 0xff}),
        bytes_of({0xc6, 0xff, 0xff, 0xff, 0xff}), bytes_of({0xdb, 0xff, 0xff, 0xff, 0xff}),
        bytes_of({0xc9, 0xff, 0xff, 0xff, 0xff, 1}), bytes_of({0xdc, 0, 3, 1, 2}), std::string()}) {
    auto value = decode(bytes);
    BOOST_REQUIRE(!value);
    BOOST_TEST((value.error().code == ErrorCode::corrupt));
  }
  // Each of many nested arrays promises all that is left.
  std::string greedy;
  for (int i = 0; i < 60; ++i) greedy += bytes_of({0xdd, 0, 0x0f, 0xff, 0});
  greedy.resize(1 << 20, '\xc0');
  Unpacker unpack(greedy);
  std::uint64_t promised = 0;
  while (!unpack.failed()) promised += unpack.array();
  BOOST_TEST(promised <= greedy.size());
  BOOST_TEST(!decode(greedy));
}

BOOST_AUTO_TEST_CASE(very_deep_input_is_refused_without_recursion) {
  std::string deep(1'000'000, '\x91');
  BOOST_TEST(!decode(deep + '\xc0'));
  Unpacker unpack(deep);
  BOOST_TEST(unpack.skip().empty());
  deep += '\xc0';
  Unpacker whole(deep);
  BOOST_TEST(whole.skip().size() == deep.size());
}

BOOST_AUTO_TEST_CASE(list_elements_refuses_what_is_no_list) {
  BOOST_TEST((list_elements(encode(1).value()).error().code == ErrorCode::invalid_argument));
  BOOST_TEST(
      (list_elements(encode(Map{{1, 2}}).value()).error().code == ErrorCode::invalid_argument));
  BOOST_TEST((list_elements("").error().code == ErrorCode::corrupt));
  BOOST_TEST((list_elements("\x91").error().code == ErrorCode::corrupt));
  BOOST_TEST((list_elements("\x91\xc0\xc0").error().code == ErrorCode::corrupt));
}

BOOST_AUTO_TEST_CASE(a_set_that_others_wrote_is_the_set_that_it_says) {
  std::string payload;
  Packer pack(payload);
  pack.array(4);
  for (const int element : {3, 1, 3, 2}) pack.integer(element);
  std::string foreign;
  Packer(foreign).ext(ext::set, payload);
  const std::string own = encode(set_value({1, 2, 3}).value()).value();
  BOOST_TEST(encode(decode(foreign).value()).value() == own);
  BOOST_TEST(encode(List{decode(foreign).value()}).value() == encode_list({own}));
}

BOOST_AUTO_TEST_SUITE_END()
