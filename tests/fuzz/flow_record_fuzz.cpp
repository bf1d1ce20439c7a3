// Flow records as journals and other processes hand them over: any bytes decode to a flow that
// holds together or an error.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "flow/flow_spec.hpp"

using namespace reprise;

namespace {

void require(bool condition) {
  if (!condition) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  auto flow = FlowSpec::decode({reinterpret_cast<const char*>(data), size});
  if (!flow) return 0;
  require(check(*flow).has_value());
  const std::string bytes = flow->encode();
  auto again = FlowSpec::decode(bytes);
  require(again && again->encode() == bytes);
  (void)bind_parameters(*flow, {});
  return 0;
}
