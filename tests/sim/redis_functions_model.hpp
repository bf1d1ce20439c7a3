// What the functions of cache/redis_functions.cpp do, line by line, on a RedisModel.
#pragma once

#include "tests/sim/redis_model.hpp"

namespace reprise::sim {

class RedisFunctions {
 public:
  using Words = RedisModel::Words;
  using Reply = redis::Reply;

  explicit RedisFunctions(RedisModel& model) : model_(model) {}
  /// What is allowed where nothing may be added, or written.
  [[nodiscard]] static bool is_known(const std::string& name);
  [[nodiscard]] static bool allows_oom(const std::string& name);
  [[nodiscard]] static bool writes_nothing(const std::string& name);

  [[nodiscard]] Reply call(const std::string& name, const Words& keys, const Words& arguments);

 private:
  struct Counts {
    std::map<std::string, std::int64_t> by_name;
  };
  Reply redis(const Words& command);     // throws the reply when it is an error
  Reply tolerant(const Words& command);  // gives it
  [[nodiscard]] std::int64_t clock(const std::string& given);
  [[nodiscard]] bool holds(const std::string& lease, const std::string& owner,
                           const std::string& token);
  void end_lease(const std::string& lease);
  void tell(const std::string& channel, const std::string& what);
  [[nodiscard]] std::pair<std::string, std::string> header_of(const std::string& key);
  [[nodiscard]] bool has_fresh(const std::string& entry, const std::string& history,
                               std::int64_t now);
  [[nodiscard]] std::string commit_one(const std::string& index, const Words& keys, std::size_t k,
                                       const Words& argv, std::size_t at, Counts& counts,
                                       std::int64_t keep, std::int64_t& next_sequence);
  void write_counts(const std::string& stats, const Counts& counts);
  [[nodiscard]] std::int64_t next_of(const std::string& stats);

  [[nodiscard]] Reply commit(const Words& keys, const Words& argv);
  [[nodiscard]] Reply acquire(const Words& keys, const Words& argv);
  [[nodiscard]] Reply renew(const Words& keys, const Words& argv);
  [[nodiscard]] Reply release(const Words& keys, const Words& argv);
  [[nodiscard]] Reply invalidate(const Words& keys, const Words& argv);
  [[nodiscard]] Reply drop(const Words& keys, const Words& argv);
  [[nodiscard]] Reply drop_value(const Words& keys, const Words& argv);

  RedisModel& model_;
};

}  // namespace reprise::sim
