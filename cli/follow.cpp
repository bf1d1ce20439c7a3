#include "cli/follow.hpp"

#include <atomic>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

#include <fmt/format.h>
#include <unistd.h>

#include "cache/blob_store.hpp"
#include "cli/data_access.hpp"
#include "cli/documents.hpp"
#include "cli/outputs.hpp"
#include "cli/plan_line.hpp"
#include "cli/progress.hpp"
#include "cli/run_ending.hpp"
#include "cli/signals.hpp"
#include "cli/text.hpp"
#include "cluster/run_control.hpp"
#include "journal/history.hpp"

namespace reprise::cli {
namespace {

constexpr Duration poll_interval =
    std::chrono::milliseconds{50};  // how soon a signal is acted upon

/// What the signals asked for so far; written by the watcher's thread, read by the main one.
struct Wishes {
  std::atomic<int> interrupts{0};
  std::atomic<int> ended_by{0};  // SIGTERM or SIGHUP
};

/// How following ended when not by the run's end.
enum class LeftBy { no, interrupted, terminated };

class Follower {
 public:
  Follower(FollowOptions options, Console& console)
      : options_(std::move(options)),
        console_(console),
        watcher_([this](int signal) { on_signal(signal); }) {}

  int go() {
    if (const auto status = check_out_folder(*options_.flow, options_.out); !status)
      return console_.fail(status.error(), exit_invalid);
    options_.engine.warn = [this](const std::string& line) { warn(line); };
    auto engine = Engine::open(options_.engine);
    if (!engine) return console_.fail(engine.error(), start_error_code(engine.error().code));
    engine_ = std::move(*engine);
    make_progress();
    const auto plan = plan_for_head();
    const auto started = engine_->submit(options_.flow, options_.run);
    if (!started) return console_.fail(started.error(), start_error_code(started.error().code));
    started_ = *started;
    announce(plan);
    serve_requests();
    progress_->start(started_.id, started_.folder, past_changes());
    auto result = wait();
    progress_->finish();
    control_.reset();
    if (!result) return leave();
    return conclude(*result);
  }

  ~Follower() {
    control_.reset();  // before the engine it talks to
    engine_.reset();
  }

 private:
  void make_progress() {
    Progress::Options how = progress_options(*options_.flow, options_.flow_name, console_);
    const std::lock_guard lock(progress_mutex_);
    progress_ = std::make_unique<Progress>(options_.flow, now(), console_, std::move(how));
    engine_->listen([this](const journal::Batch& batch) { progress_->take(batch); });
  }

  /// From any thread of the engine.
  void warn(const std::string& line) {
    const std::lock_guard lock(progress_mutex_);
    if (progress_)
      progress_->say(fmt::format("{} {}", console_.err_style()(Ink::yellow, "warning:"), line));
    else
      console_.warn(line);
  }

  /// Looked up before the run begins to change what is looked up.
  [[nodiscard]] std::optional<std::string> plan_for_head() const {
    const bool is_shown =
        !console_.is_quiet() && console_.options().progress != ProgressChoice::none;
    if (!is_shown || options_.run.resume || !reads(options_.run.cache)) return std::nullopt;
    if (options_.run.as_of || options_.run.parent) return std::nullopt;  // another question
    return quick_plan_line(options_.flow, options_.run.parameters, console_.options());
  }

  void announce(const std::optional<std::string>& plan) {
    const Style style = console_.err_style();
    std::string line = fmt::format("run {}  {}", style(Ink::bold, started_.id.short_text()),
                                   escape_for_terminal(options_.flow->name));
    if (started_.continued)
      line += style(Ink::dim, options_.is_retry ? "  tries again what was not done"
                              : options_.run.resume
                                  ? "  continues where it stopped"
                                  : "  continues where it was interrupted (--new starts over)");
    console_.say(line);
    if (plan && !started_.continued) console_.say(*plan);
    if (console_.is_quiet() && !console_.is_json()) {
      console_.out(started_.id.text());
      console_.flush();
    }
  }

  /// Other processes may ask to cancel. That nobody can ask is no reason not to run.
  void serve_requests() {
    auto server = cluster::serve_run(
        *engine_, started_, [this] { progress_->say("cancelling: another process asked for it"); });
    if (server)
      control_ = std::move(*server);
    else if (console_.options().verbosity > 0)
      console_.warn("`reprise cancel` cannot reach this run: " + server.error().message);
  }

  /// What a continued run went through before, and how long its tasks usually take.
  std::vector<journal::Batch> past_changes() {
    std::vector<journal::Batch> past;
    if (options_.engine.durability == Durability::none) return past;
    const bool shows = !console_.is_quiet() && console_.options().progress != ProgressChoice::none;
    if (!shows && !started_.continued) return past;
    const auto reading = open_for_reading(console_.options());
    if (!reading) return past;
    if (is_terminal(STDERR_FILENO))
      progress_->set_usual(
          journal::usual_durations(*reading->journal, options_.flow->name),
          options_.engine.slots ? options_.engine.slots : std::thread::hardware_concurrency());
    if (!started_.continued) return past;
    if (auto entries = reading->journal->read(started_.id, 0))
      for (auto& entry : *entries) past.push_back(std::move(entry.batch));
    return past;
  }

  std::optional<RunResult> wait() {
    bool asked = false;
    for (;;) {
      if (auto result = engine_->wait(started_.id, poll_interval)) return result;
      if (wishes_.ended_by != 0) {
        left_ = LeftBy::terminated;
        return std::nullopt;
      }
      if (wishes_.interrupts >= 2) {
        left_ = LeftBy::interrupted;
        engine_->abandon();
        return std::nullopt;
      }
      if (wishes_.interrupts == 1 && !asked) {
        asked = true;
        progress_->say("cancelling; press Ctrl-C again to leave the run interrupted instead");
        if (const auto status = engine_->cancel(started_.id, {}, "Ctrl-C"); !status)
          progress_->say("cancel: " + escape_for_terminal(status.error().message));
      }
    }
  }

  /// The run is left as it is: interrupted, to be continued.
  int leave() {
    const int code = left_ == LeftBy::terminated ? 128 + wishes_.ended_by.load()
                                                 : static_cast<int>(exit_interrupted);
    console_.say(fmt::format("run {} is left interrupted; what is finished is kept",
                             started_.id.short_text()));
    console_.say(fmt::format("continue: reprise resume {}   ·   see: reprise status {}",
                             started_.id.short_text(), started_.id.short_text()));
    console_.problem_only(
        {ErrorCode::cancelled, fmt::format("run {} was left interrupted", started_.id.text())},
        code, nullptr);
    return code;
  }

  int conclude(const RunResult& result) {
    std::map<std::string, std::string> files;
    Status put_status;
    if (!result.outputs.empty()) put_status = put(result, files);
    return tell_ending({.result = result,
                        .flow_name = options_.flow->name,
                        .continued = started_.continued,
                        .files = files,
                        .put_status = put_status},
                       *progress_, console_);
  }

  Status put(const RunResult& result, std::map<std::string, std::string>& files) {
    if (!may_give_files(*options_.flow) || options_.engine.data.empty()) return {};
    const auto folder = journal::DataFolder::open({options_.engine.data, false});
    if (!folder) return tl::unexpected(folder.error());
    auto blobs = cache::BlobStore::open({folder->blobs(), false});
    if (!blobs) return tl::unexpected(blobs.error());
    auto placed = put_files(
        *options_.flow, result.outputs,
        [&](const FileValue& file, const std::filesystem::path& path) {
          return (*blobs)->restore(file, path, false);
        },
        options_.out);
    if (!placed) return tl::unexpected(placed.error());
    files = std::move(*placed);
    return {};
  }

  void on_signal(int signal) {
    const auto with_progress = [&](auto action) {
      const std::lock_guard lock(progress_mutex_);
      if (progress_) action(*progress_);
    };
    switch (signal) {
      case SIGINT:
        if (++wishes_.interrupts == 3) {  // it does not even leave: go now
          with_progress([](Progress& p) { p.suspend(); });
          ::_exit(exit_interrupted);
        }
        break;
      case SIGTSTP:
        with_progress([](Progress& p) { p.suspend(); });
        ::kill(::getpid(), SIGSTOP);  // goes on here after SIGCONT
        with_progress([](Progress& p) { p.resume(); });
        break;
      default:
        wishes_.ended_by = signal;
    }
  }

  FollowOptions options_;
  Console& console_;
  Wishes wishes_;
  std::mutex progress_mutex_;
  std::unique_ptr<Progress> progress_;
  SignalWatcher watcher_;  // before the engine: its threads inherit the blocked signals
  std::unique_ptr<Engine> engine_;
  std::unique_ptr<cluster::ControlServer> control_;
  RunStarted started_;
  LeftBy left_ = LeftBy::no;
};

}  // namespace

int start_error_code(ErrorCode code) {
  switch (code) {
    case ErrorCode::unavailable:
    case ErrorCode::conflict:
    case ErrorCode::internal:
    case ErrorCode::cancelled:
      return exit_code_of(code);
    case ErrorCode::invalid_argument:
    case ErrorCode::not_found:
    case ErrorCode::corrupt:
    case ErrorCode::io:
    case ErrorCode::exhausted:
    case ErrorCode::denied:
      return exit_invalid;
  }
  return exit_internal;
}

int follow(FollowOptions options, Console& console) {
  Follower follower(std::move(options), console);
  return follower.go();
}

}  // namespace reprise::cli
