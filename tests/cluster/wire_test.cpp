#include <boost/test/unit_test.hpp>

#include <rapidcheck.h>

#include "cluster/run_queries.hpp"
#include "cluster/wire.hpp"
#include "tests/support/flow_text.hpp"

BOOST_AUTO_TEST_SUITE(wires)

using namespace reprise;
using namespace reprise::cluster;
namespace wire = reprise::cluster::wire;

namespace {

Payload value(std::int64_t number) {
  return Payload::of(Value(number)).value();
}

RunId run_id(std::uint8_t number) {
  RunId id;
  id.bytes.fill(number);
  return id;
}

scheduler::AttemptRef ref(std::uint32_t number) {
  return {scheduler::RunIndex{number}, TaskId{number + 1}, number + 2};
}

// Whatever a message holds, its bytes are those of what they decode to; no beginning of them is a
// message, and a later program may append fields.
template <class Message>
Message travel(const Message& message) {
  const std::string bytes = wire::encode(message);
  Message read;
  const auto done = wire::decode(bytes, read);
  BOOST_REQUIRE_MESSAGE(done.has_value(), (done ? "" : done.error().message));
  BOOST_TEST((wire::encode(read) == bytes));
  for (std::size_t length = 0; length < bytes.size(); ++length) {
    Message part;
    BOOST_REQUIRE(!wire::decode(std::string_view(bytes).substr(0, length), part).has_value());
  }
  if ((static_cast<unsigned char>(bytes[0]) & 0xf0) == 0x90) {
    std::string longer = bytes + "\x01";
    ++longer[0];
    Message newer;
    BOOST_TEST(wire::decode(longer, newer).has_value());
    BOOST_TEST((wire::encode(newer) == bytes));
  }
  return read;
}

Outcome an_outcome() {
  Outcome outcome;
  outcome.state = TaskState::timed_out;
  outcome.value = value(17);
  outcome.message = "took too long\xff";
  outcome.failure = FailureClass::timeout;
  outcome.uncacheable = "text is not UTF-8";
  outcome.exit_code = -3;
  outcome.signal = 9;
  outcome.started = Time(Duration(123456789));
  outcome.duration = Duration(42);
  outcome.executed = true;
  outcome.stored = true;
  outcome.start_time = Time(Duration(99));
  outcome.is_final = true;
  return outcome;
}

}  // namespace

BOOST_AUTO_TEST_CASE(a_submitted_flow_arrives_as_it_was) {
  wire::Submit submit;
  submit.request = 7;
  submit.idempotency = "once";
  FlowSpec flow = *reprise::test::flow("a -> c; b -> c");
  flow.folder = "/home/\xffme";
  flow.source_file = "flow.yaml";
  submit.flow = std::make_shared<const FlowSpec>(flow);
  submit.options = "options";
  submit.ns = "team";
  const auto read = travel(submit);
  BOOST_TEST((read.flow->encode() == flow.encode()));
  BOOST_TEST(read.flow->folder == flow.folder);
  BOOST_TEST(read.flow->source_file == flow.source_file);
  BOOST_TEST(read.request == 7u);
  BOOST_TEST(read.idempotency == "once");
  BOOST_TEST(read.ns == "team");
  submit.idempotency = std::string(65, 'x');
  wire::Submit refused;
  BOOST_TEST(!wire::decode(wire::encode(submit), refused).has_value());
}

BOOST_AUTO_TEST_CASE(client_messages_arrive_as_they_were) {
  travel(wire::Submitted{1, run_id(3), true, true});
  const auto steer = travel(wire::Steer{2, run_id(4), {"a", "b[\xfe]"}, "because"});
  BOOST_TEST((steer.tasks == std::vector<std::string>{"a", "b[\xfe]"}));
  BOOST_TEST((travel(wire::Watch{3, run_id(5), 17}).run == run_id(5)));
  BOOST_TEST(!travel(wire::Watch{3, std::nullopt, 17}).run.has_value());
  BOOST_TEST(travel(wire::Query{4, "workers", std::string("\0\1", 2)}).body.size() == 2u);
  const auto answer = travel(wire::Answer{5, fail(ErrorCode::conflict, "no"), "body"});
  BOOST_TEST((answer.status.error() == Error{ErrorCode::conflict, "no"}));
  BOOST_TEST(travel(wire::Answer{5, {}, "body"}).status.has_value());
  journal::Summary summary;
  summary.tasks = 12;
  summary.cached = 3;
  const auto ended = travel(wire::RunEnded{
      6, run_id(1), RunState::failed, "why", summary, {{"out", Payload::of(std::string("\xc3"))}}});
  BOOST_TEST(ended.outputs.at("out").view() == "\xc3");
  BOOST_TEST((ended.summary == summary));
  BOOST_TEST((ended.state == RunState::failed));
}

BOOST_AUTO_TEST_CASE(changes_arrive_as_the_journal_has_them) {
  journal::Batch batch;
  batch.run = run_id(9);
  journal::TaskChange change;
  change.task = TaskId{3};
  change.state = TaskState::success;
  change.result = value(5);
  change.at = Time(Duration(77));
  batch.tasks = {change, change};
  batch.change = journal::RunChange{RunState::success, Time(Duration(78)), "done"};
  const auto read = travel(wire::Changes{1, 100, {batch, batch}});
  BOOST_REQUIRE(read.batches.size() == 2u);
  BOOST_TEST((read.batches[1] == batch));
}

BOOST_AUTO_TEST_CASE(worker_messages_arrive_as_they_were) {
  wire::WorkerHello hello;
  hello.capacity.cpu_milli = 8000;
  hello.capacity.memory_bytes = 1ull << 40;
  hello.capacity.custom = {{"gpu", 2}, {"licence", 5}};
  hello.labels = {{"zone", "a"}};
  hello.slots = 8;
  hello.enforcement = "cgroup";
  hello.functions = {"sum@1"};
  hello.epoch = 4;
  scheduler::AttemptRef older = ref(1);
  older.epoch = 3;
  hello.running = {{older, RunId::generate(Time{}), NodeId{2}, 7, sha256("work")}};
  hello.version = "1.2.0";
  hello.signatures = std::string("\x90\0", 2);
  const auto read = travel(hello);
  BOOST_TEST((read.capacity == hello.capacity));
  BOOST_TEST((read.running == hello.running));
  BOOST_TEST(read.version == "1.2.0");
  BOOST_TEST(read.signatures == hello.signatures);
  // Older workers say less of themselves: eight things, or seven.
  std::string old = wire::encode(hello);
  for (const auto& [head, tail] : {std::pair{0x98, 4}, std::pair{0x97, 7}}) {
    old[0] = static_cast<char>(head);
    old.resize(old.size() - static_cast<std::size_t>(tail));
    wire::WorkerHello of_old;
    of_old.signatures = "before";
    BOOST_TEST(wire::decode(old, of_old).has_value());
    BOOST_TEST((of_old.running == hello.running));
    BOOST_TEST(of_old.version == (head == 0x98 ? "1.2.0" : ""));
    BOOST_TEST(of_old.signatures.empty());
  }
  travel(wire::Credits{3, hello.capacity});
  travel(wire::Began{{{ref(1), Time(Duration(5))}}});
  travel(wire::Refused{{ref(1)}, "no such function"});
  travel(wire::Draining{true});
  BOOST_TEST((travel(wire::Attempts{3, {older, ref(9)}}).attempts.at(0) == older));
  travel(wire::Welcome{{7, UINT64_MAX, 1}, Duration{5}});
  travel(wire::Drain{false});
  travel(wire::ForgetRun{3});
  travel(wire::Ping{UINT64_MAX});
}

BOOST_AUTO_TEST_CASE(an_attempt_of_the_epoch_that_is_served_is_named_as_in_the_version_before) {
  // 3 fields: run, task, number. Older programs send and expect no more.
  const std::string bytes = encode(wire::Attempts{0, {ref(1)}});
  BOOST_TEST(bytes.find('\x93') != std::string::npos);
  scheduler::AttemptRef older = ref(1);
  older.epoch = 3;
  BOOST_TEST(encode(wire::Attempts{0, {older}}).find('\x94') != std::string::npos);
}

BOOST_AUTO_TEST_CASE(reports_keep_every_field_of_an_outcome) {
  const auto read = travel(wire::Reports{{{ref(1), an_outcome()}, {ref(2), {}}}});
  const Outcome& outcome = read.reports[0].outcome;
  const Outcome sent = an_outcome();
  BOOST_TEST((outcome.state == sent.state && outcome.failure == sent.failure));
  BOOST_TEST((outcome.value == sent.value && outcome.value.is_at_hand()));
  BOOST_TEST(outcome.message == sent.message);
  BOOST_TEST((outcome.uncacheable == sent.uncacheable));
  BOOST_TEST((outcome.exit_code == -3 && outcome.signal == 9));
  BOOST_TEST((outcome.started == sent.started && outcome.duration == sent.duration));
  BOOST_TEST((outcome.executed && outcome.stored && outcome.is_final));
  BOOST_TEST((outcome.start_time == sent.start_time));
  BOOST_TEST((read.reports[1].outcome.value.is_none()));
}

BOOST_AUTO_TEST_CASE(long_values_travel_by_digest) {
  Outcome outcome;
  outcome.value = Payload::of(Value(std::string(5000, 'x'))).value();
  const auto read = travel(wire::Reports{{{ref(1), outcome}}});
  BOOST_TEST((read.reports[0].outcome.value == outcome.value));
  BOOST_TEST(!read.reports[0].outcome.value.is_at_hand());
}

BOOST_AUTO_TEST_CASE(a_dispatched_attempt_finds_its_run_and_its_flows_names) {
  auto context = std::make_shared<RunContext>();
  context->run = run_id(2);
  FlowSpec flow = *reprise::test::flow("a -> c; b -> c");
  flow.names = {"left", "right"};
  context->flow = std::make_shared<const FlowSpec>(std::move(flow));
  context->parameters = {{"p", value(1)}, {"none", {}}};
  context->cache = CacheMode::read_only;
  context->as_of = Time(Duration(5));
  context->started = Time(Duration(6));
  context->context = {{"user", value(2)}};
  context->files = {{"data/x.csv", {sha256("x"), 1, true}}};
  const auto brought = travel(wire::Context{12, context});
  BOOST_TEST((brought.context->run == context->run));
  BOOST_TEST((brought.context->parameters == context->parameters));
  BOOST_TEST((brought.context->context == context->context));
  BOOST_TEST((brought.context->files == context->files));
  BOOST_TEST((brought.context->as_of == context->as_of));

  wire::Dispatched one;
  one.attempt.run = 12;
  one.attempt.task = TaskId{2};
  one.attempt.number = 3;
  one.attempt.node = NodeId{2};
  one.attempt.map_index = 4;
  one.attempt.label = "s4";
  one.attempt.loop_result = value(9);
  one.attempt.arguments = {{context->flow->names[1], value(7)}};
  one.attempt.key = Key{digest_in("key", "x")};
  one.attempt.user_key = "mine";
  one.attempt.resumed = true;
  auto question = std::make_shared<Question>();
  question->kind = Question::Kind::trigger;
  question->after.state = TaskState::failed;
  question->upstreams = {{"a", {TaskState::success, "", value(1), {}}}};
  question->candidates = {{Key{digest_in("key", "c")},
                           value(3),
                           {},
                           Time(std::chrono::seconds(5)),
                           Time(std::chrono::seconds(9)),
                           {{"x", value(1).digest}},
                           std::map<std::string, Digest>{{"p", value(2).digest}}}};
  one.attempt.question = question;
  one.lease = wire::Lease{"scheduler-1", 99};
  const wire::Dispatch sent{5, {one, one}};
  const std::string bytes = wire::encode(sent);
  const auto contexts = [&](std::uint32_t run) -> std::shared_ptr<const RunContext> {
    return run == 12 ? brought.context : nullptr;
  };
  wire::Dispatch read;
  const auto done = wire::decode(bytes, contexts, read);
  BOOST_REQUIRE_MESSAGE(done.has_value(), (done ? "" : done.error().message));
  BOOST_TEST(read.epoch == 5u);
  BOOST_REQUIRE(read.attempts.size() == 2u);
  BOOST_TEST((wire::encode(read) == bytes));
  const Attempt& attempt = read.attempts[1].attempt;
  BOOST_TEST((attempt.context == brought.context));
  BOOST_TEST(attempt.arguments[0].name == "right");
  BOOST_TEST((attempt.arguments[0].name.data() == brought.context->flow->names[1].data()));
  BOOST_TEST((attempt.key == one.attempt.key));
  BOOST_TEST((attempt.question->upstreams[0].state.result == value(1)));
  const Candidate& candidate = attempt.question->candidates.at(0);
  BOOST_TEST((candidate.key == question->candidates[0].key));
  BOOST_TEST((candidate.value == value(3)));
  BOOST_TEST((candidate.expires == question->candidates[0].expires));
  BOOST_TEST((candidate.parameters == question->candidates[0].parameters));
  BOOST_TEST((read.attempts[1].lease == one.lease));
  for (std::size_t length = 0; length < bytes.size(); ++length) {
    wire::Dispatch part;
    BOOST_REQUIRE(
        !wire::decode(std::string_view(bytes).substr(0, length), contexts, part).has_value());
  }
  one.attempt.node = NodeId{3};
  BOOST_TEST(!wire::decode(wire::encode(wire::Dispatch{5, {one}}), contexts, read).has_value());
  one.attempt.run = 13;
  BOOST_TEST((wire::decode(wire::encode(wire::Dispatch{5, {one}}), contexts, read).error().code ==
              ErrorCode::not_found));
}

BOOST_AUTO_TEST_CASE(parts_of_blobs_fit_their_blob) {
  const Digest digest = sha256("x");
  travel(wire::BlobRequest{digest, 5});
  travel(wire::BlobChunk{digest, 5, 8, "abc"});
  travel(wire::BlobChunk{digest, 0, 0, ""});
  wire::BlobChunk read;
  BOOST_TEST(!wire::decode(wire::encode(wire::BlobChunk{digest, 6, 8, "abc"}), read).has_value());
  BOOST_TEST(
      !wire::decode(wire::encode(wire::BlobChunk{digest, UINT64_MAX, 8, "a"}), read).has_value());
  const std::string too_long(wire::blob_chunk_bytes + 1, 'x');
  BOOST_TEST(!wire::decode(wire::encode(wire::BlobChunk{digest, 0, 1u << 30, too_long}), read)
                  .has_value());
}

BOOST_AUTO_TEST_CASE(many_tiny_elements_are_refused) {
  // An array of a million empty reports.
  std::string bytes("\x91\xdd\x00\x10\x00\x00", 6);
  bytes.append(1 << 20, '\x90');
  wire::Reports reports;
  BOOST_TEST(!wire::decode(bytes, reports).has_value());
}

BOOST_AUTO_TEST_CASE(questions_about_runs_arrive) {
  journal::RunQuery query;
  query.id_prefix = "01J";
  query.state = RunState::failed;
  query.since = Time(Duration(5));
  query.limit = 7;
  const auto asked = travel(wire::AskRuns{query}).query;
  BOOST_TEST((asked.id_prefix == query.id_prefix && asked.state == query.state));
  BOOST_TEST((asked.since == query.since && !asked.flow_name && asked.limit == 7));
  BOOST_TEST(travel(wire::AskChanges{run_id(1), 12, 3}).after == 12u);
  BOOST_TEST(travel(wire::AskLog{run_id(1), TaskId{2}, 3, true, 4, true, 5}).limit == 5u);
  BOOST_TEST(travel(wire::LogPart{6, "bytes"}).bytes == "bytes");
  BOOST_TEST((travel(wire::NodeResult{value(9)}).value == value(9)));
  BOOST_TEST(travel(wire::AskAgain{run_id(1), {"a[1]"}, true, false}).failed);
  wire::AskFork fork;
  fork.at = {"a"};
  fork.parameters = {{"p", value(1)}};
  fork.cache = 2;
  BOOST_TEST((travel(fork).parameters == fork.parameters));
  journal::Batch batch;
  batch.run = run_id(1);
  batch.change = journal::RunChange{RunState::success, Time(Duration(1)), "m"};
  const auto entries = travel(wire::RunEntries{{{41, batch}}}).entries;
  BOOST_REQUIRE(entries.size() == 1u);
  BOOST_TEST((entries[0].first == 41u && entries[0].batch == batch));
  journal::RunRow row;
  row.id = run_id(3);
  row.flow_name = "f";
  BOOST_TEST((travel(wire::RunRows{{row}}).rows.at(0) == row));
  BOOST_TEST(travel(wire::LogRequest{8, "what"}).number == 8u);
  BOOST_TEST(!travel(wire::LogAnswer{8, fail(ErrorCode::not_found, "no"), {}}).status.has_value());
}

BOOST_AUTO_TEST_CASE(each_kind_belongs_to_the_roles_that_need_it) {
  const auto who = [](wire::Kind kind) {
    std::string roles;
    for (const Role role : {Role::worker, Role::client, Role::scheduler})
      if (wire::may_send(role, static_cast<std::uint16_t>(kind))) roles += name(role)[0];
    return roles;
  };
  BOOST_TEST(who(wire::Kind::submit) == "c");
  BOOST_TEST(who(wire::Kind::reports) == "w");
  BOOST_TEST(who(wire::Kind::dispatch) == "s");
  BOOST_TEST(who(wire::Kind::log_request) == "s");
  BOOST_TEST(who(wire::Kind::log_answer) == "w");
  BOOST_TEST(who(wire::Kind::ping) == "wcs");
  BOOST_TEST(who(static_cast<wire::Kind>(999)) == "");
}

BOOST_AUTO_TEST_CASE(numbers_and_texts_of_any_kind_arrive) {
  BOOST_TEST(rc::check([](std::uint64_t a, std::uint64_t b, const std::string& text,
                          const std::vector<std::string>& names) {
    wire::Steer steer{a, run_id(static_cast<std::uint8_t>(b)), names, text};
    wire::Steer read;
    RC_ASSERT(wire::decode(wire::encode(steer), read).has_value());
    RC_ASSERT(read.request == a && read.reason == text && read.tasks == names);
  }));
}

BOOST_AUTO_TEST_SUITE_END()
