#include "actors/result_keeper.hpp"

#include "actors/commit.hpp"

namespace reprise::actors {

namespace {

void give_up(const Key& key, const Outcome& outcome, GiveUp& given_up) {
  given_up.keys.push_back(key);
  given_up.why.add(outcome.state == TaskState::success ? "unkept.uncacheable" : "unkept.failed");
}

}  // namespace

ResultKeeper::Step ResultKeeper::finished(std::vector<Finished> batch, bool keeps) {
  Step step;
  std::vector<scheduler::Report> stored_first;
  for (Finished& item : batch) {
    const Outcome& outcome = item.report.outcome;
    const bool keep =
        keeps && item.key && outcome.state == TaskState::success && !outcome.uncacheable;
    if (!keep) {
      // A failure that is remembered ends the lease when it is kept; until then nobody else tries.
      if (item.key && !is_remembered(item.context->flow->kind_of(item.node).cache, outcome))
        give_up(*item.key, outcome, step.given_up);
      step.reports.push_back(std::move(item.report));
      continue;
    }
    step.store.commits.push_back(commit_of(*item.context, item.node, item.label, item.map_index,
                                           *item.key, outcome.value, outcome.duration));
    stored_first.push_back(std::move(item.report));
  }
  if (!stored_first.empty()) {
    step.store.ticket = ++last_ticket_;
    storing_.emplace(last_ticket_, std::move(stored_first));
  }
  return step;
}

std::vector<scheduler::Report> ResultKeeper::stored(const Stored& answer) {
  const auto found = storing_.find(answer.ticket);
  if (found == storing_.end()) return {};
  std::vector<scheduler::Report> reports = std::move(found->second);
  storing_.erase(found);
  for (std::size_t i = 0; i < reports.size(); ++i) {
    Outcome& outcome = reports[i].outcome;
    outcome.stored = answer.unkept[i].empty();
    if (!outcome.stored) outcome.uncacheable = answer.unkept[i];
  }
  return reports;
}

}  // namespace reprise::actors
