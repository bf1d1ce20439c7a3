#include "worker/enforcement.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <fstream>
#include <sstream>
#include <system_error>
#include <thread>
#include <vector>

#include <fmt/format.h>

#include "core/text.hpp"
#include "worker/file_descriptor.hpp"

namespace reprise::worker {

namespace fs = std::filesystem;

namespace {

// Enough for any program, too few for a fork bomb to take the machine along.
constexpr std::uint32_t processes_max = 16'384;

Status write_file(const fs::path& path, std::string_view text) {
  // The kernel's files are there already; what it does not have cannot be made.
  const FileDescriptor file(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  if (file.is_open() &&
      ::write(file.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size()))
    return {};
  return tl::unexpected(system_error(fmt::format("write \"{}\"", path.string()), errno));
}

std::string read_file(const fs::path& path) {
  std::ifstream file(path);
  std::ostringstream text;
  text << file.rdbuf();
  return std::move(text).str();
}

bool has_word(std::string_view words, std::string_view word) {
  std::istringstream in{std::string(words)};
  for (std::string each; in >> each;)
    if (each == word) return true;
  return false;
}

std::uint64_t number_in(const std::string& text) {
  std::uint64_t number = 0;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

// The number behind a name: "oom_kill 3".
std::uint64_t number_of(const std::string& lines, std::string_view name) {
  std::istringstream in(lines);
  std::string key;
  for (std::uint64_t value = 0; in >> key >> value;)
    if (key == name) return value;
  return 0;
}

// Groups that processes which are gone left behind; one that is in use cannot be removed.
void remove_abandoned(const fs::path& folder) {
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(folder, ignored)) {
    const std::string name = entry.path().filename().string();
    if (!name.starts_with("reprise.")) continue;
    pid_t owner = 0;
    std::from_chars(name.data() + 8, name.data() + name.size(), owner);
    if (owner <= 0 || ::kill(owner, 0) == 0 || errno != ESRCH) continue;
    for (const auto& inner : fs::directory_iterator(entry.path(), ignored))
      if (inner.is_directory(ignored)) ::rmdir(inner.path().c_str());
    ::rmdir(entry.path().c_str());
  }
}

std::vector<std::string> lines_of(std::string_view text) {
  std::vector<std::string> lines;
  std::istringstream in{std::string(text)};
  for (std::string line; std::getline(in, line);) lines.push_back(std::move(line));
  return lines;
}

}  // namespace

EnforcedGroup::~EnforcedGroup() {
  if (::rmdir(folder_.c_str()) == 0 || errno == ENOENT) return;
  kill();
  // The dead leave the group within moments.
  for (int tries = 0; tries < 200; ++tries) {
    if (::rmdir(folder_.c_str()) == 0 || errno != EBUSY) return;
    std::this_thread::sleep_for(std::chrono::milliseconds{5});
  }
}

Status EnforcedGroup::add(pid_t process) {
  return write_file(folder_ / "cgroup.procs", std::to_string(process));
}

void EnforcedGroup::limit_memory(std::uint64_t bytes) {
  if (!limits_memory_) return;
  if (bytes == 0) {
    (void)write_file(folder_ / "memory.max", "max");
    return;
  }
  const std::uint64_t used = number_in(read_file(folder_ / "memory.current"));
  (void)write_file(folder_ / "memory.max", std::to_string(used + bytes));
}

void EnforcedGroup::kill() {
  if (write_file(folder_ / "cgroup.kill", "1")) return;
  // Linux before 5.14.
  for (const std::string& line : lines_of(read_file(folder_ / "cgroup.procs")))
    if (const auto id = static_cast<pid_t>(number_in(line)); id > 1) ::kill(id, SIGKILL);
}

bool EnforcedGroup::ran_out_of_memory() {
  if (!limits_memory_) return false;
  const std::uint64_t kills = number_of(read_file(folder_ / "memory.events"), "oom_kill");
  return kills > std::exchange(kills_, kills);
}

Enforcement::Enforcement(std::optional<fs::path> folder) : folder_(std::move(folder)) {}

Enforcement::~Enforcement() {
  if (is_usable_) ::rmdir(base_.c_str());  // not while we are below it ourselves
}

std::optional<fs::path> Enforcement::own_folder(std::string_view mountinfo,
                                                std::string_view own_groups) {
  std::string path;
  for (const std::string& line : lines_of(own_groups))
    if (line.starts_with("0::/")) path = line.substr(3);
  if (path.empty() || path.find("/..") != std::string::npos) return std::nullopt;
  for (const std::string& line : lines_of(mountinfo)) {
    // proc(5): "36 35 98:0 /root /mount options … - type source options"
    if (line.find(" - cgroup2 ") == std::string::npos) continue;
    std::istringstream in(line);
    std::string skipped, root, mount;
    in >> skipped >> skipped >> skipped >> root >> mount;
    if (root != "/") {
      if (!path.starts_with(root)) continue;
      path = path.substr(root.size());
    }
    const fs::path folder = fs::path(mount) / fs::path(path).relative_path();
    if (::access(folder.c_str(), W_OK | X_OK) == 0 &&
        ::access((folder / "cgroup.procs").c_str(), W_OK) == 0)
      return folder;
  }
  return std::nullopt;
}

std::optional<fs::path> Enforcement::own_folder() {
  return own_folder(read_file("/proc/self/mountinfo"), read_file("/proc/self/cgroup"));
}

void Enforcement::prepare() {
  std::call_once(prepared_, [this] {
    if (!folder_) return;
    remove_abandoned(*folder_);
    base_ = *folder_ / fmt::format("reprise.{}", ::getpid());
    std::error_code error;
    fs::create_directory(base_, error);
    if (error) return;
    is_usable_ = true;
    has_memory_ = enable("memory");
    has_cpu_ = enable("cpu");
    has_pids_ = enable("pids");
  });
}

// A group may only hand a controller on to those below it when no process is in it, but for the
// tree's root. So this process goes into a group of its own first, when it must.
bool Enforcement::enable(const std::string& controller) {
  if (!has_word(read_file(*folder_ / "cgroup.controllers"), controller)) return false;
  const auto hand_on = [&](const fs::path& folder) {
    const fs::path file = folder / "cgroup.subtree_control";
    return has_word(read_file(file), controller) || write_file(file, "+" + controller).has_value();
  };
  if (!hand_on(*folder_)) {
    const fs::path own = base_ / "self";
    std::error_code error;
    fs::create_directory(own, error);
    if (error || !write_file(own / "cgroup.procs", std::to_string(::getpid()))) return false;
    if (!hand_on(*folder_)) return false;  // others are in it, too
  }
  return hand_on(base_);
}

std::string_view Enforcement::name() const {
  return has_memory_ ? "cgroup" : "rlimit";
}

std::string Enforcement::describe() const {
  if (!is_usable_)
    return "memory by RLIMIT_AS (address space); no cgroup v2 tree is delegated to this process";
  if (!has_memory_)
    return "memory by RLIMIT_AS (address space), processes ended by cgroup v2; the tree has no "
           "memory controller for this process";
  return fmt::format("memory{}{} by cgroup v2", has_cpu_ ? " cpu" : "", has_pids_ ? " pids" : "");
}

std::unique_ptr<EnforcedGroup> Enforcement::make_group(std::uint32_t cpu_milli) {
  prepare();
  if (!is_usable_) return nullptr;
  const fs::path folder = base_ / fmt::format("g{}", ++made_);
  std::error_code error;
  fs::create_directory(folder, error);
  if (error) return nullptr;
  if (has_memory_) {
    (void)write_file(folder / "memory.oom.group", "1");  // half a tree is of no use
    (void)write_file(folder / "memory.swap.max", "0");
  }
  if (has_cpu_)  // 100 is one processor's worth, as for everybody who says nothing
    (void)write_file(folder / "cpu.weight",
                     std::to_string(std::clamp<std::uint32_t>(cpu_milli / 10, 1, 10'000)));
  if (has_pids_) (void)write_file(folder / "pids.max", std::to_string(processes_max));
  return std::make_unique<EnforcedGroup>(folder, has_memory_);
}

bool limit_address_space(pid_t process, std::uint64_t bytes) {
  const rlimit limit{bytes, bytes};
  return ::prlimit(process, RLIMIT_AS, &limit, nullptr) == 0;
}

void forbid_core_dumps(pid_t process) {
  const rlimit none{0, 0};
  ::prlimit(process, RLIMIT_CORE, &none, nullptr);
}

std::string out_of_memory(std::uint64_t limit_bytes, std::string_view how_it_ended) {
  return fmt::format("out of memory: it may use {}; {}", describe_bytes(limit_bytes), how_it_ended);
}

bool speaks_of_memory(std::string_view last_line) {
  constexpr std::array<std::string_view, 7> words{
      "bad_alloc",       "MemoryError",      "annot allocate memory", "ut of memory",
      "emory exhausted", "OutOfMemoryError", "failed to map"};
  return std::any_of(words.begin(), words.end(), [&](std::string_view word) {
    return last_line.find(word) != std::string_view::npos;
  });
}

}  // namespace reprise::worker
