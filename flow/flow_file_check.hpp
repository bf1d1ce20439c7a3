// Second pass over a flow file: what names mean, what expressions read, whether the graph has
// cycles. Internal to the decoder.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "flow/expression.hpp"
#include "flow/flow_file.hpp"
#include "flow/flow_file_decoder.hpp"
#include "flow/flow_file_draft.hpp"
#include "flow/template.hpp"

namespace reprise::flow_file {

/// A value that enters a task: an argument of a function, or what a task is mapped over.
struct Source {
  enum class Kind : std::uint8_t {
    none,
    constant,
    parameter,
    task,
    own_element,
    map_variable,
    expression
  };
  Kind kind = Kind::none;
  std::uint32_t index = 0;  // of the parameter or task
  Value constant;
  std::string expression;  // bare
  SourceSpan span;
  expression::Type type;
};

struct Argument {
  std::string name;
  Source source;
};

/// What checking found out about a task. Indices are positions in FlowDraft::tasks.
struct TaskFacts {
  struct Edge {
    std::uint32_t to = 0;
    SourceSpan span;
  };
  std::vector<std::uint32_t> needs;
  std::vector<std::uint32_t> reads;  // whole results, each once
  std::vector<std::uint32_t> own;    // own elements of mapped tasks, each once
  std::vector<Edge> edges;           // all of them with the place of the first mention
  Source over;
  std::optional<std::uint32_t> reduced;
  std::vector<Argument> arguments;
  const Signature* signature = nullptr;
  std::optional<std::uint32_t> nested;  // FlowFacts::nested: the flow that the task runs
  expression::Type element;             // of the map variable
};

/// Name of the argument that gives the flow to run: no parameter can be called so.
inline constexpr std::string_view flow_argument = "(flow)";

struct FlowFacts {
  std::vector<TaskFacts> tasks;
  std::vector<std::shared_ptr<const FlowSpec>> nested;  // from files beside this one, each once
  std::vector<std::uint32_t> last_tasks;                // those that no other task needs
  std::vector<std::uint32_t> reference;                 // those that the flow names; empty = none
  std::vector<std::optional<std::uint32_t>>
      output_tasks;  // per output: it is the whole result of this task
};

class Checker {
 public:
  Checker(const FlowDraft& flow, const FlowFileOptions& options, Complaints& complaints);
  FlowFacts check();

 private:
  // What a piece of text is used for decides what its expressions may give.
  enum class Use : std::uint8_t { text, value, condition };

  void parameters();
  void element_names();
  void parameter_value(const ParameterDraft& parameter, const yaml::Node& node,
                       std::string_view what);
  void task(std::uint32_t at);
  void combinations(const TaskDraft& task);
  void needs(std::uint32_t at);
  void variables_of_needs(const TaskDraft& task);
  void map(std::uint32_t at);
  void reduce(std::uint32_t at);
  void command(std::uint32_t at);
  void target(std::uint32_t at);
  void output_paths(const TaskDraft& task);
  void input_file(const TaskDraft& task, const Text& file);
  void ignored_inputs(std::uint32_t at);
  void hashed_inputs(const TaskDraft& task, std::vector<std::string> names);
  void compared_inputs(const TaskDraft& task, std::vector<std::string> names);
  void flow_outputs();
  void cycles();
  void last_tasks();
  void reference();
  void hooks(const std::vector<HookDraft>& hooks, std::string_view whose);
  void report_cycle(const std::vector<std::uint32_t>& way);

  // flow_file_nested.cpp
  void nested(std::uint32_t at);
  [[nodiscard]] std::optional<std::uint32_t> flow_beside(const Text& file);
  [[nodiscard]] std::shared_ptr<const FlowSpec> read_flow(const Text& file,
                                                          const std::string& name);
  void parameters_of(std::uint32_t at, const FlowSpec* flow);
  void check_parameters(const TaskDraft& task, const FlowSpec& flow, std::vector<Argument>& given);

  // flow_file_call.cpp
  void call(std::uint32_t at);
  /// @param where  "task 'align'", for messages
  [[nodiscard]] const Signature* find_function(const Text& call, std::string_view where);
  void arguments(std::uint32_t at, const Signature* signature);
  Source argument(std::uint32_t at, const yaml::Node& node, bool with_map_variable = true);
  void argument_type(const TaskDraft& task, const yaml::Node& node, Source& source,
                     std::string_view name, std::string_view type);

  /// An argument, a script or a variable.
  void program_text(const Text& given, std::optional<std::uint32_t> at);
  /// Index of the task called so; complains otherwise.
  std::optional<std::uint32_t> find_task(const Text& name, const TaskDraft& task,
                                         std::string_view key);
  /// Type of the text's value; nothing when it is wrong. `at` none: an output of the flow.
  std::optional<expression::Type> text(const Text& text, std::optional<std::uint32_t> at, Use use);
  std::optional<TemplateText> parse(const Text& text);
  std::optional<expression::Type> tree(const expression::Tree& tree, const yaml::Node& node,
                                       std::size_t offset, std::optional<std::uint32_t> at, Use use,
                                       bool with_map_variable = true);
  /// What one expression stands for; its names are recorded as read.
  Source source_of(const expression::Tree& tree, expression::Type type, std::uint32_t at,
                   SourceSpan span);
  void record(const expression::Tree& tree, const yaml::Node& node, std::size_t offset,
              std::uint32_t at);
  void add_edge(std::uint32_t from, std::uint32_t to, SourceSpan span);
  /// Appends to one of the lists of the task being checked unless it is there; `list` tells the
  /// lists apart.
  void add_once(std::vector<std::uint32_t>& list, std::uint32_t element);
  [[nodiscard]] expression::Declarations declarations(std::optional<std::uint32_t> at,
                                                      bool with_map_variable) const;
  [[nodiscard]] std::string map_variable(std::uint32_t at) const;
  [[nodiscard]] expression::Type type_of_task(std::uint32_t at) const;
  void problem(const expression::Problem& problem, const yaml::Node& node, std::size_t offset);

  const FlowDraft& flow_;
  const FlowFileOptions& options_;
  Complaints& complaints_;
  std::unordered_map<std::string_view, std::uint32_t> task_index_;
  std::unordered_map<std::string_view, std::uint32_t> parameter_index_;
  std::vector<std::string> task_names_;
  std::vector<std::string> parameter_names_;
  std::vector<expression::Type> types_;  // of the tasks' results, of mapped ones the list
  FlowFacts facts_;
  std::map<std::string, std::optional<std::uint32_t>> flows_beside_;  // by name; none: unusable
  // What the task being checked has been found to need: (list or null for edges, task).
  std::set<std::pair<const void*, std::uint32_t>> seen_;
  bool only_parameters_ = false;  // the text being checked can read nothing else
};

/// Type of a parameter in expressions.
[[nodiscard]] expression::Type parameter_type(std::string_view type);
/// The parameter's constant from the file, ints made floats where floats are wanted; nothing when
/// the type is wrong.
[[nodiscard]] std::optional<Value> parameter_constant(std::string_view type,
                                                      const yaml::Node& node);
/// "./prepare.sh" as the program of a command is a file beside the flow file: "prepare.sh"; nothing
/// for others.
[[nodiscard]] std::optional<std::string> local_program(const TaskDraft& task);

}  // namespace reprise::flow_file
