#include "layering/layering_rules.hpp"

#include <algorithm>
#include <map>
#include <optional>
#include <regex>
#include <set>

namespace reprise::layering {
namespace {

using Names = std::set<std::string, std::less<>>;

// Which folders a folder's files may include, besides their own. Everything not listed here is
// unknown, and a mistake. A single header ("cache/blob_store.hpp") opens that one file of a folder.
const std::map<std::string, Names, std::less<>>& allowed_folders() {
  static const std::map<std::string, Names, std::less<>> table{
      {"core", {}},
      {"sqlite", {"core"}},
      {"redis", {"core"}},
      {"flow", {"core"}},
      {"journal", {"core", "sqlite", "redis", "flow"}},
      {"cache", {"core", "sqlite", "redis", "flow"}},
      {"scheduler", {"core", "flow", "journal/records.hpp"}},
      {"worker", {"core", "flow", "cache/blob_store.hpp", "api/reprise/plugin_abi.h"}},
      {"actors", {"core", "sqlite", "redis", "flow", "journal", "cache", "scheduler", "worker"}},
      {"cluster", {"core", "flow", "journal", "cache", "scheduler", "worker", "actors"}},
      {"api",
       {"core", "sqlite", "redis", "flow", "journal", "cache", "scheduler", "worker", "actors",
        "cluster"}},
      {"cli",
       {"core", "sqlite", "redis", "flow", "journal", "cache", "scheduler", "worker", "actors",
        "cluster"}},
      {"http", {"core", "flow", "journal", "cache", "scheduler", "worker", "actors", "cluster"}},
  };
  return table;
}

// Libraries that belong to few folders: everybody else goes through those.
struct LibraryRule {
  std::regex header;
  Names folders;
  std::string_view name;
};

const std::vector<LibraryRule>& library_rules() {
  static const std::vector<LibraryRule> rules{
      {std::regex("caf/.*"), {"actors", "cluster"}, "CAF"},
      {std::regex("hiredis/.*|hiredis\\.h"), {"redis"}, "hiredis"},
      {std::regex("sqlite3\\.h"), {"sqlite"}, "SQLite"},
      {std::regex("msgpack(/.*|\\.hpp|\\.h)"), {"api"}, "msgpack-cxx"},
      {std::regex("libfyaml\\.h"), {"flow"}, "libfyaml"},
      {std::regex("simdjson\\.h"), {"flow"}, "simdjson"},
      {std::regex("CLI/.*"), {"cli"}, "CLI11"},
      {std::regex("toml\\+\\+/.*"), {"core"}, "toml++"},
  };
  return rules;
}

bool starts_with(std::string_view text, std::string_view start) {
  return text.substr(0, start.size()) == start;
}
bool ends_with(std::string_view text, std::string_view end) {
  return text.size() >= end.size() && text.substr(text.size() - end.size()) == end;
}

std::string_view folder_of(std::string_view path) {
  const auto slash = path.find('/');
  return slash == std::string_view::npos ? std::string_view{} : path.substr(0, slash);
}

// Code that decides and must be replayable: no threads, no sockets, no clock. Two files are where
// the rest gets its time and its new ids from.
bool is_pure(std::string_view path) {
  if (path == "core/time.cpp" || path == "core/ulid.cpp") return false;
  const auto folder = folder_of(path);
  return folder == "core" || folder == "flow" || folder == "scheduler";
}

bool is_cpp(std::string_view path) {
  return ends_with(path, ".cpp") || ends_with(path, ".hpp");
}
bool is_public_header(std::string_view path) {
  return starts_with(path, "api/reprise/") && ends_with(path, ".hpp");
}

struct Include {
  int line = 0;
  bool quoted = false;
  std::string header;
};

std::vector<std::string_view> lines_of(std::string_view text) {
  std::vector<std::string_view> lines;
  while (!text.empty()) {
    const auto end = text.find('\n');
    lines.push_back(text.substr(0, end));
    text = end == std::string_view::npos ? std::string_view{} : text.substr(end + 1);
  }
  return lines;
}

std::optional<Include> include_in(std::string_view line, int number) {
  static const std::regex pattern(R"re(^\s*#\s*include\s*(["<])([^">]+)[">].*)re");
  std::cmatch match;
  if (!std::regex_match(line.data(), line.data() + line.size(), match, pattern))
    return std::nullopt;
  return Include{.line = number, .quoted = match[1] == "\"", .header = match[2]};
}

void check_project_include(std::string_view path, const Include& include,
                           std::vector<Violation>& found) {
  const auto folder = folder_of(path);
  const auto target = folder_of(include.header);
  const auto rule = allowed_folders().find(folder);
  if (rule == allowed_folders().end())
    return;  // tests, bench and examples may include what they like
  if (starts_with(include.header, "reprise/")) {
    if (folder != "api")
      found.push_back(
          {include.line, "includes the public header \"" + include.header + "\" from below"});
    return;
  }
  if (target.empty()) {
    found.push_back({include.line, "includes \"" + include.header + "\" without its folder"});
    return;
  }
  if (target == folder || rule->second.contains(target) || rule->second.contains(include.header))
    return;
  found.push_back(
      {include.line, "\"" + std::string(folder) + "\" may not include \"" + include.header + "\""});
}

void check_library_include(std::string_view path, const Include& include,
                           std::vector<Violation>& found) {
  const auto folder = folder_of(path);
  if (!allowed_folders().contains(folder)) return;
  for (const auto& rule : library_rules())
    if (std::regex_match(include.header, rule.header) && !rule.folders.contains(folder))
      found.push_back(
          {include.line, std::string(rule.name) + " is not for \"" + std::string(folder) + "\""});
  static const Names impure{
      "thread",  "mutex",       "shared_mutex",  "condition_variable", "future",       "semaphore",
      "latch",   "barrier",     "poll.h",        "pthread.h",          "sys/socket.h", "sys/un.h",
      "netdb.h", "sys/epoll.h", "sys/eventfd.h", "sys/timerfd.h",      "random"};
  if (is_pure(path) &&
      (impure.contains(include.header) || starts_with(include.header, "netinet/") ||
       starts_with(include.header, "arpa/")))
    found.push_back({include.line, "pure code includes <" + include.header + ">"});
}

void check_public_include(const Include& include, std::vector<Violation>& found) {
  const std::string_view header = include.header;
  // The standard library's headers are the ones without a folder and without an ending.
  const bool standard = !include.quoted && header.find('/') == std::string_view::npos &&
                        header.find('.') == std::string_view::npos;
  const bool known = starts_with(header, "reprise/") || starts_with(header, "msgpack") ||
                     starts_with(header, "tl/expected");
  if (!standard && !known)
    found.push_back(
        {include.line,
         "a public header includes \"" + include.header +
             "\"; only the standard library, msgpack, tl/expected and reprise/ are installed"});
}

void check_clock(std::string_view line, int number, std::vector<Violation>& found) {
  static const std::regex clock(
      R"re((\w*_clock::now|\bclock_gettime|\bgettimeofday|\b(std::)?time)\s*\()re");
  static const std::regex null_time(R"re(time\s*\(\s*(nullptr|NULL|0)\s*\))re");
  std::cmatch match;
  if (!std::regex_search(line.data(), line.data() + line.size(), match, clock)) return;
  const bool bare_time = ends_with(std::string(match[1]), "time") && match[1] != "clock_gettime";
  if (bare_time && !std::regex_search(line.data(), line.data() + line.size(), null_time)) return;
  found.push_back({number, "pure code asks the clock: " + match[1].str()});
}

// Words that belong to where the code was written and not to the code.
const std::regex& forbidden_words() {
  static const std::regex pattern(
      R"re((^|[^\w/])/work/|\b(agents?|sessions?)\b|\bissues?\s+#?\d+)re",
      std::regex::icase | std::regex::optimize);
  return pattern;
}

}  // namespace

std::vector<Violation> check_file(std::string_view path, std::string_view text) {
  std::vector<Violation> found;
  const auto lines = lines_of(text);
  bool has_pragma = false;
  for (std::size_t i = 0; i < lines.size(); ++i) {
    const auto line = lines[i];
    const int number = static_cast<int>(i) + 1;
    std::cmatch word;
    if (std::regex_search(line.data(), line.data() + line.size(), word, forbidden_words()))
      found.push_back({number, "says \"" + word.str() + "\""});
    if (!is_cpp(path)) continue;
    if (starts_with(line, "#pragma once")) has_pragma = true;
    if (is_pure(path)) check_clock(line, number, found);
    const auto include = include_in(line, number);
    if (!include) continue;
    if (is_public_header(path)) {
      check_public_include(*include, found);
    } else if (include->quoted) {
      check_project_include(path, *include, found);
    } else {
      check_library_include(path, *include, found);
    }
  }
  if (ends_with(path, ".hpp") && !has_pragma) found.push_back({0, "has no #pragma once"});
  return found;
}

bool is_checked(std::string_view path) {
  if (path.find("/corpus/") != std::string_view::npos || starts_with(path, "tests/layering/"))
    return false;
  static const std::vector<std::string_view> endings{".cpp",   ".hpp",  ".md",   ".txt",
                                                     ".cmake", ".json", ".yaml", ".yml",
                                                     ".toml",  ".sh",   ".lua",  ".sql"};
  if (path == "dev" || path == ".ci/run" || path == "tests/fresh") return true;
  return std::any_of(endings.begin(), endings.end(),
                     [&](auto ending) { return ends_with(path, ending); });
}

}  // namespace reprise::layering
