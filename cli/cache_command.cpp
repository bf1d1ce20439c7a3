// `reprise cache ls|get|show|stats`: looking into the cache without touching it.
#include <algorithm>
#include <fstream>
#include <map>
#include <memory>
#include <set>
#include <system_error>

#include <fmt/format.h>
#include <unistd.h>

#include "cache/blob_store.hpp"
#include "cache/horizon.hpp"
#include "cli/clock_text.hpp"
#include "cli/commands.hpp"
#include "cli/data_access.hpp"
#include "cli/documents.hpp"
#include "cli/moment.hpp"
#include "cli/outputs.hpp"
#include "cli/provenance.hpp"
#include "cli/redis_server.hpp"
#include "cli/table.hpp"
#include "cli/terminal.hpp"
#include "cli/text.hpp"
#include "core/canon.hpp"
#include "core/key_space.hpp"

namespace reprise::cli {
namespace {

constexpr std::size_t wide_columns = 100;
constexpr std::size_t narrow_key_columns = 12;
constexpr std::size_t key_columns = 15;  // "k1:" and 12 digits: how people see and type a key

std::string short_key(const Key& key) {
  return key.text().substr(0, key_columns);
}

/// The moment asked for, if any.
Result<std::optional<Time>> asked_moment(const std::string& text, const GlobalOptions& globals) {
  if (text.empty()) return std::optional<Time>();
  const auto moment = moment_of(text, globals);
  if (!moment) return tl::unexpected(moment.error());
  return std::optional(*moment);
}

/// One key, as it is or as it was.
struct Entry {
  std::vector<cache::Record> versions;  // at least one, in no order; without removals
  cache::KeyPast past;                  // all that happened until then, newest first

  [[nodiscard]] const cache::Record& newest() const {
    return *std::ranges::max_element(versions, {}, &cache::Record::version);
  }
  /// Since when there is no result any more, if so. What is damaged counts as never written.
  [[nodiscard]] std::optional<Time> removed() const {
    for (const cache::KeyPast::Version& each : past.versions) {
      if (each.status == cache::VersionStatus::damaged) continue;
      if (each.status != cache::VersionStatus::tombstone) return std::nullopt;
      return each.record.committed;
    }
    return std::nullopt;
  }
};

/// What to say where nothing is left that begins so: perhaps it was erased.
Error no_entry(cache::Store& store, const std::string& prefix, std::optional<Time> moment) {
  const Error none{ErrorCode::not_found,
                   fmt::format("the cache has no entry \"{}\"; `reprise cache ls` lists them",
                               escape_for_terminal(prefix))};
  if (!moment) return none;
  if (const auto key = Key::parse(prefix.starts_with("k1:") ? prefix : "k1:" + prefix)) {
    const auto past = store.past_of(*key, *moment);
    if (!past) return past.error();
    return past->horizon && *moment < *past->horizon ? cache::past_horizon(*moment, *past->horizon)
                                                     : none;
  }
  // Of the beginning of a key nobody can tell whose it was.
  cache::Listing then;
  then.as_of = moment;
  then.limit = 1;
  const auto listed = store.list(then);
  return listed ? none : listed.error();
}

/// The one key that begins so, as it is or was at that moment.
/// @error not_found: there is none, or not one; or of that moment nothing is known
Result<Entry> find_entry(cache::Store& store, const std::string& prefix,
                         std::optional<Time> moment = {}) {
  auto records = store.versions(prefix);
  const bool is_no_key = !records && records.error().code == ErrorCode::invalid_argument;
  if (!records && !is_no_key) return tl::unexpected(records.error());
  std::vector<Key> keys;
  if (is_no_key) records = std::vector<cache::Record>{};
  for (const cache::Record& record : *records)
    if (std::find(keys.begin(), keys.end(), record.key) == keys.end()) keys.push_back(record.key);
  if (keys.empty()) return tl::unexpected(no_entry(store, prefix, moment));
  if (keys.size() > 1) {
    std::string list;
    for (std::size_t i = 0; i < std::min<std::size_t>(keys.size(), 5); ++i)
      list += (i ? ", " : "") + short_key(keys[i]);
    return fail(ErrorCode::not_found,
                fmt::format("\"{}\" is the beginning of several keys: {}{}",
                            escape_for_terminal(prefix), list, keys.size() > 5 ? ", …" : ""));
  }
  const Time until = moment.value_or(Time::max());
  auto past = store.past_of(keys.front(), until);
  if (!past) return tl::unexpected(past.error());
  if (moment && past->horizon && *moment < *past->horizon)
    return tl::unexpected(cache::past_horizon(*moment, *past->horizon));
  Entry entry{*std::move(records), *std::move(past)};
  std::erase_if(entry.versions, [&](const cache::Record& r) { return r.committed > until; });
  // Whatever lies below a damaged version was not what held then.
  const auto& then = entry.past.versions;
  const bool is_damaged = !then.empty() && then.front().status == cache::VersionStatus::damaged;
  if (moment && (entry.versions.empty() || entry.removed() || is_damaged))
    return fail(ErrorCode::not_found, fmt::format("entry {} was not there at {}",
                                                  short_key(keys.front()), to_rfc3339(*moment)));
  return entry;
}

Result<std::unique_ptr<cache::BlobStore>> open_blobs(const GlobalOptions& globals) {
  const auto path = data_path(globals);
  if (!path) return tl::unexpected(path.error());
  return cache::BlobStore::open({*path / "blobs", false});
}

/// The bytes that stand for the value in the cache, also when they lie in the blob store.
Result<Value> value_of(const cache::Record& record, const GlobalOptions& globals) {
  if (record.value.is_none()) return Value();
  if (record.value.is_at_hand()) return record.value.value();
  const auto blobs = open_blobs(globals);
  if (!blobs) return tl::unexpected(blobs.error());
  const auto bytes = (*blobs)->get(record.value.digest);
  if (!bytes) return tl::unexpected(bytes.error());
  return decode(*bytes);
}

/// Every file within a value, with its path there: "report.html" of {"outputs": {"report.html":
/// file}}.
void collect_files(const Value& value, const std::string& path,
                   std::vector<std::pair<std::string, FileValue>>& files) {
  if (is_file(value)) {
    if (const auto file = as_file(value)) files.emplace_back(path, *file);
  } else if (const Map* map = value.get_if<Map>()) {
    for (const auto& [key, item] : *map) {
      const auto* name = key.get_if<std::string>();
      if (!name) continue;
      const bool is_outputs = path.empty() && *name == "outputs";
      collect_files(item, is_outputs ? "" : path.empty() ? *name : path + "/" + *name, files);
    }
  } else if (const List* list = value.get_if<List>()) {
    for (std::size_t i = 0; i < list->size(); ++i)
      collect_files((*list)[i], path.empty() ? std::to_string(i) : fmt::format("{}/{}", path, i),
                    files);
  }
}

/// Writes a file of the blob store to stdout, or puts it at a path that does not exist yet.
int give_file(const FileValue& file, const std::string& output, Console& console) {
  const auto blobs = open_blobs(console.options());
  if (!blobs) return console.fail(blobs.error());
  if (!output.empty() && output != "-") {
    std::error_code error;
    if (std::filesystem::exists(std::filesystem::symlink_status(output, error)))
      return console.fail(
          {ErrorCode::conflict, fmt::format("\"{}\" exists already", escape_for_terminal(output))});
    if (const auto status = (*blobs)->restore(file, output, false); !status)
      return console.fail(status.error());
    console.say(fmt::format("{} → {}", describe_bytes(file.size), escape_for_terminal(output)));
    return exit_ok;
  }
  // In parts: a file may be larger than memory. Its digest was verified when it was put there;
  // verify() checks again.
  std::ifstream stream((*blobs)->path_of(file.content), std::ios::binary);
  if (!stream)
    return console.fail(
        {ErrorCode::not_found,
         fmt::format("the file {} is not in the cache any more", file.content.text())});
  std::string buffer(256 * 1024, '\0');
  Sha256 hash;
  while (stream.read(buffer.data(), static_cast<std::streamsize>(buffer.size())) ||
         stream.gcount() > 0) {
    const std::string_view part(buffer.data(), static_cast<std::size_t>(stream.gcount()));
    hash.update(part);
    console.raw(part);
    if (!console.is_open()) return exit_ok;
  }
  console.flush();
  if (hash.finish() != file.content)
    return console.fail({ErrorCode::corrupt,
                         fmt::format("the file {} is damaged in the cache", file.content.text())});
  return exit_ok;
}

int write_text(const std::string& text, const std::string& output, Console& console) {
  if (output.empty() || output == "-") {
    console.out(text);
    return exit_ok;
  }
  std::error_code error;
  if (std::filesystem::exists(std::filesystem::symlink_status(output, error)))
    return console.fail(
        {ErrorCode::conflict, fmt::format("\"{}\" exists already", escape_for_terminal(output))});
  std::ofstream stream(output, std::ios::binary);
  stream << text << '\n';
  stream.close();
  if (!stream)
    return console.fail(system_error(fmt::format("write \"{}\"", output), errno), exit_failed);
  console.say(fmt::format("{} → {}", describe_bytes(text.size() + 1), escape_for_terminal(output)));
  return exit_ok;
}

std::string_view word(Digest digest) {
  return digest.is_none() ? "none" : "set";
}

Json material_json(const std::string& bytes) {
  const auto material = Material::decode(bytes);
  if (bytes.empty() || !material) return nullptr;
  Json arguments = Json::object(), dependencies = Json::object(), environment = Json::object();
  for (const auto& [name, digest] : material->arguments) arguments[name] = digest.text();
  for (const auto& [name, digest] : material->dependencies) dependencies[name] = digest.text();
  for (const auto& [name, value] : material->environment) environment[name] = value;
  return {{"name", material->name},
          {"version", material->version},
          {"signature", material->signature.text()},
          {"salt", shown_salt(material->salt)},
          {"account", material->account},
          {"arguments", std::move(arguments)},
          {"dependencies", std::move(dependencies)},
          {"environment", std::move(environment)}};
}

/// When it ends, and what is special about it: "never", "2026-11-21 13:00:00 (over)".
std::string expiry_of(const cache::Record& r, Time now_is, bool has_seconds = true) {
  std::string text = !r.expires    ? "never"
                     : has_seconds ? local_text_seconds(*r.expires)
                                   : local_text(*r.expires);
  if (!r.is_fresh(now_is)) text += " (over)";
  if (r.status == cache::VersionStatus::negative) text += " (a failure)";
  return text;
}

void print_material(const std::string& bytes, Console& console) {
  const auto material = Material::decode(bytes);
  if (bytes.empty() || !material) return console.out("made of   unknown");
  console.out(
      fmt::format("made of   {}@{}  signature {}  code {}", escape_for_terminal(material->name),
                  escape_for_terminal(material->version), material->signature.text().substr(0, 19),
                  word(material->code.value_or(Digest{}))));
  if (!material->salt.empty()) console.out("  salt    " + shown_salt(material->salt));
  for (const auto& [name, digest] : material->arguments)
    console.out(fmt::format("  input   {}  {}", pad(escape_for_terminal(name), 16),
                            digest.text().substr(0, 19)));
  for (const auto& [name, digest] : material->dependencies)
    console.out(fmt::format("  depends {}  {}", pad(escape_for_terminal(name), 16),
                            digest.text().substr(0, 19)));
  for (const auto& [name, value] : material->environment)
    console.out(
        fmt::format("  env     {}={}", escape_for_terminal(name), escape_for_terminal(value)));
}

/// The versions with what removed them, newest first.
std::vector<cache::Record> with_removals(const Entry& entry) {
  std::vector<cache::Record> all = entry.versions;
  for (const cache::KeyPast::Version& each : entry.past.versions) {
    if (each.status != cache::VersionStatus::tombstone) continue;
    all.push_back(each.record);
    all.back().status = each.status;
  }
  std::ranges::sort(all, std::ranges::greater{}, &cache::Record::version);
  return all;
}

constexpr std::uint32_t materials_at_once = 10'000;

/// Whose the entries are; none: nobody kept what went into the key.
Result<std::map<Key, std::string>> accounts_of(cache::Store& store,
                                               const std::vector<cache::Record>& records) {
  std::map<Key, std::string> accounts;
  const auto note = [&](const cache::Record& record) {
    const auto material = Material::decode(record.material);
    if (material && !record.material.empty())
      accounts.insert_or_assign(record.key, material->account);
  };
  // Entries of one name are asked about at once; what is older than these, one by one.
  std::set<std::string> names;
  for (const cache::Record& record : records) {
    if (!names.insert(record.name).second) continue;
    const auto known = store.recent(record.name, Time::max(), materials_at_once);
    if (!known) return tl::unexpected(known.error());
    std::ranges::for_each(*known, note);
  }
  for (const cache::Record& record : records) {
    if (accounts.contains(record.key)) continue;
    const auto versions = store.versions(record.key.text());
    if (!versions) return tl::unexpected(versions.error());
    std::ranges::for_each(*versions, note);
  }
  return accounts;
}

/// The newest entries of the account in use and of those that it reads, too.
Result<std::vector<cache::Record>> list_own(cache::Store& store, cache::Listing listing,
                                            const KeySpace& space,
                                            std::map<Key, std::string>& accounts) {
  const std::uint32_t limit = listing.limit;
  for (;;) {
    auto records = store.list(listing);
    if (!records) return records;
    const bool is_all = records->size() < listing.limit;
    auto known = accounts_of(store, *records);
    if (!known) return tl::unexpected(known.error());
    accounts = *std::move(known);
    std::erase_if(*records, [&](const cache::Record& record) {
      const auto of = accounts.find(record.key);
      return of != accounts.end() && of->second != space.account &&
             std::ranges::find(space.also_read, of->second) == space.also_read.end();
    });
    if (is_all || records->size() >= limit || listing.limit > UINT32_MAX / 4) {
      if (records->size() > limit) records->resize(limit);
      return records;
    }
    listing.limit *= 4;  // others are in the way
  }
}

}  // namespace

int cache_list_command(const CacheListOptions& options, Console& console) {
  cache::Listing listing;
  listing.name_prefix = options.task;
  listing.limit = options.limit;
  const auto moment = asked_moment(options.as_of, console.options());
  if (!moment) return console.fail(moment.error());
  listing.as_of = *moment;
  const auto store = open_cache(console);
  const auto space = key_space(console.options());
  if (!space) return console.fail(space.error(), exit_invalid);
  std::vector<cache::Record> records;
  std::map<Key, std::string> accounts;
  if (store) {
    auto listed = list_own(**store, listing, *space, accounts);
    if (!listed) return console.fail(listed.error());
    records = std::move(*listed);
  } else if (store.error().code != ErrorCode::not_found) {
    return console.fail(store.error());
  }
  if (options.sort == "size")
    std::stable_sort(records.begin(), records.end(),
                     [](const auto& a, const auto& b) { return a.value.size > b.value.size; });
  if (options.sort == "saved")
    std::stable_sort(records.begin(), records.end(),
                     [](const auto& a, const auto& b) { return a.cost > b.cost; });
  if (console.is_json()) {
    Json list = Json::array();
    for (const cache::Record& record : records) {
      Json item = record_json(record);
      const auto of = accounts.find(record.key);
      item["account"] = of == accounts.end() ? Json(nullptr) : Json(of->second);
      list.push_back(std::move(item));
    }
    return console.document({{"schema", "reprise.cache-list/1"}, {"entries", std::move(list)}},
                            exit_ok, "entries");
  }
  if (console.is_quiet()) {
    for (const cache::Record& record : records) console.out(record.key.text());
    return exit_ok;
  }
  if (records.empty()) {
    console.say("no entries");
    return exit_ok;
  }
  // What people look for first has a place on a narrow terminal, too.
  const bool is_narrow = console.out_columns() < wide_columns;
  Table table{{"KEY", "TASK", "VERSION", "COMMITTED", "SIZE", "TOOK", "RUN", "EXPIRES"},
              {false, false, true, false, true, true},
              {}};
  if (is_narrow) {
    table.heads = {"KEY", "TASK", "COMMITTED", "SIZE", "RUN", "EXPIRES"};
    table.right = {false, false, false, true};
  }
  std::set<std::string> shown;
  for (const cache::Record& r : records)
    if (const auto of = accounts.find(r.key); of != accounts.end()) shown.insert(of->second);
  const auto add_account = [&](auto& row, auto cell) {
    if (shown.size() > 1) row.insert(row.begin() + 2, std::move(cell));
  };
  add_account(table.heads, std::string("ACCOUNT"));
  add_account(table.right, false);
  const Time now_is = now();
  for (const cache::Record& r : records) {
    const std::string task = escape_for_terminal(r.task.empty() ? r.name : r.task);
    if (is_narrow)
      table.rows.push_back({short_key(r.key).substr(0, narrow_key_columns), task,
                            local_text(r.committed), describe_bytes(r.value.size),
                            r.run.short_text(), expiry_of(r, now_is, false)});
    else
      table.rows.push_back({short_key(r.key), task, std::to_string(r.version),
                            local_text_seconds(r.committed), describe_bytes(r.value.size),
                            describe(r.cost), r.run.short_text(), expiry_of(r, now_is)});
    const auto of = accounts.find(r.key);
    add_account(table.rows.back(),
                Cell(of == accounts.end() ? "" : escape_for_terminal(of->second)));
  }
  for (const std::string& line : table.lines(console.out_columns(), console.out_style()))
    console.out(line);
  if (records.size() == options.limit)
    console.say(fmt::format("the first {}; --limit N shows more", grouped(options.limit)));
  return exit_ok;
}

int cache_get_command(const CacheGetOptions& options, Console& console) {
  // KEY, k1:KEY, KEY:PATH, k1:KEY:PATH
  std::string key = options.key, path;
  const std::size_t begin = key.starts_with("k1:") ? 3 : 0;
  if (const std::size_t colon = key.find(':', begin); colon != std::string::npos) {
    path = key.substr(colon + 1);
    key.resize(colon);
  }
  const auto store = open_cache(console);
  if (!store) return console.fail(store.error());
  const auto moment = asked_moment(options.as_of, console.options());
  if (!moment) return console.fail(moment.error());
  const auto entry = find_entry(**store, key, *moment);
  if (!entry) return console.fail(entry.error());
  const cache::Record& record = entry->newest();
  if (const auto removed = entry->removed())
    return console.fail(
        {ErrorCode::not_found,
         fmt::format("entry {} was removed at {}; --as-of a moment before gives what was there",
                     short_key(record.key), to_rfc3339(*removed))});
  const auto value = value_of(record, console.options());
  if (!value) return console.fail(value.error());

  std::vector<std::pair<std::string, FileValue>> files;
  collect_files(*value, {}, files);
  if (!path.empty()) {
    for (const auto& [name, file] : files)
      if (name == path) return give_file(file, options.output, console);
    std::string names;
    for (const auto& [name, file] : files)
      names += (names.empty() ? "" : ", ") + escape_for_terminal(name);
    return console.fail({ErrorCode::not_found,
                         fmt::format("entry {} has no file \"{}\"; {}", short_key(record.key),
                                     escape_for_terminal(path),
                                     names.empty() ? "it has no files" : "its files: " + names)});
  }
  if (console.is_json()) {
    Json document{{"schema", "reprise.cache-value/1"}};
    document.update(record_json(record));
    document["value"] = Json::parse(to_json(*value), nullptr, false);
    Json list = Json::array();
    for (const auto& [name, file] : files)
      list.push_back({{"path", name}, {"digest", file.content.text()}, {"size_bytes", file.size}});
    document["files"] = std::move(list);
    return console.document(std::move(document));
  }
  if (is_file(*value)) return give_file(files.front().second, options.output, console);
  if (const Bytes* bytes = value->get_if<Bytes>();
      bytes && (options.output.empty() || options.output == "-") && !is_terminal(STDOUT_FILENO)) {
    console.raw(bytes->data);
    return exit_ok;
  }
  return write_text(to_json(*value), options.output, console);
}

int cache_show_command(const CacheShowOptions& options, Console& console) {
  const auto store = open_cache(console);
  if (!store) return console.fail(store.error());
  const auto moment = asked_moment(options.as_of, console.options());
  if (!moment) return console.fail(moment.error());
  const auto entry = find_entry(**store, options.key, *moment);
  if (!entry) return console.fail(entry.error());
  const cache::Record& current = entry->newest();
  if (options.provenance || options.dot)
    return show_provenance(current.run, current.task, current.key, options.dot, console);
  const auto removed = entry->removed();
  if (console.is_json()) {
    Json list = Json::array();
    for (const cache::Record& record : entry->versions) list.push_back(record_json(record));
    return console.document({{"schema", "reprise.cache-entry/1"},
                             {"key", current.key.text()},
                             {"name", current.name},
                             {"material", material_json(current.material)},
                             {"removed", removed ? Json(to_rfc3339(*removed)) : Json(nullptr)},
                             {"versions", std::move(list)}},
                            exit_ok, "versions");
  }
  console.out(fmt::format("key       {}", current.key.text()));
  console.out(fmt::format("task      {}", escape_for_terminal(current.name)));
  print_material(current.material, console);
  Table table{{"VERSION", "COMMITTED", "SIZE", "TOOK", "RUN", "TASK", "DIGEST", "EXPIRES"},
              {true, false, true, true},
              {}};
  for (const cache::Record& r : with_removals(*entry)) {
    if (r.status == cache::VersionStatus::tombstone)
      table.rows.push_back({std::to_string(r.version), local_text_seconds(r.committed), "–", "–",
                            "–", "–", "–", "removed"});
    else
      table.rows.push_back({std::to_string(r.version), local_text_seconds(r.committed),
                            describe_bytes(r.value.size), describe(r.cost), r.run.short_text(),
                            escape_for_terminal(r.task), r.value.digest.text().substr(0, 19),
                            expiry_of(r, now())});
  }
  for (const std::string& line : table.lines(console.out_columns(), console.out_style()))
    console.out(line);
  return exit_ok;
}

namespace {

Json shared_json(const SharedStatistics& shared) {
  if (!shared.statistics)
    return {{"server", shared.server}, {"tier_down", shared.statistics.error().message}};
  const cache::Statistics& s = *shared.statistics;
  return {{"server", shared.server}, {"tier_down", nullptr},   {"entries", s.entries},
          {"versions", s.versions},  {"look_ups", s.look_ups}, {"hits", s.hits},
          {"misses", s.misses},      {"corrupt", s.corrupt},   {"fenced", s.fenced}};
}

std::string shared_line(const SharedStatistics& shared) {
  if (!shared.statistics)
    return fmt::format("shared    tier_down: {}",
                       escape_for_terminal(shared.statistics.error().message));
  const cache::Statistics& s = *shared.statistics;
  return fmt::format(
      "shared    {}: {} entries; {} look-ups of all nodes: {} hits, {} misses; {} corrupt, {} "
      "fenced",
      escape_for_terminal(shared.server), grouped(s.entries), grouped(s.look_ups), grouped(s.hits),
      grouped(s.misses), grouped(s.corrupt), grouped(s.fenced));
}

}  // namespace

namespace {

Json counts_json(const cache::UseCounts& use, std::string_view kind) {
  Json counts = Json::object();
  for (const auto& [what, sum] : use.all_of(kind)) counts[what] = sum;
  return counts;
}

double seconds_of(std::int64_t nanoseconds) {
  return seconds(Duration(nanoseconds));
}

Json use_json(const cache::Statistics& s) {
  const cache::UseCounts& use = s.use;
  const std::int64_t look_ups = use.look_ups(), hits = use.sum_of("hit");
  return {
      {"look_ups", look_ups},
      {"hits", hits},
      {"misses", use.sum_of("miss")},
      {"bypasses", use.sum_of("bypass")},
      {"hit_rate", look_ups == 0 ? Json(nullptr)
                                 : Json(static_cast<double>(hits) / static_cast<double>(look_ups))},
      {"hits_by_tier", counts_json(use, "hit")},
      {"misses_by_reason", counts_json(use, "miss")},
      {"bypasses_by_reason", counts_json(use, "bypass")},
      {"unkept_by_reason", counts_json(use, "unkept")},
      {"waits", use.of("wait.count")},
      {"waited_seconds", seconds_of(use.of("wait.ns"))},
      {"saved_seconds", seconds_of(use.of("saved.ns"))},
      {"read_bytes", use.of("bytes.read")},
      {"written_bytes", use.of("bytes.written")},
      {"evicted", use.of("evicted.count")},
      {"evicted_bytes", use.of("evicted.bytes")},
      {"evicted_seconds", seconds_of(use.of("evicted.ns"))},
      {"corrupt", s.corrupt},
      {"fenced", s.fenced}};
}

/// "3 local, 1 redis", the most first.
std::string counts_text(const cache::UseCounts& use, std::string_view kind) {
  std::vector<std::pair<std::int64_t, std::string>> counts;
  for (const auto& [what, sum] : use.all_of(kind)) counts.emplace_back(-sum, what);
  std::ranges::sort(counts);
  std::string text;
  for (const auto& [sum, what] : counts)
    text += fmt::format("{}{} {}", text.empty() ? "" : ", ", grouped(-sum), what);
  return text;
}

void tell_use(const cache::Statistics& s, Console& console) {
  const cache::UseCounts& use = s.use;
  const std::int64_t look_ups = use.look_ups(), hits = use.sum_of("hit");
  std::string line = fmt::format("look-ups  {}: {} hits, {} misses", grouped(look_ups),
                                 grouped(hits), grouped(use.sum_of("miss")));
  if (const std::int64_t bypasses = use.sum_of("bypass"); bypasses > 0)
    line += fmt::format(", {} bypasses", grouped(bypasses));
  if (look_ups > 0)
    line += fmt::format(" ({:.0f} % hits)",
                        100 * static_cast<double>(hits) / static_cast<double>(look_ups));
  console.out(line);
  const auto kind = [&](std::string_view title, std::string_view name) {
    if (const std::string text = counts_text(use, name); !text.empty())
      console.out(fmt::format("{}  {}", pad(std::string(title), 8), text));
  };
  kind("hits", "hit");
  kind("misses", "miss");
  kind("bypasses", "bypass");
  kind("not kept", "unkept");
  if (const std::int64_t saved = use.of("saved.ns"); saved > 0)
    console.out(fmt::format("saved     {} of work", describe(Duration(saved))));
  if (const std::int64_t waits = use.of("wait.count"); waits > 0)
    console.out(fmt::format("waited    {}, {} altogether",
                            counted(static_cast<std::uint64_t>(waits), "time"),
                            describe(Duration(use.of("wait.ns")))));
  if (const std::int64_t evicted = use.of("evicted.count"); evicted > 0)
    console.out(fmt::format("evicted   {} ({})", grouped(evicted),
                            describe_bytes(static_cast<std::uint64_t>(use.of("evicted.bytes")))));
  if (s.corrupt > 0) console.out(fmt::format("corrupt   {}", grouped(s.corrupt)));
}

Status forget_counts(const GlobalOptions& globals) {
  const auto path = data_path(globals);
  if (!path) return tl::unexpected(path.error());
  const auto folder = journal::DataFolder::open({*path, false});
  if (!folder) return tl::unexpected(folder.error());
  auto store = cache::SqliteStore::open({.path = folder->cache_file()});
  return store ? (*store)->forget_counts() : tl::unexpected(store.error());
}

}  // namespace

int cache_stats_command(const CacheStatsOptions& options, Console& console) {
  const auto shared = shared_statistics(console.options());
  if (!shared) return console.fail(shared.error(), exit_invalid);
  cache::Statistics s;
  const auto store = open_cache(console);
  if (store) {
    const auto statistics = (*store)->statistics();
    if (!statistics) return console.fail(statistics.error());
    s = *statistics;
    // What is shown is what was counted until now.
    if (options.zero)
      if (const Status done = forget_counts(console.options()); !done)
        return console.fail(done.error());
  } else if (store.error().code != ErrorCode::not_found) {
    return console.fail(store.error());
  }
  if (console.is_json()) {
    Json document{{"schema", "reprise.cache-stats/1"},
                  {"entries", s.entries},
                  {"versions", s.versions},
                  {"value_bytes", s.value_bytes},
                  {"blob_files", s.blob_files},
                  {"blob_bytes", s.blob_bytes},
                  {"shared", *shared ? shared_json(**shared) : Json(nullptr)}};
    document.update(use_json(s));
    return console.document(std::move(document));
  }
  console.out(fmt::format("entries   {} ({})", grouped(s.entries), counted(s.versions, "version")));
  console.out(fmt::format("values    {}", describe_bytes(s.value_bytes)));
  console.out(fmt::format("files     {}, {}", grouped(s.blob_files), describe_bytes(s.blob_bytes)));
  tell_use(s, console);
  if (*shared) console.out(shared_line(**shared));
  return exit_ok;
}

}  // namespace reprise::cli
