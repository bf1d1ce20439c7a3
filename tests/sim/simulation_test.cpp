#include <boost/test/unit_test.hpp>

#include <charconv>
#include <cstdlib>
#include <string_view>

#include "tests/sim/apart.hpp"
#include "tests/sim/simulation.hpp"

BOOST_AUTO_TEST_SUITE(simulation_tests)

using namespace reprise;
using sim::Config;

namespace {

// "FIRST COUNT" or "COUNT", in REPRISE_SIM_SEEDS.
std::pair<std::uint64_t, std::uint64_t> seeds() {
  std::uint64_t first = 1, count = std::getenv("REPRISE_SIM_SOAK") != nullptr ? 100'000 : 2000;
  const char* given = std::getenv("REPRISE_SIM_SEEDS");
  if (given == nullptr) return {first, count};
  const std::string_view text = given;
  const auto space = text.find(' ');
  const auto number = [](std::string_view digits, std::uint64_t& into) {
    const auto end = std::from_chars(digits.data(), digits.data() + digits.size(), into);
    BOOST_REQUIRE_MESSAGE(end.ptr == digits.data() + digits.size(),
                          "REPRISE_SIM_SEEDS is \"FIRST COUNT\" or \"COUNT\"");
  };
  if (space != std::string_view::npos) number(text.substr(0, space), first);
  number(space == std::string_view::npos ? text : text.substr(space + 1), count);
  return {first, count};
}

std::string run_seeds(std::uint64_t first, std::uint64_t end, std::uint64_t step,
                      volatile std::uint64_t& progress) {
  std::string said;
  for (std::uint64_t seed = first; seed < end; seed += step) {
    progress = seed;
    const Config config = Config::of(seed);
    const sim::Verdict verdict = sim::simulate(config);
    if (verdict.broken) said += sim::report(config, verdict);
  }
  return said;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(Simulation)

BOOST_AUTO_TEST_CASE(nothing_breaks_whatever_fails) {
  const auto [first, count] = seeds();
  const std::uint64_t end = first + count;
  // One process for each processor.
  sim::Apart even([&, from = first](auto& progress) { return run_seeds(from, end, 2, progress); });
  sim::Apart odd(
      [&, from = first](auto& progress) { return run_seeds(from + 1, end, 2, progress); });
  const std::string said = even.wait() + odd.wait();
  BOOST_TEST(said.empty(), said);
}

BOOST_AUTO_TEST_CASE(a_seed_gives_the_same_trace_again) {
  for (std::uint64_t seed = 1; seed <= 40; ++seed) {
    const sim::Verdict once = sim::simulate(Config::of(seed));
    const sim::Verdict again = sim::simulate(Config::of(seed));
    BOOST_TEST(once.trace_hash == again.trace_hash, "seed " << seed);
    BOOST_TEST(once.events == again.events, "seed " << seed);
    BOOST_TEST(once.trace_hash != sim::simulate(Config::of(seed + 1)).trace_hash);
  }
}

// Else the seeds would say little: work is done, and processes die wherever they can.
BOOST_AUTO_TEST_CASE(seeds_reach_what_they_are_to_try) {
  std::uint64_t executions = 0;
  std::map<std::string, sim::World::Site, std::less<>> sites;
  for (std::uint64_t seed = 1; seed <= 1000; ++seed) {
    const sim::Verdict verdict = sim::simulate(Config::of(seed));
    executions += verdict.executions;
    for (const auto& [site, times] : verdict.sites) {
      sites[site].passed += times.passed;
      sites[site].crashed += times.crashed;
    }
  }
  BOOST_TEST(executions > 1000 * 10);
  std::size_t crashed = 0;
  for (const auto& [site, times] : sites) {
    BOOST_TEST_MESSAGE(site << ": passed " << times.passed << ", crashed " << times.crashed);
    crashed += times.crashed > 0;
  }
  BOOST_TEST(sites.size() >= 15);
  BOOST_TEST(crashed * 10 >= sites.size() * 8, crashed << " of " << sites.size() << " sites");
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(PlantedBugs)

// A tester that finds nothing where there is something to find is of no use.
BOOST_AUTO_TEST_CASE(each_is_found) {
  constexpr std::uint64_t seeds_most = 700;
  const auto find = [](sim::Bug bug, volatile std::uint64_t& progress) -> std::string {
    // What deciders say when they abort is expected here.
    if (std::freopen("/dev/null", "w", stderr) == nullptr) return {};
    for (std::uint64_t seed = 1; seed <= seeds_most; ++seed) {
      progress = seed;
      Config config = Config::of(seed);
      config.bug = bug;
      const sim::Verdict verdict = sim::simulate(config);
      if (verdict.broken) return "seed " + std::to_string(seed) + ": " + verdict.what;
      if (seed <= 3 && sim::simulate(config).trace_hash != verdict.trace_hash)
        return "seed " + std::to_string(seed) + ": I15 determinism";
    }
    return {};
  };
  const auto& bugs = sim::planted_bugs();
  BOOST_TEST(bugs.size() >= 20U);
  for (std::size_t i = 0; i < bugs.size(); i += 2) {
    sim::Apart one([&](auto& progress) { return find(bugs[i].bug, progress); });
    sim::Apart other([&](auto& progress) {
      return i + 1 < bugs.size() ? find(bugs[i + 1].bug, progress) : std::string("none");
    });
    const auto judge = [&](std::size_t which, const std::string& said) {
      if (which >= bugs.size()) return;
      BOOST_TEST(!said.empty(), bugs[which].name << " was not found in " << seeds_most << " seeds");
      BOOST_TEST_MESSAGE(bugs[which].name << ": " << said);
    };
    judge(i, one.wait());
    judge(i + 1, other.wait());
  }
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE_END()
