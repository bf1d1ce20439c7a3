#include "worker/function_server.hpp"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <exception>
#include <fstream>
#include <iostream>
#include <mutex>
#include <new>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "core/time.hpp"
#include "worker/function_message.hpp"

namespace reprise::worker {
namespace {

std::atomic<bool> can_serve{false};

[[noreturn]] void end(int code) {
  std::fflush(nullptr);
  ::_exit(code);
}

bool read_exactly(int fd, char* to, std::size_t size) {
  while (size > 0) {
    const ssize_t got = ::read(fd, to, size);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return false;
    to += got;
    size -= static_cast<std::size_t>(got);
  }
  return true;
}

// The process that asked is gone when this fails, and with it the need for an answer.
void send_frame(std::string message) {
  auto frame = as_frame(std::move(message));
  if (!frame)
    frame = as_frame(encode_answer(Thrown{"std::length_error", frame.error().message}, now()));
  for (std::string_view rest = *frame; !rest.empty();) {
    const ssize_t put = ::send(calls_descriptor, rest.data(), rest.size(), MSG_NOSIGNAL);
    if (put < 0 && errno == EINTR) continue;
    if (put <= 0) end(0);
    rest.remove_prefix(static_cast<std::size_t>(put));
  }
}

// Which call is to stop, as a thread of its own hears it while the body runs. When the pipe ends,
// so has the process that we run functions for: nobody is left to hear the answer.
class Stops {
 public:
  void listen() {
    std::thread([this] {
      std::uint64_t number = 0;
      while (read_exactly(stops_descriptor, reinterpret_cast<char*>(&number), sizeof number))
        stop(number);
      ::_exit(0);
    }).detach();
  }

  [[nodiscard]] std::stop_token begin(std::uint64_t number) {
    const std::scoped_lock lock(mutex_);
    current_ = number;
    source_ = std::stop_source{};
    if (stopped_ == number) source_.request_stop();
    return source_.get_token();
  }

 private:
  void stop(std::uint64_t number) {
    std::stop_source source{std::nostopstate};
    {
      const std::scoped_lock lock(mutex_);
      stopped_ = number;
      if (number == current_) source = source_;
    }
    source.request_stop();
  }

  std::mutex mutex_;
  std::uint64_t current_ = 0;
  std::uint64_t stopped_ = 0;
  std::stop_source source_;
};

// Bytes of address space in use. proc(5): statm counts pages.
std::uint64_t used_address_space() {
  std::ifstream file("/proc/self/statm");
  std::uint64_t pages = 0;
  file >> pages;
  return pages * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
}

// Lets the process grow by so much; the hard limit stays, so that the next call may have another.
class MemoryLimit {
 public:
  explicit MemoryLimit(std::uint64_t bytes) {
    if (bytes == 0 || ::getrlimit(RLIMIT_AS, &before_) != 0) return;
    rlimit limit = before_;
    limit.rlim_cur = std::min<rlim_t>(used_address_space() + bytes, before_.rlim_cur);
    is_set_ = ::setrlimit(RLIMIT_AS, &limit) == 0;
  }
  MemoryLimit(const MemoryLimit&) = delete;
  MemoryLimit& operator=(const MemoryLimit&) = delete;
  ~MemoryLimit() {
    if (is_set_) ::setrlimit(RLIMIT_AS, &before_);
  }

 private:
  rlimit before_{};
  bool is_set_ = false;
};

FunctionAnswer run(const Function& function, const ReceivedCall& call, std::stop_token stop) {
  try {
    const MemoryLimit limit(call.memory_bytes);
    return function.body(Call{call.attempt.arguments, call.attempt, std::move(stop)});
  } catch (Ending& ending) {
    return std::move(ending);
  } catch (const std::exception& error) {
    return describe(error);
  } catch (...) {
    return Thrown{"unknown", "the body threw something that is no std::exception"};
  }
}

[[noreturn]] void serve(const FunctionTable& functions) {
  // What a function starts has no business with our calls; and a crash leaves no copy of the
  // memory, in which there may be secrets.
  for (const int fd : {calls_descriptor, stops_descriptor}) ::fcntl(fd, F_SETFD, FD_CLOEXEC);
  const rlimit none{0, 0};
  ::setrlimit(RLIMIT_CORE, &none);
  std::setvbuf(stdout, nullptr, _IOLBF, 1 << 16);
  Stops stops;
  stops.listen();
  send_frame(encode_known(known_functions(functions)));

  std::shared_ptr<const RunContext> last_run;
  std::string message;
  for (;;) {
    char head[frame_head_bytes];
    if (!read_exactly(calls_descriptor, head, sizeof head)) end(0);
    message.resize(length_of_frame({head, sizeof head}));
    if (!read_exactly(calls_descriptor, message.data(), message.size())) end(0);
    ReceivedCall call;
    FunctionAnswer answer;
    if (const Status decoded = decode_call(message, last_run, call); !decoded) {
      answer = Thrown{"reprise::Error", decoded.error().message};
    } else if (const auto function = functions.find(call.function)) {
      answer = run(*function, call, stops.begin(call.number));
    } else {
      answer = Thrown{"reprise::Error", fmt::format("no function \"{}\" here", call.function)};
    }
    std::cout.flush();
    std::fflush(nullptr);
    send_frame(encode_answer(answer, now()));
  }
}

}  // namespace

void serve_functions_if_asked(
    int argc, char** argv,
    const std::function<Result<std::shared_ptr<FunctionTable>>(std::span<char*>)>& functions) {
  can_serve = true;
  if (argc < 2 || argv[1] != functions_argument) return;
  if (int type = 0, size = sizeof type; ::getsockopt(calls_descriptor, SOL_SOCKET, SO_TYPE, &type,
                                                     reinterpret_cast<socklen_t*>(&size)) != 0) {
    std::fprintf(stderr, "\"%s\" is for this program's own use\n", argv[1]);
    end(2);
  }
  const auto table = functions({argv + 2, static_cast<std::size_t>(argc - 2)});
  if (!table) {
    std::fprintf(stderr, "%s\n", table.error().message.c_str());
    end(1);
  }
  serve(**table);
}

bool can_serve_functions() {
  return can_serve;
}

}  // namespace reprise::worker
