#include "cluster/wire.hpp"

#include <utility>

#include "cluster/wire_codec.hpp"
#include "journal/run_codec.hpp"

namespace reprise::cluster::wire {
namespace {

tl::unexpected<Error> corrupt(std::string_view what) {
  return fail(ErrorCode::corrupt, std::string(what));
}

// The name that an attempt's flow has for an argument: attempts point into their flow.
std::optional<std::string_view> name_in(const FlowSpec& flow, NodeId node, std::string_view name) {
  for (const Input& input : flow.inputs_of(node))
    if (input.source != Input::Source::state_only && flow.names[input.name] == name)
      return flow.names[input.name];
  for (const auto& [parameter, type] : flow.kind_of(node).signature.inputs)
    if (parameter == name) return parameter;
  for (const std::string& any : flow.names)
    if (any == name) return any;
  return std::nullopt;
}

}  // namespace

bool may_send(Role role, std::uint16_t kind) {
  switch (static_cast<Kind>(kind)) {
    case Kind::submit:
    case Kind::cancel:
    case Kind::pause:
    case Kind::watch:
    case Kind::query:
      return role == Role::client;
    case Kind::submitted:
    case Kind::answer:
    case Kind::changes:
    case Kind::run_ended:
    case Kind::run_context:
    case Kind::dispatch:
    case Kind::stop:
    case Kind::retract:
    case Kind::drain:
    case Kind::forget_run:
    case Kind::welcome:
    case Kind::acknowledged:
    case Kind::log_request:
      return role == Role::scheduler;
    case Kind::worker_hello:
    case Kind::credits:
    case Kind::began:
    case Kind::reports:
    case Kind::rejected:
    case Kind::retracted:
    case Kind::draining:
    case Kind::log_answer:
      return role == Role::worker;
    case Kind::ping:
    case Kind::pong:
    case Kind::blob_request:
    case Kind::blob_chunk:
      return true;
  }
  return false;
}

// Plain messages.
REPRISE_WIRE_CODEC(Submitted, m.request, m.run, m.continued, m.stable)
REPRISE_WIRE_CODEC(Steer, m.request, m.run, m.tasks, m.reason)
REPRISE_WIRE_CODEC(Watch, m.request, m.run, m.from)
REPRISE_WIRE_CODEC(Query, m.request, m.op, m.body)
REPRISE_WIRE_CODEC(Answer, m.request, m.status, m.body)
REPRISE_WIRE_CODEC(Changes, m.request, m.first, m.batches)
REPRISE_WIRE_CODEC(Welcome, m.epoch.number, m.epoch.nonce, m.epoch.journal, m.lost_after)
REPRISE_WIRE_CODEC(Credits, m.slots, m.free)
REPRISE_WIRE_CODEC(Began, m.starts)
REPRISE_WIRE_CODEC(Reports, m.reports)
REPRISE_WIRE_CODEC(Refused, m.attempts, m.reason)
REPRISE_WIRE_CODEC(Draining, m.draining)
REPRISE_WIRE_CODEC(Attempts, m.epoch, m.attempts)
REPRISE_WIRE_CODEC(Drain, m.draining)
REPRISE_WIRE_CODEC(ForgetRun, m.run)
REPRISE_WIRE_CODEC(LogRequest, m.number, m.what)
REPRISE_WIRE_CODEC(LogAnswer, m.number, m.status, m.part)
REPRISE_WIRE_CODEC(Ping, m.number)
REPRISE_WIRE_CODEC(BlobRequest, m.digest, m.offset)

std::string encode(const WorkerHello& m) {
  std::string bytes;
  Writer(bytes).all(m.capacity, m.labels, m.slots, m.enforcement, m.functions, m.epoch, m.running,
                    m.version, m.signatures);
  return bytes;
}

Status decode(std::string_view bytes, WorkerHello& m) {
  m.version.clear();
  m.signatures.clear();
  Reader reader(bytes);
  const std::uint32_t fields = Unpacker(bytes).array();
  if (fields < 8)
    reader.all(m.capacity, m.labels, m.slots, m.enforcement, m.functions, m.epoch, m.running);
  else if (fields == 8)
    reader.all(m.capacity, m.labels, m.slots, m.enforcement, m.functions, m.epoch, m.running,
               m.version);
  else
    reader.all(m.capacity, m.labels, m.slots, m.enforcement, m.functions, m.epoch, m.running,
               m.version, m.signatures);
  return reader.done();
}

std::string encode(const BlobChunk& m) {
  std::string bytes;
  Writer(bytes).all(m.digest, m.offset, m.size, m.bytes);
  return bytes;
}

Status decode(std::string_view bytes, BlobChunk& m) {
  Reader reader(bytes);
  reader.all(m.digest, m.offset, m.size, m.bytes);
  if (auto done = reader.done(); !done) return done;
  if (m.bytes.size() > blob_chunk_bytes || m.offset > m.size || m.bytes.size() > m.size - m.offset)
    return corrupt("a part of a blob does not fit it");
  return {};
}

std::string encode(const Submit& m) {
  std::string bytes;
  Writer(bytes).all(m.request, m.idempotency, m.flow ? m.flow->encode() : std::string(),
                    m.flow ? m.flow->folder : std::string(),
                    m.flow ? m.flow->source_file : std::string(), m.options, m.ns,
                    journal::encode_parameters(m.parameters));
  return bytes;
}

Status decode(std::string_view bytes, Submit& m) {
  std::string flow;
  std::string folder;
  std::string source_file;
  std::string parameters;
  Reader reader(bytes);
  reader.all(m.request, m.idempotency, flow, folder, source_file, m.options, m.ns, parameters);
  if (auto done = reader.done(); !done) return done;
  if (m.idempotency.size() > 64) return corrupt("the key of a submit is longer than 64 bytes");
  auto decoded = FlowSpec::decode(flow);
  if (!decoded) return tl::unexpected(decoded.error());
  decoded->folder = std::move(folder);
  decoded->source_file = std::move(source_file);
  m.flow = std::make_shared<const FlowSpec>(std::move(*decoded));
  auto given = journal::decode_parameters(parameters);
  if (!given) return tl::unexpected(given.error());
  m.parameters = std::move(*given);
  return {};
}

std::string encode(const RunEnded& m) {
  std::string bytes;
  Writer(bytes).all(m.request, m.run, m.state, m.message, journal::encode_summary(m.summary),
                    m.outputs);
  return bytes;
}

Status decode(std::string_view bytes, RunEnded& m) {
  std::string summary;
  Reader reader(bytes);
  reader.all(m.request, m.run, m.state, m.message, summary, m.outputs);
  if (auto done = reader.done(); !done) return done;
  auto decoded = journal::decode_summary(summary);
  if (!decoded) return tl::unexpected(decoded.error());
  m.summary = *decoded;
  return {};
}

std::string encode(const Context& m) {
  const RunContext& context = *m.context;
  std::string bytes;
  Writer(bytes).all(m.run, context.run, context.flow->encode(), context.flow->folder,
                    context.flow->source_file, journal::encode_parameters(context.parameters),
                    context.cache, context.as_of, context.started,
                    journal::encode_parameters(context.context), context.files);
  return bytes;
}

Status decode(std::string_view bytes, Context& m) {
  auto context = std::make_shared<RunContext>();
  std::string flow_bytes;
  std::string folder;
  std::string source_file;
  std::string parameters;
  std::string keys;
  Reader reader(bytes);
  // Older programs bring no files.
  if (Unpacker(bytes).array() < 11)
    reader.all(m.run, context->run, flow_bytes, folder, source_file, parameters, context->cache,
               context->as_of, context->started, keys);
  else
    reader.all(m.run, context->run, flow_bytes, folder, source_file, parameters, context->cache,
               context->as_of, context->started, keys, context->files);
  if (auto done = reader.done(); !done) return done;
  auto flow = FlowSpec::decode(flow_bytes);
  if (!flow) return tl::unexpected(flow.error());
  flow->folder = std::move(folder);
  flow->source_file = std::move(source_file);
  context->flow = std::make_shared<const FlowSpec>(std::move(*flow));
  auto bound = journal::decode_parameters(parameters);
  if (!bound) return tl::unexpected(bound.error());
  context->parameters = std::move(*bound);
  auto own = journal::decode_parameters(keys);
  if (!own) return tl::unexpected(own.error());
  context->context = std::move(*own);
  m.context = std::move(context);
  return {};
}

// ---- dispatch ----

namespace {

void write(Writer& out, const Dispatched& m) {
  const Attempt& a = m.attempt;
  out.pack.array(15);
  const auto put = [&](const auto&... fields) { (out.write(fields), ...); };
  put(a.run, a.task, a.number, a.node, a.map_index, a.label, a.run_count, a.loop_count,
      a.loop_result);
  out.pack.array(2 * a.arguments.size());
  for (const Argument& argument : a.arguments) {
    out.pack.bytes(argument.name);
    out.write(argument.value);
  }
  put(a.key, a.user_key, a.resumed);
  if (a.question)
    out.write(*a.question);
  else
    out.pack.nil();
  out.write(m.lease);
}

Status read(Reader& reader, Dispatched& m,
            const std::function<std::shared_ptr<const RunContext>(std::uint32_t run)>& context_of) {
  Attempt& a = m.attempt;
  std::vector<std::pair<std::string, Payload>> arguments;
  std::uint32_t left = reader.in.array();
  if (left < 15) reader.in.fail();
  const auto get = [&](auto&... fields) { (reader.read(fields), ...); };
  get(a.run, a.task, a.number, a.node, a.map_index, a.label, a.run_count, a.loop_count,
      a.loop_result);
  const std::uint32_t count = reader.in.array();
  if (count % 2 != 0 || count > max_elements<Argument>) reader.in.fail();
  for (std::uint32_t i = 0; i < count && !reader.in.failed(); i += 2) {
    auto& [name, value] = arguments.emplace_back();
    get(name, value);
  }
  get(a.key, a.user_key, a.resumed);
  if (reader.in.next_is_nil()) {
    reader.in.nil();
  } else {
    Question question;
    reader.read(question);
    a.question = std::make_shared<const Question>(std::move(question));
  }
  reader.read(m.lease);
  for (; left > 15 && !reader.in.failed(); --left) (void)reader.in.skip();
  if (reader.in.failed()) return corrupt("an attempt does not decode");

  a.context = context_of(a.run);
  if (!a.context) return fail(ErrorCode::not_found, "an attempt of a run that is not known came");
  const FlowSpec& flow = *a.context->flow;
  // A question about the run itself has no node.
  const bool is_of_run = a.question && a.question->kind == Question::Kind::run_hooks;
  if (a.node.value >= flow.nodes.size() && !is_of_run)
    return corrupt("an attempt is of a node that its flow does not have");
  for (auto& [name, value] : arguments) {
    if (a.node.value >= flow.nodes.size()) return corrupt("an attempt's arguments are of no node");
    const auto known = name_in(flow, a.node, name);
    if (!known) return corrupt("an attempt has an argument that its flow does not know");
    a.arguments.push_back({*known, std::move(value)});
  }
  return {};
}

}  // namespace

std::string encode(const Dispatch& message) {
  std::string bytes;
  Writer out(bytes);
  out.pack.array(2);
  out.write(message.epoch);
  out.pack.array(message.attempts.size());
  for (const Dispatched& one : message.attempts) write(out, one);
  return bytes;
}

Status decode(std::string_view bytes,
              const std::function<std::shared_ptr<const RunContext>(std::uint32_t run)>& context_of,
              Dispatch& message) {
  Reader reader(bytes);
  std::uint32_t fields = reader.in.array();
  if (fields < 2) reader.in.fail();
  reader.read(message.epoch);
  message.attempts.clear();
  std::uint32_t count = reader.in.array();
  if (count > max_elements<Dispatched>) reader.in.fail();
  for (; count > 0 && !reader.in.failed(); --count)
    if (auto done = read(reader, message.attempts.emplace_back(), context_of); !done) return done;
  for (; fields > 2 && !reader.in.failed(); --fields) (void)reader.in.skip();
  return reader.done();
}

}  // namespace reprise::cluster::wire
