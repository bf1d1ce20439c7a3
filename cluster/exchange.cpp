#include "cluster/exchange.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "cluster/backoff.hpp"
#include "core/assert.hpp"

namespace reprise::cluster {

namespace {

// What only one link at a time may stand for. A worker that comes again takes its own place; any
// number of client processes may come with one certificate.
Identity place_of(const Identity& peer) {
  Identity place = peer;
  if (place.role != Role::client) place.incarnation = {};
  return place;
}

}  // namespace

Result<std::unique_ptr<Exchange>> Exchange::open(ExchangeOptions options, Random random) {
  if (!is_node_name(options.self.name))
    return fail(ErrorCode::invalid_argument,
                "a node's name is 1 to 64 of letters, digits, \".\", \"_\" and \"-\"");
  if (!options.tls && options.secret.empty())
    return fail(
        ErrorCode::invalid_argument,
        "a link needs certificates or a shared secret; make them with reprise cluster init");
  if (!options.secret.empty() && options.secret.size() < min_secret_bytes)
    return fail(ErrorCode::invalid_argument,
                fmt::format("the shared secret has {} bytes; {} are needed", options.secret.size(),
                            min_secret_bytes));
  if (options.tls && (options.tls->self().role != options.self.role ||
                      options.tls->self().name != options.self.name))
    return fail(ErrorCode::denied,
                fmt::format("the certificate is of {} \"{}\"; this is {} \"{}\"",
                            name(options.tls->self().role), options.tls->self().name,
                            name(options.self.role), options.self.name));
  return std::unique_ptr<Exchange>(new Exchange(std::move(options), std::move(random)));
}

// ---- connections come and go ----

HandshakeOptions Exchange::handshake_options() {
  HandshakeOptions handshake;
  handshake.self = options_.self;
  handshake.versions = options_.versions;
  handshake.secret = options_.secret;
  random_(handshake.nonce);
  return handshake;
}

ConnectionNumber Exchange::add_connection(Connection::Side side, std::string address,
                                          DialNumber dial, HandshakeOptions handshake,
                                          Instant now) {
  ConnectionOptions options;
  options.handshake = std::move(handshake);
  options.times = options_.times;
  options.tls = options_.tls;
  options.may_send = options_.may_send;
  ConnectionState state;
  state.connection = std::make_unique<Connection>(side, std::move(options), now);
  state.address = std::move(address);
  state.dial = dial;
  const ConnectionNumber number = ++last_number_;
  connections_.emplace(number, std::move(state));
  return number;
}

ConnectionNumber Exchange::accepted(std::string address, Instant now) {
  make_room(address);
  HandshakeOptions handshake = handshake_options();
  handshake.accepted = options_.accepted;
  const ConnectionNumber number =
      add_connection(Connection::Side::accepting, address, 0, std::move(handshake), now);
  AddressState& place = addresses_[address];
  ++place.connections;
  place.half_open.insert(number);
  half_open_.insert(number);
  if (place.connections > options_.max_connections_per_address) {
    effects_.aborts.push_back(number);
    erase_connection(number);
  }
  return number;
}

void Exchange::make_room(const std::string& address) {
  const auto drop_oldest = [this](const std::set<ConnectionNumber>& numbers, std::size_t limit) {
    if (numbers.size() < limit || numbers.empty()) return;
    const ConnectionNumber oldest = *numbers.begin();
    effects_.aborts.push_back(oldest);
    erase_connection(oldest);
  };
  if (const auto place = addresses_.find(address); place != addresses_.end())
    drop_oldest(place->second.half_open, options_.max_half_open_per_address);
  drop_oldest(half_open_, options_.max_half_open);
}

void Exchange::no_longer_half_open(ConnectionNumber number) {
  half_open_.erase(number);
  if (const auto place = addresses_.find(connections_.at(number).address);
      place != addresses_.end())
    place->second.half_open.erase(number);
}

void Exchange::erase_connection(ConnectionNumber number) {
  const auto found = connections_.find(number);
  if (found == connections_.end()) return;
  no_longer_half_open(number);
  if (found->second.dial == 0)
    if (const auto place = addresses_.find(found->second.address); place != addresses_.end())
      if (--place->second.connections == 0) addresses_.erase(place);
  if (found->second.link)
    if (const auto link = links_.find(*found->second.link);
        link != links_.end() && link->second.connection == number)
      link->second.connection.reset();
  connections_.erase(found);
}

void Exchange::begin_end(ConnectionNumber number, Instant now) {
  const auto found = connections_.find(number);
  if (found == connections_.end() || found->second.closing_since) return;
  found->second.closing_since = now;
  no_longer_half_open(number);
  effects_.ends.push_back(number);
}

void Exchange::fail_connection(ConnectionNumber number, const Error& why, bool is_farewell,
                               Instant now) {
  ConnectionState& state = connections_.at(number);
  const DialNumber dial = state.dial;
  if (!state.link) {
    effects_.events.push_back(LinkTrouble{dial, state.address, why});
  } else {
    const LinkNumber number_of_link = *state.link;
    LinkState& link = links_.at(number_of_link);
    // A peer that breaks the rules is not let back onto its link.
    const bool is_over = is_farewell || link.leaving || why.code != ErrorCode::unavailable;
    state.connection->detach();
    state.link.reset();
    link.connection.reset();
    if (is_over) {
      if (!is_farewell) state.connection->say_farewell(why);
      end_link(number_of_link, why, false, now);
    } else {
      link.cut_at = now;
      effects_.events.push_back(LinkCut{number_of_link, why});
    }
  }
  begin_end(number, now);
  if (dial != 0) dial_later(dial, now);
}

void Exchange::lost(ConnectionNumber number, const Error& why, Instant now) {
  const auto found = connections_.find(number);
  if (found == connections_.end()) return;
  if (!found->second.closing_since) {
    Error error = why;
    error.code = ErrorCode::unavailable;  // whatever the system says: the link may come back
    fail_connection(number, error, false, now);
    std::erase(effects_.ends, number);
  } else if (found->second.link) {
    end_link(*found->second.link, {ErrorCode::cancelled, "closed by this side"}, false, now);
  }
  const DialNumber dial = found->second.dial;
  erase_connection(number);
  if (const auto known = dials_.find(dial);
      known != dials_.end() && known->second.connection == number)
    dial_later(dial, now);  // the owner closed the link, not the dial
}

void Exchange::received(ConnectionNumber number, std::string_view bytes, Instant now) {
  const auto found = connections_.find(number);
  if (found == connections_.end() || found->second.closing_since) return;
  ConnectionState& state = found->second;
  std::vector<Message> messages;
  Status done = state.connection->receive(bytes, now, messages);
  if (done && !state.link && state.connection->greeting()) done = admit(number, now, messages);
  if (state.link && !messages.empty())
    effects_.events.push_back(LinkMessages{*state.link, std::move(messages), nullptr});
  if (!done) fail_connection(number, done.error(), state.connection->is_farewell(), now);
}

void Exchange::produce(ConnectionNumber number, std::string& out, std::size_t limit, Instant now) {
  const auto found = connections_.find(number);
  if (found == connections_.end()) return;
  auto done = found->second.connection->produce(out, limit, now);
  if (!done && !found->second.closing_since) fail_connection(number, done.error(), false, now);
}

bool Exchange::has_output(ConnectionNumber number) const {
  const auto found = connections_.find(number);
  return found != connections_.end() && found->second.connection->has_output();
}

void Exchange::set_reading(ConnectionNumber number, bool reading) {
  if (const auto found = connections_.find(number); found != connections_.end())
    found->second.reading = reading;
}

// ---- links ----

Status Exchange::admit(ConnectionNumber number, Instant now, std::vector<Message>& out) {
  no_longer_half_open(number);
  return connections_.at(number).dial == 0 ? admit_accepted(number, now, out)
                                           : admit_dialed(number, now, out);
}

LinkNumber Exchange::add_link(const ConnectionState& connection, const LinkId& id) {
  const Greeting& greeting = *connection.connection->greeting();
  const LinkNumber number = ++last_number_;
  LinkState link;
  link.link = std::make_unique<Link>(options_.limits);
  link.id = id;
  link.peer = {number, greeting.peer, greeting.version, connection.address, connection.dial};
  links_.emplace(number, std::move(link));
  return number;
}

void Exchange::carry(LinkNumber number, ConnectionNumber connection, Instant now) {
  LinkState& link = links_.at(number);
  if (link.connection) {  // the peer noticed the break before we did
    ConnectionState& old = connections_.at(*link.connection);
    old.connection->detach();
    old.link.reset();
    begin_end(*link.connection, now);
  }
  link.connection = connection;
  link.cut_at.reset();
  connections_.at(connection).link = number;
}

Status Exchange::admit_accepted(ConnectionNumber number, Instant now, std::vector<Message>& out) {
  ConnectionState& state = connections_.at(number);
  const Greeting& greeting = *state.connection->greeting();
  const Identity peer = place_of(greeting.peer);
  const auto known = accepted_links_.find(peer);
  Grant grant;
  std::optional<LinkNumber> number_of_link;
  if (known != accepted_links_.end()) {
    const LinkState& link = links_.at(known->second);
    if (greeting.resume && greeting.resume->link == link.id &&
        link.peer.identity.incarnation == greeting.peer.incarnation && !link.leaving) {
      number_of_link = known->second;
      grant = {link.id, true, 0};
    } else {
      end_link(known->second,
               {ErrorCode::unavailable, link.peer.identity.incarnation == greeting.peer.incarnation
                                            ? "the peer gave the link up"
                                            : "the peer was started anew"},
               true, now);
    }
  }
  if (!number_of_link) {
    if (links_.size() >= options_.max_links) {
      const Error full{ErrorCode::exhausted,
                       fmt::format("there are {} links already", links_.size())};
      state.connection->refuse(full);
      return tl::unexpected(full);
    }
    random_(grant.link);
    number_of_link = add_link(state, grant.link);
    accepted_links_[peer] = *number_of_link;
    effects_.events.push_back(LinkUp{links_.at(*number_of_link).peer, nullptr});
  } else {
    effects_.events.push_back(LinkBack{*number_of_link});
  }
  carry(*number_of_link, number, now);
  return state.connection->attach(*links_.at(*number_of_link).link, grant, now, out);
}

Status Exchange::admit_dialed(ConnectionNumber number, Instant now, std::vector<Message>& out) {
  ConnectionState& state = connections_.at(number);
  DialState& dial = dials_.at(state.dial);
  const Grant& grant = *state.connection->granted();
  if (!grant.resumed || !dial.link) {
    if (dial.link)
      end_link(*dial.link, {ErrorCode::unavailable, "the peer does not know the link any more"},
               false, now);
    dial.link = add_link(state, grant.link);
    effects_.events.push_back(LinkUp{links_.at(*dial.link).peer, nullptr});
  } else {
    effects_.events.push_back(LinkBack{*dial.link});
  }
  dial.failures = 0;
  carry(*dial.link, number, now);
  return state.connection->attach(*links_.at(*dial.link).link, grant, now, out);
}

void Exchange::end_link(LinkNumber number, const Error& why, bool tell_peer, Instant now) {
  const auto found = links_.find(number);
  if (found == links_.end()) return;
  const LinkState& link = found->second;
  if (link.connection) {
    ConnectionState& state = connections_.at(*link.connection);
    state.connection->detach();
    state.link.reset();
    if (tell_peer) state.connection->say_farewell(why);
    begin_end(*link.connection, now);
  }
  const Identity peer = place_of(link.peer.identity);
  if (const auto known = accepted_links_.find(peer);
      known != accepted_links_.end() && known->second == number)
    accepted_links_.erase(known);
  if (const auto dial = dials_.find(link.peer.dial);
      dial != dials_.end() && dial->second.link == number)
    dial->second.link.reset();
  links_.erase(found);
  effects_.events.push_back(LinkDown{number, why});
}

Status Exchange::send(LinkNumber number, std::uint16_t kind, std::string bytes) {
  const auto found = links_.find(number);
  if (found == links_.end() || found->second.leaving)
    return fail(ErrorCode::not_found, "the link is over");
  return found->second.link->send(kind, std::move(bytes));
}

void Exchange::close(LinkNumber number, const Error& why, Instant now) {
  const auto found = links_.find(number);
  if (found == links_.end() || found->second.leaving) return;
  if (!found->second.connection) return end_link(number, why, false, now);
  found->second.leaving = true;
  connections_.at(*found->second.connection).connection->say_farewell(why);
  begin_end(*found->second.connection, now);
}

std::optional<ConnectionNumber> Exchange::connection_of(LinkNumber number) const {
  const auto found = links_.find(number);
  return found == links_.end() ? std::nullopt : found->second.connection;
}

std::optional<LinkNumber> Exchange::link_of(ConnectionNumber number) const {
  const auto found = connections_.find(number);
  return found == connections_.end() ? std::nullopt : found->second.link;
}

std::size_t Exchange::unacked_bytes(LinkNumber number) const {
  const auto found = links_.find(number);
  return found == links_.end() ? 0 : found->second.link->unacked_bytes();
}

// ---- dialing ----

DialNumber Exchange::dial(DialOptions options) {
  const DialNumber number = ++last_number_;
  dials_[number].options = std::move(options);
  call(number);
  return number;
}

void Exchange::call(DialNumber number) {
  DialState& dial = dials_.at(number);
  dial.again.reset();
  dial.connecting = true;
  effects_.dials.emplace_back(number, dial.options.address);
}

std::optional<ConnectionNumber> Exchange::dialed(DialNumber number, Instant now) {
  const auto found = dials_.find(number);
  if (found == dials_.end()) return std::nullopt;
  DialState& dial = found->second;
  HandshakeOptions handshake = handshake_options();
  handshake.accepted = {dial.options.role};
  handshake.name = dial.options.name;
  if (dial.link) {
    const LinkState& link = links_.at(*dial.link);
    handshake.resume = Resume{link.id, link.link->received()};
  }
  dial.connecting = false;
  dial.connection = add_connection(Connection::Side::connecting, dial.options.address, number,
                                   std::move(handshake), now);
  return dial.connection;
}

void Exchange::dial_failed(DialNumber number, const Error& why, Instant now) {
  const auto found = dials_.find(number);
  if (found == dials_.end()) return;
  found->second.connecting = false;
  effects_.events.push_back(LinkTrouble{number, found->second.options.address, why});
  dial_later(number, now);
}

void Exchange::dial_later(DialNumber number, Instant now) {
  const auto found = dials_.find(number);
  if (found == dials_.end()) return;
  DialState& dial = found->second;
  dial.connection.reset();
  std::uint64_t random = 0;
  random_({reinterpret_cast<std::uint8_t*>(&random), sizeof random});
  dial.again = now + backoff(dial.failures++, options_.dial_base, options_.dial_max, random);
}

void Exchange::hang_up(DialNumber number, Instant now) {
  const auto found = dials_.find(number);
  if (found == dials_.end()) return;
  const DialState dial = found->second;
  dials_.erase(found);
  if (dial.link) return close(*dial.link, {ErrorCode::cancelled, "closed by the peer"}, now);
  if (dial.connection) {
    effects_.aborts.push_back(*dial.connection);
    erase_connection(*dial.connection);
  }
}

// ---- time ----

void Exchange::shut_down(const Error& why, Instant now) {
  dials_.clear();
  std::vector<LinkNumber> links;
  for (const auto& [number, link] : links_) links.push_back(number);
  for (const LinkNumber number : links) close(number, why, now);
  std::vector<ConnectionNumber> strangers;
  for (const auto& [number, state] : connections_)
    if (!state.closing_since) strangers.push_back(number);
  for (const ConnectionNumber number : strangers) {
    effects_.aborts.push_back(number);
    erase_connection(number);
  }
}

void Exchange::tick(Instant now) {
  std::vector<std::pair<ConnectionNumber, Error>> failed;
  std::vector<ConnectionNumber> lingered;
  for (auto& [number, state] : connections_) {
    if (state.closing_since) {
      if (now - *state.closing_since >= options_.linger) lingered.push_back(number);
    } else if (auto fine = state.connection->check_time(now, state.reading); !fine) {
      failed.emplace_back(number, fine.error());
    }
  }
  for (const auto& [number, why] : failed) fail_connection(number, why, false, now);
  for (const ConnectionNumber number : lingered) {
    effects_.aborts.push_back(number);
    lost(number, {ErrorCode::unavailable, "closed"}, now);
  }
  std::vector<LinkNumber> over;
  for (const auto& [number, link] : links_)
    if (link.cut_at && now - *link.cut_at >= options_.resume_window) over.push_back(number);
  for (const LinkNumber number : over)
    end_link(number,
             {ErrorCode::unavailable, fmt::format("the peer did not come back within {}",
                                                  describe(options_.resume_window))},
             false, now);
  for (auto& [number, dial] : dials_)
    if (dial.again && *dial.again <= now) call(number);
}

LinkNumber link_of(const LinkEvent& event) {
  return std::visit(
      [](const auto& one) -> LinkNumber {
        if constexpr (requires { one.link; })
          return one.link;
        else if constexpr (requires { one.peer.link; })
          return one.peer.link;
        else
          return 0;
      },
      event);
}

}  // namespace reprise::cluster
