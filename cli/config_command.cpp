// `reprise config show|path`: which settings hold, and where they come from.
#include <fmt/format.h>

#include "cli/commands.hpp"
#include "cli/settings.hpp"
#include "cli/table.hpp"
#include "cli/text.hpp"
#include "core/text.hpp"

namespace reprise::cli {
namespace {

/// A setting as it holds.
struct Holding {
  const Setting* setting = nullptr;
  std::string text;                   // empty: a default that is computed
  std::string origin;                 // "flag", "variable", "file" or "default"
  const SettingValue* set = nullptr;  // of a variable or file
};

std::vector<Holding> holding(const Configuration& configuration, const GlobalOptions& options) {
  std::vector<Holding> list;
  for (const Setting& setting : known_settings()) {
    Holding& each = list.emplace_back();
    each.setting = &setting;
    if (const auto given = options.given.find(std::string(setting.key));
        given != options.given.end()) {
      each.text = given->second;
      each.origin = "flag";
    } else if (const SettingValue* set = configuration.find(setting.key); set != nullptr) {
      each.text = set->text;
      each.origin = set->line == 0 ? "variable" : "file";
      each.set = set;
    } else {
      each.text = setting.standard;
      each.origin = "default";
    }
  }
  return list;
}

std::string origin_text(const Holding& each) {
  if (each.set == nullptr) return each.origin;
  if (each.set->line == 0) return each.set->source;
  return fmt::format("{}:{}:{}", escape_for_terminal(each.set->source), each.set->line,
                     each.set->column);
}

Json document(const std::vector<Holding>& list) {
  Json settings = Json::array();
  for (const Holding& each : list) {
    const bool is_file = each.set != nullptr && each.set->line > 0;
    settings.push_back({{"key", each.setting->key},
                        {"value", each.text.empty() ? Json(nullptr) : Json(each.text)},
                        {"origin", each.origin},
                        {"variable", each.setting->variable()},
                        {"file", is_file ? Json(each.set->source) : Json(nullptr)},
                        {"line", is_file ? Json(each.set->line) : Json(nullptr)},
                        {"column", is_file ? Json(each.set->column) : Json(nullptr)}});
  }
  return {{"schema", "reprise.config/1"}, {"settings", std::move(settings)}};
}

}  // namespace

SettingsSearch settings_search(const GlobalOptions& options) {
  SettingsSearch search;
  search.project_from = options.project_from;
  search.chosen = options.config;
  return search;
}

tl::expected<Configuration, std::vector<SettingMistake>> load_configuration(
    const GlobalOptions& options) {
  return Configuration::load(settings_search(options));
}

int fail_for_settings(const std::vector<SettingMistake>& mistakes, Console& console) {
  Json errors = Json::array();
  for (const SettingMistake& mistake : mistakes)
    errors.push_back({{"pointer", ""},
                      {"file", mistake.source},
                      {"line", mistake.line},
                      {"column", mistake.column},
                      {"end_column", mistake.column},
                      {"code", name(mistake.code)},
                      {"severity", "error"},
                      {"message", mistake.what},
                      {"suggestion", nullptr}});
  for (std::size_t i = 0; i + 1 < mistakes.size(); ++i)
    console.complain("error: " + mistakes[i].error().message);
  return console.fail(mistakes.back().error(), exit_invalid, std::move(errors));
}

int config_show_command(const ConfigShowOptions& options, Console& console) {
  if (options.sample) {
    console.raw(sample_settings(known_settings()));
    return exit_ok;
  }
  const auto configuration = load_configuration(console.options());
  if (!configuration) return fail_for_settings(configuration.error(), console);
  const auto list = holding(*configuration, console.options());
  if (console.is_json()) return console.document(document(list), exit_ok, "settings");
  Table table{{"SETTING", "VALUE"}, {}, {}};
  if (options.origin) table.heads.push_back("ORIGIN");
  for (const Holding& each : list) {
    std::vector<Cell> row{std::string(each.setting->key), each.text.empty()
                                                              ? std::string(each.setting->computed)
                                                              : escape_for_terminal(each.text)};
    if (options.origin) row.push_back(origin_text(each));
    table.rows.push_back(std::move(row));
  }
  for (const std::string& line : table.lines(console.out_columns(), console.out_style()))
    console.out(line);
  return exit_ok;
}

int config_path_command(Console& console) {
  const auto files = settings_files(settings_search(console.options()));
  if (console.is_json()) {
    Json list = Json::array();
    for (const SettingsFile& file : files)
      list.push_back({{"role", name(file.role)},
                      {"path", file.path.string()},
                      {"exists", file.exists},
                      {"ignored_because",
                       file.ignored_because.empty() ? Json(nullptr) : Json(file.ignored_because)}});
    return console.document({{"schema", "reprise.config-path/1"}, {"files", std::move(list)}},
                            exit_ok, "files");
  }
  for (const SettingsFile& file : files) {
    if (console.is_quiet()) {
      console.out(escape_for_terminal(file.path.string()));
      continue;
    }
    const std::string note = !file.ignored_because.empty() ? "ignored: " + file.ignored_because
                             : file.exists                 ? "read"
                                                           : "not there";
    console.out(fmt::format("{}  {}  {}", pad(std::string(name(file.role)), 8),
                            escape_for_terminal(file.path.string()), note));
  }
  return exit_ok;
}

}  // namespace reprise::cli
