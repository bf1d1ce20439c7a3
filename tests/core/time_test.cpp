#include "core/time.hpp"

#include <rapidcheck/boost_test.h>
#include <boost/test/unit_test.hpp>

BOOST_AUTO_TEST_SUITE(time_and_durations)

using namespace reprise;
using namespace std::chrono_literals;

BOOST_AUTO_TEST_CASE(now_does_not_go_back) {
  Time before = now();
  for (int i = 0; i < 1000; ++i) {
    Time after = now();
    BOOST_REQUIRE((after >= before));
    before = after;
  }
}

BOOST_AUTO_TEST_CASE(times_are_written_in_utc) {
  BOOST_TEST(to_rfc3339(Time{}) == "1970-01-01T00:00:00.000000Z");
  BOOST_TEST(to_rfc3339(Time(1795194131004312us)) == "2026-11-20T17:02:11.004312Z");
  BOOST_TEST(to_rfc3339(Time(-1ns)) == "1969-12-31T23:59:59.999999Z");
}

BOOST_AUTO_TEST_CASE(the_first_and_the_last_instant_are_written) {
  BOOST_TEST(to_rfc3339(Time::min()) == "1677-09-21T00:12:43.145224Z");
  BOOST_TEST(to_rfc3339(Time::max()) == "2262-04-11T23:47:16.854775Z");
}

BOOST_AUTO_TEST_CASE(times_are_parsed) {
  Time time = Time(1795194131004312us);
  BOOST_TEST((parse_rfc3339("2026-11-20T17:02:11.004312Z").value() == time));
  BOOST_TEST((parse_rfc3339("2026-11-20t18:32:11.004312000+01:30").value() == time));
  BOOST_TEST((parse_rfc3339("2026-11-20 15:02:11.0043120009-02:00").value() == time));
  BOOST_TEST((parse_rfc3339("2024-02-29T00:00:00Z").value() == Time(1709164800s)));
  BOOST_TEST((parse_rfc3339("2016-12-31T23:59:60Z").value() == Time(1483228800s)));
  for (const char* text : {"", "2026-11-20", "2026-11-20T17:02:11", "2026-11-20T17:02:11.Z",
                           "2026-13-20T17:02:11Z", "2025-02-29T00:00:00Z", "2026-11-20T24:00:00Z",
                           "2026-11-20T17:02:11Z ", "2026-11-20T17:02:11+1:00",
                           "9999-01-01T00:00:00Z", "0001-01-01T00:00:00Z", "+026-11-20T17:02:11Z"})
    BOOST_TEST(
        (!parse_rfc3339(text) && parse_rfc3339(text).error().code == ErrorCode::invalid_argument),
        text);
}

RC_BOOST_PROP(times_are_read_back, (std::int64_t number)) {
  Time time{Duration(number / 1000 * 1000)};
  auto back = parse_rfc3339(to_rfc3339(time));
  if (back)
    RC_ASSERT(*back == time);
  else
    RC_ASSERT(time < Time(-9214646400s) || time >= Time(9214646400s));  // outside of 1678 to 2261
}

BOOST_AUTO_TEST_CASE(durations_are_parsed) {
  BOOST_TEST((parse_duration("30s").value() == 30s));
  BOOST_TEST((parse_duration("1h30m").value() == 90min));
  BOOST_TEST((parse_duration("250ms").value() == 250ms));
  BOOST_TEST((parse_duration("1d").value() == 24h));
  BOOST_TEST((parse_duration("5ms1m").value() == 1min + 5ms));
  BOOST_TEST((parse_duration("1m5ms").value() == 1min + 5ms));
  BOOST_TEST((parse_duration("0s").value() == 0s));
  BOOST_TEST((parse_duration("3653d").value() == 24h * 3653));
  for (const char* text :
       {"", "30", "s", "30 s", "1.5s", "-1s", "+1s", "1w", "1s1s", "3654d", "1h30", "1S",
        "99999999999999999999s", "9999999999999999s", "3653d1ms", " 1s", "1s "})
    BOOST_TEST(
        (!parse_duration(text) && parse_duration(text).error().code == ErrorCode::invalid_argument),
        text);
}

BOOST_AUTO_TEST_CASE(durations_are_described) {
  BOOST_TEST(describe(0ns) == "0 ms");
  BOOST_TEST(describe(640us) == "0.6 ms");
  BOOST_TEST(describe(412ms) == "412 ms");
  BOOST_TEST(describe(999600us) == "1.0 s");
  BOOST_TEST(describe(1200ms) == "1.2 s");
  BOOST_TEST(describe(59960ms) == "1m 00s");
  BOOST_TEST(describe(64s) == "1m 04s");
  BOOST_TEST(describe(2h + 5min) == "2h 05m");
  BOOST_TEST(describe(3599600ms) == "1h 00m");
  BOOST_TEST(describe(76h) == "3d 04h");
  BOOST_TEST(describe(-64s) == "-1m 04s");
  BOOST_TEST(describe(Duration::min()) == "-" + describe(Duration::max()));
}

BOOST_AUTO_TEST_SUITE_END()
