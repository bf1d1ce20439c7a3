// The real program: `graph`, `trace`, `report` and `top`.
#include <boost/test/unit_test.hpp>

#include <csignal>

#include "tests/cli/program.hpp"
#include "tests/cli/schema_check.hpp"
#include "tests/cli/trace_check.hpp"

BOOST_AUTO_TEST_SUITE(pictures_program_tests)

using namespace reprise::cli::test;
using Json = nlohmann::json;

namespace {

constexpr const char* mixed_flow = R"(version: 1
name: mixed
params: {names: {type: list, default: [a, b, "<script>"]}}
tasks:
  fetch: {map: {over: "${{ params.names }}", as: s}, run: [echo, "${{ s }}"], cache: true}
  merge: {needs: [fetch], shell: "echo together", cache: true}
  broken: {needs: [merge], shell: "echo '<b>first line</b>' >&2; echo second >&2; exit 3", retry: {max: 1}}
  after: {needs: [broken], run: ["true"]}
outputs: {said: "${{ merge.stdout }}"}
)";
constexpr const char* slow_flow = R"(version: 1
name: slow
tasks:
  before: {run: ["true"]}
  wait: {needs: [before], run: [sleep, "60"]}
)";

struct Filled : Home {
  Filled() {
    write("mixed.yaml", mixed_flow);
    write("slow.yaml", slow_flow);
    BOOST_REQUIRE_EQUAL(run({"run", "mixed.yaml"}).code, 1);
    BOOST_REQUIRE_EQUAL(run({"run", "mixed.yaml"}).code, 1);
  }
};

Json parsed(const std::string& text) {
  Json document = Json::parse(text, nullptr, false);
  BOOST_REQUIRE_MESSAGE(!document.is_discarded(), text);
  return document;
}

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

BOOST_FIXTURE_TEST_SUITE(pictures, Filled)

BOOST_AUTO_TEST_CASE(a_flow_and_a_run_are_drawn_in_every_format) {
  const Json flow = document_in(run({"graph", "mixed.yaml", "--json"}));
  BOOST_TEST(flow["run"].is_null());
  BOOST_TEST(flow["groups"].size() == 4u);
  BOOST_TEST(flow["groups"][0]["states"].is_null());
  BOOST_TEST(flow["edges"].size() == 3u);
  const Json of_run = document_in(run({"graph", "last", "--format", "json"}));
  BOOST_TEST(of_run["state"] == "failed");
  BOOST_TEST(of_run["groups"][0]["states"]["cached"] == 3);
  BOOST_TEST(run({"graph", "./mixed.yaml"}).out.starts_with("digraph \"mixed\" {"));
  BOOST_TEST(has(run({"graph", "last:mixed"}).out, "✗ 1"));
  BOOST_TEST(run({"graph", "last", "--format", "svg"}).out.starts_with("<svg"));
  BOOST_TEST(has(run({"plan", "mixed.yaml", "--graph", "dot"}).out, "≡ 3"));
  BOOST_TEST(run({"graph", "nosuch.yaml"}).code == 2);
  BOOST_TEST(run({"graph", "last:nosuch"}).code == 5);
  BOOST_TEST(run({"graph", "last", "--format", "png"}).code == 2);
}

BOOST_AUTO_TEST_CASE(a_trace_is_what_viewers_take) {
  const Json chrome = parsed(run({"trace", "last"}).out);
  BOOST_TEST(trace_violation(chrome) == "");
  std::size_t slices = 0;
  for (const Json& event : chrome["traceEvents"]) slices += event["ph"] == "X";
  BOOST_TEST(slices == 7u);  // four hits, two attempts, one that was not to run
  const Json otlp = parsed(run({"trace", "last", "--format", "otlp"}).out);
  const Json& spans = otlp["resourceSpans"][0]["scopeSpans"][0]["spans"];
  BOOST_TEST(spans.size() == 8u);
  std::size_t links = 0;
  for (const Json& span : spans)
    if (span.contains("links")) links += span["links"].size();
  BOOST_TEST(links == 4u);  // of the hits to the attempts that made them
}

BOOST_AUTO_TEST_CASE(what_is_made_goes_into_a_file_when_one_is_named) {
  const Finished said = run({"trace", "last", "-o", "trace.json"});
  BOOST_TEST(said.code == 0);
  BOOST_TEST(said.out == "");
  BOOST_TEST(has(said.err, "→ trace.json"));
  BOOST_TEST(trace_violation(parsed(read("trace.json"))) == "");
  const Json told = document_in(run({"report", "last", "-o", "report.html", "--json"}));
  BOOST_TEST(told["format"] == "html");
  BOOST_TEST(told["size_bytes"] == read("report.html").size());
  // The same once more takes the place of the first.
  BOOST_TEST(run({"report", "last", "-o", "report.html"}).code == 0);
  BOOST_TEST(run({"report", "last", "-o", "/dev/null"}).code == 0);
  BOOST_TEST(run({"trace", "last", "-o", "no/such/folder"}).code != 0);
  BOOST_TEST(run({"trace", "last", "--json"}).code == 2);
  BOOST_TEST(run({"trace", "last"}, Wiring::closed_stdout).code == 128 + SIGPIPE);
}

BOOST_AUTO_TEST_CASE(a_report_tells_all_and_runs_nothing) {
  const std::string page = run({"report", "last"}).out;
  BOOST_TEST(page.starts_with("<!doctype html>"));
  for (const char* part :
       {"mixed", "✗ failed", "fetch[&lt;script&gt;]", "&lt;b&gt;first line&lt;/b&gt;\nsecond",
        "Critical path", "Slowest tasks", "Saved <b>", "<dt class=\"mono\">said</dt>", "together",
        "attempt 2", "<svg"})
    BOOST_TEST(has(page, part), part);
  for (const char* part : {"<script", "<b>first", "src=", "href=", "url(http", "\x1b"})
    BOOST_TEST(!has(page, part), part);
}

BOOST_AUTO_TEST_CASE(runs_that_go_on_or_were_interrupted_are_shown_as_far_as_they_are) {
  auto going = start({"run", "slow.yaml", "--progress", "counter"});
  BOOST_REQUIRE(going->shows("before"));
  std::string page;
  for (int i = 0; i < 100 && !has(page, "▶ running 1"); ++i)
    page = run({"report", "last:slow"}).out;
  BOOST_TEST(has(page, "It was not finished when this page was made"));
  BOOST_TEST(has(page, "▶ running 1"));
  const Json open = parsed(run({"trace", "last:slow"}).out);
  BOOST_TEST(trace_violation(open) == "");
  BOOST_TEST(has(open.dump(), "\"unfinished\":true"));
  going->send(SIGKILL);
  going->wait();
  BOOST_TEST(has(run({"report", "last:slow"}).out, "reprise resume"));
  BOOST_TEST(trace_violation(parsed(run({"trace", "last:slow"}).out)) == "");
  BOOST_TEST(document_in(run({"graph", "last:slow", "--json"}))["state"] == "interrupted");
}

BOOST_AUTO_TEST_CASE(top_takes_the_screen_and_gives_it_back) {
  auto going = start({"run", "slow.yaml", "--progress", "counter"});
  BOOST_REQUIRE(going->shows("before"));
  auto top = start({"top"}, Wiring::terminal);
  BOOST_REQUIRE(top->shows("1 run under way"));
  BOOST_TEST(top->shows("slow"));
  top->send(SIGTERM);
  const Finished left = top->wait();
  BOOST_TEST(left.code == 128 + SIGTERM);
  BOOST_TEST(has(left.out, "\x1b[?1049h"));
  BOOST_TEST(left.out.ends_with("\x1b[?1049l\x1b[?25h"), left.out);
  going->send(SIGKILL);
  going->wait();
}

BOOST_AUTO_TEST_CASE(top_without_a_screen_prints_lines_until_nothing_runs) {
  BOOST_TEST(has(run({"top"}).err, "nothing runs"));
  BOOST_TEST(document_in(run({"top", "--json"}))["runs"].empty());
  auto going = start({"run", "slow.yaml", "--progress", "counter"});
  BOOST_REQUIRE(going->shows("before"));
  auto top = start({"top"});
  BOOST_REQUIRE(top->shows("▶ running"));
  BOOST_TEST(run({"cancel", "last:slow"}).code == 0);
  going->wait();
  const Finished told = top->wait();
  BOOST_TEST(told.code == 0);
  BOOST_TEST(has(told.out, "⊘ cancelled"), told.out);
  BOOST_TEST(!has(told.out, "\x1b"));
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE_END()
