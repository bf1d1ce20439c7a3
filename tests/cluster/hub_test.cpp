#include <boost/test/unit_test.hpp>

#include <atomic>
#include <filesystem>
#include <map>
#include <thread>
#include <vector>

#include <fmt/format.h>

#include "tests/cluster/hub_pair.hpp"
#include "tests/support/tcp_proxy.hpp"
#include "tests/support/temporary_folder.hpp"

BOOST_AUTO_TEST_SUITE(hubs)

using namespace reprise;
using namespace reprise::cluster;
using namespace std::chrono_literals;
using reprise::testing::Node;
using reprise::testing::TemporaryFolder;
using reprise::testing::with_secret;

namespace {

// A cluster of its own in a temporary folder.
struct Authority {
  Authority() { BOOST_REQUIRE(make_authority({folder.path(), "test"}, now()).has_value()); }

  HubOptions node(Role role, const std::string& name) const {
    NodeOptions options;
    options.folder = folder.path();
    options.name = name;
    options.role = role;
    const auto bundle = add_node(options, now());
    BOOST_REQUIRE_MESSAGE(bundle.has_value(), (bundle ? "" : bundle.error().message));
    HubOptions made;
    made.exchange.self = {role, name, new_incarnation()};
    made.exchange.tls = TlsContext::load(bundle_files(*bundle)).value();
    return made;
  }

  TemporaryFolder folder;
};

void send_and_check(Node& from, Node& to, int count) {
  auto sender = from.link();
  (void)to.link();
  for (int i = 0; i < count; ++i) BOOST_REQUIRE(sender->send(3, fmt::format("{}", i)).has_value());
  BOOST_REQUIRE(to.wait([&] {
    return to.current() && to.current()->received.size() == static_cast<std::size_t>(count);
  }));
  const std::lock_guard lock(to.mutex);
  for (int i = 0; i < count; ++i)
    BOOST_REQUIRE(
        (to.current()->received[static_cast<std::size_t>(i)] == Message{3, fmt::format("{}", i)}));
}

}  // namespace

BOOST_AUTO_TEST_CASE(nodes_with_a_shared_secret_talk_over_loopback) {
  Node scheduler(with_secret(Role::scheduler, "s"));
  Node worker(with_secret(Role::worker, "w"));
  worker.connect(scheduler.listen());
  send_and_check(worker, scheduler, 1000);
  send_and_check(scheduler, worker, 1000);
}

BOOST_AUTO_TEST_CASE(nodes_with_certificates_talk_and_know_each_others_roles) {
  const Authority authority;
  Node scheduler(authority.node(Role::scheduler, "s"));
  Node worker(authority.node(Role::worker, "w"));
  worker.connect(scheduler.listen());
  send_and_check(worker, scheduler, 1000);
  send_and_check(scheduler, worker, 1000);
  const std::lock_guard lock(scheduler.mutex);
  BOOST_TEST((scheduler.current()->peer.identity.role == Role::worker));
  BOOST_TEST(scheduler.current()->peer.identity.name == "w");
  BOOST_TEST(scheduler.current()->peer.address == "127.0.0.1");
}

BOOST_AUTO_TEST_CASE(certificates_of_another_authority_are_refused_by_both_sides) {
  const Authority ours;
  const Authority theirs;
  Node scheduler(ours.node(Role::scheduler, "s"));
  Node worker(theirs.node(Role::worker, "w"));
  worker.connect(scheduler.listen());
  BOOST_REQUIRE(worker.wait([&] { return !worker.troubles.empty(); }));
  BOOST_TEST((worker.troubles[0].why.code == ErrorCode::denied));
  BOOST_REQUIRE(scheduler.wait([&] { return !scheduler.troubles.empty(); }));
  BOOST_TEST(scheduler.links.empty());
  BOOST_TEST(worker.links.empty());
}

BOOST_AUTO_TEST_CASE(a_certificate_does_not_carry_another_role_or_name) {
  const Authority authority;
  HubOptions client = authority.node(Role::client, "c");
  client.exchange.self.role = Role::worker;
  client.on_event = [](LinkEvent) {};
  const auto opened = Hub::open(client);
  BOOST_REQUIRE(!opened);
  BOOST_TEST((opened.error().code == ErrorCode::denied));
  BOOST_TEST(opened.error().message == "the certificate is of client \"c\"; this is worker \"c\"");
}

// Short messages leave in the senders' threads, one after the other, long ones in the hub's.
BOOST_AUTO_TEST_CASE(many_threads_send_on_one_link_each_in_its_order) {
  constexpr std::uint16_t senders = 4;
  constexpr int each = 2000;
  Node scheduler(with_secret(Role::scheduler, "s"));
  Node worker(with_secret(Role::worker, "w"));
  worker.connect(scheduler.listen());
  auto up = worker.link();
  auto down = scheduler.link();
  std::vector<std::thread> threads;
  std::atomic<int> refused{0};
  for (std::uint16_t kind = 1; kind <= senders; ++kind)
    threads.emplace_back([&, kind] {
      for (int i = 0; i < each; ++i) {
        std::string text = fmt::format("{} ", i);
        if (i % 100 == 0) text.resize(10'000, 'x');
        refused += !up->send(kind, text).has_value();
        refused += !down->send(kind, std::move(text)).has_value();
      }
    });
  for (std::thread& thread : threads) thread.join();
  BOOST_TEST(refused == 0);
  for (auto [node, link] : {std::pair(&scheduler, down->link()), std::pair(&worker, up->link())}) {
    BOOST_REQUIRE(node->wait([&node = *node, link = link] {
      return node.links.at(link).received.size() == std::size_t{senders} * each;
    }));
    const std::lock_guard lock(node->mutex);
    std::map<std::uint16_t, int> next;
    for (const Message& message : node->links.at(link).received)
      BOOST_REQUIRE(message.bytes.starts_with(fmt::format("{} ", next[message.kind]++)));
  }
}

BOOST_AUTO_TEST_CASE(events_can_be_handled_in_the_hubs_thread_and_what_is_sent_then_leaves) {
  constexpr std::size_t count = 500;
  std::atomic<int> open{0}, nested{0};
  std::atomic<Node*> answering{nullptr};
  std::size_t answered = 0;
  HubOptions options = with_secret(Role::worker, "w");
  options.before_events = [&] { nested += open++ != 0; };
  options.after_events = [&] {
    nested += --open != 0;
    Node* const node = answering;
    if (node == nullptr) return;
    std::vector<std::string> answers;
    std::shared_ptr<LinkSender> sender;
    {
      const std::lock_guard lock(node->mutex);
      if (node->current() == nullptr) return;
      sender = node->current()->sender;
      for (; answered < node->current()->received.size(); ++answered)
        answers.push_back("re " + node->current()->received[answered].bytes);
    }
    for (std::string& answer : answers) nested += !sender->send(5, std::move(answer)).has_value();
  };
  Node scheduler(with_secret(Role::scheduler, "s"));
  Node worker(std::move(options));
  answering = &worker;
  worker.connect(scheduler.listen());
  const auto sender = scheduler.link();
  for (std::size_t i = 0; i < count; ++i) {
    BOOST_REQUIRE(sender->send(4, std::to_string(i)).has_value());
    // Every answer before the next question: nobody but the hub's thread can give it.
    BOOST_REQUIRE(scheduler.wait([&] { return scheduler.current()->received.size() == i + 1; }));
  }
  worker.stop();
  BOOST_TEST(nested == 0);
  BOOST_TEST(open == 0);
  const std::lock_guard lock(scheduler.mutex);
  for (const auto& [number, link] : scheduler.links)
    for (std::size_t i = 0; i < link.received.size(); ++i)
      BOOST_REQUIRE(link.received[i].bytes == fmt::format("re {}", i));
}

BOOST_AUTO_TEST_CASE(a_link_survives_a_network_that_breaks_again_and_again) {
  Node scheduler(with_secret(Role::scheduler, "s"));
  Node worker(with_secret(Role::worker, "w"));
  reprise::testing::TcpProxy proxy(scheduler.listen());
  worker.connect(proxy.port());
  auto up = worker.link();
  auto down = scheduler.link();
  constexpr int rounds = 10;
  constexpr int each = 500;
  for (int round = 0; round < rounds; ++round) {
    for (int i = 0; i < each; ++i) {
      BOOST_REQUIRE(up->send(1, fmt::format("{}", round * each + i)).has_value());
      BOOST_REQUIRE(down->send(2, fmt::format("{}", round * each + i)).has_value());
      if (i == each / 2) proxy.cut();
    }
    BOOST_REQUIRE(worker.wait([&] { return worker.links.at(up->link()).backs > round; }));
  }
  for (auto [node, link] : {std::pair(&scheduler, down->link()), std::pair(&worker, up->link())}) {
    BOOST_REQUIRE(node->wait([&node = *node, link = link] {
      return node.links.at(link).received.size() == rounds * each;
    }));
    const std::lock_guard lock(node->mutex);
    for (int i = 0; i < rounds * each; ++i)
      BOOST_REQUIRE(node->links.at(link).received[static_cast<std::size_t>(i)].bytes ==
                    fmt::format("{}", i));
    BOOST_TEST(node->links.size() == 1u);
  }
}

BOOST_AUTO_TEST_CASE(a_worker_that_is_first_waits_for_its_scheduler) {
  std::uint16_t port = 0;
  {
    Node earlier(with_secret(Role::scheduler, "s"));
    port = earlier.listen();
  }
  Node worker(with_secret(Role::worker, "w"));
  worker.connect(port);
  BOOST_REQUIRE(worker.wait([&] { return worker.troubles.size() >= 2; }));
  Node scheduler(with_secret(Role::scheduler, "s"));
  BOOST_REQUIRE(scheduler.hub->listen({"127.0.0.1", port}).has_value());
  send_and_check(worker, scheduler, 10);
}

BOOST_AUTO_TEST_CASE(a_hub_that_ends_says_good_bye) {
  auto scheduler = std::make_unique<Node>(with_secret(Role::scheduler, "s"));
  Node worker(with_secret(Role::worker, "w"));
  worker.connect(scheduler->listen());
  auto sender = worker.link();
  (void)scheduler->link();
  scheduler->stop();
  BOOST_REQUIRE(worker.wait([&] { return worker.links.at(sender->link()).down; }));
  BOOST_TEST(worker.links.at(sender->link()).why.message ==
             "the peer ended the link: the peer is shutting down");
  BOOST_TEST((sender->send(1, "x").error().code == ErrorCode::not_found));
}

BOOST_AUTO_TEST_CASE(nothing_listens_beyond_loopback_without_certificates) {
  Node node(with_secret(Role::scheduler, "s"));
  for (const char* host : {"0.0.0.0", "::", "192.0.2.1"}) {
    const auto port = node.hub->listen({host, 0});
    BOOST_REQUIRE(!port);
    BOOST_TEST((port.error().code == ErrorCode::denied), host);
  }
  ConnectOptions far;
  far.host = "192.0.2.1";
  BOOST_TEST((node.hub->connect(far).error().code == ErrorCode::denied));

  const Authority authority;
  Node certified(authority.node(Role::scheduler, "s"));
  BOOST_TEST(certified.hub->listen({"0.0.0.0", 0}).has_value());
}

BOOST_AUTO_TEST_CASE(a_port_that_is_taken_is_a_conflict) {
  Node node(with_secret(Role::scheduler, "s"));
  const auto port = node.listen();
  const auto again = node.hub->listen({"127.0.0.1", port});
  BOOST_REQUIRE(!again);
  BOOST_TEST((again.error().code == ErrorCode::conflict));
}

BOOST_AUTO_TEST_CASE(an_owner_that_is_slow_slows_its_peer) {
  HubOptions options = with_secret(Role::scheduler, "s");
  options.receive_window_bytes = 1 << 20;
  Node scheduler(options);
  scheduler.keep_holds = true;
  scheduler.keep_content = false;
  HubOptions from = with_secret(Role::worker, "w");
  from.exchange.limits.max_unacked_bytes = 8 << 20;
  Node worker(from);
  worker.connect(scheduler.listen());
  auto sender = worker.link();
  auto at = scheduler.link();
  // The peer stops taking, so sending is refused in the end.
  std::size_t accepted = 0;
  const auto give_up = std::chrono::steady_clock::now() + 20s;
  for (;;) {
    const auto sent = sender->send(1, std::string(64 << 10, 'x'));
    if (sent) {
      ++accepted;
      continue;
    }
    BOOST_REQUIRE((sent.error().code == ErrorCode::exhausted));
    // What is on its way may still arrive; refused for good means that the window is full.
    const std::lock_guard lock(scheduler.mutex);
    if (scheduler.links.at(at->link()).received_bytes >= (1 << 20) &&
        sender->waiting_bytes() > (7 << 20))
      break;
    BOOST_REQUIRE(std::chrono::steady_clock::now() < give_up);
  }
  {
    const std::lock_guard lock(scheduler.mutex);
    BOOST_TEST(scheduler.links.at(at->link()).received_bytes < 2u << 20);
    scheduler.keep_holds = false;
    scheduler.links.at(at->link()).holds.clear();
  }
  BOOST_TEST(worker.wait([&] { return worker.rooms > 0; }));
  BOOST_TEST(
      scheduler.wait([&] { return scheduler.links.at(at->link()).received.size() == accepted; }));
}

BOOST_AUTO_TEST_CASE(a_link_closed_by_its_owner_is_dialed_again) {
  Node scheduler(with_secret(Role::scheduler, "s"));
  Node worker(with_secret(Role::worker, "w"));
  worker.connect(scheduler.listen());
  auto first = worker.link();
  first->close({ErrorCode::cancelled, "enough"});
  BOOST_REQUIRE(worker.wait(
      [&] { return worker.links.at(first->link()).down && worker.current() != nullptr; }));
  send_and_check(worker, scheduler, 10);
}

BOOST_AUTO_TEST_CASE(a_peer_that_is_gone_is_found_at_another_of_its_places) {
  Node other(with_secret(Role::scheduler, "other"));
  auto first = std::make_unique<Node>(with_secret(Role::scheduler, "first"));
  Node worker(with_secret(Role::worker, "w"));
  ConnectOptions places;
  places.port = first->listen();
  places.others = {{"127.0.0.1", other.listen()}};
  BOOST_REQUIRE(worker.hub->connect(places).has_value());
  BOOST_REQUIRE(worker.wait([&] { return worker.current() != nullptr; }));
  first->stop();
  BOOST_REQUIRE(other.wait([&] { return other.current() != nullptr; }));
  send_and_check(worker, other, 10);
}

BOOST_AUTO_TEST_CASE(a_name_that_nobody_knows_is_told_and_tried_again) {
  Node worker(with_secret(Role::worker, "w"));
  ConnectOptions nowhere;
  nowhere.host = "nowhere.invalid";
  BOOST_REQUIRE(worker.hub->connect(nowhere).has_value());
  BOOST_TEST(worker.wait([&] { return worker.troubles.size() >= 2; }));
}

BOOST_AUTO_TEST_SUITE_END()
