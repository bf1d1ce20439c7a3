#include "cluster/log_relay.hpp"

#include <algorithm>
#include <utility>

#include "worker/task_log.hpp"

namespace reprise::cluster {

namespace {

// A worker that has not answered by then has other troubles.
constexpr Duration patience = std::chrono::seconds{5};

Error nothing() {
  return {ErrorCode::not_found, "nothing was printed, or the worker that has it is not there"};
}

}  // namespace

Result<wire::LogPart> read_log(const std::filesystem::path& runs, const wire::AskLog& what) {
  const auto log = worker::open_log(runs / what.run.text(), what.task, what.attempt,
                                    what.is_err ? worker::Stream::err : worker::Stream::out);
  if (!log) return tl::unexpected(log.error());
  wire::LogPart part;
  part.offset = what.offset;
  if (what.from_end) {
    const std::uint64_t size = log->size();
    part.offset = size - std::min(size, what.offset);
  }
  auto bytes = log->read(part.offset, std::min(what.limit, wire::log_part_bytes));
  if (!bytes) return tl::unexpected(bytes.error());
  part.bytes = *std::move(bytes);
  return part;
}

wire::LogRequest LogRelay::ask(const wire::AskLog& what, std::set<LinkNumber> workers,
                               Answer answer, Time now) {
  const auto at = open_.emplace(++last_, Open{std::move(answer), std::move(workers), now}).first;
  close_when_all_answered(at);
  return {last_, encode(what)};
}

LogRelay::Position LogRelay::close_when_all_answered(Position open) {
  if (!open->second.waiting.empty()) return std::next(open);
  const Answer answer = std::move(open->second.answer);
  const auto next = open_.erase(open);
  answer(tl::unexpected(nothing()));
  return next;
}

void LogRelay::answered(LinkNumber worker, wire::LogAnswer answer) {
  const auto found = open_.find(answer.number);
  if (found == open_.end() || found->second.waiting.erase(worker) == 0) return;
  wire::LogPart part;
  if (answer.status && decode(answer.part, part)) {
    const Answer tell = std::move(found->second.answer);
    open_.erase(found);
    return tell(std::move(part));
  }
  close_when_all_answered(found);
}

void LogRelay::left(LinkNumber worker) {
  for (auto it = open_.begin(); it != open_.end();) {
    it->second.waiting.erase(worker);
    it = close_when_all_answered(it);
  }
}

void LogRelay::tick(Time now) {
  for (auto it = open_.begin(); it != open_.end();) {
    if (now - it->second.asked > patience) it->second.waiting.clear();
    it = close_when_all_answered(it);
  }
}

}  // namespace reprise::cluster
