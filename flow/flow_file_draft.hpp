// A flow file after decoding and before checking: every value with the place it came from. Internal
// to the decoder.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "flow/flow_spec.hpp"
#include "flow/yaml.hpp"

namespace reprise::flow_file {

/// Text with its place. No node: not given.
struct Text {
  std::string text;
  const yaml::Node* node = nullptr;
  explicit operator bool() const { return node != nullptr; }
};

/// What stands for the content of an input in the key.
struct HashDraft {
  Text input;  // its name, or its path
  Text method;
  Text hash;
};

struct PolicyDraft {
  std::optional<Duration> timeout;
  std::optional<RetryPolicy> retry;
  std::optional<CachePolicy> cache;
  Text cache_version;
  std::vector<Text> cache_ignored;   // to be checked against the task's inputs
  std::vector<Text> cache_compared;  // … or the flow's parameters
  std::vector<HashDraft> cache_hashes;
  std::optional<Resources> resources;
  std::optional<Resources> preset;  // with the cache on; what is said besides goes before it
  std::optional<std::map<std::string, std::string>> require;
  std::optional<std::vector<std::string>> limits;
  std::optional<std::int32_t> priority;
  std::vector<std::pair<std::string, Text>> environment;
};

struct MapDraft {
  const yaml::Node* over = nullptr;
  Text as{.text = "item", .node = nullptr};
  std::uint32_t max_parallel = 0;
};

struct ReduceDraft {
  Text over;
  std::uint32_t fanin = 16;
};

struct HookDraft {
  std::string state;
  std::vector<Text> run;
  const yaml::Node* run_node = nullptr;
  Text shell;
  Text call;
  std::vector<std::pair<std::string, Text>> environment;
  bool in_flow_folder = false;
  bool broken = false;  // complained about already
};

struct TaskDraft {
  std::string name;
  const yaml::Node* key = nullptr;
  const yaml::Node* node = nullptr;

  std::vector<Text> run;
  const yaml::Node* run_node = nullptr;
  Text shell;
  Text call;
  const yaml::Node* args = nullptr;
  Text flow;  // a file beside this one, or an expression that gives a flow
  const yaml::Node* params = nullptr;
  std::vector<Text> needs;
  std::optional<MapDraft> map;
  std::optional<ReduceDraft> reduce;
  Text when;
  std::vector<Text> inputs;
  std::vector<Text> outputs;
  PolicyDraft policy;
  std::optional<Trigger> trigger;
  bool skip_on_upstream_skip = true;
  bool allow_failure = false;
  bool isolated = false;
  bool in_flow_folder = false;
  Text version;
  std::vector<HookDraft> hooks;
  std::map<std::uint32_t, TaskState> exits;
  Text target;
  bool broken = false;  // its result and needs are unknown, complaints about them would be noise

  [[nodiscard]] bool is_command() const { return run_node != nullptr || shell; }
  [[nodiscard]] bool is_nested() const { return static_cast<bool>(flow); }
};

struct ParameterDraft {
  std::string name;
  const yaml::Node* key = nullptr;
  Text type;
  const yaml::Node* default_value = nullptr;
  std::string description;
  const yaml::Node* choices = nullptr;
  bool broken = false;
};

struct OutputDraft {
  std::string name;
  Text value;
};

struct FlowDraft {
  Text name;
  std::vector<ParameterDraft> parameters;
  PolicyDraft defaults;
  std::vector<TaskDraft> tasks;
  std::vector<OutputDraft> outputs;
  std::vector<HookDraft> hooks;
  std::vector<Text> reference;  // the tasks that decide the run's state; empty = not given
};

}  // namespace reprise::flow_file
