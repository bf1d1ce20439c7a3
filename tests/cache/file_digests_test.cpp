#include "cache/file_digests.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <boost/test/unit_test.hpp>

#include "cache/database.hpp"
#include "tests/support/temporary_folder.hpp"

namespace reprise::cache {

BOOST_AUTO_TEST_SUITE(FileDigests_)
namespace {

namespace fs = std::filesystem;
using reprise::testing::TemporaryFolder;
using reprise::testing::write_file;

std::unique_ptr<FileDigests> open_digests(const fs::path& path = {}) {
  auto digests = FileDigests::open({.path = path});
  if (!digests) BOOST_FAIL(digests.error().message);
  return std::move(*digests);
}

// A file that was there long before this test. Its ctime cannot be set, so the file is one that the
// system installed.
fs::path old_file() {
  return "/bin/sh";
}

BOOST_AUTO_TEST_CASE(the_digest_is_that_of_the_content) {
  TemporaryFolder folder;
  const std::string bytes(300'000, 'x');
  write_file(folder / "file", bytes);
  ::chmod((folder / "file").c_str(), 0755);
  fs::create_symlink(folder / "file", folder / "link");
  auto digests = open_digests();
  for (const char* name : {"file", "link"}) {
    auto file = digests->digest(folder / name);
    BOOST_REQUIRE(file);
    BOOST_TEST((*file == FileValue{sha256(bytes), bytes.size(), true}));
  }
}

BOOST_AUTO_TEST_CASE(an_old_file_is_read_once_also_over_processes) {
  TemporaryFolder folder;
  const auto path = folder / "cache.db";
  FileValue first;
  {
    auto digests = open_digests(path);
    first = *digests->digest(old_file());
    BOOST_TEST((*digests->digest(old_file()) == first));
    BOOST_TEST(digests->files_read() == 1u);
  }
  auto digests = open_digests(path);
  BOOST_TEST((*digests->digest(old_file()) == first));
  BOOST_TEST(digests->files_read() == 0u);
  BOOST_TEST((first.content == sha256(reprise::testing::read_file(old_file()))));
}

BOOST_AUTO_TEST_CASE(a_young_file_is_read_every_time) {
  TemporaryFolder folder;
  auto digests = open_digests(folder / "cache.db");
  write_file(folder / "file", "one");
  BOOST_TEST((digests->digest(folder / "file")->content == sha256("one")));
  // The same size, and the times put back: only the content tells the difference.
  struct stat before {};
  BOOST_REQUIRE(::stat((folder / "file").c_str(), &before) == 0);
  write_file(folder / "file", "two");
  const struct timespec times[2] = {before.st_atim, before.st_mtim};
  BOOST_REQUIRE(::utimensat(AT_FDCWD, (folder / "file").c_str(), times, 0) == 0);
  BOOST_TEST((digests->digest(folder / "file")->content == sha256("two")));
  BOOST_TEST(digests->files_read() == 2u);
}

BOOST_AUTO_TEST_CASE(a_memo_that_does_not_fit_the_file_any_more_is_not_used) {
  TemporaryFolder folder;
  const auto path = folder / "cache.db";
  { (void)open_digests(path)->digest(old_file()); }
  for (const char* column : {"size", "mtime", "ctime"}) {
    {
      auto database = open_database(path);
      BOOST_REQUIRE(database);
      const std::string sql = std::string("UPDATE file_digest SET digest = zeroblob(32), ") +
                              column + " = " + column + " - 1";
      BOOST_TEST((*database)->run(sql.c_str()).has_value());
    }
    auto digests = open_digests(path);
    BOOST_TEST(
        (digests->digest(old_file())->content == sha256(reprise::testing::read_file(old_file()))),
        column);
    BOOST_TEST(digests->files_read() == 1u);
  }
}

BOOST_AUTO_TEST_CASE(what_is_no_file_is_refused) {
  TemporaryFolder folder;
  auto digests = open_digests();
  ::mkfifo((folder / "pipe").c_str(), 0600);
  BOOST_TEST((digests->digest(folder.path()).error().code == ErrorCode::invalid_argument));
  BOOST_TEST(digests->digest(folder.path()).error().message.find("a folder") != std::string::npos);
  BOOST_TEST((digests->digest(folder / "pipe").error().code == ErrorCode::invalid_argument));
  BOOST_TEST((digests->digest(folder / "none").error().code == ErrorCode::not_found));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace reprise::cache
