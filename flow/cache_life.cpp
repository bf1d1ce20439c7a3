#include "flow/cache_life.hpp"

#include <algorithm>

#include "core/digest.hpp"
#include "core/failure.hpp"
#include "core/text.hpp"
#include "core/value.hpp"

namespace reprise {
namespace {

constexpr std::int32_t first_exit_by_signal = 128;

template <class T>
bool contains(const std::vector<T>& all, const T& one) {
  return std::find(all.begin(), all.end(), one) != all.end();
}

tl::unexpected<Error> no_failure() {
  return fail(ErrorCode::corrupt, "what is kept is no failure");
}

}  // namespace

bool is_remembered(const CachePolicy& policy, const Outcome& outcome) {
  if (!policy.enabled || !policy.life.failures || !is_failed(outcome.state)) return false;
  const FailureCaching& failures = *policy.life.failures;
  if (outcome.signal != 0) return false;
  if (outcome.failure != FailureClass::task && outcome.failure != FailureClass::validation)
    return false;
  if (outcome.exit_code > 0 &&
      contains(failures.exits, static_cast<std::uint32_t>(outcome.exit_code)))
    return true;
  return outcome.exit_code < first_exit_by_signal && contains(failures.kinds, outcome.failure);
}

Payload KeptFailure::encode() const {
  Map fields{{"state", name(state)},
             {"failure", std::string(failure == FailureClass::validation ? "validation" : "task")},
             {"message", is_utf8(message) ? message : escape_for_terminal(message)},
             {"exit_code", std::int64_t{exit_code}}};
  if (const auto value = result.is_none() ? Result<Value>(Value{}) : result.value())
    fields.emplace_back("result", *value);
  auto payload = Payload::of(Value(std::move(fields)));
  return payload ? *std::move(payload) : failure_payload(class_name(state), message);
}

Result<KeptFailure> KeptFailure::decode(const Payload& payload) {
  const auto value = payload.is_at_hand() ? payload.value() : Result<Value>(no_failure());
  if (!value) return no_failure();
  const auto text = [&](std::string_view field) -> const std::string* {
    const Value* found = value->find(field);
    return found != nullptr ? found->get_if<std::string>() : nullptr;
  };
  const std::string* state = text("state");
  const std::string* kind = text("failure");
  const std::string* message = text("message");
  const Value* exit = value->find("exit_code");
  const auto* code = exit != nullptr ? exit->get_if<std::int64_t>() : nullptr;
  const auto known = state != nullptr ? task_state_from(*state) : std::nullopt;
  if (!known || !is_failed(*known) || kind == nullptr || message == nullptr || code == nullptr ||
      *code < 0 || *code > 255)
    return no_failure();
  KeptFailure failure;
  failure.state = *known;
  failure.failure = *kind == "validation" ? FailureClass::validation : FailureClass::task;
  failure.message = *message;
  failure.exit_code = static_cast<std::int32_t>(*code);
  if (const Value* result = value->find("result")) {
    auto given = Payload::of(*result);
    if (given && !given->is_nil()) failure.result = *std::move(given);
  }
  if (failure.result.is_none())
    failure.result = failure_payload(class_name(failure.state), failure.message);
  return failure;
}

std::optional<Duration> lifetime(const CachePolicy& policy, const Key& key, const RunId& run) {
  if (!policy.expires_after || policy.life.jitter_percent == 0) return policy.expires_after;
  // A number in [0, 1) out of the key and the run.
  const std::uint64_t mixed =
      (std::hash<Key>{}(key) ^ std::hash<RunId>{}(run)) * 0x9e3779b97f4a7c15ULL;
  const double share = static_cast<double>(mixed >> 11) * 0x1.0p-53;
  const double lost =
      static_cast<double>(policy.expires_after->count()) * policy.life.jitter_percent / 100 * share;
  return *policy.expires_after - Duration{static_cast<std::int64_t>(lost)};
}

}  // namespace reprise
