// Programs that run their own tasks for others: a worker of a server, and processes for tasks that
// are to have one of their own.
//
//   int main(int argc, char** argv) { return reprise::worker_main(argc, argv, count, merge, top); }
//
// is the whole of a worker. It serves one server until it is told to leave: by SIGTERM, SIGINT or
// `reprise worker stop`.
//
//   int main(int argc, char** argv) {
//     reprise::init(argc, argv, count);
//     …
//
// is a program that runs flows itself and lets `isolated` tasks among these have a process of their
// own: the program starts itself anew with a hidden argument, which init() recognises. Without it
// such tasks are refused, because a main that does not expect that would do its work a second time.
#pragma once

#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "reprise/flow.hpp"
#include "reprise/task.hpp"

namespace reprise {
namespace detail {

/// A task with the names of its parameters.
struct served_task {
  task_record record;
  std::vector<std::string> names;  // empty: a0, a1 …
};

void init(int argc, char** argv, std::vector<served_task> tasks);
[[nodiscard]] int serve_as_worker(int argc, char** argv, std::vector<served_task> tasks);

/// The task, and the fold of a list with it where it can be one (flow::reduce).
template <class D>
void add_functions_of(const D& task, std::vector<served_task>& functions) {
  served_task& own = functions.emplace_back(served_task{task.record(), {}});
  for (const std::string_view name : task.options().names) own.names.emplace_back(name);
  using T = typename D::returned;
  if constexpr (!std::is_void_v<T> && (std::is_invocable_r_v<T, const D&, T, T> ||
                                       std::is_invocable_r_v<T, const D&, context&, T, T>))
    functions.push_back({reduction<D>(&task), {}});
}

template <class... Task>
[[nodiscard]] std::vector<served_task> served(const Task&... tasks) {
  std::vector<served_task> all;
  (add_functions_of(tasks, all), ...);
  return all;
}

}  // namespace detail

/// To be called first thing in main, before any thread. In a process that was started to run
/// functions it does not return; otherwise it returns at once.
/// @throws usage_error conflict: two tasks have one name and version
template <class... Task>
void init(int argc, char** argv, const Task&... tasks) {
  detail::init(argc, argv, detail::served(tasks...));
}

/// Runs a worker that has these functions, beside what any worker can run. To be called first in
/// main: it decides what signals do to the whole process. The functions run in processes of their
/// own, which are this program once more: there worker_main() only serves them.
///
/// Arguments, as of `reprise worker start`: --server HOST:PORT, --name NAME, --slots N,
/// --cpus NUMBER, --memory SIZE, --gpus N, --resource NAME=COUNT, --label NAME=VALUE,
/// --isolation process|task, --grace DURATION, --orphan-after DURATION, --secrets DIR, --data DIR,
/// --secret-file FILE, --certs DIR, --log-format text|logfmt|json,
/// --log-level debug|info|warning|error; what is not given is as the settings say. Where
/// NOTIFY_SOCKET is set, systemd is told when it serves and that it is alive.
/// @return the exit code: 0 once it left after finishing what it had; 128 + n when a second signal
/// n stopped it; 2 for a mistake in arguments and settings, and when the server knows one of the
/// functions by another signature; 3 when it cannot serve. What it has to
/// say, it says on stderr.
template <class... Task>
[[nodiscard]] int worker_main(int argc, char** argv, const Task&... tasks) {
  return detail::serve_as_worker(argc, argv, detail::served(tasks...));
}

}  // namespace reprise
