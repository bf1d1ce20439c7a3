#include "cluster/hub.hpp"

#include <future>
#include <span>
#include <utility>

#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>

#include <fmt/format.h>
#include <openssl/rand.h>

#include "cluster/reactor.hpp"
#include "core/assert.hpp"

namespace reprise::cluster {
namespace {

constexpr std::size_t short_bytes = 4u << 10;  // of a message that is sent on the spot

void random_bytes(std::span<std::uint8_t> out) {
  REPRISE_ASSERT(RAND_bytes(out.data(), static_cast<int>(out.size())) == 1);
}

/// Whether traffic with this address needs certificates.
Status check_exposure(const HubOptions& options, const SocketAddress& address) {
  if (options.exchange.tls || options.secret_beyond_loopback || address.is_loopback()) return {};
  return fail(ErrorCode::denied,
              fmt::format("\"{}\" is beyond this machine, which needs certificates; make them with "
                          "reprise cluster init and add-node",
                          address.host()));
}

Result<Descriptor> listening_socket(const SocketAddress& address) {
  Descriptor made{
      ::socket(address.storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)};
  if (!made.is_open()) return tl::unexpected(system_error("socket", errno));
  const int on = 1;
  (void)::setsockopt(made.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (address.storage.ss_family == AF_INET6)
    (void)::setsockopt(made.get(), IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
  if (::bind(made.get(), address.get(), address.size) != 0 || ::listen(made.get(), 1024) != 0) {
    Error error = system_error(fmt::format("listen on \"{}\"", address.host()), errno);
    if (errno == EADDRINUSE) error.code = ErrorCode::conflict;
    return tl::unexpected(error);
  }
  return made;
}

std::uint16_t port_of(const Descriptor& socket) {
  SocketAddress bound;
  bound.size = sizeof bound.storage;
  REPRISE_ASSERT(
      ::getsockname(socket.get(), reinterpret_cast<sockaddr*>(&bound.storage), &bound.size) == 0);
  return ntohs(bound.storage.ss_family == AF_INET
                   ? reinterpret_cast<const sockaddr_in*>(&bound.storage)->sin_port
                   : reinterpret_cast<const sockaddr_in6*>(&bound.storage)->sin6_port);
}

void set_port(SocketAddress& address, std::uint16_t port) {
  if (address.storage.ss_family == AF_INET)
    reinterpret_cast<sockaddr_in*>(&address.storage)->sin_port = htons(port);
  else
    reinterpret_cast<sockaddr_in6*>(&address.storage)->sin6_port = htons(port);
}

}  // namespace

Incarnation new_incarnation() {
  Incarnation made{};
  random_bytes(made);
  return made;
}

// ---- LinkSender ----

LinkSender::LinkSender(LinkNumber link, LinkLimits limits, std::shared_ptr<Mailbox> mailbox)
    : link_(link), limits_(limits), mailbox_(std::move(mailbox)) {}

Status LinkSender::send(std::uint16_t kind, std::string bytes) {
  if (over_) return fail(ErrorCode::not_found, "the link is over");
  if (bytes.size() > limits_.max_message_bytes)
    return fail(ErrorCode::invalid_argument,
                fmt::format("a message of {} bytes is above the limit of {} bytes", bytes.size(),
                            limits_.max_message_bytes));
  const std::size_t cost = Link::cost(bytes.size(), limits_);
  for (std::size_t waiting = waiting_.load();;) {
    // One message is always taken, whatever the limits.
    if (waiting != 0 && waiting + cost > limits_.max_unacked_bytes) {
      refused_ = true;
      return fail(ErrorCode::exhausted,
                  fmt::format("the peer has not taken {} bytes yet; the limit is {} bytes", waiting,
                              limits_.max_unacked_bytes));
    }
    if (waiting_.compare_exchange_weak(waiting, waiting + cost)) break;
  }
  mailbox_->post({shared_from_this(), kind, std::move(bytes)});
  return {};
}

void LinkSender::close(Error why) {
  mailbox_->post(
      [link = link_, why = std::move(why)](Reactor& reactor) { reactor.close_link(link, why); });
}

// ---- Mailbox ----

void Mailbox::wake_up() {
  const std::lock_guard lock(mutex_);
  if (std::exchange(awake_, true)) return;
  const std::uint64_t one = 1;
  (void)!::write(wake_.get(), &one, sizeof one);
}

void Mailbox::post(Send send) {
  const bool is_short = send.bytes.size() <= short_bytes;
  {
    const std::lock_guard lock(mutex_);
    if (closed_) return;
    content_.sends.push_back(std::move(send));
    if (awake_) return;
  }
  if (is_short && std::this_thread::get_id() != reactor_thread_) {
    const std::unique_lock turn(turn_, std::try_to_lock);
    if (turn && reactor_ != nullptr) return reactor_->help();
  }
  wake_up();
}

void Mailbox::post(Task task) {
  {
    const std::lock_guard lock(mutex_);
    if (closed_) return;
    content_.tasks.push_back(std::move(task));
  }
  wake_up();
}

Mailbox::Content Mailbox::take() {
  const std::lock_guard lock(mutex_);
  if (std::exchange(awake_, false)) {
    std::uint64_t count = 0;
    (void)!::read(wake_.get(), &count, sizeof count);
  }
  return std::exchange(content_, {});
}

void Mailbox::close() {
  Content dropped;  // destroyed without the lock: what is in it may post
  const std::lock_guard lock(mutex_);
  closed_ = true;
  std::swap(dropped, content_);
}

// ---- Hub ----

Result<std::unique_ptr<Hub>> Hub::open(HubOptions options) {
  REPRISE_ASSERT(options.on_event);
  auto exchange = Exchange::open(options.exchange, random_bytes);
  if (!exchange) return tl::unexpected(exchange.error());
  Descriptor wake{::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)};
  Descriptor epoll{::epoll_create1(EPOLL_CLOEXEC)};
  if (!wake.is_open() || !epoll.is_open()) return tl::unexpected(system_error("epoll", errno));
  return std::unique_ptr<Hub>(
      new Hub(std::make_unique<Reactor>(std::move(options), std::move(*exchange), std::move(epoll),
                                        std::make_shared<Mailbox>(std::move(wake)))));
}

Hub::Hub(std::unique_ptr<Reactor> reactor) : reactor_(std::move(reactor)) {}
Hub::~Hub() = default;

Result<std::uint16_t> Hub::listen(const ListenOptions& options) {
  auto addresses = resolve(options.host, options.port, false);
  if (!addresses) return tl::unexpected(addresses.error());
  for (const SocketAddress& address : *addresses)
    if (auto fine = check_exposure(reactor_->options(), address); !fine)
      return tl::unexpected(fine.error());
  std::uint16_t port = options.port;
  std::vector<Descriptor> sockets;
  Error last{ErrorCode::io, "no address to listen on"};
  for (SocketAddress& address : *addresses) {
    set_port(address, port);
    auto made = listening_socket(address);
    if (!made) {
      last = made.error();
      // A name may stand for an address that this machine does not have.
      if (errno == EADDRNOTAVAIL || errno == EAFNOSUPPORT) continue;
      return tl::unexpected(last);
    }
    if (port == 0) port = port_of(*made);
    sockets.push_back(std::move(*made));
  }
  if (sockets.empty()) return tl::unexpected(last);
  for (Descriptor& socket : sockets)
    reactor_->mailbox().post([shared = std::make_shared<Descriptor>(std::move(socket))](
                                 Reactor& reactor) { reactor.add_listener(std::move(*shared)); });
  return port;
}

Result<DialNumber> Hub::connect(const ConnectOptions& options) {
  std::vector<PeerPlace> places = options.others;
  places.push_back({options.host, options.port});
  for (const PeerPlace& place : places)
    if (const auto numeric = resolve(place.host, place.port, true))
      for (const SocketAddress& address : *numeric)
        if (auto fine = check_exposure(reactor_->options(), address); !fine)
          return tl::unexpected(fine.error());
  auto number = std::make_shared<std::promise<DialNumber>>();
  auto given = number->get_future();
  reactor_->mailbox().post(
      [number, options](Reactor& reactor) { number->set_value(reactor.add_dial(options)); });
  return given.get();
}

void Hub::hang_up(DialNumber dial) {
  reactor_->mailbox().post([dial](Reactor& reactor) { reactor.hang_up(dial); });
}

}  // namespace reprise::cluster
