#include "api/states.hpp"

#include "core/canon.hpp"
#include "core/value.hpp"
#include "flow/state.hpp"

namespace reprise {

std::string_view name(task_state state) {
  return name(detail::to_internal(state));
}

std::string_view class_name(task_state state) {
  return class_name(detail::to_internal(state));
}

std::optional<task_state> parse_task_state(std::string_view name) {
  // The same name finds ours: a list of both would only repeat it.
  for (int i = 0; i < task_state_count; ++i) {
    const auto state = static_cast<TaskState>(i);
    if (name == reprise::name(state) || name == reprise::class_name(state))
      return detail::to_public(state);
  }
  return std::nullopt;
}

bool is_kind_of(task_state state, task_state kind) {
  return is_kind_of(detail::to_internal(state), detail::to_internal(kind));
}

bool is_finished(task_state state) {
  return is_finished(detail::to_internal(state));
}

namespace detail {

namespace {

using time_point = std::chrono::system_clock::time_point;

time_point to_public(Time time) {
  return std::chrono::time_point_cast<time_point::duration>(time);
}

template <class To, class From, class Convert>
std::optional<To> mapped(const std::optional<From>& from, Convert convert) {
  if (!from) return std::nullopt;
  return convert(*from);
}

std::map<std::string, value> to_public(const std::map<std::string, Payload>& values) {
  std::map<std::string, value> all;
  for (const auto& [name, payload] : values)
    if (expected<value> read = value::from_bytes(payload.view())) all.emplace(name, *read);
  return all;
}

std::map<std::string, Payload> to_internal(const std::map<std::string, value>& values) {
  std::map<std::string, Payload> all;
  for (const auto& [name, any] : values) all.emplace(name, Payload::of(any.to_bytes()));
  return all;
}

std::optional<value> to_public(const Payload& payload) {
  if (payload.is_none() || !payload.is_at_hand()) return std::nullopt;
  expected<value> read = value::from_bytes(payload.view());
  return read ? std::optional(std::move(*read)) : std::nullopt;
}

std::optional<time_point> time_in(const value& fields, std::string_view key) {
  const value* found = fields.find(key);
  const auto* raw = found != nullptr ? found->get_if<extension>() : nullptr;
  if (raw == nullptr) return std::nullopt;
  const auto at = as_timestamp(Value(Ext{raw->code, raw->payload}));
  return at ? std::optional(to_public(*at)) : std::nullopt;
}

std::map<std::string, value> values_in(const value& fields) {
  std::map<std::string, value> values;
  if (const auto* entries = fields.get_if<value::map>())
    for (const auto& [key, each] : *entries)
      if (const auto* name = key.get_if<std::string>()) values.emplace(*name, each);
  return values;
}

std::map<std::string, std::string> texts_in(const value& fields) {
  std::map<std::string, std::string> texts;
  for (const auto& [name, each] : values_in(fields))
    if (const auto* text = each.get_if<std::string>()) texts.emplace(name, *text);
  return texts;
}

}  // namespace

// Both lists are the same, in the same order.
static_assert(static_cast<int>(task_state::pending) == static_cast<int>(TaskState::pending));
static_assert(static_cast<int>(task_state::cached) == static_cast<int>(TaskState::cached));
static_assert(static_cast<int>(task_state::lost) == static_cast<int>(TaskState::lost));
static_assert(static_cast<int>(run_state::success) == static_cast<int>(RunState::success));
static_assert(static_cast<int>(run_state::interrupted) == static_cast<int>(RunState::interrupted));

task_state to_public(TaskState state) {
  return static_cast<task_state>(state);
}
TaskState to_internal(task_state state) {
  return static_cast<TaskState>(state);
}
run_state to_public(RunState state) {
  return static_cast<run_state>(state);
}
RunState to_internal(run_state state) {
  return static_cast<RunState>(state);
}

given_state to_public(const scheduler::InitialState& given) {
  given_state shown;
  shown.state.kind = to_public(given.state.state);
  shown.state.message = given.state.message;
  shown.state.result = to_public(given.state.result);
  const auto time = [](Time at) { return to_public(at); };
  shown.state.start_time = mapped<time_point>(given.state.start_time, time);
  shown.run_count = given.run_count;
  shown.loop_count = given.loop_count;
  shown.loop_result = to_public(given.loop_result);
  const auto values = [](const std::map<std::string, Payload>& all) { return to_public(all); };
  shown.inputs = mapped<std::map<std::string, value>>(given.inputs, values);
  shown.parameters = mapped<std::map<std::string, value>>(given.parameters, values);
  shown.expires = mapped<time_point>(given.expires, time);
  for (const auto& element : given.elements)
    shown.elements.push_back(
        mapped<given_state>(element, [](const auto& each) { return to_public(each); }));
  return shown;
}

scheduler::InitialState to_internal(const given_state& given) {
  scheduler::InitialState made;
  made.state.state = to_internal(given.state.kind);
  made.state.message = given.state.message;
  if (given.state.result) made.state.result = Payload::of(given.state.result->to_bytes());
  const auto time = [](time_point at) { return Time(at); };
  made.state.start_time = mapped<Time>(given.state.start_time, time);
  made.run_count = given.run_count;
  made.loop_count = given.loop_count;
  if (given.loop_result) made.loop_result = Payload::of(given.loop_result->to_bytes());
  const auto values = [](const std::map<std::string, value>& all) { return to_internal(all); };
  made.inputs = mapped<std::map<std::string, Payload>>(given.inputs, values);
  made.parameters = mapped<std::map<std::string, Payload>>(given.parameters, values);
  made.expires = mapped<Time>(given.expires, time);
  for (const auto& element : given.elements)
    made.elements.push_back(mapped<scheduler::InitialState>(
        element, [](const auto& each) { return to_internal(each); }));
  return made;
}

scheduler::RunShape to_internal_shape(const submit_options& options) {
  scheduler::RunShape shape;
  for (const auto& [name, given] : options.initial_states)
    shape.initial.emplace(name, to_internal(given));
  shape.start_tasks = options.start_tasks;
  shape.single_pass = options.single_pass;
  if (options.start_at) shape.start_at = Time(*options.start_at);
  if (options.finished_as) shape.finished_as = to_internal(*options.finished_as);
  return shape;
}

state state_from(const value& fields) {
  state made;
  if (const value* kind = fields.find("state"))
    if (const auto* text = kind->get_if<std::string>())
      made.kind = parse_task_state(*text).value_or(task_state::pending);
  if (const value* message = fields.find("message"))
    if (const auto* text = message->get_if<std::string>()) made.message = *text;
  if (const value* result = fields.find("result")) made.result = *result;
  made.start_time = time_in(fields, "start_time");
  return made;
}

earlier_result earlier_result_from(const value& fields) {
  earlier_result made;
  if (const value* result = fields.find("result")) made.result = *result;
  if (const value* run = fields.find("run"))
    if (const auto* text = run->get_if<std::string>()) made.run = *text;
  made.committed = time_in(fields, "committed").value_or(time_point{});
  made.expires = time_in(fields, "expires");
  if (const value* inputs = fields.find("inputs")) made.inputs = texts_in(*inputs);
  if (const value* parameters = fields.find("parameters")) made.parameters = texts_in(*parameters);
  return made;
}

present_inputs present_inputs_from(const value& fields) {
  present_inputs made;
  if (const value* inputs = fields.find("inputs")) made.inputs = values_in(*inputs);
  if (const value* parameters = fields.find("parameters")) made.parameters = values_in(*parameters);
  if (const value* digests = fields.find("input_digests")) made.input_digests = texts_in(*digests);
  if (const value* digests = fields.find("parameter_digests"))
    made.parameter_digests = texts_in(*digests);
  return made;
}

value fields_of(const state& state) {
  value::map fields{{"state", name(state.kind)}, {"message", state.message}};
  if (state.result) fields.emplace_back("result", *state.result);
  if (state.start_time) {
    const Value stamp = timestamp_value(Time(*state.start_time));
    const Ext& raw = *stamp.get_if<Ext>();
    fields.emplace_back("start_time", extension{raw.code, raw.payload});
  }
  return fields;
}

}  // namespace detail
}  // namespace reprise
