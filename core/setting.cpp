#include "core/setting.hpp"

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <tuple>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <toml++/toml.h>

#include "core/text.hpp"
#include "core/time.hpp"

namespace reprise {
namespace {

using Kind = Setting::Kind;

constexpr std::string_view secret_ending = "_file";

std::string_view expected(Kind kind) {
  switch (kind) {
    case Kind::path:
      return "a path in quotes";
    case Kind::word:
      return "a word in quotes";
    case Kind::text:
      return "a text in quotes";
    case Kind::number:
      return "a whole number without quotes";
    case Kind::duration:
      return "a duration in quotes, such as \"30s\"";
    case Kind::secret_file:
      return "the path of a file in quotes";
  }
  return "something else";
}

bool is_path(Kind kind) {
  return kind == Kind::path || kind == Kind::secret_file;
}

class SettingsDecoder {
 public:
  SettingsDecoder(std::string_view file, std::span<const Setting> known)
      : file_(file), known_(known) {}

  DecodedSettings decode(std::string_view text) {
    try {
      const toml::table root = toml::parse(text, file_);
      read(root, "");
    } catch (const toml::parse_error& error) {
      complain(error.source().begin, std::string(error.description()));
    }
    const auto place = [](const auto& each) { return std::tie(each.line, each.column); };
    std::ranges::stable_sort(result_.values, {}, place);
    std::ranges::stable_sort(result_.mistakes, {}, place);
    return std::move(result_);
  }

 private:
  void complain(const toml::source_position& at, std::string what) {
    result_.mistakes.push_back(
        {ErrorCode::invalid_argument, file_, at.line, at.column, std::move(what)});
  }

  void read(const toml::table& table, const std::string& prefix) {
    for (const auto& [name, node] : table) {
      const std::string key = prefix + std::string(name.str());
      const auto setting = std::ranges::find(known_, std::string_view(key), &Setting::key);
      if (setting != known_.end())
        read(*setting, name, node);
      else if (node.is_table() && std::ranges::any_of(known_, [&](const Setting& each) {
                 return each.key.starts_with(key + ".");
               }))
        read(*node.as_table(), key + ".");
      else
        complain_unknown(key, name);
    }
  }

  void complain_unknown(const std::string& key, const toml::key& name) {
    const std::string in_file = key + std::string(secret_ending);
    const bool is_secret = std::ranges::any_of(known_, [&](const Setting& each) {
      return each.kind == Kind::secret_file && each.key == in_file;
    });
    if (is_secret)
      return complain(name.source().begin,
                      fmt::format("secrets are not written here: put \"{}\" into a file of mode "
                                  "0600 and name that by \"{}\"",
                                  key, in_file));
    std::vector<std::string> keys;
    for (const Setting& each : known_) keys.emplace_back(each.key);
    const std::string meant = did_you_mean(key, keys);
    complain(name.source().begin,
             fmt::format("there is no setting \"{}\"{}", key,
                         meant.empty() ? "; `reprise config show` lists them" : meant));
  }

  void read(const Setting& setting, const toml::key& name, const toml::node& node) {
    std::string text;
    const bool wants_number = setting.kind == Kind::number;
    if (const auto* number = node.as_integer(); number != nullptr && wants_number)
      text = std::to_string(number->get());
    else if (const auto* written = node.as_string(); written != nullptr && !wants_number)
      text = written->get();
    else
      return complain(node.source().begin,
                      fmt::format("\"{}\" takes {}", setting.key, expected(setting.kind)));
    auto checked = check_setting(setting, text);
    if (!checked) return complain(node.source().begin, checked.error().message);
    if (is_path(setting.kind))
      *checked = (std::filesystem::path(file_).parent_path() / *checked).lexically_normal();
    result_.values.push_back({std::string(setting.key), std::move(*checked), file_,
                              name.source().begin.line, name.source().begin.column});
  }

  const std::string file_;
  std::span<const Setting> known_;
  DecodedSettings result_;
};

/// `text` as comment lines of at most 100 columns.
std::string as_comment(std::string_view text) {
  constexpr std::size_t columns_max = 98;
  std::string lines, line;
  while (!text.empty()) {
    const std::size_t space = text.find(' ');
    const std::string_view word = text.substr(0, space);
    if (!line.empty() && line.size() + 1 + word.size() > columns_max) {
      lines += "# " + line + "\n";
      line.clear();
    }
    line += (line.empty() ? "" : " ") + std::string(word);
    text = space == std::string_view::npos ? std::string_view{} : text.substr(space + 1);
  }
  return line.empty() ? lines : lines + "# " + line + "\n";
}

}  // namespace

Error SettingMistake::error() const {
  const std::string place = line == 0 ? "" : fmt::format(":{}:{}", line, column);
  return {code,
          fmt::format("{}{}: {}", escape_for_terminal(source), place, escape_for_terminal(what))};
}

std::string Setting::variable() const {
  std::string name = "REPRISE_";
  for (const char c : key)
    name += c == '.' ? '_' : c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
  return name;
}

Result<std::string> check_setting(const Setting& setting, std::string_view text) {
  const auto refuse = [&](std::string_view why) {
    return fail(ErrorCode::invalid_argument, fmt::format("\"{}\" is not \"{}\": {}", setting.key,
                                                         escape_for_terminal(text), why));
  };
  switch (setting.kind) {
    case Kind::path:
    case Kind::secret_file:
      if (text.empty()) return refuse("a path is not empty");
      if (text.find('\0') != std::string_view::npos) return refuse("no path holds a zero byte");
      if (text == "~" || text.starts_with("~/"))
        return refuse("\"~\" is not expanded here; write the whole path");
      return std::string(text);
    case Kind::word: {
      if (std::ranges::find(setting.words, text) != setting.words.end()) return std::string(text);
      const std::vector<std::string> words(setting.words.begin(), setting.words.end());
      return refuse(
          fmt::format("it is one of {}{}", fmt::join(words, ", "), did_you_mean(text, words)));
    }
    case Kind::text:
      if (text.empty()) return refuse("it is not empty");
      if (text.find('\0') != std::string_view::npos) return refuse("it holds a zero byte");
      return std::string(text);
    case Kind::number: {
      std::uint64_t number = 0;
      const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
      if (error != std::errc{} || end != text.data() + text.size() || number < setting.least ||
          number > setting.most)
        return refuse(
            fmt::format("it is a whole number from {} to {}", setting.least, setting.most));
      return std::to_string(number);
    }
    case Kind::duration: {
      const auto duration = parse_duration(text);
      if (!duration) return refuse(duration.error().message);
      return std::string(text);
    }
  }
  return refuse("it has no kind");
}

DecodedSettings decode_settings(std::string_view text, std::string_view file,
                                std::span<const Setting> known) {
  return SettingsDecoder(file, known).decode(text);
}

std::string sample_settings(std::span<const Setting> known) {
  std::string text = as_comment(
      "Every setting of reprise, each commented out. The first of these to set one wins: a flag of "
      "the command line, the variable named below, reprise.toml in the folder of the flow or the "
      "nearest one above it, $XDG_CONFIG_HOME/reprise/config.toml (without the variable "
      "~/.config/reprise/config.toml), /etc/reprise/reprise.toml. Relative paths begin at the "
      "folder of the file that sets them. `reprise config show --origin` tells what holds and who "
      "set it; `reprise config show --sample` prints this file.");
  std::string table;
  for (const Setting& setting : known) {
    const std::size_t dot = setting.key.rfind('.');
    const bool is_nested = dot != std::string_view::npos;
    const std::string_view name = is_nested ? setting.key.substr(dot + 1) : setting.key;
    if (const std::string_view in = is_nested ? setting.key.substr(0, dot) : ""; in != table) {
      table = in;
      text += fmt::format("\n#[{}]\n", table);
    }
    text += "\n" + as_comment(setting.meaning) + as_comment(setting.trade_off);
    text += as_comment(fmt::format("Variable: {}. Default: {}.", setting.variable(),
                                   setting.standard.empty() ? setting.computed : setting.standard));
    const std::string_view shown = setting.standard.empty() ? setting.example : setting.standard;
    text += setting.kind == Kind::number ? fmt::format("#{} = {}\n", name, shown)
                                         : fmt::format("#{} = \"{}\"\n", name, shown);
  }
  return text;
}

}  // namespace reprise
