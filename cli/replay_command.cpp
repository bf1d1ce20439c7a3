// `reprise replay`: a run as it happened, or done again from what it was given and compared.
#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <optional>

#include <fmt/format.h>

#include "actors/run_options.hpp"
#include "cache/sqlite_store.hpp"
#include "cli/commands.hpp"
#include "cli/data_access.hpp"
#include "cli/documents.hpp"
#include "cli/execution.hpp"
#include "cli/progress_view.hpp"
#include "cli/run_selector.hpp"
#include "cli/signals.hpp"
#include "cli/text.hpp"
#include "journal/sqlite_journal.hpp"
#include "scheduler/flow_graph.hpp"

namespace reprise::cli {
namespace {

/// A data folder that is gone afterwards: a replay publishes nothing.
class PrivateFolder {
 public:
  static Result<std::unique_ptr<PrivateFolder>> make() {
    std::string pattern = (std::filesystem::temp_directory_path() / "reprise-XXXXXX").string();
    if (mkdtemp(pattern.data()) == nullptr)
      return tl::unexpected(system_error(fmt::format("make folder \"{}\"", pattern), errno));
    return std::unique_ptr<PrivateFolder>(new PrivateFolder(pattern));
  }
  ~PrivateFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  PrivateFolder(const PrivateFolder&) = delete;
  PrivateFolder& operator=(const PrivateFolder&) = delete;
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

 private:
  explicit PrivateFolder(std::filesystem::path path) : path_(std::move(path)) {}
  std::filesystem::path path_;
};

struct Divergence {
  std::string task;
  std::string component;  // state, result, or the first part of the key that differs
  std::string before, now;
  std::vector<cache::Difference> parts;
};

/// Tasks in an order in which none comes before what it takes.
std::vector<TaskId> in_order(const journal::RunView& view) {
  const FlowSpec& flow = view.flow();
  const scheduler::FlowGraph graph(flow);
  std::vector<std::uint32_t> waiting(flow.nodes.size());
  std::vector<std::uint32_t> order;
  for (std::uint32_t n = 0; n < flow.nodes.size(); ++n)
    if ((waiting[n] = graph.indegree(NodeId{n})) == 0) order.push_back(n);
  std::vector<TaskId> tasks;
  for (std::size_t i = 0; i < order.size(); ++i) {
    const NodeId node{order[i]};
    if (const auto* elements = view.elements_of(node))
      for (std::uint32_t e = 0; e < elements->width; ++e)
        tasks.push_back(TaskId{elements->first.value + e});
    else
      tasks.push_back(TaskId{node.value});
    for (const scheduler::Edge& edge : graph.downstream(node))
      if (--waiting[edge.to.value] == 0) order.push_back(edge.to.value);
  }
  return tasks;
}

std::optional<Key> key_of(const journal::RunView& view, TaskId task) {
  const journal::ChangeDetail* detail = view.detail(task);
  return detail ? detail->key : std::nullopt;
}

std::optional<Material> material_of(cache::Store* store, const std::optional<Key>& key) {
  if (!store || !key) return std::nullopt;
  const auto versions = store->versions(key->text());
  if (!versions) return std::nullopt;
  for (const cache::Record& record : *versions)
    if (const auto material = Material::decode(record.material)) return *material;
  return std::nullopt;
}

bool same_end(TaskState a, TaskState b) {
  const auto plain = [](TaskState s) { return s == TaskState::cached ? TaskState::success : s; };
  return plain(a) == plain(b);
}

std::string_view end_of(const journal::RunView& view, TaskId task) {
  return name(shown_state(view.state(task), view.cache(task)).state);
}

std::string digest_text(const Payload& value) {
  return value.is_none() ? "none" : value.digest.text();
}

std::optional<Divergence> compare(const journal::RunView& was, TaskId a, cache::Store* old_store,
                                  const journal::RunView& is, TaskId b, cache::Store* new_store) {
  Divergence found{was.task_name(a), {}, {}, {}, {}};
  const auto old_key = key_of(was, a);
  const auto new_key = key_of(is, b);
  if (old_key && new_key && *old_key != *new_key) {
    found.component = "key";
    found.before = old_key->text();
    found.now = new_key->text();
    const auto before = material_of(old_store, old_key);
    const auto now = material_of(new_store, new_key);
    if (before && now) found.parts = cache::differences(*before, *now);
    if (!found.parts.empty()) {
      found.component = found.parts.front().reason;
      found.before = found.parts.front().before;
      found.now = found.parts.front().now;
    }
    return found;
  }
  if (!same_end(was.state(a), is.state(b))) {
    found.component = "state";
    found.before = end_of(was, a);
    found.now = end_of(is, b);
    return found;
  }
  // Why something failed may be told in other words every time.
  if (!is_success(was.state(a)) || was.result(a) == is.result(b)) return std::nullopt;
  found.component = "result";
  found.before = digest_text(was.result(a));
  found.now = digest_text(is.result(b));
  return found;
}

Json document(const journal::RunRow& row, std::uint64_t compared,
              const std::optional<Divergence>& divergence) {
  Json found = nullptr;
  if (divergence)
    found = {{"task", divergence->task},
             {"component", divergence->component},
             {"before", divergence->before},
             {"now", divergence->now},
             {"differs", differences_json(divergence->parts)}};
  return {{"schema", "reprise.replay/1"},
          {"run", row.id.text()},
          {"flow", row.flow_name},
          {"compared", compared},
          {"divergence", std::move(found)}};
}

int verify(const journal::RunRow& row, const journal::RunView& was, const ReplayOptions& options,
           Console& console) {
  const auto folder = PrivateFolder::make();
  if (!folder) return console.fail(folder.error());
  auto how =
      engine_options(console.options(), options.slots, Durability::group, std::chrono::seconds{10});
  if (!how) return console.fail(how.error(), exit_invalid);
  how->data = (*folder)->path() / "data";
  const auto began = actors::decode_options(row.options);
  if (!began) return console.fail(began.error());
  RunId replayed;
  {
    std::atomic<bool> stop = false;
    const SignalWatcher watcher([&](int) { stop = true; });
    auto engine = Engine::open(*how);
    if (!engine) return console.fail(engine.error());
    RunOptions run;
    run.parameters = row.parameters;
    run.context = began->context;
    run.files = began->files;
    run.always_new = true;
    const auto started = (*engine)->submit(was.shared_flow(), std::move(run));
    if (!started) return console.fail(started.error());
    replayed = started->id;
    while (!(*engine)->wait(replayed, std::chrono::milliseconds{50})) {
      if (!stop) continue;
      (*engine)->abandon();
      return exit_interrupted;
    }
  }
  auto journal = journal::SqliteJournal::open({.path = how->data / "journal.db"});
  if (!journal) return console.fail(journal.error());
  journal::RunQuery query;
  query.id_prefix = replayed.text();
  auto rows = (*journal)->runs(query);
  if (!rows) return console.fail(rows.error());
  if (rows->empty()) return console.fail({ErrorCode::internal, "the replayed run left no trace"});
  const auto is = journal::load_run(**journal, rows->front());
  if (!is) return console.fail(is.error());
  const auto old_store = open_cache(console.options());
  const auto new_store = cache::SqliteStore::open({.path = how->data / "cache.db"});

  std::optional<Divergence> divergence;
  std::uint64_t compared = 0;
  for (const TaskId task : in_order(was)) {
    if (!was.counts_as_task(task) || !is_finished(was.state(task))) continue;
    const std::string name = was.task_name(task);
    const auto other = is->find_task(name);
    if (!other) {
      divergence = Divergence{name, "task", "there", "not there", {}};
      break;
    }
    ++compared;
    divergence = compare(was, task, old_store ? old_store->get() : nullptr, *is, *other,
                         new_store ? new_store->get() : nullptr);
    if (divergence) break;
  }
  const int code = divergence ? exit_differences : exit_ok;
  if (console.is_json()) return console.document(document(row, compared, divergence), code);
  if (!divergence) {
    console.out(fmt::format("run {}: {} done again, all as before", row.id.short_text(),
                            counted(compared, "task")));
    return code;
  }
  console.out(
      fmt::format("run {} diverges at task {}: {} is {}, was {}", row.id.short_text(),
                  escape_for_terminal(divergence->task), escape_for_terminal(divergence->component),
                  escape_for_terminal(divergence->now), escape_for_terminal(divergence->before)));
  for (const cache::Difference& part : divergence->parts)
    console.out(fmt::format("  differs  {}  {} → {}", pad(escape_for_terminal(part.reason), 25),
                            escape_for_terminal(part.before), escape_for_terminal(part.now)));
  return code;
}

/// What happened, with the time since the run began.
int show(const journal::RunRow& row, Reading& reading, Console& console) {
  if (console.is_json()) {
    EventsOptions events;
    events.run = row.id.text();
    return events_command(events, console);
  }
  const auto entries = reading.journal->read(row.id, 0);
  if (!entries) return console.fail(entries.error());
  auto flow = flow_of(*reading.journal, row);
  if (!flow) return console.fail(flow.error());
  journal::RunView view(*flow);
  const Style style = console.out_style();
  for (const journal::Journal::Entry& entry : *entries) {
    if (auto done = view.apply(entry.batch); !done) return console.fail(done.error());
    for (const journal::TaskChange& change : entry.batch.tasks) {
      const auto [state, stored] = shown_state(change.state, change.cache);
      const std::string word = fmt::format("{} {}", glyph(state), name(state));
      console.out(fmt::format(
          "{:>10}  {}  {}{}", describe(std::max(change.at - row.submitted, Duration{0})),
          style(ink(state), pad(word, 16)), escape_for_terminal(view.task_name(change.task)),
          stored ? "  stored" : ""));
    }
    if (entry.batch.change)
      console.out(fmt::format(
          "{:>10}  run {}", describe(std::max(entry.batch.change->at - row.submitted, Duration{0})),
          name(entry.batch.change->state)));
  }
  return exit_ok;
}

}  // namespace

int replay_command(const ReplayOptions& options, Console& console) {
  auto reading = open_for_reading(console.options());
  if (!reading) return console.fail(reading.error());
  const auto row = find_run(options.run, *reading->journal);
  if (!row) return console.fail(row.error());
  if (!options.verify) return show(*row, *reading, console);
  if (const RunState state = reading->folder.effective_state(*row); !is_finished(state))
    return console.fail(
        {ErrorCode::conflict,
         fmt::format("run {} is {}; what it did can be verified once it is finished",
                     row->id.short_text(), name(state))});
  const auto view = journal::load_run(*reading->journal, *row);
  if (!view) return console.fail(view.error());
  return verify(*row, *view, options, console);
}

}  // namespace reprise::cli
