#include <boost/test/unit_test.hpp>

#include "cli/console.hpp"
#include "cli/documents.hpp"
#include "cli/exit_code.hpp"
#include "cli/table.hpp"
#include "cli/text.hpp"
#include "tests/cli/goldens.hpp"

BOOST_AUTO_TEST_SUITE(documents_tests)

using namespace reprise;
using namespace reprise::cli;
using namespace reprise::cli::test;

BOOST_AUTO_TEST_SUITE(documents)

BOOST_AUTO_TEST_CASE(a_run_is_told_with_its_outputs_and_counts) {
  RunResult result;
  result.id = run_id;
  result.state = RunState::success;
  result.summary = {8, 3, 5, 0, 0, 0};
  result.makespan = std::chrono::milliseconds{1500};
  result.outputs["answer"] = Payload::of(Value(42)).value();
  result.outputs["__proto__"] = Payload::of(Value("x\x1b")).value();
  BOOST_TEST(
      to_line(run_json({result, "sample", true, {}, {}})) ==
      R"({"schema":"reprise.run/1","run":"01JD4Q7ZK80000000000000000","flow":"sample","state":"success","message":null,)"
      R"("outputs":{"__proto__":"x\u001b","answer":42},)"
      R"("summary":{"tasks":8,"executed":3,"cached":5,"failed":0,"skipped":0,"cancelled":0},)"
      R"("makespan_s":1.5,"continued":true,"carried":0,"failures":[],"paused":[]})");
}

BOOST_AUTO_TEST_CASE(run_fields_are_those_of_the_document) {
  const RunResult result;
  std::vector<std::string> names;
  const Json document = run_json({result, "", false, {}, {}});
  for (const auto& [name, value] : document.items())
    if (name != "schema") names.push_back(name);
  BOOST_TEST(names == run_fields());
}

BOOST_AUTO_TEST_CASE(a_problem_is_an_rfc_9457_object) {
  const Json p = problem({ErrorCode::not_found, "there is no run \"x\""}, 5);
  BOOST_TEST(p["type"] == "https://reprise.example/problems/not-found");
  BOOST_TEST(p["title"] == "Not found");
  BOOST_TEST(p["status"] == 404);
  BOOST_TEST(p["detail"] == "there is no run \"x\"");
  BOOST_TEST(p["code"] == "not_found");
  BOOST_TEST(p["exit_code"] == 5);
  BOOST_TEST(!p.contains("errors"));
}

BOOST_AUTO_TEST_CASE(text_that_is_not_utf8_still_makes_a_document) {
  BOOST_TEST(Json::accept(to_line({{"name", "\xff\xfe"}})));
}

BOOST_AUTO_TEST_CASE(fields_are_chosen_from_the_document_or_its_list) {
  const Json list{{"schema", "s/1"},
                  {"runs",
                   {{{"run", "a"}, {"state", "success"}, {"n", 1}},
                    {{"run", "b"}, {"state", "failed"}, {"n", 2}}}}};
  BOOST_TEST(
      to_line(*select_fields(list, {"state", "run"}, "runs")) ==
      R"({"schema":"s/1","runs":[{"state":"success","run":"a"},{"state":"failed","run":"b"}]})");
  BOOST_TEST(to_line(*select_fields(list, {}, "runs")) == to_line(list));
  BOOST_TEST(to_line(*select_fields({{"schema", "s/1"}, {"a", 1}, {"b", 2}}, {"b"})) ==
             R"({"schema":"s/1","b":2})");
  const auto wrong = select_fields(list, {"stat"}, "runs");
  BOOST_REQUIRE(!wrong);
  BOOST_TEST(wrong.error().message == "there is no field \"stat\"; fields: run, state, n");
}

BOOST_AUTO_TEST_CASE(events_name_their_task) {
  const Json event = event_json(run_id, "align[s3]",
                                ran(3, TaskState::failed, std::chrono::seconds{2}, "exit 2"), 17);
  BOOST_TEST(event["schema"] == "reprise.event/1");
  BOOST_TEST(event["offset"] == 17);
  BOOST_TEST(event["task"] == "align[s3]");
  BOOST_TEST(event["state"] == "failed");
  BOOST_TEST(event["duration_s"] == 2.0);
  BOOST_TEST(event["message"] == "exit 2");
  BOOST_TEST(event_json(run_id, "a", hit(1), 1)["cache"] == "hit");
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(exit_codes)

BOOST_AUTO_TEST_CASE(every_error_and_state_has_its_code) {
  BOOST_TEST(exit_code_of(ErrorCode::invalid_argument) == 2);
  BOOST_TEST(exit_code_of(ErrorCode::unavailable) == 3);
  BOOST_TEST(exit_code_of(ErrorCode::denied) == 4);
  BOOST_TEST(exit_code_of(ErrorCode::not_found) == 5);
  BOOST_TEST(exit_code_of(ErrorCode::conflict) == 6);
  BOOST_TEST(exit_code_of(ErrorCode::cancelled) == 8);
  BOOST_TEST(exit_code_of(ErrorCode::internal) == 70);
  BOOST_TEST(exit_code_of(RunState::success) == 0);
  BOOST_TEST(exit_code_of(RunState::failed) == 1);
  BOOST_TEST(exit_code_of(RunState::running) == 7);
  BOOST_TEST(exit_code_of(RunState::cancelled) == 8);
  BOOST_TEST(exit_code_of(RunState::cancelling) == 8);
  BOOST_TEST(exit_code_of(RunState::paused) == 9);
  BOOST_TEST(exit_code_of(RunState::interrupted) == 9);
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(tables)

BOOST_AUTO_TEST_CASE(columns_are_as_wide_as_their_widest_cell) {
  Table table{
      {"NAME", "N", "NOTE"}, {false, true}, {{"a", "1", "short"}, {"日本語", "1,204", "second"}}};
  BOOST_TEST(joined(table.lines(80, Style{})) ==
             "NAME        N  NOTE\n"
             "a           1  short\n"
             "日本語  1,204  second\n");
}

BOOST_AUTO_TEST_CASE(the_last_column_is_cut_to_fit) {
  Table table{{"NAME", "NOTE"}, {}, {{"a", "a very long note indeed"}}};
  for (const std::string& line : table.lines(16, Style{})) BOOST_TEST(display_width(line) <= 16u);
  BOOST_TEST(table.lines(16, Style{}).back() == "a     a very lo…");
}

BOOST_AUTO_TEST_CASE(a_long_name_gives_way_to_what_stands_behind_it) {
  const std::string name(60, 'n');
  Table table{{"KEY", "TASK", "COMMITTED", "SIZE", "RUN", "EXPIRES"},
              {false, false, false, true},
              {{"k1:123456789", name, "2026-11-21 13:43", "1.2 MB", "01M7Z5JA73", "never"},
               {"k1:987654321", "b", "2026-11-21 13:44", "7 B", "01M7Z5JA74", "never"}}};
  const std::vector<std::string> lines = table.lines(80, Style{});
  for (const std::string& line : lines) {
    BOOST_TEST(display_width(line) <= 80u, line);
    BOOST_TEST(line.find(name) == std::string::npos, line);
  }
  for (const char* whole : {"k1:123456789", "2026-11-21 13:43", "1.2 MB", "01M7Z5JA73", "never"})
    BOOST_TEST(lines[1].find(whole) != std::string::npos, lines[1]);
  // There is room: nothing is shortened.
  BOOST_TEST(table.lines(200, Style{})[1].find(name) != std::string::npos);
}

BOOST_AUTO_TEST_CASE(numbers_are_grouped) {
  BOOST_TEST(grouped(0) == "0");
  BOOST_TEST(grouped(999) == "999");
  BOOST_TEST(grouped(1000) == "1,000");
  BOOST_TEST(grouped(1234567) == "1,234,567");
  BOOST_TEST(counted(1, "task") == "1 task");
  BOOST_TEST(counted(0, "task") == "0 tasks");
}

BOOST_AUTO_TEST_CASE(log_lines_keep_their_tabs) {
  BOOST_TEST(escape_log_line("a\tb\x1b[1m") == "a\tb\\x1b[1m");
  BOOST_TEST(pad("日本", 6) == "日本  ");
  BOOST_TEST(pad_left("12", 4) == "  12");
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE_END()
