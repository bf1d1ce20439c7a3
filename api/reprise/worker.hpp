// Programs that run their own tasks for others: a worker of a server, and processes for tasks that
// are to have one of their own.
//
//   int main(int argc, char** argv) { return reprise::worker_main(argc, argv, count, merge, top); }
//
// is a worker that takes what `reprise worker start` takes (--server, --name, --slots, …) and
// offers these tasks beside the built-in functions. Link it with reprise::worker_api.
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
#include <utility>
#include <vector>

#include "reprise/task.hpp"

namespace reprise {

namespace detail {

/// A task with the names of its parameters.
struct served_task {
  task_record record;
  std::vector<std::string> names;  // empty: a0, a1 …
};

template <class Task>
[[nodiscard]] served_task serve(const Task& task) {
  served_task served{task.record(), {}};
  for (const std::string_view name : task.options().names) served.names.emplace_back(name);
  return served;
}

void init(int argc, char** argv, std::vector<served_task> tasks);
[[nodiscard]] int worker_main(int argc, char** argv, std::vector<served_task> tasks);

}  // namespace detail

/// To be called first thing in main, before any thread. In a process that was started to run
/// functions it does not return; otherwise it returns at once.
/// @throws usage_error conflict: two tasks have one name and version
template <class... Tasks>
void init(int argc, char** argv, const Tasks&... tasks) {
  std::vector<detail::served_task> all;
  (all.push_back(detail::serve(tasks)), ...);
  detail::init(argc, argv, std::move(all));
}

/// All of main() of a worker. Blocks until the worker is asked to end.
/// @return the exit code; 2 when the flags are wrong, or the server knows one of the tasks by
/// another signature
template <class... Tasks>
[[nodiscard]] int worker_main(int argc, char** argv, const Tasks&... tasks) {
  std::vector<detail::served_task> all;
  (all.push_back(detail::serve(tasks)), ...);
  return detail::worker_main(argc, argv, std::move(all));
}

}  // namespace reprise
