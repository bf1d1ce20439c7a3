#include "cluster/peer.hpp"

#include <algorithm>

namespace reprise::cluster {

std::string_view name(Role role) {
  switch (role) {
    case Role::worker:
      return "worker";
    case Role::client:
      return "client";
    case Role::scheduler:
      return "scheduler";
  }
  return "unknown";
}

std::optional<Role> parse_role(std::string_view text) {
  for (const Role role : {Role::worker, Role::client, Role::scheduler})
    if (name(role) == text) return role;
  return std::nullopt;
}

bool is_node_name(std::string_view text) {
  const auto is_fine = [](char c) {
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '_' || c == '-';
  };
  return !text.empty() && text.size() <= 64 && text.front() != '.' && text.front() != '-' &&
         std::all_of(text.begin(), text.end(), is_fine);
}

}  // namespace reprise::cluster
