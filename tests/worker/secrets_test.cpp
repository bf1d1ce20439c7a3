#include "worker/secrets.hpp"

#include <sys/stat.h>

#include <boost/test/unit_test.hpp>

#include "tests/worker/support.hpp"

BOOST_AUTO_TEST_SUITE(secrets_tests)

using namespace reprise;
using namespace reprise::worker;
using namespace reprise::worker::test;

namespace {

struct Folders {
  TemporaryFolder folder;
  std::filesystem::path first = folder.path() / "first";
  std::filesystem::path second = folder.path() / "second";

  void put(const std::filesystem::path& path, const std::string& text, mode_t mode = 0600) const {
    write_file(path, text);
    ::chmod(path.c_str(), mode);
  }
  [[nodiscard]] Result<std::string> read(std::string_view name) const {
    return read_secret({first, second}, name);
  }
};

class Kept final : public OutputSink {
 public:
  void write(std::string_view bytes) override { text += bytes; }
  std::string text;
};

// What comes through when the text arrives in pieces of this size.
std::string redacted(const std::string& text, const std::vector<std::string>& secrets,
                     std::size_t piece) {
  Kept kept;
  RedactingSink sink(secrets, kept);
  for (std::size_t at = 0; at < text.size(); at += piece) sink.write(text.substr(at, piece));
  sink.finish();
  return kept.text;
}

}  // namespace

BOOST_FIXTURE_TEST_SUITE(secrets, Folders)

BOOST_AUTO_TEST_CASE(the_first_folder_that_has_it_wins) {
  put(first / "a", "one\n");
  put(second / "a", "two");
  put(second / "b", "three\n\n", 0400);
  BOOST_TEST(read("a").value() == "one");
  BOOST_TEST(read("b").value() == "three\n");
  BOOST_TEST((read("c").error().code == ErrorCode::not_found));
  BOOST_TEST(read("c").error().message.find(second.string()) != std::string::npos);
  BOOST_TEST(read_secret({}, "a").error().message.find("--secrets DIR") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(systemd_names_a_folder_too) {
  const Environment systemd{{"CREDENTIALS_DIRECTORY", second.string()}};
  BOOST_TEST((secret_folders(first, systemd) == std::vector{first, second}));
  BOOST_TEST((secret_folders({}, systemd) == std::vector{second}));
  BOOST_TEST(secret_folders({}, {}).empty());
}

BOOST_AUTO_TEST_CASE(a_file_that_others_can_get_at_is_refused_without_telling_it) {
  for (const mode_t mode : {0644U, 0640U, 0604U, 0660U, 0777U}) {
    put(first / "open", "hush", mode);
    const auto secret = read("open");
    BOOST_REQUIRE(!secret);
    BOOST_TEST((secret.error().code == ErrorCode::denied));
    BOOST_TEST(secret.error().message.find("chmod 600") != std::string::npos);
    BOOST_TEST(secret.error().message.find("hush") == std::string::npos);
  }
}

BOOST_AUTO_TEST_CASE(a_name_is_no_path_and_the_content_fits_a_variable) {
  put(folder.path() / "out", "x");
  for (const char* name : {"", "../out", "a/b", "/etc/passwd", ".", "..", ".hidden", "a b", "a\n"})
    BOOST_TEST((read(name).error().code == ErrorCode::invalid_argument), name);
  put(first / "empty", "\n");
  put(first / "nul", std::string("a\0b", 3));
  put(first / "huge", std::string(secret_bytes_max + 1, 'x'));
  std::filesystem::create_directory(first / "folder");
  for (const char* name : {"empty", "nul", "huge", "folder"})
    BOOST_TEST((read(name).error().code == ErrorCode::invalid_argument), name);
}

BOOST_AUTO_TEST_CASE(secrets_are_starred_however_they_arrive) {
  const std::vector<std::string> known{"hunter2", "hunter22", "er2x", "ab\ncd"};
  const std::string text = "a hunter2, hunter22 and hunterab\ncdhuntehunter2x er2xhunte";
  const std::string expected = "a ***, *** and hunter***hunte***x ***hunte";
  for (std::size_t piece = 1; piece <= text.size(); ++piece)
    BOOST_TEST(redacted(text, known, piece) == expected, piece);
  BOOST_TEST(redact(text, known) == expected);
  BOOST_TEST(redacted("aaaa", {"aa"}, 1) == "******");
  BOOST_TEST(redacted("text", {}, 2) == "text");
}

BOOST_AUTO_TEST_CASE(values_lose_their_secrets_everywhere) {
  const Value value = redact(Value(Map{{"key", List{"a s3cret b", 1, Map{{"s3cret", true}}}}}),
                             std::vector<std::string>{"s3cret"});
  BOOST_TEST(to_json(value) == R"({"key":["a *** b",1,{"***":true}]})");
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE_END()
