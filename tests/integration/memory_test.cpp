// A file of a task goes through the whole program without ever being in memory: from the command to
// the blobs, from there back out, and out of the cache again.
#include <filesystem>
#include <fstream>

#include <sys/resource.h>
#include <boost/test/unit_test.hpp>

#include "tests/integration/support.hpp"

BOOST_AUTO_TEST_SUITE(memory)

using namespace reprise::integration;

namespace {

constexpr std::uintmax_t file_bytes = 300ull << 20;
constexpr long most_kib = 128l << 10;  // of any process of the program's

constexpr const char* flow = R"(version: 1
tasks:
  make:
    cache: true
    shell: yes abcdefghi | head -c 314572800 > big.bin
    outputs: [big.bin]
  size:
    cache: true
    env: {FILE: "${{ make.outputs['big.bin'] }}"}
    shell: wc -c < "$FILE"
outputs:
  file: "${{ make.outputs['big.bin'] }}"
  size: "${{ size.stdout }}"
)";

/// The largest of all processes that were waited for, and of theirs.
long peak_kib() {
  rusage usage{};
  ::getrusage(RUSAGE_CHILDREN, &usage);
  return usage.ru_maxrss;
}

}  // namespace

BOOST_AUTO_TEST_CASE(a_large_output_file_is_never_in_memory) {
  Home home;
  home.write("large.yaml", flow);
  const Outcome made = invoke(home, {"run", "large.yaml", "--out", "first"});
  BOOST_REQUIRE_MESSAGE(made.code == 0, made.shown());
  BOOST_TEST(made.counted("executed") == 2);
  const auto first = home.path / "first" / "big.bin";
  BOOST_TEST(std::filesystem::file_size(first) == file_bytes);
  BOOST_TEST(peak_kib() < most_kib);

  const Outcome served = invoke(home, {"run", "large.yaml", "--new", "--out", "second"});
  BOOST_REQUIRE_MESSAGE(served.code == 0, served.shown());
  BOOST_TEST(served.counted("cached") == 2, served.shown());
  BOOST_TEST(std::filesystem::file_size(home.path / "second" / "big.bin") == file_bytes);

  const Outcome listed = invoke(home, {"cache", "ls", "--task", "make"});
  const std::string key = listed.at("/entries/0/key").get<std::string>();
  const Finished got = home.run({"cache", "get", key + ":big.bin", "-o", "third"});
  BOOST_TEST(got.code == 0, got.err);
  BOOST_TEST(std::filesystem::file_size(home.path / "third") == file_bytes);
  BOOST_TEST(home.run({"cache", "export", "all.rpa"}).code == 0);
  Home other;
  const Finished taken = other.run({"cache", "import", (home.path / "all.rpa").string()});
  BOOST_TEST(taken.code == 0, taken.err);
  other.write("large.yaml", flow);
  const Outcome moved = invoke(other, {"run", "large.yaml", "--out", "fourth"});
  BOOST_TEST(moved.counted("cached") == 2, moved.shown());
  BOOST_TEST(std::filesystem::file_size(other.path / "fourth" / "big.bin") == file_bytes);
  BOOST_TEST(peak_kib() < most_kib);
  BOOST_TEST_MESSAGE("at most " << peak_kib() / 1024 << " MiB for a file of 300 MiB");
}

BOOST_AUTO_TEST_CASE(what_is_larger_than_max_value_is_handed_on_and_not_kept) {
  Home home;
  home.write("large.yaml", flow);
  const Outcome made = invoke(home, {"run", "large.yaml", "--max-value", "200MiB", "--out", "o"});
  BOOST_REQUIRE_MESSAGE(made.code == 0, made.shown());
  BOOST_TEST(std::filesystem::file_size(home.path / "o" / "big.bin") == file_bytes);
  const Json events = events_of(home, made.text("run"));
  BOOST_TEST(events.dump().find("too_large: 300.0 MiB") != std::string::npos, events.dump());
  const Outcome told = invoke(home, {"cache", "explain", made.text("run"), "make"});
  BOOST_TEST(told.out.find("too_large") != std::string::npos, told.shown());
  const Outcome counts = invoke(home, {"cache", "stats", "--zero"});
  BOOST_TEST(counts.at("/unkept_by_reason/too_large") == 1, counts.shown());
  BOOST_TEST(counts.at("/look_ups") == 2, counts.shown());
  BOOST_TEST(invoke(home, {"cache", "stats"}).at("/look_ups") == 0);
  const Outcome again = invoke(home, {"run", "large.yaml", "--new", "--max-value", "200MiB"});
  BOOST_TEST(again.counted("executed") == 1, again.shown());
}

BOOST_AUTO_TEST_SUITE_END()
