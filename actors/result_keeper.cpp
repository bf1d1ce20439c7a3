#include "actors/result_keeper.hpp"

#include "actors/commit.hpp"

namespace reprise::actors {

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
        step.given_up.push_back(*item.key);
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
    const bool is_refused = i < answer.refused.size() && !answer.refused[i].empty();
    outcome.stored = answer.kept && !is_refused;
    if (is_refused)
      outcome.uncacheable = answer.refused[i];
    else if (!answer.kept)
      outcome.uncacheable = "the cache did not take it";
  }
  return reports;
}

}  // namespace reprise::actors
