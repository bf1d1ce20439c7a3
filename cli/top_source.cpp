#include "cli/top_source.hpp"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "cli/commands.hpp"
#include "cli/data_access.hpp"
#include "cli/text.hpp"

namespace reprise::cli {
namespace {

constexpr std::uint32_t runs_max = 200;
constexpr std::size_t followed_max = 8;  // runs whose tasks are counted while they run
constexpr std::size_t changes_at_once = 100'000;
constexpr std::size_t log_part = 256 * 1024;
constexpr std::size_t log_bytes_at_once = 4 * log_part;
constexpr std::size_t log_lines_max = 2000;

/// Of a finished run its row tells.
StateColumns columns_of(const journal::Summary& s) {
  StateColumns c;
  c.cached = s.cached;
  c.failed = s.failed;
  c.skipped = s.skipped;
  c.cancelled = s.cancelled;
  const std::uint64_t others = s.cached + s.failed + s.skipped + s.cancelled;
  c.success = s.tasks > others ? s.tasks - others : 0;
  return c;
}

}  // namespace

TopSource::TopSource(const GlobalOptions& options) : options_(options) {
  data_.place = options.server;
  if (options.server.empty())
    if (const auto path = data_path(options)) data_.place = path->string();
}

void TopSource::update(TopView::Page page, const std::optional<RunId>& run,
                       const std::optional<TaskId>& task) {
  data_.trouble.clear();
  if (data_.view_run != run) data_.view.reset();
  const auto done = [&]() -> Status {
    if (!place_) {
      auto opened = RunPlace::open(options_);
      if (!opened) return tl::unexpected(opened.error());
      place_ = *std::move(opened);
    }
    if (const Status runs = update_runs(); !runs) return runs;
    if (run)
      for (const TopData::Run& each : data_.runs) {
        if (each.row.id != *run) continue;
        const auto known = follow(each.row);
        if (!known) return tl::unexpected(known.error());
        show(*run, **known);
      }
    if (page == TopView::Page::logs && run && task && data_.view != nullptr &&
        task->value < data_.view->size())
      return update_log(*run, *task);
    return {};
  }();
  if (page == TopView::Page::workers) update_workers();
  data_.as_of = now();
  if (done) return;
  // Where nothing was ever run there is nothing to show, and nothing wrong.
  if (options_.server.empty() && done.error().code == ErrorCode::not_found) return;
  data_.trouble = done.error().message;
  place_.reset();
}

Status TopSource::update_runs() {
  journal::RunQuery query;
  query.limit = runs_max;
  auto rows = place_->journal().runs(query);
  if (!rows) return tl::unexpected(rows.error());
  data_.runs.clear();
  std::size_t followed = 0;
  for (journal::RunRow& row : *rows) {
    TopData::Run run{std::move(row), RunState::queued, {}};
    run.state = run.row.state;
    if (!is_finished(run.state)) {
      const auto state = place_->state(run.row);
      if (!state) continue;  // it was removed meanwhile
      run.state = *state;
    }
    if (run.row.finished) {
      run.tasks = columns_of(run.row.summary);
    } else if (is_under_way(run.state) && followed++ < followed_max) {
      if (const auto known = follow(run.row))
        run.tasks = cli::columns_of((*known)->view.counts(), (*known)->view.summary().cached);
    }
    data_.runs.push_back(std::move(run));
  }
  return {};
}

Result<const TopSource::Known*> TopSource::follow(const journal::RunRow& row) {
  auto known = known_.find(row.id);
  if (known == known_.end()) {
    auto flow = journal::flow_of(place_->journal(), row);
    if (!flow) return tl::unexpected(flow.error());
    // Views are large: those of runs that nobody looks at any more go.
    if (known_.size() > 2 * followed_max) known_.clear();
    known = known_.emplace(row.id, Known{journal::RunView(*std::move(flow)), 0}).first;
  }
  Known& of = known->second;
  for (;;) {
    const auto entries = place_->journal().read(row.id, of.after, changes_at_once);
    if (!entries) return tl::unexpected(entries.error());
    if (entries->empty()) return &of;
    for (const auto& [first, batch] : *entries) {
      if (const Status applied = of.view.apply(batch); !applied)
        return tl::unexpected(applied.error());
      of.after = first + batch.count() - 1;
    }
  }
}

void TopSource::show(const RunId& run, const Known& known) {
  if (data_.view && data_.view_run == run && shown_after_ == known.after) return;
  data_.view = std::make_shared<const journal::RunView>(known.view);
  data_.view_run = run;
  shown_after_ = known.after;
}

/// What the task's last attempt printed, to stdout unless that is empty and stderr is not.
Status TopSource::update_log(const RunId& run, TaskId task) {
  LogSource source{task, std::max(data_.view->run_count(task), 1u), worker::Stream::out};
  const bool is_same = log_ && log_->run == run && log_->source.task == task &&
                       log_->source.attempt == source.attempt;
  if (!is_same || (log_->offset == 0 && data_.log.empty())) {
    const auto begin = place_->read_log(run, source, 0, 1);
    if (!begin) return tl::unexpected(begin.error());
    if (begin->empty()) source.stream = worker::Stream::err;
    log_ = Log{source, run, 0, {}};
    data_.log_task = task;
    data_.log.clear();
  }
  if (!log_->rest.empty() && !data_.log.empty()) data_.log.pop_back();
  for (std::size_t read = 0; read < log_bytes_at_once;) {
    const auto bytes = place_->read_log(run, log_->source, log_->offset, log_part);
    if (!bytes) return tl::unexpected(bytes.error());
    if (bytes->empty()) break;
    read += bytes->size();
    log_->offset += bytes->size();
    std::string text = std::exchange(log_->rest, {}) + *bytes;
    if (const std::size_t end = text.rfind('\n'); end != text.size() - 1) {
      log_->rest = end == std::string::npos ? text : text.substr(end + 1);
      text.resize(end == std::string::npos ? 0 : end + 1);
    }
    for (std::string& line : lines_of(text)) data_.log.push_back(std::move(line));
  }
  if (!log_->rest.empty()) data_.log.push_back(log_->rest);
  if (data_.log.size() > log_lines_max)
    data_.log.erase(data_.log.begin(),
                    data_.log.end() - static_cast<std::ptrdiff_t>(log_lines_max));
  return {};
}

void TopSource::update_workers() {
  if (options_.server.empty()) {
    data_.workers = {"runs of this data directory have workers of their own, in their processes;",
                     "--server HOST:PORT shows those of a server"};
    return;
  }
  GlobalOptions plain = options_;
  plain.json = plain.quiet = false;
  plain.color = ColorChoice::never;
  Console::Captured captured;
  {
    Console console(plain, captured);
    worker_list_command(console);
  }
  data_.workers = lines_of(captured.out.empty() ? captured.err : captured.out);
}

}  // namespace reprise::cli
