#include "worker/spawn.hpp"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <utility>
#include <vector>

namespace reprise::worker {
namespace {

// Numbers 0 to 2 are what the child's own streams become; ours must lie above, also in a process
// that closed them.
bool move_up(FileDescriptor& fd) {
  if (fd.get() > 2) return true;
  fd = FileDescriptor(::fcntl(fd.get(), F_DUPFD_CLOEXEC, 3));
  return fd.is_open();
}

// Made once: the same for every process.
class SpawnAttributes {
 public:
  SpawnAttributes() {
    ::posix_spawnattr_init(&attributes_);
    sigset_t all;
    sigset_t none;
    ::sigfillset(&all);
    ::sigemptyset(&none);
    ::posix_spawnattr_setsigdefault(&attributes_, &all);
    ::posix_spawnattr_setsigmask(&attributes_, &none);
    ::posix_spawnattr_setpgroup(&attributes_, 0);
    ::posix_spawnattr_setflags(
        &attributes_, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  }
  [[nodiscard]] const posix_spawnattr_t* get() const { return &attributes_; }

 private:
  posix_spawnattr_t attributes_{};
};

class SpawnActions {
 public:
  SpawnActions() { ::posix_spawn_file_actions_init(&actions_); }
  SpawnActions(const SpawnActions&) = delete;
  SpawnActions& operator=(const SpawnActions&) = delete;
  ~SpawnActions() { ::posix_spawn_file_actions_destroy(&actions_); }

  bool set_up(const SpawnSpec& spec) {
    bool is_fine = ::posix_spawn_file_actions_addopen(&actions_, 0, "/dev/null", O_RDONLY, 0) == 0;
    int number = 1;
    for (const int fd : spec.descriptors)
      is_fine = is_fine && ::posix_spawn_file_actions_adddup2(&actions_, fd, number++) == 0;
    // All our files are close-on-exec; those of libraries in the same process may not be.
    is_fine = is_fine && ::posix_spawn_file_actions_addclosefrom_np(&actions_, number) == 0;
    if (!spec.folder.empty())
      is_fine =
          is_fine && ::posix_spawn_file_actions_addchdir_np(&actions_, spec.folder.c_str()) == 0;
    return is_fine;
  }
  [[nodiscard]] const posix_spawn_file_actions_t* get() const { return &actions_; }

 private:
  posix_spawn_file_actions_t actions_{};
};

std::vector<char*> pointers_to(std::span<const std::string> texts) {
  std::vector<char*> pointers;
  pointers.reserve(texts.size() + 1);
  for (const std::string& text : texts) pointers.push_back(const_cast<char*>(text.c_str()));
  pointers.push_back(nullptr);
  return pointers;
}

}  // namespace

std::optional<Pipe> make_pipe() {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return std::nullopt;
  Pipe pipe{FileDescriptor(ends[0]), FileDescriptor(ends[1])};
  if (!move_up(pipe.read) || !move_up(pipe.write)) return std::nullopt;
  ::fcntl(pipe.read.get(), F_SETFL,
          O_NONBLOCK);  // the reading end only: the child must find an ordinary pipe
  return pipe;
}

int spawn(StartedProcess& process, const SpawnSpec& spec) {
  static const SpawnAttributes attributes;
  SpawnActions actions;
  if (!actions.set_up(spec)) return ENOMEM;
  const auto arguments = pointers_to(spec.arguments);
  const auto environment = pointers_to(spec.environment);
  int error = 0;
  // ETXTBSY: a file that was just written is still open for writing in a child of ours that has not
  // reached its exec.
  for (int tries = 0; tries < 50; ++tries) {
    error = process.start([&](pid_t& id) {
      return ::posix_spawn(&id, spec.program.c_str(), actions.get(), attributes.get(),
                           arguments.data(), environment.data());
    });
    if (error != ETXTBSY) break;
    ::poll(nullptr, 0, 2);
  }
  return error;
}

}  // namespace reprise::worker
