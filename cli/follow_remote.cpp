#include "cli/follow_remote.hpp"

#include <atomic>
#include <condition_variable>
#include <csignal>
#include <mutex>
#include <optional>
#include <utility>

#include <fmt/format.h>
#include <unistd.h>

#include "cli/documents.hpp"
#include "cli/outputs.hpp"
#include "cli/progress.hpp"
#include "cli/remote.hpp"
#include "cli/run_ending.hpp"
#include "cli/signals.hpp"
#include "cli/text.hpp"
#include "cluster/remote_journal.hpp"
#include "core/text.hpp"

namespace reprise::cli {
namespace {

class RemoteFollower {
 public:
  RemoteFollower(const RemoteFollowOptions& options, Console& console)
      : options_(options),
        console_(console),
        progress_(options.flow, now(), console,
                  progress_options(*options.flow, options.flow_name, console)),
        watcher_([this](int signal) { on_signal(signal); }) {}

  int go() {
    if (const auto status = check_out_folder(*options_.flow, options_.out); !status)
      return console_.fail(status.error(), exit_invalid);
    auto client = connect_client(console_.options());
    if (!client) return console_.fail(client.error());
    client_ = *std::move(client);
    const auto started = options_.start(*client_);
    if (!started) return console_.fail(started.error());
    started_ = *started;
    announce();
    if (const Status followed = follow(); !followed) return lose(followed.error());
    const auto end = wait();
    following_.reset();
    progress_.finish();
    if (!end) return leave();
    if (!*end) return lose(end->error());
    return conclude(**end);
  }

 private:
  void announce() {
    const Style style = console_.err_style();
    std::string line = fmt::format("run {}  {}  on {}", style(Ink::bold, started_.run.short_text()),
                                   escape_for_terminal(options_.flow->name),
                                   escape_for_terminal(console_.options().server));
    if (started_.continued) line += style(Ink::dim, "  goes on");
    console_.say(line);
    if (console_.is_quiet() && !console_.is_json()) {
      console_.out(started_.run.text());
      console_.flush();
    }
  }

  Status follow() {
    std::vector<journal::Batch> past;
    journal::Offset from = 1;
    if (started_.continued) {
      auto entries = cluster::RemoteJournal(*client_).read(started_.run, 0, SIZE_MAX);
      if (!entries) return tl::unexpected(entries.error());
      for (auto& [first, batch] : *entries) {
        from = first + batch.count();
        past.push_back(std::move(batch));
      }
    }
    progress_.start(started_.run, {}, past);
    cluster::RunNews news;
    news.changes = [this](const cluster::wire::Changes& changes) {
      for (const journal::Batch& batch : changes.batches) progress_.take(batch);
    };
    news.end = [this](const Result<cluster::wire::RunEnded>& end) {
      const std::lock_guard guard(mutex_);
      end_ = end;
      changed_.notify_all();
    };
    following_ = client_->follow(started_.run, from, std::move(news));
    return {};
  }

  /// nullopt: somebody wanted to go.
  std::optional<Result<cluster::wire::RunEnded>> wait() {
    bool asked = false;
    std::unique_lock lock(mutex_);
    for (;;) {
      changed_.wait(lock, [&] { return end_ || interrupts_ > (asked ? 1 : 0) || ended_by_ != 0; });
      if (end_) return end_;
      if (ended_by_ != 0 || interrupts_ >= 2) return std::nullopt;
      asked = true;
      lock.unlock();
      progress_.say("cancelling; press Ctrl-C again to leave the run to the server");
      const Status status = client_->cancel(started_.run, {}, "Ctrl-C");
      if (!status) progress_.say("cancel: " + escape_for_terminal(status.error().message));
      lock.lock();
    }
  }

  int leave() {
    const int code = ended_by_ != 0 ? 128 + ended_by_ : static_cast<int>(exit_interrupted);
    say_how_to_follow("the run goes on");
    console_.problem_only(
        {ErrorCode::cancelled, fmt::format("run {} was left to the server", started_.run.text())},
        code, nullptr);
    return code;
  }

  /// The run cannot be seen any more.
  int lose(const Error& why) {
    const int code = console_.fail(why);
    if (why.code == ErrorCode::unavailable) say_how_to_follow("the run goes on");
    return code;
  }

  void say_how_to_follow(std::string_view how_it_is) {
    const std::string run = started_.run.short_text();
    console_.say(fmt::format("{}; follow it: reprise wait {} --server {}", how_it_is, run,
                             escape_for_terminal(console_.options().server)));
  }

  int conclude(const cluster::wire::RunEnded& end) {
    EndedRun ended;
    RunResult& result = ended.result;
    result.id = end.run;
    result.state = end.state;
    result.message = end.message;
    result.summary = end.summary;
    result.makespan = now() - begun_;
    result.outputs = end.outputs;
    ended.flow_name = options_.flow->name;
    ended.continued = started_.continued;
    ended.put_status = fetch(result.outputs, ended.files);
    return tell_ending(ended, progress_, console_);
  }

  Status fetch(std::map<std::string, Payload>& outputs, std::map<std::string, std::string>& files) {
    for (auto& [name, value] : outputs) {
      auto fetched = cluster::fetch_value(*client_, value);
      if (!fetched)
        return fail(
            fetched.error().code,
            fmt::format("output \"{}\": {}", escape_for_terminal(name), fetched.error().message));
      value = *std::move(fetched);
    }
    auto placed = put_files(
        *options_.flow, outputs,
        [this](const FileValue& file, const std::filesystem::path& path) {
          return cluster::fetch_file(*client_, file, path);
        },
        options_.out);
    if (!placed) return tl::unexpected(placed.error());
    files = *std::move(placed);
    return {};
  }

  void on_signal(int signal) {
    if (signal == SIGTSTP) {
      progress_.suspend();
      ::kill(::getpid(), SIGSTOP);  // goes on here after SIGCONT
      progress_.resume();
      return;
    }
    const std::lock_guard guard(mutex_);
    if (signal != SIGINT) {
      ended_by_ = signal;
    } else if (++interrupts_ == 3) {  // it does not even leave: go now
      progress_.suspend();
      ::_exit(exit_interrupted);
    }
    changed_.notify_all();
  }

  const RemoteFollowOptions& options_;
  Console& console_;
  const Time begun_ = now();
  RemoteFollowOptions::Started started_;

  std::mutex mutex_;
  std::condition_variable changed_;
  std::optional<Result<cluster::wire::RunEnded>> end_;
  int interrupts_ = 0;
  int ended_by_ = 0;  // SIGTERM or SIGHUP
  Progress progress_;
  SignalWatcher watcher_;  // before the client: its threads inherit the blocked signals
  std::unique_ptr<cluster::Client> client_;
  std::unique_ptr<cluster::Following> following_;  // last: it uses the others
};

}  // namespace

int follow_remote(const RemoteFollowOptions& options, Console& console) {
  RemoteFollower follower(options, console);
  return follower.go();
}

}  // namespace reprise::cli
