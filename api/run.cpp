#include "reprise/run.hpp"

#include "api/convert.hpp"
#include "api/live_run.hpp"
#include "flow/state.hpp"

namespace reprise {

std::string_view name(error_code code) {
  if (code == error_code::task_failed) return "task_failed";
  return name(static_cast<ErrorCode>(code));
}

std::string_view name(run_state state) {
  switch (state) {
    case run_state::queued:
      return "queued";
    case run_state::running:
      return "running";
    case run_state::paused:
      return "paused";
    case run_state::success:
      return "success";
    case run_state::failed:
      return "failed";
    case run_state::cancelling:
      return "cancelling";
    case run_state::cancelled:
      return "cancelled";
    case run_state::interrupted:
      return "interrupted";
  }
  return "unknown";
}

namespace detail {

fetched fetch(live_run& run, const node_ref& node,
              std::optional<std::chrono::nanoseconds> timeout) {
  return run.fetch(node, timeout);
}

void check_owner(const live_run& run, const node_ref& node) {
  if (node.flow != run.flow())
    throw usage_error(error_code::invalid_argument,
                      "the node belongs to another flow than the run");
}

}  // namespace detail

std::string run::id() const {
  return state_->id();
}

bool run::continued() const {
  return state_->continued();
}

run_result run::wait() const {
  std::optional<run_result> ended = state_->wait(std::nullopt);
  if (!ended) throw usage_error(error_code::not_found, "the engine does not know the run any more");
  return std::move(*ended);
}

std::optional<run_result> run::wait_for(std::chrono::nanoseconds timeout) const {
  return state_->wait(timeout);
}

expected<void> run::pause(std::vector<std::string> tasks, std::string reason) const {
  return state_->pause(std::move(tasks), std::move(reason));
}

std::map<std::string, given_state> run::states() const {
  return state_->states();
}

event_stream run::events(std::uint64_t after) const {
  return event_stream(state_->events(after));
}

std::optional<event> event_stream::next() {
  expected<std::optional<event>> found = source_->next(std::nullopt);
  if (!found) throw usage_error(std::move(found.error()));
  return std::move(*found);
}

expected<std::optional<event>> event_stream::try_next(std::chrono::nanoseconds timeout) {
  return source_->next(timeout);
}

expected<void> run::cancel_tasks(std::vector<std::string> tasks, std::string reason) const {
  return state_->cancel(std::move(tasks), std::move(reason));
}

}  // namespace reprise
