#include <boost/test/unit_test.hpp>

#include "cli/outputs.hpp"
#include "cli/run_selector.hpp"
#include "journal/memory_journal.hpp"

BOOST_AUTO_TEST_SUITE(selector_tests)

using namespace reprise;
using namespace reprise::cli;

namespace {

void add(journal::MemoryJournal& journal, const char* id, const char* flow) {
  journal::RunRow row;
  row.id = RunId::parse(id).value();
  row.flow_name = flow;
  row.submitted = Time{std::chrono::seconds{1}};
  BOOST_REQUIRE(journal.open_run(row, "flow bytes"));
}

struct Runs {
  Runs() {
    add(journal, "01JD4Q7ZK80000000000000000", "align");
    add(journal, "01JD4Q7ZK90000000000000000", "count");
    add(journal, "01JE0000000000000000000000", "align");
  }
  std::string find(std::string_view text) {
    const auto row = find_run(text, journal);
    return row ? row->id.text() : row.error().message;
  }
  journal::MemoryJournal journal;
};

}  // namespace

BOOST_AUTO_TEST_SUITE(run_selector)

BOOST_AUTO_TEST_CASE(what_is_typed_is_taken_apart) {
  BOOST_TEST((RunSelector::parse("last").value() == RunSelector{RunSelector::Kind::last, "", ""}));
  BOOST_TEST((RunSelector::parse("last:align").value() ==
              RunSelector{RunSelector::Kind::last, "align", ""}));
  BOOST_TEST(
      (RunSelector::parse("01jdo").value() == RunSelector{RunSelector::Kind::prefix, "", "01JD0"}));
  for (const char* bad : {"", "last:", "01JD-4", "../x", "000000000000000000000000000"})
    BOOST_TEST(!RunSelector::parse(bad).has_value(), bad);
}

BOOST_FIXTURE_TEST_CASE(a_unique_beginning_is_enough_in_any_case, Runs) {
  BOOST_TEST(find("01JD4Q7ZK80000000000000000") == "01JD4Q7ZK80000000000000000");
  BOOST_TEST(find("01jd4q7zk8") == "01JD4Q7ZK80000000000000000");
  BOOST_TEST(find("01JE") == "01JE0000000000000000000000");
}

BOOST_FIXTURE_TEST_CASE(last_is_the_newest_of_all_or_of_a_flow, Runs) {
  BOOST_TEST(find("last") == "01JE0000000000000000000000");
  BOOST_TEST(find("last:count") == "01JD4Q7ZK90000000000000000");
}

BOOST_FIXTURE_TEST_CASE(an_ambiguous_beginning_lists_what_it_could_be, Runs) {
  BOOST_TEST(find("01JD") ==
             "\"01JD\" is the beginning of several runs: 01JD4Q7ZK90000000000000000 (count), "
             "01JD4Q7ZK80000000000000000 (align)");
  BOOST_TEST((find_run("01JD", journal).error().code == ErrorCode::not_found));
}

BOOST_FIXTURE_TEST_CASE(an_unknown_one_is_answered_with_a_suggestion, Runs) {
  BOOST_TEST((find_run("01JF", journal).error().code == ErrorCode::not_found));
  BOOST_TEST(find("01JF").find("did you mean \"01JE\"?") != std::string::npos);
  BOOST_TEST(find("align").find("did you mean \"last:align\"?") != std::string::npos);
  BOOST_TEST(find("last:nothing").find("flow \"nothing\" has no runs") == 0u);
  BOOST_TEST(find("\x1b[2J").find('\x1b') == std::string::npos);
}

BOOST_FIXTURE_TEST_CASE(the_same_run_named_twice_is_one, Runs) {
  BOOST_TEST(find_runs({"last", "01JE", "last:count"}, journal)->size() == 2u);
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(output_files)

BOOST_AUTO_TEST_CASE(a_file_is_called_as_it_was_declared_and_never_a_path) {
  const auto name = [](const char* output, const char* text) {
    Output o;
    o.name = output;
    o.text.text = text;
    return file_name_of(o);
  };
  BOOST_TEST(name("report", "${{ report.outputs['report.html'] }}") == "report.html");
  BOOST_TEST(name("report", "${{ report.outputs[\"a/b.html\"] }}") == "b.html");
  BOOST_TEST(name("report", "${{ report }}") == "report");
  BOOST_TEST(name("../../x", "${{ report }}") == "x");
  BOOST_TEST(name("..", "") == "output");
  BOOST_TEST(name("r", "${{ a['../..'] }}") == "output");
  BOOST_TEST(name("\x1b[2J", "").find('\x1b') == std::string::npos);
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE_END()
