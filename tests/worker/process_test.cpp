#include "worker/process.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>

#include <atomic>
#include <filesystem>
#include <fstream>

#include <boost/test/unit_test.hpp>

#include "tests/worker/support.hpp"
#include "worker/process_tree.hpp"

BOOST_AUTO_TEST_SUITE(process_tests)

using namespace reprise;
using namespace reprise::worker;
using namespace reprise::worker::test;
using namespace std::chrono_literals;

namespace {

struct Ran {
  Result<ProcessEnd> end;
  std::string out;
  std::string err;
  std::chrono::steady_clock::duration took{0};
};

class Processes {
 public:
  TemporaryFolder folder;
  Duration grace = 5s;

  [[nodiscard]] ProcessSpec spec(std::vector<std::string> arguments) {
    static std::atomic<int> last{0};
    const std::string mark =
        "REPRISE_ATTEMPT=test." + std::to_string(::getpid()) + "." + std::to_string(++last);
    const std::string program = arguments[0];
    return {
        program, std::move(arguments), {"PATH=/usr/bin:/bin", mark}, folder.path().string(), mark,
        grace};
  }
  Ran run(ProcessSpec spec, std::stop_token stop = {}) {
    TextSink out;
    TextSink err;
    const auto begun = std::chrono::steady_clock::now();
    Result<ProcessEnd> end = run_process(spec, out, err, std::move(stop));
    return {std::move(end), std::move(out.text), std::move(err.text),
            std::chrono::steady_clock::now() - begun};
  }
  Ran shell(const std::string& script, std::stop_token stop = {}) {
    return run(spec({"/bin/sh", "-c", script}), std::move(stop));
  }
  /// Process ids that a script wrote into the file `name`, one per line, once there are `count`.
  std::vector<pid_t> pids(const std::string& name, std::size_t count) {
    std::vector<pid_t> all;
    eventually([&] {
      all.clear();
      std::ifstream in(folder.path() / name);
      for (pid_t pid = 0; in >> pid;) all.push_back(pid);
      return all.size() >= count;
    });
    BOOST_REQUIRE(all.size() == count);
    return all;
  }
};

// Gone, or a zombie that waits for somebody else to reap it.
bool is_gone(pid_t pid) {
  std::ifstream in("/proc/" + std::to_string(pid) + "/stat");
  std::string line;
  if (!std::getline(in, line)) return true;
  return line[line.rfind(')') + 2] == 'Z';
}

/// Runs a script in another thread, to be stopped.
class Background {
 public:
  Background(Processes& processes, const std::string& script)
      : thread_([this, &processes, script] { ran = processes.shell(script, stop_.get_token()); }) {}
  ~Background() {
    if (thread_.joinable()) stop_and_join();
  }
  void stop_and_join() {
    stop_.request_stop();
    thread_.join();
  }
  void join() { thread_.join(); }
  Ran ran;

 private:
  std::stop_source stop_;
  std::thread thread_;
};

}  // namespace

BOOST_FIXTURE_TEST_SUITE(process, Processes)

BOOST_AUTO_TEST_CASE(exit_code_and_output_are_recorded) {
  const Ran ran = shell("echo out; echo err >&2; exit 7");
  BOOST_REQUIRE(ran.end);
  BOOST_TEST(ran.end->exit_code == 7);
  BOOST_TEST(ran.end->signal == 0);
  BOOST_TEST(!ran.end->stopped);
  BOOST_TEST(ran.out == "out\n");
  BOOST_TEST(ran.err == "err\n");
}

BOOST_AUTO_TEST_CASE(a_signal_is_recorded) {
  BOOST_TEST(shell("kill -SEGV $$").end->signal == SIGSEGV);
  BOOST_TEST(shell("kill -KILL $$").end->signal == SIGKILL);
}

BOOST_AUTO_TEST_CASE(arguments_reach_the_program_untouched) {
  const std::vector<std::string> odd{"a b",  "",          "'", "\"", "$(touch pwned)",
                                     "`id`", "new\nline", "*", "\\", "\xff"};
  std::vector<std::string> arguments{"/usr/bin/printf", "%s\\0"};
  arguments.insert(arguments.end(), odd.begin(), odd.end());
  const Ran ran = run(spec(arguments));
  std::string expected;
  for (const std::string& text : odd) (expected += text) += '\0';
  BOOST_TEST(ran.out == expected);
  BOOST_TEST(!std::filesystem::exists(folder.path() / "pwned"));
}

BOOST_AUTO_TEST_CASE(it_has_only_three_files_and_reads_nothing) {
  // One that a careless library left open for every child.
  const FileDescriptor leaked(::open("/etc/passwd", O_RDONLY));
  BOOST_REQUIRE(leaked.is_open());
  const Ran ran = shell("cd /proc/$$/fd && echo *; cat; readlink /proc/$$/fd/0");
  // The shell itself has none but these; its glob opens and closes one.
  BOOST_TEST((ran.out == "0 1 2\n/dev/null\n" || ran.out == "0 1 2 3\n/dev/null\n"), ran.out);
  BOOST_TEST(run(spec({"/bin/ls", "/proc/self/fd"})).out ==
             "0\n1\n2\n3\n");  // 3 is the folder it lists
}

BOOST_AUTO_TEST_CASE(signals_are_at_their_defaults_and_it_leads_a_group) {
  struct sigaction ignore {};
  ignore.sa_handler = SIG_IGN;
  struct sigaction before {};
  ::sigaction(SIGPIPE, &ignore, &before);
  sigset_t blocked;
  sigset_t old_mask;
  ::sigemptyset(&blocked);
  ::sigaddset(&blocked, SIGTERM);
  ::pthread_sigmask(SIG_BLOCK, &blocked, &old_mask);
  const Ran ran = run(spec({"/bin/grep", "-E", "^Sig(Blk|Ign|Cgt)", "/proc/self/status"}));
  ::pthread_sigmask(SIG_SETMASK, &old_mask, nullptr);
  ::sigaction(SIGPIPE, &before, nullptr);
  BOOST_TEST(ran.out.find("SigBlk:\t0000000000000000") != std::string::npos, ran.out);
  // Signals 32 and 33 are the C library's own; its posix_spawn ignores them.
  BOOST_TEST((ran.out.find("SigIgn:\t0000000000000000") != std::string::npos ||
              ran.out.find("SigIgn:\t0000000180000000") != std::string::npos),
             ran.out);
  BOOST_TEST(shell("test \"$(ps -o pgid= -p $$ | tr -d ' ')\" = $$ || "
                   "test \"$(cut -d' ' -f5 /proc/$$/stat)\" = $$")
                 .end->exit_code == 0);
}

BOOST_AUTO_TEST_CASE(the_environment_is_exactly_what_was_given) {
  ProcessSpec what = spec({"/usr/bin/env"});
  ::setenv("REPRISE_TEST_SECRET", "x", 1);
  BOOST_TEST(run(what).out == "PATH=/usr/bin:/bin\n" + what.mark + "\n");
  ::unsetenv("REPRISE_TEST_SECRET");
}

BOOST_AUTO_TEST_CASE(what_cannot_be_started_says_why) {
  BOOST_TEST((run(spec({"/no/such/program"})).end.error().code == ErrorCode::not_found));
  write_file(folder.path() / "text", "hello");
  BOOST_TEST(
      (run(spec({(folder.path() / "text").string()})).end.error().code == ErrorCode::denied));
  std::filesystem::permissions(folder.path() / "text", std::filesystem::perms::owner_all);
  const Ran no_interpreter = run(spec({(folder.path() / "text").string()}));
  BOOST_TEST(no_interpreter.end.error().message ==
             "not a program; a script needs a first line such as #!/bin/sh");
  ProcessSpec huge = spec({"/bin/true"});
  huge.arguments.push_back(std::string(3 << 20, 'x'));
  BOOST_TEST((run(huge).end.error().code == ErrorCode::exhausted));
}

BOOST_AUTO_TEST_CASE(much_output_on_both_streams_neither_blocks_nor_mixes) {
  const Ran ran = shell(
      "(head -c 3000000 /dev/zero | tr '\\0' a) & (head -c 3000000 /dev/zero | tr '\\0' b >&2); "
      "wait");
  BOOST_TEST(ran.out.size() == 3000000U);
  BOOST_TEST(ran.err.size() == 3000000U);
  BOOST_TEST(ran.out.find_first_not_of('a') == std::string::npos);
  BOOST_TEST(ran.err.find_first_not_of('b') == std::string::npos);
}

BOOST_AUTO_TEST_CASE(a_background_process_does_not_hold_the_task_up_and_is_ended) {
  const Ran ran = shell("sleep 1000 & echo $! > pid; echo done");
  BOOST_REQUIRE(ran.end);
  BOOST_TEST(ran.end->exit_code == 0);
  BOOST_TEST(ran.end->left_over == 1U);
  BOOST_TEST(ran.out == "done\n");
  BOOST_TEST((ran.took < 4s));
  BOOST_TEST(is_gone(pids("pid", 1)[0]));
}

BOOST_AUTO_TEST_CASE(
    a_background_process_in_a_session_of_its_own_is_found_by_its_environment_or_its_pipe) {
  const Ran by_mark = shell("setsid sleep 1000 & echo $! > pid");
  BOOST_TEST(by_mark.end->left_over >= 1U);
  BOOST_TEST((by_mark.took < 4s));
  BOOST_TEST(is_gone(pids("pid", 1)[0]));
  const Ran by_pipe = shell(
      "env -i setsid sh -c 'echo $$ > pid2; exec sleep 1000' & while ! test -s pid2; do :; done");
  BOOST_TEST(by_pipe.end->left_over >= 1U);
  BOOST_TEST((by_pipe.took < 4s));
  BOOST_TEST(is_gone(pids("pid2", 1)[0]));
}

BOOST_AUTO_TEST_CASE(a_background_process_that_ignores_sigterm_is_killed) {
  grace = 100ms;
  const Ran ran = shell(
      "sh -c 'trap \"\" TERM; echo $$ > pid; while :; do sleep 1; done' & "
      "while ! test -s pid; do :; done");
  BOOST_TEST(ran.end->exit_code == 0);
  BOOST_TEST((ran.took < 4s));
  BOOST_TEST(is_gone(pids("pid", 1)[0]));
}

BOOST_AUTO_TEST_CASE(a_stop_ends_the_whole_tree_also_those_in_other_sessions) {
  Background background(
      *this,
      "setsid sh -c 'echo $$ >> pids; sleep 1000' & (sleep 1000 & echo $! >> pids); "
      "setsid setsid sh -c 'echo $$ >> pids; exec sleep 1000' & wait; sleep 1000");
  const auto all = pids("pids", 3);
  for (const pid_t pid : all) BOOST_TEST(!is_gone(pid));
  background.stop_and_join();
  BOOST_REQUIRE(background.ran.end);
  BOOST_TEST(background.ran.end->stopped);
  BOOST_TEST(background.ran.end->signal == SIGTERM);
  for (const pid_t pid : all) BOOST_TEST(is_gone(pid));
}

BOOST_AUTO_TEST_CASE(who_ignores_sigterm_is_killed_after_the_grace_time) {
  grace = 200ms;
  Background background(*this,
                        "trap '' TERM; setsid sh -c 'echo $$ >> pids; while :; do sleep 1; done' & "
                        "echo $$ >> pids; while :; do sleep 1; done");
  const auto all = pids("pids", 2);
  const auto begun = std::chrono::steady_clock::now();
  background.stop_and_join();
  const auto took = std::chrono::steady_clock::now() - begun;
  BOOST_TEST(background.ran.end->signal == SIGKILL);
  BOOST_TEST((took >= 200ms && took < 4s));
  for (const pid_t pid : all) BOOST_TEST(is_gone(pid));
}

BOOST_AUTO_TEST_CASE(a_program_may_clean_up_when_asked_to_stop) {
  Background background(
      *this, "trap 'echo bye; exit 3' TERM; echo ready > ready; while :; do sleep 0.05; done");
  BOOST_REQUIRE(eventually([&] { return std::filesystem::exists(folder.path() / "ready"); }));
  background.stop_and_join();
  BOOST_TEST(background.ran.end->stopped);
  BOOST_TEST(background.ran.end->exit_code == 3);
  BOOST_TEST(background.ran.out == "bye\n");
}

BOOST_AUTO_TEST_CASE(a_stopped_process_can_be_ended) {
  Background background(*this, "echo $$ > pid; kill -STOP $$; sleep 1000");
  static_cast<void>(pids("pid", 1));
  const auto begun = std::chrono::steady_clock::now();
  background.stop_and_join();
  BOOST_TEST(background.ran.end->signal == SIGTERM);
  BOOST_TEST((std::chrono::steady_clock::now() - begun < 4s));
}

BOOST_AUTO_TEST_CASE(endless_output_does_not_keep_a_stop_from_being_seen) {
  Background background(*this, "echo x > started; yes | head -c 100000000000 > /dev/stderr");
  BOOST_REQUIRE(eventually([&] { return std::filesystem::exists(folder.path() / "started"); }));
  const auto begun = std::chrono::steady_clock::now();
  background.stop_and_join();
  BOOST_TEST(background.ran.end->stopped);
  BOOST_TEST((std::chrono::steady_clock::now() - begun < 4s));
}

BOOST_AUTO_TEST_CASE(a_stop_that_was_asked_for_before_the_start_is_seen) {
  std::stop_source stop;
  stop.request_stop();
  const Ran ran = shell("sleep 1000", stop.get_token());
  BOOST_TEST(ran.end->stopped);
  // And leaves nothing behind for the next one in this thread.
  BOOST_TEST(!shell("true").end->stopped);
}

BOOST_AUTO_TEST_CASE(children_of_others_are_left_alone) {
  const pid_t own = ::fork();
  if (own == 0) ::_exit(42);
  BOOST_TEST(shell("true").end->exit_code == 0);
  siginfo_t info{};
  BOOST_TEST(::waitid(P_PID, static_cast<id_t>(own), &info, WEXITED) == 0);
  BOOST_TEST(info.si_status == 42);
}

BOOST_AUTO_TEST_CASE(a_thousand_processes_from_four_threads_lose_no_output) {
  std::vector<std::thread> threads;
  std::atomic<int> right{0};
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 250; ++i) {
        const std::string text = std::to_string(t * 1000 + i);
        const Ran ran = run(spec({"/bin/echo", text}));
        if (ran.end && ran.end->exit_code == 0 && ran.end->left_over == 0 && ran.out == text + "\n")
          ++right;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  BOOST_TEST(right == 1000);
}

BOOST_AUTO_TEST_CASE(what_a_crashed_process_left_is_found_by_its_mark) {
  ProcessSpec what =
      spec({"/bin/sh", "-c", "sleep 1000 & echo $! >> pids; setsid sleep 1000 & echo $! >> pids"});
  const std::string other = what.mark + "0";  // a longer mark is another
  BOOST_TEST(end_processes(other, 1s) == 0U);
  // Started without run_process(), which would end them.
  const pid_t child = ::fork();
  if (child == 0) {
    ::close(0);
    ::setsid();
    std::string mark = what.mark;
    char* const environment[] = {mark.data(), nullptr};
    ::execle("/bin/sleep", "sleep", "1000", nullptr, environment);
    ::_exit(1);
  }
  BOOST_TEST(eventually([&] {
    ProcessTree tree(0, what.mark);
    tree.find();
    return tree.size() == 1;
  }));
  BOOST_TEST(end_processes(what.mark, 5s) == 1U);
  BOOST_TEST(is_gone(child));
  siginfo_t info{};
  ::waitid(P_PID, static_cast<id_t>(child), &info, WEXITED);
}

// Between an exec's start and its end /proc shows no environment; who looked then took the process
// for a stranger and left it running.
BOOST_AUTO_TEST_CASE(a_process_that_is_always_in_an_exec_is_found) {
  const ProcessSpec what = spec({"/bin/true"});
  const std::string script = (folder.path() / "again").string();
  std::ofstream(script) << "#!/bin/sh\nexec \"$0\"\n";
  std::filesystem::permissions(script, std::filesystem::perms::owner_all);
  const pid_t child = ::fork();
  if (child == 0) {
    ::setsid();
    std::string mark = what.mark;
    char* const environment[] = {mark.data(), nullptr};
    ::execle(script.c_str(), script.c_str(), nullptr, environment);
    ::_exit(1);
  }
  const auto is_found = [&] {
    ProcessTree tree(0, what.mark);
    tree.find();
    return tree.size() == 1;
  };
  BOOST_TEST(eventually(is_found));
  int found = 0;
  for (int i = 0; i < 300; ++i) found += is_found() ? 1 : 0;
  BOOST_TEST(found == 300);
  BOOST_TEST(end_processes(what.mark, 5s) == 1U);
  siginfo_t info{};
  ::waitid(P_PID, static_cast<id_t>(child), &info, WEXITED);
}

// Last: it changes this process for good.
BOOST_AUTO_TEST_CASE(orphans_are_adopted_ended_and_reaped) {
  adopt_orphans();
  // No pipe, no group, no parent: only the adoption shows it.
  const Ran ran = shell(
      "(setsid sh -c 'echo $$ > pid; exec sleep 1000' > /dev/null 2>&1 &); while ! test -s pid; do "
      ":; done");
  BOOST_TEST(ran.end->left_over >= 1U);
  const pid_t pid = pids("pid", 1)[0];
  BOOST_TEST(::kill(pid, 0) == -1);  // not even a zombie
  for (int i = 0; i < 20; ++i) BOOST_TEST(shell("(true &); exit 5").end->exit_code == 5);
  BOOST_TEST(eventually([] {
    static_cast<void>(sweep_orphans("X=Y"));
    return ::waitpid(-1, nullptr, WNOHANG) == -1;
  }));
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE_END()
