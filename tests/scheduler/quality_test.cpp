// How good the order of tasks is, on graphs that others recorded, beside what is known of them.
#include <boost/test/unit_test.hpp>

#include <cstdlib>
#include <iostream>

#include "tests/support/flow_text.hpp"
#include "tests/support/schedule.hpp"

namespace reprise::test {

BOOST_AUTO_TEST_SUITE(schedule)
namespace {

std::vector<KnownGraph> graphs() {
  const char* shared = std::getenv("REPRISE_SHARED_DIR");
  const char* source = std::getenv("REPRISE_SOURCE_DIR");
  const std::filesystem::path folder =
      (shared != nullptr
           ? std::filesystem::path(shared)
           : std::filesystem::path(source != nullptr ? source : ".") / ".." / "shared") /
      "workflows";
  if (std::filesystem::exists(folder / "expected.tsv")) return known_graphs(folder);
  std::cout << "SKIPPED: " << folder.string()
            << " is absent; REPRISE_SHARED_DIR names the folder it is in\n";
  return {};
}

BOOST_AUTO_TEST_CASE(order_is_as_good_as_critical_path_first_on_recorded_graphs) {
  const std::vector<KnownGraph> all = graphs();
  if (all.empty()) return;
  double ratios = 0;
  std::size_t count = 0;
  for (const KnownGraph& graph : all) {
    for (const KnownGraph::Makespans& known : graph.known) {
      BOOST_TEST_CONTEXT(graph.file << " on " << known.processors) {
        const double took = makespan(graph.flow, known.processors);
        // Times in the table are rounded to a millisecond, and the flow's to a float.
        const double rounding = 1e-3 + 1e-5 * known.list;
        const double p = known.processors;
        BOOST_TEST(took >= known.least - rounding);
        if (known.optimum) BOOST_TEST(took >= *known.optimum - rounding);
        BOOST_TEST(took <= (2 - 1 / p) * known.list + rounding);
        if (known.list < known.fifo - rounding) BOOST_TEST(took < known.fifo);
        ratios += took / known.list;
        ++count;
      }
    }
  }
  BOOST_TEST(ratios / static_cast<double>(count) <= 1.02);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace reprise::test
