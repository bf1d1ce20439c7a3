#include "core/assert.hpp"

#include <cstdio>
#include <cstdlib>

namespace reprise::detail {

void assertion_failed(const char* condition, const char* file, int line, std::string values) {
  std::fprintf(stderr, "[bug] %s:%d: %s does not hold%s%s\n", file, line, condition,
               values.empty() ? "" : ":", values.c_str());
  std::fflush(stderr);
  std::abort();
}

}  // namespace reprise::detail
