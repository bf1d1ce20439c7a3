// What the log of a journal that several servers share consists of: everything that one of them
// did to its journal, in one order, so that the others come to the same.
#pragma once

#include <compare>
#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "journal/journal.hpp"

namespace reprise::journal {

/// Place of a record in the log. Epochs count the leaders: of two records the one of the later
/// leader is later, and a leader's records are numbered without gaps.
struct LogPosition {
  std::uint64_t epoch = 0;
  std::uint64_t sequence = 0;
  auto operator<=>(const LogPosition&) const = default;
  /// "5-100", as Redis writes it.
  [[nodiscard]] std::string text() const;
  /// @error corrupt
  [[nodiscard]] static Result<LogPosition> parse(std::string_view text);
};

/// The first record of a leader. Whoever has read it has everything that was acknowledged before.
struct Barrier {
  std::string leader;  // its name, for people
  bool operator==(const Barrier&) const = default;
};
/// Forget what you have: everything follows anew. Begins a log that was shortened, or is written
/// again because the server lost it.
struct Restart {
  bool operator==(const Restart&) const = default;
};
/// A run was added. Its flow lies beside the log, by digest.
struct RunOpened {
  RunRow row;
  bool operator==(const RunOpened&) const = default;
};
struct Appended {
  std::vector<Batch> batches;
  bool operator==(const Appended&) const = default;
};
struct Summarised {
  RunId run;
  Summary summary;
  bool operator==(const Summarised&) const = default;
};
struct RunRemoved {
  RunId run;
  bool operator==(const RunRemoved&) const = default;
};

using LogRecord = std::variant<Barrier, Restart, RunOpened, Appended, Summarised, RunRemoved>;

/// A record where it stands.
struct LogEntry {
  LogPosition position;
  LogRecord record;
  std::string flow{};  // of RunOpened: FlowSpec::encode()
};

/// As bytes: docs/protocol.md, "Shared log".
[[nodiscard]] std::string encode(const LogRecord& record);
/// @error corrupt. Never allocates more than a small multiple of bytes.size().
[[nodiscard]] Result<LogRecord> decode_log_record(std::string_view bytes);

}  // namespace reprise::journal
