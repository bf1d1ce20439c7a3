// Bytes that a shared log says are a record: decoded, or refused, and what was decoded is a record
// like any other.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "journal/log_record.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace reprise;
  const auto record = journal::decode_log_record({reinterpret_cast<const char*>(data), size});
  if (!record) return 0;
  const auto again = journal::decode_log_record(journal::encode(*record));
  if (!again || !(*again == *record)) std::abort();
  return 0;
}
