#include "cli/top_view.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <utility>

#include <fmt/format.h>

#include "cli/clock_text.hpp"
#include "cli/progress_view.hpp"
#include "cli/table.hpp"
#include "cli/terminal.hpp"
#include "cli/text.hpp"

namespace reprise::cli {
namespace {

constexpr Duration old = std::chrono::seconds{3};
constexpr std::size_t rows_around = 4;  // head, tabs, and the two lines at the bottom

/// Letters count as the same in either case; only ASCII has cases here.
bool contains(std::string_view text, std::string_view part) {
  const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; };
  return std::search(text.begin(), text.end(), part.begin(), part.end(),
                     [&](char a, char b) { return lower(a) == lower(b); }) != text.end();
}

/// What wants attention comes first.
int rank(TaskState state) {
  if (is_failed(state)) return 0;
  if (is_running(state)) return 1;
  if (state == TaskState::cancelled) return 3;
  return is_finished(state) ? 4 : 2;
}

std::string tasks_text(const StateColumns& c) {
  std::string text;
  const auto add = [&](std::string_view mark, std::uint64_t n) {
    if (n > 0) text += fmt::format("{}{} {}", text.empty() ? "" : "  ", mark, grouped(n));
  };
  add("✓", c.success);
  add("≡", c.cached);
  add("✗", c.failed);
  add("▶", c.running);
  add("·", c.waiting);
  add("⊘", c.cancelled);
  add("–", c.skipped);
  return text;
}

/// A line that fits, whatever is in it; `line` has no colours.
std::string fitting(std::string_view line, std::size_t columns) {
  return shorten(escape_log_line(line), columns);
}

std::string without_tabs(std::string line) {
  for (std::size_t tab = line.find('\t'); tab != std::string::npos; tab = line.find('\t', tab))
    line.replace(tab, 1, "    ");
  return line;
}

std::string without_colors(std::string_view line) {
  std::string plain;
  while (!line.empty()) {
    const std::size_t escape = line.find('\x1b');
    plain += line.substr(0, escape);
    const std::size_t end = escape == std::string_view::npos ? escape : line.find('m', escape);
    line.remove_prefix(end == std::string_view::npos ? line.size() : end + 1);
  }
  return plain;
}

std::size_t length_of(unsigned char first) {
  return first < 0x80 ? 1 : first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : first >= 0xc0 ? 2 : 1;
}

/// After ESC [ or ESC O.
KeyPress::Kind kind_of(std::string_view sequence) {
  constexpr std::array<std::pair<std::string_view, KeyPress::Kind>, 10> known{
      {{"A", KeyPress::Kind::up},
       {"B", KeyPress::Kind::down},
       {"H", KeyPress::Kind::home},
       {"F", KeyPress::Kind::end},
       {"1~", KeyPress::Kind::home},
       {"4~", KeyPress::Kind::end},
       {"7~", KeyPress::Kind::home},
       {"8~", KeyPress::Kind::end},
       {"5~", KeyPress::Kind::page_up},
       {"6~", KeyPress::Kind::page_down}}};
  for (const auto& [text, kind] : known)
    if (text == sequence) return kind;
  return KeyPress::Kind::other;
}

}  // namespace

bool is_under_way(RunState state) {
  return state == RunState::queued || state == RunState::running || state == RunState::cancelling;
}

std::vector<KeyPress> take_keys(std::string& bytes, bool is_all) {
  std::vector<KeyPress> keys;
  while (!bytes.empty()) {
    const auto first = static_cast<unsigned char>(bytes[0]);
    std::size_t used = 1;
    KeyPress key;
    if (first == 0x1b) {
      if (bytes.size() == 1 && !is_all) break;
      if (bytes.size() > 1 && (bytes[1] == '[' || bytes[1] == 'O')) {
        const auto last = std::find_if(bytes.begin() + 2, bytes.end(),
                                       [](char c) { return c >= 0x40 && c <= 0x7e; });
        if (last == bytes.end() && !is_all) break;
        used = static_cast<std::size_t>(last - bytes.begin()) + (last == bytes.end() ? 0 : 1);
        key.kind = kind_of(std::string_view(bytes).substr(2, used - 2));
      } else {
        key.kind = KeyPress::Kind::escape;
      }
    } else if (first == '\r' || first == '\n') {
      key.kind = KeyPress::Kind::enter;
    } else if (first == 0x7f || first == 0x08) {
      key.kind = KeyPress::Kind::backspace;
    } else if (first >= 0x20) {
      used = length_of(first);
      if (bytes.size() < used && !is_all) break;
      key.text = bytes.substr(0, used);
      if (is_utf8(key.text)) key.kind = KeyPress::Kind::text;
    }
    bytes.erase(0, used);
    keys.push_back(std::move(key));
  }
  return keys;
}

const journal::RunView* TopView::view_of(const TopData& data) const {
  return run_ && data.view_run == run_ ? data.view.get() : nullptr;
}

std::vector<std::size_t> TopView::shown_runs(const TopData& data) const {
  const auto filter = filter_.find(Page::runs);
  std::vector<std::size_t> shown;
  for (std::size_t i = 0; i < data.runs.size(); ++i) {
    const TopData::Run& run = data.runs[i];
    if (filter == filter_.end() || filter->second.empty() ||
        contains(run.row.flow_name, filter->second) ||
        contains(run.row.id.text(), filter->second) || contains(name(run.state), filter->second))
      shown.push_back(i);
  }
  std::stable_partition(shown.begin(), shown.end(),
                        [&](std::size_t i) { return is_under_way(data.runs[i].state); });
  return shown;
}

std::vector<TaskId> TopView::shown_tasks(const TopData& data) const {
  const journal::RunView* of_run = view_of(data);
  if (of_run == nullptr) return {};
  const journal::RunView& view = *of_run;
  const auto filter = filter_.find(Page::tasks);
  const bool filters = filter != filter_.end() && !filter->second.empty();
  std::array<std::vector<TaskId>, 5> by_rank;
  for (std::uint32_t t = 0; t < view.size(); ++t) {
    const TaskId task{t};
    if (view.node_of(task).is_none() || !view.counts_as_task(task)) continue;
    if (filters && !contains(view.task_name(task), filter->second) &&
        !contains(name(view.state(task)), filter->second))
      continue;
    by_rank[static_cast<std::size_t>(rank(view.state(task)))].push_back(task);
  }
  std::vector<TaskId> shown;
  for (const auto& tasks : by_rank) shown.insert(shown.end(), tasks.begin(), tasks.end());
  return shown;
}

std::size_t TopView::count(const TopData& data) const {
  return page_ == Page::runs ? shown_runs(data).size() : shown_tasks(data).size();
}

/// Where the chosen run or task stands in the list; 0 when it is not in it.
std::size_t TopView::place_of_chosen(const TopData& data) const {
  if (page_ == Page::runs) {
    const auto shown = shown_runs(data);
    for (std::size_t i = 0; i < shown.size(); ++i)
      if (run_ && data.runs[shown[i]].row.id == *run_) return i;
    return 0;
  }
  const auto shown = shown_tasks(data);
  const auto found = task_ ? std::find(shown.begin(), shown.end(), *task_) : shown.end();
  return found == shown.end() ? 0 : static_cast<std::size_t>(found - shown.begin());
}

void TopView::choose(std::size_t place, const TopData& data) {
  if (page_ == Page::runs) {
    const auto shown = shown_runs(data);
    if (place >= shown.size()) return;
    const RunId& run = data.runs[shown[place]].row.id;
    if (run_ != run) task_.reset();
    run_ = run;
  } else if (page_ == Page::tasks) {
    const auto shown = shown_tasks(data);
    if (place < shown.size()) task_ = shown[place];
  }
}

void TopView::go(Page page, const TopData& data) {
  // What is chosen is what a page is opened with; at first that is what stands on top.
  choose(place_of_chosen(data), data);
  page_ = page;
  scroll_ = 0;
}

void TopView::open(const TopData& data) {
  if (page_ == Page::runs && !shown_runs(data).empty()) return go(Page::tasks, data);
  if (page_ == Page::tasks && !shown_tasks(data).empty()) return go(Page::logs, data);
}

void TopView::ask_cancel(const TopData& data) {
  if (page_ == Page::workers || page_ == Page::logs) return;
  choose(place_of_chosen(data), data);
  if (!run_ || (page_ == Page::tasks && (!task_ || view_of(data) == nullptr))) return;
  asking_ = Wish{Wish::Kind::cancel, run_->text(),
                 page_ == Page::tasks ? view_of(data)->task_name(*task_) : std::string()};
}

void TopView::move(std::int64_t by, std::size_t count) {
  const auto most = static_cast<std::int64_t>(count);
  scroll_ = static_cast<std::size_t>(
      std::clamp(static_cast<std::int64_t>(scroll_) - by, std::int64_t{0}, most));
}

TopView::Wish TopView::press(const KeyPress& key, const TopData& data) {
  said_.clear();
  if (asking_) {
    const Wish wish = *std::exchange(asking_, std::nullopt);
    if (key.kind == KeyPress::Kind::text && (key.text == "y" || key.text == "Y")) return wish;
    return {};
  }
  if (is_typing_) {
    std::string& filter = filter_[page_];
    if (key.kind == KeyPress::Kind::text) {
      filter += key.text;
    } else if (key.kind == KeyPress::Kind::backspace && !filter.empty()) {
      do filter.pop_back();
      while (!filter.empty() && !is_utf8(filter));
    } else if (key.kind == KeyPress::Kind::escape) {
      filter.clear();
      is_typing_ = false;
    } else if (key.kind == KeyPress::Kind::enter) {
      is_typing_ = false;
    }
    return {};
  }
  const bool is_list = page_ == Page::runs || page_ == Page::tasks;
  const auto step = [&](std::int64_t by) {
    if (!is_list) return move(by, page_ == Page::logs ? data.log.size() : data.workers.size());
    const auto at = static_cast<std::int64_t>(place_of_chosen(data)) + by;
    const auto last = static_cast<std::int64_t>(count(data)) - 1;
    choose(
        static_cast<std::size_t>(std::clamp(at, std::int64_t{0}, std::max(last, std::int64_t{0}))),
        data);
  };
  const auto page = static_cast<std::int64_t>(height_);
  constexpr std::int64_t far = INT32_MAX;
  switch (key.kind) {
    case KeyPress::Kind::up:
      step(-1);
      return {};
    case KeyPress::Kind::down:
      step(1);
      return {};
    case KeyPress::Kind::page_up:
      step(-page);
      return {};
    case KeyPress::Kind::page_down:
      step(page);
      return {};
    case KeyPress::Kind::home:
      step(-far);
      return {};
    case KeyPress::Kind::end:
      step(far);
      return {};
    case KeyPress::Kind::enter:
      open(data);
      return {};
    case KeyPress::Kind::escape:
      if (!filter_[page_].empty())
        filter_[page_].clear();
      else if (page_ == Page::logs)
        go(Page::tasks, data);
      else
        go(Page::runs, data);
      return {};
    case KeyPress::Kind::backspace:
    case KeyPress::Kind::other:
      return {};
    case KeyPress::Kind::text:
      break;
  }
  if (key.text == "q") return {Wish::Kind::quit};
  if (key.text == "r") go(Page::runs, data);
  if (key.text == "t") go(Page::tasks, data);
  if (key.text == "w") go(Page::workers, data);
  if (key.text == "l") go(Page::logs, data);
  if (key.text == "/" && is_list) is_typing_ = true;
  if (key.text == "c") ask_cancel(data);
  if (key.text == "k") step(-1);
  if (key.text == "j") step(1);
  return {};
}

std::vector<std::string> TopView::body(const TopData& data, Time now, std::size_t columns,
                                       std::size_t rows, Style style) {
  std::vector<std::string> lines;
  const auto text_lines = [&](const std::vector<std::string>& all) {
    const std::size_t last =
        all.size() - std::min(scroll_, all.size() - std::min(all.size(), rows));
    const std::size_t first = last - std::min(last, rows);
    for (std::size_t i = first; i < last; ++i)
      lines.push_back(fitting(without_tabs(all[i]), columns));
  };
  if (page_ == Page::workers) {
    text_lines(data.workers);
    return lines;
  }
  if (page_ == Page::logs) {
    const bool is_read = view_of(data) != nullptr && data.log_task == task_;
    if (!task_)
      lines.emplace_back("choose a task first: r, enter, and enter again");
    else if (is_read && data.log.empty())
      lines.emplace_back("nothing was printed");
    if (is_read) text_lines(data.log);
    return lines;
  }

  height_ = rows > 1 ? rows - 1 : 1;  // without the table's head
  const std::size_t chosen = place_of_chosen(data);
  const auto window = [&](std::size_t count) {
    std::size_t& top = top_[page_];
    top = std::min(top, chosen);
    if (chosen >= top + height_) top = chosen - height_ + 1;
    if (count <= height_) top = 0;
    return std::pair(top, std::min(count, top + height_));
  };
  const auto mark = [&](std::size_t i) { return Cell{i == chosen ? "▸" : " ", Ink::bold}; };
  if (page_ == Page::runs) {
    const auto shown = shown_runs(data);
    if (shown.empty()) {
      lines.emplace_back(!data.runs.empty() ? "no run is called so"
                         : data.as_of       ? "no runs yet; start one with `reprise run FLOW`"
                                            : "looking …");
      return lines;
    }
    Table table{{"", "RUN", "FLOW", "STATE", "SUBMITTED", "TIME", "TASKS"},
                {false, false, false, false, false, true},
                {}};
    const auto [first, last] = window(shown.size());
    for (std::size_t i = first; i < last; ++i) {
      const TopData::Run& run = data.runs[shown[i]];
      const Duration age = run.row.finished ? *run.row.finished - run.row.submitted
                           : run.state == RunState::interrupted ? Duration{0}
                                                                : now - run.row.submitted;
      table.rows.push_back(
          {mark(i), run.row.id.short_text(), shorten(escape_for_terminal(run.row.flow_name), 40),
           state_cell(run.state), local_text_seconds(run.row.submitted),
           age > Duration{0} ? clock_text(age) : "–", run.tasks ? tasks_text(*run.tasks) : "–"});
    }
    return table.lines(columns, style);
  }
  const journal::RunView* of_run = view_of(data);
  if (of_run == nullptr) {
    lines.emplace_back(run_ ? "its tasks are not known yet" : "choose a run first: r, then enter");
    return lines;
  }
  const auto shown = shown_tasks(data);
  if (shown.empty()) {
    lines.emplace_back("no task is called so");
    return lines;
  }
  const journal::RunView& view = *of_run;
  Table table{
      {"", "TASK", "STATE", "ATTEMPT", "TIME", "NOTE"}, {false, false, false, true, true}, {}};
  const auto [first, last] = window(shown.size());
  for (std::size_t i = first; i < last; ++i) {
    const TaskId task = shown[i];
    const bool is_hit = view.cache(task) == journal::CacheOutcome::hit;
    TaskState state = view.state(task);
    if (state == TaskState::cached && !is_hit) state = TaskState::success;
    std::string time = "–";
    if (is_running(state))
      time = clock_text(std::max(Duration{0}, now - view.started(task).value_or(now)));
    else if (view.executed(task))
      time = describe(view.duration(task));
    const auto message = lines_of(view.message(task));
    table.rows.push_back({mark(i), escape_for_terminal(view.task_name(task)),
                          Cell{fmt::format("{} {}", glyph(state), name(state)), ink(state)},
                          view.run_count(task) == 0 ? "–" : std::to_string(view.run_count(task)),
                          std::move(time),
                          message.empty() ? "" : escape_for_terminal(message.front())});
  }
  return table.lines(columns, style);
}

std::string TopView::bottom(Style style) const {
  if (asking_)
    return style(Ink::yellow, asking_->task.empty()
                                  ? fmt::format("cancel run {}? y/n", asking_->run.substr(0, 10))
                                  : fmt::format("cancel task {} and what depends on it? y/n",
                                                escape_for_terminal(asking_->task)));
  const auto filter = filter_.find(page_);
  if (is_typing_)
    return fmt::format("/{}▏", filter == filter_.end() ? "" : escape_for_terminal(filter->second));
  if (!said_.empty()) return escape_for_terminal(said_);
  const std::string keys = page_ == Page::runs ? "↑↓ choose  enter open  / filter  c cancel  q quit"
                           : page_ == Page::tasks
                               ? "↑↓ choose  enter log  / filter  c cancel  esc back  q quit"
                               : "↑↓ scroll  esc back  q quit";
  return style(Ink::dim, keys);
}

std::vector<std::string> TopView::render(const TopData& data, Time now, std::size_t columns,
                                         std::size_t rows, Style style) {
  std::size_t going = 0;
  for (const TopData::Run& run : data.runs) going += is_under_way(run.state);
  std::vector<std::string> lines;
  lines.push_back(shorten(
      fmt::format("reprise top   {}   {}   {} under way", local_text_seconds(now).substr(11),
                  escape_for_terminal(data.place), counted(going, "run")),
      columns));
  std::string tabs;
  constexpr std::array<std::pair<Page, std::string_view>, 4> pages{{{Page::runs, "r runs"},
                                                                    {Page::tasks, "t tasks"},
                                                                    {Page::workers, "w workers"},
                                                                    {Page::logs, "l logs"}}};
  for (const auto& [page, title] : pages)
    tabs += page == page_ ? style(Ink::bold, fmt::format("[{}]  ", title))
                          : fmt::format(" {}   ", title);
  if (page_ == Page::tasks || page_ == Page::logs) {
    if (run_) tabs += "  run " + run_->short_text();
    const journal::RunView* of_run = view_of(data);
    if (page_ == Page::logs && task_ && of_run != nullptr && task_->value < of_run->size())
      tabs += "  " + shorten(escape_for_terminal(of_run->task_name(*task_)), 40);
  }
  if (const auto filter = filter_.find(page_); filter != filter_.end() && !filter->second.empty())
    tabs += "   /" + escape_for_terminal(filter->second);
  lines.push_back(tabs);
  const std::size_t room = rows > rows_around ? rows - rows_around : 1;
  for (std::string& line : body(data, now, columns, room, style)) lines.push_back(std::move(line));
  while (lines.size() + 2 < rows) lines.emplace_back();
  std::string trouble = data.trouble;
  if (trouble.empty() && data.as_of && now - *data.as_of > old)
    trouble = fmt::format("no answer for {}", clock_text(now - *data.as_of));
  lines.push_back(trouble.empty()
                      ? std::string()
                      : style(Ink::red, shorten(escape_for_terminal(trouble), columns)));
  lines.push_back(bottom(style));
  // What is too wide loses its colours rather than being cut within one.
  for (std::string& line : lines)
    if (visible_width(line) > columns) line = shorten(without_colors(line), columns);
  if (lines.size() > rows) lines.resize(rows);
  return lines;
}

std::string top_line(const TopData::Run& run, Style style) {
  return fmt::format("{}  {}  {}  {}", run.row.id.short_text(),
                     escape_for_terminal(run.row.flow_name),
                     style(ink(run.state), fmt::format("{} {}", glyph(run.state), name(run.state))),
                     run.tasks ? tasks_text(*run.tasks) : "");
}

std::string screen_changes(const std::vector<std::string>& before,
                           const std::vector<std::string>& now) {
  std::string bytes;
  for (std::size_t i = 0; i < std::max(before.size(), now.size()); ++i) {
    const std::string_view line = i < now.size() ? std::string_view(now[i]) : std::string_view();
    if (i < before.size() && before[i] == line) continue;
    bytes += fmt::format("\x1b[{};1H{}\x1b[0m\x1b[K", i + 1, line);
  }
  return bytes;
}

}  // namespace reprise::cli
