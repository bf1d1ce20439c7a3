#include "worker/material.hpp"

#include <algorithm>
#include <optional>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

#include <fmt/format.h>

#include "core/canon.hpp"
#include "core/text.hpp"
#include "worker/command.hpp"

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

Result<Digest> digest_of_texts(const std::vector<std::string>& arguments, const std::string& script,
                               const FileMarks& marks) {
  const auto one = [&](const std::string& text) -> Result<Value> {
    return text.find('\0') == std::string::npos ? Result<Value>(text_value(text))
                                                : marks.restore(text);
  };
  if (arguments.empty()) {
    auto value = one(script);
    return value ? digest_of(*value) : Result<Digest>(tl::unexpected(value.error()));
  }
  List list;
  for (const std::string& argument : arguments) {
    auto value = one(argument);
    if (!value) return tl::unexpected(value.error());
    list.push_back(*std::move(value));
  }
  return digest_of(Value(std::move(list)));
}

// ---- arguments
// ------------------------------------------------------------------------------------------------------

Status add_input_files(const Attempt& attempt, const CommandTexts& texts, FileHasher& hasher,
                       Arguments& arguments) {
  const fs::path folder = attempt.context->flow->folder;
  const auto add = [&](const std::string& name, const FileValue& file) -> Status {
    auto digest = digest_of(file.to_value());
    if (!digest) return tl::unexpected(digest.error());
    arguments.insert_or_assign("file:" + name, *digest);
    return {};
  };
  const auto add_local = [&](const std::string& name, const fs::path& path) -> Status {
    const auto file = hasher.hash(path.is_absolute() ? path : folder / path);
    if (!file) return tl::unexpected(file.error());
    return add(name, *file);
  };
  for (const InputFile& file : texts.files) {
    const auto* path = std::get_if<fs::path>(&file.source);
    auto added = path != nullptr ? add_local(file.name, *path)
                                 : add(file.name, std::get<FileValue>(file.source));
    if (!added) return added;
  }
  // The name of a program that an upstream has built starts with the mark of its file and is in
  // "command" already.
  if (texts.arguments.empty() || texts.arguments[0].find('\0') != std::string::npos) return {};
  if (!is_flow_program(texts.arguments[0]) || folder.empty()) return {};
  const std::string& program = texts.arguments[0];
  // One that is an input file too is found among these first.
  const std::string normal = fs::path(program).lexically_normal().string();
  if (arguments.contains("file:" + normal)) return {};
  return add_local(program, fs::path(program));
}

Status add_command(const Attempt& attempt, const CommandBody& body, FileHasher& hasher,
                   Arguments& arguments, Environment& environment) {
  FileMarks marks;
  const auto texts = evaluate_command(
      attempt, body, [&](const FileValue& file, std::string_view) { return marks.add(file); });
  if (!texts) return tl::unexpected(texts.error());
  auto command = digest_of_texts(texts->arguments, texts->script, marks);
  if (!command) return tl::unexpected(command.error());
  arguments.emplace("command", *command);
  for (const ExposedInput& input : exposed_inputs(attempt)) {
    if (input.variable.empty()) continue;
    arguments.emplace(fmt::format("in:{}", input.name), input.value->digest);
  }
  if (auto added = add_input_files(attempt, *texts, hasher, arguments); !added) return added;

  // A variable enters as text, with digests for files.
  if (body.environment.empty()) return {};
  const auto plain = evaluate_command(attempt, body, nullptr);
  if (!plain) return tl::unexpected(plain.error());
  for (const auto& [name, value] : plain->environment) environment.insert_or_assign(name, value);
  return {};
}

// What remains of a command when nothing it is given counts: its text.
Status add_unbound_command(const CommandBody& body, Arguments& arguments) {
  std::vector<std::string> texts;
  for (const Template& argument : body.argv) texts.push_back(argument.text);
  auto digest = digest_of_texts(texts, body.script.text, FileMarks{});
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
    case Validator::custom:
      return {};
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
  return command != nullptr ? add_unbound_command(*command, material.arguments) : Status{};
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

Result<Material> material_of(const Attempt& attempt, FileHasher& files, std::string_view account,
                             const Environment& environment) {
  const TaskKind& kind = attempt.context->flow->kind_of(attempt.node);
  const CachePolicy& policy = kind.cache;
  const auto* command = std::get_if<CommandBody>(&kind.body);
  if (kind.version.find_first_not_of(" \t\r\n") == std::string::npos) {
    return fail(ErrorCode::invalid_argument, "the version of a cached task must not be blank");
  }
  Material material;
  material.account = account;
  material.name = policy.shared_key ? *policy.shared_key : kind.cache_name;
  if (attempt.user_key) {
    // The user's key stands for all that the result depends on, but for what is declared besides.
    material.name = *attempt.user_key;
    material.salt = policy.salt;
    material.arguments.emplace("key", *digest_of(Value("user")));
    return material;
  }
  material.version = kind.version;
  material.salt = policy.salt;
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
  if (command != nullptr) {
    auto added = add_command(attempt, *command, files, material.arguments, material.environment);
    if (!added) return tl::unexpected(added.error());
    if (command->in_flow_folder) material.arguments.emplace("cwd", *digest_of(Value("flow")));
    material.dependencies.insert_or_assign("platform", *digest_of(Value(platform)));
  } else {
    for (const Argument& argument : attempt.arguments) {
      const Payload& value = argument.value.is_none() ? Payload::nil() : argument.value;
      material.arguments.emplace(argument.name, value.digest);
    }
  }
  if (auto left = leave_out_ignored(policy, kind.signature, material.arguments); !left) {
    return tl::unexpected(left.error());
  }
  if (auto applied = apply_validator(attempt, kind, material); !applied)
    return tl::unexpected(applied.error());
  if (policy.per_parameters) {
    if (auto added = add_parameters(attempt.context->parameters, std::nullopt, material); !added)
      return tl::unexpected(added.error());
  }
  if (policy.per_run)
    material.dependencies.emplace("run", *digest_of(Value(attempt.context->run.text())));
  return material;
}

}  // namespace reprise::worker
