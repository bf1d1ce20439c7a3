#include <boost/test/unit_test.hpp>

#include <chrono>

#include "cli/flow_picture.hpp"
#include "cli/markup.hpp"
#include "core/text.hpp"
#include "tests/cli/goldens.hpp"

BOOST_AUTO_TEST_SUITE(flow_picture)

using namespace reprise;
using namespace reprise::cli;
using namespace reprise::cli::test;

namespace {

/// a → b → d, a → c → d (c and d only wait), and a value of a for d twice.
FlowSpec diamond() {
  FlowBuilder builder("diamond");
  const std::uint32_t kind = builder.add_kind({});
  const NodeId a = builder.add_node("a", kind);
  const NodeId b = builder.add_node("b", kind);
  builder.add_upstream("x", a, {.mapped = true});
  const NodeId c = builder.add_node("c", kind);
  builder.add_state_only(a);
  builder.add_node("d", kind);
  builder.add_upstream("b", b);
  builder.add_state_only(c);
  builder.add_state_only(a);
  builder.add_upstream("a", a);
  return std::move(builder).finish().value();
}

std::size_t occurrences(const std::string& text, const std::string& part) {
  std::size_t n = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++n;
  return n;
}

}  // namespace

BOOST_AUTO_TEST_CASE(two_nodes_are_joined_by_one_line_that_says_whether_a_value_goes_along) {
  const FlowPicture picture = picture_of(diamond());
  const std::vector<FlowPicture::Line> expected{{0, 1, true, false},
                                                {0, 2, false, false},
                                                {0, 3, true, false},
                                                {1, 3, true, false},
                                                {2, 3, false, false}};
  BOOST_TEST((picture.lines == expected));
  BOOST_TEST(to_line(graph_json(picture, nullptr, nullptr)["edges"][1]) ==
             R"({"from":"a","to":"c","value":false,"elementwise":false})");
  BOOST_TEST(to_line(graph_json(picture, nullptr, nullptr)["groups"][1]) ==
             R"({"group":"b","body":"pass","mapped":true,"states":null})");
}

BOOST_AUTO_TEST_CASE(a_box_stands_right_of_all_that_it_waits_for) {
  BOOST_TEST((columns_of(picture_of(diamond())) == std::vector<std::uint32_t>{0, 1, 1, 2}));
}

BOOST_AUTO_TEST_CASE(dot_has_a_node_for_each_group_and_dashes_where_no_value_goes_along) {
  BOOST_TEST(to_dot(picture_of(diamond())) ==
             "digraph \"diamond\" {\n"
             "  rankdir=LR;\n"
             "  node [shape=box, style=\"rounded,filled\", fillcolor=\"#ffffff\", "
             "fontname=\"monospace\"];\n"
             "  n0 [label=\"a\", fillcolor=\"#ffffff\"];\n"
             "  n1 [label=\"b\\nmapped\", fillcolor=\"#ffffff\", peripheries=2];\n"
             "  n2 [label=\"c\", fillcolor=\"#ffffff\"];\n"
             "  n3 [label=\"d\", fillcolor=\"#ffffff\"];\n"
             "  n0 -> n1;\n"
             "  n0 -> n2 [style=dashed];\n"
             "  n0 -> n3;\n"
             "  n1 -> n3;\n"
             "  n2 -> n3 [style=dashed];\n"
             "}");
}

BOOST_AUTO_TEST_CASE(of_a_run_a_group_says_how_many_of_its_tasks_are_where) {
  journal::RunView view(nodes({"a", "b"}));
  const auto one = batch({expanded(0, {"x", "y", "z"}), change(1, TaskState::skipped)});
  BOOST_REQUIRE(view.apply(one));
  BOOST_REQUIRE(view.apply(batch({hit(2), ran(3, TaskState::failed, std::chrono::seconds{1})})));
  const FlowPicture picture = picture_of(view);
  BOOST_TEST(
      to_line(graph_json(picture, nullptr, nullptr)["groups"][0]["states"]) ==
      R"({"success":0,"cached":1,"failed":1,"running":0,"waiting":1,"cancelled":0,"skipped":0})");
  const std::string dot = to_dot(picture);
  BOOST_TEST(dot.find("label=\"a\\n≡ 1  ✗ 1  · 1\", fillcolor=\"#ffcdd2\"") != std::string::npos,
             dot);
  const std::string svg = to_svg(picture);
  BOOST_TEST(occurrences(svg, "class=\"box\"") == 2u);
  BOOST_TEST(occurrences(svg, "<rect class=\"bad\"") == 1u);
}

BOOST_AUTO_TEST_CASE(names_are_data_in_every_format) {
  const auto odd = nodes({"</text><script>alert(1)</script>", "a\"];x", "back\\slash", "\x1b[31m",
                          "\xff\xfe", "two\nlines"});
  const FlowPicture picture = picture_of(*odd);
  const std::string svg = to_svg(picture);
  BOOST_TEST(svg.find("<script>") == std::string::npos);
  BOOST_TEST(svg.find('\x1b') == std::string::npos);
  BOOST_TEST(is_utf8(svg));
  const std::string dot = to_dot(picture);
  BOOST_TEST(dot.find(R"(label="a\"];x")") != std::string::npos, dot);
  BOOST_TEST(dot.find(R"(label="back\\slash")") != std::string::npos, dot);
  BOOST_TEST(dot.find(R"(label="two\\nlines")") != std::string::npos, dot);
  BOOST_TEST(is_utf8(dot));
  BOOST_TEST(markup_text("<a href=\"x\">'&") == "&lt;a href=&quot;x&quot;&gt;&#39;&amp;");
}

BOOST_AUTO_TEST_CASE(a_large_flow_takes_time_in_proportion_to_it) {
  constexpr std::uint32_t width = 100'000;
  FlowBuilder builder("wide");
  const std::uint32_t kind = builder.add_kind({});
  for (std::uint32_t i = 0; i < width; ++i) builder.add_node("n" + std::to_string(i), kind);
  builder.add_node("all", kind);
  for (std::uint32_t i = 0; i < width; ++i)
    builder.add_upstream("x", NodeId{i}, {.gathered = true});
  const FlowSpec flow = std::move(builder).finish().value();
  const auto begin = std::chrono::steady_clock::now();
  const FlowPicture picture = picture_of(flow);
  BOOST_TEST(picture.lines.size() == width);
  BOOST_TEST(to_dot(picture).size() > width);
  BOOST_TEST(to_svg(picture).size() > width);
  BOOST_TEST(((std::chrono::steady_clock::now() - begin) < std::chrono::seconds{30}));
}

BOOST_AUTO_TEST_CASE(an_empty_flow_is_a_picture_too) {
  const FlowPicture none;
  BOOST_TEST(to_svg(none).starts_with("<svg"));
  BOOST_TEST(to_dot(none).ends_with("}"));
}

BOOST_AUTO_TEST_SUITE_END()
