#include "worker/function_pool.hpp"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <thread>

#include <boost/test/unit_test.hpp>

#include "tests/worker/support.hpp"
#include "worker/local_runner.hpp"
#include "worker/slot_pool.hpp"

BOOST_AUTO_TEST_SUITE(function_pool_tests)

using namespace reprise;
using namespace reprise::worker;
using namespace reprise::worker::test;
using namespace std::chrono_literals;

namespace {

FunctionPool::Options options_for_tests() {
  FunctionPool::Options options;
  options.program = std::string(std::getenv("REPRISE_BIN_DIR")) + "/function_child";
  options.grace = 200ms;
  return options;
}

struct Failure {
  std::string type;
  std::string message;
  FailureClass failure = FailureClass::none;
  int signal = 0;
  int exit_code = 0;
};

class Pool {
 public:
  TemporaryFolder folder;
  FunctionPool::Options options = options_for_tests();
  std::shared_ptr<FunctionPool> pool;
  TextSink out, err;

  FunctionPool& get() {
    if (!pool) pool = FunctionPool::open(options).value();
    return *pool;
  }
  Value call(const std::string& name, const Value& argument = Value{}, std::stop_token stop = {},
             std::uint64_t memory_bytes = 0) {
    OneTask task(reprise::FunctionBody{name + "@1"});
    task.with_constant("value", argument);
    task.with_parameter("p", Value(7));
    task.kind().resources.memory_bytes = memory_bytes;
    const Attempt attempt = task.attempt(folder.path());
    const Returned returned =
        get().call(name + "@1", Call{attempt.arguments, attempt, std::move(stop)}, {out, err});
    return returned.value.value().value();
  }
  Failure failure_of(const std::string& name, const Value& argument = Value{},
                     std::stop_token stop = {}, std::uint64_t memory_bytes = 0) {
    try {
      (void)call(name, argument, std::move(stop), memory_bytes);
    } catch (const CallFailed& failed) {
      return {failed.type, failed.what(), failed.failure, failed.signal, failed.exit_code};
    }
    return {};
  }
};

bool is_gone(pid_t pid) {
  std::ifstream in("/proc/" + std::to_string(pid) + "/stat");
  std::string line;
  if (!std::getline(in, line)) return true;
  return line[line.rfind(')') + 2] == 'Z';
}

}  // namespace

BOOST_FIXTURE_TEST_SUITE(function_pool, Pool)

BOOST_AUTO_TEST_CASE(a_function_runs_in_a_process_that_stays) {
  BOOST_TEST((call("echo", Value("hello")) == Value("hello")));
  BOOST_TEST((call("echo", Value(std::string(3 << 20, 'x'))) == Value(std::string(3 << 20, 'x'))));
  const Value first = call("pid");
  BOOST_TEST((first != Value(::getpid())));
  BOOST_TEST((call("pid") == first));
  BOOST_TEST(get().idle().size() == 1u);
}

BOOST_AUTO_TEST_CASE(what_is_known_of_the_attempt_is_known_there) {
  const Value about = call("about");
  BOOST_TEST((*about.find("task_full_name") == Value("work")));
  BOOST_TEST((*about.find("task_run_count") == Value(1)));
  BOOST_TEST((*about.find("parameters")->find("p") == Value(7)));
  BOOST_TEST(about.find("color") == nullptr);
}

BOOST_AUTO_TEST_CASE(a_crash_fails_its_own_call_and_says_how) {
  const Failure segv = failure_of("segv");
  BOOST_TEST(segv.message == "function \"segv@1\": ended by signal 11 (SIGSEGV): about to crash");
  BOOST_TEST((segv.failure == FailureClass::signal));
  BOOST_TEST(segv.signal == SIGSEGV);
  BOOST_TEST(failure_of("abort").message == "function \"abort@1\": ended by signal 6 (SIGABRT)");
  const Failure exit = failure_of("exit");
  BOOST_TEST(exit.message == "function \"exit@1\": its process ended (exit 3)");
  BOOST_TEST(exit.exit_code == 3);
  BOOST_TEST((call("echo", Value(1)) == Value(1)));
}

BOOST_AUTO_TEST_CASE(an_idle_process_that_dies_is_replaced_unseen) {
  (void)call("pid");
  const auto idle = get().idle();
  BOOST_REQUIRE(idle.size() == 1u);
  ::kill(idle[0], SIGKILL);
  // Its threads end one after the other; the last one closes its end of the socket.
  const std::filesystem::path threads = "/proc/" + std::to_string(idle[0]) + "/task";
  BOOST_REQUIRE(eventually([&] {
    const std::filesystem::directory_iterator all(threads);
    return is_gone(idle[0]) && std::distance(begin(all), end(all)) == 1;
  }));
  BOOST_TEST((call("pid") != Value(idle[0])));
}

BOOST_AUTO_TEST_CASE(an_exception_keeps_its_type_and_a_signal_its_time) {
  const Failure thrown = failure_of("throw");
  BOOST_TEST(thrown.type == "std::out_of_range");
  BOOST_TEST(thrown.message == "no such thing");
  try {
    (void)call("end");
    BOOST_TEST(false);
  } catch (const Ending& ending) {
    BOOST_TEST((ending.state == TaskState::retrying));
    BOOST_TEST(ending.message == "later");
    BOOST_REQUIRE(ending.start_time.has_value());
    BOOST_TEST((*ending.start_time > now() + 59min));
    BOOST_TEST((*ending.start_time < now() + 61min));
  }
  BOOST_TEST(get().idle().size() == 1u);
}

BOOST_AUTO_TEST_CASE(a_body_that_obeys_its_stop_token_answers_and_another_is_killed) {
  for (const bool obeys : {true, false}) {
    std::stop_source stop;
    std::jthread asks([&] {
      eventually([&] { return false; }, 50ms);
      stop.request_stop();
    });
    if (obeys) {
      BOOST_TEST((call("spin", Value(true), stop.get_token()) == Value("obeyed")));
      continue;
    }
    const Failure killed = failure_of("spin", Value(false), stop.get_token());
    BOOST_TEST(killed.message == "function \"spin@1\" did not stop and was killed");
    BOOST_TEST(killed.signal == SIGKILL);
  }
  BOOST_TEST((call("echo", Value(2)) == Value(2)));
}

BOOST_AUTO_TEST_CASE(what_a_body_prints_goes_to_its_own_sinks) {
  (void)call("print");
  BOOST_TEST(out.text == "to stdout");
  BOOST_TEST(err.text == "to stderr");
}

BOOST_AUTO_TEST_CASE(a_process_is_replaced_after_its_share_of_calls) {
  options.calls_max = 2;
  const Value first = call("pid");
  BOOST_TEST((call("pid") == first));
  BOOST_TEST((call("pid") != first));
}

BOOST_AUTO_TEST_CASE(memory_beyond_what_the_task_declares_fails_the_call_and_says_so) {
  constexpr std::uint64_t limit = 64 << 20;
  BOOST_TEST((call("memory", Value(16 << 20), {}, limit) == Value('x')));
  const Failure failed = failure_of("memory", Value(256 << 20), {}, limit);
  BOOST_TEST(failed.type == "OutOfMemory");
  BOOST_TEST((failed.failure == FailureClass::memory));
  BOOST_TEST(failed.message.starts_with("out of memory: it may use 64"), failed.message);
  // The next task may declare more.
  BOOST_TEST((call("memory", Value(256 << 20)) == Value('x')));
}

BOOST_AUTO_TEST_CASE(what_a_crashed_function_started_is_ended_too) {
  const std::string file = (folder.path() / "pid").string();
  BOOST_TEST(failure_of("leave", Value(file)).signal == SIGKILL);
  pid_t left = 0;
  std::ifstream(file) >> left;
  BOOST_REQUIRE(left > 0);
  BOOST_TEST(eventually([&] { return is_gone(left); }));
}

BOOST_AUTO_TEST_CASE(nothing_open_here_is_open_there) {
  const int leaked = ::open("/dev/null", O_RDONLY);  // as a library may, without O_CLOEXEC
  const int high = ::fcntl(leaked, F_DUPFD, 77);
  // 0 to 2, the two ends of its own, and the folder it looks through.
  BOOST_TEST((call("open") == Value("0 1 2 3 4 5")));
  ::close(high);
  ::close(leaked);
}

BOOST_AUTO_TEST_CASE(variables_that_are_not_its_business_are_not_inherited) {
  options.environment["LD_PRELOAD"] = "/nowhere.so";
  options.environment["NOTIFY_SOCKET"] = "/run/x";
  options.environment["COLOUR"] = "red";
  BOOST_TEST((call("env", Value("LD_PRELOAD")) == Value{}));
  BOOST_TEST((call("env", Value("NOTIFY_SOCKET")) == Value{}));
  BOOST_TEST((call("env", Value("COLOUR")) == Value("red")));
}

BOOST_AUTO_TEST_CASE(a_function_that_is_unknown_there_cannot_start) {
  const Failure failed = failure_of("other");
  BOOST_TEST((failed.failure == FailureClass::cannot_start));
  BOOST_TEST(failed.message.find("reprise::init") != std::string::npos, failed.message);
}

BOOST_AUTO_TEST_CASE(a_program_that_does_not_expect_it_is_never_started_anew) {
  FunctionPool::Options own;  // this test's main knows nothing of it
  const auto opened = FunctionPool::open(own);
  BOOST_REQUIRE(!opened);
  BOOST_TEST(opened.error().message.find("call reprise::init(argc, argv, tasks...)") !=
             std::string::npos);
}

BOOST_AUTO_TEST_CASE(a_program_that_is_none_is_said_to_have_failed) {
  options.program = "/bin/false";
  const Failure failed = failure_of("echo");
  BOOST_TEST((failed.failure == FailureClass::cannot_start));
  BOOST_TEST(failed.message.find("its process ended (exit 1)") != std::string::npos,
             failed.message);
}

BOOST_AUTO_TEST_CASE(an_isolated_task_that_runs_out_of_time_is_really_ended) {
  auto table = std::make_shared<FunctionTable>();
  BOOST_REQUIRE(add_functions_of(FunctionPool::open(options).value(), *table));
  std::mutex mutex;
  std::vector<Finished> ended;
  auto runner = std::make_shared<LocalRunner>(
      LocalRunner::Options{.functions = table, .grace = 200ms, .pool = get().shared_from_this()});
  SlotPool slots({.slots = 1, .grace = 200ms}, runner, [&](std::vector<Finished> finished) {
    const std::scoped_lock lock(mutex);
    for (Finished& each : finished) ended.push_back(std::move(each));
  });
  OneTask spins(reprise::FunctionBody{"spin@1"});
  spins.with_constant("value", Value(false));
  spins.kind().timeout = 50ms;
  slots.submit({spins.attempt(folder.path(), 3)});
  OneTask echoes(reprise::FunctionBody{"echo@1"});
  echoes.with_constant("value", Value(5));
  slots.submit({echoes.attempt(folder.path(), 4)});
  BOOST_REQUIRE(eventually([&] {
    const std::scoped_lock lock(mutex);
    return ended.size() == 2;
  }));
  BOOST_TEST((ended[0].outcome.state == TaskState::timed_out));
  BOOST_TEST((ended[1].outcome.state == TaskState::success));
  BOOST_TEST(slots.abandoned() == 0u);
  const auto log = open_log(folder.path(), TaskId{3}, 1, Stream::out);
  BOOST_REQUIRE(log.has_value());
  BOOST_TEST(log->read(0, 100).value() == "spinning\n");
}

BOOST_AUTO_TEST_CASE(an_isolated_task_without_a_pool_cannot_start) {
  auto table = std::make_shared<FunctionTable>();
  add_builtins(*table);
  OneTask task(reprise::FunctionBody{"trace.noop@1"});
  LocalRunner runner({.functions = table});
  BOOST_TEST((runner.run(task.attempt(folder.path()), {}).state == TaskState::success));
  OneTask isolated(reprise::FunctionBody{"trace.noop@1"});
  isolated.kind().isolated = true;
  const Outcome outcome = runner.run(isolated.attempt(folder.path()), {});
  BOOST_TEST((outcome.failure == FailureClass::cannot_start));
  BOOST_TEST(!outcome.executed);
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE_END()
