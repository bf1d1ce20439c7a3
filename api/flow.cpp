#include <algorithm>
#include <cmath>
#include <iterator>
#include <unordered_set>

#include <fmt/format.h>

#include "api/flow_state.hpp"
#include "core/text.hpp"
#include "flow/flow_builder.hpp"
#include "flow/template.hpp"
#include "reprise/task.hpp"
#include "worker/code_digest.hpp"

namespace reprise {
namespace {

[[noreturn]] void refuse(error_code code, std::string message) {
  throw usage_error(code, message);
}

std::string shown(std::string_view name) {
  return shorten(escape_for_terminal(name), 80);
}

Trigger::Kind to_internal(trigger::kind kind) {
  switch (kind) {
    case trigger::kind::all_successful:
      return Trigger::Kind::all_successful;
    case trigger::kind::all_failed:
      return Trigger::Kind::all_failed;
    case trigger::kind::any_successful:
      return Trigger::Kind::any_successful;
    case trigger::kind::any_failed:
      return Trigger::Kind::any_failed;
    case trigger::kind::all_finished:
      return Trigger::Kind::all_finished;
    case trigger::kind::some_failed:
      return Trigger::Kind::some_failed;
    case trigger::kind::some_successful:
      return Trigger::Kind::some_successful;
    case trigger::kind::not_all_skipped:
      return Trigger::Kind::not_all_skipped;
    case trigger::kind::manual_only:
      return Trigger::Kind::manual_only;
  }
  return Trigger::Kind::all_successful;
}

Validator to_internal(validator kind) {
  switch (kind) {
    case validator::all_inputs:
      return Validator::all_inputs;
    case validator::duration_only:
      return Validator::duration_only;
    case validator::never_use:
      return Validator::never_use;
    case validator::all_parameters:
      return Validator::all_parameters;
    case validator::partial_inputs:
      return Validator::partial_inputs;
    case validator::partial_parameters:
      return Validator::partial_parameters;
  }
  return Validator::all_inputs;
}

std::vector<std::string> to_internal(const names& all) {
  return {all.begin(), all.end()};
}

CacheLife life_of(const cached& given) {
  CacheLife life;
  life.sliding = given.sliding;
  life.stale_while_revalidate = given.stale_while_revalidate;
  life.stale_if_error = given.stale_if_error;
  life.jitter_percent = given.jitter_percent;
  if (given.max_age.count() > 0) life.max_age = given.max_age;
  if (given.failures) {
    FailureCaching& failures = life.failures.emplace();
    failures.lasts = given.failures->lasts;
    if (given.failures->exceptions) failures.kinds.push_back(FailureClass::task);
    if (given.failures->validation) failures.kinds.push_back(FailureClass::validation);
    const exit_codes& exits = given.failures->exits;
    failures.exits.assign(exits.code.begin(), exits.code.begin() + exits.count);
  }
  return life;
}

CachePolicy to_internal(const cache_option& option) {
  CachePolicy policy;
  policy.enabled = option.enabled;
  const cached& given = option.policy;
  if (given.expires_after.count() > 0) policy.expires_after = given.expires_after;
  policy.validator = to_internal(given.validator);
  if (given.validator == validator::partial_inputs ||
      given.validator == validator::partial_parameters)
    policy.validate_on = to_internal(given.validate_on);
  if (!given.shared_key.empty()) policy.shared_key = std::string(given.shared_key);
  policy.ignored = to_internal(given.ignore);
  policy.salt = given.salt;
  policy.environment = to_internal(given.environment);
  policy.per_run = given.per_run;
  policy.per_parameters = given.per_parameters;
  policy.same_run = given.same_run;
  if (given.by) {
    const reprise::policy::parts& parts = *given.by;
    if (!parts.inputs) policy.validator = Validator::duration_only;
    policy.ignored = to_internal(parts.without);
    policy.per_run = parts.run;
    policy.per_parameters = parts.parameters;
    if (!given.same_run && !parts.inputs) policy.same_run = true;  // inputs are left out knowingly
  }
  policy.refresh = given.refresh;
  policy.life = life_of(given);
  return policy;
}

/// What `options` say about a task; its body and signature are added by those who know them.
TaskKind policies_of(const task_options& options, const void* identity) {
  TaskKind kind;
  kind.cache_name = options.cache.policy.name;
  kind.version = options.cache.policy.version;
  kind.trigger.kind = to_internal(options.trigger.kind);
  kind.trigger.at_least = options.trigger.at_least;
  kind.trigger.at_most = options.trigger.at_most;
  kind.skip_on_upstream_skip = options.skip_on_upstream_skip;
  kind.retry.max = options.retries;
  kind.retry.delay = options.retry_delay;
  kind.retry.exponential = options.retry_exponential;
  kind.timeout = options.timeout;
  kind.cache = to_internal(options.cache);
  const cached& cache = options.cache.policy;
  if (cache.code || (cache.by && cache.by->source)) {
    const Result<Digest> code = worker::code_digest(identity);
    if (!code) refuse(error_code::io, code.error().message);
    kind.cache.code = *code;
  }
  kind.resources.cpu_milli = static_cast<std::uint32_t>(std::lround(options.resources.cpus * 1000));
  kind.resources.memory_bytes = options.resources.memory_bytes;
  kind.isolated = options.isolated;
  kind.target.text = options.target;
  kind.max_parallel = options.max_parallel;
  for (std::string_view name : options.names) kind.signature.inputs.emplace_back(name, "");
  return kind;
}

void check_options(const std::string& task, const task_options& options) {
  const auto wrong = [&](std::string_view what) {
    refuse(error_code::invalid_argument, fmt::format("task \"{}\": {}", shown(task), what));
  };
  if (options.retries > 10'000) wrong("at most 10000 retries");
  const cached& cache = options.cache.policy;
  const std::chrono::nanoseconds times[] = {
      options.retry_delay,
      options.timeout,
      cache.expires_after,
      cache.stale_while_revalidate,
      cache.stale_if_error,
      cache.max_age,
      cache.failures ? cache.failures->lasts : std::chrono::nanoseconds{0}};
  if (std::any_of(std::begin(times), std::end(times), [](auto t) { return t.count() < 0; }))
    wrong("times must not be negative");
  if (cache.by && (cache.validator != validator::all_inputs || cache.ignore.count > 0 ||
                   cache.per_run || cache.per_parameters || cache.code))
    wrong("`by` says what the key is made of; nothing else can besides");
  if (cache.jitter_percent > 100) wrong("jitter is at most 100 percent");
  const bool needs_expiry = cache.sliding || cache.jitter_percent > 0 ||
                            cache.stale_while_revalidate.count() > 0 ||
                            cache.stale_if_error.count() > 0;
  if (needs_expiry && cache.expires_after.count() == 0)
    wrong("sliding, stale and jitter go with expires_after only");
  if (!(options.resources.cpus >= 0 && options.resources.cpus <= 1'000'000))
    wrong("cpus must be 0 to 1000000");
}

/// "a0", "a1" … or the names that the options give. @throws usage_error: another number of names
std::vector<std::pair<std::string, std::string>> named_inputs(const detail::task_record& record,
                                                              const TaskKind& policies,
                                                              bool is_reduction,
                                                              std::size_t arity) {
  const auto& given = policies.signature.inputs;
  if (!given.empty() && !is_reduction && given.size() != arity)
    refuse(error_code::invalid_argument, fmt::format("task \"{}\" names {} parameters and takes {}",
                                                     shown(record.name), given.size(), arity));
  std::vector<std::pair<std::string, std::string>> inputs;
  for (std::size_t i = 0; i < arity; ++i)
    inputs.emplace_back(given.empty() || is_reduction ? fmt::format("a{}", i) : given[i].first,
                        record.dynamic ? "any" : record.inputs[i]);
  return inputs;
}

void check_names_exist(const detail::task_record& record, const TaskKind& kind) {
  const auto check = [&](const std::vector<std::string>& wanted, std::string_view option) {
    for (const std::string& name : wanted) {
      bool exists = false;
      for (const auto& [input, type] : kind.signature.inputs) exists = exists || input == name;
      if (!exists)
        refuse(error_code::invalid_argument, fmt::format("task \"{}\" has no input \"{}\" to {}",
                                                         shown(record.name), shown(name), option));
    }
  };
  check(kind.cache.ignored, "ignore");
  // Where nothing is kept, only a state that a run is given is judged: an input that was there then
  // may be gone.
  if (kind.cache.enabled && kind.cache.validator == Validator::partial_inputs &&
      kind.cache.validate_on)
    check(*kind.cache.validate_on, "validate");
}

/// The numbers as an expression of flow files.
std::string range_text(const range& numbers) {
  return fmt::format("range({}, {})", numbers.first(), std::max(numbers.first(), numbers.end()));
}

/// The type of a parameter as flow files and the command line know it.
std::string parameter_type(const std::string& type) {
  if (type == "str") return "string";
  if (type == "i64" || type == "u64") return "int";
  if (type == "f64") return "float";
  if (type == "bool") return "bool";
  if (type.starts_with("list<")) return "list";
  return "any";
}

}  // namespace

dynamic_task::dynamic_task(std::string name, std::string version, body_type body,
                           const task_options& how)
    : options_(how) {
  if (name.empty() || version.find_first_not_of(" \t\n") == std::string::npos || !body)
    refuse(error_code::invalid_argument, "a dynamic task needs a name, a version and a body");
  auto shared = std::make_shared<const body_type>(std::move(body));
  record_.name = std::move(name);
  record_.version = std::move(version);
  record_.outputs = {"any"};
  record_.identity = shared.get();
  record_.dynamic = true;
  record_.body = [shared](std::span<const std::string_view> given, context& about) {
    std::vector<value> arguments;
    arguments.reserve(given.size());
    for (std::size_t i = 0; i < given.size(); ++i)
      arguments.push_back(detail::argument<value>(given, i));
    return codec::encode((*shared)(arguments, about));
  };
}

dynamic_task dynamic_task::with(const task_options& how) const {
  dynamic_task other = *this;
  other.options_ = how;
  return other;
}

namespace detail {

std::shared_ptr<flow_state> make_flow(std::string name) {
  if (name.empty()) refuse(error_code::invalid_argument, "a flow needs a name");
  return std::make_shared<flow_state>(std::move(name));
}

std::uint32_t add_constant(flow_state& flow, codec::encoded value) {
  return flow.add_constant(std::move(value));
}

std::uint32_t add_range(flow_state& flow, const range& numbers) {
  return flow.add_range(numbers);
}

void make_known(flow_state& flow, task_record record) {
  flow.make_known(std::move(record));
}

std::uint32_t add_nested(flow_state& flow, const node_ref& made, std::string output) {
  return flow.add_nested(made, std::move(output));
}

void hash_constant(flow_state& flow, std::uint32_t constant, std::string method, std::string hash) {
  flow.hash_constant(constant, std::move(method), hash);
}

std::uint32_t add_task(flow_state& flow, const task_ref& task,
                       const std::vector<argument_ref>& arguments) {
  return flow.add_task(task, arguments);
}

std::uint32_t add_parameter(flow_state& flow, std::string name, const std::string& type,
                            std::optional<codec::encoded> otherwise, normalizer normalize) {
  std::optional<Payload> payload;
  if (otherwise) payload = Payload::of(std::move(otherwise->bytes));
  return flow.add_parameter({std::move(name), type, std::move(payload), normalize});
}

void add_output(flow_state& flow, std::string name, const node_ref& node) {
  (void)refer(flow, node);
  flow.add_output(std::move(name), node);
}

void name_node(const node_ref& node, std::string name) {
  node.flow->name_node(node, std::move(name));
}

void order_after(const node_ref& node, const node_ref& earlier) {
  node.flow->order_after(node, earlier);
}

argument_ref refer(const flow_state& flow, const node_ref& node) {
  if (node.flow.get() != &flow)
    refuse(error_code::invalid_argument, "a node belongs to another flow");
  return {.from = node.is_constant ? argument_ref::source::constant : argument_ref::source::node,
          .index = node.index};
}

argument_ref refer(const flow_state& flow, const flow_state* owner, std::uint32_t parameter) {
  if (owner != &flow) refuse(error_code::invalid_argument, "a parameter belongs to another flow");
  return {.from = argument_ref::source::parameter, .index = parameter};
}

void out_of_range(std::string_view type) {
  refuse(error_code::invalid_argument,
         fmt::format("an integer argument does not fit its parameter ({})", type));
}

std::uint32_t flow_state::add_constant(codec::encoded value) {
  constants_.push_back({Payload::of(std::move(value.bytes)), value.uncacheable.empty()});
  return static_cast<std::uint32_t>(constants_.size() - 1);
}

std::uint32_t flow_state::add_range(const range& numbers) {
  ranges_.push_back(numbers);
  return static_cast<std::uint32_t>(ranges_.size() - 1);
}

void flow_state::make_known(task_record record) {
  (void)function_of(std::move(record));
}

std::uint32_t flow_state::add_nested(const node_ref& made, std::string output) {
  if (output.empty()) refuse(error_code::invalid_argument, "an output has a name");
  TaskKind kind;
  kind.cache_name = "nest";
  kind.body = NestedBody{std::nullopt, "flow", std::move(output)};
  kind.signature.outputs.emplace_back("result", "any");
  task_node added;
  added.kind = static_cast<std::uint32_t>(kinds_.size());
  added.has_own_kind = true;
  added.arguments.push_back(refer(*this, made));
  kinds_.push_back(std::move(kind));
  nodes_.push_back(std::move(added));
  return static_cast<std::uint32_t>(nodes_.size() - 1);
}

void flow_state::hash_constant(std::uint32_t constant, std::string method,
                               const std::string& hash) {
  if (method.empty() || hash.empty() || !is_utf8(method) || !is_utf8(hash))
    refuse(error_code::invalid_argument, "a hash and its method are texts that are not empty");
  // What cannot be encoded otherwise can be cached with this.
  constants_[constant].hash = UserHash{std::move(method), {escape_template(hash), {}}};
  constants_[constant].is_cacheable = true;
}

std::uint32_t flow_state::add_task(const task_ref& task,
                                   const std::vector<argument_ref>& arguments) {
  bool is_cacheable = true;
  given_hashes hashes;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    if (arguments[i].from != argument_ref::source::constant) continue;
    const kept_constant& constant = constants_[arguments[i].index];
    is_cacheable = is_cacheable && constant.is_cacheable;
    if (constant.hash) hashes.emplace(std::to_string(i), *constant.hash);
  }
  task_node added;
  added.kind = kind_of(task, arguments.size(), is_cacheable, std::move(hashes));
  added.arguments = arguments;
  nodes_.push_back(std::move(added));
  return static_cast<std::uint32_t>(nodes_.size() - 1);
}

std::uint32_t flow_state::kind_of(const task_ref& task, std::size_t arity, bool is_cacheable,
                                  given_hashes hashes) {
  TaskKind policies = policies_of(*task.options, task.identity);
  policies.cache.hashes = hashes;
  if (task.input_names != nullptr) {
    policies.signature.inputs.clear();
    for (const std::string& name : *task.input_names)
      policies.signature.inputs.emplace_back(name, "");
  }
  const auto [first, last] = known_.equal_range(task.identity);
  for (auto it = first; it != last; ++it) {
    const known_kind& known = it->second;
    if (known.record == task.record && known.arity == arity && known.is_cacheable == is_cacheable &&
        known.policies == policies)
      return known.kind;
  }
  task_record record = task.record(task.definition);
  check_options(record.name, *task.options);
  TaskKind kind = policies;
  if (kind.cache_name.empty()) kind.cache_name = record.name;
  if (kind.version.empty()) kind.version = record.version;
  kind.body = FunctionBody{fmt::format("{}@{}", record.name, record.version)};
  kind.signature.inputs = named_inputs(record, policies, !task.suffix.empty(), arity);
  kind.cache.hashes.clear();
  for (auto& [position, hash] : hashes)
    kind.cache.hashes.emplace(kind.signature.inputs[std::stoul(position)].first, std::move(hash));
  for (const std::string& type : record.outputs)
    kind.signature.outputs.emplace_back("result", type);
  if (!task.suffix.empty()) {
    kind.cache.ignored.clear();  // they are named for the two sides of one step
    kind.cache.validate_on.reset();
  }
  check_names_exist(record, kind);
  if (!is_cacheable) kind.cache.enabled = false;
  const auto index = static_cast<std::uint32_t>(kinds_.size());
  const std::uint32_t body = function_of(std::move(record));
  kinds_.push_back(std::move(kind));
  functions_[body].places.push_back({function::use::body, index, 0});
  known_.emplace(task.identity,
                 known_kind{task.record, arity, is_cacheable, std::move(policies), index});
  return index;
}

std::uint32_t flow_state::function_of(task_record record) {
  const std::string id = fmt::format("{}@{}", record.name, record.version);
  const auto [first, last] = function_index_.equal_range(id);
  for (auto it = first; it != last; ++it) {
    const task_record& known = functions_[it->second].record;
    if (known.identity == record.identity) return it->second;
    if (!known.dynamic || !record.dynamic)
      refuse(
          error_code::conflict,
          fmt::format("two tasks are named \"{}\"; give one another name or version", shown(id)));
  }
  const auto index = static_cast<std::uint32_t>(functions_.size());
  functions_.push_back({std::move(record), {}});
  function_index_.emplace(id, index);
  return index;
}

std::uint32_t flow_state::add_parameter(parameter added) {
  if (added.name.empty()) refuse(error_code::invalid_argument, "a parameter needs a name");
  for (const parameter& known : parameters_)
    if (known.name == added.name)
      refuse(error_code::conflict,
             fmt::format("there is a parameter \"{}\" already", shown(added.name)));
  parameters_.push_back(std::move(added));
  return static_cast<std::uint32_t>(parameters_.size() - 1);
}

void flow_state::add_output(std::string name, const node_ref& node) {
  if (name.empty()) refuse(error_code::invalid_argument, "an output needs a name");
  for (const result_output& known : outputs_)
    if (known.name == name)
      refuse(error_code::conflict, fmt::format("there is an output \"{}\" already", shown(name)));
  outputs_.push_back({std::move(name), node.index, node.is_constant});
}

void flow_state::name_node(const node_ref& node, std::string name) {
  if (node.is_constant || name.empty())
    refuse(error_code::invalid_argument, "only tasks have names, and a name is not empty");
  nodes_[node.index].name = std::move(name);
}

void flow_state::order_after(const node_ref& node, const node_ref& earlier) {
  (void)refer(*this, earlier);
  if (node.is_constant || earlier.is_constant)
    refuse(error_code::invalid_argument, "a constant is no task: nothing waits for it");
  if (node.index == earlier.index)
    refuse(error_code::invalid_argument, "a task cannot wait for itself");
  nodes_[node.index].after.push_back(earlier.index);
}

std::vector<std::string> flow_state::node_names() const {
  std::unordered_set<std::string> taken;
  for (const task_node& node : nodes_)
    if (node.name) taken.insert(*node.name);
  std::unordered_map<std::string, std::uint32_t> uses;
  std::vector<std::string> all;
  all.reserve(nodes_.size());
  for (const task_node& node : nodes_) {
    if (node.name) {
      all.push_back(*node.name);
      continue;
    }
    // The function's name, not the cache's: two tasks may share a name there.
    const auto* called = std::get_if<FunctionBody>(&kinds_[node.kind].body);
    const std::string& id = called != nullptr ? called->function : kinds_[node.kind].cache_name;
    const std::string base = id.substr(0, id.rfind('@'));
    std::string name;
    do {
      const std::uint32_t use = ++uses[base];
      name = use == 1 ? base : fmt::format("{}#{}", base, use);
    } while (!taken.insert(name).second);
    all.push_back(std::move(name));
  }
  return all;
}

Result<FlowSpec> flow_state::build() const {
  FlowBuilder builder(name_);
  for (const TaskKind& kind : kinds_) builder.add_kind(kind);
  for (const parameter& each : parameters_) {
    Parameter made;
    made.name = each.name;
    made.type = parameter_type(each.type);
    made.default_value = each.otherwise;
    builder.add_parameter(std::move(made));
  }
  std::vector<std::string> node_name = node_names();
  for (std::size_t i = 0; i < nodes_.size(); ++i) {
    const task_node& node = nodes_[i];
    builder.add_node(std::move(node_name[i]), node.kind);
    const auto& inputs = kinds_[node.kind].signature.inputs;
    const auto* nested = std::get_if<NestedBody>(&kinds_[node.kind].body);
    for (std::size_t a = 0; a < node.arguments.size(); ++a) {
      const argument_ref& argument = node.arguments[a];
      const FlowBuilder::Flags flags{.mapped = argument.mapped, .flattened = argument.flattened};
      const std::string& input = nested != nullptr ? nested->source : inputs[a].first;
      switch (argument.from) {
        case argument_ref::source::constant:
          builder.add_constant(input, constants_[argument.index].value, flags);
          break;
        case argument_ref::source::node:
          builder.add_upstream(input, NodeId{argument.index}, flags);
          break;
        case argument_ref::source::parameter:
          builder.add_parameter_input(input, argument.index, flags);
          break;
        case argument_ref::source::range:
          builder.add_expression(input, {range_text(ranges_[argument.index]), {}, {}}, flags);
          break;
      }
    }
    for (std::uint32_t earlier : node.after) builder.add_state_only(NodeId{earlier});
  }
  std::optional<std::uint32_t> pass;
  for (const result_output& each : outputs_) {
    NodeId source{each.node};
    if (each.is_constant) {  // only tasks have results
      if (!pass) {
        TaskKind kind;
        kind.cache_name = "output";
        pass = builder.add_kind(std::move(kind));
      }
      source = builder.add_node(fmt::format("output {}", each.name), *pass);
      builder.add_constant("value", constants_[each.node].value);
    }
    Output output;
    output.name = each.name;
    output.kind = Output::Kind::node;
    output.node = source;
    builder.add_output(std::move(output));
  }
  for (const Hook& hook : run_hooks_) builder.add_run_hook(hook);
  for (std::uint32_t node : reference_nodes_) builder.add_reference(NodeId{node});
  return std::move(builder).finish();
}

Result<Parameters> flow_state::bind(const std::map<std::string, value>& given) const {
  Parameters bound;
  for (const auto& [name, any] : given) {
    std::string bytes = any.to_bytes();
    for (const parameter& each : parameters_) {
      if (each.name != name) continue;
      expected<codec::encoded> fitting = each.normalize(bytes);
      if (!fitting)
        return fail(ErrorCode::invalid_argument,
                    fmt::format("parameter \"{}\": {}", shown(name), fitting.error().message));
      bytes = std::move(fitting->bytes);
    }
    bound.emplace(name,
                  Payload::of(std::move(
                      bytes)));  // unknown ones are refused with the others, by bind_parameters
  }
  return bound;
}

}  // namespace detail

made_flow::made_flow(const flow& from) {
  for (const detail::flow_state::function& each : from.state()->functions()) {
    using use = detail::flow_state::function::use;
    const auto is_body = [](const auto& place) { return place.what == use::body; };
    if (each.record.dynamic || !std::ranges::all_of(each.places, is_body))
      refuse(error_code::invalid_argument,
             fmt::format("a flow that a task makes has plain tasks only; \"{}\" is none",
                         shown(each.record.name)));
  }
  Result<FlowSpec> built = from.state()->build();
  if (!built) refuse(static_cast<error_code>(built.error().code), built.error().message);
  record_ = built->encode();
}

}  // namespace reprise
