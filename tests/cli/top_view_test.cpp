#include <boost/test/unit_test.hpp>

#include "cli/terminal.hpp"
#include "cli/text.hpp"
#include "cli/top_view.hpp"
#include "tests/cli/goldens.hpp"

BOOST_AUTO_TEST_SUITE(top_view_tests)

using namespace reprise;
using namespace reprise::cli;
using namespace reprise::cli::test;
using Kind = KeyPress::Kind;
using Page = TopView::Page;

namespace {

KeyPress letter(std::string text) {
  return {Kind::text, std::move(text)};
}

const RunId other_run = RunId::parse("01JD4Q7ZK90000000000000000").value();

/// One run that goes on with three tasks, and a finished one.
struct Shown {
  Shown() {
    journal::RunView view(nodes({"fetch", "align", "merge"}));
    journal::TaskChange running = change(1, TaskState::running);
    running.run_count = 2;
    journal::TaskChange failed = ran(2, TaskState::failed, std::chrono::seconds{3}, "exit 3\nmore");
    BOOST_REQUIRE(view.apply(batch({hit(0), running, failed})));
    TopData::Run finished;
    finished.row.id = other_run;
    finished.row.flow_name = "nightly";
    finished.row.submitted = start;
    finished.row.finished = start + std::chrono::seconds{62};
    finished.state = RunState::success;
    finished.tasks = StateColumns{.success = 1204};
    TopData::Run going;
    going.row.id = run_id;
    going.row.flow_name = "genomes";
    going.row.submitted = start;
    going.state = RunState::running;
    going.tasks = columns_of(view.counts(), view.summary().cached);
    data.runs = {finished, going};
    data.view = std::make_shared<const journal::RunView>(std::move(view));
    data.view_run = run_id;
    data.place = "/data";
  }
  std::string draw(std::size_t columns = 100, std::size_t rows = 12) {
    const auto lines = top.render(data, start + std::chrono::seconds{41}, columns, rows, {});
    BOOST_TEST(lines.size() <= rows);
    for (const std::string& line : lines) BOOST_TEST(display_width(line) <= columns, line);
    return joined(lines);
  }
  bool shows(const std::string& text) { return draw().find(text) != std::string::npos; }
  TopView::Wish press(const KeyPress& key) { return top.press(key, data); }

  TopData data;
  TopView top;
};

}  // namespace

BOOST_FIXTURE_TEST_SUITE(top_view, Shown)

BOOST_AUTO_TEST_CASE(runs_that_go_on_stand_first) {
  const std::string screen = draw();
  BOOST_TEST(screen.find("1 run under way") != std::string::npos, screen);
  const std::size_t going = screen.find("▸  01JD4Q7ZK8  genomes  ▶ running");
  BOOST_TEST(going != std::string::npos, screen);
  BOOST_TEST(going < screen.find("nightly"), screen);
  BOOST_TEST(screen.find("00:41  ≡ 1  ✗ 1  ▶ 1") != std::string::npos, screen);
  BOOST_TEST(screen.find("01:02  ✓ 1,204") != std::string::npos, screen);
}

BOOST_AUTO_TEST_CASE(enter_opens_a_run_and_its_failed_tasks_stand_first) {
  press({Kind::enter});
  BOOST_TEST((top.page() == Page::tasks));
  BOOST_TEST((top.run() == run_id));
  const std::string screen = draw();
  BOOST_TEST(screen.find("✗ failed") < screen.find("▶ running"), screen);
  BOOST_TEST(screen.find("▶ running") < screen.find("≡ cached"), screen);
  BOOST_TEST(screen.find("exit 3") != std::string::npos);
  BOOST_TEST(screen.find("more") == std::string::npos);
  press({Kind::down});
  press({Kind::enter});
  BOOST_TEST((top.page() == Page::logs));
  BOOST_TEST((top.task() == TaskId{1}));
  data.log_task = TaskId{1};
  data.log = {"one", "two\x1b[31m"};
  BOOST_TEST(shows("two\\x1b[31m"));
  press({Kind::escape});
  BOOST_TEST((top.page() == Page::tasks));
  press({Kind::escape});
  BOOST_TEST((top.page() == Page::runs));
}

BOOST_AUTO_TEST_CASE(a_filter_leaves_what_is_called_so) {
  press(letter("/"));
  for (const char* c : {"N", "i", "g", "q"}) press(letter(c));  // q is a letter here
  BOOST_TEST(shows("no run is called so"));
  press({Kind::backspace});
  press({Kind::enter});
  BOOST_TEST(shows("nightly"));
  BOOST_TEST(!shows("genomes"));
  press({Kind::escape});
  BOOST_TEST(shows("genomes"));
}

BOOST_AUTO_TEST_CASE(cancelling_asks_first) {
  BOOST_TEST((press(letter("c")) == TopView::Wish{}));
  BOOST_TEST(shows("cancel run 01JD4Q7ZK8? y/n"));
  BOOST_TEST((press(letter("n")) == TopView::Wish{}));
  press(letter("c"));
  BOOST_TEST((press(letter("y")) == TopView::Wish{TopView::Wish::Kind::cancel, run_id.text(), ""}));
  press({Kind::enter});
  press({Kind::down});
  press(letter("c"));
  BOOST_TEST(shows("cancel task align and what depends on it? y/n"));
  BOOST_TEST(
      (press(letter("y")) == TopView::Wish{TopView::Wish::Kind::cancel, run_id.text(), "align"}));
  top.say("run 01JD4Q7ZK8: cancelling 1 task");
  BOOST_TEST(shows("cancelling 1 task"));
  BOOST_TEST((press(letter("q")).kind == TopView::Wish::Kind::quit));
}

BOOST_AUTO_TEST_CASE(what_is_chosen_stays_chosen_when_the_list_changes) {
  press({Kind::down});
  BOOST_TEST((top.run() == other_run));
  TopData::Run newer = data.runs[1];
  newer.row.id = RunId::parse("01JD4Q7ZKA0000000000000000").value();
  data.runs.insert(data.runs.begin(), newer);
  BOOST_TEST(shows("▸  01JD4Q7ZK9  nightly"));
}

BOOST_AUTO_TEST_CASE(a_long_list_is_shown_in_parts) {
  journal::TaskChange many = change(0, TaskState::mapped);
  many.detail.emplace();
  many.detail->width = 100'000;
  journal::RunView large(nodes({"all"}));
  BOOST_REQUIRE(large.apply(batch({many})));
  data.view = std::make_shared<const journal::RunView>(std::move(large));
  press({Kind::enter});
  BOOST_TEST(shows("all[0]"));
  press({Kind::end});
  BOOST_TEST(shows("▸  all[99999]"));
  press({Kind::page_up});
  BOOST_TEST(!shows("▸  all[99999]"));
  press({Kind::home});
  BOOST_TEST(shows("▸  all[0]"));
}

BOOST_AUTO_TEST_CASE(every_size_of_a_terminal_is_filled_and_no_more) {
  data.runs[0].row.flow_name = std::string(300, 'x') + "\x1b[2J日本語\xff";
  data.trouble = std::string(300, 't');
  data.workers = {std::string(300, 'w'), "two"};
  for (const Page page : {Page::runs, Page::tasks, Page::workers, Page::logs}) {
    press(letter(page == Page::runs      ? "r"
                 : page == Page::tasks   ? "t"
                 : page == Page::workers ? "w"
                                         : "l"));
    for (const std::size_t columns : {1, 5, 20, 80, 200})
      for (const std::size_t rows : {1, 2, 4, 5, 24}) {
        const std::string screen = draw(columns, rows);
        BOOST_TEST(screen.find('\x1b') == std::string::npos);
      }
  }
  const auto colored = top.render(data, start, 60, 10, Style{true});
  for (const std::string& line : colored) BOOST_TEST(visible_width(line) <= 60u);
}

BOOST_AUTO_TEST_CASE(keys_come_in_pieces) {
  std::string bytes = "q\x1b[A\x1bOB\x1b[5~\r\x7fé\x1b[";
  const std::vector<KeyPress> expected{letter("q"),     {Kind::up},    {Kind::down},
                                       {Kind::page_up}, {Kind::enter}, {Kind::backspace},
                                       letter("é")};
  BOOST_TEST((take_keys(bytes, false) == expected));
  BOOST_TEST(bytes == "\x1b[");
  bytes += "B";
  BOOST_TEST((take_keys(bytes, false) == std::vector<KeyPress>{{Kind::down}}));
  bytes = "\x1b";
  BOOST_TEST(take_keys(bytes, false).empty());
  BOOST_TEST((take_keys(bytes, true) == std::vector<KeyPress>{{Kind::escape}}));
  BOOST_TEST(bytes.empty());
  bytes = "\xff\xc3";
  for (const KeyPress& key : take_keys(bytes, true)) BOOST_TEST((key.kind == Kind::other));
  BOOST_TEST(bytes.empty());
}

BOOST_AUTO_TEST_CASE(tasks_of_another_run_are_not_taken_for_those_of_the_chosen_one) {
  press({Kind::down});
  press({Kind::enter});
  BOOST_TEST((top.run() == other_run));
  BOOST_TEST(shows("its tasks are not known yet"));
  BOOST_TEST(!shows("align"));
  press({Kind::enter});
  BOOST_TEST(!top.task());
}

BOOST_AUTO_TEST_CASE(what_is_old_says_so) {
  data.as_of = start + std::chrono::seconds{40};
  BOOST_TEST(!shows("no answer"));
  data.as_of = start + std::chrono::seconds{30};
  BOOST_TEST(shows("no answer for 00:11"));
}

BOOST_AUTO_TEST_CASE(only_lines_that_differ_are_written) {
  BOOST_TEST(screen_changes({"a", "b", "c"}, {"a", "x"}) ==
             "\x1b[2;1Hx\x1b[0m\x1b[K\x1b[3;1H\x1b[0m\x1b[K");
  BOOST_TEST(screen_changes({"a"}, {"a"}) == "");
}

BOOST_AUTO_TEST_CASE(without_a_screen_a_run_is_a_line) {
  BOOST_TEST(top_line(data.runs[1], {}) == "01JD4Q7ZK8  genomes  ▶ running  ≡ 1  ✗ 1  ▶ 1");
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE_END()
