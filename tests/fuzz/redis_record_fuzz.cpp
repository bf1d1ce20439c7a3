// Records and values as they lie in a server that anybody may write to.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "cache/redis_record.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  if (const auto found = reprise::cache::RedisRecord::decode(bytes)) {
    const std::string encoded = found->encode();
    const auto again = reprise::cache::RedisRecord::decode(encoded);
    if (!again || again->encode() != encoded) std::abort();
  }
  if (size > 2 && data[0] < 64) {  // a frame may become what it claims: keep claims small
    const auto value = reprise::cache::decode_value(bytes.substr(1), data[0] * 16u);
    if (value && value->size() != data[0] * 16u) std::abort();
  }
  return 0;
}
