// Why a task of a run was served from the cache, or was not: found out afterwards, from what the
// journal and the cache remember.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "cache/blob_store.hpp"
#include "cache/explain.hpp"
#include "flow/flow_spec.hpp"
#include "journal/journal.hpp"
#include "journal/run_view.hpp"
#include "worker/material.hpp"

namespace reprise {

/// Something behind a difference, as far as the two runs tell.
struct Cause {
  enum class Kind : std::uint8_t {
    parameter,  // of the run
    upstream,   // the result of another task
    text,       // what the flow file says
  };
  Kind kind = Kind::parameter;
  std::string name;
  std::string before;  // a small value as JSON, else a digest; empty = it was not there
  std::string now;
  SourceSpan span;  // in the flow file; line 0 = not from a file

  bool operator==(const Cause&) const = default;
};

struct TaskExplanation {
  enum class Outcome : std::uint8_t { hit, miss, bypass, unknown };

  std::string task;
  Outcome outcome = Outcome::unknown;
  std::string reason;  // from the closed list of docs/caching.md; empty when unknown
  std::string note;    // what limits the answer; empty = nothing
  std::optional<Key> key;
  std::optional<RunId> origin;          // of a hit: the run that made it
  std::optional<cache::Record> record;  // of a hit: the version, when it is still there
  std::size_t parts = 0;                // of the key; 0 = not known
  cache::MissExplanation miss;
  std::vector<Cause> causes;
  SourceSpan span;  // of the task
};

struct ExplainSources {
  journal::Journal& journal;
  cache::Store& store;
  cache::BlobStore* blobs = nullptr;  // for large results of upstreams; may be null
  worker::FileHasher& hasher;
  KeySpace space{};  // as of the run
};

/// @param task  of `view`, which is the run of `row`
/// @error corrupt, unavailable, io
[[nodiscard]] Result<TaskExplanation> explain_task(const ExplainSources& sources,
                                                   const journal::RunRow& row,
                                                   const journal::RunView& view, TaskId task);

/// What lies behind the differences of a miss, by comparing the run with the one that made the
/// nearest result. `view` and `parameters` are those of the run, or of the plan of one: then `view`
/// is null. Empty when that run is not there any more.
[[nodiscard]] std::vector<Cause> causes_of(journal::Journal& journal, const FlowSpec& flow,
                                           const Parameters& parameters,
                                           const journal::RunView* view, NodeId node,
                                           const std::string& task,
                                           const cache::MissExplanation& miss);

/// A value for people: JSON when it is small, else its digest.
[[nodiscard]] std::string small_value(const Payload& value);

}  // namespace reprise
