#include "actors/recorder.hpp"

#include <algorithm>
#include <iterator>

namespace reprise::actors {

void Recorder::write_out(Step& step) {
  if (group_.batches.empty()) return;
  group_.ticket = ++last_ticket_;
  step.appends.push_back(std::exchange(group_, {}));
  group_size_ = 0;
}

void Recorder::release(scheduler::Effects effects, Step& step) const {
  step.ended.insert(step.ended.end(), std::make_move_iterator(effects.ended.begin()),
                    std::make_move_iterator(effects.ended.end()));
  effects.ended.clear();
  step.act.push_back(std::move(effects));
}

Recorder::Step Recorder::perform(scheduler::Effects effects, const SummaryOf& summary_of) {
  Step step;
  if (is_superseded()) return step;
  if (effects.batches.empty() || !has_journal_ || is_lost()) {
    release(std::move(effects), step);
    return step;
  }
  const bool waits = durability_ == Durability::sync || !effects.ended.empty();
  for (journal::Batch& batch : effects.batches) {
    group_size_ += batch.count();
    group_.batches.push_back(std::move(batch));
  }
  effects.batches.clear();
  for (const scheduler::Ended& ended : effects.ended)
    group_.summaries.push_back(summary_of(ended.run));
  if (durability_ == Durability::group) {
    std::vector<scheduler::Ended> told_later = std::exchange(effects.ended, {});
    release(std::exchange(effects, {}), step);
    effects.ended = std::move(told_later);
  }
  if (waits || group_size_ >= group_changes) {
    write_out(step);
  } else if (!write_out_wanted_) {
    step.wants_write_out = write_out_wanted_ = true;
  }
  if (waits) waiting_.push_back({last_ticket_, std::move(effects)});
  return step;
}

Recorder::Step Recorder::write_out() {
  Step step;
  write_out_wanted_ = false;
  write_out(step);
  return step;
}

Recorder::Step Recorder::reported(std::vector<scheduler::AttemptRef> attempts) {
  Step step;
  if (!leads_ || is_superseded() || attempts.empty()) return step;
  const std::uint64_t ticket = last_ticket_ + (group_.batches.empty() ? 0 : 1);
  if (!has_journal_ || durable_ticket_ >= ticket)
    step.recorded = std::move(attempts);
  else
    unrecorded_.emplace_back(ticket, std::move(attempts));
  return step;
}

Recorder::Step Recorder::ask_lead() {
  Step step;
  if (!is_lost() && group_.batches.empty()) step.appends.push_back({++last_ticket_, {}, {}});
  return step;
}

Recorder::Step Recorder::durable(const Durable& news) {
  Step step;
  if (!news.status) trouble_ = news.status;
  if (is_superseded()) {
    waiting_.clear();
    return step;
  }
  durable_ticket_ = std::max(durable_ticket_, news.ticket);
  while (!waiting_.empty() && (is_lost() || waiting_.front().ticket <= durable_ticket_)) {
    release(std::move(waiting_.front().effects), step);
    waiting_.pop_front();
  }
  if (!news.status) return step;
  for (; !unrecorded_.empty() && unrecorded_.front().first <= durable_ticket_;
       unrecorded_.pop_front()) {
    const auto& attempts = unrecorded_.front().second;
    step.recorded.insert(step.recorded.end(), attempts.begin(), attempts.end());
  }
  return step;
}

}  // namespace reprise::actors
