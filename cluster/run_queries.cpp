#include "cluster/run_queries.hpp"

#include <utility>

#include "cluster/wire_codec.hpp"
#include "journal/run_codec.hpp"

namespace reprise::cluster::wire {

REPRISE_WIRE_CODEC(AskFlow, m.flow)
REPRISE_WIRE_CODEC(AskChanges, m.run, m.after, m.limit)
REPRISE_WIRE_CODEC(AskResult, m.run, m.node)
REPRISE_WIRE_CODEC(NodeResult, m.value)
REPRISE_WIRE_CODEC(AskLog, m.run, m.task, m.attempt, m.is_err, m.offset, m.from_end, m.limit)
REPRISE_WIRE_CODEC(LogPart, m.offset, m.bytes)
REPRISE_WIRE_CODEC(AskAgain, m.run, m.tasks, m.failed, m.cancelled)
REPRISE_WIRE_CODEC(Forked, m.run, m.given, m.again)
REPRISE_WIRE_CODEC(AskRuns, m.query.id_prefix, m.query.flow_name, m.query.state, m.query.flow,
                   m.query.parameters_digest, m.query.since, m.query.limit)

std::string encode(const AskFork& m) {
  std::string bytes;
  Writer(bytes).all(m.run, m.at, journal::encode_parameters(m.parameters), m.cache, m.idempotency);
  return bytes;
}

Status decode(std::string_view bytes, AskFork& m) {
  std::string parameters;
  Reader reader(bytes);
  reader.all(m.run, m.at, parameters, m.cache, m.idempotency);
  if (auto done = reader.done(); !done) return done;
  auto decoded = journal::decode_parameters(parameters);
  if (!decoded) return tl::unexpected(decoded.error());
  m.parameters = *std::move(decoded);
  if (m.cache > static_cast<std::uint32_t>(CacheMode::only))
    return fail(ErrorCode::corrupt, "there is no such use of the cache");
  return {};
}

std::string encode(const RunRows& m) {
  std::vector<std::string> rows;
  rows.reserve(m.rows.size());
  for (const journal::RunRow& row : m.rows) rows.push_back(journal::encode_row(row));
  std::string bytes;
  Writer(bytes).all(rows);
  return bytes;
}

Status decode(std::string_view bytes, RunRows& m) {
  std::vector<std::string> rows;
  Reader reader(bytes);
  reader.all(rows);
  if (auto done = reader.done(); !done) return done;
  m.rows.clear();
  for (const std::string& row : rows) {
    auto decoded = journal::decode_row(row);
    if (!decoded) return tl::unexpected(decoded.error());
    m.rows.push_back(*std::move(decoded));
  }
  return {};
}

std::string encode(const RunEntries& m) {
  std::vector<journal::Offset> firsts;
  std::vector<journal::Batch> batches;
  for (const auto& [first, batch] : m.entries) {
    firsts.push_back(first);
    batches.push_back(batch);
  }
  std::string bytes;
  Writer(bytes).all(firsts, batches);
  return bytes;
}

Status decode(std::string_view bytes, RunEntries& m) {
  std::vector<journal::Offset> firsts;
  std::vector<journal::Batch> batches;
  Reader reader(bytes);
  reader.all(firsts, batches);
  if (auto done = reader.done(); !done) return done;
  if (firsts.size() != batches.size())
    return fail(ErrorCode::corrupt, "changes without their offsets");
  m.entries.clear();
  for (std::size_t i = 0; i < firsts.size(); ++i)
    m.entries.push_back({firsts[i], std::move(batches[i])});
  return {};
}

}  // namespace reprise::cluster::wire
