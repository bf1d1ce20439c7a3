#include "cluster/reactor.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <optional>
#include <utility>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>

#include <fmt/format.h>

#include "core/assert.hpp"

namespace reprise::cluster {
namespace {

constexpr std::size_t read_bytes = 64u
                                   << 10;  // at once from one connection, so that all get a turn
constexpr std::size_t write_bytes = 256u << 10;  // taken from a link at once
constexpr int accepts_at_once = 64;
constexpr Duration tick_time = std::chrono::milliseconds{50};
constexpr Duration farewell_time = std::chrono::milliseconds{500};  // for all links, at the end

// What an epoll entry is about.
constexpr std::uint64_t listener_tag = 1ull << 62;
constexpr std::uint64_t call_tag = 1ull << 63;
constexpr std::uint64_t wake_tag = UINT64_MAX;

Error lost_error(const std::string& what, int errno_value) {
  Error error = system_error(what, errno_value);
  error.code = ErrorCode::unavailable;
  return error;
}

/// Bytes of messages that their owner holds; the last copy to go tells the reactor when half of the
/// window is free again.
std::shared_ptr<const void> hold_of(std::size_t bytes, std::size_t window, LinkNumber link,
                                    std::shared_ptr<std::atomic<std::size_t>> held,
                                    std::shared_ptr<Mailbox> mailbox) {
  held->fetch_add(bytes);
  return std::shared_ptr<const void>(
      nullptr, [=, held = std::move(held), mailbox = std::move(mailbox)](const void*) {
        const std::size_t before = held->fetch_sub(bytes);
        if (before > window / 2 && before - bytes <= window / 2)
          mailbox->post([link](Reactor& reactor) { reactor.read_again(link); });
      });
}

// In order. With a name server, places that it does not know are left out, unless they are all.
Result<std::vector<SocketAddress>> resolve_all(const std::vector<PeerPlace>& places,
                                               bool only_numeric) {
  std::vector<SocketAddress> all;
  std::optional<Error> error;
  for (const PeerPlace& place : places) {
    const auto addresses = resolve(place.host, place.port, only_numeric);
    if (addresses)
      all.insert(all.end(), addresses->begin(), addresses->end());
    else
      error = addresses.error();
  }
  if (error && (only_numeric || all.empty())) return tl::unexpected(*std::move(error));
  return all;
}

}  // namespace

Reactor::Reactor(HubOptions options, std::unique_ptr<Exchange> exchange, Descriptor epoll,
                 std::shared_ptr<Mailbox> mailbox)
    : options_(std::move(options)),
      exchange_(std::move(exchange)),
      epoll_(std::move(epoll)),
      mailbox_(std::move(mailbox)) {
  epoll_event event{EPOLLIN, {.u64 = wake_tag}};
  REPRISE_ASSERT(::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, mailbox_->wake_descriptor(), &event) ==
                 0);
  now_ = std::chrono::steady_clock::now();
  next_tick_ = now_ + tick_time;
  thread_ = std::thread([this] { run(); });
}

Reactor::~Reactor() {
  stopping_ = true;
  mailbox_->post([](Reactor&) {});
  thread_.join();
}

// ---- the loop ----

void Reactor::run() {
  const std::lock_guard own_turn(mailbox_->turn());
  mailbox_->set_reactor(this);
  while (!stopping_) turn(static_cast<int>(tick_time.count() / 1'000'000));
  mailbox_->turn().unlock();
  handle_events();
  mailbox_->turn().lock();
  mailbox_->set_reactor(nullptr);
  shut_down();
  mailbox_->close();
  for (auto& [number, endpoint] : endpoints_) endpoint.sender->over_ = true;
}

void Reactor::shut_down() {
  listeners_.clear();
  calls_.clear();
  take_mail();  // what was sent before the end was asked for
  exchange_->shut_down({ErrorCode::cancelled, "the peer is shutting down"}, now_);
  settle();
  const Instant until = now_ + farewell_time;
  while (exchange_->connection_count() > 0 && now_ < until) turn(10);
}

void Reactor::turn(int timeout_ms) {
  std::array<epoll_event, 128> events;
  const int patience = dirty_.empty() ? timeout_ms : 0;
  mailbox_->turn().unlock();
  handle_events();
  const int count =
      ::epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()), patience);
  if (options_.before_events && !stopping_) {
    options_.before_events();
    has_begun_events_ = true;
  }
  mailbox_->turn().lock();
  now_ = std::chrono::steady_clock::now();
  for (int i = 0; i < count; ++i) {
    const std::uint64_t tag = events[static_cast<std::size_t>(i)].data.u64;
    const std::uint32_t what = events[static_cast<std::size_t>(i)].events;
    if (tag == wake_tag) continue;
    if (tag & call_tag) {
      finish_call(static_cast<int>(tag & ~call_tag));
    } else if (tag & listener_tag) {
      accept_from(static_cast<int>(tag & ~listener_tag));
    } else {
      if (what & EPOLLOUT) dirty_.insert(tag);
      const auto found = sockets_.find(tag);
      if (found == sockets_.end()) continue;
      if (found->second.reading)
        read_from(tag);
      else if (what & (EPOLLERR | EPOLLHUP))
        lose(tag, {ErrorCode::unavailable, "the connection was reset"});
    }
    settle();
  }
  take_mail();
  settle();
  if (now_ >= next_tick_) on_tick();
  for (const ConnectionNumber number : std::exchange(dirty_, {})) flush(number);
  settle();
}

// Without the turn, so that what is sent meanwhile leaves at once.
void Reactor::handle_events() {
  if (std::exchange(has_begun_events_, false) && options_.after_events) options_.after_events();
}

// Whoever sends may hold what the owner of the events needs: telling is for the reactor's own
// thread.
void Reactor::help() {
  now_ = std::chrono::steady_clock::now();
  take_mail();
  for (const ConnectionNumber number : std::exchange(dirty_, {})) flush(number);
  if (!dirty_.empty() || exchange_->has_effects()) mailbox_->wake_up();
}

void Reactor::on_tick() {
  next_tick_ = now_ + tick_time;
  exchange_->tick(now_);
  settle();
  std::vector<int> late;
  for (const auto& [fd, call] : calls_)
    if (now_ >= call.deadline) late.push_back(fd);
  for (const int fd : late) {
    Call call = std::move(calls_.at(fd));
    calls_.erase(fd);
    try_next(call.dial, std::move(call.rest),
             {ErrorCode::unavailable,
              fmt::format("no connection within {}", describe(options_.connect_deadline))});
  }
  for (const auto& [number, socket] : sockets_)
    if (exchange_->has_output(number)) dirty_.insert(number);
  if (std::exchange(listeners_rest_, false))
    for (const auto& [fd, listener] : listeners_) {
      epoll_event event{EPOLLIN, {.u64 = listener_tag | static_cast<std::uint64_t>(fd)}};
      (void)::epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, fd, &event);
    }
  settle();
}

void Reactor::take_mail() {
  Mailbox::Content mail = mailbox_->take();
  for (Mailbox::Send& send : mail.sends) take_send(send);
  for (const Mailbox::Task& task : mail.tasks) task(*this);
}

void Reactor::take_send(Mailbox::Send& send) {
  const LinkNumber link = send.sender->link();
  const auto found = endpoints_.find(link);
  if (found == endpoints_.end()) return;  // its owner is told that the link is over
  const std::size_t before = exchange_->unacked_bytes(link);
  const auto sent = exchange_->send(link, send.kind, std::move(send.bytes));
  // The sender was asked before: only a link that is being closed refuses.
  REPRISE_ASSERT(sent || sent.error().code == ErrorCode::not_found, sent.error().message);
  found->second.accounted += exchange_->unacked_bytes(link) - before;
  if (const auto connection = exchange_->connection_of(link)) dirty_.insert(*connection);
}

// ---- sockets ----

void Reactor::watch(Socket& socket, ConnectionNumber number) {
  const bool blocked = socket.sent < socket.out.size();
  const std::uint32_t wanted = (socket.reading ? static_cast<std::uint32_t>(EPOLLIN) : 0u) |
                               (blocked ? static_cast<std::uint32_t>(EPOLLOUT) : 0u);
  if (wanted == socket.waits_for) return;
  socket.waits_for = wanted;
  epoll_event event{wanted, {.u64 = number}};
  (void)::epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, socket.descriptor.get(), &event);
}

void Reactor::add_listener(Descriptor socket) {
  const int fd = socket.get();
  epoll_event event{EPOLLIN, {.u64 = listener_tag | static_cast<std::uint64_t>(fd)}};
  REPRISE_ASSERT(::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) == 0);
  listeners_.emplace(fd, std::move(socket));
}

void Reactor::accept_from(int listener) {
  for (int i = 0; i < accepts_at_once && listeners_.contains(listener); ++i) {
    SocketAddress peer;
    peer.size = sizeof peer.storage;
    Descriptor accepted{::accept4(listener, reinterpret_cast<sockaddr*>(&peer.storage), &peer.size,
                                  SOCK_NONBLOCK | SOCK_CLOEXEC)};
    if (!accepted.is_open()) {
      if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
        // Asking again at once would only heat the processor.
        listeners_rest_ = true;
        epoll_event event{0, {.u64 = listener_tag | static_cast<std::uint64_t>(listener)}};
        (void)::epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, listener, &event);
      }
      return;
    }
    const int on = 1;
    (void)::setsockopt(accepted.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    const ConnectionNumber number = exchange_->accepted(peer.host(), now_);
    Socket socket;
    socket.descriptor = std::move(accepted);
    socket.waits_for = EPOLLIN;
    epoll_event event{EPOLLIN, {.u64 = number}};
    if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, socket.descriptor.get(), &event) == 0)
      sockets_.emplace(number, std::move(socket));
    else
      exchange_->lost(number, lost_error("epoll", errno), now_);
    settle();
  }
}

void Reactor::read_from(ConnectionNumber number) {
  Socket& socket = sockets_.at(number);
  thread_local std::array<char, read_bytes> buffer;
  const ssize_t got = ::recv(socket.descriptor.get(), buffer.data(), buffer.size(), 0);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (got <= 0)
    return lose(number, got == 0 ? Error{ErrorCode::unavailable, "the peer closed the connection"}
                                 : lost_error("receive", errno));
  if (socket.ending) return;  // nothing is heard any more
  exchange_->received(number, {buffer.data(), static_cast<std::size_t>(got)}, now_);
  if (const auto link = exchange_->link_of(number)) account(*link);
  dirty_.insert(number);
}

void Reactor::flush(ConnectionNumber number) {
  const auto found = sockets_.find(number);
  if (found == sockets_.end() || found->second.shut) return;
  Socket& socket = found->second;
  for (std::size_t written = 0;;) {
    if (socket.sent == socket.out.size()) {
      socket.out.clear();
      socket.sent = 0;
      if (written >= write_bytes) {  // others want a turn, too
        if (exchange_->has_output(number)) dirty_.insert(number);
        break;
      }
      exchange_->produce(number, socket.out, write_bytes, now_);
      if (socket.out.empty()) break;
    }
    const ssize_t sent = ::send(socket.descriptor.get(), socket.out.data() + socket.sent,
                                socket.out.size() - socket.sent, MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0 && errno == EAGAIN) break;
    if (sent < 0) return lose(number, lost_error("send", errno));
    socket.sent += static_cast<std::size_t>(sent);
    written += static_cast<std::size_t>(sent);
  }
  if (socket.out.empty() && socket.out.capacity() > write_bytes) std::string().swap(socket.out);
  if (socket.ending && socket.out.empty() && !exchange_->has_output(number)) {
    // Closing now could make the system throw away what the peer has not read.
    (void)::shutdown(socket.descriptor.get(), SHUT_WR);
    socket.shut = true;
    socket.reading = true;
  }
  watch(socket, number);
}

void Reactor::drop_socket(ConnectionNumber number) {
  sockets_.erase(number);
  dirty_.erase(number);
}

void Reactor::lose(ConnectionNumber number, const Error& why) {
  drop_socket(number);
  exchange_->lost(number, why, now_);
}

// ---- effects and events ----

void Reactor::settle() {
  while (exchange_->has_effects()) carry_out(exchange_->take_effects());
}

void Reactor::carry_out(ExchangeEffects effects) {
  for (LinkEvent& event : effects.events) tell(std::move(event));
  for (const ConnectionNumber number : effects.ends)
    if (const auto found = sockets_.find(number); found != sockets_.end()) {
      found->second.ending = true;
      dirty_.insert(number);
    }
  for (const ConnectionNumber number : effects.aborts) drop_socket(number);
  for (const auto& [dial, address] : effects.dials) start_dial(dial);
}

void Reactor::tell(LinkEvent event) {
  if (auto* up = std::get_if<LinkUp>(&event)) {
    const LinkNumber link = up->peer.link;
    up->sender.reset(new LinkSender(link, options_.exchange.limits, mailbox_));
    endpoints_[link] = {up->sender, 0, std::make_shared<std::atomic<std::size_t>>(0)};
  } else if (auto* messages = std::get_if<LinkMessages>(&event)) {
    std::size_t bytes = 0;
    for (const Message& message : messages->messages)
      bytes += message.bytes.size() + sizeof(Message);
    if (const auto found = endpoints_.find(messages->link); found != endpoints_.end())
      messages->hold = hold_of(bytes, options_.receive_window_bytes, messages->link,
                               found->second.held, mailbox_);
    check_window(messages->link);
  } else if (auto* back = std::get_if<LinkBack>(&event)) {
    account(back->link);
    check_window(back->link);
  } else if (auto* down = std::get_if<LinkDown>(&event)) {
    if (const auto found = endpoints_.find(down->link); found != endpoints_.end()) {
      found->second.sender->over_ = true;
      endpoints_.erase(found);
    }
  }
  options_.on_event(std::move(event));
}

/// What the peer acknowledged makes room for the sender.
void Reactor::account(LinkNumber link) {
  const auto found = endpoints_.find(link);
  if (found == endpoints_.end()) return;
  Endpoint& endpoint = found->second;
  const std::size_t unacked = exchange_->unacked_bytes(link);
  const std::size_t freed = endpoint.accounted - unacked;
  endpoint.accounted = unacked;
  const std::size_t waiting = endpoint.sender->waiting_.fetch_sub(freed) - freed;
  if (waiting <= options_.exchange.limits.max_unacked_bytes / 2 &&
      endpoint.sender->refused_.exchange(false))
    options_.on_event(LinkRoom{link});
}

void Reactor::check_window(LinkNumber link) {
  const auto endpoint = endpoints_.find(link);
  const auto connection = exchange_->connection_of(link);
  if (endpoint == endpoints_.end() || !connection) return;
  const auto socket = sockets_.find(*connection);
  if (socket == sockets_.end() || socket->second.ending) return;
  socket->second.reading = *endpoint->second.held <= options_.receive_window_bytes;
  exchange_->set_reading(*connection, socket->second.reading);
  watch(socket->second, *connection);
}

void Reactor::read_again(LinkNumber link) {
  check_window(link);
}

void Reactor::close_link(LinkNumber link, const Error& why) {
  exchange_->close(link, why, now_);
}

// ---- dialing ----

DialNumber Reactor::add_dial(const ConnectOptions& options) {
  DialOptions dial;
  dial.address = endpoint_text(options.host, options.port);
  for (const PeerPlace& other : options.others)
    dial.address += "," + endpoint_text(other.host, other.port);
  dial.role = options.role;
  dial.name = options.name;
  const DialNumber number = exchange_->dial(std::move(dial));
  DialTarget& target = targets_[number];
  target.places.push_back({options.host, options.port});
  target.places.insert(target.places.end(), options.others.begin(), options.others.end());
  return number;
}

void Reactor::hang_up(DialNumber dial) {
  targets_.erase(dial);
  std::erase_if(calls_, [&](const auto& call) { return call.second.dial == dial; });
  exchange_->hang_up(dial, now_);
}

void Reactor::start_dial(DialNumber dial) {
  const auto found = targets_.find(dial);
  if (found == targets_.end()) return;
  // Another place first each time: one that accepts and then says nothing must not be the only one
  // that is ever tried.
  DialTarget& target = found->second;
  std::vector<PeerPlace> places = target.places;
  std::rotate(places.begin(), places.begin() + static_cast<std::ptrdiff_t>(target.first),
              places.end());
  target.first = (target.first + 1) % places.size();
  auto numeric = resolve_all(places, true);
  if (numeric) return resolved(dial, std::move(numeric));
  // A name server may take its time: everybody else need not wait for it.
  std::thread([dial, places = std::move(places), mailbox = mailbox_] {
    auto addresses = resolve_all(places, false);
    mailbox->post([dial, addresses = std::move(addresses)](Reactor& reactor) {
      reactor.resolved(dial, addresses);
    });
  }).detach();
}

void Reactor::resolved(DialNumber dial, Result<std::vector<SocketAddress>> addresses) {
  if (!targets_.contains(dial)) return;
  if (!addresses) return exchange_->dial_failed(dial, addresses.error(), now_);
  if (!options_.exchange.tls && !options_.secret_beyond_loopback)
    std::erase_if(*addresses, [](const SocketAddress& one) { return !one.is_loopback(); });
  std::reverse(addresses->begin(), addresses->end());  // they are taken from the end
  try_next(dial, std::move(*addresses),
           {ErrorCode::denied, "it is beyond this machine, which needs certificates"});
}

void Reactor::try_next(DialNumber dial, std::vector<SocketAddress> addresses, Error last) {
  while (!addresses.empty()) {
    const SocketAddress address = addresses.back();
    addresses.pop_back();
    Call call;
    call.dial = dial;
    call.descriptor = Descriptor{
        ::socket(address.storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)};
    const int fd = call.descriptor.get();
    if (!call.descriptor.is_open() ||
        (::connect(fd, address.get(), address.size) != 0 && errno != EINPROGRESS)) {
      last = lost_error(fmt::format("connect with \"{}\"", address.host()), errno);
      continue;
    }
    const int on = 1;
    (void)::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    epoll_event event{EPOLLOUT, {.u64 = call_tag | static_cast<std::uint64_t>(fd)}};
    if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) != 0) {
      last = lost_error("epoll", errno);
      continue;
    }
    call.rest = std::move(addresses);
    call.deadline = now_ + options_.connect_deadline;
    calls_.emplace(fd, std::move(call));
    return;
  }
  exchange_->dial_failed(dial, last, now_);
}

void Reactor::finish_call(int descriptor) {
  const auto found = calls_.find(descriptor);
  if (found == calls_.end()) return;
  Call call = std::move(found->second);
  calls_.erase(found);
  int error = 0;
  socklen_t size = sizeof error;
  if (::getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &error, &size) != 0) error = errno;
  if (error != 0) return try_next(call.dial, std::move(call.rest), lost_error("connect", error));
  const auto number = exchange_->dialed(call.dial, now_);
  if (!number) return;  // given up meanwhile
  Socket socket;
  socket.descriptor = std::move(call.descriptor);
  socket.waits_for = EPOLLIN;
  epoll_event event{EPOLLIN, {.u64 = *number}};
  REPRISE_ASSERT(::epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, descriptor, &event) == 0);
  sockets_.emplace(*number, std::move(socket));
  dirty_.insert(*number);
}

}  // namespace reprise::cluster
