// Workers that have functions of yours: the whole of such a program is
//
//   int main(int argc, char** argv) { return reprise::worker_main(argc, argv, count, merge, top); }
//
// It serves one server until it is told to leave: by SIGTERM, SIGINT or `reprise worker stop`.
#pragma once

#include <type_traits>
#include <vector>

#include "reprise/flow.hpp"
#include "reprise/task.hpp"

namespace reprise {
namespace detail {

[[nodiscard]] int serve_as_worker(int argc, char** argv, std::vector<task_record> functions);

/// The task, and the fold of a list with it where it can be one (flow::reduce).
template <class D>
void add_functions_of(const D& task, std::vector<task_record>& functions) {
  functions.push_back(task.record());
  using T = typename D::returned;
  if constexpr (!std::is_void_v<T> && (std::is_invocable_r_v<T, const D&, T, T> ||
                                       std::is_invocable_r_v<T, const D&, context&, T, T>))
    functions.push_back(reduction<D>(&task));
}

}  // namespace detail

/// Runs a worker that has these functions, beside what any worker can run. To be called first in
/// main: it decides what signals do to the whole process.
///
/// Arguments: --server HOST:PORT, --name NAME, --slots N, --data DIR, --secret-file FILE, --certs
/// DIR, as of `reprise worker start`; what is not given is as the settings say.
/// @return the exit code: 0 once it left after finishing what it had; 128 + n when a second signal
/// n stopped it; 2 for a mistake in arguments and settings; 3 when it cannot serve. What it has to
/// say, it says on stderr.
template <class... Task>
[[nodiscard]] int worker_main(int argc, char** argv, const Task&... tasks) {
  std::vector<detail::task_record> functions;
  (detail::add_functions_of(tasks, functions), ...);
  return detail::serve_as_worker(argc, argv, std::move(functions));
}

}  // namespace reprise
