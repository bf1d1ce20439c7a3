// Bytes that a journal says are a batch: decoded, or refused, and what was decoded is a batch like
// any other.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "journal/records.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace reprise;
  const auto batch = journal::decode(RunId{}, {reinterpret_cast<const char*>(data), size});
  if (!batch) return 0;
  const auto again = journal::decode(RunId{}, journal::encode(*batch));
  if (!again || !(*again == *batch)) std::abort();
  return 0;
}
