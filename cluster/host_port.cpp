#include "cluster/host_port.hpp"

#include <charconv>

#include <fmt/format.h>

#include "cluster/hub.hpp"
#include "core/text.hpp"

namespace reprise::cluster {

Result<HostPort> parse_host_port(std::string_view text, std::string_view what) {
  HostPort place{"127.0.0.1", default_port};
  const auto refuse = [&] {
    return fail(ErrorCode::invalid_argument,
                fmt::format("{} \"{}\" is no HOST:PORT, as 127.0.0.1:4747 or [::1]:4747", what,
                            escape_for_terminal(text)));
  };
  std::string_view port;
  if (text.starts_with("[")) {
    const std::size_t end = text.find(']');
    if (end == std::string_view::npos) return refuse();
    place.host = text.substr(1, end - 1);
    port = text.substr(end + 1);
    if (!port.empty() && port[0] != ':') return refuse();
    if (!port.empty()) port.remove_prefix(1);
  } else {
    const std::size_t colon = text.rfind(':');
    if (colon != 0) place.host = text.substr(0, colon);
    if (colon != std::string_view::npos) {
      port = text.substr(colon + 1);
      if (port.empty()) return refuse();
    }
  }
  if (place.host.empty() || (text[0] != '[' && place.host.find(':') != std::string::npos))
    return refuse();
  if (port.empty()) return place;
  const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), place.port);
  if (error != std::errc{} || end != port.data() + port.size()) return refuse();
  return place;
}

Result<ConnectOptions> parse_servers(std::string_view text, std::string_view what) {
  ConnectOptions servers;
  for (bool is_first = true;; is_first = false) {
    const std::size_t comma = text.find(',');
    auto place = parse_host_port(text.substr(0, comma), what);
    if (!place) return tl::unexpected(place.error());
    if (is_first) {
      servers.host = std::move(place->host);
      servers.port = place->port;
    } else {
      servers.others.push_back({std::move(place->host), place->port});
    }
    if (comma == std::string_view::npos) return servers;
    text.remove_prefix(comma + 1);
  }
}

}  // namespace reprise::cluster
