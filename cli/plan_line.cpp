#include "cli/plan_line.hpp"

#include <system_error>

#include <fmt/format.h>

#include "actors/file_hasher.hpp"
#include "cache/mac_keys.hpp"
#include "cache/memory_store.hpp"
#include "cache/read_only_store.hpp"
#include "cache/redis_functions.hpp"
#include "cache/redis_invalidations.hpp"
#include "cache/redis_store.hpp"
#include "cache/tiered_store.hpp"
#include "cli/data_access.hpp"
#include "cli/redis_server.hpp"
#include "cli/text.hpp"
#include "journal/history.hpp"

namespace reprise::cli {
namespace {

constexpr std::size_t nodes_max = 1000;
constexpr std::uint64_t hashed_bytes_max = 64ull << 20;  // about a tenth of a second

/// Hashes input files until that would take long.
class QuickHasher final : public worker::FileHasher {
 public:
  Result<FileValue> hash(const std::filesystem::path& path) override {
    std::error_code error;
    const std::uint64_t bytes = std::filesystem::file_size(path, error);
    if (!error) left_ -= std::min(left_, bytes + 1);
    if (left_ == 0) return fail(ErrorCode::exhausted, "too much to read for a quick look");
    return hasher_.hash(path);
  }
  [[nodiscard]] bool gave_up() const { return left_ == 0; }

 private:
  actors::RememberingHasher hasher_{*cache::FileDigests::open({})};
  std::uint64_t left_ = hashed_bytes_max;
};

}  // namespace

std::string plan_line(const Plan& plan) {
  std::string line = fmt::format(
      "plan: {} · {} cached{} · {} to run", counted(plan.tasks, "task"), grouped(plan.cached),
      plan.saving > Duration{0} ? fmt::format(" (saves ~{})", reprise::describe(plan.saving)) : "",
      grouped(plan.run));
  if (plan.skipped > 0) line += fmt::format(" · {} skipped", grouped(plan.skipped));
  if (plan.critical_path > Duration{0})
    line += fmt::format(" · at least {}", reprise::describe(plan.critical_path));
  return line;
}

std::function<std::optional<bool>(const FileValue&)> PlanSource::file_check(
    worker::FileHasher& hasher) const {
  return [known = blobs, &hasher](const FileValue& file) -> std::optional<bool> {
    if (!known || !known->contains(file.content)) return std::nullopt;
    const auto there = hasher.hash(known->path_of(file.content));
    return there && there->content == file.content;
  };
}

Result<PlanSource> plan_source(const GlobalOptions& options,
                               std::function<void(std::string)> warn) {
  PlanSource source;
  // Where nothing was ever run, nothing is cached.
  source.store = std::make_unique<cache::MemoryStore>();
  if (auto opened = open_cache(options)) {
    source.store = *std::move(opened);
    const auto reading = open_for_reading(options);
    if (reading) {
      auto blobs = cache::BlobStore::open({reading->folder.blobs(), false});
      if (!blobs) return tl::unexpected(blobs.error());
      source.blobs = *std::move(blobs);
    }
  } else if (opened.error().code != ErrorCode::not_found) {
    return tl::unexpected(opened.error());
  }
  auto settings = redis_settings(options);
  if (!settings) return tl::unexpected(settings.error());
  if (!*settings) return source;
  cache::RedisStore::Options shared;
  shared.client = std::make_shared<redis::Client>(**settings, cache::redis_functions());
  shared.blobs = source.blobs;
  shared.read_only = true;
  if (!options.redis_mac_key_file.empty()) {
    auto keys = cache::MacKeys::read(options.redis_mac_key_file);
    if (!keys) return tl::unexpected(keys.error());
    shared.mac_keys = std::make_shared<const cache::MacKeys>(*std::move(keys));
  }
  cache::TieredStore::Options tiers;
  tiers.local = std::make_unique<cache::ReadOnlyStore>(std::move(source.store));
  tiers.invalidations = std::make_shared<cache::RedisInvalidations>(shared.client);
  tiers.remote = std::make_unique<cache::RedisStore>(std::move(shared));
  tiers.warn = std::move(warn);
  source.store = std::make_unique<cache::TieredStore>(std::move(tiers));
  return source;
}

std::optional<std::string> quick_plan_line(const std::shared_ptr<const FlowSpec>& flow,
                                           const Parameters& parameters,
                                           const GlobalOptions& options) {
  if (flow->nodes.size() > nodes_max) return std::nullopt;
  const auto source = plan_source(options, {});
  if (!source) return std::nullopt;
  std::map<std::string, Duration> usual;
  if (const auto reading = open_for_reading(options))
    usual = journal::usual_durations(*reading->journal, flow->name);
  QuickHasher hasher;
  const auto space = key_space(options);
  if (!space) return std::nullopt;
  const auto plan =
      make_plan(flow, parameters, *source->store, hasher,
                {.usual = usual, .space = *space, .has_file = source->file_check(hasher)});
  if (!plan || hasher.gave_up()) return std::nullopt;
  return plan_line(*plan);
}

}  // namespace reprise::cli
