// `reprise cache erase`: results gone for good, in every place this data directory knows of, and a
// report of what was reached and what was not.
#include <fmt/format.h>

#include "actors/lineage.hpp"
#include "actors/run_options.hpp"
#include "cache/archive.hpp"
#include "cache/erasure.hpp"
#include "cache/redis_erasure.hpp"
#include "cache/redis_functions.hpp"
#include "cache/redis_invalidations.hpp"
#include "cli/commands.hpp"
#include "cli/confirmation.hpp"
#include "cli/data_access.hpp"
#include "cli/key_selection.hpp"
#include "cli/redis_server.hpp"
#include "cli/text.hpp"
#include "core/text.hpp"
#include "journal/sqlite_journal.hpp"

namespace reprise::cli {
namespace {

/// One place, and what became of it.
struct Tier {
  std::string name;
  std::vector<std::pair<std::string, std::uint64_t>> counts;
  std::optional<Error> failure{};
};

struct Report {
  std::vector<Tier> tiers;
  std::set<RunId> runs;  // that made or used what went: their logs and work folders stay
  std::set<RunId>
      inputs;  // that were given it: as a parameter, or by the run they were forked from
  std::uint64_t shared = 0;  // blobs that something else needs
  std::uint64_t linked = 0;  // blobs that have other names outside of the blob folder

  [[nodiscard]] const Error* failure() const {
    for (const Tier& tier : tiers)
      if (tier.failure) return &*tier.failure;
    return nullptr;
  }
};

/// Values that a run was given when it began.
void collect_given(const scheduler::InitialState& state, std::vector<Payload>& given) {
  given.push_back(state.state.result);
  given.push_back(state.loop_result);
  if (state.inputs)
    for (const auto& [name, value] : *state.inputs) given.push_back(value);
  for (const auto& element : state.elements)
    if (element) collect_given(*element, given);
}
std::vector<Payload> given_to(const journal::RunRow& row) {
  std::vector<Payload> given;
  for (const auto& [name, value] : row.parameters) given.push_back(value);
  if (const auto options = actors::decode_options(row.options)) {
    for (const auto& [name, value] : options->context) given.push_back(value);
    for (const auto& [name, state] : options->shape.initial) collect_given(state, given);
  }
  return given;
}

/// The files a value names; of a large one, those of its blob.
std::vector<Digest> files_of(const Payload& value, cache::BlobStore& blobs) {
  if (value.is_none() || value.is_nil()) return {};
  if (value.is_at_hand()) return cache::files_named_in(value.view());
  const auto whole = blobs.get_value(value.digest);
  return whole ? cache::files_named_in(whole->view()) : std::vector<Digest>();
}

class Command {
 public:
  Command(const CacheEraseOptions& options, Console& console)
      : options_(options), console_(console) {}

  int run() {
    if (options_.select.is_empty() && options_.values.empty())
      return console_.fail({ErrorCode::invalid_argument,
                            "say what to erase: keys, --task, --task-version, --run or --value"},
                           exit_invalid);
    if (auto done = open(); !done) return console_.fail(done.error());
    if (auto done = plan(); !done) return console_.fail(done.error());
    auto told = erase(true);
    if (!told) return console_.fail(told.error());
    if (const auto busy = refuse_live(*told)) return *busy;
    if (options_.dry_run) return show(*told);
    if (const auto refused =
            refuse_unconfirmed(fmt::format("erase {} for good, with their history?",
                                           counted(plan_.keys.size(), "key")),
                               "erases results for good", console_))
      return *refused;
    told = erase(false);
    if (!told) return console_.fail(told.error());
    return show(*told);
  }

 private:
  Status open() {
    const auto path = data_path(console_.options());
    if (!path) return tl::unexpected(path.error());
    auto folder = journal::DataFolder::open({*path, false});
    if (!folder) return tl::unexpected(folder.error());
    folder_ = *std::move(folder);
    auto store = open_cache(console_.options());
    if (!store) return tl::unexpected(store.error());
    store_ = *std::move(store);
    auto journal = journal::SqliteJournal::open({.path = folder_->journal_file()});
    if (!journal) return tl::unexpected(journal.error());
    journal_ = *std::move(journal);
    auto blobs = cache::BlobStore::open({folder_->blobs(), true});
    if (!blobs) return tl::unexpected(blobs.error());
    blobs_ = *std::move(blobs);
    auto erasure = cache::Erasure::open(folder_->cache_file(), folder_->blobs());
    if (!erasure) return tl::unexpected(erasure.error());
    erasure_ = *std::move(erasure);
    auto settings = redis_settings(console_.options());
    if (!settings) return tl::unexpected(settings.error());
    if (*settings) redis_ = std::make_shared<redis::Client>(**settings, cache::redis_functions());
    return {};
  }

  Status plan() {
    if (!options_.select.is_empty()) {
      auto selection = selection_of(options_.select, *store_, journal_.get());
      if (!selection) return tl::unexpected(selection.error());
      request_.selection = *std::move(selection);
    }
    for (const std::string& text : options_.values) {
      const auto digest = Digest::parse(text);
      if (!digest) return tl::unexpected(digest.error());
      request_.values.insert(*digest);
    }
    // The store reads; its view of the log must not be in the way of emptying that.
    auto planned = erasure_->plan(request_);
    if (!planned) return tl::unexpected(planned.error());
    if (options_.downstream && !planned->keys.empty()) {
      auto made = made_of(*journal_, planned->keys);
      if (!made) return tl::unexpected(made.error());
      cache::Selection all{.keys = planned->keys};
      all.keys.insert(made->begin(), made->end());
      request_.selection = std::move(all);
      planned = erasure_->plan(request_);
      if (!planned) return tl::unexpected(planned.error());
    }
    store_.reset();
    plan_ = *std::move(planned);
    return {};
  }

  [[nodiscard]] bool is_meant(const RunId& run, const journal::TaskChange& change) const {
    if (request_.values.contains(change.result.digest)) return true;
    if (change.detail && change.detail->key) {
      const Key& key = *change.detail->key;
      if (plan_.keys.contains(key) && plan_.content.contains(change.result.digest)) return true;
      if (request_.selection && request_.selection->keys.contains(key)) return true;
      // A fork's tasks that were taken as given have no key.
    } else if (holders_.contains(run) && plan_.content.contains(change.result.digest)) {
      return true;
    }
    // What a run made, whether or not the cache still has it.
    return request_.selection && request_.selection->run == run && !request_.selection->name &&
           !request_.selection->version && change.cache != journal::CacheOutcome::hit;
  }

  /// Redis first: when it does not answer, what tells which keys to ask for is still there.
  Result<Report> erase(bool dry_run) {
    Report report;
    if (redis_) {
      Tier tier{redis_->name(), {}, {}};
      const auto gone = cache::erase_in_redis(*redis_, request_, plan_.content, dry_run);
      if (gone)
        tier.counts = {{"entries", gone->entries},
                       {"versions", gone->versions},
                       {"materials", gone->materials},
                       {"values", gone->values},
                       {"set_aside", gone->set_aside}};
      else
        tier.failure = gone.error();
      report.tiers.push_back(std::move(tier));
      report.tiers.push_back(gone ? tell_nodes(gone->keys, dry_run)
                                  : Tier{"nodes", {}, gone.error()});
    }
    std::set<Digest> in_use;
    const auto note = [&](const Payload& value) {
      in_use.insert(value.digest);
      for (const Digest& file : files_of(value, *blobs_)) in_use.insert(file);
    };
    const auto gone = journal_->erase(
        [&](const RunId& run, const journal::TaskChange& change) {
          const bool goes = is_meant(run, change);
          if (!goes) note(change.result);
          return goes;
        },
        [&](const journal::RunRow& row) {
          bool holds = false;
          for (const Payload& value : given_to(row)) {
            if (value.is_none()) continue;
            const bool goes =
                request_.values.contains(value.digest) || plan_.content.contains(value.digest);
            holds = holds || goes;
            if (!goes) note(value);
          }
          if (holds) holders_.insert(row.id);
          return holds;
        },
        dry_run);
    if (!gone) return tl::unexpected(gone.error());
    report.runs = gone->runs;
    report.inputs = gone->rows;
    const std::uint64_t backups = cache::erase_backups(folder_->journal_file(), dry_run);
    report.tiers.push_back({"journal", {{"results", gone->results}, {"backups", backups}}, {}});
    if (!gone->is_log_clean) report.tiers.back().failure = log_in_use("journal.db");

    const auto erased = erasure_->erase(plan_, in_use, dry_run, now());
    if (!erased) return tl::unexpected(erased.error());
    report.linked = erased->linked;
    report.shared = erased->shared;
    report.tiers.push_back({"cache",
                            {{"entries", erased->entries},
                             {"versions", erased->versions},
                             {"value_bytes", erased->value_bytes},
                             {"materials", erased->materials},
                             {"pins", erased->pins},
                             {"backups", erased->backups}},
                            {}});
    if (!dry_run && !erased->is_log_clean) report.tiers.back().failure = log_in_use("cache.db");
    report.tiers.push_back({"blobs",
                            {{"files", erased->blobs},
                             {"bytes", erased->blob_bytes},
                             {"set_aside", erased->set_aside}},
                            {}});
    return report;
  }

  /// What others took over is not served by them any more; their own `cache erase` removes it.
  Tier tell_nodes(const std::set<Key>& there, bool dry_run) {
    std::set<Key> told = there;
    told.insert(plan_.keys.begin(), plan_.keys.end());
    Tier tier{"nodes", {{"told", told.size()}}, {}};
    if (dry_run || told.empty()) return tier;
    cache::RedisInvalidations log(redis_);
    const std::vector<Key> keys(told.begin(), told.end());
    if (const Status done = log.invalidate(keys, now()); !done) tier.failure = done.error();
    return tier;
  }

  static Error log_in_use(std::string_view file) {
    return {ErrorCode::unavailable,
            fmt::format("another process reads \"{}\", so its log still holds what was erased; "
                        "end it and erase again",
                        file)};
  }

  /// A process that runs a task holds values in memory, and writes them again.
  std::optional<int> refuse_live(const Report& report) {
    for (const RunId& run : report.runs)
      if (folder_->is_owned(run))
        return console_.fail(
            {ErrorCode::conflict,
             fmt::format("run {} is running and has some of it in memory; `reprise wait {}` or "
                         "`reprise cancel {}` first",
                         run.short_text(), run.short_text(), run.short_text())});
    return std::nullopt;
  }

  [[nodiscard]] Json document_of(const Report& report) const {
    Json keys = Json::array(), tiers = Json::array(), runs = Json::array(), inputs = Json::array();
    for (const Key& key : plan_.keys) keys.push_back(key.text());
    for (const Tier& tier : report.tiers) {
      Json counts = Json::object();
      for (const auto& [name, count] : tier.counts) counts[name] = count;
      tiers.push_back({{"tier", tier.name},
                       {"counts", std::move(counts)},
                       {"error", tier.failure ? Json(tier.failure->message) : Json(nullptr)}});
    }
    for (const RunId& run : report.runs) runs.push_back(run.text());
    for (const RunId& run : report.inputs) inputs.push_back(run.text());
    return {{"schema", "reprise.cache-erased/1"},
            {"dry_run", options_.dry_run},
            {"complete", report.failure() == nullptr},
            {"keys", std::move(keys)},
            {"tiers", std::move(tiers)},
            {"not_reached",
             {{"logs_of_runs", std::move(runs)},
              {"inputs_of_runs", std::move(inputs)},
              {"shared_blobs", report.shared},
              {"linked_blobs", report.linked}}}};
  }

  int show(const Report& report) {
    const Error* failure = report.failure();
    const int code = failure ? exit_code_of(failure->code) : exit_ok;
    if (console_.is_json()) {
      if (failure) console_.warn(failure->message);
      return console_.document(document_of(report), code);
    }
    if (console_.is_quiet())
      for (const Key& key : plan_.keys) console_.out(key.text());
    else
      tell(report);
    return failure ? console_.fail(*failure) : exit_ok;
  }

  void tell(const Report& report) {
    for (const Tier& tier : report.tiers) {
      std::string line;
      for (const auto& [name, count] : tier.counts)
        if (count > 0)
          line += fmt::format("{}{} {}", line.empty() ? "" : ", ", grouped(count),
                              name == "value_bytes" ? "bytes of values"
                              : name == "set_aside" ? "damaged copies"
                              : name == "told"      ? "keys told to be gone"
                                                    : name);
      if (line.empty()) line = "nothing";
      if (tier.failure) line = "not reached: " + tier.failure->message;
      console_.out(fmt::format("{}  {}", pad(tier.name, 9), line));
    }
    const auto list = [](const std::set<RunId>& runs) {
      std::string text;
      for (const RunId& run : runs) text += " " + run.short_text();
      return text;
    };
    if (!report.runs.empty())
      console_.say(
          fmt::format("logs and work folders may still show it; `reprise runs rm{}` "
                      "removes them",
                      list(report.runs)));
    if (!report.inputs.empty())
      console_.say(
          fmt::format("given to a run when it began, it stays there; `reprise runs rm{}` "
                      "removes it",
                      list(report.inputs)));
    if (report.shared > 0)
      console_.say(
          fmt::format("{} stay, because something that was not meant needs the same; "
                      "--value erases content wherever it is",
                      counted(report.shared, "blob")));
    if (report.linked > 0)
      console_.say(fmt::format("{} of these blobs have another name elsewhere on this disk",
                               grouped(report.linked)));
    if (options_.dry_run) console_.say("nothing was erased: this was a dry run");
  }

  const CacheEraseOptions& options_;
  Console& console_;
  std::optional<journal::DataFolder> folder_;
  std::unique_ptr<cache::Store> store_;
  std::unique_ptr<journal::SqliteJournal> journal_;
  std::unique_ptr<cache::BlobStore> blobs_;
  std::unique_ptr<cache::Erasure> erasure_;
  std::shared_ptr<redis::Client> redis_;
  cache::ErasureRequest request_;
  cache::ErasurePlan plan_;
  std::set<RunId> holders_;  // runs that were given something of it
};

}  // namespace

int cache_erase_command(const CacheEraseOptions& options, Console& console) {
  return Command(options, console).run();
}

}  // namespace reprise::cli
