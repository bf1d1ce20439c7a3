// Runs something in a process of its own, so that a decider that aborts is a finding and no end of
// the tests.
#pragma once

#include <csignal>
#include <cstdint>
#include <functional>
#include <stdexcept>
#include <string>

#include <sys/mman.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

namespace reprise::sim {

class Apart {
 public:
  /// @param work  gives what is to be said, empty: nothing; may note how far it is
  explicit Apart(const std::function<std::string(volatile std::uint64_t& progress)>& work) {
    void* const shared = mmap(nullptr, sizeof(std::uint64_t), PROT_READ | PROT_WRITE,
                              MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    int ends[2];
    if (shared == MAP_FAILED || pipe(ends) != 0) throw std::runtime_error("no memory, or no pipe");
    progress_ = static_cast<volatile std::uint64_t*>(shared);
    process_ = fork();
    if (process_ < 0) throw std::runtime_error("no process");
    if (process_ == 0) {
      close(ends[0]);
      // The test program's own ways to go on after a crash are not for its children.
      for (const int number : {SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL}) signal(number, SIG_DFL);
      const std::string said = [&]() noexcept { return work(*progress_); }();
      const char* from = said.data();
      for (std::size_t left = said.size(); left > 0;) {
        const ssize_t written = write(ends[1], from, left);
        if (written <= 0) _exit(2);
        from += written;
        left -= static_cast<std::size_t>(written);
      }
      _exit(0);
    }
    close(ends[1]);
    pipe_ = ends[0];
  }
  Apart(const Apart&) = delete;
  Apart& operator=(const Apart&) = delete;
  ~Apart() {
    if (process_ > 0) (void)wait();
    munmap(const_cast<std::uint64_t*>(progress_), sizeof(std::uint64_t));
  }

  /// What was said; of one that ended otherwise, so, with what it had noted last.
  std::string wait() {
    std::string said;
    char buffer[4096];
    for (ssize_t got = 0; (got = read(pipe_, buffer, sizeof buffer)) > 0;)
      said.append(buffer, static_cast<std::size_t>(got));
    close(pipe_);
    int status = 0;
    waitpid(process_, &status, 0);
    process_ = -1;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return said;
    return "seed " + std::to_string(*progress_) + " ended the process, by signal " +
           std::to_string(WIFSIGNALED(status) ? WTERMSIG(status) : 0) +
           "; again: build/bin/simulate " + std::to_string(*progress_) + " --trace\n";
  }

 private:
  volatile std::uint64_t* progress_ = nullptr;
  pid_t process_ = -1;
  int pipe_ = -1;
};

}  // namespace reprise::sim
