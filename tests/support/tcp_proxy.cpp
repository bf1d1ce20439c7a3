#include "tests/support/tcp_proxy.hpp"

#include <algorithm>
#include <chrono>
#include <stdexcept>

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

namespace reprise::testing {
namespace {

sockaddr_in loopback(std::uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(port);
  return address;
}

bool send_all(int descriptor, const char* data, std::size_t size) {
  while (size > 0) {
    const ssize_t sent = ::send(descriptor, data, size, MSG_NOSIGNAL);
    if (sent <= 0) return false;
    data += sent;
    size -= static_cast<std::size_t>(sent);
  }
  return true;
}

// Somewhere in what is not the protocol's frame.
void corrupt(char* bytes, std::size_t size) {
  for (std::size_t i = size / 2; i < size; i += 61)
    if (bytes[i] != '\r' && bytes[i] != '\n') bytes[i] = static_cast<char>(bytes[i] ^ 0x20);
}

// False: the other side hung up meanwhile.
bool pause(int descriptor, int milliseconds) {
  pollfd hung_up{descriptor, 0, 0};
  return ::poll(&hung_up, 1, milliseconds) == 0;
}

}  // namespace

TcpServer::TcpServer(std::function<void(int)> serve) : serve_(std::move(serve)) {
  listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address = loopback(0);
  socklen_t size = sizeof address;
  if (::bind(listener_, reinterpret_cast<sockaddr*>(&address), size) != 0 ||
      ::listen(listener_, 64) != 0 ||
      ::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size) != 0)
    throw std::runtime_error("cannot listen");
  port_ = ntohs(address.sin_port);
  acceptor_ = std::thread([this] { accept_all(); });
}

TcpServer::~TcpServer() {
  ends_ = true;
  ::shutdown(listener_, SHUT_RDWR);
  acceptor_.join();
  cut();
  for (std::thread& thread : threads_) thread.join();
  ::close(listener_);
}

void TcpServer::accept_all() {
  while (!ends_) {
    const int descriptor = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    if (descriptor < 0) return;
    ++accepted_;
    const std::lock_guard guard(mutex_);
    open_.push_back(descriptor);
    threads_.emplace_back([this, descriptor] {
      serve_(descriptor);
      const std::lock_guard inner(mutex_);
      open_.erase(std::find(open_.begin(), open_.end(), descriptor));
      ::close(descriptor);
    });
  }
}

void TcpServer::cut() {
  const std::lock_guard guard(mutex_);
  for (const int descriptor : open_) ::shutdown(descriptor, SHUT_RDWR);
}

void say_nothing(int descriptor) {
  char buffer[4096];
  while (::recv(descriptor, buffer, sizeof buffer, 0) > 0) {
  }
}

std::function<void(int)> answer_with(std::string answer) {
  return [answer = std::move(answer)](int descriptor) {
    char buffer[4096];
    while (::recv(descriptor, buffer, sizeof buffer, 0) > 0)
      if (!send_all(descriptor, answer.data(), answer.size())) return;
  };
}

TcpProxy::TcpProxy(std::uint16_t target)
    : target_(target), server_([this](int client) { pass_on(client); }) {}

void TcpProxy::pass_on(int client) {
  const int server = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const sockaddr_in address = loopback(target_);
  const int on = 1;
  ::setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  ::setsockopt(server, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  bool goes_on =
      ::connect(server, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
  std::vector<char> buffer(64 * 1024);
  while (goes_on) {
    pollfd ends[2]{{client, POLLIN, 0}, {server, POLLIN, 0}};
    if (::poll(ends, 2, -1) < 0) break;
    for (int from = 0; from < 2 && goes_on; ++from) {
      if (ends[from].revents == 0) continue;
      const ssize_t got = ::recv(ends[from].fd, buffer.data(), buffer.size(), 0);
      if (got <= 0) {
        goes_on = false;
        break;
      }
      auto size = static_cast<std::size_t>(got);
      if (from == 0) {
        if (manner_ == Manner::corrupt_questions) corrupt(buffer.data(), size);
        goes_on = send_all(server, buffer.data(), size);
        continue;
      }
      switch (manner_.load()) {
        case Manner::late:
          goes_on = pause(client, slowness_);
          [[fallthrough]];
        case Manner::pass:
        case Manner::corrupt_questions:
          goes_on = goes_on && send_all(client, buffer.data(), size);
          break;
        case Manner::swallow:
          break;
        case Manner::corrupt:
          corrupt(buffer.data(), size);
          goes_on = send_all(client, buffer.data(), size);
          break;
        case Manner::truncate:
          (void)send_all(client, buffer.data(), size / 2);
          goes_on = false;
          break;
        case Manner::drip:  // a byte now and then
          for (std::size_t i = 0; i < size && goes_on; ++i) {
            goes_on = send_all(client, buffer.data() + i, 1) && pause(client, 10);
          }
          break;
        case Manner::cut:
          goes_on = false;
          break;
      }
    }
  }
  ::close(server);
}

}  // namespace reprise::testing
