#include "tests/support/redis_server.hpp"

#include <chrono>
#include <csignal>
#include <stdexcept>
#include <thread>

#include <arpa/inet.h>
#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

namespace reprise::testing {

std::uint16_t free_port() {
  const int descriptor = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  if (::bind(descriptor, reinterpret_cast<sockaddr*>(&address), size) != 0 ||
      ::getsockname(descriptor, reinterpret_cast<sockaddr*>(&address), &size) != 0)
    throw std::runtime_error("no free port");
  ::close(descriptor);
  return ntohs(address.sin_port);
}

namespace {

using namespace std::chrono_literals;

redis::Deadline in(std::chrono::steady_clock::duration time) {
  return std::chrono::steady_clock::now() + time;
}

}  // namespace

RedisServer::RedisServer(std::vector<std::string> arguments) : arguments_(std::move(arguments)) {
  for (std::size_t i = 0; i + 1 < arguments_.size(); ++i)
    if (arguments_[i] == "--requirepass") password = arguments_[i + 1];
  // Somebody else may take the port between the question and the start.
  for (int attempt = 0;; ++attempt) {
    port_ = free_port();
    try {
      start();
      return;
    } catch (const std::runtime_error&) {
      kill();
      if (attempt == 3) throw;
    }
  }
}

RedisServer::~RedisServer() {
  kill();
}

void RedisServer::start() {
  std::vector<std::string> line{"redis-server",
                                "--port",
                                std::to_string(port_),
                                "--bind",
                                "127.0.0.1",
                                "--unixsocket",
                                socket().string(),
                                "--dir",
                                folder_.path().string(),
                                "--logfile",
                                (folder_ / "log").string(),
                                "--save",
                                "",
                                "--daemonize",
                                "no"};
  line.insert(line.end(), arguments_.begin(), arguments_.end());
  std::vector<char*> pointers;
  for (std::string& word : line) pointers.push_back(word.data());
  pointers.push_back(nullptr);
  process_ = ::fork();
  if (process_ < 0) throw std::runtime_error("fork failed");
  if (process_ == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    const int nowhere = ::open("/dev/null", O_RDWR);
    ::dup2(nowhere, 0);
    ::dup2(nowhere, 1);
    ::dup2(nowhere, 2);
    ::execvp(pointers[0], pointers.data());
    ::_exit(127);
  }
  wait_until_ready();
}

void RedisServer::wait_until_ready() {
  const auto deadline = in(20s);
  while (std::chrono::steady_clock::now() < deadline) {
    int status = 0;
    if (::waitpid(process_, &status, WNOHANG) == process_) {
      process_ = -1;
      throw std::runtime_error("redis-server ended: " + read_file(folder_ / "log"));
    }
    if (auto connection = redis::Connection::open(settings().endpoint, {}, in(1s))) {
      redis::Commands ping;
      if (!password.empty()) ping.add("AUTH", password);
      ping.add("PING");
      const auto replies = (*connection)->exchange(ping, in(1s));
      if (replies && !replies->back().text.starts_with("LOADING")) return;
    }
    std::this_thread::sleep_for(2ms);
  }
  throw std::runtime_error("redis-server did not get ready");
}

redis::Settings RedisServer::settings() const {
  redis::Settings settings;
  settings.endpoint.port = port_;
  settings.budgets.connect = 5s;
  settings.budgets.operation = 5s;
  settings.budgets.value = 10s;
  return settings;
}

redis::Reply RedisServer::run(const std::vector<std::string>& command) {
  auto connection = redis::Connection::open(settings().endpoint, {}, in(5s));
  if (!connection) throw std::runtime_error(connection.error().message);
  redis::Commands commands;
  if (!password.empty()) commands.add("AUTH", password);
  commands.begin(command.size());
  for (const std::string& word : command) commands.argument(word);
  auto replies = (*connection)->exchange(commands, in(10s));
  if (!replies) throw std::runtime_error(replies.error().message);
  return replies->back();
}

void RedisServer::kill() {
  if (process_ < 0) return;
  ::kill(process_, SIGKILL);
  ::waitpid(process_, nullptr, 0);
  process_ = -1;
}

// Without this guard a server that is gone would mean process -1: every process there is.
void RedisServer::stop() {
  if (process_ < 0) return;
  ::kill(process_, SIGSTOP);
  int status = 0;
  ::waitpid(process_, &status, WUNTRACED);  // until then it may still answer
}

void RedisServer::go_on() {
  if (process_ < 0) return;
  ::kill(process_, SIGCONT);
}

}  // namespace reprise::testing
