// A server that shares its journal with others before it leads: it follows them, and takes over
// when the one that leads is gone.
#pragma once

#include <atomic>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>

#include "core/result.hpp"
#include "core/time.hpp"
#include "journal/shared_journal.hpp"

namespace reprise::cluster {

struct StandbyOptions {
  std::shared_ptr<journal::RedisLog> log;  // the shared one; required
  std::filesystem::path data;              // of this server alone; made when missing
  std::string name;                        // of this server, for people
  Duration term{std::chrono::seconds{5}};  // a leader that is gone is replaced after that
  std::function<void(std::string)> say;    // one line for people; required
};

/// One thread at a time.
class Standby {
 public:
  /// @error denied: the server may lose a journal, says why; unavailable: it cannot be asked; as
  ///        DataFolder::open. Blocks.
  [[nodiscard]] static Result<std::unique_ptr<Standby>> open(StandbyOptions options);

  /// Follows until it leads. That the log cannot be reached is only said.
  /// @return nullopt: it was asked to stop
  /// @error corrupt, io, exhausted: the log or the journal. Blocks.
  [[nodiscard]] Result<std::optional<journal::Seat>> wait(std::stop_token stop);
  /// The journal of a server that leads. @param stop  ends its waiting for the log
  [[nodiscard]] std::unique_ptr<journal::Journal> lead(
      std::unique_ptr<journal::SqliteJournal> local, journal::Seat seat,
      std::stop_token stop) const;
  /// Whether that journal waits for the log. Any thread.
  [[nodiscard]] bool waits() const { return *waits_; }
  /// Lets another one lead at once. That this fails is no trouble.
  void resign(const journal::Leadership& leader) const;

 private:
  explicit Standby(StandbyOptions options);

  StandbyOptions options_;
  std::shared_ptr<std::atomic<bool>> waits_ = std::make_shared<std::atomic<bool>>(false);
};

}  // namespace reprise::cluster
