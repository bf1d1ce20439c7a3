// Where a server is, as people write it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "cluster/hub.hpp"
#include "core/result.hpp"

namespace reprise::cluster {

struct HostPort {
  std::string host;
  std::uint16_t port = 0;
};

/// "host", "host:port", ":port", "[v6]:port"; the default port and 127.0.0.1 stand in.
/// @param what  what the text is, for the message: "--server"
/// @error invalid_argument
[[nodiscard]] Result<HostPort> parse_host_port(std::string_view text, std::string_view what);

/// Several of them, with commas between, that are to be tried one after the other.
/// @error invalid_argument
[[nodiscard]] Result<ConnectOptions> parse_servers(std::string_view text, std::string_view what);

}  // namespace reprise::cluster
