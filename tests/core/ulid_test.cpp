#include "core/ulid.hpp"

#include <mutex>
#include <set>
#include <thread>
#include <vector>

#include <rapidcheck/boost_test.h>
#include <boost/test/unit_test.hpp>

BOOST_AUTO_TEST_SUITE(run_id)

using namespace reprise;
using namespace std::chrono_literals;

BOOST_AUTO_TEST_CASE(later_ids_are_greater_also_when_the_clock_stands_or_goes_back) {
  Time time(1'800'000'000s);
  RunId before = RunId::generate(time);
  for (int i = 0; i < 10'000; ++i) {
    RunId next = RunId::generate(i % 3 == 0 ? time - 1s : time + i / 100 * 1ms);
    BOOST_REQUIRE((next > before));
    BOOST_REQUIRE(next.text() > before.text());
    before = next;
  }
}

BOOST_AUTO_TEST_CASE(the_time_leads) {
  RunId id = RunId::generate(Time(4'000'000'000s));  // later than those of the case above
  std::uint64_t milliseconds = 0;
  for (std::size_t i = 0; i < 6; ++i) milliseconds = milliseconds << 8 | id.bytes[i];
  BOOST_TEST(milliseconds == 4'000'000'000'000u);
}

BOOST_AUTO_TEST_CASE(threads_get_different_ids) {
  std::vector<std::vector<RunId>> ids(4);
  std::vector<std::thread> threads;
  for (auto& own : ids)
    threads.emplace_back([&own] {
      for (int i = 0; i < 1000; ++i) own.push_back(RunId::generate(Time(1'900'000'000s)));
    });
  for (auto& thread : threads) thread.join();
  std::set<RunId> all;
  for (const auto& own : ids) {
    BOOST_TEST(std::is_sorted(own.begin(), own.end()));
    all.insert(own.begin(), own.end());
  }
  BOOST_TEST(all.size() == 4000u);
}

BOOST_AUTO_TEST_CASE(text_is_crockford_base_32) {
  RunId id;
  BOOST_TEST(id.text() == "00000000000000000000000000");
  id.bytes.fill(0xff);
  BOOST_TEST(id.text() == "7ZZZZZZZZZZZZZZZZZZZZZZZZZ");
  BOOST_TEST(id.short_text() == "7ZZZZZZZZZ");
  // The time stamp of the specification's example, 1469918176385 ms.
  RunId example = RunId::parse("01ARYZ6S41TSV4RRFFQ69G5FAV").value();
  std::uint64_t milliseconds = 0;
  for (std::size_t i = 0; i < 6; ++i) milliseconds = milliseconds << 8 | example.bytes[i];
  BOOST_TEST(milliseconds == 1469918176385u);
}

RC_BOOST_PROP(text_is_read_back, (const std::array<std::uint8_t, 16>& bytes)) {
  RunId id{bytes};
  RC_ASSERT(RunId::parse(id.text()).value() == id);
  std::string lower = id.text();
  for (char& c : lower) c = static_cast<char>(std::tolower(c));
  RC_ASSERT(RunId::parse(lower).value() == id);
}

BOOST_AUTO_TEST_CASE(a_derived_id_is_the_same_for_the_same_time_and_seed) {
  const Time at = Time(std::chrono::milliseconds{1469918176385});
  const RunId id = RunId::derived(at, "a");
  BOOST_TEST((id == RunId::derived(at + std::chrono::microseconds{3}, "a")));
  BOOST_TEST((id != RunId::derived(at, "b")));
  BOOST_TEST((id.time() == at));
  BOOST_TEST((id < RunId::derived(at + std::chrono::milliseconds{1}, "a")));
  BOOST_TEST(id.short_text() == "01ARYZ6S41");
}

BOOST_AUTO_TEST_CASE(letters_that_look_like_digits_are_read_as_digits) {
  BOOST_TEST((RunId::parse("0iIlL0oO000000000000000000").value() ==
              RunId::parse("01111000000000000000000000").value()));
}

BOOST_AUTO_TEST_CASE(other_text_is_refused) {
  for (const char* text :
       {"", "01ARYZ6S41", "01ARYZ6S41TSV4RRFFQ69G5FAVX", "81ARYZ6S41TSV4RRFFQ69G5FAV",
        "01ARYZ6S41TSV4RRFFQ69G5FAU", "01ARYZ6S41TSV4RRFFQ69G5FA-", "../../../etc/passwd"})
    BOOST_TEST(
        (!RunId::parse(text) && RunId::parse(text).error().code == ErrorCode::invalid_argument),
        text);
}

BOOST_AUTO_TEST_SUITE_END()
