// User code besides bodies, as functions over values that the worker can call.
#include "reprise/hooks.hpp"

#include <fmt/format.h>

#include "api/flow_state.hpp"
#include "api/states.hpp"
#include "reprise/signal.hpp"

namespace reprise {
namespace detail {
namespace {

using arguments = std::span<const std::string_view>;

value argument_at(arguments given, std::size_t index) {
  return argument<value>(given, index);
}

[[noreturn]] void refuse(std::string message) {
  throw usage_error(error_code::invalid_argument, std::move(message));
}

template <class F>
void require(const F& function, const std::string& name) {
  if (name.empty() || !function)
    refuse("a hook, trigger, validator or key function needs a name and a body");
}

}  // namespace

void add_hook(flow_state& flow, const node_ref& node, std::string name, hook told,
              bool only_failures) {
  require(told, name);
  (void)refer(flow, node);
  flow.add_hook(
      node, std::move(name),
      [told = std::move(told)](arguments given, context& about) {
        const std::optional<state> other =
            told(state_from(argument_at(given, 0)), state_from(argument_at(given, 1)), about);
        return codec::encode(other ? fields_of(*other) : value());
      },
      only_failures);
}

void add_hook(flow_state& flow, std::string name, run_hook told, bool only_at_end) {
  require(told, name);
  flow.add_run_hook(
      std::move(name),
      [told = std::move(told)](arguments given, context& about) {
        const value fields = argument_at(given, 1);
        run_change after{run_state::running, {}};
        for (int i = 0; i <= static_cast<int>(run_state::interrupted); ++i) {
          const value* state = fields.find("state");
          const auto* text = state != nullptr ? state->get_if<std::string>() : nullptr;
          if (text != nullptr && *text == reprise::name(static_cast<run_state>(i)))
            after.state = static_cast<run_state>(i);
        }
        if (const value* message = fields.find("message"))
          if (const auto* text = message->get_if<std::string>()) after.message = *text;
        const std::optional<run_change> other = told(after, about);
        if (!other) return codec::encode(value());
        return codec::encode(
            value(value::map{{"state", reprise::name(other->state)}, {"message", other->message}}));
      },
      only_at_end);
}

void set_trigger(flow_state& flow, const node_ref& node, std::string name,
                 trigger_function may_run) {
  require(may_run, name);
  (void)refer(flow, node);
  flow.set_trigger(node, std::move(name),
                   [may_run = std::move(may_run)](arguments given, context& about) {
                     std::vector<state> upstreams;
                     for (const value& fields : argument_at(given, 0).items())
                       upstreams.push_back(state_from(fields));
                     return codec::encode(may_run(upstreams, about));
                   });
}

void set_key_function(flow_state& flow, const node_ref& node, std::string name, key_function make) {
  require(make, name);
  (void)refer(flow, node);
  flow.set_key_function(node, std::move(name),
                        [make = std::move(make)](arguments given, context& about) {
                          std::vector<value> all;
                          for (std::size_t i = 0; i < given.size(); ++i)
                            all.push_back(argument_at(given, i));
                          const std::optional<std::string> key = make(all, about);
                          return codec::encode(key ? value(*key) : value());
                        });
}

void set_validator(flow_state& flow, const node_ref& node, std::string name,
                   validator_function is_valid) {
  require(is_valid, name);
  (void)refer(flow, node);
  flow.set_validator(
      node, std::move(name), [is_valid = std::move(is_valid)](arguments given, context& about) {
        return codec::encode(is_valid(earlier_result_from(argument_at(given, 0)),
                                      present_inputs_from(argument_at(given, 1)), about));
      });
}

void set_reference_nodes(flow_state& flow, const std::vector<node_ref>& nodes) {
  for (const node_ref& node : nodes) (void)refer(flow, node);
  flow.set_reference_nodes(nodes);
}

void make_cleanup(flow_state& flow, const node_ref& node) {
  flow.make_cleanup(node);
}

// --- what the flow keeps of them

void flow_state::function::refer_as(const std::string& id, FlowSpec& spec) const {
  for (const place& at : places) {
    switch (at.what) {
      case use::body:
        spec.kinds[at.kind].body = FunctionBody{id};
        break;
      case use::hook:
        spec.kinds[at.kind].hooks[at.index].body = FunctionBody{id};
        break;
      case use::trigger:
        spec.kinds[at.kind].trigger.function = id;
        break;
      case use::cache_key:
        spec.kinds[at.kind].cache.key_function = id;
        break;
      case use::validator:
        spec.kinds[at.kind].cache.validator_function = id;
        break;
      case use::run_hook:
        spec.run_hooks[at.index].body = FunctionBody{id};
        break;
    }
  }
}

std::uint32_t flow_state::own_kind(const node_ref& node) {
  if (node.is_constant) refuse("a constant is no task: it has no states");
  task_node& task = nodes_[node.index];
  if (task.has_own_kind) return task.kind;
  const std::uint32_t shared = task.kind;
  const auto own = static_cast<std::uint32_t>(kinds_.size());
  kinds_.push_back(kinds_[shared]);
  for (function& each : functions_) {
    std::vector<function::place> added;
    for (function::place at : each.places)
      if (at.kind == shared && at.what == function::use::body) {
        at.kind = own;
        added.push_back(at);
      }
    each.places.insert(each.places.end(), added.begin(), added.end());
  }
  task.kind = own;
  task.has_own_kind = true;
  return own;
}

std::string flow_state::add_function(std::string_view what, std::string name, erased_body body,
                                     function::place place) {
  auto shared = std::make_shared<const erased_body>(std::move(body));
  task_record record;
  record.name = fmt::format("{}:{}", what, name);
  record.version = "1";
  record.outputs = {"any"};
  record.identity = shared.get();
  record.dynamic = true;
  record.body = [shared](arguments given, context& about) { return (*shared)(given, about); };
  const std::string id = fmt::format("{}@1", record.name);
  functions_[function_of(std::move(record))].places.push_back(place);
  return id;
}

void flow_state::add_hook(const node_ref& node, std::string name, erased_body told,
                          bool only_failures) {
  const std::uint32_t kind = own_kind(node);
  const auto index = static_cast<std::uint32_t>(kinds_[kind].hooks.size());
  Hook hook;
  if (only_failures) hook.on = {"failed"};
  hook.body = FunctionBody{
      add_function("hook", std::move(name), std::move(told), {function::use::hook, kind, index})};
  kinds_[kind].hooks.push_back(std::move(hook));
}

void flow_state::add_run_hook(std::string name, erased_body told, bool only_at_end) {
  const auto index = static_cast<std::uint32_t>(run_hooks_.size());
  Hook hook;
  if (only_at_end) hook.on = {"finished"};
  hook.body = FunctionBody{add_function("run-hook", std::move(name), std::move(told),
                                        {function::use::run_hook, 0, index})};
  run_hooks_.push_back(std::move(hook));
}

void flow_state::set_trigger(const node_ref& node, std::string name, erased_body may_run) {
  const std::uint32_t kind = own_kind(node);
  kinds_[kind].trigger.kind = Trigger::Kind::custom;
  kinds_[kind].trigger.function = add_function("trigger", std::move(name), std::move(may_run),
                                               {function::use::trigger, kind, 0});
}

void flow_state::set_key_function(const node_ref& node, std::string name, erased_body make) {
  const std::uint32_t kind = own_kind(node);
  kinds_[kind].cache.key_function = add_function("cache-key", std::move(name), std::move(make),
                                                 {function::use::cache_key, kind, 0});
}

void flow_state::set_validator(const node_ref& node, std::string name, erased_body is_valid) {
  const std::uint32_t kind = own_kind(node);
  CachePolicy& cache = kinds_[kind].cache;
  cache.validator = Validator::custom;
  cache.validate_on.reset();
  cache.validator_function = add_function("validator", std::move(name), std::move(is_valid),
                                          {function::use::validator, kind, 0});
}

void flow_state::make_cleanup(const node_ref& node) {
  TaskKind& kind = kinds_[own_kind(node)];
  kind.trigger = {};
  kind.trigger.kind = Trigger::Kind::resource_cleanup;
  kind.skip_on_upstream_skip = false;
  kind.cache.enabled = false;
}

void flow_state::set_reference_nodes(const std::vector<node_ref>& nodes) {
  reference_nodes_.clear();
  for (const node_ref& node : nodes) {
    if (node.is_constant) refuse("a constant is no task: it cannot decide how a run ended");
    reference_nodes_.push_back(node.index);
  }
}

}  // namespace detail

void flow::decided_by(const std::vector<node<value>>& nodes) {
  std::vector<detail::node_ref> refs;
  for (const node<value>& each : nodes) refs.push_back(each.ref());
  detail::set_reference_nodes(*state_, refs);
}

detail::node_ref flow::add_case(const detail::node_ref& condition, value expected) {
  static const dynamic_task compare("reprise.case", "1",
                                    [](std::span<const value> given, context&) -> value {
                                      if (given[0] == given[1]) return {};
                                      throw signal::skip("the condition is " + given[0].to_json() +
                                                         ", not " + given[1].to_json());
                                    });
  return call_with(compare,
                   {input("value", node<value>(condition)), input("expected", std::move(expected))})
      .ref();
}

detail::node_ref flow::add_merge(const std::vector<detail::node_ref>& branches) {
  static const dynamic_task first(
      "reprise.merge", "1",
      [](std::span<const value> given, context&) -> value {
        for (const value& each : given)
          if (!each.is_nil() && !codec::is_failure(each.to_bytes())) return each;
        return {};
      },
      {.trigger = trigger::not_all_skipped, .skip_on_upstream_skip = false});
  std::vector<input> inputs;
  for (const detail::node_ref& branch : branches)
    inputs.emplace_back(fmt::format("branch_{}", inputs.size() + 1), node<value>(branch));
  return call_with(first, inputs).ref();
}

node<value> flow::call_with(const dynamic_task& task, const std::vector<input>& inputs) {
  std::vector<detail::argument_ref> taken;
  std::vector<std::string> names;
  for (const input& each : inputs) {
    if (each.name_.empty()) detail::refuse("an input of a task needs a name");
    names.push_back(each.name_);
    detail::argument_ref argument;
    if (const auto* node = std::get_if<detail::node_ref>(&each.from_)) {
      argument = detail::refer(*state_, *node);
    } else if (const auto* parameter = std::get_if<input::parameter_ref>(&each.from_)) {
      argument = detail::refer(*state_, parameter->first.get(), parameter->second);
    } else {
      argument.index = detail::add_constant(*state_, codec::encode(std::get<value>(each.from_)));
    }
    if (each.hash_) {
      if (!std::holds_alternative<value>(each.from_) || each.mapped_)
        detail::refuse("a hash goes with a constant that is not mapped");
      detail::hash_constant(*state_, argument.index, each.hash_->first, each.hash_->second);
    }
    argument.mapped = each.mapped_;
    argument.flattened = each.flattened_;
    taken.push_back(argument);
  }
  detail::task_ref ref = detail::refer_to_task(task);
  ref.input_names = &names;
  return add<value>(ref, taken);
}

}  // namespace reprise
