#include "cluster/input_files.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <optional>
#include <set>
#include <vector>

#include <fmt/format.h>

#include "core/canon.hpp"
#include "core/text.hpp"
#include "flow/argument_scope.hpp"
#include "flow/file_parameters.hpp"
#include "flow/template.hpp"

namespace reprise::cluster {

namespace fs = std::filesystem;

namespace {

// Elements of a list that are looked at for paths: a list of more is no list of files.
constexpr std::size_t elements_max = 100'000;

Result<FileValue> digest_of(const fs::path& path) {
  const auto trouble = [&](int error) {
    return tl::unexpected(
        system_error(fmt::format("input file \"{}\"", escape_for_terminal(path.string())), error));
  };
  const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) return trouble(errno);
  struct stat about {};
  if (::fstat(file, &about) != 0 || !S_ISREG(about.st_mode)) {
    ::close(file);
    return fail(ErrorCode::invalid_argument, fmt::format("input file \"{}\" is no regular file",
                                                         escape_for_terminal(path.string())));
  }
  FileValue value;
  value.executable = (about.st_mode & 0111) != 0;
  Sha256 hash;
  std::string buffer(1u << 20, '\0');
  ssize_t got = 0;
  while ((got = ::read(file, buffer.data(), buffer.size())) > 0) {
    hash.update(std::string_view(buffer).substr(0, static_cast<std::size_t>(got)));
    value.size += static_cast<std::uint64_t>(got);
  }
  const int error = errno;
  ::close(file);
  if (got < 0) return trouble(error);
  value.content = hash.finish();
  return value;
}

/// The arguments of a node that are known before anything runs: once, or one set per element of the
/// list that it is mapped over.
class KnownArguments {
 public:
  KnownArguments(const FlowSpec& flow, const Parameters& parameters, NodeId node)
      : flow_(flow), parameters_(parameters) {
    for (const Input& input : flow.inputs_of(node)) {
      const std::optional<Payload> value = value_of(input);
      if (!value) continue;
      const std::string_view name = flow.names[input.name];
      if (!input.mapped)
        fixed_.push_back({name, *value});
      else if (auto elements = elements_of(*value); elements && !input.flattened)
        mapped_.emplace_back(name, std::move(*elements));
    }
  }

  [[nodiscard]] std::size_t count() const {
    std::size_t least = mapped_.empty() ? 1 : elements_max;
    for (const auto& [name, elements] : mapped_) least = std::min(least, elements.size());
    return least;
  }
  [[nodiscard]] std::vector<Argument> at(std::size_t index) const {
    std::vector<Argument> all = fixed_;
    for (const auto& [name, elements] : mapped_) all.push_back({name, elements[index]});
    return all;
  }

 private:
  [[nodiscard]] std::optional<Payload> value_of(const Input& input) const {
    switch (input.source) {
      case Input::Source::constant:
        return flow_.constants[input.index];
      case Input::Source::parameter: {
        const auto found = parameters_.find(flow_.parameters[input.index].name);
        return found == parameters_.end() ? std::nullopt : std::optional(found->second);
      }
      case Input::Source::expression: {  // known when it reads nothing but parameters
        const auto tree = expression::Tree::parse(flow_.expressions[input.index].text);
        if (!tree) return std::nullopt;
        const auto value = expression::evaluate(*tree, ArgumentScope({}, parameters_));
        if (!value) return std::nullopt;
        const auto payload = Payload::of(value->value);
        return payload ? std::optional(*payload) : std::nullopt;
      }
      case Input::Source::upstream:
      case Input::Source::state_only:
        return std::nullopt;
    }
    return std::nullopt;
  }

  static std::optional<std::vector<Payload>> elements_of(const Payload& payload) {
    const auto value = payload.value();
    const List* list = value ? value->get_if<List>() : nullptr;
    if (list == nullptr || list->size() > elements_max) return std::nullopt;
    std::vector<Payload> elements;
    for (const Value& each : *list) {
      auto element = Payload::of(each);
      if (!element) return std::nullopt;
      elements.push_back(*std::move(element));
    }
    return elements;
  }

  const FlowSpec& flow_;
  const Parameters& parameters_;
  std::vector<Argument> fixed_;
  std::vector<std::pair<std::string_view, std::vector<Payload>>> mapped_;
};

/// The path that a template gives; nullopt: none, or not yet.
std::optional<fs::path> path_of(const Template& text, const expression::Scope& scope) {
  const auto parsed = TemplateText::parse(text.text);
  if (!parsed) return std::nullopt;
  const auto value = parsed->value(scope);
  if (!value) return std::nullopt;
  const auto* path = value->value.get_if<std::string>();
  if (path == nullptr || path->empty() || path->find('\0') != std::string::npos)
    return std::nullopt;
  return fs::path(*path);
}

bool takes_files(const FlowSpec& flow) {
  return std::ranges::any_of(flow.parameters, [](const Parameter& p) { return p.type == "file"; });
}

}  // namespace

Result<InputFiles> find_input_files(const FlowSpec& flow, Parameters& parameters) {
  InputFiles found;
  const auto bring = [&](const fs::path& path) -> Result<FileValue> {
    const std::string key = path.lexically_normal().string();
    if (const auto known = found.files.find(key); known != found.files.end()) return known->second;
    const auto place = place_of(flow, path);
    if (!place) return tl::unexpected(place.error());
    const auto file = digest_of(*place);
    if (!file) return file;
    found.files.emplace(key, *file);
    found.places.emplace(file->content, *place);
    return file;
  };
  if (Status put = put_files(flow, parameters, bring); !put) return tl::unexpected(put.error());
  std::set<std::uint32_t> done;  // kinds whose files are the same for all nodes
  for (std::uint32_t n = 0; n < flow.nodes.size(); ++n) {
    const Node& node = flow.nodes[n];
    const auto* command = std::get_if<CommandBody>(&flow.kind_of(NodeId{n}).body);
    if (command == nullptr || command->in_flow_folder || command->input_files.empty()) continue;
    bool is_fixed = true;
    for (const Template& text : command->input_files)
      is_fixed = is_fixed && text.text.find("${{") == std::string::npos;
    if (is_fixed && !done.insert(node.kind).second) continue;
    const KnownArguments arguments(flow, parameters, NodeId{n});
    const std::size_t count = is_fixed ? 1 : arguments.count();
    for (std::size_t i = 0; i < count; ++i) {
      const std::vector<Argument> known = is_fixed ? std::vector<Argument>() : arguments.at(i);
      const ArgumentScope scope(known, parameters);
      for (const Template& text : command->input_files) {
        const auto path = path_of(text, scope);
        if (!path || (path->is_relative() && flow.folder.empty())) continue;
        if (const auto file = bring(*path); !file) return tl::unexpected(file.error());
      }
    }
  }
  // Of flows within this one only what their defaults say is known before they run, and which files
  // they are given by path.
  for (std::uint32_t n = 0; n < flow.nodes.size(); ++n) {
    const auto* body = std::get_if<NestedBody>(&flow.kind_of(NodeId{n}).body);
    if (body == nullptr || !body->flow) continue;
    const FlowSpec& nested = *flow.nested[*body->flow];
    if (!takes_files(nested)) continue;
    const KnownArguments arguments(flow, parameters, NodeId{n});
    for (std::size_t i = 0; i < arguments.count(); ++i) {
      Parameters given;
      for (const Argument& each : arguments.at(i)) given.emplace(each.name, each.value);
      if (Status put = put_files(nested, given, bring); !put) return tl::unexpected(put.error());
    }
  }
  for (const auto& nested : flow.nested) {
    auto defaults = bind_parameters(*nested, {}, true);
    if (!defaults) return tl::unexpected(defaults.error());
    auto inner = find_input_files(*nested, *defaults);
    if (!inner) return inner;
    found.files.merge(inner->files);
    found.places.merge(inner->places);
  }
  return found;
}

}  // namespace reprise::cluster
