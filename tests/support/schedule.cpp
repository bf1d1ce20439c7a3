#include "tests/support/schedule.hpp"

#include <deque>
#include <fstream>
#include <map>
#include <queue>
#include <sstream>
#include <stdexcept>
#include <tuple>

#include "core/assert.hpp"
#include "flow/load.hpp"
#include "scheduler/scheduler.hpp"

namespace reprise::test {

namespace {

using scheduler::RunIndex;

struct Running {
  Time ends;
  std::uint64_t serial = 0;  // of those that end together, the one that began first comes first
  Attempt attempt;
  Duration takes{0};
  bool operator>(const Running& other) const {
    return std::tie(ends, serial) > std::tie(other.ends, other.serial);
  }
};

class Workers {
 public:
  Workers(const std::shared_ptr<const FlowSpec>& flow, std::uint32_t slots)
      : flow_(*flow), scheduler_(slots), free_(slots), ended_(flow->nodes.size()) {
    auto context = std::make_shared<RunContext>();
    context->flow = flow;
    context->cache = CacheMode::off;
    scheduler::Submit submit;
    submit.run = RunIndex{0};
    submit.context = std::move(context);
    handle(std::move(submit));
  }

  double run() {
    while (!running_.empty()) {
      now_ = running_.top().ends;
      scheduler::Reported reported;
      for (; !running_.empty() && running_.top().ends == now_; running_.pop()) {
        const Running& over = running_.top();
        ended_[over.attempt.node.value] = true;
        ++free_;
        scheduler::Report& report = reported.reports.emplace_back();
        report.attempt = {RunIndex{0}, over.attempt.task, over.attempt.number};
        report.outcome.state = TaskState::success;
        report.outcome.executed = true;
        report.outcome.started = now_ - over.takes;
        report.outcome.duration = over.takes;
      }
      handle(std::move(reported));
    }
    REPRISE_ASSERT(has_ended_, flow_.name);
    return seconds(now_ - start_);
  }

 private:
  void handle(scheduler::Event event) {
    scheduler::Effects effects = scheduler_.handle(std::move(event), now_);
    for (Attempt& attempt : effects.dispatches) waiting_.push_back(std::move(attempt));
    has_ended_ = has_ended_ || !effects.ended.empty();
    for (; free_ > 0 && !waiting_.empty(); waiting_.pop_front()) begin(waiting_.front());
  }

  void begin(Attempt attempt) {
    const NodeId node = attempt.node;
    REPRISE_ASSERT(!ended_[node.value] && attempt.number == 1, node.value);
    for (const Input& input : flow_.inputs_of(node))
      if (input.source == Input::Source::upstream || input.source == Input::Source::state_only)
        REPRISE_ASSERT(ended_[input.index], node.value, input.index);
    const Duration takes{
        static_cast<std::int64_t>(double{flow_.nodes[node.value].expected_seconds} * 1e9)};
    --free_;
    running_.push({now_ + takes, ++serial_, std::move(attempt), takes});
  }

  const FlowSpec& flow_;
  scheduler::Scheduler scheduler_;
  std::uint32_t free_;
  std::deque<Attempt> waiting_;  // sent ahead of a free slot
  std::priority_queue<Running, std::vector<Running>, std::greater<>> running_;
  std::vector<bool> ended_;  // by node
  std::uint64_t serial_ = 0;
  const Time start_{std::chrono::hours{24}};
  Time now_ = start_;
  bool has_ended_ = false;
};

std::vector<std::string> cells_of(const std::string& line, char separator) {
  std::vector<std::string> cells;
  std::istringstream parts(line);
  for (std::string cell; std::getline(parts, cell, separator);) cells.push_back(cell);
  return cells;
}

/// Least lengths by file and number of processors.
std::map<std::pair<std::string, std::string>, double> optima(const std::filesystem::path& folder) {
  std::map<std::pair<std::string, std::string>, double> found;
  std::ifstream file(folder / "stg" / "OPT.csv");
  std::string line;
  std::getline(file, line);  // the header
  while (std::getline(file, line))
    if (const auto cells = cells_of(line, ','); cells.size() == 3)
      found.emplace(std::pair("stg/" + cells[0], cells[1]), std::stod(cells[2]));
  return found;
}

}  // namespace

double makespan(const std::shared_ptr<const FlowSpec>& flow, std::uint32_t slots) {
  return Workers(flow, slots).run();
}

std::vector<KnownGraph> known_graphs(const std::filesystem::path& folder) {
  std::vector<KnownGraph> graphs;
  const auto least_known = optima(folder);
  std::ifstream table(folder / "expected.tsv");
  std::string line;
  std::getline(table, line);
  const std::vector<std::string> header = cells_of(line, '\t');
  while (std::getline(table, line)) {
    const auto cells = cells_of(line, '\t');
    std::map<std::string, std::string> row;
    for (std::size_t i = 0; i < std::min(cells.size(), header.size()); ++i)
      row.emplace(header[i], cells[i]);
    KnownGraph& graph = graphs.emplace_back();
    graph.file = row.at("file");
    LoadOptions options;
    options.trace = {TraceMode::sleep, 1, {}};
    options.trace_options_given = true;
    auto loaded = load_flow((folder / graph.file).string(), options);
    if (!loaded)
      throw std::runtime_error(graph.file + ": " + loaded.error().mistakes.front().message);
    graph.flow = std::make_shared<const FlowSpec>(std::move(loaded->flow));
    for (const std::string processors : {"2", "8"}) {
      KnownGraph::Makespans& known = graph.known.emplace_back();
      known.processors = static_cast<std::uint32_t>(std::stoul(processors));
      known.least = std::stod(row.at("lb_" + processors));
      known.list = std::stod(row.at("list_" + processors));
      known.fifo = std::stod(row.at("fifo_" + processors));
      if (const auto best = least_known.find({graph.file, processors}); best != least_known.end())
        known.optimum = best->second;
    }
  }
  return graphs;
}

}  // namespace reprise::test
