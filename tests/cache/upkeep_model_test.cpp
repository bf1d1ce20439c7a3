// Random programs against cache.db with everything that takes results away: removing, erasing,
// collecting with and without pins, expiry; clocks go forth and back. And the simplest thing that
// could be right.
#include <algorithm>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include <rapidcheck.h>
#include <boost/test/unit_test.hpp>

#include "cache/erasure.hpp"
#include "cache/sqlite_store.hpp"
#include "cache/upkeep.hpp"
#include "tests/cache/cache_support.hpp"
#include "tests/support/temporary_folder.hpp"

namespace reprise::cache {

BOOST_AUTO_TEST_SUITE(UpkeepModel)
namespace {

using namespace testing;
using namespace std::chrono_literals;

struct Version {
  std::uint32_t number = 1;
  std::string text;
  Time committed;
  std::optional<Time> expires{};
  bool is_tombstone = false;
  std::map<Time, std::optional<Time>> renewals{};  // what `expires` was until then

  [[nodiscard]] std::optional<Time> expiry_at(Time moment) const {
    const auto renewed = renewals.upper_bound(moment);
    return renewed == renewals.end() ? expires : renewed->second;
  }
};

/// One key.
struct Model {
  std::vector<Version> versions;  // oldest first
  std::optional<Time> horizon;
  bool is_pinned = false;

  void put(std::string text, bool is_tombstone, std::optional<Time> expires, Time now) {
    Version next{1, std::move(text), now, expires, is_tombstone};
    if (!versions.empty()) {
      next.number = versions.back().number + 1;
      next.committed = std::max(now, versions.back().committed + Duration{1});
    }
    versions.push_back(next);
  }
  void commit(const std::string& text, std::optional<Time> expires, Time now) {
    if (versions.empty() || versions.back().is_tombstone || versions.back().text != text)
      return put(text, false, expires, now);
    Version& head = versions.back();
    if (head.expires != expires) head.renewals.emplace(now, head.expires);
    head.expires = expires;
  }
  void remove(Time now) {
    if (!versions.empty() && !versions.back().is_tombstone) put({}, true, {}, now);
  }
  /// What was before is not known any more.
  void forget_until(Time moment) { horizon = std::max(horizon.value_or(moment), moment); }
  [[nodiscard]] Time after_all(Time now) const {
    return std::max(now, versions.back().committed + Duration{1});
  }
  void erase(Time now) {
    if (std::ranges::all_of(versions, &Version::is_tombstone)) return;
    forget_until(after_all(now));
    for (Version& version : versions)
      version = {version.number, {}, version.committed, {}, true, {}};
    is_pinned = false;
  }
  void collect(std::uint32_t keep_versions, Duration keep_for, std::optional<Duration> max_age,
               Time now) {
    if (is_pinned || versions.empty()) return;
    std::vector<Version> left;
    bool has_removed = false;
    for (std::size_t i = 0; i < versions.size(); ++i) {
      const std::size_t newer = versions.size() - 1 - i;
      const bool goes =
          newer > 0 && newer >= keep_versions && versions[i].committed < now - keep_for;
      if (goes) {
        has_removed = true;
        continue;
      }
      if (has_removed) forget_until(versions[i].committed);
      has_removed = false;
      left.push_back(versions[i]);
    }
    versions = std::move(left);
    if (!max_age || versions.back().is_tombstone || versions.back().committed >= now - *max_age)
      return;
    forget_until(after_all(now));
    versions.clear();
  }
  [[nodiscard]] const Version* look_up(Time now) const {
    for (auto version = versions.rbegin(); version != versions.rend(); ++version) {
      if (version->is_tombstone) return nullptr;
      if (!version->expires || now < *version->expires) return &*version;
    }
    return nullptr;
  }
  [[nodiscard]] const Version* as_of(Time moment) const {
    for (auto version = versions.rbegin(); version != versions.rend(); ++version) {
      if (version->committed > moment) continue;
      if (version->is_tombstone) return nullptr;
      const std::optional<Time> expires = version->expiry_at(moment);
      if (!expires || moment < *expires) return &*version;
    }
    return nullptr;
  }
};

struct Folder {
  reprise::testing::TemporaryFolder folder;
  std::shared_ptr<BlobStore> blobs = *BlobStore::open({.folder = folder / "blobs", .sync = false});
  std::unique_ptr<SqliteStore> store = open();

  std::unique_ptr<SqliteStore> open() const {
    auto opened = SqliteStore::open({.path = folder / "cache.db", .blobs = blobs});
    RC_ASSERT(opened.has_value());
    return *std::move(opened);
  }
  std::unique_ptr<Upkeep> upkeep() const {
    auto opened = Upkeep::open(folder / "cache.db", blobs, folder / "blobs");
    RC_ASSERT(opened.has_value());
    return *std::move(opened);
  }
  void erase(const Key& wanted, Time now) const {
    auto opened = Erasure::open(folder / "cache.db", folder / "blobs");
    RC_ASSERT(opened.has_value());
    ErasureRequest request;
    request.selection = Selection{.keys = {wanted}};
    const auto plan = (*opened)->plan(request);
    RC_ASSERT(plan.has_value());
    RC_ASSERT((*opened)->erase(*plan, {}, false, now).has_value());
  }
};

void check_same(const std::optional<Record>& record, const Version* expected) {
  RC_ASSERT(record.has_value() == (expected != nullptr));
  if (expected == nullptr) return;
  RC_ASSERT(record->version == expected->number);
  RC_ASSERT(record->committed == expected->committed);
  RC_ASSERT(record->value.view() == value(expected->text).view());
}

BOOST_AUTO_TEST_CASE(whatever_is_taken_away_answers_are_right_or_say_that_nobody_knows) {
  BOOST_TEST(rc::check([] {
    Folder f;
    std::map<std::string, Model> models;
    const auto any_key = rc::gen::element<std::string>("a", "b");
    const auto any_time = rc::gen::map(rc::gen::inRange(0, 20), [](int s) { return at(s); });
    const auto any_span = rc::gen::map(rc::gen::inRange(0, 10),
                                       [](int s) { return Duration(std::chrono::seconds(s)); });
    const int steps = *rc::gen::inRange(0, 40);
    for (int step = 0; step < steps; ++step) {
      const Time now = *any_time;
      const std::string name = *any_key;
      const Key wanted = key(name);
      Model& model = models[name];
      switch (*rc::gen::inRange(0, 12)) {
        case 0:
          f.store.reset();
          f.store = f.open();
          break;
        case 1:
          RC_ASSERT(f.upkeep()->remove({wanted}, now).has_value());
          model.remove(now);
          break;
        case 2:
          f.erase(wanted, now);
          model.erase(now);
          break;
        case 3:
          if (model.is_pinned)
            RC_ASSERT(f.upkeep()->unpin(PinKind::key, wanted.digest.raw()).has_value());
          else
            RC_ASSERT(f.upkeep()->pin(PinKind::key, wanted.digest.raw(), "test", now).has_value());
          model.is_pinned = !model.is_pinned;
          break;
        case 4:
        case 5: {
          CollectRequest request;
          request.keep_versions = *rc::gen::inRange<std::uint32_t>(0, 3);
          request.keep_for = *any_span;
          if (*rc::gen::arbitrary<bool>()) request.max_age = *any_span;
          request.rows_per_step = 1000;
          RC_ASSERT(f.upkeep()->collect(request, now).has_value());
          for (auto& [each, of_key] : models)
            of_key.collect(request.keep_versions, request.keep_for, request.max_age, now);
          break;
        }
        case 6:
        case 7: {
          const auto found = f.store->look_up({&wanted, 1}, now);
          RC_ASSERT(found.has_value());
          check_same((*found)[0], model.look_up(now));
          break;
        }
        case 8:
        case 9: {
          const auto found = f.store->look_up_as_of({&wanted, 1}, now);
          RC_ASSERT(found.has_value());
          const bool is_known = !model.horizon || now >= *model.horizon;
          RC_ASSERT((*found)[0].horizon.has_value() == !is_known);
          check_same((*found)[0].record, is_known ? model.as_of(now) : nullptr);
          break;
        }
        default: {
          const std::string text = *rc::gen::element<std::string>("x", "y");
          std::optional<Duration> lasts;
          if (*rc::gen::arbitrary<bool>()) lasts = *any_span;
          keep(*f.store, commit(name, value(text), lasts), now);
          model.commit(text, lasts ? std::optional(now + *lasts) : std::nullopt, now);
        }
      }
    }
    std::uint64_t versions = 0;
    for (const auto& [name, model] : models)
      versions += static_cast<std::uint64_t>(std::ranges::count_if(
          model.versions, [](const Version& version) { return !version.is_tombstone; }));
    RC_ASSERT(f.store->statistics()->versions == versions);
  }));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace reprise::cache
