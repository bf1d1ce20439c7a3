#include "bench/process.hpp"

#include <chrono>
#include <csignal>
#include <thread>

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>

#include "bench/measure.hpp"
#include "core/assert.hpp"

extern char** environ;

namespace reprise::bench {

namespace {

using namespace std::chrono_literals;

/// A program that only has to be started, so that nothing else is measured.
class LineUp {
 public:
  /// @param argv    must outlive this
  /// @param output  file that takes what it writes
  LineUp(const std::vector<std::string>& argv, const std::string& output) {
    for (const std::string& arg : argv) raw_.push_back(const_cast<char*>(arg.c_str()));
    raw_.push_back(nullptr);
    posix_spawn_file_actions_init(&actions_);
    posix_spawn_file_actions_addopen(&actions_, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&actions_, 1, output.c_str(), O_WRONLY | O_CREAT | O_TRUNC,
                                     0600);
    posix_spawn_file_actions_adddup2(&actions_, 1, 2);
  }
  LineUp(const LineUp&) = delete;
  LineUp& operator=(const LineUp&) = delete;
  ~LineUp() { posix_spawn_file_actions_destroy(&actions_); }

  /// Aborts when it cannot be started.
  [[nodiscard]] pid_t start() const {
    pid_t pid = 0;
    const int failed = posix_spawnp(&pid, raw_[0], &actions_, nullptr, raw_.data(), environ);
    REPRISE_ASSERT(failed == 0, raw_[0], failed);
    return pid;
  }

 private:
  std::vector<char*> raw_;
  posix_spawn_file_actions_t actions_{};
};

}  // namespace

double run_program(const std::vector<std::string>& argv) {
  const LineUp program(argv, "/dev/null");
  int status = 0;
  const double took = seconds_of([&] { waitpid(program.start(), &status, 0); });
  REPRISE_ASSERT(WIFEXITED(status) && WEXITSTATUS(status) == 0, argv[0], argv.back(), status);
  return took;
}

Background::Background(const std::vector<std::string>& argv, const std::string& log)
    : process_(LineUp(argv, log).start()) {}

Background::~Background() {
  ::kill(process_, SIGTERM);
  const auto deadline = std::chrono::steady_clock::now() + 10s;
  while (::waitpid(process_, nullptr, WNOHANG) == 0) {
    if (std::chrono::steady_clock::now() > deadline) ::kill(process_, SIGKILL);
    std::this_thread::sleep_for(5ms);
  }
}

}  // namespace reprise::bench
