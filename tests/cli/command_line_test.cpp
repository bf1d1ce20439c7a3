#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <set>

#include "cli/app.hpp"
#include "cli/command_tree.hpp"
#include "core/assignment.hpp"
#include "core/setting.hpp"

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

}  // namespace

BOOST_AUTO_TEST_SUITE(command_line)

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
