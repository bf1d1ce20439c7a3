// What the parts of Upkeep share: upkeep.cpp, collection.cpp, verification.cpp.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <set>
#include <string_view>
#include <vector>

#include "cache/upkeep.hpp"
#include "sqlite/database.hpp"

namespace reprise::cache {

struct UpkeepRow {
  std::int64_t id = 0;
  std::int64_t number = 0;
  VersionStatus status = VersionStatus::ok;
  Record record;
};

struct Upkeep::State {
  std::unique_ptr<sqlite::Database> database;
  std::shared_ptr<BlobStore> blobs;
  std::filesystem::path folder;  // of the blobs

  Result<std::vector<UpkeepRow>> rows(std::string_view condition, std::string_view id = {});
  Result<std::optional<Payload>> value_of(std::int64_t version_id, const Payload& known);
  Result<bool> is_pinned(const Record& record);
  Status set_horizon(const Key& key, Time at);
  Status remove_version(std::int64_t version_id);
  Status remove_key(const Key& key, Time now);
  Status trim_history(const CollectRequest& request, Time now, Collected& collected);
  Status evict(const CollectRequest& request, Time now, Collected& collected);
  Status sweep(const CollectRequest& request, Time now, Collected& collected);
  Result<std::set<Digest>> needed_blobs(const std::set<Digest>& in_use);

  template <class F>
  Status write(F action) {
    auto transaction = sqlite::Transaction::begin(*database);
    if (!transaction) return tl::unexpected(transaction.error());
    if (Status done = action(); !done) return done;
    return transaction->commit();
  }
};

}  // namespace reprise::cache
