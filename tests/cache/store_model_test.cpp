// Random histories against the stores of a program and the simplest thing that could be right: a
// list of all versions ever made.
#include <algorithm>
#include <set>

#include <rapidcheck.h>
#include <boost/test/unit_test.hpp>

#include "tests/cache/cache_support.hpp"
#include "tests/cache/contract_stores.hpp"
#include "tests/support/temporary_folder.hpp"

namespace reprise::cache {

BOOST_AUTO_TEST_SUITE(StoreModel)
namespace {

using namespace testing;

struct Model {
  struct Version {
    std::string key, text;
    std::uint32_t number = 1;
    Time committed;
    std::optional<Time> expires;
    std::map<Time, std::optional<Time>> renewals;  // what `expires` was until then
  };
  std::vector<Version> versions;  // in order of commits

  void commit(const std::string& key_name, const std::string& text,
              std::optional<Duration> expires_after, Time now) {
    std::optional<Time> expires;
    if (expires_after) expires = now + *expires_after;
    Version next{key_name, text, 1, now, expires, {}};
    for (Version& version : versions) {
      if (version.key != key_name) continue;
      next.number = version.number + 1;
      next.committed = std::max(now, version.committed + Duration{1});
      if (version.text == text && is_newest(version)) {
        if (version.expires != expires) version.renewals.emplace(now, version.expires);
        version.expires = expires;
        return;
      }
    }
    versions.push_back(next);
  }
  [[nodiscard]] bool is_newest(const Version& version, Time as_of = Time::max()) const {
    return std::none_of(versions.begin(), versions.end(), [&](const Version& other) {
      return other.key == version.key && other.number > version.number && other.committed <= as_of;
    });
  }
  [[nodiscard]] const Version* look_up(const std::string& key_name, Time now) const {
    const Version* found = nullptr;
    for (const Version& version : versions)
      if (version.key == key_name && (!version.expires || now < *version.expires)) found = &version;
    return found;
  }
};

// What a look-up at that moment would have found, were it asked today.
std::optional<Model::Version> as_of(const Model& model, const std::string& key_name, Time moment) {
  std::optional<Model::Version> found;
  for (const Model::Version& version : model.versions) {
    if (version.key != key_name || version.committed > moment) continue;
    Model::Version then = version;
    const auto renewed = version.renewals.upper_bound(moment);
    if (renewed != version.renewals.end()) then.expires = renewed->second;
    if (!then.expires || moment < *then.expires) found = then;
  }
  return found;
}

void check_same(const Record& record, const Model::Version& expected) {
  RC_ASSERT(record.key == key(expected.key));
  RC_ASSERT(record.version == expected.number);
  RC_ASSERT(record.value == value(expected.text));
  RC_ASSERT(record.committed == expected.committed);
  RC_ASSERT(record.expires == expected.expires);
}

void check_listing(Store& store, const Model& model, std::optional<Time> as_of) {
  auto listed = store.list({.as_of = as_of});
  RC_ASSERT(listed.has_value());
  std::vector<const Model::Version*> expected;
  for (auto version = model.versions.rbegin(); version != model.versions.rend(); ++version)
    if (version->committed <= as_of.value_or(Time::max()) &&
        model.is_newest(*version, as_of.value_or(Time::max())))
      expected.push_back(&*version);
  RC_ASSERT(listed->size() == expected.size());
  for (std::size_t i = 0; i < expected.size(); ++i) check_same((*listed)[i], *expected[i]);
}

BOOST_AUTO_TEST_CASE(stores_do_what_the_model_does) {
  BOOST_TEST(rc::check([] {
    reprise::testing::TemporaryFolder folder;
    std::vector<NamedStore> stores = make_stores(folder.path());
    Model model;
    std::uint64_t looked_up = 0, hits = 0;
    const auto any_key = rc::gen::element<std::string>("a", "b", "c");
    const auto any_text = rc::gen::element<std::string>("", "x", "y", std::string(40'000, 'z'));
    const int steps = *rc::gen::inRange(0, 30);
    std::vector<Time> times{at(0)};
    for (int step = 0; step < steps; ++step) {
      const Time now = at(*rc::gen::inRange(0, 20));  // clocks go forth and back
      times.push_back(now);
      switch (*rc::gen::inRange(0, 8)) {
        case 0: {  // a new process
          for (NamedStore& store : stores) store.reopen();
          break;
        }
        case 1: {
          const Time as_of = *rc::gen::elementOf(times);
          for (const NamedStore& store : stores) check_listing(*store.store, model, as_of);
          break;
        }
        case 2: {
          const Time moment = *rc::gen::elementOf(times);
          const std::string name = *any_key;
          const Key wanted = key(name);
          const auto expected = as_of(model, name, moment);
          for (const NamedStore& store : stores) {
            if (!store.remembers_renewals) continue;
            auto found = store.store->look_up_as_of({&wanted, 1}, moment);
            RC_ASSERT(found.has_value());
            const auto& record = (*found)[0].record;
            RC_ASSERT(!(*found)[0].horizon.has_value());
            RC_ASSERT(record.has_value() == expected.has_value());
            if (expected) check_same(*record, *expected);
          }
          break;
        }
        case 3: {
          const std::vector<std::string> names =
              *rc::gen::container<std::vector<std::string>>(any_key);
          std::vector<Key> keys;
          for (const std::string& name : names) keys.push_back(key(name));
          looked_up += keys.size();
          for (const NamedStore& store : stores) {
            auto found = store.store->look_up(keys, now);
            RC_ASSERT(found.has_value());
            for (std::size_t i = 0; i < keys.size(); ++i) {
              const Model::Version* expected = model.look_up(names[i], now);
              RC_ASSERT((*found)[i].has_value() == (expected != nullptr));
              if (!expected) continue;
              if (&store == &stores.front()) ++hits;
              check_same(*(*found)[i], *expected);
              RC_ASSERT((*found)[i]->value.view() == value(expected->text).view());
            }
          }
          break;
        }
        default: {
          std::vector<Commit> batch;
          const int size = *rc::gen::inRange(1, 4);
          for (int i = 0; i < size; ++i) {
            const std::string name = *any_key, text = *any_text;
            std::optional<Duration> expires_after;
            if (*rc::gen::arbitrary<bool>())
              expires_after = std::chrono::seconds{*rc::gen::inRange(0, 10)};
            batch.push_back(commit(name, value(text), expires_after));
            model.commit(name, text, expires_after, now);
          }
          for (const NamedStore& store : stores)
            RC_ASSERT(store.store->commit(batch, now).has_value());
        }
      }
    }
    std::uint64_t value_bytes = 0;
    std::set<std::string> keys_used;
    for (const Model::Version& version : model.versions) {
      value_bytes += value(version.text).size;
      keys_used.insert(version.key);
    }
    for (const NamedStore& store : stores) {
      check_listing(*store.store, model, {});
      const Statistics statistics = *store.store->statistics();
      RC_ASSERT(statistics.entries == keys_used.size());
      RC_ASSERT(statistics.versions == model.versions.size());
      RC_ASSERT(statistics.value_bytes == value_bytes);
      RC_ASSERT(statistics.look_ups == looked_up);
      RC_ASSERT(statistics.hits == hits);
      RC_ASSERT(statistics.look_ups == statistics.hits + statistics.misses);
      RC_ASSERT(statistics.corrupt == 0u);
    }
  }));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace reprise::cache
