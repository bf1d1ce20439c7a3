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

  /// User code to be registered, and where the flow refers to it.
  struct function {
    enum class use : std::uint8_t { body, hook, trigger, cache_key, validator, run_hook };
    struct place {
      use what = use::body;
      std::uint32_t kind = 0;   // of all but run hooks
      std::uint32_t index = 0;  // of a hook among those of its kind, or of the run
    };
    task_record record;
    std::vector<place> places;

    /// Writes the id that it was registered as wherever the flow refers to it.
    void refer_as(const std::string& id, FlowSpec& spec) const;
  };
  struct parameter {
    std::string name;
    std::string type;  // in the portable grammar
    std::optional<Payload> otherwise;
    normalizer normalize = nullptr;
  };

  std::uint32_t add_constant(codec::encoded value);
  std::uint32_t add_range(const range& numbers);
  std::uint32_t add_nested(const node_ref& made, std::string output);
  /// The function may be called by flows that are made while this one runs.
  void make_known(task_record record);
  void hash_constant(std::uint32_t constant, std::string method, const std::string& hash);
  std::uint32_t add_task(const task_ref& task, const std::vector<argument_ref>& arguments);
  std::uint32_t add_parameter(parameter added);
  void add_output(std::string name, const node_ref& node);
  void name_node(const node_ref& node, std::string name);
  void order_after(const node_ref& node, const node_ref& earlier);
  void add_hook(const node_ref& node, std::string name, erased_body told, bool only_failures);
  void add_run_hook(std::string name, erased_body told, bool only_at_end);
  void set_trigger(const node_ref& node, std::string name, erased_body may_run);
  void set_key_function(const node_ref& node, std::string name, erased_body make);
  void set_validator(const node_ref& node, std::string name, erased_body is_valid);
  void make_cleanup(const node_ref& node);
  void set_reference_nodes(const std::vector<node_ref>& nodes);

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
    std::optional<UserHash> hash{};  // stands for it in keys
  };
  using given_hashes = std::map<std::string, UserHash>;  // by position of the argument
  struct task_node {
    std::uint32_t kind = 0;
    bool has_own_kind = false;        // no other node shares it
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

  std::uint32_t kind_of(const task_ref& task, std::size_t arity, bool is_cacheable,
                        given_hashes hashes);
  std::uint32_t function_of(task_record record);
  /// The node's kind, shared with no other node.
  std::uint32_t own_kind(const node_ref& node);
  /// Registers user code other than a body. @return its id
  std::string add_function(std::string_view what, std::string name, erased_body body,
                           function::place place);
  [[nodiscard]] std::vector<std::string> node_names() const;

  std::string name_;
  std::vector<task_node> nodes_;
  std::vector<kept_constant> constants_;
  std::vector<range> ranges_;
  std::vector<parameter> parameters_;
  std::vector<result_output> outputs_;
  std::vector<TaskKind> kinds_;
  std::vector<function> functions_;
  std::vector<Hook> run_hooks_;
  std::vector<std::uint32_t> reference_nodes_;
  std::unordered_multimap<std::string, std::uint32_t> function_index_;  // by "name@version"
  // By the address that stands for a body: most calls repeat a task that is known.
  std::unordered_multimap<const void*, known_kind> known_;
};

}  // namespace reprise::detail
