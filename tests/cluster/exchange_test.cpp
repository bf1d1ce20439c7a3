#include <boost/test/unit_test.hpp>

#include <fmt/format.h>

#include "cluster/exchange.hpp"
#include "tests/cluster/link_network.hpp"

BOOST_AUTO_TEST_SUITE(exchanges)

using namespace reprise;
using namespace reprise::cluster;
using namespace std::chrono_literals;
using reprise::testing::LinkNetwork;

namespace {

const std::string secret(32, 's');

ExchangeOptions node(Role role, std::string name, std::uint8_t incarnation = 1) {
  ExchangeOptions options;
  options.self.role = role;
  options.self.name = std::move(name);
  options.self.incarnation.fill(incarnation);
  options.secret = secret;
  return options;
}

// A scheduler (node 0) and a worker (node 1) that has dialed it.
struct Pair : LinkNetwork {
  explicit Pair(std::uint64_t seed = 1, ExchangeOptions scheduler = node(Role::scheduler, "s"),
                ExchangeOptions worker = node(Role::worker, "w"))
      : LinkNetwork(seed) {
    add(std::move(scheduler));
    add(std::move(worker));
    first_dial = dial(1, 0);
    run();
  }
  Node& scheduler() { return nodes[0]; }
  Node& worker() { return nodes[1]; }
  DialNumber first_dial = 0;
};

std::vector<std::string> texts(const LinkNetwork::Node::OneLink& link) {
  std::vector<std::string> all;
  for (const Message& message : link.received) all.push_back(message.bytes);
  return all;
}

// Numbered messages of odd sizes, so that whoever gets them can tell what is missing.
std::string numbered(std::uint64_t number, std::size_t size) {
  std::string text = fmt::format("{}:", number);
  if (size > text.size()) text.append(size - text.size(), static_cast<char>('a' + number % 26));
  return text;
}

}  // namespace

BOOST_AUTO_TEST_CASE(two_nodes_meet_and_know_each_other) {
  Pair pair;
  const auto at_scheduler = pair.scheduler().current();
  const auto at_worker = pair.worker().current();
  BOOST_REQUIRE(at_scheduler != 0);
  BOOST_REQUIRE(at_worker != 0);
  const Peer& worker = pair.scheduler().links.at(at_scheduler).peer;
  BOOST_TEST((worker.identity.role == Role::worker));
  BOOST_TEST(worker.identity.name == "w");
  BOOST_TEST(worker.version == 2u);
  BOOST_TEST(pair.worker().links.at(at_worker).peer.identity.name == "s");
  BOOST_TEST(pair.worker().links.at(at_worker).peer.dial == pair.first_dial);
}

BOOST_AUTO_TEST_CASE(messages_go_both_ways_in_order_with_their_kind) {
  Pair pair;
  const auto down = pair.scheduler().current();
  const auto up = pair.worker().current();
  for (int i = 0; i < 100; ++i) {
    BOOST_REQUIRE(pair.scheduler().exchange->send(down, 7, numbered(i, i)).has_value());
    BOOST_REQUIRE(pair.worker().exchange->send(up, 8, numbered(i, 3 * i)).has_value());
  }
  pair.run();
  BOOST_REQUIRE(pair.worker().links.at(up).received.size() == 100u);
  BOOST_REQUIRE(pair.scheduler().links.at(down).received.size() == 100u);
  for (int i = 0; i < 100; ++i) {
    BOOST_TEST((pair.worker().links.at(up).received[i] == Message{7, numbered(i, i)}));
    BOOST_TEST((pair.scheduler().links.at(down).received[i] == Message{8, numbered(i, 3 * i)}));
  }
  pair.run();
  BOOST_TEST(pair.scheduler().exchange->unacked_bytes(down) == 0u);
  BOOST_TEST(pair.worker().exchange->unacked_bytes(up) == 0u);
}

BOOST_AUTO_TEST_CASE(long_messages_travel_in_parts_and_arrive_whole) {
  Pair pair;
  const std::string longest(5'000'000, 'x');
  BOOST_REQUIRE(pair.worker().exchange->send(pair.worker().current(), 1, longest).has_value());
  BOOST_REQUIRE(pair.worker().exchange->send(pair.worker().current(), 1, "").has_value());
  pair.run(1500);
  const auto& received = pair.scheduler().links.at(pair.scheduler().current()).received;
  BOOST_REQUIRE(received.size() == 2u);
  BOOST_TEST((received[0].bytes == longest));
  BOOST_TEST(received[1].bytes == "");
}

BOOST_AUTO_TEST_CASE(a_cut_link_goes_on_where_it_was_cut) {
  Pair pair;
  const auto link = pair.worker().current();
  BOOST_REQUIRE(pair.worker().exchange->send(link, 1, "before").has_value());
  pair.run();
  pair.cut_all();
  BOOST_TEST(pair.worker().links.at(link).cut);
  BOOST_REQUIRE(pair.worker().exchange->send(link, 1, "while cut").has_value());
  pair.pass(200ms);
  pair.run();
  BOOST_TEST(!pair.worker().links.at(link).cut);
  BOOST_TEST(!pair.worker().links.at(link).down);
  BOOST_TEST(texts(pair.scheduler().links.at(pair.scheduler().current())) ==
                 (std::vector<std::string>{"before", "while cut"}),
             boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(a_silent_connection_is_cut_and_dialed_again) {
  Pair pair;
  const auto link = pair.worker().current();
  pair.freeze_all();
  for (int i = 0; i < 11; ++i) pair.pass(1s);
  pair.run();
  pair.pass(1s);
  pair.run();
  BOOST_TEST(!pair.worker().links.at(link).cut);
  BOOST_TEST(pair.worker().current() == link);
  BOOST_TEST(pair.scheduler().links.size() == 1u);
}

BOOST_AUTO_TEST_CASE(an_idle_link_is_kept_alive) {
  Pair pair;
  for (int i = 0; i < 600; ++i) {
    pair.pass(100ms);
    pair.run();
  }
  BOOST_TEST(!pair.worker().links.at(pair.worker().current()).cut);
  BOOST_TEST(pair.worker().links.size() == 1u);
  BOOST_TEST(pair.wires.size() == 1u);
}

BOOST_AUTO_TEST_CASE(a_link_that_stays_cut_is_over_on_both_sides) {
  Pair pair;
  const auto at_worker = pair.worker().current();
  const auto at_scheduler = pair.scheduler().current();
  pair.freeze_all();
  // The network comes back only after both have given up: keep new connections silent, too.
  for (int i = 0; i < 60; ++i) {
    pair.pass(1s);
    pair.freeze_all();
  }
  BOOST_TEST(pair.worker().links.at(at_worker).down);
  BOOST_TEST(pair.scheduler().links.at(at_scheduler).down);
  for (int i = 0; i < 30; ++i) {
    pair.pass(1s);
    pair.run();
  }
  BOOST_TEST(pair.worker().current() != 0u);
  BOOST_TEST(pair.worker().current() != at_worker);
  BOOST_TEST(pair.scheduler().current() != at_scheduler);
}

BOOST_AUTO_TEST_CASE(a_node_started_anew_gets_a_new_link_and_the_old_one_is_over) {
  Pair pair;
  const auto old = pair.scheduler().current();
  BOOST_REQUIRE(pair.scheduler().exchange->send(old, 1, "to the old one").has_value());
  pair.restart(1, node(Role::worker, "w", 2));
  pair.dial(1, 0);
  pair.run();
  BOOST_TEST(pair.scheduler().links.at(old).down);
  BOOST_TEST(pair.scheduler().links.at(old).why.message == "the peer was started anew");
  const auto fresh = pair.scheduler().current();
  BOOST_REQUIRE(fresh != 0);
  BOOST_TEST(pair.worker().links.at(pair.worker().current()).received.empty());
}

BOOST_AUTO_TEST_CASE(a_scheduler_started_anew_is_a_new_link_for_its_workers) {
  Pair pair;
  const auto old = pair.worker().current();
  pair.restart(0, node(Role::scheduler, "s", 2));
  pair.run();
  pair.pass(200ms);
  pair.run();
  BOOST_TEST(pair.worker().links.at(old).down);
  BOOST_TEST(pair.worker().current() > old);
}

BOOST_AUTO_TEST_CASE(a_closed_link_delivers_what_was_queued_and_says_why) {
  Pair pair;
  const auto link = pair.scheduler().current();
  const auto at_worker = pair.worker().current();
  BOOST_REQUIRE(pair.scheduler().exchange->send(link, 1, "last words").has_value());
  pair.scheduler().exchange->close(link, {ErrorCode::cancelled, "shutting down"}, pair.now);
  BOOST_TEST(!pair.scheduler().exchange->send(link, 1, "too late").has_value());
  pair.run();
  const auto& at = pair.worker().links.at(at_worker);
  BOOST_TEST(texts(at) == std::vector<std::string>{"last words"}, boost::test_tools::per_element());
  BOOST_TEST(at.down);
  BOOST_TEST(at.why.message == "the peer ended the link: shutting down");
  BOOST_TEST(pair.scheduler().links.at(link).down);
}

BOOST_AUTO_TEST_CASE(a_dial_that_hung_up_stays_silent) {
  Pair pair;
  pair.worker().exchange->hang_up(pair.first_dial, pair.now);
  pair.run();
  for (int i = 0; i < 30; ++i) {
    pair.pass(1s);
    pair.run();
  }
  BOOST_TEST(pair.worker().current() == 0u);
  BOOST_TEST(pair.scheduler().current() == 0u);
  BOOST_TEST(pair.wires.empty());
  BOOST_TEST(pair.worker().exchange->connection_count() == 0u);
  BOOST_TEST(pair.scheduler().exchange->connection_count() == 0u);
}

BOOST_AUTO_TEST_CASE(another_secret_is_refused_on_both_sides_of_it) {
  auto stranger = node(Role::worker, "w");
  stranger.secret = std::string(32, 'x');
  Pair pair(1, node(Role::scheduler, "s"), stranger);
  BOOST_TEST(pair.scheduler().links.empty());
  BOOST_TEST(pair.worker().links.empty());
  BOOST_REQUIRE(!pair.worker().troubles.empty());
  BOOST_TEST((pair.worker().troubles[0].why.code == ErrorCode::denied));
  BOOST_REQUIRE(!pair.scheduler().troubles.empty());
  BOOST_TEST(pair.scheduler().troubles[0].address == "10.0.0.1");
}

BOOST_AUTO_TEST_CASE(a_role_that_is_not_expected_is_refused) {
  Pair pair(1, node(Role::scheduler, "s"), node(Role::scheduler, "other"));
  BOOST_TEST(pair.scheduler().links.empty());
  BOOST_REQUIRE(!pair.worker().troubles.empty());
  BOOST_TEST(pair.worker().troubles[0].why.message ==
             "the peer refused: scheduler \"other\" may not connect to scheduler \"s\"");
}

BOOST_AUTO_TEST_CASE(a_peer_with_another_name_than_expected_is_left) {
  LinkNetwork network(1);
  network.add(node(Role::scheduler, "s"));
  network.add(node(Role::worker, "w"));
  DialOptions options;
  options.name = "t";
  network.dial(1, 0, options);
  network.run();
  BOOST_TEST(network.nodes[1].links.empty());
  BOOST_REQUIRE(!network.nodes[1].troubles.empty());
  BOOST_TEST(network.nodes[1].troubles[0].why.message == "the peer is \"s\"; \"t\" was expected");
}

BOOST_AUTO_TEST_CASE(neighbouring_versions_talk_and_strangers_are_told) {
  auto newer = node(Role::scheduler, "s");
  newer.versions = {1, 3};
  Pair pair(1, newer, node(Role::worker, "w"));
  BOOST_REQUIRE(pair.worker().current() != 0);
  BOOST_TEST(pair.worker().links.at(pair.worker().current()).peer.version == 2u);

  auto newer_worker = node(Role::worker, "w");
  newer_worker.versions = {2, 3};
  auto same = node(Role::scheduler, "s");
  same.versions = {1, 2};
  Pair other_way(1, same, newer_worker);
  BOOST_REQUIRE(other_way.scheduler().current() != 0);
  BOOST_TEST(other_way.scheduler().links.at(other_way.scheduler().current()).peer.version == 2u);

  auto stranger = node(Role::worker, "w");
  stranger.versions = {3, 4};
  Pair apart(1, node(Role::scheduler, "s"), stranger);
  BOOST_TEST(apart.scheduler().links.empty());
  BOOST_REQUIRE(!apart.worker().troubles.empty());
  BOOST_TEST(
      apart.worker().troubles[0].why.message ==
      "the peer refused: no common version: the calling side speaks 3 to 4, the called one 1 "
      "to 2; upgrade the older one");
}

BOOST_AUTO_TEST_CASE(a_message_that_the_role_may_not_send_ends_the_link) {
  auto scheduler = node(Role::scheduler, "s");
  scheduler.may_send = [](Role role, std::uint16_t kind) {
    return !(role == Role::worker && kind == 9);
  };
  Pair pair(1, scheduler);
  const auto link = pair.scheduler().current();
  const auto at_worker = pair.worker().current();
  BOOST_REQUIRE(pair.worker().exchange->send(at_worker, 8, "fine").has_value());
  pair.run();
  BOOST_REQUIRE(pair.worker().exchange->send(at_worker, 9, "not for workers").has_value());
  pair.run();
  BOOST_TEST(texts(pair.scheduler().links.at(link)) == std::vector<std::string>{"fine"},
             boost::test_tools::per_element());
  BOOST_TEST(pair.scheduler().links.at(link).down);
  BOOST_TEST((pair.scheduler().links.at(link).why.code == ErrorCode::denied));
  BOOST_TEST(pair.worker().links.at(at_worker).down);
}

BOOST_AUTO_TEST_CASE(a_recorded_connection_is_worth_nothing) {
  Pair pair;
  BOOST_REQUIRE(pair.worker().exchange->send(pair.worker().current(), 1, "do it once").has_value());
  pair.run();
  const auto link = pair.scheduler().current();
  const auto replay = pair.scheduler().exchange->accepted("10.0.0.66", pair.now);
  pair.scheduler().exchange->received(replay, pair.recorded, pair.now);
  const auto effects = pair.scheduler().exchange->take_effects();
  BOOST_REQUIRE(effects.events.size() == 1u);
  BOOST_TEST((std::get<LinkTrouble>(effects.events[0]).why.code == ErrorCode::denied));
  BOOST_TEST(effects.ends == std::vector<ConnectionNumber>{replay},
             boost::test_tools::per_element());
  BOOST_TEST(!pair.scheduler().links.at(link).cut);
  BOOST_TEST(texts(pair.scheduler().links.at(link)) == std::vector<std::string>{"do it once"},
             boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(what_proves_nothing_in_time_is_dropped) {
  LinkNetwork network(1);
  network.add(node(Role::scheduler, "s"));
  Exchange& exchange = *network.nodes[0].exchange;
  for (int i = 0; i < 10; ++i) (void)exchange.accepted("10.0.0.9", network.now);
  BOOST_TEST(exchange.connection_count() == 10u);
  network.now += 5s;
  exchange.tick(network.now);
  BOOST_TEST(exchange.take_effects().ends.size() == 10u);
  network.now += 1s;
  exchange.tick(network.now);
  BOOST_TEST(exchange.take_effects().aborts.size() == 10u);
  BOOST_TEST(exchange.connection_count() == 0u);
}

BOOST_AUTO_TEST_CASE(the_oldest_silent_connection_makes_room_for_a_new_one) {
  LinkNetwork network(1);
  auto options = node(Role::scheduler, "s");
  options.max_half_open_per_address = 3;
  options.max_half_open = 5;
  network.add(options);
  Exchange& exchange = *network.nodes[0].exchange;
  std::vector<ConnectionNumber> numbers;
  for (int i = 0; i < 4; ++i) numbers.push_back(exchange.accepted("10.0.0.9", network.now));
  BOOST_TEST(exchange.take_effects().aborts == std::vector<ConnectionNumber>{numbers[0]},
             boost::test_tools::per_element());
  for (int i = 0; i < 3; ++i)
    numbers.push_back(exchange.accepted(fmt::format("10.0.1.{}", i), network.now));
  BOOST_TEST(exchange.take_effects().aborts == std::vector<ConnectionNumber>{numbers[1]},
             boost::test_tools::per_element());
  BOOST_TEST(exchange.connection_count() == 5u);
}

BOOST_AUTO_TEST_CASE(what_a_peer_does_not_take_is_refused_beyond_the_limit) {
  auto worker = node(Role::worker, "w");
  worker.limits.max_unacked_bytes = 100'000;
  Pair pair(1, node(Role::scheduler, "s"), worker);
  const auto link = pair.worker().current();
  pair.freeze_all();
  int accepted = 0;
  while (pair.worker().exchange->send(link, 1, std::string(1000, 'x')) && accepted < 1000)
    ++accepted;
  BOOST_TEST(accepted > 80);
  BOOST_TEST(accepted < 100);
  BOOST_TEST(pair.worker().exchange->unacked_bytes(link) <= 100'000u);
  for (int i = 0; i < 20; ++i) {
    pair.pass(1s);
    pair.run();
  }
  BOOST_TEST(pair.worker().exchange->unacked_bytes(link) == 0u);
  BOOST_TEST(pair.scheduler().links.at(pair.scheduler().current()).received.size() ==
             static_cast<std::size_t>(accepted));
}

// Whatever the network does, messages arrive exactly once and in order for as long as a link is
// not over; and each side is told when one is.
BOOST_AUTO_TEST_CASE(nothing_is_lost_doubled_or_reordered_whatever_the_network_does) {
  for (std::uint64_t seed = 1; seed <= 300; ++seed) {
    auto scheduler = node(Role::scheduler, "s");
    scheduler.limits.part_bytes = 1000;
    scheduler.limits.frame_bytes = 300;
    scheduler.limits.max_unacked_bytes = 50'000;
    auto worker = node(Role::worker, "w");
    worker.limits = scheduler.limits;
    worker.resume_window = scheduler.resume_window = seed % 3 == 0 ? Duration(2s) : Duration(30s);
    Pair pair(seed, scheduler, worker);
    // By node and link: what was sent.
    std::map<LinkNumber, std::vector<Message>> sent[2];
    for (int step = 0; step < 1500; ++step) {
      pair.stir();
      for (std::size_t i = 0; i < 2; ++i) {
        if (pair.random() % 4 != 0) continue;
        const auto link = pair.nodes[i].current();
        if (link == 0) continue;
        auto& all = sent[i][link];
        const Message message{static_cast<std::uint16_t>(pair.random() % 5),
                              numbered(all.size(), pair.random() % (step % 50 == 0 ? 8000 : 60))};
        if (pair.nodes[i].exchange->send(link, message.kind, message.bytes)) all.push_back(message);
        BOOST_REQUIRE(pair.nodes[i].exchange->unacked_bytes(link) <= 60'000u);
      }
    }
    for (int i = 0; i < 60; ++i) {  // the network is well again
      pair.run();
      pair.pass(500ms);
    }
    pair.run();
    const auto last_up = pair.worker().current();
    const auto last_down = pair.scheduler().current();
    BOOST_REQUIRE_MESSAGE(last_up != 0 && last_down != 0, "seed " << seed);
    BOOST_REQUIRE(!pair.worker().links.at(last_up).cut);
    // The newest links belong together; everything arrived.
    BOOST_REQUIRE_MESSAGE(pair.scheduler().links.at(last_down).received == sent[1][last_up],
                          "seed " << seed);
    BOOST_REQUIRE_MESSAGE(pair.worker().links.at(last_up).received == sent[0][last_down],
                          "seed " << seed);
    BOOST_REQUIRE(pair.worker().exchange->unacked_bytes(last_up) == 0u);
    BOOST_REQUIRE(pair.scheduler().exchange->unacked_bytes(last_down) == 0u);
    // Of older links a beginning arrived, nothing twice.
    for (std::size_t i = 0; i < 2; ++i)
      for (const auto& [number, link] : pair.nodes[i].links) {
        if (link.received.empty()) continue;
        bool is_beginning = false;
        for (const auto& [other, messages] : sent[1 - i])
          is_beginning |= messages.size() >= link.received.size() &&
                          std::equal(link.received.begin(), link.received.end(), messages.begin());
        BOOST_REQUIRE_MESSAGE(is_beginning, "seed " << seed);
      }
    BOOST_REQUIRE(pair.wires.size() == 1u);
    BOOST_REQUIRE(pair.scheduler().exchange->connection_count() == 1u);
    BOOST_REQUIRE(pair.scheduler().exchange->link_count() == 1u);
  }
}

BOOST_AUTO_TEST_CASE(a_node_needs_a_name_and_something_to_prove_itself_with) {
  const auto random = [](std::span<std::uint8_t>) {};
  auto options = node(Role::worker, "w");
  options.secret.clear();
  BOOST_TEST((Exchange::open(options, random).error().code == ErrorCode::invalid_argument));
  options.secret = "short";
  BOOST_TEST((Exchange::open(options, random).error().code == ErrorCode::invalid_argument));
  options = node(Role::worker, "../w");
  BOOST_TEST((Exchange::open(options, random).error().code == ErrorCode::invalid_argument));
}

BOOST_AUTO_TEST_SUITE_END()
