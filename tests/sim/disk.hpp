// The disk of a server with its journal. A transaction is there as a whole or not at all, and in
// order; of those that were not confirmed yet when the process died, any beginning may be there.
// That this is so of SQLite's files is tested with real ones (tests/journal, tests/integration).
#pragma once

#include <deque>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "actors/messages.hpp"
#include "journal/memory_journal.hpp"
#include "tests/sim/random.hpp"

namespace reprise::sim {

class Disk {
 public:
  [[nodiscard]] journal::Journal& journal() { return journal_; }

  /// A transaction is under way.
  void begin(const actors::Append& append) { under_way_.push_back(append); }
  /// The oldest one ends. @return as the journal's append(): nothing of it is there when it failed
  [[nodiscard]] Status finish();
  /// The process died.
  void crash(Random& random);
  /// @error as Journal::open_run
  [[nodiscard]] Status open_run(const journal::RunRow& row, std::string_view flow_bytes);

  // Names of workers, as the server wrote them down last; none = never.
  std::optional<std::set<std::string>> members;

  bool is_full = false;
  bool fails_once = false;
  bool is_slow = false;
  /// Planted: what was under way when the process died reaches the disk later.
  bool keeps_late_writes = false;
  void write_late();

 private:
  [[nodiscard]] Status trouble();
  [[nodiscard]] Status apply(const actors::Append& append);

  journal::MemoryJournal journal_;
  std::deque<actors::Append> under_way_;
  std::deque<actors::Append> late_;
  // An append failed: the journal's actor writes nothing behind a gap, until it is started again.
  bool is_broken_ = false;
};

}  // namespace reprise::sim
