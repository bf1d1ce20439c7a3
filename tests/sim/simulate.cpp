// simulate SEED [COUNT] [--trace] [--bug NAME] [--sites]: runs seeds and says what breaks.
// Ends with 1 when something did.
#include <charconv>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string_view>

#include <fmt/format.h>

#include "tests/sim/simulation.hpp"

using namespace reprise;

int main(int argc, char** argv) {
  std::uint64_t numbers[2] = {1, 1};
  std::size_t given = 0;
  bool is_verbose = false, shows_sites = false;
  sim::Bug bug = sim::Bug::none;
  for (int i = 1; i < argc; ++i) {
    const std::string_view word = argv[i];
    if (word == "--trace") {
      is_verbose = true;
    } else if (word == "--sites") {
      shows_sites = true;
    } else if (word == "--bug" && i + 1 < argc) {
      const std::string_view wanted = argv[++i];
      for (const sim::BugName& each : sim::planted_bugs())
        if (each.name == wanted) bug = each.bug;
      if (bug == sim::Bug::none) {
        std::fputs(fmt::format("no bug \"{}\" is planted; there are:\n", wanted).c_str(), stderr);
        for (const sim::BugName& each : sim::planted_bugs())
          std::fputs(fmt::format("  {}\n", each.name).c_str(), stderr);
        return 2;
      }
    } else if (given < 2 &&
               std::from_chars(word.data(), word.data() + word.size(), numbers[given]).ptr ==
                   word.data() + word.size()) {
      ++given;
    } else {
      std::fputs("usage: simulate SEED [COUNT] [--trace] [--bug NAME] [--sites]\n", stderr);
      return 2;
    }
  }
  const auto [first, count] = numbers;
  const auto begin = std::chrono::steady_clock::now();
  std::uint64_t broken = 0, events = 0, executions = 0, hash = 0;
  Duration simulated{0};
  std::map<std::string, sim::World::Site, std::less<>> sites;
  for (std::uint64_t seed = first; seed < first + count; ++seed) {
    sim::Config config = sim::Config::of(seed);
    config.bug = bug;
    const sim::Verdict verdict = sim::simulate(config, is_verbose);
    events += verdict.events;
    executions += verdict.executions;
    simulated += verdict.simulated;
    hash = sim::Random::mix(hash ^ verdict.trace_hash);
    for (const auto& [site, times] : verdict.sites) {
      sites[site].passed += times.passed;
      sites[site].crashed += times.crashed;
    }
    if (!verdict.broken) continue;
    ++broken;
    std::puts(sim::report(config, verdict).c_str());
  }
  const double took =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  std::puts(fmt::format("{} seeds, {} broken, {} events, {} executions, {} simulated in {:.1f} s "
                        "({:.0f} times as fast), traces {:016x}",
                        count, broken, events, executions, describe(simulated), took,
                        seconds(simulated) / took, hash)
                .c_str());
  if (shows_sites)
    for (const auto& [site, times] : sites)
      std::puts(fmt::format("  {:30} passed {:9}  crashed {:5}", site, times.passed, times.crashed)
                    .c_str());
  return broken > 0 ? 1 : 0;
}
