#include "bench/bare.hpp"

#include <array>
#include <condition_variable>
#include <csignal>
#include <functional>
#include <mutex>
#include <optional>
#include <string_view>
#include <thread>

#include <fcntl.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <caf/actor_system.hpp>
#include <caf/actor_system_config.hpp>
#include <caf/behavior.hpp>
#include <caf/event_based_actor.hpp>
#include <caf/scoped_actor.hpp>

#include "bench/flows.hpp"
#include "bench/measure.hpp"
#include "bench/task_bench.hpp"
#include "cluster/authority.hpp"
#include "cluster/tls.hpp"
#include "cluster/wire.hpp"
#include "core/assert.hpp"

extern char** environ;

namespace reprise::bench {

namespace {

using cluster::TlsContext;
using cluster::TlsStream;

constexpr std::size_t message_bytes = 64;
constexpr std::size_t attempts_per_message = 512;

/// One end of a connection that blocks.
class Talker {
 public:
  explicit Talker(int socket) : socket_(socket) {
    const int yes = 1;
    ::setsockopt(socket_, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
  }
  Talker(const Talker&) = delete;
  Talker& operator=(const Talker&) = delete;
  ~Talker() { ::close(socket_); }

  /// Both ends have to do so.
  void secure(std::shared_ptr<const TlsContext> context, TlsStream::Side side) {
    tls_.emplace(std::move(context), side);
    flush();
    while (!tls_->is_ready()) pull();
    flush();
  }
  void send() {
    const std::string_view plain(zeros_.data(), zeros_.size());
    if (!tls_) return put(plain);
    REPRISE_ASSERT(tls_->send(plain).has_value(), "seal");
    flush();
  }
  void receive() {
    while (received_.size() < message_bytes) pull();
    received_.erase(0, message_bytes);
  }

 private:
  void put(std::string_view bytes) const {
    while (!bytes.empty()) {
      const ssize_t put = ::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      REPRISE_ASSERT(put > 0, errno);
      bytes.remove_prefix(static_cast<std::size_t>(put));
    }
  }
  void flush() {
    std::string sealed;
    tls_->take_output(sealed);
    put(sealed);
  }
  void pull() {
    std::array<char, 16384> buffer;
    const ssize_t got = ::recv(socket_, buffer.data(), buffer.size(), 0);
    REPRISE_ASSERT(got > 0, errno);
    const std::string_view bytes(buffer.data(), static_cast<std::size_t>(got));
    if (!tls_) {
      received_ += bytes;
      return;
    }
    REPRISE_ASSERT(tls_->receive(bytes, received_).has_value(), "open");
    if (tls_->has_output()) flush();
  }

  static constexpr std::array<char, message_bytes> zeros_{};
  int socket_;
  std::optional<TlsStream> tls_;
  std::string received_;
};

/// Somebody who is reached on loopback.
class Listener {
 public:
  Listener() : socket_(::socket(AF_INET, SOCK_STREAM, 0)) {
    address_.sin_family = AF_INET;
    address_.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address_;
    REPRISE_ASSERT(::bind(socket_, raw(), size) == 0 && ::listen(socket_, 2) == 0, errno);
    ::getsockname(socket_, raw(), &size);
  }
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;
  ~Listener() { ::close(socket_); }

  [[nodiscard]] int accept() const { return ::accept(socket_, nullptr, nullptr); }
  [[nodiscard]] int connect() {
    const int socket = ::socket(AF_INET, SOCK_STREAM, 0);
    REPRISE_ASSERT(::connect(socket, raw(), sizeof address_) == 0, errno);
    return socket;
  }

 private:
  sockaddr* raw() { return reinterpret_cast<sockaddr*>(&address_); }
  int socket_;
  sockaddr_in address_{};
};

/// What a node of an authority made for this proves itself with.
std::shared_ptr<const TlsContext> certified(const std::string& folder, const std::string& name,
                                            cluster::Role role) {
  const Time now = reprise::now();
  static_cast<void>(cluster::make_authority({.folder = folder}, now));  // the first time
  const auto bundle = cluster::add_node({.folder = folder, .name = name, .role = role}, now);
  REPRISE_ASSERT(bundle.has_value(), bundle.error().message);
  auto context = TlsContext::load(cluster::bundle_files(*bundle));
  REPRISE_ASSERT(context.has_value(), context.error().message);
  return *std::move(context);
}

/// Where two threads wait for each other.
class Meeting {
 public:
  void arrive() {
    std::unique_lock guard(mutex_);
    const std::int64_t row = arrived_ / 2;
    if (++arrived_ == 2 * (row + 1))
      changed_.notify_all();
    else
      changed_.wait(guard, [&] { return arrived_ >= 2 * (row + 1); });
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::int64_t arrived_ = 0;
};

/// Wakes one thread that waits.
class Bell {
 public:
  void ring() {
    const std::lock_guard guard(mutex_);
    ++rung_;
    changed_.notify_one();
  }
  /// Until it was rung so often in all.
  void await(std::int64_t times) {
    std::unique_lock guard(mutex_);
    changed_.wait(guard, [&] { return rung_ >= times; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::int64_t rung_ = 0;
};

/// Seconds of `steps` rows of `work` on two threads.
double met_rows(std::int64_t steps, const std::function<void(std::int64_t step, int point)>& work) {
  Meeting meeting;
  const auto rows = [&](int point) {
    for (std::int64_t step = 0; step < steps; ++step) {
      work(step, point);
      meeting.arrive();
    }
  };
  return seconds_of([&] {
    std::thread other(rows, 1);
    rows(0);
    other.join();
  });
}

/// Starts a program, waits for it, and keeps what it writes.
void run_command(std::vector<std::string> argv, const std::string& log) {
  std::vector<char*> raw;
  for (std::string& arg : argv) raw.push_back(arg.data());
  raw.push_back(nullptr);
  int out[2];
  REPRISE_ASSERT(::pipe2(out, O_CLOEXEC) == 0, errno);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, out[1], 1);
  pid_t pid = 0;
  REPRISE_ASSERT(posix_spawn(&pid, raw[0], &actions, nullptr, raw.data(), environ) == 0, raw[0]);
  posix_spawn_file_actions_destroy(&actions);
  ::close(out[1]);
  std::string written;
  std::array<char, 4096> buffer;
  for (ssize_t got = 0; (got = ::read(out[0], buffer.data(), buffer.size())) > 0;)
    written.append(buffer.data(), static_cast<std::size_t>(got));
  ::close(out[0]);
  int status = 0;
  ::waitpid(pid, &status, 0);
  REPRISE_ASSERT(WIFEXITED(status) && WEXITSTATUS(status) == 0, status);
  const int file = ::open(log.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  REPRISE_ASSERT(::write(file, written.data(), written.size()) >= 0, errno);
  ::close(file);
}

/// Seconds of `work`, `count` times over two threads.
double halved(std::size_t count, void (*work)()) {
  const auto half = [&](std::size_t times) {
    for (std::size_t i = 0; i < times; ++i) work();
  };
  return seconds_of([&] {
    std::thread other(half, count / 2);
    half(count - count / 2);
    other.join();
  });
}

/// Runs a program without arguments as commands are run.
void capture(std::string program) {
  std::array<std::array<int, 2>, 2> pipes;  // out and err, each to read and to write
  for (auto& each : pipes) {
    REPRISE_ASSERT(::pipe2(each.data(), O_CLOEXEC) == 0, errno);
    ::fcntl(each[0], F_SETFL, O_NONBLOCK);
  }
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, pipes[0][1], 1);
  posix_spawn_file_actions_adddup2(&actions, pipes[1][1], 2);
  posix_spawn_file_actions_addclosefrom_np(&actions, 3);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  sigset_t all, none;
  sigfillset(&all);
  sigemptyset(&none);
  posix_spawnattr_setsigdefault(&attributes, &all);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setpgroup(&attributes, 0);
  posix_spawnattr_setflags(&attributes,
                           POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  char* argv[] = {program.data(), nullptr};
  pid_t pid = 0;
  REPRISE_ASSERT(posix_spawn(&pid, argv[0], &actions, &attributes, argv, environ) == 0, program);
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&actions);
  for (auto& each : pipes) ::close(each[1]);
  const int ended = static_cast<int>(::syscall(SYS_pidfd_open, pid, 0));
  pollfd wanted{ended, POLLIN, 0};
  ::poll(&wanted, 1, -1);
  ::close(ended);
  siginfo_t info{};
  ::waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED);
  REPRISE_ASSERT(info.si_status == 0, info.si_status);
  std::array<char, 4096> buffer;
  for (auto& each : pipes) {
    while (::read(each[0], buffer.data(), buffer.size()) > 0) {
    }
    ::close(each[0]);
  }
  REPRISE_ASSERT(::kill(-pid, 0) != 0, "somebody was left");
}

}  // namespace

double bare_round_trip(Trust trust, const std::string& folder) {
  constexpr int trips = 2000;
  std::shared_ptr<const TlsContext> near, far;
  if (trust == Trust::tls) {
    static int made = 0;  // names of nodes are given once
    near = certified(folder + "/bare", fmt::format("near{}", made), cluster::Role::worker);
    far = certified(folder + "/bare", fmt::format("far{}", made++), cluster::Role::scheduler);
  }
  Listener listener;
  std::thread echo([&] {
    Talker talker(listener.accept());
    if (far) talker.secure(far, TlsStream::Side::accepting);
    for (int i = 0; i < trips; ++i) {
      talker.receive();
      talker.send();
    }
  });
  double took = 0;
  {
    Talker talker(listener.connect());
    if (near) talker.secure(near, TlsStream::Side::connecting);
    took = seconds_of([&] {
      for (int i = 0; i < trips; ++i) {
        talker.send();
        talker.receive();
      }
    });
    echo.join();
  }
  return took / trips;
}

double bare_relayed_trip() {
  constexpr int trips = 2000;
  Listener listener;
  std::thread echo([&] {
    Talker talker(listener.connect());
    for (int i = 0; i < trips; ++i) {
      talker.receive();
      talker.send();
    }
  });
  Talker talker(listener.accept());
  Bell answered;
  std::thread reader([&] {
    for (int i = 0; i < trips; ++i) {
      talker.receive();
      answered.ring();
    }
  });
  const double took = seconds_of([&] {
    for (int i = 0; i < trips; ++i) {
      talker.send();
      answered.await(i + 1);
    }
  });
  echo.join();
  reader.join();
  return took / trips;
}

double bare_sync(const std::string& folder) {
  constexpr int times = 20;
  const std::string path = folder + "/synced";
  const int file = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  const std::string page(4096, 'x');
  const double took = seconds_of([&] {
    for (int i = 0; i < times; ++i)
      REPRISE_ASSERT(::write(file, page.data(), page.size()) > 0 && ::fdatasync(file) == 0, errno);
  });
  ::close(file);
  return took / times;
}

double bare_spawn(std::size_t count) {
  return halved(count, [] {
    char program[] = "/bin/true";
    char* argv[] = {program, nullptr};
    pid_t pid = 0;
    REPRISE_ASSERT(posix_spawn(&pid, program, nullptr, nullptr, argv, environ) == 0, program);
    int status = 0;
    waitpid(pid, &status, 0);
  });
}

double bare_capture(std::size_t count) {
  return halved(count, [] { capture("/bin/true"); });
}

double bare_asked(std::size_t count, const std::string& folder) {
  const std::string context(600, 'x');
  caf::actor_system_config config;
  config.set("scheduler.policy", caf::atom("sharing"));
  config.set("scheduler.max-threads", 1);
  caf::actor_system system(config);
  const caf::actor next = system.spawn([](caf::event_based_actor*) -> caf::behavior {
    return {[](int ended) { return ended + 1; }};
  });
  const auto half = [&](int slot, std::size_t times) {
    const std::string path = fmt::format("{}/{}.context", folder, slot);
    const std::string signal = fmt::format("{}/{}.signal", folder, slot);
    caf::scoped_actor self(system);
    for (std::size_t i = 0; i < times; ++i) {
      const int file = ::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
      REPRISE_ASSERT(::write(file, context.data(), context.size()) > 0, errno);
      ::close(file);
      capture("/bin/true");
      REPRISE_ASSERT(::open(signal.c_str(), O_RDONLY | O_CLOEXEC) < 0, signal);
      self->request(next, caf::infinite, slot).receive([](int) {}, [](const caf::error&) {});
    }
  };
  return seconds_of([&] {
    std::thread other(half, 1, count / 2);
    half(0, count - count / 2);
    other.join();
  });
}

double bare_rows(std::int64_t steps, std::int64_t iterations) {
  return met_rows(steps, [&](std::int64_t, int) { compute(iterations); });
}

double bare_remote_rows(std::int64_t steps, std::int64_t iterations) {
  Listener listener;
  const auto work = [&] {
    Talker talker(listener.connect());
    for (std::int64_t step = 0; step < steps; ++step) {
      talker.receive();
      compute(iterations);
      talker.send();
    }
  };
  std::thread one(work), other(work);
  Talker first(listener.accept()), second(listener.accept());
  return seconds_of([&] {
    for (std::int64_t step = 0; step < steps; ++step) {
      first.send();
      second.send();
      first.receive();
      second.receive();
    }
    one.join();
    other.join();
  });
}

double bare_relayed_rows(std::int64_t steps, std::int64_t iterations) {
  Listener listener;
  const auto relay = [steps](Talker& talker, Bell& bell) {
    for (std::int64_t step = 0; step < steps; ++step) {
      talker.receive();
      bell.ring();
    }
  };
  const auto work = [&] {
    Talker talker(listener.connect());
    Bell told;
    std::thread reader([&] { relay(talker, told); });
    for (std::int64_t step = 0; step < steps; ++step) {
      told.await(step + 1);
      compute(iterations);
      talker.send();
    }
    reader.join();
  };
  std::thread one(work), other(work);
  Talker first(listener.accept()), second(listener.accept());
  Bell answered;
  return seconds_of([&] {
    std::thread near([&] { relay(first, answered); }), far([&] { relay(second, answered); });
    for (std::int64_t step = 0; step < steps; ++step) {
      first.send();
      second.send();
      answered.await(2 * (step + 1));
    }
    for (std::thread* each : {&near, &far, &one, &other}) each->join();
  });
}

double bare_command_rows(std::int64_t steps, std::int64_t iterations, const std::string& kernel,
                         const std::string& folder) {
  return met_rows(steps, [&](std::int64_t step, int point) {
    run_command({kernel, std::to_string(iterations), std::to_string(step), std::to_string(point)},
                fmt::format("{}/{}.{}.out", folder, step, point));
  });
}

double bare_messages(std::size_t count) {
  namespace wire = cluster::wire;
  const auto flow = no_ops(count, false);
  const auto context = std::make_shared<RunContext>();
  context->flow = flow;
  // Server and worker of half of the attempts.
  const auto half = [&](std::size_t from, std::size_t to) {
    wire::Context shared{0, context}, here;
    REPRISE_ASSERT(wire::decode(wire::encode(shared), here).has_value(), "context");
    std::size_t done = 0;
    for (std::size_t at = from; at < to; at += attempts_per_message) {
      wire::Dispatch sent, got;
      for (std::size_t i = at; i < std::min(to, at + attempts_per_message); ++i) {
        Attempt& attempt = sent.attempts.emplace_back().attempt;
        attempt.context = context;
        attempt.node = NodeId{static_cast<std::uint32_t>(i)};
        attempt.task = TaskId{static_cast<std::uint32_t>(i)};
        attempt.number = 1;
      }
      const auto context_of = [&](std::uint32_t) { return here.context; };
      REPRISE_ASSERT(wire::decode(wire::encode(sent), context_of, got).has_value(), at);
      wire::Reports told, heard;
      for (const wire::Dispatched& each : got.attempts) {
        scheduler::Report& report = told.reports.emplace_back();
        report.attempt = {scheduler::RunIndex{0}, each.attempt.task, each.attempt.number};
        report.outcome.state = TaskState::success;
        report.outcome.executed = true;
        report.outcome.value = Payload::nil();
      }
      REPRISE_ASSERT(wire::decode(wire::encode(told), heard).has_value(), at);
      done += heard.reports.size();
    }
    REPRISE_ASSERT(done == to - from, done);
  };
  const double took = seconds_of([&] {
    wire::Submit submit, submitted;
    submit.flow = flow;
    REPRISE_ASSERT(wire::decode(wire::encode(submit), submitted).has_value(), count);
    std::thread other(half, 0, count / 2);
    half(count / 2, count);
    other.join();
  });
  return static_cast<double>(count) / took;
}

}  // namespace reprise::bench
