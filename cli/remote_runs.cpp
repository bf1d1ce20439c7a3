#include "cli/remote_runs.hpp"

#include <utility>

#include "cli/follow_remote.hpp"
#include "cli/remote.hpp"
#include "cli/run_selector.hpp"
#include "cluster/remote_journal.hpp"
#include "journal/run_view.hpp"

namespace reprise::cli {
namespace {

Result<RunThere> find_there(const std::string& text, cluster::Client& client) {
  cluster::RemoteJournal journal(client);
  auto row = find_run(text, journal);
  if (!row) return tl::unexpected(row.error());
  auto flow = journal::flow_of(journal, *row);
  if (!flow) return tl::unexpected(flow.error());
  return RunThere{*std::move(row), *std::move(flow)};
}

}  // namespace

int follow_there(const FollowThere& what,
                 const std::function<Result<RunId>(cluster::Client&, const RunThere&)>& begin,
                 Console& console) {
  RemoteFollowOptions how;
  RunThere found;
  {
    // A link of its own, gone before the one that is followed: that one is made once signals are
    // looked after.
    auto client = connect_client(console.options());
    if (!client) return console.fail(client.error());
    auto there = find_there(what.run, **client);
    if (!there) return console.fail(there.error());
    found = *std::move(there);
  }
  how.flow = found.flow;
  how.flow_name = found.flow->source_file;
  how.out = what.out;
  how.start = [&](cluster::Client& client) -> Result<RemoteFollowOptions::Started> {
    const auto run = begin(client, found);
    if (!run) return tl::unexpected(run.error());
    return RemoteFollowOptions::Started{*run, what.continues};
  };
  return follow_remote(how, console);
}

int go_on_there(const GoOn& what, cluster::wire::AskAgain question, Console& console) {
  const auto begin = [&](cluster::Client& client, const RunThere& old) -> Result<RunId> {
    question.run = old.row.id;
    const auto done = client.query(what.op, encode(question));
    if (!done) return tl::unexpected(done.error());
    return old.row.id;
  };
  return follow_there({what.run, what.out, true}, begin, console);
}

}  // namespace reprise::cli
