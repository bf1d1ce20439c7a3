#include "tests/sim/redis_model.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <set>

#include <fmt/format.h>

#include "tests/sim/redis_functions_model.hpp"

namespace reprise::sim {

namespace {

using Reply = redis::Reply;
using Kind = redis::Reply::Kind;

Reply nil() {
  return {};
}
Reply text(std::string bytes) {
  return {Kind::text, 0, std::move(bytes), {}};
}
Reply integer(std::int64_t number) {
  return {Kind::integer, number, {}, {}};
}
Reply status(std::string what) {
  return {Kind::status, 0, std::move(what), {}};
}
Reply array(std::vector<Reply> elements) {
  return {Kind::array, 0, {}, std::move(elements)};
}

// As a server says it; thrown, so that what was done before stays.
[[noreturn]] void refuse(std::string message) {
  throw Reply{Kind::error, 0, std::move(message), {}};
}
[[noreturn]] void refuse_type() {
  refuse("WRONGTYPE Operation against a key holding the wrong kind of value");
}

std::int64_t number_in(const std::string& word) {
  std::int64_t value = 0;
  const auto end = std::from_chars(word.data(), word.data() + word.size(), value);
  if (end.ec != std::errc{} || end.ptr != word.data() + word.size())
    refuse("ERR value is not an integer or out of range");
  return value;
}

// Positions from the end are negative. Empty: first > last.
std::pair<std::int64_t, std::int64_t> range(std::int64_t first, std::int64_t last,
                                            std::size_t size) {
  const auto count = static_cast<std::int64_t>(size);
  if (first < 0) first = std::max<std::int64_t>(0, first + count);
  if (last < 0) last += count;
  return {first, std::min(last, count - 1)};
}

const std::set<std::string>& reads() {
  static const std::set<std::string> all{
      "GET",    "MGET",    "GETRANGE", "STRLEN", "EXISTS", "TYPE",   "PTTL", "HGET",
      "HMGET",  "HGETALL", "HEXISTS",  "HLEN",   "LRANGE", "LINDEX", "LLEN", "ZRANGE",
      "ZSCORE", "ZCARD",   "XRANGE",   "XLEN",   "TIME",   "PUBLISH"};
  return all;
}

// What a full server takes, besides what only reads.
const std::set<std::string>& frees() {
  static const std::set<std::string> all{"DEL",  "PEXPIRE", "PERSIST", "HDEL",    "LPOP",
                                         "LREM", "ZREM",    "XTRIM",   "FLUSHALL"};
  return all;
}

const std::set<std::string>& adds() {
  static const std::set<std::string> all{"SET",     "SETRANGE", "HSET", "HSETNX",
                                         "HINCRBY", "RPUSH",    "ZADD", "XADD"};
  return all;
}

}  // namespace

const std::vector<std::string>& RedisModel::commands() {
  static const std::vector<std::string> all = [] {
    std::vector<std::string> names;
    for (const auto* some : {&reads(), &frees(), &adds()})
      names.insert(names.end(), some->begin(), some->end());
    return names;
  }();
  return all;
}

RedisModel::Item* RedisModel::find(const std::string& key) {
  const auto found = data_.find(key);
  if (found == data_.end()) return nullptr;
  if (found->second.expires && *found->second.expires <= now_) {
    data_.erase(found);
    return nullptr;
  }
  return &found->second;
}

template <class T>
T* RedisModel::get(const std::string& key) {
  Item* item = find(key);
  if (item == nullptr) return nullptr;
  T* value = std::get_if<T>(&item->value);
  if (value == nullptr) refuse_type();
  return value;
}

template <class T>
T& RedisModel::make(const std::string& key) {
  if (T* known = get<T>(key)) return *known;
  return std::get<T>(data_.insert_or_assign(key, Item{T{}, {}}).first->second.value);
}

void RedisModel::drop_if_empty(const std::string& key) {
  const Item* item = find(key);
  if (item == nullptr) return;
  const auto* hash = std::get_if<Hash>(&item->value);
  const auto* list = std::get_if<List>(&item->value);
  const auto* set = std::get_if<SortedSet>(&item->value);
  if ((hash != nullptr && hash->empty()) || (list != nullptr && list->empty()) ||
      (set != nullptr && set->scores.empty()))
    data_.erase(key);
}

Reply RedisModel::execute(const Words& command, Time now) {
  now_ = now;
  try {
    if (command.front() == "FCALL") return call_function(command);
    if (is_read_only && !reads().contains(command.front()))
      refuse("READONLY You can't write against a read only replica.");
    if (is_full && adds().contains(command.front()))
      refuse("OOM command not allowed when used memory > 'maxmemory'.");
    return run(command);
  } catch (const Reply& error) {
    return error;
  }
}

Reply RedisModel::call_function(const Words& command) {
  const std::string& name = command[1];
  if (!RedisFunctions::is_known(name)) refuse("ERR Function not found");
  if (is_read_only && !RedisFunctions::writes_nothing(name))
    refuse("READONLY Can not run script with write flag on readonly replica.");
  if (is_full && !RedisFunctions::allows_oom(name))
    refuse(
        "OOM allow-oom flag is not set on the function, can not run it when used memory > "
        "'maxmemory'");
  const auto keys = static_cast<std::ptrdiff_t>(number_in(command[2]));
  const auto first = command.begin() + 3;
  RedisFunctions functions(*this);
  return functions.call(name, {first, first + keys}, {first + keys, command.end()});
}

Reply RedisModel::run(const Words& words) {
  const std::string& name = words[0];
  if (name == "FLUSHALL") {
    data_.clear();
    return status("OK");
  }
  if (name == "TIME") {
    const auto micro =
        std::chrono::duration_cast<std::chrono::microseconds>(now_.time_since_epoch()).count();
    return array(
        {text(std::to_string(micro / 1'000'000)), text(std::to_string(micro % 1'000'000))});
  }
  if (name == "PUBLISH") return integer(0);  // nobody listens
  if (name == "GET" || name == "SET" || name == "MGET" || name == "GETRANGE" ||
      name == "SETRANGE" || name == "STRLEN")
    return strings(words);
  switch (name[0]) {
    case 'H':
      return hashes(words);
    case 'Z':
      return sorted_sets(words);
    case 'X':
      return streams(words);
    case 'L':
    case 'R':
      return lists(words);
    default:
      return keys(words);
  }
}

Reply RedisModel::strings(const Words& words) {
  const std::string& name = words[0];
  if (name == "MGET") {
    std::vector<Reply> all;
    for (std::size_t i = 1; i < words.size(); ++i) {
      Item* item = find(words[i]);
      const auto* bytes = item == nullptr ? nullptr : std::get_if<std::string>(&item->value);
      all.push_back(bytes == nullptr ? nil() : text(*bytes));
    }
    return array(std::move(all));
  }
  const std::string& key = words[1];
  if (name == "SET") {
    std::optional<Time> expires;
    for (std::size_t i = 3; i < words.size(); ++i) {
      if (words[i] == "NX" && find(key) != nullptr) return nil();
      if (words[i] == "XX" && find(key) == nullptr) return nil();
      if (words[i] == "PX") expires = now_ + std::chrono::milliseconds{number_in(words[++i])};
    }
    data_.insert_or_assign(key, Item{words[2], expires});
    return status("OK");
  }
  std::string* value = get<std::string>(key);
  if (name == "GET") return value == nullptr ? nil() : text(*value);
  if (name == "STRLEN")
    return integer(value == nullptr ? 0 : static_cast<std::int64_t>(value->size()));
  if (name == "GETRANGE") {
    if (value == nullptr) return text("");
    const std::int64_t from = number_in(words[2]), to = number_in(words[3]);
    if (value->empty() || (from < 0 && to < 0 && from > to)) return text("");
    auto [first, last] = range(from, to, value->size());
    last =
        std::max<std::int64_t>(last, 0);  // unlike a list, a string begins where it ends too early
    if (first > last) return text("");
    return text(
        value->substr(static_cast<std::size_t>(first), static_cast<std::size_t>(last - first + 1)));
  }
  // SETRANGE
  const auto offset = static_cast<std::size_t>(number_in(words[2]));
  const std::string& bytes = words[3];
  if (bytes.empty())
    return integer(value == nullptr ? 0 : static_cast<std::int64_t>(value->size()));
  std::string& whole = make<std::string>(key);
  if (whole.size() < offset + bytes.size()) whole.resize(offset + bytes.size(), '\0');
  whole.replace(offset, bytes.size(), bytes);
  return integer(static_cast<std::int64_t>(whole.size()));
}

Reply RedisModel::keys(const Words& words) {
  const std::string& name = words[0];
  if (name == "DEL" || name == "EXISTS") {
    std::int64_t count = 0;
    for (std::size_t i = 1; i < words.size(); ++i) {
      if (find(words[i]) == nullptr) continue;
      ++count;
      if (name == "DEL") data_.erase(words[i]);
    }
    return integer(count);
  }
  Item* item = find(words[1]);
  if (name == "TYPE") {
    static const char* const kinds[] = {"string", "hash", "list", "zset", "stream"};
    return status(item == nullptr ? "none" : kinds[item->value.index()]);
  }
  if (name == "PEXPIRE") {
    if (item == nullptr) return integer(0);
    const std::int64_t in = number_in(words[2]);
    if (in <= 0)
      data_.erase(words[1]);
    else
      item->expires = now_ + std::chrono::milliseconds{in};
    return integer(1);
  }
  if (name == "PERSIST") {
    const bool had = item != nullptr && item->expires.has_value();
    if (had) item->expires.reset();
    return integer(had);
  }
  if (name == "PTTL") {
    if (item == nullptr) return integer(-2);
    if (!item->expires) return integer(-1);
    return integer(
        std::chrono::duration_cast<std::chrono::milliseconds>(*item->expires - now_).count());
  }
  refuse(fmt::format("ERR unknown command '{}', with args beginning with: ", name));
}

Reply RedisModel::hashes(const Words& words) {
  const std::string& name = words[0];
  const std::string& key = words[1];
  Hash* hash = get<Hash>(key);
  const auto field = [&](const std::string& wanted) -> std::string* {
    if (hash == nullptr) return nullptr;
    const auto found =
        std::ranges::find(*hash, wanted, &std::pair<std::string, std::string>::first);
    return found == hash->end() ? nullptr : &found->second;
  };
  const auto put = [&](const std::string& which, const std::string& value) {
    if (hash == nullptr) hash = &make<Hash>(key);
    if (std::string* known = field(which)) {
      *known = value;
      return false;
    }
    hash->emplace_back(which, value);
    return true;
  };
  if (name == "HGET") {
    const std::string* value = field(words[2]);
    return value == nullptr ? nil() : text(*value);
  }
  if (name == "HMGET") {
    std::vector<Reply> all;
    for (std::size_t i = 2; i < words.size(); ++i) {
      const std::string* value = field(words[i]);
      all.push_back(value == nullptr ? nil() : text(*value));
    }
    return array(std::move(all));
  }
  if (name == "HGETALL") {
    std::vector<Reply> all;
    if (hash != nullptr)
      for (const auto& [which, value] : *hash) {
        all.push_back(text(which));
        all.push_back(text(value));
      }
    return array(std::move(all));
  }
  if (name == "HEXISTS") return integer(field(words[2]) != nullptr);
  if (name == "HLEN") return integer(hash == nullptr ? 0 : static_cast<std::int64_t>(hash->size()));
  if (name == "HSET") {
    std::int64_t added = 0;
    for (std::size_t i = 2; i + 1 < words.size(); i += 2) added += put(words[i], words[i + 1]);
    return integer(added);
  }
  if (name == "HSETNX") {
    if (field(words[2]) != nullptr) return integer(0);
    put(words[2], words[3]);
    return integer(1);
  }
  if (name == "HINCRBY") {
    const std::string* known = field(words[2]);
    const std::int64_t by = number_in(words[3]);
    std::int64_t before = 0;
    if (known != nullptr) {
      const auto end = std::from_chars(known->data(), known->data() + known->size(), before);
      if (end.ec != std::errc{} || end.ptr != known->data() + known->size())
        refuse("ERR hash value is not an integer");
    }
    put(words[2], std::to_string(before + by));
    return integer(before + by);
  }
  // HDEL
  std::int64_t gone = 0;
  if (hash != nullptr)
    for (std::size_t i = 2; i < words.size(); ++i)
      gone += static_cast<std::int64_t>(
          std::erase_if(*hash, [&](const auto& each) { return each.first == words[i]; }));
  drop_if_empty(key);
  return integer(gone);
}

Reply RedisModel::lists(const Words& words) {
  const std::string& name = words[0];
  const std::string& key = words[1];
  List* list = get<List>(key);
  if (name == "RPUSH") {
    List& all = make<List>(key);
    all.insert(all.end(), words.begin() + 2, words.end());
    return integer(static_cast<std::int64_t>(all.size()));
  }
  if (name == "LLEN") return integer(list == nullptr ? 0 : static_cast<std::int64_t>(list->size()));
  if (name == "LRANGE") {
    std::vector<Reply> some;
    if (list != nullptr) {
      const auto [first, last] = range(number_in(words[2]), number_in(words[3]), list->size());
      for (std::int64_t i = first; i <= last; ++i)
        some.push_back(text((*list)[static_cast<std::size_t>(i)]));
    }
    return array(std::move(some));
  }
  if (name == "LINDEX") {
    if (list == nullptr) return nil();
    std::int64_t at = number_in(words[2]);
    const auto size = static_cast<std::int64_t>(list->size());
    if (at < 0) at += size;
    return at < 0 || at >= size ? nil() : text((*list)[static_cast<std::size_t>(at)]);
  }
  if (name == "LPOP") {
    if (list == nullptr) return nil();
    Reply first = text(std::move(list->front()));
    list->pop_front();
    drop_if_empty(key);
    return first;
  }
  // LREM: from the end when the count is negative; all when it is 0
  const std::int64_t count = number_in(words[2]);
  std::int64_t gone = 0;
  if (list != nullptr) {
    const auto wanted = count == 0 ? std::numeric_limits<std::int64_t>::max() : std::abs(count);
    const auto size = static_cast<std::int64_t>(list->size());
    List kept;
    for (std::int64_t i = 0; i < size; ++i) {
      std::string& each = (*list)[static_cast<std::size_t>(count < 0 ? size - 1 - i : i)];
      if (gone < wanted && each == words[3])
        ++gone;
      else if (count < 0)
        kept.push_front(std::move(each));
      else
        kept.push_back(std::move(each));
    }
    *list = std::move(kept);
  }
  drop_if_empty(key);
  return integer(gone);
}

Reply RedisModel::sorted_sets(const Words& words) {
  const std::string& name = words[0];
  const std::string& key = words[1];
  const auto score_in = [](std::string_view word) {
    if (word == "+inf") return std::numeric_limits<double>::infinity();
    if (word == "-inf") return -std::numeric_limits<double>::infinity();
    return std::strtod(std::string(word).c_str(), nullptr);
  };
  SortedSet* set = get<SortedSet>(key);
  if (name == "ZADD") {
    SortedSet& all = make<SortedSet>(key);
    std::int64_t added = 0;
    for (std::size_t i = 2; i + 1 < words.size(); i += 2)
      added += all.scores.insert_or_assign(words[i + 1], score_in(words[i])).second;
    return integer(added);
  }
  const auto shown = [](double score) { return fmt::format("{:.17g}", score); };
  if (name == "ZCARD")
    return integer(set == nullptr ? 0 : static_cast<std::int64_t>(set->scores.size()));
  if (name == "ZSCORE") {
    const auto found = set == nullptr ? std::map<std::string, double>::const_iterator{}
                                      : set->scores.find(words[2]);
    return set == nullptr || found == set->scores.end() ? nil() : text(shown(found->second));
  }
  if (name == "ZREM") {
    std::int64_t gone = 0;
    if (set != nullptr)
      for (std::size_t i = 2; i < words.size(); ++i)
        gone += static_cast<std::int64_t>(set->scores.erase(words[i]));
    drop_if_empty(key);
    return integer(gone);
  }
  // ZRANGE key max min BYSCORE REV LIMIT offset count WITHSCORES, as the project writes it
  std::vector<std::pair<double, std::string>> all;
  if (set != nullptr)
    for (const auto& [member, score] : set->scores) all.emplace_back(score, member);
  std::ranges::sort(all, std::greater<>{});
  const auto below = [&](double score, const std::string& bound) {
    return bound.starts_with('(') ? score < score_in(std::string_view(bound).substr(1))
                                  : score <= score_in(bound);
  };
  const auto offset = static_cast<std::size_t>(number_in(words[7]));
  const auto count = static_cast<std::size_t>(number_in(words[8]));
  std::vector<Reply> page;
  std::size_t at = 0;
  for (const auto& [score, member] : all) {
    if (!below(score, words[2]) || score < score_in(words[3])) continue;
    if (at++ < offset || at > offset + count) continue;
    page.push_back(text(member));
    page.push_back(text(shown(score)));
  }
  return array(std::move(page));
}

Reply RedisModel::streams(const Words& words) {
  const std::string& name = words[0];
  const std::string& key = words[1];
  // An id that no stream can have is refused before the key is looked at.
  const auto has_none = [](const std::string& word) { return word == "0-0"; };
  if (name == "XADD" && std::ranges::any_of(words.begin() + 2, words.end() - 2, has_none))
    refuse("ERR The ID specified in XADD must be greater than 0-0");
  Stream* stream = get<Stream>(key);
  const auto shown = [](const StreamId& id) { return fmt::format("{}-{}", id.first, id.second); };
  const auto id_in = [](const std::string& word, std::uint64_t no_sequence) -> StreamId {
    const auto dash = word.find('-');
    const auto part = [](std::string_view digits) {
      std::uint64_t value = 0;
      const auto end = std::from_chars(digits.data(), digits.data() + digits.size(), value);
      if (end.ec != std::errc{} || end.ptr != digits.data() + digits.size() || digits.empty())
        refuse("ERR Invalid stream ID specified as stream command argument");
      return value;
    };
    const std::string_view all = word;
    if (dash == std::string::npos) return {part(all), no_sequence};
    return {part(all.substr(0, dash)), part(all.substr(dash + 1))};
  };
  if (name == "XLEN")
    return integer(stream == nullptr ? 0 : static_cast<std::int64_t>(stream->entries.size()));
  if (name == "XADD") {
    std::size_t at = 2;
    std::optional<std::size_t> most;
    if (words[at] == "MAXLEN") {
      const bool is_about = words[at + 1] == "~";
      // About: whole nodes of a hundred entries, which are not modelled; it is many more here.
      if (!is_about) most = static_cast<std::size_t>(number_in(words[at + 1]));
      at += is_about ? 3 : 2;
    }
    StreamId id;
    const StreamId last = stream == nullptr ? StreamId{} : stream->last;
    if (words[at] == "*") {
      const auto milli = static_cast<std::uint64_t>(
          std::chrono::duration_cast<std::chrono::milliseconds>(now_.time_since_epoch()).count());
      id = milli > last.first ? StreamId{milli, 0} : StreamId{last.first, last.second + 1};
    } else {
      id = id_in(words[at], 0);
      if (id <= last)
        refuse("ERR The ID specified in XADD is equal or smaller than the target stream top item");
    }
    Stream& all = make<Stream>(key);
    all.last = id;
    all.entries.emplace_back(
        id, Words(words.begin() + static_cast<std::ptrdiff_t>(at) + 1, words.end()));
    if (most && all.entries.size() > *most)
      all.entries.erase(all.entries.begin(),
                        all.entries.end() - static_cast<std::ptrdiff_t>(*most));
    return text(shown(id));
  }
  if (name == "XTRIM") {  // MAXLEN n, MINID id
    if (stream == nullptr) return integer(0);
    const std::size_t before = stream->entries.size();
    if (words[2] == "MAXLEN") {
      const auto most = static_cast<std::size_t>(number_in(words[3]));
      if (before > most)
        stream->entries.erase(stream->entries.begin(),
                              stream->entries.end() - static_cast<std::ptrdiff_t>(most));
    } else {
      const StreamId least = id_in(words[3], 0);
      std::erase_if(stream->entries, [&](const auto& entry) { return entry.first < least; });
    }
    return integer(static_cast<std::int64_t>(before - stream->entries.size()));
  }
  // XRANGE key first last
  const StreamId first = words[2] == "-" ? StreamId{} : id_in(words[2], 0);
  const StreamId last =
      words[3] == "+" ? StreamId{UINT64_MAX, UINT64_MAX} : id_in(words[3], UINT64_MAX);
  std::vector<Reply> some;
  if (stream != nullptr)
    for (const auto& [id, fields] : stream->entries) {
      if (id < first || id > last) continue;
      std::vector<Reply> told;
      for (const std::string& each : fields) told.push_back(text(each));
      some.push_back(array({text(shown(id)), array(std::move(told))}));
    }
  return array(std::move(some));
}

}  // namespace reprise::sim
