// Our states as the public API's, and back.
#pragma once

#include "reprise/hooks.hpp"
#include "reprise/run.hpp"
#include "reprise/state.hpp"
#include "scheduler/events.hpp"

namespace reprise::detail {

[[nodiscard]] task_state to_public(TaskState state);
[[nodiscard]] TaskState to_internal(task_state state);
[[nodiscard]] run_state to_public(RunState state);
[[nodiscard]] RunState to_internal(run_state state);

[[nodiscard]] given_state to_public(const scheduler::InitialState& given);
[[nodiscard]] scheduler::InitialState to_internal(const given_state& given);
[[nodiscard]] scheduler::RunShape to_internal_shape(const submit_options& options);

/// The form in which hooks get and give states (worker/consultation.hpp).
[[nodiscard]] state state_from(const value& fields);
[[nodiscard]] value fields_of(const state& state);
/// The form in which validators get results and inputs.
[[nodiscard]] earlier_result earlier_result_from(const value& fields);
[[nodiscard]] present_inputs present_inputs_from(const value& fields);

}  // namespace reprise::detail
