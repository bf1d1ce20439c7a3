// Monte Carlo sweep: the price of a call option for several strikes, each estimated from many
// independently seeded samples.
//
//   montecarlo [--data DIR] [SEEDS]         default: 16 seeds per strike
//
// A task per strike and seed, cached: asking for more seeds later computes only the new ones. The
// generator is part of the task, so the numbers are the same everywhere; std::normal_distribution
// would differ between standard libraries.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <numbers>
#include <string>
#include <vector>

#include <reprise/reprise.hpp>

struct market {
  double spot = 100;
  double rate = 0.05;
  double volatility = 0.2;
  double years = 1;
};
REPRISE_ADAPT(market, "examples.market", 1, spot, rate, volatility, years)

struct estimate {
  double sum = 0;
  double sum_of_squares = 0;
  std::int64_t samples = 0;
};
REPRISE_ADAPT(estimate, "examples.estimate", 1, sum, sum_of_squares, samples)

namespace {

/// SplitMix64 (Steele, Lea and Flood, 2014): small, and good enough for an example.
struct generator {
  std::uint64_t state;
  std::uint64_t next() {
    std::uint64_t z = state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
  }
  double uniform() { return (static_cast<double>(next() >> 11) + 0.5) * 0x1p-53; }
  double normal() {
    return std::sqrt(-2 * std::log(uniform())) * std::cos(2 * std::numbers::pi * uniform());
  }
};

}  // namespace

inline constexpr auto sample = reprise::task<"mc.sample">(
    [](market m, double strike, std::uint64_t seed, std::int64_t samples) -> estimate {
      generator random{seed};
      const double drift = (m.rate - m.volatility * m.volatility / 2) * m.years;
      const double spread = m.volatility * std::sqrt(m.years);
      estimate made{.sum = 0, .sum_of_squares = 0, .samples = samples};
      for (std::int64_t i = 0; i < samples; ++i) {
        const double end = m.spot * std::exp(drift + spread * random.normal());
        const double payoff = std::exp(-m.rate * m.years) * std::max(end - strike, 0.0);
        made.sum += payoff;
        made.sum_of_squares += payoff * payoff;
      }
      return made;
    },
    {.cache = true});

inline constexpr auto pool = reprise::task<"mc.pool">([](estimate a, estimate b) -> estimate {
  return {a.sum + b.sum, a.sum_of_squares + b.sum_of_squares, a.samples + b.samples};
});

int main(int argc, char** argv) try {
  std::filesystem::path data;
  std::uint64_t seed_count = 16;
  for (int i = 1; i < argc; ++i) {
    if (std::string(argv[i]) == "--data" && i + 1 < argc)
      data = argv[++i];
    else
      seed_count = std::stoull(argv[i]);
  }

  reprise::flow f("montecarlo");
  auto conditions = f.parameter<market>("market", market{});
  std::vector<std::uint64_t> seeds;
  for (std::uint64_t i = 0; i < seed_count; ++i) seeds.push_back(1000 + i);
  const std::vector<double> strikes{90, 100, 110};
  std::vector<reprise::node<estimate>> prices;
  for (const double strike : strikes) {
    auto samples = f.map(sample, conditions, strike, seeds, 20'000)
                       .named("samples at " + std::to_string(static_cast<int>(strike)));
    prices.push_back(f.reduce(pool, samples, estimate{}));
  }

  const reprise::run r = f.run({.data = data, .in_memory = data.empty()});
  for (std::size_t i = 0; i < strikes.size(); ++i) {
    const estimate e = r[prices[i]].get();
    const double n = static_cast<double>(e.samples);
    const double mean = e.sum / n;
    const double error = std::sqrt((e.sum_of_squares / n - mean * mean) / n);
    std::printf("strike %3.0f: price %6.3f +- %.3f\n", strikes[i], mean, error);
  }
  const reprise::run_result ended = r.wait();
  std::fprintf(stderr, "%llu tasks ran, %llu came from the cache\n",
               static_cast<unsigned long long>(ended.executed),
               static_cast<unsigned long long>(ended.cached));
  return ended.is_success() ? 0 : 1;
} catch (const std::exception& e) {
  std::fprintf(stderr, "montecarlo: %s\n", e.what());
  return 1;
}
