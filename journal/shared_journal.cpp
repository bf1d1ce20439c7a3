#include "journal/shared_journal.hpp"

#include <algorithm>
#include <condition_variable>
#include <cstring>
#include <mutex>
#include <utility>

#include <fmt/format.h>

namespace reprise::journal {
namespace {

// Records of one append are kept well below what one round trip may carry.
constexpr std::size_t append_bytes = 1u << 20;
constexpr auto try_again_after = std::chrono::milliseconds{200};

RunQuery first_runs(std::uint32_t limit) {
  RunQuery query;
  query.limit = limit;
  return query;
}

// The row of a run, if there is one.
Result<std::optional<RunRow>> row_of(Journal& journal, const RunId& run) {
  RunQuery query = first_runs(1);
  query.id_prefix = run.text();
  auto rows = journal.runs(query);
  if (!rows) return tl::unexpected(rows.error());
  if (rows->empty()) return std::optional<RunRow>{};
  return std::move(rows->front());
}

tl::unexpected<Error> no_such_run(const RunId& run) {
  return fail(ErrorCode::not_found, fmt::format("no run \"{}\"", run.text()));
}

}  // namespace

// ---- following ----

Result<bool> LogFollower::catch_up(std::uint32_t limit) {
  auto known = journal_.log_position();
  if (!known) return tl::unexpected(known.error());
  if (*known != LogPosition{}) {
    const auto is_there = log_.holds(*known);
    if (!is_there) return tl::unexpected(is_there.error());
    if (!*is_there) {
      const auto last = log_.last_before({UINT64_MAX, UINT64_MAX});
      if (!last) return tl::unexpected(last.error());
      if (!*last || **last < *known)
        return fail(ErrorCode::conflict, fmt::format("{}: the log ends before {}, which is here",
                                                     log_.name(), known->text()));
      // It was written anew, and so begins with everything.
      if (const Status emptied = journal_.forget_log(); !emptied)
        return tl::unexpected(emptied.error());
      known = LogPosition{};
    }
  }
  const auto entries = log_.read(*known, limit);
  if (!entries) return tl::unexpected(entries.error());
  if (entries->empty()) return false;
  if (const auto applied = journal_.take_log(*entries); !applied)
    return tl::unexpected(applied.error());
  return entries->size() == limit;
}

Result<LogFollower::Attempt> LogFollower::try_to_lead(const std::string& name,
                                                      const std::string& nonce, Duration term) {
  const auto known = journal_.log_position();
  if (!known) return tl::unexpected(known.error());
  Leadership leader{known->epoch, nonce, name};
  const auto bid = log_.bid(leader, term);
  if (!bid) return tl::unexpected(bid.error());
  if (!bid->epoch) return Attempt{std::nullopt, bid->holder, bid->left};
  leader.epoch = *bid->epoch;
  const auto sequence = begin_to_lead(leader);
  if (!sequence) return tl::unexpected(sequence.error());
  return Attempt{Seat{std::move(leader), *sequence}, {}, Duration{0}};
}

Result<std::uint64_t> LogFollower::begin_to_lead(const Leadership& leader) {
  const LogPosition barrier{leader.epoch, 0};
  const auto known = journal_.log_position();
  if (!known) return tl::unexpected(known.error());
  const auto before = log_.last_before(barrier);
  if (!before) return tl::unexpected(before.error());
  bool is_ahead = !*before || **before < *known;
  if (is_ahead && *known == LogPosition{}) {  // nothing was shared yet: is there anything to share?
    const auto any = journal_.runs(first_runs(1));
    if (!any) return tl::unexpected(any.error());
    is_ahead = !any->empty();
  }
  if (is_ahead) return publish(leader, 0);
  for (;;) {
    const auto more = catch_up();
    if (!more) return tl::unexpected(more.error());
    if (!*more) break;
  }
  const auto reached = journal_.log_position();
  if (!reached) return tl::unexpected(reached.error());
  if (*reached < barrier)
    return fail(ErrorCode::corrupt, log_.name() + ": the log does not hold its own beginning");
  return reached->sequence;
}

Result<std::uint64_t> LogFollower::publish(const Leadership& leader, std::uint64_t after) {
  LogPosition next{leader.epoch, after + 1};
  std::vector<std::string> records;
  std::size_t bytes = 0;
  const auto write_out = [&]() -> Status {
    if (records.empty()) return {};
    const Status done = log_.draft(leader, next, records);
    next.sequence += records.size();
    records.clear();
    bytes = 0;
    return done;
  };
  const auto add = [&](const LogRecord& record) -> Status {
    records.push_back(encode(record));
    bytes += records.back().size();
    return bytes < append_bytes ? Status{} : write_out();
  };

  if (const Status done = add(Restart{}); !done) return tl::unexpected(done.error());
  auto rows = journal_.runs(first_runs(UINT32_MAX));
  if (!rows) return tl::unexpected(rows.error());
  std::ranges::reverse(*rows);  // the oldest first
  for (const RunRow& row : *rows) {
    const auto flow = journal_.flow(row.flow);
    if (!flow) return tl::unexpected(flow.error());
    if (const Status put = log_.put_flow(row.flow, *flow); !put) return tl::unexpected(put.error());
    if (const Status done = add(RunOpened{row}); !done) return tl::unexpected(done.error());
    Offset at = 0;
    for (;;) {
      auto entries = journal_.read(row.id, at, 4096);
      if (!entries) return tl::unexpected(entries.error());
      if (entries->empty()) break;
      for (Journal::Entry& entry : *entries) {
        at = entry.first + entry.batch.count() - 1;
        Appended record;
        record.batches.push_back(std::move(entry.batch));
        if (const Status done = add(record); !done) return tl::unexpected(done.error());
      }
    }
  }
  if (const Status done = write_out(); !done) return tl::unexpected(done.error());
  if (const Status done = log_.replace_by_draft(leader); !done) return tl::unexpected(done.error());
  const LogPosition last{leader.epoch, next.sequence - 1};
  if (const Status noted = journal_.note_log_position(last); !noted)
    return tl::unexpected(noted.error());
  return last.sequence;
}

// ---- leading ----

SharedJournal::SharedJournal(std::unique_ptr<SqliteJournal> local, std::shared_ptr<RedisLog> log,
                             Seat seat, Options options)
    : local_(std::move(local)),
      log_(std::move(log)),
      seat_(std::move(seat)),
      options_(std::move(options)) {}

Result<Epoch> SharedJournal::begin_epoch(std::uint64_t nonce, const std::string& server, Time now) {
  // Another process that believes this folder to be its own finds out, too.
  const auto here = local_->begin_epoch(nonce, server, now);
  if (!here) return here;
  // All who share the log count the same epochs, whoever began.
  const Digest log = sha256(log_->identity());
  std::uint64_t journal = 0;
  std::memcpy(&journal, log.raw().data(), sizeof journal);
  return Epoch{seat_.leader.epoch, nonce, journal};
}

// Until it is done, or cannot be done by this server any more.
template <class Action>
Status SharedJournal::insist(Action action) {
  for (;;) {
    Status done = action();
    if (options_.waits) *options_.waits = !done;
    if (done) {
      if (std::exchange(is_waiting_, false) && options_.warn)
        options_.warn(log_->name() + ": the journal can be written again");
      return done;
    }
    const ErrorCode code = done.error().code;
    // Whether another one leads or the server lost something: this epoch is over.
    if (code != ErrorCode::unavailable && code != ErrorCode::exhausted)
      return fail(ErrorCode::denied, done.error().message);
    if (!std::exchange(is_waiting_, true) && options_.warn)
      options_.warn(fmt::format("{}; nothing is acknowledged until the journal can be written",
                                done.error().message));
    std::mutex mutex;
    std::unique_lock guard(mutex);
    std::condition_variable_any().wait_for(guard, options_.stop, try_again_after,
                                           [] { return false; });
    if (options_.stop.stop_requested()) return done;
  }
}

Status SharedJournal::check() {
  const auto refuse = [](const Error& why) {
    return fail(ErrorCode::unavailable,
                why.message + "; nothing is accepted until the journal can be written");
  };
  if (behind_) return refuse(*behind_);
  const Status renewed = log_->renew(seat_.leader, options_.term);
  if (!renewed) return refuse(renewed.error());
  renewed_ = std::chrono::steady_clock::now();
  if (const Status takes = log_->probe(); !takes) return refuse(takes.error());
  return {};
}

Status SharedJournal::renew_when_due() {
  const auto now = std::chrono::steady_clock::now();
  if (now - renewed_ < options_.term / 3) return {};
  const Status done = insist([&] { return log_->renew(seat_.leader, options_.term); });
  if (done) renewed_ = now;
  return done;
}

Result<Offset> SharedJournal::add(LogEntry entry) {
  if (behind_) return tl::unexpected(*behind_);
  const std::vector<std::string> records{encode(entry.record)};
  if (const Status done =
          insist([&] { return log_->append(seat_.leader, seat_.sequence, records); });
      !done)
    return tl::unexpected(done.error());
  entry.position = {seat_.leader.epoch, ++seat_.sequence};
  ++since_shortened_;
  Result<Offset> last = 0;
  const Status taken = insist([&]() -> Status {
    last = local_->take_log({&entry, 1});
    if (!last) return tl::unexpected(last.error());
    return {};
  });
  if (taken) return last;
  behind_ = taken.error();
  return tl::unexpected(taken.error());
}

Status SharedJournal::open_run(const RunRow& row, std::string_view flow_bytes) {
  const auto known = row_of(*local_, row.id);
  if (!known) return tl::unexpected(known.error());
  if (*known)
    return fail(ErrorCode::conflict, fmt::format("run \"{}\" exists already", row.id.text()));
  if (const Status put = insist([&] { return log_->put_flow(row.flow, flow_bytes); }); !put)
    return put;
  const auto added = add({{}, RunOpened{row}, std::string(flow_bytes)});
  if (!added) return tl::unexpected(added.error());
  known_runs_.insert(row.id);
  return {};
}

Result<Offset> SharedJournal::append(std::span<const Batch> batches) {
  for (const Batch& batch : batches) {
    if (known_runs_.contains(batch.run)) continue;
    const auto known = row_of(*local_, batch.run);
    if (!known) return tl::unexpected(known.error());
    if (!*known) return no_such_run(batch.run);
    known_runs_.insert(batch.run);
  }
  if (const Status renewed = renew_when_due(); !renewed) return tl::unexpected(renewed.error());
  shorten();
  // A prefix of what happened is a possible past, so much of it may travel in parts.
  Result<Offset> last = local_->take_log({});
  Appended part;
  std::size_t bytes = 0;
  for (std::size_t i = 0; i < batches.size() && last; ++i) {
    if (batches[i].count() == 0) continue;
    bytes += encode(batches[i]).size();
    part.batches.push_back(batches[i]);
    if (bytes < append_bytes && i + 1 < batches.size()) continue;
    last = add({{}, std::exchange(part, {})});
    bytes = 0;
  }
  if (last && !part.batches.empty()) last = add({{}, std::move(part)});
  return last;
}

Status SharedJournal::set_summary(const RunId& run, const Summary& summary) {
  const auto known = row_of(*local_, run);
  if (!known) return tl::unexpected(known.error());
  if (!*known) return no_such_run(run);
  const auto added = add({{}, Summarised{run, summary}});
  if (!added) return tl::unexpected(added.error());
  return {};
}

Status SharedJournal::remove(const RunId& run) {
  const auto known = row_of(*local_, run);
  if (!known) return tl::unexpected(known.error());
  if (!*known) return no_such_run(run);
  known_runs_.erase(run);
  const auto added = add({{}, RunRemoved{run}});
  if (!added) return tl::unexpected(added.error());
  RunQuery same_flow = first_runs(1);
  same_flow.flow = (*known)->flow;
  const auto others = local_->runs(same_flow);
  // A flow that stays behind does no harm.
  if (others && others->empty()) static_cast<void>(log_->drop_flow((*known)->flow));
  return {};
}

// What cannot be shortened now is tried again later.
void SharedJournal::shorten() {
  if (since_shortened_ < log_records_kept) return;
  since_shortened_ = 0;
  LogFollower follower(*local_, *log_);
  const auto last = follower.publish(seat_.leader, seat_.sequence);
  if (last)
    seat_.sequence = *last;
  else if (options_.warn)
    options_.warn("the shared journal could not be shortened: " + last.error().message);
}

}  // namespace reprise::journal
