// `reprise logs`: what the commands of a run printed, also while they print.
#include <algorithm>
#include <charconv>
#include <map>
#include <memory>
#include <thread>
#include <tuple>

#include <regex.h>

#include <fmt/format.h>

#include "cli/commands.hpp"
#include "cli/documents.hpp"
#include "cli/poll_pause.hpp"
#include "cli/progress_view.hpp"
#include "cli/run_place.hpp"
#include "cli/run_selector.hpp"
#include "cli/text.hpp"
#include "worker/task_log.hpp"

namespace reprise::cli {
namespace {

constexpr std::size_t bytes_per_read = 256 * 1024;
constexpr std::size_t line_bytes_max = 1 << 20;  // a longer "line" is printed in parts

/// POSIX extended regular expressions: bounded in time and stack, unlike std::regex.
class Pattern {
 public:
  static Result<Pattern> compile(const std::string& text) {
    Pattern pattern;
    if (text.empty()) return pattern;
    auto compiled = std::unique_ptr<regex_t, Free>(new regex_t{});
    if (const int error = ::regcomp(compiled.get(), text.c_str(), REG_EXTENDED | REG_NOSUB);
        error != 0) {
      char why[128];
      ::regerror(error, compiled.get(), why, sizeof why);
      delete compiled.release();  // it was never compiled: nothing to free in it
      return fail(ErrorCode::invalid_argument,
                  fmt::format("--grep \"{}\": {}", escape_for_terminal(text), why));
    }
    pattern.compiled_ = std::move(compiled);
    return pattern;
  }
  [[nodiscard]] bool matches(const std::string& line) const {
    return !compiled_ || ::regexec(compiled_.get(), line.c_str(), 0, nullptr, 0) == 0;
  }

 private:
  struct Free {
    void operator()(regex_t* regex) const {
      ::regfree(regex);
      delete regex;
    }
  };
  std::unique_ptr<regex_t, Free> compiled_;
};

using Source = LogSource;

/// How far a log was read.
struct Position {
  std::uint64_t offset = 0;
  std::string rest;  // of an unfinished line
};

class LogPrinter {
 public:
  LogPrinter(const LogsOptions& options, Pattern pattern, const RunId& run, RunPlace& place,
             Console& console)
      : options_(options),
        pattern_(std::move(pattern)),
        run_(run),
        place_(place),
        console_(console) {}

  /// Prints what is new in the logs of these tasks. true: something was.
  Result<bool> pump(const journal::RunView& view, const std::vector<TaskId>& tasks, bool is_last) {
    bool found = false;
    for (const TaskId task : tasks)
      for (const Source& source : sources_of(view, task)) {
        if (!console_.is_open()) return found;
        auto news = read(view, source, tasks.size() > 1, is_last);
        if (!news) return news;
        found = found || *news;
      }
    console_.flush();
    return found;
  }

  Json take_entries() { return std::move(entries_); }
  [[nodiscard]] bool printed_any() const { return printed_any_; }

 private:
  std::vector<Source> sources_of(const journal::RunView& view, TaskId task) const {
    const bool has_ended = is_finished(view.state(task));
    // Nothing was printed by what never began; where asking costs little, better ask.
    if (place_.is_far() && view.run_count(task) == 0 && !may_print(view.state(task))) return {};
    std::uint32_t last = std::max(view.run_count(task), 1u);
    // A running attempt is not counted before it ends in every journal: look one further.
    if (!has_ended && place_.read_log(run_, {task, last + 1, worker::Stream::out}, 0, 1)
                          .map([](const std::string& bytes) { return !bytes.empty(); })
                          .value_or(false))
      ++last;
    std::uint32_t first = last;
    if (options_.attempt == "all") {
      first = 1;
    } else if (!options_.attempt.empty()) {
      std::from_chars(options_.attempt.data(), options_.attempt.data() + options_.attempt.size(),
                      first);
      last = first;
    } else if (options_.follow) {
      first = std::min(first, first_followed(task, last));
    }
    std::vector<Source> sources;
    for (std::uint32_t attempt = first; attempt <= last; ++attempt) {
      if (options_.stream != "err") sources.push_back({task, attempt, worker::Stream::out});
      if (options_.stream != "out") sources.push_back({task, attempt, worker::Stream::err});
    }
    return sources;
  }

  static bool may_print(TaskState state) {
    return state == TaskState::running || state == TaskState::submitted ||
           state == TaskState::cancelling || state == TaskState::lost;
  }

  /// While following, attempts that began meanwhile are all shown, the one before to its end.
  std::uint32_t first_followed(TaskId task, std::uint32_t last) const {
    for (const auto& [source, position] : positions_)
      if (source.task == task) return std::min(source.attempt, last);
    return last;
  }

  Result<bool> read(const journal::RunView& view, const Source& source, bool many, bool is_last) {
    Position& position = positions_[source];
    bool found = false;
    for (;;) {
      const auto bytes = place_.read_log(run_, source, position.offset, bytes_per_read);
      if (!bytes) return tl::unexpected(bytes.error());
      if (bytes->empty()) break;
      found = true;
      position.offset += bytes->size();
      position.rest += *bytes;
      print_lines(view, source, position, many);
      if (!console_.is_open()) return found;
    }
    if (is_last && !position.rest.empty()) {
      print_line(view, source, position.rest, many, false);
      position.rest.clear();
    }
    return found;
  }

  void print_lines(const journal::RunView& view, const Source& source, Position& position,
                   bool many) {
    std::size_t begin = 0;
    for (;;) {
      const std::size_t end = position.rest.find('\n', begin);
      if (end == std::string::npos) break;
      print_line(view, source, position.rest.substr(begin, end - begin), many, true);
      begin = end + 1;
    }
    position.rest.erase(0, begin);
    if (position.rest.size() > line_bytes_max) {
      print_line(view, source, position.rest, many, false);
      position.rest.clear();
    }
  }

  void print_line(const journal::RunView& view, const Source& source, const std::string& line,
                  bool many, bool has_end) {
    if (!pattern_.matches(line)) return;
    printed_any_ = true;
    const std::string_view stream = source.stream == worker::Stream::out ? "out" : "err";
    if (options_.lines) {
      console_.out(to_line({{"schema", "reprise.log/1"},
                            {"run", run_.text()},
                            {"task", view.task_name(source.task)},
                            {"attempt", source.attempt},
                            {"stream", stream},
                            {"line", line}}));
    } else if (console_.is_json()) {
      const Json* last = entries_.empty() ? nullptr : &entries_.back();
      if (!last || current_ != source) {
        entries_.push_back({{"task", view.task_name(source.task)},
                            {"attempt", source.attempt},
                            {"stream", stream},
                            {"text", ""}});
        current_ = source;
      }
      entries_.back()["text"].get_ref<std::string&>() += line + (has_end ? "\n" : "");
    } else if (options_.raw) {
      console_.raw(line + (has_end ? "\n" : ""));
    } else {
      std::string prefix;
      if (many) prefix = escape_for_terminal(view.task_name(source.task));
      if (options_.attempt == "all")
        prefix += (prefix.empty() ? "attempt " : "#") + std::to_string(source.attempt);
      if (!prefix.empty()) prefix = console_.out_style()(Ink::dim, prefix + " | ");
      console_.out(prefix + escape_log_line(line));
    }
  }

  const LogsOptions& options_;
  Pattern pattern_;
  RunId run_;
  RunPlace& place_;
  Console& console_;
  std::map<Source, Position> positions_;
  Json entries_ = Json::array();
  Source current_{TaskId::none(), 0, worker::Stream::out};
  bool printed_any_ = false;
};

/// The tasks asked for, as far as they exist by now, in the order in which they began.
std::vector<TaskId> select(const journal::RunView& view, const LogsOptions& options) {
  std::vector<TaskId> tasks;
  const auto add = [&](TaskId task) {
    if (view.node_of(task).is_none() || !view.counts_as_task(task)) return;
    if (options.failed && !is_failed(view.state(task))) return;
    tasks.push_back(task);
  };
  if (options.task.empty()) {
    for (std::uint32_t t = 0; t < view.size(); ++t) add(TaskId{t});
  } else if (const auto task = view.find_task(options.task)) {
    const auto* elements =
        task->value < view.flow().nodes.size() ? view.elements_of(NodeId{task->value}) : nullptr;
    if (!elements)
      add(*task);
    else
      for (std::uint32_t i = 0; i < elements->width; ++i) add(TaskId{elements->first.value + i});
  }
  std::stable_sort(tasks.begin(), tasks.end(), [&](TaskId a, TaskId b) {
    return view.started(a).value_or(Time::max()) < view.started(b).value_or(Time::max());
  });
  return tasks;
}

/// Why there is nothing to print, and where there would be.
void explain_silence(const journal::RunView& view, const std::vector<TaskId>& tasks,
                     Console& console) {
  if (tasks.size() == 1 && view.cache(tasks[0]) == journal::CacheOutcome::hit) {
    const journal::ChangeDetail* detail = view.detail(tasks[0]);
    if (detail && detail->origin)
      return console.say(fmt::format("this came from the cache; see `reprise logs {} {}`",
                                     detail->origin->short_text(),
                                     shell_word(view.task_name(tasks[0]))));
  }
  console.say(tasks.empty() ? "no task matches" : "nothing was printed");
}

}  // namespace

int logs_command(const LogsOptions& options, Console& console) {
  if (!options.attempt.empty() && options.attempt != "all") {
    std::uint32_t number = 0;
    const char* end = options.attempt.data() + options.attempt.size();
    const auto [rest, error] = std::from_chars(options.attempt.data(), end, number);
    if (error != std::errc{} || rest != end || number == 0)
      return console.fail({ErrorCode::invalid_argument,
                           fmt::format("--attempt \"{}\" is neither a number from 1 nor \"all\"",
                                       escape_for_terminal(options.attempt))});
  }
  if (options.follow && console.is_json() && !options.lines)
    return console.fail(
        {ErrorCode::invalid_argument, "a stream is no one document: use --jsonl with -f"});
  auto pattern = Pattern::compile(options.pattern);
  if (!pattern) return console.fail(pattern.error());
  auto place = RunPlace::open(console.options());
  if (!place) return console.fail(place.error());
  auto row = find_run(options.run, (*place)->journal());
  if (!row) return console.fail(row.error());
  journal::Offset offset = 0;
  auto view = journal::load_run((*place)->journal(), *row, &offset);
  if (!view) return console.fail(view.error());
  if (!options.task.empty())
    if (const auto task = find_task(options.task, *row, *view); !task)
      return console.fail(task.error());

  LogPrinter printer(options, std::move(*pattern), row->id, **place, console);
  PollPause pause;
  for (;;) {
    bool is_last = true;
    if (options.follow) {
      const auto state = (*place)->state(*row);
      if (!state) return console.fail(state.error());
      is_last =
          is_finished(*state) || *state == RunState::interrupted || *state == RunState::paused;
      const auto entries = (*place)->journal().read(row->id, offset);
      if (!entries) return console.fail(entries.error());
      for (const auto& [first, batch] : *entries) {
        if (const auto status = view->apply(batch); !status) return console.fail(status.error());
        offset = first + batch.count() - 1;
      }
    }
    const auto found = printer.pump(*view, select(*view, options), is_last);
    if (!found) return console.fail(found.error());
    if (is_last || !console.is_open()) break;
    if (*found) pause.reset();
    std::this_thread::sleep_for(pause.next());
  }
  if (console.is_json() && !options.lines)
    return console.document({{"schema", "reprise.logs/1"},
                             {"run", row->id.text()},
                             {"entries", printer.take_entries()}},
                            exit_ok, "entries");
  if (!printer.printed_any()) explain_silence(*view, select(*view, options), console);
  return exit_ok;
}

}  // namespace reprise::cli
