// What counts for a hit in flow files, and the settings about keys, through the real program: every
// case counts what its command did in a file beside the flow.
#include <boost/test/unit_test.hpp>

#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include <nlohmann/json.hpp>

#include "tests/cli/program.hpp"
#include "tests/cli/schema_check.hpp"

BOOST_AUTO_TEST_SUITE(cache_keys_program_tests)

using namespace reprise::cli::test;
namespace fs = std::filesystem;
using Json = nlohmann::json;

namespace {

struct Place : Home {
  Json document(std::vector<std::string> arguments) {
    arguments.emplace_back("--json");
    return document_in(run(std::move(arguments)));
  }
  /// Runs flow.yaml; whether every task was served.
  bool hits(std::vector<std::string> flags = {}) {
    std::vector<std::string> arguments{"run", "flow.yaml", "--new"};
    arguments.insert(arguments.end(), flags.begin(), flags.end());
    const Json ended = document(arguments);
    BOOST_TEST(ended["state"] == "success", ended.dump());
    return ended["summary"]["executed"] == 0;
  }
  bool hits_with(const std::string& flow) {
    write("flow.yaml", "version: 1\ntasks:\n" + flow);
    return hits();
  }
  void program(const std::string& name, const std::string& text) {
    write(name, text);
    fs::permissions(path / name, fs::perms::owner_all);
  }
  Json explanation(const std::string& task) { return document({"cache", "explain", "last", task}); }
};

}  // namespace

BOOST_FIXTURE_TEST_SUITE(program_cache_keys, Place)

// The rows about commands of the table of what isolates and what shares; those about functions are
// in tests/api.
BOOST_AUTO_TEST_CASE(what_isolates_and_what_shares_among_commands) {
  const std::string plain = "  align: {run: [echo, x], outputs: [], cache: true}\n";
  BOOST_TEST(!hits_with(plain));
  BOOST_TEST(hits_with(plain));
  BOOST_TEST(!hits_with("  lab-align: {run: [echo, x], cache: true}\n"), "another name");
  BOOST_TEST(!hits_with("  align: {shell: 'echo x > a', outputs: [a], cache: true}\n"),
             "output added");
  BOOST_TEST(!hits_with("  align: {shell: 'echo x > b', outputs: [b], cache: true}\n"),
             "output renamed");
  BOOST_TEST(!hits_with("  align: {run: [echo, x], version: 2, cache: true}\n"), "version");
  BOOST_TEST(!hits_with("  align: {run: [echo, x], version: '2 ', cache: true}\n"), "one byte");
  BOOST_TEST(hits_with(plain), "back to the old version");
  BOOST_TEST(hits_with("  align: {run: [echo, x], cache: true, timeout: 5m, retry: {max: 2}, "
                       "resources: {cpus: 1}}\n"),
             "what does not count");
  write("flow.yaml", "version: 1\nname: another\ntasks:\n" + plain);
  BOOST_TEST(hits(), "another workflow");
  BOOST_TEST(!hits_with("  align: {run: [echo, x]}\n"), "not opted in");
  write("data.txt", "1");
  BOOST_TEST(!hits_with("  align: {run: [echo, x], inputs: [data.txt], cache: true}\n"),
             "input added");
  write("other.txt", "1");
  BOOST_TEST(!hits_with("  align: {run: [echo, x], inputs: [other.txt], cache: true}\n"),
             "input renamed");
  BOOST_TEST(hits_with(plain));
}

BOOST_AUTO_TEST_CASE(where_code_counts_only_comments_and_blanks_of_a_script_share) {
  const auto with = [&](const std::string& script) {
    return hits_with("  a:\n    shell: |\n" + script + "    cache: {code: auto}\n");
  };
  BOOST_TEST(!with("      echo one\n"));
  BOOST_TEST(with("      # says it\n\n      echo   one   # here\n"));
  BOOST_TEST(!with("      echo two\n"));
  BOOST_TEST(explanation("a")["reason"] == "code");
  BOOST_TEST(with("      echo one\n"));
}

BOOST_AUTO_TEST_CASE(where_code_counts_so_does_that_of_a_program_beside_the_flow) {
  const std::string flow = "  a: {run: [./tool.sh, x], cache: {code: auto}}\n";
  program("tool.sh", "#!/bin/sh\necho \"$1\"\n");
  BOOST_TEST(!hits_with(flow));
  program("tool.sh", "#!/bin/sh\n# prints it\necho   \"$1\"\n");
  BOOST_TEST(hits_with(flow));
  program("tool.sh", "#!/bin/sh\necho \"$1!\"\n");
  BOOST_TEST(!hits_with(flow));
  BOOST_TEST(explanation("a")["reason"] == "code");
  // Without it, every byte of the program counts.
  const std::string plain = "  a: {run: [./tool.sh, x], cache: true}\n";
  BOOST_TEST(!hits_with(plain));
  program("tool.sh", "#!/bin/sh\necho  \"$1!\"\n");
  BOOST_TEST(!hits_with(plain));
}

BOOST_AUTO_TEST_CASE(a_hash_stands_for_an_input_file_that_is_not_read) {
  const auto with = [&](const std::string& method, const std::string& hash) {
    return hits_with(
        "  a: {run: [cat, big.txt], inputs: [big.txt], cache: {hash: {big.txt: "
        "{method: " +
        method + ", hash: " + hash + "}}}}\n");
  };
  write("big.txt", "old");
  BOOST_TEST(!with("etag", "v1"));
  write("big.txt", "new");
  BOOST_TEST(with("etag", "v1"));
  BOOST_TEST(!with("etag", "v2"));
  BOOST_TEST(!with("md5", "v1"));
  write("flow.yaml",
        "version: 1\ntasks:\n  a: {run: [id], cache: {hash: {b: {method: m, hash: h}}}}\n");
  const Finished refused = run({"check", "flow.yaml"});
  BOOST_TEST(refused.code == 2, refused.err);
  BOOST_TEST((refused.out + refused.err).find("RP1213") != std::string::npos, refused.err);
}

BOOST_AUTO_TEST_CASE(a_folder_is_an_input_by_all_that_is_in_it) {
  const std::string flow =
      "  a: {shell: 'cat reads/sub/x; ls reads; touch reads/y 2>&1 || true', inputs: [reads/], "
      "cache: "
      "true}\noutputs: {out: '${{ a.stdout }}'}\n";
  fs::create_directories(path / "reads/sub");
  fs::create_directories(path / "reads/empty");
  write("reads/sub/x", "1\n");
  BOOST_TEST(!hits_with(flow));
  BOOST_TEST(hits());
  write("reads/sub/x", "2\n");
  BOOST_TEST(!hits());
  write("reads/sub/x", "1\n");
  BOOST_TEST(hits());
  fs::remove(path / "reads/empty");
  BOOST_TEST(!hits());
  BOOST_TEST(!fs::exists(path / "reads/y"));
}

BOOST_AUTO_TEST_CASE(a_folder_with_a_pipe_in_it_is_not_cached_and_says_why) {
  fs::create_directories(path / "reads");
  BOOST_REQUIRE(::mkfifo((path / "reads/pipe").c_str(), 0600) == 0);
  write("flow.yaml",
        "version: 1\ntasks:\n  a: {run: [ls], inputs: [reads], cwd: flow, cache: true}\n");
  BOOST_TEST(!hits());
  BOOST_TEST(!hits());
  const std::string reason = explanation("a")["reason"];
  BOOST_TEST(reason.starts_with("uncacheable:"), reason);
  BOOST_TEST(reason.find("neither file, folder nor link") != std::string::npos, reason);
}

BOOST_AUTO_TEST_CASE(a_result_whose_input_changed_meanwhile_is_given_but_not_kept) {
  // The first run changes its own input; later ones find the new content, and leave it alone.
  const std::string source = (path / "in.txt").string();
  write("in.txt", "old");
  write("flow.yaml", "version: 1\ntasks:\n  a:\n    shell: |\n      cat in.txt\n      if [ ! -e " +
                         (path / "once").string() + " ]; then touch " + (path / "once").string() +
                         "; printf newer > " + source +
                         "; fi\n    inputs: [in.txt]\n    cache: true\n"
                         "outputs: {out: '${{ a.stdout }}'}\n");
  const Json first = document({"run", "flow.yaml"});
  BOOST_TEST(first["outputs"]["out"] == "old");
  const Json why = explanation("a");
  BOOST_TEST(why["note"].get<std::string>().find("input_changed") != std::string::npos, why.dump());
  const Finished events = run({"events", "last"});
  BOOST_TEST(events.out.find("input_changed") != std::string::npos, events.out);
  BOOST_TEST(document({"cache", "ls"})["entries"].empty());
  const Json second = document({"run", "flow.yaml", "--new"});
  BOOST_TEST(second["outputs"]["out"] == "newer");
  BOOST_TEST(hits());
  // What the first run's key speaks of was never kept.
  write("in.txt", "old");
  BOOST_TEST(!hits());
}

BOOST_AUTO_TEST_CASE(the_run_or_its_parameters_may_count_besides) {
  const std::string params = "version: 1\nparams: {p: {type: int, default: 1}}\n";
  write("flow.yaml", params + "tasks:\n  a: {run: [id], cache: {per: [parameters]}}\n");
  BOOST_TEST(!hits());
  BOOST_TEST(hits());
  BOOST_TEST(!hits({"-p", "p=2"}));
  write("flow.yaml", params + "tasks:\n  a: {run: [id], cache: {per: [run]}}\n");
  BOOST_TEST(!hits());
  BOOST_TEST(!hits());
}

BOOST_AUTO_TEST_CASE(a_preset_caches_unless_the_task_says_otherwise) {
  const auto with = [&](const std::string& more) {
    return hits_with("  a: {run: [id], preset: cached_small" + more + "}\n");
  };
  BOOST_TEST(!with(""));
  BOOST_TEST(with(""));
  BOOST_TEST(!with(", cache: false"));
}

BOOST_AUTO_TEST_CASE(accounts_and_salts_come_from_flags_variables_and_files) {
  const std::string flow = "  a: {run: [id, -u], cache: true}\n  b: {run: [id, -g], cache: true}\n";
  BOOST_TEST(!hits_with(flow));
  BOOST_TEST(hits());
  BOOST_TEST(!hits({"--account", "lab"}));
  environment["REPRISE_ACCOUNT"] = "lab";
  BOOST_TEST(hits());
  BOOST_TEST(explanation("a")["outcome"] == "hit");
  BOOST_TEST(document({"plan", "flow.yaml"})["summary"]["cached"] == 2);
  environment.erase("REPRISE_ACCOUNT");
  // A salt disowns; nothing is deleted.
  write("reprise.toml", "salt = \"2026\"\n");
  BOOST_TEST(document({"plan", "flow.yaml"})["summary"]["cached"] == 0);
  BOOST_TEST(!hits());
  BOOST_TEST(explanation("a")["reason"] == "salt");
  BOOST_TEST(hits());
  write("reprise.toml", "task_salts = \"b=2\"\n");
  BOOST_TEST(document({"plan", "flow.yaml"})["summary"]["cached"] == 1);
  BOOST_TEST(explanation("a")["outcome"] == "hit");
  fs::remove(path / "reprise.toml");
  BOOST_TEST(hits());
  BOOST_TEST(run({"run", "flow.yaml", "--task-salts", "b"}).code == 2);
}

BOOST_AUTO_TEST_CASE(an_account_may_take_the_results_of_others_which_never_take_its_own) {
  const std::string flow = "  a: {run: [id, -u], cache: true}\n  b: {run: [id, -g], cache: true}\n";
  const std::string more = flow + "  c: {run: [id, -n, -u], cache: true}\n";
  const auto cached = [&](const std::string& account, const std::string& also = {}) {
    std::vector<std::string> plan{"plan", "flow.yaml", "--account", account, "--also-read", also};
    const auto predicted = document(plan)["summary"]["cached"];
    plan[0] = "run";
    plan.emplace_back("--new");
    const auto actual = document(plan)["summary"]["cached"];
    BOOST_TEST(predicted == actual, predicted.dump() << " and not " << actual.dump());
    return actual.get<int>();
  };
  write("flow.yaml", "version: 1\ntasks:\n" + flow);
  BOOST_TEST(cached("main") == 0);
  BOOST_TEST(cached("try", "other, main") == 2);
  // What the other account has is taken, not copied.
  BOOST_TEST(cached("else", "try") == 0);
  write("flow.yaml", "version: 1\ntasks:\n" + more);
  BOOST_TEST(cached("try", "main") == 2);
  BOOST_TEST(cached("try", "main") == 3);
  const auto promoted = [&](std::vector<std::string> more_words) {
    std::vector<std::string> words{"cache", "promote", "--from", "try", "--account", "main"};
    words.insert(words.end(), more_words.begin(), more_words.end());
    return document(words);
  };
  BOOST_TEST(promoted({"--dry-run"})["promoted"] == 1);
  BOOST_TEST(document({"plan", "flow.yaml", "--account", "main"})["summary"]["cached"] == 2);
  BOOST_TEST(promoted({"--task", "a"})["promoted"] == 0);
  BOOST_TEST(promoted({})["added"] == 1);
  BOOST_TEST(promoted({})["added"] == 0);
  BOOST_TEST(cached("main") == 3);
  BOOST_TEST(run({"cache", "promote", "--from", "try", "--account", "try"}).code == 2);
  BOOST_TEST(run({"run", "flow.yaml", "--also-read", "a,,b"}).code == 2);
}

BOOST_AUTO_TEST_CASE(results_of_runs_with_a_label_are_removed) {
  const auto task = [](const char* name) {
    return std::string("  ") + name + ": {run: [echo, " + name + "], cache: true}\n";
  };
  write("flow.yaml", "version: 1\ntasks:\n" + task("a"));
  BOOST_TEST(!hits({"--label", "batch=7", "--label", "who=me"}));
  write("flow.yaml", "version: 1\ntasks:\n" + task("b"));
  BOOST_TEST(!hits({"--label", "batch=8"}));
  BOOST_TEST(
      document({"cache", "rm", "--label", "batch=7", "--label", "who=you", "-y"})["removed"] == 0);
  BOOST_TEST(document({"cache", "rm", "--label", "batch=7", "-y"})["removed"] == 1);
  BOOST_TEST(hits());
  write("flow.yaml", "version: 1\ntasks:\n" + task("a"));
  BOOST_TEST(!hits());
  BOOST_TEST(run({"cache", "rm", "--label", "batch", "-y"}).code == 2);
}

BOOST_AUTO_TEST_CASE(the_cache_is_switched_off_for_all_for_one_run_or_for_one_task) {
  const std::string flow = "  a: {run: [id, -u], cache: true}\n";
  BOOST_TEST(!hits_with(flow));
  BOOST_TEST(hits());
  BOOST_TEST(!hits({"--no-cache"}));
  BOOST_TEST(!hits({"--cache", "off"}));
  environment["REPRISE_CACHE"] = "off";
  BOOST_TEST(!hits());
  BOOST_TEST(explanation("a")["reason"] == "off");
  BOOST_TEST(hits({"--cache", "normal"}), "a flag goes before a variable");
  environment.erase("REPRISE_CACHE");
  write("reprise.toml", "cache = \"off\"\n");
  BOOST_TEST(!hits());
  fs::remove(path / "reprise.toml");
  BOOST_TEST(hits());
  write("flow.yaml",
        "version: 1\ndefaults: {cache: true}\ntasks:\n  a: {run: [id, -u], cache: false}\n");
  BOOST_TEST(!hits());
  BOOST_TEST(explanation("a")["reason"] == "off");
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE_END()
