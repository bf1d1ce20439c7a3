// Hears what a server tells its subscribers, on a connection and a thread of its own.
#pragma once

#include <functional>
#include <memory>
#include <set>
#include <string>

#include "redis/settings.hpp"

namespace reprise::redis {

/// What is said while nobody listens is lost, and after every gap `hear` is called once for each
/// channel: whoever needs to know looks for itself. Safe from any thread.
class Subscriber {
 public:
  /// @param hear  called from the subscriber's thread with the name of a channel: something was
  /// said there, or may have been
  Subscriber(Settings settings, std::function<void(const std::string& channel)> hear);
  /// Ends at once.
  ~Subscriber();

  /// Exactly these channels from now on. The first one starts the thread and the connection; with
  /// none they are kept. Does not block.
  void listen_to(std::set<std::string> channels);
  /// The server has confirmed all channels, and the connection stands.
  [[nodiscard]] bool is_listening() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace reprise::redis
