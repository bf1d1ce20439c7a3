// What programs that serve share: credentials, and waiting for the signal that ends them.
#pragma once

#include <atomic>
#include <condition_variable>
#include <filesystem>
#include <functional>
#include <mutex>
#include <string>

#include "cli/console.hpp"
#include "cli/options.hpp"
#include "cli/signals.hpp"
#include "cluster/credentials.hpp"
#include "cluster/hub.hpp"

namespace reprise::cli {

/// "host", "host:port", ":port", "[v6]:port". @error invalid_argument
struct HostPort {
  std::string host;
  std::uint16_t port = 0;
};
[[nodiscard]] Result<HostPort> parse_host_port(std::string_view text, std::string_view option);

/// From --certs, --secret-file, or else the secret in the data directory.
/// @error as cluster::load_credentials(); not_found says how a secret comes to be
[[nodiscard]] Result<cluster::Credentials> credentials_of(const GlobalOptions& globals);

/// Waits for what ends a service. To be made before any thread.
class ServiceSignals {
 public:
  ServiceSignals();
  /// Blocks until a first SIGINT or SIGTERM, or wake(). @return the signal; 0: it was woken
  int wait();
  /// As if something had come. Any thread.
  void wake();

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  int signals_ = 0;  // that came and were not waited for
  int last_ = 0;
  bool woken_ = false;
  SignalWatcher watcher_;  // last: it uses the others
};

}  // namespace reprise::cli
