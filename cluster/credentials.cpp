#include "cluster/credentials.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include <fmt/format.h>

#include "cluster/authority.hpp"
#include "cluster/wire.hpp"

namespace reprise::cluster {

std::string host_name() {
  char host[256] = "host";
  ::gethostname(host, sizeof host - 1);
  std::string name;
  for (const char* c = host; *c != '\0' && *c != '.' && name.size() < 40; ++c)
    name += is_node_name(std::string("a") + *c) ? *c : '-';
  return is_node_name(name) ? name : "host";
}

Result<Credentials> load_credentials(const CredentialFiles& files) {
  Credentials credentials;
  if (files.certificates.empty() == files.secret.empty())
    return fail(ErrorCode::invalid_argument,
                files.secret.empty()
                    ? "a link needs certificates (--certs) or a shared secret (--secret-file)"
                    : "give either certificates or a secret, not both");
  if (!files.certificates.empty()) {
    auto tls = TlsContext::load(bundle_files(files.certificates));
    if (!tls) return tl::unexpected(tls.error());
    credentials.tls = *std::move(tls);
    return credentials;
  }
  auto secret = load_secret(files.secret);
  if (!secret) return tl::unexpected(secret.error());
  credentials.secret = *std::move(secret);
  return credentials;
}

Status ensure_secret(const std::filesystem::path& file) {
  std::error_code ignored;
  if (std::filesystem::exists(file, ignored)) return {};
  const std::string draft = fmt::format("{}.{}", file.string(), ::getpid());
  const int out = ::open(draft.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (out < 0) return tl::unexpected(system_error(fmt::format("make \"{}\"", draft), errno));
  const std::string secret = generate_secret() + "\n";
  const bool written =
      ::write(out, secret.data(), secret.size()) == static_cast<ssize_t>(secret.size()) &&
      ::fsync(out) == 0;
  int error = errno;
  ::close(out);
  // A link, not a move: whoever was first keeps the place.
  if (written && ::link(draft.c_str(), file.c_str()) != 0 && errno != EEXIST) {
    error = errno;
    ::unlink(draft.c_str());
    return tl::unexpected(system_error(fmt::format("make \"{}\"", file.string()), error));
  }
  ::unlink(draft.c_str());
  if (!written) return tl::unexpected(system_error(fmt::format("write \"{}\"", draft), error));
  return {};
}

std::filesystem::path secret_in(const std::filesystem::path& data) {
  return data / "link.secret";
}

HubOptions hub_options(Role role, const std::string& name, const Credentials& credentials) {
  HubOptions options;
  options.exchange.self = {
      role, name.empty() ? fmt::format("{}-{}", host_name(), ::getpid()) : name, new_incarnation()};
  if (credentials.tls) options.exchange.self.name = credentials.tls->self().name;
  options.exchange.tls = credentials.tls;
  options.exchange.secret = credentials.secret;
  options.exchange.may_send = wire::may_send;
  return options;
}

}  // namespace reprise::cluster
