// P13: what one key and one look-up cost. Google Benchmark is not used here: a loop of known length
// is as exact and gives the figure as a number.
#include <fmt/format.h>

#include "bench/measure.hpp"
#include "bench/support.hpp"
#include "cache/memory_store.hpp"
#include "cache/sqlite_store.hpp"
#include "core/assert.hpp"

namespace reprise::bench {

namespace {

constexpr std::size_t entries = 10'000;
constexpr std::size_t at_once = 64;

std::vector<Key> fill(cache::Store& store) {
  std::vector<Key> keys;
  std::vector<cache::Commit> commits;
  for (std::size_t i = 0; i < entries; ++i) {
    cache::Commit commit;
    commit.key = Key{digest_in("bench", std::to_string(i))};
    commit.name = "bench";
    commit.value = *Payload::of(Value{fmt::format("value {}", i)});
    keys.push_back(commit.key);
    commits.push_back(std::move(commit));
  }
  const auto done = store.commit(commits, now());
  REPRISE_ASSERT(done.has_value(), done.error().message);
  return keys;
}

double microseconds_per_hit(cache::Store& store, const std::vector<Key>& keys) {
  const double took = seconds_of([&] {
    for (std::size_t i = 0; i + at_once <= keys.size(); i += at_once) {
      const auto found = store.look_up(std::span(keys).subspan(i, at_once), now());
      REPRISE_ASSERT(found && found->front(), i);
    }
  });
  return took * 1e6 / static_cast<double>(keys.size() / at_once * at_once);
}

}  // namespace

std::vector<Figure> cache_p13(const Settings& settings) {
  Figure key{
      "P13", "key of 20 small arguments", "us", {}, "20 x SHA-256 of 64 bytes", {}, "<= 5", false,
      {}};
  Figure memory{"P13", "hit in memory", "us", {}, "", {}, "<= 2", false, {}};
  Figure sqlite{"P13", "hit in SQLite", "us", {}, "", {}, "<= 20", false, {}};
  cache::MemoryStore memory_store;
  auto opened = cache::SqliteStore::open(
      {.path = fresh_folder(settings.folder) + "/cache.db", .blobs = nullptr});
  REPRISE_ASSERT(opened.has_value(), opened.error().message);
  const auto memory_keys = fill(memory_store);
  const auto sqlite_keys = fill(**opened);
  constexpr int loops = 5000;
  std::vector<std::string> names;  // a task's are known before
  for (int a = 0; a < 20; ++a) names.push_back(fmt::format("a{}", a));
  for (int repetition = 0; repetition < settings.repetitions; ++repetition) {
    const std::string text(64, 'x');
    key.floor.push_back(seconds_of([&] {
                          for (int i = 0; i < loops * 20; ++i) (void)sha256(text);
                        }) *
                        1e6 / loops);
    key.runs.push_back(seconds_of([&] {
                         int value = 0;
                         for (int i = 0; i < loops; ++i) {
                           Material material;
                           material.name = "bench";
                           material.version = "1";
                           for (const std::string& name : names)
                             material.arguments.emplace(
                                 name, Payload::of(*encode(Value{++value})).digest);
                           (void)Key::of(material);
                         }
                       }) *
                       1e6 / loops);
    memory.runs.push_back(microseconds_per_hit(memory_store, memory_keys));
    sqlite.runs.push_back(microseconds_per_hit(**opened, sqlite_keys));
  }
  key.met = median(key.runs) <= 5;
  memory.met = median(memory.runs) <= 2;
  sqlite.met = median(sqlite.runs) <= 20;
  return {key, memory, sqlite};
}

}  // namespace reprise::bench
