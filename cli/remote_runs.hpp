// Going on with what a server has: `resume`, `retry` and `fork` with --server.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "cli/console.hpp"
#include "cluster/client.hpp"
#include "cluster/run_queries.hpp"
#include "flow/flow_spec.hpp"
#include "journal/journal.hpp"

namespace reprise::cli {

/// A run of a server.
struct RunThere {
  journal::RunRow row;
  std::shared_ptr<const FlowSpec> flow;
};

struct FollowThere {
  std::string run;         // selector
  std::string out;         // directory for output files
  bool continues = false;  // it is the selected run that is followed: its past is only counted
};

/// Finds a run, has `begin` do something with it, and follows the run that comes of it to its end.
/// @return the exit code
int follow_there(const FollowThere& what,
                 const std::function<Result<RunId>(cluster::Client&, const RunThere&)>& begin,
                 Console& console);

struct GoOn {
  std::string run;  // selector
  std::string op;   // "resume", "retry"
  std::string out;
};
/// The same for a run that goes on; the run in `question` is filled in.
int go_on_there(const GoOn& what, cluster::wire::AskAgain question, Console& console);

}  // namespace reprise::cli
