#include "api/body.hpp"

#include <fmt/format.h>

#include "core/canon.hpp"
#include "core/time.hpp"
#include "flow/attempt.hpp"
#include "flow/context_values.hpp"
#include "reprise/signal.hpp"

namespace reprise::detail {
namespace {

class call_source final : public context_source {
 public:
  explicit call_source(const worker::Call& call) : call_(call) {}

  std::string run_id() const override { return shared().run.text(); }
  std::string flow_name() const override { return shared().flow->name; }
  std::string task_name() const override {
    const std::string& node = shared().flow->nodes[call_.attempt.node.value].name;
    return call_.attempt.map_index < 0 ? node
                                       : fmt::format("{}[{}]", node, call_.attempt.map_index);
  }
  std::optional<std::size_t> map_index() const override {
    if (call_.attempt.map_index < 0) return std::nullopt;
    return static_cast<std::size_t>(call_.attempt.map_index);
  }
  std::uint32_t run_count() const override { return call_.attempt.run_count; }
  std::uint32_t loop_count() const override { return call_.attempt.loop_count; }
  std::chrono::system_clock::time_point run_started() const override {
    return std::chrono::time_point_cast<std::chrono::system_clock::duration>(shared().started);
  }
  std::stop_token stop() const override { return call_.stop; }
  std::optional<std::string_view> loop_result() const override {
    return bytes_of(call_.attempt.loop_result);
  }
  std::optional<std::string_view> parameter(std::string_view name) const override {
    const auto found = shared().parameters.find(std::string(name));
    if (found == shared().parameters.end()) return std::nullopt;
    return bytes_of(found->second);
  }
  std::optional<std::string> entry(std::string_view key) const override {
    const std::optional<Value> found = context_value(call_.attempt, key);
    if (!found) return std::nullopt;
    const Result<std::string> bytes = encode(*found);
    return bytes ? std::optional(*bytes) : std::nullopt;
  }

 private:
  const RunContext& shared() const { return *call_.attempt.context; }
  static std::optional<std::string_view> bytes_of(const Payload& payload) {
    if (payload.is_none()) return std::nullopt;
    return payload.view();
  }

  const worker::Call& call_;
};

worker::Ending to_ending(const signal::base& signal, const RunContext& run) {
  worker::Ending ending;
  ending.message = signal.message();
  if (signal.value()) ending.value = Payload::of(signal.value()->bytes);
  if (signal.start_in()) ending.start_time = run.now() + *signal.start_in();
  switch (signal.which()) {
    case signal::base::kind::skip:
      ending.state = TaskState::skipped;
      break;
    case signal::base::kind::fail:
      ending.state = TaskState::failed;
      break;
    case signal::base::kind::success:
      ending.state = TaskState::success;
      break;
    case signal::base::kind::retry:
      ending.state = TaskState::retrying;
      break;
    case signal::base::kind::pause:
      ending.state = TaskState::paused;
      break;
    case signal::base::kind::loop:
      ending.state = TaskState::looped;
      break;
    case signal::base::kind::trigger_fail:
      ending.state = TaskState::trigger_failed;
      break;
    case signal::base::kind::validation_fail:
      ending.state = TaskState::validation_failed;
      break;
  }
  return ending;
}

}  // namespace

worker::FunctionBody to_worker_body(erased_body body) {
  return [body = std::move(body)](const worker::Call& call) -> worker::Returned {
    std::vector<std::string_view> arguments;
    arguments.reserve(call.arguments.size());
    for (const Argument& argument : call.arguments)
      arguments.push_back(argument.value.is_none() ? std::string_view() : argument.value.view());
    const call_source source(call);
    context about(source);
    try {
      codec::encoded made = body(arguments, about);
      worker::Returned returned;
      returned.value = Payload::of(std::move(made.bytes));
      if (!made.uncacheable.empty()) returned.uncacheable = std::move(made.uncacheable);
      return returned;
    } catch (const signal::base& signal) {
      throw to_ending(signal, *call.attempt.context);
    }
  };
}

}  // namespace reprise::detail
