#include "worker/local_input.hpp"

#include <sys/stat.h>

#include <boost/test/unit_test.hpp>

#include "core/payload.hpp"
#include "tests/worker/support.hpp"
#include "worker/staging.hpp"

BOOST_AUTO_TEST_SUITE(local_input_tests)

using namespace reprise;
using namespace reprise::worker;
using namespace reprise::worker::test;
namespace fs = std::filesystem;

namespace {

class ReadingHasher final : public FileHasher {
 public:
  Result<FileValue> hash(const fs::path& path) override {
    struct stat info {};
    if (::stat(path.c_str(), &info) != 0) return fail(ErrorCode::not_found, path.string());
    const std::string content = read_file(path);
    return FileValue{sha256(content), content.size(), (info.st_mode & 0111) != 0};
  }
};

struct Folder : TemporaryFolder {
  ReadingHasher files;
  fs::path data = path() / "data";

  Folder() {
    write_file(data / "a.txt", "a");
    write_file(data / "sub/b.txt", "b");
    fs::create_directory(data / "empty");
    fs::create_symlink("a.txt", data / "link");
  }
  [[nodiscard]] Digest root() { return folder_root(data, files).value(); }
};

}  // namespace

BOOST_FIXTURE_TEST_SUITE(local_inputs, Folder)

BOOST_AUTO_TEST_CASE(a_folder_is_known_by_names_and_contents) {
  const Digest before = root();
  fs::last_write_time(data / "a.txt", fs::file_time_type::clock::now() - std::chrono::hours(1));
  fs::rename(data, path() / "elsewhere");
  fs::copy(path() / "elsewhere", data,
           fs::copy_options::recursive | fs::copy_options::copy_symlinks);
  BOOST_TEST((root() == before));

  const auto changed_by = [&](const std::function<void()>& change) {
    change();
    return root() != before;
  };
  BOOST_TEST(changed_by([&] { write_file(data / "sub/b.txt", "B"); }));
  write_file(data / "sub/b.txt", "b");
  BOOST_TEST((root() == before));
  BOOST_TEST(changed_by([&] { fs::remove(data / "empty"); }));
  fs::create_directory(data / "empty");
  BOOST_TEST(changed_by([&] { fs::rename(data / "a.txt", data / "c.txt"); }));
  fs::rename(data / "c.txt", data / "a.txt");
  BOOST_TEST(changed_by([&] { fs::permissions(data / "a.txt", fs::perms::owner_all); }));
}

BOOST_AUTO_TEST_CASE(links_count_as_text_and_lead_nowhere) {
  const Digest before = root();
  fs::remove(data / "link");
  fs::create_symlink("/nowhere", data / "link");
  const Digest broken = root();
  BOOST_TEST((broken != before));
  fs::remove(data / "link");
  fs::create_symlink("..", data / "link");  // followed, this would never end
  BOOST_TEST((root() != broken));
}

BOOST_AUTO_TEST_CASE(what_is_no_file_is_refused) {
  BOOST_REQUIRE(::mkfifo((data / "pipe").c_str(), 0600) == 0);
  const auto root = folder_root(data, files);
  BOOST_REQUIRE(!root);
  BOOST_TEST((root.error().code == ErrorCode::invalid_argument));
}

BOOST_AUTO_TEST_CASE(a_change_below_a_folder_is_seen) {
  const LocalInput input{data, Payload::of(local_value(data, files).value())->digest};
  BOOST_TEST(is_unchanged(input, files));
  write_file(data / "sub/new.txt", "");
  BOOST_TEST(!is_unchanged(input, files));
  fs::remove_all(data);
  BOOST_TEST(!is_unchanged(input, files));
}

BOOST_AUTO_TEST_CASE(a_folder_is_staged_read_only_with_all_that_is_in_it) {
  Staging staging;
  BOOST_REQUIRE(staging.add_at("data", Staging::Place::Local{data}));
  const fs::path to = path() / "attempt";
  fs::create_directory(to);
  BOOST_REQUIRE(staging.make(to, nullptr));
  BOOST_TEST((folder_root(to / "data", files).value() == root()));
  for (const char* place : {"data", "data/sub", "data/a.txt"})
    BOOST_TEST(((fs::status(to / place).permissions() & fs::perms::owner_write) == fs::perms::none),
               place);
  BOOST_TEST(fs::read_symlink(to / "data/link") == "a.txt");
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE_END()
