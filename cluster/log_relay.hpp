// Logs lie where attempts ran. Whoever wants to see one asks the server, which asks all workers and
// passes on what the first of them has.
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <set>
#include <vector>

#include "cluster/exchange.hpp"
#include "cluster/run_queries.hpp"
#include "cluster/wire.hpp"
#include "core/result.hpp"
#include "core/time.hpp"

namespace reprise::cluster {

/// The part of a log below a folder that holds a folder for each run.
/// @error not_found: nothing was printed, or not here; io
[[nodiscard]] Result<wire::LogPart> read_log(const std::filesystem::path& runs,
                                             const wire::AskLog& what);

/// Questions that are out. Pure; not safe for concurrent use.
class LogRelay {
 public:
  using Answer = std::function<void(Result<wire::LogPart>)>;

  /// @return what is to be sent to each of `workers`; without any the answer comes at once
  [[nodiscard]] wire::LogRequest ask(const wire::AskLog& what, std::set<LinkNumber> workers,
                                     Answer answer, Time now);
  void answered(LinkNumber worker, wire::LogAnswer answer);
  void left(LinkNumber worker);
  /// Gives up on workers that say nothing.
  void tick(Time now);

 private:
  struct Open {
    Answer answer;
    std::set<LinkNumber> waiting;
    Time asked;
  };
  using Position = std::map<std::uint64_t, Open>::iterator;
  Position close_when_all_answered(Position open);

  std::uint64_t last_ = 0;
  std::map<std::uint64_t, Open> open_;
};

}  // namespace reprise::cluster
