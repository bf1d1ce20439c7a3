#include "flow/json_text.hpp"

#include <boost/test/unit_test.hpp>

#include <rapidcheck.h>
#include <nlohmann/json.hpp>

namespace reprise {
namespace {

using nlohmann::json;

/// The value at `index`, as the library that is trusted with JSON would have it.
json value_at(const JsonTree& tree, JsonTree::Index index) {
  const JsonNode& node = tree[index];
  switch (node.kind) {
    case JsonNode::Kind::null:
      return nullptr;
    case JsonNode::Kind::boolean:
      return std::get<bool>(node.data);
    case JsonNode::Kind::number:
      if (const auto* value = std::get_if<std::int64_t>(&node.data)) return *value;
      if (const auto* value = std::get_if<std::uint64_t>(&node.data)) return *value;
      return std::get<double>(node.data);
    case JsonNode::Kind::text:
    case JsonNode::Kind::key:
      return std::string(std::get<std::string_view>(node.data));
    case JsonNode::Kind::array: {
      json list = json::array();
      tree.for_each(index, [&](JsonTree::Index child) { list.push_back(value_at(tree, child)); });
      return list;
    }
    case JsonNode::Kind::object:
      break;
  }
  json object = json::object();
  tree.for_each(index, [&](JsonTree::Index child) {
    object[std::string(std::get<std::string_view>(tree[child - 1].data))] = value_at(tree, child);
  });
  return object;
}

const std::string sample = R"( {"name": "größe\n\"x\"\/", "list": [1, -2, 0, 0.5, -1.25e+3, 1e-7,
  true, false, null, [], {}, "", [[{"a": {"b": [18446744073709551615, -9223372036854775808]}}]]],
  "key with \u00e4": "\ud83d\ude00", "t": 123456789012345678 } )";

BOOST_AUTO_TEST_SUITE(json_text)

BOOST_AUTO_TEST_CASE(well_formed_texts_are_read_as_they_are) {
  for (const std::string& text :
       {sample, std::string("\xef\xbb\xbf[1]"), std::string("7"), std::string("\"\""),
        std::string("-0"), std::string("[1e308, 1.7976931348623157e308, 5e-324]")}) {
    const ParsedJson parsed = parse_json(text);
    BOOST_TEST_REQUIRE(parsed.ok, text);
    BOOST_TEST(value_at(parsed.tree, 0) == json::parse(text), text);
  }
}

BOOST_AUTO_TEST_CASE(places_are_the_same_whichever_way_a_text_is_read) {
  // An escaped letter sends the whole text the slow way.
  const std::string quick = R"({"a" : [1,  {"b":"c"} ,-2.5e3], "d":null})";
  std::string slow = quick;
  slow.replace(slow.find("null"), 4, R"("\u0041")");
  const ParsedJson one = parse_json(quick), other = parse_json(slow);
  BOOST_TEST_REQUIRE((one.ok && other.ok));
  BOOST_TEST_REQUIRE(one.tree.nodes().size() == other.tree.nodes().size());
  for (std::uint32_t i = 0; i < one.tree.nodes().size(); ++i) {
    BOOST_TEST(one.tree[i].position == other.tree[i].position, i);
    BOOST_TEST(one.tree[i].end == other.tree[i].end, i);
  }
}

BOOST_AUTO_TEST_CASE(damaged_texts_are_read_alike_or_refused_alike) {
  const bool alike = rc::check("parse_json agrees with nlohmann::json", [] {
    std::string text = sample;
    const auto times = *rc::gen::inRange(1, 4);
    for (int i = 0; i < times; ++i) {
      const auto at = *rc::gen::inRange<std::size_t>(0, text.size());
      const std::string_view bytes = "{}[]\",:\\ue+-.01tfn \n\x01\xc3\xff";
      const char byte = bytes[*rc::gen::inRange<std::size_t>(0, bytes.size())];
      switch (*rc::gen::inRange(0, 3)) {
        case 0:
          text[at] = byte;
          break;
        case 1:
          text.insert(at, 1, byte);
          break;
        default:
          text.erase(at, 1);
      }
    }
    const ParsedJson parsed = parse_json(text);
    const json known = json::parse(text, nullptr, false);
    if (!parsed.ok) {
      // Keys that stand twice are refused here, and not there.
      RC_ASSERT(known.is_discarded() || parsed.error.kind == JsonError::Kind::duplicate_key);
      RC_ASSERT(!parsed.error.message.empty());
    } else {
      RC_ASSERT(!known.is_discarded());
      RC_ASSERT(value_at(parsed.tree, 0) == known);
    }
  });
  BOOST_TEST(alike);
}

BOOST_AUTO_TEST_CASE(limits_hold) {
  BOOST_TEST(parse_json("[[[1]]]", {.depth_max = 3}).ok);
  BOOST_TEST((parse_json("[[[1]]]", {.depth_max = 2}).error.kind == JsonError::Kind::too_deep));
  BOOST_TEST(parse_json("[1,2,3]", {.values_max = 4}).ok);
  BOOST_TEST((parse_json("[1,2,3]", {.values_max = 3}).error.kind == JsonError::Kind::too_many));
  BOOST_TEST((parse_json(R"({"a":1,"a":2})").error.kind == JsonError::Kind::duplicate_key));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace reprise
