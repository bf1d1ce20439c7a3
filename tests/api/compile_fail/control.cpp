#include "common.hpp"

struct plain {
  int x = 0;
};
REPRISE_ADAPT(plain, "plain", 1, x)

inline constexpr auto adapted =
    reprise::task<"adapted">([](const reprise::context&, const plain& p) { return p; });

void build() {
  reprise::flow f("control");
  auto texts = f.constant(std::vector<std::string>{"a"});
  auto sums = f.reduce(merge, f.map(count, texts), words{});
  f.call(top, sums, f.parameter<int>("n", 2));
  f.call(adapted, plain{});
}
