// The ordered log of everything that happened, and the table of runs over it.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "journal/records.hpp"

namespace reprise::journal {

struct RunRow {
  RunId id;
  std::string flow_name;
  Digest flow;               // of FlowSpec::encode()
  Digest parameters_digest;  // with `flow`: what "the same run again" means
  Parameters parameters;
  std::string folder;  // FlowSpec::folder
  std::string source_file;
  std::string submitted_by;  // user@host
  RunState state = RunState::queued;
  std::string message;
  Time submitted;
  std::optional<Time> finished;
  Summary summary;      // of a finished run
  std::string options;  // run options as canonical msgpack, for resuming

  bool operator==(const RunRow&) const = default;
};

struct RunQuery {
  std::optional<std::string> id_prefix;  // of RunId::text(), upper case
  std::optional<std::string> flow_name;
  std::optional<RunState> state;
  std::optional<Digest> flow;
  std::optional<Digest> parameters_digest;
  std::optional<Time> since;
  std::uint32_t limit = 1000;
};

/// Who leads: a server, from its start until another one starts over the same journal. Of two, the
/// one with the higher number.
struct Epoch {
  std::uint64_t number = 0;   // 1, 2, 3 …; 0 = nobody leads
  std::uint64_t nonce = 0;    // tells two apart that believe to have the same number
  std::uint64_t journal = 0;  // the nonce of its first epoch: numbers of another one mean nothing
  bool operator==(const Epoch&) const = default;
};

/// One process may hold several; several processes may hold the same folder. Each object is used by
/// one thread at a time.
class Journal {
 public:
  virtual ~Journal() = default;

  /// Begins an epoch: one more than the highest so far, on disk when this returns. What this object
  /// writes is refused from the moment a later epoch begins. @param server  its name, for people
  /// @error unavailable, exhausted, io
  [[nodiscard]] virtual Result<Epoch> begin_epoch(std::uint64_t nonce, const std::string& server,
                                                  Time now) = 0;

  /// Whether something can be written now: asks once and waits for nothing, where writing itself
  /// waits until it can. @error unavailable: not now, or not by this process any more
  [[nodiscard]] virtual Status check() { return {}; }
  /// Adds a run with its flow (kept once per digest). @error conflict: the id exists; unavailable,
  /// exhausted, io
  virtual Status open_run(const RunRow& row, std::string_view flow_bytes) = 0;
  /// Appends the batches in order, all or none, and makes them durable as the options say.
  /// A batch's run change also updates the run's row.
  /// @return offset of the last change. @error unavailable, exhausted (disk full), io; denied: a
  /// later epoch began than this object's, here and wherever something is written
  [[nodiscard]] virtual Result<Offset> append(std::span<const Batch> batches) = 0;
  /// Waits until everything written so far would survive a power cut. @error io, exhausted
  virtual Status flush() = 0;
  virtual Status set_summary(const RunId& run, const Summary& summary) = 0;

  /// Newest first.
  [[nodiscard]] virtual Result<std::vector<RunRow>> runs(const RunQuery& query) = 0;
  [[nodiscard]] virtual Result<std::string> flow(const Digest& digest) = 0;  // FlowSpec::encode()

  struct Entry {
    Offset first = 0;  // offset of the batch's first change
    Batch batch;
  };
  /// Batches of `run` with changes after offset `after`, in order, at most `limit` changes' worth.
  [[nodiscard]] virtual Result<std::vector<Entry>> read(const RunId& run, Offset after,
                                                        std::size_t limit = SIZE_MAX) = 0;
  /// Forgets a run: its row, changes and, when no other run has it, its flow.
  virtual Status remove(const RunId& run) = 0;
};

}  // namespace reprise::journal
