// Starting a program: with the open files it is given and no others, every signal at its default,
// in a process group of its own.
#pragma once

#include <optional>
#include <span>
#include <string>

#include "worker/file_descriptor.hpp"
#include "worker/process_tree.hpp"

namespace reprise::worker {

/// Both ends close on exec and have numbers above 2.
struct Pipe {
  FileDescriptor read;
  FileDescriptor write;
};
/// The reading end does not block. nullopt: errno says why.
[[nodiscard]] std::optional<Pipe> make_pipe();

/// Refers to what its maker keeps meanwhile.
struct SpawnSpec {
  const std::string& program;                // path of the file to run
  std::span<const std::string> arguments;    // argv, its own name first
  std::span<const std::string> environment;  // "NAME=value"; all there is
  const std::string& folder;                 // to run in; empty: as this process
  // Become the descriptors 1, 2, 3 … of the program, in this order; each is above their number of
  // descriptors. 0 is /dev/null.
  std::span<const int> descriptors;
};

/// Returns 0, or an errno.
[[nodiscard]] int spawn(StartedProcess& process, const SpawnSpec& spec);

}  // namespace reprise::worker
