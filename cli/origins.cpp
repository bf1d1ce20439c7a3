#include "cli/origins.hpp"

namespace reprise::cli {

const Origins::Producer* Origins::find(const journal::ChangeDetail& hit) {
  if (!hit.origin || !hit.key) return nullptr;
  auto known = known_.find(*hit.origin);
  if (known == known_.end()) known = known_.emplace(*hit.origin, load(*hit.origin)).first;
  const auto found = known->second.find(*hit.key);
  return found == known->second.end() ? nullptr : &found->second;
}

Origins::ByKey Origins::load(const RunId& run) {
  ByKey made;
  journal::RunQuery query;
  query.id_prefix = run.text();
  const auto rows = journal_.runs(query);
  if (!rows || rows->empty()) return made;
  const auto view = journal::load_run(journal_, rows->front());
  if (!view) return made;
  for (std::uint32_t t = 0; t < view->size(); ++t) {
    const TaskId task{t};
    const journal::ChangeDetail* detail = view->detail(task);
    if (detail != nullptr && detail->key && view->cache(task) == journal::CacheOutcome::stored)
      made.try_emplace(*detail->key, Producer{task, view->run_count(task), view->duration(task)});
  }
  return made;
}

}  // namespace reprise::cli
