#include "cli/service.hpp"

#include <charconv>
#include <csignal>

#include <fmt/format.h>
#include <unistd.h>

#include "cli/data_access.hpp"
#include "core/text.hpp"

namespace reprise::cli {

Result<HostPort> parse_host_port(std::string_view text, std::string_view option) {
  HostPort place{"127.0.0.1", cluster::default_port};
  const auto refuse = [&] {
    return fail(ErrorCode::invalid_argument,
                fmt::format("{} \"{}\" is no HOST:PORT, as 127.0.0.1:4747 or [::1]:4747", option,
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

Result<cluster::Credentials> credentials_of(const GlobalOptions& globals) {
  if (!globals.certificates.empty() || !globals.secret_file.empty())
    return cluster::load_credentials({globals.certificates, globals.secret_file});
  const auto data = data_path(globals);
  if (!data) return tl::unexpected(data.error());
  auto credentials = cluster::load_credentials({{}, cluster::secret_in(*data)});
  if (!credentials && credentials.error().code == ErrorCode::not_found)
    return fail(ErrorCode::not_found,
                fmt::format("no secret for the server in \"{}\"; name its file with --secret-file, "
                            "or certificates with --certs",
                            escape_for_terminal(data->string())));
  return credentials;
}

ServiceSignals::ServiceSignals()
    : watcher_([this](int signal) {
        if (signal == SIGTSTP) {
          ::kill(::getpid(), SIGSTOP);
          return;
        }
        if (signal == SIGHUP) return;  // a service outlives its terminal
        const std::lock_guard guard(mutex_);
        ++signals_;
        last_ = signal;
        changed_.notify_all();
      }) {}

int ServiceSignals::wait() {
  std::unique_lock guard(mutex_);
  changed_.wait(guard, [&] { return signals_ > 0 || woken_; });
  if (signals_ == 0) {
    woken_ = false;
    return 0;
  }
  --signals_;
  return last_;
}

void ServiceSignals::wake() {
  const std::lock_guard guard(mutex_);
  woken_ = true;
  changed_.notify_all();
}

}  // namespace reprise::cli
