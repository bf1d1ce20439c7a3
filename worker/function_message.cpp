#include "worker/function_message.hpp"

#include <cstring>
#include <map>
#include <utility>

#include "core/pack.hpp"

namespace reprise::worker {

namespace {

using Pairs = std::vector<std::pair<std::string, std::string>>;

void write(Packer& pack, const Payload& payload) {
  if (payload.is_none()) return pack.nil();
  pack.array(2);
  pack.bytes(payload.digest.raw());
  pack.bytes(payload.view());
}

void read(Unpacker& in, Payload& payload) {
  payload = {};
  if (in.next_is_nil()) return in.nil();
  in.array(2);
  const auto digest = Digest::from_raw(in.bytes());
  std::string bytes(in.bytes());
  if (!digest || bytes.empty()) return in.fail();
  payload.digest = *digest;
  payload.size = bytes.size();
  payload.bytes = std::make_shared<const std::string>(std::move(bytes));
}

// What user code made: it is hashed here, and has to be one value.
void read_made(Unpacker& in, Payload& payload) {
  payload = {};
  if (in.next_is_nil()) return in.nil();
  const std::string_view bytes = in.bytes();
  Unpacker value(bytes);
  (void)value.skip();
  if (!value.at_end()) return in.fail();
  payload = Payload::of(std::string(bytes));
}

void write_made(Packer& pack, const Payload& payload) {
  payload.is_none() ? pack.nil() : pack.bytes(payload.view());
}

void write(Packer& pack, const Pairs& pairs) {
  pack.array(2 * pairs.size());
  for (const auto& [name, type] : pairs) {
    pack.bytes(name);
    pack.bytes(type);
  }
}

void read(Unpacker& in, Pairs& pairs) {
  const std::uint32_t count = in.array();
  if (count % 2 != 0) in.fail();
  for (std::uint32_t i = 0; i < count && !in.failed(); i += 2) {
    std::string name(in.bytes());
    pairs.emplace_back(std::move(name), in.bytes());
  }
}

void write(Packer& pack, const std::map<std::string, Payload>& values) {
  pack.array(2 * values.size());
  for (const auto& [name, value] : values) {
    pack.bytes(name);
    write(pack, value);
  }
}

void read(Unpacker& in, std::map<std::string, Payload>& values) {
  const std::uint32_t count = in.array();
  if (count % 2 != 0) in.fail();
  for (std::uint32_t i = 0; i < count && !in.failed(); i += 2) {
    std::string name(in.bytes());
    read(in, values[std::move(name)]);
  }
}

void write_run(Packer& pack, const RunContext& run) {
  pack.array(5);
  pack.bytes({reinterpret_cast<const char*>(run.run.bytes.data()), run.run.bytes.size()});
  pack.bytes(run.flow->name);
  write(pack, run.parameters);
  pack.integer(run.started.time_since_epoch().count());
  write(pack, run.context);
}

void read_run(Unpacker& in, RunContext& run, FlowSpec& flow) {
  in.array(5);
  const std::string_view id = in.bytes();
  if (id.size() != run.run.bytes.size()) return in.fail();
  std::memcpy(run.run.bytes.data(), id.data(), id.size());
  flow.name = in.bytes();
  read(in, run.parameters);
  run.started = Time(Duration(in.integer()));
  read(in, run.context);
}

Error corrupt() {
  return {ErrorCode::corrupt, "what a process that runs functions said does not decode"};
}

}  // namespace

std::vector<KnownFunction> known_functions(const FunctionTable& table) {
  std::vector<KnownFunction> known;
  for (const std::string& id : table.ids())
    if (const auto function = table.find(id))
      known.push_back({function->name, function->version, function->signature});
  return known;
}

std::string encode_known(const std::vector<KnownFunction>& functions) {
  std::string bytes;
  Packer pack(bytes);
  pack.array(functions.size());
  for (const KnownFunction& function : functions) {
    pack.array(4);
    pack.bytes(function.name);
    pack.bytes(function.version);
    write(pack, function.signature.inputs);
    write(pack, function.signature.outputs);
  }
  return bytes;
}

Result<std::vector<KnownFunction>> decode_known(std::string_view bytes) {
  std::vector<KnownFunction> functions;
  Unpacker in(bytes);
  for (std::uint32_t count = in.array(); count > 0 && !in.failed(); --count) {
    KnownFunction& function = functions.emplace_back();
    in.array(4);
    function.name = in.bytes();
    function.version = in.bytes();
    read(in, function.signature.inputs);
    read(in, function.signature.outputs);
  }
  if (!in.at_end()) return tl::unexpected(corrupt());
  return functions;
}

std::string encode_call(std::uint64_t number, std::string_view function, const Call& call,
                        std::uint64_t memory_bytes, bool with_run) {
  const Attempt& attempt = call.attempt;
  std::string bytes;
  Packer pack(bytes);
  pack.array(14);
  pack.unsigned_integer(number);
  pack.bytes(function);
  pack.unsigned_integer(memory_bytes);
  if (with_run)
    write_run(pack, *attempt.context);
  else
    pack.nil();
  // Of the run's own hooks there is no node.
  const auto& nodes = attempt.context->flow->nodes;
  pack.bytes(attempt.node.value < nodes.size() ? nodes[attempt.node.value].name : "");
  pack.unsigned_integer(attempt.task.value);
  pack.unsigned_integer(attempt.number);
  pack.integer(attempt.map_index);
  pack.bytes(attempt.label);
  pack.unsigned_integer(attempt.run_count);
  pack.unsigned_integer(attempt.loop_count);
  write(pack, attempt.loop_result);
  pack.boolean(attempt.resumed);
  pack.array(2 * call.arguments.size());
  for (const Argument& argument : call.arguments) {
    pack.bytes(argument.name);
    write(pack, argument.value);
  }
  return bytes;
}

Status decode_call(std::string_view bytes, std::shared_ptr<const RunContext>& run,
                   ReceivedCall& call) {
  Unpacker in(bytes);
  in.array(14);
  call.number = in.unsigned_integer();
  call.function = in.bytes();
  call.memory_bytes = in.unsigned_integer();
  auto flow = std::make_shared<FlowSpec>();
  auto context = std::make_shared<RunContext>();
  if (in.next_is_nil()) {
    in.nil();
    if (!run) return tl::unexpected(corrupt());
    *context = *run;
    flow->name = run->flow->name;
  } else {
    read_run(in, *context, *flow);
  }
  flow->kinds.emplace_back();
  flow->nodes.emplace_back().name = in.bytes();
  context->flow = std::move(flow);
  Attempt& attempt = call.attempt;
  attempt.node = NodeId{0};
  attempt.task = TaskId{in.index()};
  attempt.number = in.index();
  attempt.map_index = static_cast<std::int32_t>(in.integer());
  attempt.label = in.bytes();
  attempt.run_count = in.index();
  attempt.loop_count = in.index();
  read(in, attempt.loop_result);
  attempt.resumed = in.boolean();
  const std::uint32_t count = in.array();
  if (count % 2 != 0) in.fail();
  call.names.reserve(count / 2);  // the arguments refer to them
  for (std::uint32_t i = 0; i < count && !in.failed(); i += 2) {
    Argument& argument = attempt.arguments.emplace_back();
    argument.name = call.names.emplace_back(in.bytes());
    read(in, argument.value);
  }
  if (!in.at_end()) return tl::unexpected(corrupt());
  attempt.context = context;
  run = std::move(context);
  return {};
}

namespace {

enum class AnswerKind : std::uint8_t { returned, ending, thrown };

}  // namespace

std::string encode_answer(const FunctionAnswer& answer, Time now) {
  std::string bytes;
  Packer pack(bytes);
  pack.array(5);
  if (const auto* returned = std::get_if<Returned>(&answer)) {
    pack.unsigned_integer(static_cast<std::uint64_t>(AnswerKind::returned));
    write_made(pack, returned->value);
    returned->uncacheable ? pack.bytes(*returned->uncacheable) : pack.nil();
    pack.nil();
    pack.nil();
  } else if (const auto* ending = std::get_if<Ending>(&answer)) {
    pack.unsigned_integer(static_cast<std::uint64_t>(AnswerKind::ending));
    write_made(pack, ending->value);
    pack.bytes(ending->message);
    pack.unsigned_integer(static_cast<std::uint64_t>(ending->state));
    ending->start_time ? pack.integer((*ending->start_time - now).count()) : pack.nil();
  } else if (const auto* thrown = std::get_if<Thrown>(&answer)) {
    pack.unsigned_integer(static_cast<std::uint64_t>(AnswerKind::thrown));
    pack.nil();
    pack.bytes(thrown->what);
    pack.bytes(thrown->type);
    pack.nil();
  }
  return bytes;
}

Result<FunctionAnswer> decode_answer(std::string_view bytes, Time now) {
  FunctionAnswer answer;
  Unpacker in(bytes);
  in.array(5);
  const auto kind =
      static_cast<AnswerKind>(in.unsigned_integer(static_cast<std::uint64_t>(AnswerKind::thrown)));
  Payload value;
  read_made(in, value);
  std::optional<std::string> text;
  in.next_is_nil() ? in.nil() : void(text = in.bytes());
  switch (kind) {
    case AnswerKind::returned:
      in.nil();
      in.nil();
      answer = Returned{std::move(value), std::move(text)};
      break;
    case AnswerKind::ending: {
      Ending ending;
      ending.state = static_cast<TaskState>(in.unsigned_integer(task_state_count - 1));
      ending.message = text.value_or("");
      ending.value = std::move(value);
      if (in.next_is_nil())
        in.nil();
      else
        ending.start_time = now + Duration(in.integer());
      answer = std::move(ending);
      break;
    }
    case AnswerKind::thrown:
      answer = Thrown{std::string(in.bytes()), text.value_or("")};
      in.nil();
      break;
  }
  if (!in.at_end()) return tl::unexpected(corrupt());
  return answer;
}

Result<std::string> as_frame(std::string message) {
  if (message.size() > UINT32_MAX)
    return fail(ErrorCode::exhausted,
                "what a function takes and gives in a process of its own is less than 4 GiB");
  const auto size = static_cast<std::uint32_t>(message.size());
  char head[frame_head_bytes];
  for (std::size_t i = 0; i < frame_head_bytes; ++i) head[i] = static_cast<char>(size >> (8 * i));
  message.insert(0, head, frame_head_bytes);
  return message;
}

std::size_t length_of_frame(std::string_view head) {
  std::size_t size = 0;
  for (std::size_t i = 0; i < frame_head_bytes; ++i)
    size |= static_cast<std::size_t>(static_cast<unsigned char>(head[i])) << (8 * i);
  return size;
}

}  // namespace reprise::worker
