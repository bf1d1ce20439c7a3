// Floors: what the machine gives where nobody schedules, checks or journals.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "bench/cluster.hpp"

namespace reprise::bench {

/// Seconds of one round trip of 64 bytes over TCP on loopback between two threads that block, each
/// message sealed and opened as links do it where `trust` is tls.
/// @param folder  of a certificate authority, which is made there
[[nodiscard]] double bare_round_trip(Trust trust, const std::string& folder);

/// The same without TLS where another thread reads the answers and wakes the one that sends, as a
/// program with more than one connection needs it.
[[nodiscard]] double bare_relayed_trip();

/// Seconds of one fdatasync of a page appended to a file in `folder`.
[[nodiscard]] double bare_sync(const std::string& folder);

/// Seconds of posix_spawn and wait of /bin/true, `count` times over two threads: what any executor
/// of processes pays.
[[nodiscard]] double bare_spawn(std::size_t count);

/// The same with what running a command asks of the system besides: a process group of its own,
/// signals at their defaults, /dev/null as input, no other open files, both outputs read to their
/// ends, and a look for what it left running.
[[nodiscard]] double bare_capture(std::size_t count);

/// The same with what an executor out of actors does besides: a file with the context is written
/// over for each, a signal is looked for, and an actor is asked for the next. `folder` takes the
/// files.
[[nodiscard]] double bare_asked(std::size_t count, const std::string& folder);

// Rows of one task for each of two processors, every row after the one before: the pattern
// stencil_1d, and so Task Bench's others of that width.

/// Two threads that wait for each other on a condition, as threads wait that do not spin.
[[nodiscard]] double bare_rows(std::int64_t steps, std::int64_t iterations);
/// Two threads that are told of each row over TCP by a third, which waits for both to answer.
[[nodiscard]] double bare_remote_rows(std::int64_t steps, std::int64_t iterations);
/// The same where each end of a connection has a thread that reads and wakes the one that works, or
/// tells, as a program with more than one connection needs it.
[[nodiscard]] double bare_relayed_rows(std::int64_t steps, std::int64_t iterations);
/// Two threads as above, each of which starts the program of the commands, reads what it writes,
/// waits for it, and keeps what it wrote in a file of its own, which is its log.
/// @param kernel  path of reprise_kernel
/// @param folder  of the logs, an empty one
[[nodiscard]] double bare_command_rows(std::int64_t steps, std::int64_t iterations,
                                       const std::string& kernel, const std::string& folder);

/// Tasks per second for which two threads do nothing but make and read the messages of a cluster:
/// the flow that is submitted, handed on to two workers, and each attempt there and back.
[[nodiscard]] double bare_messages(std::size_t count);

}  // namespace reprise::bench
