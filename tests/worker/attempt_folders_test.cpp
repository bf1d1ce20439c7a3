#include "worker/attempt_folders.hpp"

#include <filesystem>
#include <fstream>

#include <sys/stat.h>
#include <boost/test/unit_test.hpp>

#include "tests/support/temporary_folder.hpp"

BOOST_AUTO_TEST_SUITE(attempt_folders)

using namespace reprise::worker;
using reprise::testing::read_file;
using reprise::testing::write_file;
namespace fs = std::filesystem;

namespace {

/// Takes a folder, leaves a file in it and gives it back.
fs::path use(AttemptFolders& folders) {
  const auto lease = folders.take();
  BOOST_REQUIRE(lease.has_value());
  BOOST_TEST(fs::is_empty(lease->path()));
  BOOST_TEST(!fs::exists(lease->signal_file()));
  std::ofstream(lease->path() / "left") << "x";
  std::ofstream(lease->signal_file()) << "{}";
  return lease->path();
}

}  // namespace

BOOST_AUTO_TEST_CASE(what_was_left_goes_when_there_is_time) {
  const reprise::testing::TemporaryFolder root;
  AttemptFolders folders(root / "attempts");
  const fs::path used = use(folders);
  BOOST_TEST(fs::exists(used / "left"));
  folders.tidy();
  BOOST_TEST(fs::is_empty(used));
}

BOOST_AUTO_TEST_CASE(the_next_finds_nothing_of_it_and_needs_no_other_folder) {
  const reprise::testing::TemporaryFolder root;
  AttemptFolders folders(root / "attempts");
  const fs::path used = use(folders);
  BOOST_TEST(use(folders) == used);
}

BOOST_AUTO_TEST_CASE(values_lie_beside_and_each_attempt_finds_its_own) {
  const reprise::testing::TemporaryFolder root;
  {
    AttemptFolders folders(root / "attempts");
    fs::path first;
    {
      auto lease = folders.take();
      BOOST_REQUIRE(lease->put_values({"[1,2,3]\n", "null\n"}).has_value());
      first = value_file(lease->path(), 0);
      BOOST_TEST(read_file(first) == "[1,2,3]\n");
      BOOST_TEST(read_file(value_file(lease->path(), 1)) == "null\n");
      BOOST_TEST(fs::is_empty(lease->path()));
    }
    auto lease = folders.take();
    BOOST_TEST(value_file(lease->path(), 0) == first);
    BOOST_REQUIRE(lease->put_values({"4\n"}).has_value());
    BOOST_TEST(read_file(first) == "4\n");
  }
  BOOST_TEST(!fs::exists(root / "attempts"));
}

BOOST_AUTO_TEST_CASE(what_a_command_made_of_a_value_changes_nothing_for_the_next) {
  const reprise::testing::TemporaryFolder root;
  write_file(root / "precious", "mine");
  AttemptFolders folders(root / "attempts");
  const fs::path value = value_file(folders.take()->path(), 0);
  const auto next_finds = [&] {
    auto lease = folders.take();
    BOOST_REQUIRE(lease->put_values({"new"}).has_value());
    return read_file(value);
  };
  BOOST_TEST(next_finds() == "new");
  fs::create_hard_link(value, root / "kept");
  write_file(value, "changed");
  BOOST_TEST(next_finds() == "new");
  BOOST_TEST(read_file(root / "kept") == "changed");
  fs::remove(value);
  fs::create_symlink(root / "precious", value);
  BOOST_TEST(next_finds() == "new");
  BOOST_TEST(read_file(root / "precious") == "mine");
  fs::remove(value);
  fs::create_directories(value / "deep");
  BOOST_TEST(next_finds() == "new");
  fs::permissions(value, fs::perms::none);
  BOOST_TEST(next_finds() == "new");
  fs::remove(value);
  BOOST_REQUIRE(::mkfifo(value.c_str(), 0600) == 0);
  BOOST_TEST(next_finds() == "new");
}

BOOST_AUTO_TEST_CASE(nothing_stays) {
  const reprise::testing::TemporaryFolder root;
  {
    AttemptFolders folders(root / "attempts");
    const auto other = folders.take();
    use(folders);
    use(folders);
  }
  BOOST_TEST(!fs::exists(root / "attempts"));
}

BOOST_AUTO_TEST_SUITE_END()
