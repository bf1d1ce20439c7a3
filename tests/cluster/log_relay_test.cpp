#include <boost/test/unit_test.hpp>

#include <fstream>

#include "cluster/log_relay.hpp"
#include "tests/support/temporary_folder.hpp"
#include "worker/task_log.hpp"

BOOST_AUTO_TEST_SUITE(log_relay_tests)

using namespace reprise;
using namespace reprise::cluster;

namespace {

struct Fixture {
  LogRelay relay;
  std::vector<Result<wire::LogPart>> answers;
  wire::AskLog what;

  wire::LogRequest ask(std::set<LinkNumber> workers, Time at = Time{}) {
    return relay.ask(
        what, std::move(workers),
        [this](Result<wire::LogPart> answer) { answers.push_back(std::move(answer)); }, at);
  }
  static wire::LogAnswer part(const wire::LogRequest& request, std::string bytes) {
    return {request.number, {}, encode(wire::LogPart{0, std::move(bytes)})};
  }
  static wire::LogAnswer nothing(const wire::LogRequest& request) {
    return {request.number, fail(ErrorCode::not_found, "not here"), {}};
  }
};

}  // namespace

BOOST_FIXTURE_TEST_SUITE(LogRelay_suite, Fixture)

BOOST_AUTO_TEST_CASE(the_first_that_has_it_answers) {
  const auto request = ask({1, 2, 3});
  relay.answered(1, nothing(request));
  BOOST_TEST(answers.empty());
  relay.answered(2, part(request, "text"));
  BOOST_REQUIRE(answers.size() == 1u);
  BOOST_TEST(answers[0].value().bytes == "text");
  relay.answered(3, part(request, "late"));
  BOOST_TEST(answers.size() == 1u);
}

BOOST_AUTO_TEST_CASE(nobody_has_it_when_all_said_so_or_left) {
  const auto request = ask({1, 2});
  relay.answered(1, nothing(request));
  relay.answered(1, nothing(request));  // said twice it counts once
  BOOST_TEST(answers.empty());
  relay.left(2);
  BOOST_REQUIRE(answers.size() == 1u);
  BOOST_TEST((answers[0].error().code == ErrorCode::not_found));
  (void)ask({});
  BOOST_TEST(answers.size() == 2u);
}

BOOST_AUTO_TEST_CASE(a_worker_that_says_nothing_is_not_waited_for_forever) {
  (void)ask({1}, Time{});
  relay.tick(Time{std::chrono::seconds{4}});
  BOOST_TEST(answers.empty());
  relay.tick(Time{std::chrono::seconds{6}});
  BOOST_TEST(answers.size() == 1u);
}

BOOST_AUTO_TEST_CASE(a_log_is_read_from_either_end) {
  const testing::TemporaryFolder folder;
  std::filesystem::create_directories(folder / what.run.text() / "logs");
  std::ofstream(worker::log_path(folder / what.run.text(), TaskId{3}, 2, worker::Stream::err))
      << "0123456789";
  what.task = TaskId{3};
  what.attempt = 2;
  what.is_err = true;
  what.offset = 4;
  what.limit = 3;
  BOOST_TEST(read_log(folder.path(), what).value().bytes == "456");
  what.from_end = true;
  const auto tail = read_log(folder.path(), what).value();
  BOOST_TEST(tail.bytes == "678");
  BOOST_TEST(tail.offset == 6u);
  what.offset = 400;
  BOOST_TEST(read_log(folder.path(), what).value().bytes == "012");
  what.attempt = 1;
  BOOST_TEST((read_log(folder.path(), what).error().code == ErrorCode::not_found));
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE_END()
