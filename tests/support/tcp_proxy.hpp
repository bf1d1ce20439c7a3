// A TCP server on a free port of the loopback that behaves badly: alone, or between a client and a
// real server.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace reprise::testing {

/// Accepts connections and runs `serve` for each on a thread of its own. The function must return
/// soon after its connection was shut down.
class TcpServer {
 public:
  explicit TcpServer(std::function<void(int descriptor)> serve);
  ~TcpServer();
  TcpServer(const TcpServer&) = delete;
  TcpServer& operator=(const TcpServer&) = delete;

  [[nodiscard]] std::uint16_t port() const { return port_; }
  [[nodiscard]] int accepted() const { return accepted_; }
  /// Ends all connections, as an overloaded network would.
  void cut();

 private:
  void accept_all();

  std::function<void(int)> serve_;
  int listener_ = -1;
  std::uint16_t port_ = 0;
  std::atomic<int> accepted_{0};
  std::atomic<bool> ends_{false};
  std::mutex mutex_;
  std::vector<int> open_;
  std::vector<std::thread> threads_;
  std::thread acceptor_;
};

/// Never says a word.
void say_nothing(int descriptor);
/// Reads and answers every read with `answer`, over and over.
std::function<void(int)> answer_with(std::string answer);

/// Passes bytes on to a server on `target`, in the manner that is set at the moment.
class TcpProxy {
 public:
  enum class Manner {
    pass,
    late,     // every answer, by the slowness
    swallow,  // answers
    corrupt,  // answers
    corrupt_questions,
    truncate,  // answers, and then the line is cut
    drip,      // a byte now and then
    cut,       // instead of an answer
  };

  explicit TcpProxy(std::uint16_t target);

  [[nodiscard]] std::uint16_t port() const { return server_.port(); }
  void set(Manner manner) { manner_ = manner; }
  void be_late(int milliseconds) {
    slowness_ = milliseconds;
    manner_ = Manner::late;
  }
  void cut() { server_.cut(); }

 private:
  void pass_on(int client);

  std::uint16_t target_;
  std::atomic<Manner> manner_{Manner::pass};
  std::atomic<int> slowness_{0};
  TcpServer server_;
};

}  // namespace reprise::testing
