// The real program: results and runs that move from one data directory to another, and results that
// are erased.
#include <boost/test/unit_test.hpp>

#include <filesystem>
#include <fstream>
#include <iterator>

#include <nlohmann/json.hpp>

#include "tests/cli/program.hpp"
#include "tests/cli/schema_check.hpp"
#include "tests/support/redis_server.hpp"

BOOST_AUTO_TEST_SUITE(moving)

using namespace reprise::cli::test;
using Json = nlohmann::json;
namespace fs = std::filesystem;

namespace {

constexpr const char* flow = R"(version: 1
name: letters
params:
  quality: {type: int, default: 30}
  names: {type: list, default: [a, b]}
defaults: {cache: true}
tasks:
  fetch:
    map: {over: "${{ params.names }}", as: s}
    shell: 'echo "letter-to-${{ s }}" > letter.txt'
    outputs: [letter.txt]
  align:
    map: {over: "${{ params.names }}", as: s}
    needs: [fetch]
    shell: |
      echo "${{ s }} at quality ${{ params.quality }}" > out.txt
      cat "${{ fetch[s].outputs["letter.txt"] }}" >> out.txt
      seq 1 2000
    outputs: [out.txt]
  merge:
    needs: [align]
    run: [echo, merged]
)";

std::string message_of(const Finished& f) {
  return "out: " + f.out + "\nerr: " + f.err;
}

struct Place : Home {
  Place() { write("letters.yaml", flow); }

  std::string good(std::vector<std::string> arguments, int code = 0) {
    const Finished done = run(std::move(arguments));
    BOOST_TEST(done.code == code, message_of(done));
    return done.out;
  }
  Json document(std::vector<std::string> arguments, int code = 0) {
    arguments.push_back("--json");
    const Json parsed = Json::parse(good(std::move(arguments), code), nullptr, false);
    const std::string mistake = violation(parsed);
    BOOST_TEST(mistake == "", mistake << parsed.dump());
    return parsed;
  }
  std::string run_id(std::vector<std::string> more = {}) {
    std::vector<std::string> arguments{"run", "letters.yaml", "-q"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    std::string id = good(std::move(arguments));
    id.resize(26);
    return id;
  }
  bool holds(const fs::path& folder, const std::string& bytes) const {
    for (const auto& entry : fs::recursive_directory_iterator(folder)) {
      if (!entry.is_regular_file() || entry.path().string().find("/runs/") != std::string::npos)
        continue;
      std::ifstream stream(entry.path(), std::ios::binary);
      const std::string content{std::istreambuf_iterator<char>(stream), {}};
      if (content.find(bytes) != std::string::npos) return true;
    }
    return false;
  }
  [[nodiscard]] fs::path data() const { return environment.at("REPRISE_DATA"); }
};

}  // namespace

BOOST_AUTO_TEST_CASE(results_are_hits_in_the_directory_that_they_were_moved_to) {
  Place here;
  here.run_id();
  const Json exported = here.document({"cache", "export", "all.rpa"});
  BOOST_TEST(exported["entries"] == 5);
  BOOST_TEST(exported["file_bytes"] == fs::file_size(here.path / "all.rpa"));
  BOOST_TEST(here.run({"cache", "export", "all.rpa"}).code == 6);  // it exists
  BOOST_TEST(here.run({"cache", "export", "-", "--json"}).code == 2);

  const Json told = here.document({"--data", "there", "cache", "import", "all.rpa", "--dry-run"});
  BOOST_TEST(told["versions"] == 5);
  const Json imported = here.document({"--data", "there", "cache", "import", "all.rpa"});
  BOOST_TEST(imported["versions"] == 5);
  BOOST_TEST(here.document({"--data", "there", "cache", "import", "all.rpa"})["versions"] == 0);
  const Json run = here.document({"--data", "there", "run", "letters.yaml"});
  BOOST_TEST(run["summary"]["cached"] == 5, run.dump());
  BOOST_TEST(here.document({"--data", "there", "cache", "verify"})["problems"].empty());
}

BOOST_AUTO_TEST_CASE(an_archive_goes_through_a_pipe) {
  Place here;
  here.run_id();
  const Finished piped = here.run({"cache", "export", "-", "--task", "fetch"});
  BOOST_REQUIRE(piped.code == 0);
  here.write("piped.rpa", piped.out);
  BOOST_TEST(here.document({"--data", "there", "cache", "import", "piped.rpa"})["entries"] == 2);
}

BOOST_AUTO_TEST_CASE(a_run_that_was_moved_is_known_and_can_be_gone_on_from) {
  Place here;
  const std::string first = here.run_id();
  const std::string second = here.run_id({"-p", "quality=35"});
  const Json exported = here.document({"runs", "export", first, second, "runs.rpa"});
  BOOST_TEST(exported["runs"].size() == 2u);
  BOOST_TEST(exported["missing_values"] == 0);
  const Json imported = here.document({"--data", "there", "runs", "import", "runs.rpa"});
  BOOST_TEST(imported["new_runs"] == 2);
  const Json again = here.document({"--data", "there", "runs", "import", "runs.rpa"});
  BOOST_TEST(again["new_runs"] == 0);
  BOOST_TEST(again["known_runs"] == 2);
  BOOST_TEST(again["versions"] == 0);

  for (const std::vector<std::string>& question :
       std::vector<std::vector<std::string>>{{"status", second},
                                             {"cache", "explain", second, "align[a]"},
                                             {"cache", "explain", first, "merge"},
                                             {"history", "letters"}}) {
    std::vector<std::string> there = question;
    there.insert(there.begin(), {"--data", "there"});
    BOOST_TEST(here.document(question) == here.document(there));
  }
  const Json here_diff = here.document({"diff", first, second}, 10);
  BOOST_TEST(here_diff == here.document({"--data", "there", "diff", first, second}, 10));
  BOOST_TEST(here.document({"--data", "there", "fork", second, "--at", "merge"})["state"] ==
             "success");
  BOOST_TEST(here.good({"--data", "there", "replay", second, "--verify"}).find("all as before") !=
             std::string::npos);
  BOOST_TEST(here.run({"--data", "there", "cache", "import", "runs.rpa"}).code == 2);
}

BOOST_AUTO_TEST_CASE(a_run_alone_is_explained_with_the_nearest_result_that_came_along) {
  Place here;
  here.run_id();
  const std::string second = here.run_id({"-p", "quality=35"});
  here.good({"runs", "export", second, "one.rpa"});
  here.good({"--data", "there", "runs", "import", "one.rpa"});
  const Json ours = here.document({"cache", "explain", second, "align[a]"});
  const Json theirs = here.document({"--data", "there", "cache", "explain", second, "align[a]"});
  BOOST_TEST(ours["reason"] == theirs["reason"]);
  BOOST_TEST(ours["nearest"] == theirs["nearest"]);
  BOOST_TEST(ours["differs"] == theirs["differs"]);
}

BOOST_AUTO_TEST_CASE(what_is_no_whole_archive_leaves_nothing) {
  Place here;
  const std::string run = here.run_id();
  here.good({"runs", "export", run, "run.rpa"});
  const std::string bytes = here.read("run.rpa");
  for (const std::size_t size : {bytes.size() / 4, bytes.size() / 2, bytes.size() - 1}) {
    here.write("cut.rpa", bytes.substr(0, size));
    const Finished refused = here.run({"--data", "there", "runs", "import", "cut.rpa"});
    BOOST_TEST(refused.code == 1, message_of(refused));
    BOOST_TEST(refused.err.find("nothing was taken in") != std::string::npos, refused.err);
  }
  BOOST_TEST(here.run({"--data", "there", "runs", "import", "letters.yaml"}).code == 2);
  BOOST_TEST(here.run({"--data", "there", "runs", "import", "missing.rpa"}).code == 5);
  BOOST_TEST(
      here.run({"--data", "there", "runs", "import", "run.rpa", "--max-size", "1KiB"}).code != 0);
  BOOST_TEST(!fs::exists(here.path / "there/journal.db"));
  BOOST_TEST(!fs::exists(here.path / "there/cache.db"));
}

BOOST_AUTO_TEST_CASE(what_was_erased_is_in_no_file_but_logs) {
  Place here;
  here.run_id();
  here.run_id({"-p", "quality=35"});
  BOOST_REQUIRE(here.holds(here.data(), "letter-to-a"));
  BOOST_REQUIRE(here.holds(here.data(), "b at quality 30"));
  BOOST_TEST(here.run({"cache", "erase", "--task", "fetch"}).code == 2);  // nobody can be asked
  BOOST_TEST(here.run({"cache", "erase", "-y"}).code == 2);
  const Json told =
      here.document({"cache", "erase", "--task", "fetch", "--downstream", "--dry-run"});
  BOOST_TEST(here.holds(here.data(), "letter-to-a"));
  const Json erased = here.document({"cache", "erase", "--task", "fetch", "--downstream", "-y"});
  BOOST_TEST(erased["keys"].size() == 8u, erased.dump());
  BOOST_TEST(erased["keys"] == told["keys"]);
  BOOST_TEST(erased["tiers"] == told["tiers"]);
  BOOST_TEST(erased["complete"] == true);
  BOOST_TEST(erased["not_reached"]["logs_of_runs"].size() == 2u);
  BOOST_TEST(!here.holds(here.data(), "letter-to-a"));
  BOOST_TEST(!here.holds(here.data(), "b at quality 30"));
  BOOST_TEST(here.document({"cache", "ls"})["entries"].empty());
  BOOST_TEST(here.document({"cache", "verify"})["problems"].empty());
  const Json run = here.document({"run", "letters.yaml"});
  BOOST_TEST(run["summary"]["executed"] == 5);
}

BOOST_AUTO_TEST_CASE(redis_forgets_as_well_and_a_server_that_does_not_answer_is_told) {
  Place here;
  reprise::testing::RedisServer server;
  here.environment["REPRISE_REDIS_URL"] = "unix:" + server.socket().string();
  here.run_id();
  const auto in_redis = [&](const std::string& pattern) {
    return server("KEYS", pattern).elements.size();
  };
  BOOST_REQUIRE(in_redis("rp1:e:*") == 5u);
  const auto dump = [&] {
    std::string all;
    for (const auto& key : server("KEYS", "*").elements) {
      all += server("DUMP", key.text).text;
    }
    return all;
  };
  BOOST_REQUIRE(in_redis("rp1:k:*") == 5u);
  server.stop();
  const Finished unreachable = here.run({"cache", "erase", "--run", "last", "-y"});
  BOOST_TEST(unreachable.code == 3, message_of(unreachable));
  BOOST_TEST(unreachable.err.find("redis") != std::string::npos, unreachable.err);
  server.go_on();
  const Json erased = here.document({"cache", "erase", "--run", "last", "-y"});
  BOOST_TEST(erased["complete"] == true, erased.dump());
  BOOST_TEST(erased["tiers"][0]["counts"]["entries"] == 5, erased.dump());
  BOOST_TEST(in_redis("rp1:k:*") == 0u);
  BOOST_TEST(in_redis("rp1:b:*") == 0u);
  BOOST_TEST(dump().find("merged") == std::string::npos);
  BOOST_TEST(server("HGET", "rp1:stats", "entries").text == "0");
  const Json run = here.document({"run", "letters.yaml"});
  BOOST_TEST(run["summary"]["executed"] == 5);
  BOOST_TEST(server("HGET", "rp1:stats", "entries").text == "5");
}

BOOST_AUTO_TEST_SUITE_END()
