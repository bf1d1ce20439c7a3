// Flows that benchmarks run, most of them of tasks that do nothing.
#pragma once

#include <cstddef>
#include <memory>

#include "flow/flow_builder.hpp"

namespace reprise::bench {

/// What was built, in no more memory than it needs, since bytes are counted too. Aborts when it is
/// no flow.
[[nodiscard]] std::shared_ptr<const FlowSpec> finish(FlowBuilder builder);
/// Calls trace.noop.
[[nodiscard]] TaskKind no_op();

/// `count` no-ops, each waiting for the one before when `chained`.
[[nodiscard]] std::shared_ptr<const FlowSpec> no_ops(std::size_t count, bool chained);
/// A no-op over a list of `count` texts, or numbers.
[[nodiscard]] std::shared_ptr<const FlowSpec> mapped(std::size_t count, bool texts);
/// `count` bodies of 1 ms, then a tree of gathering no-ops, four to one.
[[nodiscard]] std::shared_ptr<const FlowSpec> sleeps_and_tree(std::size_t count);

}  // namespace reprise::bench
