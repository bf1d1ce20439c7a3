#include "tests/conformance/tally.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <fstream>
#include <stdexcept>

#include <fmt/format.h>

namespace reprise::conformance {

Tally::Tally(const std::filesystem::path& log) {
  if (log.empty()) return;
  std::ifstream before(log);
  for (char what = 0; before >> what;) {
    std::size_t run = 0, task = 0;
    before >> run >> task;
    if (what == 'b') {
      Attempt attempt{run, task};
      before >> attempt.index >> attempt.run_count >> attempt.loop_count;
      note(attempt);
    } else {
      ++(what == 'h' ? handler_calls_ : failure_calls_)[{run, task}];
    }
  }
  seen_.clear();
  log_ = ::open(log.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
  if (log_ < 0) throw std::runtime_error(fmt::format("cannot write \"{}\"", log.string()));
}

Tally::~Tally() {
  if (log_ >= 0) ::close(log_);
}

void Tally::begin_run(std::size_t number) {
  const std::lock_guard guard(mutex_);
  run_ = number;
}

std::uint64_t Tally::note(const Attempt& attempt) {
  std::vector<std::uint64_t>& calls = known_[attempt];
  const std::size_t seen = seen_[attempt]++;
  if (seen < calls.size()) return calls[seen];
  calls.push_back(++last_[{attempt.task, attempt.index}]);
  ++executions_[{attempt.run, attempt.task}];
  return calls.back();
}

std::uint64_t Tally::body_begins(std::size_t task, const context& about) {
  std::uint64_t call = 0;
  {
    const std::lock_guard guard(mutex_);
    const auto index = about.map_index();
    const Attempt attempt{run_, task, index ? static_cast<std::int64_t>(*index) : -1,
                          about.run_count(), about.loop_count()};
    const std::size_t calls = known_[attempt].size();
    call = note(attempt);
    if (known_[attempt].size() > calls)
      keep(fmt::format("b {} {} {} {} {}\n", run_, task, attempt.index, attempt.run_count,
                       attempt.loop_count));
  }
  happened();
  return call;
}

void Tally::body_ends() {
  happened();
}

void Tally::handler_called(std::size_t task) {
  {
    const std::lock_guard guard(mutex_);
    ++handler_calls_[{run_, task}];
    keep(fmt::format("h {} {}\n", run_, task));
  }
  happened();
}

void Tally::failure_told(std::size_t task) {
  {
    const std::lock_guard guard(mutex_);
    ++failure_calls_[{run_, task}];
    keep(fmt::format("f {} {}\n", run_, task));
  }
  happened();
}

std::uint64_t Tally::executions(std::size_t task) const {
  return in(executions_, task);
}
std::uint64_t Tally::handler_calls(std::size_t task) const {
  return in(handler_calls_, task);
}
std::uint64_t Tally::failure_calls(std::size_t task) const {
  return in(failure_calls_, task);
}

std::uint64_t Tally::in(const Counts& counts, std::size_t task) const {
  const std::lock_guard guard(mutex_);
  const auto found = counts.find({run_, task});
  return found == counts.end() ? 0 : found->second;
}

// One write: a process that is killed leaves whole lines.
void Tally::keep(const std::string& line) {
  if (log_ >= 0 && ::write(log_, line.data(), line.size()) != static_cast<ssize_t>(line.size()))
    throw std::runtime_error("cannot keep the count of calls");
}

void Tally::happened() const {
  if (told_) told_();
}

}  // namespace reprise::conformance
