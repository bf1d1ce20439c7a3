// `reprise cache explain`: why a task was served from the cache, or was not.
#include <fmt/format.h>

#include "actors/explain_run.hpp"
#include "actors/file_hasher.hpp"
#include "cache/file_digests.hpp"
#include "cache/memory_store.hpp"
#include "cli/clock_text.hpp"
#include "cli/commands.hpp"
#include "cli/data_access.hpp"
#include "cli/documents.hpp"
#include "cli/run_selector.hpp"
#include "cli/text.hpp"

namespace reprise::cli {
namespace {

std::string_view word(TaskExplanation::Outcome outcome) {
  switch (outcome) {
    case TaskExplanation::Outcome::hit:
      return "hit";
    case TaskExplanation::Outcome::miss:
      return "miss";
    case TaskExplanation::Outcome::bypass:
      return "bypass";
    case TaskExplanation::Outcome::unknown:
      return "unknown";
  }
  return "unknown";
}

std::string_view word(Cause::Kind kind) {
  switch (kind) {
    case Cause::Kind::parameter:
      return "param";
    case Cause::Kind::upstream:
      return "input";
    case Cause::Kind::text:
      return "text";
  }
  return "text";
}

/// "flow.yaml:5:35", or nothing.
std::string place(const std::string& file, const SourceSpan& span) {
  if (span.line == 0 || file.empty()) return {};
  return fmt::format("{}:{}:{}", escape_for_terminal(file), span.line, span.column);
}

Json place_json(const std::string& file, const SourceSpan& span) {
  if (span.line == 0 || file.empty()) return nullptr;
  return {{"file", file},
          {"line", span.line},
          {"column", span.column},
          {"end_column", span.end_column}};
}

std::string value_or_none(const std::string& text) {
  return text.empty() ? "none" : short_value(text);
}

Json text_or_null(const std::string& text) {
  return text.empty() ? Json(nullptr) : Json(text);
}

Json neighbour_json(const cache::Neighbour& neighbour) {
  const cache::Record& r = neighbour.record;
  return {{"key", r.key.text()},
          {"version", r.version},
          {"run", r.run.text()},
          {"task", r.task},
          {"committed", to_rfc3339(r.committed)}};
}

Json document(const TaskExplanation& e, const journal::RunRow& row) {
  Json causes = Json::array();
  for (const Cause& cause : e.causes)
    causes.push_back({{"kind", word(cause.kind)},
                      {"name", cause.name},
                      {"before", text_or_null(cause.before)},
                      {"now", text_or_null(cause.now)},
                      {"place", place_json(row.source_file, cause.span)}});
  return {{"schema", "reprise.cache-explain/1"},
          {"run", row.id.text()},
          {"task", e.task},
          {"outcome", word(e.outcome)},
          {"reason", text_or_null(e.reason)},
          {"note", text_or_null(e.note)},
          {"key", e.key ? Json(e.key->text()) : Json(nullptr)},
          {"origin", e.origin ? Json(e.origin->text()) : Json(nullptr)},
          {"parts", e.parts},
          {"differs", differences_json(e.miss.differences)},
          {"causes", std::move(causes)},
          {"nearest", e.miss.nearest ? neighbour_json(*e.miss.nearest) : Json(nullptr)},
          {"place", place_json(row.source_file, e.span)}};
}

std::string from_run(const RunId& run, std::optional<Time> committed) {
  std::string text = "run " + run.short_text();
  if (committed) text += ", " + local_text(*committed);
  return text;
}

/// What follows "align[s3]: MISS — ".
std::string headline(const TaskExplanation& e) {
  if (e.outcome == TaskExplanation::Outcome::hit) {
    if (e.reason == "pinned") return "taken as given" + (e.note.empty() ? "" : ": " + e.note);
    if (!e.origin) return "served from the cache";
    return fmt::format(
        "{}served from the cache ({})", e.reason == "stale" ? "over, and still " : "",
        from_run(*e.origin, e.record ? std::optional(e.record->committed) : std::nullopt));
  }
  if (e.reason == "off") return "the task, or the run, does not use the cache";
  if (e.reason == "refresh") return "nothing was looked up: its result was to be made anew";
  if (e.reason == "first_seen") return "no result of this task is kept";
  if (e.reason == "expired" && e.miss.last && e.miss.last->record.expires)
    return fmt::format("its result expired at {} ({})", local_text(*e.miss.last->record.expires),
                       from_run(e.miss.last->record.run, e.miss.last->record.committed));
  if (e.reason == "max_age" && e.miss.last)
    return fmt::format("its result is older than the task takes ({})",
                       from_run(e.miss.last->record.run, e.miss.last->record.committed));
  if (e.reason == "invalidated") return "its result was removed by a person";
  if (e.reason == "corrupt") return "its result was damaged and set aside";
  if (e.reason == "evicted") return "its result is not kept any more";
  if (e.miss.nearest)
    return fmt::format("{} of {} key parts {} from the nearest entry ({})",
                       e.miss.differences.size(), e.parts,
                       e.miss.differences.size() == 1 ? "differs" : "differ",
                       from_run(e.miss.nearest->record.run, e.miss.nearest->record.committed));
  return e.reason.empty() ? e.note : e.reason;
}

void print(const TaskExplanation& e, const journal::RunRow& row, bool alone, Console& console) {
  std::string shout(word(e.outcome));
  for (char& c : shout) c = static_cast<char>(c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c);
  std::string line = fmt::format("{}: {}", escape_for_terminal(e.task), shout);
  if (!e.reason.empty()) line += fmt::format(" {}", escape_for_terminal(e.reason));
  console.out(fmt::format("{} — {}", line, escape_for_terminal(headline(e))));
  for (const Cause& cause : e.causes) {
    const std::string where = place(row.source_file, cause.span);
    console.out(fmt::format("  changed  {}  {}  {} → {}{}", pad(word(cause.kind), 7),
                            pad(escape_for_terminal(cause.name), 16), value_or_none(cause.before),
                            value_or_none(cause.now), where.empty() ? "" : "   " + where));
  }
  for (const cache::Difference& difference : e.miss.differences)
    console.out(fmt::format("  differs  {}  {} → {}",
                            pad(escape_for_terminal(difference.reason), 25),
                            value_or_none(difference.before), value_or_none(difference.now)));
  console.flush();  // what is said besides comes after it
  if (!e.note.empty() && e.reason != "pinned" && !e.reason.empty())
    console.say("  " + escape_for_terminal(e.note));
  if (e.miss.nearest && alone)
    console.say(fmt::format("next: reprise diff {} {} --task '{}'",
                            e.miss.nearest->record.run.short_text(), row.id.short_text(),
                            escape_for_terminal(e.task)));
}

}  // namespace

int cache_explain_command(const ExplainOptions& options, Console& console) {
  const auto reading = open_for_reading(console.options());
  if (!reading) return console.fail(reading.error());
  const auto row = find_run(options.run, *reading->journal);
  if (!row) return console.fail(row.error());
  const auto view = journal::load_run(*reading->journal, *row);
  if (!view) return console.fail(view.error());
  const auto task = find_task(options.task, *row, *view);
  if (!task) return console.fail(task.error());
  std::unique_ptr<cache::Store> store = std::make_unique<cache::MemoryStore>();
  auto opened = open_cache(console.options());
  if (opened)
    store = std::move(*opened);
  else if (opened.error().code != ErrorCode::not_found)
    return console.fail(opened.error());
  const auto blobs = cache::BlobStore::open({reading->folder.blobs(), false});
  actors::RememberingHasher hasher(*cache::FileDigests::open({}));
  auto space = key_space(console.options());
  if (!space) return console.fail(space.error(), exit_invalid);
  const ExplainSources sources{*reading->journal, *store, blobs ? blobs->get() : nullptr, hasher,
                               *std::move(space)};
  // Every element of a mapped task, one after the other.
  std::vector<TaskId> tasks{*task};
  bool is_group = false;
  if (const auto* elements = view->elements_of(view->node_of(*task));
      elements && !view->counts_as_task(*task)) {
    tasks.clear();
    for (std::uint32_t i = 0; i < elements->width; ++i)
      tasks.push_back(TaskId{elements->first.value + i});
    is_group = true;
  }
  Json documents = Json::array();
  for (const TaskId each : tasks) {
    const auto explanation = explain_task(sources, *row, *view, each);
    if (!explanation) return console.fail(explanation.error());
    if (console.is_json())
      documents.push_back(document(*explanation, *row));
    else
      print(*explanation, *row, tasks.size() == 1, console);
  }
  if (!console.is_json()) {
    if (tasks.empty())
      console.say(fmt::format("{} has no elements", escape_for_terminal(options.task)));
    return exit_ok;
  }
  if (!is_group) return console.document(documents[0]);
  return console.document({{"schema", "reprise.cache-explained/1"},
                           {"run", row->id.text()},
                           {"task", options.task},
                           {"elements", std::move(documents)}},
                          exit_ok, "elements");
}

}  // namespace reprise::cli
