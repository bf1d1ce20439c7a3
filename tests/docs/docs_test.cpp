#include <boost/test/unit_test.hpp>

#include <sys/wait.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>
#include <sstream>

#include "docs/shown_commands.hpp"

BOOST_AUTO_TEST_SUITE(docs)

using namespace reprise::docs;
namespace fs = std::filesystem;

namespace {

fs::path folder_from(const char* variable) {
  const char* value = std::getenv(variable);
  BOOST_REQUIRE_MESSAGE(value != nullptr, variable << " is not set; run this by ctest");
  return value;
}

std::string read(const fs::path& file) {
  std::ifstream stream(file, std::ios::binary);
  BOOST_REQUIRE_MESSAGE(stream, "cannot read " << file);
  return {std::istreambuf_iterator<char>(stream), {}};
}

std::vector<fs::path> files_below(const fs::path& root, const std::set<std::string>& endings) {
  std::vector<fs::path> files;
  for (auto it = fs::recursive_directory_iterator(root); it != fs::recursive_directory_iterator();
       ++it) {
    const auto name = it->path().filename().string();
    if (it->is_directory() && (name.front() == '.' || name == "build" || name == "corpus"))
      it.disable_recursion_pending();
    else if (it->is_regular_file() && endings.contains(it->path().extension().string()))
      files.push_back(it->path());
  }
  return files;
}

std::string shell_quoted(const std::string& text) {
  std::string out = "'";
  for (const char c : text) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return out + "'";
}

std::string joined(const std::vector<std::string>& lines) {
  std::string text;
  for (const auto& line : lines) text += "  " + line + "\n";
  return text;
}

// A folder of its own with the examples beside, as a reader in the repository would have it, and
// with a home of its own.
class Reader {
 public:
  Reader() {
    std::string pattern = (fs::temp_directory_path() / "reprise-docs-XXXXXX").string();
    BOOST_REQUIRE(mkdtemp(pattern.data()) != nullptr);
    folder_ = pattern;
    fs::create_directory_symlink(folder_from("REPRISE_SOURCE_DIR") / "examples",
                                 folder_ / "examples");
  }
  ~Reader() {
    std::error_code ignored;
    fs::remove_all(folder_, ignored);
  }
  Reader(const Reader&) = delete;
  Reader& operator=(const Reader&) = delete;

  void follow(const fs::path& page) {
    const auto steps = shown_steps(read(page));
    for (const auto& step : steps) {
      if (const auto* file = std::get_if<ShownFile>(&step)) {
        std::ofstream(folder_ / file->name) << file->text;
      } else {
        run(page, std::get<ShownCommand>(step));
      }
    }
    BOOST_TEST_MESSAGE(page.filename().string() << ": " << steps.size() << " steps");
    BOOST_TEST(!steps.empty(), page << " shows no command");
  }

 private:
  void run(const fs::path& page, const ShownCommand& shown) {
    std::string command = shown.command;
    // "./dev run" builds and then does exactly this; building is not what is tested here.
    if (command.starts_with("./dev run")) command.replace(0, 9, "reprise run");
    const auto script = "cd " + shell_quoted(folder_.string()) +
                        " && exec 2>&1 && env -i HOME=" + shell_quoted(folder_.string()) +
                        " LANG=C.UTF-8 PATH=" +
                        shell_quoted(folder_from("REPRISE_BIN_DIR").string() + ":/usr/bin:/bin") +
                        " /bin/sh -c " + shell_quoted(command) + " </dev/null";
    FILE* pipe = popen(script.c_str(), "r");
    BOOST_REQUIRE(pipe != nullptr);
    std::string output;
    char buffer[4096];
    for (std::size_t size = 0; (size = fread(buffer, 1, sizeof buffer, pipe)) > 0;)
      output.append(buffer, size);
    const int status = pclose(pipe);
    const auto where =
        page.filename().string() + ":" + std::to_string(shown.line) + ": $ " + shown.command;
    BOOST_TEST((WIFEXITED(status) && WEXITSTATUS(status) == 0), where << " ended with status "
                                                                      << status << " and\n"
                                                                      << output);
    const auto actual = lines_of(output);
    BOOST_TEST(is_as_shown(shown.output, actual), where << "\nshows\n"
                                                        << joined(shown.output) << "but prints\n"
                                                        << joined(actual));
  }

  fs::path folder_;
};

}  // namespace

BOOST_AUTO_TEST_CASE(every_page_that_is_mentioned_exists) {
  const auto root = folder_from("REPRISE_SOURCE_DIR");
  int mentions = 0;
  for (const auto& file :
       files_below(root, {".cpp", ".hpp", ".md", ".txt", ".cmake", ".toml", ".yaml"})) {
    if (file.parent_path().filename() == "layering" || file.parent_path() == root / "tests/docs")
      continue;
    for (const auto& page : mentioned_pages(read(file))) {
      ++mentions;
      BOOST_TEST(fs::exists(root / page),
                 file << " speaks of " << page << ", which does not exist");
    }
  }
  BOOST_TEST(mentions > 10);
}

BOOST_AUTO_TEST_CASE(every_link_leads_somewhere) {
  const auto root = folder_from("REPRISE_SOURCE_DIR");
  int links = 0;
  for (const auto& page : files_below(root, {".md"}))
    for (const auto& link : relative_links(read(page))) {
      ++links;
      BOOST_TEST(fs::exists(page.parent_path() / link),
                 page << " links to " << link << ", which does not exist");
    }
  BOOST_TEST(links > 5);
}

BOOST_AUTO_TEST_CASE(the_commands_of_getting_started_print_what_is_shown) {
  Reader().follow(folder_from("REPRISE_SOURCE_DIR") / "docs/getting-started.md");
}

BOOST_AUTO_TEST_CASE(the_commands_of_caching_print_what_is_shown) {
  Reader().follow(folder_from("REPRISE_SOURCE_DIR") / "docs/caching.md");
}

BOOST_AUTO_TEST_CASE(the_commands_of_time_travel_print_what_is_shown) {
  Reader().follow(folder_from("REPRISE_SOURCE_DIR") / "docs/time-travel.md");
}

BOOST_AUTO_TEST_CASE(the_commands_of_moving_print_what_is_shown) {
  Reader().follow(folder_from("REPRISE_SOURCE_DIR") / "docs/moving.md");
}

BOOST_AUTO_TEST_CASE(the_commands_of_the_readme_print_what_is_shown) {
  Reader().follow(folder_from("REPRISE_SOURCE_DIR") / "README.md");
}

BOOST_AUTO_TEST_CASE(the_commands_of_the_semantics_print_what_is_shown) {
  Reader().follow(folder_from("REPRISE_SOURCE_DIR") / "docs/semantics.md");
}

BOOST_AUTO_TEST_CASE(blocks_become_files_and_commands_in_order) {
  const auto steps = shown_steps(
      "text\n```yaml a.yaml\nx: 1\n```\n```sh\n$ no\n```\n```console\n$ cat a.yaml\nx: 1\n$ "
      "true\n```\n");
  const std::vector<ShownStep> expected{ShownFile{2, "a.yaml", "x: 1\n"},
                                        ShownCommand{9, "cat a.yaml", {"x: 1"}},
                                        ShownCommand{11, "true", {}}};
  BOOST_TEST((steps == expected));
}

BOOST_AUTO_TEST_CASE(output_is_compared_by_kinds_and_otherwise_exactly) {
  const auto same = [](std::vector<std::string> shown, std::vector<std::string> actual) {
    return is_as_shown(shown, actual);
  };
  BOOST_TEST(same({"run 01JD4Q7ZK8  hello"}, {"run 01KAMV2V9B  hello"}));
  BOOST_TEST(same({"success in 1.2 s"}, {"success in 412 ms"}));
  BOOST_TEST(same({"at 2026-11-20 17:02:11"}, {"at 2027-01-02 03:04:05"}));
  BOOST_TEST(same({"a", "...", "z"}, {"a", "b", "c", "z"}));
  BOOST_TEST(same({"a", "...", "z"}, {"a", "z"}));
  BOOST_TEST(!same({"3 tasks"}, {"4 tasks"}));
  BOOST_TEST(!same({"a"}, {"a", "b"}));
  BOOST_TEST(!same({"a", "b"}, {"a"}));
  BOOST_TEST(!same({"a", "...", "z"}, {"a", "b"}));
}

BOOST_AUTO_TEST_CASE(links_and_pages_are_found_in_text) {
  BOOST_TEST((relative_links("[a](docs/x.md#y) [b](https://x.example/) [c](#top) [d](LICENSE)") ==
              std::vector<std::string>{"docs/x.md", "LICENSE"}));
  BOOST_TEST((mentioned_pages("// see docs/protocol.md, \"Frame\"") ==
              std::vector<std::string>{"docs/protocol.md"}));
}

BOOST_AUTO_TEST_SUITE_END()
