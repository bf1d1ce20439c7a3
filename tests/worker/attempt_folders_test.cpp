#include "worker/attempt_folders.hpp"

#include <filesystem>
#include <fstream>

#include <boost/test/unit_test.hpp>

#include "tests/support/temporary_folder.hpp"

using namespace reprise::worker;
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

BOOST_AUTO_TEST_SUITE(attempt_folders)

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
