// Programs that benchmarks start.
#pragma once

#include <string>
#include <vector>

#include <sys/types.h>

namespace reprise::bench {

/// Runs a program and waits; its output goes to /dev/null. @return wall seconds; aborts on a
/// non-zero exit
double run_program(const std::vector<std::string>& argv);

/// A program in the background; the destructor asks it to end, and kills it when it does not.
class Background {
 public:
  /// @param log  file that takes what it writes
  Background(const std::vector<std::string>& argv, const std::string& log);
  ~Background();
  Background(const Background&) = delete;
  Background& operator=(const Background&) = delete;

 private:
  pid_t process_ = -1;
};

}  // namespace reprise::bench
