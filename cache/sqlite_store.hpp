// The store of a data directory: cache.db, shared by any number of processes. Values up to 32 KiB
// lie in the version's row, larger ones in the blob store, by their digest.
#pragma once

#include <filesystem>
#include <memory>

#include "cache/blob_store.hpp"
#include "cache/store.hpp"

namespace reprise::cache {

inline constexpr std::size_t inline_value_bytes = 32 * 1024;

/// Safe from any thread; one at a time is served. Look-ups count in memory; the counts are written
/// with the next commit, at the end, and by count() once a second; never by a look-up.
class SqliteStore final : public Store {
 public:
  struct Options {
    std::filesystem::path path{};
    std::shared_ptr<BlobStore> blobs = nullptr;  // null: "blobs" beside the file
    // The file must exist; commit fails. Also a file that a newer version wrote, see is_newer().
    bool read_only = false;
  };
  /// @error as sqlite::Database::open and BlobStore::open
  [[nodiscard]] static Result<std::unique_ptr<SqliteStore>> open(Options options);
  ~SqliteStore() override;

  /// A newer version wrote the file: it is read as far as it is understood, and left as it is.
  [[nodiscard]] bool is_newer() const;

  [[nodiscard]] Result<std::vector<Found>> search(std::span<const Query> queries,
                                                  Time now) override;
  Result<std::vector<Kept>> commit(std::span<const Commit> commits, Time now) override;
  [[nodiscard]] Result<std::vector<Record>> list(const Listing& listing) override;
  [[nodiscard]] Result<std::vector<Record>> versions(std::string_view key_prefix) override;
  [[nodiscard]] Result<Statistics> statistics() override;
  [[nodiscard]] std::uint64_t removals() override;
  [[nodiscard]] std::vector<bool> are_removed(std::span<const Commit> commits) override;
  void count(const UseCounts& seen) override;
  Status forget_counts() override;
  [[nodiscard]] Result<std::vector<PastAnswer>> look_up_as_of(std::span<const Key> keys,
                                                              Time moment) override;
  [[nodiscard]] Result<KeyPast> past_of(const Key& key, Time moment) override;
  [[nodiscard]] Result<std::vector<Record>> recent(std::string_view name, Time moment,
                                                   std::uint32_t limit) override;
  [[nodiscard]] Result<std::vector<Record>> versions_of_value(std::string_view digest_prefix,
                                                              std::uint32_t limit) override;

 private:
  struct State;
  explicit SqliteStore(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace reprise::cache
