#include "worker/function_process.hpp"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <stop_token>
#include <utility>

#include <fmt/format.h>

#include "worker/pidfd.hpp"
#include "worker/spawn.hpp"

namespace reprise::worker {
namespace {

using Clock = std::chrono::steady_clock;
using namespace std::chrono_literals;

constexpr auto start_patience = 30s;
constexpr std::size_t read_bytes = 64 << 10;

class NoSink final : public OutputSink {
 public:
  void write(std::string_view) override {}
};

int milliseconds_until(Clock::time_point time) {
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(time - Clock::now());
  return static_cast<int>(std::clamp<std::int64_t>(left.count(), 0, 60'000));
}

}  // namespace

// One conversation: what is to be sent, where output goes, and what may cut it short.
struct FunctionProcess::Listening {
  std::string outgoing;
  OutputSink& out;
  OutputSink& err;
  std::optional<Clock::time_point> deadline{};
  std::stop_token stop{};
  std::size_t sent = 0;
  bool told_to_stop = false;
};

Result<std::unique_ptr<FunctionProcess>> FunctionProcess::start(const Spec& spec) {
  std::unique_ptr<FunctionProcess> process(new FunctionProcess(spec));
  const auto failed = [](std::string why) {
    return fail(ErrorCode::unavailable,
                fmt::format("a process to run functions in did not start: {}", why));
  };
  if (const int error = process->open(spec); error != 0) return failed(std::strerror(error));
  NoSink nobody;
  TailSink err(nobody);
  Listening listening{.outgoing = {}, .out = nobody, .err = err};
  listening.deadline = Clock::now() + start_patience;
  const Heard heard = process->converse(listening);
  process->drain(nobody, err);
  if (heard == Heard::late) return failed("it said nothing for 30 s");
  if (heard == Heard::ended) {
    const std::string line = err.last_line();
    return failed(line.empty() ? process->crashed(0).message : line);
  }
  auto known = decode_known(process->incoming_);
  if (!known) return failed(known.error().message);
  process->functions_ = *std::move(known);
  return process;
}

int FunctionProcess::open(const Spec& spec) {
  std::array<int, 2> ends{};
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) != 0) return errno;
  FileDescriptor ours(ends[0]);
  const FileDescriptor given(ends[1]);
  auto stops = make_pipe();
  auto out = make_pipe();
  auto err = make_pipe();
  if (!stops || !out || !err) return errno;
  // The child's own ends must lie above the numbers that they become there.
  std::array<FileDescriptor, 4> high;
  std::array<int, 4> numbers{};
  const std::array<int, 4> given_ends{out->write.get(), err->write.get(), given.get(),
                                      stops->read.get()};
  for (std::size_t i = 0; i < high.size(); ++i) {
    high[i] = FileDescriptor(::fcntl(given_ends[i], F_DUPFD_CLOEXEC, 10));
    if (!high[i].is_open()) return errno;
    numbers[i] = high[i].get();
  }
  ::fcntl(stops->read.get(), F_SETFL, 0);  // its reader is a thread that waits
  ::fcntl(ours.get(), F_SETFL, O_NONBLOCK);
  const std::string as_this;  // its folder
  if (const int error =
          spawn(process_, {spec.program, spec.arguments, spec.environment, as_this, numbers});
      error != 0)
    return error;
  forbid_core_dumps(process_.id());
  if (spec.enforcement && (group_ = spec.enforcement->make_group(1000)) != nullptr &&
      !group_->add(process_.id()))
    group_.reset();
  calls_socket_ = std::move(ours);
  stops_ = std::move(stops->write);
  out_ = std::move(out->read);
  err_ = std::move(err->read);
  return 0;
}

FunctionProcess::~FunctionProcess() {
  // It ends by itself once its pipe does; what it started in the background does not.
  if (process_.id() != 0) kill();
}

bool FunctionProcess::is_waiting() const {
  pollfd socket{calls_socket_.get(), POLLIN, 0};
  return ::poll(&socket, 1, 0) == 0;
}

void FunctionProcess::kill() {
  if (group_) group_->kill();
  ProcessTree tree(process_.id(), mark_);
  tree.find();
  tree.send(SIGKILL);
}

bool FunctionProcess::read_stream(FileDescriptor& stream, OutputSink& sink) {
  std::array<char, read_bytes> buffer;
  if (!stream.is_open()) return false;
  const ssize_t got = ::read(stream.get(), buffer.data(), buffer.size());
  if (got > 0) {
    sink.write({buffer.data(), static_cast<std::size_t>(got)});
    return true;
  }
  if (got == 0 || (errno != EAGAIN && errno != EINTR)) stream.close();
  return false;
}

// What was written before the answer is in the pipes already.
void FunctionProcess::drain(OutputSink& out, OutputSink& err) {
  for (int reads = 0; reads < 64 && read_stream(out_, out); ++reads) {
  }
  for (int reads = 0; reads < 64 && read_stream(err_, err); ++reads) {
  }
}

FunctionProcess::Got FunctionProcess::receive() {
  std::array<char, read_bytes> buffer;
  for (;;) {
    const bool has_head = incoming_.size() >= frame_head_bytes;
    if (has_head && incoming_.size() == frame_head_bytes + length_of_frame(incoming_)) {
      incoming_.erase(0, frame_head_bytes);
      return Got::message;
    }
    const std::size_t wanted =
        has_head ? frame_head_bytes + length_of_frame(incoming_) - incoming_.size()
                 : frame_head_bytes - incoming_.size();
    const ssize_t got =
        ::recv(calls_socket_.get(), buffer.data(), std::min(buffer.size(), wanted), 0);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && errno == EAGAIN) return Got::more;
    if (got <= 0) return Got::end;
    incoming_.append(buffer.data(), static_cast<std::size_t>(got));
  }
}

FunctionProcess::Heard FunctionProcess::converse(Listening& with) {
  incoming_.clear();
  // A thread talks to one process at a time, and no callback is left when this function returns.
  thread_local const FileDescriptor stop_event(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  const auto ring = [fd = stop_event.get()] {
    const std::uint64_t one = 1;
    static_cast<void>(!::write(fd, &one, sizeof one));
  };
  const auto forget_rings = [&] {
    std::uint64_t rings = 0;
    static_cast<void>(!::read(stop_event.get(), &rings, sizeof rings));
  };
  std::optional<std::stop_callback<decltype(ring)>> callback;
  if (with.stop.stop_possible()) callback.emplace(with.stop, ring);
  const auto finish = [&](Heard heard) {
    callback.reset();
    if (with.stop.stop_requested()) forget_rings();
    return heard;
  };
  for (;;) {
    while (with.sent < with.outgoing.size()) {
      const ssize_t put = ::send(calls_socket_.get(), with.outgoing.data() + with.sent,
                                 with.outgoing.size() - with.sent, MSG_NOSIGNAL);
      if (put < 0 && errno == EINTR) continue;
      if (put < 0 && errno == EAGAIN) break;
      if (put <= 0) return finish(Heard::ended);
      with.sent += static_cast<std::size_t>(put);
    }
    const bool is_sending = with.sent < with.outgoing.size();
    std::array<pollfd, 4> waiting{
        pollfd{calls_socket_.get(), static_cast<short>(is_sending ? POLLIN | POLLOUT : POLLIN), 0},
        pollfd{out_.get(), POLLIN, 0}, pollfd{err_.get(), POLLIN, 0},
        pollfd{with.told_to_stop ? -1 : stop_event.get(), POLLIN, 0}};
    const int timeout = with.deadline ? milliseconds_until(*with.deadline) : -1;
    if (::poll(waiting.data(), waiting.size(), timeout) < 0 && errno != EINTR)
      return finish(Heard::ended);
    if (waiting[1].revents != 0) read_stream(out_, with.out);
    if (waiting[2].revents != 0) read_stream(err_, with.err);
    if (waiting[0].revents != 0) {
      const Got got = receive();
      if (got != Got::more) return finish(got == Got::message ? Heard::message : Heard::ended);
    }
    if (!with.told_to_stop && with.stop.stop_requested()) {
      with.told_to_stop = true;
      static_cast<void>(!::write(stops_.get(), &calls_, sizeof calls_));
      with.deadline = Clock::now() + grace_;
    }
    if (with.deadline && Clock::now() >= *with.deadline) return finish(Heard::late);
  }
}

std::variant<FunctionAnswer, Crash> FunctionProcess::run(std::string_view function,
                                                         const Call& call,
                                                         std::uint64_t memory_bytes,
                                                         OutputSink& out, OutputSink& err) {
  ++calls_;
  const bool is_by_group = group_ && group_->limits_memory();
  const bool is_new_run = last_run_.lock() != call.attempt.context;
  auto frame =
      as_frame(encode_call(calls_, function, call, is_by_group ? 0 : memory_bytes, is_new_run));
  if (!frame) return FunctionAnswer(Thrown{"std::length_error", frame.error().message});
  last_run_ = call.attempt.context;
  if (is_by_group && memory_bytes > 0) group_->limit_memory(memory_bytes);
  NoSink nobody;
  drain(nobody, nobody);  // of the background of an earlier call
  TailSink err_tail(err);
  Listening listening{.outgoing = *std::move(frame), .out = out, .err = err_tail};
  listening.stop = call.stop;
  const Heard heard = converse(listening);
  if (heard == Heard::late) kill();
  if (heard == Heard::message) {
    drain(out, err_tail);
    if (is_by_group && memory_bytes > 0) group_->limit_memory(0);
    auto answer = decode_answer(incoming_, call.attempt.context->now());
    if (answer) return *std::move(answer);
    kill();
    Crash crash = crashed(0);
    crash.message = answer.error().message;
    return crash;
  }
  Crash crash = crashed(memory_bytes);
  drain(out, err_tail);
  if (const std::string line = err_tail.last_line(); !line.empty()) {
    crash.out_of_memory |= memory_bytes > 0 && speaks_of_memory(line);
    crash.message += ": " + line;
  }
  crash.stopped = heard == Heard::late;
  return crash;
}

// Its end, which has come or is near: also of one that only closed its socket.
Crash FunctionProcess::crashed(std::uint64_t memory_bytes) {
  const pid_t group = process_.id();
  Crash crash;
  {
    const FileDescriptor watched = open_pidfd(group);
    pollfd waiting{watched.get(), POLLIN, 0};
    if (::poll(&waiting, 1, 1000) == 0) kill();
  }
  const siginfo_t info = process_.reap();
  // What it started is not to outlive it. The number of the group stays taken while one is in it.
  ProcessTree tree(::kill(-group, 0) == 0 ? group : 0, mark_);
  if (group_) group_->kill();
  tree.find();
  tree.send(SIGKILL);
  static_cast<void>(sweep_orphans(mark_));
  if (info.si_code == CLD_EXITED) {
    crash.failure = FailureClass::task;
    crash.exit_code = info.si_status;
    crash.message = fmt::format("its process ended (exit {})", info.si_status);
  } else {
    crash.signal = info.si_status;
    crash.message = described_signal(info.si_status);
  }
  if (group_ && group_->ran_out_of_memory() && memory_bytes > 0) {
    crash.out_of_memory = true;
  }
  return crash;
}

}  // namespace reprise::worker
