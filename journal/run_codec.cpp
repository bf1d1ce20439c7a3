#include "journal/run_codec.hpp"

#include <algorithm>
#include <array>

#include "core/pack.hpp"

namespace reprise::journal {
namespace {

constexpr std::uint32_t row_fields = 14;

// In the order they are written; new ones go to the end.
template <class S>
auto counts(S& s) {
  return std::array{&s.tasks, &s.executed, &s.cached, &s.failed, &s.skipped, &s.cancelled};
}

}  // namespace

std::string encode_parameters(const Parameters& parameters) {
  std::string out;
  Packer pack(out);
  pack.array(parameters.size() * 2);
  for (const auto& [name, value] : parameters) {
    pack.bytes(name);  // any bytes
    if (value.is_none())
      pack.nil();
    else
      pack.bytes(value.view());
  }
  return out;
}

Result<Parameters> decode_parameters(std::string_view bytes) {
  Unpacker in(bytes);
  Parameters parameters;
  const std::uint32_t count = in.array();
  for (std::uint32_t i = 0; i + 1 < count && !in.failed(); i += 2) {
    std::string name(in.bytes());
    if (in.next_is_nil()) {
      in.nil();
      parameters[name] = Payload{};
    } else {
      parameters[name] = Payload::of(std::string(in.bytes()));
    }
  }
  if (count % 2 != 0 || !in.at_end())
    return fail(ErrorCode::corrupt, "parameters of a run do not decode");
  return parameters;
}

std::string encode_summary(const Summary& summary) {
  std::string out;
  Packer pack(out);
  const auto fields = counts(summary);
  pack.array(fields.size());
  for (const std::uint64_t* field : fields) pack.unsigned_integer(*field);
  return out;
}

Result<Summary> decode_summary(std::string_view bytes) {
  Unpacker in(bytes);
  Summary summary;
  const auto fields = counts(summary);
  const std::uint32_t count = in.array();
  for (std::uint32_t i = 0; i < count && !in.failed(); ++i) {
    const std::uint64_t value = in.unsigned_integer();
    if (i < fields.size()) *fields[i] = value;
  }
  if (!in.at_end()) return fail(ErrorCode::corrupt, "summary of a run does not decode");
  return summary;
}

std::string encode_row(const RunRow& row) {
  std::string out;
  Packer pack(out);
  pack.array(row_fields);
  pack.bytes({reinterpret_cast<const char*>(row.id.bytes.data()), row.id.bytes.size()});
  pack.bytes(row.flow_name);
  pack.bytes(row.flow.raw());
  pack.bytes(row.parameters_digest.raw());
  pack.bytes(encode_parameters(row.parameters));
  pack.bytes(row.folder);
  pack.bytes(row.source_file);
  pack.bytes(row.submitted_by);
  pack.integer(static_cast<int>(row.state));
  pack.bytes(row.message);
  pack.integer(row.submitted.time_since_epoch().count());
  if (row.finished)
    pack.integer(row.finished->time_since_epoch().count());
  else
    pack.nil();
  pack.bytes(encode_summary(row.summary));
  pack.bytes(row.options);
  return out;
}

Result<RunRow> decode_row(std::string_view bytes) {
  Unpacker in(bytes);
  RunRow row;
  in.array(row_fields);
  const std::string_view id = in.bytes();
  row.flow_name = in.bytes();
  const auto flow = Digest::from_raw(in.bytes());
  const auto parameters_digest = Digest::from_raw(in.bytes());
  auto parameters = decode_parameters(in.bytes());
  row.folder = in.bytes();
  row.source_file = in.bytes();
  row.submitted_by = in.bytes();
  row.state =
      static_cast<RunState>(in.unsigned_integer(static_cast<unsigned>(RunState::interrupted)));
  row.message = in.bytes();
  row.submitted = Time(Duration(in.integer()));
  if (in.next_is_nil())
    in.nil();
  else
    row.finished = Time(Duration(in.integer()));
  const auto summary = decode_summary(in.bytes());
  row.options = in.bytes();
  if (!in.at_end() || id.size() != row.id.bytes.size() || !flow || !parameters_digest ||
      !parameters || !summary)
    return fail(ErrorCode::corrupt, "a run does not decode");
  std::copy(id.begin(), id.end(), reinterpret_cast<char*>(row.id.bytes.data()));
  row.flow = *flow;
  row.parameters_digest = *parameters_digest;
  row.parameters = *std::move(parameters);
  row.summary = *summary;
  return row;
}

std::optional<IdRange> ids_with_prefix(std::string_view prefix) {
  constexpr std::size_t digits = 26;
  if (prefix.size() > digits) return std::nullopt;
  std::string first(prefix);
  std::string last(prefix);
  if (prefix.empty()) last = "7";  // 26 digits hold 130 bits, ids have 128
  first.resize(digits, '0');
  last.resize(digits, 'Z');
  auto from = RunId::parse(first);
  auto to = RunId::parse(last);
  if (!from || !to) return std::nullopt;
  return IdRange{*from, *to};
}

}  // namespace reprise::journal
