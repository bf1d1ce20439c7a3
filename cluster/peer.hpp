// Who speaks on a link.
#pragma once

#include <array>
#include <chrono>
#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace reprise::cluster {

/// What a node is to the others. In a cluster with certificates it stands in the certificate, and
/// each kind of message may be sent by some roles only (wire.hpp, "may_send").
enum class Role : std::uint8_t { worker = 1, client = 2, scheduler = 3 };

/// "worker", "client", "scheduler".
[[nodiscard]] std::string_view name(Role role);
[[nodiscard]] std::optional<Role> parse_role(std::string_view text);

/// Names of nodes are used in file names, certificates and messages: 1 to 64 of A-Z a-z 0-9 . _ -,
/// the first no dot and no dash.
[[nodiscard]] bool is_node_name(std::string_view text);

/// Sixteen random bytes, drawn anew by each process: the same node started again is another one.
using Incarnation = std::array<std::uint8_t, 16>;
/// Sixteen random bytes, drawn by the accepting side for each new link.
using LinkId = std::array<std::uint8_t, 16>;

struct Identity {
  Role role = Role::client;
  std::string name;  // is_node_name()
  Incarnation incarnation{};
  auto operator<=>(const Identity&) const = default;
};

/// Link-level time is monotonic and passed in; what the wall clock says never matters to a link.
using Instant = std::chrono::steady_clock::time_point;

}  // namespace reprise::cluster
