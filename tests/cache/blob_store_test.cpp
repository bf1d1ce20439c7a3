#include "cache/blob_store.hpp"

#include <iostream>
#include <thread>

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <boost/test/unit_test.hpp>

#include "tests/support/temporary_folder.hpp"

namespace reprise::cache {

BOOST_AUTO_TEST_SUITE(blob_store_tests)
namespace {

namespace fs = std::filesystem;
using reprise::testing::read_file;
using reprise::testing::SmallDisk;
using reprise::testing::TemporaryFolder;
using reprise::testing::write_file;

std::unique_ptr<BlobStore> open_store(const fs::path& folder, bool sync = false) {
  auto store = BlobStore::open({.folder = folder, .sync = sync});
  if (!store) BOOST_FAIL(store.error().message);
  return std::move(*store);
}

struct stat status_of(const fs::path& path) {
  struct stat status {};
  BOOST_REQUIRE_MESSAGE(::lstat(path.c_str(), &status) == 0, path.string());
  return status;
}

int files_in(const fs::path& folder) {
  int count = 0;
  for ([[maybe_unused]] const auto& entry : fs::directory_iterator(folder)) ++count;
  return count;
}

// What an attacker, a bad disk or a task that ignored "read only" leaves behind.
void damage(const fs::path& blob, std::string_view bytes) {
  fs::permissions(blob, fs::perms::owner_write, fs::perm_options::add);
  write_file(blob, bytes);
}

struct Stores {
  TemporaryFolder base;
  fs::path blobs = base / "data/blobs";
  std::unique_ptr<BlobStore> store = open_store(blobs);

  FileValue keep(std::string_view bytes, unsigned mode = 0644) {
    const fs::path path = base / "made";
    fs::remove(path);
    write_file(path, bytes);
    ::chmod(path.c_str(), mode);
    auto file = store->put_file(path);
    if (!file) BOOST_FAIL(file.error().message);
    return *file;
  }
};

BOOST_FIXTURE_TEST_SUITE(BlobStore_, Stores)

BOOST_AUTO_TEST_CASE(a_file_comes_back_as_it_was) {
  const std::string bytes =
      std::string("a\0b", 3) + std::string(300'000, 'x');  // more than one buffer
  const FileValue file = keep(bytes);
  BOOST_TEST((file == FileValue{sha256(bytes), bytes.size(), false}));
  BOOST_TEST(store->contains(file.content));
  BOOST_TEST(*store->get(file.content) == bytes);
  BOOST_TEST(read_file(store->path_of(file.content)) == bytes);
  BOOST_TEST((status_of(store->path_of(file.content)).st_mode & 07777u) == 0400u);
  BOOST_TEST((status_of(blobs).st_mode & 07777u) == 0700u);
  BOOST_TEST((store->usage() == std::pair<std::uint64_t, std::uint64_t>(1, bytes.size())));
  BOOST_TEST(files_in(blobs / "tmp") == 0);
  BOOST_TEST((keep(bytes) == file));
  BOOST_TEST(store->usage().first == 1u);
}

BOOST_AUTO_TEST_CASE(the_empty_file_is_a_file) {
  const FileValue file = keep("");
  BOOST_TEST(file.size == 0u);
  BOOST_TEST(store->restore(file, base / "out", false).has_value());
  BOOST_TEST(fs::file_size(base / "out") == 0u);
}

BOOST_AUTO_TEST_CASE(only_regular_files_are_taken_in) {
  write_file(base / "target", "x");
  fs::create_symlink(base / "target", base / "link");
  fs::create_symlink(base / "nowhere", base / "dangling");
  ::mkfifo((base / "pipe").c_str(), 0600);
  for (const char* name : {"link", "dangling", "pipe", "data"}) {
    auto file = store->put_file(base / name);
    BOOST_REQUIRE_MESSAGE(!file, name);
    BOOST_TEST((file.error().code == ErrorCode::invalid_argument), file.error().message);
  }
  BOOST_TEST((store->put_file(base / "missing").error().code == ErrorCode::not_found));
  BOOST_TEST(store->usage().first == 0u);
}

BOOST_AUTO_TEST_CASE(
    values_are_compressed_where_it_pays_and_found_by_the_digest_of_what_they_were) {
  const Payload large = Payload::of(*encode(Value(std::string(1'000'000, 'x'))));
  BOOST_TEST(store->put_value(large).has_value());
  const std::string path = store->path_of(large.digest).string() + ".value.zst";
  BOOST_TEST(std::filesystem::file_size(path) < 10'000u);
  BOOST_TEST(store->contains(large.digest));
  BOOST_TEST((store->get_value(large.digest)->view() == large.view()));
  BOOST_TEST(store->usage().first == 1u);

  std::string bytes = read_file(path);
  damage(path, bytes.substr(0, bytes.size() / 2));
  BOOST_TEST((store->get_value(large.digest).error().code == ErrorCode::corrupt));
  BOOST_TEST((store->get_value(large.digest).error().code == ErrorCode::not_found));
  BOOST_TEST(store->put_value(large).has_value());
  BOOST_TEST(store->get_value(large.digest).has_value());
}

BOOST_AUTO_TEST_CASE(bytes_and_values_are_found_by_their_own_digests) {
  const Digest bytes = *store->put("hello");
  BOOST_TEST((bytes == sha256("hello")));
  const Payload value = Payload::of(std::string("\xa5hello"));
  BOOST_TEST(store->put_value(value).has_value());
  auto back = store->get_value(value.digest);
  BOOST_REQUIRE(back);
  BOOST_TEST(back->view() == value.view());
  BOOST_TEST(store->contains(value.digest));
  BOOST_TEST(
      (store->get(value.digest).error().code == ErrorCode::not_found));  // a value is no file
  BOOST_TEST(
      (store->get_value(bytes).error().code == ErrorCode::not_found));  // and the other way round
  BOOST_TEST(store->put_value(Payload::nil()).has_value());
  BOOST_TEST(store->get_value(Payload::nil().digest)->is_nil());
  Payload elsewhere = value;
  elsewhere.bytes = nullptr;
  BOOST_TEST((store->put_value(elsewhere).error().code == ErrorCode::invalid_argument));
  BOOST_TEST((store->put_value(Payload{}).error().code == ErrorCode::invalid_argument));
}

BOOST_AUTO_TEST_CASE(what_is_larger_than_the_limit_is_not_read) {
  const Digest digest = *store->put("12345");
  BOOST_TEST((store->get(digest, 4).error().code == ErrorCode::exhausted));
  BOOST_TEST(*store->get(digest, 5) == "12345");
}

BOOST_AUTO_TEST_CASE(a_restored_copy_is_the_users_own) {
  const FileValue file = keep("content", 0755);
  const mode_t before = ::umask(027);
  const fs::path out = base / "deep/er/out";
  BOOST_TEST(store->restore(file, out, false).has_value());
  ::umask(before);
  BOOST_TEST(read_file(out) == "content");
  BOOST_TEST((status_of(out).st_mode & 07777u) == 0750u);
  BOOST_TEST(status_of(out).st_nlink == 1u);
  BOOST_TEST(files_in(out.parent_path()) == 1);
  write_file(out, "changed");
  BOOST_TEST(*store->get(file.content) == "content");
  BOOST_TEST(
      store->restore(file, base / "again", false).has_value());  // verified by now: the quick way
  BOOST_TEST(read_file(base / "again") == "content");
}

BOOST_AUTO_TEST_CASE(read_only_files_share_the_blob) {
  const FileValue file = keep("content");
  for (const char* name : {"one", "two", "three"})
    BOOST_TEST(store->restore(file, base / name, true).has_value());
  BOOST_TEST(status_of(base / "one").st_ino == status_of(store->path_of(file.content)).st_ino);
  BOOST_TEST(read_file(base / "three") == "content");
}

BOOST_AUTO_TEST_CASE(a_read_only_program_stays_executable) {
  const FileValue file = keep("#!/bin/sh\n", 0755);
  BOOST_TEST(file.executable);
  BOOST_TEST(store->restore(file, base / "run.sh", true).has_value());
  BOOST_TEST(((status_of(base / "run.sh").st_mode & 0777u) & ~0022u) == 0555u);
  BOOST_TEST((status_of(store->path_of(file.content)).st_mode & 07777u) == 0400u);
}

BOOST_AUTO_TEST_CASE(on_another_file_system_read_only_files_are_copies) {
  SmallDisk disk(base / "disk", "size=1m");
  if (!disk.works()) {
    std::cout << "SKIPPED: a file system of its own can only be mounted by root\n";
    return;
  }
  const FileValue file = keep("content");
  BOOST_TEST(store->restore(file, base / "disk/out", true).has_value());
  BOOST_TEST(read_file(base / "disk/out") == "content");
  BOOST_TEST((status_of(base / "disk/out").st_mode & 0222u) == 0u);
  BOOST_TEST(store->restore(file, base / "disk/copy", false).has_value());
  BOOST_TEST(read_file(base / "disk/copy") == "content");
}

BOOST_AUTO_TEST_CASE(nothing_that_exists_is_overwritten) {
  const FileValue file = keep("content");
  write_file(base / "mine", "mine");
  fs::create_symlink(base / "mine", base / "link");
  fs::create_symlink(base / "nowhere", base / "dangling");
  for (const bool read_only : {false, true}) {
    for (const char* name : {"mine", "link", "dangling", "data"})
      BOOST_TEST((store->restore(file, base / name, read_only).error().code == ErrorCode::conflict),
                 name);
  }
  BOOST_TEST(read_file(base / "mine") == "mine");
  BOOST_TEST(!fs::exists(base / "nowhere"));
  BOOST_TEST(files_in(base.path()) == 5);  // these, "made" and "data": no drafts
}

BOOST_AUTO_TEST_CASE(what_is_missing_is_not_found) {
  const FileValue file{sha256("never"), 5, false};
  BOOST_TEST((store->restore(file, base / "out", false).error().code == ErrorCode::not_found));
  BOOST_TEST((store->get(file.content).error().code == ErrorCode::not_found));
  BOOST_TEST((store->get_value(file.content).error().code == ErrorCode::not_found));
  BOOST_TEST(!store->contains(file.content));
  BOOST_TEST(!fs::exists(base / "out"));
}

BOOST_AUTO_TEST_CASE(a_damaged_blob_is_set_aside_and_can_be_made_again) {
  for (const std::string_view bad : {"CONTENT", "content!", ""}) {  // same size, longer, nothing
    for (const bool read_only : {false, true}) {
      const FileValue file = keep("content");
      BOOST_TEST(
          store->restore(file, base / "good", read_only).has_value());  // in the state "verified"
      damage(store->path_of(file.content), bad);
      auto refused = store->restore(file, base / "out", read_only);
      BOOST_REQUIRE(!refused);
      BOOST_TEST((refused.error().code == ErrorCode::corrupt), refused.error().message);
      BOOST_TEST(!fs::exists(base / "out"));
      BOOST_TEST(!store->contains(file.content));
      BOOST_TEST((keep("content") == file));
      BOOST_TEST(*store->get(file.content) == "content");
      fs::remove(base / "good");
    }
  }
  BOOST_TEST(files_in(blobs / "quarantine") == 6);
  const Payload value = Payload::of(std::string("\xa5hello"));
  BOOST_TEST(store->put_value(value).has_value());
  damage(store->path_of(value.digest).string() + ".value", "\xa5jello");
  BOOST_TEST((store->get_value(value.digest).error().code == ErrorCode::corrupt));
  const Digest digest = *store->put("bytes");
  damage(store->path_of(digest), "other");
  BOOST_TEST((store->get(digest).error().code == ErrorCode::corrupt));
  BOOST_TEST(files_in(blobs / "quarantine") == 8);
}

BOOST_AUTO_TEST_CASE(a_link_in_place_of_a_blob_is_not_followed) {
  const FileValue file = keep("content");
  const fs::path blob = store->path_of(file.content);
  write_file(base / "other", "content");
  fs::remove(blob);
  fs::create_symlink(base / "other", blob);
  BOOST_TEST((store->restore(file, base / "out", false).error().code == ErrorCode::corrupt));
  BOOST_TEST(!fs::is_symlink(blob));
}

BOOST_AUTO_TEST_CASE(leftovers_of_a_crash_are_swept_when_they_are_old) {
  write_file(blobs / "tmp/old", "x");
  write_file(blobs / "tmp/young", "x");
  fs::last_write_time(blobs / "tmp/old", fs::file_time_type::clock::now() - std::chrono::hours{2});
  open_store(blobs);
  BOOST_TEST(!fs::exists(blobs / "tmp/old"));
  BOOST_TEST(fs::exists(blobs / "tmp/young"));
}

BOOST_AUTO_TEST_CASE(a_full_disk_is_an_error_and_leaves_no_half_of_anything) {
  SmallDisk disk(base / "disk", "size=256k");
  if (!disk.works()) {
    std::cout << "SKIPPED: a file system of its own can only be mounted by root\n";
    return;
  }
  auto small = open_store(base / "disk/blobs", true);
  const std::string large(1 << 20, 'x');
  BOOST_TEST((small->put(large).error().code == ErrorCode::exhausted));
  write_file(base / "large", large);
  BOOST_TEST((small->put_file(base / "large").error().code == ErrorCode::exhausted));
  BOOST_TEST(small->usage().first == 0u);
  BOOST_TEST(files_in(base / "disk/blobs/tmp") == 0);
  const FileValue file = keep(large);
  BOOST_TEST((store->restore(file, base / "disk/out", false).error().code == ErrorCode::exhausted));
  BOOST_TEST(files_in(base / "disk") == 1);
  BOOST_TEST(small->put("fits").has_value());
}

BOOST_AUTO_TEST_CASE(a_read_only_disk_is_an_error) {
  SmallDisk disk(base / "disk", "size=256k");
  if (disk.works()) open_store(base / "disk/blobs");
  if (!disk.make_read_only()) {
    std::cout << "SKIPPED: a file system of its own can only be mounted by root\n";
    return;
  }
  BOOST_TEST((open_store(base / "disk/blobs")->put("x").error().code == ErrorCode::denied));
  BOOST_TEST((BlobStore::open({.folder = base / "disk/other"}).error().code == ErrorCode::denied));
}

BOOST_AUTO_TEST_CASE(threads_and_processes_may_put_the_same_thing_at_once) {
  const auto put_all = [](BlobStore& blob_store) {
    for (int i = 0; i < 50; ++i)
      if (!blob_store.put(std::string(1000, 'a') + std::to_string(i))) return false;
    return true;
  };
  const pid_t child = ::fork();
  if (child == 0) ::_exit(put_all(*open_store(blobs)) ? 0 : 1);
  bool good[2] = {false, false};
  {
    std::jthread one([&] { good[0] = put_all(*store); });
    std::jthread two([&] { good[1] = put_all(*store); });
  }
  int status = -1;
  ::waitpid(child, &status, 0);
  BOOST_TEST(status == 0);
  BOOST_TEST((good[0] && good[1]));
  BOOST_TEST(store->usage().first == 50u);
  for (int i = 0; i < 50; ++i)
    BOOST_TEST(store->get(sha256(std::string(1000, 'a') + std::to_string(i))).has_value());
  BOOST_TEST(files_in(blobs / "tmp") == 0);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace

BOOST_AUTO_TEST_SUITE_END()

}  // namespace reprise::cache
