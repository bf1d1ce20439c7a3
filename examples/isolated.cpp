// A task that may crash, in a process of its own: the crash fails its own attempt, the program goes
// on.
//
// init() comes first in main: a process that is started to run `risky` is this program again, and
// does not go beyond it.
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <string>
#include <vector>

#include <reprise/reprise.hpp>

inline constexpr auto risky = reprise::task<"risky.root">(
    [](int n) -> int {
      if (n == 13) {
        std::fputs("thirteen is more than it can bear\n", stderr);
        std::abort();
      }
      return n * n;
    },
    {.isolated = true});

int main(int argc, char** argv) {
  reprise::init(argc, argv, risky);
  for (const int n : {12, 13, 14}) {
    reprise::flow f("risky");
    const auto square = f.call(risky, n);
    const reprise::run r = f.run({.in_memory = true});
    try {
      std::cout << n << ": " << r[square].get() << '\n';
    } catch (const reprise::task_error& e) {
      std::cout << e.what() << '\n';
    }
    (void)r.wait();
  }
}
