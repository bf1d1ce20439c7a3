// Whether a server's settings suit what it is used for, and what to change. Pure but for inspect().
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.hpp"
#include "redis/client.hpp"

namespace reprise::redis {

/// What a server is used for. A cache may lose what it likes; a journal nothing.
enum class Role : std::uint8_t { cache, journal };

/// What is known of a server; nothing where the user may not ask.
struct ServerFacts {
  std::optional<std::string> version{};
  std::optional<bool> is_replica{};
  std::optional<std::string> maxmemory_policy{};
  std::optional<std::uint64_t> maxmemory{};  // bytes; 0 = no limit
  std::optional<std::uint64_t> used_memory{};
  std::optional<bool> aof_enabled{};
  std::optional<std::string> appendfsync{};
  std::optional<bool> aof_write_failed{};

  bool operator==(const ServerFacts&) const = default;
};

enum class Verdict : std::uint8_t { good, warning, refused };

struct Finding {
  Verdict verdict = Verdict::good;
  std::string text;
  std::string fix;  // a command to type; empty = nothing to do

  bool operator==(const Finding&) const = default;
};

/// What fits and what does not, the gravest first. A server with a `refused` finding must not be
/// used in this role.
///
/// cache:   noeviction or volatile-*; allkeys-* is a warning: it may drop records that are in use.
/// journal: noeviction and the append-only file; anything else is refused, as is not knowing.
[[nodiscard]] std::vector<Finding> check_policy(const ServerFacts& facts, Role role);

/// From the text that INFO gives and, where CONFIG GET is allowed, its names and values.
[[nodiscard]] ServerFacts facts_from_info(std::string_view info);
void add_config(ServerFacts& facts, std::string_view name, std::string_view value);

/// Asks the server: INFO, and CONFIG GET as far as the user may.
/// @error as Client::run. Blocks.
[[nodiscard]] Result<ServerFacts> inspect(Client& client);

}  // namespace reprise::redis
