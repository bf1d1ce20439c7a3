#include "actors/nested_flow.hpp"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "cache/blob_store.hpp"
#include "core/failure.hpp"
#include "core/text.hpp"
#include "flow/flow_file.hpp"
#include "journal/records.hpp"

namespace reprise::actors {

namespace {

constexpr std::uint64_t text_bytes_max = std::uint64_t{8} << 20;  // as of a flow file
constexpr std::uint64_t record_bytes_max = std::uint64_t{64} << 20;
constexpr std::size_t mistakes_shown = 3;

const NestedBody& body_of(const Attempt& attempt) {
  return std::get<NestedBody>(attempt.context->flow->kind_of(attempt.node).body);
}

Status too_large(std::uint64_t bytes, std::uint64_t most) {
  if (bytes <= most) return {};
  return fail(ErrorCode::exhausted,
              fmt::format("the flow that it is to run has {} bytes; {} are read", bytes, most));
}

/// It lies where the calling flow does: input files are looked for in that folder.
std::shared_ptr<const FlowSpec> placed(FlowSpec flow, const Attempt& attempt) {
  flow.folder = attempt.context->flow->folder;
  return std::make_shared<const FlowSpec>(std::move(flow));
}

Result<std::shared_ptr<const FlowSpec>> flow_of_text(const std::string& text,
                                                     const Attempt& attempt,
                                                     const KnownSignatures& functions,
                                                     FlowFileOptions::Missing missing) {
  if (auto fits = too_large(text.size(), text_bytes_max); !fits)
    return tl::unexpected(fits.error());
  FlowFileOptions options;
  options.folder = attempt.context->flow->folder;
  options.functions = functions;
  options.missing_function = missing;
  options.check_files = false;  // they may lie where its tasks run
  FlowFile decoded =
      decode_flow_file(text, attempt.context->flow->nodes[attempt.node.value].name, options);
  if (!decoded.flow)
    return fail(ErrorCode::invalid_argument,
                fmt::format("the flow that it is to run has mistakes: {}",
                            describe(decoded.diagnostics, mistakes_shown)));
  return placed(*std::move(decoded.flow), attempt);
}

Result<std::shared_ptr<const FlowSpec>> flow_of_record(const std::string& bytes,
                                                       const Attempt& attempt) {
  if (auto fits = too_large(bytes.size(), record_bytes_max); !fits)
    return tl::unexpected(fits.error());
  auto flow = FlowSpec::decode(bytes);
  if (!flow)
    return fail(ErrorCode::invalid_argument,
                "the bytes that it is to run as a flow are none: " + flow.error().message);
  return placed(*std::move(flow), attempt);
}

Result<Payload> whole(const Payload& value, cache::BlobStore& blobs) {
  if (value.is_at_hand()) return value;
  return blobs.get_value(value.digest);
}

Result<Payload> value_of(const NestedEnd& end, cache::BlobStore& blobs) {
  if (!end.output.empty()) {
    const auto found = end.outputs.find(end.output);
    if (found == end.outputs.end())
      return fail(ErrorCode::not_found,
                  fmt::format("it has no output \"{}\"", escape_for_terminal(end.output)));
    return whole(found->second, blobs);
  }
  Map all;
  for (const auto& [name, output] : end.outputs) {
    const Result<Payload> bytes = whole(output, blobs);
    if (!bytes) return tl::unexpected(bytes.error());
    Result<Value> value = bytes->value();
    if (!value) return tl::unexpected(value.error());
    all.emplace_back(name, *std::move(value));
  }
  return Payload::of(Value(std::move(all)));
}

void set_failed(const NestedEnd& end, const std::string& why, Outcome& outcome) {
  outcome.state = TaskState::failed;
  outcome.failure = FailureClass::task;
  outcome.message = fmt::format("run {} of flow \"{}\" {}", end.run.short_text(),
                                escape_for_terminal(end.flow), why);
  outcome.value = failure_payload("NestedRunFailed", outcome.message);
}

std::string why_failed(const NestedEnd& end) {
  if (!end.first_failure.empty()) return "failed: " + end.first_failure;
  return end.message.empty() ? std::string("failed") : "failed: " + end.message;
}

void succeed(const NestedEnd& end, cache::BlobStore& blobs, Outcome& outcome) {
  Result<Payload> value = value_of(end, blobs);
  if (!value) return set_failed(end, "ended, but " + value.error().message, outcome);
  // As with every result: who needs it in this run has it in memory, and a process that goes on
  // with the run and does not find it asks the nested run once more.
  if (value->size > journal::inline_result_bytes) (void)blobs.put_value(*value);
  outcome.state = TaskState::success;
  outcome.value = *std::move(value);
}

}  // namespace

Result<std::shared_ptr<const FlowSpec>> nested_flow(const Attempt& attempt, cache::BlobStore& blobs,
                                                    const KnownSignatures& functions,
                                                    FlowFileOptions::Missing missing) {
  const NestedBody& body = body_of(attempt);
  if (body.flow) {
    const FlowSpec& outer = *attempt.context->flow;
    const auto& known = outer.nested[*body.flow];
    return known->folder == outer.folder ? known : placed(*known, attempt);
  }
  const auto source = std::ranges::find(attempt.arguments, body.source, &Argument::name);
  if (source == attempt.arguments.end())
    return fail(ErrorCode::invalid_argument, "it was given no flow to run");
  const Result<Payload> bytes = whole(source->value, blobs);
  if (!bytes) return tl::unexpected(bytes.error());
  const Result<Value> value = bytes->value();
  if (!value) return tl::unexpected(value.error());
  if (const auto file = as_file(*value)) {
    if (auto fits = too_large(file->size, text_bytes_max); !fits)
      return tl::unexpected(fits.error());
    const Result<std::string> text = blobs.get(file->content, text_bytes_max);
    if (!text) return tl::unexpected(text.error());
    return flow_of_text(*text, attempt, functions, missing);
  }
  if (const auto* text = value->get_if<std::string>())
    return flow_of_text(*text, attempt, functions, missing);
  if (const auto* record = value->get_if<Bytes>()) return flow_of_record(record->data, attempt);
  return fail(ErrorCode::invalid_argument,
              fmt::format("what it is to run is no flow, but {}", shorten(to_json(*value), 60)));
}

Parameters nested_parameters(const Attempt& attempt) {
  Parameters parameters;
  for (const auto& [name, type] : attempt.context->flow->kind_of(attempt.node).signature.inputs) {
    const auto given = std::ranges::find(attempt.arguments, name, &Argument::name);
    if (given != attempt.arguments.end()) parameters.emplace(name, given->value);
  }
  return parameters;
}

Outcome nested_outcome(const NestedEnd& end, cache::BlobStore& blobs) {
  Outcome outcome;
  outcome.started = end.started;
  outcome.duration = end.duration;
  outcome.executed = end.state != RunState::paused;  // counted once, when it is over
  switch (end.state) {
    case RunState::success:
      succeed(end, blobs, outcome);
      break;
    case RunState::failed:
      set_failed(end, why_failed(end), outcome);
      break;
    case RunState::cancelling:
    case RunState::cancelled:
      outcome.state = TaskState::cancelled;
      outcome.failure = FailureClass::cancelled;
      outcome.message = fmt::format("run {} was cancelled", end.run.short_text());
      break;
    case RunState::queued:
    case RunState::running:
    case RunState::paused:
    case RunState::interrupted:
      outcome.state = TaskState::paused;
      outcome.message = fmt::format("run {} waits for a person", end.run.short_text());
      break;
  }
  return outcome;
}

}  // namespace reprise::actors
