// A private redis-server of one test: on a free port and a Unix socket, in a folder of its own,
// ended with the test.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <sys/types.h>

#include "redis/client.hpp"
#include "tests/support/temporary_folder.hpp"

namespace reprise::testing {

/// A TCP port of loopback that nobody has at this moment.
[[nodiscard]] std::uint16_t free_port();

class RedisServer {
 public:
  /// @param arguments  as on redis-server's command line: {"--maxmemory", "10mb"}
  explicit RedisServer(std::vector<std::string> arguments = {});
  ~RedisServer();
  RedisServer(const RedisServer&) = delete;
  RedisServer& operator=(const RedisServer&) = delete;

  [[nodiscard]] std::uint16_t port() const { return port_; }
  [[nodiscard]] std::filesystem::path socket() const { return folder_ / "redis.sock"; }
  /// To reach it by its port, with time-outs that suit a busy machine.
  [[nodiscard]] redis::Settings settings() const;

  /// Runs one command as an administrator. Throws when the server does not answer.
  redis::Reply run(const std::vector<std::string>& command);
  template <class... Words>
  redis::Reply operator()(const Words&... words) {
    return run({std::string(words)...});
  }

  void kill();   // kill -9
  void start();  // again, on the same port
  void stop();   // SIGSTOP: accepts connections, answers nothing
  void go_on();  // SIGCONT

  /// The password of the default user, for servers that were given one.
  std::string password{};

 private:
  void wait_until_ready();

  TemporaryFolder folder_;
  std::vector<std::string> arguments_;
  std::uint16_t port_ = 0;
  pid_t process_ = -1;
};

}  // namespace reprise::testing
