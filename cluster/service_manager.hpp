// What a service tells the manager that started it: the datagrams of sd_notify(3).
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "core/time.hpp"

namespace reprise::cluster {

/// Without NOTIFY_SOCKET in the environment nobody is told anything. Safe from any thread.
class ServiceManager {
 public:
  ServiceManager();
  ~ServiceManager();
  ServiceManager(const ServiceManager&) = delete;
  ServiceManager& operator=(const ServiceManager&) = delete;

  /// The service serves.
  void ready(std::string_view status);
  /// One line about how it is.
  void status(std::string_view text);
  /// It ends.
  void stopping(std::string_view status);
  /// It is alive: to be told at least as often as `watchdog()` says.
  void alive();

  /// How often the manager has to hear that the service is alive; half of what kills it.
  [[nodiscard]] std::optional<Duration> watchdog() const { return watchdog_; }

 private:
  void send(std::string_view message) const;

  int socket_ = -1;
  std::string path_;  // of the manager's socket; a leading NUL: it has no file
  std::optional<Duration> watchdog_;
};

}  // namespace reprise::cluster
