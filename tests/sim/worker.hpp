// A worker process: the Node that decides, and slots on which bodies take simulated time.
#pragma once

#include <deque>
#include <map>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "cluster/fleet.hpp"
#include "cluster/node.hpp"
#include "cluster/wire.hpp"
#include "tests/sim/checker.hpp"
#include "tests/sim/config.hpp"
#include "tests/sim/net.hpp"

namespace reprise::sim {

class Worker final : public NetNode {
 public:
  Worker(World& world, Net& net, const Config& config, Checker& checker, std::string name,
         std::size_t number);

  void on_link(cluster::LinkEvent& event) override;
  /// Finishes what it has and ends; another process starts in its place.
  void leave();
  [[nodiscard]] bool is_leaving() const { return is_leaving_; }
  void check_quiet() const;

 private:
  using Name = std::tuple<std::uint32_t, std::uint32_t, std::uint32_t>;  // run, task, number
  struct Running {
    Attempt attempt;
    std::int32_t execution = 0;
    Time started;  // by the worker's clock
    bool is_stopping = false;
  };

  void on_start() override;
  void on_crash() override;
  [[nodiscard]] bool has(Bug bug) const { return config_.bug == bug; }
  void link_event(cluster::LinkEvent& event);
  [[nodiscard]] Status message(const cluster::Message& message);
  void perform();
  void make_node();
  void say(cluster::wire::Kind kind, std::string bytes);

  // ---- slots
  void start_some();
  void begin(Attempt attempt);
  void stop(const scheduler::AttemptRef& attempt);
  void give_back(const std::vector<scheduler::AttemptRef>& attempts);
  void end(const Name& name, std::int32_t execution, Outcome outcome);
  void report(scheduler::Report report);

  const Config& config_;
  Checker& checker_;
  cluster::WorkerCard card_;

  std::optional<cluster::Node> node_;
  std::optional<cluster::LinkNumber> link_;
  std::optional<Channel> hub_to_node_, slots_to_node_;
  std::deque<Attempt> waiting_;
  std::map<Name, Running> running_;
  bool is_leaving_ = false;
};

}  // namespace reprise::sim
