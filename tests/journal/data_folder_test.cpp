#include "journal/data_folder.hpp"

#include <csignal>
#include <iostream>

#include <sys/stat.h>
#include <sys/wait.h>
#include <boost/test/unit_test.hpp>

#include "tests/journal/journal_support.hpp"
#include "tests/support/temporary_folder.hpp"

namespace reprise::journal {

BOOST_AUTO_TEST_SUITE(DataFolder_)
namespace {

namespace fs = std::filesystem;
using reprise::testing::SmallDisk;
using reprise::testing::TemporaryFolder;
using reprise::testing::write_file;
using testing::row;

DataFolder open_folder(const fs::path& path) {
  auto folder = DataFolder::open({.path = path});
  if (!folder) BOOST_FAIL(folder.error().message);
  return std::move(*folder);
}

unsigned mode_of(const fs::path& path) {
  struct stat status {};
  BOOST_REQUIRE(::lstat(path.c_str(), &status) == 0);
  return status.st_mode & 07777u;
}

void check_refused(const fs::path& path, ErrorCode code) {
  auto folder = DataFolder::open({.path = path});
  BOOST_REQUIRE(!folder);
  BOOST_TEST((folder.error().code == code), folder.error().message);
  BOOST_TEST(folder.error().message.find(path.string()) != std::string::npos,
             folder.error().message);
  BOOST_TEST(folder.error().message.find("--data DIR") != std::string::npos,
             folder.error().message);
}

// Sets a variable while it lives.
class Variable {
 public:
  Variable(const char* name, const char* value) : name_(name) {
    if (const char* before = std::getenv(name)) before_ = before;
    if (value)
      ::setenv(name, value, 1);
    else
      ::unsetenv(name);
  }
  ~Variable() {
    if (before_)
      ::setenv(name_, before_->c_str(), 1);
    else
      ::unsetenv(name_);
  }

 private:
  const char* name_;
  std::optional<std::string> before_;
};

BOOST_AUTO_TEST_CASE(it_is_made_for_its_owner_alone) {
  TemporaryFolder base;
  const DataFolder folder = open_folder(base / "some/where/reprise/");
  BOOST_TEST(folder.path() == base / "some/where/reprise");
  BOOST_TEST(mode_of(folder.path()) == 0700u);
  BOOST_TEST(mode_of(folder.runs()) == 0700u);
  BOOST_TEST(std::distance(fs::directory_iterator(folder.path()), {}) == 1);  // the probe is gone
  const RunId run = row(0).id;
  BOOST_TEST(*folder.make_run_folder(run) == folder.path() / "runs" / run.text());
  BOOST_TEST(mode_of(folder.run_folder(run)) == 0700u);
  BOOST_TEST(folder.make_run_folder(run).has_value());
}

BOOST_AUTO_TEST_CASE(by_default_it_lies_where_the_desktop_specification_says) {
  Variable home("HOME", "/home/ana");
  {
    Variable data("XDG_DATA_HOME", "/data");
    BOOST_TEST(DataFolder::default_path()->string() == "/data/reprise");
  }
  {
    Variable data("XDG_DATA_HOME", "relative");
    BOOST_TEST(DataFolder::default_path()->string() == "/home/ana/.local/share/reprise");
  }
  Variable data("XDG_DATA_HOME", nullptr);
  BOOST_TEST(DataFolder::default_path()->string() == "/home/ana/.local/share/reprise");
  Variable no_home("HOME", nullptr);
  BOOST_TEST((DataFolder::default_path().error().code == ErrorCode::not_found));
}

BOOST_AUTO_TEST_CASE(places_that_cannot_be_used_are_refused_by_name) {
  TemporaryFolder base;
  write_file(base / "file", "x");
  check_refused(base / "file", ErrorCode::io);
  check_refused(base / "file" / "below", ErrorCode::io);
  BOOST_TEST(reprise::testing::read_file(base / "file") == "x");
  auto missing = DataFolder::open({.path = base / "missing", .create = false});
  BOOST_REQUIRE(!missing);
  BOOST_TEST((missing.error().code == ErrorCode::not_found));
  BOOST_TEST(!fs::exists(base / "missing"));
}

BOOST_AUTO_TEST_CASE(a_read_only_place_is_refused_before_anything_starts) {
  TemporaryFolder base;
  SmallDisk disk(base / "disk", "size=1m");
  if (!disk.make_read_only()) {
    std::cout << "SKIPPED: a file system of its own can only be mounted by root\n";
    return;
  }
  check_refused(base / "disk", ErrorCode::denied);
}

BOOST_AUTO_TEST_CASE(a_full_disk_is_refused_before_anything_starts) {
  TemporaryFolder base;
  SmallDisk disk(base / "disk", "size=128k");
  if (!disk.works()) {
    std::cout << "SKIPPED: a file system of its own can only be mounted by root\n";
    return;
  }
  write_file(base / "disk" / "ballast", std::string(100 * 1024, 'x'));
  check_refused(base / "disk", ErrorCode::exhausted);
  BOOST_TEST(std::distance(fs::directory_iterator(base / "disk"), {}) == 1);
}

BOOST_AUTO_TEST_CASE(a_run_has_one_owner_until_it_lets_go) {
  TemporaryFolder base;
  const DataFolder folder = open_folder(base / "data");
  const RunId run = row(0).id;
  BOOST_TEST(!folder.is_owned(run));
  {
    auto lock = folder.own(run);
    BOOST_REQUIRE(lock);
    BOOST_TEST(folder.is_owned(run));
    auto second = folder.own(run);
    BOOST_REQUIRE(!second);
    BOOST_TEST((second.error().code == ErrorCode::conflict));
    BOOST_TEST(second.error().message.find(std::to_string(::getpid())) != std::string::npos,
               second.error().message);
    RunLock moved = std::move(*lock);
    BOOST_TEST(folder.is_owned(run));
  }
  BOOST_TEST(!folder.is_owned(run));
  BOOST_TEST(folder.own(run).has_value());
}

BOOST_AUTO_TEST_CASE(a_run_whose_owner_was_killed_is_interrupted) {
  TemporaryFolder base;
  const DataFolder folder = open_folder(base / "data");
  RunRow run = row(0);
  int ready[2];
  BOOST_REQUIRE(::pipe(ready) == 0);
  const pid_t child = ::fork();
  if (child == 0) {
    auto lock = folder.own(run.id);
    const char answer = lock ? 'y' : 'n';
    if (::write(ready[1], &answer, 1) != 1) ::_exit(1);
    ::pause();
    ::_exit(0);
  }
  char answer = 0;
  BOOST_REQUIRE(::read(ready[0], &answer, 1) == 1);
  BOOST_TEST(answer == 'y');
  for (const RunState state :
       {RunState::queued, RunState::running, RunState::cancelling, RunState::success}) {
    run.state = state;
    BOOST_TEST((folder.effective_state(run) == state));
  }
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  for (const RunState state : {RunState::queued, RunState::running, RunState::cancelling}) {
    run.state = state;
    BOOST_TEST((folder.effective_state(run) == RunState::interrupted));
  }
  for (const RunState state :
       {RunState::paused, RunState::success, RunState::failed, RunState::cancelled}) {
    run.state = state;
    BOOST_TEST((folder.effective_state(run) == state));
  }
  ::close(ready[0]);
  ::close(ready[1]);
}

BOOST_AUTO_TEST_CASE(removing_a_runs_folder_follows_no_link) {
  TemporaryFolder base;
  const DataFolder folder = open_folder(base / "data");
  const RunId run = row(0).id, linked = row(0).id;
  write_file(base / "precious", "x");
  fs::create_directory(base / "outside");
  write_file(base / "outside" / "precious", "x");
  const fs::path own = *folder.make_run_folder(run);
  fs::create_directories(own / "a/b");
  write_file(own / "a/b/log", "12345");
  fs::create_symlink(base / "precious", own / "file_link");
  fs::create_directory_symlink(base / "outside", own / "folder_link");
  ::chmod((own / "a/b").c_str(), 0);
  fs::create_directory_symlink(base / "outside", folder.run_folder(linked));

  BOOST_TEST(folder.remove_run_folder(run).has_value());
  BOOST_TEST(folder.remove_run_folder(linked).has_value());
  BOOST_TEST(!fs::exists(own));
  BOOST_TEST(!fs::is_symlink(folder.run_folder(linked)));
  BOOST_TEST(fs::exists(base / "precious"));
  BOOST_TEST(fs::exists(base / "outside" / "precious"));
  BOOST_TEST(folder.remove_run_folder(run).has_value());  // nothing to do
}

BOOST_AUTO_TEST_CASE(a_run_that_is_being_run_keeps_its_folder) {
  TemporaryFolder base;
  const DataFolder folder = open_folder(base / "data");
  const RunId run = row(0).id;
  auto lock = folder.own(run);
  BOOST_TEST((folder.remove_run_folder(run).error().code == ErrorCode::conflict));
  BOOST_TEST(fs::exists(folder.run_folder(run)));
}

BOOST_AUTO_TEST_CASE(usage_counts_what_lies_in_a_runs_folder) {
  TemporaryFolder base;
  const DataFolder folder = open_folder(base / "data");
  const RunId run = row(0).id;
  BOOST_TEST(folder.usage(run).files == 0u);
  const fs::path own = *folder.make_run_folder(run);
  fs::create_directories(own / "a");
  write_file(own / "a/one", "12345");
  write_file(own / "two", "123");
  BOOST_TEST(folder.usage(run).files == 2u);
  BOOST_TEST(folder.usage(run).bytes == 8u);
}

BOOST_AUTO_TEST_CASE(a_folder_open_to_everybody_is_warned_of) {
  TemporaryFolder base;
  BOOST_TEST(open_folder(base / "data").warnings().empty());
  ::chmod((base / "data").c_str(), 0777);
  BOOST_TEST(open_folder(base / "data").warnings().size() == 1u);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace reprise::journal
