// What the commands of a run are told of the context (docs/semantics.md, "Context"): a text of JSON
// and variables. What is the same for all attempts of the run is written once.
#pragma once

#include <string>
#include <vector>

#include "flow/attempt.hpp"
#include "worker/environment.hpp"

namespace reprise::worker {

/// Immutable, and so safe from any thread.
class CommandContext {
 public:
  explicit CommandContext(const RunContext& run);

  /// An object with the run's entries and those `of_attempt`, and a line end.
  [[nodiscard]] std::string json(Map of_attempt) const;

  /// Appends "REPRISE_CTX_<KEY>=<text>" for the entries that are texts, numbers or booleans: the
  /// key in upper case, with '_' for what a variable's name cannot have. Of two keys that come to
  /// the same, the attempt's wins, then the one that is all lower case. Texts of more than 64 KiB,
  /// ones with a NUL and variables that `set` has are left out.
  void add_variables(const Map& of_attempt, const Environment& set,
                     std::vector<std::string>& all) const;

 private:
  struct Variable {
    std::string name;
    std::string entry;  // "NAME=text"
  };
  std::string json_;  // of the run's entries, as the variables are
  std::vector<Variable> variables_;
};

}  // namespace reprise::worker
