#include <boost/test/unit_test.hpp>

#include "cli/progress.hpp"
#include "cli/style.hpp"
#include "cli/terminal.hpp"

BOOST_AUTO_TEST_SUITE(terminal_tests)

using namespace reprise;
using namespace reprise::cli;

BOOST_AUTO_TEST_SUITE(region)

BOOST_AUTO_TEST_CASE(the_first_paint_hides_the_cursor_and_later_ones_overwrite) {
  RegionPainter painter;
  BOOST_TEST(painter.paint({}, {"one", "two"}, 80) == "\x1b[?25lone\ntwo\n");
  BOOST_TEST(painter.paint({"done"}, {"three"}, 80) == "\x1b[2A\r\x1b[Jdone\nthree\n");
  BOOST_TEST(painter.clear(80) == "\x1b[1A\r\x1b[J\x1b[?25h");
  BOOST_TEST(painter.clear(80) == "");
}

BOOST_AUTO_TEST_CASE(a_narrower_window_has_more_rows_to_remove) {
  RegionPainter painter;
  (void)painter.paint({}, {std::string(70, 'x'), "\x1b[31mshort\x1b[0m"}, 80);
  BOOST_TEST(painter.paint({}, {"new"}, 30).starts_with("\x1b[4A\r\x1b[J"));
}

BOOST_AUTO_TEST_CASE(lines_without_a_region_leave_the_cursor_alone) {
  RegionPainter painter;
  BOOST_TEST(painter.paint({"only words"}, {}, 80) == "only words\n");
  BOOST_TEST(painter.clear(80) == "");
}

BOOST_AUTO_TEST_CASE(progress_is_drawn_only_where_a_cursor_can_move) {
  using enum ProgressChoice;
  BOOST_TEST((resolve(automatic, true, "xterm") == bar));
  BOOST_TEST((resolve(automatic, true, "dumb") == counter));
  BOOST_TEST((resolve(automatic, false, "xterm") == counter));
  BOOST_TEST((resolve(bar, false, "xterm") == counter));
  BOOST_TEST((resolve(none, true, "xterm") == none));
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(colors)

BOOST_AUTO_TEST_CASE(each_rule_beats_those_after_it) {
  ColorSituation s;
  BOOST_TEST(!wants_color(s));
  s.is_terminal = true;
  BOOST_TEST(wants_color(s));
  s.term = "dumb";
  BOOST_TEST(!wants_color(s));
  s.clicolor_force = "0";
  BOOST_TEST(!wants_color(s));
  s.clicolor_force = "1";
  BOOST_TEST(wants_color(s));
  s.no_color = "";  // empty is as if unset
  BOOST_TEST(wants_color(s));
  s.no_color = "1";
  BOOST_TEST(!wants_color(s));
  s.choice = ColorChoice::always;
  BOOST_TEST(wants_color(s));
  s.choice = ColorChoice::never;
  BOOST_TEST(!wants_color(s));
  BOOST_TEST(wants_color({ColorChoice::automatic, {}, {}, "3", "dumb", false}));
}

BOOST_AUTO_TEST_CASE(no_colour_means_no_escape) {
  BOOST_TEST(Style{}(Ink::red, "x") == "x");
  BOOST_TEST(Style{true}(Ink::red, "x") == "\x1b[31mx\x1b[0m");
  BOOST_TEST(Style{true}(Ink::plain, "x") == "x");
}

BOOST_AUTO_TEST_CASE(every_state_has_a_glyph) {
  for (int i = 0; i < task_state_count; ++i) BOOST_TEST(!glyph(static_cast<TaskState>(i)).empty());
  for (int i = 0; i <= static_cast<int>(RunState::interrupted); ++i)
    BOOST_TEST(!glyph(static_cast<RunState>(i)).empty());
  BOOST_TEST(glyph(TaskState::cached) == "≡");
  BOOST_TEST(glyph(TaskState::skipped) == "–");
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE_END()
