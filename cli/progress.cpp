#include "cli/progress.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

#include <poll.h>
#include <unistd.h>

#include <fmt/format.h>

#include "cli/documents.hpp"
#include "cli/text.hpp"
#include "worker/task_log.hpp"

namespace reprise::cli {
namespace {

constexpr auto repaint_interval = std::chrono::milliseconds{100};  // 10 Hz
constexpr auto gather_interval =
    std::chrono::milliseconds{30};  // what arrives together is written together
constexpr Duration heartbeat_interval = std::chrono::seconds{30};
constexpr std::size_t failure_blocks_max = 20;
constexpr std::size_t log_tail_lines = 10;
constexpr std::size_t log_tail_bytes = 8192;
constexpr std::uint64_t told_tasks_max = 50;  // in a larger flow finished tasks only move the bar

/// What people are told goes out whole or not at all; a closed or broken stderr is nobody's
/// problem.
void write_quietly(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(fd, bytes.data(), bytes.size());
    if (written >= 0) {
      bytes.remove_prefix(static_cast<std::size_t>(written));
    } else if (errno == EAGAIN) {
      pollfd entry{fd, POLLOUT, 0};
      ::poll(&entry, 1, 1000);
    } else if (errno != EINTR) {
      return;
    }
  }
}

/// Text in a GitHub workflow command (https://docs.github.com/actions, "Workflow commands"): of a
/// property, which ends at ":" and ",", or of the message, where those are taken as they are.
std::string github_text(std::string_view text, bool is_property = false) {
  std::string result;
  for (const char c : text) {
    const bool is_special =
        c == '%' || c == '\r' || c == '\n' || (is_property && (c == ':' || c == ','));
    result +=
        is_special ? fmt::format("%{:02X}", static_cast<unsigned char>(c)) : std::string(1, c);
  }
  return result;
}

}  // namespace

ProgressChoice resolve(ProgressChoice choice, bool stderr_is_terminal, const char* term) {
  const bool can_draw = stderr_is_terminal && !(term && std::strcmp(term, "dumb") == 0);
  if (choice == ProgressChoice::automatic)
    return can_draw ? ProgressChoice::bar : ProgressChoice::counter;
  if (choice == ProgressChoice::bar && !stderr_is_terminal)
    return ProgressChoice::counter;  // no cursor to move
  return choice;
}

Progress::Progress(std::shared_ptr<const FlowSpec> flow, Time started, Console& console,
                   Options options)
    : console_(console),
      options_(std::move(options)),
      view_(std::move(flow), started),
      last_line_(started) {}

Progress::~Progress() {
  finish();
}

void Progress::set_usual(std::map<std::string, Duration> usual, unsigned slots) {
  const std::lock_guard drawing(drawing_);
  view_.set_usual(std::move(usual), slots);
}

void Progress::take(const journal::Batch& batch) {
  bool wake = false;
  {
    const std::lock_guard lock(mutex_);
    wake = queue_.empty();
    queue_.push_back(batch);
  }
  if (wake) changed_.notify_one();
}

void Progress::start(const RunId& run, std::filesystem::path run_folder,
                     const std::vector<journal::Batch>& past) {
  run_ = run;
  run_folder_ = std::move(run_folder);
  for (const journal::Batch& batch : past) view_.apply(batch, nullptr);
  if (options_.choice == ProgressChoice::bar) insurance_.emplace(fd_);
  thread_ = std::thread([this] { loop(); });
}

void Progress::say(std::string line) {
  {
    const std::lock_guard lock(mutex_);
    if (console_.is_quiet()) return;
    said_.push_back(std::move(line));
  }
  changed_.notify_one();
}

void Progress::suspend() {
  const std::lock_guard drawing(drawing_);
  if (suspended_) return;
  suspended_ = true;
  write_quietly(fd_, painter_.clear(terminal_size(fd_).columns));
}

void Progress::resume() {
  const std::lock_guard drawing(drawing_);
  suspended_ = false;
  last_paint_ = Time{};
}

void Progress::finish() {
  if (std::exchange(finished_, true)) return;
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
  }
  changed_.notify_one();
  if (thread_.joinable()) {
    thread_.join();
    std::vector<std::string> lines;
    set_group(false, lines);
    repaint(std::move(lines), false);
  } else {
    step(true);
  }
  insurance_.reset();
}

void Progress::loop() {
  const bool draws = options_.choice == ProgressChoice::bar;
  for (;;) {
    bool is_last = false;
    {
      std::unique_lock lock(mutex_);
      const auto something = [&] { return ending_ || !queue_.empty() || !said_.empty(); };
      if (draws)
        changed_.wait_for(lock, repaint_interval, [&] { return ending_ || !said_.empty(); });
      else
        changed_.wait_for(lock, std::chrono::seconds{1}, something);
      if (!draws && !ending_ && !queue_.empty())
        changed_.wait_for(lock, gather_interval, [&] { return ending_ || !said_.empty(); });
      is_last = ending_;
    }
    step(is_last);
    if (is_last) return;
  }
}

void Progress::step(bool is_last) {
  std::vector<journal::Batch> batches;
  std::vector<std::string> said;
  {
    const std::lock_guard lock(mutex_);
    batches.swap(queue_);
    said.swap(said_);
  }
  const std::lock_guard drawing(drawing_);
  std::vector<TaskNews> news;
  std::string events;
  for (const journal::Batch& batch : batches) {
    if (batch.run != run_) continue;
    view_.apply(batch, &news);
    if (options_.choice == ProgressChoice::json) add_events(batch, events);
  }
  // Lines of JSON are data: they go to stdout, unless the one document of --json is to come there.
  if (!events.empty() && console_.is_json()) {
    write_quietly(fd_, events);
  } else if (!events.empty()) {
    console_.raw(events);
    console_.flush();
  }
  std::vector<std::string> lines;
  join_cancelled(news);
  for (const TaskNews& item : news) tell(item, lines);
  lines.insert(lines.end(), std::make_move_iterator(said.begin()),
               std::make_move_iterator(said.end()));

  const Time time = now();
  if (options_.choice == ProgressChoice::counter && !console_.is_quiet()) {
    if (!lines.empty())
      last_line_ = time;
    else if (!is_last && time - last_line_ >= heartbeat_interval) {
      lines.push_back(view_.heartbeat(time));
      last_line_ = time;
    }
  }
  repaint(std::move(lines), !is_last);
}

void Progress::tell(const TaskNews& news, std::vector<std::string>& lines) {
  const Style style = console_.err_style();
  const bool failed = is_failed(news.state) || news.state == TaskState::retrying;
  if (news.state == TaskState::retrying) ++retried_;
  if (is_failed(news.state)) {
    ++failure_count_;
    if (failures_.size() < failure_blocks_max) failures_.push_back(news);
  }
  if (!news.hit && (!slowest_ || news.duration > slowest_->duration)) slowest_ = news;

  if (options_.choice == ProgressChoice::json || options_.choice == ProgressChoice::none ||
      console_.is_quiet())
    return;
  const bool in_full = failed && failures_.size() <= failure_blocks_max &&
                       failure_count_ <= failure_blocks_max && retried_ <= 2 * failure_blocks_max;
  const std::vector<std::string> tail = in_full ? log_tail(news) : std::vector<std::string>{};
  if (options_.choice == ProgressChoice::counter) {
    // A failure is shown between the folded groups of what went well.
    const bool is_apart = has_groups() && is_failed(news.state);
    set_group(!is_apart, lines);
    lines.push_back(counter_line(news, style));
    if (in_full) {
      const auto block = failure_block(news, tail, run_.short_text(), style);
      lines.insert(lines.end(), block.begin() + 1,
                   block.end());  // its head says what the line above says
    }
    if (is_apart) lines.push_back(annotation(news));
  } else if (in_full) {
    const auto block = failure_block(news, tail, run_.short_text(), style);
    lines.insert(lines.end(), block.begin(), block.end());
  } else if (!failed && view_.counts().total <= told_tasks_max) {
    lines.push_back(finished_line(news, style));
  }
}

bool Progress::has_groups() const {
  return options_.github && options_.choice == ProgressChoice::counter && !console_.is_quiet();
}

void Progress::set_group(bool open, std::vector<std::string>& lines) {
  if (!has_groups() || open == group_is_open_) return;
  group_is_open_ = open;
  lines.push_back(open ? "::group::" +
                             github_text(fmt::format("run {}  {}", run_.short_text(),
                                                     escape_for_terminal(view_.run().flow().name)))
                       : "::endgroup::");
}

/// Beside the line of the flow file that the task is written in.
std::string Progress::annotation(const TaskNews& news) const {
  const NodeId node = view_.run().node_of(news.task);
  const std::uint32_t line = node.is_none() ? 0 : view_.run().flow().nodes[node.value].span.line;
  return fmt::format(
      "::error file={},line={}::{}", github_text(options_.flow_file, true), std::max(line, 1u),
      github_text(escape_for_terminal(news.name) + " " + escape_for_terminal(news.message)));
}

void Progress::add_events(const journal::Batch& batch, std::string& text) const {
  for (const journal::TaskChange& change : batch.tasks)
    text += to_line(event_json(batch.run, view_.run().task_name(change.task), change, 0)) + "\n";
  if (batch.change) text += to_line(event_json(batch.run, *batch.change, 0)) + "\n";
}

std::vector<std::string> Progress::log_tail(const TaskNews& news) const {
  const auto log = worker::open_log(run_folder_, news.task, news.attempt, worker::Stream::err);
  if (!log) return {};
  const auto text = log->tail(log_tail_lines, log_tail_bytes);
  if (!text) return {};
  return lines_of(*text);
}

void Progress::repaint(std::vector<std::string> above, bool with_region) {
  if (options_.choice != ProgressChoice::bar || console_.is_quiet()) {
    std::string text;
    for (const std::string& line : above) text += line + "\n";
    if (!text.empty()) write_quietly(fd_, text);
    return;
  }
  const TerminalSize size = terminal_size(fd_);
  if (suspended_) return write_quietly(fd_, painter_.paint(above, {}, size.columns));
  const Time time = now();
  if (!with_region) {
    if (!above.empty()) write_quietly(fd_, painter_.paint(above, {}, size.columns));
    write_quietly(fd_, painter_.clear(size.columns));
    return;
  }
  last_paint_ = time;
  // A third of the window at most: what scrolls by above has to stay readable.
  const std::size_t height = std::max<std::size_t>(1, std::min<std::size_t>(12, size.rows / 2));
  write_quietly(
      fd_, painter_.paint(above, view_.render(time, size.columns, height, console_.err_style()),
                          size.columns));
}

}  // namespace reprise::cli
