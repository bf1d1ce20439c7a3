#include "journal/history.hpp"

#include <algorithm>
#include <optional>
#include <vector>

#include "flow/flow_spec.hpp"

namespace reprise::journal {
namespace {

constexpr std::size_t elements_max = 200'000;
constexpr std::uint32_t runs_looked_at = 50;  // newest ones, until enough of them are finished

// Only names and expansions matter here, so a view of the whole run would be wasted work.
class Collector {
 public:
  explicit Collector(const FlowSpec& flow) : flow_(flow) {}

  void add(const TaskChange& change, std::map<std::string, std::vector<Duration>>& durations) {
    const auto nodes = static_cast<std::uint32_t>(flow_.nodes.size());
    if (change.state == TaskState::mapped && change.detail && change.task.value < nodes &&
        change.detail->width <= elements_max && elements_.size() <= elements_max) {
      std::uint32_t& width =
          widths_[change.task.value];  // told again: no new elements, as in RunView
      if (width != change.detail->width)
        elements_.insert(elements_.end(), change.detail->width, change.task.value);
      width = change.detail->width;
    }
    if (!change.executed || !is_success(change.state)) return;
    std::uint32_t node = change.task.value;
    if (node >= nodes) {
      if (node - nodes >= elements_.size()) return;
      node = elements_[node - nodes];
    }
    durations[flow_.nodes[node].name].push_back(change.duration);
  }

 private:
  const FlowSpec& flow_;
  std::vector<std::uint32_t> elements_;            // node of each element
  std::map<std::uint32_t, std::uint32_t> widths_;  // by node
};

}  // namespace

std::map<std::string, Duration> usual_durations(Journal& journal, std::string_view flow_name,
                                                std::uint32_t limit, std::size_t changes_max) {
  std::map<std::string, Duration> usual;
  RunQuery query;
  query.flow_name = flow_name;
  query.limit = runs_looked_at;
  auto rows = journal.runs(query);
  if (!rows) return usual;

  std::map<std::string, std::vector<Duration>> durations;
  Digest decoded;  // of `flow`: runs of one flow mostly have the same
  std::optional<FlowSpec> flow;
  std::uint32_t used = 0;
  for (const RunRow& row : *rows) {
    if (used == limit) break;
    // A run that came from the cache altogether has nothing to tell.
    if (!is_finished(row.state) || row.summary.executed == 0) continue;
    if (!flow || decoded != row.flow) {
      flow.reset();
      auto bytes = journal.flow(row.flow);
      if (!bytes) continue;
      auto spec = FlowSpec::decode(*bytes);
      if (!spec) continue;
      flow = std::move(*spec);
      decoded = row.flow;
    }
    auto entries = journal.read(row.id, 0, changes_max);
    if (!entries) continue;
    ++used;
    Collector collector(*flow);
    for (const Journal::Entry& entry : *entries)
      for (const TaskChange& change : entry.batch.tasks) collector.add(change, durations);
  }
  for (auto& [name, all] : durations) {
    const auto middle = all.begin() + static_cast<std::ptrdiff_t>(all.size() / 2);
    std::nth_element(all.begin(), middle, all.end());
    usual[name] = *middle;
  }
  return usual;
}

}  // namespace reprise::journal
