// Verifying: whether every version and every blob is what its digest says.
#include <system_error>

#include <fmt/format.h>

#include "cache/blob_files.hpp"
#include "cache/upkeep.hpp"
#include "cache/upkeep_state.hpp"

namespace reprise::cache {

namespace fs = std::filesystem;
using sqlite::Statement;

Result<Verified> Upkeep::verify(bool repair, const std::set<Digest>& blobs_in_use, Duration grace,
                                Time now) {
  Verified verified;
  auto all = state_->rows("status IN (0, 1)");
  if (!all) return tl::unexpected(all.error());
  std::vector<std::int64_t> damaged;
  std::set<Digest> needed = blobs_in_use;
  for (const UpkeepRow& row : *all) {
    ++verified.versions;
    const std::string what = fmt::format("{} version {}", row.record.key.text(), row.number);
    auto value = state_->value_of(row.id, row.record.value);
    if (!value) return tl::unexpected(value.error());
    needed.insert(row.record.value.digest);
    if (!*value) {
      verified.problems.push_back({Verified::Fault::wrong, what, repair});
      damaged.push_back(row.id);
      continue;
    }
    const auto decoded = (*value)->value();
    if (!decoded) {
      verified.problems.push_back({Verified::Fault::record, what, repair});
      damaged.push_back(row.id);
      continue;
    }
    for (const Digest& file : files_in(*decoded)) {
      needed.insert(file);
      const auto blob = blob_file(state_->blobs->path_of(file));
      if (blob && digest_of_file(*blob) == file) continue;
      verified.problems.push_back({blob ? Verified::Fault::wrong : Verified::Fault::missing,
                                   fmt::format("{} needs file {}", what, file.text()), repair});
      damaged.push_back(row.id);
    }
  }
  Statement broken(*state_->database,
                   "SELECT id FROM version WHERE status IN (0, 1) AND (length(key) <> 32 OR "
                   "length(digest) <> 32 OR length(run) <> 16)");
  for (;;) {
    auto more = broken.next();
    if (!more) return tl::unexpected(more.error());
    if (!*more) break;
    damaged.push_back(broken.integer(0));
    verified.problems.push_back(
        {Verified::Fault::record, fmt::format("row {}", broken.integer(0)), repair});
  }
  broken.reset();
  for (const BlobFile& file : blob_files(state_->folder)) {
    ++verified.blobs;
    const bool is_needed = needed.contains(file.digest);
    const bool is_good = digest_of_file(file) == file.digest;
    if (is_good && (is_needed || file.modified > now - grace)) continue;
    const auto fault = is_good ? Verified::Fault::orphan : Verified::Fault::wrong;
    verified.problems.push_back({fault, "blob " + file.digest.text(), repair});
    if (!repair) continue;
    std::error_code error;
    if (is_good) {
      fs::remove(file.path, error);
    } else {
      const fs::path aside = state_->folder / "quarantine" / (file.digest.hex() + ".verify");
      fs::create_directories(aside.parent_path(), error);
      fs::rename(file.path, aside, error);
    }
  }
  if (!repair || damaged.empty()) return verified;
  const auto done = state_->write([&]() -> Status {
    for (const std::int64_t id : damaged) {
      Statement mark(
          *state_->database,
          "UPDATE version SET status = 3, value = NULL WHERE id = ?1 AND status IN (0, 1)");
      if (auto marked = mark.run(id); !marked) return marked;
    }
    return state_->recount();
  });
  if (!done) return tl::unexpected(done.error());
  return verified;
}

}  // namespace reprise::cache
