// A worker whose tasks crash, do not stop, or tell about their process.
#include <sys/resource.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <string>
#include <thread>

#include <reprise/reprise.hpp>

inline constexpr auto crash = reprise::task<"odd.crash">(
    [](int n) -> int {
      if (n % 2 == 0) return n;
      std::fputs("an odd number\n", stderr);
      std::abort();
    },
    {.names = {"n"}});
inline constexpr auto process =
    reprise::task<"odd.process">([]() -> std::int64_t { return ::getpid(); });
inline constexpr auto spin = reprise::task<"odd.spin">([](std::string file) -> std::int64_t {
  if (std::FILE* out = std::fopen(file.c_str(), "w")) {
    std::fprintf(out, "%d\n", static_cast<int>(::getpid()));
    std::fclose(out);
  }
  for (;;) std::this_thread::sleep_for(std::chrono::milliseconds(10));
});
inline constexpr auto wrong = reprise::task<"odd.crash">(
    [](std::string n) -> int { return static_cast<int>(n.size()); }, {.names = {"n"}});

int main(int argc, char** argv) {
  if (std::getenv("ODD_WRONG") != nullptr) return reprise::worker_main(argc, argv, wrong);
  return reprise::worker_main(argc, argv, crash, process, spin);
}
