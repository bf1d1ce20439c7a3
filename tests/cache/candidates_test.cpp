#include "cache/candidates.hpp"

#include <boost/test/unit_test.hpp>

#include "cache/memory_store.hpp"

BOOST_AUTO_TEST_SUITE(candidates)

using namespace reprise;
using namespace reprise::cache;

namespace {

Digest of(int value) {
  return Payload::of(Value(value))->digest;
}

Material material(std::map<std::string, Digest> arguments,
                  std::map<std::string, Digest> dependencies = {}) {
  Material made;
  made.name = "align";
  made.version = "1";
  made.arguments = std::move(arguments);
  made.dependencies = std::move(dependencies);
  return made;
}

const Material written =
    material({{"x", of(1)}, {"y", of(2)}}, {{"image", of(9)}, {"param:p", of(3)}});

}  // namespace

BOOST_AUTO_TEST_CASE(only_inputs_and_parameters_may_tell_same_work_apart) {
  BOOST_TEST(is_same_work(material({}, {{"image", of(9)}}), written));
  BOOST_TEST(
      is_same_work(material({{"z", of(1)}}, {{"image", of(9)}, {"param:q", of(1)}}), written));
  BOOST_TEST(!is_same_work(material({}), written));
  BOOST_TEST(!is_same_work(material({}, {{"image", of(8)}}), written));
  BOOST_TEST(!is_same_work(material({}, {{"image", of(9)}, {"zip", of(1)}}), written));
  const auto with = [](auto change) {
    Material other = written;
    change(other);
    return is_same_work(other, written);
  };
  BOOST_TEST(with([](Material&) {}));
  BOOST_TEST(!with([](Material& m) { m.account = "b"; }));
  BOOST_TEST(!with([](Material& m) { m.name = "b"; }));
  BOOST_TEST(!with([](Material& m) { m.version = "b"; }));
  BOOST_TEST(!with([](Material& m) { m.signature = of(1); }));
  BOOST_TEST(!with([](Material& m) { m.code = of(1); }));
  BOOST_TEST(!with([](Material& m) { m.salt = "b"; }));
  BOOST_TEST(!with([](Material& m) { m.environment["TZ"] = "UTC"; }));
}

BOOST_AUTO_TEST_CASE(a_reader_takes_what_agrees_in_what_it_compares) {
  const Digest image = of(9);
  const auto reads = [&](Validator kind, std::map<std::string, Digest> arguments,
                         std::map<std::string, Digest> parameters = {}) {
    parameters.emplace("image", image);
    return is_valid_for(kind, material(std::move(arguments), std::move(parameters)), written);
  };
  using enum Validator;
  BOOST_TEST(reads(duration_only, {}));
  BOOST_TEST(reads(partial_inputs, {{"x", of(1)}}));
  BOOST_TEST(!reads(partial_inputs, {{"x", of(2)}}));
  BOOST_TEST(!reads(partial_inputs, {{"z", of(1)}}));
  BOOST_TEST(reads(all_parameters, {}, {{"param:p", of(3)}}));
  BOOST_TEST(!reads(all_parameters, {}, {{"param:p", of(4)}}));
  BOOST_TEST(!reads(all_parameters, {}));
  BOOST_TEST(reads(partial_parameters, {}));
  BOOST_TEST(!reads(partial_parameters, {}, {{"param:q", of(3)}}));
  for (const Validator exact : {all_inputs, custom, never_use})
    BOOST_TEST(!reads(exact, {{"x", of(1)}, {"y", of(2)}}, {{"param:p", of(3)}}));
}

BOOST_AUTO_TEST_CASE(at_most_a_hundred_are_put_forward_the_newest_first) {
  MemoryStore store;
  Time now{std::chrono::seconds(1000)};
  for (int i = 0; i < 120; ++i) {
    const Material made = material({{"x", of(i)}});
    now += std::chrono::seconds(1);
    const Commit commit{.key = Key::of(made),
                        .name = "align",
                        .value = *Payload::of(Value(i)),
                        .expires_after = {},
                        .run = {},
                        .task = "align",
                        .material = made.encode()};
    BOOST_REQUIRE(store.commit({&commit, 1}, now));
  }
  CandidateSearch search(store, now, false);
  const auto found = search.for_user("align", material({{"x", of(500)}}), Query{});
  BOOST_REQUIRE(found);
  BOOST_REQUIRE(found->size() == CandidateSearch::candidates_max);
  BOOST_TEST((found->front().value == *Payload::of(Value(119))));
  BOOST_TEST((found->back().value == *Payload::of(Value(20))));
  BOOST_TEST(!found->front().parameters.has_value());
}

BOOST_AUTO_TEST_SUITE_END()
