#include "cache/redis_functions.hpp"

namespace reprise::cache {
namespace {

// A record's first bytes, counted from 1 as Lua does (cache/redis_record.cpp):
//
//   1 "rp"   3 format   4 status   5 has expiry   6 place of the value   7 zero   9 version (4)
//   13 sequence (8)   21 committed (8 seconds, 4 nanoseconds)   33 expires (the same)
//   45 digest (32)   77 size (8)   85 …
//
// Of format 2, which is signed, the server writes version, sequence and committed alone.
//
// Times go through as bytes wherever possible: a Lua number holds no nanoseconds since 1970.
constexpr std::string_view code = R"lua(#!lua name=rp1
local HEADER = 84
local DAY = 86400000
local WEEK = 7 * DAY

local function text_of(n) return string.format('%.0f', n) end

-- Microseconds: the caller's, or when it gave none, this server's.
local function clock(given)
  if given ~= '' then return tonumber(given) end
  local t = redis.call('TIME')
  return tonumber(t[1]) * 1000000 + tonumber(t[2])
end

local function status(r) return string.byte(r, 4) end
local function version(r) return (struct.unpack('>I4', r, 9)) end
local function sequence(r) return (struct.unpack('>I8', r, 13)) end
local function digest(r) return string.sub(r, 45, 76) end
local function size(r) return (struct.unpack('>I8', r, 77)) end

local function is_fresh(r, now)
  if status(r) ~= 0 then return false end
  if string.byte(r, 5) == 0 then return true end
  local s, ns = struct.unpack('>i8', r, 33), struct.unpack('>I4', r, 41)
  local now_s = math.floor(now / 1000000)
  return now_s < s or (now_s == s and (now - now_s * 1000000) * 1000 < ns)
end

-- The later of `given` and one nanosecond after that of `r`.
local function committed_after(given, r)
  local s, ns = struct.unpack('>i8', given), struct.unpack('>I4', given, 9)
  local hs, hns = struct.unpack('>i8', r, 21), struct.unpack('>I4', r, 29) + 1
  if hns == 1000000000 then hs, hns = hs + 1, 0 end
  if s > hs or (s == hs and ns >= hns) then return given end
  return struct.pack('>i8', hs) .. struct.pack('>I4', hns)
end

-- What kind of thing is there: absent, good (of our format), foreign (of a newer one, or no string),
-- garbage.
local function kind_of(r)
  if type(r) ~= 'string' then return 'foreign' end
  if r == '' then return 'absent' end
  if string.sub(r, 1, 2) ~= 'rp' or #r < 3 then return 'garbage' end
  if string.byte(r, 3) > 2 then return 'foreign' end
  if string.byte(r, 3) == 0 or #r < HEADER then return 'garbage' end
  -- Numbers that no program of ours writes, and that would not come through a Lua number.
  if status(r) > 3 or version(r) > 4000000000 or sequence(r) > 1e15 or size(r) > 1e13 or
    math.abs(struct.unpack('>i8', r, 21)) > 9e9 then return 'garbage' end
  return 'good'
end
local function header_of(key)
  local r = redis.pcall('GETRANGE', key, 0, HEADER - 1)
  return r, kind_of(r)
end

-- Waiters look again anyway; a user who may not publish keeps them waiting a little longer.
local function tell(channel, what)
  if channel ~= '' then redis.pcall('PUBLISH', channel, what) end
end

local function holds(lease, owner, token)
  local f = redis.pcall('HMGET', lease, 'o', 't')
  return not f.err and f[1] == owner and f[2] == token
end
-- The token stays for a day, so that the next one is greater also when the clock was set back.
local function end_lease(lease)
  redis.call('HDEL', lease, 'o', 's', 'u')
  redis.call('PEXPIRE', lease, DAY)
end

local function add_to(counts, name, n) counts[name] = (counts[name] or 0) + n end
local function write_counts(stats, counts)
  for name, n in pairs(counts) do
    if n ~= 0 then redis.call('HINCRBY', stats, name, text_of(n)) end
  end
end

local function commit_one(index, entry, history, material_key, lease, argv, at, counts, keep, next_sequence)
  local record, material, how, owner, token, channel =
    argv[at], argv[at + 1], argv[at + 2], argv[at + 3], argv[at + 4], argv[at + 5]
  local head, kind = header_of(entry)
  if kind == 'foreign' then return 'X', next_sequence end
  local history_type = redis.call('TYPE', history).ok
  if history_type ~= 'none' and history_type ~= 'list' then return 'X', next_sequence end
  local is_same = kind == 'good' and status(head) == status(record) and digest(head) == digest(record)
  if token ~= '' then
    if holds(lease, owner, token) then
      end_lease(lease)
    elseif kind ~= 'absent' or redis.call('EXISTS', lease) == 1 then
      if is_same then return 'D', next_sequence end
      add_to(counts, 'fenced', 1)
      return 'F', next_sequence
    end -- else the server lost everything, and nobody came in between
    tell(channel, 'C')
  end
  -- What is signed cannot be changed here: it is superseded.
  if is_same and how ~= '2' and string.byte(head, 3) == 1 and string.byte(record, 3) == 1 then
    redis.call('SETRANGE', entry, 4, string.sub(record, 5, 5))
    redis.call('SETRANGE', entry, 32, string.sub(record, 33, 44))
    return 'S', next_sequence
  end
  local last = head
  local older = redis.call('LLEN', history)
  if kind ~= 'good' then
    last = older > 0 and redis.call('LINDEX', history, -1) or ''
    if kind_of(last) ~= 'good' then last = nil end
  end
  local number, committed = 1, string.sub(record, 21, 32)
  if last then
    number = version(last) + 1
    committed = committed_after(committed, last)
    -- A copy of what was there before, or what was made before it was invalidated and comes late.
    local is_late = how == '1' or (token == '' and status(last) == 2)
    if is_late and committed ~= string.sub(record, 21, 32) then return 'O', next_sequence end
    if next_sequence <= sequence(last) then next_sequence = sequence(last) + 1 end
  end
  local is_removed = kind == 'good' and status(head) == 2
  if is_removed or (older == 0 and (kind ~= 'good' or status(head) > 1)) then
    add_to(counts, 'entries', 1)
  end
  if kind == 'good' and status(head) ~= 3 then
    older = redis.call('RPUSH', history, redis.call('GET', entry))
    while keep > 0 and older >= keep do
      local gone = redis.call('LPOP', history)
      older = older - 1
      add_to(counts, 'versions', -1)
      if kind_of(gone) == 'good' then add_to(counts, 'value_bytes', -size(gone)) end
    end
  end
  redis.call('SET', entry, string.sub(record, 1, 8) .. struct.pack('>I4', number) ..
    struct.pack('>I8', next_sequence) .. committed .. string.sub(record, 33))
  redis.call('ZADD', index, text_of(next_sequence), string.match(entry, '{(.-)}'))
  if material ~= '' then redis.call('SET', material_key, material, 'NX') end
  add_to(counts, 'versions', 1)
  add_to(counts, 'value_bytes', size(record))
  return 'A', next_sequence + 1
end

-- KEYS index, statistics, then per commit: entry, history, material, lease
-- ARGV versions to keep (0 = all), then per commit: record, material, "1" = copy of what another
-- store keeps or "2" = a new version whatever is there, owner, token, channel
local function commit(keys, argv)
  local index, stats = keys[1], keys[2]
  local counts, answers = {}, {}
  local first = tonumber(redis.call('HGET', stats, 'sequence') or '0') + 1
  local next_sequence = first
  for i = 0, (#keys - 2) / 4 - 1 do
    local k = 3 + 4 * i
    answers[i + 1], next_sequence = commit_one(index, keys[k], keys[k + 1], keys[k + 2], keys[k + 3],
      argv, 2 + 6 * i, counts, tonumber(argv[1]), next_sequence)
  end
  counts.sequence = next_sequence - first
  write_counts(stats, counts)
  return answers
end

local function has_fresh(entry, history, now)
  local head, kind = header_of(entry)
  if kind == 'foreign' then return false end
  if kind == 'good' then
    if is_fresh(head, now) then return true end
    if status(head) == 2 then return false end
    if version(head) == 1 then return false end
  end
  for i = 1, math.min(redis.call('LLEN', history), 100) do
    local r = redis.call('LINDEX', history, -i)
    if kind_of(r) == 'good' then
      if is_fresh(r, now) then return true end
      if status(r) == 2 then return false end
    end
  end
  return false
end

-- KEYS per wish: entry, history, lease
-- ARGV clock, owner, term (microseconds), then per wish: "1" = also when a fresh result is there
local function acquire(keys, argv)
  local now, owner, term = clock(argv[1]), argv[2], tonumber(argv[3])
  local answers = {}
  for i = 0, #keys / 3 - 1 do
    local entry, history, lease = keys[1 + 3 * i], keys[2 + 3 * i], keys[3 + 3 * i]
    if argv[4 + i] ~= '1' and has_fresh(entry, history, now) then
      answers[i + 1] = {'P'}
    else
      local f = redis.call('HMGET', lease, 'o', 't', 's', 'u')
      local is_held = f[1] and tonumber(f[4]) > now
      if is_held and f[1] ~= owner then
        answers[i + 1] = {'H', f[1], f[3], f[4], text_of(now)}
      else
        local token, since = f[2], f[3]
        if not is_held then
          token = text_of(math.max(tonumber(f[2] or '0') + 1, now))
          since = text_of(now)
        end
        local last = text_of(now + term)
        redis.call('HSET', lease, 'o', owner, 't', token, 's', since, 'u', last)
        redis.call('PERSIST', lease)
        answers[i + 1] = {'G', token, since, last, text_of(now)}
      end
    end
  end
  return answers
end

-- KEYS leases; ARGV clock, term, then per lease: owner, token
local function renew(keys, argv)
  local last = text_of(clock(argv[1]) + tonumber(argv[2]))
  local answers = {}
  for i = 1, #keys do
    answers[i] = 0
    if holds(keys[i], argv[1 + 2 * i], argv[2 + 2 * i]) then
      redis.call('HSET', keys[i], 'u', last)
      answers[i] = 1
    end
  end
  return answers
end

-- KEYS leases; ARGV per lease: owner, token, channel
local function release(keys, argv)
  local answers = {}
  for i = 1, #keys do
    answers[i] = 0
    if holds(keys[i], argv[3 * i - 2], argv[3 * i - 1]) then
      end_lease(keys[i])
      tell(argv[3 * i], 'R')
      answers[i] = 1
    end
  end
  return answers
end

-- KEYS index, statistics, log, then per key: entry, history, lease
-- ARGV per key: the whole key, a tombstone, channel
local function invalidate(keys, argv)
  local index, stats, log = keys[1], keys[2], keys[3]
  local counts = {}
  local next_sequence = tonumber(redis.call('HGET', stats, 'sequence') or '0') + 1
  counts.sequence = -next_sequence
  for i = 0, (#keys - 3) / 3 - 1 do
    local entry, history, lease = keys[4 + 3 * i], keys[5 + 3 * i], keys[6 + 3 * i]
    local key, record, channel = argv[1 + 3 * i], argv[2 + 3 * i], argv[3 + 3 * i]
    local head, kind = header_of(entry)
    if kind == 'good' and status(head) ~= 2 then
      if status(head) ~= 3 then redis.call('RPUSH', history, redis.call('GET', entry)) end
      if next_sequence <= sequence(head) then next_sequence = sequence(head) + 1 end
      record = string.sub(record, 1, 8) .. struct.pack('>I4', version(head) + 1) ..
        struct.pack('>I8', next_sequence) .. committed_after(string.sub(record, 21, 32), head) ..
        string.sub(record, 33)
      redis.call('SET', entry, record)
      redis.call('ZADD', index, text_of(next_sequence), string.match(entry, '{(.-)}'))
      next_sequence = next_sequence + 1
      add_to(counts, 'entries', -1)
    end
    -- Who computes it does so from what is not right any more. Another one may begin.
    if redis.call('HEXISTS', lease, 'o') == 1 then
      end_lease(lease)
      tell(channel, 'R')
    end
    redis.call('XADD', log, 'MAXLEN', '~', '10000', '*', 'k', key, 'r', record)
  end
  counts.sequence = counts.sequence + next_sequence
  write_counts(stats, counts)
  return 'OK'
end

-- A record that is not what it was is set aside, if these very bytes are still there; its number is
-- not used again. KEYS index, statistics, entry, history, quarantine; ARGV bytes
local function drop(keys, argv)
  local index, stats, entry, history, quarantine = keys[1], keys[2], keys[3], keys[4], keys[5]
  local bytes = argv[1]
  local counts = {}
  local head = redis.pcall('GET', entry)
  local is_good = kind_of(bytes) == 'good'
  local is_gone = false
  if head == bytes then
    if is_good then
      if status(bytes) == 3 then return 0 end
      redis.call('SET', entry, string.sub(bytes, 1, 3) .. '\3' .. string.sub(bytes, 5, HEADER))
    else
      redis.call('DEL', entry)
    end
    is_gone = true
  elseif redis.call('LREM', history, -1, bytes) > 0 then
    is_gone = true
  end
  if not is_gone then return 0 end
  redis.call('SET', quarantine, bytes, 'PX', WEEK)
  add_to(counts, 'versions', -1)
  if is_good then add_to(counts, 'value_bytes', -size(bytes)) end
  local now_head, kind = header_of(entry)
  if redis.call('LLEN', history) == 0 and (kind ~= 'good' or status(now_head) > 1) then
    add_to(counts, 'entries', -1)
    redis.call('ZREM', index, string.match(entry, '{(.-)}'))
  end
  write_counts(stats, counts)
  return 1
end

-- KEYS value, quarantine; ARGV bytes
local function drop_value(keys, argv)
  if redis.pcall('GET', keys[1]) ~= argv[1] then return 0 end
  redis.call('DEL', keys[1])
  redis.call('SET', keys[2], argv[1], 'PX', DAY)
  return 1
end

redis.register_function('rp1_commit', commit)
redis.register_function('rp1_acquire', acquire)
redis.register_function{function_name='rp1_invalidate', callback=invalidate, flags={'allow-oom'}}
redis.register_function{function_name='rp1_renew', callback=renew, flags={'allow-oom'}}
redis.register_function{function_name='rp1_release', callback=release, flags={'allow-oom'}}
redis.register_function{function_name='rp1_drop', callback=drop, flags={'allow-oom'}}
redis.register_function{function_name='rp1_drop_value', callback=drop_value, flags={'allow-oom'}}
redis.register_function{function_name='rp1_revision', callback=function() return 4 end, flags={'no-writes'}}
)lua";

}  // namespace

const redis::Library& redis_functions() {
  static const redis::Library library{.name = "rp1", .revision = 4, .code = std::string(code)};
  return library;
}

}  // namespace reprise::cache
