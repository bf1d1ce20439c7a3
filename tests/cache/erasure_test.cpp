#include "cache/erasure.hpp"

#include <filesystem>
#include <fstream>
#include <iterator>

#include <boost/test/unit_test.hpp>

#include "cache/database.hpp"
#include "cache/sqlite_store.hpp"
#include "tests/cache/cache_folder.hpp"
#include "tests/support/temporary_folder.hpp"

namespace reprise::cache {

BOOST_AUTO_TEST_SUITE(Erasure_)
namespace {

using namespace testing;

struct Folder : CacheFolder {
  Payload file_value(const std::string& content, const std::string& beside = "") {
    FileValue file;
    file.content = *blobs->put(content);
    file.size = content.size();
    return *Payload::of(Value(List{file.to_value(), Value(beside)}));
  }
  Erased erase(const ErasureRequest& request, Time when, bool dry_run = false,
               const std::set<Digest>& in_use = {}) {
    auto erasure = Erasure::open(folder / "cache.db", folder / "blobs");
    BOOST_REQUIRE(erasure.has_value());
    const auto plan = (*erasure)->plan(request);
    BOOST_REQUIRE_MESSAGE(plan.has_value(), (plan ? "" : plan.error().message));
    const auto erased = (*erasure)->erase(*plan, in_use, dry_run, when);
    BOOST_REQUIRE_MESSAGE(erased.has_value(), (erased ? "" : erased.error().message));
    return *erased;
  }
  /// Some file below the folder holds these bytes.
  bool holds(const std::string& bytes) {
    for (const auto& entry : std::filesystem::recursive_directory_iterator(folder.path())) {
      if (!entry.is_regular_file()) continue;
      std::ifstream stream(entry.path(), std::ios::binary);
      const std::string content{std::istreambuf_iterator<char>(stream), {}};
      if (content.find(bytes) != std::string::npos) return true;
    }
    return false;
  }
  bool hits(const std::string& name, Time when) { return find(*store(), name, when).has_value(); }
  bool knows(const std::string& name, Time when) {
    const Key wanted = key(name);
    auto answers = store()->look_up_as_of({&wanted, 1}, when);
    BOOST_REQUIRE(answers.has_value());
    return !answers->front().horizon;
  }
};

ErasureRequest of_key(const std::string& name) {
  return {.selection = Selection{.keys = {key(name)}}};
}

BOOST_AUTO_TEST_CASE(what_was_erased_is_in_no_file_any_more) {
  Folder f;
  for (int i = 0; i < 200; ++i) f.keep("other" + std::to_string(i), std::string(900, 'o'), at(i));
  f.keep("a", "the-secret-of-the-first-version", at(300));
  f.keep("a", "the-secret-of-the-second-version " + std::string(9000, 's'), at(301));
  Commit with_file = commit("b", f.file_value("the-secret-in-a-file", "the-secret-beside-it"));
  f.commit(with_file, at(302));
  BOOST_REQUIRE(f.upkeep()->pin(PinKind::key, key("a").digest.raw(), "why", at(303)).has_value());
  std::ofstream(f.folder / "cache.db.format2.backup") << "the-secret-of-the-first-version";
  std::ofstream(f.folder / ("blobs/quarantine/" + sha256("the-secret-in-a-file").hex() + ".1-2"))
      << "the-secret-in-a-fi1e";
  BOOST_REQUIRE(f.holds("the-secret"));
  BOOST_REQUIRE(f.holds("material of a"));

  const auto told = f.erase({.selection = Selection{.keys = {key("a"), key("b")}}}, at(400), true);
  BOOST_TEST(f.hits("a", at(401)));
  const auto erased = f.erase({.selection = Selection{.keys = {key("a"), key("b")}}}, at(400));
  BOOST_TEST(erased.entries == 2u);
  BOOST_TEST(erased.versions == 3u);
  BOOST_TEST(erased.materials == 2u);
  BOOST_TEST(erased.pins == 1u);
  BOOST_TEST(erased.blobs == 1u);
  BOOST_TEST(erased.set_aside == 1u);
  BOOST_TEST(erased.backups == 1u);
  BOOST_TEST(erased.is_log_clean);
  BOOST_TEST(told.versions == erased.versions);
  BOOST_TEST(told.blobs == erased.blobs);
  BOOST_TEST(!f.holds("the-secret"));
  BOOST_TEST(!f.holds("material of a\n"));
  BOOST_TEST(!f.holds("material of b"));
  BOOST_TEST(!f.hits("a", at(401)));
  BOOST_TEST(f.hits("other7", at(401)));
  BOOST_TEST(f.store()->statistics()->entries == 200u);
  BOOST_TEST(f.upkeep()->verify(false, {}, std::chrono::hours{0}, at(500))->problems.empty());
}

BOOST_AUTO_TEST_CASE(the_past_of_what_was_erased_is_an_error_and_not_an_answer) {
  Folder f;
  f.keep("a", "one", at(0));
  f.keep("a", "two", at(10));
  BOOST_TEST(f.knows("a", at(5)));
  (void)f.erase(of_key("a"), at(20));
  BOOST_TEST(!f.knows("a", at(5)));
  BOOST_TEST(!f.knows("a", at(15)));
  BOOST_TEST(f.knows("a", at(20)));
  f.keep("a", "three", at(30));
  BOOST_TEST(f.hits("a", at(31)));
  BOOST_TEST(f.store()->versions(key("a").text())->front().version == 3u);
}

BOOST_AUTO_TEST_CASE(the_version_of_a_run_goes_and_no_older_one_takes_its_place) {
  Folder f;
  f.keep("a", "one", at(0));
  Commit two = commit("a", value("two"));
  two.run.bytes[0] = 9;
  f.commit(two, at(10));
  Commit three = commit("b", value("three"));
  f.commit(three, at(10));
  const auto erased = f.erase({.selection = Selection{.run = two.run}}, at(20));
  BOOST_TEST(erased.versions == 1u);
  BOOST_TEST(erased.materials == 0u);  // the first version is made of the same
  BOOST_TEST(!f.hits("a", at(30)));
  BOOST_TEST(f.hits("b", at(30)));
  BOOST_TEST(f.store()->versions(key("a").text())->size() == 1u);
}

BOOST_AUTO_TEST_CASE(a_value_goes_under_whichever_keys_and_in_whichever_file_it_is) {
  Folder f;
  f.keep("a", "same", at(0));
  f.keep("b", "same", at(1));
  f.keep("c", "different", at(2));
  BOOST_TEST(f.erase({.values = {value("same").digest}}, at(10)).versions == 2u);
  BOOST_TEST(!f.hits("a", at(20)));
  BOOST_TEST(!f.hits("b", at(20)));
  BOOST_TEST(f.hits("c", at(20)));
  f.commit(commit("d", f.file_value("content")), at(30));
  const auto erased = f.erase({.values = {sha256("content")}}, at(40));
  BOOST_TEST(erased.versions == 1u);
  BOOST_TEST(erased.blobs == 1u);
  BOOST_TEST(!f.blobs->contains(sha256("content")));
}

BOOST_AUTO_TEST_CASE(what_others_need_stays_unless_it_is_asked_for_itself) {
  Folder f;
  f.commit(commit("a", f.file_value("shared", "a")), at(0));
  f.commit(commit("b", f.file_value("shared", "b")), at(0));
  f.commit(commit("c", noisy(100'000)), at(0));
  const auto first = f.erase(of_key("a"), at(10));
  BOOST_TEST(first.shared == 1u);
  BOOST_TEST(first.blobs == 0u);
  BOOST_TEST(f.hits("b", at(11)));
  BOOST_TEST(f.blobs->contains(sha256("shared")));
  const auto in_use = f.erase(of_key("c"), at(20), false, {noisy(100'000).digest});
  BOOST_TEST(in_use.shared == 1u);
  BOOST_TEST(f.blobs->contains(noisy(100'000).digest));
  const auto forced = f.erase({.values = {sha256("shared")}}, at(30), false, {sha256("shared")});
  BOOST_TEST(forced.blobs == 1u);
  BOOST_TEST(!f.hits("b", at(31)));
}

BOOST_AUTO_TEST_CASE(a_task_is_meant_by_its_name_its_elements_and_its_version) {
  Folder f;
  f.keep("a", "one", at(0));
  BOOST_TEST(f.erase({.selection = Selection{.name = "merge"}}, at(1)).versions == 0u);
  BOOST_TEST(f.erase({.selection = Selection{.name = "align", .version = "2"}}, at(1)).versions ==
             0u);
  BOOST_TEST(f.erase({.selection = Selection{.name = "align"}}, at(1)).versions == 1u);
}

BOOST_AUTO_TEST_CASE(a_log_that_somebody_reads_is_told_of) {
  Folder f;
  f.keep("a", "one", at(0));
  auto reader = open_database(f.folder / "cache.db");
  BOOST_REQUIRE(reader.has_value());
  auto view = sqlite::Transaction::begin(**reader, sqlite::Transaction::Kind::read);
  sqlite::Statement select(**reader, "SELECT count(*) FROM version");
  BOOST_REQUIRE(*select.next());
  BOOST_TEST(!f.erase(of_key("a"), at(10)).is_log_clean);
  BOOST_TEST(!f.hits("a", at(11)));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace reprise::cache
