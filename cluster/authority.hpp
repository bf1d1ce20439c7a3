// Makes the certificates of a cluster: one authority, and a bundle for each node.
//
//   FOLDER/authority.crt   certificate of the authority; every node has a copy
//   FOLDER/authority.key   its private key, 0600; needed only to add nodes, keep it off the nodes
//   FOLDER/link.secret     a shared secret for the mode without certificates, 0600
//   FOLDER/nodes/NAME/     what node NAME gets: authority.crt, node.crt, node.key (0600)
//
// Keys are P-256, certificates X.509 v3. A node's role and name stand in its certificate as the URI
// "reprise:ROLE:NAME". Files are written aside and moved into place, so an interrupted command
// leaves nothing that looks finished. Blocks for the disk; safe from several processes.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include "cluster/peer.hpp"
#include "cluster/tls.hpp"
#include "core/result.hpp"
#include "core/time.hpp"

namespace reprise::cluster {

struct AuthorityOptions {
  std::filesystem::path folder;     // made when missing, for its owner alone
  std::string cluster = "reprise";  // for people; is_node_name()
  Duration valid{std::chrono::hours{24 * 3650}};
};

/// Makes authority.crt, authority.key and link.secret.
/// @error conflict: there is an authority already, nothing was changed; invalid_argument: the name;
/// io, denied, exhausted: the disk
[[nodiscard]] Status make_authority(const AuthorityOptions& options, Time now);

struct NodeOptions {
  std::filesystem::path folder;  // of the authority
  std::string name;              // is_node_name(), unique in the cluster
  Role role = Role::worker;
  Duration valid{std::chrono::hours{24 * 825}};  // ends with the authority's own at the latest
};

/// Makes a node's bundle. @return its folder, to be copied to the node
/// @error not_found: no authority in the folder; conflict: there is a bundle of this name already;
/// invalid_argument: the name; corrupt: the authority's files; io, denied, exhausted: the disk
[[nodiscard]] Result<std::filesystem::path> add_node(const NodeOptions& options, Time now);

/// The files of a bundle, for TlsContext::load().
[[nodiscard]] TlsFiles bundle_files(const std::filesystem::path& bundle);

/// A secret as the file holds it: 32 random bytes as 64 hex digits.
[[nodiscard]] std::string generate_secret();

/// Reads a secret from a file; white space at its end does not count.
/// @error not_found, io; denied: others than its owner may read it; invalid_argument: shorter than
/// min_secret_bytes
[[nodiscard]] Result<std::string> load_secret(const std::filesystem::path& file);

}  // namespace reprise::cluster
