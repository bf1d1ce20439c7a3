#include "worker/process.hpp"

#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <memory>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include "worker/file_descriptor.hpp"
#include "worker/pidfd.hpp"
#include "worker/process_tree.hpp"
#include "worker/spawn.hpp"

namespace reprise::worker {
namespace {

using Clock = std::chrono::steady_clock;
using namespace std::chrono_literals;

constexpr Duration leftover_grace = 2s;
// How long the output of a new process waits: a program that ends within this time wakes us once,
// by its end, instead of twice, by the end of its output too. More than a pipe's worth of output
// waits as long.
constexpr int first_look_ms = 3;
constexpr Duration force_patience =
    5s;  // for processes to go after SIGKILL; longer only in uninterruptible sleep

Error start_error(int error) {
  const std::string text = std::strerror(error);
  switch (error) {
    case ENOENT:
      return {ErrorCode::not_found, "no such file, or its interpreter is missing"};
    case EACCES:
    case EPERM:
      return {ErrorCode::denied, "permission denied"};
    case ENOEXEC:
      return {ErrorCode::invalid_argument,
              "not a program; a script needs a first line such as #!/bin/sh"};
    case E2BIG:
      return {ErrorCode::exhausted, "its arguments and environment are too long"};
    case EAGAIN:
    case ENOMEM:
    case EMFILE:
    case ENFILE:
      return {ErrorCode::exhausted, text};
    default:
      return {ErrorCode::io, text};
  }
}

// One process from its start to the end of everything it started.
class Execution {
 public:
  Execution(const ProcessSpec& spec, OutputSink& out, OutputSink& err)
      : spec_(spec), streams_{Stream{&out, {}}, Stream{&err, {}}} {}

  Result<ProcessEnd> run(const std::stop_token& stop) {
    if (const int error = start(); error != 0) return tl::unexpected(start_error(error));
    // A thread runs one process at a time, and no callback is left when this function returns.
    thread_local const FileDescriptor stop_event(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    {
      const auto ring = [fd = stop_event.get()] {
        const std::uint64_t one = 1;
        static_cast<void>(!::write(fd, &one, sizeof one));
      };
      std::optional<std::stop_callback<decltype(ring)>> callback;
      if (stop.stop_possible()) callback.emplace(stop, ring);
      while (!has_exited_) step(stop_event.get());
    }
    if (stop.stop_requested()) {
      std::uint64_t rings = 0;  // for the next one in this thread
      static_cast<void>(!::read(stop_event.get(), &rings, sizeof rings));
    }
    clean_up();
    return end_;
  }

 private:
  struct Stream {
    OutputSink* sink;
    FileDescriptor pipe;
  };

  int start() {
    auto out = make_pipe();
    auto err = make_pipe();
    if (!out || !err) return errno;
    const std::array<int, 2> streams{out->write.get(), err->write.get()};
    if (const int error = spawn(
            process_, {spec_.program, spec_.arguments, spec_.environment, spec_.folder, streams});
        error != 0)
      return error;
    group_ = process_.id();
    restrain();
    pidfd_ = open_pidfd(process_.id());
    if (!pidfd_.is_open()) return errno;  // the destructor of process_ ends it
    streams_[0].pipe = std::move(out->read);
    streams_[1].pipe = std::move(err->read);
    return 0;
  }

  // It runs already; what it may have started within these microseconds is found by its mark.
  void restrain() {
    forbid_core_dumps(process_.id());
    if (spec_.memory_bytes == 0) return;
    if (spec_.enforcement != nullptr) enforced_ = spec_.enforcement->make_group(spec_.cpu_milli);
    if (enforced_ && !enforced_->add(process_.id())) enforced_.reset();
    if (enforced_ && enforced_->limits_memory())
      enforced_->limit_memory(spec_.memory_bytes);
    else
      limit_address_space(process_.id(), spec_.memory_bytes);
  }

  void step(int stop_event) {
    std::array<pollfd, 4> waiting{
        pollfd{.fd = streams_[0].pipe.get(), .events = POLLIN, .revents = 0},
        pollfd{.fd = streams_[1].pipe.get(), .events = POLLIN, .revents = 0},
        pollfd{.fd = pidfd_.get(), .events = POLLIN, .revents = 0},
        pollfd{.fd = end_.stopped ? -1 : stop_event, .events = POLLIN, .revents = 0}};
    int timeout = -1;
    if (std::exchange(is_new_, false)) {
      waiting[0].fd = waiting[1].fd = -1;
      timeout = first_look_ms;
    }
    if (end_.stopped && !forced_) {
      const auto left = std::chrono::ceil<std::chrono::milliseconds>(force_at_ - Clock::now());
      timeout = static_cast<int>(std::clamp<std::int64_t>(left.count(), 0, 60'000));
    }
    if (::poll(waiting.data(), waiting.size(), timeout) < 0 && errno != EINTR) return;
    for (std::size_t i = 0; i < streams_.size(); ++i) {
      if (waiting[i].revents != 0) read_some(streams_[i]);
    }
    if (waiting[2].revents != 0) {
      collect();
      return;
    }
    if (waiting[3].revents != 0) begin_stop();
    if (end_.stopped && !forced_ && Clock::now() >= force_at_) force();
  }

  // One read, so that one busy stream does not starve the other. False when there is nothing now or
  // ever again.
  bool read_some(Stream& stream) {
    std::array<char, 64 * 1024> buffer;
    if (!stream.pipe.is_open()) return false;
    const ssize_t got = ::read(stream.pipe.get(), buffer.data(), buffer.size());
    if (got > 0) {
      stream.sink->write({buffer.data(), static_cast<std::size_t>(got)});
      return true;
    }
    if (got == 0 || (errno != EAGAIN && errno != EINTR)) stream.pipe.close();
    return false;
  }

  void collect() {
    const siginfo_t info = process_.reap();
    if (info.si_code == CLD_EXITED)
      end_.exit_code = info.si_status;
    else
      end_.signal = info.si_status;
    has_exited_ = true;
  }

  ProcessTree& tree() {
    if (!tree_) tree_.emplace(group_, spec_.mark);
    return *tree_;
  }

  void begin_stop() {
    end_.stopped = true;
    force_at_ = Clock::now() + spec_.grace;
    tree().find();
    tree().send(SIGTERM);
  }

  void force() {
    forced_ = true;
    if (enforced_) enforced_->kill();
    tree().find();
    tree().send(SIGKILL);
  }

  [[nodiscard]] bool is_pipe_open() const {
    return std::any_of(streams_.begin(), streams_.end(),
                       [](const Stream& s) { return s.pipe.is_open(); });
  }

  [[nodiscard]] std::vector<ino_t> open_pipes() const {
    std::vector<ino_t> all;
    for (const Stream& stream : streams_) {
      struct stat info {};
      if (stream.pipe.is_open() && ::fstat(stream.pipe.get(), &info) == 0)
        all.push_back(info.st_ino);
    }
    return all;
  }

  void drain() {
    for (Stream& stream : streams_) {
      // A writer that outlived the program may keep it up for ever; a pipe's worth or two is what
      // the program wrote.
      for (int reads = 0; reads < 64 && read_some(stream); ++reads) {
      }
    }
  }

  // The program has ended. Usually nobody else is there: both pipes are at their end and the group
  // is empty.
  void clean_up() {
    drain();
    end_.out_of_memory = enforced_ && enforced_->ran_out_of_memory();
    const bool group_is_alive = ::kill(-group_, 0) == 0;
    if (!group_is_alive && tree_) tree_->forget_group();
    const bool orphan = sweep_orphans(spec_.mark);
    if (!group_is_alive && !orphan && !end_.stopped && !is_pipe_open()) return;
    if (!group_is_alive) group_ = 0;
    if (!group_is_alive && !orphan && !end_.stopped && wait_for_pipes(5ms)) return;
    end_leftovers();
    drain();
  }

  // True when both pipes reach their end in time. Between its birth and its exec, a child of
  // another slot holds copies of our pipes; that is over in a moment.
  bool wait_for_pipes(Duration patience) {
    const auto until = Clock::now() + patience;
    while (is_pipe_open() && Clock::now() < until) poll_streams({}, 1);
    return !is_pipe_open();
  }

  void poll_streams(const std::vector<int>& others, int timeout_ms) {
    std::vector<pollfd> waiting;
    for (const Stream& stream : streams_) {
      waiting.push_back({.fd = stream.pipe.get(), .events = POLLIN, .revents = 0});
    }
    for (const int fd : others) waiting.push_back({.fd = fd, .events = POLLIN, .revents = 0});
    ::poll(waiting.data(), waiting.size(), timeout_ms);
    for (Stream& stream : streams_) read_some(stream);
  }

  void end_leftovers() {
    tree().find(open_pipes());
    if (!tree().is_alive()) return;
    end_.left_over = static_cast<std::uint32_t>(tree().size());
    if (!end_.stopped) force_at_ = Clock::now() + std::min(spec_.grace, leftover_grace);
    tree().send(forced_ ? SIGKILL : SIGTERM);
    const auto give_up_at = std::max(force_at_, Clock::now()) + force_patience;
    while (Clock::now() < give_up_at) {
      if (!tree().is_alive()) {
        tree().find(open_pipes());  // who was started meanwhile
        if (!tree().is_alive()) break;
        tree().send(forced_ ? SIGKILL : SIGTERM);
      }
      if (Clock::now() >= force_at_) force();
      const auto left = std::chrono::ceil<std::chrono::milliseconds>(force_at_ - Clock::now());
      poll_streams(tree().descriptors(),
                   forced_ ? 5 : static_cast<int>(std::clamp<std::int64_t>(left.count(), 1, 50)));
    }
    static_cast<void>(sweep_orphans(spec_.mark));  // reaps them
  }

  const ProcessSpec& spec_;
  std::array<Stream, 2> streams_;
  StartedProcess process_;
  FileDescriptor pidfd_;
  pid_t group_ = 0;
  std::optional<ProcessTree> tree_;
  std::unique_ptr<EnforcedGroup> enforced_;
  Clock::time_point force_at_;
  bool forced_ = false;
  bool is_new_ = true;
  bool has_exited_ = false;
  ProcessEnd end_;
};

}  // namespace

Result<ProcessEnd> run_process(const ProcessSpec& spec, OutputSink& out, OutputSink& err,
                               std::stop_token stop) {
  return Execution(spec, out, err).run(stop);
}

}  // namespace reprise::worker
