#include "worker/task_log.hpp"

#include <boost/test/unit_test.hpp>

#include "tests/worker/support.hpp"

BOOST_AUTO_TEST_SUITE(task_log)

using namespace reprise;
using namespace reprise::worker;
using test::TemporaryFolder;

namespace {

const TaskId task{7};

LogWriter writer(const TemporaryFolder& folder, LogBudget& budget) {
  return LogWriter(folder.path().native(), task, 2, Stream::out, budget);
}

std::string content(const TemporaryFolder& folder) {
  const auto log = open_log(folder.path(), task, 2, Stream::out);
  return log ? log->read(0, 1 << 20).value() : "none: " + log.error().message;
}

}  // namespace

BOOST_AUTO_TEST_CASE(a_log_is_made_at_the_first_byte_and_named_by_number) {
  const TemporaryFolder folder;
  LogBudget budget({});
  LogWriter log = writer(folder, budget);
  log.write("");
  BOOST_TEST(!std::filesystem::exists(folder.path() / "logs"));
  BOOST_TEST((open_log(folder.path(), task, 2, Stream::out).error().code == ErrorCode::not_found));
  log.write("a");
  BOOST_TEST(std::filesystem::exists(folder.path() / "logs" / "7.2.out"));
  BOOST_TEST(content(folder) == "a");
}

BOOST_AUTO_TEST_CASE(bytes_above_the_cap_are_dropped_after_a_line_that_says_so) {
  const TemporaryFolder folder;
  LogBudget budget({.stream_bytes = 8, .run_bytes = 1000});
  LogWriter log = writer(folder, budget);
  log.write("12345");
  log.write("67890");
  log.write("more");
  BOOST_TEST(content(folder) == "12345678\n… output truncated at 8 B\n");
  BOOST_TEST(log.is_truncated());
  BOOST_TEST(log.status().has_value());
}

BOOST_AUTO_TEST_CASE(exactly_the_cap_is_not_truncated) {
  const TemporaryFolder folder;
  LogBudget budget({.stream_bytes = 4, .run_bytes = 1000});
  LogWriter log = writer(folder, budget);
  log.write("123\n");
  BOOST_TEST(content(folder) == "123\n");
  BOOST_TEST(!log.is_truncated());
  log.write("x");
  BOOST_TEST(content(folder) == "123\n… output truncated at 4 B\n");
}

BOOST_AUTO_TEST_CASE(all_logs_of_a_run_share_one_cap) {
  const TemporaryFolder folder;
  LogBudget budget({.stream_bytes = 100, .run_bytes = 6});
  LogWriter other(folder.path().native(), TaskId{1}, 1, Stream::err, budget);
  other.write("1234");
  LogWriter log = writer(folder, budget);
  log.write("5678");
  BOOST_TEST(content(folder) == "56\n… output truncated at 6 B for the whole run\n");
  BOOST_TEST(logged_bytes(folder.path()) >= 6U);
}

BOOST_AUTO_TEST_CASE(a_link_in_place_of_the_log_is_not_followed) {
  const TemporaryFolder folder;
  const auto victim = folder.path() / "victim";
  test::write_file(victim, "precious");
  std::filesystem::create_directories(folder.path() / "logs");
  std::filesystem::create_symlink(victim, folder.path() / "logs" / "7.2.out");
  LogBudget budget({});
  LogWriter log = writer(folder, budget);
  log.write("overwrite");
  BOOST_TEST(!log.status().has_value());
  BOOST_TEST(test::read_file(victim) == "precious");
}

BOOST_AUTO_TEST_CASE(tail_gives_whole_lines_from_the_end) {
  const TemporaryFolder folder;
  LogBudget budget({});
  LogWriter log = writer(folder, budget);
  log.write("one\ntwo\n\nfour\nfive");
  const auto reader = open_log(folder.path(), task, 2, Stream::out).value();
  BOOST_TEST(reader.tail(0).value() == "");
  BOOST_TEST(reader.tail(1).value() == "five");
  BOOST_TEST(reader.tail(2).value() == "four\nfive");
  BOOST_TEST(reader.tail(3).value() == "\nfour\nfive");
  BOOST_TEST(reader.tail(99).value() == "one\ntwo\n\nfour\nfive");
  log.write("\n");
  BOOST_TEST(reader.tail(1).value() == "five\n");
  BOOST_TEST(reader.read(4, 3).value() == "two");
  BOOST_TEST(reader.read(1000, 3).value() == "");
}

BOOST_AUTO_TEST_SUITE_END()
