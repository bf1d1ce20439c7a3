#include "cluster/standby.hpp"

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <utility>

#include <fmt/format.h>

#include "core/text.hpp"
#include "core/ulid.hpp"
#include "journal/data_folder.hpp"

namespace reprise::cluster {

namespace {

constexpr Duration look_every = std::chrono::milliseconds{200};

void sleep_for(Duration time, std::stop_token stop) {
  std::mutex mutex;
  std::unique_lock guard(mutex);
  std::condition_variable_any().wait_for(guard, std::move(stop), time, [] { return false; });
}

}  // namespace

Standby::Standby(StandbyOptions options) : options_(std::move(options)) {}

Result<std::unique_ptr<Standby>> Standby::open(StandbyOptions options) {
  const auto folder = journal::DataFolder::open({.path = options.data, .create = true});
  if (!folder) return tl::unexpected(folder.error());
  std::unique_ptr<Standby> standby(new Standby(std::move(options)));
  if (const Status checked = standby->options_.log->check_policy(); !checked)
    return tl::unexpected(checked.error());
  return standby;
}

Result<std::optional<journal::Seat>> Standby::wait(std::stop_token stop) {
  auto local = journal::SqliteJournal::open({.path = options_.data / "journal.db"});
  if (!local) return tl::unexpected(local.error());
  journal::LogFollower follower(**local, *options_.log);
  // Of this life alone: what a leader of this name did before is not this one's.
  const std::string nonce = RunId::generate(now()).text();
  // What it waits for is said once, however the words for it change: they may tell the time left.
  std::string said;
  const auto say = [&](const std::string& what, const std::string& line) {
    if (std::exchange(said, what) != what) options_.say(line);
  };
  while (!stop.stop_requested()) {
    const auto more = follower.catch_up();
    if (more && *more) continue;
    // Who has more than the log cannot follow it, and may lead.
    if (!more && more.error().code != ErrorCode::unavailable &&
        more.error().code != ErrorCode::conflict)
      return tl::unexpected(more.error());
    auto attempt = follower.try_to_lead(options_.name, nonce, options_.term);
    if (attempt && attempt->seat) return std::move(attempt->seat);
    if (attempt)
      say("leads: " + attempt->holder,
          fmt::format("standing by: server \"{}\" leads", escape_for_terminal(attempt->holder)));
    else if (attempt.error().code == ErrorCode::unavailable)
      say("away", "standing by: " + attempt.error().message);
    else if (attempt.error().code == ErrorCode::conflict)
      say(attempt.error().message, "standing by: " + attempt.error().message);
    else
      return tl::unexpected(attempt.error());
    sleep_for(attempt
                  ? std::clamp(attempt->left, Duration{std::chrono::milliseconds{1}}, look_every)
                  : look_every,
              stop);
  }
  return std::optional<journal::Seat>{};
}

std::unique_ptr<journal::Journal> Standby::lead(std::unique_ptr<journal::SqliteJournal> local,
                                                journal::Seat seat, std::stop_token stop) const {
  journal::SharedJournal::Options options;
  options.term = options_.term;
  options.stop = std::move(stop);
  options.warn = options_.say;
  *waits_ = false;
  options.waits = waits_;
  return std::make_unique<journal::SharedJournal>(std::move(local), options_.log, std::move(seat),
                                                  std::move(options));
}

void Standby::resign(const journal::Leadership& leader) const {
  static_cast<void>(options_.log->resign(leader));
}

}  // namespace reprise::cluster
