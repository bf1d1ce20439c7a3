// P5 and P13 where results are shared: look-ups in a private server beside what redis-benchmark
// gets out of the same server in the same run.
#include <array>
#include <cstdio>
#include <filesystem>

#include <fmt/format.h>

#include "bench/measure.hpp"
#include "bench/process.hpp"
#include "bench/support.hpp"
#include "cache/redis_functions.hpp"
#include "cache/redis_store.hpp"
#include "core/assert.hpp"
#include "tests/support/redis_server.hpp"

namespace reprise::bench {

namespace {

using testing::RedisServer;

constexpr std::size_t gets = 400'000;

/// GETs of 64 bytes per second, 128 on their way at a time on each of `clients` connections.
double get_rate(const RedisServer& server, int clients) {
  const std::string command =
      fmt::format("redis-benchmark -p {} -t set,get -n {} -r 10000 -d 64 -P 128 -c {} --csv",
                  server.port(), gets, clients);
  std::FILE* const pipe = ::popen(command.c_str(), "r");
  REPRISE_ASSERT(pipe != nullptr, command);
  double rate = 0;
  std::array<char, 256> line{};
  while (std::fgets(line.data(), line.size(), pipe) != nullptr)
    if (std::sscanf(line.data(), "\"GET\",\"%lf\"", &rate) == 1) break;
  ::pclose(pipe);
  REPRISE_ASSERT(rate > 0, "redis-benchmark (package redis-tools) gave no figure");
  return rate;
}

std::vector<Key> fill(cache::Store& store, std::size_t count, std::size_t bytes) {
  std::vector<Key> keys;
  std::vector<cache::Commit> commits;
  for (std::size_t i = 0; i < count; ++i) {
    cache::Commit commit;
    commit.key = Key{digest_in("bench", fmt::format("{} {}", bytes, i))};
    commit.name = "bench";
    commit.value = *Payload::of(Value{fmt::format("{:0{}}", i, bytes)});
    keys.push_back(commit.key);
    commits.push_back(std::move(commit));
  }
  const auto done = store.commit(commits, now());
  REPRISE_ASSERT(done.has_value(), done.error().message);
  return keys;
}

/// Keys per second, `batch` in a question, all of them `rounds` times.
double look_up_rate(cache::Store& store, const std::vector<Key>& keys, std::size_t batch,
                    std::size_t rounds = 1) {
  const std::size_t asked = keys.size() / batch * batch;
  const double took = seconds_of([&] {
    for (std::size_t round = 0; round < rounds; ++round)
      for (std::size_t i = 0; i < asked; i += batch) {
        const auto found = store.look_up(std::span(keys).subspan(i, batch), now());
        REPRISE_ASSERT(found && found->front() && found->back(), i);
      }
  });
  return static_cast<double>(asked * rounds) / took;
}

std::shared_ptr<redis::Client> client_of(const RedisServer& server) {
  return std::make_shared<redis::Client>(server.settings(), cache::redis_functions());
}

}  // namespace

std::vector<Figure> redis_p5(const Settings& settings) {
  RedisServer server;
  const auto count = static_cast<std::size_t>(10'000 * settings.size);
  Figure keys{"P5",
              fmt::format("{} keys looked up in Redis at once", count),
              "keys/s",
              {},
              "redis-benchmark -P 128 -t get",
              {},
              ">= 0.50 x floor",
              false,
              {}};
  Figure graph{"P5",
               fmt::format("rerun of {} tasks, all from Redis", count),
               "ms",
               {},
               "reprise version",
               {},
               "",
               true,
               "a new process with an empty data folder"};
  const std::string folder = fresh_folder(settings.folder);
  const std::string trace = write_trace(folder, count);
  const auto run_with = [&](const std::string& data) {
    return run_program({settings.program, "run", trace, "--data", folder + "/" + data, "--redis",
                        fmt::format("127.0.0.1:{}", server.port()), "--progress", "none"});
  };
  run_with("first");
  cache::RedisStore store({.client = client_of(server)});
  const auto filled = fill(store, count, 64);
  for (int i = 0; i < settings.repetitions; ++i) {
    keys.floor.push_back(get_rate(server, 50));
    // As many as redis-benchmark asks for: its figure, too, is of a server and a client that are
    // warm. The rerun below has what the first question costs.
    keys.runs.push_back(look_up_rate(store, filled, count, gets / count));
    graph.floor.push_back(run_program({settings.program, "version"}) * 1e3);
    graph.runs.push_back(run_with(fmt::format("data{}", i)) * 1e3);
  }
  keys.met = median(keys.runs) >= 0.5 * median(keys.floor);
  return {keys, graph};
}

std::vector<Figure> redis_p13(const Settings& settings) {
  RedisServer server;
  cache::RedisStore store({.client = client_of(server)});
  std::vector<Figure> figures;
  for (const std::size_t bytes : {std::size_t{64}, std::size_t{4000}})
    for (const std::size_t batch : {std::size_t{1}, std::size_t{64}, std::size_t{1000}})
      figures.push_back({"P13",
                         fmt::format("hit in Redis, {} bytes, {} at once", bytes, batch),
                         "us",
                         {},
                         "redis-benchmark -P 128 -c 1 -t get",
                         {},
                         "",
                         true,
                         {}});
  const std::array filled{fill(store, 10'000, 64), fill(store, 10'000, 4000)};
  for (int i = 0; i < settings.repetitions; ++i) {
    const double floor = 1e6 / get_rate(server, 1);
    std::size_t at = 0;
    for (const std::vector<Key>& keys : filled)
      for (const std::size_t batch : {std::size_t{1}, std::size_t{64}, std::size_t{1000}}) {
        figures[at].floor.push_back(floor);
        figures[at++].runs.push_back(1e6 / look_up_rate(store, keys, batch));
      }
  }
  return figures;
}

}  // namespace reprise::bench
