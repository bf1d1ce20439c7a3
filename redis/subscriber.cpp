#include "redis/subscriber.hpp"

#include <algorithm>
#include <mutex>
#include <thread>
#include <utility>

#include <sys/eventfd.h>
#include <unistd.h>

#include "redis/connection.hpp"
#include "redis/greeting.hpp"

namespace reprise::redis {
namespace {

using namespace std::chrono_literals;
using Steady = std::chrono::steady_clock;

// Between attempts to reach a server that does not answer.
constexpr std::chrono::milliseconds first_pause{100};
constexpr std::chrono::milliseconds longest_pause{5000};
// A connection on which nothing was said for so long is asked whether it still stands.
constexpr std::chrono::seconds quiet_most{15};

}  // namespace

struct Subscriber::State {
  State(Settings given, std::function<void(const std::string&)> hear_it)
      : settings(std::move(given)),
        hear(std::move(hear_it)),
        bell(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}
  ~State() {
    if (worker.joinable()) {
      worker.request_stop();
      ring();
      worker.join();
    }
    if (bell >= 0) ::close(bell);
  }

  void ring() const {
    const std::uint64_t one = 1;
    static_cast<void>(!::write(bell, &one, sizeof one));
  }
  void work(const std::stop_token& stop);
  bool follow_wishes(Connection& connection, std::set<std::string>& asked);
  void serve(Connection& connection, const std::stop_token& stop);
  void confirm(const std::string& channel, bool is_on);

  const Settings settings;
  const std::function<void(const std::string&)> hear;
  const int bell;  // rings when `wanted` changed, and at the end

  mutable std::mutex mutex;
  std::set<std::string> wanted, confirmed;
  std::jthread worker;  // last: it uses all of the above
};

void Subscriber::State::confirm(const std::string& channel, bool is_on) {
  const std::lock_guard guard(mutex);
  if (is_on)
    confirmed.insert(channel);
  else
    confirmed.erase(channel);
}

// False: the connection is lost.
bool Subscriber::State::follow_wishes(Connection& connection, std::set<std::string>& asked) {
  std::vector<std::string> more, less;
  {
    const std::lock_guard guard(mutex);
    std::set_difference(wanted.begin(), wanted.end(), asked.begin(), asked.end(),
                        std::back_inserter(more));
    std::set_difference(asked.begin(), asked.end(), wanted.begin(), wanted.end(),
                        std::back_inserter(less));
    asked = wanted;
  }
  Commands commands;
  for (const std::string& channel : more) commands.add("SUBSCRIBE", channel);
  for (const std::string& channel : less) commands.add("UNSUBSCRIBE", channel);
  return commands.empty() ||
         connection.send(commands, Steady::now() + settings.budgets.operation).has_value();
}

void Subscriber::State::serve(Connection& connection, const std::stop_token& stop) {
  std::set<std::string> asked;
  bool was_pinged = false;
  while (!stop.stop_requested() && follow_wishes(connection, asked)) {
    auto said = connection.listen(bell, Steady::now() + quiet_most);
    if (!said) return;
    std::uint64_t rings = 0;
    static_cast<void>(!::read(bell, &rings, sizeof rings));
    if (said->empty() && rings == 0) {
      Commands ping;
      ping.add("PING");
      if (was_pinged || !connection.send(ping, Steady::now() + settings.budgets.operation)) return;
      was_pinged = true;
    }
    for (const Reply& reply : *said) {
      was_pinged = false;
      if (reply.is_error()) return;  // this user may not subscribe
      if (reply.elements.size() != 3) continue;
      const std::string& kind = reply.elements[0].text;
      const std::string& channel = reply.elements[1].text;
      if (kind == "subscribe") confirm(channel, true);
      if (kind == "unsubscribe") confirm(channel, false);
      // Between the last look and the confirmation something may have been said.
      if (kind == "message" || kind == "subscribe") hear(channel);
    }
  }
}

void Subscriber::State::work(const std::stop_token& stop) {
  std::chrono::milliseconds pause = first_pause;
  while (!stop.stop_requested()) {
    const auto began = Steady::now();
    if (auto connection = Connection::open(settings.endpoint, settings.limits,
                                           began + settings.budgets.connect)) {
      const auto greeted = greet(**connection, settings, "redis " + settings.endpoint.text(),
                                 Steady::now() + settings.budgets.operation);
      if (greeted) serve(**connection, stop);
    }
    {
      const std::lock_guard guard(mutex);
      confirmed.clear();
    }
    if (Steady::now() - began > longest_pause) pause = first_pause;
    const auto until = Steady::now() + pause;
    pause = std::min(2 * pause, longest_pause);
    // The bell rings for new channels, too; those wait for the connection.
    while (!stop.stop_requested() && Steady::now() < until) {
      wait_for_any(bell, until);
      std::uint64_t rings = 0;
      static_cast<void>(!::read(bell, &rings, sizeof rings));
    }
  }
}

Subscriber::Subscriber(Settings settings, std::function<void(const std::string&)> hear)
    : state_(std::make_unique<State>(std::move(settings), std::move(hear))) {}

Subscriber::~Subscriber() = default;

void Subscriber::listen_to(std::set<std::string> channels) {
  State& state = *state_;
  {
    const std::lock_guard guard(state.mutex);
    if (state.wanted == channels) return;
    state.wanted = std::move(channels);
    if (!state.worker.joinable())
      state.worker = std::jthread([&state](const std::stop_token& stop) { state.work(stop); });
  }
  state.ring();
}

bool Subscriber::is_listening() const {
  const std::lock_guard guard(state_->mutex);
  return std::includes(state_->confirmed.begin(), state_->confirmed.end(), state_->wanted.begin(),
                       state_->wanted.end());
}

}  // namespace reprise::redis
