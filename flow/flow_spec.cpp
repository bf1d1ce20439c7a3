#include "flow/flow_spec.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <functional>
#include <string_view>
#include <unordered_set>

#include <fmt/format.h>

#include "core/text.hpp"

namespace reprise {
namespace {

tl::unexpected<Error> bad(std::string message) {
  return fail(ErrorCode::invalid_argument, std::move(message));
}

std::string shown(std::string_view name) {
  return shorten(escape_for_terminal(name), 80);
}

Status check_parameters(const FlowSpec& flow) {
  std::unordered_set<std::string_view> seen;
  for (const Parameter& parameter : flow.parameters)
    if (!seen.insert(parameter.name).second)
      return bad(fmt::format("parameter \"{}\" is declared twice", shown(parameter.name)));
  return {};
}

Status check_node(const FlowSpec& flow, const Node& node, std::size_t inputs_before) {
  if (node.name.empty()) return bad("a task has no name");
  if (node.kind >= flow.kinds.size())
    return bad(fmt::format("task \"{}\" is of kind {}, but there are {}", shown(node.name),
                           node.kind, flow.kinds.size()));
  if (node.first_input != inputs_before || node.input_count > flow.inputs.size() - inputs_before)
    return bad(fmt::format("inputs of task \"{}\" are not where they should be", shown(node.name)));
  if (!std::isfinite(node.expected_seconds) || node.expected_seconds < 0)
    return bad(fmt::format("task \"{}\" is expected to take {} seconds", shown(node.name),
                           node.expected_seconds));
  return {};
}

/// Size of the table that an input's index points into.
std::size_t table_size(const FlowSpec& flow, Input::Source source) {
  switch (source) {
    case Input::Source::constant:
      return flow.constants.size();
    case Input::Source::upstream:
      return flow.nodes.size();
    case Input::Source::parameter:
      return flow.parameters.size();
    case Input::Source::expression:
      return flow.expressions.size();
    case Input::Source::state_only:
      return flow.nodes.size();
  }
  return 0;
}

/// Which of the nodes' names was there before. A flat table: a set would ask for memory for each.
class NodeNames {
 public:
  explicit NodeNames(const FlowSpec& flow)
      : flow_(flow), table_(std::bit_ceil(2 * flow.nodes.size() + 1)) {}

  /// False: a node before `node` has its name.
  bool insert(std::uint32_t node) {
    const std::string& name = flow_.nodes[node].name;
    const std::size_t hash = std::hash<std::string_view>{}(name);
    const auto check = static_cast<std::uint32_t>(hash >> 32);
    std::size_t at = hash & (table_.size() - 1);
    for (; table_[at].node != none; at = (at + 1) & (table_.size() - 1))
      if (table_[at].check == check && flow_.nodes[table_[at].node].name == name) return false;
    table_[at] = {node, check};
    return true;
  }

 private:
  static constexpr std::uint32_t none = UINT32_MAX;
  struct Entry {
    std::uint32_t node = none;
    std::uint32_t check = 0;  // more of its name's hash, so that few names need be looked at
  };
  const FlowSpec& flow_;
  std::vector<Entry> table_;  // by hash; at least half of it is none
};

Status check_nodes(const FlowSpec& flow) {
  NodeNames names(flow);
  // Per input name the last node that used it, to find repetitions without a set per node.
  struct Use {
    std::uint32_t node = UINT32_MAX;
    bool gathered = false;
  };
  std::vector<Use> last_use(flow.names.size());
  std::size_t inputs = 0;
  for (std::uint32_t i = 0; i < flow.nodes.size(); ++i) {
    const Node& node = flow.nodes[i];
    if (auto fine = check_node(flow, node, inputs); !fine) return fine;
    if (!names.insert(i)) return bad(fmt::format("two tasks are named \"{}\"", shown(node.name)));
    inputs += node.input_count;
    for (const Input& input : flow.inputs_of(NodeId{i})) {
      if (input.index >= table_size(flow, input.source))
        return bad(fmt::format("task \"{}\" has an input from something that does not exist",
                               shown(node.name)));
      if (input.source == Input::Source::state_only) continue;
      if (input.name >= flow.names.size())
        return bad(fmt::format("an input of task \"{}\" has no name", shown(node.name)));
      Use& use = last_use[input.name];
      if (use.node == i && !(use.gathered && input.gathered))
        return bad(fmt::format("task \"{}\" has two inputs named \"{}\"", shown(node.name),
                               shown(flow.names[input.name])));
      use = {i, input.gathered};
    }
  }
  if (inputs != flow.inputs.size()) return bad("flow has inputs that belong to no task");
  return {};
}

Status check_references(const FlowSpec& flow) {
  auto exists = [&](NodeId id) { return id.value < flow.nodes.size(); };
  for (const Expression& expression : flow.expressions)
    if (!std::all_of(expression.reads.begin(), expression.reads.end(), exists))
      return bad(fmt::format("expression \"{}\" reads a task that does not exist",
                             shown(expression.text)));
  std::unordered_set<std::string_view> names;
  for (const Output& output : flow.outputs) {
    if (!names.insert(output.name).second)
      return bad(fmt::format("two outputs are named \"{}\"", shown(output.name)));
    if (output.kind == Output::Kind::node && !exists(output.node))
      return bad(fmt::format("output \"{}\" is the result of a task that does not exist",
                             shown(output.name)));
  }
  if (!std::all_of(flow.reference_nodes.begin(), flow.reference_nodes.end(), exists))
    return bad("a reference task does not exist");
  return {};
}

/// What must come before what, as a graph whose vertices are nodes and, behind them, expressions.
/// As expressions are vertices, many nodes that share one that reads many nodes do not multiply.
class Needs {
 public:
  explicit Needs(const FlowSpec& flow) : flow_(flow) {}

  std::size_t vertices() const { return flow_.nodes.size() + flow_.expressions.size(); }
  bool is_node(std::size_t vertex) const { return vertex < flow_.nodes.size(); }

  std::size_t edges(std::size_t vertex) const {
    return is_node(vertex) ? flow_.nodes[vertex].input_count : reads(vertex).size();
  }
  static constexpr std::size_t none = SIZE_MAX;
  /// The vertex at the end of an edge; none = the input waits for nothing.
  std::size_t target(std::size_t vertex, std::size_t edge) const {
    if (!is_node(vertex)) return reads(vertex)[edge].value;
    const Input& input = flow_.inputs[flow_.nodes[vertex].first_input + edge];
    switch (input.source) {
      case Input::Source::upstream:
      case Input::Source::state_only:
        return input.index;
      case Input::Source::expression:
        return flow_.nodes.size() + input.index;
      case Input::Source::constant:
      case Input::Source::parameter:
        break;
    }
    return none;
  }

 private:
  const std::vector<NodeId>& reads(std::size_t vertex) const {
    return flow_.expressions[vertex - flow_.nodes.size()].reads;
  }

  const FlowSpec& flow_;
};

/// "a → b → a", with the middle of a long way left out.
std::string describe_cycle(const FlowSpec& flow, std::vector<std::uint32_t> nodes) {
  // Found by walking from need to need; people think in the other direction. Begin at the task that
  // was written first.
  std::reverse(nodes.begin(), nodes.end());
  std::rotate(nodes.begin(), std::min_element(nodes.begin(), nodes.end()), nodes.end());
  constexpr std::size_t most = 12;
  std::string path;
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    if (nodes.size() > most && i == most / 2) {
      std::size_t left_out = nodes.size() - most + 1;
      path += fmt::format("… {} more … → ", left_out);
      i += left_out;
    }
    path += shown(flow.nodes[nodes[i]].name) + " → ";
  }
  return path + shown(flow.nodes[nodes.front()].name);
}

/// Depth-first search with a stack of its own: flows may be a million tasks deep.
Status check_acyclic(const FlowSpec& flow) {
  enum class Mark : std::uint8_t { unseen, on_path, done };
  struct Step {
    std::size_t vertex, next_edge;
  };
  Needs needs(flow);
  std::vector<Mark> marks(needs.vertices(), Mark::unseen);
  std::vector<Step> path;
  for (std::size_t root = 0; root < flow.nodes.size(); ++root) {
    if (marks[root] != Mark::unseen) continue;
    marks[root] = Mark::on_path;
    path.push_back({root, 0});
    while (!path.empty()) {
      Step& step = path.back();
      if (step.next_edge == needs.edges(step.vertex)) {
        marks[step.vertex] = Mark::done;
        path.pop_back();
        continue;
      }
      std::size_t target = needs.target(step.vertex, step.next_edge++);
      if (target == Needs::none || marks[target] == Mark::done) continue;
      if (marks[target] == Mark::on_path) {
        auto begin = std::find_if(path.begin(), path.end(),
                                  [&](const Step& s) { return s.vertex == target; });
        std::vector<std::uint32_t> nodes;
        for (; begin != path.end(); ++begin)
          if (needs.is_node(begin->vertex))
            nodes.push_back(static_cast<std::uint32_t>(begin->vertex));
        return bad("tasks wait for each other: " + describe_cycle(flow, std::move(nodes)));
      }
      marks[target] = Mark::on_path;
      path.push_back({target, 0});
    }
  }
  return {};
}

}  // namespace

bool FlowSpec::is_mapped(NodeId id) const {
  auto own = inputs_of(id);
  return std::any_of(own.begin(), own.end(), [](const Input& input) { return input.mapped; });
}

namespace {

/// What runs a flow names one that there is, in one of the two ways, as its body alone.
Status check_bodies(const FlowSpec& flow) {
  const auto runs_a_flow = [](const Hook& hook) {
    return std::holds_alternative<NestedBody>(hook.body);
  };
  if (std::ranges::any_of(flow.run_hooks, runs_a_flow)) return bad("a hook runs a flow");
  for (const TaskKind& kind : flow.kinds) {
    if (std::ranges::any_of(kind.hooks, runs_a_flow))
      return bad(fmt::format("a hook of task \"{}\" runs a flow", shown(kind.cache_name)));
    const auto* body = std::get_if<NestedBody>(&kind.body);
    if (body == nullptr) continue;
    if (body->flow.has_value() != body->source.empty() ||
        (body->flow && *body->flow >= flow.nested.size()))
      return bad(
          fmt::format("task \"{}\" runs a flow that does not exist", shown(kind.cache_name)));
    if (kind.cache.enabled || !kind.target.text.empty() || kind.reduce_fanin > 0)
      return bad(
          fmt::format("task \"{}\" runs a flow, which goes without a cache, a target and a "
                      "reduction of its own",
                      shown(kind.cache_name)));
  }
  return {};
}

Status check_at(const FlowSpec& flow, std::uint32_t depth);

Status check_nested(const FlowSpec& flow, std::uint32_t depth) {
  if (!flow.nested.empty() && depth == nesting_limit)
    return bad(fmt::format("flows are nested more than {} deep", nesting_limit));
  for (const auto& nested : flow.nested)
    if (auto fine = check_at(*nested, depth + 1); !fine) return fine;
  return {};
}

Status check_at(const FlowSpec& flow, std::uint32_t depth) {
  if (flow.nodes.size() >= UINT32_MAX || flow.inputs.size() >= UINT32_MAX)
    return bad("flow has too many tasks");
  for (const TaskKind& kind : flow.kinds)
    if (kind.reduce_fanin == 1)  // would never end
      return bad(fmt::format("task \"{}\" reduces lists of one value; a fan-in is at least 2",
                             shown(kind.cache_name)));
  for (const TaskKind& kind : flow.kinds) {
    if (kind.priority < priority_least || kind.priority > priority_most)
      return bad(fmt::format("task \"{}\" has priority {}; they go from {} to {}",
                             shown(kind.cache_name), kind.priority, priority_least, priority_most));
    if (std::ranges::adjacent_find(kind.limits, std::ranges::greater_equal{}) != kind.limits.end())
      return bad(fmt::format("the limits of task \"{}\" are not in order, or named twice",
                             shown(kind.cache_name)));
  }
  if (auto fine = check_bodies(flow); !fine) return fine;
  if (auto fine = check_nested(flow, depth); !fine) return fine;
  if (auto fine = check_parameters(flow); !fine) return fine;
  if (auto fine = check_nodes(flow); !fine) return fine;
  if (auto fine = check_references(flow); !fine) return fine;
  return check_acyclic(flow);
}

}  // namespace

Status check(const FlowSpec& flow) {
  return check_at(flow, 0);
}

}  // namespace reprise
