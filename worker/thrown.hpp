// What user code threw, in words.
#pragma once

#include <exception>
#include <string>

namespace reprise::worker {

struct Thrown {
  std::string type;  // "std::runtime_error"
  std::string what;  // one line, safe to print
};

[[nodiscard]] Thrown describe(const std::exception& error);

}  // namespace reprise::worker
