#include "redis/connection.hpp"

#include <algorithm>
#include <cerrno>
#include <condition_variable>
#include <cstdint>
#include <cstring>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <fmt/format.h>

namespace reprise::redis {
namespace {

int milliseconds_until(Deadline deadline) {
  const auto left =
      std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
  return static_cast<int>(std::clamp<std::int64_t>(left.count(), 0, 3'600'000));
}

// Waits until one of `events` is there. False: not in time.
bool wait_for(int descriptor, short events, Deadline deadline) {
  for (;;) {
    pollfd wanted{descriptor, events, 0};
    const int ready = ::poll(&wanted, 1, milliseconds_until(deadline));
    if (ready > 0) return true;
    if (ready == 0) return false;
    if (errno != EINTR) return true;  // the next call reports what is wrong
  }
}

struct Address {
  sockaddr_storage bytes{};
  socklen_t size = 0;
};

std::vector<Address> addresses_of(const std::string& host, std::uint16_t port, int flags) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_NUMERICSERV | flags;
  addrinfo* list = nullptr;
  std::vector<Address> found;
  if (::getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &list) != 0) return found;
  for (const addrinfo* each = list; each != nullptr; each = each->ai_next) {
    Address address;
    std::memcpy(&address.bytes, each->ai_addr, each->ai_addrlen);
    address.size = each->ai_addrlen;
    found.push_back(address);
  }
  ::freeaddrinfo(list);
  return found;
}

// Asking for a name may take the resolver half a minute, and cannot be given up. So a thread of its
// own asks, which outlives the question if need be.
std::optional<std::vector<Address>> resolve(const std::string& host, std::uint16_t port,
                                            Deadline deadline) {
  if (auto numeric = addresses_of(host, port, AI_NUMERICHOST); !numeric.empty()) return numeric;
  struct Answer {
    std::mutex mutex;
    std::condition_variable arrived;
    std::optional<std::vector<Address>> addresses;
  };
  auto answer = std::make_shared<Answer>();
  std::thread([answer, host, port] {
    auto found = addresses_of(host, port, AI_ADDRCONFIG);
    const std::lock_guard guard(answer->mutex);
    answer->addresses = std::move(found);
    answer->arrived.notify_all();
  }).detach();
  std::unique_lock lock(answer->mutex);
  answer->arrived.wait_until(lock, deadline, [&] { return answer->addresses.has_value(); });
  return std::move(answer->addresses);
}

tl::unexpected<Error> unreachable(const Endpoint& endpoint, std::string_view why) {
  return fail(ErrorCode::unavailable, fmt::format("redis {}: {}", endpoint.text(), why));
}

// The connected socket, or the number of the error.
struct Dialed {
  int descriptor = -1;
  int error = 0;
};

Dialed dial(const Address& address, Deadline deadline) {
  const int descriptor =
      ::socket(address.bytes.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (descriptor < 0) return {-1, errno};
  int error = 0;
  if (::connect(descriptor, reinterpret_cast<const sockaddr*>(&address.bytes), address.size) != 0) {
    error = errno;
    // A Unix socket whose queue is full says EAGAIN and connects later only when asked again.
    if (error == EINPROGRESS) {
      if (wait_for(descriptor, POLLOUT, deadline)) {
        socklen_t size = sizeof error;
        error = 0;
        if (::getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &error, &size) != 0) error = errno;
      } else {
        error = ETIMEDOUT;
      }
    }
  }
  if (error != 0) {
    ::close(descriptor);
    return {-1, error};
  }
  if (address.bytes.ss_family != AF_UNIX) {
    const int on = 1;
    ::setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    ::setsockopt(descriptor, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
  }
  return {descriptor, 0};
}

Address address_of(const std::filesystem::path& socket) {
  Address address;
  auto* unix_address = reinterpret_cast<sockaddr_un*>(&address.bytes);
  unix_address->sun_family = AF_UNIX;
  const std::string& path = socket.native();
  std::memcpy(unix_address->sun_path, path.data(),
              std::min(path.size(), sizeof unix_address->sun_path - 1));
  address.size = sizeof(sockaddr_un);
  return address;
}

}  // namespace

void wait_for_any(int descriptor, Deadline deadline) {
  static_cast<void>(wait_for(descriptor, POLLIN, deadline));
}

Result<std::unique_ptr<Connection>> Connection::open(const Endpoint& endpoint, const Limits& limits,
                                                     Deadline deadline) {
  std::vector<Address> addresses;
  if (!endpoint.socket.empty()) {
    if (endpoint.socket.native().size() >= sizeof(sockaddr_un::sun_path))
      return fail(ErrorCode::invalid_argument,
                  fmt::format("redis {}: the path of a socket has at most {} bytes",
                              endpoint.text(), sizeof(sockaddr_un::sun_path) - 1));
    addresses.push_back(address_of(endpoint.socket));
  } else {
    auto found = resolve(endpoint.host, endpoint.port, deadline);
    if (!found) return unreachable(endpoint, "the host's address was not found in time");
    if (found->empty()) return unreachable(endpoint, "there is no such host");
    addresses = std::move(*found);
  }
  Dialed dialed;
  for (const Address& address : addresses) {
    dialed = dial(address, deadline);
    if (dialed.descriptor >= 0)
      return std::unique_ptr<Connection>(
          new Connection(dialed.descriptor, "redis " + endpoint.text(), limits));
  }
  return unreachable(endpoint, dialed.error == ETIMEDOUT
                                   ? std::string("did not accept the connection in time")
                                   : system_error("connect", dialed.error).message);
}

Connection::Connection(int descriptor, std::string name, const Limits& limits)
    : descriptor_(descriptor), name_(std::move(name)), reader_(limits) {}

Connection::~Connection() {
  ::close(descriptor_);
}

tl::unexpected<Error> Connection::lost(std::string_view why) const {
  return fail(ErrorCode::unavailable, fmt::format("{}: {}", name_, why));
}

Result<std::vector<Reply>> Connection::exchange(const Commands& commands, Deadline deadline,
                                                const Take& take) {
  if (is_broken_) return lost("the connection was lost");
  auto replies = exchange_all(commands, deadline, take);
  if (!replies) is_broken_ = true;
  return replies;
}

Result<std::vector<Reply>> Connection::exchange_all(const Commands& commands, Deadline deadline,
                                                    const Take& take) {
  std::vector<Reply> replies;
  replies.reserve(commands.count());
  reader_.start_round();
  // Something to read before anything was asked: the server hung up, or talks on its own.
  pollfd idle{descriptor_, POLLIN, 0};
  if (::poll(&idle, 1, 0) > 0) return lost("the server closed the connection");
  std::string_view unsent = commands.wire();
  // Both directions at once: a server whose replies nobody reads stops reading, too.
  while (!unsent.empty() || replies.size() < commands.count()) {
    const short events = static_cast<short>(unsent.empty() ? POLLIN : POLLIN | POLLOUT);
    pollfd wanted{descriptor_, events, 0};
    const int ready = ::poll(&wanted, 1, milliseconds_until(deadline));
    if (ready < 0 && errno == EINTR) continue;
    if (ready < 0) return lost(system_error("poll", errno).message);
    if (ready == 0) return lost("no reply in time");
    if ((wanted.revents & (POLLIN | POLLERR | POLLHUP)) != 0)
      if (auto done = receive_some(replies, commands.count(), take); !done)
        return tl::unexpected(done.error());
    if ((wanted.revents & POLLOUT) != 0)
      if (auto done = send_some(unsent); !done) return tl::unexpected(done.error());
    // A server that sends a little all the time is late, too.
    if (std::chrono::steady_clock::now() >= deadline &&
        (!unsent.empty() || replies.size() < commands.count()))
      return lost("no reply in time");
  }
  return replies;
}

Status Connection::send(const Commands& commands, Deadline deadline) {
  std::string_view unsent = commands.wire();
  while (!unsent.empty()) {
    if (!wait_for(descriptor_, POLLOUT, deadline)) return lost("takes no more commands");
    if (auto done = send_some(unsent); !done) return done;
  }
  return {};
}

Result<std::vector<Reply>> Connection::listen(int bell, Deadline deadline) {
  std::vector<Reply> said;
  reader_.start_round();
  while (said.empty()) {
    pollfd wanted[]{{descriptor_, POLLIN, 0}, {bell, POLLIN, 0}};
    const int ready = ::poll(wanted, 2, milliseconds_until(deadline));
    if (ready < 0 && errno == EINTR) continue;
    if (ready < 0) return lost(system_error("poll", errno).message);
    if (wanted[0].revents != 0)
      if (auto done = receive_some(said, SIZE_MAX, {}); !done) return tl::unexpected(done.error());
    if (ready == 0 || wanted[1].revents != 0) break;
  }
  return said;
}

Status Connection::send_some(std::string_view& unsent) {
  const ssize_t sent = ::send(descriptor_, unsent.data(), unsent.size(), MSG_NOSIGNAL);
  if (sent < 0) {
    if (errno == EAGAIN || errno == EINTR) return {};
    return lost(system_error("send", errno).message);
  }
  unsent.remove_prefix(static_cast<std::size_t>(sent));
  return {};
}

Status Connection::receive_some(std::vector<Reply>& replies, std::size_t expected,
                                const Take& take) {
  char buffer[64 * 1024];
  const ssize_t got = ::recv(descriptor_, buffer, sizeof buffer, 0);
  if (got < 0) {
    if (errno == EAGAIN || errno == EINTR) return {};
    return lost(system_error("receive", errno).message);
  }
  if (got == 0) return lost("the server closed the connection");
  const auto refused = [&](const Error& error) {
    return fail(error.code, fmt::format("{}: {}", name_, error.message));
  };
  if (auto fed = reader_.feed({buffer, static_cast<std::size_t>(got)}); !fed)
    return refused(fed.error());
  for (;;) {
    auto reply = reader_.next();
    if (!reply) return refused(reply.error());
    if (!*reply) return {};
    if (replies.size() == expected)
      return fail(ErrorCode::corrupt, fmt::format("{}: a reply that nobody asked for", name_));
    has_answered_ = true;
    replies.push_back(std::move(**reply));
    if (take) take(replies.size() - 1, replies.back());
  }
}

}  // namespace reprise::redis
