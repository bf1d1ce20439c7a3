// What a task that runs a flow runs, and what its end means; no actors.
#include <boost/test/unit_test.hpp>

#include "actors/nested_flow.hpp"
#include "actors/run_options.hpp"
#include "cache/blob_store.hpp"
#include "flow/flow_builder.hpp"
#include "journal/records.hpp"
#include "tests/support/temporary_folder.hpp"

BOOST_AUTO_TEST_SUITE(nested_flows)

using namespace reprise;
using namespace reprise::actors;

namespace {

constexpr const char* text = R"(version: 1
params: {n: {type: int}}
tasks: {t: {run: [echo, "${{ params.n }}"]}}
)";

struct Given {
  testing::TemporaryFolder folder;
  std::unique_ptr<cache::BlobStore> blobs =
      cache::BlobStore::open({.folder = folder.path() / "blobs", .sync = false}).value();
  Attempt attempt;

  Given() {
    TaskKind kind;
    kind.body = NestedBody{std::nullopt, "(flow)", ""};
    kind.signature.inputs = {{"n", "any"}, {"m", "any"}};
    FlowBuilder builder("outer");
    (void)builder.add_node("work", builder.add_kind(kind));
    auto context = std::make_shared<RunContext>();
    context->flow = std::make_shared<const FlowSpec>(std::move(builder).finish().value());
    attempt.context = std::move(context);
    attempt.node = NodeId{0};
  }
  void give(const char* name, const Value& value) {
    attempt.arguments.push_back({name, Payload::of(value).value()});
  }
  Result<std::shared_ptr<const FlowSpec>> flow() {
    return nested_flow(attempt, *blobs, std::nullopt);
  }
  std::string refusal() {
    const auto made = flow();
    return made ? "none" : made.error().message;
  }
};

NestedEnd ended(RunState state) {
  NestedEnd end;
  end.run = RunId::generate(now());
  end.flow = "inner";
  end.state = state;
  return end;
}

}  // namespace

BOOST_AUTO_TEST_CASE(a_text_a_file_and_a_record_are_flows) {
  Given as_text;
  as_text.give("(flow)", text);
  const auto flow = as_text.flow();
  BOOST_REQUIRE_MESSAGE(flow, as_text.refusal());
  BOOST_TEST((*flow)->name == "work");

  Given as_file;
  FileValue file;
  file.content = as_file.blobs->put(text).value();
  file.size = std::string_view(text).size();
  as_file.give("(flow)", file.to_value());
  BOOST_REQUIRE_MESSAGE(as_file.flow(), as_file.refusal());

  Given as_record;
  as_record.give("(flow)", Bytes{(*flow)->encode()});
  const auto again = as_record.flow();
  BOOST_REQUIRE_MESSAGE(again, as_record.refusal());
  BOOST_TEST((*again)->encode() == (*flow)->encode());
}

BOOST_AUTO_TEST_CASE(what_is_no_flow_is_said_with_the_first_mistakes) {
  Given given;
  given.give("(flow)", "version: 1\ntasks: {t: {rum: [x]}}\n");
  BOOST_TEST(given.refusal() ==
             "the flow that it is to run has mistakes: 2:13: unknown key 'rum' in task 't'");
  Given number;
  number.give("(flow)", 3);
  BOOST_TEST(number.refusal() == "what it is to run is no flow, but 3");
  Given bytes;
  bytes.give("(flow)", Bytes{std::string("\xff\x00", 2)});
  BOOST_TEST(bytes.refusal().starts_with("the bytes that it is to run as a flow are none"));
  Given large;
  large.give("(flow)", std::string((8u << 20) + 1, ' '));
  BOOST_TEST(large.refusal() == "the flow that it is to run has 8388609 bytes; 8388608 are read");
  Given beside;  // a made flow has no files beside it
  beside.give("(flow)", "version: 1\ntasks: {t: {flow: other.yaml}}\n");
  BOOST_TEST(beside.refusal().find("cannot be read here") != std::string::npos);
  Given nothing;
  BOOST_TEST(nothing.refusal() == "it was given no flow to run");
}

BOOST_AUTO_TEST_CASE(parameters_are_what_the_signature_names) {
  Given given;
  given.give("(flow)", text);
  given.give("n", 3);
  given.give("other", 4);
  const Parameters parameters = nested_parameters(given.attempt);
  BOOST_TEST(parameters.size() == 1u);
  BOOST_TEST((parameters.at("n") == Payload::of(Value(3)).value()));
}

BOOST_AUTO_TEST_CASE(the_outputs_are_one_value) {
  Given given;
  NestedEnd end = ended(RunState::success);
  end.outputs["b"] = Payload::of(Value("x")).value();
  end.outputs["a"] = Payload::of(Value(List{1, 2})).value();
  Outcome outcome = nested_outcome(end, *given.blobs);
  BOOST_TEST((outcome.state == TaskState::success));
  BOOST_TEST(outcome.executed);
  BOOST_TEST(to_json(outcome.value.value().value()) == R"({"a":[1,2],"b":"x"})");
  end.output = "b";
  outcome = nested_outcome(end, *given.blobs);
  BOOST_TEST(to_json(outcome.value.value().value()) == R"("x")");
  end.output = "c";
  outcome = nested_outcome(end, *given.blobs);
  BOOST_TEST((outcome.state == TaskState::failed));
  BOOST_TEST(outcome.message.ends_with("of flow \"inner\" ended, but it has no output \"c\""));
}

BOOST_AUTO_TEST_CASE(large_outputs_are_kept_before_they_are_told) {
  Given given;
  NestedEnd end = ended(RunState::success);
  end.outputs["a"] = Payload::of(Value(std::string(journal::inline_result_bytes + 1, 'x'))).value();
  const Outcome outcome = nested_outcome(end, *given.blobs);
  BOOST_TEST(given.blobs->get_value(outcome.value.digest).has_value());
}

BOOST_AUTO_TEST_CASE(a_failure_names_the_run_and_what_failed_first) {
  Given given;
  NestedEnd end = ended(RunState::failed);
  end.first_failure = "b[2]: exited with 1";
  const Outcome outcome = nested_outcome(end, *given.blobs);
  BOOST_TEST((outcome.failure == FailureClass::task));
  BOOST_TEST(outcome.message ==
             "run " + end.run.short_text() + " of flow \"inner\" failed: b[2]: exited with 1");
  BOOST_TEST(
      (nested_outcome(ended(RunState::cancelled), *given.blobs).state == TaskState::cancelled));
  BOOST_TEST((nested_outcome(ended(RunState::paused), *given.blobs).state == TaskState::paused));
}

BOOST_AUTO_TEST_CASE(where_a_run_is_nested_is_kept_with_it) {
  RunOptions options;
  options.nested_in = NestedIn{RunId::generate(now()), "work[\xff]", 3};
  const auto again = decode_options(encode_options(options));
  BOOST_REQUIRE(again);
  BOOST_TEST((again->nested_in == options.nested_in));
  BOOST_TEST(!same_shape(*again, RunOptions{}));  // it is not what somebody else asks for again
}

BOOST_AUTO_TEST_SUITE_END()
