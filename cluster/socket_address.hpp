// Addresses of TCP sockets, and what is needed of the resolver.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <sys/socket.h>

#include "core/result.hpp"

namespace reprise::cluster {

struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t size = 0;

  [[nodiscard]] const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
  /// 127.0.0.0/8, ::1, or the former written as the latter.
  [[nodiscard]] bool is_loopback() const;
  /// "10.0.0.7", "fe80::1": without the port.
  [[nodiscard]] std::string host() const;
};

/// @param only_numeric  do not ask a name server: never blocks
/// @error invalid_argument: no such host; unavailable: the name server does not answer
[[nodiscard]] Result<std::vector<SocketAddress>> resolve(const std::string& host,
                                                         std::uint16_t port, bool only_numeric);

/// "host:port", with brackets around an IPv6 address.
[[nodiscard]] std::string endpoint_text(const std::string& host, std::uint16_t port);

}  // namespace reprise::cluster
