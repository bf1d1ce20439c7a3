// The part of Run that makes values: arguments of attempts, elements of mapped inputs, conditions.
#include <algorithm>
#include <unordered_map>
#include <unordered_set>

#include <fmt/format.h>

#include "core/failure.hpp"
#include "core/text.hpp"
#include "flow/argument_scope.hpp"
#include "flow/chain_digest.hpp"
#include "flow/template.hpp"
#include "scheduler/run.hpp"

namespace reprise::scheduler {

namespace {

const Payload& or_nil(const Payload& payload) {
  return payload.is_none() ? Payload::nil() : payload;
}

Result<Payload> list_of(const std::vector<Payload>& values) {
  std::vector<std::string_view> views;
  views.reserve(values.size());
  for (const Payload& value : values) {
    if (!value.is_at_hand())
      return fail(ErrorCode::unavailable,
                  fmt::format("value {} is not at hand", value.digest.text()));
    views.push_back(value.view());
  }
  return Payload::of(encode_list(views));
}

}  // namespace

Payload Run::value_of(NodeId node) {
  const Group* group = group_of(node);
  const Payload& kept = result_[node.value];
  if (group != nullptr && group->fanin > 0)
    return or_nil(result_[group->first.value + group->width - 1]);
  if (group != nullptr && kept.is_none()) {
    std::vector<Payload> values;
    values.reserve(group->width);
    for (std::uint32_t i = 0; i < group->width; ++i)
      values.push_back(or_nil(result_[group->first.value + i]));
    Result<Payload> list = list_of(values);
    if (!list) return Payload::nil();
    if (!node_done_[node.value]) return *list;  // not final yet
    return result_.writable(node.value) = std::move(*list);
  }
  return or_nil(kept);
}

Result<Payload> Run::result_of(NodeId node) {
  const std::string& node_name = flow_.nodes[node.value].name;
  if (!node_done_[node.value])
    return fail(ErrorCode::unavailable, fmt::format("task \"{}\" is not finished", node_name));
  const TaskState state = state_[node.value];
  if (is_failed(state) || state == TaskState::cancelled) {
    const auto why = failures_.find(TaskId{node.value});
    return fail(
        state == TaskState::cancelled ? ErrorCode::cancelled : ErrorCode::not_found,
        fmt::format("task \"{}\" has no result: {}{}{}", node_name, name(state),
                    why == failures_.end() ? "" : ": ", why == failures_.end() ? "" : why->second));
  }
  if (const Group* group = group_of(node); group != nullptr && group->successful < group->width) {
    for (std::uint32_t i = 0; i < group->width; ++i) {
      const TaskId task{group->first.value + i};
      if (is_success(state_[task.value])) continue;
      const auto why = failures_.find(task);
      return fail(ErrorCode::not_found,
                  fmt::format("task \"{}[{}]\" has no result: {}{}{}", node_name, i,
                              name(state_[task.value]), why == failures_.end() ? "" : ": ",
                              why == failures_.end() ? "" : why->second));
    }
  }
  return value_of(node);
}

// Nothing where a task that it reads has no result of its own: then there is nothing to make it of.
Result<std::optional<Payload>> Run::expression_output(const Output& output, NodesByName& nodes) {
  const auto text = TemplateText::parse(output.text.text);
  if (!text) return std::optional<Payload>();
  if (nodes.empty())
    for (std::uint32_t n = 0; n < flow_.nodes.size(); ++n)
      nodes.emplace(flow_.nodes[n].name, NodeId{n});
  std::vector<Argument> values;
  bool is_whole = true;
  for (const std::string& read : text->reads().names) {
    const auto node = nodes.find(read);
    if (node == nodes.end()) continue;
    const auto [name, id] = *node;
    is_whole = is_whole && node_done_[id.value];
    if (!node_done_[id.value]) continue;
    values.push_back({name, value_of(id)});
    const Payload& value = values.back().value;
    const TaskState state = state_[id.value];
    const Group* group = group_of(id);
    is_whole = is_whole && is_success(state) && state != TaskState::skipped && value.is_at_hand();
    if (group != nullptr)
      is_whole =
          is_whole && group->successful == group->width && group->skipped == 0 && !value.is_nil();
  }
  const auto trouble = [&](const Error& error) -> Result<std::optional<Payload>> {
    if (!is_whole) return std::optional<Payload>();
    return fail(error.code,
                fmt::format("output \"{}\": {}", escape_for_terminal(output.name), error.message));
  };
  const auto value = text->value(ArgumentScope(values, context_->parameters));
  if (!value) return trouble(value.error());
  auto payload = Payload::of(value->value);
  if (!payload) return trouble(payload.error());
  return std::optional(*std::move(payload));
}

Status Run::check_outputs() {
  std::map<std::string, Payload> made;
  NodesByName nodes;
  for (const Output& output : flow_.outputs) {
    if (output.kind != Output::Kind::expression) continue;
    auto value = expression_output(output, nodes);
    if (!value) return tl::unexpected(value.error());
    if (*value) made.emplace(output.name, **std::move(value));
  }
  expression_outputs_ = std::move(made);
  return {};
}

std::map<std::string, Payload> Run::outputs() {
  std::map<std::string, Payload> made;
  if (expression_outputs_) made = *expression_outputs_;
  NodesByName nodes;
  for (const Output& output : flow_.outputs) {
    switch (output.kind) {
      case Output::Kind::node:
        if (Result<Payload> value = result_of(output.node))
          made.emplace(output.name, std::move(*value));
        break;
      case Output::Kind::chain_digest: {
        std::vector<Payload> results;
        results.reserve(flow_.nodes.size());
        for (std::uint32_t n = 0; n < flow_.nodes.size(); ++n) {
          Result<Payload> value = result_of(NodeId{n});
          if (!value) break;
          results.push_back(std::move(*value));
        }
        if (results.size() != flow_.nodes.size()) break;  // a failed run has no digest
        if (auto digest = chain_digest(flow_, results))
          if (auto payload = Payload::of(Value{digest->hex()}))
            made.emplace(output.name, std::move(*payload));
        break;
      }
      case Output::Kind::expression: {
        if (expression_outputs_) break;
        if (auto value = expression_output(output, nodes); value && *value)
          made.emplace(output.name, **std::move(value));
        break;
      }
    }
  }
  return made;
}

Result<Payload> Run::source_value(NodeId node, const Input& input, std::int32_t index) {
  switch (input.source) {
    case Input::Source::constant:
      return flow_.constants[input.index];
    case Input::Source::upstream:
      return value_of(NodeId{input.index});
    case Input::Source::parameter: {
      const auto found = context_->parameters.find(flow_.parameters[input.index].name);
      return found == context_->parameters.end() ? Payload::nil() : found->second;
    }
    case Input::Source::expression: {
      Result<Value> value = evaluate(flow_.expressions[input.index].text, node, index);
      if (!value) return tl::unexpected(value.error());
      return Payload::of(*value);
    }
    case Input::Source::state_only:
      break;
  }
  return Payload::nil();
}

Result<Payload> Run::input_value(NodeId node, std::uint32_t position, std::int32_t index) {
  const Input& input = flow_.inputs_of(node)[position];
  if (const Group* group = group_of(node);
      group != nullptr && group->fanin > 0 && index >= 0 && position == group->reduced_input)
    return reduction_members(*group, static_cast<std::uint32_t>(index));
  if (!input.mapped || index < 0) return source_value(node, input, index);
  const auto element = static_cast<std::uint32_t>(index);
  if (input.source == Input::Source::upstream) {
    const Group* source = group_of(NodeId{input.index});
    if (source != nullptr && !input.flattened)
      return or_nil(result_[source->first.value + element]);
    if (source == nullptr && !is_success(state_[input.index])) return Payload::nil();
  }
  Group& group = *group_of(node);
  auto [place, fresh] = group.elements.try_emplace(position);
  if (fresh) {
    if (const Status split = split_elements(node, position, place->second); !split) {
      group.elements.erase(place);
      return tl::unexpected(split.error());
    }
  }
  if (element >= place->second.parts.size())
    return fail(ErrorCode::corrupt,
                fmt::format("element {} of {} is missing", element, place->second.parts.size()));
  return Payload::of(std::string(place->second.parts[element]));
}

Result<Payload> Run::reduction_members(const Group& group, std::uint32_t element) {
  std::size_t level = 0;
  while (element >= group.levels[level + 1]) ++level;
  const std::uint32_t first = (element - group.levels[level]) * group.fanin;
  if (level == 0) {
    const std::vector<std::string_view>& parts = group.elements.at(group.reduced_input).parts;
    const std::size_t end = std::min<std::size_t>(first + group.fanin, parts.size());
    return Payload::of(
        encode_list({parts.begin() + first, parts.begin() + static_cast<std::ptrdiff_t>(end)}));
  }
  std::vector<Payload> members;
  for (std::uint32_t m = group.levels[level - 1] + first;
       m < std::min(group.levels[level - 1] + first + group.fanin, group.levels[level]); ++m)
    members.push_back(or_nil(result_[group.first.value + m]));
  return list_of(members);
}

namespace {

// @error invalid_argument: it is no text
Result<Payload> characters_of(const Payload& text) {
  const Result<Value> value = text.value();
  if (!value) return tl::unexpected(value.error());
  const auto* whole = value->get_if<std::string>();
  if (whole == nullptr) return fail(ErrorCode::invalid_argument, "it is no text");
  List characters;
  for (std::size_t begin = 0, end = 0; begin < whole->size(); begin = end) {
    // UTF-8: bytes 10xxxxxx go on with the character before.
    do ++end;
    while (end < whole->size() && (static_cast<unsigned char>((*whole)[end]) & 0xc0u) == 0x80u);
    characters.emplace_back(whole->substr(begin, end - begin));
  }
  return Payload::of(Value{std::move(characters)});
}

}  // namespace

Status Run::split_elements(NodeId node, std::uint32_t position, Group::Elements& out) {
  const Input& input = flow_.inputs_of(node)[position];
  Result<Payload> whole = source_value(node, input, -1);
  if (!whole) return tl::unexpected(whole.error());
  if (!whole->is_at_hand())
    return fail(ErrorCode::unavailable,
                fmt::format("value {} is not at hand", whole->digest.text()));
  out.whole = std::move(*whole);
  Result<std::vector<std::string_view>> parts = list_elements(out.whole.view());
  // A text that a task gave is as good as the list of its characters.
  const bool may_be_text =
      input.source == Input::Source::upstream || input.source == Input::Source::constant;
  if (!parts && input.mapped && may_be_text) {
    if (Result<Payload> characters = characters_of(out.whole)) {
      out.whole = std::move(*characters);
      parts = list_elements(out.whole.view());
    }
  }
  if (!parts)
    return fail(ErrorCode::invalid_argument,
                fmt::format("input \"{}\" is an unmappable result: it must be a list",
                            flow_.names[input.name]));
  if (input.flattened) {
    // One level: elements that are lists are replaced by theirs, others stay.
    std::vector<std::string_view> flat;
    for (std::string_view part : *parts) {
      if (Result<std::vector<std::string_view>> inner = list_elements(part))
        flat.insert(flat.end(), inner->begin(), inner->end());
      else
        flat.push_back(part);
    }
    parts = std::move(flat);
  }
  out.parts = std::move(*parts);
  return {};
}

Result<std::vector<Argument>> Run::arguments(TaskId task) {
  const NodeId node = node_of(task);
  const std::int32_t index = map_index(task);
  const auto inputs = flow_.inputs_of(node);
  std::vector<Argument> made;
  made.reserve(inputs.size());
  for (std::uint32_t i = 0; i < inputs.size(); ++i) {
    const Input& input = inputs[i];
    if (input.source == Input::Source::state_only) continue;
    if (!input.gathered) {
      if (const Payload* given = given_input(task, input)) {
        made.push_back({flow_.names[input.name], *given});
        continue;
      }
      Result<Payload> value = input_value(node, i, index);
      if (!value) return tl::unexpected(value.error());
      made.push_back({flow_.names[input.name], std::move(*value)});
      continue;
    }
    std::vector<Payload> members;
    const std::uint32_t name = input.name;
    for (; i < inputs.size() && inputs[i].gathered && inputs[i].name == name; ++i) {
      Result<Payload> value = input_value(node, i, index);
      if (!value) return tl::unexpected(value.error());
      members.push_back(or_nil(*value));
    }
    --i;  // the loop above stopped one past the last member
    Result<Payload> list = list_of(members);
    if (!list) return tl::unexpected(list.error());
    made.push_back({flow_.names[name], std::move(*list)});
  }
  return made;
}

// A value that the task was given with its state, for an upstream that has none of its own.
const Payload* Run::given_input(TaskId task, const Input& input) const {
  if (initial_.empty() || input.source != Input::Source::upstream ||
      is_finished(state_[input.index]))
    return nullptr;
  const auto given = initial_.find(task);
  if (given == initial_.end() || !given->second.inputs) return nullptr;
  const auto value = given->second.inputs->find(flow_.names[input.name]);
  return value == given->second.inputs->end() ? nullptr : &value->second;
}

namespace {

using Digests = std::map<std::string, Digest>;

Digests digests_of(const std::optional<std::map<std::string, Payload>>& values) {
  Digests digests;
  if (values)
    for (const auto& [name, value] : *values) digests.emplace(name, or_nil(value).digest);
  return digests;
}

// Equal where `names` say so; a name that neither side has is ignored.
bool agree(const Digests& now, const Digests& then, const std::vector<std::string>& names) {
  return std::all_of(names.begin(), names.end(), [&](const std::string& name) {
    const auto a = now.find(name);
    const auto b = then.find(name);
    if (a == now.end() || b == then.end()) return a == now.end() && b == then.end();
    return a->second == b->second;
  });
}

}  // namespace

Result<bool> Run::is_valid(TaskId task, const InitialState& cached, Time now) {
  if (cached.expires && *cached.expires <= now) return false;
  const CachePolicy& policy = flow_.kind_of(node_of(task)).cache;
  if (policy.validator == Validator::duration_only) return true;
  Digests inputs;
  const Result<std::vector<Argument>> taken = arguments(task);
  if (!taken) return tl::unexpected(taken.error());
  // Two failures are never the same thing: no value has the digest none.
  for (const Argument& argument : *taken)
    inputs.emplace(argument.name,
                   holds_failure(argument.value) ? Digest{} : or_nil(argument.value).digest);
  const Digests parameters = digests_of(context_->parameters);
  switch (policy.validator) {
    case Validator::all_inputs:
      return inputs == digests_of(cached.inputs);
    case Validator::all_parameters:
      return parameters == digests_of(cached.parameters);
    case Validator::partial_inputs:
      return !policy.validate_on || agree(inputs, digests_of(cached.inputs), *policy.validate_on);
    case Validator::partial_parameters:
      return !policy.validate_on ||
             agree(parameters, digests_of(cached.parameters), *policy.validate_on);
    case Validator::duration_only:
    case Validator::never_use:
    case Validator::custom:
      break;
  }
  return false;
}

std::uint32_t Run::first_loop_count() const {
  // Whoever set it in the run's context wants the loop to begin there.
  const auto set = context_->context.find("task_loop_count");
  if (set == context_->context.end()) return 1;
  const Result<Value> value = set->second.value();
  const std::int64_t* count = value ? value->get_if<std::int64_t>() : nullptr;
  return count != nullptr && *count >= 1 && *count <= UINT32_MAX
             ? static_cast<std::uint32_t>(*count)
             : 1;
}

Result<Attempt> Run::make_attempt(TaskId task) {
  Result<std::vector<Argument>> values = arguments(task);
  if (!values) return tl::unexpected(values.error());
  Attempt attempt;
  attempt.run = index_.value;
  attempt.task = task;
  attempt.number = run_count_[task.value] + 1U;
  attempt.context = context_;
  attempt.node = node_of(task);
  attempt.map_index = map_index(task);
  if (const Group* group = group_of(attempt.node); group != nullptr && attempt.map_index >= 0)
    if (const auto i = static_cast<std::size_t>(attempt.map_index); i < group->labels.size())
      attempt.label = group->labels[i];
  attempt.run_count = tries(task) + 1U;
  if (const auto loop = loops_.find(task); loop != loops_.end()) {
    attempt.loop_count = loop->second.count;
    attempt.loop_result = loop->second.result;
  } else if (!context_->context.empty()) {
    attempt.loop_count = first_loop_count();
  }
  attempt.resumed = is_resumed(task);
  if (const auto begun = begun_before_.find(task); begun != begun_before_.end())
    attempt.begun_before = begun->second;
  if (const auto key = user_keys_.find(task); key != user_keys_.end())
    attempt.user_key = key->second;
  attempt.arguments = std::move(*values);
  // Where hooks may still refuse the result, the worker does not keep it on its own.
  if (const auto key = keys_.find(task);
      key != keys_.end() && writes(context_->cache) && !has_hooks(task))
    attempt.key = key->second;
  return attempt;
}

Result<std::vector<Argument>> Run::scope_values(NodeId node, std::int32_t index) {
  std::vector<Argument> values;
  const auto inputs = flow_.inputs_of(node);
  for (std::uint32_t i = 0; i < inputs.size(); ++i) {
    // Expressions may name upstreams, parameters and the map variable, but not other expressions:
    // no cycles.
    if (inputs[i].source == Input::Source::state_only ||
        inputs[i].source == Input::Source::expression)
      continue;
    if (inputs[i].mapped && index < 0) continue;
    Result<Payload> value = input_value(node, i, index);
    if (!value) return tl::unexpected(value.error());
    values.push_back({flow_.names[inputs[i].name], std::move(*value)});
  }
  return values;
}

Result<Value> Run::evaluate(std::string_view text, NodeId node, std::int32_t index) {
  const auto values = scope_values(node, index);
  if (!values) return tl::unexpected(values.error());
  const auto tree = expression::Tree::parse(text);
  if (!tree) return fail(ErrorCode::invalid_argument, tree.error().message);
  auto evaluated = expression::evaluate(*tree, ArgumentScope(*values, context_->parameters));
  if (!evaluated) return tl::unexpected(evaluated.error());
  return std::move(evaluated->value);
}

Result<bool> Run::when_holds(TaskId task) {
  const auto values = scope_values(node_of(task), map_index(task));
  if (!values) return tl::unexpected(values.error());
  return expression::evaluate_condition(flow_.kind_of(node_of(task)).when,
                                        ArgumentScope(*values, context_->parameters));
}

// People recognise align[s3] more easily than align[2]: elements that are short distinct texts name
// their tasks.
ElementLabels Run::labels(NodeId node, const Group& group) {
  constexpr std::size_t label_bytes_max = 64;
  if (group.width == 0) return {};
  if (group.elements.empty()) {
    // Mapped over a mapped node: element i is about what element i there is about.
    for (const Input& input : flow_.inputs_of(node)) {
      if (!input.mapped || input.flattened || input.source != Input::Source::upstream) continue;
      const Group* source = group_of(NodeId{input.index});
      if (source != nullptr && source->labels.size() >= group.width)
        return ElementLabels(source->labels.texts(group.width));
    }
    return {};
  }
  ElementLabels made;
  std::unordered_set<std::string_view> distinct;  // views into the elements
  const Group::Elements& elements = group.elements.begin()->second;
  for (std::uint32_t i = 0; i < group.width; ++i) {
    // Equal encodings are equal texts.
    const Result<Value> value = decode(elements.parts[i]);
    const std::string* text = value ? value->get_if<std::string>() : nullptr;
    if (text == nullptr || text->empty() || text->size() > label_bytes_max ||
        !distinct.insert(elements.parts[i]).second)
      return {};
    made.push_back(*text);
  }
  made.shrink_to_fit();
  return made;
}

}  // namespace reprise::scheduler
