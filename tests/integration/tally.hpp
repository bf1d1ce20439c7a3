// A file in which the steps of a flow say when they begin and when they are over, so that what ran
// how often is known whatever became of the program.
#pragma once

#include <filesystem>
#include <map>
#include <string>

#include "tests/integration/support.hpp"

namespace reprise::integration {

/// The task `step` of a flow file with the parameters `n` and `tally`: steps 0 … n - 1, each of
/// which says "begin I" and "end I", and `sleep` seconds lie between. @param result  it prints this
inline std::string tallied_step(const std::string& sleep, const std::string& result) {
  return R"(  step:
    map: {over: "${{ range(params.n) }}", as: i}
    env: {TALLY: "${{ params.tally }}", I: "${{ i }}"}
    shell: |
      echo "begin $I" >> $TALLY
      sleep )" +
         sleep + R"(
      echo "end $I" >> $TALLY
      echo )" +
         result + "\n";
}

/// What the flow's parameter is given.
inline std::string tally_of(const Home& home) {
  return "tally=" + (home.path / "tally").string();
}

/// How often each line is there; nothing, as long as no step has begun.
inline std::map<std::string, int> tally_lines(const Home& home) {
  std::map<std::string, int> counts;
  if (std::filesystem::exists(home.path / "tally"))
    for (const std::string& line : lines_of(home.read("tally"))) ++counts[line];
  return counts;
}

/// "begin 7" of "step[7]".
inline std::string beginning_of(const std::string& task) {
  return "begin " + task.substr(5, task.size() - 6);
}

}  // namespace reprise::integration
