#include "worker/process_tree.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <mutex>
#include <optional>
#include <set>
#include <thread>
#include <utility>

#include <fmt/format.h>

#include "worker/pidfd.hpp"

namespace reprise::worker {
namespace {

std::string read_all(const std::string& path) {
  const FileDescriptor fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  std::string text;
  if (!fd.is_open()) return text;
  constexpr std::size_t step = 16 * 1024;
  for (;;) {
    const std::size_t old = text.size();
    text.resize(old + step);
    const ssize_t got = ::read(fd.get(), text.data() + old, step);
    text.resize(old + static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
    if (got <= 0) return text;
  }
}

std::optional<pid_t> to_pid(std::string_view text) {
  pid_t pid = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), pid);
  if (error != std::errc{} || end != text.data() + text.size() || pid <= 0) return std::nullopt;
  return pid;
}

struct ProcessFacts {
  pid_t parent = 0;
  pid_t group = 0;
  char state = '?';
  [[nodiscard]] bool has_ended() const { return state == 'Z' || state == 'X'; }
};

// proc(5): "pid (name) state ppid pgrp …"; the name may hold anything, also parentheses.
std::optional<ProcessFacts> facts_of(pid_t pid) {
  const std::string text = read_all(fmt::format("/proc/{}/stat", pid));
  const std::size_t name_end = text.rfind(") ");
  if (name_end == std::string::npos) return std::nullopt;
  ProcessFacts facts;
  if (std::sscanf(text.c_str() + name_end + 2, "%c %d %d", &facts.state, &facts.parent,
                  &facts.group) != 3) {
    return std::nullopt;
  }
  return facts;
}

// In the middle of an exec a process has memory but no environment yet: for that moment
// /proc/PID/environ is empty, and so would be taken for somebody else's. proc(5), fields 23 (vsize)
// and 51 (env_end); a kernel thread or zombie has no memory.
bool is_in_exec(pid_t pid) {
  const std::string text = read_all(fmt::format("/proc/{}/stat", pid));
  const std::size_t name_end = text.rfind(") ");
  if (name_end == std::string::npos) return false;
  constexpr std::size_t first_field = 3;
  std::string_view rest = std::string_view(text).substr(name_end + 2);
  for (std::size_t field = first_field; !rest.empty(); ++field) {
    const std::size_t size = std::min(rest.find_first_of(" \n"), rest.size());
    const std::string_view value = rest.substr(0, size);
    if (field == 23 && value == "0") return false;
    if (field == 51) return value == "0";
    rest.remove_prefix(std::min(size + 1, rest.size()));
  }
  return false;
}

// The environment, waiting for the end of an exec, which takes well below a millisecond.
std::string environment_of(pid_t pid) {
  constexpr int patience = 200;
  const std::string path = fmt::format("/proc/{}/environ", pid);
  for (int look = 0; look < patience; ++look) {
    std::string text = read_all(path);
    if (!text.empty()) return text;
    if (::access(path.c_str(), R_OK) != 0 || !is_in_exec(pid)) return read_all(path);
    std::this_thread::sleep_for(std::chrono::microseconds{50});
  }
  return {};
}

bool has_mark(pid_t pid, std::string_view mark) {
  if (mark.empty()) return false;
  const std::string environment = environment_of(pid);
  for (std::size_t at = environment.find(mark); at != std::string::npos;
       at = environment.find(mark, at + 1)) {
    const std::size_t end = at + mark.size();
    const bool starts = at == 0 || environment[at - 1] == '\0';
    const bool ends = mark.back() == '/' || end == environment.size() || environment[end] == '\0';
    if (starts && ends) return true;
  }
  return false;
}

template <class Visit>
void for_each_entry(const std::string& folder, Visit visit) {
  DIR* const entries = ::opendir(folder.c_str());
  if (entries == nullptr) return;
  while (const dirent* entry = ::readdir(entries)) visit(std::string_view(entry->d_name));
  ::closedir(entries);
}

// True when `a` and `b` run the same program. A child of ours that has not reached its exec yet
// still looks like us, and for that moment has copies of pipes that are not its business.
bool is_same_program(pid_t pid) {
  struct stat own {};
  struct stat other {};
  return ::stat("/proc/self/exe", &own) == 0 &&
         ::stat(fmt::format("/proc/{}/exe", pid).c_str(), &other) == 0 &&
         own.st_dev == other.st_dev && own.st_ino == other.st_ino;
}

bool writes_to(pid_t pid, const std::vector<ino_t>& pipes) {
  if (pipes.empty() || is_same_program(pid)) return false;
  bool found = false;
  const std::string folder = fmt::format("/proc/{}/fd", pid);
  for_each_entry(folder, [&](std::string_view name) {
    if (found || !to_pid(fmt::format("1{}", name))) return;
    struct stat info {};
    const std::string path = fmt::format("{}/{}", folder, name);
    if (::stat(path.c_str(), &info) != 0 || !S_ISFIFO(info.st_mode)) return;
    found = std::find(pipes.begin(), pipes.end(), info.st_ino) != pipes.end();
  });
  return found;
}

}  // namespace

void ProcessTree::find(const std::vector<ino_t>& pipes) {
  std::map<pid_t, ProcessFacts> all;
  const pid_t self = ::getpid();
  for_each_entry("/proc", [&](std::string_view name) {
    const auto pid = to_pid(name);
    if (!pid || *pid == self || *pid == 1) return;
    if (const auto facts = facts_of(*pid)) all.emplace(*pid, *facts);
  });

  const auto belongs = [&](pid_t pid, const ProcessFacts& facts) {
    return (group_ != 0 && facts.group == group_) || members_.contains(facts.parent) ||
           has_mark(pid, mark_) || writes_to(pid, pipes);
  };
  const auto add = [&](pid_t pid) {
    FileDescriptor fd = open_pidfd(pid);
    if (!fd.is_open()) return false;
    // The number may have gone to another process since it was looked at; now that it is held, look
    // again.
    const auto facts = facts_of(pid);
    if (!facts || facts->has_ended() || !belongs(pid, *facts)) return false;
    members_.emplace(pid, Member{std::move(fd), 0});
    return true;
  };
  for (bool grew = true; grew;) {
    grew = false;
    for (const auto& [pid, facts] : all) {
      if (facts.has_ended() || members_.contains(pid) || !belongs(pid, facts)) continue;
      grew |= add(pid);
    }
  }
}

void ProcessTree::send(int signal) {
  for (auto& [pid, member] : members_) {
    if (std::exchange(member.last_signal, signal) == signal) continue;
    send_signal(member.pidfd, signal);
    if (signal == SIGTERM) send_signal(member.pidfd, SIGCONT);
  }
}

bool ProcessTree::is_alive() {
  std::erase_if(members_, [](const auto& member) {
    pollfd ended{.fd = member.second.pidfd.get(), .events = POLLIN, .revents = 0};
    return ::poll(&ended, 1, 0) == 1;
  });
  return !members_.empty();
}

std::vector<int> ProcessTree::descriptors() const {
  std::vector<int> all;
  for (const auto& [pid, member] : members_) all.push_back(member.pidfd.get());
  return all;
}

namespace {

std::atomic<bool> adopts_orphans{false};

struct StartedProcesses {
  std::shared_mutex starting;
  std::mutex listing;
  std::set<pid_t> ids;

  bool contains(pid_t pid) {
    const std::scoped_lock lock(listing);
    return ids.contains(pid);
  }
};

StartedProcesses& started_processes() {
  static StartedProcesses* const processes = new StartedProcesses;  // outlives abandoned threads
  return *processes;
}

// Orphans are given to the main thread; children that a slot started are listed with the slot's own
// thread.
int children_file() {
  static const int fd = [] {
    const auto pid = ::getpid();
    return ::open(fmt::format("/proc/self/task/{}/children", pid).c_str(), O_RDONLY | O_CLOEXEC);
  }();
  return fd;
}

}  // namespace

void adopt_orphans() {
  if (::prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0) adopts_orphans = true;
}

bool sweep_orphans(std::string_view mark) {
  if (!adopts_orphans || children_file() < 0) return false;
  char text[16 * 1024];
  ssize_t size = ::pread(children_file(), text, sizeof text, 0);
  if (size <= 0) return false;

  auto& started = started_processes();
  const std::unique_lock lock(started.starting);
  size = ::pread(children_file(), text, sizeof text, 0);
  bool found = false;
  std::string_view rest(text, static_cast<std::size_t>(std::max<ssize_t>(size, 0)));
  while (!rest.empty()) {
    const std::size_t space = std::min(rest.find(' '), rest.size());
    const auto pid = to_pid(rest.substr(0, space));
    rest.remove_prefix(std::min(space + 1, rest.size()));
    if (!pid || started.contains(*pid)) continue;
    siginfo_t info{};
    if (::waitid(P_PID, static_cast<id_t>(*pid), &info, WEXITED | WNOHANG) == 0 &&
        info.si_pid == *pid)
      continue;
    found |= has_mark(*pid, mark);
  }
  return found;
}

std::shared_mutex& StartedProcess::starting() {
  return started_processes().starting;
}

void StartedProcess::remember() {
  auto& started = started_processes();
  const std::scoped_lock lock(started.listing);
  started.ids.insert(id_);
}

siginfo_t StartedProcess::reap() {
  siginfo_t info{};
  const std::shared_lock lock(starting());
  {
    // Before the number is free for others, who might list it again.
    auto& started = started_processes();
    const std::scoped_lock listing(started.listing);
    started.ids.erase(id_);
  }
  while (::waitid(P_PID, static_cast<id_t>(id_), &info, WEXITED) != 0 && errno == EINTR) {
  }
  id_ = 0;
  return info;
}

StartedProcess::~StartedProcess() {
  if (id_ == 0) return;
  ::kill(-id_, SIGKILL);
  ::kill(id_, SIGKILL);
  static_cast<void>(reap());
}

std::size_t end_processes(std::string_view mark, Duration grace) {
  ProcessTree tree(0, std::string(mark));
  tree.find();
  const std::size_t count = tree.size();
  tree.send(SIGTERM);
  const auto force_at = std::chrono::steady_clock::now() + grace;
  const auto give_up_at = force_at + std::chrono::seconds{5};
  while (tree.is_alive() && std::chrono::steady_clock::now() < give_up_at) {
    if (std::chrono::steady_clock::now() >= force_at) {
      tree.find();
      tree.send(SIGKILL);
    }
    std::vector<pollfd> waiting;
    for (const int fd : tree.descriptors())
      waiting.push_back({.fd = fd, .events = POLLIN, .revents = 0});
    ::poll(waiting.data(), waiting.size(), 20);
  }
  return count;
}

}  // namespace reprise::worker
