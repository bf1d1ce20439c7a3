// FlowSpec as bytes and back: one msgpack array whose first element is the format's version. Every
// struct is an array of its fields in the order of the header, so that the same flow always gives
// the same bytes. Change a field, raise the version.
#include <algorithm>

#include <fmt/format.h>

#include "core/assert.hpp"
#include "core/pack.hpp"
#include "flow/flow_spec.hpp"
#include "flow/signal.hpp"

namespace reprise {
namespace {

constexpr std::uint64_t format_version = 3;

// Where and in which order its tasks run: written only where it says something.
bool has_wishes(const TaskKind& kind) {
  return !kind.require.empty() || !kind.limits.empty() || kind.priority != 0;
}

// ----------------------------------------------------------------------------------------------------------
// writing

class Writer {
 public:
  explicit Writer(std::string& out) : pack_(out) {}

  // Flows without others in them have the bytes, and so the identity, that they had before flows
  // could be nested.
  void write(const FlowSpec& flow) {
    array(flow.nested.empty() ? 12 : 13);
    write(format_version);
    write(flow.name);
    list(flow.kinds);
    list(flow.names);
    write_nodes(flow);
    list(flow.inputs);
    list(flow.constants);
    list(flow.expressions);
    list(flow.parameters);
    list(flow.outputs);
    list(flow.reference_nodes);
    list(flow.run_hooks);
    if (flow.nested.empty()) return;
    array(flow.nested.size());
    for (const auto& nested : flow.nested) write(*nested);
  }

 private:
  void array(std::size_t count) { pack_.array(count); }

  template <class T>
  void list(const std::vector<T>& elements) {
    array(elements.size());
    for (const T& element : elements) write(element);
  }
  template <class T>
  void map(const std::map<std::string, T>& entries) {
    pack_.map(entries.size());
    for (const auto& [name, value] : entries) {
      write(name);
      write(value);
    }
  }
  template <class T>
  void optional(const std::optional<T>& value) {
    if (value)
      write(*value);
    else
      pack_.nil();
  }
  template <class Enum>
  requires std::is_enum_v<Enum>
  void write(Enum value) { write(static_cast<std::uint64_t>(value)); }

  void write(std::uint64_t value) { pack_.unsigned_integer(value); }
  void write(std::uint32_t value) { pack_.unsigned_integer(value); }
  void write(bool value) { pack_.boolean(value); }
  void write(double value) { pack_.real(value); }
  void write(const std::string& value) { pack_.text(value); }
  void write(const Digest& value) { pack_.bytes(value.raw()); }
  void write(Duration value) { pack_.integer(value.count()); }
  void write(NodeId id) { pack_.unsigned_integer(id.value); }

  void write(const SourceSpan& span) {
    if (span == SourceSpan{}) return pack_.nil();
    array(3);
    write(span.line);
    write(span.column);
    write(span.end_column);
  }
  void write(const Template& text) {
    array(2);
    write(text.text);
    write(text.span);
  }
  /// The bytes where they are at hand, else what identifies them.
  void write(const Payload& payload) {
    if (payload.is_none()) return pack_.nil();
    if (payload.is_at_hand()) return pack_.bytes(payload.view());
    array(2);
    write(payload.digest);
    write(payload.size);
  }

  void write(const Body& body) {
    std::visit([this](const auto& b) { write_body(b); }, body);
  }
  void write_body(const PassBody&) { pack_.nil(); }
  void write_body(const FunctionBody& body) { write(body.function); }
  void write_body(const NestedBody& body) {
    array(3);
    if (body.flow)
      write(*body.flow);
    else
      pack_.nil();
    write(body.source);
    write(body.output);
  }
  void write_body(const CommandBody& body) {
    array(7);
    list(body.argv);
    write(body.script);
    list(body.input_files);
    list(body.outputs);
    map(body.environment);
    write(body.in_flow_folder);
    array(2 * body.exits.size());
    for (const auto& [code, state] : body.exits) {
      write(code);
      write(state);
    }
  }
  void write_names(const std::vector<std::pair<std::string, std::string>>& names) {
    array(names.size());
    for (const auto& [name, type] : names) {
      array(2);
      write(name);
      write(type);
    }
  }
  void write(const Signature& signature) {
    array(2);
    write_names(signature.inputs);
    write_names(signature.outputs);
  }
  void write(const Trigger& trigger) {
    array(4);
    write(trigger.kind);
    write(trigger.at_least);
    write(trigger.at_most);
    write(trigger.function);
  }
  void write(const RetryPolicy& retry) {
    array(5);
    write(retry.max);
    write(retry.delay);
    write(retry.exponential);
    write(retry.max_delay);
    list(retry.on);
  }
  void write(const std::vector<std::string>& names) { list(names); }
  void write(const FailureCaching& failures) {
    array(3);
    write(failures.lasts);
    list(failures.kinds);
    list(failures.exits);
  }
  void write(const CacheLife& life) {
    array(6);
    write(life.sliding);
    write(life.stale_while_revalidate);
    write(life.stale_if_error);
    write(life.jitter_percent);
    optional(life.max_age);
    optional(life.failures);
  }
  // Flows without a `life` have the bytes, and so the identity, that they had before there was one.
  void write(const CachePolicy& cache) {
    const bool has_more = cache.code_auto || !cache.validator_function.empty() ||
                          !cache.hashes.empty() || cache.same_run;
    const bool has_life = cache.life != CacheLife{} || cache.code || has_more;
    array(cache.same_run ? 19 : has_more ? 18 : cache.code ? 15 : has_life ? 14 : 13);
    write(cache.enabled);
    optional(cache.expires_after);
    write(cache.validator);
    optional(cache.validate_on);
    optional(cache.shared_key);
    list(cache.ignored);
    pack_.bytes(cache.salt);
    list(cache.environment);
    map(cache.dependencies);
    optional(cache.refresh);
    write(cache.per_run);
    write(cache.per_parameters);
    write(cache.key_function);
    if (has_life) write(cache.life);
    if (!has_more) {
      if (cache.code) write(*cache.code);
      return;
    }
    optional(cache.code);
    write(cache.code_auto);
    write(cache.validator_function);
    map(cache.hashes);
    if (cache.same_run) write(*cache.same_run);
  }
  void write(const UserHash& given) {
    array(2);
    write(given.method);
    write(given.hash);
  }
  void write(const Hook& hook) {
    array(2);
    list(hook.on);
    write(hook.body);
  }
  void write(const Resources& resources) {
    array(3);
    write(resources.cpu_milli);
    write(resources.memory_bytes);
    map(resources.custom);
  }
  void write(const TaskKind& kind) {
    const bool is_choosy = has_wishes(kind);
    array(is_choosy ? 20 : 17);
    write(kind.cache_name);
    write(kind.version);
    write(kind.body);
    write(kind.signature);
    write(kind.trigger);
    write(kind.skip_on_upstream_skip);
    write(kind.retry);
    write(kind.timeout);
    write(kind.cache);
    write(kind.resources);
    write(kind.isolated);
    write(kind.when);
    write(kind.when_span);
    write(kind.max_parallel);
    write(kind.reduce_fanin);
    list(kind.hooks);
    write(kind.target);
    if (!is_choosy) return;
    map(kind.require);
    list(kind.limits);
    pack_.integer(kind.priority);
  }

  /// Without the position of the first input: inputs lie one after the other.
  void write_nodes(const FlowSpec& flow) {
    array(flow.nodes.size());
    std::uint32_t inputs = 0;
    for (const Node& node : flow.nodes) {
      REPRISE_ASSERT(node.first_input == inputs, node.name, node.first_input, inputs);
      inputs += node.input_count;
      array(5);
      write(node.name);
      write(node.kind);
      write(node.input_count);
      if (node.expected_seconds == 0)
        pack_.nil();
      else
        write(static_cast<double>(node.expected_seconds));
      write(node.span);
    }
  }
  void write(const Input& input) {
    unsigned flags = static_cast<unsigned>(input.source) | (input.mapped ? 8u : 0u) |
                     (input.flattened ? 16u : 0u) | (input.gathered ? 32u : 0u);
    array(3);
    write(input.name);
    write(input.index);
    write(flags);
  }
  void write(const Expression& expression) {
    array(3);
    write(expression.text);
    write(expression.span);
    list(expression.reads);
  }
  void write(const Parameter& parameter) {
    array(6);
    write(parameter.name);
    write(parameter.type);
    optional(parameter.default_value);
    write(parameter.description);
    list(parameter.choices);
    write(parameter.span);
  }
  void write(const Output& output) {
    array(4);
    write(output.name);
    write(output.kind);
    write(output.text);
    write(output.node);
  }

  Packer pack_;
};

// ----------------------------------------------------------------------------------------------------------
// reading

class Reader {
 public:
  explicit Reader(std::string_view bytes) : unpack_(bytes), size_(bytes.size()) {}

  /// False for bytes of another version, too.
  bool read(FlowSpec& flow) {
    read(flow, 0);
    return unpack_.at_end();
  }

 private:
  void read(FlowSpec& flow, std::uint32_t depth) {
    const std::uint32_t fields = unpack_.array();
    if (fields != 12 && fields != 13) return unpack_.fail();
    if (unpack_.unsigned_integer() != format_version) unpack_.fail();
    read(flow.name);
    list(flow.kinds);
    list(flow.names);
    list(flow.nodes);
    list(flow.inputs);
    list(flow.constants);
    list(flow.expressions);
    list(flow.parameters);
    list(flow.outputs);
    list(flow.reference_nodes);
    list(flow.run_hooks);
    place_inputs(flow);
    if (fields == 13) read_nested(flow, depth);
  }

  // The depth is limited before anything is read: bytes may be made to nest very deep.
  void read_nested(FlowSpec& flow, std::uint32_t depth) {
    if (depth == nesting_limit) return unpack_.fail();
    std::uint32_t count = unpack_.array();
    if (count == 0) unpack_.fail();  // one way to write a flow
    for (; count > 0 && !unpack_.failed(); --count) {
      auto nested = std::make_shared<FlowSpec>();
      read(*nested, depth + 1);
      flow.nested.push_back(std::move(nested));
    }
  }

  template <class T>
  void list(std::vector<T>& elements) {
    std::uint32_t count = unpack_.array();
    // Counts are bounded by the bytes that are left; big structs take several bytes each, so this
    // never reserves more than a small multiple of the input, even when there is less than was
    // promised.
    elements.reserve(std::min<std::size_t>(count, size_ / (1 + sizeof(T) / 16)));
    for (; count > 0 && !unpack_.failed(); --count) {
      T element{};
      read(element);
      elements.push_back(std::move(element));
    }
  }
  template <class T>
  void map(std::map<std::string, T>& entries) {
    for (std::uint32_t count = unpack_.map(); count > 0 && !unpack_.failed(); --count) {
      std::string name;
      T value{};
      read(name);
      read(value);
      if (!entries.empty() && entries.rbegin()->first >= name) unpack_.fail();  // one order only
      entries.emplace_hint(entries.end(), std::move(name), std::move(value));
    }
  }
  template <class T>
  void optional(std::optional<T>& value) {
    if (unpack_.next_is_nil()) return unpack_.nil();
    read(value.emplace());
  }
  template <class Enum>
  void enumerated(Enum& value, Enum last) {
    value = static_cast<Enum>(unpack_.unsigned_integer(static_cast<std::uint64_t>(last)));
  }

  void read(std::uint64_t& value) { value = unpack_.unsigned_integer(); }
  void read(std::uint32_t& value) { value = unpack_.index(); }
  void read(bool& value) { value = unpack_.boolean(); }
  void read(double& value) { value = unpack_.real(); }
  void read(std::string& value) { value = unpack_.text(); }
  void read(Duration& value) { value = Duration(unpack_.integer()); }
  void read(NodeId& id) { id.value = unpack_.index(); }
  void read(std::vector<std::string>& names) { list(names); }
  void read(Digest& digest) {
    if (auto read = Digest::from_raw(unpack_.bytes()))
      digest = *read;
    else
      unpack_.fail();
  }

  void read(SourceSpan& span) {
    if (unpack_.next_is_nil()) return unpack_.nil();
    unpack_.array(3);
    read(span.line);
    read(span.column);
    read(span.end_column);
    if (span == SourceSpan{}) unpack_.fail();
  }
  void read(Template& text) {
    unpack_.array(2);
    read(text.text);
    read(text.span);
  }
  void read(Payload& payload) {
    Unpacker::Token token;
    if (!unpack_.next(token)) return;
    if (token.kind == Unpacker::Kind::nil) return;
    if (token.kind == Unpacker::Kind::bytes) {
      Unpacker value(token.data);
      (void)value.skip();
      if (!value.at_end()) return unpack_.fail();
      payload = Payload::of(std::string(token.data));
      return;
    }
    if (token.kind != Unpacker::Kind::array || token.count != 2) return unpack_.fail();
    read(payload.digest);
    read(payload.size);
    if (payload.is_none()) unpack_.fail();
  }

  void read(Body& body) {
    if (unpack_.next_is_nil()) {
      body = PassBody{};
      return unpack_.nil();
    }
    Unpacker::Token token;
    if (!unpack_.next(token)) return;
    if (token.kind == Unpacker::Kind::text) {
      body = FunctionBody{std::string(token.data)};
      return;
    }
    if (token.kind == Unpacker::Kind::array && token.count == 3)
      return read(body.emplace<NestedBody>());
    if (token.kind != Unpacker::Kind::array || token.count != 7) return unpack_.fail();
    auto& command = body.emplace<CommandBody>();
    list(command.argv);
    read(command.script);
    list(command.input_files);
    list(command.outputs);
    map(command.environment);
    read(command.in_flow_folder);
    const std::uint32_t numbers = unpack_.array();
    if (numbers % 2 != 0) unpack_.fail();
    for (std::uint32_t i = 0; i < numbers && !unpack_.failed(); i += 2) {
      const std::uint32_t code = unpack_.index();
      TaskState state{};
      enumerated(state, TaskState::lost);
      if (!is_signal(state)) unpack_.fail();
      if (!command.exits.empty() && command.exits.rbegin()->first >= code) unpack_.fail();
      command.exits.emplace_hint(command.exits.end(), code, state);
    }
  }
  void read(NestedBody& body) {
    if (unpack_.next_is_nil())
      unpack_.nil();
    else
      read(body.flow.emplace());
    read(body.source);
    read(body.output);
  }
  void read(std::pair<std::string, std::string>& named) {
    unpack_.array(2);
    read(named.first);
    read(named.second);
  }
  void read(Signature& signature) {
    unpack_.array(2);
    list(signature.inputs);
    list(signature.outputs);
  }
  void read(Trigger& trigger) {
    unpack_.array(4);
    enumerated(trigger.kind, Trigger::Kind::custom);
    read(trigger.at_least);
    read(trigger.at_most);
    read(trigger.function);
  }
  void read(FailureClass& failure) { enumerated(failure, last_failure_class); }
  void read(RetryPolicy& retry) {
    unpack_.array(5);
    read(retry.max);
    read(retry.delay);
    read(retry.exponential);
    read(retry.max_delay);
    retry.on.clear();
    list(retry.on);
  }
  void read(FailureCaching& failures) {
    unpack_.array(3);
    read(failures.lasts);
    list(failures.kinds);
    list(failures.exits);
  }
  void read(CacheLife& life) {
    unpack_.array(6);
    read(life.sliding);
    read(life.stale_while_revalidate);
    read(life.stale_if_error);
    life.jitter_percent = static_cast<std::uint32_t>(unpack_.unsigned_integer(100));
    optional(life.max_age);
    optional(life.failures);
  }
  void read(CachePolicy& cache) {
    const std::uint32_t fields = unpack_.array();
    if ((fields < 13 || fields > 15) && fields != 18 && fields != 19) unpack_.fail();
    read(cache.enabled);
    optional(cache.expires_after);
    enumerated(cache.validator, Validator::custom);
    optional(cache.validate_on);
    optional(cache.shared_key);
    list(cache.ignored);
    cache.salt = unpack_.bytes();
    list(cache.environment);
    map(cache.dependencies);
    optional(cache.refresh);
    read(cache.per_run);
    read(cache.per_parameters);
    read(cache.key_function);
    if (fields >= 14) read(cache.life);
    if (fields == 15) read(cache.code.emplace());
    if (fields >= 18) {
      optional(cache.code);
      read(cache.code_auto);
      read(cache.validator_function);
      map(cache.hashes);
      if (fields == 19)
        read(cache.same_run.emplace());
      else if (!cache.code_auto && cache.validator_function.empty() && cache.hashes.empty())
        unpack_.fail();
    }
    if (fields == 14 && cache.life == CacheLife{}) unpack_.fail();  // one way to write a flow
  }
  void read(UserHash& given) {
    unpack_.array(2);
    read(given.method);
    read(given.hash);
  }
  void read(Hook& hook) {
    unpack_.array(2);
    list(hook.on);
    read(hook.body);
  }
  void read(Resources& resources) {
    unpack_.array(3);
    read(resources.cpu_milli);
    read(resources.memory_bytes);
    map(resources.custom);
  }
  void read(TaskKind& kind) {
    const std::uint32_t fields = unpack_.array();
    if (fields != 17 && fields != 20) return unpack_.fail();
    read(kind.cache_name);
    read(kind.version);
    read(kind.body);
    read(kind.signature);
    read(kind.trigger);
    read(kind.skip_on_upstream_skip);
    read(kind.retry);
    read(kind.timeout);
    read(kind.cache);
    read(kind.resources);
    read(kind.isolated);
    read(kind.when);
    read(kind.when_span);
    read(kind.max_parallel);
    read(kind.reduce_fanin);
    list(kind.hooks);
    read(kind.target);
    if (fields == 17) return;
    map(kind.require);
    list(kind.limits);
    const std::int64_t priority = unpack_.integer();
    kind.priority = static_cast<std::int32_t>(priority);
    // One way to write a flow.
    if (priority < priority_least || priority > priority_most || !has_wishes(kind)) unpack_.fail();
  }

  void read(Node& node) {
    unpack_.array(5);
    read(node.name);
    read(node.kind);
    read(node.input_count);
    if (unpack_.next_is_nil())
      unpack_.nil();
    else
      node.expected_seconds = static_cast<float>(unpack_.real());
    read(node.span);
  }
  void read(Input& input) {
    unpack_.array(3);
    read(input.name);
    read(input.index);
    auto flags = static_cast<unsigned>(unpack_.unsigned_integer(63));
    if ((flags & 7) > static_cast<unsigned>(Input::Source::state_only)) return unpack_.fail();
    input.source = static_cast<Input::Source>(flags & 7);
    input.mapped = (flags & 8) != 0;
    input.flattened = (flags & 16) != 0;
    input.gathered = (flags & 32) != 0;
  }
  void read(Expression& expression) {
    unpack_.array(3);
    read(expression.text);
    read(expression.span);
    list(expression.reads);
  }
  void read(Parameter& parameter) {
    unpack_.array(6);
    read(parameter.name);
    read(parameter.type);
    optional(parameter.default_value);
    read(parameter.description);
    list(parameter.choices);
    read(parameter.span);
  }
  void read(Output& output) {
    unpack_.array(4);
    read(output.name);
    enumerated(output.kind, Output::Kind::chain_digest);
    read(output.text);
    read(output.node);
  }

  void place_inputs(FlowSpec& flow) {
    std::uint64_t inputs = 0;
    for (Node& node : flow.nodes) {
      node.first_input = static_cast<std::uint32_t>(inputs);
      inputs += node.input_count;
      if (inputs > flow.inputs.size()) return unpack_.fail();
    }
  }

  Unpacker unpack_;
  std::size_t size_;
};

}  // namespace

std::string FlowSpec::encode() const {
  std::string bytes;
  bytes.reserve(1024 + 32 * nodes.size() + 12 * inputs.size() + 16 * constants.size());
  Writer(bytes).write(*this);
  return bytes;
}

Result<FlowSpec> FlowSpec::decode(std::string_view bytes) {
  FlowSpec flow;
  if (!Reader(bytes).read(flow)) return fail(ErrorCode::corrupt, "flow record does not decode");
  if (auto fine = check(flow); !fine)
    return fail(ErrorCode::corrupt, "flow record makes no sense: " + fine.error().message);
  return flow;
}

}  // namespace reprise
