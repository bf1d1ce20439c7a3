#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "layering/layering_rules.hpp"

BOOST_AUTO_TEST_SUITE(layering)

using reprise::layering::check_file;
using reprise::layering::is_checked;
using reprise::layering::Violation;

namespace {

std::vector<std::string> messages(std::string_view path, std::string_view text) {
  std::vector<std::string> all;
  for (const auto& violation : check_file(path, text)) all.push_back(violation.message);
  return all;
}

bool is_clean(std::string_view path, std::string_view text) {
  return check_file(path, text).empty();
}

std::filesystem::path source_root() {
  const char* root = std::getenv("REPRISE_SOURCE_DIR");
  BOOST_REQUIRE_MESSAGE(root != nullptr, "REPRISE_SOURCE_DIR is not set; run this by ctest");
  return root;
}

std::string read(const std::filesystem::path& file) {
  std::ifstream stream(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), {}};
}

// The files of the work tree, from the root; without build folders and what starts with a dot,
// except .ci.
std::vector<std::string> work_tree(const std::filesystem::path& root) {
  std::vector<std::string> files;
  for (auto it = std::filesystem::recursive_directory_iterator(root);
       it != std::filesystem::recursive_directory_iterator(); ++it) {
    const auto path = it->path().lexically_relative(root).generic_string();
    const auto name = it->path().filename().string();
    if (it->is_directory() && ((name.front() == '.' && name != ".ci") || path == "build"))
      it.disable_recursion_pending();
    else if (it->is_regular_file())
      files.push_back(path);
  }
  std::sort(files.begin(), files.end());
  return files;
}

}  // namespace

BOOST_AUTO_TEST_CASE(every_file_of_the_tree_keeps_the_rules) {
  const auto root = source_root();
  int checked = 0;
  int sources = 0;
  for (const auto& path : work_tree(root)) {
    if (!is_checked(path)) continue;
    ++checked;
    if (path.ends_with(".cpp") || path.ends_with(".hpp")) ++sources;
    for (const auto& violation : check_file(path, read(root / path)))
      BOOST_ERROR(path << ":" << violation.line << ": " << violation.message);
  }
  BOOST_TEST_MESSAGE(checked << " files checked, " << sources << " of them C++");
  BOOST_TEST(sources > 50);
}

BOOST_AUTO_TEST_CASE(includes_point_down_only) {
  BOOST_TEST(is_clean("flow/a.cpp",
                      "#include \"flow/a.hpp\"\n#include \"core/id.hpp\"\n#include <vector>\n"));
  BOOST_TEST((check_file("core/a.cpp", "\n#include \"flow/state.hpp\"\n") ==
              std::vector<Violation>{{2, "\"core\" may not include \"flow/state.hpp\""}}));
  BOOST_TEST(messages("flow/a.cpp", "#  include  \"scheduler/run.hpp\"\n").size() == 1U);
  BOOST_TEST(messages("scheduler/a.cpp", "#include \"cache/store.hpp\"\n").size() == 1U);
  BOOST_TEST(messages("cluster/a.cpp", "#include \"cli/style.hpp\"\n").size() == 1U);
  BOOST_TEST(messages("cli/a.cpp", "#include \"style.hpp\"\n").size() == 1U);
}

BOOST_AUTO_TEST_CASE(a_single_header_may_be_open_to_a_layer_that_its_folder_is_not) {
  BOOST_TEST(is_clean("worker/a.cpp", "#include \"cache/blob_store.hpp\"\n"));
  BOOST_TEST(messages("worker/a.cpp", "#include \"cache/store.hpp\"\n").size() == 1U);
  BOOST_TEST(is_clean("scheduler/a.hpp", "#pragma once\n#include \"journal/records.hpp\"\n"));
  BOOST_TEST(messages("scheduler/a.cpp", "#include \"journal/journal.hpp\"\n").size() == 1U);
}

BOOST_AUTO_TEST_CASE(libraries_stay_in_their_folders) {
  BOOST_TEST(is_clean("actors/a.cpp", "#include <caf/actor.hpp>\n"));
  BOOST_TEST(messages("cli/a.cpp", "#include <caf/actor.hpp>\n").size() == 1U);
  BOOST_TEST(is_clean("redis/a.cpp", "#include <hiredis/hiredis.h>\n"));
  BOOST_TEST(messages("cache/a.cpp", "#include <hiredis/hiredis.h>\n").size() == 1U);
  BOOST_TEST(is_clean("sqlite/a.cpp", "#include <sqlite3.h>\n"));
  BOOST_TEST(messages("journal/a.cpp", "#include <sqlite3.h>\n").size() == 1U);
  BOOST_TEST(messages("flow/a.cpp", "#include <msgpack.hpp>\n").size() == 1U);
}

BOOST_AUTO_TEST_CASE(public_headers_need_only_what_is_installed) {
  BOOST_TEST(is_clean(
      "api/reprise/flow.hpp",
      "#pragma once\n#include <vector>\n#include <msgpack.hpp>\n#include <tl/expected.hpp>\n"
      "#include \"reprise/task.hpp\"\n#include <reprise/task.hpp>\n"));
  BOOST_TEST(messages("api/reprise/flow.hpp", "#pragma once\n#include \"core/id.hpp\"\n").size() ==
             1U);
  BOOST_TEST(messages("api/reprise/flow.hpp", "#pragma once\n#include <fmt/format.h>\n").size() ==
             1U);
  BOOST_TEST(messages("api/reprise/flow.hpp", "#pragma once\n#include <unistd.h>\n").size() == 1U);
  BOOST_TEST(
      is_clean("api/flow.cpp", "#include \"reprise/flow.hpp\"\n#include \"actors/engine.hpp\"\n"));
  BOOST_TEST(messages("actors/a.cpp", "#include \"reprise/flow.hpp\"\n").size() == 1U);
}

BOOST_AUTO_TEST_CASE(pure_code_knows_no_threads_sockets_or_clock) {
  BOOST_TEST(messages("core/a.cpp", "#include <thread>\n").size() == 1U);
  BOOST_TEST(messages("flow/a.cpp", "#include <sys/socket.h>\n").size() == 1U);
  BOOST_TEST(messages("scheduler/a.cpp", "#include <mutex>\n").size() == 1U);
  BOOST_TEST(messages("scheduler/a.cpp", "auto t = std::chrono::system_clock::now();\n").size() ==
             1U);
  BOOST_TEST(messages("flow/a.cpp", "srand(time(nullptr));\n").size() == 1U);
  BOOST_TEST(messages("core/a.cpp", "clock_gettime(CLOCK_REALTIME, &t);\n").size() == 1U);
  BOOST_TEST(is_clean("core/ulid.cpp", "#include <mutex>\n"));
  BOOST_TEST(is_clean("core/time.cpp", "return std::chrono::system_clock::now();\n"));
  BOOST_TEST(
      is_clean("scheduler/a.cpp", "if (next_time(now) > run_time (x)) return time(event);\n"));
  BOOST_TEST(
      is_clean("worker/a.cpp", "#include <thread>\nauto t = std::chrono::steady_clock::now();\n"));
}

BOOST_AUTO_TEST_CASE(headers_are_guarded) {
  BOOST_TEST((check_file("core/a.hpp", "int f();\n") ==
              std::vector<Violation>{{0, "has no #pragma once"}}));
  BOOST_TEST(is_clean("core/a.hpp", "#pragma once\nint f();\n"));
}

BOOST_AUTO_TEST_CASE(no_file_speaks_of_where_it_was_written) {
  BOOST_TEST(messages("docs/a.md", "see /work/notes\n").size() == 1U);
  BOOST_TEST(messages("core/a.cpp", "// an Agent does it\n").size() == 1U);
  BOOST_TEST(messages("dev", "# from the last session\n").size() == 1U);
  BOOST_TEST(messages("docs/a.md", "as issue 12 asks\n").size() == 1U);
  BOOST_TEST(is_clean("docs/a.md",
                      "a reagent, obsessions, build/work/x, /workload, an issue with 3 causes\n"));
}

BOOST_AUTO_TEST_CASE(tests_may_include_everything) {
  BOOST_TEST(is_clean("tests/core/a_test.cpp",
                      "#include <thread>\n#include \"cli/style.hpp\"\n#include <caf/all.hpp>\n"));
}

BOOST_AUTO_TEST_CASE(corpora_and_the_licence_are_left_alone) {
  BOOST_TEST(!is_checked("tests/flow/corpus/a.yaml"));
  BOOST_TEST(!is_checked("LICENSE"));
  BOOST_TEST(is_checked("core/id.hpp"));
  BOOST_TEST(is_checked(".ci/run"));
}

BOOST_AUTO_TEST_SUITE_END()
