#include "worker/target.hpp"

#include <boost/test/unit_test.hpp>

#include "tests/worker/support.hpp"

BOOST_AUTO_TEST_SUITE(target_tests)

using namespace reprise;
using namespace reprise::worker;
using namespace reprise::worker::test;

namespace {

struct Targets {
  TemporaryFolder folder;
  std::shared_ptr<cache::BlobStore> blobs =
      cache::BlobStore::open({.folder = folder.path() / "blobs", .sync = false}).value();

  OneTask task(const std::string& target, Body body = reprise::FunctionBody{"f@1"}) const {
    OneTask made(std::move(body));
    made.kind().target.text = target;
    made.flow.folder = (folder.path() / "flows").string();
    return made;
  }
  [[nodiscard]] Result<std::optional<Payload>> read(const Attempt& attempt,
                                                    const std::filesystem::path& path) const {
    return read_target(attempt, path,
                       [&](const std::filesystem::path& file) { return blobs->put_file(file); });
  }
};

}  // namespace

BOOST_FIXTURE_TEST_SUITE(target, Targets)

BOOST_AUTO_TEST_CASE(a_result_comes_back_as_it_was) {
  OneTask work = task("kept/deep/x.json");
  const Attempt attempt = work.attempt();
  const auto path = target_path(attempt).value();
  BOOST_TEST(path == folder.path() / "flows/kept/deep/x.json");
  BOOST_TEST(!read(attempt, path).value());
  for (const Value& value : {Value(Map{{"a", List{1, 2.0, Value{}, "é"}}}), Value(1), Value(1.0),
                             Value("text"), Value(UINT64_MAX)}) {
    const Payload payload = Payload::of(value).value();
    BOOST_REQUIRE(write_target(attempt, path, payload, blobs.get()));
    BOOST_TEST((read(attempt, path).value() == payload));
  }
  BOOST_TEST(std::distance(std::filesystem::directory_iterator(path.parent_path()), {}) == 1);
}

BOOST_AUTO_TEST_CASE(of_a_command_it_is_its_output) {
  CommandBody body = shell("true");
  body.outputs = {"out/a.csv"};
  OneTask work = task("a.csv", body);
  const Attempt attempt = work.attempt();
  const auto path = target_path(attempt).value();
  write_file(folder.path() / "made", "1,2\n");
  const FileValue file = blobs->put_file(folder.path() / "made").value();
  const Payload payload = Payload::of(command_result({{"out/a.csv", file}})).value();
  BOOST_REQUIRE(write_target(attempt, path, payload, blobs.get()));
  BOOST_TEST(read_file(path) == "1,2\n");
  BOOST_TEST((read(attempt, path).value() == payload));
  write_file(path, "changed");
  const Value value = read(attempt, path).value()->value().value();
  BOOST_TEST((as_file(*value.find("outputs")->find("out/a.csv"))->content == sha256("changed")));
}

BOOST_AUTO_TEST_CASE(nil_is_written_nowhere_and_what_json_cannot_say_is_refused) {
  OneTask work = task("x.json");
  const Attempt attempt = work.attempt();
  const auto path = target_path(attempt).value();
  BOOST_TEST(write_target(attempt, path, Payload::nil(), blobs.get()).has_value());
  BOOST_TEST(!std::filesystem::exists(path));
  const Status refused =
      write_target(attempt, path, Payload::of(Value(Bytes{"x"})).value(), blobs.get());
  BOOST_TEST((refused.error().code == ErrorCode::invalid_argument));
  BOOST_TEST(refused.error().message.find("no JSON form") != std::string::npos);
  BOOST_TEST(!std::filesystem::exists(path));
}

BOOST_AUTO_TEST_CASE(a_file_that_makes_no_sense_is_an_error) {
  OneTask work = task("x.json");
  const Attempt attempt = work.attempt();
  const auto path = target_path(attempt).value();
  write_file(path, "{");
  BOOST_TEST((read(attempt, path).error().code == ErrorCode::invalid_argument));
  std::filesystem::remove(path);
  std::filesystem::create_directory(path);
  BOOST_TEST((read(attempt, path).error().code == ErrorCode::invalid_argument));
}

BOOST_AUTO_TEST_CASE(data_does_not_lead_elsewhere) {
  const auto path_for = [&](const std::string& target, const std::string& name) {
    OneTask work = task(target);
    work.with_parameter("name", Value(name)).with_constant("n", Value(7));
    return target_path(work.attempt());
  };
  const auto flows = folder.path() / "flows";
  BOOST_TEST(path_for("${{ params.name }}-${{ n }}.json", "a b").value() == flows / "a b-7.json");
  BOOST_TEST(path_for("${{ params.name }}.json", "sub/x").value() == flows / "sub/x.json");
  BOOST_TEST(path_for("../${{ params.name }}.json", "x").value() == folder.path() / "x.json");
  BOOST_TEST(path_for("/abs/${{ params.name }}", "x").value() == "/abs/x");
  for (const char* name : {"../x", "a/../../x", "/etc/passwd", "", "x/"})
    BOOST_TEST(!path_for("${{ params.name }}", name), name);
  BOOST_TEST(!path_for("${{ params.name }}", std::string("a\0b", 3)));
  BOOST_TEST(!path_for("${{ params.nme }}", "x"));
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE_END()
