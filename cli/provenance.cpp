#include "cli/provenance.hpp"

#include <fmt/format.h>

#include "cli/clock_text.hpp"
#include "cli/data_access.hpp"
#include "cli/markup.hpp"
#include "cli/text.hpp"

namespace reprise::cli {
namespace {

constexpr std::size_t code_columns = 60;

std::string_view word(Ingredient::Kind kind) {
  switch (kind) {
    case Ingredient::Kind::parameter:
      return "param";
    case Ingredient::Kind::constant:
      return "constant";
    case Ingredient::Kind::file:
      return "file";
    case Ingredient::Kind::result:
      return "result";
    case Ingredient::Kind::unknown:
      return "unknown";
  }
  return "unknown";
}

std::string shown_maker(const Maker& maker) {
  return fmt::format("{}  run {}", escape_for_terminal(maker.task), maker.run.short_text());
}

}  // namespace

Json provenance_json(const Provenance& provenance) {
  Json makers = Json::array();
  for (const Maker& maker : provenance.makers) {
    Json ingredients = Json::array();
    for (const Ingredient& each : maker.ingredients)
      ingredients.push_back({{"kind", word(each.kind)},
                             {"name", each.name},
                             {"value", each.text.empty() ? Json(nullptr) : Json(each.text)},
                             {"made_by", each.made_by ? Json(*each.made_by) : Json(nullptr)}});
    const bool has_place = maker.span.line > 0 && !maker.source_file.empty();
    makers.push_back(
        {{"run", maker.run.text()},
         {"task", maker.task},
         {"attempt", maker.attempt},
         {"at", maker.at ? Json(to_rfc3339(*maker.at)) : Json(nullptr)},
         {"code", maker.code},
         {"version", maker.version},
         {"place", has_place ? Json({{"file", maker.source_file},
                                     {"line", maker.span.line},
                                     {"column", maker.span.column},
                                     {"end_column", maker.span.end_column}})
                             : Json(nullptr)},
         {"key", maker.key ? Json(maker.key->text()) : Json(nullptr)},
         {"digest", maker.digest.is_none() ? Json(nullptr) : Json(maker.digest.text())},
         {"size_bytes", maker.size},
         {"forgotten", maker.is_forgotten},
         {"ingredients", std::move(ingredients)}});
  }
  return {{"schema", "reprise.provenance/1"},
          {"complete", provenance.is_complete},
          {"makers", std::move(makers)}};
}

void print_provenance(const Provenance& provenance, Console& console) {
  for (std::size_t i = 0; i < provenance.makers.size(); ++i) {
    const Maker& maker = provenance.makers[i];
    std::string line = fmt::format("[{}] {}", i, shown_maker(maker));
    if (maker.attempt > 0) line += fmt::format("  attempt {}", maker.attempt);
    if (maker.at) line += "  " + local_text_seconds(*maker.at);
    if (!maker.digest.is_none()) line += "  " + short_value(maker.digest.text());
    console.out(line);
    if (!maker.code.empty())
      console.out(
          fmt::format("    code      {}{}", shorten(escape_for_terminal(maker.code), code_columns),
                      maker.span.line > 0 && !maker.source_file.empty()
                          ? fmt::format("   {}:{}:{}", escape_for_terminal(maker.source_file),
                                        maker.span.line, maker.span.column)
                          : ""));
    if (maker.is_forgotten) console.out("    the run is forgotten; this is what the cache knows");
    for (const Ingredient& each : maker.ingredients)
      console.out(fmt::format("    {}{}  {}{}", pad(word(each.kind), 10),
                              pad(escape_for_terminal(each.name), 16), short_value(each.text),
                              each.made_by ? fmt::format("   from [{}]", *each.made_by) : ""));
  }
  if (!provenance.is_complete)
    console.say(fmt::format("only the nearest {} are shown", counted(makers_max, "result")));
}

std::string provenance_dot(const Provenance& provenance) {
  std::string dot = "digraph provenance {\n  rankdir=LR;\n  node [shape=box];\n";
  for (std::size_t i = 0; i < provenance.makers.size(); ++i) {
    const Maker& maker = provenance.makers[i];
    dot += fmt::format("  m{} [label={}];\n", i, dot_text(shown_maker(maker)));
    std::size_t leaf = 0;
    for (const Ingredient& each : maker.ingredients) {
      if (each.made_by) {
        dot += fmt::format("  m{} -> m{};\n", *each.made_by, i);
        continue;
      }
      const std::string id = fmt::format("m{}i{}", i, leaf++);
      dot += fmt::format(
          "  {} [shape=ellipse, label={}];\n  {} -> m{};\n", id,
          dot_text(fmt::format("{} {} {}", word(each.kind), each.name, short_value(each.text))), id,
          i);
    }
  }
  return dot + "}";
}

int show_provenance(const RunId& run, const std::string& task, const std::optional<Key>& key,
                    bool as_dot, Console& console) {
  const auto reading = open_for_reading(console.options());
  if (!reading) return console.fail(reading.error());
  const auto store = open_cache(console.options());
  const auto provenance =
      provenance_of(*reading->journal, store ? store->get() : nullptr, run, task, key);
  if (!provenance) return console.fail(provenance.error());
  if (console.is_json()) return console.document(provenance_json(*provenance), exit_ok, "makers");
  if (as_dot)
    console.out(provenance_dot(*provenance));
  else
    print_provenance(*provenance, console);
  return exit_ok;
}

int show_value_provenance(const std::string& digest, bool as_dot, Console& console) {
  const auto store = open_cache(console.options());
  if (!store) return console.fail(store.error());
  const auto records = (*store)->versions_of_value(digest, 1);
  if (!records) return console.fail(records.error());
  if (records->empty())
    return console.fail(
        {ErrorCode::not_found,
         fmt::format("no result in the cache has the value {}", escape_for_terminal(digest))});
  const cache::Record& newest = records->front();
  return show_provenance(newest.run, newest.task, newest.key, as_dot, console);
}

}  // namespace reprise::cli
