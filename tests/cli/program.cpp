#include "tests/cli/program.hpp"

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <stdexcept>

#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

namespace reprise::cli::test {
namespace {

constexpr auto patience = std::chrono::seconds{60};

[[noreturn]] void become(const std::vector<std::string>& arguments,
                         const std::map<std::string, std::string>& environment,
                         const std::filesystem::path& folder) {
  std::vector<std::string> settings;
  for (const auto& [name, value] : environment) settings.push_back(name + "=" + value);
  std::vector<char*> argv, envp;
  for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  for (const std::string& setting : settings) envp.push_back(const_cast<char*>(setting.c_str()));
  argv.push_back(nullptr);
  envp.push_back(nullptr);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  std::signal(SIGPIPE, SIG_DFL);
  if (::chdir(folder.c_str()) == 0) ::execve(argv[0], argv.data(), envp.data());
  ::_exit(127);
}

}  // namespace

Program::Program(const std::vector<std::string>& arguments,
                 const std::map<std::string, std::string>& environment,
                 const std::filesystem::path& folder, Wiring wiring) {
  if (wiring == Wiring::terminal) {
    winsize size{};
    size.ws_col = 80;
    size.ws_row = 24;
    pid_ = ::forkpty(&out_fd_, nullptr, nullptr, &size);
    if (pid_ == 0) become(arguments, environment, folder);
    if (pid_ < 0) throw std::runtime_error("forkpty failed");
  } else {
    int out[2], err[2];
    if (::pipe2(out, O_CLOEXEC) != 0 || ::pipe2(err, O_CLOEXEC) != 0)
      throw std::runtime_error("pipe failed");
    if (wiring == Wiring::closed_stdout) ::close(out[0]);
    pid_ = ::fork();
    if (pid_ == 0) {
      const int null = ::open("/dev/null", O_RDONLY);
      ::dup2(null, 0);
      ::dup2(out[1], 1);
      ::dup2(err[1], 2);
      become(arguments, environment, folder);
    }
    ::close(out[1]);
    ::close(err[1]);
    out_fd_ = wiring == Wiring::closed_stdout ? -1 : out[0];
    err_fd_ = err[0];
  }
}

Program::~Program() {
  if (!status_ && pid_ > 0) {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  if (out_fd_ >= 0) ::close(out_fd_);
  if (err_fd_ >= 0) ::close(err_fd_);
}

void Program::send(int signal) const {
  ::kill(pid_, signal);
}

void Program::resize(unsigned short columns) const {
  winsize size{};
  size.ws_col = columns;
  size.ws_row = 24;
  ::ioctl(out_fd_, TIOCSWINSZ, &size);
}

/// true: something may still come.
bool Program::read_some(std::chrono::milliseconds timeout) {
  pollfd entries[] = {{out_fd_, POLLIN, 0}, {err_fd_, POLLIN, 0}};
  ::poll(entries, 2, static_cast<int>(timeout.count()));
  const auto take = [](int& fd, short events, std::string& text) {
    if (fd < 0 || events == 0) return;
    char buffer[65536];
    const ssize_t got = ::read(fd, buffer, sizeof buffer);
    if (got > 0)
      text.append(buffer, static_cast<std::size_t>(got));
    else if (got == 0 || errno != EINTR) {  // a terminal whose last user left gives EIO
      ::close(fd);
      fd = -1;
    }
  };
  take(out_fd_, entries[0].revents, out_);
  take(err_fd_, entries[1].revents, err_);
  return out_fd_ >= 0 || err_fd_ >= 0;
}

bool Program::shows(const std::string& text) {
  const auto deadline = std::chrono::steady_clock::now() + patience;
  while (output().find(text) == std::string::npos) {
    if (std::chrono::steady_clock::now() > deadline || !read_some(std::chrono::milliseconds{100}))
      return output().find(text) != std::string::npos;
  }
  return true;
}

Finished Program::wait() {
  const auto deadline = std::chrono::steady_clock::now() + patience;
  while (read_some(std::chrono::milliseconds{100})) {
    if (std::chrono::steady_clock::now() > deadline) {
      ::kill(pid_, SIGKILL);
      break;
    }
  }
  int status = 0;
  ::waitpid(pid_, &status, 0);
  status_ = status;
  return {WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status), out_, err_};
}

Home::Home() {
  char name[] = "/tmp/reprise-cli-XXXXXX";
  if (!::mkdtemp(name)) throw std::runtime_error("mkdtemp failed");
  path = name;
  environment = {{"PATH", "/usr/local/bin:/usr/bin:/bin"},
                 {"HOME", path.string()},
                 {"TZ", "UTC"},
                 {"LANG", "C.UTF-8"},
                 {"TERM", "xterm-256color"},
                 {"REPRISE_DATA", (path / "data").string()}};
}

Home::~Home() {
  std::error_code ignored;
  std::filesystem::remove_all(path, ignored);
}

std::unique_ptr<Program> Home::start(std::vector<std::string> arguments, Wiring wiring) {
  const char* folder = std::getenv("REPRISE_BIN_DIR");
  if (!folder) throw std::runtime_error("REPRISE_BIN_DIR is not set; run this by ctest");
  arguments.insert(arguments.begin(), std::string(folder) + "/reprise");
  return std::make_unique<Program>(arguments, environment, path, wiring);
}

Finished Home::run(std::vector<std::string> arguments, Wiring wiring) {
  return start(std::move(arguments), wiring)->wait();
}

void Home::write(const std::string& name, const std::string& text) const {
  std::ofstream(path / name, std::ios::binary) << text;
}

std::string Home::read(const std::string& name) const {
  std::ifstream stream(path / name, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), {}};
}

}  // namespace reprise::cli::test
