// Erasing results for good, as a law may demand it: not only what is current, as Upkeep::remove
// does, but history, materials, blobs, what was set aside, and the bytes that deleting leaves in
// files. What stays of an entry is a version without content that says that something was erased.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "cache/blob_store.hpp"
#include "cache/upkeep.hpp"

namespace reprise::cache {

/// Which versions are meant: those that fit the selection, and those of these values.
struct ErasureRequest {
  std::optional<Selection> selection{};  // none: only `values`
  std::set<Digest> values{};             // of values, and of files that values name

  /// @param version_of_task  as in the entry's material; empty = not known
  [[nodiscard]] bool fits(const Key& key, std::string_view name, std::string_view task,
                          const RunId& run, std::string_view version_of_task) const;
};

/// What will go, worked out before anything does.
struct ErasurePlan {
  struct Row {
    std::int64_t id = 0;
    Key key;
    std::uint64_t size = 0;
  };
  ErasureRequest request;  // what is computed meanwhile and fits it is not kept
  std::vector<Row> rows;
  std::set<Key> keys;        // of which something goes
  std::set<Digest> content;  // values and files within them that go with it
  std::set<Digest> forced;   // among these: asked for themselves, whoever else needs them
};

struct Erased {
  std::uint64_t entries = 0;  // keys
  std::uint64_t versions = 0;
  std::uint64_t value_bytes = 0;
  std::uint64_t materials = 0;
  std::uint64_t pins = 0;
  std::uint64_t blobs = 0;
  std::uint64_t blob_bytes = 0;
  std::uint64_t set_aside = 0;  // damaged copies in quarantine
  std::uint64_t shared = 0;     // blobs that stay, because results that were not meant need them
  std::uint64_t linked = 0;     // blobs that work folders or outputs have as well, by hard links
  std::uint64_t backups = 0;    // copies of the database that an update had put beside it
  /// Deleted pages are overwritten, and the log with what was before is gone. False: another
  /// process reads it at the moment.
  bool is_log_clean = false;
};

/// Beside the store and while it is in use.
class Erasure {
 public:
  /// @param path  of cache.db, which must exist. @error as sqlite::Database::open
  [[nodiscard]] static Result<std::unique_ptr<Erasure>> open(const std::filesystem::path& path,
                                                             std::filesystem::path blob_folder);
  ~Erasure();

  /// @error unavailable, io, corrupt
  [[nodiscard]] Result<ErasurePlan> plan(const ErasureRequest& request);
  /// @param in_use  digests that others than the cache need; forced ones go nevertheless
  /// @param dry_run  only counts. @error unavailable, io, exhausted
  Result<Erased> erase(const ErasurePlan& plan, const std::set<Digest>& in_use, bool dry_run,
                       Time now);

 private:
  struct State;
  explicit Erasure(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

/// Removes copies of a database that updates had put beside it. @return how many there were
std::uint64_t erase_backups(const std::filesystem::path& database, bool dry_run);

}  // namespace reprise::cache
