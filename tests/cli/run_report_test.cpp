#include <boost/test/unit_test.hpp>

#include <chrono>

#include "cli/recorded_outputs.hpp"
#include "cli/run_report.hpp"
#include "core/text.hpp"
#include "tests/cli/goldens.hpp"

BOOST_AUTO_TEST_SUITE(run_report)

using namespace reprise;
using namespace reprise::cli;
using namespace reprise::cli::test;
using std::chrono::milliseconds;

namespace {

std::string page_of(const AttemptHistory& history, RunState state,
                    std::vector<RunReport::Failure> failures = {},
                    std::map<std::string, Payload> outputs = {}) {
  journal::RunRow row;
  row.id = run_id;
  row.flow_name = "<b>genomes</b>";
  row.submitted = start;
  row.submitted_by = "ana@\"build\"";
  const RecordedRun run(std::move(row), state, history, start + std::chrono::seconds{9});
  RunReport report{.run = run,
                   .made = start + std::chrono::seconds{9},
                   .failures = std::move(failures),
                   .outputs = std::move(outputs)};
  return report_page(report);
}

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

BOOST_AUTO_TEST_CASE(whatever_a_run_holds_is_text_on_its_page) {
  const std::string bad = "<script>alert(1)</script>\x1b[31m\xff\"'&";
  AttemptHistory history(nodes({"__proto__", bad, "../x"}));
  BOOST_REQUIRE(history.apply(
      batch({ran(1, TaskState::failed, std::chrono::seconds{2}, bad + "\nsecond line"), hit(0)})));
  const std::string page =
      page_of(history, RunState::failed, {{TaskId{1}, {bad, "a\tb"}, true}},
              {{bad, Payload::of(Value(bad + "\nlines")).value_or(Payload::nil())},
               {"text", Payload::of(Value("<i>\nlines")).value()}});
  BOOST_TEST(is_utf8(page));
  BOOST_TEST(!has(page, "<script"));
  BOOST_TEST(!has(page, "<b>genomes"));
  BOOST_TEST(!has(page, "<i>\n"));
  BOOST_TEST(!has(page, "\x1b"));
  BOOST_TEST(has(page, "&lt;script&gt;alert(1)&lt;/script&gt;\\x1b[31m"));
  BOOST_TEST(has(page, "&lt;i&gt;\nlines"));
  BOOST_TEST(has(page, "a    b"));
  BOOST_TEST(has(page, "ana@&quot;build&quot;"));
  // Tags that open are closed again, as far as a look without a parser tells.
  for (const char* tag : {"div", "table", "tbody", "tr", "td", "dl", "pre", "svg", "header"}) {
    const auto occurrences = [&](const std::string& part) {
      std::size_t n = 0;
      for (std::size_t at = page.find(part); at != std::string::npos; at = page.find(part, at + 1))
        ++n;
      return n;
    };
    const std::string name(tag);
    BOOST_TEST(occurrences("<" + name + ">") + occurrences("<" + name + " ") ==
                   occurrences("</" + name + ">"),
               name);
  }
}

BOOST_AUTO_TEST_CASE(a_run_that_goes_on_says_so) {
  AttemptHistory history(nodes({"a", "b"}));
  journal::TaskChange running = change(0, TaskState::running, milliseconds{10});
  running.run_count = 1;
  BOOST_REQUIRE(history.apply(batch({running})));
  const std::string page = page_of(history, RunState::running);
  BOOST_TEST(has(page, "It was not finished when this page was made"));
  BOOST_TEST(has(page, "so far"));
  BOOST_TEST(has(page, "▶ running 1"));
  BOOST_TEST(has(page_of(history, RunState::interrupted), "reprise resume 01JD4Q7ZK8"));
}

BOOST_AUTO_TEST_CASE(a_run_that_did_nothing_is_a_page_too) {
  const AttemptHistory history(nodes({}));
  const std::string page = page_of(history, RunState::success);
  BOOST_TEST(page.starts_with("<!doctype html>"));
  BOOST_TEST(!has(page, "Critical path"));
  BOOST_TEST(!has(page, "Slowest"));
}

BOOST_AUTO_TEST_CASE(a_large_run_makes_no_large_page) {
  constexpr std::uint32_t count = 100'000;
  AttemptHistory history(nodes({"all"}));
  journal::TaskChange many = change(0, TaskState::mapped);
  many.detail.emplace();
  many.detail->width = count;
  BOOST_REQUIRE(history.apply(batch({many})));
  for (std::uint32_t i = 1; i <= count; ++i)
    BOOST_REQUIRE(history.apply(batch({ran(i, TaskState::success, milliseconds{i % 1000})})));
  const auto begin = std::chrono::steady_clock::now();
  BOOST_TEST(page_of(history, RunState::success).size() < 100'000u);
  BOOST_TEST(((std::chrono::steady_clock::now() - begin) < std::chrono::seconds{30}));
}

BOOST_AUTO_TEST_CASE(outputs_are_made_again_from_what_the_journal_has) {
  FlowBuilder builder("outputs");
  const std::uint32_t kind = builder.add_kind({});
  const NodeId one = builder.add_node("one", kind);
  const NodeId many = builder.add_node("many", kind);
  builder.add_constant("over", Payload::of(Value(1)).value(), {.mapped = true});
  const NodeId lost = builder.add_node("lost", kind);
  const auto node_output = [&](std::string name, NodeId node) {
    Output output;
    output.name = std::move(name);
    output.kind = Output::Kind::node;
    output.node = node;
    builder.add_output(std::move(output));
  };
  node_output("one", one);
  node_output("many", many);
  node_output("lost", lost);
  Output text;
  text.name = "text";
  text.text.text = "${{ one }} of ${{ params.who }}";
  builder.add_output(text);
  text.name = "never";
  text.text.text = "${{ lost }}";
  builder.add_output(text);
  const auto flow = std::make_shared<const FlowSpec>(std::move(builder).finish().value());

  journal::RunView view(flow);
  const auto with = [](journal::TaskChange c, Value value) {
    c.result = Payload::of(value).value();
    return c;
  };
  BOOST_REQUIRE(view.apply(batch({expanded(1, {"a", "b"})})));
  BOOST_REQUIRE(view.apply(batch({with(ran(0, TaskState::success, std::chrono::seconds{1}), "x"),
                                  with(ran(3, TaskState::success, std::chrono::seconds{1}), 3),
                                  with(ran(4, TaskState::success, std::chrono::seconds{1}), 4),
                                  ran(2, TaskState::failed, std::chrono::seconds{1})})));
  const auto outputs = recorded_outputs(view, {{"who", Payload::of(Value("ana")).value()}});
  BOOST_TEST(outputs.size() == 3u);
  BOOST_TEST(to_json(*outputs.at("one").value()) == "\"x\"");
  BOOST_TEST(to_json(*outputs.at("many").value()) == "[3,4]");
  BOOST_TEST(to_json(*outputs.at("text").value()) == "\"x of ana\"");
}

BOOST_AUTO_TEST_SUITE_END()
