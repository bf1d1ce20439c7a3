// A simulated Redis server behind the client that the programs use: reachable or not, with answers
// that come or get lost, by a clock of its own.
#pragma once

#include <memory>

#include "redis/client.hpp"
#include "tests/sim/redis_model.hpp"
#include "tests/sim/world.hpp"

namespace reprise::sim {

/// Arguments of each command of a batch.
[[nodiscard]] std::vector<RedisModel::Words> words_of(const redis::Commands& batch);

class SimRedis final : public redis::Client {
 public:
  explicit SimRedis(World& world);

  /// Its replica has everything up to now.
  void replicate() { model_.replicate(); }
  RedisModel& model() { return model_; }

  bool is_down = false;
  bool loses_replies = false;  // half of them: what was asked is done, and nobody is told
  Duration clock_offset{0};

 protected:
  Result<std::vector<redis::Reply>> ask(const redis::Commands& batch, Duration budget, Needs needs,
                                        const redis::Take& take) override;

 private:
  World& world_;
  RedisModel model_;
};

}  // namespace reprise::sim
