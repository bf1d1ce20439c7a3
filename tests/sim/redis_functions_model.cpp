#include "tests/sim/redis_functions_model.hpp"

#include <algorithm>
#include <set>

#include "cache/redis_functions.hpp"

namespace reprise::sim {

namespace {

using Words = RedisModel::Words;
using Reply = redis::Reply;
using Kind = redis::Reply::Kind;

constexpr std::size_t header_bytes = 84;
constexpr const char* day_ms = "86400000";
constexpr const char* week_ms = "604800000";

Reply text(std::string bytes) {
  return {Kind::text, 0, std::move(bytes), {}};
}
Reply integer(std::int64_t number) {
  return {Kind::integer, number, {}, {}};
}
Reply array(std::vector<Reply> elements) {
  return {Kind::array, 0, {}, std::move(elements)};
}

std::uint64_t unsigned_at(std::string_view bytes, std::size_t at, std::size_t width) {
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < width; ++i)
    value = value << 8 | static_cast<unsigned char>(bytes[at + i]);
  return value;
}
std::int64_t signed_at(std::string_view bytes, std::size_t at) {
  return static_cast<std::int64_t>(unsigned_at(bytes, at, 8));
}
std::string packed(std::uint64_t value, std::size_t width) {
  std::string bytes(width, '\0');
  for (std::size_t i = width; i-- > 0; value >>= 8) bytes[i] = static_cast<char>(value & 0xff);
  return bytes;
}

// Offsets of redis_record.cpp, counted from 0 here.
int status(std::string_view r) {
  return static_cast<unsigned char>(r[3]);
}
std::int64_t version(std::string_view r) {
  return static_cast<std::int64_t>(unsigned_at(r, 8, 4));
}
std::int64_t sequence(std::string_view r) {
  return static_cast<std::int64_t>(unsigned_at(r, 12, 8));
}
std::string_view digest(std::string_view r) {
  return r.substr(44, 32);
}
std::int64_t value_size(std::string_view r) {
  return static_cast<std::int64_t>(unsigned_at(r, 76, 8));
}

bool is_fresh(std::string_view r, std::int64_t now) {
  if (status(r) != 0) return false;
  if (r[4] == 0) return true;
  const std::int64_t s = signed_at(r, 32);
  const auto ns = static_cast<std::int64_t>(unsigned_at(r, 40, 4));
  const std::int64_t now_s = now / 1'000'000;
  return now_s < s || (now_s == s && (now - now_s * 1'000'000) * 1000 < ns);
}

std::string committed_after(const std::string& given, std::string_view r) {
  const std::int64_t s = signed_at(given, 0);
  const auto ns = static_cast<std::int64_t>(unsigned_at(given, 8, 4));
  std::int64_t hs = signed_at(r, 20);
  auto hns = static_cast<std::int64_t>(unsigned_at(r, 28, 4)) + 1;
  if (hns == 1'000'000'000) {
    ++hs;
    hns = 0;
  }
  if (s > hs || (s == hs && ns >= hns)) return given;
  return packed(static_cast<std::uint64_t>(hs), 8) + packed(static_cast<std::uint64_t>(hns), 4);
}

std::string kind_of(const Reply& reply) {
  if (!reply.is_text()) return "foreign";
  const std::string& r = reply.text;
  if (r.empty()) return "absent";
  if (!r.starts_with("rp") || r.size() < 3) return "garbage";
  if (static_cast<unsigned char>(r[2]) > 2) return "foreign";
  if (r[2] == 0 || r.size() < header_bytes) return "garbage";
  if (status(r) > 3 || version(r) > 4'000'000'000 ||
      unsigned_at(r, 12, 8) > 1'000'000'000'000'000 || unsigned_at(r, 76, 8) > 10'000'000'000'000 ||
      signed_at(r, 20) > 9'000'000'000 || signed_at(r, 20) < -9'000'000'000)
    return "garbage";
  return "good";
}

std::string tag_in(const std::string& key) {
  const auto open = key.find('{');
  return key.substr(open + 1, key.find('}', open) - open - 1);
}

void add_to(std::map<std::string, std::int64_t>& counts, const std::string& name, std::int64_t n) {
  counts[name] += n;
}

const std::set<std::string>& all_functions() {
  static const std::set<std::string> all{"rp1_commit",     "rp1_acquire", "rp1_invalidate",
                                         "rp1_renew",      "rp1_release", "rp1_drop",
                                         "rp1_drop_value", "rp1_revision"};
  return all;
}

}  // namespace

bool RedisFunctions::is_known(const std::string& name) {
  return all_functions().contains(name);
}

bool RedisFunctions::allows_oom(const std::string& name) {
  return name != "rp1_commit" && name != "rp1_acquire";
}

bool RedisFunctions::writes_nothing(const std::string& name) {
  return name == "rp1_revision";
}

Reply RedisFunctions::redis(const Words& command) {
  return model_.run(command);
}

Reply RedisFunctions::tolerant(const Words& command) {
  try {
    return model_.run(command);
  } catch (const Reply& error) {
    return error;
  }
}

Reply RedisFunctions::call(const std::string& name, const Words& keys, const Words& arguments) {
  if (name == "rp1_commit") return commit(keys, arguments);
  if (name == "rp1_acquire") return acquire(keys, arguments);
  if (name == "rp1_renew") return renew(keys, arguments);
  if (name == "rp1_release") return release(keys, arguments);
  if (name == "rp1_invalidate") return invalidate(keys, arguments);
  if (name == "rp1_drop") return drop(keys, arguments);
  if (name == "rp1_drop_value") return drop_value(keys, arguments);
  return integer(cache::redis_functions().revision);
}

std::int64_t RedisFunctions::clock(const std::string& given) {
  if (!given.empty()) return std::stoll(given);
  return std::chrono::duration_cast<std::chrono::microseconds>(model_.now_.time_since_epoch())
      .count();
}

bool RedisFunctions::holds(const std::string& lease, const std::string& owner,
                           const std::string& token) {
  const Reply f = tolerant({"HMGET", lease, "o", "t"});
  return f.is_array() && f.elements[0].is_text() && f.elements[0].text == owner &&
         f.elements[1].is_text() && f.elements[1].text == token;
}

void RedisFunctions::end_lease(const std::string& lease) {
  redis({"HDEL", lease, "o", "s", "u"});
  redis({"PEXPIRE", lease, day_ms});
}

void RedisFunctions::tell(const std::string& channel, const std::string& what) {
  if (!channel.empty()) tolerant({"PUBLISH", channel, what});
}

std::pair<std::string, std::string> RedisFunctions::header_of(const std::string& key) {
  const Reply r = tolerant({"GETRANGE", key, "0", std::to_string(header_bytes - 1)});
  return {r.text, kind_of(r)};
}

std::int64_t RedisFunctions::next_of(const std::string& stats) {
  const Reply known = redis({"HGET", stats, "sequence"});
  return (known.is_text() ? std::stoll(known.text) : 0) + 1;
}

void RedisFunctions::write_counts(const std::string& stats, const Counts& counts) {
  for (const auto& [name, n] : counts.by_name)
    if (n != 0) redis({"HINCRBY", stats, name, std::to_string(n)});
}

std::string RedisFunctions::commit_one(const std::string& index, const Words& keys, std::size_t k,
                                       const Words& argv, std::size_t at, Counts& counts,
                                       std::int64_t keep, std::int64_t& next_sequence) {
  const std::string &entry = keys[k], &history = keys[k + 1], &material_key = keys[k + 2],
                    &lease = keys[k + 3];
  const std::string &record = argv[at], &material = argv[at + 1], &how = argv[at + 2],
                    &owner = argv[at + 3], &token = argv[at + 4], &channel = argv[at + 5];
  const auto [head, kind] = header_of(entry);
  if (kind == "foreign") return "X";
  const std::string history_type = redis({"TYPE", history}).text;
  if (history_type != "none" && history_type != "list") return "X";
  const bool is_good = kind == "good";
  const bool is_same = is_good && status(head) == status(record) && digest(head) == digest(record);
  if (!token.empty()) {
    if (holds(lease, owner, token)) {
      end_lease(lease);
    } else if (kind != "absent" || redis({"EXISTS", lease}).integer == 1) {
      if (is_same) return "D";
      add_to(counts.by_name, "fenced", 1);
      return "F";
    }
    tell(channel, "C");
  }
  if (is_same && how != "2" && head[2] == 1 && record[2] == 1) {
    redis({"SETRANGE", entry, "4", record.substr(4, 1)});
    redis({"SETRANGE", entry, "32", record.substr(32, 12)});
    return "S";
  }
  std::optional<std::string> last = head;
  std::int64_t older = redis({"LLEN", history}).integer;
  if (!is_good) {
    const Reply newest = older > 0 ? redis({"LINDEX", history, "-1"}) : text("");
    last.reset();
    if (kind_of(newest) == "good") last = newest.text;
  }
  std::int64_t number = 1;
  std::string committed = record.substr(20, 12);
  if (last) {
    number = version(*last) + 1;
    committed = committed_after(committed, *last);
    const bool is_late = how == "1" || (token.empty() && status(*last) == 2);
    if (is_late && committed != record.substr(20, 12)) return "O";
    if (next_sequence <= sequence(*last)) next_sequence = sequence(*last) + 1;
  }
  const bool is_removed = is_good && status(head) == 2;
  if (is_removed || (older == 0 && (!is_good || status(head) > 1)))
    add_to(counts.by_name, "entries", 1);
  if (is_good && status(head) != 3) {
    older = redis({"RPUSH", history, redis({"GET", entry}).text}).integer;
    while (keep > 0 && older >= keep) {
      const Reply gone = redis({"LPOP", history});
      --older;
      add_to(counts.by_name, "versions", -1);
      if (kind_of(gone) == "good") add_to(counts.by_name, "value_bytes", -value_size(gone.text));
    }
  }
  redis({"SET", entry,
         record.substr(0, 8) + packed(static_cast<std::uint64_t>(number), 4) +
             packed(static_cast<std::uint64_t>(next_sequence), 8) + committed + record.substr(32)});
  redis({"ZADD", index, std::to_string(next_sequence), tag_in(entry)});
  if (!material.empty()) redis({"SET", material_key, material, "NX"});
  add_to(counts.by_name, "versions", 1);
  add_to(counts.by_name, "value_bytes", value_size(record));
  ++next_sequence;
  return "A";
}

Reply RedisFunctions::commit(const Words& keys, const Words& argv) {
  const std::string &index = keys[0], &stats = keys[1];
  Counts counts;
  std::vector<Reply> answers;
  const std::int64_t first = next_of(stats);
  std::int64_t next_sequence = first;
  for (std::size_t i = 0; i < (keys.size() - 2) / 4; ++i)
    answers.push_back(text(commit_one(index, keys, 2 + 4 * i, argv, 1 + 6 * i, counts,
                                      std::stoll(argv[0]), next_sequence)));
  counts.by_name["sequence"] = next_sequence - first;
  write_counts(stats, counts);
  return array(std::move(answers));
}

bool RedisFunctions::has_fresh(const std::string& entry, const std::string& history,
                               std::int64_t now) {
  const auto [head, kind] = header_of(entry);
  if (kind == "foreign") return false;
  if (kind == "good") {
    if (is_fresh(head, now)) return true;
    if (status(head) == 2 || version(head) == 1) return false;
  }
  const std::int64_t count = std::min<std::int64_t>(redis({"LLEN", history}).integer, 100);
  for (std::int64_t i = 1; i <= count; ++i) {
    const Reply r = redis({"LINDEX", history, std::to_string(-i)});
    if (kind_of(r) != "good") continue;
    if (is_fresh(r.text, now)) return true;
    if (status(r.text) == 2) return false;
  }
  return false;
}

Reply RedisFunctions::acquire(const Words& keys, const Words& argv) {
  const std::int64_t now = clock(argv[0]);
  const std::string& owner = argv[1];
  const std::int64_t term = std::stoll(argv[2]);
  std::vector<Reply> answers;
  for (std::size_t i = 0; i < keys.size() / 3; ++i) {
    const std::string &entry = keys[3 * i], &history = keys[1 + 3 * i], &lease = keys[2 + 3 * i];
    if (argv[3 + i] != "1" && has_fresh(entry, history, now)) {
      answers.push_back(array({text("P")}));
      continue;
    }
    const std::vector<Reply> f = redis({"HMGET", lease, "o", "t", "s", "u"}).elements;
    const bool is_held = f[0].is_text() && std::stoll(f[3].text) > now;
    if (is_held && f[0].text != owner) {
      answers.push_back(array({text("H"), f[0], f[2], f[3], text(std::to_string(now))}));
      continue;
    }
    std::string token = f[1].text, since = f[2].text;
    if (!is_held) {
      token = std::to_string(
          std::max((f[1].is_text() ? std::stoll(f[1].text) : 0) + 1, static_cast<long long>(now)));
      since = std::to_string(now);
    }
    const std::string last = std::to_string(now + term);
    redis({"HSET", lease, "o", owner, "t", token, "s", since, "u", last});
    redis({"PERSIST", lease});
    answers.push_back(
        array({text("G"), text(token), text(since), text(last), text(std::to_string(now))}));
  }
  return array(std::move(answers));
}

Reply RedisFunctions::renew(const Words& keys, const Words& argv) {
  const std::string last = std::to_string(clock(argv[0]) + std::stoll(argv[1]));
  std::vector<Reply> answers;
  for (std::size_t i = 0; i < keys.size(); ++i) {
    const bool is_held = holds(keys[i], argv[2 + 2 * i], argv[3 + 2 * i]);
    if (is_held) redis({"HSET", keys[i], "u", last});
    answers.push_back(integer(is_held));
  }
  return array(std::move(answers));
}

Reply RedisFunctions::release(const Words& keys, const Words& argv) {
  std::vector<Reply> answers;
  for (std::size_t i = 0; i < keys.size(); ++i) {
    const bool is_held = holds(keys[i], argv[3 * i], argv[3 * i + 1]);
    if (is_held) {
      end_lease(keys[i]);
      tell(argv[3 * i + 2], "R");
    }
    answers.push_back(integer(is_held));
  }
  return array(std::move(answers));
}

Reply RedisFunctions::invalidate(const Words& keys, const Words& argv) {
  const std::string &index = keys[0], &stats = keys[1], &log = keys[2];
  Counts counts;
  std::int64_t next_sequence = next_of(stats);
  counts.by_name["sequence"] = -next_sequence;
  for (std::size_t i = 0; i < (keys.size() - 3) / 3; ++i) {
    const std::string &entry = keys[3 + 3 * i], &history = keys[4 + 3 * i],
                      &lease = keys[5 + 3 * i];
    const std::string &key = argv[3 * i], &channel = argv[3 * i + 2];
    std::string record = argv[3 * i + 1];
    const auto [head, kind] = header_of(entry);
    if (kind == "good" && status(head) != 2) {
      if (status(head) != 3) redis({"RPUSH", history, redis({"GET", entry}).text});
      if (next_sequence <= sequence(head)) next_sequence = sequence(head) + 1;
      record = record.substr(0, 8) + packed(static_cast<std::uint64_t>(version(head) + 1), 4) +
               packed(static_cast<std::uint64_t>(next_sequence), 8) +
               committed_after(record.substr(20, 12), head) + record.substr(32);
      redis({"SET", entry, record});
      redis({"ZADD", index, std::to_string(next_sequence), tag_in(entry)});
      ++next_sequence;
      add_to(counts.by_name, "entries", -1);
    }
    if (redis({"HEXISTS", lease, "o"}).integer == 1) {
      end_lease(lease);
      tell(channel, "R");
    }
    redis({"XADD", log, "MAXLEN", "~", "10000", "*", "k", key, "r", record});
  }
  counts.by_name["sequence"] += next_sequence;
  write_counts(stats, counts);
  return {Kind::text, 0, "OK", {}};
}

Reply RedisFunctions::drop(const Words& keys, const Words& argv) {
  const std::string &index = keys[0], &stats = keys[1], &entry = keys[2], &history = keys[3],
                    &quarantine = keys[4];
  const std::string& bytes = argv[0];
  Counts counts;
  const Reply head = tolerant({"GET", entry});
  const bool is_good = kind_of(text(bytes)) == "good";
  bool is_gone = false;
  if (head.is_text() && head.text == bytes) {
    if (is_good) {
      if (status(bytes) == 3) return integer(0);
      redis({"SET", entry, bytes.substr(0, 3) + '\3' + bytes.substr(4, header_bytes - 4)});
    } else {
      redis({"DEL", entry});
    }
    is_gone = true;
  } else if (redis({"LREM", history, "-1", bytes}).integer > 0) {
    is_gone = true;
  }
  if (!is_gone) return integer(0);
  redis({"SET", quarantine, bytes, "PX", week_ms});
  add_to(counts.by_name, "versions", -1);
  if (is_good) add_to(counts.by_name, "value_bytes", -value_size(bytes));
  const auto [now_head, kind] = header_of(entry);
  if (redis({"LLEN", history}).integer == 0 && (kind != "good" || status(now_head) > 1)) {
    add_to(counts.by_name, "entries", -1);
    redis({"ZREM", index, tag_in(entry)});
  }
  write_counts(stats, counts);
  return integer(1);
}

Reply RedisFunctions::drop_value(const Words& keys, const Words& argv) {
  const Reply known = tolerant({"GET", keys[0]});
  if (!known.is_text() || known.text != argv[0]) return integer(0);
  redis({"DEL", keys[0]});
  redis({"SET", keys[1], argv[0], "PX", day_ms});
  return integer(1);
}

}  // namespace reprise::sim
