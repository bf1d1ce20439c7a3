#include "core/log_line.hpp"

#include <boost/test/unit_test.hpp>

BOOST_AUTO_TEST_SUITE(log_lines)

using namespace reprise;

BOOST_AUTO_TEST_CASE(each_format_says_the_same_of_an_event) {
  const Time at{};
  const char* message = "a \"b\"\nc \x1b[1m";
  BOOST_TEST(log_line(LogFormat::text, LogLevel::info, message, at, false) ==
             "a \"b\"\\nc \\x1b[1m");
  BOOST_TEST(log_line(LogFormat::text, LogLevel::warning, "w", at, false) == "warning: w");
  BOOST_TEST(log_line(LogFormat::logfmt, LogLevel::error, message, at, false) ==
             "time=1970-01-01T00:00:00.000000Z level=error msg=\"a \\\"b\\\"\\\\nc \\\\x1b[1m\"");
  BOOST_TEST(
      log_line(LogFormat::json, LogLevel::info, message, at, false) ==
      R"({"time":"1970-01-01T00:00:00.000000Z","level":"info","msg":"a \"b\"\nc \u001b[1m"})");
  BOOST_TEST(log_line(LogFormat::json, LogLevel::debug, "\xff", at, true) ==
             "<7>{\"level\":\"debug\",\"msg\":\"\xef\xbf\xbd\"}");
  BOOST_TEST(log_line(LogFormat::logfmt, LogLevel::warning, "w", at, true) ==
             "<4>level=warning msg=\"w\"");
}

BOOST_AUTO_TEST_CASE(names_are_read_as_they_are_written) {
  for (const auto format : {LogFormat::text, LogFormat::logfmt, LogFormat::json})
    BOOST_TEST((parse_log_format(name(format)) == format));
  for (const auto level : {LogLevel::debug, LogLevel::info, LogLevel::warning, LogLevel::error})
    BOOST_TEST((parse_log_level(name(level)) == level));
  BOOST_TEST(!parse_log_format("JSON").has_value());
  BOOST_TEST(!parse_log_level("").has_value());
}

BOOST_AUTO_TEST_SUITE_END()
