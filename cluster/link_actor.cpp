#include "cluster/link_actor.hpp"

#include <utility>
#include <variant>

#include <caf/send.hpp>

namespace reprise::cluster {

std::function<void(LinkEvent)> events_to(caf::actor owner) {
  return [owner = std::move(owner)](LinkEvent event) {
    std::visit([&](auto& one) { caf::anon_send(owner, std::move(one)); }, event);
  };
}

Result<std::unique_ptr<Hub>> spawn_listener(HubOptions options, const ListenOptions& listen,
                                            caf::actor owner, std::uint16_t* port) {
  options.on_event = events_to(std::move(owner));
  auto hub = Hub::open(std::move(options));
  if (!hub) return hub;
  const auto bound = (*hub)->listen(listen);
  if (!bound) return tl::unexpected(bound.error());
  if (port) *port = *bound;
  return hub;
}

Result<std::unique_ptr<Hub>> spawn_connector(HubOptions options, const ConnectOptions& connect,
                                             caf::actor owner) {
  options.on_event = events_to(std::move(owner));
  auto hub = Hub::open(std::move(options));
  if (!hub) return hub;
  if (const auto dial = (*hub)->connect(connect); !dial) return tl::unexpected(dial.error());
  return hub;
}

}  // namespace reprise::cluster
