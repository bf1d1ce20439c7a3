#include <boost/test/unit_test.hpp>

#include <future>
#include <map>
#include <memory>

#include <caf/actor_system.hpp>
#include <caf/actor_system_config.hpp>
#include <caf/event_based_actor.hpp>
#include <caf/send.hpp>
#include <caf/stateful_actor.hpp>

#include "cluster/link_actor.hpp"

BOOST_AUTO_TEST_SUITE(link_actors)

using namespace reprise;
using namespace reprise::cluster;
using namespace std::chrono_literals;

namespace {

HubOptions node(Role role, std::string name) {
  HubOptions options;
  options.exchange.self = {role, std::move(name), new_incarnation()};
  options.exchange.secret = std::string(32, 's');
  return options;
}

struct EchoState {
  std::map<LinkNumber, std::shared_ptr<LinkSender>> senders;
};

// Sends back what it is sent.
caf::behavior echo(caf::stateful_actor<EchoState>* self, int) {
  return {[=](LinkUp& up) { self->state.senders[up.peer.link] = up.sender; },
          [=](LinkMessages& got) {
            for (Message& message : got.messages)
              (void)self->state.senders.at(got.link)->send(message.kind, std::move(message.bytes));
          },
          [=](const LinkDown& down) { self->state.senders.erase(down.link); },
          [](const LinkCut&) {},
          [](const LinkBack&) {},
          [](const LinkRoom&) {},
          [](const LinkTrouble&) {}};
}

// Sends `count` messages once its link is up, and tells when all came back in order.
caf::behavior caller(caf::event_based_actor* self, int count,
                     std::shared_ptr<std::promise<bool>> done) {
  auto next = std::make_shared<int>(0);
  (void)self;
  return {[=](LinkUp& up) {
            for (int i = 0; i < count; ++i) (void)up.sender->send(1, std::to_string(i));
          },
          [=](LinkMessages& got) {
            for (const Message& message : got.messages)
              if (message.bytes != std::to_string((*next)++)) return done->set_value(false);
            if (*next == count) done->set_value(true);
          },
          [](const LinkCut&) {},
          [](const LinkBack&) {},
          [](const LinkRoom&) {},
          [](const LinkDown&) {},
          [](const LinkTrouble&) {}};
}

}  // namespace

BOOST_AUTO_TEST_CASE(actors_of_two_systems_talk_over_a_link) {
  caf::actor_system_config server_config, client_config;
  caf::actor_system server_system{server_config};
  caf::actor_system client_system{client_config};
  const auto answering = server_system.spawn(echo, 0);
  auto done = std::make_shared<std::promise<bool>>();
  auto answer = done->get_future();
  const auto asking = client_system.spawn(caller, 10'000, done);
  {
    std::uint16_t port = 0;
    ListenOptions listen;
    listen.port = 0;
    const auto server = spawn_listener(node(Role::scheduler, "s"), listen, answering, &port);
    BOOST_REQUIRE(server.has_value());
    ConnectOptions connect;
    connect.port = port;
    const auto client = spawn_connector(node(Role::client, "c"), connect, asking);
    BOOST_REQUIRE(client.has_value());
    BOOST_REQUIRE((answer.wait_for(30s) == std::future_status::ready));
    BOOST_TEST(answer.get());
  }
  caf::anon_send_exit(answering, caf::exit_reason::user_shutdown);
  caf::anon_send_exit(asking, caf::exit_reason::user_shutdown);
}

BOOST_AUTO_TEST_SUITE_END()
