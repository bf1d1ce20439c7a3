// The pidfd calls of Linux. The header <sys/pidfd.h> of glibc 2.36 declares them without C linkage.
#pragma once

#include <signal.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

#include "worker/file_descriptor.hpp"

namespace reprise::worker {

/// A descriptor that stands for process `pid`, and is readable once that has ended.
[[nodiscard]] inline FileDescriptor open_pidfd(pid_t pid) {
  return FileDescriptor(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
}

inline void send_signal(const FileDescriptor& process, int signal) {
  ::syscall(SYS_pidfd_send_signal, process.get(), signal, nullptr, 0);
}

}  // namespace reprise::worker
