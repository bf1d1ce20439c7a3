// Nodes on a simulated network: connections that deliver late, in pieces, or not at all, and break
// at any moment, on one side or both.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <random>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "cluster/exchange.hpp"

namespace reprise::testing {

class LinkNetwork {
 public:
  /// One node with what its owner was told.
  struct Node {
    std::unique_ptr<cluster::Exchange> exchange;
    std::vector<cluster::LinkEvent> events;  // since the test last looked

    struct OneLink {
      cluster::Peer peer;
      std::vector<cluster::Message> received;
      bool cut = false;
      bool down = false;
      Error why;
    };
    std::map<cluster::LinkNumber, OneLink> links;
    std::vector<cluster::LinkTrouble> troubles;

    /// The newest link that is not over; 0: none.
    [[nodiscard]] cluster::LinkNumber current() const {
      for (auto it = links.rbegin(); it != links.rend(); ++it)
        if (!it->second.down) return it->first;
      return 0;
    }
  };

  explicit LinkNetwork(std::uint64_t seed) : random(seed) {}

  std::size_t add(cluster::ExchangeOptions options) {
    auto opened = cluster::Exchange::open(std::move(options), [this](std::span<std::uint8_t> out) {
      for (auto& byte : out) byte = static_cast<std::uint8_t>(random());
    });
    if (!opened) throw std::runtime_error(opened.error().message);
    nodes.push_back({std::move(*opened), {}, {}, {}});
    return nodes.size() - 1;
  }

  /// `from` dials `to` and goes on doing so.
  cluster::DialNumber dial(std::size_t from, std::size_t to, cluster::DialOptions options = {}) {
    options.address = std::to_string(to);
    const auto number = nodes[from].exchange->dial(std::move(options));
    settle(from);
    return number;
  }

  /// The process of a node dies and another one starts in its place.
  void restart(std::size_t node, cluster::ExchangeOptions options) {
    for (auto& wire : wires)
      for (int side = 0; side < 2; ++side)
        if (wire->ends[side].node == node) {
          wire->ends[side].number = 0;
          wire->ends[1 - side].gone = true;
        }
    const std::size_t place = add(std::move(options));
    std::swap(nodes[node], nodes[place]);
    nodes.pop_back();
  }

  void pass(Duration time) {
    now += time;
    for (std::size_t i = 0; i < nodes.size(); ++i) {
      nodes[i].exchange->tick(now);
      settle(i);
    }
  }

  /// Moves bytes of every connection, as many at once as `piece` says, until nothing moves.
  void run(std::size_t piece = SIZE_MAX) {
    for (bool moved = true; moved;) {
      moved = false;
      for (std::size_t i = 0; i < wires.size(); ++i)
        for (int side = 0; side < 2; ++side) moved |= step(i, side, piece);
      sweep();
    }
  }

  /// One random thing happens on the network.
  void stir() {
    if (wires.empty()) return pass(std::chrono::milliseconds{50});
    const std::size_t i = random() % wires.size();
    const int side = static_cast<int>(random() % 2);
    switch (random() % 64) {
      case 0:
        cut(i);
        break;
      case 1:
        lose_one_side(i, side);
        break;
      case 2:
      case 3:
        pass(std::chrono::milliseconds{20 + random() % 400});
        break;
      default:
        step(i, side, 1 + random() % (random() % 4 == 0 ? 100'000 : 50));
    }
    sweep();
  }

  /// Every connection breaks, and both sides notice.
  void cut_all() {
    for (std::size_t i = 0; i < wires.size(); ++i) cut(i);
    sweep();
  }
  /// Every connection is silent from now on.
  void freeze_all() {
    for (auto& wire : wires) wire->frozen = true;
  }

  cluster::Instant now{};
  std::mt19937_64 random;
  std::vector<Node> nodes;

  struct End {
    std::size_t node = 0;
    cluster::ConnectionNumber number = 0;  // 0: this side's connection is gone
    std::string in_flight;                 // on its way to this side
    bool gone = false;                     // the other side's bytes end here
    bool ending = false;                   // closes once it has sent everything
  };
  struct Wire {
    End ends[2];
    bool frozen = false;
  };
  std::vector<std::unique_ptr<Wire>> wires;
  std::string recorded;  // everything that connecting sides ever sent

 private:
  bool step(std::size_t index, int side, std::size_t piece) {
    Wire& wire = *wires[index];
    if (wire.frozen) return false;
    End& from = wire.ends[side];
    End& to = wire.ends[1 - side];
    bool moved = false;
    if (from.number != 0) {
      std::string out;
      nodes[from.node].exchange->produce(from.number, out, 4096, now);
      moved |= !out.empty();
      if (side == 0) recorded += out;
      to.in_flight += out;
      if (from.ending && !nodes[from.node].exchange->has_output(from.number)) {
        const auto number = std::exchange(from.number, 0);
        nodes[from.node].exchange->lost(number, {ErrorCode::unavailable, "closed"}, now);
        to.gone = true;
        moved = true;
      }
      settle(from.node);
    }
    if (to.number != 0 && !to.in_flight.empty()) {
      const std::string bytes = to.in_flight.substr(0, piece);
      to.in_flight.erase(0, piece);
      nodes[to.node].exchange->received(to.number, bytes, now);
      settle(to.node);
      moved = true;
    }
    if (to.gone && to.in_flight.empty() && to.number != 0) {
      const auto number = std::exchange(to.number, 0);
      nodes[to.node].exchange->lost(number, {ErrorCode::unavailable, "closed by the peer"}, now);
      settle(to.node);
      from.gone = true;
      moved = true;
    }
    return moved;
  }

  void cut(std::size_t index) {
    lose_one_side(index, 0);
    lose_one_side(index, 1);
  }

  // The other side keeps what is in flight, and notices later or by silence.
  void lose_one_side(std::size_t index, int side) {
    End& end = wires[index]->ends[side];
    End& other = wires[index]->ends[1 - side];
    if (end.number == 0) return;
    const auto number = std::exchange(end.number, 0);
    nodes[end.node].exchange->lost(number, {ErrorCode::io, "reset"}, now);
    end.in_flight.clear();
    if (random() % 2 == 0)
      other.gone = true;
    else
      wires[index]->frozen = true;
    settle(end.node);
  }

  void sweep() {
    std::erase_if(wires, [](const auto& wire) {
      return wire->ends[0].number == 0 && wire->ends[1].number == 0;
    });
  }

  /// Carries out what a node wants.
  void settle(std::size_t node) {
    for (;;) {
      auto effects = nodes[node].exchange->take_effects();
      for (auto& event : effects.events) note(nodes[node], event);
      for (const auto number : effects.aborts)
        with_end(node, number, [](Wire&, End& end, End& other) {
          end.number = 0;
          other.gone = true;
        });
      for (const auto number : effects.ends)
        with_end(node, number, [](Wire&, End& end, End&) { end.ending = true; });
      for (const auto& [dial, address] : effects.dials) connect(node, dial, address);
      if (effects.events.empty() && effects.aborts.empty() && effects.ends.empty() &&
          effects.dials.empty())
        return;
    }
  }

  template <class F>
  void with_end(std::size_t node, cluster::ConnectionNumber number, F f) {
    for (auto& wire : wires)
      for (int side = 0; side < 2; ++side)
        if (wire->ends[side].node == node && wire->ends[side].number == number)
          f(*wire, wire->ends[side], wire->ends[1 - side]);
  }

  void connect(std::size_t from, cluster::DialNumber dial, const std::string& address) {
    const std::size_t to = std::stoul(address);
    const auto number = nodes[from].exchange->dialed(dial, now);
    if (!number) return;
    auto wire = std::make_unique<Wire>();
    wire->ends[0].node = from;
    wire->ends[0].number = *number;
    wire->ends[1].node = to;
    wire->ends[1].number = nodes[to].exchange->accepted("10.0.0." + std::to_string(from), now);
    wires.push_back(std::move(wire));
    settle(to);
  }

  static void note(Node& node, cluster::LinkEvent& event) {
    using namespace cluster;
    if (auto* up = std::get_if<LinkUp>(&event)) {
      node.links[up->peer.link].peer = up->peer;
    } else if (auto* got = std::get_if<LinkMessages>(&event)) {
      auto& all = node.links.at(got->link).received;
      for (auto& message : got->messages) all.push_back(std::move(message));
    } else if (auto* cut = std::get_if<LinkCut>(&event)) {
      node.links.at(cut->link).cut = true;
      node.links.at(cut->link).why = cut->why;
    } else if (auto* back = std::get_if<LinkBack>(&event)) {
      node.links.at(back->link).cut = false;
    } else if (auto* down = std::get_if<LinkDown>(&event)) {
      node.links.at(down->link).down = true;
      node.links.at(down->link).why = down->why;
    } else if (auto* trouble = std::get_if<LinkTrouble>(&event)) {
      node.troubles.push_back(*trouble);
    }
  }
};

}  // namespace reprise::testing
