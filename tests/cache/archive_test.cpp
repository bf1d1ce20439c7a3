#include "cache/archive.hpp"

#include <filesystem>
#include <fstream>

#include <boost/test/unit_test.hpp>

#include "cache/archive_export.hpp"
#include "cache/archive_import.hpp"
#include "cache/sqlite_store.hpp"
#include "tests/cache/cache_folder.hpp"
#include "tests/support/temporary_folder.hpp"

namespace reprise::cache {

BOOST_AUTO_TEST_SUITE(Archive_)
namespace {

using namespace testing;
using reprise::testing::TemporaryFolder;

struct Folder : CacheFolder {
  /// A value that names a file with this content.
  Payload file_value(const std::string& content) {
    FileValue file;
    file.content = *blobs->put(content);
    file.size = content.size();
    return *Payload::of(Value(Map{{Value("outputs"), Value(Map{{Value("a"), file.to_value()}})}}));
  }
  std::string text_of(const std::string& name, Time when) {
    const Key wanted = key(name);
    auto found = store()->look_up({&wanted, 1}, when);
    BOOST_REQUIRE(found.has_value());
    if (!found->front()) return "(nothing)";
    const auto decoded = found->front()->value.value();
    const auto* text = decoded->get_if<std::string>();
    return text ? *text : "(no text)";
  }
  std::string as_of(const std::string& name, Time when) {
    const Key wanted = key(name);
    auto answers = store()->look_up_as_of({&wanted, 1}, when);
    BOOST_REQUIRE(answers.has_value());
    if (answers->front().horizon) return "(horizon)";
    if (!answers->front().record) return "(nothing)";
    return answers->front().record->value.digest.text();
  }
  std::string exported(const Selection& selection = {}, Exported* counts = nullptr) {
    std::string bytes;
    auto writer = ArchiveWriter::begin(
        [&](std::string_view part) {
          bytes += part;
          return Status();
        },
        ArchiveContent::results);
    auto results = ArchiveExport::open(folder / "cache.db", blobs, **writer);
    BOOST_REQUIRE(results.has_value());
    for (const auto& done : {(*results)->add(selection), (*results)->add_pins()})
      BOOST_REQUIRE_MESSAGE(done.has_value(), (done ? "" : done.error().message));
    BOOST_REQUIRE((*writer)->finish().has_value());
    if (counts) *counts = (*results)->counts();
    return bytes;
  }
  Result<Imported> import(const std::string& bytes, bool dry_run = false) {
    auto import = ArchiveImport::open({.folder = folder.path(), .blobs = blobs});
    BOOST_REQUIRE_MESSAGE(import.has_value(), (import ? "" : import.error().message));
    std::size_t at = 0;
    const auto source = [&](char* buffer, std::size_t size) -> Result<std::size_t> {
      const std::size_t some = std::min({size, bytes.size() - at, std::size_t{1000}});
      std::copy_n(bytes.data() + at, some, buffer);
      at += some;
      return some;
    };
    if (auto read = (*import)->read(source, ArchiveContent::results); !read)
      return tl::unexpected(read.error());
    return (*import)->apply(dry_run);
  }
  std::size_t entries() { return store()->list({})->size(); }
  std::size_t files() {
    std::size_t count = 0;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(folder.path()))
      if (entry.is_regular_file() && !entry.path().filename().string().starts_with("cache.db"))
        ++count;
    return count;
  }
};

/// A cache with everything that an archive has to carry.
void fill(Folder& f) {
  f.keep("a", "one", at(0));
  f.keep("a", "two", at(10));
  f.commit(testing::commit("b", value("brief"), std::chrono::seconds{10}), at(0));
  f.commit(testing::commit("b", value("brief"), std::chrono::seconds{100}), at(50));
  f.commit(testing::commit("large", noisy(300'000)), at(1));
  f.commit(testing::commit("packed", value(std::string(200'000, 'x'))), at(2));
  f.commit(testing::commit("file", f.file_value("content of a file")), at(3));
  f.commit(testing::commit("nil", Payload::nil()), at(4));
  f.keep("gone", "was here", at(5));
  BOOST_REQUIRE(f.upkeep()->remove({key("gone")}, at(20)).has_value());
  BOOST_REQUIRE(f.upkeep()->pin(PinKind::key, key("a").digest.raw(), "paper", at(30)).has_value());
}

std::vector<ArchiveItem> items_in(const std::string& bytes) {
  std::size_t at = 0;
  auto reader = ArchiveReader::begin([&](char* buffer, std::size_t size) -> Result<std::size_t> {
    const std::size_t some = std::min(size, bytes.size() - at);
    std::copy_n(bytes.data() + at, some, buffer);
    at += some;
    return some;
  });
  BOOST_REQUIRE(reader.has_value());
  std::vector<ArchiveItem> items;
  for (;;) {
    auto item = (*reader)->next();
    BOOST_REQUIRE_MESSAGE(item.has_value(), (item ? "" : item.error().message));
    if (!*item) return items;
    items.push_back(**item);
  }
}

std::string written(const std::vector<ArchiveItem>& items) {
  std::string bytes;
  auto writer = ArchiveWriter::begin(
      [&](std::string_view part) {
        bytes += part;
        return Status();
      },
      ArchiveContent::results);
  for (const ArchiveItem& item : items) BOOST_REQUIRE((*writer)->add(item).has_value());
  BOOST_REQUIRE((*writer)->finish().has_value());
  return bytes;
}

BOOST_AUTO_TEST_CASE(everything_of_a_cache_arrives_in_another_folder) {
  Folder from, to;
  fill(from);
  Exported counts;
  const std::string bytes = from.exported({}, &counts);
  BOOST_TEST(counts.entries == 7u);
  BOOST_TEST(counts.versions == 9u);
  BOOST_TEST(counts.blobs == 3u);
  BOOST_TEST(counts.damaged == 0u);
  BOOST_TEST(counts.pins == 1u);

  const auto imported = to.import(bytes);
  BOOST_REQUIRE_MESSAGE(imported.has_value(), (imported ? "" : imported.error().message));
  BOOST_TEST((
      *imported ==
      Imported{
          .entries = 7, .versions = 9, .blobs = 3, .blob_bytes = imported->blob_bytes, .pins = 1}));
  for (const char* name : {"a", "b", "large", "packed", "file", "nil", "gone"}) {
    const auto here = from.store()->versions(key(name).text());
    const auto there = to.store()->versions(key(name).text());
    BOOST_REQUIRE(here.has_value() && there.has_value());
    BOOST_REQUIRE_EQUAL(here->size(), there->size());
    for (std::size_t i = 0; i < here->size(); ++i) {
      const Record &left = (*here)[i], &right = (*there)[i];
      BOOST_TEST((left.key == right.key && left.version == right.version &&
                  left.name == right.name && left.value == right.value &&
                  left.committed == right.committed && left.expires == right.expires &&
                  left.run == right.run && left.task == right.task && left.cost == right.cost &&
                  left.material == right.material));
      BOOST_TEST(right.value.is_at_hand());
    }
    for (const int second : {0, 5, 9, 10, 15, 19, 20, 30, 55, 70, 160})
      BOOST_TEST(from.as_of(name, at(second)) == to.as_of(name, at(second)),
                 name << " at " << second);
  }
  BOOST_TEST(*to.blobs->get(sha256("content of a file")) == "content of a file");
  BOOST_TEST((*to.store()->statistics()).entries == (*from.store()->statistics()).entries);
  BOOST_TEST((*to.store()->statistics()).versions == (*from.store()->statistics()).versions);
  BOOST_TEST(to.upkeep()->pins()->size() == 1u);
  BOOST_TEST(to.upkeep()->verify(false, {}, std::chrono::hours{0}, at(100))->problems.empty());
  BOOST_TEST(!std::filesystem::exists(to.folder / "importing/x"));
  BOOST_TEST(std::filesystem::is_empty(to.folder / "importing"));
}

BOOST_AUTO_TEST_CASE(importing_twice_changes_nothing) {
  Folder from, to;
  fill(from);
  const std::string bytes = from.exported();
  BOOST_REQUIRE(to.import(bytes).has_value());
  const auto before = *to.store()->statistics();
  const auto again = to.import(bytes);
  BOOST_REQUIRE(again.has_value());
  BOOST_TEST(again->versions == 0u);
  BOOST_TEST(again->entries == 0u);
  BOOST_TEST(again->known == 9u);
  BOOST_TEST(again->pins == 0u);
  BOOST_TEST((*to.store()->statistics() == before));
  // Into the folder that it came from as well.
  const auto home = from.import(bytes);
  BOOST_REQUIRE(home.has_value());
  BOOST_TEST(home->versions == 0u);
  BOOST_TEST(home->known == 9u);
}

BOOST_AUTO_TEST_CASE(a_dry_run_tells_and_changes_nothing) {
  Folder from, to;
  fill(from);
  const std::size_t before = to.files();
  const auto told = to.import(from.exported(), true);
  BOOST_REQUIRE(told.has_value());
  BOOST_TEST(told->versions == 9u);
  BOOST_TEST(to.entries() == 0u);
  BOOST_TEST(to.files() == before);
}

BOOST_AUTO_TEST_CASE(a_selection_takes_only_what_fits_with_its_whole_history) {
  Folder from, to;
  fill(from);
  const auto keys = to.import(from.exported({.keys = {key("a"), key("never")}}));
  BOOST_REQUIRE(keys.has_value());
  BOOST_TEST(keys->entries == 1u);
  BOOST_TEST(keys->versions == 2u);
  BOOST_TEST(to.as_of("a", at(5)) == value("one").digest.text());
  Commit other = testing::commit("other", value("text"));
  other.run.bytes[0] = 9;
  other.task = "merge";
  other.name = "merge";
  from.commit(other, at(40));
  Exported counts;
  (void)from.exported({.run = other.run}, &counts);
  BOOST_TEST(counts.entries == 1u);
  (void)from.exported({.name = "merge"}, &counts);
  BOOST_TEST(counts.entries == 1u);
  (void)from.exported({.name = "alig"}, &counts);
  BOOST_TEST(counts.entries == 0u);
}

BOOST_AUTO_TEST_CASE(what_is_newer_here_stays_and_what_is_newer_there_is_added) {
  Folder from, to;
  from.keep("a", "one", at(0));
  from.keep("b", "one", at(0));
  to.keep("a", "two", at(10));
  auto imported = to.import(from.exported());
  BOOST_REQUIRE(imported.has_value());
  BOOST_TEST(imported->older == 1u);
  BOOST_TEST(imported->versions == 1u);
  BOOST_TEST(to.text_of("a", at(20)) == "two");
  BOOST_TEST(to.as_of("a", at(5)) == "(nothing)");  // the past of this folder is not rewritten
  from.keep("a", "three", at(20));
  imported = to.import(from.exported());
  BOOST_REQUIRE(imported.has_value());
  BOOST_TEST(imported->versions == 1u);
  BOOST_TEST(to.text_of("a", at(30)) == "three");
  BOOST_TEST(to.store()->versions(key("a").text())->front().version == 2u);
}

BOOST_AUTO_TEST_CASE(what_was_removed_here_does_not_come_back) {
  Folder from, to;
  from.keep("a", "one", at(0));
  const std::string bytes = from.exported();
  BOOST_REQUIRE(to.import(bytes).has_value());
  BOOST_REQUIRE(to.upkeep()->remove({key("a")}, at(10)).has_value());
  BOOST_REQUIRE(to.import(bytes).has_value());
  BOOST_TEST(to.text_of("a", at(20)) == "(nothing)");
}

BOOST_AUTO_TEST_CASE(an_import_repairs_what_is_damaged_here) {
  Folder from, to;
  from.commit(testing::commit("large", noisy(300'000)), at(0));
  const std::string bytes = from.exported();
  BOOST_REQUIRE(to.import(bytes).has_value());
  const auto blob = to.blobs->path_of(noisy(300'000).digest).string() + ".value";
  std::filesystem::permissions(blob, std::filesystem::perms::owner_all);
  std::ofstream(blob, std::ios::binary) << "something else";
  BOOST_TEST(to.text_of("large", at(1)) == "(nothing)");
  const auto again = to.import(bytes);
  BOOST_REQUIRE(again.has_value());
  BOOST_TEST(again->repaired == 1u);
  BOOST_TEST(to.text_of("large", at(1)) == "(no text)");
}

BOOST_AUTO_TEST_CASE(damaged_results_go_without_their_value) {
  Folder from, to;
  fill(from);
  std::filesystem::remove(from.blobs->path_of(sha256("content of a file")));
  Exported counts;
  const std::string bytes = from.exported({}, &counts);
  BOOST_TEST(counts.damaged == 1u);
  BOOST_REQUIRE(to.import(bytes).has_value());
  BOOST_TEST(to.text_of("file", at(10)) == "(nothing)");
  BOOST_TEST(to.text_of("a", at(10)) == "two");
}

// ---- refusals ----------------------------------------------------------------------------------

void check_refused(const std::string& bytes, ErrorCode code, std::string_view says) {
  Folder to;
  to.keep("mine", "stays", at(0));
  const std::size_t before = to.files();
  const auto refused = to.import(bytes);
  BOOST_REQUIRE(!refused.has_value());
  BOOST_TEST((refused.error().code == code), refused.error().message);
  BOOST_TEST(refused.error().message.find(says) != std::string::npos, refused.error().message);
  BOOST_TEST(to.entries() == 1u);
  BOOST_TEST(to.files() == before);
}

BOOST_AUTO_TEST_CASE(an_archive_that_is_cut_anywhere_is_refused_and_nothing_of_it_is_seen) {
  Folder from;
  fill(from);
  const std::string bytes = from.exported();
  for (std::size_t size = 0; size < bytes.size(); size += 1 + bytes.size() / 60) {
    const auto code = size < 12 ? ErrorCode::invalid_argument : ErrorCode::corrupt;
    check_refused(bytes.substr(0, size), code, size == 0 ? "no archive" : "cut short");
  }
  check_refused(bytes.substr(0, bytes.size() - 1), ErrorCode::corrupt, "cut short");
}

BOOST_AUTO_TEST_CASE(an_archive_with_a_byte_changed_anywhere_is_refused) {
  Folder from;
  fill(from);
  const std::string bytes = from.exported();
  for (std::size_t at = 0; at < bytes.size(); at += 1 + bytes.size() / 60) {
    std::string changed = bytes;
    changed[at] = static_cast<char>(changed[at] ^ 0x10);
    Folder to;
    BOOST_TEST(!to.import(changed).has_value(), "byte " << at);
    BOOST_TEST(to.entries() == 0u);
  }
}

BOOST_AUTO_TEST_CASE(other_files_and_newer_formats_are_refused) {
  check_refused("{\"json\": true}", ErrorCode::invalid_argument, "no archive");
  check_refused(std::string(100'000, '\0'), ErrorCode::invalid_argument, "no archive");
  Folder from;
  from.keep("a", "one", at(0));
  std::string newer = from.exported();
  newer[12] = 9;
  check_refused(newer, ErrorCode::conflict, "has format 9");
  std::string runs = from.exported();
  runs[13] = 2;
  check_refused(runs, ErrorCode::invalid_argument, "runs import");
  check_refused(from.exported() + "more", ErrorCode::corrupt, "follows its end");
}

BOOST_AUTO_TEST_CASE(an_archive_that_lies_is_refused_although_it_is_whole) {
  Folder from;
  fill(from);
  const std::vector<ArchiveItem> items = items_in(from.exported());
  const auto changed = [&](auto change) {
    std::vector<ArchiveItem> copy = items;
    change(copy);
    return written(copy);
  };
  const auto first = [](std::vector<ArchiveItem>& all, auto kind) {
    return std::find_if(all.begin(), all.end(), [&](const ArchiveItem& item) {
      return std::holds_alternative<decltype(kind)>(item);
    });
  };
  BOOST_TEST(written(items).size() > 0u);
  // Other bytes under the same digest.
  check_refused(changed([&](auto& all) {
                  std::get<ArchiveChunk>(*first(all, ArchiveChunk{})).bytes[0] ^= 1;
                }),
                ErrorCode::corrupt, "are others");
  // More, or less, than was announced.
  check_refused(changed([&](auto& all) { all.erase(first(all, ArchiveChunk{})); }),
                ErrorCode::corrupt, "another size");
  check_refused(changed([&](auto& all) {
                  const auto chunk = first(all, ArchiveChunk{});
                  all.insert(chunk, *chunk);
                }),
                ErrorCode::corrupt, "");
  // A blob that a result needs is not there.
  check_refused(changed([&](auto& all) {
                  const auto blob = first(all, ArchiveBlob{});
                  auto end = blob + 1;
                  while (std::holds_alternative<ArchiveChunk>(*end)) ++end;
                  all.erase(blob, end);
                }),
                ErrorCode::corrupt, "lacks");
  // Versions out of order, or of nothing.
  check_refused(changed([&](auto& all) {
                  auto version = first(all, ArchiveVersion{});
                  all.insert(version, *version);
                }),
                ErrorCode::corrupt, "order");
  check_refused(changed([&](auto& all) { all.insert(all.begin(), *first(all, ArchiveVersion{})); }),
                ErrorCode::corrupt, "without an entry");
  check_refused(changed([&](auto& all) { all.push_back(ArchiveRun{"x"}); }), ErrorCode::corrupt,
                "a run among results");
}

BOOST_AUTO_TEST_CASE(a_key_that_is_made_of_something_else_is_refused) {
  Folder from;
  Material material;
  material.name = "align";
  material.version = "1";
  Commit one = testing::commit("a", value("one"));
  one.material = material.encode();
  one.key = Key::of(material);
  from.commit(one, at(0));
  Folder to;
  BOOST_TEST(to.import(from.exported()).has_value());
  auto items = items_in(from.exported());
  std::get<ArchiveEntry>(items.front()).key = key("another");
  check_refused(written(items), ErrorCode::corrupt, "made of something else");
}

BOOST_AUTO_TEST_CASE(what_holds_more_than_is_allowed_is_refused) {
  Folder from, to;
  fill(from);
  const std::string bytes = from.exported();
  auto import =
      ArchiveImport::open({.folder = to.folder.path(), .blobs = to.blobs, .bytes_max = 100'000});
  std::size_t at = 0;
  const auto read = (*import)->read(
      [&](char* buffer, std::size_t size) -> Result<std::size_t> {
        const std::size_t some = std::min(size, bytes.size() - at);
        std::copy_n(bytes.data() + at, some, buffer);
        at += some;
        return some;
      },
      ArchiveContent::results);
  BOOST_REQUIRE(!read.has_value());
  BOOST_TEST((read.error().code == ErrorCode::exhausted));
  BOOST_TEST(read.error().message.find("more than 97.7 KiB") != std::string::npos,
             read.error().message);
  // More than any disk has room for.
  check_refused(written({ArchiveBlob{ArchiveBlob::Kind::file, sha256("x"), 1ull << 60}}),
                ErrorCode::exhausted, "room for");
}

BOOST_AUTO_TEST_CASE(what_an_import_left_that_died_is_swept_by_the_next) {
  Folder to;
  to.keep("a", "one", at(0));
  std::filesystem::create_directories(to.folder / "importing/123-dead");
  std::ofstream(to.folder / "importing/123-dead/items") << "half";
  BOOST_TEST(to.import(to.exported()).has_value());
  BOOST_TEST(std::filesystem::is_empty(to.folder / "importing"));
}

BOOST_AUTO_TEST_CASE(files_are_found_in_every_corner_of_a_value) {
  FileValue one, two, three;
  one.content = sha256("1");
  two.content = sha256("2");
  three.content = sha256("3");
  const auto encoded =
      encode(Value(List{Value(Map{{Value("a"), one.to_value()}, {Value("b"), Value("text")}}),
                        *tuple_value({two.to_value(), *set_value({three.to_value()})})}));
  BOOST_REQUIRE(encoded.has_value());
  auto found = files_named_in(*encoded);
  std::sort(found.begin(), found.end());
  std::vector<Digest> expected{one.content, two.content, three.content};
  std::sort(expected.begin(), expected.end());
  BOOST_TEST((found == expected));
  BOOST_TEST(files_named_in("\xdd\xff\xff\xff\xff").empty());
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace reprise::cache
