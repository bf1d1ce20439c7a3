// reprise_kernel ITERATIONS STEP POINT [INPUT EXPECTED]…: one task of Task Bench as a command.
// Prints its place; fails when an input is not what it must be. Linked statically: what starting a
// program costs should be the executor's share, not the dynamic linker's.
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "bench/kernel.hpp"

int main(int argc, char** argv) {
  if (argc < 4) return 2;
  for (int i = 4; i + 1 < argc; i += 2)
    if (std::strcmp(argv[i], argv[i + 1]) != 0) return 1;
  const volatile double sum = reprise::bench::compute_bound(std::atoll(argv[1]));
  static_cast<void>(sum);
  std::printf("%s %s", argv[2], argv[3]);
  return 0;
}
