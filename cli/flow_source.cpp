#include "cli/flow_source.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <utility>

#include <fmt/format.h>

#include "cli/text.hpp"
#include "core/assignment.hpp"
#include "flow/diagnostics.hpp"
#include "flow/file_parameters.hpp"
#include "flow/input_file.hpp"
#include "flow/selection.hpp"
#include "flow/yaml.hpp"
#include "worker/functions.hpp"
#include "worker/plugin.hpp"

namespace reprise::cli {
namespace {

Error with_context(const Error& error, std::string_view what) {
  return {error.code, fmt::format("{}: {}", what, error.message)};
}

const Parameter* find_parameter(const FlowSpec& flow, std::string_view name) {
  for (const Parameter& parameter : flow.parameters)
    if (parameter.name == name) return &parameter;
  return nullptr;
}

/// Where commands are given is where people mean their files to be. Choices are paths as the flow
/// says them, from its own folder.
Result<Payload> given_by_text(const Parameter& parameter, const std::string& text) {
  if (parameter.type != "file" || !parameter.choices.empty() || text.empty())
    return parse_parameter(parameter, text);
  std::error_code error;
  const auto path = std::filesystem::absolute(text, error);
  if (error) return fail(ErrorCode::io, "the current directory cannot be told: " + error.message());
  return parse_parameter(parameter, path.lexically_normal().string());
}

/// That files cannot be read is said before anything is started.
Status check_file(const FlowSpec& flow, const std::filesystem::path& path) {
  const auto place = place_of(flow, path);
  if (!place) return tl::unexpected(place.error());
  const std::string shown = escape_for_terminal(place->string());
  struct stat info {};
  if (::stat(place->c_str(), &info) != 0 || ::access(place->c_str(), R_OK) != 0)
    return tl::unexpected(system_error(fmt::format("cannot read \"{}\"", shown), errno));
  if (!S_ISREG(info.st_mode))
    return fail(ErrorCode::invalid_argument, fmt::format("\"{}\" is no regular file", shown));
  return {};
}

Status read_file(const FlowSpec& flow, const std::string& path, Parameters& result) {
  const auto text = read_input(path);
  if (!text) return tl::unexpected(text.error());
  std::vector<Diagnostic> diagnostics;
  const auto document = yaml::Document::parse(*text, diagnostics);
  if (!diagnostics.empty() || !document.root() || !document.root()->is_mapping()) {
    const std::string why =
        diagnostics.empty() ? "it is no map of names to values" : diagnostics.front().message;
    const std::uint32_t line = diagnostics.empty() ? 1 : diagnostics.front().span.line;
    return fail(ErrorCode::invalid_argument,
                fmt::format("parameter file \"{}\"{}: {}", escape_for_terminal(path),
                            line == 0 ? "" : fmt::format(" line {}", line), why));
  }
  for (const yaml::Entry& entry : document.root()->entries) {
    const Parameter* parameter = find_parameter(flow, entry.key->text);
    // A scalar is read as the parameter's type wants it, so that 30 is fine for a float.
    const bool as_text = parameter && entry.value->is_scalar() && parameter->type != "any" &&
                         parameter->type != "list";
    auto payload = as_text ? given_by_text(*parameter, entry.value->text)
                           : Payload::of(yaml::to_value(*entry.value));
    if (!payload)
      return tl::unexpected(with_context(
          payload.error(), fmt::format("parameter file \"{}\"", escape_for_terminal(path))));
    result[entry.key->text] = std::move(*payload);
  }
  return {};
}

/// The functions that a flow file may call: those this program has.
std::map<std::string, Signature, std::less<>> known_functions() {
  worker::FunctionTable table;
  worker::add_builtins(table);
  std::map<std::string, Signature, std::less<>> signatures;
  for (const std::string& id : table.ids())
    if (const auto function = table.find(id)) signatures[id] = function->signature;
  return signatures;
}

std::string json_path(const std::string& path) {
  return path == "-" ? "<stdin>" : path;
}

}  // namespace

Result<std::shared_ptr<worker::FunctionPool>> function_pool(
    const std::vector<std::string>& plugins, Duration grace,
    std::shared_ptr<worker::Enforcement> enforcement) {
  worker::FunctionPool::Options options;
  for (const std::string& plugin : plugins) {
    auto path = worker::check_plugin(plugin);
    if (!path) return tl::unexpected(path.error());
    options.plugins.push_back(path->string());
  }
  options.grace = grace;
  options.enforcement = std::move(enforcement);
  return worker::FunctionPool::open(std::move(options));
}

Result<std::vector<worker::KnownFunction>> plugin_functions(
    const std::vector<std::string>& plugins) {
  if (plugins.empty()) return std::vector<worker::KnownFunction>{};
  auto pool = function_pool(plugins, Duration{0});
  if (!pool) return tl::unexpected(pool.error());
  return (*pool)->functions();
}

Result<LoadOptions> load_options(const SourceOptions& source) {
  LoadOptions options;
  options.trace_options_given = !source.mode.empty() || source.scale || !source.touches.empty();
  if (!source.mode.empty())
    options.trace.mode = trace_mode_from(source.mode).value_or(TraceMode::hash);
  if (source.scale) options.trace.scale = *source.scale;
  for (const std::string& text : source.touches) {
    auto touch = parse_assignment(text, "--touch");
    if (!touch) return tl::unexpected(touch.error());
    if (!options.trace.touch.emplace(touch->name, touch->value).second)
      return fail(ErrorCode::invalid_argument,
                  fmt::format("--touch names task \"{}\" twice", escape_for_terminal(touch->name)));
  }
  auto functions = known_functions();
  for (const worker::KnownFunction& each : source.functions)
    functions.emplace(each.id(), each.signature);
  options.flow_file.functions = std::move(functions);
  options.flow_file.missing_function = source.missing_function;
  return options;
}

Mistakes mistakes_of(const LoadFailure& failure, const std::string& path) {
  Mistakes result;
  std::size_t errors = 0;
  const Diagnostic* first = nullptr;
  for (const Diagnostic& diagnostic : failure.mistakes) {
    if (diagnostic.severity != Diagnostic::Severity::error) continue;
    ++errors;
    if (!first) first = &diagnostic;
  }
  result.error.code = ErrorCode::invalid_argument;
  result.error.message =
      fmt::format("\"{}\": {}", escape_for_terminal(json_path(path)),
                  first ? escape_for_terminal(first->message) : "cannot be read");
  if (errors > 1)
    result.error.message += fmt::format(" (and {} more)", counted(errors - 1, "mistake"));
  result.errors = Json::parse(to_json(failure.mistakes, json_path(path)), nullptr, false);
  return result;
}

tl::expected<LoadedFlow, int> load_source(const SourceOptions& source, Console& console) {
  auto options = load_options(source);
  if (!options) return tl::unexpected(console.fail(options.error(), exit_invalid));
  auto loaded = load_flow(source.path, *options);
  if (!loaded) {
    const LoadFailure& failure = loaded.error();
    console.complain(
        render(failure.mistakes, failure.file_name, failure.text, console.err_style().colored));
    const Mistakes mistakes = mistakes_of(failure, source.path);
    console.problem_only(mistakes.error, exit_invalid, mistakes.errors);
    return tl::unexpected(static_cast<int>(exit_invalid));
  }
  if (!loaded->warnings.empty() && !console.is_quiet())
    console.complain(render(loaded->warnings, json_path(source.path), loaded->text,
                            console.err_style().colored));
  if (!source.only.empty()) {
    auto part = only(loaded->flow, source.only);
    if (!part) {
      part.error().message = "--only: " + part.error().message;
      return tl::unexpected(console.fail(part.error(), exit_invalid));
    }
    loaded->flow = *std::move(part);
  }
  return std::move(*loaded);
}

Result<Parameters> read_parameters(const FlowSpec& flow,
                                   const std::vector<std::string>& assignments,
                                   const std::vector<std::string>& files, Parameters below) {
  Parameters result = std::move(below);
  for (const std::string& file : files)
    if (const auto status = read_file(flow, file, result); !status)
      return tl::unexpected(status.error());
  for (const std::string& text : assignments) {
    const auto assignment = parse_assignment(text, "-p");
    if (!assignment) return tl::unexpected(assignment.error());
    const Parameter* parameter = find_parameter(flow, assignment->name);
    // An unknown one is kept as text: binding says what is wrong with it, with a suggestion.
    auto payload = parameter ? given_by_text(*parameter, assignment->value)
                             : Payload::of(Value(assignment->value));
    if (!payload) return tl::unexpected(payload.error());
    result[assignment->name] = std::move(*payload);
  }
  auto bound = bind_parameters(flow, result);
  if (!bound) return tl::unexpected(bound.error());
  const auto file_at = [&](const std::filesystem::path& path) -> Result<FileValue> {
    if (Status there = check_file(flow, path); !there) return tl::unexpected(there.error());
    return FileValue{};  // its content is for whoever runs the flow
  };
  if (Status put = put_files(flow, *bound, file_at); !put) return tl::unexpected(put.error());
  return result;
}

}  // namespace reprise::cli
