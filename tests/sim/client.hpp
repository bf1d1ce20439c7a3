// A client: submits, cancels and waits, asks again when nobody answers, and remembers what it was
// told. What it asked for without an answer may or may not have happened.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "cluster/wire.hpp"
#include "tests/sim/checker.hpp"
#include "tests/sim/config.hpp"
#include "tests/sim/net.hpp"

namespace reprise::sim {

class Client final : public NetNode {
 public:
  Client(World& world, Net& net, const Config& config, Checker& checker, std::size_t index);

  void on_link(cluster::LinkEvent& event) override;
  /// All its jobs have ended, and it was told so.
  [[nodiscard]] bool is_done() const;
  [[nodiscard]] std::string pending() const;

 private:
  /// What is known of one job; stays when the process dies, as in a script that is run again.
  struct Asked {
    const Job* job = nullptr;
    bool is_due = false;
    std::optional<RunId> run{};  // it was accepted
    bool wants_cancel = false, is_cancelled = false;
    std::optional<RunState> ended{};
    // Requests on the link that lives; 0: none
    std::uint64_t submit = 0, cancel = 0, watch = 0;
  };

  void on_start() override;
  void on_crash() override;
  void ask(Asked& asked);
  void message(const cluster::Message& message);
  void link_event(cluster::LinkEvent& event);

  const Config& config_;
  Checker& checker_;
  std::vector<Asked> asked_;
  std::optional<cluster::LinkNumber> link_;
  std::optional<Channel> hub_to_client_;
  std::uint64_t last_request_ = 0;
};

}  // namespace reprise::sim
