#include "flow/stg.hpp"

#include <algorithm>
#include <charconv>
#include <optional>
#include <unordered_map>
#include <utility>

#include <fmt/format.h>

namespace reprise {
namespace {

constexpr std::string_view blanks = " \t\r\v\f";
constexpr std::size_t words_max = std::size_t{1}
                                  << 20;  // of a row: what a longer one announces will not be found

/// Lines of numbers, one after the other, without comments and empty ones.
class Rows {
 public:
  explicit Rows(std::string_view text) : text_(text) {}

  /// The words of the next row; empty at the end of the text.
  [[nodiscard]] const std::vector<std::string_view>& next() {
    words_.clear();
    while (words_.empty() && at_ < text_.size()) {
      const std::size_t end = std::min(text_.find('\n', at_), text_.size());
      std::string_view line = text_.substr(at_, end - at_);
      line = line.substr(0, line.find('#'));
      at_ = end + 1;
      while (words_.size() < words_max) {
        const std::size_t begin = line.find_first_not_of(blanks);
        if (begin == std::string_view::npos) break;
        line.remove_prefix(begin);
        const std::size_t length = std::min(line.find_first_of(blanks), line.size());
        words_.push_back(line.substr(0, length));
        line.remove_prefix(length);
      }
    }
    return words_;
  }

  [[nodiscard]] std::size_t position(std::string_view word) const {
    return static_cast<std::size_t>(word.data() - text_.data());
  }

 private:
  std::string_view text_;
  std::size_t at_ = 0;
  std::vector<std::string_view> words_;
};

template <class Number>
std::optional<Number> parse(std::string_view word) {
  Number number{};
  const char* end = word.data() + word.size();
  const auto [stop, error] = std::from_chars(word.data(), end, number);
  if (error != std::errc{} || stop != end) return std::nullopt;
  return number;
}

class StgReader {
 public:
  StgReader(std::string_view text, std::string_view name)
      : text_(text), rows_(text), mistakes_(text) {
    trace_.name = name;
  }

  Checked<Trace> read() && {
    if (const auto declared = read_count()) read_tasks(*declared);
    if (mistakes_.empty()) connect();
    if (mistakes_.empty()) return std::move(trace_);
    return tl::unexpected(std::move(mistakes_).finish());
  }

 private:
  struct Predecessor {
    std::uint32_t task = 0;  // position of the task that names it
    std::int64_t id = 0;
    std::size_t position = 0;
  };

  void mistake(std::string_view code, std::string_view word, std::string message) {
    mistakes_.add(code, rows_.position(word), std::move(message));
  }

  // A whole number from 0; anything else is a mistake.
  std::optional<std::int64_t> count_of(std::string_view word, std::string_view what) {
    const auto number = parse<std::int64_t>(word);
    if (!number) {
      mistake("RP2202", word, fmt::format("{} must be a whole number, not {}", what, quoted(word)));
    } else if (*number < 0) {
      mistake("RP2203", word, fmt::format("{} is negative: {}", what, *number));
    } else {
      return number;
    }
    return std::nullopt;
  }

  std::optional<std::int64_t> read_count() {
    const auto& words = rows_.next();
    if (words.empty()) {
      mistakes_.add("RP2201", {},
                    "the file holds no task graph: it has no line with the number of tasks");
      return std::nullopt;
    }
    if (words.size() > 1) {
      mistake("RP2201", words[1],
              fmt::format("the first row must be the number of tasks alone, but {} follows",
                          quoted(words[1])));
      return std::nullopt;
    }
    return count_of(words[0], "the number of tasks");
  }

  void read_tasks(std::int64_t declared) {
    constexpr std::int64_t dummies = 2;
    for (std::int64_t row = 0; row - dummies < declared; ++row) {
      const auto& words = rows_.next();
      if (words.empty()) {
        mistakes_.add(
            "RP2204", text_.size(),
            fmt::format(
                "the file is truncated: it announces {} tasks and two dummies, and has {} rows",
                declared, row));
        return;
      }
      read_task(words);
    }
    if (const auto& words = rows_.next(); !words.empty()) {
      mistake("RP2205", words[0],
              fmt::format("{} stands after the last of {} tasks and two dummies", quoted(words[0]),
                          declared));
    }
  }

  void read_task(const std::vector<std::string_view>& words) {
    const auto id = count_of(words[0], "a task's id");
    if (!id) return;
    if (words.size() < 3) {
      mistake(
          "RP2206", words[0],
          fmt::format("the row of task {} is truncated: it needs id, time, number of predecessors",
                      *id));
      return;
    }
    const auto position = static_cast<std::uint32_t>(trace_.tasks.size());
    if (!task_by_id_.emplace(*id, position).second) {
      mistake("RP2207", words[0], fmt::format("two tasks have the id {}", *id));
      return;
    }
    trace_.tasks.push_back({.id = fmt::to_string(*id),
                            .parents = {},
                            .runtime_s = read_time(words[1], *id),
                            .position = rows_.position(words[0])});
    const auto count =
        count_of(words[2], fmt::format("the number of predecessors of task {}", *id));
    if (!count) return;
    const auto listed = static_cast<std::int64_t>(words.size()) - 3;
    if (*count != listed) {
      mistake("RP2208", words[2],
              fmt::format("task {} announces {} predecessors and lists {}", *id, *count, listed));
      return;
    }
    for (std::size_t i = 3; i < words.size(); ++i) {
      if (const auto predecessor =
              count_of(words[i], fmt::format("a predecessor of task {}", *id))) {
        predecessors_.push_back({position, *predecessor, rows_.position(words[i])});
      }
    }
  }

  std::optional<double> read_time(std::string_view word, std::int64_t id) {
    const auto time = parse<double>(word);
    if (!time || *time != *time) {
      mistake("RP2202", word,
              fmt::format("the time of task {} must be a number, not {}", id, quoted(word)));
    } else if (*time < 0) {
      mistake("RP2209", word, fmt::format("the time of task {} is negative: {}", id, word));
    } else if (*time > runtime_seconds_max) {
      mistake("RP2210", word,
              fmt::format("the time of task {} is too large: {}", id, quoted(word)));
    } else {
      return time;
    }
    return std::nullopt;
  }

  void connect() {
    for (const Predecessor& predecessor : predecessors_) {
      const auto found = task_by_id_.find(predecessor.id);
      if (found == task_by_id_.end()) {
        mistakes_.add("RP2211", predecessor.position,
                      fmt::format("task {} names the predecessor {}, but there is no such task",
                                  trace_.tasks[predecessor.task].id, predecessor.id));
        continue;
      }
      trace_.tasks[predecessor.task].parents.push_back(found->second);
    }
    for (TraceTask& task : trace_.tasks) {  // one named twice counts once
      std::ranges::sort(task.parents);
      task.parents.erase(std::unique(task.parents.begin(), task.parents.end()), task.parents.end());
    }
  }

  std::string_view text_;
  Rows rows_;
  MistakeList mistakes_;
  Trace trace_;
  std::unordered_map<std::int64_t, std::uint32_t> task_by_id_;
  std::vector<Predecessor> predecessors_;
};

std::string_view without_mark(std::string_view text) {
  if (text.starts_with("\xef\xbb\xbf")) text.remove_prefix(3);
  return text;
}

}  // namespace

Checked<Trace> read_stg(std::string_view text, std::string_view name) {
  return StgReader(without_mark(text), name).read();
}

Checked<FlowSpec> import_stg(std::string_view text, std::string_view name,
                             const TraceOptions& options) {
  const Checked<Trace> trace = read_stg(text, name);
  if (!trace) return tl::unexpected(trace.error());
  return to_flow(*trace, options, without_mark(text));
}

bool looks_like_stg(std::string_view text) {
  Rows rows(without_mark(text));
  const auto& words = rows.next();
  return words.size() == 1 && parse<std::int64_t>(words[0]).has_value();
}

}  // namespace reprise
