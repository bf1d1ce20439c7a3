// What clients ask about runs, as bodies of Query and Answer: one pair of structs per op. The rules
// of wire.hpp hold. docs/protocol.md, "Queries", lists them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/id.hpp"
#include "core/payload.hpp"
#include "core/result.hpp"
#include "core/ulid.hpp"
#include "journal/journal.hpp"

namespace reprise::cluster::wire {

/// "runs": answered with RunRows, the newest first, each in the state that it is in right now.
struct AskRuns {
  journal::RunQuery query;
};
struct RunRows {
  std::vector<journal::RunRow> rows;
};
/// "flow": by its digest; answered with the bytes of FlowSpec::encode().
struct AskFlow {
  Digest flow;
};
/// "changes": of a run after an offset, as Journal::read(); answered with RunEntries, none at the
/// end of what is durable.
struct AskChanges {
  RunId run;
  journal::Offset after = 0;
  std::uint64_t limit = 0;  // changes' worth; 0: as many as suit a message
};
struct RunEntries {
  std::vector<journal::Journal::Entry> entries;
};
/// "result": what a node gave; answered with NodeResult.
struct AskResult {
  RunId run;
  NodeId node;
};
struct NodeResult {
  Payload value;  // a long one by its digest, to be asked for as a blob
};
/// "blob": a part of one, as BlobRequest asks for it; answered with a BlobChunk.

/// "log": of an attempt of a task; answered with LogPart.
struct AskLog {
  RunId run;
  TaskId task;
  std::uint32_t attempt = 1;
  bool is_err = false;  // standard error
  std::uint64_t offset =
      0;  // from its beginning, or, with `from_end`, so many bytes before its end
  bool from_end = false;
  std::uint64_t limit = 0;  // at most log_part_bytes
};
struct LogPart {
  std::uint64_t offset = 0;  // of `bytes`
  std::string bytes;         // empty: there is no more, as yet
};
/// "resume", "retry": goes on with a run; answered with nothing.
struct AskAgain {
  RunId run;
  std::vector<std::string> tasks;  // empty: all that may
  bool failed = false;             // retry: only these
  bool cancelled = false;
};
/// "fork": a new run that begins with what another has; answered with the id of the new one.
struct AskFork {
  RunId run;
  std::vector<std::string> at;
  Parameters parameters;    // over the old run's
  std::uint32_t cache = 0;  // CacheMode
  std::string idempotency;
};
struct Forked {
  RunId run;
  std::uint64_t given = 0;  // results taken
  std::uint64_t again = 0;  // tasks to be done again
};

inline constexpr std::uint64_t log_part_bytes = 256u << 10;

#define REPRISE_WIRE_MESSAGE(Type)               \
  [[nodiscard]] std::string encode(const Type&); \
  [[nodiscard]] Status decode(std::string_view bytes, Type& message)
REPRISE_WIRE_MESSAGE(AskRuns);
REPRISE_WIRE_MESSAGE(RunRows);
REPRISE_WIRE_MESSAGE(AskFlow);
REPRISE_WIRE_MESSAGE(AskChanges);
REPRISE_WIRE_MESSAGE(RunEntries);
REPRISE_WIRE_MESSAGE(AskResult);
REPRISE_WIRE_MESSAGE(NodeResult);
REPRISE_WIRE_MESSAGE(AskLog);
REPRISE_WIRE_MESSAGE(LogPart);
REPRISE_WIRE_MESSAGE(AskAgain);
REPRISE_WIRE_MESSAGE(AskFork);
REPRISE_WIRE_MESSAGE(Forked);
#undef REPRISE_WIRE_MESSAGE

}  // namespace reprise::cluster::wire
