// Runs the real `reprise` in a home of its own: with pipes, or on a terminal.
#pragma once

#include <chrono>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <sys/types.h>

namespace reprise::cli::test {

struct Finished {
  int code = -1;  // exit code, or 128 + signal that ended it
  std::string out;
  std::string err;  // empty on a terminal: it shows both as `out`
};

enum class Wiring {
  pipes,
  terminal,       // one pseudo-terminal for stdin, stdout and stderr
  closed_stdout,  // a pipe that nobody reads any more
};

/// A running program. Its output is collected all the time; the destructor kills what is left.
class Program {
 public:
  Program(const std::vector<std::string>& arguments,
          const std::map<std::string, std::string>& environment,
          const std::filesystem::path& folder, Wiring wiring);
  ~Program();
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;

  void send(int signal) const;
  /// Waits until the output (both streams) holds `text`. false: it ended or a minute passed before.
  bool shows(const std::string& text);
  Finished wait();
  [[nodiscard]] pid_t pid() const { return pid_; }
  [[nodiscard]] std::string output() const { return out_ + err_; }
  void resize(unsigned short columns) const;

 private:
  bool read_some(std::chrono::milliseconds timeout);

  pid_t pid_ = -1;
  int out_fd_ = -1;
  int err_fd_ = -1;
  std::string out_;
  std::string err_;
  std::optional<int> status_;
};

/// A folder with a data directory, removed at the end.
class Home {
 public:
  Home();
  ~Home();
  std::filesystem::path path;
  std::map<std::string, std::string> environment;  // complete: nothing is inherited

  Finished run(std::vector<std::string> arguments, Wiring wiring = Wiring::pipes);
  std::unique_ptr<Program> start(std::vector<std::string> arguments, Wiring wiring = Wiring::pipes);
  void write(const std::string& name, const std::string& text) const;
  [[nodiscard]] std::string read(const std::string& name) const;
};

}  // namespace reprise::cli::test
