// `reprise fork` and `reprise retry`: doing a part of a run again.
#include <algorithm>
#include <filesystem>

#include <fmt/format.h>

#include "actors/fork.hpp"
#include "actors/run_options.hpp"
#include "cli/commands.hpp"
#include "cli/data_access.hpp"
#include "cli/execution.hpp"
#include "cli/flow_source.hpp"
#include "cli/follow.hpp"
#include "cli/remote_runs.hpp"
#include "cli/run_selector.hpp"
#include "cli/text.hpp"

namespace reprise::cli {
namespace {

/// The old run's parameters with what was given now.
Result<Parameters> forked_parameters(const FlowSpec& flow, const journal::RunRow& row,
                                     const ForkOptions& options) {
  auto given = read_parameters(flow, options.parameters, options.parameter_files, row.parameters);
  if (!given) return tl::unexpected(given.error());
  return bind_parameters(flow, *given);
}

/// A trace whose input was touched is another flow: read again from its file.
tl::expected<std::shared_ptr<const FlowSpec>, int> touched_flow(const journal::RunRow& row,
                                                                const ForkOptions& options,
                                                                Console& console) {
  if (row.source_file.empty() || row.source_file == "-")
    return tl::unexpected(console.fail({ErrorCode::invalid_argument,
                                        "--touch needs the trace, and this run was not started "
                                        "from a file"},
                                       exit_invalid));
  const auto path =
      std::filesystem::path(row.folder) / std::filesystem::path(row.source_file).filename();
  auto source = load_source({path.string(), {}, {}, options.touches}, console);
  if (!source) return tl::unexpected(source.error());
  source->flow.source_file = row.source_file;
  return std::make_shared<const FlowSpec>(std::move(source->flow));
}

int fork_there(const ForkOptions& options, Console& console) {
  if (!options.touches.empty())
    return console.fail({ErrorCode::invalid_argument,
                         "--touch reads the trace again, which a server cannot; run it anew"},
                        exit_invalid);
  const auto fork = [&](cluster::Client& client, const RunThere& old) -> Result<RunId> {
    auto parameters = read_parameters(*old.flow, options.parameters, options.parameter_files);
    if (!parameters) return tl::unexpected(parameters.error());
    cluster::wire::AskFork question;
    question.run = old.row.id;
    question.at = options.at;
    question.parameters = *std::move(parameters);
    question.cache = static_cast<std::uint32_t>(options.cache);
    question.idempotency = RunId::generate(now()).text();
    const auto bytes = client.query("fork", encode(question));
    if (!bytes) return tl::unexpected(bytes.error());
    cluster::wire::Forked forked;
    if (Status read = decode(*bytes, forked); !read) return tl::unexpected(read.error());
    console.say(fmt::format("fork of run {}: {} taken, {} done again", old.row.id.short_text(),
                            counted(forked.given, "result"), counted(forked.again, "task")));
    return forked.run;
  };
  return follow_there({options.run, options.out, false}, fork, console);
}

}  // namespace

int fork_command(const ForkOptions& options, Console& console) {
  if (const auto status = check_run_fields(console.options()); !status)
    return console.fail(status.error(), exit_invalid);
  if (!console.options().server.empty()) return fork_there(options, console);
  FollowOptions how;
  {
    const auto reading = open_for_reading(console.options());
    if (!reading) return console.fail(reading.error());
    const auto row = find_run(options.run, *reading->journal);
    if (!row) return console.fail(row.error());
    const auto view = journal::load_run(*reading->journal, *row);
    if (!view) return console.fail(view.error());
    if (reading->folder.is_owned(row->id))
      return console.fail(
          {ErrorCode::conflict, fmt::format("run {} is being run still", row->id.short_text())});
    ForkRequest request;
    request.at = options.at;
    how.flow = view->shared_flow();
    if (!options.touches.empty()) {
      auto flow = touched_flow(*row, options, console);
      if (!flow) return flow.error();
      how.flow = request.flow = std::move(*flow);
    }
    auto parameters = forked_parameters(*how.flow, *row, options);
    if (!parameters) return console.fail(parameters.error(), exit_invalid);
    request.parameters = std::move(*parameters);
    const auto blobs = cache::BlobStore::open({reading->folder.blobs(), false});
    if (!blobs) return console.fail(blobs.error());
    auto fork = make_fork(*row, *view, request, **blobs);
    if (!fork) return console.fail(fork.error());
    const auto began = actors::decode_options(row->options);
    if (!began) return console.fail(began.error());
    how.run = std::move(fork->run);
    how.run.context = began->context;
    how.run.files = began->files;
    how.run.cache = options.cache;
    console.say(fmt::format("fork of run {}: {} taken, {} done again", row->id.short_text(),
                            counted(fork->given, "result"), counted(fork->again, "task")));
  }
  auto engine = engine_options(console.options(), options.slots, options.durability, options.grace,
                               options.secrets);
  if (!engine) return console.fail(engine.error(), exit_invalid);
  how.engine = std::move(*engine);
  how.flow_name = how.flow->source_file;
  how.out = options.out;
  return follow(std::move(how), console);
}

int retry_command(const RetryOptions& options, Console& console) {
  if (const auto status = check_run_fields(console.options()); !status)
    return console.fail(status.error(), exit_invalid);
  if (!console.options().server.empty()) {
    cluster::wire::AskAgain question;
    question.failed = options.failed;
    question.cancelled = options.cancelled;
    question.tasks = options.tasks;
    return go_on_there({options.run, "retry", options.out}, question, console);
  }
  const auto engine = engine_options(console.options(), options.slots, options.durability,
                                     options.grace, options.secrets);
  if (!engine) return console.fail(engine.error(), exit_invalid);
  FollowOptions how;
  {
    auto data = open_for_writing(console.options());
    if (!data) return console.fail(data.error());
    const auto row = find_run(options.run, *data->journal);
    if (!row) return console.fail(row.error());
    if (!is_finished(row->state))
      return console.fail(
          {ErrorCode::conflict,
           fmt::format("run {} is not finished; `reprise resume {}` goes on with it",
                       row->id.short_text(), row->id.short_text())});
    const auto lock = data->folder.own(row->id);
    if (!lock) return console.fail(lock.error());
    const auto view = journal::load_run(*data->journal, *row);
    if (!view) return console.fail(view.error());
    RetryRequest request;
    request.failed = options.failed || !options.cancelled;
    request.cancelled = options.cancelled || !options.failed;
    request.tasks = options.tasks;
    auto batch = make_retry(*row, *view, request, now());
    if (!batch) return console.fail(batch.error());
    const std::vector<journal::Batch> batches{std::move(*batch)};
    // From here on the run is one that was interrupted, should anything happen to us.
    if (auto written = data->journal->append(batches); !written)
      return console.fail(written.error());
    how.flow = view->shared_flow();
    how.run.parameters = row->parameters;
    how.run.resume = row->id;
    console.say(fmt::format("{} of run {} tried again", counted(batches[0].tasks.size(), "task"),
                            row->id.short_text()));
  }
  how.engine = *engine;
  how.is_retry = true;
  how.flow_name = how.flow->source_file;
  how.out = options.out;
  return follow(std::move(how), console);
}

}  // namespace reprise::cli
