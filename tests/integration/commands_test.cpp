// Command tasks from the outside: what a program sees, how it is stopped, what is kept of it.
#include <boost/test/unit_test.hpp>

#include <csignal>
#include <set>

#include "tests/integration/support.hpp"

BOOST_AUTO_TEST_SUITE(commands_tests)

using namespace reprise::integration;
using namespace std::chrono_literals;

namespace {

std::string flow(const std::string& tasks, const std::string& rest = "") {
  return "version: 1\nname: f\n" + rest + "tasks:\n" + tasks;
}

struct Commanding : Home {
  /// Process ids that commands wrote into `pids`; true: all of them have ended.
  bool all_gone() {
    return until(
        [&] {
          for (const std::string& pid : lines_of(read("pids")))
            if (::kill(std::stoi(pid), 0) == 0) return false;
          return true;
        },
        10s);
  }
  std::string here() const { return "env: {HERE: '" + path.string() + "'}"; }
};

}  // namespace

BOOST_FIXTURE_TEST_SUITE(commands, Commanding)

BOOST_AUTO_TEST_CASE(arguments_never_go_through_a_shell) {
  const std::vector<std::string> words{
      "a b", "$HOME", "`touch made`", "$(touch made)", "; touch made", "*",  "'",          "\"",
      "\\n", "",      "-n",           "> made",        "é\tü",         "&&", "line\nbreak"};
  Json argv{"printf", "<%s>"};
  for (const std::string& word : words) argv.push_back(word);
  write("f.json", Json{{"version", 1},
                       {"name", "f"},
                       {"tasks", {{"t", {{"run", argv}}}}},
                       {"outputs", {{"o", "${{ t.stdout }}"}}}}
                      .dump());
  const Outcome o = invoke(*this, {"run", "f.json"});
  BOOST_REQUIRE_MESSAGE(o.code == 0, o.shown());
  std::string expected;
  for (const std::string& word : words) expected += "<" + word + ">";
  BOOST_TEST(o.at("/outputs/o") == expected);
  for (const auto& entry : std::filesystem::recursive_directory_iterator(path))
    BOOST_TEST(entry.path().filename() != "made");
}

BOOST_AUTO_TEST_CASE(parameters_are_arguments_and_not_scripts) {
  write("f.yaml", flow("  t: {run: [printf, '%s', '${{ params.x }}']}\n",
                       "params: {x: {type: string}}\noutputs: {o: '${{ t.stdout }}'}\n"));
  for (const std::string value :
       {"$(id)", "'; touch made; '", "a\nb", "${{ params.x }}", "{{", "--help"}) {
    const Outcome o = invoke(*this, {"run", "f.yaml", "-p", "x=" + value});
    BOOST_TEST(o.at("/outputs/o") == value, o.shown());
  }
}

BOOST_AUTO_TEST_CASE(the_environment_is_an_allow_list_and_what_the_task_names) {
  environment["SECRET_TOKEN"] = "do not tell";
  environment["LD_PRELOAD"] = "";
  environment["PYTHONPATH"] = "/nowhere";
  write("f.yaml", flow("  t: {run: [env], env: {MINE: 'is here', NUMBER: 3}}\n",
                       "outputs: {o: '${{ t.stdout }}'}\n"));
  const Outcome o = invoke(*this, {"run", "f.yaml"});
  BOOST_REQUIRE_MESSAGE(o.code == 0, o.shown());
  std::set<std::string> names;
  for (const std::string& line : lines_of(o.at("/outputs/o").get<std::string>()))
    names.insert(line.substr(0, line.find('=')));
  for (const std::string name : {"SECRET_TOKEN", "LD_PRELOAD", "PYTHONPATH", "REPRISE_DATA"})
    BOOST_TEST(!names.contains(name), name << " was passed on");
  for (const std::string name : {"PATH", "HOME", "MINE", "NUMBER", "REPRISE_ATTEMPT"})
    BOOST_TEST(names.contains(name), name << " is missing");
  BOOST_TEST(o.at("/outputs/o").get<std::string>().find("MINE=is here\n") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(a_timeout_kills_the_whole_tree) {
  write("f.yaml",
        flow("  t:\n    timeout: 500ms\n    " + here() +
             "\n    shell: |\n      cd $HERE\n      echo $$ >> pids\n"
             "      trap '' TERM\n      (trap '' TERM; setsid sh -c 'echo $$ >> pids; exec sleep "
             "300') &\n      sh -c 'echo $$ >> pids; sleep 300'\n      sleep 300\n"));
  const Outcome o = invoke(*this, {"run", "f.yaml", "--grace", "300ms"});
  BOOST_TEST(o.code == 1, o.shown());
  BOOST_TEST(o.at("/failures/0/state") == "timed_out", o.shown());
  BOOST_TEST(o.seconds < 10);
  BOOST_TEST(lines_of(read("pids")).size() == 3u);
  BOOST_TEST(all_gone(), "processes of the task outlived it");
}

BOOST_AUTO_TEST_CASE(cancel_from_another_process_stops_within_the_grace_time) {
  write("f.yaml", flow("  t:\n    " + here() +
                       "\n    shell: |\n      cd $HERE\n      trap 'echo asked >> asked' TERM\n    "
                       "  echo $$ >> pids\n      while :; do sleep 0.1; done\n"));
  Arguments arguments{"run", "f.yaml", "--grace", "1s", "--json"};
  const auto program = start(arguments);
  BOOST_REQUIRE(until([&] { return !read("pids").empty(); }));
  const auto begin = std::chrono::steady_clock::now();
  const Outcome cancelled = invoke(*this, {"cancel", "last", "--reason", "because"});
  BOOST_TEST(cancelled.code == 0, cancelled.shown());
  const Outcome o = outcome_of(*program, begin);
  BOOST_TEST(o.code == 8, o.shown());
  BOOST_TEST(o.seconds < 5);
  BOOST_TEST(o.text("state") == "cancelled");
  BOOST_TEST(read("asked").starts_with("asked\n"));  // politely first
  BOOST_TEST(all_gone());
}

BOOST_AUTO_TEST_CASE(cancelling_one_task_takes_what_depends_on_it_and_leaves_the_rest) {
  write(
      "f.yaml",
      flow(
          "  long:\n    " + here() +
          "\n    shell: 'cd $HERE; echo $$ >> pids; exec sleep 300'\n  after: {needs: [long], run: "
          "['true']}\n"
          "  other:\n    " +
          here() +
          "\n    shell: 'cd $HERE; while ! test -e go; do sleep 0.05; done; echo fine > other'\n"));
  const auto program = start({"run", "f.yaml", "--grace", "300ms", "--slots", "2", "--json"});
  BOOST_REQUIRE(until([&] { return !read("pids").empty(); }));
  BOOST_TEST(invoke(*this, {"cancel", "last", "long"}).code == 0);
  BOOST_TEST(all_gone());
  write("go", "");
  const Outcome o = outcome_of(*program, std::chrono::steady_clock::now());
  BOOST_TEST(read("other") == "fine\n");
  BOOST_TEST(o.counted("cancelled") == 2, o.shown());
  BOOST_TEST(o.code == 0, o.shown());  // a cancelled task alone fails no run
}

BOOST_AUTO_TEST_CASE(output_files_come_back_on_a_hit) {
  write("f.yaml",
        flow("  t:\n    cache: true\n    shell: |\n      mkdir -p deep/er\n      head -c 200000 "
             "/dev/urandom > big.bin\n      printf 'a\\000b' > deep/er/small.bin\n      : > "
             "empty\n      printf '#!/bin/sh\\necho hi\\n' > run.sh; chmod +x run.sh\n"
             "    outputs: [big.bin, deep/er/small.bin, empty, run.sh]\n",
             "outputs: {big: \"${{ t.outputs['big.bin'] }}\", small: \"${{ "
             "t.outputs['deep/er/small.bin'] }}\", none: \"${{ t.outputs['empty'] }}\", script: "
             "\"${{ t.outputs['run.sh'] }}\"}\n"));
  const Outcome a = invoke(*this, {"run", "f.yaml", "--out", "a"}),
                b = invoke(*this, {"run", "f.yaml", "--out", "b"});
  BOOST_REQUIRE_MESSAGE(a.code == 0, a.shown());
  BOOST_REQUIRE_MESSAGE(b.code == 0, b.shown());
  BOOST_TEST(b.counted("executed") == 0);
  BOOST_TEST(read("a/big.bin").size() == 200000u);
  BOOST_TEST((read("a/big.bin") == read("b/big.bin")));
  std::size_t found = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(path / "b"))
    found += entry.is_regular_file();
  BOOST_TEST(found == 4u);
  const auto permissions = std::filesystem::status(path / "b" / "run.sh").permissions();
  BOOST_TEST(((permissions & std::filesystem::perms::owner_exec) != std::filesystem::perms::none),
             "the script can no longer be executed");
  // What a person does to the copies does not harm what is kept.
  write("b/big.bin", "spoiled");
  BOOST_TEST(invoke(*this, {"run", "f.yaml", "--out", "c"}).counted("executed") == 0);
  BOOST_TEST((read("a/big.bin") == read("c/big.bin")));
}

BOOST_AUTO_TEST_CASE(a_declared_file_that_was_not_made_fails_the_task) {
  write("f.yaml", flow("  t: {run: ['true'], outputs: [missing.txt]}\n"));
  const Outcome o = invoke(*this, {"run", "f.yaml"});
  BOOST_TEST(o.code == 1, o.shown());
  BOOST_TEST(o.at("/failures/0/message").dump().find("missing.txt") != std::string::npos,
             o.shown());
}

BOOST_AUTO_TEST_CASE(retries_are_counted_and_stop_at_the_first_success) {
  write("f.yaml", flow("  t:\n    retry: {max: 5, delay: 10ms}\n    " + here() +
                       "\n    shell: |\n      cd $HERE\n      echo x >> tries\n      test $(wc -l "
                       "< tries) -ge 3\n"));
  const Outcome o = invoke(*this, {"run", "f.yaml"});
  BOOST_TEST(o.code == 0, o.shown());
  BOOST_TEST(o.counted("executed") == 3);
  BOOST_TEST(read("tries") == "x\nx\nx\n");
  write("g.yaml", flow("  t:\n    retry: {max: 2, delay: 10ms, on: [timeout]}\n    " + here() +
                       "\n    shell: 'cd $HERE; echo x >> others; exit 7'\n"));
  const Outcome not_listed = invoke(*this, {"run", "g.yaml"});
  BOOST_TEST(not_listed.code == 1, not_listed.shown());
  BOOST_TEST(read("others") == "x\n");
}

BOOST_AUTO_TEST_CASE(a_signal_and_an_exit_code_are_told_apart) {
  write("f.yaml", flow("  code: {shell: exit 143}\n  signal: {shell: 'kill -SEGV $$'}\n  nothing: "
                       "{run: [/no/such/program]}\n"));
  const Outcome o = invoke(*this, {"run", "f.yaml", "--slots", "3"});
  BOOST_TEST(o.code == 1, o.shown());
  std::map<std::string, std::string> messages;
  for (const Json& failure : o.at("/failures"))
    messages[failure["task"].get<std::string>()] = failure["message"].get<std::string>();
  BOOST_TEST(messages["code"].find("143") != std::string::npos, messages["code"]);
  BOOST_TEST(messages["signal"].find("SIGSEGV") != std::string::npos, messages["signal"]);
  BOOST_TEST(messages["nothing"].find("/no/such/program") != std::string::npos,
             messages["nothing"]);
}

BOOST_AUTO_TEST_CASE(a_command_leaves_its_standard_input_alone_and_its_output_complete) {
  write("f.yaml", flow("  t: {shell: 'cat; head -c 3000000 /dev/zero | tr \"\\000\" x; echo; echo "
                       "end; printf tail >&2'}\n"));
  const Outcome o = invoke(*this, {"run", "f.yaml"});
  BOOST_REQUIRE_MESSAGE(o.code == 0, o.shown());
  const Finished logs = Home::run({"logs", "last", "t", "--raw"});
  BOOST_TEST(logs.out.size() >= 3000000u + 5 + 4);
  BOOST_TEST(logs.out.ends_with("\nend\ntail"), logs.out.substr(logs.out.size() - 20));
}

BOOST_AUTO_TEST_CASE(what_a_command_leaves_in_the_background_ends_with_it) {
  write("f.yaml",
        flow("  t:\n    " + here() +
             "\n    shell: |\n      cd $HERE\n      (echo $$ > /dev/null; sh -c 'echo $$ >> pids; "
             "exec sleep 300') &\n      while ! test -s pids; do sleep 0.05; done\n"));
  const Outcome o = invoke(*this, {"run", "f.yaml", "--grace", "300ms"});
  BOOST_TEST(o.code == 0, o.shown());
  BOOST_TEST(o.seconds < 10, "took " << o.seconds << " s");
  BOOST_TEST(all_gone());
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE_END()
