#include "worker/enforcement.hpp"

#include <sys/wait.h>
#include <unistd.h>

#include <boost/test/unit_test.hpp>

#include "tests/worker/support.hpp"

BOOST_AUTO_TEST_SUITE(enforcement)

using namespace reprise;
using namespace reprise::worker;
using namespace reprise::worker::test;

namespace {

// A folder that looks like a place in the tree; what is written there stays as a file.
struct FakeTree {
  TemporaryFolder folder;
  std::filesystem::path place = folder.path() / "place";
  std::filesystem::path base = place / ("reprise." + std::to_string(::getpid()));

  explicit FakeTree(const std::string& controllers) {
    write_file(place / "cgroup.controllers", controllers);
    write_file(place / "cgroup.subtree_control", "");
    write_file(place / "cgroup.procs", "1\n");
  }
};

}  // namespace

BOOST_AUTO_TEST_CASE(without_a_tree_memory_is_limited_by_rlimits_and_it_says_so) {
  Enforcement none{std::nullopt};
  none.prepare();
  BOOST_TEST(none.name() == "rlimit");
  BOOST_TEST(none.describe().find("RLIMIT_AS") != std::string::npos);
  BOOST_TEST(none.make_group(1000) == nullptr);
}

BOOST_AUTO_TEST_CASE(with_the_memory_controller_a_group_has_limits) {
  FakeTree tree("cpu io memory pids\n");
  Enforcement enforcement{tree.place};
  const auto group = enforcement.make_group(2500);
  BOOST_REQUIRE(group != nullptr);
  BOOST_TEST(enforcement.name() == "cgroup");
  BOOST_TEST(enforcement.describe() == "memory cpu pids by cgroup v2");
  BOOST_TEST(group->folder().parent_path() == tree.base);
  BOOST_TEST(read_file(tree.base / "cgroup.subtree_control") == "+pids");  // the last one written
  BOOST_TEST(read_file(group->folder() / "cpu.weight") == "250");
  BOOST_TEST(read_file(group->folder() / "memory.oom.group") == "1");
  BOOST_TEST(read_file(group->folder() / "pids.max") == "16384");
  BOOST_REQUIRE(group->limits_memory());
  write_file(group->folder() / "memory.current", "4096\n");
  group->limit_memory(1 << 20);
  BOOST_TEST(read_file(group->folder() / "memory.max") == std::to_string(4096 + (1 << 20)));
  group->limit_memory(0);
  BOOST_TEST(read_file(group->folder() / "memory.max") == "max");
  BOOST_REQUIRE(group->add(4711));
  BOOST_TEST(read_file(group->folder() / "cgroup.procs") == "4711");
  group->kill();
  BOOST_TEST(read_file(group->folder() / "cgroup.kill") == "1");
  BOOST_TEST(!group->ran_out_of_memory());
  write_file(group->folder() / "memory.events", "low 0\nhigh 0\nmax 3\noom 1\noom_kill 1\n");
  BOOST_TEST(group->ran_out_of_memory());
  BOOST_TEST(!group->ran_out_of_memory());  // once each
  for (const auto& entry : std::filesystem::directory_iterator(group->folder()))
    std::filesystem::remove(entry.path());  // the kernel's go with the folder
}

BOOST_AUTO_TEST_CASE(a_tree_without_the_memory_controller_still_ends_processes) {
  FakeTree tree("cpu pids\n");
  Enforcement enforcement{tree.place};
  const auto group = enforcement.make_group(1000);
  BOOST_REQUIRE(group != nullptr);
  BOOST_TEST(!group->limits_memory());
  BOOST_TEST(enforcement.name() == "rlimit");
  BOOST_TEST(enforcement.describe().find("no memory controller") != std::string::npos);
  for (const auto& entry : std::filesystem::directory_iterator(group->folder()))
    std::filesystem::remove(entry.path());
}

BOOST_AUTO_TEST_CASE(what_dead_processes_left_in_the_tree_is_removed) {
  FakeTree tree("");
  const pid_t child = ::fork();
  if (child == 0) ::_exit(0);
  ::waitpid(child, nullptr, 0);
  const auto left = tree.place / ("reprise." + std::to_string(child));
  std::filesystem::create_directories(left / "g1");
  std::filesystem::create_directories(tree.place / "reprise.1");  // somebody alive
  Enforcement enforcement{tree.place};
  enforcement.prepare();
  BOOST_TEST(!std::filesystem::exists(left));
  BOOST_TEST(std::filesystem::exists(tree.place / "reprise.1"));
}

BOOST_AUTO_TEST_CASE(the_own_place_is_found_below_the_mount_that_is_of_version_2) {
  FakeTree tree("");
  const std::string mount = tree.folder.path().string();
  const std::string mounts =
      "25 1 0:21 / /proc rw - proc proc rw\n32 31 0:29 / /sys/fs/cgroup/cpu "
      "rw - cgroup cgroup rw,cpu\n41 31 0:38 / " +
      mount + " rw,relatime - cgroup2 cgroup2 rw\n";
  BOOST_TEST(Enforcement::own_folder(mounts, "4:memory:/x\n0::/place\n").value() == tree.place);
  BOOST_TEST(!Enforcement::own_folder(mounts, "0::/elsewhere\n").has_value());
  BOOST_TEST(!Enforcement::own_folder(mounts, "4:memory:/place\n").has_value());
  BOOST_TEST(!Enforcement::own_folder(mounts, "0::/../place\n").has_value());
  const std::string inner = "41 31 0:38 /slice " + mount + " rw - cgroup2 cgroup2 rw\n";
  BOOST_TEST(Enforcement::own_folder(inner, "0::/slice/place\n").value() == tree.place);
}

BOOST_AUTO_TEST_CASE(a_group_of_the_real_tree_ends_whoever_is_in_it) {
  const auto place = Enforcement::own_folder();
  if (!place) {
    BOOST_TEST_MESSAGE("no cgroup v2 tree is writable here: only its absence is tested");
    BOOST_TEST(Enforcement{place}.make_group(1000) == nullptr);
    return;
  }
  Enforcement enforcement{place};
  auto group = enforcement.make_group(1000);
  BOOST_REQUIRE(group != nullptr);
  const pid_t child = ::fork();
  if (child == 0) {
    ::setsid();
    for (;;) ::pause();
  }
  BOOST_REQUIRE(group->add(child));
  const auto folder = group->folder();
  group.reset();
  int status = 0;
  BOOST_TEST(::waitpid(child, &status, 0) == child);
  BOOST_TEST(WIFSIGNALED(status));
  BOOST_TEST(!std::filesystem::exists(folder));
}

BOOST_AUTO_TEST_CASE(words_for_want_of_memory_are_understood) {
  BOOST_TEST(speaks_of_memory("terminate called after throwing an instance of 'std::bad_alloc'"));
  BOOST_TEST(speaks_of_memory("sort: cannot allocate memory") == true);
  BOOST_TEST(speaks_of_memory("MemoryError"));
  BOOST_TEST(!speaks_of_memory("no such file"));
}

BOOST_AUTO_TEST_SUITE_END()
