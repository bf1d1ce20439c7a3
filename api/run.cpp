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
  return state_->started().id.text();
}

bool run::continued() const {
  return state_->started().continued;
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

std::vector<event> run::events() const {
  return state_->events();
}

expected<void> run::cancel_tasks(std::vector<std::string> tasks, std::string reason) const {
  return state_->cancel(std::move(tasks), std::move(reason));
}

engine::engine(const engine_options& options) {
  auto opened = detail::engine_state::open(options);
  if (!opened) throw usage_error(detail::to_public(opened.error()));
  state_ = std::move(*opened);
}

expected<engine> engine::open(const engine_options& options) {
  auto opened = detail::engine_state::open(options);
  if (!opened) return tl::unexpected(detail::to_public(opened.error()));
  return engine(std::move(*opened));
}

expected<run> engine::try_run(const flow& flow, const submit_options& options) const {
  auto started = detail::engine_state::submit(state_, flow.state(), options);
  if (!started) return tl::unexpected(detail::to_public(started.error()));
  return reprise::run(std::move(*started));
}

run engine::run(const flow& flow, const submit_options& options) const {
  expected<reprise::run> started = try_run(flow, options);
  if (!started) throw usage_error(std::move(started.error()));
  return std::move(*started);
}

run flow::run() const {
  return run(run_options{});
}

run flow::run(const run_options& options) const {
  const engine own({.data = options.data,
                    .in_memory = options.in_memory,
                    .slots = options.slots,
                    .durability = options.durability,
                    .grace = options.grace,
                    .warn = options.warn});
  return own.run(*this, {.parameters = options.parameters,
                         .cache = options.cache,
                         .always_new = options.always_new,
                         .resume = options.resume});
}

}  // namespace reprise
