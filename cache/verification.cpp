// Verifying: whether every version and every blob is what its digest says.
#include <system_error>

#include <fmt/format.h>

#include "cache/blob_files.hpp"
#include "cache/database.hpp"
#include "cache/upkeep.hpp"
#include "cache/upkeep_state.hpp"

namespace reprise::cache {

namespace fs = std::filesystem;
using sqlite::Statement;

Result<Verified> Upkeep::verify(bool repair, const std::set<Digest>& blobs_in_use, Duration grace,
                                Time now) {
  Verified verified;
  std::vector<std::pair<Key, std::int64_t>> damaged;
  std::set<Digest> needed = blobs_in_use;
  const auto look_at = [&](const UpkeepRow& row) {
    const Payload& value = row.record.value;
    const std::string what = fmt::format("{} version {}", row.record.key.text(), row.number);
    const auto report = [&](Verified::Fault fault, std::string about) {
      verified.problems.push_back({fault, std::move(about), repair});
      if (damaged.empty() || damaged.back().second != row.id)
        damaged.emplace_back(row.record.key, row.id);
    };
    ++verified.versions;
    bool is_right = value.is_nil();
    if (value.bytes) {
      is_right = Payload::of(*value.bytes) == value;
    } else if (!is_right) {
      needed.insert(value.digest);
      const auto file = state_->value_file(value.digest);
      is_right = file && digest_of_file(*file) == value.digest;
    }
    if (!is_right) return report(Verified::Fault::wrong, what);
    if (value.bytes && !value.value()) return report(Verified::Fault::record, what);
    for (const FileValue& file : state_->files_of(row)) {
      needed.insert(file.content);
      const auto blob = blob_file(state_->blobs->path_of(file.content));
      if (blob && digest_of_file(*blob) == file.content) continue;
      report(blob ? Verified::Fault::wrong : Verified::Fault::missing,
             fmt::format("{} needs file {}", what, file.content.text()));
    }
  };
  const auto looked = state_->each_window(is_good, State::Extra::value, rows_at_once,
                                          [&](std::vector<UpkeepRow>& rows) {
                                            for (const UpkeepRow& row : rows) look_at(row);
                                            return Status{};
                                          });
  if (!looked) return tl::unexpected(looked.error());
  std::vector<std::int64_t> undecodable;
  Statement broken(*state_->database,
                   "SELECT id FROM version WHERE status IN (0, 1) AND (length(key) <> 32 OR "
                   "length(digest) <> 32 OR length(run) <> 16)");
  for (;;) {
    auto more = broken.next();
    if (!more) return tl::unexpected(more.error());
    if (!*more) break;
    undecodable.push_back(broken.integer(0));
    verified.problems.push_back(
        {Verified::Fault::record, fmt::format("row {}", broken.integer(0)), repair});
  }
  broken.reset();
  for (const BlobFile& file : blob_files(state_->folder)) {
    ++verified.blobs;
    const bool is_needed = needed.contains(file.digest);
    const bool is_right = digest_of_file(file) == file.digest;
    if (is_right && (is_needed || file.modified > now - grace)) continue;
    const auto fault = is_right ? Verified::Fault::orphan : Verified::Fault::wrong;
    verified.problems.push_back({fault, "blob " + file.digest.text(), repair});
    if (!repair) continue;
    std::error_code error;
    if (is_right) {
      fs::remove(file.path, error);
    } else {
      const fs::path aside = state_->folder / "quarantine" / (file.digest.hex() + ".verify");
      fs::create_directories(aside.parent_path(), error);
      fs::rename(file.path, aside, error);
    }
  }
  if (!repair) return verified;
  const auto mark = [&](std::int64_t id) {
    Statement update(*state_->database,
                     "UPDATE version SET status = 3, value = NULL WHERE id = ?1");
    return update.run(id);
  };
  const auto done = state_->write([&]() -> Status {
    for (const auto& [key, id] : damaged)
      if (auto marked = state_->counted(key, [&, id = id] { return mark(id); }); !marked)
        return marked;
    // Of which key they are nobody can tell; the counters are a little too high from then on.
    for (const std::int64_t id : undecodable)
      if (auto marked = mark(id); !marked) return marked;
    return {};
  });
  if (!done) return tl::unexpected(done.error());
  return verified;
}

}  // namespace reprise::cache
