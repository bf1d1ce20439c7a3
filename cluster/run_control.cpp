#include "cluster/run_control.hpp"

#include <utility>

#include <fmt/format.h>

#include "core/text.hpp"

namespace reprise::cluster {

Result<std::unique_ptr<ControlServer>> serve_run(Engine& engine, const RunStarted& run,
                                                 std::function<void()> on_cancelled) {
  if (run.folder.empty()) return nullptr;
  return ControlServer::open(
      run.folder,
      [&engine, id = run.id,
       on_cancelled = std::move(on_cancelled)](const ControlRequest& request) -> Status {
        if (request.op == "pause") return engine.pause(id, request.tasks, request.reason);
        if (request.op != "cancel")
          return fail(ErrorCode::invalid_argument,
                      fmt::format("unknown request \"{}\"", escape_for_terminal(request.op)));
        const Status status = engine.cancel(id, request.tasks, request.reason);
        if (status && request.tasks.empty() && on_cancelled) on_cancelled();
        return status;
      });
}

}  // namespace reprise::cluster
