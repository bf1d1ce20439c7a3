#include "cache/redis_leases.hpp"

#include <charconv>
#include <utility>

namespace reprise::cache {
namespace {

using redis::Commands;
using redis::Reply;
using std::chrono::microseconds;

microseconds in_microseconds(Duration duration) {
  return std::chrono::duration_cast<microseconds>(duration);
}

bool read(const Reply& reply, std::int64_t& number) {
  const char* const end = reply.text.data() + reply.text.size();
  return reply.is_text() && std::from_chars(reply.text.data(), end, number).ptr == end;
}

// {"P"}, {"G", token, since, until, now} or {"H", owner, since, until, now}; times in the server's
// microseconds.
bool read(const Reply& reply, const LeaseTerms& terms, LeaseAnswer& answer) {
  if (reply.elements.size() == 1 && reply.elements[0].text == "P") return true;
  if (reply.elements.size() != 5) return false;
  std::int64_t since = 0, until = 0, server_now = 0;
  if (!read(reply.elements[2], since) || !read(reply.elements[3], until) ||
      !read(reply.elements[4], server_now))
    return false;
  answer.since = terms.now + microseconds{since - server_now};
  answer.until = terms.now + microseconds{until - server_now};
  answer.lease.scope = Lease::Scope::shared;
  if (reply.elements[0].text == "H") {
    answer.kind = LeaseAnswer::Kind::held;
    answer.lease.owner = reply.elements[1].text;
    return true;
  }
  std::int64_t token = 0;
  if (reply.elements[0].text != "G" || !read(reply.elements[1], token)) return false;
  answer.kind = LeaseAnswer::Kind::granted;
  answer.lease.owner = terms.owner;
  answer.lease.token = static_cast<std::uint64_t>(token);
  return true;
}

std::vector<bool> truths(const Reply& reply) {
  std::vector<bool> held;
  for (const Reply& each : reply.elements) held.push_back(each.integer == 1);
  return held;
}

}  // namespace

RedisLeases::RedisLeases(Options options)
    : options_(std::move(options)), keys_(options_.client->settings().prefix) {}

// Empty: the server's own.
std::string RedisLeases::clock(Time now) const {
  if (!options_.by_callers_clock) return {};
  return std::to_string(in_microseconds(now.time_since_epoch()).count());
}

Result<std::vector<Reply>> RedisLeases::call(const Commands& commands, std::size_t leases,
                                             std::size_t answers) const {
  redis::Client& client = *options_.client;
  const redis::Budgets& budgets = client.settings().budgets;
  auto replies =
      client.run(commands, budgets.connect + budgets.operation + microseconds{50 * leases},
                 redis::Client::Needs::functions);
  if (!replies) return replies;
  for (const Reply& reply : *replies)
    if (reply.is_error()) return tl::unexpected(error_of(reply, client.name()));
  if (replies->front().elements.size() != answers)
    return fail(ErrorCode::corrupt, client.name() + " answered another question than was asked");
  return replies;
}

Result<std::vector<LeaseAnswer>> RedisLeases::acquire(std::span<const LeaseWish> wishes,
                                                      const LeaseTerms& terms) {
  if (auto good = terms.check(); !good) return tl::unexpected(good.error());
  if (wishes.empty()) return std::vector<LeaseAnswer>{};
  Commands commands;
  commands.begin(3 + 3 * wishes.size() + 3 + wishes.size());
  commands.argument("FCALL");
  commands.argument("rp1_acquire");
  commands.argument(3 * wishes.size());
  for (const LeaseWish& wish : wishes) {
    const std::string tag = RedisKeys::tag(wish.key);
    commands.argument(keys_.entry(tag));
    commands.argument(keys_.history(tag));
    commands.argument(keys_.lease(tag));
  }
  commands.argument(clock(terms.now));
  commands.argument(terms.owner);
  commands.argument(in_microseconds(terms.term).count());
  for (const LeaseWish& wish : wishes) commands.argument(wish.even_if_published ? "1" : "0");
  auto replies = call(commands, wishes.size(), wishes.size());
  if (!replies) return tl::unexpected(replies.error());
  std::vector<LeaseAnswer> answers(wishes.size());
  for (std::size_t i = 0; i < wishes.size(); ++i)
    if (!read(replies->front().elements[i], terms, answers[i]))
      return fail(ErrorCode::corrupt,
                  options_.client->name() + " answered another question than was asked");
  return answers;
}

Result<std::vector<bool>> RedisLeases::renew(std::span<const HeldLease> leases,
                                             const LeaseTerms& terms) {
  if (leases.empty()) return std::vector<bool>{};
  Commands commands;
  commands.begin(3 + leases.size() + 2 + 2 * leases.size());
  commands.argument("FCALL");
  commands.argument("rp1_renew");
  commands.argument(leases.size());
  for (const HeldLease& each : leases) commands.argument(keys_.lease(RedisKeys::tag(each.key)));
  commands.argument(clock(terms.now));
  commands.argument(in_microseconds(terms.term).count());
  for (const HeldLease& each : leases) {
    commands.argument(each.lease.owner);
    commands.argument(each.lease.token);
  }
  auto replies = call(commands, leases.size(), leases.size());
  if (!replies) return tl::unexpected(replies.error());
  return truths(replies->front());
}

Result<std::vector<bool>> RedisLeases::release(std::span<const HeldLease> leases, Time) {
  if (leases.empty()) return std::vector<bool>{};
  Commands commands;
  commands.begin(3 + leases.size() + 3 * leases.size());
  commands.argument("FCALL");
  commands.argument("rp1_release");
  commands.argument(leases.size());
  for (const HeldLease& each : leases) commands.argument(keys_.lease(RedisKeys::tag(each.key)));
  for (const HeldLease& each : leases) {
    commands.argument(each.lease.owner);
    commands.argument(each.lease.token);
    commands.argument(keys_.channel(RedisKeys::tag(each.key)));
  }
  auto replies = call(commands, leases.size(), leases.size());
  if (!replies) return tl::unexpected(replies.error());
  return truths(replies->front());
}

}  // namespace reprise::cache
