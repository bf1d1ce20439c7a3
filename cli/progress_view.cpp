#include "cli/progress_view.hpp"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "cli/clock_text.hpp"
#include "cli/text.hpp"

namespace reprise::cli {
namespace {

constexpr std::size_t narrowest = 20;  // columns; below only the bar makes sense
constexpr std::size_t max_running_lines = 8;
constexpr std::size_t max_groups_shown = 12;  // beyond, only totals
constexpr std::size_t max_group_lines = 2;
constexpr std::size_t bar_columns_max = 40;
constexpr std::size_t task_columns_max = 60;
constexpr std::size_t group_columns_max = 24;
constexpr Duration told_least = std::chrono::milliseconds{1};

std::string_view word(const TaskNews& news) {
  if (news.hit) return "cached";
  if (news.state == TaskState::cached)
    return name(TaskState::success);  // kept in the cache, but it did run
  if (news.state == TaskState::retrying) return "failed";
  return name(news.state);
}

std::string_view glyph_of(const TaskNews& news) {
  if (news.hit) return glyph(TaskState::cached);
  if (news.state == TaskState::cached) return glyph(TaskState::success);
  if (news.state == TaskState::retrying) return glyph(TaskState::failed);
  return glyph(news.state);
}

Ink ink_of(const TaskNews& news) {
  if (news.hit) return Ink::cyan;
  if (news.state == TaskState::cached) return Ink::green;
  if (news.state == TaskState::retrying) return Ink::red;
  return ink(news.state);
}

std::string joined(const std::vector<std::string>& parts, std::string_view separator) {
  return fmt::format("{}", fmt::join(parts, separator));
}

}  // namespace

ProgressView::ProgressView(std::shared_ptr<const FlowSpec> flow, Time started)
    : run_(std::move(flow)), started_(started) {
  recount();
}

void ProgressView::set_usual(std::map<std::string, Duration> usual, unsigned slots) {
  usual_ = std::move(usual);
  slots_ = std::max(slots, 1u);
}

ProgressView::Class ProgressView::classify(TaskState state, journal::CacheOutcome cache) {
  switch (state) {
    case TaskState::pending:
    case TaskState::scheduled:
    case TaskState::retrying:
    case TaskState::paused:
    case TaskState::resume:
    case TaskState::queued:
    case TaskState::looped:
    case TaskState::lost:
      return Class::waiting;
    case TaskState::ready:
    case TaskState::submitted:
      return Class::ready;
    case TaskState::running:
    case TaskState::cancelling:
      return Class::running;
    case TaskState::success:
      return Class::success;
    case TaskState::cached:
      return cache == journal::CacheOutcome::hit ? Class::cached : Class::success;
    case TaskState::mapped:
      return Class::success;  // over nothing; otherwise its elements count instead
    case TaskState::skipped:
      return Class::skipped;
    case TaskState::failed:
    case TaskState::trigger_failed:
    case TaskState::timed_out:
    case TaskState::validation_failed:
      return Class::failed;
    case TaskState::cancelled:
      return Class::cancelled;
  }
  return Class::waiting;
}

void ProgressView::move(TaskCounts& counts, Class from, Class to) {
  const auto slot = [&](Class c) -> std::uint64_t* {
    switch (c) {
      case Class::ready:
        return &counts.ready;
      case Class::running:
        return &counts.running;
      case Class::success:
        return &counts.success;
      case Class::cached:
        return &counts.cached;
      case Class::skipped:
        return &counts.skipped;
      case Class::failed:
        return &counts.failed;
      case Class::cancelled:
        return &counts.cancelled;
      case Class::waiting:
      case Class::none:
        return nullptr;
    }
    return nullptr;
  };
  if (std::uint64_t* count = slot(from)) --*count;
  if (std::uint64_t* count = slot(to)) ++*count;
}

void ProgressView::recount() {
  counts_ = {};
  groups_.assign(run_.flow().nodes.size(), {});
  class_.assign(run_.size(), Class::none);
  for (std::uint32_t t = 0; t < run_.size(); ++t) {
    const TaskId task{t};
    if (run_.node_of(task).is_none() || !run_.counts_as_task(task)) continue;
    TaskCounts& group = groups_[run_.node_of(task).value];
    class_[t] = classify(run_.state(task), run_.cache(task));
    ++counts_.total;
    ++group.total;
    move(counts_, Class::waiting, class_[t]);
    move(group, Class::waiting, class_[t]);
  }
}

void ProgressView::apply(const journal::Batch& batch, std::vector<TaskNews>* news) {
  const std::uint32_t size_before = run_.size();
  if (!run_.apply(batch)) return;  // of a task that the run does not have: nothing to show
  // A node that was expanded gives way to its elements, also to none.
  const bool has_grown = run_.size() != size_before ||
                         std::ranges::any_of(batch.tasks, [](const journal::TaskChange& change) {
                           return change.state == TaskState::mapped;
                         });
  for (const journal::TaskChange& change : batch.tasks) {
    const NodeId node = run_.node_of(change.task);
    if (node.is_none() || !run_.counts_as_task(change.task)) continue;
    const Class to = classify(change.state, change.cache);
    if (!has_grown) {
      const Class from = std::exchange(class_[change.task.value], to);
      move(groups_[node.value], from, to);
      move(counts_, from, to);
    }
    if (to == Class::running)
      running_.try_emplace(change.task.value,
                           Running{change.at, change.detail ? change.detail->worker : ""});
    else
      running_.erase(change.task.value);
  }
  if (has_grown) recount();  // rare
  if (!news) return;

  std::uint64_t done = counts_.done();
  const std::size_t first = news->size();
  for (const journal::TaskChange& change : batch.tasks) {
    const NodeId node = run_.node_of(change.task);
    if (node.is_none() || !run_.counts_as_task(change.task)) continue;
    const bool is_done = is_finished(change.state) && change.state != TaskState::looped;
    if (!is_done && change.state != TaskState::retrying) continue;
    if (journal::is_refresh(change)) continue;  // it was told when it ended
    TaskNews item;
    item.task = change.task;
    item.name = run_.task_name(change.task);
    item.state = change.state;
    item.hit = is_success(change.state) && change.cache == journal::CacheOutcome::hit;
    item.attempt = change.run_count;
    item.attempts = run_.flow().kind_of(node).retry.max + 1;
    item.duration = change.duration;
    if (change.detail) {
      item.message = change.detail->message;
      item.origin = change.detail->origin;
      if (change.state == TaskState::retrying && change.detail->start_time)
        item.retry_in = std::max(Duration{0}, *change.detail->start_time - change.at);
    }
    item.total = counts_.total;
    news->push_back(std::move(item));
  }
  // Numbered from the back: the last one knows how many are done after the whole batch.
  for (std::size_t i = news->size(); i-- > first;) {
    TaskNews& item = (*news)[i];
    item.done = done;
    if (item.state != TaskState::retrying && done > 0) --done;
  }
}

const Duration* ProgressView::usual_of(TaskId task) const {
  const NodeId node = run_.node_of(task);
  if (node.is_none()) return nullptr;
  const auto found = usual_.find(run_.flow().nodes[node.value].name);
  return found == usual_.end() ? nullptr : &found->second;
}

std::string ProgressView::counts_line(Style style) const {
  std::vector<std::string> parts;
  const auto add = [&](TaskState state, std::uint64_t count, std::string_view what) {
    if (count > 0)
      parts.push_back(
          style(ink(state), fmt::format("{} {} {}", glyph(state), grouped(count), what)));
  };
  add(TaskState::success, counts_.success, "done");
  add(TaskState::cached, counts_.cached, "cached");
  add(TaskState::failed, counts_.failed, "failed");
  add(TaskState::skipped, counts_.skipped, "skipped");
  add(TaskState::cancelled, counts_.cancelled, "cancelled");
  add(TaskState::running, counts_.running, "running");
  add(TaskState::ready, counts_.ready, "ready");
  add(TaskState::pending, counts_.waiting(), "waiting");
  return joined(parts, "  ");
}

std::vector<std::string> ProgressView::group_lines(std::size_t columns, Style style) const {
  std::vector<std::string> lines;
  if (groups_.size() > max_groups_shown) return lines;
  std::string line;
  std::size_t used = 0;
  for (std::size_t i = 0; i < groups_.size(); ++i) {
    const TaskCounts& g = groups_[i];
    const std::uint64_t done = g.done();
    TaskState state = TaskState::pending;
    if (g.failed > 0)
      state = TaskState::failed;
    else if (g.running > 0)
      state = TaskState::running;
    else if (g.cancelled > 0)
      state = TaskState::cancelled;
    else if (g.total > 0 && g.cached == g.total)
      state = TaskState::cached;
    else if (g.total > 0 && g.skipped == g.total)
      state = TaskState::skipped;
    else if (done == g.total)
      state = TaskState::success;
    else if (g.ready > 0)
      state = TaskState::ready;
    std::string text =
        fmt::format("{} {}", glyph(state),
                    shorten(escape_for_terminal(run_.flow().nodes[i].name), group_columns_max));
    if (g.total != 1)
      text += done > 0 ? fmt::format(" {}/{}", done, g.total) : fmt::format(" {}", g.total);
    if (g.total != 1 && g.cached > 0)
      text += g.cached == g.total ? " cached" : fmt::format(" ({} cached)", g.cached);
    if (used > 0 && used + 3 + display_width(text) > columns) {
      lines.push_back(std::exchange(line, {}));
      used = 0;
    }
    const std::string_view gap = used == 0 ? "  " : "   ";
    text = shorten(text, columns - std::min(columns, used + gap.size()));
    used += gap.size() + display_width(text);
    line += gap;
    line += style(ink(state), text);
  }
  if (used > 0) lines.push_back(line);
  return lines;
}

std::string ProgressView::running_line(std::uint32_t task, Time now, std::size_t columns,
                                       Style style) const {
  const Running& running = running_.at(task);
  std::string tail = "  " + clock_text(std::max(Duration{0}, now - running.since));
  if (!running.worker.empty()) tail += "  " + escape_for_terminal(running.worker);
  if (const Duration* usual = usual_of(TaskId{task}))
    tail += fmt::format("  ~{} usual", describe(*usual));
  tail = shorten(tail, columns > 12 ? columns - 12 : 0);
  const std::size_t left = columns - std::min(columns, display_width(tail) + 4);
  return "  " + style(Ink::blue, glyph(TaskState::running)) + " " +
         shorten(escape_for_terminal(run_.task_name(TaskId{task})),
                 std::min(left, task_columns_max)) +
         style(Ink::dim, tail);
}

std::vector<std::string> ProgressView::render(Time now, std::size_t width, std::size_t height,
                                              Style style) const {
  if (height == 0 || width < 4) return {};
  const std::size_t columns = width - 1;  // the last column stays free: writing there may wrap
  const std::string bar = bar_line(now, columns, style);
  if (height < 3 || width < narrowest) return {bar};

  // Which groups there are, as long as they fit into two lines; else only how many tasks are where.
  std::vector<std::string> lines = group_lines(columns, style);
  if (lines.empty() || lines.size() > max_group_lines || lines.size() + 2 > height) {
    const std::string plain = counts_line(Style{});
    const bool fits = display_width(plain) + 2 <= columns;
    lines = {"  " + (fits ? counts_line(style) : shorten(plain, columns - 2))};
  }

  // What runs, longest first: those are the ones a person wonders about.
  std::vector<std::pair<Time, std::uint32_t>> running;
  running.reserve(running_.size());
  for (const auto& [task, info] : running_) running.emplace_back(info.since, task);
  const std::size_t room = height - lines.size() - 1;
  std::size_t shown = std::min({running.size(), max_running_lines, room});
  const bool is_cut = shown < running.size();
  if (is_cut && shown > 0 && shown == room) --shown;  // the line that says so needs room as well
  std::partial_sort(running.begin(), running.begin() + static_cast<std::ptrdiff_t>(shown),
                    running.end());
  for (std::size_t i = 0; i < shown; ++i)
    lines.push_back(running_line(running[i].second, now, columns, style));
  if (is_cut && shown < room)
    lines.push_back(
        shorten(fmt::format("  … {} more running", grouped(running.size() - shown)), columns));
  lines.push_back(bar);
  return lines;
}

std::optional<Duration> ProgressView::time_left(Time now) const {
  if (usual_.empty() || counts_.done() == counts_.total) return std::nullopt;
  Duration work{0};
  for (std::uint32_t task = 0; task < class_.size(); ++task) {
    if (class_[task] != Class::waiting && class_[task] != Class::ready &&
        class_[task] != Class::running)
      continue;
    const Duration* usual = usual_of(TaskId{task});
    if (!usual) return std::nullopt;  // a guess with holes would only mislead
    Duration left = *usual;
    if (const auto running = running_.find(task); running != running_.end())
      left = std::max(Duration{0}, left - (now - running->second.since));
    work += left;
  }
  return work / slots_;
}

std::string ProgressView::bar_line(Time now, std::size_t width, Style style) const {
  const std::uint64_t done = counts_.done();
  std::string tail = fmt::format("  {}/{}  elapsed {}", grouped(done), grouped(counts_.total),
                                 clock_text(std::max(Duration{0}, now - started_)));
  if (class_.size() <= 2000)  // the sum over all tasks would cost too much ten times a second
    if (const auto left = time_left(now)) tail += fmt::format("  left ~{}", describe(*left));
  tail = shorten(tail, width);
  const std::size_t used = display_width(tail) + 2;
  if (used + 4 > width) return shorten(tail.substr(2), width);
  const std::size_t columns = std::min(bar_columns_max, width - used);
  const std::size_t halves = counts_.total == 0
                                 ? 2 * columns
                                 : static_cast<std::size_t>(2 * columns * done / counts_.total);
  std::string full, rest;
  for (std::size_t i = 0; i < halves / 2; ++i) full += "━";
  if (halves % 2 == 1) full += "╸";
  for (std::size_t i = (halves + 1) / 2; i < columns; ++i) rest += "─";
  return "  " + style(counts_.failed > 0 ? Ink::red : Ink::green, full) + style(Ink::dim, rest) +
         tail;
}

std::string ProgressView::heartbeat(Time now) const {
  std::vector<std::string> parts{fmt::format("{} running", grouped(counts_.running))};
  if (counts_.ready > 0) parts.push_back(fmt::format("{} ready", grouped(counts_.ready)));
  if (counts_.waiting() > 0) parts.push_back(fmt::format("{} waiting", grouped(counts_.waiting())));
  parts.push_back(clock_text(std::max(Duration{0}, now - started_)) + " elapsed");
  return "… " + joined(parts, ", ");
}

std::string clock_text(Duration duration) {
  const auto total = std::chrono::duration_cast<std::chrono::seconds>(duration).count();
  if (total >= 3600)
    return fmt::format("{}:{:02}:{:02}", total / 3600, total / 60 % 60, total % 60);
  return fmt::format("{:02}:{:02}", total / 60, total % 60);
}

namespace {

std::string subject(const TaskNews& news) {
  return news.tasks > 1 ? counted(news.tasks, "task") : escape_for_terminal(news.name);
}

/// "exit 2, attempt 1/3, retry in 5.0 s".
std::string remarks(const TaskNews& news) {
  std::vector<std::string> parts;
  if (news.hit && news.origin)
    parts.push_back(fmt::format("from run {} ({})", news.origin->short_text(),
                                local_text(made_at(*news.origin))));
  if (!news.message.empty()) parts.push_back(escape_for_terminal(news.message));
  if (news.attempts > 1 && news.attempt > 0 &&
      (news.attempt > 1 || news.retry_in || is_failed(news.state)))
    parts.push_back(
        fmt::format("attempt {}/{}", news.attempt, std::max(news.attempt, news.attempts)));
  if (news.retry_in) parts.push_back("retry in " + describe(*news.retry_in));
  return joined(parts, ", ");
}

}  // namespace

void join_cancelled(std::vector<TaskNews>& news) {
  std::map<std::string, std::size_t> first;  // by reason
  std::vector<TaskNews> kept;
  for (TaskNews& item : news) {
    if (item.state != TaskState::cancelled || item.attempt > 0) {
      kept.push_back(std::move(item));
      continue;
    }
    const auto [known, is_new] = first.try_emplace(item.message, kept.size());
    if (is_new) {
      kept.push_back(std::move(item));
      continue;
    }
    TaskNews& joined = kept[known->second];
    joined.tasks += item.tasks;
    joined.done = item.done;
  }
  news = std::move(kept);
}

std::string counter_line(const TaskNews& news, Style style) {
  const std::string total = std::to_string(news.total);
  std::string line = fmt::format("[{:>{}}/{}] ", news.done, total.size(), total);
  line += style(ink_of(news), fmt::format("{} {:<10}", glyph_of(news), word(news)));
  line += " " + subject(news);
  if (!news.hit && news.duration >= told_least) line += "  " + describe(news.duration);
  if (const std::string more = remarks(news); !more.empty()) line += "  " + more;
  return line;
}

std::string finished_line(const TaskNews& news, Style style) {
  std::string line = style(ink_of(news), glyph_of(news)) + " " + subject(news);
  if (news.hit || !is_success(news.state) || news.state == TaskState::skipped)
    line += "  " + std::string(word(news));
  if (!news.hit && news.duration >= told_least) line += "  " + describe(news.duration);
  if (const std::string more = remarks(news); !more.empty()) line += "  " + more;
  return line;
}

std::vector<std::string> failure_block(const TaskNews& news,
                                       const std::vector<std::string>& log_tail,
                                       std::string_view run, Style style) {
  std::string head = style(Ink::red, fmt::format("{} {}  {}", glyph_of(news),
                                                 escape_for_terminal(news.name), word(news)));
  if (!news.message.empty()) head += "  " + escape_for_terminal(news.message);
  if (news.attempts > 1 && news.attempt > 0)
    head += fmt::format("  attempt {}/{}", news.attempt, std::max(news.attempt, news.attempts));
  if (news.duration >= told_least) head += "  after " + describe(news.duration);
  if (news.retry_in) head += "  retry in " + describe(*news.retry_in);
  std::vector<std::string> lines{std::move(head)};
  for (const std::string& line : log_tail) lines.push_back("    " + escape_log_line(line));
  if (!log_tail.empty())
    lines.push_back(
        style(Ink::dim, fmt::format("    logs: reprise logs {} {}", run, shell_word(news.name))));
  return lines;
}

std::string shell_word(std::string_view name) {
  const auto is_plain = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           std::string_view("_-./:@%+,=").find(c) != std::string_view::npos;
  };
  if (!name.empty() && std::all_of(name.begin(), name.end(), is_plain)) return std::string(name);
  std::string quoted = "'";
  for (const char c : escape_for_terminal(name)) {
    if (c == '\'')
      quoted += "'\\''";
    else
      quoted += c;
  }
  return quoted + "'";
}

}  // namespace reprise::cli
