// `reprise cache rm|pin|gc|verify`: looking after the cache of a data directory.
#include <algorithm>
#include <iterator>
#include <map>

#include <fmt/format.h>

#include "actors/lineage.hpp"
#include "actors/run_options.hpp"
#include "cache/key_prefix.hpp"
#include "cache/promotion.hpp"
#include "cache/redis_functions.hpp"
#include "cache/redis_invalidations.hpp"
#include "cache/upkeep.hpp"
#include "cli/clock_text.hpp"
#include "cli/commands.hpp"
#include "cli/confirmation.hpp"
#include "cli/data_access.hpp"
#include "cli/documents.hpp"
#include "cli/key_selection.hpp"
#include "cli/redis_server.hpp"
#include "cli/run_selector.hpp"
#include "cli/table.hpp"
#include "cli/text.hpp"
#include "core/assignment.hpp"

namespace reprise::cli {
namespace {

constexpr std::size_t groups_listed_max = 20;  // without -v

struct Opened {
  Reading reading;
  std::unique_ptr<cache::Store> store;
  std::unique_ptr<cache::Upkeep> upkeep;
};

/// The cache with the journal beside it. @error not_found: there is nothing yet
Result<Opened> open_upkeep(const GlobalOptions& globals) {
  auto reading = open_for_reading(globals);
  if (!reading) return tl::unexpected(reading.error());
  auto store = open_cache(globals);
  if (!store) return tl::unexpected(store.error());
  auto blobs = cache::BlobStore::open({reading->folder.blobs(), true});
  if (!blobs) return tl::unexpected(blobs.error());
  auto upkeep =
      cache::Upkeep::open(reading->folder.cache_file(), std::move(*blobs), reading->folder.blobs());
  if (!upkeep) return tl::unexpected(upkeep.error());
  return Opened{std::move(*reading), std::move(*store), std::move(*upkeep)};
}

/// Nothing was ever kept here: there is nothing to look after, which is no mistake.
bool is_nothing_yet(const Result<Opened>& opened) {
  return !opened && opened.error().code == ErrorCode::not_found;
}

/// What the journal's runs say about results: who used them, what is in use, what is needed.
struct FromRuns {
  std::map<Key, cache::Usage> uses;
  std::set<RunId> active;
  std::set<std::pair<Key, Digest>> used;
  std::set<Digest> blobs;
};

// Runs that are not over, and pinned ones, hold all that they made and used. Other runs hold what
// the cache never had: results of its own are the cache's to give away.
Result<FromRuns> ask_runs(Opened& opened) {
  Reading& reading = opened.reading;
  FromRuns told;
  const auto pins = opened.upkeep->pins();
  if (!pins) return tl::unexpected(pins.error());
  std::set<std::string> pinned;
  for (const cache::Pin& pin : *pins)
    if (pin.kind == cache::PinKind::run) pinned.insert(pin.id);
  journal::RunQuery query;
  query.limit = UINT32_MAX;
  auto rows = reading.journal->runs(query);
  if (!rows) return tl::unexpected(rows.error());
  const auto blobs = cache::BlobStore::open({reading.folder.blobs(), false});
  const auto note = [&](const Payload& value) {
    if (value.is_none()) return;
    told.blobs.insert(value.digest);
    Payload whole = value;
    if (!whole.is_at_hand() && blobs)
      if (auto found = (*blobs)->get_value(value.digest)) whole = *std::move(found);
    if (!whole.is_at_hand()) return;
    if (const auto decoded = whole.value())
      for (const Digest& file : cache::Upkeep::files_in(*decoded)) told.blobs.insert(file);
  };
  for (const journal::RunRow& row : *rows) {
    const std::string id(reinterpret_cast<const char*>(row.id.bytes.data()), row.id.bytes.size());
    const bool holds = !is_finished(row.state) || pinned.contains(id);
    if (holds) told.active.insert(row.id);
    for (const auto& [name, value] : row.parameters) note(value);
    const auto entries = reading.journal->read(row.id, 0);
    if (!entries) return tl::unexpected(entries.error());
    for (const journal::Journal::Entry& entry : *entries)
      for (const journal::TaskChange& change : entry.batch.tasks) {
        const bool is_hit = change.cache == journal::CacheOutcome::hit;
        if (holds || (!is_hit && change.cache != journal::CacheOutcome::stored))
          note(change.result);
        if (!is_hit || !change.detail || !change.detail->key) continue;
        if (holds) told.used.emplace(*change.detail->key, change.result.digest);
        cache::Usage& use = told.uses[*change.detail->key];
        ++use.count;
        use.last = std::max(use.last, change.at);
      }
  }
  return told;
}

void list_entries(const std::vector<cache::Record>& records, Console& console) {
  Table table{
      {"KEY", "TASK", "COMMITTED", "SIZE", "TOOK", "RUN"}, {false, false, false, true, true}, {}};
  const bool all = console.options().verbosity > 0;
  for (const cache::Record& r : records) {
    if (!all && table.rows.size() == groups_listed_max) break;
    table.rows.push_back({r.key.text().substr(0, 15), escape_for_terminal(r.task),
                          local_text_seconds(r.committed), describe_bytes(r.value.size),
                          describe(r.cost), r.run.short_text()});
  }
  for (const std::string& line : table.lines(console.out_columns(), console.out_style()))
    console.out(line);
  if (table.rows.size() < records.size())
    console.out(fmt::format("… {} more (-v shows all)", records.size() - table.rows.size()));
}

/// In the server that nodes share, where one is configured; it tells the others.
Status invalidate_shared(const std::set<Key>& keys, const GlobalOptions& globals) {
  const auto settings = redis_settings(globals);
  if (!settings) return tl::unexpected(settings.error());
  if (!*settings) return {};
  cache::RedisInvalidations log(
      std::make_shared<redis::Client>(**settings, cache::redis_functions()));
  const std::vector<Key> list(keys.begin(), keys.end());
  if (auto done = log.invalidate(list, now()); !done)
    return fail(done.error().code,
                fmt::format("{}; nothing was removed, for it would come back from there",
                            done.error().message));
  return {};
}

std::string_view word(cache::Verified::Fault fault) {
  switch (fault) {
    case cache::Verified::Fault::wrong:
      return "wrong";
    case cache::Verified::Fault::missing:
      return "missing";
    case cache::Verified::Fault::orphan:
      return "orphan";
    case cache::Verified::Fault::record:
      return "record";
  }
  return "record";
}

struct Pinned {
  cache::PinKind kind;
  std::string id;
  std::string shown;
};

std::string shown_pin(const cache::Pin& pin) {
  if (pin.kind == cache::PinKind::run) {
    RunId run;
    if (pin.id.size() == run.bytes.size())
      std::copy(pin.id.begin(), pin.id.end(), reinterpret_cast<char*>(run.bytes.data()));
    return run.text();
  }
  const auto digest = Digest::from_raw(pin.id);
  if (!digest) return "unreadable";
  return pin.kind == cache::PinKind::key ? Key{*digest}.text() : digest->text();
}

std::string_view word(cache::PinKind kind) {
  switch (kind) {
    case cache::PinKind::key:
      return "key";
    case cache::PinKind::digest:
      return "digest";
    case cache::PinKind::run:
      return "run";
  }
  return "key";
}

Result<Pinned> pin_target(const CachePinOptions& options, Opened& opened) {
  if (!options.run.empty()) {
    const auto row = find_run(options.run, *opened.reading.journal);
    if (!row) return tl::unexpected(row.error());
    return Pinned{
        cache::PinKind::run,
        std::string(reinterpret_cast<const char*>(row->id.bytes.data()), row->id.bytes.size()),
        "run " + row->id.short_text()};
  }
  if (options.key.starts_with("sha256:")) {
    const auto digest = Digest::parse(options.key);
    if (!digest) return tl::unexpected(digest.error());
    return Pinned{cache::PinKind::digest, std::string(digest->raw()), digest->text()};
  }
  const auto key = one_key(*opened.store, options.key);
  if (!key) return tl::unexpected(key.error());
  return Pinned{cache::PinKind::key, std::string(key->digest.raw()), key->text()};
}

}  // namespace

namespace {

/// Runs that have all these labels.
Result<std::vector<RunId>> runs_labelled(const std::vector<std::string>& labels,
                                         journal::Journal& journal) {
  std::map<std::string, std::string> wanted;
  for (const std::string& text : labels) {
    auto label = parse_assignment(text, "--label");
    if (!label) return tl::unexpected(label.error());
    wanted.insert_or_assign(std::move(label->name), std::move(label->value));
  }
  journal::RunQuery query;
  query.limit = UINT32_MAX;
  const auto rows = journal.runs(query);
  if (!rows) return tl::unexpected(rows.error());
  std::vector<RunId> runs;
  for (const journal::RunRow& row : *rows) {
    const auto options = actors::decode_options(row.options);
    if (!options) continue;  // a run of a newer program is none that is known to have a label
    const auto& has = options->labels;
    if (std::includes(has.begin(), has.end(), wanted.begin(), wanted.end())) runs.push_back(row.id);
  }
  return runs;
}

/// One for each run that has the labels, where these are asked for.
Result<std::vector<cache::Selection>> selections(const CacheRemoveOptions& options,
                                                 Opened& opened) {
  auto selection = selection_of(options.select, *opened.store, opened.reading.journal.get());
  if (!selection) return tl::unexpected(selection.error());
  if (options.labels.empty()) return std::vector<cache::Selection>{*std::move(selection)};
  const auto runs = runs_labelled(options.labels, *opened.reading.journal);
  if (!runs) return tl::unexpected(runs.error());
  std::vector<cache::Selection> all;
  for (const RunId& run : *runs) {
    if (selection->run && *selection->run != run) continue;
    all.push_back(*selection);
    all.back().run = run;
  }
  return all;
}

Result<std::vector<cache::Record>> selected(const std::vector<cache::Selection>& selections,
                                            Opened& opened) {
  std::vector<cache::Record> all;
  for (const cache::Selection& selection : selections) {
    auto records = opened.upkeep->select(selection);
    if (!records) return tl::unexpected(records.error());
    std::move(records->begin(), records->end(), std::back_inserter(all));
  }
  return all;
}

/// What was chosen, and what was kept of the same while somebody was asked whether it is meant.
/// What is being computed is fenced first, so that nothing comes after.
Result<std::uint64_t> remove_selected(std::set<Key> keys,
                                      const std::vector<cache::Selection>& meant, Opened& opened,
                                      const GlobalOptions& globals) {
  if (const auto told = invalidate_shared(keys, globals); !told)
    return tl::unexpected(told.error());
  for (const cache::Selection& selection : meant)
    if (const auto fenced = opened.upkeep->fence(selection, now()); !fenced)
      return tl::unexpected(fenced.error());
  const auto later = selected(meant, opened);
  if (!later) return tl::unexpected(later.error());
  std::set<Key> more;
  for (const cache::Record& record : *later)
    if (!keys.contains(record.key)) more.insert(record.key);
  if (const auto told = invalidate_shared(more, globals); !told)
    return tl::unexpected(told.error());
  keys.merge(more);
  return opened.upkeep->remove(keys, now());
}

}  // namespace

int cache_remove_command(const CacheRemoveOptions& options, Console& console) {
  if (options.select.is_empty() && options.labels.empty())
    return console.fail({ErrorCode::invalid_argument,
                         "say what to remove: keys, --task, --task-version, --run or --label"},
                        exit_invalid);
  auto opened = open_upkeep(console.options());
  if (!opened) return console.fail(opened.error());
  const auto meant = selections(options, *opened);
  if (!meant) return console.fail(meant.error());
  auto records = selected(*meant, *opened);
  if (!records) return console.fail(records.error());
  std::set<Key> keys;
  for (const cache::Record& record : *records) keys.insert(record.key);
  if (options.downstream && !keys.empty()) {
    const auto made = made_of(*opened->reading.journal, keys);
    if (!made) return console.fail(made.error());
    keys.insert(made->begin(), made->end());
    records = opened->upkeep->select({.keys = keys});
    if (!records) return console.fail(records.error());
  }
  std::uint64_t removed = records->size();
  if (!options.dry_run) {
    if (removed > 0)
      if (const auto refused = refuse_unconfirmed(
              fmt::format("remove {} from the cache?",
                          removed == 1 ? "1 entry" : grouped(removed) + " entries"),
              "removes results", console))
        return *refused;
    const auto done = remove_selected(keys, *meant, *opened, console.options());
    if (!done) return console.fail(done.error());
    removed = *done;
  }
  if (console.is_json()) {
    Json list = Json::array();
    for (const cache::Record& record : *records) list.push_back(record_json(record));
    return console.document({{"schema", "reprise.cache-removed/1"},
                             {"dry_run", options.dry_run},
                             {"removed", removed},
                             {"entries", std::move(list)}},
                            exit_ok, "entries");
  }
  if (options.dry_run) list_entries(*records, console);
  if (removed == 0) {
    console.say(fmt::format("nothing in the cache matches{}",
                            options.dry_run ? ""
                                            : "; what is being computed and does is not kept "
                                              "when it is done"));
    return exit_ok;
  }
  console.say(fmt::format("{} {}; {}", options.dry_run ? "would remove" : "removed",
                          removed == 1 ? "1 entry" : grouped(removed) + " entries",
                          "--as-of still sees what was there before"));
  return exit_ok;
}

int cache_promote_command(const CachePromoteOptions& options, Console& console) {
  auto opened = open_upkeep(console.options());
  if (!opened) return console.fail(opened.error());
  auto selection = selection_of(options.select, *opened->store, opened->reading.journal.get());
  if (!selection) return console.fail(selection.error());
  selection->with_material = true;
  const auto records = opened->upkeep->select(*selection);
  if (!records) return console.fail(records.error());
  auto blobs = cache::BlobStore::open({opened->reading.folder.blobs(), true});
  if (!blobs) return console.fail(blobs.error());
  cache::SqliteStore::Options writing;
  writing.path = opened->reading.folder.cache_file();
  writing.blobs = *std::move(blobs);
  auto store = cache::SqliteStore::open(std::move(writing));
  if (!store) return console.fail(store.error());
  auto promoted = cache::promote(**store, *records, options.from, console.options().account, now(),
                                 options.dry_run);
  if (!promoted) return console.fail(promoted.error());
  if (console.is_json()) {
    Json list = Json::array();
    for (const cache::Record& record : promoted->records) list.push_back(record_json(record));
    return console.document({{"schema", "reprise.cache-promoted/1"},
                             {"dry_run", options.dry_run},
                             {"from", options.from},
                             {"account", console.options().account},
                             {"promoted", promoted->records.size()},
                             {"added", promoted->added},
                             {"entries", std::move(list)}},
                            exit_ok, "entries");
  }
  if (options.dry_run) list_entries(promoted->records, console);
  console.say(fmt::format(
      "{} of account \"{}\" {} account \"{}\"{}",
      promoted->records.size() == 1 ? "1 result" : grouped(promoted->records.size()) + " results",
      escape_for_terminal(options.from),
      options.dry_run ? "would be taken over into" : "taken over into",
      escape_for_terminal(console.options().account),
      options.dry_run ? std::string() : fmt::format(", {} of them new", promoted->added)));
  return exit_ok;
}

namespace {

int list_pins(const std::vector<cache::Pin>& pins, Console& console) {
  if (console.is_json()) {
    Json list = Json::array();
    for (const cache::Pin& pin : pins)
      list.push_back({{"kind", word(pin.kind)},
                      {"id", shown_pin(pin)},
                      {"at", to_rfc3339(pin.at)},
                      {"why", pin.why.empty() ? Json(nullptr) : Json(pin.why)}});
    return console.document({{"schema", "reprise.cache-pins/1"}, {"pins", std::move(list)}},
                            exit_ok, "pins");
  }
  if (pins.empty()) console.say("nothing is pinned");
  for (const cache::Pin& pin : pins)
    console.out(fmt::format("{}  {}  {}  {}", pad(word(pin.kind), 6), shown_pin(pin),
                            local_text(pin.at), escape_for_terminal(pin.why)));
  return exit_ok;
}

}  // namespace

int cache_pin_command(const CachePinOptions& options, Console& console) {
  auto opened = open_upkeep(console.options());
  if (is_nothing_yet(opened) && options.key.empty() && options.run.empty())
    return list_pins({}, console);
  if (!opened) return console.fail(opened.error());
  if (!options.key.empty() || !options.run.empty()) {
    const auto target = pin_target(options, *opened);
    if (!target) return console.fail(target.error());
    if (options.remove) {
      const auto was = opened->upkeep->unpin(target->kind, target->id);
      if (!was) return console.fail(was.error());
      if (!*was)
        return console.fail({ErrorCode::not_found, fmt::format("{} is not pinned", target->shown)});
    } else if (const auto done = opened->upkeep->pin(target->kind, target->id, options.why, now());
               !done) {
      return console.fail(done.error());
    }
    console.say(fmt::format("{} {}", target->shown,
                            options.remove ? "is not pinned any more" : "is pinned"));
    if (!console.is_json()) return exit_ok;
  }
  const auto pins = opened->upkeep->pins();
  if (!pins) return console.fail(pins.error());
  return list_pins(*pins, console);
}

namespace {

int tell_collected(const cache::Collected& done, const CacheCollectOptions& options,
                   Console& console) {
  if (console.is_json()) {
    Json list = Json::array();
    for (const cache::Collected::Entry& entry : done.entries) {
      Json item = record_json(entry.record);
      item["why"] = entry.why;
      list.push_back(std::move(item));
    }
    return console.document({{"schema", "reprise.cache-collected/1"},
                             {"dry_run", options.dry_run},
                             {"entries", std::move(list)},
                             {"entries_left", done.entries_left},
                             {"kept_pinned", done.pinned},
                             {"versions", done.versions},
                             {"value_bytes", done.value_bytes},
                             {"blobs", done.blobs},
                             {"blob_bytes", done.blob_bytes},
                             {"bytes_before", done.bytes_before},
                             {"bytes_over", done.over},
                             {"cost_s", seconds_json(done.cost)}},
                            exit_ok, "entries");
  }
  if (options.dry_run && !done.entries.empty()) {
    std::vector<cache::Record> records;
    for (const cache::Collected::Entry& entry : done.entries) records.push_back(entry.record);
    list_entries(records, console);
  }
  console.out(fmt::format(
      "{} {} of {} entries, {} old versions and {} blobs: {} of {}",
      options.dry_run ? "would delete" : "deleted", grouped(done.entries.size()),
      grouped(done.entries.size() + done.entries_left), grouped(done.versions), grouped(done.blobs),
      describe_bytes(done.value_bytes + done.blob_bytes), describe_bytes(done.bytes_before)));
  if (done.pinned > 0)
    console.out(fmt::format("{} kept because pinned, in use or younger than --grace",
                            counted(done.pinned, "result")));
  if (done.over > 0)
    console.out(fmt::format("{} more than --max-size are left, none of which may go now",
                            describe_bytes(done.over)));
  if (done.cost > Duration{0})
    console.say(fmt::format("making it again would take about {}", describe(done.cost)));
  return exit_ok;
}

}  // namespace

int cache_collect_command(const CacheCollectOptions& options, Console& console) {
  auto opened = open_upkeep(console.options());
  if (is_nothing_yet(opened)) return tell_collected({}, options, console);
  if (!opened) return console.fail(opened.error());
  auto told = ask_runs(*opened);
  if (!told) return console.fail(told.error());
  cache::CollectRequest request;
  request.keep_versions = options.versions;
  request.keep_for = std::chrono::hours{24} * options.days;
  request.max_age = options.max_age;
  request.max_bytes = options.max_bytes;
  request.grace = options.grace;
  request.dry_run = options.dry_run;
  request.uses = std::move(told->uses);
  request.active = std::move(told->active);
  request.used = std::move(told->used);
  request.blobs_in_use = std::move(told->blobs);
  if (!options.dry_run && (options.max_age || options.max_bytes))
    if (const auto refused = refuse_unconfirmed(
            "remove results for good, as far as they are too many?", "removes results", console))
      return *refused;
  const auto done = opened->upkeep->collect(request, now());
  if (!done) return console.fail(done.error());
  return tell_collected(*done, options, console);
}

namespace {

int tell_verified(const cache::Verified& verified, Console& console) {
  const int code = verified.problems.empty() ? exit_ok : exit_differences;
  if (console.is_json()) {
    Json list = Json::array();
    for (const auto& problem : verified.problems)
      list.push_back({{"fault", word(problem.fault)},
                      {"what", problem.what},
                      {"repaired", problem.is_repaired}});
    return console.document({{"schema", "reprise.cache-verified/1"},
                             {"versions", verified.versions},
                             {"blobs", verified.blobs},
                             {"problems", std::move(list)}},
                            code, "problems");
  }
  for (const auto& problem : verified.problems)
    console.out(fmt::format("{}  {}{}", pad(word(problem.fault), 8), problem.what,
                            problem.is_repaired ? "  repaired" : ""));
  console.out(fmt::format("{} and {} looked at: {}", counted(verified.versions, "version"),
                          counted(verified.blobs, "blob"),
                          verified.problems.empty()
                              ? "all as they should be"
                              : counted(verified.problems.size(), "problem")));
  return code;
}

}  // namespace

int cache_verify_command(const CacheVerifyOptions& options, Console& console) {
  auto opened = open_upkeep(console.options());
  if (is_nothing_yet(opened)) return tell_verified({}, console);
  if (!opened) return console.fail(opened.error());
  const auto told = ask_runs(*opened);
  if (!told) return console.fail(told.error());
  const auto verified =
      opened->upkeep->verify(options.repair, told->blobs, std::chrono::hours{2}, now());
  if (!verified) return console.fail(verified.error());
  return tell_verified(*verified, console);
}

}  // namespace reprise::cli
