#include "journal/run_codec.hpp"

#include <array>

#include "core/pack.hpp"

namespace reprise::journal {
namespace {

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
