// The log of a journal that several servers share, in Redis: one stream, to which one of them at a
// time appends.
//
// Who leads is known by (epoch, nonce). A lease that the leader renews tells the others when to try
// for themselves; that is liveness only. What keeps a leader that was replaced from doing harm is
// the server itself: every append presents epoch and nonce and is refused when another one leads.
// It also presents where it goes on, so that a server that forgot something (flushed, restored,
// failed over to a replica that lagged) is found out by the next append instead of going on with a
// hole. Source: the fencing and barrier scheme of Redis-based logs, see docs/protocol.md, "Shared
// log".
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "journal/log_record.hpp"
#include "redis/client.hpp"

namespace reprise::journal {

/// The functions of the log, for the client's constructor.
[[nodiscard]] const redis::Library& log_functions();

/// Who leads, or led.
struct Leadership {
  std::uint64_t epoch = 0;
  std::string nonce;  // of one life of one server
  std::string name;   // of the server, for people
  bool operator==(const Leadership&) const = default;
};

/// Safe from any thread as far as its client is.
class RedisLog {
 public:
  explicit RedisLog(std::shared_ptr<redis::Client> client);

  /// Whether the server may hold a journal: it evicts nothing and writes an append-only file.
  /// @error denied: it may not, says why and what to do; as Client::run
  Status check_policy();

  struct Bid {
    std::optional<std::uint64_t> epoch;  // won: the barrier stands at (epoch, 0)
    std::string holder;                  // lost: who leads
    Duration left{0};                    // … and for how long at least
  };
  /// Tries to lead: succeeds when nobody holds the lease. Repeating it with the same nonce is
  /// harmless.
  /// @param known  nonce and name of who bids, and the greatest epoch seen anywhere: that of the
  ///               server may be lost
  /// @error as Client::run. Blocks.
  [[nodiscard]] Result<Bid> bid(const Leadership& known, Duration term);
  /// @error conflict: another one leads, or the server forgot who does; as Client::run. Blocks.
  Status renew(const Leadership& leader, Duration term);
  /// Whether it takes anything now: renewing a lease, it may be full. @error as RedisLog::append,
  /// but conflict
  Status probe();
  /// Lets others lead at once. @error as renew()
  Status resign(const Leadership& leader);

  /// Appends records that follow the one at (leader.epoch, after). Repeating the very same call is
  /// harmless, which is what to do after `unavailable`: then nobody knows whether it was done.
  /// @error conflict: another one leads; corrupt: the server does not hold what was appended before
  ///        (it was flushed, or fell back to an older state); exhausted: it is full; as Client::run
  /// Blocks.
  Status append(const Leadership& leader, std::uint64_t after,
                std::span<const std::string> records);

  /// Records after a place, in order, with their flows; empty: there are none yet.
  /// @error corrupt; not_found: a flow; as Client::run. Blocks.
  [[nodiscard]] Result<std::vector<LogEntry>> read(LogPosition after, std::uint32_t limit);
  /// Whether the log holds a record at this place. @error as Client::run
  [[nodiscard]] Result<bool> holds(LogPosition position);
  /// The last place before `end`; nullopt: there is none. @error as Client::run
  [[nodiscard]] Result<std::optional<LogPosition>> last_before(LogPosition end);

  /// A log written anew replaces the old one at once, or not at all. Records are drafted beside it,
  /// from the place `first` on, the drafted ones in order. @error as Client::run
  Status draft(const Leadership& leader, LogPosition first, std::span<const std::string> records);
  /// @error conflict: another one leads; not_found: nothing was drafted; as Client::run
  Status replace_by_draft(const Leadership& leader);

  /// A flow by digest, in parts of 512 KiB, unless it is there. @error as Client::run
  Status put_flow(const Digest& digest, std::string_view bytes);
  /// @error not_found; corrupt: its bytes do not match the digest; as Client::run
  [[nodiscard]] Result<std::string> flow(const Digest& digest);
  /// Forgets it. @error as Client::run
  Status drop_flow(const Digest& digest);

  [[nodiscard]] const std::string& name() const { return client_->name(); }
  /// Tells logs apart that lie in one place.
  [[nodiscard]] const std::string& identity() const { return stream_; }

 private:
  [[nodiscard]] Result<redis::Reply> call(const redis::Commands& commands, std::uint64_t bytes);
  [[nodiscard]] Result<std::vector<redis::Reply>> run_all(const redis::Commands& commands,
                                                          std::uint64_t bytes);
  [[nodiscard]] std::string flow_key(const Digest& digest, std::uint64_t part) const;
  [[nodiscard]] std::string draft_key(const Leadership& leader) const;

  std::shared_ptr<redis::Client> client_;
  // One hash tag for all: a function may touch keys of one slot only.
  std::string stream_, lead_, lease_, prefix_;
};

}  // namespace reprise::journal
