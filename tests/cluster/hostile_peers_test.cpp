// Whoever can reach the port can send anything: it is closed or refused, costs little, and harms
// nobody else.
#include <boost/test/unit_test.hpp>

#include <fstream>
#include <random>
#include <thread>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <fmt/format.h>

#include "cluster/descriptor.hpp"
#include "cluster/frame.hpp"
#include "tests/cluster/hub_pair.hpp"

BOOST_AUTO_TEST_SUITE(hostile_peers)

using namespace reprise;
using namespace reprise::cluster;
using namespace std::chrono_literals;
using reprise::testing::Node;
using reprise::testing::with_secret;

namespace {

using Clock = std::chrono::steady_clock;

Descriptor dial(std::uint16_t port) {
  Descriptor made{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  BOOST_REQUIRE(
      ::connect(made.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
  return made;
}

void say(const Descriptor& to, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = ::send(to.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent <= 0) return;  // refused already
    bytes.remove_prefix(static_cast<std::size_t>(sent));
  }
}

// Waits until the other side has closed; what it says before is left unread by nobody.
bool is_closed(const Descriptor& peer, Clock::duration deadline = 10s) {
  const auto until = Clock::now() + deadline;
  char buffer[4096];
  for (;;) {
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(until - Clock::now()).count();
    pollfd entry{peer.get(), POLLIN, 0};
    if (left <= 0 || ::poll(&entry, 1, static_cast<int>(left)) <= 0) return false;
    if (::recv(peer.get(), buffer, sizeof buffer, 0) <= 0) return true;
  }
}

long resident_kib() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);)
    if (line.rfind("VmRSS:", 0) == 0) return std::stol(line.substr(6));
  return 0;
}

// A scheduler that is quick to lose patience, with a worker that has nothing to do with it all.
struct Scene {
  static HubOptions impatient() {
    HubOptions options = with_secret(Role::scheduler, "s");
    options.exchange.times.handshake = 300ms;
    options.exchange.linger = 200ms;
    return options;
  }
  Scene() : scheduler(impatient()), good(with_secret(Role::worker, "good")) {
    port = scheduler.listen();
    good.connect(port);
    (void)good.link();
  }
  // The good peer's messages still arrive, on the link it had.
  void check_unharmed() {
    const auto sender = good.link();
    BOOST_REQUIRE(sender->send(1, "still here").has_value());
    BOOST_TEST(scheduler.wait([&] {
      return scheduler.links.begin()->second.received.size() > static_cast<std::size_t>(checks);
    }));
    ++checks;
    const std::lock_guard lock(scheduler.mutex);
    BOOST_TEST(scheduler.links.size() == 1u);
    BOOST_TEST(scheduler.links.begin()->second.cuts == 0);
  }

  Node scheduler;
  Node good;
  std::uint16_t port = 0;
  int checks = 0;
};

}  // namespace

BOOST_AUTO_TEST_CASE(huge_lengths_and_other_languages_are_closed_at_once) {
  Scene scene;
  const std::string zeros(32, '\0');
  for (const std::string& bytes :
       {std::string("\xff\xff\xff\xff"), std::string("\0\0\4\1", 4), "\1" + zeros,
        std::string("GET / HTTP/1.1\r\n\r\n"), encode_frame("\x93\x02\x01\x02").value(),
        std::string("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"), std::string(70'000, 'x')}) {
    const Descriptor peer = dial(scene.port);
    say(peer, bytes);
    const auto before = Clock::now();
    BOOST_TEST(is_closed(peer));
    BOOST_TEST((Clock::now() - before < 5s));
  }
  scene.check_unharmed();
}

BOOST_AUTO_TEST_CASE(silence_half_a_frame_and_dripping_bytes_end_at_the_deadline) {
  Scene scene;
  const Descriptor silent = dial(scene.port);
  const Descriptor half = dial(scene.port);
  say(half, std::string("\0\0\0\x40half", 8));
  const Descriptor dripping = dial(scene.port);
  for (int i = 0; i < 1000 && !is_closed(dripping, 5ms); ++i) say(dripping, std::string(1, '\0'));
  BOOST_TEST(is_closed(silent));
  BOOST_TEST(is_closed(half));
  scene.check_unharmed();
}

BOOST_AUTO_TEST_CASE(a_thousand_idle_connections_cost_little_and_go_away) {
  Scene scene;
  std::vector<Descriptor> idle;
  const long before = resident_kib();
  for (int i = 0; i < 1000; ++i) idle.push_back(dial(scene.port));
  scene.check_unharmed();
  for (const Descriptor& peer : idle) BOOST_REQUIRE(is_closed(peer));
  BOOST_TEST(resident_kib() - before < 16 * 1024);
  scene.check_unharmed();
}

BOOST_AUTO_TEST_CASE(random_bytes_round_after_round_leave_memory_flat) {
  Scene scene;
  std::mt19937 random(5);
  const auto round = [&] {
    for (int i = 0; i < 200; ++i) {
      const Descriptor peer = dial(scene.port);
      std::string bytes(random() % 3000, '\0');
      for (char& byte : bytes) byte = static_cast<char>(random());
      if (i % 2 == 0) bytes = encode_frame(bytes.substr(0, 900) + "x").value();
      say(peer, bytes);
      if (i % 5 == 0) BOOST_REQUIRE(is_closed(peer));
    }
  };
  round();
  const long before = resident_kib();
  for (int i = 0; i < 4; ++i) round();
  BOOST_TEST(resident_kib() - before < 8 * 1024);
  scene.check_unharmed();
}

BOOST_AUTO_TEST_CASE(a_peer_of_the_wrong_role_loses_its_link) {
  HubOptions options = Scene::impatient();
  options.exchange.may_send = [](Role role, std::uint16_t kind) {
    return kind != 1 || role == Role::worker;
  };
  Node scheduler(options);
  Node client(with_secret(Role::client, "c"));
  client.connect(scheduler.listen());
  const auto sender = client.link();
  BOOST_REQUIRE(sender->send(1, "a result of mine").has_value());
  BOOST_REQUIRE(client.wait([&] { return client.links.at(sender->link()).down; }));
  BOOST_TEST(client.links.at(sender->link()).why.message ==
             "the peer ended the link: client \"c\" may not send messages of kind 1");
  const std::lock_guard lock(scheduler.mutex);
  BOOST_TEST(scheduler.links.begin()->second.received.empty());
  BOOST_TEST((scheduler.links.begin()->second.why.code == ErrorCode::denied));
}

BOOST_AUTO_TEST_CASE(a_proven_peer_that_reads_nothing_costs_no_more_than_the_limit) {
  HubOptions options = Scene::impatient();
  options.exchange.times.silence = 1s;
  options.exchange.limits.max_unacked_bytes = 8 << 20;
  options.exchange.resume_window = 200ms;
  Node scheduler(options);
  const Descriptor socket = dial(scheduler.listen());
  // A real handshake, then not a word and not a look.
  ConnectionOptions client;
  client.handshake.self = {Role::worker, "w", new_incarnation()};
  client.handshake.secret = std::string(32, 's');
  client.handshake.accepted = {Role::scheduler};
  Connection connection(Connection::Side::connecting, client, Instant{});
  while (!connection.greeting()) {
    std::string out;
    BOOST_REQUIRE(connection.produce(out, 65536, Instant{}).has_value());
    say(socket, out);
    char buffer[4096];
    const ssize_t got = ::recv(socket.get(), buffer, sizeof buffer, 0);
    BOOST_REQUIRE(got > 0);
    std::vector<Message> messages;
    BOOST_REQUIRE(connection.receive({buffer, static_cast<std::size_t>(got)}, Instant{}, messages)
                      .has_value());
  }
  const auto sender = scheduler.link();
  std::size_t accepted = 0;
  while (sender->send(1, std::string(64 << 10, 'x')) && accepted < 10'000) ++accepted;
  BOOST_TEST(accepted > 100u);
  BOOST_TEST(sender->waiting_bytes() <= 8u << 20);
  BOOST_TEST(scheduler.wait([&] { return scheduler.links.begin()->second.down; }));
  BOOST_TEST(scheduler.links.begin()->second.cuts == 1);
  BOOST_TEST((sender->send(1, "x").error().code == ErrorCode::not_found));
}

BOOST_AUTO_TEST_SUITE_END()
