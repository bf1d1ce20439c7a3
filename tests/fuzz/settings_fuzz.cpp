// Files of settings: any bytes give values and mistakes, and every value that is given passes its
// own check.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "core/setting.hpp"

using namespace reprise;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const DecodedSettings read = decode_settings(bytes, "/x/reprise.toml", known_settings());
  for (const SettingValue& value : read.values) {
    const auto known =
        std::ranges::find(known_settings(), std::string_view(value.key), &Setting::key);
    if (known == known_settings().end() || !check_setting(*known, value.text)) std::abort();
  }
  for (const SettingMistake& mistake : read.mistakes)
    if (mistake.error().message.find_first_of("\n\x1b") != std::string::npos) std::abort();
  return 0;
}
