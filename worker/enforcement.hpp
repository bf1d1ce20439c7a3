// Holding processes to what their tasks declare, with what this machine allows.
//
// Where a part of the cgroup v2 tree is ours to write (a delegated systemd service, a container,
// root), processes are put into groups of their own below it: memory is counted as the kernel
// counts it, and a group is killed as a whole, whoever left its parent or process group. Elsewhere,
// and where the tree lacks the memory controller, RLIMIT_AS stands in, which counts address space.
//
// Moving a process into a group makes the kernel wait for all processors, up to tens of
// milliseconds after a pause. So only processes that stay, or that declare memory, get one.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "core/result.hpp"

namespace reprise::worker {

/// A cgroup for one process and all that it starts.
class EnforcedGroup {
 public:
  EnforcedGroup(std::filesystem::path folder, bool limits_memory)
      : folder_(std::move(folder)), limits_memory_(limits_memory) {}
  ~EnforcedGroup();  // kills who is left, and removes the group
  EnforcedGroup(const EnforcedGroup&) = delete;
  EnforcedGroup& operator=(const EnforcedGroup&) = delete;

  [[nodiscard]] Status add(pid_t process);
  /// It can hold its processes to an amount of memory.
  [[nodiscard]] bool limits_memory() const { return limits_memory_; }
  /// Beyond what is in use now; 0 = no limit.
  void limit_memory(std::uint64_t bytes);
  void kill();
  /// Somebody in it was killed because of the limit since the last time this was asked.
  [[nodiscard]] bool ran_out_of_memory();
  [[nodiscard]] const std::filesystem::path& folder() const { return folder_; }

 private:
  const std::filesystem::path folder_;
  const bool limits_memory_;
  std::uint64_t kills_ = 0;
};

/// Safe from any thread.
class Enforcement {
 public:
  /// @param folder  this process's place in the cgroup v2 tree; none: it has none, or must not
  /// touch it
  explicit Enforcement(std::optional<std::filesystem::path> folder);
  ~Enforcement();
  Enforcement(const Enforcement&) = delete;
  Enforcement& operator=(const Enforcement&) = delete;

  /// This process's place in the tree, when it may write there.
  [[nodiscard]] static std::optional<std::filesystem::path> own_folder(std::string_view mountinfo,
                                                                       std::string_view own_groups);
  [[nodiscard]] static std::optional<std::filesystem::path> own_folder();

  /// Makes ready what is made ready once; done by the first group, too.
  void prepare();
  /// How memory is limited: "cgroup" or "rlimit". After prepare().
  [[nodiscard]] std::string_view name() const;
  /// For people: "memory cpu pids by cgroup v2", "memory by RLIMIT_AS, trees killed by cgroup v2".
  [[nodiscard]] std::string describe() const;
  [[nodiscard]] bool has_groups() const { return is_usable_; }

  /// nullptr: there are no groups here, or none could be made.
  /// @param cpu_milli  share of the processors against others, where they are short
  [[nodiscard]] std::unique_ptr<EnforcedGroup> make_group(std::uint32_t cpu_milli);

 private:
  bool enable(const std::string& controller);

  const std::optional<std::filesystem::path> folder_;
  std::once_flag prepared_;
  std::filesystem::path base_;
  bool is_usable_ = false;
  bool has_memory_ = false, has_cpu_ = false, has_pids_ = false;
  std::atomic<std::uint64_t> made_{0};
};

/// Lets a process that runs already have so much address space, in all; false: it could not be set.
bool limit_address_space(pid_t process, std::uint64_t bytes);
/// It leaves no copy of its memory when it crashes.
void forbid_core_dumps(pid_t process);

/// What a program says that could not get memory, in its own words.
[[nodiscard]] bool speaks_of_memory(std::string_view last_line);
/// "out of memory: it may use 64.0 MiB; exit 1: …"
[[nodiscard]] std::string out_of_memory(std::uint64_t limit_bytes, std::string_view how_it_ended);

}  // namespace reprise::worker
