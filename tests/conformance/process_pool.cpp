#include "tests/conformance/process_pool.hpp"

#include <poll.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <optional>
#include <system_error>
#include <thread>

#include <fmt/format.h>

namespace reprise::conformance {
namespace {

using clock = std::chrono::steady_clock;

std::string encode(const Verdict& verdict) {
  Json differences = Json::array();
  for (const Difference& each : verdict.differences)
    differences.push_back({each.member, each.wanted, each.got});
  return Json{
      {"decision", verdict.decision}, {"differences", differences}, {"kills", verdict.kills}}
      .dump(-1, ' ', false, Json::error_handler_t::replace);
}

Verdict decode(const std::string& text) {
  const Json json = Json::parse(text);
  Verdict verdict;
  verdict.decision = json["decision"];
  verdict.kills = json["kills"];
  for (const Json& each : json["differences"])
    verdict.differences.push_back({each[0], each[1], each[2]});
  return verdict;
}

/// A process that runs one case after another.
struct Worker {
  pid_t process = -1;
  int requests = -1;  // numbers of cases
  int answers = -1;   // verdicts
  std::optional<std::uint32_t> at;
  clock::time_point until;
};

class Pool {
 public:
  Pool(const std::vector<Json>& cases, const std::function<Verdict(const Json&)>& run,
       std::chrono::seconds deadline)
      : cases_(cases), run_(run), deadline_(deadline), verdicts_(cases.size()) {}

  void work(const std::function<void(const Verdict&)>& told) {
    const std::size_t count =
        std::min<std::size_t>(cases_.size(), std::max(2U, std::thread::hardware_concurrency()));
    workers_.resize(count);
    for (Worker& worker : workers_) give(worker);
    std::size_t shown = 0;
    while (shown < cases_.size()) {
      await();
      while (shown < cases_.size() && verdicts_[shown]) told(*verdicts_[shown++]);
    }
    for (Worker& worker : workers_) end(worker);
  }

 private:
  void start(Worker& worker) {
    std::array<int, 2> requests{}, answers{};
    if (::pipe(requests.data()) != 0 || ::pipe(answers.data()) != 0)
      throw std::system_error(errno, std::generic_category(), "pipe");
    std::fflush(nullptr);
    worker.process = ::fork();
    if (worker.process < 0) throw std::system_error(errno, std::generic_category(), "fork");
    if (worker.process == 0) {
      // A group of its own, so that what it starts ends with it.
      ::setpgid(0, 0);
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      for (const Worker& other : workers_) {
        if (other.requests >= 0) ::close(other.requests);
        if (other.answers >= 0) ::close(other.answers);
      }
      ::close(requests[1]);
      ::close(answers[0]);
      for (std::uint32_t number = 0; read_all(requests[0], &number, sizeof number);)
        if (!write_message(answers[1], encode(run_(cases_[number])))) break;
      std::_Exit(0);
    }
    ::close(requests[0]);
    ::close(answers[1]);
    worker.requests = requests[1];
    worker.answers = answers[0];
  }

  void give(Worker& worker) {
    if (next_ >= cases_.size()) return;
    if (worker.process < 0) start(worker);
    worker.at = next_++;
    worker.until = clock::now() + deadline_;
    const std::uint32_t number = *worker.at;
    if (!write_all(worker.requests, {reinterpret_cast<const char*>(&number), sizeof number}))
      lose(worker, "its process is gone");
  }

  void await() {
    std::vector<pollfd> watched;
    std::vector<Worker*> whose;
    for (Worker& worker : workers_) {
      if (!worker.at) continue;
      watched.push_back({worker.answers, POLLIN, 0});
      whose.push_back(&worker);
    }
    if (watched.empty()) return;
    ::poll(watched.data(), watched.size(), 100);
    for (std::size_t i = 0; i < watched.size(); ++i) {
      Worker& worker = *whose[i];
      if (watched[i].revents != 0) {
        std::string answer;
        if (read_message(worker.answers, answer)) {
          done(worker, decode(answer));
          give(worker);
        } else {
          lose(worker, "its process died");
        }
      } else if (clock::now() > worker.until) {
        lose(worker, fmt::format("it takes longer than {} s", deadline_.count()));
      }
    }
  }

  void done(Worker& worker, Verdict verdict) {
    verdict.id = cases_[*worker.at].value("id", "");
    verdicts_[*worker.at] = std::move(verdict);
    worker.at.reset();
  }

  void lose(Worker& worker, const std::string& why) {
    const int status = end(worker);
    const std::string how = WIFSIGNALED(status) && WTERMSIG(status) != SIGKILL
                                ? fmt::format("{} of signal {}", why, WTERMSIG(status))
                                : why;
    done(worker, {{}, {{"case", "an end", how}}, {}, 0});
    give(worker);
  }

  static int end(Worker& worker) {
    int status = 0;
    if (worker.process > 0) {
      // One that waits for a request ends by itself; others may hang, and so may what they started.
      if (worker.at) ::kill(-worker.process, SIGKILL);
      ::close(worker.requests);
      ::close(worker.answers);
      ::waitpid(worker.process, &status, 0);
    }
    worker.process = worker.requests = worker.answers = -1;
    return status;
  }

  const std::vector<Json>& cases_;
  const std::function<Verdict(const Json&)>& run_;
  std::chrono::seconds deadline_;
  std::vector<std::optional<Verdict>> verdicts_;
  std::vector<Worker> workers_;
  std::uint32_t next_ = 0;
};

}  // namespace

bool write_all(int file, const std::string& bytes) {
  for (std::size_t done = 0; done < bytes.size();) {
    const ssize_t count = ::write(file, bytes.data() + done, bytes.size() - done);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return false;
    done += static_cast<std::size_t>(count);
  }
  return true;
}

bool read_all(int file, void* bytes, std::size_t size) {
  for (std::size_t done = 0; done < size;) {
    const ssize_t count = ::read(file, static_cast<char*>(bytes) + done, size - done);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return false;
    done += static_cast<std::size_t>(count);
  }
  return true;
}

bool write_message(int file, const std::string& message) {
  const std::uint64_t size = message.size();
  return write_all(file, std::string(reinterpret_cast<const char*>(&size), sizeof size) + message);
}

bool read_message(int file, std::string& message) {
  std::uint64_t size = 0;
  if (!read_all(file, &size, sizeof size)) return false;
  message.resize(size);
  return read_all(file, message.data(), size);
}

void run_in_processes(const std::vector<Json>& cases,
                      const std::function<Verdict(const Json&)>& run, std::chrono::seconds deadline,
                      const std::function<void(const Verdict&)>& told) {
  std::signal(SIGPIPE, SIG_IGN);
  Pool(cases, run, deadline).work(told);
}

}  // namespace reprise::conformance
