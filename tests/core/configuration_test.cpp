#include "core/configuration.hpp"

#include <iostream>
#include <map>

#include <sys/stat.h>
#include <unistd.h>
#include <boost/test/unit_test.hpp>

#include "tests/support/temporary_folder.hpp"

BOOST_AUTO_TEST_SUITE(configuration_tests)

using namespace reprise;
using reprise::testing::write_file;

namespace {

/// A machine with the places where settings are looked for.
struct Machine {
  testing::TemporaryFolder root;
  std::map<std::string, std::string> variables;
  SettingsSearch search;

  Machine() {
    for (const char* name : {"etc", "home/.config/reprise", "project/deep/flows"})
      std::filesystem::create_directories(root / name);
    variables["HOME"] = (root / "home").string();
    search.system = root / "etc/reprise.toml";
    search.project_from = root / "project/deep/flows";
    search.variable = [this](const std::string& name) -> std::optional<std::string> {
      const auto found = variables.find(name);
      if (found == variables.end()) return std::nullopt;
      return found->second;
    };
  }
  [[nodiscard]] std::string slots() const {
    const auto loaded = Configuration::load(search);
    if (!loaded) return loaded.error().front().error().message;
    const SettingValue* value = loaded->find("slots");
    return value ? value->text : "none";
  }
  [[nodiscard]] std::string mistake(std::span<const Setting> known = known_settings()) const {
    const auto loaded = Configuration::load(search, known);
    return loaded ? "none" : loaded.error().front().error().message;
  }
};

}  // namespace

BOOST_FIXTURE_TEST_SUITE(configuration, Machine)

BOOST_AUTO_TEST_CASE(the_nearer_place_wins) {
  BOOST_TEST(slots() == "none");
  write_file(root / "etc/reprise.toml", "slots = 1");
  BOOST_TEST(slots() == "1");
  write_file(root / "home/.config/reprise/config.toml", "slots = 2");
  BOOST_TEST(slots() == "2");
  write_file(root / "project/reprise.toml", "slots = 3");
  BOOST_TEST(slots() == "3");
  write_file(root / "project/deep/reprise.toml", "slots = 4");
  BOOST_TEST(slots() == "4");
  variables["REPRISE_SLOTS"] = "5";
  BOOST_TEST(slots() == "5");
  variables["REPRISE_SLOTS"] = "";
  BOOST_TEST(slots() == "4");
  search.chosen = root / "other.toml";
  write_file(root / "other.toml", "slots = 6");
  BOOST_TEST(slots() == "6");
  variables["XDG_CONFIG_HOME"] = "relative";
  search.chosen.clear();
  search.project_from = root / "home";
  BOOST_TEST(slots() == "2");
}

BOOST_AUTO_TEST_CASE(each_setting_is_looked_up_for_itself) {
  write_file(root / "etc/reprise.toml", "grace = '1s'\nslots = 1");
  write_file(root / "project/reprise.toml", "data = 'kept'\nslots = 3");
  const auto loaded = Configuration::load(search);
  BOOST_REQUIRE(loaded);
  BOOST_TEST(loaded->find("grace")->source == (root / "etc/reprise.toml").string());
  BOOST_TEST(loaded->find("data")->text == (root / "project/kept").string());
  BOOST_TEST(loaded->find("slots")->text == "3");
  BOOST_TEST(loaded->values().size() == 3u);
}

BOOST_AUTO_TEST_CASE(a_mistake_anywhere_is_told_even_when_overruled) {
  write_file(root / "etc/reprise.toml", "slots = 'x'");
  variables["REPRISE_SLOTS"] = "5";
  BOOST_TEST(mistake().find((root / "etc/reprise.toml").string() + ":1:9: ") == 0u);
  write_file(root / "etc/reprise.toml", "");
  variables["REPRISE_SLOTS"] = "0";
  BOOST_TEST(mistake().find("REPRISE_SLOTS: \"slots\" is not \"0\"") == 0u);
}

BOOST_AUTO_TEST_CASE(a_chosen_file_must_be_there) {
  search.chosen = root / "missing.toml";
  const auto loaded = Configuration::load(search);
  BOOST_REQUIRE(!loaded);
  BOOST_TEST((loaded.error().front().code == ErrorCode::not_found));
  search.chosen = root / "etc";
  BOOST_TEST(mistake() != "none");
  BOOST_REQUIRE(::mkfifo((root / "pipe").c_str(), 0600) == 0);
  search.chosen = root / "pipe";  // nobody writes to it: no waiting
  BOOST_TEST(mistake() != "none");
  write_file(root / "large", std::string(2 << 20, '#'));
  search.chosen = root / "large";
  BOOST_TEST(mistake().find("too large") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(a_secret_file_is_for_its_owner_alone) {
  const std::vector<Setting> known{{.key = "token_file",
                                    .kind = Setting::Kind::secret_file,
                                    .meaning = "",
                                    .standard = "",
                                    .computed = "",
                                    .example = "",
                                    .trade_off = ""}};
  write_file(root / "project/reprise.toml", "token_file = 'token'");
  BOOST_TEST(mistake(known).find("cannot be read") != std::string::npos);
  write_file(root / "project/token", "s3cret");
  ::chmod((root / "project/token").c_str(), 0644);
  BOOST_TEST(mistake(known).find("reprise.toml:1:1: ") != std::string::npos);
  BOOST_TEST(mistake(known).find("mode 0644); chmod 600 it") != std::string::npos);
  ::chmod((root / "project/token").c_str(), 0600);
  BOOST_TEST(mistake(known) == "none");
  std::filesystem::remove(root / "project/token");
  std::filesystem::create_directory(root / "project/token");
  BOOST_TEST(mistake(known).find("no file") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(a_strangers_file_in_a_public_folder_is_ignored) {
  if (::geteuid() != 0) {
    std::cout << "SKIPPED: making another user's file needs root\n";
    return;
  }
  write_file(root / "project/reprise.toml", "slots = 3");
  BOOST_REQUIRE(::chown((root / "project/reprise.toml").c_str(), 65534, 65534) == 0);
  BOOST_TEST(slots() == "3");
  ::chmod((root / "project").c_str(), 01777);
  BOOST_TEST(slots() == "none");
  const auto files = settings_files(search);
  BOOST_REQUIRE(!files.empty());
  BOOST_TEST(!files.front().ignored_because.empty());
}

BOOST_AUTO_TEST_CASE(errno_has_one_meaning) {
  BOOST_TEST((error_code_of(ENOENT) == ErrorCode::not_found));
  BOOST_TEST((error_code_of(EACCES) == ErrorCode::denied));
  BOOST_TEST((error_code_of(ENOSPC) == ErrorCode::exhausted));
  BOOST_TEST((error_code_of(EIO) == ErrorCode::io));
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE_END()
