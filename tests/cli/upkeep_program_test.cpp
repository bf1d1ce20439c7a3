// Collecting and pinning, through the real program.
#include <boost/test/unit_test.hpp>

#include <filesystem>
#include <fstream>

#include <nlohmann/json.hpp>

#include "tests/cli/program.hpp"
#include "tests/cli/schema_check.hpp"
#include "tests/support/redis_server.hpp"

BOOST_AUTO_TEST_SUITE(upkeep_program_tests)

using namespace reprise::cli::test;
using Json = nlohmann::json;
namespace fs = std::filesystem;

namespace {

struct Place : Home {
  Json document(std::vector<std::string> arguments) {
    arguments.emplace_back("--json");
    return document_in(run(std::move(arguments)));
  }
  Json collect(std::vector<std::string> flags) {
    std::vector<std::string> arguments{"cache", "gc", "--grace", "0s", "-y"};
    arguments.insert(arguments.end(), flags.begin(), flags.end());
    return document(std::move(arguments));
  }
  /// Five tasks, each with a file of 1 MB that does not get smaller.
  void run_files(const std::string& cache = "true") {
    write("flow.yaml",
          "version: 1\ntasks:\n  t:\n    map: {over: [1, 2, 3, 4, 5], as: n}\n    shell: 'head -c "
          "1000000 /dev/urandom > out; : ${{ n }}'\n    outputs: [out]\n    cache: " +
              cache + "\n");
    const Finished done = run({"run", "flow.yaml", "--new", "-q"});
    BOOST_REQUIRE_MESSAGE(done.code == 0, done.err);
  }
  std::size_t entries() { return document({"cache", "ls"})["entries"].size(); }
};

}  // namespace

BOOST_FIXTURE_TEST_SUITE(program_upkeep, Place)

BOOST_AUTO_TEST_CASE(a_budget_frees_the_files_of_finished_runs) {
  run_files();
  const Json said = collect({"--max-size", "2500KiB", "--dry-run"});
  BOOST_TEST(entries() == 5u);
  Json done = collect({"--max-size", "2500KiB"});
  BOOST_TEST(done["entries"].size() == 3u, done.dump());
  BOOST_TEST(done["blobs"] == 3, done.dump());
  BOOST_TEST(done["blob_bytes"] == 3'000'000, done.dump());
  done["dry_run"] = true;
  BOOST_TEST(done == said, said.dump());
  BOOST_TEST(entries() == 2u);
  BOOST_TEST(collect({"--max-size", "2500KiB"})["entries"].empty());
}

BOOST_AUTO_TEST_CASE(where_nothing_was_ever_kept_there_is_nothing_to_look_after) {
  const Json collected = document({"cache", "gc"});
  BOOST_TEST(collected["entries"].empty());
  BOOST_TEST(collected["bytes_before"] == 0);
  BOOST_TEST(document({"cache", "verify"})["problems"].empty());
  BOOST_TEST(document({"cache", "pin"})["pins"].empty());
  for (const char* command : {"gc", "verify", "pin"})
    BOOST_TEST(run({"cache", command}).code == 0, command);
  BOOST_TEST(run({"cache", "pin", "k1:00"}).code == 5);
}

BOOST_AUTO_TEST_CASE(what_the_cache_never_had_stays_with_its_run) {
  run_files("false");
  BOOST_TEST(collect({"--max-size", "0B"})["blobs"] == 0);
  BOOST_TEST(run({"cache", "verify"}).code == 0);
}

BOOST_AUTO_TEST_CASE(a_pinned_run_keeps_what_it_made_and_what_it_used) {
  run_files();
  run_files();  // hits, all of them
  BOOST_TEST(document({"status", "last"})["summary"]["executed"] == 0);
  BOOST_TEST(run({"cache", "pin", "--run", "last"}).code == 0);
  const Json done = collect({"--max-size", "0B"});
  BOOST_TEST(done["entries"].empty(), done.dump());
  BOOST_TEST(done["kept_pinned"] == 5);
  BOOST_TEST(done["bytes_over"].get<std::uint64_t>() > 5'000'000u);
  BOOST_TEST(entries() == 5u);
  BOOST_TEST(run({"cache", "pin", "--run", "last", "--rm"}).code == 0);
  BOOST_TEST(collect({"--max-size", "0B"})["entries"].size() == 5u);
}

BOOST_AUTO_TEST_CASE(a_plan_counts_on_files_that_can_be_had_and_on_no_others) {
  reprise::testing::RedisServer server;
  environment["REPRISE_REDIS_URL"] = "redis://127.0.0.1:" + std::to_string(server.port());
  run_files();
  const auto planned = [&] { return document({"plan", "flow.yaml"})["summary"]["cached"]; };
  BOOST_TEST(planned() == 5);
  // On a node that has nothing, and has nothing afterwards.
  const std::string here = environment["REPRISE_DATA"];
  environment["REPRISE_DATA"] = (path / "fresh").string();
  BOOST_TEST(planned() == 5);
  BOOST_TEST(!fs::exists(path / "fresh"));
  BOOST_TEST(document({"run", "flow.yaml"})["summary"]["cached"] == 5);
  environment["REPRISE_DATA"] = here;
  environment.erase("REPRISE_REDIS_URL");
  int damaged = 0;
  for (const auto& entry : fs::recursive_directory_iterator(fs::path(here) / "blobs")) {
    if (!entry.is_regular_file() || ++damaged > 2) continue;
    if (damaged == 1) {
      fs::remove(entry.path());
    } else {
      fs::permissions(entry.path(), fs::perms::owner_all);
      std::ofstream(entry.path(), std::ios::app) << "damage";
    }
  }
  BOOST_TEST(planned() == 3);
  BOOST_TEST(planned() == 3);
  BOOST_TEST(document({"run", "flow.yaml", "--new"})["summary"]["cached"] == 3);
}

BOOST_AUTO_TEST_CASE(entries_are_listed_of_the_account_in_use) {
  write("flow.yaml", "version: 1\ntasks:\n  a: {run: [echo, x], cache: true}\n");
  for (const char* account : {"lab", "shop"})
    BOOST_REQUIRE(run({"run", "flow.yaml", "--new", "-q", "--account", account}).code == 0);
  BOOST_TEST(entries() == 0u);
  const Json lab = document({"cache", "ls", "--account", "lab", "--limit", "1"});
  BOOST_REQUIRE(lab["entries"].size() == 1u);
  BOOST_TEST(lab["entries"][0]["account"] == "lab");
  BOOST_TEST(run({"cache", "ls", "--account", "lab"}).out.find("ACCOUNT") == std::string::npos);
  const Finished both = run({"cache", "ls", "--account", "lab", "--also-read", "shop"});
  BOOST_TEST(both.out.find("ACCOUNT") != std::string::npos, both.out);
  BOOST_TEST(both.out.find("shop") != std::string::npos, both.out);
}

BOOST_AUTO_TEST_CASE(provenance_is_told_of_files_and_of_runs_that_were_removed) {
  write("in.txt", "one");
  write("flow.yaml",
        "version: 1\ntasks:\n  a: {shell: 'cat in.txt', inputs: [in.txt], cache: true}\n");
  BOOST_REQUIRE(run({"run", "flow.yaml", "-q"}).code == 0);
  const std::string key = document({"cache", "ls"})["entries"][0]["key"];
  const auto told = [&] { return document({"cache", "show", key, "--provenance"})["makers"][0]; };
  const auto file_of = [](const Json& maker) {
    for (const Json& each : maker["ingredients"])
      if (each["name"].get<std::string>().ends_with("in.txt")) return each["value"];
    return Json();
  };
  const Json known = told();
  BOOST_TEST(known["forgotten"] == false);
  BOOST_REQUIRE_MESSAGE(file_of(known).is_string(), known.dump());
  BOOST_TEST(file_of(known).get<std::string>().starts_with("sha256:"));
  BOOST_TEST(run({"runs", "rm", "last", "-y"}).code == 0);
  const Json forgotten = told();
  BOOST_TEST(forgotten["forgotten"] == true, forgotten.dump());
  BOOST_TEST(file_of(forgotten) == file_of(known), forgotten.dump());
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE_END()
