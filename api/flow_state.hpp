// What a reprise::flow holds: tasks in the order in which they were added, to be made into a
// FlowSpec when it is run.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "core/payload.hpp"
#include "core/result.hpp"
#include "flow/flow_spec.hpp"
#include "reprise/flow.hpp"

namespace reprise::detail {

class flow_state {
 public:
  explicit flow_state(std::string name) : name_(std::move(name)) {}

  /// A body to be registered, and the kinds that call it.
  struct function {
    task_record record;
    std::vector<std::uint32_t> kinds;
  };
  struct parameter {
    std::string name;
    std::string type;  // in the portable grammar
    std::optional<Payload> otherwise;
    normalizer normalize = nullptr;
  };

  std::uint32_t add_constant(codec::encoded value);
  std::uint32_t add_task(const task_ref& task, const std::vector<argument_ref>& arguments);
  std::uint32_t add_parameter(parameter added);
  void add_output(std::string name, const node_ref& node);
  void name_node(const node_ref& node, std::string name);
  void order_after(const node_ref& node, const node_ref& earlier);

  /// The flow as data. @error invalid_argument: two nodes were given one name, or `after` made a
  /// cycle
  [[nodiscard]] Result<FlowSpec> build() const;
  /// @error invalid_argument: unknown parameter, or a value of another type
  [[nodiscard]] Result<Parameters> bind(const std::map<std::string, value>& given) const;

  [[nodiscard]] const std::vector<function>& functions() const { return functions_; }
  [[nodiscard]] const Payload& constant(std::uint32_t index) const {
    return constants_[index].value;
  }

 private:
  struct kept_constant {
    Payload value;
    bool is_cacheable = true;
  };
  struct task_node {
    std::uint32_t kind = 0;
    std::optional<std::string> name;  // given by the user
    std::vector<argument_ref> arguments;
    std::vector<std::uint32_t> after;
  };
  struct result_output {
    std::string name;
    std::uint32_t node = 0;
    bool is_constant = false;
  };
  /// A kind as it was asked for, to be found again.
  struct known_kind {
    task_record (*record)(const void*) = nullptr;
    std::size_t arity = 0;
    bool is_cacheable = true;
    TaskKind policies;  // what the options say
    std::uint32_t kind = 0;
  };

  std::uint32_t kind_of(const task_ref& task, std::size_t arity, bool is_cacheable);
  std::uint32_t function_of(task_record record);
  [[nodiscard]] std::vector<std::string> node_names() const;

  std::string name_;
  std::vector<task_node> nodes_;
  std::vector<kept_constant> constants_;
  std::vector<parameter> parameters_;
  std::vector<result_output> outputs_;
  std::vector<TaskKind> kinds_;
  std::vector<function> functions_;
  std::unordered_multimap<std::string, std::uint32_t> function_index_;  // by "name@version"
  // By the address that stands for a body: most calls repeat a task that is known.
  std::unordered_multimap<const void*, known_kind> known_;
};

}  // namespace reprise::detail
