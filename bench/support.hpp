// What several benchmarks need: an engine, a trace, folders.
#pragma once

#include <memory>
#include <string>

#include "actors/engine.hpp"

namespace reprise::bench {

/// An engine that keeps nothing, or, with a folder, journals with group durability.
[[nodiscard]] std::unique_ptr<Engine> open_engine(const std::string& folder, unsigned slots = 0);
/// Seconds from submit to the durable end. Aborts when the run does not succeed.
double run_flow(Engine& engine, const std::shared_ptr<const FlowSpec>& flow);
/// A recorded-trace file of `tasks` tasks in ten layers, each task with two parents.
[[nodiscard]] std::string write_trace(const std::string& folder, std::size_t tasks);
/// A fresh folder below `folder`.
[[nodiscard]] std::string fresh_folder(const std::string& folder);

}  // namespace reprise::bench
