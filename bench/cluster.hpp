// A server and workers as processes of their own, for as long as the object lives.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "bench/measure.hpp"
#include "bench/process.hpp"
#include "cluster/client.hpp"

namespace reprise::bench {

enum class Trust { secret, tls };

class Cluster {
 public:
  /// One scheduler and two workers on loopback, ready. Aborts where they do not come up.
  /// @param slots   of each worker
  /// @param worker  program, and its first arguments, that takes those of `reprise worker start`;
  ///                empty: reprise itself
  Cluster(const Settings& settings, Trust trust, unsigned slots,
          std::vector<std::string> worker = {});

  [[nodiscard]] cluster::Client& client() { return *client_; }
  /// Seconds from submit to the end as the client is told it. Aborts when the run fails.
  double run(const std::shared_ptr<const FlowSpec>& flow);

 private:
  std::vector<std::unique_ptr<Background>> nodes_;
  std::unique_ptr<cluster::Client> client_;
};

/// A worker that knows Task Bench's tasks: serves until it is asked to end.
/// @param arguments  --server HOST:PORT --name NAME --slots N --data FOLDER
int serve(const std::vector<std::string>& arguments);

}  // namespace reprise::bench
