// What several benchmarks need: flows of no-ops, an engine, processes.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "actors/engine.hpp"
#include "flow/flow_builder.hpp"

namespace reprise::bench {

/// An engine that keeps nothing, or, with a folder, journals with group durability.
[[nodiscard]] std::unique_ptr<Engine> open_engine(const std::string& folder, unsigned slots = 0);
/// Seconds from submit to the durable end. Aborts when the run does not succeed.
double run_flow(Engine& engine, const std::shared_ptr<const FlowSpec>& flow);
/// `count` nodes that call `function`, each waiting for the one before when `chained`.
[[nodiscard]] std::shared_ptr<const FlowSpec> no_ops(std::size_t count, bool chained);
/// `count` bodies of 1 ms, then a tree of gathering no-ops, four to one.
[[nodiscard]] std::shared_ptr<const FlowSpec> sleeps_and_tree(std::size_t count);
/// Seconds of posix_spawn and wait of /bin/true, `count` times over two threads: what any executor
/// of processes pays.
[[nodiscard]] double bare_spawn(std::size_t count);
/// Runs a program and waits; its output goes to /dev/null. @return wall seconds; aborts on a
/// non-zero exit
double run_program(const std::vector<std::string>& argv);
/// A recorded-trace file of `tasks` tasks in ten layers, each task with two parents.
[[nodiscard]] std::string write_trace(const std::string& folder, std::size_t tasks);
/// A fresh folder below `folder`.
[[nodiscard]] std::string fresh_folder(const std::string& folder);

}  // namespace reprise::bench
