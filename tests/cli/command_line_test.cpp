#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <set>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "cli/app.hpp"
#include "cli/command_tree.hpp"
#include "core/assignment.hpp"
#include "core/setting.hpp"

BOOST_AUTO_TEST_SUITE(command_line)

using namespace reprise;
using namespace reprise::cli;

namespace {

std::string mistake(std::vector<std::string> arguments) {
  const auto result = parse_command_line(std::move(arguments));
  return result ? "no mistake" : result.error().error.message;
}

GlobalOptions globals(std::vector<std::string> arguments) {
  auto result = parse_command_line(std::move(arguments));
  BOOST_REQUIRE_MESSAGE(result, (result ? "" : result.error().error.message));
  return result->globals;
}

/// Two values that the setting takes; of a text the same twice.
std::pair<std::string, std::string> two_values_of(const Setting& setting) {
  switch (setting.kind) {
    case Setting::Kind::path:
    case Setting::Kind::secret_file:
      return {"/given", "/set"};
    case Setting::Kind::word:
      return {std::string(setting.words.front()), std::string(setting.words.back())};
    case Setting::Kind::text: {
      const std::string text(setting.standard.empty() ? setting.example : setting.standard);
      return {text, text};
    }
    case Setting::Kind::number:
      return {std::to_string(setting.least), std::to_string(setting.most)};
    case Setting::Kind::duration:
      return {"1s", "2s"};
  }
  return {};
}

/// Settings from variables, and from nowhere else.
Configuration configuration_of(const std::map<std::string, std::string>& variables) {
  std::vector<Setting> known(known_settings().begin(), known_settings().end());
  for (Setting& each : known)  // none of the files is there
    if (each.kind == Setting::Kind::secret_file) each.kind = Setting::Kind::path;
  SettingsSearch search;
  search.project_from = "/proc";
  search.system = "/proc/none";
  search.variable = [&](const std::string& name) -> std::optional<std::string> {
    const auto found = variables.find(name);
    return found == variables.end() ? std::nullopt : std::optional(found->second);
  };
  auto configuration = Configuration::load(search, known);
  BOOST_REQUIRE(configuration);
  return *std::move(configuration);
}

/// What holds for the command when the variables are set, too.
std::unique_ptr<CommandLine> settled(std::vector<std::string> arguments,
                                     const std::map<std::string, std::string>& variables) {
  auto line = std::make_unique<CommandLine>();
  const auto app = make_app(*line);
  std::ranges::reverse(arguments);
  app->parse(std::move(arguments));
  apply_settings(configuration_of(variables), *line);
  line->bound.clear();  // they end with the app
  return line;
}

/// Every command that can be chosen, with the words that choose it.
void collect_commands(const CLI::App& app, const std::vector<std::string>& path,
                      std::vector<std::pair<std::vector<std::string>, const CLI::App*>>& all) {
  if (commands_of(app).empty()) all.emplace_back(path, &app);
  for (const CLI::App* command : commands_of(app)) {
    std::vector<std::string> longer = path;
    longer.push_back(command->get_name());
    collect_commands(*command, longer, all);
  }
}

}  // namespace

BOOST_AUTO_TEST_CASE(global_flags_are_taken_before_and_after_the_command) {
  for (const auto& arguments : std::vector<std::vector<std::string>>{
           {"--json", "-vv", "--data", "/x", "status", "last"},
           {"status", "--json", "-vv", "--data", "/x", "last"},
           {"status", "last", "--data=/x", "-v", "--json", "-v"}}) {
    const GlobalOptions g = globals(arguments);
    BOOST_TEST(g.json);
    BOOST_TEST(g.verbosity == 2);
    BOOST_TEST(g.data == "/x");
  }
  BOOST_TEST(globals({"cache", "ls", "--json"}).json);
  BOOST_TEST((globals({"ps", "--json", "--fields", "run,state"}).fields ==
              std::vector<std::string>{"run", "state"}));
}

BOOST_AUTO_TEST_CASE(a_typo_gets_a_suggestion) {
  BOOST_TEST(mistake({"rnu", "x.yaml"}) == "\"rnu\" is no command; did you mean \"run\"?");
  BOOST_TEST(mistake({"cache", "lss"}) ==
             "\"lss\" is no command of `reprise cache`; did you mean \"ls\"?");
  BOOST_TEST(mistake({"run", "x.yaml", "--slot", "3"}) ==
             "`reprise run` has no flag \"--slot\"; did you mean \"--slots\"?");
  BOOST_TEST(mistake({"run", "x.yaml", "--jsn"}) ==
             "`reprise run` has no flag \"--jsn\"; did you mean \"--json\"?");
  BOOST_TEST(mistake({"run", "x.yaml", "--cache", "of"}).find("did you mean \"off\"?") !=
             std::string::npos);
}

BOOST_AUTO_TEST_CASE(commands_are_not_abbreviated_and_need_what_they_need) {
  BOOST_TEST(mistake({"stat"}).find("is no command") != std::string::npos);
  BOOST_TEST(mistake({}).find("no command") != std::string::npos);
  BOOST_TEST(mistake({"run"}).find("FLOW") != std::string::npos);
  BOOST_TEST(mistake({"run", "a", "b"}).find("no further argument \"b\"") != std::string::npos);
  BOOST_TEST(mistake({"cache"}) != "no mistake");
  BOOST_TEST(mistake({"run", "x", "--slots", "0"}).find("--slots") != std::string::npos);
  BOOST_TEST(mistake({"run", "x", "--slots", "-1"}) != "no mistake");
  BOOST_TEST(mistake({"run", "x", "--slots", "1e3"}) != "no mistake");
  BOOST_TEST(mistake({"run", "x", "--scale", "nan"}) != "no mistake");
  BOOST_TEST(mistake({"run", "x", "--grace", "soon"}).find("--grace") != std::string::npos);
  BOOST_TEST(mistake({"ps", "--fields", "run"}).find("--json") != std::string::npos);
  BOOST_TEST(mistake({"ps", "--json=run"}) != "no mistake");
}

BOOST_AUTO_TEST_CASE(a_flow_called_like_a_command_is_still_a_flow) {
  BOOST_TEST(mistake({"run", "status"}) == "no mistake");
  BOOST_TEST(mistake({"check", "run", "cache"}) == "no mistake");
  BOOST_TEST(mistake({"run", "-p", "a=1", "flow.yaml"}) == "no mistake");
  BOOST_TEST(mistake({"run", "-"}) == "no mistake");
}

BOOST_AUTO_TEST_CASE(help_is_an_answer_not_a_mistake) {
  for (const auto& arguments : std::vector<std::vector<std::string>>{{"--help"},
                                                                     {"help"},
                                                                     {"run", "--help"},
                                                                     {"help", "run"},
                                                                     {"cache", "get", "-h"},
                                                                     {"help", "cache", "get"}}) {
    const auto result = parse_command_line(arguments);
    BOOST_REQUIRE(result);
    BOOST_TEST(!result->action);
    BOOST_TEST(!result->text.empty());
  }
  BOOST_TEST(mistake({"help", "rnu"}).find("did you mean \"run\"?") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(a_mistake_with_json_is_told_in_json) {
  BOOST_TEST(parse_command_line({"rnu", "--json"}).error().wants_json);
  BOOST_TEST(!parse_command_line({"rnu", "--", "--json"}).error().wants_json);
}

BOOST_AUTO_TEST_CASE(every_setting_stands_in_for_a_flag) {
  CommandLine line;
  const auto app = make_app(line);
  std::set<std::string_view> bound;
  for (const CommandLine::Bound& each : line.bound) bound.insert(each.key);
  for (const Setting& setting : known_settings()) {
    BOOST_TEST(bound.erase(setting.key) == 1u, setting.key);
    for (const CommandLine::Bound& each : line.bound) {
      if (each.key != setting.key) continue;
      for (const std::string_view word : setting.words) {
        each.option->clear();
        each.option->add_result(std::string(word));
        BOOST_CHECK_NO_THROW(each.option->run_callback());
      }
      if (!setting.words.empty()) {
        const std::string type = each.option->get_type_name();
        BOOST_TEST(static_cast<std::size_t>(std::count(type.begin(), type.end(), '|')) + 1 ==
                   setting.words.size());
      }
    }
  }
  BOOST_TEST(bound.empty());
}

BOOST_AUTO_TEST_CASE(no_variable_takes_the_place_of_a_flag) {
  std::set<std::string_view> tried;
  CommandLine pattern;
  const auto described = make_app(pattern);
  std::vector<std::pair<std::vector<std::string>, const CLI::App*>> commands;
  collect_commands(*described, {}, commands);
  for (const auto& [path, command] : commands) {
    for (const CommandLine::Bound& flag : pattern.bound) {
      const auto own = command->get_options();
      const auto global = described->get_options();
      if (std::ranges::find(own, flag.option) == own.end() &&
          (path.front() != "run" || std::ranges::find(global, flag.option) == global.end()))
        continue;
      const auto known = known_settings();
      const auto setting = std::ranges::find(known, flag.key, &Setting::key);
      const auto [given, set] = two_values_of(*setting);
      std::vector<std::string> words = path;
      words.push_back("--" + flag.option->get_lnames().front() + "=" + given);
      for (const CLI::Option* option : own)
        if (option->get_positional() && option->get_required()) words.emplace_back("last");
      const std::string what = fmt::format("{}", fmt::join(words, " "));

      CommandLine line;
      const auto app = make_app(line);
      std::ranges::reverse(words);
      BOOST_REQUIRE_NO_THROW(app->parse(words));
      apply_settings(configuration_of({{setting->variable(), set}}), line);
      // Of all flags that write where this one does, it alone was taken.
      std::size_t taken = 0;
      for (const CommandLine::Bound& each : line.bound) {
        if (each.key != flag.key || each.option->count() == 0) continue;
        ++taken;
        BOOST_TEST(each.option->results().back() == given, what);
      }
      BOOST_TEST(taken == 1u, what);
      tried.insert(flag.key);
    }
  }
  BOOST_TEST(tried.size() == known_settings().size());
}

BOOST_AUTO_TEST_CASE(what_a_flag_gave_is_kept_beside_a_variable) {
  const std::map<std::string, std::string> set{{"REPRISE_SERVER", "set:1"},
                                               {"REPRISE_LISTEN", "set:2"},
                                               {"REPRISE_MEMORY", "1GiB"},
                                               {"REPRISE_GPUS", "1"},
                                               {"REPRISE_RESOURCES", "set=1"},
                                               {"REPRISE_LABELS", "set=1"},
                                               {"REPRISE_LIMITS", "set=1"},
                                               {"REPRISE_CPUS", "1"},
                                               {"REPRISE_LINK_SECRET_FILE", "/set"},
                                               {"REPRISE_LINK_CERTS", "/set"},
                                               {"REPRISE_MAX_RUNS", "1"},
                                               {"REPRISE_JOURNAL_URL", "redis://set"},
                                               {"REPRISE_SLOTS", "1"},
                                               {"REPRISE_GRACE", "1s"}};
  const auto run = settled({"run", "f", "--server=given:1", "--memory=2GiB", "--gpus=2",
                            "--resource=given=2", "--worker-label=given=2", "--limit=given=2",
                            "--cpus=2", "--secret-file=/given", "--slots=2"},
                           set);
  const GlobalOptions& of_run = run->globals;
  BOOST_TEST(of_run.server == "given:1");
  BOOST_TEST((of_run.machine.memory == 2ULL << 30));
  BOOST_TEST(of_run.machine.gpus == 2u);
  BOOST_TEST(of_run.machine.cpus == "2");
  BOOST_TEST((of_run.machine.resources == std::vector<std::string>{"given=2"}));
  BOOST_TEST((of_run.machine.labels == std::vector<std::string>{"given=2"}));
  BOOST_TEST((of_run.machine.limits == std::vector<std::string>{"given=2"}));
  BOOST_TEST(of_run.secret_file == "/given");
  BOOST_TEST(of_run.certificates == "/set");  // nobody gave it
  BOOST_TEST(run->run.slots == 2u);
  BOOST_TEST((run->run.grace == std::chrono::seconds{1}));
  for (const char* role : {"server", "scheduler"}) {
    const auto start = settled({role, "start", "--listen=given:2", "--max-runs=2",
                                "--journal=redis://given", "--certs=/given"},
                               set);
    BOOST_TEST(start->server_start.listen == "given:2");
    BOOST_TEST(start->server_start.journal == "redis://given");
    BOOST_TEST(start->globals.machine.max_runs == 2u);
    BOOST_TEST(start->globals.certificates == "/given");
  }
  BOOST_TEST(settled({"status"}, set)->globals.server == "set:1");
}

BOOST_AUTO_TEST_CASE(assignments_and_moments_are_read) {
  BOOST_TEST(parse_assignment("a=b=c", "-p")->value == "b=c");
  BOOST_TEST(parse_assignment("a=", "-p")->value == "");
  BOOST_TEST(parse_assignment("a", "-p").error().message ==
             "-p \"a\" has no \"=\"; write -p NAME=VALUE");
  BOOST_TEST(!parse_assignment("=a", "-p").has_value());
  const Time now{std::chrono::hours{1000}};
  BOOST_TEST((parse_moment("2h", now).value() == now - std::chrono::hours{2}));
  BOOST_TEST((parse_moment("1970-01-01T00:00:01Z", now).value() == Time{std::chrono::seconds{1}}));
  BOOST_TEST(!parse_moment("yesterday", now).has_value());
}

BOOST_AUTO_TEST_SUITE_END()
