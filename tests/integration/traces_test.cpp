// Recorded workflows in hash mode against numbers that come from elsewhere: expected.tsv.
#include <boost/test/unit_test.hpp>

#include <iostream>

#include "tests/integration/support.hpp"

BOOST_AUTO_TEST_SUITE(recorded_traces)

using namespace reprise::integration;

namespace {

/// Cold, again, with one input changed, and back: the four numbers and digests that a trace has to
/// give.
void check_trace(Home& home, const std::filesystem::path& file, const Row& row) {
  const long tasks = std::stol(row.at("tasks")), invalidated = std::stol(row.at("inval_n"));
  const std::string digest = row.at("chain_digest");
  const Arguments plain{"run", file.string(), "--progress", "none"};
  Arguments touched = plain;
  touched.insert(touched.end(), {"--touch", row.at("inval_task") + "=x"});
  struct Expected {
    const char* what;
    Arguments arguments;
    long executed;
    bool same;
  };
  for (const auto& [what, arguments, executed, same] :
       {Expected{"cold", plain, tasks, true}, Expected{"again", plain, 0, true},
        Expected{"touched", touched, invalidated, false},
        Expected{"touched again", touched, 0, false}, Expected{"back", plain, 0, true}}) {
    const Outcome o = invoke(home, arguments);
    BOOST_REQUIRE_MESSAGE(o.code == 0, what << ": " << o.shown());
    BOOST_TEST(o.text("state") == "success", what);
    BOOST_TEST(o.counted("tasks") == tasks, what);
    BOOST_TEST(o.counted("executed") == executed,
               what << ": " << o.counted("executed") << " ran, not " << executed);
    BOOST_TEST(o.counted("cached") == tasks - executed, what);
    BOOST_TEST(o.counted("failed") == 0, what);
    BOOST_TEST((o.digest() == digest) == same, what << ": digest " << o.digest());
    BOOST_TEST(o.digest().size() == 64u, what);
  }
}

std::vector<Row> traces(const std::filesystem::path& folder) {
  std::vector<Row> rows;
  for (Row& row : expected_rows(folder))
    if (row.at("file").starts_with("wfformat/")) rows.push_back(std::move(row));
  BOOST_REQUIRE_GE(rows.size(), 25u);
  return rows;
}

}  // namespace

BOOST_AUTO_TEST_CASE(each_gives_the_known_numbers_in_a_data_folder_of_its_own) {
  const auto folder = workflows();
  if (!folder) return;
  for (const Row& row : traces(*folder)) {
    BOOST_TEST_CONTEXT(row.at("file")) {
      Home home;
      check_trace(home, *folder / row.at("file"), row);
    }
  }
}

BOOST_AUTO_TEST_CASE(all_of_them_in_one_data_folder_give_the_same_numbers) {
  const auto folder = workflows();
  if (!folder) return;
  Home home;
  for (const Row& row : traces(*folder))
    BOOST_TEST_CONTEXT(row.at("file")) check_trace(home, *folder / row.at("file"), row);
}

BOOST_AUTO_TEST_CASE(a_copy_under_another_name_is_the_same_trace) {
  const auto folder = workflows();
  if (!folder) return;
  Home home;
  const Row row = traces(*folder)[0];
  check_trace(home, *folder / row.at("file"), row);
  std::filesystem::copy_file(*folder / row.at("file"),
                             home.path / "copy");  // recognised by content, not by name
  const Outcome o = invoke(home, {"run", "copy"});
  BOOST_TEST(o.counted("executed") == 0, o.shown());
  BOOST_TEST(o.digest() == row.at("chain_digest"));
}

BOOST_AUTO_TEST_CASE(slots_do_not_change_the_answer) {
  const auto folder = workflows();
  if (!folder) return;
  for (const Row& row : traces(*folder)) {
    if (std::stol(row.at("tasks")) > 400) continue;
    for (const std::string slots : {"1", "2", "8", "64"}) {
      Home home;
      const Outcome o = invoke(
          home, {"run", (*folder / row.at("file")).string(), "--slots", slots, "--cache", "off"});
      BOOST_TEST(o.digest() == row.at("chain_digest"),
                 row.at("file") << " with " << slots << " slots: " << o.shown());
      BOOST_TEST(o.counted("executed") == std::stol(row.at("tasks")));
    }
  }
}

BOOST_AUTO_TEST_SUITE_END()
