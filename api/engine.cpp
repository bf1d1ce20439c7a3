#include "api/convert.hpp"
#include "api/engine_run.hpp"
#include "reprise/run.hpp"

namespace reprise {

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
