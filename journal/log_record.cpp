#include "journal/log_record.hpp"

#include <algorithm>
#include <charconv>

#include <fmt/format.h>

#include "core/pack.hpp"
#include "journal/run_codec.hpp"

namespace reprise::journal {
namespace {

// A record is an array of its kind and its fields; what a newer program appends is skipped.
enum Kind : std::uint8_t { barrier = 0, restart, run_opened, appended, summarised, run_removed };

template <class... Ts>
struct Overloaded : Ts... {
  using Ts::operator()...;
};
template <class... Ts>
Overloaded(Ts...) -> Overloaded<Ts...>;

std::string_view raw(const RunId& id) {
  return {reinterpret_cast<const char*>(id.bytes.data()), id.bytes.size()};
}

RunId run_id(Unpacker& in) {
  RunId id;
  const std::string_view bytes = in.bytes();
  if (bytes.size() == id.bytes.size())
    std::copy(bytes.begin(), bytes.end(), reinterpret_cast<char*>(id.bytes.data()));
  else
    in.fail();
  return id;
}

tl::unexpected<Error> not_a_record() {
  return fail(ErrorCode::corrupt, "a record of the shared log does not decode");
}

Result<Appended> batches_of(Unpacker& in) {
  Appended record;
  const std::uint32_t count = in.array();
  for (std::uint32_t i = 0; i + 1 < count && !in.failed(); i += 2) {
    const RunId run = run_id(in);
    auto batch = decode(run, in.bytes());
    if (!batch) return tl::unexpected(batch.error());
    record.batches.push_back(*std::move(batch));
  }
  if (count % 2 != 0) in.fail();
  return record;
}

}  // namespace

std::string LogPosition::text() const {
  return fmt::format("{}-{}", epoch, sequence);
}

Result<LogPosition> LogPosition::parse(std::string_view text) {
  LogPosition position;
  const char* end = text.data() + text.size();
  const auto first = std::from_chars(text.data(), end, position.epoch);
  if (first.ec == std::errc{} && first.ptr != end && *first.ptr == '-') {
    const auto second = std::from_chars(first.ptr + 1, end, position.sequence);
    if (second.ec == std::errc{} && second.ptr == end) return position;
  }
  return fail(ErrorCode::corrupt, "a place in the shared log does not decode");
}

std::string encode(const LogRecord& record) {
  std::string out;
  Packer pack(out);
  std::visit(Overloaded{
                 [&](const Barrier& one) {
                   pack.array(2);
                   pack.integer(barrier);
                   pack.bytes(one.leader);
                 },
                 [&](const Restart&) {
                   pack.array(1);
                   pack.integer(restart);
                 },
                 [&](const RunOpened& one) {
                   pack.array(2);
                   pack.integer(run_opened);
                   pack.bytes(encode_row(one.row));
                 },
                 [&](const Appended& one) {
                   pack.array(2);
                   pack.integer(appended);
                   pack.array(one.batches.size() * 2);
                   for (const Batch& batch : one.batches) {
                     pack.bytes(raw(batch.run));
                     pack.bytes(encode(batch));
                   }
                 },
                 [&](const Summarised& one) {
                   pack.array(3);
                   pack.integer(summarised);
                   pack.bytes(raw(one.run));
                   pack.bytes(encode_summary(one.summary));
                 },
                 [&](const RunRemoved& one) {
                   pack.array(2);
                   pack.integer(run_removed);
                   pack.bytes(raw(one.run));
                 },
             },
             record);
  return out;
}

Result<LogRecord> decode_log_record(std::string_view bytes) {
  Unpacker in(bytes);
  LogRecord record;
  const std::uint32_t fields = in.array();
  const std::uint64_t kind = in.unsigned_integer();
  std::uint32_t read = 2;
  switch (kind) {
    case barrier:
      record = Barrier{std::string(in.bytes())};
      break;
    case restart:
      record = Restart{};
      read = 1;
      break;
    case run_opened: {
      auto row = decode_row(in.bytes());
      if (!row) return tl::unexpected(row.error());
      record = RunOpened{*std::move(row)};
      break;
    }
    case appended: {
      auto one = batches_of(in);
      if (!one) return tl::unexpected(one.error());
      record = *std::move(one);
      break;
    }
    case summarised: {
      Summarised one;
      one.run = run_id(in);
      auto summary = decode_summary(in.bytes());
      if (!summary) return tl::unexpected(summary.error());
      one.summary = *summary;
      record = one;
      read = 3;
      break;
    }
    case run_removed:
      record = RunRemoved{run_id(in)};
      break;
    default:
      return not_a_record();
  }
  if (fields < read) return not_a_record();
  for (; read < fields && !in.failed(); ++read) static_cast<void>(in.skip());
  if (!in.at_end()) return not_a_record();
  return record;
}

}  // namespace reprise::journal
