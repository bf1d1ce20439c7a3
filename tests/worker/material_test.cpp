#include "worker/material.hpp"

#include <boost/test/unit_test.hpp>

#include "core/failure.hpp"
#include "tests/worker/support.hpp"

BOOST_AUTO_TEST_SUITE(material_tests)

using namespace reprise;
using namespace reprise::worker;
using namespace reprise::worker::test;

namespace {

// Contents by path; counts how often it was asked.
class FakeHasher final : public FileHasher {
 public:
  std::map<std::string, std::string> files;
  Result<FileValue> hash(const std::filesystem::path& path) override {
    const auto found = files.find(path.lexically_normal().string());
    if (found == files.end())
      return fail(ErrorCode::not_found, "no file \"" + path.string() + "\"");
    return file_of(found->second);
  }
};

Digest of(const Value& value) {
  return Payload::of(value)->digest;
}

Material material(OneTask& task, FakeHasher& files, const Environment& environment = {}) {
  auto result = material_of(task.attempt(), files, {}, environment);
  BOOST_REQUIRE_MESSAGE(result, (result ? "" : result.error().message));
  return *std::move(result);
}

Material material(OneTask& task) {
  FakeHasher none;
  return material(task, none);
}

std::string refusal(OneTask& task) {
  FakeHasher none;
  const auto result = material_of(task.attempt(), none);
  return result ? "accepted" : result.error().message;
}

OneTask add_task() {
  OneTask task(reprise::FunctionBody{"pkg.add@1"}, "pkg.add");
  task.kind().signature = {{{"a", "i64"}, {"b", "i64"}}, {{"out", "i64"}}};
  task.with_constant("a", Value(10)).with_constant("b", Value(5));
  return task;
}

using Arguments = std::map<std::string, Digest>;
const Digest platform = of(Value("linux-x86_64"));

}  // namespace

BOOST_AUTO_TEST_SUITE(function_material)

BOOST_AUTO_TEST_CASE(failures_are_never_the_same_argument) {
  const Value failure = failure_payload("Boom", "").value().value();
  for (const Value& given : {failure, Value(List{1, failure})}) {
    OneTask task(reprise::FunctionBody{"pkg.add@1"}, "pkg.add");
    task.with_constant("a", Value(1)).with_upstream("b", given);
    FakeHasher none;
    Attempt attempt = task.attempt();
    const Arguments first = material_of(attempt, none)->arguments;
    BOOST_TEST((material_of(attempt, none)->arguments == first));
    attempt.number = 2;
    const Arguments again = material_of(attempt, none)->arguments;
    auto other_run = std::make_shared<RunContext>(*attempt.context);
    other_run->run = RunId::parse("01ARZ3NDEKTSV4RRFFQ69G5FAW").value();
    attempt.context = other_run;
    const Arguments elsewhere = material_of(attempt, none)->arguments;
    BOOST_TEST((first.at("a") == again.at("a")));
    BOOST_TEST((first.at("b") != again.at("b")));
    BOOST_TEST((elsewhere.at("b") != again.at("b")));
  }
}

BOOST_AUTO_TEST_CASE(a_function_is_known_by_name_version_signature_and_arguments) {
  OneTask task = add_task();
  task.kind().version = "v1";
  task.kind().cache.salt = "s";
  task.kind().cache.environment = {"TZ", "UNSET", "EMPTY"};
  task.kind().cache.dependencies = {{"image", sha256("i")}};
  FakeHasher none;
  const Material made = material(task, none, {{"TZ", "UTC"}, {"EMPTY", ""}, {"OTHER", "x"}});
  Material expected;
  expected.name = "pkg.add";
  expected.version = "v1";
  expected.signature = task.kind().signature.digest();
  expected.salt = "s";
  expected.environment = {{"TZ", "UTC"}, {"EMPTY", ""}};
  expected.dependencies = {{"image", sha256("i")}};
  expected.arguments = {{"a", of(Value(10))}, {"b", of(Value(5))}};
  BOOST_TEST((made == expected));
}

BOOST_AUTO_TEST_CASE(ignored_arguments_are_left_out_and_must_exist) {
  OneTask task = add_task();
  task.kind().cache.ignored = {"a"};
  BOOST_TEST((material(task).arguments == Arguments{{"b", of(Value(5))}}));
  OneTask wrong = add_task();
  wrong.kind().cache.ignored = {"c"};
  BOOST_TEST(refusal(wrong) == "ignored input \"c\" does not exist");
}

BOOST_AUTO_TEST_CASE(a_hash_of_the_users_stands_for_the_value) {
  const auto key_of = [](const Value& a, const char* method, const char* hash) {
    OneTask task(reprise::FunctionBody{"pkg.add@1"}, "pkg.add");
    task.kind().signature = {{{"a", "any"}}, {{"out", "i64"}}};
    task.with_constant("a", a);
    if (hash != nullptr) task.kind().cache.hashes["a"] = {method, {hash, {}}};
    return material(task).arguments.at("a");
  };
  BOOST_TEST((key_of(Value(1), "etag", "x") == key_of(Value(2), "etag", "x")));
  BOOST_TEST((key_of(Value(1), "etag", "x") != key_of(Value(1), "etag", "y")));
  BOOST_TEST((key_of(Value(1), "etag", "x") != key_of(Value(1), "md5", "x")));
  BOOST_TEST((key_of(Value(1), "etag", "x") != key_of(Value(1), "", nullptr)));
  BOOST_TEST((key_of(Value(1), "etag", "x") == of(*user_hash_value("etag", "x"))));
}

BOOST_AUTO_TEST_CASE(a_hash_for_what_is_no_input_is_refused) {
  OneTask task = add_task();
  task.kind().cache.hashes["c"] = {"etag", {"x", {}}};
  BOOST_TEST(refusal(task) == "a hash is given for \"c\", which is no input");
}

BOOST_AUTO_TEST_CASE(accounts_and_salts_of_the_operator_enter) {
  OneTask task = add_task();
  FakeHasher none;
  const Material made =
      material_of(task.attempt(), none, {.account = "lab", .salts = {{"pkg.add", "2"}}}).value();
  BOOST_TEST(made.account == "lab");
  BOOST_TEST(!made.salt.empty());
}

BOOST_AUTO_TEST_CASE(the_build_of_this_program_is_the_code_of_a_function) {
  OneTask plain = add_task();
  BOOST_TEST(!material(plain).code.has_value());
  OneTask task = add_task();
  task.kind().cache.code_auto = true;
  BOOST_TEST(material(task).code.has_value());
}

BOOST_AUTO_TEST_CASE(a_blank_version_is_refused) {
  OneTask task = add_task();
  task.kind().version = "  ";
  BOOST_TEST(refusal(task) == "the version of a cached task must not be blank");
}

BOOST_AUTO_TEST_CASE(validators_leave_ingredients_out_or_add_parameters) {
  const auto with = [](Validator validator, std::optional<std::vector<std::string>> names) {
    OneTask task = add_task();
    task.with_parameter("p", Value(1)).with_parameter("q", Value(2));
    task.kind().cache.validator = validator;
    task.kind().cache.validate_on = std::move(names);
    return material(task);
  };
  const Arguments all{{"a", of(Value(10))}, {"b", of(Value(5))}};
  BOOST_TEST((with(Validator::all_inputs, {}).arguments == all));
  BOOST_TEST((with(Validator::never_use, {}).arguments == all));
  BOOST_TEST((with(Validator::custom, {}).arguments == all));
  BOOST_TEST((with(Validator::custom, {}).dependencies ==
              Arguments{{"param:p", of(Value(1))}, {"param:q", of(Value(2))}}));
  BOOST_TEST(with(Validator::all_inputs, {}).dependencies.empty());
  BOOST_TEST(with(Validator::duration_only, {}).arguments.empty());
  BOOST_TEST(
      (with(Validator::partial_inputs, {{"b"}}).arguments == Arguments{{"b", of(Value(5))}}));
  BOOST_TEST(with(Validator::partial_inputs, {}).arguments.empty());
  const Material parameters = with(Validator::all_parameters, {});
  BOOST_TEST(parameters.arguments.empty());
  BOOST_TEST(
      (parameters.dependencies == Arguments{{"param:p", of(Value(1))}, {"param:q", of(Value(2))}}));
  BOOST_TEST((with(Validator::partial_parameters, {{"q"}}).dependencies ==
              Arguments{{"param:q", of(Value(2))}}));
  BOOST_TEST(with(Validator::partial_parameters, {}).dependencies.empty());
}

BOOST_AUTO_TEST_CASE(validated_names_must_exist) {
  OneTask inputs = add_task();
  inputs.kind().cache.validator = Validator::partial_inputs;
  inputs.kind().cache.validate_on = {{"nope"}};
  BOOST_TEST(refusal(inputs) == "validate_on names \"nope\", which is no input");
  OneTask parameters = add_task();
  parameters.kind().cache.validator = Validator::partial_parameters;
  parameters.kind().cache.validate_on = {{"nope"}};
  BOOST_TEST(refusal(parameters) == "validate_on names \"nope\", which is no parameter");
}

BOOST_AUTO_TEST_CASE(a_shared_key_replaces_name_and_signature) {
  OneTask task = add_task();
  task.kind().cache.shared_key = "ours";
  BOOST_TEST(material(task).name == "ours");
  BOOST_TEST(material(task).signature.is_none());
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(command_material)

BOOST_AUTO_TEST_CASE(a_command_is_its_arguments_after_substitution_and_the_platform) {
  OneTask task(argv({"echo", "q=${{ params.q }}"}), "say");
  task.with_parameter("q", Value(30));
  Material expected;
  expected.name = "say";
  expected.version = "1";
  expected.signature = Signature{}.digest();
  expected.arguments = {{"command", of(Value(List{Value("echo"), Value("q=30")}))}};
  expected.dependencies = {{"platform", platform}};
  BOOST_TEST((material(task) == expected));
}

// Computed independently from docs/caching.md. Fixed for ever: a change here disowns what people
// have in their caches.
BOOST_AUTO_TEST_CASE(vectors) {
  OneTask plain(argv({"echo", "hello"}), "say");
  BOOST_TEST(Key::of(material(plain)).text() ==
             "k1:8593302c73a0d3df99ef1c32e479944326a63f70b7603957ef70397fd29127bc");
  OneTask script(shell("echo hello"), "say");
  BOOST_TEST(Key::of(material(script)).text() ==
             "k1:f8ce78665f5c2b83b88200da83465925fafb09a1812fef9029233f1e6d6e7f37");
  CommandBody body = argv({"sort", "${{ fetch.outputs['in.txt'] }}"});
  body.outputs = {"out.txt"};
  body.environment["LC_ALL"] = {"C", {}};
  OneTask file(body, "sort");
  file.with_upstream("fetch", command_result({{"in.txt", file_of("b\na\n")}}));
  BOOST_TEST(Key::of(material(file)).text() ==
             "k1:41c345a36cba86ca1e752a078f6ac168fb6b65680f08055832eae0dde4c0d682");
}

BOOST_AUTO_TEST_CASE(a_script_is_not_a_list_of_one) {
  OneTask script(shell("true"));
  OneTask program(argv({"true"}));
  BOOST_TEST((material(script).arguments.at("command") == of(Value("true"))));
  BOOST_TEST((material(script).arguments != material(program).arguments));
}

BOOST_AUTO_TEST_CASE(files_enter_by_content_wherever_they_came_from) {
  const auto command_of = [](const char* name, const char* content) {
    const std::string reference = std::string("${{ fetch.outputs['") + name + "'] }}";
    OneTask task(argv({"cat", "x=" + reference, reference}));
    task.with_upstream("fetch", command_result({{name, file_of(content)}}));
    return material(task).arguments.at("command");
  };
  BOOST_TEST((command_of("a", "1") == command_of("sub/b", "1")));
  BOOST_TEST((command_of("a", "1") != command_of("a", "2")));
  // A file, and the same digest written as text, are different things.
  OneTask text(argv({"cat", file_of("1").content.text()}));
  OneTask file(argv({"cat", "${{ fetch.outputs['a'] }}"}));
  file.with_upstream("fetch", command_result({{"a", file_of("1")}}));
  BOOST_TEST((material(text).arguments.at("command") != material(file).arguments.at("command")));
  BOOST_TEST((material(file).arguments.at("command") ==
              of(Value(List{Value("cat"), file_of("1").to_value()}))));
}

BOOST_AUTO_TEST_CASE(exposed_inputs_enter_by_value) {
  OneTask task(argv({"true"}));
  task.with_upstream("fetch", Value(1))
      .with_item("s", Value("x"))
      .with_constant("hidden", Value(9));
  const Arguments arguments = material(task).arguments;
  BOOST_TEST((arguments.at("in:fetch") == of(Value(1))));
  BOOST_TEST((arguments.at("in:s") == of(Value("x"))));
  BOOST_TEST(!arguments.contains("in:hidden"));
}

BOOST_AUTO_TEST_CASE(input_files_and_own_programs_enter_by_content) {
  CommandBody body = argv({"./tool.sh", "x"});
  body.input_files = {{"data/x.csv", {}}};
  OneTask task(body);
  task.flow.folder = "/flows";
  FakeHasher files;
  files.files = {{"/flows/tool.sh", "echo"}, {"/flows/data/x.csv", "1,2"}};
  const Arguments arguments = material(task, files).arguments;
  BOOST_TEST((arguments.at("file:./tool.sh") == of(file_of("echo").to_value())));
  BOOST_TEST((arguments.at("file:data/x.csv") == of(file_of("1,2").to_value())));
  files.files.erase("/flows/data/x.csv");
  BOOST_TEST(!material_of(task.attempt(), files).has_value());
}

BOOST_AUTO_TEST_CASE(an_input_file_with_a_hash_is_not_read) {
  CommandBody body = argv({"wc", "big.bin"});
  body.input_files = {{"big.bin", {}}};
  OneTask task(body);
  task.flow.folder = "/flows";
  task.with_parameter("etag", Value("7d1"));
  task.kind().cache.hashes["big.bin"] = {"etag", {"${{ params.etag }}", {}}};
  BOOST_TEST((material(task).arguments.at("file:big.bin") == of(*user_hash_value("etag", "7d1"))));
}

BOOST_AUTO_TEST_CASE(where_code_counts_only_comments_and_blanks_of_a_script_do_not) {
  const auto key_of = [](const char* script, bool is_auto) {
    CommandBody body;
    body.script.text = script;
    OneTask task(body);
    task.with_parameter("q", Value(1));
    task.kind().cache.code_auto = is_auto;
    return material(task);
  };
  const char* plain = "echo ${{ params.q }}";
  const char* commented = "# says it\n  echo   ${{ params.q }}";
  BOOST_TEST((key_of(plain, false) != key_of(commented, false)));
  BOOST_TEST((key_of(plain, true) == key_of(commented, true)));
  BOOST_TEST((key_of(plain, true) != key_of("echo x ${{ params.q }}", true)));
  BOOST_TEST((key_of(plain, true).code != key_of("echo x ${{ params.q }}", true).code));
  // What is put into it counts as the command, not as the code.
  BOOST_TEST((key_of("echo 1", true).arguments == key_of(plain, true).arguments));
  BOOST_TEST((key_of("echo 1", true).code != key_of(plain, true).code));
}

BOOST_AUTO_TEST_CASE(variables_the_task_sets_and_its_folder_count) {
  CommandBody body = argv({"make"});
  body.environment["MODE"] = {"${{ params.mode }}", {}};
  OneTask task(body);
  task.with_parameter("mode", Value("fast"));
  BOOST_TEST((material(task).environment == std::map<std::string, std::string>{{"MODE", "fast"}}));
  BOOST_TEST(!material(task).arguments.contains("cwd"));
  body.in_flow_folder = true;
  OneTask elsewhere(body);
  elsewhere.with_parameter("mode", Value("fast"));
  BOOST_TEST(material(elsewhere).arguments.contains("cwd"));
}

BOOST_AUTO_TEST_CASE(declared_outputs_are_part_of_the_signature) {
  CommandBody body = argv({"make"});
  OneTask none(body);
  body.outputs = {"a"};
  OneTask one(body);
  BOOST_TEST((material(none).signature != material(one).signature));
  BOOST_TEST((material(one).signature == Signature{{}, {{"a", "file"}}}.digest()));
}

BOOST_AUTO_TEST_CASE(what_differs_between_runs_does_not_count) {
  OneTask task(argv({"true"}));
  Attempt attempt = task.attempt();
  FakeHasher none;
  const Material first = material_of(attempt, none).value();
  attempt.number = 3;
  attempt.run_count = 3;
  attempt.task = TaskId{99};
  BOOST_TEST((material_of(attempt, none).value() == first));
}

BOOST_AUTO_TEST_CASE(without_inputs_in_the_key_a_command_still_counts_by_its_text) {
  const auto key_of = [](const char* text, int quality) {
    OneTask task(argv({text, "${{ params.q }}"}));
    task.with_parameter("q", Value(quality));
    task.kind().cache.validator = Validator::duration_only;
    return material(task);
  };
  BOOST_TEST((key_of("echo", 1) == key_of("echo", 2)));
  BOOST_TEST((key_of("echo", 1) != key_of("printf", 1)));
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE_END()
