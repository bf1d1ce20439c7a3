#include "bench/task_bench.hpp"

#include <boost/test/unit_test.hpp>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <map>
#include <set>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "core/digest.hpp"

namespace reprise::bench {

BOOST_AUTO_TEST_SUITE(task_bench)
namespace {

const std::map<std::string, Pattern> patterns{{"trivial", Pattern::trivial},
                                              {"no_comm", Pattern::no_comm},
                                              {"stencil_1d", Pattern::stencil_1d},
                                              {"stencil_1d_periodic", Pattern::stencil_1d_periodic},
                                              {"dom", Pattern::dom},
                                              {"tree", Pattern::tree},
                                              {"fft", Pattern::fft},
                                              {"all_to_all", Pattern::all_to_all},
                                              {"nearest", Pattern::nearest},
                                              {"spread", Pattern::spread},
                                              {"random_nearest", Pattern::random_nearest}};

/// One line per task, "t p: d0 d1 …", as the digests of the known lists are made of.
std::string canonical(const Graph& graph) {
  std::string text;
  for (std::int64_t t = 0; t < graph.steps; ++t) {
    const std::int64_t first = graph.first_point(t);
    for (std::int64_t p = first; p < first + graph.points(t); ++p) {
      text += fmt::format("{} {}:", t, p);
      for (const std::int64_t q : graph.dependencies(t, p)) text += fmt::format(" {}", q);
      text += '\n';
    }
  }
  return text;
}

std::size_t dependencies_of(const Graph& graph) {
  std::size_t count = 0;
  for (std::int64_t t = 0; t < graph.steps; ++t)
    for (std::int64_t p = 0; p < graph.points(t); ++p)
      count += graph.dependencies(t, graph.first_point(t) + p).size();
  return count;
}

BOOST_AUTO_TEST_CASE(patterns_have_the_known_numbers_of_dependencies) {
  const std::map<std::string, std::size_t> known{
      {"no_comm", 56}, {"stencil_1d", 154}, {"stencil_1d_periodic", 168}, {"dom", 28},
      {"tree", 46},    {"fft", 138},        {"all_to_all", 448}};
  for (const auto& [name, count] : known)
    BOOST_TEST(dependencies_of({patterns.at(name), 8, 8}) == count, name);
}

BOOST_AUTO_TEST_CASE(patterns_are_those_that_task_bench_prints) {
  const char* shared = std::getenv("REPRISE_SHARED_DIR");
  const char* source = std::getenv("REPRISE_SOURCE_DIR");
  const std::filesystem::path file =
      (shared != nullptr
           ? std::filesystem::path(shared)
           : std::filesystem::path(source != nullptr ? source : ".") / ".." / "shared") /
      "workflows" / "taskbench" / "golden.json";
  if (!std::filesystem::exists(file)) {
    std::cout << "SKIPPED: " << file.string()
              << " is absent; REPRISE_SHARED_DIR names the folder it is in\n";
    return;
  }
  std::ifstream stream(file);
  const auto golden = nlohmann::json::parse(stream);
  std::set<std::string> seen;
  for (const auto& known : golden.at("cases")) {
    const auto& config = known.at("config");
    const std::string type = config.at("type");
    seen.insert(type);
    Graph graph;
    graph.pattern = patterns.at(type);
    graph.steps = config.at("steps");
    graph.width = config.at("width");
    graph.radix = config.value("radix", graph.radix);
    graph.period = config.value("period", graph.period);
    graph.fraction = config.value("fraction", graph.fraction);
    const std::string text = canonical(graph);
    BOOST_TEST(sha256(text).hex() == known.at("sha256").get<std::string>(),
               config.dump() << "\n"
                             << text.substr(0, 400));
  }
  BOOST_TEST(seen.size() == patterns.size());
}

worker::Returned run_point(const std::vector<std::pair<std::string, Value>>& given) {
  worker::FunctionTable table;
  add_task_bench(table);
  std::vector<Argument> arguments;
  for (const auto& [name, value] : given) arguments.push_back({name, *Payload::of(value)});
  const Attempt attempt;
  return table.find("bench.point@1")->body({arguments, attempt, {}});
}

BOOST_AUTO_TEST_CASE(a_point_gives_its_place_and_refuses_inputs_of_others) {
  const auto call = [](std::int64_t from) {
    return run_point(
        {{"iterations", Value{1}},
         {"step", Value{3}},
         {"point", Value{1}},
         {"sources", Value{List{Value{0}, Value{1}}}},
         {"inputs", Value{List{Value{Bytes{output_of(2, 0)}}, Value{Bytes{output_of(2, from)}}}}}});
  };
  BOOST_TEST((call(1).value == *Payload::of(Value{Bytes{output_of(3, 1)}})));
  BOOST_CHECK_THROW(call(0), std::runtime_error);
  BOOST_CHECK_THROW(run_point({{"iterations", Value{1}},
                               {"step", Value{3}},
                               {"point", Value{1}},
                               {"sources", Value{List{Value{0}}}}}),
                    std::runtime_error);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace reprise::bench
