// A server as everybody else sees it: commands in, replies out. Behind it a connection that is made
// when needed and made anew when lost (with password, database and functions), and a circuit
// breaker, so that a server which is down costs nothing but the first few questions.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "core/result.hpp"
#include "core/time.hpp"
#include "redis/circuit_breaker.hpp"
#include "redis/commands.hpp"
#include "redis/connection.hpp"
#include "redis/reply.hpp"
#include "redis/settings.hpp"

namespace reprise::redis {

/// Functions (Redis 7.0) that somebody's commands call. The library must register
/// `<name>_revision`, flagged no-writes, which gives `revision`.
struct Library {
  std::string name{};
  std::int64_t revision = 0;  // an older one on the server is replaced, a newer one is used
  std::string code{};         // begins "#!lua name=<name>"
};

struct Counters {
  std::uint64_t round_trips = 0;  // answered
  std::uint64_t commands = 0;     // in them
  std::uint64_t failures = 0;     // no answer, not in time, or no sense
  std::uint64_t refusals = 0;     // not even asked, because the breaker was open
  std::uint64_t connects = 0;     // that succeeded, with everything that belongs to it
  std::uint64_t openings = 0;     // of the breaker
  Duration waited{0};             // for all of these

  bool operator==(const Counters&) const = default;
};

/// Safe from any thread; one batch at a time is on its way, further ones wait their turn. What is
/// virtual lets a simulated server take the place of a real one (tests/sim): beside a round trip
/// that costs nothing.
class Client {
 public:
  enum class Needs : std::uint8_t { nothing, functions };

  /// Connects when first used.
  /// @param library  for batches that need functions; name empty = none
  /// @param clock    for the breaker's pauses
  explicit Client(Settings settings, Library library = {}, std::function<Time()> clock = now);
  virtual ~Client();
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  /// Sends a batch and waits for its replies, in order; errors that the server reports about single
  /// commands are replies. A batch may be sent twice, when a connection that was idle turns out to
  /// be gone, or functions to be missing: its commands must not mind.
  ///
  /// @param budget  from now until the answer, connecting included
  /// @error unavailable: no answer in time, connection lost, breaker open, or the server serves
  /// nobody at the moment (loading, busy, refusing writes for want of disk); corrupt: no sense;
  /// denied: wrong password, or `functions` are needed and neither there nor allowed to be loaded.
  /// Blocks.
  [[nodiscard]] Result<std::vector<Reply>> run(const Commands& batch, Duration budget,
                                               Needs needs = Needs::nothing);
  /// As run(), but each reply is taken as soon as it is here, while the server still works on the
  /// rest. A batch that is sent twice is taken twice, the second time from 0 on again. `take` must
  /// not use this client.
  [[nodiscard]] Status read(const Commands& batch, Duration budget, const Take& take);

  /// Loads the functions, whatever is there. Connects when needed.
  /// @error as run(); denied: the user may not
  Status install_functions();

  [[nodiscard]] Counters counters() const;
  [[nodiscard]] BreakerState breaker_state() const;
  [[nodiscard]] const Settings& settings() const { return settings_; }
  /// "redis 127.0.0.1:6379": begins messages.
  [[nodiscard]] const std::string& name() const { return name_; }

 protected:
  /// run(), with `take` as read() has it, or none.
  virtual Result<std::vector<Reply>> ask(const Commands& batch, Duration budget, Needs needs,
                                         const Take& take);

 private:
  Result<std::vector<Reply>> attempt(const Commands& batch, Deadline deadline, Needs needs,
                                     const Take& take);
  Status connect(Deadline deadline);
  Status load_functions(Deadline deadline);
  Result<std::vector<Reply>> exchange(const Commands& batch, Deadline deadline,
                                      const Take& take = {});

  const Settings settings_;
  const Library library_;
  const std::function<Time()> clock_;
  const std::string name_;

  mutable std::mutex mutex_;
  std::unique_ptr<Connection> connection_;
  std::optional<Error> functions_error_;  // why functions cannot be used on this connection
  Deadline functions_asked_{};            // when that was found out
  CircuitBreaker breaker_;
  Counters counters_;
};

}  // namespace reprise::redis
