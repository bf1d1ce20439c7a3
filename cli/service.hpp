// What programs that serve share: credentials, and waiting for the signal that ends them.
#pragma once

#include <atomic>
#include <condition_variable>
#include <filesystem>
#include <functional>
#include <mutex>
#include <optional>
#include <string>

#include "cli/console.hpp"
#include "cli/options.hpp"
#include "cli/signals.hpp"
#include "cluster/credentials.hpp"
#include "cluster/host_port.hpp"
#include "cluster/hub.hpp"
#include "cluster/service_manager.hpp"

namespace reprise::cli {

using cluster::parse_host_port;
using cluster::parse_servers;
using cluster::ServiceManager;

/// From --certs, --secret-file, or else the secret in the data directory.
/// @error as cluster::load_credentials(); not_found says how a secret comes to be
[[nodiscard]] Result<cluster::Credentials> credentials_of(const GlobalOptions& globals);

/// Runs a service until a signal ends it: tells its manager that it is ready, and that it is alive
/// as long as `is_alive` says so.
/// @param status  one line about how it is, for the manager
/// @return the signal; 0: it was woken
class ServiceSignals;
int serve(ServiceSignals& signals, ServiceManager& manager, const std::function<bool()>& is_alive,
          const std::function<std::string()>& status);

/// Waits for what ends a service. To be made before any thread.
class ServiceSignals {
 public:
  ServiceSignals();
  /// Blocks until a first SIGINT or SIGTERM, or wake(). @return the signal; 0: it was woken
  int wait();
  /// The same, for at most so long. nullopt: nothing came
  std::optional<int> wait_for(Duration limit);
  /// As if something had come. Any thread.
  void wake();

 private:
  int take();

  std::mutex mutex_;
  std::condition_variable changed_;
  int signals_ = 0;  // that came and were not waited for
  int last_ = 0;
  bool woken_ = false;
  SignalWatcher watcher_;  // last: it uses the others
};

}  // namespace reprise::cli
