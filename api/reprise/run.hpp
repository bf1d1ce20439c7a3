// Running flows: runs and their results, and engines that run them in this process. Runs of a
// server: reprise/client.hpp.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <iterator>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "reprise/clock.hpp"
#include "reprise/error.hpp"
#include "reprise/flow.hpp"
#include "reprise/state.hpp"
#include "reprise/value.hpp"

namespace reprise {

/// What has to be on disk before anybody is told.
enum class durability : std::uint8_t {
  none,   // no journal: a crash forgets the run; results of cached tasks are kept all the same
  group,  // changes are written in order and synced together; answers wait for the sync
  sync,   // tasks wait for the sync, too
};

/// How a run uses the cache.
enum class cache_mode : std::uint8_t {
  normal,
  refresh,     // looks nothing up, keeps what is made
  read_only,   // looks up, keeps nothing
  write_only,  // as refresh
  off,
  only,  // a task that is not in the cache fails
};

struct engine_options {
  std::filesystem::path data{};  // data directory, made when missing; empty:
                                 // $XDG_DATA_HOME/reprise, as the command line
  bool in_memory = false;  // keeps nothing beyond the engine's life and uses no data directory
  unsigned slots = 0;      // attempts at once; 0 = number of processors
  reprise::durability durability = reprise::durability::group;
  std::chrono::nanoseconds grace =
      std::chrono::seconds(10);  // between asking a task to stop and giving it up
  std::function<void(std::string_view)>
      warn{};  // a line for people, from any thread; empty: nobody is told
  std::optional<skipping_clock> clock{};  // none: the world's
  std::string redis{};  // address of a server that keeps cached results for several nodes, too:
                        // "redis://host:port"; empty: none
  std::filesystem::path redis_password_file{};
  // Whose results these are: those of another account are never found. Not empty.
  std::string account = "default";
  // The operator's: another salt finds nothing of what was kept so far, and deletes nothing.
  std::string salt{};
  std::map<std::string, std::string> task_salts{};  // the same for single tasks, by name
  // Accounts whose results are taken, too, where the own one has none, in this order; nothing is
  // kept for them.
  std::vector<std::string> also_read{};
};

/// What one run is asked for on an engine or a server that is there.
struct submit_options {
  std::map<std::string, value> parameters{};  // by name; the flow's own values fill in the rest
  cache_mode cache = cache_mode::normal;
  bool always_new = false;  // do not continue an interrupted run of the same flow and parameters
  std::string resume{};     // id of the run to continue; empty: decided by flow and parameters
  std::map<std::string, value> context{};  // entries of the tasks' context, over those always there

  // For a run that does not begin with nothing, or does not do all. They are kept with the run.
  std::map<std::string, given_state> initial_states{};  // by name of the task; unknown: ignored
  std::vector<std::string> start_tasks{};  // only these, not asking what is above them, and all
                                           // that is below; empty: all
  // Ends instead of waiting for a retry or the end of a pause. A parameter that is required and
  // missing fails what reads it instead of refusing the run.
  bool single_pass = false;
  std::optional<run_state> finished_as{};  // the run is finished already: no task is looked at
  std::optional<std::chrono::system_clock::time_point> start_at{};  // not before

  bool record_events = false;  // an engine keeps them for run::events(); a server always does

  // Of a client: the same again is the same run, also after a restart of either side. At most 64
  // bytes; empty: none.
  std::string idempotency_key{};
};

/// A change of a task's state.
struct event {
  std::string task;                  // name of the task
  std::optional<std::size_t> index;  // of the element of a mapped task
  task_state state = task_state::pending;
  std::string message;
  std::chrono::system_clock::time_point at;
  // Position among the run's changes, growing: for run::events() to go on after it. States that a
  // task only went through have the same one.
  std::uint64_t offset = 0;
};

/// Both, for flow::run(), which makes an engine of its own.
struct run_options {
  unsigned slots = 0;
  std::filesystem::path data{};
  bool in_memory = false;
  std::map<std::string, value> parameters{};
  cache_mode cache = cache_mode::normal;
  reprise::durability durability = reprise::durability::group;
  std::chrono::nanoseconds grace = std::chrono::seconds(10);
  bool always_new = false;
  std::string resume{};
  std::function<void(std::string_view)> warn{};
};

/// How a run ended.
struct run_result {
  std::string id;
  run_state state = run_state::queued;
  std::string message;         // why, when it is no success
  std::uint64_t tasks = 0;     // elements of mapped tasks count, the mapped task itself does not
  std::uint64_t executed = 0;  // bodies that really ran
  std::uint64_t cached = 0;    // served from the cache
  std::uint64_t failed = 0;
  std::uint64_t skipped = 0;
  std::uint64_t cancelled = 0;
  std::uint64_t carried = 0;  // finished by an earlier process of this run
  std::chrono::nanoseconds makespan{0};
  std::map<std::string, value> outputs;

  [[nodiscard]] bool is_success() const { return state == reprise::run_state::success; }
};

namespace detail {

class engine_state;
class event_source;
class live_run;

/// A result's bytes, why the task has none, or why they could not be had.
using fetched = std::variant<std::string, task_error::details, error>;

[[nodiscard]] fetched fetch(live_run& run, const node_ref& node,
                            std::optional<std::chrono::nanoseconds> timeout);
void check_owner(const live_run& run, const node_ref& node);

}  // namespace detail

/// What a task of a run gave, or will give. Copies stand for the same; safe from any thread. Keeps
/// the run's engine alive.
template <class T>
class result {
 public:
  result(std::shared_ptr<detail::live_run> run, detail::node_ref node)
      : run_(std::move(run)), node_(std::move(node)) {}

  /// Blocks until the task has ended: forever when the run waits for a person. Of a task that gives
  /// nothing it only waits.
  /// @throws task_error: it ended without a result (a skipped one, too, unless it gives nothing);
  ///         usage_error: the result could not be read
  T get() const {
    detail::fetched found = detail::fetch(*run_, node_, std::nullopt);
    if (auto* why = std::get_if<task_error::details>(&found)) {
      if constexpr (std::is_void_v<T>)
        if (is_fine(*why)) return;
      throw task_error(std::move(*why));
    }
    if (auto* what = std::get_if<error>(&found)) throw usage_error(std::move(*what));
    if constexpr (!std::is_void_v<T>) {
      expected<T> value = codec::decode<T>(std::get<std::string>(found));
      if (!value) throw usage_error(std::move(value.error()));
      return std::move(*value);
    }
  }

  /// As get(), blocking for at most `timeout`.
  /// @error unavailable: not ended yet; task_failed: it ended without a result; others as in get()
  [[nodiscard]] expected<T> try_get(std::chrono::nanoseconds timeout) const {
    detail::fetched found = detail::fetch(*run_, node_, timeout);
    if (auto* why = std::get_if<task_error::details>(&found)) {
      if constexpr (std::is_void_v<T>)
        if (is_fine(*why)) return {};
      return tl::unexpected(error{error_code::task_failed, task_error(std::move(*why)).what()});
    }
    if (auto* what = std::get_if<error>(&found)) return tl::unexpected(std::move(*what));
    if constexpr (std::is_void_v<T>)
      return {};
    else
      return codec::decode<T>(std::get<std::string>(found));
  }

  /// The task has ended, one way or the other. Asks the engine, but does not wait.
  [[nodiscard]] bool ready() const {
    const detail::fetched found = detail::fetch(*run_, node_, std::chrono::nanoseconds(0));
    const error* what = std::get_if<error>(&found);
    return !what || what->code != error_code::unavailable;
  }

 private:
  static bool is_fine(const task_error::details& why) { return why.state == "skipped"; }

  std::shared_ptr<detail::live_run> run_;
  detail::node_ref node_;
};

/// The changes of a run, one by one, those that come as well: for (const event& e : r.events()) …
/// It ends when the run is at rest. Reads a part at a time, so a slow reader costs no memory.
/// Copies share the position; for one thread at a time.
class event_stream {
 public:
  explicit event_stream(std::shared_ptr<detail::event_source> source)
      : source_(std::move(source)) {}

  /// Blocks for the next. nullopt: the run is at rest and all was told. A server that is away is
  /// waited for.
  /// @throws usage_error: the run is not known there any more; corrupt; internal
  std::optional<event> next();
  /// As next(), blocking for at most `timeout`. @error unavailable: nothing came; others as above
  [[nodiscard]] expected<std::optional<event>> try_next(std::chrono::nanoseconds timeout);

  class iterator {
   public:
    using iterator_concept = std::input_iterator_tag;
    using value_type = event;
    using difference_type = std::ptrdiff_t;
    iterator() = default;
    explicit iterator(event_stream* stream) : stream_(stream), current_(stream->next()) {}
    const event& operator*() const { return *current_; }
    const event* operator->() const { return &*current_; }
    iterator& operator++() {
      current_ = stream_->next();
      return *this;
    }
    void operator++(int) { ++*this; }
    friend bool operator==(const iterator& it, std::default_sentinel_t) {
      return !it.current_.has_value();
    }

   private:
    event_stream* stream_ = nullptr;
    std::optional<event> current_;
  };
  /// Takes the next one, so it is to be called once.
  [[nodiscard]] iterator begin() { return iterator(this); }
  [[nodiscard]] std::default_sentinel_t end() const { return {}; }

 private:
  std::shared_ptr<detail::event_source> source_;
};

/// A run that goes on in the background. Copies stand for the same run; safe from any thread. The
/// run is not cancelled when the last handle goes, but an engine of its own (flow::run) ends then,
/// and an unfinished run is left interrupted: wait(). A server's run goes on.
class [[nodiscard]] run {
 public:
  explicit run(std::shared_ptr<detail::live_run> state) : state_(std::move(state)) {}

  /// 26 characters, unique.
  [[nodiscard]] std::string id() const;
  /// It goes on with an interrupted run of the same flow and parameters.
  [[nodiscard]] bool continued() const;

  /// The result of a task, or the list of results of a mapped one. Does not block.
  /// @throws usage_error invalid_argument: a node of another flow
  template <class T>
  [[nodiscard]] result<T> operator[](const node<T>& node) const {
    detail::check_owner(*state_, node.ref());
    return {state_, node.ref()};
  }

  /// Blocks until the run has ended, or waits for a person, and that is on disk.
  run_result wait() const;
  /// nullopt: `timeout` passed.
  [[nodiscard]] std::optional<run_result> wait_for(std::chrono::nanoseconds timeout) const;

  /// The state of every task by name, of mapped ones with those of the elements: what another run
  /// may be given as initial_states. May be asked while the run goes on.
  /// @throws usage_error unavailable: the engine did not answer
  [[nodiscard]] std::map<std::string, given_state> states() const;
  /// Its changes after the offset `after`, in order, each state on the way told by itself. Of an
  /// engine only with submit_options::record_events, and of a run that goes on those since it did.
  /// Of a server's run offsets stay valid when it or the client is started again.
  [[nodiscard]] event_stream events(std::uint64_t after = 0) const;

  /// Lets nothing more of the run, or of the named tasks, begin; what runs goes on to its end. The
  /// run then rests as paused; submit_options::resume goes on with it.
  /// @error conflict: it has ended; not_found: no such task
  expected<void> pause(std::vector<std::string> tasks = {}, std::string reason = {}) const;

  /// Asks the whole run to stop, or the named tasks and what is below them; no attempt starts after
  /// it returned.
  /// @error conflict: it has ended; not_found: no such task
  expected<void> cancel(std::string reason = {}) const {
    return cancel_tasks({}, std::move(reason));
  }
  expected<void> cancel_tasks(std::vector<std::string> tasks, std::string reason = {}) const;

 private:
  std::shared_ptr<detail::live_run> state_;
};

/// Scheduler, worker slots and cache in this process, for any number of runs one after another or
/// at once. Opens no port. Copies stand for the same engine; safe from any thread. It ends with the
/// last handle to it, its runs and their results; runs that are not finished are then interrupted,
/// which takes the grace time at most.
class engine {
 public:
  /// @throws usage_error io, exhausted, denied: the data directory cannot be written; not_found:
  /// none is known
  explicit engine(const engine_options& options = {});
  /// The same with an error as a value.
  [[nodiscard]] static expected<engine> open(const engine_options& options = {});

  /// Starts a run and returns when it is accepted.
  /// @throws usage_error invalid_argument: the flow or its parameters; conflict: `resume` names a
  /// run that is finished or
  ///         alive, or a task has the name and version but not the body of one that ran here
  ///         before; not_found; io
  reprise::run run(const flow& flow, const submit_options& options = {}) const;
  [[nodiscard]] expected<reprise::run> try_run(const flow& flow,
                                               const submit_options& options = {}) const;

 private:
  explicit engine(std::shared_ptr<detail::engine_state> state) : state_(std::move(state)) {}

  std::shared_ptr<detail::engine_state> state_;
};

}  // namespace reprise
