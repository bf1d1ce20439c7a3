#include "cli/plan_line.hpp"

#include <system_error>

#include <fmt/format.h>

#include "actors/file_hasher.hpp"
#include "cache/memory_store.hpp"
#include "cli/data_access.hpp"
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

std::optional<std::string> quick_plan_line(const std::shared_ptr<const FlowSpec>& flow,
                                           const Parameters& parameters,
                                           const GlobalOptions& options) {
  if (flow->nodes.size() > nodes_max) return std::nullopt;
  std::unique_ptr<cache::Store> store = std::make_unique<cache::MemoryStore>();
  if (auto opened = open_cache(options))
    store = std::move(*opened);
  else if (opened.error().code != ErrorCode::not_found)
    return std::nullopt;
  std::map<std::string, Duration> usual;
  if (const auto reading = open_for_reading(options))
    usual = journal::usual_durations(*reading->journal, flow->name);
  QuickHasher hasher;
  const auto space = key_space(options);
  if (!space) return std::nullopt;
  const auto plan = make_plan(flow, parameters, *store, hasher, {.usual = usual, .space = *space});
  if (!plan || hasher.gave_up()) return std::nullopt;
  return plan_line(*plan);
}

}  // namespace reprise::cli
