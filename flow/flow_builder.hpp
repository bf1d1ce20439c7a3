// Puts a FlowSpec together piece by piece, interning what repeats. The C++ API, the flow-file
// decoder and the importers all end here.
#pragma once

#include <string>
#include <string_view>
#include <unordered_map>

#include "flow/flow_spec.hpp"

namespace reprise {

struct InputFlags {
  bool mapped = false;
  bool flattened = false;
  bool gathered = false;
};

class FlowBuilder {
 public:
  explicit FlowBuilder(std::string flow_name);

  /// Index of a kind equal to none before it (kinds are not compared: share them yourself).
  std::uint32_t add_kind(TaskKind kind);
  /// Starts a node; the inputs added next belong to it. Names are checked by finish().
  NodeId add_node(std::string name, std::uint32_t kind, float expected_seconds = 0,
                  SourceSpan span = {});

  using Flags = InputFlags;
  void add_constant(std::string_view input, Payload value, Flags flags = {});
  void add_upstream(std::string_view input, NodeId upstream, Flags flags = {});
  void add_parameter_input(std::string_view input, std::uint32_t parameter, Flags flags = {});
  void add_expression(std::string_view input, Expression expression, Flags flags = {});
  void add_state_only(NodeId upstream, Flags flags = {});

  std::uint32_t add_parameter(Parameter parameter);
  void add_output(Output output);
  void add_run_hook(Hook hook);
  void add_reference(NodeId node);
  FlowSpec& spec() { return spec_; }  // for the fields that need no help

  /// The finished flow. @error invalid_argument: as check()
  [[nodiscard]] Result<FlowSpec> finish() &&;

 private:
  void add(std::string_view input, Input::Source source, std::uint32_t index, Flags flags);

  FlowSpec spec_;
  std::unordered_map<std::string, std::uint32_t> name_index_;
  std::unordered_map<Digest, std::uint32_t> constant_index_;
};

}  // namespace reprise
