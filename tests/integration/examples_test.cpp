// Each file in examples/ does what its comments promise.
#include <boost/test/unit_test.hpp>

#include <iostream>

#include "tests/integration/support.hpp"
#include "tests/support/redis_server.hpp"
#include "tests/support/temporary_folder.hpp"

BOOST_AUTO_TEST_SUITE(examples_tests)

using namespace reprise::integration;

namespace {

const std::filesystem::path& examples() {
  static const std::filesystem::path folder =
      std::filesystem::path(std::getenv("REPRISE_SOURCE_DIR")) / "examples";
  return folder;
}

Finished run_example(Home& home, const std::string& name, const Arguments& more) {
  Arguments arguments{std::string(std::getenv("REPRISE_BIN_DIR")) + "/examples/" + name};
  arguments.insert(arguments.end(), more.begin(), more.end());
  return Program(arguments, home.environment, home.path, reprise::cli::test::Wiring::pipes).wait();
}

}  // namespace

BOOST_FIXTURE_TEST_SUITE(the_examples, Home)

BOOST_AUTO_TEST_CASE(every_file_runs_and_comes_from_the_cache_the_second_time) {
  int files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(examples())) {
    const std::string kind = entry.path().extension().string();
    if (kind != ".yaml" && kind != ".json" && kind != ".stg") continue;
    if (entry.path().filename() == "signals.yaml") continue;  // keeps nothing, see below
    if (entry.path().filename() == "nested.yaml") continue;   // nor does this
    ++files;
    BOOST_TEST_CONTEXT(entry.path().filename().string()) {
      const Outcome checked = invoke(*this, {"check", entry.path().string()});
      BOOST_TEST(checked.code == 0, checked.shown());
      const Outcome first = invoke(*this, {"run", entry.path().string(), "--out", "first"});
      BOOST_REQUIRE_MESSAGE(first.code == 0, first.shown());
      BOOST_TEST(first.counted("executed") == first.counted("tasks"));
      const Outcome planned = invoke(*this, {"plan", entry.path().string(), "--exit-code"});
      BOOST_TEST(planned.code == 0, planned.shown());
      const Outcome second = invoke(*this, {"run", entry.path().string(), "--out", "first"});
      BOOST_REQUIRE_MESSAGE(second.code == 0, second.shown());
      BOOST_TEST(second.counted("executed") == 0);
      BOOST_TEST(second.counted("cached") > 0);
      BOOST_TEST(second.at("/outputs") == first.at("/outputs"));
    }
  }
  BOOST_TEST(files >= 3);
}

BOOST_AUTO_TEST_CASE(a_new_name_in_the_quickstart_makes_one_greeting) {
  const std::string file = (examples() / "quickstart.yaml").string();
  BOOST_REQUIRE(invoke(*this, {"run", file}).code == 0);
  const Outcome o = invoke(*this, {"run", file, "-p", "names=Ada,Barbara"});
  BOOST_REQUIRE_MESSAGE(o.code == 0, o.shown());
  BOOST_TEST(o.counted("tasks") == 3);
  BOOST_TEST(o.counted("cached") == 1);
  BOOST_TEST(o.at("/outputs/letter") == "Hello, Ada!\nHello, Barbara!\n");
}

BOOST_AUTO_TEST_CASE(a_new_title_in_the_pipeline_makes_the_report_anew) {
  const std::string file = (examples() / "pipeline.yaml").string();
  BOOST_REQUIRE(invoke(*this, {"run", file, "--out", "a"}).code == 0);
  const Outcome o = invoke(*this, {"run", file, "--out", "b", "-p", "title=Sales, second try"});
  BOOST_REQUIRE_MESSAGE(o.code == 0, o.shown());
  BOOST_TEST(o.counted("executed") == 1);
  BOOST_TEST(read("b/report.txt").starts_with("Sales, second try\n"));
  BOOST_TEST(read("b/report.txt").substr(18) == read("a/report.txt").substr(16));
}

BOOST_AUTO_TEST_CASE(the_tasks_of_the_signals_end_as_they_say) {
  environment["PATH"] = std::string(std::getenv("REPRISE_BIN_DIR")) + ":/usr/bin:/bin";
  const std::string file = (examples() / "signals.yaml").string();
  const Outcome o = invoke(*this, {"run", file});
  BOOST_REQUIRE_MESSAGE(o.code == 0, o.shown());
  BOOST_TEST(o.at("/outputs/text") == "3 pages\n");
  BOOST_TEST(o.counted("skipped") == 1);
  const Outcome live = invoke(*this, {"run", file, "-c", "stage=production", "-p", "pages=1"});
  BOOST_REQUIRE_MESSAGE(live.code == 0, live.shown());
  BOOST_TEST(live.at("/outputs/text") == "1 pages\n");
  BOOST_TEST(live.counted("skipped") == 0);
}

BOOST_AUTO_TEST_CASE(the_programs_reuse_results_across_processes) {
  for (const std::string name : {"wordcount", "montecarlo"}) {
    BOOST_TEST_CONTEXT(name) {
      const Arguments data{"--data", (path / name).string()};
      const Finished first = run_example(*this, name, data),
                     second = run_example(*this, name, data);
      BOOST_TEST(first.code == 0, first.err);
      BOOST_TEST(second.code == 0, second.err);
      BOOST_TEST(first.out == second.out);
      BOOST_TEST(first.out ==
                 reprise::testing::read_file(examples() / "expected" / (name + ".txt")));
      BOOST_TEST(first.err.find(" 0 came from the cache") != std::string::npos, first.err);
      BOOST_TEST(second.err.find(" 0 came from the cache") == std::string::npos, second.err);
    }
  }
}

BOOST_AUTO_TEST_CASE(the_cluster_of_the_readme_survives_a_killed_worker) {
  const std::filesystem::path source = std::getenv("REPRISE_SOURCE_DIR");
  const std::string readme = reprise::testing::read_file(source / "README.md");
  const std::string begin = "```sh\n";
  const auto from = readme.find(begin, readme.find("## A cluster on one machine"));
  BOOST_REQUIRE(from != std::string::npos);
  std::string block = readme.substr(from + begin.size());
  block.resize(block.find("```"));
  for (const std::string port : {"4747", "6390"}) {
    const std::string free = std::to_string(reprise::testing::free_port());
    for (auto at = block.find(port); at != std::string::npos; at = block.find(port, at))
      block.replace(at, port.size(), free);
    if (port == "4747") environment["REPRISE_LISTEN"] = "127.0.0.1:" + free;
  }
  environment["PATH"] = std::string(std::getenv("REPRISE_BIN_DIR")) + ":/usr/bin:/bin";
  environment["TMPDIR"] = path.string();
  const std::string tidy = "trap 'kill -9 $(jobs -p) 2>/dev/null' EXIT\n";
  const Finished o = Program({"/bin/bash", "-c", tidy + block}, environment, source,
                             reprise::cli::test::Wiring::pipes)
                         .wait();
  const std::string all = o.out + o.err;
  BOOST_TEST(o.out.find("81b1df2a") != std::string::npos, all);
  BOOST_TEST(all.find("worker \"w1\" was lost") != std::string::npos, all);
  BOOST_TEST(o.out.find("photo-album  ✓ success") != std::string::npos, all);
}

BOOST_AUTO_TEST_CASE(a_flow_that_a_task_made_runs) {
  const Outcome o = invoke(*this, {"run", (examples() / "nested.yaml").string()});
  BOOST_REQUIRE_MESSAGE(o.code == 0, o.shown());
  BOOST_TEST(o.at("/outputs/elm") == "hello elm\n", o.shown());
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE_END()
