// A recorded task graph on its way to become a flow: what the importers (wfformat.hpp, stg.hpp)
// have in common.
//
// A trace says which tasks there were, what each waited for and how long it took, but not how to do
// the work. A run puts something else in its place: hash mode a chain of digests, whose answer
// depends on nothing but the graph; sleep mode the recorded times, scaled; timed mode both; noop
// mode nothing, to measure what the executor itself costs.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <tl/expected.hpp>

#include "core/result.hpp"
#include "flow/diagnostics.hpp"
#include "flow/flow_spec.hpp"

namespace reprise {

enum class TraceMode : std::uint8_t {
  hash,   // "trace.hash@1": SHA-256 over the task's line and its parents' results; cached
  sleep,  // "trace.sleep@1": sleeps for the recorded runtime × scale
  noop,   // "trace.noop@1"
  timed,  // "trace.timed@1": sleeps like sleep, then gives what hash gives; cached
};

/// "hash", "sleep", "noop", "timed".
[[nodiscard]] std::string_view name(TraceMode mode);
[[nodiscard]] std::optional<TraceMode> trace_mode_from(std::string_view name);

struct TraceOptions {
  TraceMode mode = TraceMode::hash;
  double scale = 1e-3;  // seconds slept for each recorded one
  std::map<std::string, std::string>
      touch;  // hash and timed mode: text that enters these tasks' digests, by task id
};

template <class T>
using Checked = tl::expected<T, std::vector<Diagnostic>>;

/// Runtimes beyond this are taken for damage: more than 300 years.
inline constexpr double runtime_seconds_max = 1e10;

struct TraceTask {
  std::string id;                      // unique
  std::vector<std::uint32_t> parents;  // positions in Trace::tasks; each once
  std::optional<double> runtime_s;     // none = not recorded
  std::size_t position = 0;            // byte of the file where the task stands
};

struct Trace {
  std::string name;
  std::vector<TraceTask> tasks;  // in file order
};

/// Mistakes found in one text, told by byte positions and turned into lines and columns once at the
/// end.
class MistakeList {
 public:
  explicit MistakeList(std::string_view text) : text_(text) {}

  struct Hints {
    std::string suggestion;
    std::vector<std::string> help;
  };
  /// @param position  byte; nullopt = the file as a whole
  void add(std::string_view code, std::optional<std::size_t> position, std::string message,
           Hints hints = {});
  [[nodiscard]] bool empty() const { return found_.empty(); }
  [[nodiscard]] std::size_t size() const { return found_.size() + dropped_; }
  /// In the order of the file.
  [[nodiscard]] std::vector<Diagnostic> finish() &&;

 private:
  struct Found {
    std::optional<std::size_t> position;
    Diagnostic diagnostic;
  };
  std::string_view text_;
  std::vector<Found> found_;
  std::size_t dropped_ = 0;  // beyond the most that are kept
};

/// 'text' as it may stand in a message: escaped, shortened, in single quotes.
[[nodiscard]] std::string quoted(std::string_view text);

/// The flow that runs `trace` in a mode: nodes in file order, named by id.
/// @param text  of the file, for places only
/// @error the tasks form a cycle (with its path); sleep or timed mode without runtimes; `touch` of
/// an unknown task, outside of hash and timed mode or not UTF-8; a scale that is no number from 0
[[nodiscard]] Checked<FlowSpec> to_flow(const Trace& trace, const TraceOptions& options,
                                        std::string_view text);

}  // namespace reprise
