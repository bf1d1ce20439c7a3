#include "reprise/local_cache.hpp"

#include <mutex>

#include <fmt/format.h>

#include "api/convert.hpp"
#include "cache/sqlite_store.hpp"
#include "cache/upkeep.hpp"
#include "core/cache_key.hpp"
#include "core/key_space.hpp"
#include "core/text.hpp"
#include "journal/data_folder.hpp"

namespace reprise {

struct local_cache::state {
  std::filesystem::path data;
  KeySpace space;
  std::mutex mutex;
  std::optional<journal::DataFolder> folder;
  std::shared_ptr<cache::BlobStore> blobs;
  std::unique_ptr<cache::SqliteStore> store;  // null: not initialised

  Status open() {
    const std::lock_guard guard(mutex);
    if (store) return {};
    auto opened = journal::DataFolder::open({data, true});
    if (!opened) return tl::unexpected(opened.error());
    auto made = cache::BlobStore::open({opened->blobs(), true});
    if (!made) return tl::unexpected(made.error());
    blobs = *std::move(made);
    auto results = cache::SqliteStore::open({.path = opened->cache_file(), .blobs = blobs});
    if (!results) return tl::unexpected(results.error());
    folder = *std::move(opened);
    store = *std::move(results);
    return {};
  }
};

namespace {

// No run made these results: that is what clear() knows them by.
constexpr RunId nobody{};

Result<Material> material_of(std::string_view name, std::string_view version,
                             const local_cache::inputs& in, const local_cache::names& ignored,
                             const KeySpace& space) {
  Material material;
  material.name = name;
  material.version = version;
  Signature signature;
  for (const auto& [input, content] : in) {
    if (ignored.contains(input)) continue;
    const codec::encoded encoded = codec::encode(content);
    if (!encoded.uncacheable.empty())
      return fail(ErrorCode::invalid_argument,
                  fmt::format("input \"{}\" cannot be cached: {}", escape_for_terminal(input),
                              encoded.uncacheable));
    signature.inputs.emplace_back(input, "any");
    material.arguments.emplace(input, digest_in("arg", encoded.bytes));
  }
  material.signature = signature.digest();
  space.apply_to(material);
  if (auto good = material.check(); !good) return tl::unexpected(good.error());
  return material;
}

}  // namespace

local_cache::local_cache(std::filesystem::path data, std::string account, std::string salt)
    : state_(std::make_unique<state>()) {
  state_->data = std::move(data);
  state_->space = {.account = std::move(account), .salt = std::move(salt)};
}
local_cache::~local_cache() = default;

expected<void> local_cache::initialize() {
  if (auto opened = state_->open(); !opened)
    return tl::unexpected(detail::to_public(opened.error()));
  return {};
}

expected<void> local_cache::clear() {
  if (auto ready = initialize(); !ready) return ready;
  auto upkeep =
      cache::Upkeep::open(state_->folder->cache_file(), state_->blobs, state_->folder->blobs());
  if (!upkeep) return tl::unexpected(detail::to_public(upkeep.error()));
  auto records = (*upkeep)->select({.run = nobody});
  if (!records) return tl::unexpected(detail::to_public(records.error()));
  std::set<Key> keys;
  for (const cache::Record& record : *records) keys.insert(record.key);
  if (auto removed = (*upkeep)->remove(keys, now()); !removed)
    return tl::unexpected(detail::to_public(removed.error()));
  return {};
}

expected<std::optional<std::string>> local_cache::get_bytes(std::string_view name,
                                                            std::string_view version,
                                                            const inputs& in,
                                                            const names& ignored) {
  const auto material = material_of(name, version, in, ignored, state_->space);
  if (!material) return tl::unexpected(detail::to_public(material.error()));
  if (auto ready = initialize(); !ready) return tl::unexpected(ready.error());
  const Key key = Key::of(*material);
  auto found = state_->store->look_up({&key, 1}, now());
  if (!found) return tl::unexpected(detail::to_public(found.error()));
  cache::UseCounts seen;
  seen.add(found->front() ? "hit.local" : "miss.first_seen");
  state_->store->count(seen);
  if (!found->front()) return std::optional<std::string>();
  return std::optional(std::string(found->front()->value.view()));
}

expected<void> local_cache::set_bytes(std::string_view name, std::string_view version,
                                      const inputs& in, std::string bytes, const names& ignored) {
  const auto material = material_of(name, version, in, ignored, state_->space);
  if (!material) return tl::unexpected(detail::to_public(material.error()));
  if (auto ready = initialize(); !ready) return ready;
  cache::Commit commit;
  commit.key = Key::of(*material);
  commit.name = name;
  commit.task = name;
  commit.value = Payload::of(std::move(bytes));
  commit.run = nobody;
  commit.material = material->encode();
  if (auto kept = state_->store->commit({&commit, 1}, now()); !kept)
    return tl::unexpected(detail::to_public(kept.error()));
  return {};
}

}  // namespace reprise
