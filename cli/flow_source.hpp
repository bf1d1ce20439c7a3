// From what was typed to a flow that can be run: the file, its mistakes, its parameters.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cli/console.hpp"
#include "flow/load.hpp"
#include "worker/function_pool.hpp"

namespace reprise::cli {

struct SourceOptions {
  std::string path;  // "-" = stdin
  std::string mode;  // of a trace; empty = by the file's kind
  std::optional<double> scale;
  std::vector<std::string> touches;  // "TASK=TEXT"
  // What a flow file may call besides this program's own functions.
  std::vector<worker::KnownFunction> functions{};
  FlowFileOptions::Missing missing_function = FlowFileOptions::Missing::mistake;
  std::vector<std::string> only{};  // these tasks and what they need; empty: all
};

/// Processes of this program for functions that are to have one of their own, with these plugins.
/// @error invalid_argument, denied, not_found: a plugin is not to be loaded
[[nodiscard]] Result<std::shared_ptr<worker::FunctionPool>> function_pool(
    const std::vector<std::string>& plugins, Duration grace,
    std::shared_ptr<worker::Enforcement> enforcement = nullptr);
/// The functions of plugins, as processes that have loaded them tell.
[[nodiscard]] Result<std::vector<worker::KnownFunction>> plugin_functions(
    const std::vector<std::string>& plugins);

/// What load_flow() is to know. @error invalid_argument: a --touch that is no assignment
[[nodiscard]] Result<LoadOptions> load_options(const SourceOptions& source);

/// The mistakes in a file, for the problem object.
struct Mistakes {
  Error error;
  Json errors;  // list of single ones, with their places
};
[[nodiscard]] Mistakes mistakes_of(const LoadFailure& failure, const std::string& path);

/// Loads a flow. What is wrong with it is printed here, and the exit code is what comes back
/// instead.
[[nodiscard]] tl::expected<LoadedFlow, int> load_source(const SourceOptions& source,
                                                        Console& console);

/// Parameters from files and from "name=value", which win, in the types that the flow declares.
/// Paths of files become absolute; the files are there.
/// @param below  values for what neither gives
/// @error invalid_argument
[[nodiscard]] Result<Parameters> read_parameters(const FlowSpec& flow,
                                                 const std::vector<std::string>& assignments,
                                                 const std::vector<std::string>& files,
                                                 Parameters below = {});

}  // namespace reprise::cli
