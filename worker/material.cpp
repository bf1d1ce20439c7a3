#include "worker/material.hpp"

#include <algorithm>
#include <fstream>
#include <iterator>
#include <optional>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

#include <fmt/format.h>

#include "core/canon.hpp"
#include "core/failure.hpp"
#include "core/text.hpp"
#include "flow/argument_scope.hpp"
#include "flow/template.hpp"
#include "worker/code_digest.hpp"
#include "worker/command.hpp"
#include "worker/shell_tokens.hpp"

namespace reprise::worker {

namespace fs = std::filesystem;

namespace {

using Arguments = std::map<std::string, Digest>;

constexpr std::string_view platform = "linux-x86_64";

Result<Digest> digest_of(const Value& value) {
  auto bytes = encode(value);
  if (!bytes) return tl::unexpected(bytes.error());
  return digest_in("arg", *bytes);
}

// Kinds are few and attempts many. A kind is recognised by its address and then compared, since
// another flow may have taken its place in memory.
Digest signature_digest(const TaskKind& kind, const Signature& signature) {
  thread_local std::unordered_map<const TaskKind*, std::pair<Signature, Digest>> known;
  constexpr std::size_t known_max = 1024;
  if (const auto found = known.find(&kind);
      found != known.end() && found->second.first == signature) {
    return found->second.second;
  }
  if (known.size() >= known_max) known.clear();
  const Digest digest = signature.digest();
  known.insert_or_assign(&kind, std::pair{signature, digest});
  return digest;
}

// The signature with a command's output files, unless whoever made the flow has put them there.
Signature with_outputs(const TaskKind& kind, const CommandBody& body) {
  Signature signature = kind.signature;
  if (!signature.outputs.empty()) return signature;
  for (const std::string& path : body.outputs) signature.outputs.emplace_back(path, "file");
  return signature;
}

// ---- texts with files in them
// ---------------------------------------------------------------------------------------

// Stands in for the text of a file while templates are evaluated, and is found again afterwards:
// "NUL number NUL". A text that holds a NUL of its own cannot be an argument, so the command never
// runs and has no result to confuse.
class FileMarks {
 public:
  [[nodiscard]] std::string add(const FileValue& file) {
    files_.push_back(file);
    return fmt::format("{}{}{}", '\0', files_.size() - 1, '\0');
  }

  // The text itself; the file that it is; or, where a file is a part of it, the tuple of its parts.
  [[nodiscard]] Result<Value> restore(std::string_view text) const {
    List parts;
    std::size_t at = 0;
    while (at < text.size()) {
      const std::size_t begin = std::min(text.find('\0', at), text.size());
      if (begin > at) parts.emplace_back(text.substr(at, begin - at));
      if (begin == text.size()) break;
      const std::size_t end = text.find('\0', begin + 1);
      const auto file = end == std::string_view::npos
                            ? std::nullopt
                            : number(text.substr(begin + 1, end - begin - 1));
      if (!file) return fail(ErrorCode::invalid_argument, "a text holds a NUL character");
      parts.push_back(files_[*file].to_value());
      at = end + 1;
    }
    if (parts.empty()) return Value(text);
    if (parts.size() == 1) return std::move(parts[0]);
    auto bytes = encode(Value(std::move(parts)));
    if (!bytes) return tl::unexpected(bytes.error());
    return Value(Ext{1, *std::move(bytes)});
  }

 private:
  [[nodiscard]] std::optional<std::size_t> number(std::string_view digits) const {
    std::size_t value = 0;
    for (const char c : digits) {
      if (c < '0' || c > '9') return std::nullopt;
      value = value * 10 + static_cast<std::size_t>(c - '0');
      if (value >= files_.size()) return std::nullopt;
    }
    return digits.empty() ? std::nullopt : std::optional(value);
  }

  std::vector<FileValue> files_;
};

// Not every argument is text in UTF-8.
Value text_value(std::string_view text) {
  return is_utf8(text) ? Value(text) : Value(Bytes{std::string(text)});
}

// Whether a text counts byte by byte, or by its tokens as a shell script.
enum class Reading : std::uint8_t { bytes, tokens };

Result<Value> restored(std::string_view text, const FileMarks& marks) {
  return text.find('\0') == std::string_view::npos ? Result<Value>(text_value(text))
                                                   : marks.restore(text);
}

Result<Value> script_value(const std::string& script, const FileMarks& marks, Reading reading) {
  if (reading == Reading::bytes) return restored(script, marks);
  const ShellTokens tokens = shell_tokens(script);
  List words;
  for (const std::string& word : tokens.words) {
    auto value = restored(word, marks);
    if (!value) return value;
    words.push_back(*std::move(value));
  }
  auto rest = restored(tokens.rest, marks);
  if (!rest) return rest;
  return tuple_value({Value("sh"), Value(std::move(words)), *std::move(rest)});
}

// The position of the script in an argv such as [sh, -ec, SCRIPT]; none: there is no script in it.
std::optional<std::size_t> script_in(const std::vector<std::string>& arguments) {
  if (arguments.size() < 3 || !is_shell(arguments[0])) return std::nullopt;
  const std::string& flag = arguments[1];
  const bool is_command = flag.size() > 1 && flag[0] == '-' && flag[1] != '-' && flag.back() == 'c';
  return is_command ? std::optional<std::size_t>(2) : std::nullopt;
}

Result<Value> texts_value(const std::vector<std::string>& arguments, const std::string& script,
                          const FileMarks& marks, Reading reading) {
  if (arguments.empty()) return script_value(script, marks, reading);
  const auto in_argv = script_in(arguments);
  List list;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    auto value = script_value(arguments[i], marks, in_argv == i ? reading : Reading::bytes);
    if (!value) return value;
    list.push_back(*std::move(value));
  }
  return Value(std::move(list));
}

Result<Digest> digest_of_texts(const std::vector<std::string>& arguments, const std::string& script,
                               const FileMarks& marks, Reading reading) {
  auto value = texts_value(arguments, script, marks, reading);
  return value ? digest_of(*value) : Result<Digest>(tl::unexpected(value.error()));
}

// ---- arguments
// ------------------------------------------------------------------------------------------------------

/// What one key is made with.
struct Making {
  const Attempt& attempt;
  const CachePolicy& policy;
  FileHasher& hasher;
  std::vector<LocalInput>* read = nullptr;

  [[nodiscard]] Reading reading() const {
    return policy.code_auto ? Reading::tokens : Reading::bytes;
  }
  // What the user says stands for an input; none: its content counts.
  [[nodiscard]] Result<std::optional<Digest>> hash_of(std::string_view name) const {
    const auto found = policy.hashes.find(std::string(name));
    if (found == policy.hashes.end()) return std::optional<Digest>();
    const ArgumentScope scope(attempt.arguments, attempt.context->parameters);
    auto text = evaluate_text(found->second.hash.text, scope);
    if (!text) return tl::unexpected(text.error());
    auto value = user_hash_value(found->second.method, *text);
    if (!value) return tl::unexpected(value.error());
    auto digest = digest_of(*value);
    if (!digest) return tl::unexpected(digest.error());
    return std::optional(*digest);
  }
  // Two failures are never the same thing: what comes of one is found by nobody.
  [[nodiscard]] Digest digest_of_value(const Payload& value) const {
    if (value.is_none()) return Payload::nil().digest;
    if (!holds_failure(value)) return value.digest;
    return digest_in("arg", fmt::format("failure {} {} {} {}", attempt.context->run.text(),
                                        attempt.task.value, attempt.number, value.digest.hex()));
  }
  [[nodiscard]] fs::path path_of(const fs::path& path) const {
    return path.is_absolute() ? path : fs::path(attempt.context->flow->folder) / path;
  }
  [[nodiscard]] Result<Digest> digest_of_local(const fs::path& path) const {
    const fs::path whole = path_of(path);
    const auto value = local_value(whole, hasher);
    if (!value) return tl::unexpected(value.error());
    auto digest = digest_of(*value);
    if (digest && read != nullptr) read->push_back({whole, *digest});
    return digest;
  }
};

// The program of the flow's folder that the command runs, as it is written; empty: none. The name
// of one that an upstream has built starts with the mark of its file and is in "command" already.
std::string flow_program(const Attempt& attempt, const std::vector<std::string>& arguments) {
  if (arguments.empty() || arguments[0].find('\0') != std::string::npos) return {};
  if (!is_flow_program(arguments[0]) || attempt.context->flow->folder.empty()) return {};
  return arguments[0];
}

Status add_input_files(const Making& making, const CommandTexts& texts, Arguments& arguments) {
  const auto add = [&](const std::string& name, const InputFile& file) -> Status {
    auto digest = [&]() -> Result<Digest> {
      const auto given = making.hash_of(name);
      if (!given) return tl::unexpected(given.error());
      if (*given) return **given;
      const auto* path = std::get_if<fs::path>(&file.source);
      return path != nullptr ? making.digest_of_local(*path)
                             : digest_of(std::get<FileValue>(file.source).to_value());
    }();
    if (!digest) return tl::unexpected(digest.error());
    arguments.insert_or_assign("file:" + name, *digest);
    return {};
  };
  const std::string program = flow_program(making.attempt, texts.arguments);
  const std::string normal = fs::path(program).lexically_normal().string();
  for (const InputFile& file : texts.files) {
    if (making.policy.code_auto && !program.empty() && file.name == normal) continue;
    if (auto added = add(file.name, file); !added) return added;
  }
  // One that is an input file too is found among these first; where the code counts it is there.
  if (program.empty() || making.policy.code_auto || arguments.contains("file:" + normal)) return {};
  return add(program, {program, fs::path(program)});
}

Result<std::string> content_of(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::string content(std::istreambuf_iterator<char>(file), {});
  if (file.bad() || !file.is_open())
    return fail(ErrorCode::io,
                fmt::format("cannot read \"{}\"", escape_for_terminal(path.string())));
  return content;
}

// A program of the flow's folder: a shell script by its tokens, anything else by its content.
Result<Value> program_value(const Making& making, const std::string& program) {
  constexpr std::uint64_t script_bytes_max = 4 << 20;
  const fs::path path = making.path_of(program);
  const auto file = making.hasher.hash(path);
  if (!file) return tl::unexpected(file.error());
  auto content = making.digest_of_local(program);
  if (!content) return tl::unexpected(content.error());
  if (file->size > script_bytes_max) return file->to_value();
  auto text = content_of(path);
  if (!text) return tl::unexpected(text.error());
  if (!is_shell_script(*text) || !is_utf8(*text) || text->find('\0') != std::string::npos)
    return file->to_value();
  return script_value(*text, FileMarks{}, Reading::tokens);
}

// What the author of the task wrote, without what runs put into it.
Result<Digest> code_of(const Making& making, const CommandBody& body, const std::string& program) {
  std::vector<std::string> texts;
  for (const Template& argument : body.argv) texts.push_back(argument.text);
  auto written = texts_value(texts, body.script.text, FileMarks{}, Reading::tokens);
  if (!written) return tl::unexpected(written.error());
  auto run = program.empty() ? Result<Value>(Value{}) : program_value(making, program);
  if (!run) return tl::unexpected(run.error());
  auto bytes = encode(Value(List{*std::move(written), *std::move(run)}));
  if (!bytes) return tl::unexpected(bytes.error());
  return digest_in("code", *bytes);
}

Status add_command(const Making& making, const CommandBody& body, Material& material) {
  const Attempt& attempt = making.attempt;
  FileMarks marks;
  const auto texts = evaluate_command(
      attempt, body, [&](const FileValue& file, std::string_view) { return marks.add(file); });
  if (!texts) return tl::unexpected(texts.error());
  auto command = digest_of_texts(texts->arguments, texts->script, marks, making.reading());
  if (!command) return tl::unexpected(command.error());
  material.arguments.emplace("command", *command);
  for (const ExposedInput& input : exposed_inputs(attempt)) {
    if (input.variable.empty()) continue;
    const auto given = making.hash_of(input.name);
    if (!given) return tl::unexpected(given.error());
    material.arguments.emplace(fmt::format("in:{}", input.name),
                               *given ? **given : making.digest_of_value(*input.value));
  }
  if (auto added = add_input_files(making, *texts, material.arguments); !added) return added;
  if (making.policy.code_auto) {
    auto code = code_of(making, body, flow_program(attempt, texts->arguments));
    if (!code) return tl::unexpected(code.error());
    material.code = *code;
  }

  // A variable enters as text, with digests for files.
  if (body.environment.empty()) return {};
  const auto plain = evaluate_command(attempt, body, nullptr);
  if (!plain) return tl::unexpected(plain.error());
  for (const auto& [name, value] : plain->environment)
    material.environment.insert_or_assign(name, value);
  return {};
}

Status add_function(const Making& making, Material& material) {
  for (const Argument& argument : making.attempt.arguments) {
    const auto given = making.hash_of(argument.name);
    if (!given) return tl::unexpected(given.error());
    material.arguments.emplace(argument.name,
                               *given ? **given : making.digest_of_value(argument.value));
  }
  if (!making.policy.code_auto) return {};
  const auto code = code_digest(nullptr);
  if (!code) return tl::unexpected(code.error());
  material.code = *code;
  return {};
}

// What remains of a command when nothing it is given counts: its text.
Status add_unbound_command(const CommandBody& body, Reading reading, Arguments& arguments) {
  std::vector<std::string> texts;
  for (const Template& argument : body.argv) texts.push_back(argument.text);
  auto digest = digest_of_texts(texts, body.script.text, FileMarks{}, reading);
  if (!digest) return tl::unexpected(digest.error());
  arguments.insert_or_assign("command", *digest);
  return {};
}

// The names by which a policy may speak of the arguments; a command's inputs go by "fetch" as well
// as by "in:fetch".
bool is_called(std::string_view argument, std::string_view name) {
  return argument == name || (argument.starts_with("in:") && argument.substr(3) == name) ||
         (argument.starts_with("file:") && argument.substr(5) == name);
}

Status leave_out_ignored(const CachePolicy& policy, const Signature& signature,
                         Arguments& arguments) {
  for (const std::string& name : policy.ignored) {
    const auto erased = std::erase_if(
        arguments, [&](const auto& argument) { return is_called(argument.first, name); });
    const bool is_declared = std::any_of(signature.inputs.begin(), signature.inputs.end(),
                                         [&](const auto& input) { return input.first == name; });
    if (erased == 0 && !is_declared) {
      return fail(ErrorCode::invalid_argument,
                  fmt::format("ignored input \"{}\" does not exist", escape_for_terminal(name)));
    }
  }
  return {};
}

// A hash that stands for nothing is a mistake that would go unseen.
Status check_hashes(const CachePolicy& policy, const Signature& signature,
                    const Arguments& arguments) {
  for (const auto& [name, hash] : policy.hashes) {
    const bool is_known =
        std::any_of(arguments.begin(), arguments.end(),
                    [&, &called = name](const auto& argument) {
                      return is_called(argument.first, called);
                    }) ||
        std::any_of(signature.inputs.begin(), signature.inputs.end(),
                    [&called = name](const auto& input) { return input.first == called; });
    if (!is_known)
      return fail(
          ErrorCode::invalid_argument,
          fmt::format("a hash is given for \"{}\", which is no input", escape_for_terminal(name)));
  }
  return {};
}

Status keep_only(const std::vector<std::string>& names, const Signature& signature,
                 Arguments& arguments) {
  Arguments kept;
  for (const std::string& name : names) {
    bool is_known = std::any_of(signature.inputs.begin(), signature.inputs.end(),
                                [&](const auto& input) { return input.first == name; });
    for (const auto& argument : arguments) {
      if (!is_called(argument.first, name)) continue;
      kept.insert(argument);
      is_known = true;
    }
    if (!is_known) {
      return fail(
          ErrorCode::invalid_argument,
          fmt::format("validate_on names \"{}\", which is no input", escape_for_terminal(name)));
    }
  }
  arguments = std::move(kept);
  return {};
}

Status add_parameters(const Parameters& parameters,
                      const std::optional<std::vector<std::string>>& only, Material& material) {
  if (!only) {
    for (const auto& [name, value] : parameters)
      material.dependencies.emplace("param:" + name, value.digest);
    return {};
  }
  for (const std::string& name : *only) {
    const auto found = parameters.find(name);
    if (found == parameters.end()) {
      return fail(ErrorCode::invalid_argument,
                  fmt::format("validate_on names \"{}\", which is no parameter",
                              escape_for_terminal(name)));
    }
    material.dependencies.emplace("param:" + name, found->second.digest);
  }
  return {};
}

Status apply_validator(const Attempt& attempt, const TaskKind& kind, Material& material) {
  const CachePolicy& policy = kind.cache;
  const std::vector<std::string> none;
  const auto& names = policy.validate_on ? *policy.validate_on : none;
  switch (policy.validator) {
    case Validator::all_inputs:
    case Validator::never_use:
      return {};
    case Validator::custom:
      return add_parameters(attempt.context->parameters, std::nullopt, material);
    case Validator::duration_only:
      material.arguments.clear();
      break;
    case Validator::partial_inputs:
      if (auto kept = keep_only(names, kind.signature, material.arguments); !kept) return kept;
      break;
    case Validator::all_parameters:
    case Validator::partial_parameters: {
      material.arguments.clear();
      const bool all = policy.validator == Validator::all_parameters;
      auto added = add_parameters(attempt.context->parameters,
                                  all ? std::nullopt : std::optional(names), material);
      if (!added) return added;
      break;
    }
  }
  const auto* command = std::get_if<CommandBody>(&kind.body);
  if (command == nullptr) return {};
  return add_unbound_command(*command, policy.code_auto ? Reading::tokens : Reading::bytes,
                             material.arguments);
}

bool leaves_arguments_out(Validator validator) {
  return validator == Validator::duration_only || validator == Validator::all_parameters ||
         validator == Validator::partial_parameters;
}

// What enters whatever the task is given.
Material begin_material(const TaskKind& kind, const Environment& environment) {
  const CachePolicy& policy = kind.cache;
  const auto* command = std::get_if<CommandBody>(&kind.body);
  Material material;
  material.name = shared_name(kind);
  material.salt = policy.salt;
  material.version = kind.version;
  material.code = policy.code;
  material.dependencies = policy.dependencies;
  if (!policy.shared_key) {
    material.signature = command != nullptr ? signature_digest(kind, with_outputs(kind, *command))
                                            : signature_digest(kind, kind.signature);
  }
  for (const std::string& name : policy.environment) {
    if (const auto found = environment.find(name); found != environment.end())
      material.environment.insert(*found);
  }
  return material;
}

// What is left of the arguments, and what enters besides.
Status end_material(const Attempt& attempt, const TaskKind& kind, const KeySpace& space,
                    Material& material) {
  if (auto applied = apply_validator(attempt, kind, material); !applied) return applied;
  if (kind.cache.per_parameters) {
    if (auto added = add_parameters(attempt.context->parameters, std::nullopt, material); !added)
      return added;
  }
  if (kind.cache.per_run)
    material.dependencies.emplace("run", *digest_of(Value(attempt.context->run.text())));
  space.apply_to(material);
  return {};
}

Status check_version(const TaskKind& kind) {
  if (kind.version.find_first_not_of(" \t\r\n") != std::string::npos) return {};
  return fail(ErrorCode::invalid_argument, "the version of a cached task must not be blank");
}

}  // namespace

const Environment& process_environment() {
  static const Environment environment = current_environment();
  return environment;
}

bool looks_up(CacheMode mode, const CachePolicy& policy) {
  if (policy.validator == Validator::never_use) return false;
  if (policy.refresh.value_or(false) && mode != CacheMode::only) return false;
  return reads(mode) || (mode == CacheMode::refresh && policy.refresh == false);
}

const std::string& shared_name(const TaskKind& kind) {
  return kind.cache.shared_key ? *kind.cache.shared_key : kind.cache_name;
}

Result<Material> material_of(const Attempt& attempt, FileHasher& files, const KeySpace& space,
                             const Environment& environment, std::vector<LocalInput>* read) {
  const TaskKind& kind = attempt.context->flow->kind_of(attempt.node);
  const CachePolicy& policy = kind.cache;
  const auto* command = std::get_if<CommandBody>(&kind.body);
  if (auto good = check_version(kind); !good) return tl::unexpected(good.error());
  if (attempt.user_key) {
    // The user's key stands for all that the result depends on, but for what is declared besides.
    Material material;
    material.name = shared_name(kind);
    material.salt = policy.salt;
    space.apply_to(material);
    material.name = *attempt.user_key;
    material.arguments.emplace("key", *digest_of(Value("user")));
    return material;
  }
  Material material = begin_material(kind, environment);
  const Making making{attempt, policy, files, read};
  if (command != nullptr) {
    if (auto added = add_command(making, *command, material); !added)
      return tl::unexpected(added.error());
    if (command->in_flow_folder) material.arguments.emplace("cwd", *digest_of(Value("flow")));
    material.dependencies.insert_or_assign("platform", *digest_of(Value(platform)));
  } else if (auto added = add_function(making, material); !added) {
    return tl::unexpected(added.error());
  }
  if (auto known = check_hashes(policy, kind.signature, material.arguments); !known)
    return tl::unexpected(known.error());
  if (auto left = leave_out_ignored(policy, kind.signature, material.arguments); !left)
    return tl::unexpected(left.error());
  if (auto ended = end_material(attempt, kind, space, material); !ended)
    return tl::unexpected(ended.error());
  return material;
}

Result<std::optional<Material>> material_without_arguments(const Attempt& attempt,
                                                           const KeySpace& space,
                                                           const Environment& environment) {
  const TaskKind& kind = attempt.context->flow->kind_of(attempt.node);
  const CachePolicy& policy = kind.cache;
  if (!leaves_arguments_out(policy.validator) || !policy.key_function.empty() || policy.per_run ||
      policy.code_auto || !policy.hashes.empty() || !policy.ignored.empty())
    return std::optional<Material>();
  if (auto good = check_version(kind); !good) return tl::unexpected(good.error());
  Material material = begin_material(kind, environment);
  if (const auto* command = std::get_if<CommandBody>(&kind.body)) {
    const ArgumentScope nothing(attempt.arguments, attempt.context->parameters);
    for (const auto& [name, value] : command->environment) {
      auto text = evaluate_text(value.text, nothing);
      if (!text) return std::optional<Material>();
      material.environment.insert_or_assign(name, *std::move(text));
    }
    material.dependencies.insert_or_assign("platform", *digest_of(Value(platform)));
  }
  if (auto ended = end_material(attempt, kind, space, material); !ended)
    return tl::unexpected(ended.error());
  return std::optional(std::move(material));
}

}  // namespace reprise::worker
