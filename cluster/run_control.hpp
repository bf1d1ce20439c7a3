// The requests that other processes may send to a run of this one, answered by its engine.
#pragma once

#include <functional>
#include <memory>

#include "actors/engine.hpp"
#include "cluster/control_socket.hpp"

namespace reprise::cluster {

/// Answers `reprise cancel` and `reprise pause` for a run until destroyed.
/// @param engine        must outlive what is returned
/// @param on_cancelled  called from the server's thread once all of the run was cancelled so; may
///                      be empty
/// @return null: the run has no folder, so nobody can ask
/// @error as ControlServer::open()
[[nodiscard]] Result<std::unique_ptr<ControlServer>> serve_run(
    Engine& engine, const RunStarted& run, std::function<void()> on_cancelled = {});

}  // namespace reprise::cluster
