#include <boost/test/unit_test.hpp>

#include <filesystem>
#include <fstream>

#include <rapidcheck.h>

#include "tests/support/temporary_folder.hpp"
#include "worker/gpu_set.hpp"
#include "worker/machine.hpp"

BOOST_AUTO_TEST_SUITE(machine)

using namespace reprise;
using namespace reprise::worker;
namespace fs = std::filesystem;

namespace {

void write(const fs::path& file, const std::string& text) {
  fs::create_directories(file.parent_path());
  std::ofstream(file) << text;
}

AttemptId attempt(std::uint32_t number) {
  return {0, TaskId{0}, number};
}

}  // namespace

BOOST_AUTO_TEST_CASE(the_least_of_machine_and_control_groups_counts) {
  testing::TemporaryFolder folder;
  const fs::path root = folder.path();
  write(root / "meminfo", "MemTotal:       16777216 kB\nMemFree: 1 kB\n");
  const fs::path groups = root / "cgroup", own = groups / "a.slice/b.scope";
  fs::create_directories(own);
  BOOST_TEST(
      (machine_from(8, root / "meminfo", groups, own) == Machine{8000, std::uint64_t{16} << 30}));
  write(groups / "a.slice/cpu.max", "250000 100000\n");
  write(groups / "a.slice/memory.max", "4294967296\n");
  write(own / "cpu.max", "max 100000\n");
  write(own / "memory.max", "max\n");
  BOOST_TEST(
      (machine_from(8, root / "meminfo", groups, own) == Machine{2500, std::uint64_t{4} << 30}));
  write(own / "cpu.max", "10000 100000\n");
  BOOST_TEST(machine_from(8, root / "meminfo", groups, own).cpu_milli == 1000u);  // one at least
}

BOOST_AUTO_TEST_CASE(this_machine_has_something) {
  const Machine machine = this_machine();
  BOOST_TEST(machine.cpu_milli >= 1000u);
  BOOST_TEST(machine.memory_bytes > 0u);
}

BOOST_AUTO_TEST_CASE(what_was_not_declared_follows_from_slots_and_machine) {
  const Machine machine{4000, 1000};
  BOOST_TEST(slots_for(0, machine) == 4u);
  BOOST_TEST(slots_for(2500, machine) == 2u);
  BOOST_TEST((capacity_of({0, 0, {}}, 3, machine) == Resources{3000, 1000, {}}));
  BOOST_TEST(
      (capacity_of({500, 7, {{"gpus", 2}}}, 3, machine) == Resources{500, 7, {{"gpus", 2}}}));
}

BOOST_AUTO_TEST_CASE(every_gpu_has_one_owner) {
  GpuSet gpus{3};
  BOOST_TEST((gpus.take(attempt(1), 2).value() == std::vector<std::uint32_t>{0, 1}));
  BOOST_TEST(!gpus.take(attempt(2), 2));
  BOOST_TEST(!gpus.take(attempt(1), 1));
  BOOST_TEST((gpus.take(attempt(2), 1).value() == std::vector<std::uint32_t>{2}));
  gpus.release(attempt(1));
  gpus.release(attempt(1));
  BOOST_TEST((gpus.take(attempt(3), 1).value() == std::vector<std::uint32_t>{0}));
  gpus.check_invariants();
}

BOOST_AUTO_TEST_CASE(whoever_comes_and_goes_no_gpu_has_two_owners_or_is_lost) {
  BOOST_TEST(rc::check([] {
    GpuSet gpus{*rc::gen::inRange(0u, 9u)};
    for (int step = *rc::gen::inRange(0, 60); step > 0; --step) {
      const AttemptId who = attempt(*rc::gen::inRange(0u, 6u));
      if (*rc::gen::inRange(0, 2) == 0)
        gpus.release(who);
      else
        (void)gpus.take(who, *rc::gen::inRange(1u, 4u));
      gpus.check_invariants();
    }
  }));
}

BOOST_AUTO_TEST_SUITE_END()
