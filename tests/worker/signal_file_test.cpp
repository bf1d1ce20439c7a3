#include "worker/signal_file.hpp"

#include <algorithm>
#include <filesystem>

#include <fmt/format.h>
#include <boost/test/unit_test.hpp>

#include "flow/signal.hpp"
#include "tests/worker/support.hpp"

BOOST_AUTO_TEST_SUITE(signal_file)

using namespace reprise;
using namespace reprise::worker;
using namespace reprise::worker::test;
using namespace std::chrono_literals;

namespace {

std::string problem_with(std::string_view text) {
  const auto request = parse_signal(text);
  BOOST_REQUIRE_MESSAGE(!request, text << " is taken");
  BOOST_TEST((request.error().code == ErrorCode::invalid_argument));
  return request.error().message;
}

}  // namespace

BOOST_AUTO_TEST_CASE(every_signal_has_a_name_and_a_state) {
  std::vector<TaskState> states;
  for (const std::string& name : signal_names()) states.push_back(signal_from(name).value());
  const std::vector<TaskState> expected{TaskState::skipped,        TaskState::failed,
                                        TaskState::success,        TaskState::retrying,
                                        TaskState::paused,         TaskState::looped,
                                        TaskState::trigger_failed, TaskState::validation_failed};
  BOOST_TEST((states == expected));
  for (int i = 0; i < task_state_count; ++i) {
    const auto state = static_cast<TaskState>(i);
    BOOST_TEST(is_signal(state) ==
               (std::find(expected.begin(), expected.end(), state) != expected.end()));
  }
}

BOOST_AUTO_TEST_CASE(what_was_left_is_read_again) {
  TemporaryFolder folder;
  const auto path = folder.path() / "signal";
  BOOST_TEST(!read_signal(path).value());
  SignalRequest request{"retry", "busy: \"é\"\n", 1500ms, {}};
  BOOST_REQUIRE(leave_signal(path, request));
  auto read = read_signal(path).value();
  BOOST_REQUIRE(read);
  BOOST_TEST(read->name == "retry");
  BOOST_TEST(read->message == request.message);
  BOOST_TEST((read->in == request.in));
  BOOST_TEST(!read->value);
  // A later one takes its place, and nothing is left beside it.
  BOOST_REQUIRE(leave_signal(path, {"loop", "", {}, Value(Map{{"a", List{1, 2.5, Value{}}}})}));
  read = read_signal(path).value();
  BOOST_REQUIRE((read && read->value));
  BOOST_TEST(to_json(*read->value) == R"({"a":[1,2.5,null]})");
  BOOST_TEST(std::distance(std::filesystem::directory_iterator(folder.path()), {}) == 1);
}

BOOST_AUTO_TEST_CASE(a_file_that_makes_no_sense_is_refused_with_the_reason) {
  BOOST_TEST(problem_with("").find("JSON") != std::string::npos);
  BOOST_TEST(problem_with("[]").find("no object") != std::string::npos);
  BOOST_TEST(problem_with("{}").find("has no \"signal\"") != std::string::npos);
  BOOST_TEST(problem_with(R"({"signal": 1})") == "\"signal\" must be text, not 1");
  BOOST_TEST(problem_with(R"({"signal": "skipp"})").find("did you mean \"skip\"?") !=
             std::string::npos);
  BOOST_TEST(problem_with(R"({"signal": "skip", "mesage": "x"})").find("\"mesage\" is none of") ==
             0);
  BOOST_TEST(problem_with(R"({"signal": "skip", "in": "10s"})").find("takes no delay") !=
             std::string::npos);
  BOOST_TEST(problem_with(R"({"signal": "retry", "value": null})").find("takes no value") !=
             std::string::npos);
  BOOST_TEST(problem_with(R"({"signal": "retry", "in": "soon"})").find("soon") !=
             std::string::npos);
  BOOST_TEST(problem_with(R"({"signal": "retry", "in": 10})") == "\"in\" must be text, not 10");
  BOOST_TEST(problem_with(R"({"signal": "fail", "signal": "skip"})").find("twice") !=
             std::string::npos);
  BOOST_TEST(problem_with(fmt::format(R"({{"signal": "fail", "message": "{}"}})",
                                      std::string(signal_message_bytes_max + 1, 'x')))
                 .find("allowed") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(nothing_but_a_small_file_is_read) {
  TemporaryFolder folder;
  const auto path = folder.path() / "signal";
  write_file(path,
             R"({"signal": "skip", "message": ")" + std::string(signal_bytes_max, 'x') + "\"}");
  BOOST_TEST(read_signal(path).error().message == "it is larger than 1.0 MiB");
  std::filesystem::remove(path);
  write_file(folder.path() / "other", R"({"signal": "skip"})");
  std::filesystem::create_symlink("other", path);
  BOOST_TEST(read_signal(path).error().message.find("symbolic link") != std::string::npos);
  std::filesystem::remove(path);
  std::filesystem::create_directory(path);
  BOOST_TEST(read_signal(path).error().message == "it is no file");
  BOOST_TEST(!leave_signal(path, {"skip", "", {}, Value(std::string(signal_bytes_max, 'x'))}));
}

BOOST_AUTO_TEST_SUITE_END()
