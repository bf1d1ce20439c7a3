// A budget frees what it says, and nothing that would stay on the disk all the same.
#include <filesystem>

#include <rapidcheck.h>
#include <boost/test/unit_test.hpp>

#include "tests/cache/cache_folder.hpp"

namespace reprise::cache {

BOOST_AUTO_TEST_SUITE(collection_tests)
namespace {

using namespace testing;
using namespace std::chrono_literals;

constexpr std::size_t large = 100'000;

struct Folder : CacheFolder {
  /// Content that does not get smaller, in a file that the value names.
  Payload file_value(int content, std::size_t size = large) {
    const std::string bytes = noise(size, static_cast<std::uint64_t>(content) + 1);
    FileValue file;
    file.content = *blobs->put(bytes);
    file.size = bytes.size();
    return *Payload::of(Value(List{file.to_value()}));
  }
  void keep_files(int count) {
    for (int i = 0; i < count; ++i) {
      Commit one = testing::commit("k" + std::to_string(i), file_value(i));
      one.cost = std::chrono::seconds{i + 1};
      one.run.bytes[0] = static_cast<std::uint8_t>(i);
      commit(one, at(i));
    }
  }
  Collected collect(const CollectRequest& request, Time when = now() + 3h) {
    auto done = upkeep()->collect(request, when);
    BOOST_REQUIRE_MESSAGE(done.has_value(), (done ? "" : done.error().message));
    return *std::move(done);
  }
  bool has(const std::string& name) { return find(*store(), name, at(100)).has_value(); }
  std::uint64_t blob_bytes() { return blobs->usage().second; }
};

CollectRequest at_most(std::uint64_t bytes) {
  CollectRequest request;
  request.max_bytes = bytes;
  return request;
}

BOOST_FIXTURE_TEST_SUITE(Collection, Folder)

BOOST_AUTO_TEST_CASE(a_budget_frees_the_files_of_what_goes_and_stops_there) {
  keep_files(5);
  const Collected done = collect(at_most(250'000));
  BOOST_TEST(done.entries.size() == 3u);
  BOOST_TEST(done.blobs == 3u);
  BOOST_TEST(done.blob_bytes == 3 * large);
  BOOST_TEST(done.over == 0u);
  BOOST_TEST(blob_bytes() == 2 * large);
  // Once more: it fits.
  BOOST_TEST(collect(at_most(250'000)).entries.empty());
  BOOST_TEST(has("k4"));
  const auto use = store()->statistics()->use.sums();
  std::int64_t evicted = 0;
  for (const auto& [name, sum] : use)
    if (name == "evicted.bytes") evicted = sum;
  BOOST_TEST(static_cast<std::uint64_t>(evicted) == done.value_bytes + done.blob_bytes);
}

BOOST_AUTO_TEST_CASE(a_blob_that_several_results_share_counts_once) {
  for (int i = 0; i < 4; ++i)
    commit(testing::commit("same" + std::to_string(i), file_value(1)), at(i));
  commit(testing::commit("other", file_value(2)), at(9));
  // Two blobs are all there is.
  BOOST_TEST(collect(at_most(2 * large + 10'000)).entries.empty());
  const Collected done = collect(at_most(large + 10'000));
  BOOST_TEST(done.blobs == 1u);
  BOOST_TEST(blob_bytes() == large);
  BOOST_TEST(done.over == 0u);
}

BOOST_AUTO_TEST_CASE(what_would_stay_on_the_disk_does_not_go) {
  keep_files(4);
  CollectRequest request = at_most(0);
  // Young, all of them.
  const Collected young = collect(request, now());
  BOOST_TEST(young.entries.empty());
  BOOST_TEST(young.pinned == 4u);
  BOOST_TEST(young.over > 4 * large);
  // In use by something else; what shares nothing with it goes.
  request.blobs_in_use.insert(sha256(noise(large, 1)));
  const Collected done = collect(request);
  BOOST_TEST(done.entries.size() == 3u);
  BOOST_TEST(done.blobs == 3u);
  BOOST_TEST(has("k0"));
  BOOST_TEST(done.over > large);
}

BOOST_AUTO_TEST_CASE(a_result_that_a_pinned_run_used_stays_with_its_older_version) {
  keep_files(3);
  const Digest used = find(*store(), "k0", at(50))->value.digest;
  commit(testing::commit("k0", file_value(7)), at(60));  // superseded since
  CollectRequest request = at_most(0);
  request.keep_versions = 0;
  request.keep_for = Duration{0};
  request.used.emplace(key("k0"), used);
  const Collected done = collect(request);
  BOOST_TEST(done.entries.size() == 2u);
  BOOST_TEST(done.versions == 0u);
  BOOST_TEST(has("k0"));
  BOOST_TEST(blobs->contains(sha256(noise(large, 1))));
  BOOST_TEST(blobs->contains(sha256(noise(large, 8))));
}

BOOST_AUTO_TEST_CASE(a_dry_run_says_exactly_what_the_real_one_does) {
  BOOST_TEST(rc::check([] {
    Folder f;
    const Time real_now = now();
    const int commits = *rc::gen::inRange(0, 14);
    for (int i = 0; i < commits; ++i) {
      const int what = *rc::gen::inRange(0, 9);
      Commit one = testing::commit(
          std::string(1, static_cast<char>('a' + *rc::gen::inRange(0, 5))),
          what < 3   ? value(std::string(static_cast<std::size_t>(what) * 1000 + 1, 'x'))
          : what < 5 ? noisy(40'000 + static_cast<std::size_t>(what))
                     : f.file_value(what, 40'000));
      one.run.bytes[0] = static_cast<std::uint8_t>(*rc::gen::inRange(0, 4));
      one.cost = std::chrono::milliseconds{*rc::gen::inRange(0, 1000)};
      f.commit(one, at(i * 10));
    }
    if (*rc::gen::arbitrary<bool>()) RC_ASSERT(f.blobs->put("an orphan").has_value());
    const auto upkeep = f.upkeep();
    const auto some_key = [] {
      return key(std::string(1, static_cast<char>('a' + *rc::gen::inRange(0, 5))));
    };
    if (*rc::gen::inRange(0, 3) == 0)
      RC_ASSERT(upkeep->pin(PinKind::key, some_key().digest.raw(), "", at(0)).has_value());
    if (*rc::gen::inRange(0, 3) == 0) RC_ASSERT(upkeep->remove({some_key()}, at(200)).has_value());
    for (const auto& entry : std::filesystem::recursive_directory_iterator(f.folder / "blobs"))
      if (entry.is_regular_file() && *rc::gen::arbitrary<bool>())
        std::filesystem::last_write_time(entry.path(), entry.last_write_time() - 5h);

    CollectRequest request;
    request.grace = *rc::gen::element<Duration>(Duration{0}, 1h);
    request.keep_versions = *rc::gen::inRange<std::uint32_t>(0, 3);
    request.keep_for = *rc::gen::element<Duration>(Duration{0}, std::chrono::hours{1'000'000});
    request.rows_per_step = *rc::gen::inRange<std::uint32_t>(1, 8);
    if (*rc::gen::arbitrary<bool>())
      request.max_bytes = *rc::gen::inRange<std::uint64_t>(0, 300'000);
    if (*rc::gen::inRange(0, 3) == 0) request.max_age = real_now - at(*rc::gen::inRange(0, 150));
    RunId active;
    active.bytes[0] = static_cast<std::uint8_t>(*rc::gen::inRange(0, 8));
    request.active.insert(active);
    request.blobs_in_use.insert(
        sha256(noise(40'000, static_cast<std::uint64_t>(*rc::gen::inRange(5, 12)) + 1)));

    const auto said_of = [&](bool dry_run) {
      request.dry_run = dry_run;
      auto done = upkeep->collect(request, real_now);
      RC_ASSERT(done.has_value());
      return *std::move(done);
    };
    const std::uint64_t before = f.blob_bytes();
    const Collected said = said_of(true);
    RC_ASSERT(f.blob_bytes() == before);
    const Collected done = said_of(false);
    const auto keys_of = [](const Collected& collected) {
      std::vector<std::pair<Key, std::string>> keys;
      for (const auto& entry : collected.entries) keys.emplace_back(entry.record.key, entry.why);
      return keys;
    };
    RC_ASSERT(keys_of(said) == keys_of(done));
    RC_ASSERT(said.versions == done.versions);
    RC_ASSERT(said.value_bytes == done.value_bytes);
    RC_ASSERT(said.blobs == done.blobs);
    RC_ASSERT(said.blob_bytes == done.blob_bytes);
    RC_ASSERT(said.evicted_bytes == done.evicted_bytes);
    RC_ASSERT(said.entries_left == done.entries_left);
    RC_ASSERT(said.bytes_before == done.bytes_before);
    RC_ASSERT(said.pinned == done.pinned);
    RC_ASSERT(said.over == done.over);
    RC_ASSERT(said.cost == done.cost);
    // And what is said of the disk is so.
    RC_ASSERT(before - f.blob_bytes() == done.blob_bytes);
    RC_ASSERT(f.store()->statistics()->entries == done.entries_left);
    const Collected after = said_of(true);
    RC_ASSERT(after.bytes_before == done.bytes_before - done.value_bytes - done.blob_bytes);
    RC_ASSERT(after.blobs == 0u);
    RC_ASSERT(after.entries.empty());
    const auto store = f.store();
    const auto listed = store->list({});
    for (const Record& record : *listed) {
      const auto found = store->look_up({&record.key, 1}, at(10'000));
      RC_ASSERT(found.has_value() && found->front().has_value());
      for (const Digest& file : Upkeep::files_in(*found->front()->value.value()))
        RC_ASSERT(f.blobs->contains(file));
    }
  }));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace

BOOST_AUTO_TEST_SUITE_END()

}  // namespace reprise::cache
