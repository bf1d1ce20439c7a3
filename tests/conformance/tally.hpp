// Counts what the bodies and handlers of a case did, over all its runs and over all processes that
// worked at them.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "reprise/context.hpp"

namespace reprise::conformance {

/// Safe from any thread.
///
/// An attempt is known by its place and its numbers in the run. One that a killed process had begun
/// and that a later process begins again is the same call of the body: it is counted once.
class Tally {
 public:
  /// The flow itself instead of one of its tasks.
  static constexpr std::size_t flow = SIZE_MAX;

  /// @param log  a file in which the calls are kept for later processes; empty: none. What is in it
  /// already counts.
  explicit Tally(const std::filesystem::path& log = {});
  ~Tally();
  Tally(const Tally&) = delete;
  Tally& operator=(const Tally&) = delete;

  /// Called at every event, without any lock held: a body begins or ends, a handler is asked.
  void on_event(std::function<void()> told) { told_ = std::move(told); }

  void begin_run(std::size_t number);

  /// @return how many-th call of the body this is over the whole case, per index of a mapped task;
  /// from 1
  [[nodiscard]] std::uint64_t body_begins(std::size_t task, const context& about);
  void body_ends();
  void handler_called(std::size_t task);
  void failure_told(std::size_t task);

  /// Of this run.
  [[nodiscard]] std::uint64_t executions(std::size_t task) const;
  [[nodiscard]] std::uint64_t handler_calls(std::size_t task) const;
  [[nodiscard]] std::uint64_t failure_calls(std::size_t task) const;

 private:
  struct Attempt {
    std::size_t run = 0, task = 0;
    std::int64_t index = -1;
    std::uint32_t run_count = 0, loop_count = 0;
    auto operator<=>(const Attempt&) const = default;
  };
  using Counts = std::map<std::pair<std::size_t, std::size_t>, std::uint64_t>;  // by run and task

  std::uint64_t note(const Attempt& attempt);
  void keep(const std::string& line);
  void happened() const;
  [[nodiscard]] std::uint64_t in(const Counts& counts, std::size_t task) const;

  mutable std::mutex mutex_;
  std::function<void()> told_;
  int log_ = -1;
  std::size_t run_ = 0;
  std::map<Attempt, std::vector<std::uint64_t>> known_;                 // numbers of its calls
  std::map<Attempt, std::size_t> seen_;                                 // calls in this process
  std::map<std::pair<std::size_t, std::int64_t>, std::uint64_t> last_;  // call, by task and index
  Counts executions_, handler_calls_, failure_calls_;
};

}  // namespace reprise::conformance
