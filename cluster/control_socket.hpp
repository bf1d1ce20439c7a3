// How another process reaches a run that lives inside this one: a UNIX socket in the run's folder.
//
// One frame asks, one frame answers, then the connection ends. Bodies are msgpack maps:
//   request  {"op": "cancel" | "pause" | "ping", "tasks": [name…], "reason": text}
//   reply    {"ok": true} or {"ok": false, "code": "conflict", "message": text}
// The socket belongs to its owner alone (0600) and is reached through the folder's descriptor, so
// that a long path does not matter (a socket address holds 107 bytes).
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.hpp"
#include "core/time.hpp"

namespace reprise::cluster {

struct ControlRequest {
  std::string op;                  // "cancel", "pause", "ping"
  std::vector<std::string> tasks;  // of a cancel or pause; empty = the whole run
  std::string reason;

  [[nodiscard]] Result<std::string> encode() const;
  /// @error invalid_argument: no map, no or unknown types of fields; unknown fields are ignored
  [[nodiscard]] static Result<ControlRequest> decode(std::string_view bytes);
  bool operator==(const ControlRequest&) const = default;
};

/// Answers requests until destroyed. Connections are served one after another, each within one
/// second, so that a peer that says nothing holds the next one up no longer.
class ControlServer {
 public:
  /// Called from the server's thread; must be quick.
  using Handler = std::function<Status(const ControlRequest&)>;

  /// Makes the socket "control" in `folder`; one that a dead process left there is replaced.
  /// @error io; conflict: a living process answers there
  [[nodiscard]] static Result<std::unique_ptr<ControlServer>> open(
      const std::filesystem::path& folder, Handler handler);
  ~ControlServer();  // removes the socket
  ControlServer(const ControlServer&) = delete;
  ControlServer& operator=(const ControlServer&) = delete;

 private:
  struct State;
  explicit ControlServer(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

/// Asks the process that runs the run in `folder`.
/// @error not_found: nobody listens there; unavailable: no answer within `deadline`; else what the
/// other side answered
Status ask_control(const std::filesystem::path& folder, const ControlRequest& request,
                   Duration deadline = std::chrono::seconds{5});

}  // namespace reprise::cluster
