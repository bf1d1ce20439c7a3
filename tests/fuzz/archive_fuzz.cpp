// Archives as somebody may send them: any bytes are an archive or an error. The input is an item, a
// row of items to be written and read, or a whole file, by its first byte.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>

#include "cache/archive.hpp"

using namespace reprise;
using namespace reprise::cache;

namespace {

void require(bool condition) {
  if (!condition) std::abort();
}

/// @return whether it was read to its end
bool read_all(std::string_view bytes) {
  auto reader = ArchiveReader::begin([&](char* buffer, std::size_t size) -> Result<std::size_t> {
    const std::size_t some = std::min(size, bytes.size());
    std::memcpy(buffer, bytes.data(), some);
    bytes.remove_prefix(some);
    return some;
  });
  if (!reader) return false;
  for (std::uint64_t total = 0; total < 16 << 20;) {  // a few bytes may become many
    auto item = (*reader)->next();
    if (!item) return false;
    if (!*item) return true;
    total += encode_item(**item).size();
  }
  return false;
}

void read_item(std::string_view bytes) {
  const auto item = decode_item(bytes);
  if (!item) return;
  const std::string encoded = encode_item(*item);
  const auto again = decode_item(encoded);
  require(again.has_value() && encode_item(*again) == encoded);
}

/// Frames as a program that means harm would write them: whole, with the right digest at the end.
void read_frames(std::string_view bytes) {
  std::string file;
  auto writer = ArchiveWriter::begin(
      [&](std::string_view part) {
        file += part;
        return Status();
      },
      ArchiveContent::runs);
  require(writer.has_value());
  while (bytes.size() > 2) {
    const std::size_t size =
        std::min<std::size_t>(bytes.size() - 2, static_cast<std::uint8_t>(bytes[0]) << 8 |
                                                    static_cast<std::uint8_t>(bytes[1]));
    if (const auto item = decode_item(bytes.substr(2, size)))
      require((*writer)->add(*item).has_value());
    bytes.remove_prefix(2 + size);
  }
  require((*writer)->finish().has_value());
  (void)read_all(file);
  require(!read_all(std::string_view(file).substr(0, file.size() - 1)));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  if (size == 0) return 0;
  if (data[0] == 0x89) {
    (void)read_all(bytes);
  } else if (data[0] % 2 == 0) {
    read_item(bytes.substr(1));
  } else {
    read_frames(bytes.substr(1));
  }
  (void)files_named_in(bytes);
  return 0;
}
