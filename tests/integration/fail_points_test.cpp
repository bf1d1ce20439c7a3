// A crash, or a disk that fails, at each of the places where the cache writes and reads: what was
// committed is served, what was not runs again, and nothing wrong is ever given.
#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <csignal>
#include <fstream>
#include <map>
#include <set>

#include "tests/integration/support.hpp"

BOOST_AUTO_TEST_SUITE(fail_points_tests)

using namespace reprise::integration;

namespace {

const std::vector<std::string> points{"before_blob", "after_blob", "before_commit", "after_commit",
                                      "on_read"};

/// A small value, one that lies in a blob, an output file, and a task that needs all of them.
constexpr const char* chain_flow = R"(version: 1
name: chain
params: {tally: {type: string}}
tasks:
  small:
    cache: true
    env: {TALLY: "${{ params.tally }}"}
    shell: |
      echo small $PPID >> $TALLY
      echo 17
  large:
    cache: true
    env: {TALLY: "${{ params.tally }}", N: "${{ small.stdout }}"}
    shell: |
      echo large $PPID >> $TALLY
      seq $N 10000
  file:
    cache: true
    env: {TALLY: "${{ params.tally }}", N: "${{ small.stdout }}"}
    outputs: [numbers.txt]
    shell: |
      echo file $PPID >> $TALLY
      seq $N 20000 > numbers.txt
  sum:
    cache: true
    env: {TALLY: "${{ params.tally }}", TEXT: "${{ large.stdout }}"}
    inputs: ["${{ file.outputs['numbers.txt'] }}"]
    shell: |
      echo sum $PPID >> $TALLY
      printf %s "$TEXT" | cksum
      cat inputs/*/numbers.txt | cksum
outputs: {sum: "${{ sum.stdout }}"}
)";
// Of `seq 17 10000` without its last line feed, as stdout is handed on, and of `seq 17 20000`.
constexpr const char* right_sum = "3988214549 48855\n1636950805 108855\n";

struct Chain : Home {
  pid_t last_pid = -1;

  Chain() {
    write("chain.yaml", chain_flow);
    start_over();
  }
  void start_over() const {
    std::filesystem::remove_all(path / "data");
    write("tally", "");
  }
  Outcome run(const std::string& fail_point, bool is_new = false) {
    environment.erase("REPRISE_FAIL_POINT");
    if (!fail_point.empty()) environment["REPRISE_FAIL_POINT"] = fail_point;
    Arguments arguments{"run", "chain.yaml", "-p", "tally=" + (path / "tally").string()};
    if (is_new) arguments.emplace_back("--new");
    arguments.emplace_back("--json");
    const auto program = start(arguments);
    last_pid = program->pid();
    Outcome outcome = outcome_of(*program, std::chrono::steady_clock::now());
    environment.erase("REPRISE_FAIL_POINT");
    return outcome;
  }
  /// How often each task was run by the last process. What a killed one left running may still
  /// write, under that one's number.
  std::map<std::string, int> ran() const {
    std::map<std::string, int> counts;
    const std::string by = " " + std::to_string(last_pid);
    for (const std::string& line : lines_of(read("tally")))
      if (line.ends_with(by)) ++counts[line.substr(0, line.size() - by.size())];
    return counts;
  }
  std::set<std::string> committed() {
    std::set<std::string> tasks;
    if (!std::filesystem::exists(path / "data" / "cache.db")) return tasks;
    const Outcome listed = invoke(*this, {"cache", "ls"});
    BOOST_REQUIRE_MESSAGE(listed.at("/entries").is_array(), listed.shown());
    for (const Json& entry : listed.at("/entries")) tasks.insert(entry.at("task"));
    return tasks;
  }
  /// Sound, but for blobs that nobody refers to; and without those once they were collected.
  void check_sound() {
    if (!std::filesystem::exists(path / "data" / "cache.db")) return;
    const Outcome verified = invoke(*this, {"cache", "verify"});
    BOOST_REQUIRE_MESSAGE(verified.at("/problems").is_array(), verified.shown());
    for (const Json& problem : verified.at("/problems"))
      BOOST_TEST(problem.at("fault") == "orphan", problem.dump());
  }
  void check_collected() {
    const Outcome gone = invoke(*this, {"cache", "gc", "--grace", "0s"});
    BOOST_REQUIRE_MESSAGE(gone.code == 0, gone.shown());
    const Outcome again = invoke(*this, {"cache", "gc", "--grace", "0s"});
    BOOST_TEST(again.at("/blobs") == 0, again.shown());
    const Outcome stats = invoke(*this, {"cache", "stats"});
    BOOST_TEST(stats.at("/blob_files") == 2, stats.shown());  // of "large" and "file"
    const Outcome verified = invoke(*this, {"cache", "verify"});
    BOOST_TEST(verified.code == 0, verified.shown());
  }
  /// The next run gives what is right and runs what was not committed, nothing else.
  void check_rest(const std::string& what, bool is_new) {
    const auto kept = committed();
    const Outcome next = run("", is_new);
    BOOST_REQUIRE_MESSAGE(next.code == 0, what << ": " << next.shown());
    BOOST_TEST(next.at("/outputs/sum") == right_sum, what);
    auto times = ran();
    for (const std::string task : {"small", "large", "file", "sum"})
      BOOST_TEST(times[task] == (kept.contains(task) ? 0 : 1),
                 what << ": " << task << " ran " << times[task] << " times");
    check_sound();
    BOOST_TEST(run("", true).at("/outputs/sum") == right_sum);
    BOOST_TEST(ran().empty(), what << ": a third run ran something");
  }
};

}  // namespace

BOOST_FIXTURE_TEST_SUITE(fail_points, Chain)

BOOST_AUTO_TEST_CASE(after_a_crash_at_any_place_exactly_the_rest_runs) {
  for (const std::string& point : points) {
    int met = 0;
    for (int nth = 1; nth <= 5; ++nth) {
      for (const bool is_new : {false, true}) {
        start_over();
        const std::string where = point + ":" + std::to_string(nth) + ":kill";
        const Outcome crashed = run(where);
        if (crashed.code != 128 + SIGKILL) {  // it did not come there so often
          BOOST_REQUIRE_MESSAGE(crashed.code == 0, where << ": " << crashed.shown());
          continue;
        }
        ++met;
        check_sound();
        check_rest(where + (is_new ? " --new" : ""), is_new);
      }
    }
    check_collected();
    BOOST_TEST(met >= 4, point << " was met by " << met << " runs");
  }
}

BOOST_AUTO_TEST_CASE(a_second_crash_while_going_on_after_the_first_changes_nothing) {
  for (const std::string& first : points) {
    for (const std::string& second : points) {
      start_over();
      const std::string where = first + " then " + second;
      // The second time at the first place: something is committed by then where it can be.
      BOOST_REQUIRE(run(first + ":2:kill").code == 128 + SIGKILL);
      const auto kept = committed();
      const Outcome again = run(second + ":1:kill");
      BOOST_TEST((again.code == 128 + SIGKILL || again.code == 0), where << ": " << again.shown());
      for (const std::string& task : kept)
        BOOST_TEST(!ran().contains(task), where << ": " << task << " ran again");
      check_sound();
      check_rest(where, false);
    }
    check_collected();
  }
}

BOOST_AUTO_TEST_CASE(what_cannot_be_written_or_read_is_a_miss_and_no_failure) {
  for (const std::string& point : points) {
    for (const std::string error : {"ENOSPC", "EIO"}) {
      start_over();
      std::string where = point;
      where += ":1+:" + error;
      const bool is_for_files = point.ends_with("_blob") || point == "on_read";
      if (is_for_files) {
        // An output file lies nowhere else than in its blob: those are another case.
        std::string flow;
        for (const std::string& line : lines_of(chain_flow)) {
          if (line.find("puts: [") != std::string::npos) continue;
          flow += line.find("inputs/*") == std::string::npos ? line : "      seq 17 20000 | cksum";
          flow += '\n';
        }
        write("chain.yaml", flow);
      }
      const Outcome hurt = run(where);
      BOOST_REQUIRE_MESSAGE(hurt.code == 0, where << ": " << hurt.shown());
      BOOST_TEST(hurt.at("/outputs/sum") == right_sum, where);
      BOOST_TEST(hurt.counted("executed") == 4, where);
      check_sound();
      check_rest(where, true);
      write("chain.yaml", chain_flow);
    }
  }
}

BOOST_AUTO_TEST_CASE(an_output_file_that_cannot_be_kept_fails_its_task_and_says_why) {
  const Outcome hurt = run("before_blob:1+:ENOSPC");
  BOOST_TEST(hurt.code == 1, hurt.shown());
  BOOST_TEST(hurt.err.find("No space left on device") != std::string::npos, hurt.shown());
  BOOST_TEST(!committed().contains("file"));
  check_rest("after ENOSPC", true);
}

BOOST_AUTO_TEST_CASE(a_damaged_or_missing_file_is_made_again_by_the_task_that_made_it) {
  BOOST_REQUIRE(run("").code == 0);
  const std::string changed =
      std::string(chain_flow).replace(std::string(chain_flow).find("echo sum"), 8, "echo  sum");
  for (const std::string damage : {"flipped", "cut", "gone"}) {
    write("chain.yaml", changed);  // of "sum" there is no result: it needs the others' now
    int hurt = 0;
    for (const auto& each :
         std::filesystem::recursive_directory_iterator(path / "data" / "blobs")) {
      if (!each.is_regular_file() || each.path().string().find("quarantine") != std::string::npos)
        continue;
      ++hurt;
      std::filesystem::permissions(each, std::filesystem::perms::owner_all);
      if (damage == "gone") {
        std::filesystem::remove(each);
      } else if (damage == "cut") {
        std::filesystem::resize_file(each, each.file_size() / 2);
      } else {
        std::fstream stream(each.path(), std::ios::in | std::ios::out | std::ios::binary);
        stream.seekg(100);
        const char was = static_cast<char>(stream.get());
        stream.seekp(100);
        stream.put(static_cast<char>(was ^ 1));
      }
    }
    BOOST_TEST(hurt == 2);
    const Outcome healed = run("", true);
    BOOST_REQUIRE_MESSAGE(healed.code == 0, damage << ": " << healed.shown());
    BOOST_TEST(healed.at("/outputs/sum") == right_sum, damage);
    const auto times = ran();
    BOOST_TEST(times.contains("large"), damage);
    BOOST_TEST(times.contains("file"), damage);
    BOOST_TEST(!times.contains("small"), damage);
    BOOST_TEST(invoke(*this, {"cache", "verify"}).code == 0, damage);
    // The new result covers what had happened to the old one; the run has written it down.
    const Outcome why = invoke(*this, {"cache", "explain", "last", "file"});
    BOOST_TEST(why.at("/reason") == (damage == "gone" ? "evicted" : "corrupt"), why.shown());
  }
}

// It was silently replaced by something that was not true then.
BOOST_AUTO_TEST_CASE(what_was_true_then_and_is_gone_is_an_error_and_nothing_else_instead) {
  write("once.yaml",
        "version: 1\nname: once\ntasks:\n"
        "  t: {shell: 'date +%N > now', outputs: [now], cache: true}\n"
        "outputs: {now: \"${{ t.outputs['now'] }}\"}\n");
  const Outcome first = invoke(*this, {"run", "once.yaml", "--out", "a"});
  BOOST_REQUIRE(first.code == 0);
  const std::string run = first.text("run");
  BOOST_TEST(invoke(*this, {"run", "once.yaml", "--as-of", run, "--out", "b"}).code == 0);
  BOOST_TEST(read("a/now") == read("b/now"));
  std::filesystem::remove_all(path / "data/blobs");
  const Outcome then = invoke(*this, {"run", "once.yaml", "--as-of", run, "--out", "c"});
  BOOST_TEST(then.code == 1, then.shown());
  BOOST_TEST(!std::filesystem::exists(path / "c/now"));
  const Outcome why = invoke(*this, {"status", "last"});
  BOOST_TEST((why.out + why.err).find("it is gone") != std::string::npos, why.shown());
}

BOOST_AUTO_TEST_CASE(a_fail_point_that_is_not_understood_is_refused) {
  for (const std::string wrong :
       {"before_blob", "nowhere:1:kill", "on_read:0:kill", "on_read:1:hang", "on_read:x:EIO",
        "on_read:1:kill:EIO", "on_read:1:EIO,on_read"}) {
    const Outcome refused = run(wrong);
    BOOST_TEST(refused.code == 2, wrong << ": " << refused.shown());
    BOOST_TEST(refused.err.find("REPRISE_FAIL_POINT") != std::string::npos, refused.shown());
  }
  BOOST_TEST(ran().empty());
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE_END()
