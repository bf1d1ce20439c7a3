#include "cache/promotion.hpp"

#include <algorithm>

#include "core/cache_key.hpp"

namespace reprise::cache {
namespace {

constexpr std::size_t at_once = 100;  // so many values are in memory

}  // namespace

Result<Promotion> promote(Store& store, std::span<const Record> chosen, const std::string& from,
                          const std::string& to, Time now, bool dry_run) {
  if (from == to)
    return fail(ErrorCode::invalid_argument,
                "results are taken over from another account; choose yours with --account");
  Promotion promotion;
  for (; !chosen.empty(); chosen = chosen.subspan(std::min(at_once, chosen.size()))) {
    std::vector<Query> queries;
    std::vector<Material> materials;
    for (const Record& record : chosen.first(std::min(at_once, chosen.size()))) {
      auto material = Material::decode(record.material);
      if (!material || material->account != from) continue;
      materials.push_back(*std::move(material));
      queries.push_back({.key = record.key});
    }
    auto found = store.find(queries, now);
    if (!found) return tl::unexpected(found.error());
    std::vector<Commit> commits;
    for (std::size_t i = 0; i < queries.size(); ++i) {
      auto& record = (*found)[i];
      if (!record || record->status != VersionStatus::ok || !record->is_fresh(now)) continue;
      materials[i].account = to;
      Commit commit = copy_of(*record);
      commit.material = materials[i].encode();
      commit.key = Key::of(materials[i]);
      commit.committed.reset();
      if (record->expires) commit.expires_after = *record->expires - now;
      commits.push_back(std::move(commit));
      promotion.records.push_back(*std::move(record));
      promotion.records.back().value.bytes.reset();
    }
    if (dry_run || commits.empty()) continue;
    const auto kept = store.commit(commits, now);
    if (!kept) return tl::unexpected(kept.error());
    promotion.added += static_cast<std::uint64_t>(std::ranges::count(*kept, Kept::added));
  }
  return promotion;
}

}  // namespace reprise::cache
