// Bad files, odd names, disks that are full or cannot be written.
#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <fstream>
#include <iostream>

#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/integration/support.hpp"
#include "tests/support/sql.hpp"
#include "tests/support/temporary_folder.hpp"

BOOST_AUTO_TEST_SUITE(trouble_tests)

using namespace reprise::integration;
using namespace std::chrono_literals;

namespace {

/// A small good trace, to be spoiled.
Json trace() {
  return Json::parse(layered_trace(3, 4, 1.0));
}
Json& tasks_of(Json& t) {
  return t["workflow"]["specification"]["tasks"];
}
Json& times_of(Json& t) {
  return t["workflow"]["execution"]["tasks"];
}

struct Troubled : Home {
  /// Refused with exit 2 and a message that names the file; nothing ran and nothing was written.
  void refused(const std::string& name, const std::string& part) {
    for (const Arguments& command :
         std::vector<Arguments>{{"run", name}, {"check", name}, {"plan", name}}) {
      const Outcome o = invoke(*this, command);
      BOOST_TEST(o.code == 2, joined(command) << ": " << o.shown());
      BOOST_TEST(o.err.find(name) != std::string::npos,
                 joined(command) << " does not name the file: " << o.err);
      BOOST_TEST(o.err.find(part) != std::string::npos,
                 joined(command) << " does not say \"" << part << "\": " << o.err);
      BOOST_TEST(o.seconds < 20, joined(command) << " took " << o.seconds << " s");
    }
    BOOST_TEST(!std::filesystem::exists(path / "data"), name << " made a data folder");
  }
  void refused_trace(const Json& spoiled, const std::string& part) {
    write("spoiled.json", spoiled.dump());
    refused("spoiled.json", part);
  }
};

bool is_root() {
  return ::geteuid() == 0;
}

bool resize_disk(const std::filesystem::path& point, const char* options) {
  return ::mount("tmpfs", point.c_str(), "tmpfs", MS_REMOUNT, options) == 0;
}

}  // namespace

BOOST_FIXTURE_TEST_SUITE(bad_files, Troubled)

BOOST_AUTO_TEST_CASE(files_of_no_known_kind) {
  write("empty.yaml", "");
  refused("empty.yaml", "error");
  write("picture.png",
        std::string("\x89PNG\r\n\x1a\n\0\0\0\rIHDR", 16) + std::string(5000, '\x01'));
  refused("picture.png", "error");
  write("zeros.json", std::string(100000, '\0'));
  refused("zeros.json", "error");
  write("prose.txt", "Once upon a time\nthere was a file.\n");
  refused("prose.txt", "error");
  write("other.json", R"({"hello": [1, 2, 3]})");
  refused("other.json", "error");
  std::filesystem::create_directory(path / "folder.yaml");
  refused("folder.yaml", "error");
  refused("missing.yaml", "error");
}

BOOST_AUTO_TEST_CASE(packed_files_that_are_cut_off_or_no_gzip) {
  write("whole.json", layered_trace(20, 50, 1.0));
  Program pack({"/bin/sh", "-c", "gzip -c whole.json > whole.json.gz"}, environment, path,
               reprise::cli::test::Wiring::pipes);
  BOOST_REQUIRE(pack.wait().code == 0);
  const std::string whole = read("whole.json.gz");
  for (const std::size_t size :
       {std::size_t{3}, std::size_t{10}, whole.size() / 2, whole.size() - 1}) {
    write("cut.json.gz", whole.substr(0, size));
    refused("cut.json.gz", "error");
  }
  std::string flipped = whole;
  flipped[whole.size() / 2] = static_cast<char>(flipped[whole.size() / 2] ^ 0x40);
  write("flipped.json.gz", flipped);
  refused("flipped.json.gz", "error");
  write("trailing.json.gz", whole + "more");
  write("prose.json.gz", "this was never packed");
  refused("prose.json.gz", "error");
  BOOST_TEST(invoke(*this, {"run", "whole.json.gz"}).code == 0);
}

BOOST_AUTO_TEST_CASE(traces_with_each_mistake) {
  for (const Json& version : {Json("1.4"), Json("2.0"), Json(1.5), Json(nullptr)}) {
    Json t = trace();
    t["schemaVersion"] = version;
    refused_trace(t, "schemaVersion");
  }
  {
    Json t = trace();
    tasks_of(t).push_back(tasks_of(t)[0]);
    refused_trace(t, "t0_0");
  }
  {
    Json t = trace();
    tasks_of(t)[5]["parents"].push_back("nobody");
    refused_trace(t, "nobody");
  }
  {
    Json t = trace();
    tasks_of(t)[0]["children"] = Json::array();
    refused_trace(t, "t0_0");
  }
  {
    Json t = trace();  // t2_0 → t0_0 closes a circle
    tasks_of(t)[8]["children"].push_back("t0_0");
    tasks_of(t)[0]["parents"].push_back("t2_0");
    refused_trace(t, "t2_0");
  }
  {
    Json t = trace();
    tasks_of(t)[0]["parents"].push_back("t0_0");
    tasks_of(t)[0]["children"].push_back("t0_0");
    refused_trace(t, "t0_0");
  }
  {
    Json t = trace();
    times_of(t)[3]["runtimeInSeconds"] = -1;
    refused_trace(t, "t0_3");
  }
  {
    Json t = trace();
    times_of(t)[3]["runtimeInSeconds"] = "long";
    refused_trace(t, "runtimeInSeconds");
  }
  {
    Json t = trace();
    times_of(t).push_back({{"id", "stranger"}, {"runtimeInSeconds", 1}});
    refused_trace(t, "stranger");
  }
  {
    Json t = trace();
    t["workflow"]["specification"]["files"].push_back({{"id", "f"}, {"sizeInBytes", -5}});
    refused_trace(t, "sizeInBytes");
  }
  {
    Json t = trace();
    tasks_of(t)[0]["outputFiles"].push_back("unlisted.txt");
    refused_trace(t, "unlisted.txt");
  }
  {
    Json t = trace();
    t["workflow"]["specification"]["files"].push_back({{"id", "twice.txt"}, {"sizeInBytes", 5}});
    tasks_of(t)[0]["outputFiles"].push_back("twice.txt");
    tasks_of(t)[1]["outputFiles"].push_back("twice.txt");
    refused_trace(t, "twice.txt");
  }
  {
    Json t = trace();
    tasks_of(t) = Json::array();
    refused_trace(t, "tasks");
  }
}

BOOST_AUTO_TEST_CASE(graphs_with_each_mistake) {
  const std::vector<std::pair<std::string, std::string>> graphs{
      {"unknown parent", "2\n0 0 0\n1 5 1 0\n2 5 1 9\n3 0 1 2\n"},
      {"circle", "2\n0 0 0\n1 5 1 2\n2 5 1 1\n3 0 1 2\n"},
      {"negative time", "2\n0 0 0\n1 -5 1 0\n2 5 1 1\n3 0 1 2\n"},
      {"cut off", "2\n0 0 0\n1 5 1 0\n"},
      {"duplicate", "2\n0 0 0\n1 5 1 0\n1 5 1 0\n3 0 1 1\n"}};
  for (const auto& [what, text] : graphs) {
    BOOST_TEST_CONTEXT(what) {
      write("bad.stg", text);
      const Outcome o = invoke(*this, {"run", "bad.stg", "--mode", "sleep", "--scale", "0.001"});
      BOOST_TEST(o.code == 2, o.shown());
      BOOST_TEST(o.err.find("bad.stg") != std::string::npos, o.err);
      BOOST_TEST(!std::filesystem::exists(path / "data"));
    }
  }
}

BOOST_AUTO_TEST_CASE(a_hundred_megabytes_of_brackets_are_refused_in_bounded_time_and_memory) {
  for (const char bracket : {'[', '{'}) {
    {
      std::ofstream stream(path / "deep.json", std::ios::binary);
      const std::string megabyte(1 << 20, bracket);
      for (int i = 0; i < 100; ++i) stream << megabyte;
    }
    // Ten times the file is plenty; address space also holds the threads' stacks.
    const auto begin = std::chrono::steady_clock::now();
    Program program({"/bin/sh", "-c", "ulimit -v 2000000; exec \"$0\" run deep.json --json",
                     std::string(std::getenv("REPRISE_BIN_DIR")) + "/reprise"},
                    environment, path, reprise::cli::test::Wiring::pipes);
    const Outcome o = outcome_of(program, begin);
    BOOST_TEST(o.code == 2, o.shown());
    BOOST_TEST(o.err.find("deep.json") != std::string::npos, o.err);
    BOOST_TEST(o.seconds < 10, "took " << o.seconds << " s");
    BOOST_TEST(!std::filesystem::exists(path / "data"));
  }
}

BOOST_AUTO_TEST_CASE(odd_names_are_data) {
  const std::vector<std::string> names{"__proto__",           "../x", "/etc/x", "a b",
                                       "esc\x1b[31m",         "..",   ".",      "new\nline",
                                       "quote\"'`$(touch y)", "ünï",  "%s%n",   "-rf"};
  Json flow{{"version", 1}, {"name", "../../odd\x1b[2J"}, {"tasks", Json::object()}};
  for (const std::string& name : names)
    flow["tasks"][name] = {
        {"shell", "echo out; echo made > made.txt"}, {"outputs", {"made.txt"}}, {"cache", true}};
  std::filesystem::create_directories(path / "a" / "b" / "c");
  write("a/b/c/odd.json", flow.dump());
  Json odd = trace();
  for (std::size_t i = 0; i < names.size(); ++i) {
    tasks_of(odd).push_back({{"id", names[i]},
                             {"name", names[i]},
                             {"parents", Json::array()},
                             {"children", Json::array()},
                             {"inputFiles", Json::array()},
                             {"outputFiles", Json::array()}});
    times_of(odd).push_back({{"id", names[i]}, {"runtimeInSeconds", 0}});
  }
  write("a/b/c/odd_trace.json", odd.dump());
  const auto entries = [&] {  // outside of the data folder
    std::vector<std::string> found;
    for (auto at = std::filesystem::recursive_directory_iterator(path);
         at != std::filesystem::recursive_directory_iterator(); ++at) {
      if (at->path() == path / "data")
        at.disable_recursion_pending();
      else
        found.push_back(at->path().string());
    }
    std::sort(found.begin(), found.end());
    return found;
  };
  const auto before = entries();
  for (const std::string file : {"a/b/c/odd.json", "a/b/c/odd_trace.json"}) {
    for (const Arguments& command : std::vector<Arguments>{{"run", file},
                                                           {"run", file, "--json"},
                                                           {"run", file, "--progress", "json"},
                                                           {"status"},
                                                           {"events", "last"},
                                                           {"logs", "last"},
                                                           {"ps", "--all"},
                                                           {"history"},
                                                           {"cache", "ls"}}) {
      const Finished f = Home::run(command);
      BOOST_TEST(f.code == 0, joined(command) << "\nerr: " << f.err);
      BOOST_TEST((f.out + f.err).find('\x1b') == std::string::npos,
                 joined(command) << " let an escape through: " << f.out << f.err);
    }
  }
  BOOST_TEST(entries() == before, boost::test_tools::per_element());
  // What they wrote lies in the data folder under names of our own.
  for (const auto& entry : std::filesystem::recursive_directory_iterator(path / "data"))
    for (const std::string name : {"__proto__", "esc", "ünï", "touch", "-rf"})
      BOOST_TEST(entry.path().filename().string().find(name) == std::string::npos,
                 entry.path().string());
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_FIXTURE_TEST_SUITE(bad_disks, Troubled)

BOOST_AUTO_TEST_CASE(a_data_folder_that_cannot_be_made_is_told_before_work_starts) {
  write("flow.yaml",
        "version: 1\nname: f\nparams: {mark: {type: string}}\ntasks: {t: {env: {MARK: '${{ "
        "params.mark }}'}, shell: 'touch $MARK'}}\n");
  const std::string mark = (path / "mark").string();
  const auto refuses = [&](const std::string& data) {
    const Outcome o = invoke(*this, {"run", "flow.yaml", "-p", "mark=" + mark, "--data", data});
    BOOST_TEST((o.code == 2 || o.code == 3 || o.code == 4), o.shown());
    BOOST_TEST(o.err.find(data) != std::string::npos, o.err);
    BOOST_TEST(!std::filesystem::exists(mark));
  };
  write("file", "in the way");
  refuses("file");
  refuses("file/below");
  refuses("/proc/reprise");
  std::filesystem::create_directory(path / "half");
  std::filesystem::create_directory(path / "half" / "journal.db");
  refuses("half");
  std::filesystem::create_directory(path / "spoiled");
  write("spoiled/journal.db", std::string(8192, 'x'));
  refuses("spoiled");
  std::filesystem::create_directory(path / "spoiled_cache");
  write("spoiled_cache/cache.db", std::string(8192, 'x'));
  const Outcome o =
      invoke(*this, {"run", "flow.yaml", "-p", "mark=" + mark, "--data", "spoiled_cache"});
  BOOST_TEST((o.code == 0 || !std::filesystem::exists(mark)), o.shown());
}

BOOST_AUTO_TEST_CASE(a_read_only_disk_is_told_before_work_starts) {
  if (!is_root()) {
    std::cout << "SKIPPED: mounting a disk needs root\n";
    return;
  }
  reprise::testing::SmallDisk disk(path / "disk", "size=8m");
  if (!disk.works()) {
    std::cout << "SKIPPED: no file system can be mounted here\n";
    return;
  }
  write("trace.json", layered_trace(3, 4, 1.0));
  BOOST_REQUIRE(invoke(*this, {"run", "trace.json", "--data", "disk/used"}).code == 0);
  BOOST_REQUIRE(disk.make_read_only());
  for (const std::string data : {"disk/used", "disk/new", "disk"}) {
    const Outcome o = invoke(*this, {"run", "trace.json", "--data", data});
    BOOST_TEST((o.code == 2 || o.code == 3 || o.code == 4), data << ": " << o.shown());
    BOOST_TEST(o.err.find(data) != std::string::npos, o.err);
    BOOST_TEST(o.seconds < 15);
  }
  // What is there can still be looked at.
  BOOST_TEST(invoke(*this, {"ps", "--all", "--data", "disk/used"}).code == 0);
  BOOST_TEST(invoke(*this, {"status", "last", "--data", "disk/used"}).text("state") == "success");
}

// Neither was told: the run was refused, and doctor found nothing.
BOOST_AUTO_TEST_CASE(a_cache_of_a_newer_version_is_read_and_one_of_somebody_else_is_left_alone) {
  write("flow.yaml", "version: 1\nname: f\ntasks: {t: {run: [echo, one], cache: true}}\n");
  const Arguments run{"run", "flow.yaml"};
  BOOST_REQUIRE(invoke(*this, run).code == 0);
  const auto cache = path / "data/cache.db";
  reprise::testing::run_sql(cache, "PRAGMA user_version = 99");
  const Outcome newer = invoke(*this, run);
  BOOST_TEST(newer.code == 0, newer.shown());
  BOOST_TEST(newer.counted("cached") == 1, newer.shown());
  BOOST_TEST(newer.err.find("a newer version of reprise wrote") != std::string::npos, newer.err);
  const Outcome told = invoke(*this, {"doctor"});
  BOOST_TEST(told.out.find("a newer version") != std::string::npos, told.out);

  reprise::testing::run_sql(cache, "PRAGMA application_id = 42; PRAGMA wal_checkpoint(TRUNCATE)");
  const std::string before = read("data/cache.db");
  BOOST_TEST(invoke(*this, run).code != 0);
  const Outcome foreign = invoke(*this, {"doctor"});
  BOOST_TEST(foreign.code == 1, foreign.shown());
  BOOST_TEST(foreign.out.find("another program") != std::string::npos, foreign.out);
  BOOST_TEST(read("data/cache.db") == before);
}

BOOST_AUTO_TEST_CASE(a_full_disk_is_told_before_work_starts) {
  if (!is_root()) {
    std::cout << "SKIPPED: mounting a disk needs root\n";
    return;
  }
  reprise::testing::SmallDisk disk(path / "disk", "size=1m");
  if (!disk.works()) {
    std::cout << "SKIPPED: no file system can be mounted here\n";
    return;
  }
  write("disk/ballast", std::string(2 << 20, 'x'));
  write("flow.yaml",
        "version: 1\nname: f\nparams: {mark: {type: string}}\ntasks: {t: {env: {MARK: '${{ "
        "params.mark }}'}, shell: 'touch $MARK'}}\n");
  const Outcome o = invoke(
      *this, {"run", "flow.yaml", "-p", "mark=" + (path / "mark").string(), "--data", "disk/data"});
  BOOST_TEST((o.code == 2 || o.code == 3), o.shown());
  BOOST_TEST(o.err.find("disk/data") != std::string::npos, o.err);
  BOOST_TEST(!std::filesystem::exists(path / "mark"));
  BOOST_TEST(o.seconds < 15);
}

BOOST_AUTO_TEST_CASE(a_disk_that_fills_up_ends_the_run_and_keeps_what_is_finished) {
  if (!is_root()) {
    std::cout << "SKIPPED: mounting a disk needs root\n";
    return;
  }
  // One flow fills the disk with output files, one with what it prints.
  for (const std::string what : {"made.bin", "/dev/stdout"}) {
    BOOST_TEST_CONTEXT("filled by " << what) {
      const std::filesystem::path point = path / ("disk" + std::to_string(what.size()));
      reprise::testing::SmallDisk disk(point, "size=6m");
      if (!disk.works()) {
        std::cout << "SKIPPED: no file system can be mounted here\n";
        return;
      }
      write("fill.yaml",
            "version: 1\nname: fill\ntasks:\n  make:\n    map: {over: '${{ range(40) }}', as: i}\n "
            "   cache: true\n    env: {I: '${{ i }}'}\n"
            "    shell: 'head -c 300000 /dev/urandom | base64 > " +
                what + "'\n" + (what == "made.bin" ? "    outputs: [made.bin]\n" : ""));
      const std::string data = (point / "data").string();
      const Outcome full = invoke(*this, {"run", "fill.yaml", "--slots", "2", "--data", data});
      BOOST_TEST((full.code == 1 || full.code == 3 || full.code == 8 || full.code == 9),
                 full.shown());
      BOOST_TEST(full.seconds < 30, "took " << full.seconds << " s");
      BOOST_TEST((full.err.find("space") != std::string::npos ||
                  full.err.find("full") != std::string::npos),
                 full.err);
      BOOST_REQUIRE(resize_disk(point, "size=200m"));
      Outcome again = invoke(*this, {"run", "fill.yaml", "--slots", "2", "--data", data});
      // When its end could not be written either, the run is continued, with the failures it had;
      // then a new one is needed.
      if (again.code == 1 && again.at("/continued") == true)
        again = invoke(*this, {"run", "fill.yaml", "--slots", "2", "--data", data});
      BOOST_TEST(again.code == 0, again.shown());
      BOOST_TEST(again.counted("tasks") == 40);
      std::cout << what << ": " << full.counted("executed") << " ran before the disk was full, "
                << again.counted("executed") << " after, " << again.counted("cached")
                << " from the cache\n";
      BOOST_TEST((again.counted("cached") > 5 || again.at("/continued") == true), again.shown());
      BOOST_TEST(again.counted("executed") < 40 + (again.at("/continued") == true ? 40 : 0));
      BOOST_TEST(invoke(*this, {"run", "fill.yaml", "--data", data}).counted("executed") == 0);
    }
  }
}

BOOST_AUTO_TEST_CASE(a_trace_that_fills_the_disk_ends_and_goes_on_later) {
  if (!is_root()) {
    std::cout << "SKIPPED: mounting a disk needs root\n";
    return;
  }
  write("trace.json", layered_trace(60, 50, 1.0));
  const std::string digest = invoke(*this, {"run", "trace.json"}).digest();
  for (const char* size : {"size=400k", "size=800k", "size=1200k"}) {
    BOOST_TEST_CONTEXT(size) {
      reprise::testing::SmallDisk disk(path / "disk", size);
      if (!disk.works()) {
        std::cout << "SKIPPED: no file system can be mounted here\n";
        return;
      }
      const Outcome full = invoke(*this, {"run", "trace.json", "--data", "disk/data"});
      BOOST_TEST(
          (full.code == 1 || full.code == 2 || full.code == 3 || full.code == 8 || full.code == 9),
          full.shown());
      BOOST_TEST(full.seconds < 30);
      BOOST_TEST(full.err.find("full") != std::string::npos, full.shown());
      BOOST_REQUIRE(resize_disk(path / "disk", "size=200m"));
      const Outcome again = invoke(*this, {"run", "trace.json", "--data", "disk/data"});
      BOOST_TEST(again.code == 0, again.shown());
      BOOST_TEST(again.digest() == digest);
      BOOST_TEST(invoke(*this, {"run", "trace.json", "--data", "disk/data"}).counted("executed") ==
                 0);
    }
  }
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE_END()
