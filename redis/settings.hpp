// Which server, as whom, and how long to wait for it.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

#include "core/result.hpp"
#include "core/time.hpp"
#include "redis/circuit_breaker.hpp"

namespace reprise::redis {

/// A TCP port or, when `socket` is not empty, a Unix socket.
struct Endpoint {
  std::string host = "127.0.0.1";
  std::uint16_t port = 6379;
  std::filesystem::path socket{};

  /// "127.0.0.1:6379", "[::1]:6379", "unix:/run/redis.sock"; for people.
  [[nodiscard]] std::string text() const;
  bool operator==(const Endpoint&) const = default;
};

/// The longest that somebody waits. A server that takes longer is treated as one that is not there.
struct Budgets {
  Duration connect = std::chrono::milliseconds{100};
  Duration operation = std::chrono::milliseconds{250};  // a round trip without large values
  Duration value = std::chrono::seconds{1};             // one with large values …
  std::uint64_t value_bytes_per_second = 10'000'000;    // … and for their bytes in addition

  /// For a round trip that moves `bytes` bytes of values; 0 = none.
  [[nodiscard]] Duration of(std::uint64_t bytes) const;
  bool operator==(const Budgets&) const = default;
};

/// What is accepted from a server. More ends the connection.
struct Limits {
  std::uint64_t reply_bytes = 256ull << 20;  // of all replies of one round trip
  std::uint32_t reply_elements = 1u << 20;   // the same, counted in values

  bool operator==(const Limits&) const = default;
};

struct Settings {
  Endpoint endpoint{};
  std::string user{};                     // empty = the server's default user
  std::filesystem::path password_file{};  // empty = no password; read anew at every connect
  std::uint32_t database = 0;
  std::string prefix = "rp1";  // of every key
  Budgets budgets{};
  Limits limits{};
  BreakerOptions breaker{};

  bool operator==(const Settings&) const = default;
};

/// "redis://[user@]host[:port][/database]", "unix:/path/of/socket[?db=1][&user=NAME]", "host:port"
/// or "host"; after each may follow "?prefix=NAME", for programs that share a server and not what
/// is on it.
/// @error invalid_argument, also for a password, which belongs into a file: command lines and
/// environments are seen by others
[[nodiscard]] Result<Settings> parse_url(std::string_view url);

/// The first line of the file, or nothing when there is none.
/// @error denied, not_found, io; invalid_argument: others may read the file, it is empty or larger
/// than 4 KiB
[[nodiscard]] Result<std::string> read_password(const std::filesystem::path& file);

}  // namespace reprise::redis
