#include "flow/load.hpp"

#include <algorithm>
#include <array>
#include <filesystem>
#include <utility>

#include <fmt/format.h>

#include "core/text.hpp"
#include "flow/stg.hpp"
#include "flow/wfformat.hpp"

namespace reprise {
namespace {

constexpr std::string_view accepted =
    "a flow file (YAML or JSON with 'tasks'), a WfFormat 1.5 or 1.6 trace (JSON), or a standard "
    "task graph (STG); each may "
    "be compressed with gzip";

std::vector<Diagnostic> one_mistake(std::string_view code, std::string message,
                                    std::vector<std::string> help = {}) {
  Diagnostic diagnostic;
  diagnostic.code = code;
  diagnostic.message = std::move(message);
  diagnostic.help = std::move(help);
  return {std::move(diagnostic)};
}

tl::unexpected<std::vector<Diagnostic>> unknown(std::string message) {
  return tl::unexpected(
      one_mistake("RP2004", std::move(message), {fmt::format("accepted are {}", accepted)}));
}

struct KnownFormat {
  std::string_view magic;
  std::string_view what;
};
// What people point at by mistake, by its first bytes.
constexpr std::array known_formats = {
    KnownFormat{"\x1f\x8b", "gzip within gzip; inflate it once before"},
    KnownFormat{"\xfd"
                "7zXZ",
                "compressed with xz, which is not read directly: xz -dc FILE | reprise run -"},
    KnownFormat{
        "BZh", "compressed with bzip2, which is not read directly: bzip2 -dc FILE | reprise run -"},
    KnownFormat{"\x28\xb5\x2f\xfd",
                "compressed with zstd, which is not read directly: zstd -dc FILE | reprise run -"},
    KnownFormat{"PK\x03\x04", "a zip archive; extract the flow first"},
    KnownFormat{"\x7f"
                "ELF",
                "a program, not a flow"},
    KnownFormat{"\xff\xfe", "UTF-16 text; convert it to UTF-8"},
    KnownFormat{"\xfe\xff", "UTF-16 text; convert it to UTF-8"},
};

bool has_suffix(std::string_view file_name, std::string_view suffix) {
  if (file_name.ends_with(".gz")) file_name.remove_suffix(3);
  return file_name.size() > suffix.size() && file_name.ends_with(suffix);
}

bool is_named_as_flow(std::string_view file_name) {
  return has_suffix(file_name, ".yaml") || has_suffix(file_name, ".yml");
}

// A key of a flow file, quoted or not, with its colon: in YAML at the begin of a line or in a
// mapping in braces.
bool mentions_key(std::string_view text, std::string_view key) {
  for (std::size_t at = text.find(key); at != std::string_view::npos; at = text.find(key, at + 1)) {
    const char before = at == 0 ? '\n' : text[at - 1];
    std::string_view behind = text.substr(at + key.size());
    if (behind.starts_with('"') || behind.starts_with('\'')) behind.remove_prefix(1);
    behind.remove_prefix(std::min(behind.find_first_not_of(" \t"), behind.size()));
    if (behind.starts_with(':') &&
        std::string_view("\n\r{, \"'").find(before) != std::string_view::npos)
      return true;
  }
  return false;
}

bool has_key(const JsonTree& tree, std::string_view key) {
  if (tree.empty() || tree[0].kind != JsonNode::Kind::object) return false;
  // Not JsonTree::find(): what came before a mistake may end in a key without a value.
  for (JsonTree::Index at = 1; at < tree[0].end;) {
    if (tree[at].text() == key) return true;
    at = at + 1 < tree[0].end ? tree[at + 1].end : at + 1;
  }
  return false;
}

Checked<Recognised> recognise_json(std::string_view text, std::string_view file_name) {
  Recognised result;
  result.json = parse_json(text);
  const JsonTree& tree = result.json.tree;
  if (has_key(tree, "schemaVersion") || has_key(tree, "workflow")) {
    result.kind = FileKind::wfformat;
    return result;
  }
  const bool is_flow = has_key(tree, "tasks") || has_key(tree, "version");
  if (!result.json.ok) {
    // What is no JSON may still be YAML, whose decoder then says what is wrong; what is too much of
    // anything may not.
    const bool may_be_yaml = result.json.error.kind == JsonError::Kind::syntax ||
                             result.json.error.kind == JsonError::Kind::duplicate_key;
    if (may_be_yaml && (is_flow || is_named_as_flow(file_name) || mentions_key(text, "tasks")))
      return result;
    return tl::unexpected(json_mistake(result.json.error, text));
  }
  if (is_flow || is_named_as_flow(file_name)) return result;
  if (tree[0].kind != JsonNode::Kind::object) {
    return unknown(
        fmt::format("the file is JSON, but neither a trace nor a flow: it is {}, not an object",
                    tree.kind_name(0)));
  }
  return unknown(
      "the file is JSON, but neither a trace (it has no 'schemaVersion' and no 'workflow') nor a "
      "flow (it has no "
      "'tasks')");
}

}  // namespace

std::string_view name(FileKind kind) {
  switch (kind) {
    case FileKind::flow_file:
      return "flow file";
    case FileKind::wfformat:
      return "WfFormat trace";
    case FileKind::stg:
      return "standard task graph";
  }
  return "unknown";
}

Checked<Recognised> recognise(std::string_view text, std::string_view file_name) {
  for (const KnownFormat& format : known_formats) {
    if (text.starts_with(format.magic)) return unknown(fmt::format("the file is {}", format.what));
  }
  std::string_view content = text;
  if (content.starts_with("\xef\xbb\xbf")) content.remove_prefix(3);
  const std::size_t begin = content.find_first_not_of(" \t\r\n");
  if (begin == std::string_view::npos) {
    return tl::unexpected(one_mistake(
        "RP2005", text.empty() ? "the file is empty" : "the file holds nothing but white space",
        {fmt::format("accepted are {}", accepted)}));
  }
  if (content[begin] == '{' || content[begin] == '[') return recognise_json(text, file_name);

  Recognised result;
  constexpr std::size_t looked_at = std::size_t{64} << 10;
  if (content.substr(0, looked_at).find('\0') != std::string_view::npos) {
    return unknown("the file holds zero bytes: it is no text");
  }
  if (looks_like_stg(content) || has_suffix(file_name, ".stg")) {
    result.kind = FileKind::stg;
    return result;
  }
  if (is_named_as_flow(file_name) || mentions_key(content, "tasks") ||
      mentions_key(content, "version"))
    return result;
  if (content[begin] == '<')
    return unknown("the file is XML; Pegasus DAX and other XML formats are not read");
  if (has_suffix(file_name, ".json")) {
    return tl::unexpected(json_mistake(parse_json(text).error, text));
  }
  return unknown("the file is neither a flow file nor a trace");
}

tl::expected<LoadedFlow, LoadFailure> load_flow(const std::string& path,
                                                const LoadOptions& options) {
  const bool is_standard_input = path == "-";
  LoadFailure failure;
  failure.file_name = is_standard_input ? "<stdin>" : path;
  Result<std::string> read = read_input(path, options.limits);
  if (!read) {
    const std::string_view code = read.error().code == ErrorCode::corrupt     ? "RP2002"
                                  : read.error().code == ErrorCode::exhausted ? "RP2003"
                                                                              : "RP2001";
    failure.mistakes = one_mistake(code, std::move(read.error().message));
    return tl::unexpected(std::move(failure));
  }
  const std::string& text = *read;
  const auto failed = [&](std::vector<Diagnostic> mistakes) {
    failure.mistakes = std::move(mistakes);
    failure.text = *std::move(read);
    return tl::unexpected(std::move(failure));
  };
  const Checked<Recognised> recognised = recognise(text, path);
  if (!recognised) return failed(recognised.error());

  std::error_code ignored;  // a current directory that is gone leaves the folder empty = unknown
  const std::filesystem::path file =
      is_standard_input ? std::filesystem::path() : std::filesystem::path(path);
  const std::filesystem::path absolute =
      std::filesystem::absolute(file.empty() ? "stdin" : file, ignored);
  const std::string folder =
      ignored ? std::string() : absolute.parent_path().lexically_normal().string();
  std::string stem = is_standard_input ? "stdin" : file.filename().string();
  for (const std::string_view suffix : {".gz", ".json", ".stg"}) {
    if (stem.size() > suffix.size() && stem.ends_with(suffix))
      stem.resize(stem.size() - suffix.size());
  }

  LoadedFlow loaded;
  loaded.kind = recognised->kind;
  Checked<FlowSpec> flow;
  switch (recognised->kind) {
    case FileKind::flow_file: {
      if (options.trace_options_given) {
        return failed(one_mistake(
            "RP2006", "--mode, --scale and --touch are for recorded traces; this is a flow file"));
      }
      FlowFileOptions flow_file = options.flow_file;
      flow_file.folder = folder;
      flow_file.beside = std::make_shared<FilesBeside>();
      flow_file.beside->read = [&](const std::string& name) {
        return read_input((std::filesystem::path(folder) / name).string(), options.limits);
      };
      flow_file.beside->way = {file.filename().string()};
      FlowFile decoded = decode_flow_file(text, failure.file_name, flow_file);
      if (!decoded.flow) return failed(std::move(decoded.diagnostics));
      flow = *std::move(decoded.flow);
      loaded.warnings = std::move(decoded.diagnostics);
      break;
    }
    case FileKind::wfformat: {
      const Checked<Trace> trace = read_wfformat(recognised->json, text);
      if (!trace) return failed(trace.error());
      flow = to_flow(*trace, options.trace, text);
      break;
    }
    case FileKind::stg:
      flow = import_stg(text, stem, options.trace);
      break;
  }
  if (!flow) return failed(flow.error());
  loaded.flow = *std::move(flow);
  loaded.flow.folder = folder;
  loaded.flow.source_file = path;
  loaded.text = *std::move(read);
  return loaded;
}

}  // namespace reprise
