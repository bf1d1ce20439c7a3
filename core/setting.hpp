// Settings as data: which there are, and how a file that sets them is read. Pure: text in, values
// and mistakes out; where the files are is known to core/configuration.hpp.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.hpp"

namespace reprise {

/// One row of a table of settings. The table makes the decoder, the sample file, the names of the
/// variables and the completions.
struct Setting {
  enum class Kind : std::uint8_t {
    path,         // relative to the folder of the file that sets it
    word,         // one of `words`
    text,         // any, not empty
    number,       // whole, from `least` to `most`
    duration,     // "250ms", "1h30m"
    secret_file,  // path of a file that nobody else may read; ends in "_file"
  };

  std::string_view key;  // "slots"; "link.port" for `port` in the table [link]
  Kind kind = Kind::path;
  std::string_view meaning;   // with its unit; one or more sentences
  std::string_view standard;  // the default as it would be written; empty = none or computed
  std::string_view computed;  // how the default is found when `standard` is empty
  std::string_view example;   // for the sample file when `standard` is empty
  std::string_view trade_off;
  std::vector<std::string_view> words{};
  std::uint64_t least = 0;
  std::uint64_t most = 0;

  /// The variable that sets it: REPRISE_SLOTS, REPRISE_LINK_PORT.
  [[nodiscard]] std::string variable() const;
};

/// Everything that can be set, in the order of the sample file.
[[nodiscard]] std::span<const Setting> known_settings();

/// A setting's value, checked, and who gave it.
struct SettingValue {
  std::string key;
  std::string text;        // as a flag of the command line would take it; paths are absolute
  std::string source;      // file, or name of a variable
  std::uint32_t line = 0;  // of a file, from 1; 0 = no file
  std::uint32_t column = 0;
  bool operator==(const SettingValue&) const = default;
};

/// What is wrong with a setting, and where.
struct SettingMistake {
  ErrorCode code = ErrorCode::invalid_argument;
  std::string source;      // file, or name of a variable
  std::uint32_t line = 0;  // of a file, from 1; 0 = all of it, or no file
  std::uint32_t column = 0;
  std::string what;

  /// "FILE:LINE:COLUMN: what", printable.
  [[nodiscard]] Error error() const;
};

struct DecodedSettings {
  std::vector<SettingValue> values;
  std::vector<SettingMistake> mistakes;  // all of them; both in order of the file
};

/// Reads the text of a settings file (TOML 1.0).
/// @param file    absolute path, for messages and for relative paths; not opened
[[nodiscard]] DecodedSettings decode_settings(std::string_view text, std::string_view file,
                                              std::span<const Setting> known);

/// Checks the text of one setting, as given in a variable.
/// @return the text; @error invalid_argument: what is wrong with it, without saying where it is
[[nodiscard]] Result<std::string> check_setting(const Setting& setting, std::string_view text);

/// A sample file: every setting with its meaning, default and trade-off, each commented out.
[[nodiscard]] std::string sample_settings(std::span<const Setting> known);

}  // namespace reprise
