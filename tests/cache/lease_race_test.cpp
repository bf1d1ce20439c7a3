// Processes racing for the same keys: every key is computed once. Built into several programs, as
// store_contract_test.cpp.
#include <algorithm>
#include <chrono>
#include <set>

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>
#include <boost/test/unit_test.hpp>

#include "tests/cache/cache_support.hpp"
#include "tests/cache/contract_stores.hpp"
#include "tests/support/temporary_folder.hpp"

namespace reprise::cache {

BOOST_AUTO_TEST_SUITE(LeaseRace)
namespace {

using namespace testing;
using namespace std::chrono_literals;
using reprise::testing::read_file;
using reprise::testing::TemporaryFolder;

// Looks for results until it has all of them, computing what it is granted. Every computation
// appends a line to `counter`.
int take_part(const std::filesystem::path& folder, const Place& place, const std::string& owner,
              int count, bool dies) {
  Sharer sharer = open_sharer(folder, place);
  const int counter =
      ::open((folder / "counter").c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
  std::set<int> open;
  for (int i = 0; i < count; ++i) open.insert(i);
  const auto deadline = std::chrono::steady_clock::now() + 60s;
  while (!open.empty()) {
    if (std::chrono::steady_clock::now() > deadline) return 4;
    std::vector<Query> keys;
    std::vector<int> names(open.begin(), open.end());
    for (const int name : names) keys.push_back({.key = key(std::to_string(name))});
    auto answers = look_up_or_lease(*sharer.store, *sharer.leases, keys,
                                    {.owner = owner, .term = dies ? 300ms : 20s, .now = now()});
    if (!answers) return 1;
    for (std::size_t i = 0; i < keys.size(); ++i) {
      const FoundOrLeased& answer = (*answers)[i];
      const std::string text = "result " + std::to_string(names[i]);
      if (answer.record) {
        if (answer.record->value.view() != value(text).view()) return 2;
        open.erase(names[i]);
      } else if (answer.lease->kind == LeaseAnswer::Kind::granted) {
        if (dies) ::_exit(9);
        const std::string line = std::to_string(names[i]) + "\n";
        if (::write(counter, line.data(), line.size()) < 0) return 3;
        Commit made = commit(std::to_string(names[i]), value(text));
        made.lease = answer.lease->lease;
        auto kept = sharer.store->commit({&made, 1}, now());
        if (!kept || kept->front() != Kept::added) return 5;
      }
    }
  }
  return 0;
}

std::vector<int> race(const std::filesystem::path& folder, const Place& place, int processes,
                      int keys, bool first_dies) {
  std::vector<pid_t> children;
  for (int p = 0; p < processes; ++p) {
    const pid_t child = ::fork();
    if (child == 0)
      ::_exit(take_part(folder, place, "process " + std::to_string(p), keys, first_dies && p == 0));
    children.push_back(child);
    if (first_dies && p == 0) {  // it has the leases before the others begin
      ::waitpid(child, nullptr, 0);
      children.clear();
    }
  }
  std::vector<int> codes;
  for (const pid_t child : children) {
    int status = -1;
    ::waitpid(child, &status, 0);
    codes.push_back(WIFEXITED(status) ? WEXITSTATUS(status) : -1);
  }
  return codes;
}

BOOST_AUTO_TEST_CASE(fifty_processes_compute_fifty_keys_fifty_times) {
  for (const Place& place : make_places()) {
    BOOST_TEST_CONTEXT(place.name) {
      TemporaryFolder folder;
      { (void)open_sharer(folder.path(), place); }
      for (const int code : race(folder.path(), place, 50, 50, false)) BOOST_TEST(code == 0);
      const std::string lines = read_file(folder / "counter");
      BOOST_TEST(std::count(lines.begin(), lines.end(), '\n') == 50);
    }
  }
}

BOOST_AUTO_TEST_CASE(what_a_dead_process_held_is_taken_over_once) {
  for (const Place& place : make_places()) {
    BOOST_TEST_CONTEXT(place.name) {
      TemporaryFolder folder;
      { (void)open_sharer(folder.path(), place); }
      for (const int code : race(folder.path(), place, 4, 10, true)) BOOST_TEST(code == 0);
      const std::string lines = read_file(folder / "counter");
      BOOST_TEST(std::count(lines.begin(), lines.end(), '\n') == 10);
    }
  }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace reprise::cache
