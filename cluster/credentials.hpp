// How a node proves who it is: certificates, or a secret that all nodes share.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "cluster/hub.hpp"
#include "cluster/tls.hpp"
#include "core/result.hpp"

namespace reprise::cluster {

struct Credentials {
  std::shared_ptr<const TlsContext> tls;  // null: the secret
  std::string secret;
};

struct CredentialFiles {
  std::filesystem::path certificates;  // folder of a bundle (authority.hpp); empty: none
  std::filesystem::path secret;        // file; empty: none
};

/// @error invalid_argument: both or neither are given; else as TlsContext::load(), load_secret()
[[nodiscard]] Result<Credentials> load_credentials(const CredentialFiles& files);

/// Makes the file with a new secret, for its owner alone, unless there is one.
/// @error io, denied, exhausted
[[nodiscard]] Status ensure_secret(const std::filesystem::path& file);

/// Where a server keeps the secret that it made, within its data directory.
[[nodiscard]] std::filesystem::path secret_in(const std::filesystem::path& data);

/// Of the host, as far as it can be part of a node's name.
[[nodiscard]] std::string host_name();

/// A hub for a node of this role. With certificates the node's name is theirs.
/// @param name  empty: made of the host's name and the process's number
[[nodiscard]] HubOptions hub_options(Role role, const std::string& name,
                                     const Credentials& credentials);

}  // namespace reprise::cluster
