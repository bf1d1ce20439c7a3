#include "journal/redis_log.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "core/text.hpp"
#include "redis/policy.hpp"

namespace reprise::journal {
namespace {

constexpr std::size_t flow_part_bytes = 512u << 10;
constexpr auto draft_life_ms = 3'600'000;  // of one whose author died

// Numbers go through as text: Lua writes those from 1e14 on with an exponent, which is no id.
constexpr std::string_view code = R"lua(#!lua name=rp1j
local function text_of(n) return string.format('%.0f', n) end

local function last_id(log)
  local found = redis.call('XREVRANGE', log, '+', '-', 'COUNT', 1)
  return found[1] and found[1][1] or ''
end

local function epoch_of(id)
  return tonumber(string.match(id, '^(%d+)[-:]') or '0')
end

-- KEYS log lead lease; ARGV known epoch, nonce, barrier, term in ms, name
local function bid(keys, argv)
  local log, lead, lease = keys[1], keys[2], keys[3]
  local known, nonce, barrier, term, name = argv[1], argv[2], argv[3], argv[4], argv[5]
  local leader = redis.call('GET', lead) or ''
  local mine = string.match(leader, ':(.*)$') == nonce
  local holder = redis.call('GET', lease)
  if holder and not mine then return {'held', holder, redis.call('PTTL', lease)} end
  if mine and holder then return {'lead', text_of(epoch_of(leader))} end
  local epoch = 1 + math.max(tonumber(known), epoch_of(leader), epoch_of(last_id(log)))
  redis.call('XADD', log, text_of(epoch) .. '-0', 'r', barrier)
  redis.call('SET', lead, text_of(epoch) .. ':' .. nonce)
  redis.call('SET', lease, name, 'PX', term)
  return {'lead', text_of(epoch)}
end

local function leads(lead, epoch, nonce)
  return redis.call('GET', lead) == epoch .. ':' .. nonce
end

-- KEYS log lead lease; ARGV epoch, nonce, term in ms, name
local function renew(keys, argv)
  if not leads(keys[2], argv[1], argv[2]) then return 'fenced' end
  redis.call('SET', keys[3], argv[4], 'PX', argv[3])
  return 'ok'
end

local function resign(keys, argv)
  if not leads(keys[2], argv[1], argv[2]) then return 'fenced' end
  redis.call('DEL', keys[3])
  return 'ok'
end

-- KEYS log lead lease; ARGV epoch, nonce, after, record…
local function append(keys, argv)
  local log, epoch = keys[1], argv[1]
  if not leads(keys[2], epoch, argv[2]) then return 'fenced' end
  local after = tonumber(argv[3])
  local last = last_id(log)
  if last ~= epoch .. '-' .. argv[3] then
    -- This very call again, whose answer was lost?
    local n = #argv - 3
    if last ~= epoch .. '-' .. text_of(after + n) then return 'lost' end
    local there = redis.call('XRANGE', log, epoch .. '-' .. text_of(after + 1), '+')
    if #there ~= n then return 'lost' end
    for i = 1, n do if there[i][2][2] ~= argv[3 + i] then return 'lost' end end
    return 'ok'
  end
  for i = 4, #argv do
    redis.call('XADD', log, epoch .. '-' .. text_of(after + i - 3), 'r', argv[i])
  end
  return 'ok'
end

-- KEYS log lead lease draft; ARGV epoch, nonce
local function replace(keys, argv)
  if not leads(keys[2], argv[1], argv[2]) then return 'fenced' end
  if redis.call('EXISTS', keys[4]) == 0 then return 'absent' end
  redis.call('PERSIST', keys[4])
  redis.call('RENAME', keys[4], keys[1])
  return 'ok'
end

redis.register_function{function_name='rp1j_revision', callback=function() return 1 end, flags={'no-writes'}}
redis.register_function('rp1j_bid', bid)
redis.register_function{function_name='rp1j_renew', callback=renew, flags={'allow-oom'}}
redis.register_function{function_name='rp1j_resign', callback=resign, flags={'allow-oom'}}
redis.register_function('rp1j_append', append)
redis.register_function{function_name='rp1j_replace', callback=replace, flags={'allow-oom'}}
)lua";

std::string milliseconds(Duration duration) {
  return std::to_string(std::chrono::duration_cast<std::chrono::milliseconds>(duration).count());
}

// What a function of the log said.
Status judged(const redis::Reply& reply, const std::string& who) {
  if (reply.is_error()) return tl::unexpected(redis::error_of(reply, who));
  if (reply.text == "ok") return {};
  if (reply.text == "fenced") return fail(ErrorCode::conflict, who + ": another server leads now");
  if (reply.text == "lost")
    return fail(ErrorCode::corrupt,
                who + ": it does not hold any more what was appended to the journal");
  return fail(ErrorCode::corrupt, who + ": a strange answer to a function of the journal");
}

}  // namespace

const redis::Library& log_functions() {
  static const redis::Library library{"rp1j", 1, std::string(code)};
  return library;
}

RedisLog::RedisLog(std::shared_ptr<redis::Client> client) : client_(std::move(client)) {
  prefix_ = "{" + client_->settings().prefix + ":journal}:";
  stream_ = prefix_ + "log";
  lead_ = prefix_ + "lead";
  lease_ = prefix_ + "lease";
}

// Calls a function. Its refusals are answers; judged() tells what they mean.
Result<redis::Reply> RedisLog::call(const redis::Commands& commands, std::uint64_t bytes) {
  const redis::Budgets& budgets = client_->settings().budgets;
  auto replies =
      client_->run(commands, budgets.connect + budgets.of(std::max<std::uint64_t>(bytes, 1)),
                   redis::Client::Needs::functions);
  if (!replies) return tl::unexpected(replies.error());
  return std::move(replies->front());
}

Status RedisLog::check_policy() {
  const auto facts = redis::inspect(*client_);
  if (!facts) return tl::unexpected(facts.error());
  for (const redis::Finding& finding : redis::check_policy(*facts, redis::Role::journal)) {
    if (finding.verdict != redis::Verdict::refused) continue;
    std::string message = fmt::format("{}: cannot hold a journal: {}", name(), finding.text);
    if (!finding.fix.empty()) message += "; " + finding.fix;
    return fail(ErrorCode::denied, std::move(message));
  }
  return {};
}

Result<RedisLog::Bid> RedisLog::bid(const Leadership& known, Duration term) {
  redis::Commands commands;
  commands.add("FCALL", "rp1j_bid", 3, stream_, lead_, lease_, known.epoch, known.nonce,
               encode(LogRecord{Barrier{known.name}}), milliseconds(term), known.name);
  const auto reply = call(commands, 0);
  if (!reply) return tl::unexpected(reply.error());
  if (reply->is_error()) return tl::unexpected(redis::error_of(*reply, name()));
  Bid bid;
  if (reply->elements.size() == 2 && reply->elements[0].text == "lead") {
    const auto place = LogPosition::parse(reply->elements[1].text + "-0");
    if (!place) return tl::unexpected(place.error());
    bid.epoch = place->epoch;
    return bid;
  }
  if (reply->elements.size() == 3 && reply->elements[0].text == "held") {
    bid.holder = reply->elements[1].text;
    bid.left = std::chrono::milliseconds{std::max<std::int64_t>(reply->elements[2].integer, 0)};
    return bid;
  }
  return fail(ErrorCode::corrupt, name() + ": a strange answer to a function of the journal");
}

Status RedisLog::renew(const Leadership& leader, Duration term) {
  redis::Commands commands;
  commands.add("FCALL", "rp1j_renew", 3, stream_, lead_, lease_, leader.epoch, leader.nonce,
               milliseconds(term), leader.name);
  const auto reply = call(commands, 0);
  if (!reply) return tl::unexpected(reply.error());
  return judged(*reply, name());
}

Status RedisLog::probe() {
  redis::Commands commands;
  commands.add("SET", prefix_ + "probe", "1", "PX", 1000);
  const auto replies = run_all(commands, 0);
  if (!replies) return tl::unexpected(replies.error());
  return {};
}

Status RedisLog::resign(const Leadership& leader) {
  redis::Commands commands;
  commands.add("FCALL", "rp1j_resign", 3, stream_, lead_, lease_, leader.epoch, leader.nonce);
  const auto reply = call(commands, 0);
  if (!reply) return tl::unexpected(reply.error());
  return judged(*reply, name());
}

Status RedisLog::append(const Leadership& leader, std::uint64_t after,
                        std::span<const std::string> records) {
  if (records.empty()) return {};
  std::uint64_t bytes = 0;
  redis::Commands commands;
  commands.begin(9 + records.size());
  commands.argument("FCALL");
  commands.argument("rp1j_append");
  commands.argument(3);
  for (const std::string* key : {&stream_, &lead_, &lease_}) commands.argument(*key);
  commands.argument(leader.epoch);
  commands.argument(leader.nonce);
  commands.argument(after);
  for (const std::string& record : records) {
    commands.argument(record);
    bytes += record.size();
  }
  const auto reply = call(commands, bytes);
  if (!reply) return tl::unexpected(reply.error());
  return judged(*reply, name());
}

Result<std::vector<LogEntry>> RedisLog::read(LogPosition after, std::uint32_t limit) {
  redis::Commands commands;
  commands.add("XRANGE", stream_, "(" + after.text(), "+", "COUNT", limit);
  const auto replies = run_all(commands, client_->settings().limits.reply_bytes / 16);
  if (!replies) return tl::unexpected(replies.error());
  std::vector<LogEntry> entries;
  for (const redis::Reply& one : replies->front().elements) {
    if (one.elements.size() != 2 || one.elements[1].elements.size() < 2)
      return fail(ErrorCode::corrupt, name() + ": the shared log does not decode");
    auto position = LogPosition::parse(one.elements[0].text);
    if (!position) return tl::unexpected(position.error());
    auto record = decode_log_record(one.elements[1].elements[1].text);
    if (!record) return tl::unexpected(record.error());
    LogEntry entry{*position, *std::move(record)};
    if (const auto* opened = std::get_if<RunOpened>(&entry.record)) {
      auto bytes = flow(opened->row.flow);
      if (!bytes) return tl::unexpected(bytes.error());
      entry.flow = *std::move(bytes);
    }
    entries.push_back(std::move(entry));
  }
  return entries;
}

Result<std::vector<redis::Reply>> RedisLog::run_all(const redis::Commands& commands,
                                                    std::uint64_t bytes) {
  const redis::Budgets& budgets = client_->settings().budgets;
  auto replies =
      client_->run(commands, budgets.connect + budgets.of(std::max<std::uint64_t>(bytes, 1)));
  if (!replies) return replies;
  for (const redis::Reply& reply : *replies)
    if (reply.is_error()) return tl::unexpected(redis::error_of(reply, name()));
  return replies;
}

Result<bool> RedisLog::holds(LogPosition position) {
  redis::Commands commands;
  commands.add("XRANGE", stream_, position.text(), position.text());
  const auto replies = run_all(commands, flow_part_bytes);
  if (!replies) return tl::unexpected(replies.error());
  return !replies->front().elements.empty();
}

Result<std::optional<LogPosition>> RedisLog::last_before(LogPosition end) {
  redis::Commands commands;
  commands.add("XREVRANGE", stream_, "(" + end.text(), "-", "COUNT", 1);
  const auto replies = run_all(commands, flow_part_bytes);
  if (!replies) return tl::unexpected(replies.error());
  const redis::Reply& found = replies->front();
  if (found.elements.empty() || found.elements[0].elements.empty())
    return std::optional<LogPosition>{};
  const auto place = LogPosition::parse(found.elements[0].elements[0].text);
  if (!place) return tl::unexpected(place.error());
  return *place;
}

std::string RedisLog::draft_key(const Leadership& leader) const {
  return fmt::format("{}draft:{}:{}", prefix_, leader.epoch, leader.nonce);
}

Status RedisLog::draft(const Leadership& leader, LogPosition first,
                       std::span<const std::string> records) {
  redis::Commands commands;
  std::uint64_t bytes = 0;
  const std::string key = draft_key(leader);
  for (const std::string& record : records) {
    commands.add("XADD", key, first.text(), "r", record);
    ++first.sequence;
    bytes += record.size();
  }
  commands.add("PEXPIRE", key, draft_life_ms);
  const auto replies = run_all(commands, bytes);
  if (!replies) return tl::unexpected(replies.error());
  return {};
}

Status RedisLog::replace_by_draft(const Leadership& leader) {
  redis::Commands commands;
  commands.add("FCALL", "rp1j_replace", 4, stream_, lead_, lease_, draft_key(leader), leader.epoch,
               leader.nonce);
  const auto reply = call(commands, 0);
  if (!reply) return tl::unexpected(reply.error());
  if (reply->text == "absent")
    return fail(ErrorCode::not_found, name() + ": the log that was written anew is gone");
  return judged(*reply, name());
}

std::string RedisLog::flow_key(const Digest& digest, std::uint64_t part) const {
  return fmt::format("{}flow:{}:{}", prefix_, digest.hex(), part);
}

// The last part first: who finds part 0 finds all.
Status RedisLog::put_flow(const Digest& digest, std::string_view bytes) {
  redis::Commands question;
  question.add("EXISTS", flow_key(digest, 0));
  const auto known = run_all(question, 0);
  if (!known) return tl::unexpected(known.error());
  if (known->front().integer == 1) return {};
  const std::uint64_t parts = bytes.size() / flow_part_bytes + 1;  // the last one is not full
  for (std::uint64_t part = parts; part-- > 0;) {
    redis::Commands commands;
    const std::string_view piece = bytes.substr(part * flow_part_bytes, flow_part_bytes);
    commands.add("SET", flow_key(digest, part), piece);
    if (const auto done = run_all(commands, piece.size()); !done)
      return tl::unexpected(done.error());
  }
  return {};
}

Result<std::string> RedisLog::flow(const Digest& digest) {
  std::string bytes;
  for (std::uint64_t part = 0;; ++part) {
    redis::Commands commands;
    commands.add("GET", flow_key(digest, part));
    const auto replies = run_all(commands, flow_part_bytes);
    if (!replies) return tl::unexpected(replies.error());
    const redis::Reply& piece = replies->front();
    if (!piece.is_text())
      return fail(ErrorCode::not_found, fmt::format("{}: no flow \"{}\"", name(), digest.text()));
    bytes += piece.text;
    if (piece.text.size() < flow_part_bytes) break;
  }
  if (sha256(bytes) != digest)
    return fail(ErrorCode::corrupt,
                fmt::format("{}: flow \"{}\" does not match its digest", name(), digest.text()));
  return bytes;
}

Status RedisLog::drop_flow(const Digest& digest) {
  for (std::uint64_t part = 0;; ++part) {
    redis::Commands commands;
    commands.add("DEL", flow_key(digest, part));
    const auto replies = run_all(commands, 0);
    if (!replies) return tl::unexpected(replies.error());
    if (replies->front().integer == 0) return {};
  }
}

}  // namespace reprise::journal
