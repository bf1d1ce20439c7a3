#include "actors/engine_data.hpp"

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <map>
#include <string>
#include <utility>

#include <fmt/format.h>

#include "cache/memory_store.hpp"
#include "cache/redis_functions.hpp"
#include "cache/redis_invalidations.hpp"
#include "cache/redis_leases.hpp"
#include "cache/redis_store.hpp"
#include "cache/sqlite_leases.hpp"
#include "cache/sqlite_store.hpp"
#include "cache/tiered_store.hpp"
#include "cache/upkeep.hpp"
#include "core/text.hpp"
#include "journal/sqlite_journal.hpp"

namespace reprise::actors {

namespace {

// Marks what other nodes removed as removed in the folder, so that it is explained as such.
std::function<void(const std::map<Key, Time>&)> forgetting(
    const journal::DataFolder& folder, const std::shared_ptr<cache::BlobStore>& blobs) {
  return [path = folder.cache_file(), blobs,
          blob_folder = folder.blobs()](const std::map<Key, Time>& removed) {
    auto upkeep = cache::Upkeep::open(path, blobs, blob_folder);
    if (!upkeep) return;  // it is passed over all the same
    for (const auto& [key, when] : removed) (void)(*upkeep)->remove({key}, when);
  };
}

// What it has is served, and nothing is kept; no task fails for it. Null: it is of no newer one.
std::unique_ptr<cache::Store> store_of_newer_version(const EngineData& data,
                                                     const EngineOptions& options) {
  auto store = cache::SqliteStore::open(
      {.path = data.folder.cache_file(), .blobs = data.blobs, .read_only = true});
  if (!store || !(*store)->is_newer()) return nullptr;
  if (options.warn)
    options.warn(
        fmt::format("a newer version of reprise wrote \"{}\": what it has is used, and new results "
                    "are not kept; "
                    "use that version, or another data directory",
                    escape_for_terminal(data.folder.cache_file().string())));
  return *std::move(store);
}

// The cache may make a task faster, and never fail it.
std::unique_ptr<cache::Store> store_for_damaged(const EngineData& data,
                                                const EngineOptions& options, const Error& why) {
  if (why.code != ErrorCode::corrupt) return nullptr;
  if (options.warn)
    options.warn(
        fmt::format("the cache is not used and keeps nothing: {}; move \"{}\" away, and a "
                    "new one is made",
                    why.message, escape_for_terminal(data.folder.cache_file().string())));
  return std::make_unique<cache::MemoryStore>();
}

// Before anything is dispatched. A server that keeps no journal of its runs has its epochs in one,
// all the same: workers tell servers apart by them.
Status begin_epoch(EngineData& data, const EngineOptions& options) {
  const RunId random = RunId::generate(now());
  std::uint64_t nonce = 0;
  std::memcpy(&nonce, random.bytes.data() + random.bytes.size() - sizeof nonce, sizeof nonce);
  if (!data.keeps()) {
    data.epoch = {1, nonce, nonce};
    return {};
  }
  std::unique_ptr<journal::Journal> for_this;
  if (!data.journal) {
    auto journal = journal::SqliteJournal::open({.path = data.folder.journal_file()});
    if (!journal) return tl::unexpected(journal.error());
    for_this = std::move(*journal);
  }
  auto begun = (data.journal ? data.journal : for_this)->begin_epoch(nonce, options.name, now());
  if (!begun) return tl::unexpected(begun.error());
  data.epoch = *begun;
  return {};
}

Status open_journal(EngineData& data, const EngineOptions& options) {
  auto journal = journal::SqliteJournal::open({.path = data.folder.journal_file()});
  if (!journal) return tl::unexpected(journal.error());
  if (options.share_journal)
    data.journal = options.share_journal(std::move(*journal));
  else
    data.journal = std::move(*journal);
  data.has_journal = true;
  return {};
}

/// What this node remembers by itself.
struct LocalCache {
  std::unique_ptr<cache::Store> store;
  std::shared_ptr<cache::Leases> leases;  // null: nobody else is in the folder
  std::unique_ptr<cache::FileDigests> digests;
};

Result<LocalCache> open_local_cache(const EngineData& data, const EngineOptions& options) {
  LocalCache local;
  if (!data.keeps()) {
    local.store = std::make_unique<cache::MemoryStore>();
    local.digests = *cache::FileDigests::open({});
    return local;
  }
  auto store = cache::SqliteStore::open({.path = data.folder.cache_file(), .blobs = data.blobs});
  if (!store) {
    local.store = store_of_newer_version(data, options);
    if (!local.store) local.store = store_for_damaged(data, options, store.error());
    if (!local.store) return tl::unexpected(store.error());
    local.digests = *cache::FileDigests::open({});
    return local;
  }
  local.store = std::move(*store);
  auto leases = cache::SqliteLeases::open(data.folder.cache_file());
  if (!leases) return tl::unexpected(leases.error());
  local.leases = std::move(*leases);
  auto digests = cache::FileDigests::open({.path = data.folder.cache_file()});
  if (!digests) return tl::unexpected(digests.error());
  local.digests = std::move(*digests);
  return local;
}

// The store of this node alone, or before the one that nodes share.
void join_tiers(EngineData& data, const EngineOptions& options, LocalCache local) {
  data.digests = std::move(local.digests);
  if (!options.redis) {
    data.store = std::move(local.store);
    data.leases = std::move(local.leases);
    return;
  }
  auto client = std::make_shared<redis::Client>(*options.redis, cache::redis_functions());
  cache::TieredStore::Options tiers;
  tiers.local = std::move(local.store);
  tiers.local_leases = std::move(local.leases);
  tiers.remote = std::make_unique<cache::RedisStore>(cache::RedisStore::Options{
      .client = client, .blobs = data.blobs, .mac_keys = options.mac_keys});
  tiers.remote_leases =
      std::make_shared<cache::RedisLeases>(cache::RedisLeases::Options{.client = client});
  tiers.invalidations = std::make_shared<cache::RedisInvalidations>(client);
  if (data.keeps()) tiers.forget = forgetting(data.folder, data.blobs);
  tiers.warn = options.warn;
  auto tiered = std::make_shared<cache::TieredStore>(std::move(tiers));
  data.store = tiered;
  data.leases = tiered;
}

}  // namespace

Result<std::unique_ptr<EngineData>> EngineData::open(const EngineOptions& options) {
  auto data = std::make_unique<EngineData>();
  std::filesystem::path path = options.data;
  if (path.empty()) {
    std::string pattern = (std::filesystem::temp_directory_path() / "reprise-XXXXXX").string();
    if (mkdtemp(pattern.data()) == nullptr)
      return tl::unexpected(system_error(fmt::format("make folder \"{}\"", pattern), errno));
    path = data->temporary = pattern;
  }
  auto folder = journal::DataFolder::open({.path = path, .create = true});
  if (!folder) return tl::unexpected(folder.error());
  data->folder = std::move(*folder);
  auto blobs = cache::BlobStore::open({.folder = data->folder.blobs(), .sync = data->keeps()});
  if (!blobs) return tl::unexpected(blobs.error());
  data->blobs = std::move(*blobs);
  if (data->keeps() && options.durability != Durability::none)
    if (const Status opened = open_journal(*data, options); !opened)
      return tl::unexpected(opened.error());
  if (options.spawn_worker)
    if (const Status began = begin_epoch(*data, options); !began)
      return tl::unexpected(began.error());
  auto local = open_local_cache(*data, options);
  if (!local) return tl::unexpected(local.error());
  join_tiers(*data, options, *std::move(local));
  return data;
}

EngineData::~EngineData() {
  if (keeps()) return;
  std::error_code ignored;
  std::filesystem::remove_all(temporary, ignored);
}

}  // namespace reprise::actors
