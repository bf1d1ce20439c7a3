// The network between the nodes' exchanges: connections that deliver late, in pieces or not at all,
// and break at any moment, on both sides or on one. What a connection delivers is what was sent,
// in order, as TCP has it.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "cluster/exchange.hpp"
#include "tests/sim/world.hpp"

namespace reprise::sim {

class Net;
struct Config;

/// A process with an exchange.
class NetNode : public Process {
 public:
  NetNode(World& world, Net& net, std::string name) : Process(world, std::move(name)), net_(net) {}

  std::unique_ptr<cluster::Exchange> exchange;  // while it is alive
  virtual void on_link(cluster::LinkEvent& event) = 0;

 protected:
  /// A fresh exchange, as a process that starts has one.
  void open_exchange(cluster::Role role, const Config& config);
  void dial_server();
  void close_exchange();
  void send(cluster::LinkNumber link, std::uint16_t kind, std::string bytes);
  void close(cluster::LinkNumber link, const Error& why);
  Net& net() const { return net_; }

 private:
  Net& net_;
};

struct NetOptions {
  Duration least{std::chrono::microseconds{100}};
  Duration most{std::chrono::milliseconds{2}};
  std::uint64_t slow_percent = 0;  // of deliveries that take up to `slow`
  Duration slow{std::chrono::milliseconds{500}};
};

class Net {
 public:
  Net(World& world, NetOptions options) : world_(world), options_(options) {}

  void add(NetNode& node) { nodes_[node.name()] = &node; }
  [[nodiscard]] static cluster::Instant instant(Time now) {
    return cluster::Instant{} +
           std::chrono::duration_cast<cluster::Instant::duration>(now - World::beginning());
  }

  /// Carries out what a node's exchange wants; after anything that touched it.
  void pump(NetNode& node);
  /// The node is gone. @param is_noticed  its peers are told by its kernel; else they find out
  void gone(NetNode& node, bool is_noticed);

  // ---- faults
  /// Connections between the two break, wherever their bytes are.
  void reset(const NetNode& a, const NetNode& b);
  /// Nothing gets through in this direction, and nobody is told, until unblock().
  void block(const NetNode& from, const NetNode& to);
  void unblock(const NetNode& from, const NetNode& to);
  /// All blocks end; connections go on where they were.
  void heal();

  [[nodiscard]] const NetOptions& options() const { return options_; }
  NetOptions& options() { return options_; }

 private:
  struct End {
    NetNode* node = nullptr;
    std::uint64_t life = 0;
    cluster::ConnectionNumber number = 0;  // 0: this side's connection is gone
    std::deque<std::pair<Time, std::string>> coming;
    Time last{};
    bool is_over = false;  // the other side closed, after what is coming
  };
  struct Wire {
    End ends[2];
  };
  using WirePtr = std::shared_ptr<Wire>;

  [[nodiscard]] Duration delay();
  [[nodiscard]] bool is_blocked(const End& from, const End& to) const {
    return blocked_.contains({from.node, to.node});
  }
  void produce(const WirePtr& wire, int side);
  void deliver(const WirePtr& wire, int side);
  void end_side(const WirePtr& wire, int side);
  void connect(NetNode& from, cluster::DialNumber dial, const std::string& address);
  void wake(const WirePtr& wire, int side, Duration after);

  World& world_;
  NetOptions options_;
  std::map<std::string, NetNode*> nodes_;
  std::vector<WirePtr> wires_;
  std::set<std::pair<const NetNode*, const NetNode*>> blocked_;  // asked, never walked through
};

}  // namespace reprise::sim
