// Following a run of a server to its end: what `run`, `resume`, `retry` and `fork` do with
// --server.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "cli/console.hpp"
#include "cluster/client.hpp"
#include "flow/flow_spec.hpp"

namespace reprise::cli {

struct RemoteFollowOptions {
  std::shared_ptr<const FlowSpec> flow;
  std::string flow_name;  // as typed, for messages
  std::string out;        // directory for output files
  /// Starts the run, or goes on with it.
  struct Started {
    RunId run;
    bool continued = false;  // its changes so far are counted, not told
  };
  std::function<Result<Started>(cluster::Client&)> start;
};

/// Connects with --server, starts and follows; prints everything; returns the exit code. The first
/// Ctrl-C cancels the run, the second leaves it to the server.
int follow_remote(const RemoteFollowOptions& options, Console& console);

}  // namespace reprise::cli
