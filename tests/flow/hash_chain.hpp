// Runs a flow of hash-mode tasks without an engine: each node's result by its inputs, in an order
// that fits.
#pragma once

#include <functional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "flow/chain_digest.hpp"
#include "flow/flow_spec.hpp"

namespace reprise::test {

/// Hex digests of all nodes, in their order. Inputs are taken as the engine would: gathered ones as
/// one list, in order.
inline std::vector<std::string> run_hash_chain(const FlowSpec& flow) {
  const std::size_t count = flow.nodes.size();
  std::vector<std::vector<std::uint32_t>> children(count);
  std::vector<std::uint32_t> waiting(count);
  for (std::uint32_t i = 0; i < count; ++i) {
    for (const Input& input : flow.inputs_of(NodeId{i})) {
      if (input.source != Input::Source::upstream) continue;
      children[input.index].push_back(i);
      ++waiting[i];
    }
  }
  std::vector<std::uint32_t> ready;
  for (std::uint32_t i = 0; i < count; ++i) {
    if (waiting[i] == 0) ready.push_back(i);
  }
  std::vector<std::string> results(count);
  for (std::size_t k = 0; k < ready.size(); ++k) {
    const std::uint32_t node = ready[k];
    std::string line;
    std::vector<std::string_view> parents;
    for (const Input& input : flow.inputs_of(NodeId{node})) {
      const std::string& name = flow.names.at(input.name);
      if (input.source == Input::Source::upstream) {
        if (name != "parents" || !input.gathered)
          throw std::runtime_error("odd upstream input " + name);
        parents.push_back(results.at(input.index));
      } else {
        const Value value = flow.constants.at(input.index).value().value();
        if (name == "line")
          line = std::get<std::string>(value.data);
        else if (name != "parents" || value != Value(List{}))
          throw std::runtime_error("odd constant input " + name);
      }
    }
    results[node] = chain_step(line, parents).hex();
    for (const std::uint32_t child : children[node]) {
      if (--waiting[child] == 0) ready.push_back(child);
    }
  }
  if (ready.size() != count) throw std::runtime_error("not all nodes could run");
  return results;
}

inline std::string chain_digest_of(const FlowSpec& flow, const std::vector<std::string>& results) {
  std::vector<Payload> payloads;
  for (const std::string& result : results) payloads.push_back(Payload::of(Value(result)).value());
  return chain_digest(flow, payloads).value().hex();
}

}  // namespace reprise::test
