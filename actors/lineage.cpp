#include "actors/lineage.hpp"

#include <deque>
#include <map>
#include <memory>

#include <fmt/format.h>

#include "actors/downstream.hpp"
#include "actors/explain_run.hpp"
#include "flow/parameter_uses.hpp"
#include "scheduler/flow_graph.hpp"

namespace reprise {

namespace {

using journal::RunRow;
using journal::RunView;

struct Loaded {
  RunRow row;
  RunView view;
};

class Tracer {
 public:
  Tracer(journal::Journal& journal, cache::Store* store) : journal_(journal), store_(store) {}

  Result<Provenance> trace(const RunId& run, const std::string& task, std::optional<Key> key) {
    const Loaded* loaded = load(run);
    if (!loaded && !key)
      return fail(ErrorCode::not_found,
                  fmt::format("run {} is not in the journal any more", run.short_text()));
    if (loaded && !loaded->view.find_task(task))
      return fail(ErrorCode::not_found, fmt::format("the run has no task \"{}\"", task));
    (void)maker(run, task, key);
    while (!open_.empty()) {
      const Open next = open_.front();
      open_.pop_front();
      describe(next);
    }
    return std::move(result_);
  }

 private:
  struct Open {
    std::uint32_t position;
    RunId run;
    std::string task;
    std::optional<Key> key;
  };

  const Loaded* load(const RunId& run) {
    const auto known = runs_.find(run);
    if (known != runs_.end()) return known->second.get();
    auto& slot = runs_[run];
    journal::RunQuery query;
    query.id_prefix = run.text();
    auto rows = journal_.runs(query);
    if (!rows || rows->empty()) return nullptr;
    auto view = journal::load_run(journal_, rows->front());
    if (!view) return nullptr;
    slot = std::make_unique<Loaded>(Loaded{std::move(rows->front()), *std::move(view)});
    return slot.get();
  }

  // The run and task whose body really ran, over as many hits as lie between.
  void follow_hits(RunId& run, std::string& task, std::optional<Key>& key) {
    for (int hops = 0; hops < 64; ++hops) {
      const Loaded* loaded = load(run);
      if (!loaded) return;
      const auto id = loaded->view.find_task(task);
      if (!id) return;
      const journal::ChangeDetail* detail = loaded->view.detail(*id);
      if (detail && detail->key) key = detail->key;
      if (loaded->view.cache(*id) == journal::CacheOutcome::hit && detail && detail->origin) {
        run = *detail->origin;
        if (const auto name = task_with(run, key)) task = *name;
        continue;
      }
      // A run that began with the results of another one says so.
      constexpr std::string_view mark = "taken from run ";
      const std::string_view message = loaded->view.message(*id);
      if (!message.starts_with(mark) || loaded->view.executed(*id)) return;
      const auto origin = RunId::parse(message.substr(mark.size()));
      if (!origin) return;
      run = *origin;
    }
  }

  std::optional<std::string> task_with(const RunId& run, const std::optional<Key>& key) {
    if (!key) return std::nullopt;
    if (const Loaded* loaded = load(run)) {
      for (std::uint32_t t = 0; t < loaded->view.size(); ++t) {
        const journal::ChangeDetail* detail = loaded->view.detail(TaskId{t});
        if (detail && detail->key == key) return loaded->view.task_name(TaskId{t});
      }
    }
    if (const auto record = record_of(*key, run)) return record->task;
    return std::nullopt;
  }

  std::optional<cache::Record> record_of(const Key& key, const RunId& run) {
    if (!store_) return std::nullopt;
    const auto versions = store_->versions(key.text());
    if (!versions) return std::nullopt;
    for (const cache::Record& record : *versions)
      if (record.run == run) return record;
    return std::nullopt;
  }

  // The files that entered the key, with the digests that stand for their contents there.
  std::vector<Ingredient> files_of(const std::optional<Key>& key, const RunId& run) {
    std::vector<Ingredient> files;
    const auto record = key ? record_of(*key, run) : std::nullopt;
    const auto material = record ? Material::decode(record->material)
                                 : Result<Material>(fail(ErrorCode::not_found, ""));
    if (!material) return files;
    constexpr std::string_view mark = "file:";
    for (const auto& [name, digest] : material->arguments)
      if (name.starts_with(mark))
        files.push_back({Ingredient::Kind::file, name.substr(mark.size()), digest.text(), {}});
    return files;
  }

  std::optional<std::uint32_t> maker(RunId run, std::string task, std::optional<Key> key) {
    follow_hits(run, task, key);
    const auto known = positions_.find({run, task});
    if (known != positions_.end()) return known->second;
    if (result_.makers.size() >= makers_max) {
      result_.is_complete = false;
      return std::nullopt;
    }
    const auto position = static_cast<std::uint32_t>(result_.makers.size());
    positions_.emplace(std::pair(run, task), position);
    Maker& made = result_.makers.emplace_back();
    made.run = run;
    made.task = task;
    made.key = key;
    open_.push_back({position, run, task, key});
    return position;
  }

  void describe(const Open& open) {
    const Loaded* loaded = load(open.run);
    const auto task = loaded ? loaded->view.find_task(open.task) : std::nullopt;
    if (!task) return describe_forgotten(open);
    const RunView& view = loaded->view;
    const FlowSpec& flow = view.flow();
    const NodeId node = view.node_of(*task);
    const TaskKind& kind = flow.kind_of(node);
    Maker made = result_.makers[open.position];
    made.attempt = view.run_count(*task);
    made.at = view.changed(*task);
    made.code = code_of(kind);
    made.version = kind.version;
    made.span = flow.nodes[node.value].span;
    made.source_file = loaded->row.source_file;
    if (const journal::ChangeDetail* detail = view.detail(*task); detail && detail->key)
      made.key = detail->key;
    made.digest = view.result(*task).digest;
    made.size = view.result(*task).size;
    std::set<std::string> parameters;
    for (const ParameterUse& use : parameters_read(flow, node)) {
      const std::string& name = flow.parameters[use.parameter].name;
      const auto value = loaded->row.parameters.find(name);
      made.ingredients.push_back(
          {Ingredient::Kind::parameter,
           name,
           value == loaded->row.parameters.end() ? std::string() : small_value(value->second),
           {}});
    }
    for (const Input& input : flow.inputs_of(node))
      if (input.source == Input::Source::constant)
        made.ingredients.push_back({Ingredient::Kind::constant,
                                    flow.names[input.name],
                                    small_value(flow.constants[input.index]),
                                    {}});
    if (const auto* command = std::get_if<CommandBody>(&kind.body)) {
      const auto known = files_of(made.key, open.run);
      made.ingredients.insert(made.ingredients.end(), known.begin(), known.end());
      if (known.empty())
        for (const Template& file : command->input_files)
          made.ingredients.push_back({Ingredient::Kind::file, file.text, {}, {}});
    }
    add_upstreams(*loaded, *task, made);
    result_.makers[open.position] = std::move(made);
  }

  void add_upstreams(const Loaded& loaded, TaskId task, Maker& made) {
    const RunView& view = loaded.view;
    const FlowSpec& flow = view.flow();
    const NodeId node = view.node_of(task);
    const std::string name = view.task_name(task);
    const std::string label = name.substr(flow.nodes[node.value].name.size());
    std::set<std::uint32_t> seen;
    scheduler::FlowGraph::for_each_upstream(flow, node, [&](NodeId from, const Input& input) {
      (void)input;
      if (!seen.insert(from.value).second) return;
      std::vector<TaskId> tasks;
      const auto own =
          label.empty() ? std::nullopt : view.find_task(flow.nodes[from.value].name + label);
      if (const RunView::Elements* elements = view.elements_of(from); elements && !own)
        for (std::uint32_t i = 0; i < elements->width; ++i)
          tasks.push_back(TaskId{elements->first.value + i});
      else
        tasks.push_back(own.value_or(TaskId{from.value}));
      for (const TaskId each : tasks) {
        const Payload& value = view.result(each);
        Ingredient ingredient{
            Ingredient::Kind::result, view.task_name(each), small_value(value), {}};
        const journal::ChangeDetail* detail = view.detail(each);
        ingredient.made_by =
            maker(loaded.row.id, view.task_name(each), detail ? detail->key : std::nullopt);
        made.ingredients.push_back(std::move(ingredient));
      }
    });
  }

  // What the cache knows when the journal has forgotten the run: digests, which may belong to
  // results that are known.
  void describe_forgotten(const Open& open) {
    Maker& made = result_.makers[open.position];
    made.is_forgotten = true;
    if (!open.key) return;
    const auto record = record_of(*open.key, open.run);
    if (!record) return;
    made.at = record->committed;
    made.digest = record->value.digest;
    made.size = record->value.size;
    const auto material = Material::decode(record->material);
    if (!material) return;
    made.version = material->version;
    made.code = material->name + "@" + material->version;
    std::vector<Ingredient> ingredients;
    for (const auto& [name, digest] : material->arguments) {
      Ingredient ingredient{Ingredient::Kind::unknown, name, digest.text(), {}};
      const auto sources = store_->versions_of_value(digest.text(), 1);
      if (sources && !sources->empty()) {
        ingredient.kind = Ingredient::Kind::result;
        ingredient.made_by =
            maker(sources->front().run, sources->front().task, sources->front().key);
      }
      ingredients.push_back(std::move(ingredient));
    }
    result_.makers[open.position].ingredients = std::move(ingredients);
  }

  static std::string code_of(const TaskKind& kind) {
    if (const auto* function = std::get_if<FunctionBody>(&kind.body))
      return "call " + function->function;
    const auto* command = std::get_if<CommandBody>(&kind.body);
    if (!command) return "pass";
    if (!command->script.text.empty()) return "shell: " + command->script.text;
    std::string text = "run:";
    for (const Template& argument : command->argv) text += " " + argument.text;
    return text;
  }

  journal::Journal& journal_;
  cache::Store* store_;
  std::map<RunId, std::unique_ptr<Loaded>> runs_;
  std::map<std::pair<RunId, std::string>, std::uint32_t> positions_;
  std::deque<Open> open_;
  Provenance result_;
};

}  // namespace

Result<Provenance> provenance_of(journal::Journal& journal, cache::Store* store, const RunId& run,
                                 const std::string& task, std::optional<Key> key) {
  return Tracer(journal, store).trace(run, task, key);
}

Result<std::set<Key>> made_of(journal::Journal& journal, const std::set<Key>& seeds) {
  journal::RunQuery query;
  query.limit = UINT32_MAX;
  auto rows = journal.runs(query);
  if (!rows) return tl::unexpected(rows.error());
  std::set<Key> all = seeds;
  // Oldest first: what a run takes was mostly made before it.
  for (bool grew = true; grew;) {
    grew = false;
    for (auto row = rows->rbegin(); row != rows->rend(); ++row) {
      const auto view = journal::load_run(journal, *row);
      if (!view) continue;
      Downstream downstream(*view);
      const auto key_of = [&](TaskId task) -> const Key* {
        const journal::ChangeDetail* detail = view->detail(task);
        return detail && detail->key ? &*detail->key : nullptr;
      };
      for (std::uint32_t t = 0; t < view->size(); ++t)
        if (const Key* key = key_of(TaskId{t}); key && all.contains(*key))
          downstream.add(TaskId{t});
      downstream.close();
      for (std::uint32_t t = 0; t < view->size(); ++t) {
        if (view->node_of(TaskId{t}).is_none() || !downstream.has(TaskId{t})) continue;
        if (const Key* key = key_of(TaskId{t})) grew |= all.insert(*key).second;
      }
    }
  }
  for (const Key& seed : seeds) all.erase(seed);
  return all;
}

}  // namespace reprise
