// The C++ client against a server and a worker in this process, over real sockets.
#include "reprise/client.hpp"

#include <atomic>
#include <chrono>
#include <filesystem>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include <boost/test/unit_test.hpp>

#include "actors/run_options.hpp"
#include "api/body.hpp"
#include "cluster/client.hpp"
#include "cluster/remote_journal.hpp"
#include "cluster/server.hpp"
#include "cluster/worker_node.hpp"
#include "flow/flow_builder.hpp"
#include "reprise/reprise.hpp"
#include "tests/support/tcp_proxy.hpp"
#include "tests/support/temporary_folder.hpp"

BOOST_AUTO_TEST_SUITE(client)

using namespace std::chrono_literals;

namespace {

constexpr auto twice = reprise::task<"client.twice">([](int n) -> int { return 2 * n; });
constexpr auto sum = reprise::task<"client.sum">([](int a, int b) -> int { return a + b; });
constexpr auto breaks =
    reprise::task<"client.breaks", 3>([](int) -> int { throw std::runtime_error("it is broken"); });
constexpr auto large = reprise::task<"client.large">(
    [](int n) -> std::string { return std::string(static_cast<std::size_t>(n), 'x'); });
constexpr auto naps = reprise::task<"client.naps">([](int ms) -> int {
  std::this_thread::sleep_for(std::chrono::milliseconds(ms));
  return ms;
});
std::atomic<int> counted_calls{0};
constexpr auto counted = reprise::task<"client.counted">([](int n) -> int {
  ++counted_calls;
  std::this_thread::sleep_for(20ms);
  return n;
});
constexpr auto plan = reprise::task<"client.plan">([](int n) -> reprise::made_flow {
  reprise::flow f("made");
  const auto all = f.map(counted, reprise::range(n));
  f.output("sum", f.reduce(sum, all, 0));
  return f;
});

template <class... Task>
std::shared_ptr<reprise::worker::FunctionTable> table_of(const Task&... tasks) {
  auto table = std::make_shared<reprise::worker::FunctionTable>();
  reprise::worker::add_builtins(*table);
  const auto add = [&](const auto& task) {
    const auto record = task.record();
    BOOST_REQUIRE(table->add(
        {record.name, record.version, {}, reprise::detail::to_worker_body(record.body)}));
  };
  (add(tasks), ...);
  return table;
}

template <class Condition>
bool until(Condition condition) {
  const auto deadline = std::chrono::steady_clock::now() + 30s;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > deadline) return condition();
    std::this_thread::sleep_for(2ms);
  }
  return true;
}

/// A server and a worker in this process, over real sockets.
struct Site {
  reprise::testing::TemporaryFolder folder;
  std::mutex mutex;
  std::string said;
  std::unique_ptr<reprise::cluster::Server> server;
  std::unique_ptr<reprise::cluster::WorkerNode> worker;
  std::uint16_t port = 0;

  Site() {
    std::filesystem::create_directories(folder / "data");
    BOOST_REQUIRE(reprise::cluster::ensure_secret(secret()));
    start_server();
  }
  void start_server() {
    reprise::cluster::ServerOptions options;
    options.engine.data = folder / "data";
    options.listen.port = port;
    options.name = "s";
    options.credentials = credentials();
    options.say = [this](const std::string& line) {
      const std::lock_guard guard(mutex);
      said += line + "\n";
    };
    auto opened = reprise::cluster::Server::open(std::move(options));
    BOOST_REQUIRE_MESSAGE(opened, (opened ? "" : opened.error().message));
    server = *std::move(opened);
    port = server->port();
  }
  bool says(const std::string& text) {
    return until([&] {
      const std::lock_guard guard(mutex);
      return said.find(text) != std::string::npos;
    });
  }
  [[nodiscard]] std::filesystem::path secret() const {
    return reprise::cluster::secret_in(folder / "data");
  }
  [[nodiscard]] reprise::cluster::Credentials credentials() const {
    return reprise::cluster::load_credentials({{}, secret()}).value();
  }
  void start_worker(unsigned slots = 2) {
    reprise::cluster::WorkerNodeOptions options;
    options.server.port = port;
    options.data = folder / "work";
    options.name = "w";
    options.credentials = credentials();
    options.slots = slots;
    options.grace = 200ms;  // a nap does not listen
    options.functions = table_of(twice, sum, breaks, large, naps, counted, plan);
    // A reduction is a function of its own.
    const auto fold = reprise::detail::reduction<std::remove_const_t<decltype(sum)>>(&sum);
    BOOST_REQUIRE(options.functions->add(
        {fold.name, fold.version, {}, reprise::detail::to_worker_body(fold.body)}));
    options.say = [](const std::string&) {};
    worker = reprise::cluster::WorkerNode::open(std::move(options)).value();
  }
  [[nodiscard]] reprise::client connect() const {
    return reprise::client({.server = "127.0.0.1:" + std::to_string(port),
                            .certificates = {},
                            .secret_file = secret(),
                            .patience = 20s});
  }
  [[nodiscard]] std::unique_ptr<reprise::cluster::Client> plain_client(
      std::uint16_t through, reprise::Duration patience) const {
    reprise::cluster::ClientOptions options;
    options.server.port = through;
    options.credentials = credentials();
    options.patience = patience;
    options.resume_window = 200ms;
    return reprise::cluster::Client::connect(std::move(options)).value();
  }
};

reprise::cluster::wire::Submit one_noop(const std::string& key) {
  reprise::FlowBuilder builder("one");
  reprise::TaskKind kind;
  kind.cache_name = "nothing";
  builder.add_node("a", builder.add_kind(std::move(kind)));
  reprise::cluster::wire::Submit submit;
  submit.idempotency = key;
  submit.flow = std::make_shared<const reprise::FlowSpec>(std::move(builder).finish().value());
  submit.options = reprise::actors::encode_options({});
  return submit;
}

}  // namespace

BOOST_AUTO_TEST_CASE(functions_run_on_workers_and_their_results_come_back) {
  Site site;
  site.start_worker();
  const reprise::client there = site.connect();
  reprise::flow f("sums");
  auto start = f.parameter<int>("start", 1);
  auto doubled = f.map(twice, std::vector<int>{1, 2, 3});
  auto total = f.reduce(sum, doubled, 0);
  auto text = f.call(large, 300'000);
  auto more = f.call(sum, total, start);
  const reprise::run r = there.submit(f, {.parameters = {{"start", 30}}});
  BOOST_TEST(r[more].get() == 42);
  BOOST_TEST((r[doubled].get() == std::vector<int>{2, 4, 6}));
  BOOST_TEST(r[text].get().size() == 300'000u);
  const reprise::run_result end = r.wait();
  BOOST_TEST(end.is_success());
  BOOST_TEST(end.id == r.id());
  BOOST_TEST(end.executed == 6u);
  // Asked for after the end the answers are the same: from the journal.
  const reprise::run again = there.attach(f, r.id());
  BOOST_TEST(again[more].get() == 42);
  BOOST_TEST((again[doubled].get() == std::vector<int>{2, 4, 6}));
  BOOST_TEST(again[text].get().size() == 300'000u);
  BOOST_TEST((again.states().at(again.states().begin()->first).state.kind ==
              reprise::task_state::success));
}

BOOST_AUTO_TEST_CASE(a_task_without_a_result_says_why) {
  Site site;
  site.start_worker();
  const reprise::client there = site.connect();
  reprise::flow f("broken");
  auto broken = f.call(breaks, 1);
  auto slow = f.call(naps, 60'000);
  const reprise::run r = there.submit(f);
  try {
    (void)r[broken].get();
    BOOST_ERROR("it gave something");
  } catch (const reprise::task_error& error) {
    BOOST_TEST(error.state() == "failed");
    BOOST_TEST(error.attempt() == 1u);
    BOOST_TEST(error.message().find("it is broken") != std::string::npos);
  }
  const auto early = r[slow].try_get(50ms);
  BOOST_REQUIRE(!early);
  BOOST_TEST((early.error().code == reprise::error_code::unavailable));
  BOOST_TEST(!r.wait_for(50ms).has_value());
  BOOST_TEST(r.cancel("enough").has_value());
  BOOST_TEST((r.wait().state == reprise::run_state::cancelled));
  const auto late = r[slow].try_get(5s);
  BOOST_REQUIRE(!late);
  BOOST_TEST((late.error().code == reprise::error_code::task_failed));
}

BOOST_AUTO_TEST_CASE(what_a_server_cannot_run_is_refused) {
  Site site;
  const reprise::client there = site.connect();
  reprise::flow hooked("hooked");
  auto a = hooked.call(twice, 1);
  hooked.on_failure(a, "h", [](const reprise::state&, reprise::context&) {});
  const auto no = there.try_submit(hooked);
  BOOST_REQUIRE(!no);
  BOOST_TEST((no.error().code == reprise::error_code::invalid_argument));
  reprise::flow plain("plain");
  (void)plain.call(twice, 1);
  BOOST_TEST((there.try_submit(plain, {.idempotency_key = std::string(65, 'k')}).error().code ==
              reprise::error_code::invalid_argument));
  BOOST_TEST((there.try_attach(plain, "01JD4Q7ZK80000000000000000").error().code ==
              reprise::error_code::not_found));
  const auto nobody = reprise::client::open({.server = "127.0.0.1:1",
                                             .certificates = {},
                                             .secret_file = site.secret(),
                                             .patience = 50ms});
  BOOST_REQUIRE(!nobody);
  BOOST_TEST((nobody.error().code == reprise::error_code::unavailable), nobody.error().message);
}

BOOST_AUTO_TEST_CASE(events_go_on_where_they_were_over_a_restart_and_another_client) {
  Site site;
  site.start_worker(1);
  reprise::flow f("naps");
  (void)f.parameter<int>("unused", 3);
  std::vector<int> lengths(40, 25);
  auto all = f.map(naps, lengths);
  std::string id;
  std::uint64_t offset = 0;
  std::multiset<std::string> seen;
  const auto note = [&](const reprise::event& event) {
    BOOST_TEST(event.offset >= offset);
    offset = event.offset;
    if (event.index && event.state == reprise::task_state::success)
      seen.insert(std::to_string(*event.index));
  };
  {
    const reprise::client there = site.connect();
    const reprise::run r = there.submit(f, {.idempotency_key = "naps"});
    id = r.id();
    auto events = r.events();
    while (seen.size() < 5) note(events.next().value());
    site.server.reset();
    site.start_server();
    while (seen.size() < 10) note(events.next().value());
    // The same key is the same run, also of a flow with a parameter that is left to its default.
    const reprise::run same = there.submit(f, {.idempotency_key = "naps"});
    BOOST_TEST(same.id() == id);
    BOOST_TEST(same.continued());
  }
  const reprise::client other = site.connect();
  const reprise::run r = other.attach(f, id);
  // States that share the last offset were told with it.
  for (const reprise::event& event : r.events(offset)) note(event);
  BOOST_TEST(r.wait().is_success());
  BOOST_TEST(seen.size() == 40u);
  BOOST_TEST(std::set<std::string>(seen.begin(), seen.end()).size() == 40u);
  BOOST_TEST((r[all].get() == lengths));
}

BOOST_AUTO_TEST_CASE(a_flow_that_a_task_made_goes_on_over_a_restart_of_the_server) {
  constexpr int count = 40;
  counted_calls = 0;
  Site site;
  site.start_worker(2);
  const reprise::client there = site.connect();
  reprise::flow f("outer");
  const auto made = f.call(plan, count);
  const auto total = f.nest<int>(made, "sum", counted, sum);
  const auto last = f.call(sum, total, 1);
  const reprise::run r = there.submit(f);
  BOOST_REQUIRE(until([] { return counted_calls >= 5; }));
  site.server.reset();
  site.start_server();
  BOOST_TEST(r[last].get() == count * (count - 1) / 2 + 1);
  BOOST_TEST(r.wait().is_success());
  BOOST_TEST(counted_calls == count);  // what was running was adopted, within the nested run, too
}

BOOST_AUTO_TEST_CASE(a_submit_whose_answer_is_lost_is_one_run_when_it_is_repeated) {
  Site site;
  reprise::testing::TcpProxy proxy(site.port);
  {
    const auto cut_off = site.plain_client(proxy.port(), 300ms);
    proxy.set(reprise::testing::TcpProxy::Manner::swallow);
    std::thread killer([&] {
      BOOST_TEST(site.says("of flow \"one\""));
      proxy.set(reprise::testing::TcpProxy::Manner::cut);
      proxy.cut();
    });
    const auto lost = cut_off->submit(one_noop("c1"));
    killer.join();
    BOOST_REQUIRE(!lost);
    BOOST_TEST((lost.error().code == reprise::ErrorCode::unavailable), lost.error().message);
  }
  const auto client = site.plain_client(site.port, 20s);
  const auto again = client->submit(one_noop("c1"));
  BOOST_REQUIRE(again);
  BOOST_TEST(again->continued);
  BOOST_TEST(again->stable);
  BOOST_TEST(reprise::cluster::RemoteJournal(*client).runs({}).value().size() == 1u);
}

// C3: whoever is first wins, and both sides tell the same.
BOOST_AUTO_TEST_CASE(a_cancel_that_races_the_end_leaves_one_end) {
  Site site;
  site.start_worker();
  const reprise::client there = site.connect();
  for (int i = 0; i < 20; ++i) {
    reprise::flow f("race");
    auto a = f.call(naps, i % 4);
    auto b = f.call(naps, a);
    const reprise::run r = there.submit(f);
    std::this_thread::sleep_for(std::chrono::milliseconds(i % 5 * 2));
    const auto cancelled = r.cancel("race");
    if (!cancelled) BOOST_TEST((cancelled.error().code == reprise::error_code::conflict));
    const auto state = r.wait().state;
    if (!cancelled) BOOST_TEST((state == reprise::run_state::success));
    BOOST_TEST((state == reprise::run_state::success || state == reprise::run_state::cancelled));
    BOOST_TEST((r.wait().state == state));
    int ends = 0;
    for (const reprise::event& event : r.events())
      if (event.task == "client.naps#2" && reprise::is_finished(event.state)) ++ends;
    BOOST_TEST(ends <= 1);
    (void)b;
  }
}

BOOST_AUTO_TEST_CASE(a_slow_reader_holds_up_nobody) {
  Site site;
  site.start_worker(4);
  const auto slow = site.plain_client(site.port, 20s);
  const reprise::client there = site.connect();
  reprise::flow f("many");
  auto all = f.map(twice, std::vector<int>(2000, 1));
  const reprise::run r = there.submit(f);
  std::atomic<std::uint64_t> told{0};
  std::atomic<bool> ended{false};
  std::atomic<bool> may_go_on{false};
  reprise::cluster::RunNews news;
  news.changes = [&](const reprise::cluster::wire::Changes& changes) {
    while (!may_go_on) std::this_thread::sleep_for(1ms);  // its thread takes nothing meanwhile
    for (const auto& batch : changes.batches) told += batch.tasks.size();
  };
  news.end = [&](const reprise::Result<reprise::cluster::wire::RunEnded>& end) {
    BOOST_TEST(end.has_value());
    ended = true;
  };
  const auto following = slow->follow(reprise::RunId::parse(r.id()).value(), 1, std::move(news));
  BOOST_TEST(r.wait().is_success());
  BOOST_TEST(r[all].get().size() == 2000u);
  may_go_on = true;
  BOOST_TEST(until([&] { return ended.load(); }));
  BOOST_TEST(told >= 2000u);
}

BOOST_AUTO_TEST_SUITE_END()
