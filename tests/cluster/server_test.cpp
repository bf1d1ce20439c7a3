// A server and a worker in this process, where what is between them can be held up; and peers that
// speak the version before.
#include <boost/test/unit_test.hpp>

#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>

#include "actors/run_options.hpp"
#include "cluster/client.hpp"
#include "cluster/server.hpp"
#include "cluster/worker_list.hpp"
#include "cluster/worker_node.hpp"
#include "tests/support/flow_text.hpp"
#include "tests/support/temporary_folder.hpp"

BOOST_AUTO_TEST_SUITE(servers)

using namespace reprise;
using namespace reprise::cluster;
using namespace std::chrono_literals;

namespace {

const Credentials secret{nullptr, std::string(64, 's')};

template <class Condition>
bool until(Condition condition) {
  const auto deadline = std::chrono::steady_clock::now() + 30s;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::yield();
  }
  return true;
}

/// What somebody said; a line with `stop_at` in it does not return before go_on().
class Lines {
 public:
  std::function<void(std::string)> say() {
    return [this](const std::string& line) {
      std::unique_lock guard(mutex_);
      text_ += line + "\n";
      if (!stop_at.empty() && line.find(stop_at) != std::string::npos)
        changed_.wait(guard, [this] { return goes_on_; });
    };
  }
  void go_on() {
    const std::lock_guard guard(mutex_);
    goes_on_ = true;
    changed_.notify_all();
  }
  [[nodiscard]] bool has(const std::string& part) const {
    const std::lock_guard guard(mutex_);
    return text_.find(part) != std::string::npos;
  }
  [[nodiscard]] std::string text() const {
    const std::lock_guard guard(mutex_);
    return text_;
  }
  std::string stop_at;

 private:
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::string text_;
  bool goes_on_ = false;
};

/// A function that waits until it is told to go on.
struct Gate {
  std::mutex mutex;
  std::condition_variable changed;
  int entered = 0;
  bool is_open = false;

  void pass() {
    std::unique_lock guard(mutex);
    ++entered;
    changed.notify_all();
    changed.wait_for(guard, 30s, [this] { return is_open; });
  }
  void open() {
    const std::lock_guard guard(mutex);
    is_open = true;
    changed.notify_all();
  }
  int count() {
    const std::lock_guard guard(mutex);
    return entered;
  }
};

struct Place {
  testing::TemporaryFolder folder;
  Lines said;
  std::unique_ptr<Server> server;
  std::uint16_t port = 0;

  void start(std::uint16_t on = 0) {
    ServerOptions options;
    options.engine.data = folder / "server";
    options.listen.port = on;
    options.name = "s";
    options.credentials = secret;
    options.fleet = {50ms, 200ms, 600ms, 2s};
    options.say = said.say();
    auto opened = Server::open(std::move(options));
    if (!opened) BOOST_FAIL(opened.error().message);
    server = *std::move(opened);
    port = server->port();
  }
  [[nodiscard]] std::unique_ptr<WorkerNode> worker(
      Lines& lines, std::shared_ptr<worker::FunctionTable> functions = nullptr,
      std::function<void()> on_stop = {}) const {
    WorkerNodeOptions options;
    options.server.port = port;
    options.data = folder / "worker";
    options.name = "w";
    options.credentials = secret;
    options.slots = 1;
    options.functions = std::move(functions);
    options.say = lines.say();
    options.on_stop = std::move(on_stop);
    auto opened = WorkerNode::open(std::move(options));
    if (!opened) BOOST_FAIL(opened.error().message);
    return *std::move(opened);
  }
  [[nodiscard]] std::unique_ptr<Client> client() const {
    ClientOptions options;
    options.server.port = port;
    options.credentials = secret;
    options.patience = 20s;
    auto connected = Client::connect(std::move(options));
    if (!connected) BOOST_FAIL(connected.error().message);
    return *std::move(connected);
  }
};

/// One side of a link that a test plays itself, speaking only this version.
class PlayedPeer {
 public:
  PlayedPeer(Role role, const std::string& name, Versions versions) {
    HubOptions options = hub_options(role, name, secret);
    options.exchange.versions = versions;
    options.exchange.accepted = {Role::worker};
    options.on_event = [this](LinkEvent event) { take(std::move(event)); };
    auto opened = Hub::open(std::move(options));
    if (!opened) BOOST_FAIL(opened.error().message);
    hub = *std::move(opened);
  }
  ~PlayedPeer() { hub.reset(); }
  PlayedPeer(const PlayedPeer&) = delete;
  PlayedPeer& operator=(const PlayedPeer&) = delete;

  /// Waits for the next message that is not a ping, a pong or about blobs.
  Message next() {
    std::unique_lock guard(mutex_);
    if (!changed_.wait_for(guard, 30s, [this] { return !messages_.empty(); }))
      BOOST_FAIL("no message came");
    Message message = std::move(messages_.front());
    messages_.pop_front();
    return message;
  }
  void send(wire::Kind kind, std::string bytes) {
    std::unique_lock guard(mutex_);
    BOOST_REQUIRE(changed_.wait_for(guard, 30s, [this] { return sender_ != nullptr; }));
    BOOST_REQUIRE(sender_->send(static_cast<std::uint16_t>(kind), std::move(bytes)).has_value());
  }
  void close() {
    const std::lock_guard guard(mutex_);
    std::exchange(sender_, nullptr)->close({ErrorCode::unavailable, "the test says so"});
  }
  std::unique_ptr<Hub> hub;

 private:
  void take(LinkEvent event) {
    const std::lock_guard guard(mutex_);
    if (auto* up = std::get_if<LinkUp>(&event)) sender_ = up->sender;
    if (auto* got = std::get_if<LinkMessages>(&event))
      for (Message& message : got->messages)
        if (message.kind < static_cast<std::uint16_t>(wire::Kind::ping))
          messages_.push_back(std::move(message));
    changed_.notify_all();
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::shared_ptr<LinkSender> sender_;
  std::deque<Message> messages_;
};

constexpr Versions older{1, 1};

template <class Message_>
Message_ read(const Message& message, wire::Kind kind) {
  BOOST_REQUIRE_EQUAL(message.kind, static_cast<std::uint16_t>(kind));
  Message_ read;
  BOOST_REQUIRE(decode(message.bytes, read).has_value());
  return read;
}

/// Flow "a" whose body is the function "a".
std::shared_ptr<const FlowSpec> call_of_a() {
  TaskKind kind;
  kind.cache_name = "a";
  kind.body = FunctionBody{"a@1"};
  return test::flow("a", {{"a", kind}});
}

std::shared_ptr<worker::FunctionTable> table_with(worker::FunctionBody body) {
  auto table = std::make_shared<worker::FunctionTable>();
  worker::Function function;
  function.name = "a";
  function.body = std::move(body);
  BOOST_REQUIRE(table->add(std::move(function)).has_value());
  return table;
}

RunId submit(Client& client) {
  wire::Submit request;
  request.flow = call_of_a();
  request.options = actors::encode_options(RunOptions{});
  const auto submitted = client.submit(std::move(request));
  BOOST_REQUIRE_MESSAGE(submitted.has_value(), (submitted ? "" : submitted.error().message));
  BOOST_TEST(submitted->stable);
  return submitted->run;
}

void check_success(Client& client, const RunId& run) {
  const auto ended = client.wait(run, 30s);
  BOOST_REQUIRE(ended.has_value() && ended->has_value());
  BOOST_TEST((*ended)->message == "");
  BOOST_TEST(((*ended)->state == RunState::success));
}

std::string health_of_one(Client& client) {
  const auto body = client.query("workers");
  if (!body) return "no answer";
  const auto workers = decode_workers(*body);
  if (!workers || workers->empty()) return "gone";
  return workers->front().health == WorkerView::Health::suspect ? "suspect" : "alive";
}

}  // namespace

BOOST_AUTO_TEST_CASE(a_worker_that_hangs_is_suspect_and_then_lost_though_its_connection_stands) {
  Place place;
  place.start();
  Lines lines;
  lines.stop_at = "asked to stop";
  const auto worker = place.worker(lines, nullptr, [&] { lines.say()("asked to stop"); });
  const auto client = place.client();
  BOOST_REQUIRE(until([&] { return health_of_one(*client) == "alive"; }));
  BOOST_REQUIRE(client->query("worker.stop", "w").has_value());
  BOOST_TEST(until([&] { return health_of_one(*client) == "suspect"; }));
  BOOST_TEST(
      until([&] { return place.said.has("worker \"w\" was lost: it said nothing for 600 ms"); }),
      place.said.text());
  BOOST_TEST(until([&] { return health_of_one(*client) == "gone"; }));  // said first, then shown
  lines.go_on();
  BOOST_TEST(until([&] { return health_of_one(*client) == "alive"; }), lines.text());
}

BOOST_AUTO_TEST_CASE(what_runs_while_its_server_is_restarted_is_not_run_again) {
  Gate gate;
  Lines lines;
  Place place;
  place.start();
  const auto worker = place.worker(lines, table_with([&](const worker::Call&) {
                                     gate.pass();
                                     return worker::Returned{Payload::nil(), {}};
                                   }));
  const auto client = place.client();
  const RunId run = submit(*client);
  BOOST_REQUIRE(until([&] { return gate.count() == 1; }));
  place.server.reset();
  place.start(place.port);
  BOOST_TEST(until([&] { return place.said.has("with 1 attempts in hand"); }), place.said.text());
  gate.open();
  check_success(*client, run);
  BOOST_TEST(gate.count() == 1);
}

BOOST_AUTO_TEST_CASE(what_ends_while_there_is_no_server_is_not_run_again) {
  Gate gate;
  Lines lines;
  Place place;
  place.start();
  const auto worker = place.worker(lines, table_with([&](const worker::Call&) {
                                     gate.pass();
                                     return worker::Returned{Payload::nil(), {}};
                                   }));
  const auto client = place.client();
  const RunId run = submit(*client);
  BOOST_REQUIRE(until([&] { return gate.count() == 1; }));
  place.server.reset();
  gate.open();
  place.start(place.port);
  BOOST_TEST(until([&] { return place.said.has("with 1 attempts in hand"); }), place.said.text());
  check_success(*client, run);
  BOOST_TEST(gate.count() == 1);
}

BOOST_AUTO_TEST_CASE(a_worker_of_the_version_before_serves_a_server_of_this_one) {
  Place place;
  place.start();
  PlayedPeer worker(Role::worker, "old", older);
  ConnectOptions connect;
  connect.port = place.port;
  BOOST_REQUIRE(worker.hub->connect(connect).has_value());
  wire::WorkerHello hello;
  hello.slots = 1;
  hello.functions = {"a@1"};
  worker.send(wire::Kind::worker_hello, encode(hello));
  const auto client = place.client();
  const RunId run = submit(*client);
  const auto context = read<wire::Context>(worker.next(), wire::Kind::run_context);
  const Message message = worker.next();
  BOOST_REQUIRE_EQUAL(message.kind, static_cast<std::uint16_t>(wire::Kind::dispatch));
  wire::Dispatch dispatch;
  BOOST_REQUIRE(decode(
      message.bytes, [&](std::uint32_t) { return context.context; }, dispatch));
  const Attempt& attempt = dispatch.attempts.at(0).attempt;
  scheduler::Report report{{scheduler::RunIndex{attempt.run}, attempt.task, attempt.number}, {}};
  report.outcome.state = TaskState::success;
  report.outcome.value = Payload::nil();
  report.outcome.executed = true;
  worker.send(wire::Kind::reports, encode(wire::Reports{{report}}));
  check_success(*client, run);
  // No acknowledgement: it would not know what that is.
  (void)read<wire::ForgetRun>(worker.next(), wire::Kind::forget_run);
}

BOOST_AUTO_TEST_CASE(a_worker_of_this_version_serves_a_server_of_the_one_before) {
  Place place;
  PlayedPeer server(Role::scheduler, "old", older);
  ListenOptions listen;
  listen.port = 0;
  const auto port = server.hub->listen(listen);
  BOOST_REQUIRE(port.has_value());
  place.port = *port;
  Gate gate;
  Lines lines;
  const auto worker = place.worker(lines, table_with([&](const worker::Call&) {
                                     gate.pass();
                                     return worker::Returned{Payload::nil(), {}};
                                   }));
  // It speaks first, and has nothing in hand.
  auto hello = read<wire::WorkerHello>(server.next(), wire::Kind::worker_hello);
  BOOST_TEST(hello.running.empty());
  auto context = std::make_shared<RunContext>();
  context->run = RunId::generate(now());
  context->flow = call_of_a();
  const auto dispatch = [&] {
    server.send(wire::Kind::run_context, encode(wire::Context{0, context}));
    wire::Dispatch one;
    Attempt& attempt = one.attempts.emplace_back().attempt;
    attempt.task = TaskId{0};
    attempt.node = NodeId{0};
    attempt.context = context;
    server.send(wire::Kind::dispatch, encode(one));
  };
  dispatch();
  BOOST_REQUIRE(until([&] { return gate.count() == 1; }));
  server.close();
  gate.open();  // what it gives now is nobody's
  Message message = server.next();
  if (message.kind == static_cast<std::uint16_t>(wire::Kind::reports))
    message = server.next();  // it was quicker than the end of the link
  hello = read<wire::WorkerHello>(message, wire::Kind::worker_hello);
  BOOST_TEST(hello.running.empty());
  dispatch();
  message = server.next();
  if (message.kind == static_cast<std::uint16_t>(wire::Kind::began)) message = server.next();
  const auto reports = read<wire::Reports>(message, wire::Kind::reports);
  BOOST_REQUIRE(reports.reports.size() == 1u);
  BOOST_TEST((reports.reports[0].outcome.state == TaskState::success));
  BOOST_TEST(gate.count() == 2);
}

BOOST_AUTO_TEST_SUITE_END()
