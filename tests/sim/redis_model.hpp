// A Redis server as the project knows it: the commands that it uses, and the functions of
// cache/redis_functions.cpp, with what a server does when it is full, a replica, or lost what it
// acknowledged. A differential test holds it against a real server (redis_model_test.cpp).
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "core/time.hpp"
#include "redis/reply.hpp"

namespace reprise::sim {

class RedisModel {
 public:
  using Words = std::vector<std::string>;
  using Reply = redis::Reply;

  /// @param now  by the server's clock
  [[nodiscard]] Reply execute(const Words& command, Time now);

  bool is_read_only = false;  // a replica
  bool is_full = false;       // used memory is above maxmemory, under noeviction

  /// What a replica has of it now.
  void replicate() { replica_ = data_; }
  /// The replica takes over: what it had not is gone, whoever was told that it is there.
  void fail_over() { data_ = replica_; }
  /// Started again without having kept anything.
  void wipe() { data_.clear(); }

  /// Commands that it knows, and functions, for tests.
  [[nodiscard]] static const std::vector<std::string>& commands();

 private:
  friend class RedisFunctions;
  using Hash = std::vector<std::pair<std::string, std::string>>;  // in order of insertion
  using List = std::deque<std::string>;
  struct SortedSet {
    std::map<std::string, double> scores;
  };
  using StreamId = std::pair<std::uint64_t, std::uint64_t>;
  struct Stream {
    std::vector<std::pair<StreamId, Words>> entries;
    StreamId last{};
  };
  struct Item {
    std::variant<std::string, Hash, List, SortedSet, Stream> value;
    std::optional<Time> expires;
  };

  [[nodiscard]] Item* find(const std::string& key);
  template <class T>
  [[nodiscard]] T* get(const std::string& key);
  template <class T>
  [[nodiscard]] T& make(const std::string& key);
  void drop_if_empty(const std::string& key);
  [[nodiscard]] Reply run(const Words& command);
  [[nodiscard]] Reply call_function(const Words& command);

  [[nodiscard]] Reply strings(const Words& words);
  [[nodiscard]] Reply keys(const Words& words);
  [[nodiscard]] Reply hashes(const Words& words);
  [[nodiscard]] Reply lists(const Words& words);
  [[nodiscard]] Reply sorted_sets(const Words& words);
  [[nodiscard]] Reply streams(const Words& words);

  std::map<std::string, Item> data_;
  std::map<std::string, Item> replica_;
  Time now_{};
};

}  // namespace reprise::sim
