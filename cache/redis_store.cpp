#include "cache/redis_store.hpp"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <mutex>
#include <tuple>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include <fmt/format.h>

#include "cache/compression.hpp"
#include "cache/key_prefix.hpp"
#include "cache/redis_keys.hpp"
#include "cache/redis_lookup.hpp"
#include "cache/redis_record.hpp"
#include "cache/value_files.hpp"

namespace reprise::cache {
namespace {

using redis::Client;
using redis::Commands;
using redis::Reply;

constexpr std::size_t commits_per_call = 512;
constexpr std::int64_t keys_per_page = 1000;
constexpr std::size_t file_bytes_per_round_trip = 8 << 20;
// Values in use are kept from running out; asking once an hour is often enough for that.
constexpr Duration touch_pause = std::chrono::hours{1};
constexpr std::size_t touches_remembered = 100'000;

std::int64_t number_in(std::string_view text) {
  std::int64_t value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

std::int64_t milliseconds(Duration duration) {
  return std::max<std::int64_t>(
      1, std::chrono::duration_cast<std::chrono::milliseconds>(duration).count());
}

struct Seen {
  std::int64_t look_ups = 0, hits = 0, misses = 0, corrupt = 0;

  [[nodiscard]] bool is_empty() const { return look_ups == 0 && corrupt == 0; }
  void add_to(Commands& commands, const std::string& key) const {
    const auto add = [&](std::string_view what, std::int64_t by) {
      if (by != 0) commands.add("HINCRBY", key, what, by);
    };
    add("look_ups", look_ups);
    add("hits", hits);
    add("misses", misses);
    add("corrupt", corrupt);
  }
  Seen& operator+=(const Seen& other) {
    look_ups += other.look_ups;
    hits += other.hits;
    misses += other.misses;
    corrupt += other.corrupt;
    return *this;
  }
};

enum class Depth { heads, histories, materials };  // each with what comes before it

// All versions of one key, or as many as were asked for.
struct Versions {
  std::string tag;
  std::vector<RedisRecord> newest_first;
  std::string material;
};

}  // namespace

struct RedisStore::State {
  explicit State(Options given)
      : options(std::move(given)), keys(options.client->settings().prefix) {}

  Options options;
  RedisKeys keys;

  std::mutex mutex;
  Seen seen;  // by look-ups and not written yet
  std::unordered_map<Digest, Time> touched;

  [[nodiscard]] Client& client() const { return *options.client; }
  [[nodiscard]] Error error_of(const Reply& reply) const {
    return redis::error_of(reply, client().name());
  }
  Result<std::vector<Reply>> ask(const Commands& commands, std::uint64_t value_bytes = 0,
                                 Client::Needs needs = Client::Needs::nothing) const {
    const redis::Budgets& budgets = client().settings().budgets;
    auto replies = client().run(commands, budgets.connect + budgets.of(value_bytes), needs);
    if (!replies) return replies;
    for (const Reply& reply : *replies)
      if (reply.is_error()) return tl::unexpected(error_of(reply));
    return replies;
  }

  void touch(const std::vector<Digest>& used, Time now);
  [[nodiscard]] Seen take_seen();
  void see(const Seen& more);
  void write_seen();
  Result<RedisRecord> record_of(const Commit& commit, Time now, std::string& apart) const;
  Status put_values(const std::vector<std::pair<Digest, std::string>>& values) const;
  Status put_files(std::span<const Commit> commits) const;
  Result<std::vector<Kept>> commit_some(std::span<const Commit> commits, Time now);
  Result<std::vector<Versions>> load(std::span<const std::string> tags, Depth depth) const;
  Result<std::vector<Versions>> load_newest(std::span<const std::string> tags) const;
  template <class Visit>
  Status each_tag(Visit visit) const;
  Result<std::vector<std::string>> tags_with_prefix(const std::string& hex) const;
  std::optional<Payload> value_of(const RedisRecord& version) const;
};

RedisStore::RedisStore(Options options) : state_(std::make_unique<State>(std::move(options))) {}

RedisStore::~RedisStore() {
  state_->write_seen();
}

Seen RedisStore::State::take_seen() {
  const std::lock_guard guard(mutex);
  return std::exchange(seen, {});
}

void RedisStore::State::see(const Seen& more) {
  const std::lock_guard guard(mutex);
  seen += more;
}

void RedisStore::State::write_seen() {
  const Seen taken = take_seen();
  if (taken.is_empty()) return;
  Commands commands;
  taken.add_to(commands, keys.statistics());
  (void)ask(commands);
}

// Best effort, as every write of a look-up.
void RedisStore::State::touch(const std::vector<Digest>& used, Time now) {
  Commands commands;
  {
    const std::lock_guard guard(mutex);
    if (touched.size() > touches_remembered) touched.clear();
    for (const Digest& digest : used) {
      const auto [known, is_new] = touched.try_emplace(digest, now);
      if (!is_new && now - known->second < touch_pause) continue;
      known->second = now;
      commands.add("PEXPIRE", keys.value(digest), milliseconds(options.value_lifetime));
    }
  }
  if (!commands.empty()) (void)client().run(commands, client().settings().budgets.operation);
}

Result<std::vector<Found>> RedisStore::search(std::span<const Query> queries, Time now) {
  RedisLookUp look_up({state_->client(), state_->keys, state_->options.blobs.get(),
                       state_->options.mac_keys.get(), now, state_->options.read_only},
                      queries);
  if (auto done = look_up.run(); !done) return tl::unexpected(done.error());
  auto found = std::move(look_up.found());
  if (state_->options.read_only) return found;
  const auto hits = std::count_if(found.begin(), found.end(), [&](const Found& each) {
    return each.record && each.record->is_fresh(now);
  });
  const auto asked = static_cast<std::int64_t>(queries.size());
  state_->see({asked, hits, asked - hits, look_up.corrupt()});
  state_->touch(look_up.used_values(), now);
  return found;
}

// `apart` gets what is to be kept beside the record.
Result<RedisRecord> RedisStore::State::record_of(const Commit& commit, Time now,
                                                 std::string& apart) const {
  RedisRecord made;
  made.record.key = commit.key;
  made.record.version = 1;
  made.record.name = commit.name;
  made.record.value = commit.value;
  made.record.committed = commit.committed.value_or(now);
  if (commit.expires_after) made.record.expires = now + *commit.expires_after;
  made.record.run = commit.run;
  made.record.task = commit.task;
  made.record.cost = commit.cost;
  made.record.status = commit.status;

  std::string stored = encode_value(commit.value.view());
  if (stored.size() <= redis_inline_bytes + 1) {
    made.place = stored[0] == '\1' ? ValuePlace::inside_compressed : ValuePlace::inside;
    made.value = stored.substr(1);
  } else if (stored.size() <= redis_value_bytes + 1) {
    made.place = ValuePlace::apart;
    apart = std::move(stored);
  } else {
    if (!options.blobs)
      return fail(
          ErrorCode::exhausted,
          fmt::format("{}: a value of {} is kept in a blob directory only, and there is none",
                      client().name(), describe_bytes(commit.value.size)));
    if (auto kept = options.blobs->put_value(commit.value); !kept)
      return tl::unexpected(kept.error());
    made.place = ValuePlace::elsewhere;
  }
  return made;
}

// Written over what is there, which repairs what is damaged.
Status RedisStore::State::put_values(
    const std::vector<std::pair<Digest, std::string>>& values) const {
  Commands commands;
  for (const auto& [digest, bytes] : values)
    commands.add("SET", keys.value(digest), bytes, "PX", milliseconds(options.value_lifetime));
  if (commands.empty()) return {};
  auto replies = ask(commands, commands.wire().size());
  if (!replies) return tl::unexpected(replies.error());
  return {};
}

// Those of the values that are small enough; with a larger one a result is of use only to nodes
// that have it.
Status RedisStore::State::put_files(std::span<const Commit> commits) const {
  if (!options.blobs) return {};
  std::vector<std::pair<Digest, std::string>> some;
  std::unordered_set<Digest> taken;
  std::size_t bytes = 0;
  for (const Commit& commit : commits) {
    for (const FileValue& file : files_in(commit.value)) {
      if (file.size > redis_value_bytes || !taken.insert(file.content).second) continue;
      auto content = options.blobs->get(file.content, redis_value_bytes);
      if (!content) continue;  // the result is as useless there as here
      some.emplace_back(file.content, encode_value(*content));
      bytes += some.back().second.size();
      if (bytes < file_bytes_per_round_trip) continue;
      if (auto done = put_values(some); !done) return done;
      some.clear();
      bytes = 0;
    }
  }
  return put_values(some);
}

Result<std::vector<Kept>> RedisStore::State::commit_some(std::span<const Commit> commits,
                                                         Time now) {
  std::vector<RedisRecord> records;
  std::vector<std::pair<Digest, std::string>> values;
  for (const Commit& commit : commits) {
    std::string apart;
    auto record = record_of(commit, now, apart);
    if (!record) return tl::unexpected(record.error());
    if (!apart.empty()) values.emplace_back(commit.value.digest, std::move(apart));
    records.push_back(std::move(*record));
  }
  // Values first: whoever sees the record finds them.
  if (auto done = put_files(commits); !done) return tl::unexpected(done.error());
  if (auto done = put_values(values); !done) return tl::unexpected(done.error());

  Commands commands;
  commands.begin(3 + 2 + 4 * commits.size() + 1 + 6 * commits.size());
  commands.argument("FCALL");
  commands.argument("rp1_commit");
  commands.argument(2 + 4 * commits.size());
  commands.argument(keys.index());
  commands.argument(keys.statistics());
  for (const Commit& commit : commits) {
    const std::string tag = RedisKeys::tag(commit.key);
    commands.argument(keys.entry(tag));
    commands.argument(keys.history(tag));
    commands.argument(keys.material(tag));
    commands.argument(keys.lease(tag));
  }
  commands.argument(options.versions_kept);
  for (std::size_t i = 0; i < commits.size(); ++i) {
    const Commit& commit = commits[i];
    commands.argument(records[i].encode(options.mac_keys.get()));
    commands.argument(commit.material.empty() ? std::string() : encode_value(commit.material));
    commands.argument(commit.committed ? "1" : commit.anew ? "2" : "0");
    const bool is_leased = commit.lease && commit.lease->scope == Lease::Scope::shared;
    commands.argument(is_leased ? commit.lease->owner : std::string());
    commands.argument(is_leased ? std::to_string(commit.lease->token) : std::string());
    commands.argument(is_leased ? keys.channel(RedisKeys::tag(commit.key)) : std::string());
  }
  const Seen written = take_seen();
  written.add_to(commands, keys.statistics());
  const redis::Budgets& budgets = client().settings().budgets;
  auto replies = client().run(commands, budgets.connect + budgets.of(commands.wire().size()),
                              Client::Needs::functions);
  if (replies && replies->front().is_error()) replies = tl::unexpected(error_of(replies->front()));
  if (!replies) {
    see(written);
    return tl::unexpected(replies.error());
  }
  const std::vector<Reply>& answers = replies->front().elements;
  if (answers.size() != commits.size())
    return fail(ErrorCode::corrupt, client().name() + " answered another question than was asked");
  std::vector<Kept> kept;
  for (const Reply& answer : answers)
    kept.push_back(answer.text == "A"   ? Kept::added
                   : answer.text == "S" ? Kept::same
                   : answer.text == "D" ? Kept::duplicate
                   : answer.text == "F" ? Kept::fenced
                   : answer.text == "O" ? Kept::older
                                        : Kept::foreign);
  return kept;
}

Result<std::vector<Kept>> RedisStore::commit(std::span<const Commit> commits, Time now) {
  for (const Commit& each : commits)
    if (each.value.is_none() || !each.value.is_at_hand())
      return fail(ErrorCode::invalid_argument,
                  fmt::format("the value for key \"{}\" is not at hand", each.key.text()));
  std::vector<Kept> kept;
  for (std::size_t begin = 0; begin < commits.size(); begin += commits_per_call) {
    auto some = state_->commit_some(
        commits.subspan(begin, std::min(commits_per_call, commits.size() - begin)), now);
    if (!some) return tl::unexpected(some.error());
    kept.insert(kept.end(), some->begin(), some->end());
  }
  return kept;
}

// Visits the tags of all keys, those committed last first, until `visit` says that it is enough.
template <class Visit>
Status RedisStore::State::each_tag(Visit visit) const {
  // Pages go by sequence and not by position: what is committed meanwhile moves positions.
  std::string below = "+inf";
  for (;;) {
    Commands commands;
    commands.add("ZRANGE", keys.index(), below, "-inf", "BYSCORE", "REV", "LIMIT", 0, keys_per_page,
                 "WITHSCORES");
    auto replies = ask(commands);
    if (!replies) return tl::unexpected(replies.error());
    const std::vector<Reply>& page = replies->front().elements;
    std::vector<std::string> tags;
    for (std::size_t i = 0; i + 1 < page.size(); i += 2) tags.push_back(page[i].text);
    if (tags.empty()) return {};
    auto goes_on = visit(tags);
    if (!goes_on) return tl::unexpected(goes_on.error());
    if (!*goes_on || tags.size() < static_cast<std::size_t>(keys_per_page)) return {};
    below = "(" + page.back().text;
  }
}

Result<std::vector<Versions>> RedisStore::State::load(std::span<const std::string> tags,
                                                      Depth depth) const {
  Commands commands;
  for (const std::string& tag : tags) {
    commands.add("GET", keys.entry(tag));
    if (depth >= Depth::histories) commands.add("LRANGE", keys.history(tag), 0, -1);
    if (depth >= Depth::materials) commands.add("GET", keys.material(tag));
  }
  const redis::Budgets& budgets = client().settings().budgets;
  auto replies = client().run(commands, budgets.connect + budgets.of(tags.size() * 4096));
  if (!replies) return tl::unexpected(replies.error());
  std::vector<Versions> all;
  std::size_t at = 0;
  for (const std::string& tag : tags) {
    Versions one{tag, {}, {}};
    const auto take = [&](const Reply& reply) {
      if (!reply.is_text()) return;
      auto version = RedisRecord::decode(reply.text);
      if (version && !version->is_damaged && RedisKeys::tag(version->record.key) == tag)
        one.newest_first.push_back(std::move(*version));
    };
    take((*replies)[at++]);
    if (depth >= Depth::histories) {
      const auto& older = (*replies)[at++].elements;
      std::for_each(older.rbegin(), older.rend(), take);
    }
    if (depth >= Depth::materials) {
      const Reply& stored = (*replies)[at++];
      if (stored.is_text())
        if (auto bytes = decode_value(stored.text)) one.material = std::move(*bytes);
    }
    all.push_back(std::move(one));
  }
  return all;
}

// Most keys need no more than their head.
Result<std::vector<Versions>> RedisStore::State::load_newest(
    std::span<const std::string> tags) const {
  auto loaded = load(tags, Depth::heads);
  if (!loaded) return loaded;
  for (Versions& key : *loaded) {
    if (!key.newest_first.empty()) continue;
    auto all = load({&key.tag, 1}, Depth::histories);
    if (!all) return all;
    key = std::move(all->front());
  }
  return loaded;
}

Result<std::vector<Record>> RedisStore::list(const Listing& listing) {
  std::vector<std::pair<std::uint64_t, Record>> shown;  // by sequence
  const auto visit = [&](const std::vector<std::string>& tags) -> Result<bool> {
    auto loaded = listing.as_of ? state_->load(tags, Depth::histories) : state_->load_newest(tags);
    if (!loaded) return tl::unexpected(loaded.error());
    for (Versions& key : *loaded) {
      const auto newest = std::find_if(
          key.newest_first.begin(), key.newest_first.end(), [&](const RedisRecord& version) {
            return !listing.as_of || version.record.committed <= *listing.as_of;
          });
      if (newest == key.newest_first.end() || newest->is_tombstone ||
          !newest->record.name.starts_with(listing.name_prefix))
        continue;
      shown.emplace_back(newest->sequence, std::move(newest->record));
    }
    // Keys come with the newest version first. Of a time in the past, older versions are shown,
    // whose order is another.
    return listing.as_of || shown.size() < listing.limit;
  };
  if (auto done = state_->each_tag(visit); !done) return tl::unexpected(done.error());
  std::sort(shown.begin(), shown.end(),
            [](const auto& a, const auto& b) { return a.first > b.first; });
  std::vector<Record> records;
  for (auto& [sequence, record] : shown) {
    if (records.size() == listing.limit) break;
    records.push_back(std::move(record));
  }
  return records;
}

Result<std::vector<std::string>> RedisStore::State::tags_with_prefix(const std::string& hex) const {
  if (hex.size() >= 32) return std::vector<std::string>{hex.substr(0, 32)};
  std::unordered_set<std::string> found;  // a scan may give one twice
  std::string cursor = "0";
  do {
    Commands commands;
    commands.add("ZSCAN", keys.index(), cursor, "MATCH", hex + "*", "COUNT", keys_per_page);
    auto replies = ask(commands);
    if (!replies) return tl::unexpected(replies.error());
    const Reply& reply = replies->front();
    if (reply.elements.size() != 2)
      return fail(ErrorCode::corrupt,
                  client().name() + " answered another question than was asked");
    cursor = reply.elements[0].text;
    const std::vector<Reply>& page = reply.elements[1].elements;
    for (std::size_t i = 0; i + 1 < page.size(); i += 2) found.insert(page[i].text);
  } while (cursor != "0");
  return std::vector<std::string>(found.begin(), found.end());
}

// nullopt: it is not to be had, or not what it was.
std::optional<Payload> RedisStore::State::value_of(const RedisRecord& version) const {
  const Payload& expected = version.record.value;
  std::optional<std::string> stored;
  switch (version.place) {
    case ValuePlace::inside:
      stored = '\0' + version.value;
      break;
    case ValuePlace::inside_compressed:
      stored = '\1' + version.value;
      break;
    case ValuePlace::apart: {
      Commands commands;
      commands.add("GET", keys.value(expected.digest));
      auto replies = ask(commands, expected.size);
      if (replies && replies->front().is_text()) stored = replies->front().text;
      break;
    }
    case ValuePlace::elsewhere:
      break;
  }
  if (stored) {
    auto bytes = decode_value(*stored, expected.size);
    if (bytes)
      if (Payload payload = Payload::of(std::move(*bytes)); payload == expected) return payload;
  }
  if (options.blobs)
    if (auto here = options.blobs->get_value(expected.digest); here) return *here;
  return std::nullopt;
}

Result<std::vector<Record>> RedisStore::versions(std::string_view key_prefix) {
  auto range = keys_with_prefix(key_prefix);
  if (!range) return tl::unexpected(range.error());
  std::string hex(key_prefix.starts_with("k1:") ? key_prefix.substr(3) : key_prefix);
  std::transform(hex.begin(), hex.end(), hex.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  auto tags = state_->tags_with_prefix(hex);
  if (!tags) return tl::unexpected(tags.error());
  struct Shown {
    RedisRecord version;
    std::string material;
  };
  std::vector<Shown> shown;
  for (std::size_t begin = 0; begin < tags->size(); begin += keys_per_page) {
    auto loaded = state_->load(
        std::span(*tags).subspan(begin, std::min<std::size_t>(keys_per_page, tags->size() - begin)),
        Depth::materials);
    if (!loaded) return tl::unexpected(loaded.error());
    for (Versions& key : *loaded)
      for (RedisRecord& version : key.newest_first)
        if (!version.is_tombstone && range->first <= version.record.key &&
            version.record.key <= range->last)
          shown.push_back({std::move(version), key.material});
  }
  std::sort(shown.begin(), shown.end(),
            [](const Shown& a, const Shown& b) { return a.version.sequence > b.version.sequence; });
  std::vector<Record> records;
  std::uint64_t at_hand = 0;
  for (Shown& each : shown) {
    Record& record = each.version.record;
    record.material = std::move(each.material);
    if (at_hand + record.value.size <= values_at_hand_bytes) {
      if (auto payload = state_->value_of(each.version)) {
        record.value = std::move(*payload);
        at_hand += record.value.size;
      }
    }
    records.push_back(std::move(record));
  }
  return records;
}

Result<Statistics> RedisStore::statistics() {
  Commands commands;
  commands.add("HGETALL", state_->keys.statistics());
  auto replies = state_->ask(commands);
  if (!replies) return tl::unexpected(replies.error());
  std::unordered_map<std::string, std::int64_t> counts;
  const std::vector<Reply>& fields = replies->front().elements;
  for (std::size_t i = 0; i + 1 < fields.size(); i += 2)
    counts[fields[i].text] = number_in(fields[i + 1].text);
  {
    const std::lock_guard guard(state_->mutex);
    counts["look_ups"] += state_->seen.look_ups;
    counts["hits"] += state_->seen.hits;
    counts["misses"] += state_->seen.misses;
    counts["corrupt"] += state_->seen.corrupt;
  }
  const auto counted = [&](const char* what) {
    return static_cast<std::uint64_t>(std::max<std::int64_t>(counts[what], 0));
  };
  Statistics statistics;
  statistics.entries = counted("entries");
  statistics.versions = counted("versions");
  statistics.value_bytes = counted("value_bytes");
  statistics.look_ups = counted("look_ups");
  statistics.hits = counted("hits");
  statistics.misses = counted("misses");
  statistics.corrupt = counted("corrupt");
  statistics.fenced = counted("fenced");
  if (state_->options.blobs)
    std::tie(statistics.blob_files, statistics.blob_bytes) = state_->options.blobs->usage();
  return statistics;
}

}  // namespace reprise::cache
