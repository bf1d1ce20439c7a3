#include "cache/redis_lookup.hpp"

#include <algorithm>
#include <optional>
#include <unordered_set>
#include <utility>

#include "cache/value_files.hpp"

namespace reprise::cache {
namespace {

constexpr std::size_t keys_per_command = 128;
// Enough to make little of the way there and back. With more of them answers have left the
// processor's cache when they are decoded: 8192 take twice as long per key (bench P5).
constexpr std::size_t keys_per_round_trip = 1024;  // × 4 KiB of value
constexpr std::uint64_t value_bytes_per_round_trip = 32 << 20;
constexpr std::int64_t versions_tried = 100;

}  // namespace

RedisLookUp::RedisLookUp(Context context, std::span<const Query> queries)
    : context_(context), queries_(queries), found_(queries.size()) {
  for (Found& each : found_) each.tier = Tier::redis;
}

// Of a key's versions the newest that is not taken says why.
void RedisLookUp::missed(const Search& search, Miss why) {
  Found& found = found_[search.position];
  if (found.miss == Miss::absent) found.miss = why;
}

Status RedisLookUp::run() {
  if (auto done = load_heads(); !done) return done;
  // Each round settles one version of every key that is still open; few keys need a second.
  std::vector<Search*> open;
  for (Search& search : searches_)
    if (!search.is_done) open.push_back(&search);
  while (!open.empty()) {
    std::vector<Search*> need_history, need_value;
    for (Search* search : open)
      if (!advance(*search))
        (search->next < search->candidates.size() ? need_value : need_history).push_back(search);
    const bool is_over = (!need_history.empty() && !load_histories(need_history)) ||
                         (!need_value.empty() && !fetch_values(need_value));
    if (is_over) break;
    std::erase_if(open, [](const Search* search) { return search->is_done; });
  }
  if (context_.read_only)
    leave_out_incomplete();
  else
    fetch_files();
  set_damaged_aside();
  return {};
}

Status RedisLookUp::load_heads() {
  const redis::Budgets& budgets = context_.client.settings().budgets;
  for (std::size_t begin = 0; begin < queries_.size(); begin += keys_per_round_trip) {
    const std::size_t end = std::min(queries_.size(), begin + keys_per_round_trip);
    redis::Commands commands;
    for (std::size_t at = begin; at < end; at += keys_per_command) {
      const std::size_t stop = std::min(end, at + keys_per_command);
      commands.begin(1 + stop - at);
      commands.argument("MGET");
      for (std::size_t i = at; i < stop; ++i)
        commands.argument(context_.keys.entry(RedisKeys::tag(queries_[i].key)));
    }
    // Decoded as they come, while the server still looks up the rest. A batch that is sent twice
    // begins anew.
    std::optional<Error> wrong;
    const std::size_t searches = searches_.size(), dropped = dropped_.size();
    const auto take_some = [&](std::size_t number, redis::Reply& reply) {
      if (number == 0) {
        wrong.reset();
        searches_.erase(searches_.begin() + static_cast<std::ptrdiff_t>(searches), searches_.end());
        dropped_.resize(dropped);
        for (std::size_t i = begin; i < end; ++i) {
          found_[i].record.reset();
          found_[i].miss = Miss::absent;
        }
      }
      std::size_t at = begin + number * keys_per_command;
      const std::size_t stop = std::min(end, at + keys_per_command);
      if (reply.is_error())
        wrong = error_of(reply, context_.client.name());
      else if (reply.elements.size() != stop - at)
        wrong = Error{ErrorCode::corrupt,
                      context_.client.name() + " answered another question than was asked"};
      else
        for (redis::Reply& element : reply.elements) take_head(at++, element);
    };
    // The limit is for waiting; a large answer may take longer than a small one.
    const Duration budget =
        budgets.connect + budgets.operation + std::chrono::microseconds{50 * (end - begin)};
    if (auto done = context_.client.read(commands, budget, take_some); !done) return done;
    if (wrong) return tl::unexpected(*std::move(wrong));
  }
  return {};
}

void RedisLookUp::take_head(std::size_t position, redis::Reply& head) {
  if (!head.is_text() || serve_at_once(position, head.text)) return;
  Search search;
  search.position = position;
  search.tag = RedisKeys::tag(queries_[position].key);
  take(search, std::move(head.text));
  searches_.push_back(std::move(search));
}

// What says that there is nothing needs no key.
bool RedisLookUp::is_believed(const RedisRecord& version, std::string_view stored) const {
  return context_.mac_keys == nullptr || version.is_tombstone || version.is_damaged ||
         is_genuine(stored, *context_.mac_keys);
}

// Nearly all: the newest version is fresh and holds its value.
bool RedisLookUp::serve_at_once(std::size_t position, std::string_view stored) {
  auto head = RedisRecord::decode(stored);
  if (!head || head->place != ValuePlace::inside || head->is_damaged || head->is_tombstone ||
      head->record.key != queries_[position].key || !is_believed(*head, stored) ||
      !queries_[position].takes(head->record, context_.now))
    return false;
  Payload payload = Payload::of(std::move(head->value));
  if (!(payload == head->record.value)) return false;
  head->record.value = std::move(payload);
  found_[position].record = std::move(head->record);
  return true;
}

// A record as it was read: a candidate, or of no use to anybody.
void RedisLookUp::take(Search& search, std::string bytes) {
  auto record = RedisRecord::decode(bytes);
  if (record && !record->is_damaged && record->record.key != queries_[search.position].key)
    record = fail(ErrorCode::corrupt, "a record of another key");
  if (record) {
    const bool is_good = is_believed(*record, bytes);
    search.candidates.push_back({std::move(*record), std::move(bytes), is_good});
  } else if (record.error().code == ErrorCode::corrupt) {
    missed(search, Miss::corrupt);
    dropped_.emplace_back(search.tag, std::move(bytes));
  } else {
    missed(search, Miss::foreign_schema);
    // Of a newer program, which has moved older versions in its own way.
    search.is_history_loaded = true;
    search.is_done = search.candidates.empty();
  }
}

// Goes to the next version that may be served, and serves it when its value is here. False: more
// has to be read first.
bool RedisLookUp::advance(Search& search) {
  while (!search.is_done) {
    if (search.takes_stale && search.next != *search.stale) {
      search.is_done = true;  // its value was not to be had
      break;
    }
    if (search.next == search.candidates.size()) {
      // The first version has none before it.
      const bool is_first =
          !search.candidates.empty() && search.candidates.back().version.record.version == 1;
      if (!search.is_history_loaded && !is_first) return false;
      give_up_fresh(search);
      continue;
    }
    RedisRecord& candidate = search.candidates[search.next].version;
    const Record& record = candidate.record;
    if (candidate.is_tombstone) {
      missed(search, Miss::invalidated);
      give_up_fresh(search);
      continue;
    }
    if (!search.candidates[search.next].is_genuine) {
      missed(search, Miss::bad_mac);
      ++search.next;
      continue;
    }
    const Query& query = queries_[search.position];
    if (!search.takes_stale && (candidate.is_damaged || !query.takes(record, context_.now))) {
      missed(search,
             candidate.is_damaged ? Miss::corrupt : miss_of_newest(query, record, context_.now));
      if (!search.stale && !candidate.is_damaged && query.takes_stale(record, context_.now))
        search.stale = search.next;
      ++search.next;
      continue;
    }
    switch (candidate.place) {
      case ValuePlace::inside:
        serve(search, std::move(candidate.value));
        break;
      case ValuePlace::inside_compressed: {
        auto bytes = decode_value('\1' + candidate.value, record.value.size);
        serve(search, bytes ? std::move(*bytes) : std::string());
        break;
      }
      case ValuePlace::apart:
      case ValuePlace::elsewhere: {
        // What this node has need not be asked for.
        if (context_.blobs) {
          if (auto here = context_.blobs->get_value(record.value.digest); here) {
            serve(search, std::string(here->view()));
            break;
          }
        }
        if (candidate.place == ValuePlace::apart) return false;
        missed(search, Miss::evicted);
        ++search.next;
        break;
      }
    }
  }
  return true;
}

// Nothing is fresh: what is over since not too long is taken, or nothing.
void RedisLookUp::give_up_fresh(Search& search) {
  if (search.stale && !search.takes_stale) {
    search.takes_stale = true;
    search.next = *search.stale;
  } else {
    search.is_done = true;
  }
}

// True when `bytes` are the value that the candidate promises.
bool RedisLookUp::serve(Search& search, std::string bytes) {
  RedisRecord& candidate = search.candidates[search.next].version;
  Payload payload = Payload::of(std::move(bytes));
  if (payload == candidate.record.value) {
    candidate.record.value = std::move(payload);
    found_[search.position].record = std::move(candidate.record);
    search.is_done = true;
    return true;
  }
  missed(search, Miss::corrupt);
  if (candidate.place == ValuePlace::inside || candidate.place == ValuePlace::inside_compressed) {
    dropped_.emplace_back(search.tag, std::move(search.candidates[search.next].stored));
  }
  ++search.next;
  return false;
}

Status RedisLookUp::load_histories(const std::vector<Search*>& wanting) {
  const redis::Budgets& budgets = context_.client.settings().budgets;
  redis::Commands commands;
  for (const Search* search : wanting)
    commands.add("LRANGE", context_.keys.history(search->tag), -versions_tried, -1);
  auto replies = context_.client.run(commands, budgets.of(wanting.size() * 4096));
  if (!replies) return tl::unexpected(replies.error());
  for (std::size_t i = 0; i < wanting.size(); ++i) {
    Search& search = *wanting[i];
    search.is_history_loaded = true;
    auto& elements = (*replies)[i].elements;  // none when it is no list
    for (auto each = elements.rbegin(); each != elements.rend(); ++each)
      take(search, std::move(each->text));
  }
  return {};
}

Status RedisLookUp::fetch_values(const std::vector<Search*>& wanting) {
  const redis::Budgets& budgets = context_.client.settings().budgets;
  for (std::size_t begin = 0; begin < wanting.size();) {
    std::size_t end = begin;
    std::uint64_t bytes = 0;
    redis::Commands commands;
    for (; end < wanting.size() && (end == begin || bytes < value_bytes_per_round_trip); ++end) {
      const Payload& value = wanting[end]->candidates[wanting[end]->next].version.record.value;
      commands.add("GET", context_.keys.value(value.digest));
      bytes += std::min(value.size, redis_value_bytes);
    }
    auto replies = context_.client.run(commands, budgets.of(bytes));
    if (!replies) return tl::unexpected(replies.error());
    for (std::size_t i = begin; i < end; ++i) {
      Search& search = *wanting[i];
      const redis::Reply& reply = (*replies)[i - begin];
      const Payload value = search.candidates[search.next].version.record.value;
      if (!reply.is_text()) {
        missed(search, Miss::evicted);
        ++search.next;
        continue;
      }
      auto stored = decode_value(reply.text, value.size);
      if (serve(search, stored ? std::move(*stored) : std::string())) {
        used_values_.push_back(value.digest);
      } else {
        dropped_values_.emplace_back(value.digest, reply.text);
      }
    }
    begin = end;
  }
  return {};
}

// Whoever serves the results looks whether their files are here: what cannot be had is no error.
void RedisLookUp::fetch_files() {
  if (context_.blobs == nullptr) return;
  std::vector<FileValue> missing;
  std::unordered_set<Digest> seen;
  for (const Found& found : found_) {
    if (!found.record) continue;
    for (const FileValue& file : files_in(found.record->value)) {
      if (file.size > redis_value_bytes || !seen.insert(file.content).second) continue;
      if (!context_.blobs->contains(file.content)) missing.push_back(file);
    }
  }
  const redis::Budgets& budgets = context_.client.settings().budgets;
  for (std::size_t begin = 0; begin < missing.size();) {
    std::size_t end = begin;
    std::uint64_t bytes = 0;
    redis::Commands commands;
    for (; end < missing.size() && (end == begin || bytes < value_bytes_per_round_trip); ++end) {
      commands.add("GET", context_.keys.value(missing[end].content));
      bytes += missing[end].size;
    }
    auto replies = context_.client.run(commands, budgets.of(bytes));
    if (!replies) return;
    for (std::size_t i = begin; i < end; ++i) {
      const redis::Reply& reply = (*replies)[i - begin];
      if (!reply.is_text()) continue;
      const auto content = decode_value(reply.text, missing[i].size);
      if (!content || sha256(*content) != missing[i].content)
        dropped_values_.emplace_back(missing[i].content, reply.text);
      else if (context_.blobs->put(*content))
        used_values_.push_back(missing[i].content);
    }
    begin = end;
  }
}

// Who only looks learns whether the files could be had. Those that are here are not looked at.
void RedisLookUp::leave_out_incomplete() {
  std::vector<FileValue> missing;
  std::unordered_set<Digest> lost;
  for (const Found& found : found_) {
    if (!found.record) continue;
    for (const FileValue& file : files_in(found.record->value)) {
      if (context_.blobs != nullptr && context_.blobs->contains(file.content)) continue;
      if (lost.insert(file.content).second && file.size <= redis_value_bytes)
        missing.push_back(file);
    }
  }
  if (lost.empty()) return;
  redis::Commands commands;
  for (const FileValue& file : missing) commands.add("EXISTS", context_.keys.value(file.content));
  if (!missing.empty()) {
    auto replies =
        context_.client.run(commands, context_.client.settings().budgets.of(missing.size()));
    for (std::size_t i = 0; replies && i < missing.size(); ++i)
      if ((*replies)[i].integer == 1) lost.erase(missing[i].content);
  }
  for (Found& found : found_) {
    if (!found.record) continue;
    const auto files = files_in(found.record->value);
    if (std::any_of(files.begin(), files.end(),
                    [&](const FileValue& file) { return lost.contains(file.content); }))
      found = {std::nullopt, found.tier, Miss::evicted};
  }
}

// The next reader need not stumble over it. That this cannot be done is no trouble.
void RedisLookUp::set_damaged_aside() {
  if (context_.read_only || (dropped_.empty() && dropped_values_.empty())) return;
  const auto leave_one_each = [](auto& list) {  // keys may have been asked for twice
    std::sort(list.begin(), list.end());
    list.erase(std::unique(list.begin(), list.end()), list.end());
  };
  leave_one_each(dropped_);
  leave_one_each(dropped_values_);
  corrupt_ = static_cast<std::int64_t>(dropped_.size() + dropped_values_.size());
  const RedisKeys& keys = context_.keys;
  redis::Commands commands;
  for (const auto& [tag, bytes] : dropped_)
    commands.add("FCALL", "rp1_drop", 5, keys.index(), keys.statistics(), keys.entry(tag),
                 keys.history(tag), keys.quarantine(tag), bytes);
  for (const auto& [digest, bytes] : dropped_values_)
    commands.add("FCALL", "rp1_drop_value", 2, keys.value(digest), keys.quarantined_value(digest),
                 bytes);
  (void)context_.client.run(commands, context_.client.settings().budgets.of(commands.wire().size()),
                            redis::Client::Needs::functions);
}

}  // namespace reprise::cache
