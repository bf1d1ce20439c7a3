#include "tests/sim/net.hpp"

#include <algorithm>

#include "cluster/wire.hpp"
#include "core/assert.hpp"
#include "tests/sim/config.hpp"

namespace reprise::sim {

using namespace std::chrono_literals;

// ---- NetNode

void NetNode::open_exchange(cluster::Role role, const Config& config) {
  cluster::ExchangeOptions options;
  options.self.role = role;
  options.self.name = name();
  options.secret = std::string(cluster::min_secret_bytes, 's');
  options.accepted.clear();
  if (role == cluster::Role::scheduler)
    options.accepted = {cluster::Role::worker, cluster::Role::client};
  options.resume_window = config.resume_window;
  options.times.silence = config.silence;
  options.may_send = cluster::wire::may_send;
  for (auto& byte : options.self.incarnation)
    byte = static_cast<std::uint8_t>(world().random.next());
  auto opened = cluster::Exchange::open(
      std::move(options), [random = world().random.fork()](std::span<std::uint8_t> out) mutable {
        for (auto& byte : out) byte = static_cast<std::uint8_t>(random.next());
      });
  REPRISE_ASSERT(opened.has_value(), opened ? "" : opened.error().message);
  exchange = std::move(*opened);
  const auto tick = [this](const auto& again) -> void {
    exchange->tick(Net::instant(world().now()));
    net_.pump(*this);
    world().after(200ms, *this, [again] { again(again); });
  };
  world().after(world().random.between(0ms, 200ms), *this, [tick] { tick(tick); });
}

void NetNode::dial_server() {
  cluster::DialOptions dial;
  dial.address = "server";
  static_cast<void>(exchange->dial(std::move(dial)));
  net_.pump(*this);
}

void NetNode::close_exchange() {
  exchange.reset();
  net_.gone(*this, !world().random.percent(30));
}

void NetNode::send(cluster::LinkNumber link, std::uint16_t kind, std::string bytes) {
  boundary(name() == "server" ? "server sends" : "node sends");
  const Status sent = exchange->send(link, kind, std::move(bytes));
  if (!sent && sent.error().code != ErrorCode::not_found) close(link, sent.error());
  net_.pump(*this);
}

void NetNode::close(cluster::LinkNumber link, const Error& why) {
  exchange->close(link, why, Net::instant(world().now()));
  net_.pump(*this);
}

// ---- Net

Duration Net::delay() {
  if (options_.slow_percent > 0 && world_.random.percent(options_.slow_percent))
    return world_.random.between(options_.least, options_.slow);
  return world_.random.between(options_.least, options_.most);
}

void Net::pump(NetNode& node) {
  if (!node.exchange) return;
  for (;;) {
    cluster::ExchangeEffects effects = node.exchange->take_effects();
    if (effects.events.empty() && effects.aborts.empty() && effects.ends.empty() &&
        effects.dials.empty())
      break;
    for (cluster::LinkEvent& event : effects.events) node.on_link(event);
    for (std::size_t i = 0; i < wires_.size(); ++i)
      for (int side = 0; side < 2; ++side) {
        End& end = wires_[i]->ends[side];
        if (end.node != &node || end.number == 0) continue;
        const auto is_listed = [&](const auto& list) {
          return std::find(list.begin(), list.end(), end.number) != list.end();
        };
        if (is_listed(effects.aborts)) {
          end.number = 0;
          end_side(wires_[i], 1 - side);
        } else if (is_listed(effects.ends)) {
          produce(wires_[i], side);
          const auto number = std::exchange(end.number, 0);
          node.exchange->lost(number, {ErrorCode::unavailable, "closed"}, instant(world_.now()));
          end_side(wires_[i], 1 - side);
        }
      }
    for (const auto& [dial, address] : effects.dials) connect(node, dial, address);
    std::erase_if(wires_, [](const WirePtr& wire) {
      return wire->ends[0].number == 0 && wire->ends[1].number == 0;
    });
  }
  for (std::size_t i = 0; i < wires_.size(); ++i)
    for (int side = 0; side < 2; ++side)
      if (wires_[i]->ends[side].node == &node && wires_[i]->ends[side].number != 0)
        produce(wires_[i], side);
}

// What a side has to say, on its way to the other one.
void Net::produce(const WirePtr& wire, int side) {
  End& from = wire->ends[side];
  End& to = wire->ends[1 - side];
  if (!from.node->exchange->has_output(from.number)) return;
  std::string bytes;
  from.node->exchange->produce(from.number, bytes, 1u << 20, instant(world_.now()));
  if (bytes.empty() || to.number == 0) return;
  to.last = std::max(to.last + Duration{1}, world_.now() + delay());
  // Now and then it comes in two pieces.
  if (bytes.size() > 1 && world_.random.one_in(8)) {
    const std::size_t first = world_.random.between(1, bytes.size() - 1);
    to.coming.emplace_back(to.last, bytes.substr(0, first));
    wake(wire, 1 - side, to.last - world_.now());
    bytes.erase(0, first);
    to.last = std::max(to.last + Duration{1}, world_.now() + delay());
  }
  to.coming.emplace_back(to.last, std::move(bytes));
  wake(wire, 1 - side, to.last - world_.now());
}

void Net::wake(const WirePtr& wire, int side, Duration after) {
  world_.after(after, *wire->ends[side].node, [this, wire, side] { deliver(wire, side); });
}

void Net::deliver(const WirePtr& wire, int side) {
  End& to = wire->ends[side];
  const End& from = wire->ends[1 - side];
  if (to.number == 0 || to.node->life() != to.life || is_blocked(from, to)) return;
  NetNode& node = *to.node;
  const auto now = instant(world_.now());
  while (to.number != 0 && !to.coming.empty() && to.coming.front().first <= world_.now()) {
    const std::string bytes = std::move(to.coming.front().second);
    to.coming.pop_front();
    world_.trace("bytes for " + node.name(), bytes.size(), to.number);
    node.exchange->received(to.number, bytes, now);
    pump(node);
  }
  if (to.number != 0 && to.is_over && to.coming.empty()) {
    const auto number = std::exchange(to.number, 0);
    node.exchange->lost(number, {ErrorCode::unavailable, "closed by the peer"}, now);
    pump(node);
  }
}

// The other side is gone; this one finds out behind what is coming.
void Net::end_side(const WirePtr& wire, int side) {
  End& end = wire->ends[side];
  if (end.number == 0 || end.is_over) return;
  end.is_over = true;
  end.last = std::max(end.last + Duration{1}, world_.now() + delay());
  wake(wire, side, end.last - world_.now());
}

void Net::gone(NetNode& node, bool is_noticed) {
  for (const WirePtr& wire : wires_)
    for (int side = 0; side < 2; ++side) {
      if (wire->ends[side].node != &node) continue;
      wire->ends[side].number = 0;
      wire->ends[side].coming.clear();
      if (is_noticed) end_side(wire, 1 - side);
    }
  std::erase_if(wires_, [](const WirePtr& wire) {
    return wire->ends[0].number == 0 && wire->ends[1].number == 0;
  });
}

void Net::connect(NetNode& from, cluster::DialNumber dial, const std::string& address) {
  NetNode& to = *nodes_.at(address);
  const Duration way = delay();
  if (blocked_.contains({&from, &to}) || blocked_.contains({&to, &from}) || to.is_paused()) {
    world_.after(2s, from, [this, &from, dial] {
      from.exchange->dial_failed(dial, {ErrorCode::unavailable, "no answer"},
                                 instant(world_.now()));
      pump(from);
    });
    return;
  }
  world_.after(way, from, [this, &from, &to, dial] {
    const auto now = instant(world_.now());
    if (!to.is_alive()) {
      from.exchange->dial_failed(dial, {ErrorCode::unavailable, "refused"}, now);
      return pump(from);
    }
    const auto number = from.exchange->dialed(dial, now);
    if (!number) return;
    auto wire = std::make_shared<Wire>();
    wire->ends[0] = {&from, from.life(), *number, {}, {}, false};
    wire->ends[1] = {&to, to.life(), to.exchange->accepted("10.0.0.1", now), {}, {}, false};
    wires_.push_back(wire);
    pump(to);
    pump(from);
  });
}

void Net::reset(const NetNode& a, const NetNode& b) {
  const std::vector<WirePtr> all = wires_;
  for (const WirePtr& wire : all) {
    const bool is_theirs = (wire->ends[0].node == &a && wire->ends[1].node == &b) ||
                           (wire->ends[0].node == &b && wire->ends[1].node == &a);
    if (!is_theirs) continue;
    for (int side = 0; side < 2; ++side) {
      End& end = wire->ends[side];
      // Some of what was under way gets through, the last piece perhaps in part.
      if (!end.coming.empty()) {
        end.coming.resize(world_.random.between(0, end.coming.size()));
        if (!end.coming.empty() && world_.random.one_in(2)) {
          std::string& last = end.coming.back().second;
          last.resize(world_.random.below(last.size() + 1));
          if (last.empty()) end.coming.pop_back();
        }
      }
      end_side(wire, side);
    }
  }
}

void Net::block(const NetNode& from, const NetNode& to) {
  blocked_.insert({&from, &to});
}

void Net::unblock(const NetNode& from, const NetNode& to) {
  if (blocked_.erase({&from, &to}) == 0) return;
  for (const WirePtr& wire : wires_)
    for (int side = 0; side < 2; ++side)
      if (wire->ends[side].node == &to && wire->ends[1 - side].node == &from)
        wake(wire, side, delay());
}

void Net::heal() {
  blocked_.clear();
  for (const WirePtr& wire : wires_)
    for (int side = 0; side < 2; ++side) wake(wire, side, delay());
}

}  // namespace reprise::sim
