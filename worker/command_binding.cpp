// The pure half of command.hpp: what a command's templates come to, without touching a file.
#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include "core/text.hpp"
#include "flow/argument_scope.hpp"
#include "flow/template.hpp"
#include "worker/attempt_folders.hpp"
#include "worker/command.hpp"

namespace reprise::worker {

namespace fs = std::filesystem;

namespace {

constexpr std::string_view default_path =
    "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
constexpr std::array<std::string_view, 4> inherited_names{"PATH", "HOME", "LANG", "TZ"};

Error with_context(std::string_view what, const Error& error) {
  return {error.code, fmt::format("{}: {}", what, error.message)};
}

Result<InputFile> evaluate_input_file(const Template& text, const expression::Scope& scope) {
  auto value = [&]() -> Result<expression::Evaluated> {
    auto parsed = TemplateText::parse(text.text);
    if (!parsed) return fail(ErrorCode::invalid_argument, parsed.error().message);
    return parsed->value(scope);
  }();
  if (!value) return tl::unexpected(with_context("input file", value.error()));
  if (is_file(value->value)) {
    auto file = as_file(value->value);
    if (!file) return tl::unexpected(file.error());
    return InputFile{is_inner_path(value->hint) ? value->hint : "file", *file};
  }
  const auto* path = value->value.get_if<std::string>();
  if (path == nullptr || path->empty() || path->find('\0') != std::string::npos) {
    return fail(ErrorCode::invalid_argument,
                fmt::format("input file \"{}\" is neither a path nor a file",
                            escape_for_terminal(text.text)));
  }
  // "./data/x" is "data/x"; what lies elsewhere keeps its own name only.
  fs::path normal = fs::path(*path).lexically_normal();
  if (!normal.has_filename()) normal = normal.parent_path();  // "data/" is the folder "data"
  const std::string name =
      is_inner_path(normal.string()) ? normal.string() : normal.filename().string();
  return InputFile{name, fs::path(*path)};
}

// ---- values as files
// ----------------------------------------------------------------------------------------------

using NamedFiles = std::vector<std::pair<std::string, FileValue>>;

// The output files of a command's result, or the file itself; nothing for other values.
std::optional<NamedFiles> files_of(const Value& value) {
  NamedFiles files;
  if (is_file(value)) {
    const auto file = as_file(value);
    if (!file) return std::nullopt;
    files.emplace_back("file", *file);
    return files;
  }
  const Value* outputs = value.find("outputs");
  const Map* map =
      outputs != nullptr && value.find("exit") != nullptr ? outputs->get_if<Map>() : nullptr;
  if (map == nullptr) return std::nullopt;
  for (const auto& [name, output] : *map) {
    const auto* path = name.get_if<std::string>();
    const auto file = as_file(output);
    if (path == nullptr || !file) return std::nullopt;
    files.emplace_back(*path, *file);
  }
  return files;
}

// The files of a list of results, each below its index; nothing unless all are files.
std::optional<NamedFiles> files_of_list(const Value& value) {
  const List* list = value.get_if<List>();
  if (list == nullptr || list->empty()) return std::nullopt;
  NamedFiles all;
  for (std::size_t i = 0; i < list->size(); ++i) {
    const auto files = files_of((*list)[i]);
    if (!files || files->empty()) return std::nullopt;
    for (const auto& [name, file] : *files) {
      all.emplace_back(is_file((*list)[i]) ? std::to_string(i) : fmt::format("{}/{}", i, name),
                       file);
    }
  }
  return all;
}

// Where a command finds an input: a file, a folder of files, or the value as JSON.
std::string place_input(BoundCommand& command, const Value& value) {
  Staging& staging = command.staging;
  const auto inside = [&](const std::string& path) { return (command.folder / path).string(); };
  if (const auto files = files_of(value); files && !files->empty()) {
    return inside(files->size() == 1 ? staging.add_file(files->front().second, files->front().first)
                                     : staging.add_folder(*files));
  }
  if (const auto files = files_of_list(value)) return inside(staging.add_folder(*files));
  command.values.push_back(to_json(value) + "\n");
  return value_file(command.folder, command.values.size() - 1).string();
}

Result<std::string> item_text(const Value& item, const expression::FileText& file_text) {
  const bool is_compound = item.get_if<List>() != nullptr || item.get_if<Map>() != nullptr;
  return is_compound ? Result<std::string>(to_json(item))
                     : expression::to_text(item, "file", file_text);
}

Status expose(const Attempt& attempt, BoundCommand& command,
              const expression::FileText& file_text) {
  bool has_item = false;
  for (const ExposedInput& input : exposed_inputs(attempt)) {
    if (input.variable.empty()) continue;
    const auto value = input.value->is_none() ? Result<Value>(Value{}) : input.value->value();
    if (!value)
      return tl::unexpected(with_context(fmt::format("input \"{}\"", input.name), value.error()));
    if (!input.is_item) {
      command.environment[input.variable] = place_input(command, *value);
      continue;
    }
    auto text = item_text(*value, file_text);
    if (!text) return tl::unexpected(text.error());
    if (text->size() > variable_bytes_max) continue;
    if (!std::exchange(has_item, true)) command.environment["REPRISE_ITEM"] = *text;
    command.environment[input.variable] = *std::move(text);
  }
  return {};
}

bool is_about_run(const Attempt& attempt) {
  return attempt.question && attempt.question->kind == Question::Kind::run_hooks;
}

void describe_attempt(const Attempt& attempt, BoundCommand& command) {
  const std::string run = attempt.context->run.text();
  const std::string unique = fmt::format("{}.{}.{}", run, attempt.task.value, attempt.number);
  auto& environment = command.environment;
  environment["REPRISE_RUN"] = run;
  environment["REPRISE_ATTEMPT"] = unique;
  command.mark = "REPRISE_ATTEMPT=" + unique;
  if (is_about_run(attempt)) return;
  const std::string& name = attempt.context->flow->nodes[attempt.node.value].name;
  environment["REPRISE_TASK"] =
      name.find('\0') == std::string::npos ? name : escape_for_terminal(name);
  environment["REPRISE_RUN_COUNT"] = std::to_string(attempt.run_count);
  if (attempt.map_index >= 0) environment["REPRISE_MAP_INDEX"] = std::to_string(attempt.map_index);
  if (attempt.gpus.empty()) return;
  const std::string gpus = fmt::format("{}", fmt::join(attempt.gpus, ","));
  environment["REPRISE_GPUS"] = gpus;
  environment["CUDA_VISIBLE_DEVICES"] = gpus;
}

Environment allowed(const Environment& inherited, const CachePolicy& cache) {
  Environment environment;
  const auto take = [&](const std::string& name) {
    if (const auto found = inherited.find(name); found != inherited.end())
      environment.insert(*found);
  };
  for (const std::string_view name : inherited_names) take(std::string(name));
  for (const std::string& name : cache.environment) take(name);
  environment.emplace("PATH", default_path);
  return environment;
}

Status check_texts(const BoundCommand& command) {
  for (const std::string& argument : command.arguments) {
    if (argument.find('\0') != std::string::npos) {
      return fail(ErrorCode::invalid_argument,
                  "an argument holds a NUL character, which no program can be given");
    }
  }
  for (const auto& [name, value] : command.environment) {
    if (name.empty() || name.find_first_of(std::string_view("=\0", 2)) != std::string::npos) {
      return fail(
          ErrorCode::invalid_argument,
          fmt::format("\"{}\" is no name of an environment variable", escape_for_terminal(name)));
    }
    if (value.find('\0') != std::string::npos) {
      return fail(ErrorCode::invalid_argument,
                  fmt::format("environment variable \"{}\" holds a NUL character",
                              escape_for_terminal(name)));
    }
  }
  return {};
}

}  // namespace

std::vector<ExposedInput> exposed_inputs(const Attempt& attempt) {
  const FlowSpec& flow = *attempt.context->flow;
  std::vector<ExposedInput> all;
  for (const Input& input : flow.inputs_of(attempt.node)) {
    if (input.source == Input::Source::state_only) continue;
    if (!input.mapped && input.source != Input::Source::upstream) continue;
    const std::string_view name = flow.names[input.name];
    const auto has_name = [&](const auto& other) { return other.name == name; };
    const auto argument =
        std::find_if(attempt.arguments.begin(), attempt.arguments.end(), has_name);
    if (argument == attempt.arguments.end() || std::any_of(all.begin(), all.end(), has_name))
      continue;
    all.push_back({argument->name, &argument->value, input.mapped, {}});
  }
  const auto give = [&](ExposedInput& input, std::string variable) {
    const auto is_same = [&](const auto& other) { return other.variable == variable; };
    if (input.variable.empty() && std::none_of(all.begin(), all.end(), is_same))
      input.variable = std::move(variable);
  };
  const auto variable_of = [](const ExposedInput& input, std::string_view name) {
    return fmt::format("{}{}", input.is_item ? "REPRISE_ITEM_" : "REPRISE_INPUT_", name);
  };
  for (ExposedInput& input : all) {
    if (as_variable(input.name) == input.name) give(input, variable_of(input, input.name));
  }
  for (ExposedInput& input : all) {
    std::string_view name = input.name;
    if (name.ends_with("[]"))
      name.remove_suffix(2);  // its own element, unless all of them are there too
    give(input, variable_of(input, as_variable(name)));
    give(input, variable_of(input, as_variable(input.name)));
  }
  return all;
}

Result<CommandTexts> evaluate_command(const Attempt& attempt, const CommandBody& body,
                                      const expression::FileText& file_text) {
  const ArgumentScope scope(attempt.arguments, attempt.context->parameters);
  expression::Options options;
  options.file_text = file_text;
  CommandTexts texts;
  for (const Template& argument : body.argv) {
    auto values = evaluate_arguments(argument.text, scope, options);
    if (!values) return tl::unexpected(with_context("argument", values.error()));
    std::move(values->begin(), values->end(), std::back_inserter(texts.arguments));
  }
  if (body.argv.empty()) {
    auto script = evaluate_text(body.script.text, scope, options);
    if (!script) return tl::unexpected(with_context("script", script.error()));
    texts.script = *std::move(script);
  }
  for (const auto& [name, text] : body.environment) {
    auto value = evaluate_text(text.text, scope, options);
    if (!value) {
      const std::string what =
          fmt::format("environment variable \"{}\"", escape_for_terminal(name));
      return tl::unexpected(with_context(what, value.error()));
    }
    texts.environment.emplace(name, *std::move(value));
  }
  for (const Template& file : body.input_files) {
    auto input = evaluate_input_file(file, scope);
    if (!input) return tl::unexpected(input.error());
    // What runs in the flow's folder reads what is there.
    const auto* path = std::get_if<fs::path>(&input->source);
    if (path != nullptr && !body.in_flow_folder) {
      const auto& brought = attempt.context->files;
      if (const auto found = brought.find(path->lexically_normal().string());
          found != brought.end())
        input->source = found->second;
    }
    texts.files.push_back(*std::move(input));
  }
  return texts;
}

bool is_flow_program(std::string_view program) {
  return !program.starts_with('/') && program.find('/') != std::string_view::npos;
}

Result<BoundCommand> bind_command(const Attempt& attempt, const CommandBody& body, fs::path folder,
                                  const Environment& inherited) {
  const FlowSpec& flow = *attempt.context->flow;
  if (flow.folder.empty() && body.in_flow_folder) {
    return fail(ErrorCode::invalid_argument, "the flow has no folder to run in");
  }
  BoundCommand command;
  command.folder = std::move(folder);
  command.working_folder = body.in_flow_folder ? fs::path(flow.folder) : command.folder;
  // Relative where it can be: programs print the names they were given, and results shall not
  // differ from run to run.
  const expression::FileText file_text = [&](const FileValue& file, std::string_view hint) {
    std::string path = command.staging.add_file(file, hint);
    return body.in_flow_folder ? (command.folder / path).string() : path;
  };
  auto texts = evaluate_command(attempt, body, file_text);
  if (!texts) return tl::unexpected(texts.error());
  for (const InputFile& file : texts->files) {
    if (const auto* path = std::get_if<fs::path>(&file.source)) {
      if (body.in_flow_folder) continue;
      const fs::path from = path->is_absolute() ? *path : fs::path(flow.folder) / *path;
      if (flow.folder.empty() && !path->is_absolute()) {
        return fail(ErrorCode::invalid_argument,
                    fmt::format("input file \"{}\": the flow has no folder; give the whole path",
                                escape_for_terminal(path->string())));
      }
      if (auto added = command.staging.add_at(file.name, Staging::Place::Local{from}); !added) {
        return tl::unexpected(added.error());
      }
    } else if (auto added = command.staging.add_at(file.name, std::get<FileValue>(file.source));
               !added) {
      return tl::unexpected(added.error());
    }
  }
  command.arguments = std::move(texts->arguments);
  if (body.argv.empty()) command.arguments = {"/bin/sh", "-eu", "-c", std::move(texts->script)};

  command.environment = allowed(inherited, flow.kind_of(attempt.node).cache);
  for (auto& [name, value] : texts->environment) command.environment[name] = std::move(value);
  if (auto exposed = expose(attempt, command, file_text); !exposed)
    return tl::unexpected(exposed.error());
  describe_attempt(attempt, command);
  if (auto checked = check_texts(command); !checked) return tl::unexpected(checked.error());
  return command;
}

}  // namespace reprise::worker
