// Links for actors: every event of a hub becomes a message to one actor, of the event's own type
// (exchange.hpp): LinkUp, LinkMessages, LinkCut, LinkBack, LinkDown, LinkRoom, LinkTrouble.
//
//   caf::behavior owner(caf::event_based_actor* self) {
//     return {[](LinkUp& up) { … up.sender->send(kind, bytes) … },
//             [](LinkMessages& got) { for (Message& m : got.messages) … },
//             [](const LinkCut&) {}, [](const LinkBack&) {}, [](const LinkRoom&) {},
//             [](const LinkDown& down) { … }, [](const LinkTrouble& trouble) { … }};
//   }
//
// Answers go through LinkUp::sender from any handler. A message that is not handled yet counts
// against the link's receive window, so an owner that is slow slows its peers instead of growing.
#pragma once

#include <caf/actor.hpp>
#include <caf/allowed_unsafe_message_type.hpp>

#include <functional>
#include <memory>

#include "cluster/hub.hpp"

namespace reprise::cluster {

/// For HubOptions::on_event. Keeps `owner` alive: end the hub before the actor system.
[[nodiscard]] std::function<void(LinkEvent)> events_to(caf::actor owner);

/// A hub that listens, and tells `owner` of every peer.
/// @param options  on_event is filled in
/// @param port     of `listen`; where 0 was asked for, the one that the system chose
/// @error as Hub::open() and Hub::listen()
[[nodiscard]] Result<std::unique_ptr<Hub>> spawn_listener(HubOptions options,
                                                          const ListenOptions& listen,
                                                          caf::actor owner,
                                                          std::uint16_t* port = nullptr);

/// A hub that keeps a link to one peer, and tells `owner` of it.
/// @param options  on_event is filled in
/// @error as Hub::open() and Hub::connect(); that the peer cannot be reached is told as LinkTrouble
[[nodiscard]] Result<std::unique_ptr<Hub>> spawn_connector(HubOptions options,
                                                           const ConnectOptions& connect,
                                                           caf::actor owner);

}  // namespace reprise::cluster

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(reprise::cluster::LinkUp)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(reprise::cluster::LinkMessages)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(reprise::cluster::LinkCut)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(reprise::cluster::LinkBack)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(reprise::cluster::LinkDown)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(reprise::cluster::LinkRoom)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(reprise::cluster::LinkTrouble)
