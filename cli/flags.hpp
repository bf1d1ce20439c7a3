// Flags: kinds of them, with what is said of a value that they do not take, and those that several
// commands have.
#pragma once

#include <charconv>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "cli/command_tree.hpp"
#include "core/text.hpp"

namespace reprise::cli {

template <class T>
using Choices = std::vector<std::pair<std::string, T>>;

/// An option with a closed set of words.
template <class T>
CLI::Option* add_choice(CLI::App& app, const std::string& name, T& target,
                        const Choices<T>& choices, std::string help) {
  std::string words;
  for (const auto& [word, value] : choices) words += (words.empty() ? "" : "|") + word;
  return app
      .add_option_function<std::string>(
          name,
          [&target, choices, name](const std::string& text) {
            std::vector<std::string> known;
            for (const auto& [word, value] : choices) {
              if (word == text) {
                target = value;
                return;
              }
              known.push_back(word);
            }
            throw CLI::ValidationError(
                name, fmt::format("\"{}\" is none of {}{}", escape_for_terminal(text),
                                  fmt::join(known, ", "), did_you_mean(text, known)));
          },
          std::move(help))
      ->type_name(words);
}

template <class T>
CLI::Option* add_duration(CLI::App& app, const std::string& name, T& target, std::string help) {
  return app
      .add_option_function<std::string>(
          name,
          [&target, name](const std::string& text) {
            const auto duration = parse_duration(text);
            if (!duration) throw CLI::ValidationError(name, duration.error().message);
            target = *duration;
          },
          std::move(help))
      ->type_name("DURATION");
}

/// A whole number within bounds.
template <class T>
CLI::Option* add_number(CLI::App& app, const std::string& name, T& target, std::uint64_t least,
                        std::uint64_t most, std::string help) {
  return app
      .add_option_function<std::string>(
          name,
          [&target, name, least, most](const std::string& text) {
            std::uint64_t number = 0;
            const auto [end, error] =
                std::from_chars(text.data(), text.data() + text.size(), number);
            if (error != std::errc{} || end != text.data() + text.size() || number < least ||
                number > most)
              throw CLI::ValidationError(name,
                                         fmt::format("\"{}\" is no whole number from {} to {}",
                                                     escape_for_terminal(text), least, most));
            target = static_cast<
                typename std::conditional_t<std::is_integral_v<T>, std::type_identity<T>,
                                            std::type_identity<std::uint32_t>>::type>(number);
          },
          std::move(help))
      ->type_name("N");
}

/// A size in bytes, as 20GiB.
CLI::Option* add_bytes(CLI::App& app, const std::string& name, std::optional<std::uint64_t>& target,
                       std::string help);

/// May be repeated, with one value each time.
CLI::Option* add_list(CLI::App& app, const std::string& name, std::vector<std::string>& target,
                      std::string type, std::string help);

/// When the flag is not given, the setting of that name holds.
void bind(CommandLine& line, CLI::Option* option, std::string_view key);

// ---- those that several commands have

/// What `--cache` and `--durability` take.
extern const Choices<CacheMode> cache_modes;
extern const Choices<Durability> durabilities;

/// How much more urgent the tasks are than others.
CLI::Option* add_priority(CLI::App& app, std::int32_t& target);
/// What there is for tasks to take. @param label_flag  as a run may have labels, too
void add_machine(CLI::App& app, CommandLine& s, const char* label_flag);
void add_limits(CLI::App& app, CommandLine& s);
/// Which results: by key, task or run.
void add_selection(CLI::App& app, CacheSelectOptions& select);
/// A file to take in.
void add_import(CLI::App& app, ImportOptions& import);
/// Which tasks of a flow, with what they need.
void add_only(CLI::App& app, std::vector<std::string>& tasks);
/// What a flow is made of, besides its file: parameters, and what a recorded trace does.
void add_source(CLI::App& app, std::vector<std::string>& parameters,
                std::vector<std::string>& files, std::string& mode, std::optional<double>& scale,
                std::vector<std::string>& touches);
/// How tasks run in this process.
void add_execution(CLI::App& app, CommandLine& s, unsigned& slots, std::string& out,
                   Durability& durability, Duration& grace, std::string& secrets);
void add_plugins(CLI::App& app, std::vector<std::string>& target);
void add_moment(CLI::App& app, std::string& target);
/// What proves the two ends of a link to each other.
void add_credentials(CLI::App& app, CommandLine& s);
/// For commands that a server can be asked for.
void add_server(CLI::App& app, CommandLine& s);
/// How a program that serves tells of itself.
void add_log(CLI::App& app, ServiceLogOptions& log);

}  // namespace reprise::cli
