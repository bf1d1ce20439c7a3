#include "core/setting.hpp"

#include <cstdlib>
#include <set>

#include <boost/test/unit_test.hpp>

#include "tests/support/temporary_folder.hpp"

BOOST_AUTO_TEST_SUITE(settings)

using namespace reprise;

namespace {

using Kind = Setting::Kind;

const std::vector<Setting> table{{.key = "data",
                                  .kind = Kind::path,
                                  .meaning = "Where.",
                                  .standard = "",
                                  .computed = "here",
                                  .example = "/x",
                                  .trade_off = "None."},
                                 {.key = "slots",
                                  .kind = Kind::number,
                                  .meaning = "How many.",
                                  .standard = "4",
                                  .computed = "",
                                  .example = "",
                                  .trade_off = "None.",
                                  .words = {},
                                  .least = 1,
                                  .most = 9},
                                 {.key = "link.mode",
                                  .kind = Kind::word,
                                  .meaning = "How.",
                                  .standard = "slow",
                                  .computed = "",
                                  .example = "",
                                  .trade_off = "None.",
                                  .words = {"slow", "fast"}},
                                 {.key = "link.wait",
                                  .kind = Kind::duration,
                                  .meaning = "How long.",
                                  .standard = "1s",
                                  .computed = "",
                                  .example = "",
                                  .trade_off = "None."},
                                 {.key = "link.token_file",
                                  .kind = Kind::secret_file,
                                  .meaning = "Who.",
                                  .standard = "",
                                  .computed = "nobody",
                                  .example = "token",
                                  .trade_off = "None."}};

std::vector<std::string> mistakes(std::string_view text) {
  std::vector<std::string> messages;
  for (const SettingMistake& mistake : decode_settings(text, "/etc/s.toml", table).mistakes)
    messages.push_back(mistake.error().message);
  return messages;
}

std::string only_mistake(std::string_view text) {
  const auto all = mistakes(text);
  BOOST_TEST(all.size() == 1u);
  return all.empty() ? "" : all.front();
}

/// The sample as somebody would make it who wants every setting.
std::string uncommented(const std::string& sample) {
  std::string text;
  for (std::size_t at = 0; at < sample.size();) {
    const std::size_t end = sample.find('\n', at);
    const std::string line = sample.substr(at, end - at);
    text += (line.starts_with("#") && !line.starts_with("# ") ? line.substr(1) : line) + "\n";
    at = end + 1;
  }
  return text;
}

}  // namespace

BOOST_AUTO_TEST_CASE(values_are_read_with_their_places) {
  const DecodedSettings read = decode_settings(
      "slots = 8\ndata = 'kept/here'\n[link]\nwait = '2m'\n mode = \"fast\"\n"
      "token_file = '/run/token'\n",
      "/etc/x/s.toml", table);
  BOOST_TEST(read.mistakes.empty());
  const std::vector<SettingValue> expected{
      {"slots", "8", "/etc/x/s.toml", 1, 1},
      {"data", "/etc/x/kept/here", "/etc/x/s.toml", 2, 1},
      {"link.wait", "2m", "/etc/x/s.toml", 4, 1},
      {"link.mode", "fast", "/etc/x/s.toml", 5, 2},
      {"link.token_file", "/run/token", "/etc/x/s.toml", 6, 1}};
  BOOST_TEST((read.values == expected));
}

BOOST_AUTO_TEST_CASE(an_unknown_key_is_a_mistake_with_a_suggestion) {
  BOOST_TEST(only_mistake("slotz = 1") ==
             "/etc/s.toml:1:1: there is no setting \"slotz\"; did you mean \"slots\"?");
  BOOST_TEST(only_mistake("[link]\nmoed = 'slow'").find("did you mean \"link.mode\"?") !=
             std::string::npos);
  BOOST_TEST(only_mistake("[nowhere]\nat = 1").find("/etc/s.toml:1:") == 0u);
  BOOST_TEST(only_mistake("mode = 'slow'").find("config show") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(a_value_that_does_not_fit_is_told_with_what_would) {
  BOOST_TEST(only_mistake("slots = 'many'") ==
             "/etc/s.toml:1:9: \"slots\" takes a whole number without quotes");
  BOOST_TEST(only_mistake("slots = 10").find("a whole number from 1 to 9") != std::string::npos);
  BOOST_TEST(only_mistake("slots = -1").find("a whole number from 1 to 9") != std::string::npos);
  BOOST_TEST(only_mistake("slots = 1.5").find("whole number") != std::string::npos);
  BOOST_TEST(only_mistake("link.mode = 'fats'").find("did you mean \"fast\"?") !=
             std::string::npos);
  BOOST_TEST(only_mistake("link.wait = 5").find("\"30s\"") != std::string::npos);
  BOOST_TEST(only_mistake("link.wait = 'soon'").find("link.wait") != std::string::npos);
  BOOST_TEST(only_mistake("data = ''").find("not empty") != std::string::npos);
  BOOST_TEST(only_mistake("data = '~/x'").find("not expanded") != std::string::npos);
  BOOST_TEST(only_mistake("data = \"a\\u0000b\"").find("zero byte") != std::string::npos);
  BOOST_TEST(only_mistake("link = 3").find("/etc/s.toml:1:") == 0u);
  BOOST_TEST(only_mistake("slots = [1]").find("whole number") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(all_mistakes_are_told_in_order) {
  const auto all = mistakes("slots = 0\nlink.wait = 'x'\nanother = 1\n");
  BOOST_REQUIRE(all.size() == 3u);
  BOOST_TEST(all[0].find("/etc/s.toml:1:") == 0u);
  BOOST_TEST(all[1].find("/etc/s.toml:2:") == 0u);
  BOOST_TEST(all[2].find("/etc/s.toml:3:") == 0u);
}

BOOST_AUTO_TEST_CASE(what_is_no_toml_is_told_with_its_place) {
  BOOST_TEST(only_mistake("slots = 1\nslots = 2").find("/etc/s.toml:2:") == 0u);
  BOOST_TEST(only_mistake("data = 'open").find("/etc/s.toml:1:") == 0u);
  BOOST_TEST(only_mistake("\xff\xfe").find("/etc/s.toml:1:") == 0u);
  BOOST_TEST(only_mistake("data = \"\x1b[31m\"").find('\x1b') == std::string::npos);
}

BOOST_AUTO_TEST_CASE(a_secret_itself_is_refused) {
  const std::string said = only_mistake("link.token = 'hunter2'");
  BOOST_TEST(said.find("\"link.token_file\"") != std::string::npos);
  BOOST_TEST(said.find("hunter2") == std::string::npos);
}

BOOST_AUTO_TEST_CASE(variables_are_named_after_their_keys) {
  BOOST_TEST(table[1].variable() == "REPRISE_SLOTS");
  BOOST_TEST(table[4].variable() == "REPRISE_LINK_TOKEN_FILE");
}

BOOST_AUTO_TEST_CASE(a_sample_holds_every_key_once_and_its_default) {
  for (const auto& known : {std::span<const Setting>(table), known_settings()}) {
    const std::string sample = sample_settings(known);
    BOOST_TEST(decode_settings(sample, "/s.toml", known).values.empty());
    const DecodedSettings read = decode_settings(uncommented(sample), "/s.toml", known);
    for (const SettingMistake& mistake : read.mistakes) BOOST_TEST(false, mistake.what);
    BOOST_REQUIRE(read.values.size() == known.size());
    for (std::size_t i = 0; i < known.size(); ++i) {
      BOOST_TEST(read.values[i].key == known[i].key);
      if (!known[i].standard.empty()) BOOST_TEST(read.values[i].text == known[i].standard);
      BOOST_TEST(known[i].standard.empty() != known[i].computed.empty(), known[i].key);
      BOOST_TEST(!known[i].trade_off.empty());
    }
  }
}

BOOST_AUTO_TEST_CASE(the_sample_file_is_what_the_program_prints) {
  const char* root = std::getenv("REPRISE_SOURCE_DIR");
  BOOST_REQUIRE(root != nullptr);
  BOOST_TEST(testing::read_file(std::filesystem::path(root) / "configs/reprise.toml") ==
                 sample_settings(known_settings()),
             "configs/reprise.toml is out of date; make it anew: "
             "reprise config show --sample >configs/reprise.toml");
}

BOOST_AUTO_TEST_SUITE_END()
