#include <boost/test/unit_test.hpp>

#include <rapidcheck.h>

#include "cli/progress_view.hpp"
#include "cli/terminal.hpp"
#include "cli/text.hpp"
#include "tests/cli/goldens.hpp"

BOOST_AUTO_TEST_SUITE(progress_view)

using namespace reprise;
using namespace reprise::cli;
using namespace reprise::cli::test;
using std::chrono::milliseconds;

namespace {

/// fetch and align over three samples, merge, report; as in the documentation.
ProgressView sample() {
  ProgressView view(nodes({"fetch", "align", "merge", "report"}, 2), start);
  view.apply(batch({expanded(0, {"s1", "s2", "s3"}), expanded(1, {"s1", "s2", "s3"})}), nullptr);
  return view;
}

}  // namespace

BOOST_AUTO_TEST_CASE(the_region_shows_groups_running_tasks_and_a_bar) {
  ProgressView view = sample();
  view.apply(batch({hit(4), hit(5), hit(6), hit(7), hit(8), change(9, TaskState::running)}),
             nullptr);
  view.set_usual({{"align", std::chrono::seconds{65}},
                  {"merge", std::chrono::seconds{2}},
                  {"report", std::chrono::seconds{1}}},
                 1);
  BOOST_TEST(joined(view.render(start + std::chrono::seconds{43}, 80, 12, Style{})) ==
             "  ≡ fetch 3/3 cached   ▶ align 2/3 (2 cached)   · merge   · report\n"
             "  ▶ align[s3]  00:43  ~1m 05s usual\n"
             "  ━━━━━━━━━━━━━━━━━━━━━━━━━───────────────  5/8  elapsed 00:43  left ~25.0 s\n");
}

BOOST_AUTO_TEST_CASE(the_time_left_is_not_shown_when_one_task_is_unknown) {
  ProgressView view(nodes({"a", "b"}), start);
  view.set_usual({{"a", std::chrono::seconds{5}}}, 1);
  BOOST_TEST(view.render(start, 80, 12, Style{}).back().find("left") == std::string::npos);
}

BOOST_AUTO_TEST_CASE(names_are_escaped_and_wide_characters_counted) {
  ProgressView view(nodes({"\x1b[2Jwipe", "読み込み", "__proto__"}), start);
  view.apply(batch({change(0, TaskState::running), change(1, TaskState::running, milliseconds{5})}),
             nullptr);
  const auto lines = view.render(start + std::chrono::seconds{1}, 60, 12, Style{});
  BOOST_TEST(joined(lines) ==
             "  ▶ \\x1b[2Jwipe   ▶ 読み込み   · __proto__\n"
             "  ▶ \\x1b[2Jwipe  00:01\n"
             "  ▶ 読み込み  00:00\n"
             "  ─────────────────────────────────────  0/3  elapsed 00:01\n");
  for (const std::string& line : lines) {
    BOOST_TEST(line.find('\x1b') == std::string::npos);
    BOOST_TEST(display_width(line) <= 59u);
  }
}

BOOST_AUTO_TEST_CASE(no_line_is_wider_than_the_terminal_whatever_the_names) {
  BOOST_TEST(rc::check([](const std::vector<std::string>& names, std::size_t columns,
                          std::size_t rows, bool colored) {
    std::vector<std::string> distinct;
    for (std::size_t i = 0; i < names.size(); ++i) distinct.push_back(names[i] + std::to_string(i));
    if (distinct.empty()) distinct.emplace_back("only");
    ProgressView view(nodes(distinct), start);
    std::vector<journal::TaskChange> changes;
    for (std::uint32_t i = 0; i < distinct.size(); i += 2)
      changes.push_back(change(i, TaskState::running));
    view.apply(batch(changes), nullptr);
    const std::size_t width = 4 + columns % 200, height = rows % 30;
    const auto lines = view.render(start + std::chrono::seconds{7}, width, height, Style{colored});
    RC_ASSERT(lines.size() <= height);
    for (const std::string& line : lines) {
      RC_ASSERT(visible_width(line) < width);
      if (!colored) RC_ASSERT(line.find('\x1b') == std::string::npos);
      RC_ASSERT(line.find('\n') == std::string::npos);
    }
  }));
}

BOOST_AUTO_TEST_CASE(a_map_over_nothing_is_no_task) {
  ProgressView view(nodes({"none", "after"}), start);
  view.apply(batch({expanded(0, {})}), nullptr);
  BOOST_TEST(view.counts().total == 1u);
  std::vector<TaskNews> news;
  view.apply(batch({ran(1, TaskState::success, std::chrono::seconds{1})}), &news);
  BOOST_REQUIRE(news.size() == 1u);
  BOOST_TEST(news[0].done == 1u);
  BOOST_TEST(news[0].total == 1u);
}

BOOST_AUTO_TEST_CASE(many_groups_are_summed_up) {
  std::vector<std::string> names;
  for (int i = 0; i < 100; ++i) names.push_back("t" + std::to_string(i));
  ProgressView view(nodes(names), start);
  std::vector<journal::TaskChange> changes;
  for (std::uint32_t i = 0; i < 20; ++i)
    changes.push_back(change(i, TaskState::running, milliseconds{i}));
  changes.push_back(hit(30));
  changes.push_back(ran(31, TaskState::failed, std::chrono::seconds{1}, "exit 2"));
  view.apply(batch(changes), nullptr);
  const auto lines = view.render(start + std::chrono::seconds{1}, 80, 12, Style{});
  BOOST_REQUIRE(lines.size() == 11u);
  BOOST_TEST(lines.front() == "  ≡ 1 cached  ✗ 1 failed  ▶ 20 running  · 78 waiting");
  BOOST_TEST(lines[1] == "  ▶ t0  00:01");
  BOOST_TEST(lines[9] == "  … 12 more running");
}

BOOST_AUTO_TEST_CASE(a_low_window_shows_the_bar_alone) {
  ProgressView view = sample();
  BOOST_TEST(joined(view.render(start, 40, 2, Style{})) ==
             "  ─────────────────  0/8  elapsed 00:00\n");
  BOOST_TEST(view.render(start, 40, 2, Style{}).size() == 1u);
  BOOST_TEST(view.render(start, 40, 0, Style{}).empty());
}

BOOST_AUTO_TEST_CASE(an_expanded_task_is_counted_by_its_elements) {
  ProgressView view(nodes({"m", "n"}), start);
  BOOST_TEST(view.counts().total == 2u);
  view.apply(batch({expanded(0, {"a", "b", "c"})}), nullptr);
  BOOST_TEST(view.counts().total == 4u);
  BOOST_TEST(view.counts().done() == 0u);
  std::vector<TaskNews> news;
  view.apply(batch({ran(2, TaskState::success, std::chrono::seconds{1}),
                    ran(4, TaskState::failed, std::chrono::seconds{1}, "exit 1")}),
             &news);
  BOOST_TEST(view.counts().success == 1u);
  BOOST_TEST(view.counts().failed == 1u);
  BOOST_REQUIRE(news.size() == 2u);
  BOOST_TEST(news[0].name == "m[a]");
  BOOST_TEST(news[0].done == 1u);
  BOOST_TEST(news[1].name == "m[c]");
  BOOST_TEST(news[1].done == 2u);
  BOOST_TEST(news[1].total == 4u);
}

BOOST_AUTO_TEST_CASE(counts_follow_a_task_through_its_states) {
  ProgressView view(nodes({"a"}, 2), start);
  view.apply(batch({change(0, TaskState::ready)}), nullptr);
  BOOST_TEST(view.counts().ready == 1u);
  view.apply(batch({change(0, TaskState::running)}), nullptr);
  BOOST_TEST(view.counts().ready == 0u);
  BOOST_TEST(view.counts().running == 1u);
  std::vector<TaskNews> news;
  view.apply(batch({ran(0, TaskState::retrying, std::chrono::seconds{1}, "exit 2")}), &news);
  BOOST_TEST(view.counts().running == 0u);
  BOOST_TEST(view.counts().waiting() == 1u);
  BOOST_TEST(news.size() == 1u);
  BOOST_TEST(news[0].done == 0u);
  view.apply(
      batch({change(0, TaskState::running), ran(0, TaskState::success, std::chrono::seconds{1})}),
      &news);
  BOOST_TEST(view.counts().success == 1u);
  BOOST_TEST(view.counts().running == 0u);
  BOOST_TEST(view.counts().done() == 1u);
}

BOOST_AUTO_TEST_CASE(a_stored_result_is_a_success_and_a_hit_is_cached) {
  ProgressView view(nodes({"a", "b"}), start);
  journal::TaskChange stored = ran(0, TaskState::cached, milliseconds{1500});
  stored.cache = journal::CacheOutcome::stored;
  std::vector<TaskNews> news;
  view.apply(batch({stored, hit(1)}), &news);
  BOOST_TEST(view.counts().success == 1u);
  BOOST_TEST(view.counts().cached == 1u);
  BOOST_TEST(counter_line(news[0], Style{}) == "[1/2] ✓ success    a  1.5 s");
  BOOST_TEST(
      counter_line(news[1], Style{}).starts_with("[2/2] ≡ cached     b  from run 01JD4Q7ZK8 (20"));
}

BOOST_AUTO_TEST_CASE(a_failed_attempt_says_what_happens_next) {
  TaskNews news;
  news.name = "align[s3]";
  news.state = TaskState::retrying;
  news.attempt = 1;
  news.attempts = 3;
  news.duration = milliseconds{52100};
  news.message = "exit 2";
  news.retry_in = std::chrono::seconds{5};
  news.done = 6;
  news.total = 8;
  BOOST_TEST(counter_line(news, Style{}) ==
             "[6/8] ✗ failed     align[s3]  52.1 s  exit 2, attempt 1/3, retry in 5.0 s");
  BOOST_TEST(joined(failure_block(news, {"aligner: reads.fq: truncated", "tab\there \x1b[31mred"},
                                  "01JD4Q7ZK8", Style{})) ==
             "✗ align[s3]  failed  exit 2  attempt 1/3  after 52.1 s  retry in 5.0 s\n"
             "    aligner: reads.fq: truncated\n"
             "    tab\there \\x1b[31mred\n"
             "    logs: reprise logs 01JD4Q7ZK8 'align[s3]'\n");
}

BOOST_AUTO_TEST_CASE(the_heartbeat_counts_what_is_open) {
  ProgressView view(nodes({"a", "b", "c"}), start);
  view.apply(batch({change(0, TaskState::running), change(1, TaskState::running)}), nullptr);
  BOOST_TEST(view.heartbeat(start + std::chrono::seconds{150}) ==
             "… 2 running, 1 waiting, 02:30 elapsed");
}

BOOST_AUTO_TEST_CASE(clocks_count_up) {
  BOOST_TEST(clock_text(std::chrono::seconds{0}) == "00:00");
  BOOST_TEST(clock_text(std::chrono::seconds{61}) == "01:01");
  BOOST_TEST(clock_text(std::chrono::seconds{3725}) == "1:02:05");
}

BOOST_AUTO_TEST_CASE(names_become_words_of_a_command_line) {
  BOOST_TEST(shell_word("align") == "align");
  BOOST_TEST(shell_word("align[s3]") == "'align[s3]'");
  BOOST_TEST(shell_word("it's") == "'it'\\''s'");
  BOOST_TEST(shell_word("") == "''");
}

BOOST_AUTO_TEST_CASE(ten_thousand_tasks_are_taken_in_within_a_moment) {
  std::vector<std::string> names;
  for (int i = 0; i < 10'000; ++i) names.push_back("t" + std::to_string(i));
  ProgressView view(nodes(names), start);
  const auto begin = std::chrono::steady_clock::now();
  std::vector<TaskNews> news;
  for (std::uint32_t i = 0; i < 10'000; ++i)
    view.apply(batch({change(i, TaskState::running), ran(i, TaskState::success, milliseconds{1})}),
               &news);
  const auto took = std::chrono::steady_clock::now() - begin;
  BOOST_TEST(view.counts().done() == 10'000u);
  BOOST_TEST(news.size() == 10'000u);
  BOOST_TEST(std::chrono::duration<double>(took).count() <
             1.0);  // about 10 ms; a quadratic step would take minutes
}

BOOST_AUTO_TEST_CASE(tasks_cancelled_for_one_reason_are_one_line) {
  const auto item = [](std::string name, TaskState state, std::string message,
                       std::uint32_t attempt, std::uint64_t done) {
    TaskNews news;
    news.name = std::move(name);
    news.state = state;
    news.message = std::move(message);
    news.attempt = attempt;
    news.done = done;
    news.total = 9;
    return news;
  };
  std::vector<TaskNews> news{item("a", TaskState::cancelled, "disk full", 1, 3),
                             item("b", TaskState::cancelled, "disk full", 0, 4),
                             item("c", TaskState::success, "", 1, 5),
                             item("d", TaskState::cancelled, "disk full", 0, 6),
                             item("e", TaskState::cancelled, "enough", 0, 7),
                             item("f", TaskState::cancelled, "disk full", 0, 8)};
  join_cancelled(news);
  BOOST_REQUIRE(news.size() == 4u);  // the one that ran is told by itself
  BOOST_TEST(counter_line(news[0], Style{}) == "[3/9] ⊘ cancelled  a  disk full");
  BOOST_TEST(counter_line(news[1], Style{}) == "[8/9] ⊘ cancelled  3 tasks  disk full");
  BOOST_TEST(counter_line(news[3], Style{}) == "[7/9] ⊘ cancelled  e  enough");
  BOOST_TEST(finished_line(news[1], Style{}) == "⊘ 3 tasks  cancelled  disk full");
}

BOOST_AUTO_TEST_SUITE_END()
