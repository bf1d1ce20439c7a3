// Encoded values that arrive from stores and other processes: any bytes decode to a value or an
// error, and what decodes has one canonical form.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "core/cache_key.hpp"
#include "core/canon.hpp"
#include "core/text.hpp"

using namespace reprise;

namespace {

void require(bool condition) {
  if (!condition) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  if (auto value = decode(bytes)) {
    require(from_json(to_json(*value)).has_value() ||
            size > 64);  // JSON may be deeper than a value
    if (auto canonical = encode(*value)) {
      auto again = decode(*canonical);
      require(again && encode(*again) == canonical);
    }
    (void)as_file(*value);
    (void)as_timestamp(*value);
  }
  if (auto elements = list_elements(bytes)) {
    for (std::string_view element : *elements) require(!element.empty());
  }
  if (auto value = from_json(bytes)) require(encode(*value).has_value());
  if (auto material = Material::decode(bytes)) require(material->encode() == bytes);
  require(is_utf8(escape_for_terminal(bytes)));
  return 0;
}
