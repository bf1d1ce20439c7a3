// The thread behind a hub; see hub.hpp. Private to it.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "cluster/descriptor.hpp"
#include "cluster/exchange.hpp"
#include "cluster/hub.hpp"
#include "cluster/socket_address.hpp"

namespace reprise::cluster {

/// What other threads have for the reactor. Outlives it, so that a sender can be used at any time.
///
/// Waking the reactor's thread takes longer than sending a short message. So who has one takes a
/// turn of the reactor itself, while that sleeps; long ones and what is not sent wake it.
class Mailbox {
 public:
  struct Send {
    std::shared_ptr<LinkSender> sender;
    std::uint16_t kind = 0;
    std::string bytes;
  };
  using Task = std::function<void(Reactor&)>;
  struct Content {
    std::vector<Send> sends;
    std::vector<Task> tasks;
  };

  explicit Mailbox(Descriptor wake) : wake_(std::move(wake)) {}
  void post(Send send);
  /// Run on the reactor's thread, after everything sent before; never, if that has ended.
  void post(Task task);
  [[nodiscard]] Content take();
  void close();  // what comes later is dropped
  [[nodiscard]] int wake_descriptor() const { return wake_.get(); }
  /// Held by the thread whose turn of the reactor it is; by its own, except while that sleeps.
  [[nodiscard]] std::mutex& turn() { return turn_; }
  /// Who may be helped, by its own thread; null: nobody any more. The turn is held.
  void set_reactor(Reactor* reactor) {
    reactor_ = reactor;
    reactor_thread_ = std::this_thread::get_id();
  }
  void wake_up();

 private:
  std::mutex turn_;  // taken before mutex_
  Reactor* reactor_ = nullptr;
  std::atomic<std::thread::id> reactor_thread_;
  std::mutex mutex_;
  Content content_;
  bool awake_ = false;  // the reactor knows that there is something
  bool closed_ = false;
  Descriptor wake_;
};

class Reactor {
 public:
  Reactor(HubOptions options, std::unique_ptr<Exchange> exchange, Descriptor epoll,
          std::shared_ptr<Mailbox> mailbox);
  ~Reactor();

  [[nodiscard]] Mailbox& mailbox() { return *mailbox_; }
  [[nodiscard]] const HubOptions& options() const { return options_; }

  /// From any thread that holds the turn: sends what is in the mailbox.
  void help();

  // On the reactor's thread:
  void add_listener(Descriptor socket);
  DialNumber add_dial(const ConnectOptions& options);
  void hang_up(DialNumber dial);
  void close_link(LinkNumber link, const Error& why);
  void resolved(DialNumber dial, Result<std::vector<SocketAddress>> addresses);
  void read_again(LinkNumber link);

 private:
  struct Socket {
    Descriptor descriptor;
    std::string out;       // taken from the exchange, not yet by the system
    std::size_t sent = 0;  // of out
    bool ending = false;   // sends what is left, then closes
    bool shut = false;     // everything was sent; waits for the peer to close
    bool reading = true;
    std::uint32_t waits_for = 0;  // epoll's events
  };
  /// A socket that is being connected.
  struct Call {
    DialNumber dial = 0;
    Descriptor descriptor;
    std::vector<SocketAddress> rest;  // to try when this one fails
    Instant deadline;
  };
  /// A link as far as owners and sockets meet.
  struct Endpoint {
    std::shared_ptr<LinkSender> sender;
    std::size_t accounted = 0;  // of the sender's waiting bytes: those that the exchange has
    std::shared_ptr<std::atomic<std::size_t>> held;  // bytes of messages that the owner has
  };
  struct DialTarget {
    std::vector<PeerPlace> places;
    std::size_t first = 0;  // to be tried first at the next dial
  };

  void run();
  void shut_down();
  void turn(int timeout_ms);
  void handle_events();
  void take_mail();
  void take_send(Mailbox::Send& send);
  void accept_from(int listener);
  void read_from(ConnectionNumber number);
  void flush(ConnectionNumber number);
  void settle();
  void carry_out(ExchangeEffects effects);
  void tell(LinkEvent event);
  void start_dial(DialNumber dial);
  void try_next(DialNumber dial, std::vector<SocketAddress> addresses, Error last);
  void finish_call(int descriptor);
  void drop_socket(ConnectionNumber number);
  void lose(ConnectionNumber number, const Error& why);
  void account(LinkNumber link);
  void watch(Socket& socket, ConnectionNumber number);
  void check_window(LinkNumber link);
  void on_tick();

  HubOptions options_;
  std::unique_ptr<Exchange> exchange_;
  Descriptor epoll_;
  std::shared_ptr<Mailbox> mailbox_;
  std::map<ConnectionNumber, Socket> sockets_;
  std::map<int, Descriptor> listeners_;
  std::map<int, Call> calls_;
  std::map<DialNumber, DialTarget> targets_;
  std::map<LinkNumber, Endpoint> endpoints_;
  std::set<ConnectionNumber> dirty_;  // may have something to send
  bool has_begun_events_ = false;     // before_events was called, after_events is to be
  bool listeners_rest_ = false;       // the system had no descriptor for another connection
  Instant now_;
  Instant next_tick_;
  std::atomic<bool> stopping_{false};
  std::thread thread_;
};

}  // namespace reprise::cluster
