// What a run gave back, made again from what the journal has of it.
#pragma once

#include <map>
#include <string>

#include "core/payload.hpp"
#include "flow/flow_spec.hpp"
#include "journal/run_view.hpp"

namespace reprise::cli {

/// By name, as far as they can be made: outputs of tasks without a result are absent, and those
/// made of large values, whose bytes are elsewhere.
[[nodiscard]] std::map<std::string, Payload> recorded_outputs(const journal::RunView& view,
                                                              const Parameters& parameters);

}  // namespace reprise::cli
