// What travels on links, as bytes: one struct and one kind for each message, all of them msgpack
// arrays of their fields in the order of the struct. Flows, parameters, run options, batches and
// summaries keep the encodings that the journal has for them.
//
// Rules for all of them: a newer program may append fields, an older one skips them; decoding
// anything gives a message or `corrupt`; lists have at most 65,536 elements, of short things
// 1,048,576, so that tiny elements cannot fill the memory; names are bytes, whatever their users
// wrote; values above 4 KiB travel by digest and are fetched as blobs. docs/protocol.md, "Link",
// lists the kinds.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cluster/inventory.hpp"
#include "cluster/peer.hpp"
#include "core/digest.hpp"
#include "core/result.hpp"
#include "core/time.hpp"
#include "core/ulid.hpp"
#include "flow/attempt.hpp"
#include "journal/journal.hpp"
#include "journal/records.hpp"
#include "scheduler/events.hpp"

namespace reprise::cluster::wire {

/// Numbers on the wire: never changed, never used again.
enum class Kind : std::uint16_t {
  // client → scheduler
  submit = 1,
  cancel = 2,
  pause = 3,
  watch = 4,
  query = 5,
  // scheduler → client
  submitted = 16,
  answer = 17,
  changes = 18,
  run_ended = 19,
  // worker → scheduler
  worker_hello = 32,
  credits = 33,
  began = 34,
  reports = 35,
  rejected = 36,
  retracted = 37,
  draining = 38,
  log_answer = 44,
  // scheduler → worker
  run_context = 48,
  dispatch = 49,
  stop = 50,
  retract = 51,
  drain = 52,
  forget_run = 53,
  welcome = 54,
  acknowledged = 55,
  log_request = 60,
  // everybody
  ping = 64,
  pong = 65,
  blob_request = 66,
  blob_chunk = 67,
};

/// Who may send what. For ExchangeOptions::may_send.
[[nodiscard]] bool may_send(Role role, std::uint16_t kind);

/// Bytes of a blob that travel in one message.
inline constexpr std::size_t blob_chunk_bytes = 256u << 10;

// ---- clients ----

/// Start or continue a run. Answered with Submitted or Answer.
struct Submit {
  std::uint64_t request = 0;  // the client's number for it, repeated in the answer
  std::string idempotency;    // at most 64 bytes; the same again is the same run; empty: none
  std::shared_ptr<const FlowSpec> flow;
  std::string options;  // actors::encode_options()
  std::string ns;       // namespace, for fairness and limits; empty: the default one
  Parameters parameters;
};
struct Submitted {
  std::uint64_t request = 0;
  RunId run;
  bool continued = false;
  bool stable = false;  // on disk; otherwise accepted only (docs/durability.md)
};
/// Cancel or pause a run, or these tasks of it. Answered with Answer.
struct Steer {
  std::uint64_t request = 0;
  RunId run;
  std::vector<std::string> tasks;  // as shown; empty = all
  std::string reason;
};
/// The end of a run, told as RunEnded once it is at rest, and before it, as Changes, what is
/// durable of its changes.
struct Watch {
  std::uint64_t request = 0;
  std::optional<RunId> run;
  journal::Offset from = 0;  // the first change wanted; 0: none, only the end
};
/// A question that is rare: "workers", "runs" …; `body` is msgpack as the op says
/// (run_queries.hpp).
struct Query {
  std::uint64_t request = 0;
  std::string op;
  std::string body;
};
/// The end of a request: what was asked for, or why not.
struct Answer {
  std::uint64_t request = 0;
  Status status;
  std::string body;
};
struct Changes {
  std::uint64_t request = 0;  // of the Watch
  journal::Offset first = 0;  // of the first change; the others follow without a gap
  std::vector<journal::Batch> batches;
};
struct RunEnded {
  std::uint64_t request = 0;  // of the Watch
  RunId run;
  RunState state = RunState::success;
  std::string message;
  journal::Summary summary;
  // By name; none where the server that ran it is gone, or too much was run since.
  std::map<std::string, Payload> outputs;
};

// ---- workers ----

/// From this version of the protocol on there are epochs: Welcome, inventories and
/// acknowledgements.
inline constexpr std::uint32_t version_of_epochs = 2;

/// The first message of a server to a worker on a new link; the worker answers with its hello.
struct Welcome {
  journal::Epoch epoch;
  Duration lost_after{0};  // a worker that is not heard for so long is given up
};
/// The first message of a worker on a new link, or its answer to a Welcome.
struct WorkerHello {
  Resources capacity;                         // cpu in milli-units
  std::map<std::string, std::string> labels;  // for constraints
  std::uint32_t slots = 0;                    // attempts at once
  std::string enforcement;                    // "cgroup", "rlimit", "none"
  std::vector<std::string> functions;         // "name@version" that it can run
  std::uint64_t epoch = 0;                    // the highest that it has served
  // What it still runs, and what ended without its report being acknowledged; the reports of those
  // follow.
  std::vector<InventoryItem> running;
  std::string version;     // of its program; older ones do not say
  std::string signatures;  // of `functions`: worker::encode_known(); older ones do not say
};
/// A worker's room for further attempts, all told: not an increment, so it may be repeated.
struct Credits {
  std::uint32_t slots = 0;
  Resources free;
};
struct Began {
  std::vector<scheduler::Began::Start> starts;
};
struct Reports {
  std::vector<scheduler::Report> reports;
};
/// Attempts that the worker does not take, or gives back.
struct Refused {
  std::vector<scheduler::AttemptRef> attempts;
  std::string reason;  // of a rejection; empty when retracted
};
struct Draining {
  bool draining = false;
};

/// What all attempts of one run share, sent once before the first of them.
struct Context {
  std::uint32_t run = 0;                      // the scheduler's number for it
  std::shared_ptr<const RunContext> context;  // without `folder` and `clock`, which are local
};
/// The right to compute a key, taken on the scheduler's side and presented by the worker's commit.
struct Lease {
  std::string owner;
  std::uint64_t token = 0;
  bool operator==(const Lease&) const = default;
};
struct Dispatched {
  Attempt attempt;  // `context` is not sent, but looked up by Attempt::run; argument names travel
  std::optional<Lease> lease;
};
struct Dispatch {
  std::uint64_t epoch = 0;  // lower than one seen before: ignored by the worker
  std::vector<Dispatched> attempts;
};
/// Stop or retract these attempts; or: their reports are on disk, or of no interest.
struct Attempts {
  std::uint64_t epoch = 0;
  std::vector<scheduler::AttemptRef> attempts;
};
struct Drain {
  bool draining = true;  // false: take work again
};
struct ForgetRun {
  std::uint32_t run = 0;
};
/// Asks for a part of a log, should the worker have it; answered with LogAnswer.
struct LogRequest {
  std::uint64_t number = 0;  // the scheduler's, repeated by the answer
  std::string what;          // an AskLog (run_queries.hpp)
};
struct LogAnswer {
  std::uint64_t number = 0;
  Status status;
  std::string part;  // a LogPart
};

// ---- everybody ----

struct Ping {
  std::uint64_t number = 0;  // repeated by the answer
};
/// Asks for a part of a blob; answered with BlobChunk.
struct BlobRequest {
  Digest digest;
  std::uint64_t offset = 0;
};
struct BlobChunk {
  Digest digest;
  std::uint64_t offset = 0;
  std::uint64_t size = 0;  // of the whole blob; 0: the sender does not have it
  std::string bytes;       // at most blob_chunk_bytes
};

// Each message as bytes and back. @error corrupt: does not decode, or a value is out of range
#define REPRISE_WIRE_MESSAGE(Type)               \
  [[nodiscard]] std::string encode(const Type&); \
  [[nodiscard]] Status decode(std::string_view bytes, Type& message)
REPRISE_WIRE_MESSAGE(Submit);
REPRISE_WIRE_MESSAGE(Submitted);
REPRISE_WIRE_MESSAGE(Steer);
REPRISE_WIRE_MESSAGE(Watch);
REPRISE_WIRE_MESSAGE(Query);
REPRISE_WIRE_MESSAGE(Answer);
REPRISE_WIRE_MESSAGE(Changes);
REPRISE_WIRE_MESSAGE(RunEnded);
REPRISE_WIRE_MESSAGE(Welcome);
REPRISE_WIRE_MESSAGE(WorkerHello);
REPRISE_WIRE_MESSAGE(Credits);
REPRISE_WIRE_MESSAGE(Began);
REPRISE_WIRE_MESSAGE(Reports);
REPRISE_WIRE_MESSAGE(Refused);
REPRISE_WIRE_MESSAGE(Draining);
REPRISE_WIRE_MESSAGE(Context);
REPRISE_WIRE_MESSAGE(Attempts);
REPRISE_WIRE_MESSAGE(Drain);
REPRISE_WIRE_MESSAGE(ForgetRun);
REPRISE_WIRE_MESSAGE(LogRequest);
REPRISE_WIRE_MESSAGE(LogAnswer);
REPRISE_WIRE_MESSAGE(Ping);
REPRISE_WIRE_MESSAGE(BlobRequest);
REPRISE_WIRE_MESSAGE(BlobChunk);
#undef REPRISE_WIRE_MESSAGE

[[nodiscard]] std::string encode(const Dispatch& message);
/// @param context_of  the context of a run by its number, as a Context brought it; null: unknown
/// @error corrupt: as above, or an attempt does not fit its run's flow; not_found: an attempt of a
/// run whose context is unknown
[[nodiscard]] Status decode(
    std::string_view bytes,
    const std::function<std::shared_ptr<const RunContext>(std::uint32_t run)>& context_of,
    Dispatch& message);

}  // namespace reprise::cluster::wire
