#include "redis/client.hpp"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "core/text.hpp"
#include "redis/greeting.hpp"

namespace reprise::redis {
namespace {

constexpr auto ask_again_for_functions = std::chrono::seconds{5};

// Breakers of many processes that lost one server must not come back at the same moment.
std::uint64_t seed_of(const void* where) {
  return static_cast<std::uint64_t>(std::chrono::steady_clock::now().time_since_epoch().count()) ^
         reinterpret_cast<std::uintptr_t>(where);
}

bool says_function_is_missing(const Reply& reply) {
  return reply.is_error() && reply.text.starts_with("ERR Function not found");
}

Deadline earlier(Deadline a, Duration from_now) {
  return std::min(a, std::chrono::steady_clock::now() + from_now);
}

}  // namespace

Client::Client(Settings settings, Library library, std::function<Time()> clock)
    : settings_(std::move(settings)),
      library_(std::move(library)),
      clock_(std::move(clock)),
      name_("redis " + settings_.endpoint.text()),
      breaker_(settings_.breaker, seed_of(this)) {}

Client::~Client() = default;

Result<std::vector<Reply>> Client::run(const Commands& batch, Duration budget, Needs needs) {
  return ask(batch, budget, needs, {});
}

Status Client::read(const Commands& batch, Duration budget, const Take& take) {
  auto replies = ask(batch, budget, Needs::nothing, take);
  return replies ? Status{} : tl::unexpected(std::move(replies.error()));
}

Result<std::vector<Reply>> Client::ask(const Commands& batch, Duration budget, Needs needs,
                                       const Take& take) {
  if (batch.empty()) return std::vector<Reply>{};
  const std::lock_guard guard(mutex_);
  if (!breaker_.allows(clock_())) {
    ++counters_.refusals;
    return fail(ErrorCode::unavailable,
                fmt::format("{}: did not answer lately; asked again in {}", name_,
                            describe(std::max(breaker_.reopens() - clock_(), Duration{0}))));
  }
  const auto begin = std::chrono::steady_clock::now();
  auto replies = attempt(batch, begin + budget, needs, take);
  counters_.waited += std::chrono::steady_clock::now() - begin;
  if (replies && std::any_of(replies->begin(), replies->end(),
                             [](const Reply& r) { return is_not_serving(r); }))
    replies = tl::unexpected(
        error_of(*std::find_if(replies->begin(), replies->end(), is_not_serving), name_));
  if (replies) {
    breaker_.succeeded();
    ++counters_.round_trips;
    counters_.commands += batch.count();
    return replies;
  }
  // Functions that may not be loaded are no reason to stop reading.
  if (connection_ && replies.error().code == ErrorCode::denied) {
    breaker_.succeeded();
  } else {
    breaker_.failed(clock_());
    counters_.openings = breaker_.openings();
  }
  ++counters_.failures;
  return replies;
}

Result<std::vector<Reply>> Client::attempt(const Commands& batch, Deadline deadline, Needs needs,
                                           const Take& take) {
  const bool was_connected = connection_ != nullptr;
  for (bool is_second = false;; is_second = true) {
    if (!connection_)
      if (auto done = connect(deadline); !done) return tl::unexpected(done.error());
    if (needs == Needs::functions && functions_error_) {
      // Somebody may have loaded them since; who may not is not to fill the server's log with it.
      if (std::chrono::steady_clock::now() - functions_asked_ < ask_again_for_functions)
        return tl::unexpected(*functions_error_);
      if (auto done = load_functions(deadline); !done) return tl::unexpected(done.error());
    }
    auto replies = exchange(batch, deadline, take);
    if (!replies) {
      // A server that was restarted since the last batch is no failure.
      const bool may_try_again = was_connected && !is_second &&
                                 replies.error().code == ErrorCode::unavailable &&
                                 std::chrono::steady_clock::now() < deadline;
      if (may_try_again) continue;
      return replies;
    }
    const bool has_lost_functions =
        needs == Needs::functions &&
        std::any_of(replies->begin(), replies->end(), says_function_is_missing);
    if (!has_lost_functions || is_second) return replies;
    if (auto done = load_functions(deadline); !done) return tl::unexpected(done.error());
  }
}

Result<std::vector<Reply>> Client::exchange(const Commands& batch, Deadline deadline,
                                            const Take& take) {
  auto replies = connection_->exchange(batch, deadline, take);
  if (!replies) connection_.reset();
  return replies;
}

Status Client::connect(Deadline deadline) {
  auto opened = Connection::open(settings_.endpoint, settings_.limits,
                                 earlier(deadline, settings_.budgets.connect));
  if (!opened) return tl::unexpected(opened.error());
  connection_ = std::move(*opened);
  const Deadline greeted = earlier(deadline, settings_.budgets.operation);
  auto done = greet(*connection_, settings_, name_, greeted);
  if (!done) {
    connection_.reset();
    return done;
  }
  ++counters_.connects;
  functions_error_.reset();
  if (!library_.name.empty())
    if (auto loaded = load_functions(greeted); !loaded) functions_error_ = loaded.error();
  // Loading may have lost the connection.
  if (!connection_) return tl::unexpected(*functions_error_);
  return {};
}

// Asks for their revision first: that needs no right but to call them.
Status Client::load_functions(Deadline deadline) {
  const auto ask = [&](const Commands& commands) -> Result<Reply> {
    auto replies = exchange(commands, deadline);
    if (!replies) return tl::unexpected(replies.error());
    return std::move(replies->front());
  };
  Commands revision;
  revision.add("FCALL_RO", library_.name + "_revision", 0);
  auto found = ask(revision);
  if (!found) return tl::unexpected(found.error());
  if (found->is_integer() && found->integer >= library_.revision) {
    functions_error_.reset();
    return {};
  }
  Commands load;
  load.add("FUNCTION", "LOAD", "REPLACE", library_.code);
  auto loaded = ask(load);
  if (!loaded) return tl::unexpected(loaded.error());
  if (!loaded->is_error()) {
    functions_error_.reset();
    return {};
  }
  Error error = error_of(*loaded, name_);
  if (loaded->text.starts_with("ERR unknown command"))
    error = {ErrorCode::denied,
             fmt::format("{}: has no functions; redis 7.0 or newer is needed", name_)};
  else if (error.code == ErrorCode::denied)
    error.message = fmt::format(
        "{}: the functions \"{}\" are {} and user \"{}\" may not load them; run reprise cache "
        "init-redis as a user who may ({})",
        name_, library_.name, found->is_integer() ? "outdated" : "missing",
        settings_.user.empty() ? "default" : escape_for_terminal(settings_.user), error.message);
  functions_error_ = error;
  functions_asked_ = std::chrono::steady_clock::now();
  return tl::unexpected(std::move(error));
}

Status Client::install_functions() {
  Commands load;
  load.add("FUNCTION", "LOAD", "REPLACE", library_.code);
  auto replies = run(load, settings_.budgets.connect + settings_.budgets.operation);
  if (!replies) return tl::unexpected(replies.error());
  if (replies->front().is_error()) return tl::unexpected(error_of(replies->front(), name_));
  const std::lock_guard guard(mutex_);
  functions_error_.reset();
  return {};
}

Counters Client::counters() const {
  const std::lock_guard guard(mutex_);
  return counters_;
}

BreakerState Client::breaker_state() const {
  const std::lock_guard guard(mutex_);
  return breaker_.state();
}

}  // namespace reprise::redis
