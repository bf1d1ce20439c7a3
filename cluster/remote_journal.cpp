#include "cluster/remote_journal.hpp"

#include <algorithm>
#include <fstream>
#include <system_error>
#include <utility>

#include <fmt/format.h>

#include "cluster/run_queries.hpp"
#include "core/digest.hpp"
#include "core/text.hpp"

namespace reprise::cluster {

namespace {

// Changes that are asked for at once.
constexpr std::size_t changes_per_question = 16384;

template <class Answer>
Result<Answer> ask(Client& client, std::string op, std::string body) {
  const auto bytes = client.query(std::move(op), std::move(body));
  if (!bytes) return tl::unexpected(bytes.error());
  Answer answer;
  if (Status decoded = decode(*bytes, answer); !decoded) return tl::unexpected(decoded.error());
  return answer;
}

// Parts in order, each given to `take`; the size that the server told first is final.
template <class Take>
Status fetch_parts(Client& client, const Digest& digest, std::uint64_t size, Take take) {
  std::uint64_t offset = 0;
  do {
    const auto part =
        ask<wire::BlobChunk>(client, "blob", encode(wire::BlobRequest{digest, offset}));
    if (!part) return tl::unexpected(part.error());
    if (part->size == 0 && size > 0)
      return fail(ErrorCode::not_found, "the server does not have it any more");
    if (part->size != size || part->offset != offset || (part->bytes.empty() && size > 0))
      return fail(ErrorCode::corrupt, "what the server sent is something else");
    if (Status taken = take(part->bytes); !taken) return taken;
    offset += part->bytes.size();
  } while (offset < size);
  return {};
}

tl::unexpected<Error> only_for_reading() {
  return fail(ErrorCode::denied, "the journal of a server is only for reading");
}

}  // namespace

Result<std::vector<journal::RunRow>> RemoteJournal::runs(const journal::RunQuery& query) {
  return ask<wire::RunRows>(client_, "runs", encode(wire::AskRuns{query}))
      .map([](wire::RunRows answer) { return std::move(answer.rows); });
}

Result<std::string> RemoteJournal::flow(const Digest& digest) {
  return client_.query("flow", encode(wire::AskFlow{digest}));
}

Result<std::vector<journal::Journal::Entry>> RemoteJournal::read(const RunId& run,
                                                                 journal::Offset after,
                                                                 std::size_t limit) {
  std::vector<Entry> all;
  std::size_t left = limit;
  while (left > 0) {
    auto part = ask<wire::RunEntries>(
        client_, "changes",
        encode(wire::AskChanges{run, after, std::min(left, changes_per_question)}));
    if (!part) return tl::unexpected(part.error());
    if (part->entries.empty()) break;
    for (Entry& entry : part->entries) {
      after = entry.first + entry.batch.count() - 1;
      left -= std::min<std::size_t>(left, entry.batch.count());
      all.push_back(std::move(entry));
    }
  }
  return all;
}

Result<journal::Epoch> RemoteJournal::begin_epoch(std::uint64_t, const std::string&, Time) {
  return only_for_reading();
}
Status RemoteJournal::flush() {
  return only_for_reading();
}
Status RemoteJournal::open_run(const journal::RunRow&, std::string_view) {
  return only_for_reading();
}
Result<journal::Offset> RemoteJournal::append(std::span<const journal::Batch>) {
  return only_for_reading();
}
Status RemoteJournal::set_summary(const RunId&, const journal::Summary&) {
  return only_for_reading();
}
Status RemoteJournal::remove(const RunId&) {
  return only_for_reading();
}

Result<Payload> fetch_value(Client& client, const Payload& wanted) {
  if (wanted.is_at_hand()) return wanted;
  std::string bytes;
  const Status fetched =
      fetch_parts(client, wanted.digest, wanted.size, [&](const std::string& part) -> Status {
        bytes += part;
        return {};
      });
  if (!fetched) return tl::unexpected(fetched.error());
  Payload value = Payload::of(std::move(bytes));
  if (value != wanted) return fail(ErrorCode::corrupt, "the server sent another value");
  return value;
}

Status fetch_file(Client& client, const FileValue& file, const std::filesystem::path& path) {
  const auto trouble = [&](std::string_view what) {
    return fail(ErrorCode::io,
                fmt::format("write \"{}\": {}", escape_for_terminal(path.string()), what));
  };
  std::ofstream out(path, std::ios::binary | std::ios::trunc);
  if (!out) return trouble("it cannot be made");
  Sha256 hash;
  Status done =
      fetch_parts(client, file.content, file.size, [&](const std::string& part) -> Status {
        hash.update(part);
        out.write(part.data(), static_cast<std::streamsize>(part.size()));
        if (!out) return trouble("the disk may be full");
        return {};
      });
  out.close();
  if (done && !out) done = trouble("the disk may be full");
  if (done && hash.finish() != file.content)
    done = fail(ErrorCode::corrupt, "the server sent another file");
  std::error_code error;
  if (done && file.executable)
    std::filesystem::permissions(path, std::filesystem::perms::owner_exec,
                                 std::filesystem::perm_options::add, error);
  if (!done) std::filesystem::remove(path, error);
  return done;
}

}  // namespace reprise::cluster
