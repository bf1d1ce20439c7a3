#include "cache/redis_invalidations.hpp"

#include <algorithm>
#include <charconv>
#include <utility>

#include "cache/redis_record.hpp"

namespace reprise::cache {
namespace {

using redis::Commands;
using redis::Reply;

constexpr std::size_t keys_per_call = 512;
constexpr std::chrono::microseconds each_takes{50};

// Elements are names and what they name, in turn.
const Reply* field(const std::vector<Reply>& elements, std::string_view name) {
  for (std::size_t i = 0; i + 1 < elements.size(); i += 2)
    if (elements[i].text == name) return &elements[i + 1];
  return nullptr;
}

// "1700000000000-3": milliseconds of the server's clock, and a number.
std::optional<Time> time_of_entry(std::string_view id) {
  std::int64_t milliseconds = 0;
  const auto read = std::from_chars(id.data(), id.data() + id.size(), milliseconds);
  if (read.ec != std::errc{}) return std::nullopt;
  return Time(std::chrono::milliseconds{milliseconds});
}

// More entries were added than are left: the first of those tells what is not known any more.
std::optional<Time> horizon_of(const Reply& about) {
  const Reply* const length = field(about.elements, "length");
  const Reply* const added = field(about.elements, "entries-added");
  const Reply* const first = field(about.elements, "first-entry");
  if (!length || !added || !first || length->integer >= added->integer) return std::nullopt;
  if (first->elements.empty()) return Time::max();
  return time_of_entry(first->elements.front().text);
}

}  // namespace

RedisInvalidations::RedisInvalidations(std::shared_ptr<redis::Client> client)
    : client_(std::move(client)), keys_(client_->settings().prefix) {}

Status RedisInvalidations::invalidate(std::span<const Key> keys, Time now) {
  const redis::Budgets& budgets = client_->settings().budgets;
  for (; !keys.empty(); keys = keys.subspan(std::min(keys.size(), keys_per_call))) {
    const auto some = keys.first(std::min(keys.size(), keys_per_call));
    Commands commands;
    commands.begin(3 + 3 + 3 * some.size() + 3 * some.size());
    commands.argument("FCALL");
    commands.argument("rp1_invalidate");
    commands.argument(3 + 3 * some.size());
    commands.argument(keys_.index());
    commands.argument(keys_.statistics());
    commands.argument(keys_.invalidations());
    for (const Key& key : some) {
      const std::string tag = RedisKeys::tag(key);
      commands.argument(keys_.entry(tag));
      commands.argument(keys_.history(tag));
      commands.argument(keys_.lease(tag));
    }
    for (const Key& key : some) {
      RedisRecord tombstone;
      tombstone.is_tombstone = true;
      tombstone.record.key = key;
      tombstone.record.committed = now;
      commands.argument(key.digest.raw());
      commands.argument(tombstone.encode());
      commands.argument(keys_.channel(RedisKeys::tag(key)));
    }
    auto replies =
        client_->run(commands, budgets.connect + budgets.operation + each_takes * some.size(),
                     redis::Client::Needs::functions);
    if (!replies) return tl::unexpected(replies.error());
    if (replies->front().is_error())
      return tl::unexpected(error_of(replies->front(), client_->name()));
  }
  return {};
}

Result<InvalidationLog::News> RedisInvalidations::read(const std::string& position) {
  Commands commands;
  commands.add("XINFO", "STREAM", keys_.invalidations());
  commands.add("XRANGE", keys_.invalidations(), position.empty() ? "-" : "(" + position, "+");
  const redis::Budgets& budgets = client_->settings().budgets;
  auto replies = client_->run(commands, budgets.connect + budgets.operation);
  if (!replies) return tl::unexpected(replies.error());
  News news;
  news.position = position;
  // There is no stream before the first entry.
  if (!(*replies)[0].is_error()) news.horizon = horizon_of((*replies)[0]);
  if ((*replies)[1].is_error()) return tl::unexpected(error_of((*replies)[1], client_->name()));
  for (const Reply& entry : (*replies)[1].elements) {
    if (entry.elements.size() != 2) continue;
    news.position = entry.elements[0].text;
    const Reply* const key = field(entry.elements[1].elements, "k");
    const Reply* const tombstone = field(entry.elements[1].elements, "r");
    if (!key || !tombstone) continue;
    const auto digest = Digest::from_raw(key->text);
    const auto record = RedisRecord::decode(tombstone->text);
    if (!digest || !record) continue;  // of a newer program
    Time& until = news.until.try_emplace(Key{*digest}, record->record.committed).first->second;
    until = std::max(until, record->record.committed);
  }
  return news;
}

}  // namespace reprise::cache
