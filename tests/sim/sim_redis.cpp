#include "tests/sim/sim_redis.hpp"

#include <charconv>

#include "cache/redis_functions.hpp"

namespace reprise::sim {

std::vector<RedisModel::Words> words_of(const redis::Commands& batch) {
  const std::string_view wire = batch.wire();
  std::size_t at = 0;
  const auto number = [&] {
    std::size_t value = 0;
    const char* const end =
        std::from_chars(wire.data() + at + 1, wire.data() + wire.size(), value).ptr;
    at = static_cast<std::size_t>(end - wire.data()) + 2;
    return value;
  };
  std::vector<RedisModel::Words> all;
  while (at < wire.size()) {
    RedisModel::Words& words = all.emplace_back();
    for (std::size_t count = number(); count > 0; --count) {
      const std::size_t size = number();
      words.emplace_back(wire.substr(at, size));
      at += size + 2;
    }
  }
  return all;
}

SimRedis::SimRedis(World& world)
    : Client({}, cache::redis_functions(), [&world] { return world.now(); }), world_(world) {}

Result<std::vector<redis::Reply>> SimRedis::ask(const redis::Commands& batch, Duration, Needs,
                                                const redis::Take& take) {
  const auto lost = [&] { return fail(ErrorCode::unavailable, name() + ": no answer"); };
  if (is_down) return lost();
  // A failing connection loses the question as often as the answer.
  const bool is_lost = loses_replies && world_.random.one_in(2);
  if (is_lost && world_.random.one_in(2)) return lost();
  std::vector<redis::Reply> replies;
  for (const RedisModel::Words& words : words_of(batch))
    replies.push_back(model_.execute(words, world_.now() + clock_offset));
  if (is_lost) return lost();
  for (std::size_t i = 0; take && i < replies.size(); ++i) take(i, replies[i]);
  return replies;
}

}  // namespace reprise::sim
