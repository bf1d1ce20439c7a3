#include "cache/value_files.hpp"

#include <cstdint>

namespace reprise::cache {
namespace {

void collect(const Value& value, std::vector<FileValue>& files) {
  if (is_file(value)) {
    if (const auto file = as_file(value)) files.push_back(*file);
  } else if (const Map* map = value.get_if<Map>()) {
    for (const auto& [key, item] : *map) {
      collect(key, files);
      collect(item, files);
    }
  } else if (const List* list = value.get_if<List>()) {
    for (const Value& item : *list) collect(item, files);
  }
}

// A file is ext 5 over [32 bytes, size, flag]: 37 to 45 bytes behind "ext 8". Other bytes may look
// like it; a value then is decoded for nothing.
bool may_hold_files(std::string_view bytes) {
  for (std::size_t at = bytes.find('\xc7'); at != std::string_view::npos && at + 2 < bytes.size();
       at = bytes.find('\xc7', at + 1)) {
    const auto size = static_cast<std::uint8_t>(bytes[at + 1]);
    if (bytes[at + 2] == 5 && size >= 37 && size <= 45) return true;
  }
  return false;
}

}  // namespace

std::vector<FileValue> files_in(const Value& value) {
  std::vector<FileValue> files;
  collect(value, files);
  return files;
}

std::vector<FileValue> files_in(const Payload& value) {
  if (value.is_none() || !value.is_at_hand() || !may_hold_files(value.view())) return {};
  const auto decoded = value.value();
  return decoded ? files_in(*decoded) : std::vector<FileValue>();
}

}  // namespace reprise::cache
