#include "flow/wfformat.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <unordered_map>
#include <utility>

#include <fmt/format.h>

#include "core/text.hpp"

namespace reprise {
namespace {

using Kind = JsonNode::Kind;
using Index = JsonTree::Index;

constexpr std::array supported_versions = {std::string_view("1.5"), std::string_view("1.6")};
constexpr std::array older_versions = {std::string_view("1.0"), std::string_view("1.1"),
                                       std::string_view("1.2"), std::string_view("1.3"),
                                       std::string_view("1.4")};

constexpr std::size_t suggestions_max =
    20;  // looking for a similar name among all tasks costs time

class WfReader {
 public:
  WfReader(const JsonTree& tree, std::string_view text) : tree_(tree), mistakes_(text) {}

  Checked<Trace> read() && {
    read_document();
    if (mistakes_.empty()) return std::move(trace_);
    return tl::unexpected(std::move(mistakes_).finish());
  }

 private:
  // Describes the owner of a value for a message; called only when there is one to write.
  using Owner = std::function<std::string()>;

  struct Task {
    Index id = JsonTree::none;
    Index parents = JsonTree::none;
    Index children = JsonTree::none;
    Index input_files = JsonTree::none;
    Index output_files = JsonTree::none;
  };

  // An edge as one of its two ends tells it.
  struct Edge {
    std::uint32_t parent = 0;
    std::uint32_t child = 0;
    Index told_at = 0;
    [[nodiscard]] std::pair<std::uint32_t, std::uint32_t> ends() const { return {child, parent}; }
  };

  struct File {
    std::uint64_t size_bytes = 0;
    std::uint32_t producer = JsonTree::none;
  };

  void mistake(std::string_view code, Index at, std::string message,
               MistakeList::Hints hints = {}) {
    mistakes_.add(code, tree_[at].position, std::move(message), std::move(hints));
  }

  void read_document() {
    if (tree_[0].kind != Kind::object) {
      mistake("RP2101", 0,
              fmt::format("a WfFormat trace is an object, this is {}", tree_.kind_name(0)));
      return;
    }
    if (!check_version()) return;  // other versions look different: everything below would be noise
    const Owner the_trace = [] { return std::string("the trace"); };
    if (const Index name = required_text(0, "name", the_trace); name != JsonTree::none)
      trace_.name = text_of(name);

    const Index workflow = required(0, "workflow", Kind::object, the_trace);
    if (workflow == JsonTree::none) return;
    const Owner in_workflow = [] { return std::string("'workflow'"); };
    const Index specification = required(workflow, "specification", Kind::object, in_workflow);
    if (specification != JsonTree::none)
      read_specification(specification);
    else
      ids_complete_ = false;
    const Index execution = optional(workflow, "execution", Kind::object, in_workflow);
    if (execution != JsonTree::none) read_execution(execution);
  }

  bool check_version() {
    const Index version = tree_.find(0, "schemaVersion");
    const std::string accepted =
        fmt::format("'{}' and '{}'", supported_versions[0], supported_versions[1]);
    if (version == JsonTree::none) {
      mistake("RP2102", 0,
              fmt::format("the trace has no 'schemaVersion'; WfFormat {} are read", accepted));
      return false;
    }
    const std::optional<std::string_view> text = tree_.text(version);
    if (!text) {
      mistake("RP2102", version,
              fmt::format("'schemaVersion' must be a text such as '1.5', not {}",
                          tree_.kind_name(version)));
      return false;
    }
    if (std::ranges::find(supported_versions, *text) != supported_versions.end()) return true;
    if (std::ranges::find(older_versions, *text) != older_versions.end()) {
      mistake(
          "RP2103", version,
          fmt::format("schemaVersion {} is too old; WfFormat {} are read", quoted(*text), accepted),
          {.suggestion = {},
           .help = {"convert it with tools/wfcommons-migrate-instance.py of "
                    "https://github.com/wfcommons/WfFormat"}});
    } else {
      mistake(
          "RP2104", version,
          fmt::format("unknown schemaVersion {}; WfFormat {} are read", quoted(*text), accepted));
    }
    return false;
  }

  // ---- Members of objects ----

  Index optional(Index object, std::string_view key, Kind kind, const Owner& owner) {
    const Index value = tree_.find(object, key);
    if (value == JsonTree::none || tree_[value].kind == kind) return value;
    mistake("RP2105", value,
            fmt::format("'{}' of {} must be {}, not {}", key, owner(), kind_text(kind),
                        tree_.kind_name(value)));
    return JsonTree::none;
  }

  Index required(Index object, std::string_view key, Kind kind, const Owner& owner) {
    if (tree_.find(object, key) == JsonTree::none) {
      mistake("RP2106", object, fmt::format("{} has no '{}'", owner(), key));
      return JsonTree::none;
    }
    return optional(object, key, kind, owner);
  }

  // Names and ids: never empty.
  Index required_text(Index object, std::string_view key, const Owner& owner) {
    const Index text = required(object, key, Kind::text, owner);
    if (text == JsonTree::none || !text_of(text).empty()) return text;
    mistake("RP2106", text, fmt::format("the '{}' of {} is empty", key, owner()));
    return JsonTree::none;
  }

  static std::string_view kind_text(Kind kind) {
    switch (kind) {
      case Kind::text:
        return "a text";
      case Kind::array:
        return "a list";
      case Kind::object:
        return "an object";
      case Kind::number:
        return "a number";
      case Kind::null:
      case Kind::boolean:
      case Kind::key:
        break;
    }
    return "something else";
  }

  std::string_view text_of(Index text) const { return *tree_.text(text); }

  double number_of(Index number) const { return tree_[number].number; }

  std::string id_of(std::uint32_t task) const { return quoted(trace_.tasks[task].id); }

  // Calls `visit(element, text)` for the texts of a list; other elements are mistakes.
  template <class Visit>
  void for_each_text(Index list, std::string_view key, const Owner& owner, Visit&& visit) {
    if (list == JsonTree::none) return;
    tree_.for_each(list, [&](Index element) {
      if (const auto text = tree_.text(element)) {
        visit(element, *text);
      } else {
        mistake("RP2105", element,
                fmt::format("'{}' of {} must hold texts, not {}", key, owner(),
                            tree_.kind_name(element)));
      }
    });
  }

  // ---- Specification ----

  void read_specification(Index specification) {
    const Owner owner = [] { return std::string("'workflow.specification'"); };
    const Index tasks = required(specification, "tasks", Kind::array, owner);
    if (tasks == JsonTree::none) {
      ids_complete_ = false;
      return;
    }
    std::uint32_t number = 0;
    tree_.for_each(tasks, [&](Index task) { read_task(task, ++number); });
    if (number == 0) mistake("RP2107", tasks, "the trace has no tasks");
    read_files(optional(specification, "files", Kind::array, owner));
    read_edges();
  }

  void read_task(Index object, std::uint32_t number) {
    Owner owner = [number] { return fmt::format("task number {}", number); };
    if (tree_[object].kind != Kind::object) {
      mistake("RP2105", object,
              fmt::format("{} must be an object, not {}", owner(), tree_.kind_name(object)));
      ids_complete_ = tasks_complete_ = false;
      return;
    }
    Task task;
    task.id = required_text(object, "id", owner);
    if (task.id != JsonTree::none) {
      owner = [id = text_of(task.id)] { return fmt::format("task {}", quoted(id)); };
    }
    (void)required_text(object, "name", owner);
    task.parents = required(object, "parents", Kind::array, owner);
    task.children = required(object, "children", Kind::array, owner);
    task.input_files = optional(object, "inputFiles", Kind::array, owner);
    task.output_files = optional(object, "outputFiles", Kind::array, owner);
    if (task.parents == JsonTree::none || task.children == JsonTree::none) tasks_complete_ = false;
    if (task.id == JsonTree::none) {
      ids_complete_ = tasks_complete_ = false;
      return;
    }
    const std::string_view id = text_of(task.id);
    const auto position = static_cast<std::uint32_t>(tasks_.size());
    if (!task_by_id_.emplace(id, position).second) {
      mistake("RP2108", task.id, fmt::format("two tasks have the id {}", quoted(id)));
      tasks_complete_ = false;
      return;
    }
    tasks_.push_back(task);
    trace_.tasks.push_back({.id = std::string(id),
                            .parents = {},
                            .runtime_s = {},
                            .position = tree_[task.id].position});
  }

  // ---- Edges ----

  void read_edges() {
    std::vector<Edge> by_child;   // as the child tells it
    std::vector<Edge> by_parent;  // … the parent
    for (std::uint32_t i = 0; i < tasks_.size(); ++i) {
      read_neighbours(i, "parents", "parent", tasks_[i].parents,
                      [&](std::uint32_t other, Index at) {
                        by_child.push_back({other, i, at});
                      });
      read_neighbours(i, "children", "child", tasks_[i].children,
                      [&](std::uint32_t other, Index at) {
                        by_parent.push_back({i, other, at});
                      });
    }
    if (!tasks_complete_) return;  // what is missing would be told again, as a disagreement
    std::ranges::stable_sort(by_child, {}, &Edge::ends);
    std::ranges::stable_sort(by_parent, {}, &Edge::ends);
    auto child_end = by_child.begin();
    auto parent_end = by_parent.begin();
    while (child_end != by_child.end() || parent_end != by_parent.end()) {
      const bool told_by_child =
          child_end != by_child.end() &&
          (parent_end == by_parent.end() || child_end->ends() <= parent_end->ends());
      const bool told_by_parent =
          parent_end != by_parent.end() &&
          (child_end == by_child.end() || parent_end->ends() <= child_end->ends());
      const Edge edge = told_by_child ? *child_end : *parent_end;
      if (!told_by_parent) {
        mistake("RP2110", edge.told_at,
                fmt::format("task {} names {} as a parent, but {} does not name {} as a child",
                            id_of(edge.child), id_of(edge.parent), id_of(edge.parent),
                            id_of(edge.child)));
      } else if (!told_by_child) {
        mistake("RP2110", edge.told_at,
                fmt::format("task {} names {} as a child, but {} does not name {} as a parent",
                            id_of(edge.parent), id_of(edge.child), id_of(edge.child),
                            id_of(edge.parent)));
      }
      trace_.tasks[edge.child].parents.push_back(edge.parent);
      const auto past = [&](auto at, auto end) {  // the same edge told twice counts once
        while (at != end && at->ends() == edge.ends()) ++at;
        return at;
      };
      child_end = past(child_end, by_child.end());
      parent_end = past(parent_end, by_parent.end());
    }
  }

  template <class Add>
  void read_neighbours(std::uint32_t task, std::string_view key, std::string_view role, Index list,
                       Add&& add) {
    const Owner owner = [this, task] { return fmt::format("task {}", id_of(task)); };
    for_each_text(list, key, owner, [&](Index element, std::string_view id) {
      if (const auto found = task_by_id_.find(id); found != task_by_id_.end()) {
        add(found->second, element);
      } else if (ids_complete_) {
        mistake("RP2109", element,
                fmt::format("task {} names {} as a {}, but there is no such task", id_of(task),
                            quoted(id), role),
                {.suggestion = similar_task(id), .help = {}});
      }
    });
  }

  std::string similar_task(std::string_view id) {
    if (++suggestions_ > suggestions_max || id.size() > 200) return {};
    if (all_ids_.empty()) {
      for (const TraceTask& task : trace_.tasks) all_ids_.push_back(task.id);
    }
    return suggest(id, all_ids_).value_or("");
  }

  // ---- Files ----

  void read_files(Index files) {
    std::unordered_map<std::string_view, File> file_by_id;
    if (files != JsonTree::none) {
      std::uint32_t number = 0;
      tree_.for_each(files, [&](Index file) { read_file(file, ++number, file_by_id); });
    }
    for (std::uint32_t i = 0; i < tasks_.size(); ++i) {
      const Owner owner = [this, i] { return fmt::format("task {}", id_of(i)); };
      const auto find = [&](Index at, std::string_view id, std::string_view verb) -> File* {
        if (const auto found = file_by_id.find(id); found != file_by_id.end())
          return &found->second;
        mistake("RP2111", at,
                fmt::format("task {} {} file {}, which 'files' does not list", id_of(i), verb,
                            quoted(id)));
        return nullptr;
      };
      for_each_text(tasks_[i].input_files, "inputFiles", owner,
                    [&](Index at, std::string_view id) { (void)find(at, id, "reads"); });
      for_each_text(tasks_[i].output_files, "outputFiles", owner,
                    [&](Index at, std::string_view id) {
                      File* file = find(at, id, "writes");
                      if (file == nullptr) return;
                      if (file->producer != JsonTree::none && file->producer != i) {
                        mistake("RP2112", at,
                                fmt::format("file {} is written by two tasks, {} and {}",
                                            quoted(id), id_of(file->producer), id_of(i)));
                      } else {
                        file->producer = i;
                      }
                    });
    }
  }

  void read_file(Index object, std::uint32_t number,
                 std::unordered_map<std::string_view, File>& file_by_id) {
    Owner owner = [number] { return fmt::format("file number {}", number); };
    if (tree_[object].kind != Kind::object) {
      mistake("RP2105", object,
              fmt::format("{} must be an object, not {}", owner(), tree_.kind_name(object)));
      return;
    }
    const Index id = required_text(object, "id", owner);
    if (id == JsonTree::none) return;
    owner = [text = text_of(id)] { return fmt::format("file {}", quoted(text)); };
    File file;
    const Index size = required(object, "sizeInBytes", Kind::number, owner);
    if (size != JsonTree::none) {
      constexpr double size_max =
          9007199254740992.0;  // 2^53 B = 8 PiB; a double holds no more exactly
      const double bytes = number_of(size);
      if (bytes < 0) {
        mistake("RP2113", size, fmt::format("'sizeInBytes' of {} is negative: {}", owner(), bytes));
      } else if (bytes > size_max) {
        mistake("RP2114", size,
                fmt::format("'sizeInBytes' of {} is too large: {}", owner(), bytes));
      } else if (bytes != std::floor(bytes)) {
        mistake("RP2114", size,
                fmt::format("'sizeInBytes' of {} is not a whole number: {}", owner(), bytes));
      } else {
        file.size_bytes = static_cast<std::uint64_t>(bytes);
      }
    }
    if (!file_by_id.emplace(text_of(id), file).second)
      mistake("RP2115", id, fmt::format("{} is listed twice", owner()));
  }

  // ---- Execution ----

  void read_execution(Index execution) {
    const Owner in_execution = [] { return std::string("'workflow.execution'"); };
    if (const Index makespan = required(execution, "makespanInSeconds", Kind::number, in_execution);
        makespan != JsonTree::none) {
      (void)seconds_of(makespan, "makespanInSeconds", in_execution);
    }
    read_machines(optional(execution, "machines", Kind::array, in_execution));
    const Index tasks = required(execution, "tasks", Kind::array, in_execution);
    if (tasks == JsonTree::none) return;
    std::vector<bool> seen(trace_.tasks.size());
    std::uint32_t number = 0;
    tree_.for_each(tasks, [&](Index object) {
      ++number;
      Owner owner = [number] { return fmt::format("executed task number {}", number); };
      if (tree_[object].kind != Kind::object) {
        mistake("RP2105", object,
                fmt::format("{} must be an object, not {}", owner(), tree_.kind_name(object)));
        return;
      }
      const Index id = required(object, "id", Kind::text, owner);
      if (id == JsonTree::none) return;
      owner = [text = text_of(id)] { return fmt::format("executed task {}", quoted(text)); };
      const auto found = task_by_id_.find(text_of(id));
      if (found == task_by_id_.end()) {
        if (ids_complete_) {
          mistake("RP2116", id,
                  fmt::format("task {} was executed, but the specification has no such task",
                              quoted(text_of(id))),
                  {.suggestion = similar_task(text_of(id)), .help = {}});
        }
      } else if (seen[found->second]) {
        mistake("RP2117", id,
                fmt::format("the execution of task {} is recorded twice", quoted(text_of(id))));
      } else {
        seen[found->second] = true;
      }
      check_cores(optional(object, "coreCount", Kind::number, owner), owner);
      const Index runtime = required(object, "runtimeInSeconds", Kind::number, owner);
      if (runtime == JsonTree::none) return;
      const std::optional<double> seconds = seconds_of(runtime, "runtimeInSeconds", owner);
      if (found != task_by_id_.end()) trace_.tasks[found->second].runtime_s = seconds;
    });
    if (number == 0) mistake("RP2107", tasks, "'workflow.execution' lists no tasks");
  }

  void check_cores(Index cores, const Owner& owner) {
    if (cores != JsonTree::none && !(number_of(cores) >= 1))
      mistake("RP2121", cores,
              fmt::format("'coreCount' of {} is less than 1: {}", owner(), number_of(cores)));
  }

  void read_machines(Index machines) {
    if (machines == JsonTree::none) return;
    std::uint32_t number = 0;
    tree_.for_each(machines, [&](Index machine) {
      const Owner owner = [&] { return fmt::format("machine number {}", number); };
      ++number;
      if (tree_[machine].kind == Kind::object)
        (void)required_text(machine, "nodeName", owner);
      else
        mistake("RP2105", machine,
                fmt::format("{} must be an object, not {}", owner(), tree_.kind_name(machine)));
    });
  }

  std::optional<double> seconds_of(Index number, std::string_view key, const Owner& owner) {
    const double seconds = number_of(number);
    if (seconds < 0) {
      mistake("RP2118", number, fmt::format("'{}' of {} is negative: {}", key, owner(), seconds));
    } else if (!(seconds <= runtime_seconds_max)) {
      mistake("RP2119", number, fmt::format("'{}' of {} is too large: {}", key, owner(), seconds));
    } else {
      return seconds;
    }
    return std::nullopt;
  }

  const JsonTree& tree_;
  MistakeList mistakes_;
  Trace trace_;
  std::vector<Task> tasks_;     // as trace_.tasks
  bool tasks_complete_ = true;  // nothing about tasks and their neighbours had to be left out
  bool ids_complete_ = true;    // … no id
  std::unordered_map<std::string_view, std::uint32_t> task_by_id_;
  std::vector<std::string> all_ids_;
  std::size_t suggestions_ = 0;
};

}  // namespace

std::vector<Diagnostic> json_mistake(const JsonError& error, std::string_view text) {
  MistakeList mistakes(text);
  switch (error.kind) {
    case JsonError::Kind::syntax:
      mistakes.add("RP2010", error.position,
                   fmt::format("the file is not well-formed JSON: {}", error.message));
      break;
    case JsonError::Kind::duplicate_key:
      mistakes.add("RP2011", error.position, error.message);
      break;
    case JsonError::Kind::too_deep:
      mistakes.add("RP2012", error.position,
                   fmt::format("the JSON is nested too deeply: {}", error.message));
      break;
    case JsonError::Kind::too_many:
    case JsonError::Kind::too_large:
      mistakes.add("RP2013", error.position,
                   fmt::format("the JSON is too large: {}", error.message));
      break;
  }
  return std::move(mistakes).finish();
}

Checked<Trace> read_wfformat(const ParsedJson& json, std::string_view text) {
  if (!json.ok) return tl::unexpected(json_mistake(json.error, text));
  return WfReader(json.tree, text).read();
}

Checked<Trace> read_wfformat(std::string_view text) {
  return read_wfformat(parse_json(text), text);
}

Checked<FlowSpec> import_wfformat(std::string_view text, const TraceOptions& options) {
  const Checked<Trace> trace = read_wfformat(text);
  if (!trace) return tl::unexpected(trace.error());
  return to_flow(*trace, options, text);
}

}  // namespace reprise
