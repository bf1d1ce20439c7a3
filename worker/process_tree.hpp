// Which processes belong to an attempt, also those that left its process group, and how to end them
// all.
//
// A command may start others in the background, and those may leave its process group (setsid) or
// lose their parent. They are found in /proc by four signs, each of which is inherited or hard to
// shed:
//   - they are in the command's process group;
//   - their environment holds the attempt's mark, an entry that no other attempt has;
//   - they descend from a process that was found before;
//   - they hold the write end of the command's output pipe.
// Whoever is found is held by a pidfd, so that a signal never reaches a process that merely
// inherited the number.
#pragma once

#include <signal.h>
#include <sys/types.h>

#include <cstddef>
#include <map>
#include <shared_mutex>
#include <string>
#include <string_view>
#include <vector>

#include "core/time.hpp"
#include "worker/file_descriptor.hpp"

namespace reprise::worker {

class ProcessTree {
 public:
  /// @param group  the command's process group; 0 = none
  /// @param mark   "NAME=value", an entry of the environment that no other attempt has
  ProcessTree(pid_t group, std::string mark) : group_(group), mark_(std::move(mark)) {}

  /// Looks through /proc. Those found earlier stay known until they end. Takes milliseconds.
  /// @param pipes  inode numbers of pipes whose writers belong to the tree
  void find(const std::vector<ino_t>& pipes = {});
  /// Sends `signal` to everybody known who has not had it yet. SIGTERM is followed by SIGCONT, so
  /// that stopped ones see it.
  void send(int signal);
  /// Forgets those that have ended. True when somebody is left.
  [[nodiscard]] bool is_alive();
  /// pidfds of those known; readable once they end.
  [[nodiscard]] std::vector<int> descriptors() const;
  [[nodiscard]] std::size_t size() const { return members_.size(); }
  /// The group's leader was reaped and the group is empty: its number may be used by others from
  /// now on.
  void forget_group() { group_ = 0; }

 private:
  struct Member {
    FileDescriptor pidfd;
    int last_signal = 0;
  };

  pid_t group_;
  std::string mark_;
  std::map<pid_t, Member> members_;
};

/// Makes this process the parent of orphaned descendants, so that no background process of a task
/// escapes and all are reaped. For programs whose only children are tasks; a library must not do
/// this unasked.
void adopt_orphans();

/// Reaps orphans that have ended and tells whether one that is alive carries `mark`. Cheap: one
/// read when there are no orphans, and nothing unless adopt_orphans() was called.
[[nodiscard]] bool sweep_orphans(std::string_view mark);

/// A process that was started and is not yet reaped: one that sweep_orphans() leaves alone.
class StartedProcess {
 public:
  StartedProcess() = default;
  StartedProcess(const StartedProcess&) = delete;
  StartedProcess& operator=(const StartedProcess&) = delete;
  ~StartedProcess();  // kills and reaps, if nobody did

  /// Calls `spawn`, which returns 0 and sets the id, or returns an errno.
  template <class Spawn>
  int start(Spawn spawn) {
    const std::shared_lock lock(starting());
    const int error = spawn(id_);
    if (error == 0)
      remember();
    else
      id_ = 0;
    return error;
  }
  [[nodiscard]] pid_t id() const { return id_; }
  /// Waits for the end, which must be near, and tells about it.
  [[nodiscard]] siginfo_t reap();

 private:
  // The sweep holds it exclusively, so that it never sees a child of ours that is not yet listed.
  static std::shared_mutex& starting();
  void remember();

  pid_t id_ = 0;
};

/// Ends every process whose environment holds `mark`, with SIGTERM and, after `grace`, SIGKILL. For
/// what a crashed process of ours left behind, e.g. mark "REPRISE_RUN=01JD…"; one that ends in "/"
/// stands for every entry that begins with it. Returns how many
/// there were. Blocks.
std::size_t end_processes(std::string_view mark, Duration grace);

}  // namespace reprise::worker
