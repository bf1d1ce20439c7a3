#include "docs/shown_commands.hpp"

#include <regex>

namespace reprise::docs {

std::vector<std::string> lines_of(std::string_view text) {
  std::vector<std::string> lines;
  while (!text.empty()) {
    const auto end = text.find('\n');
    lines.emplace_back(text.substr(0, end));
    text = end == std::string_view::npos ? std::string_view{} : text.substr(end + 1);
  }
  return lines;
}

std::vector<ShownStep> shown_steps(std::string_view page) {
  std::vector<ShownStep> steps;
  const auto lines = lines_of(page);
  enum class In { text, console, file, other } in = In::text;
  for (std::size_t i = 0; i < lines.size(); ++i) {
    const std::string& line = lines[i];
    const int number = static_cast<int>(i) + 1;
    if (line.starts_with("```")) {
      const std::string info = line.substr(3);
      const auto blank = info.find(' ');
      if (in != In::text) {
        in = In::text;
      } else if (info == "console") {
        in = In::console;
      } else if (blank != std::string::npos) {
        in = In::file;
        steps.emplace_back(ShownFile{number, info.substr(blank + 1), {}});
      } else {
        in = In::other;
      }
      continue;
    }
    if (in == In::file) {
      std::get<ShownFile>(steps.back()).text += line + "\n";
    } else if (in == In::console && line.starts_with("$ ")) {
      steps.emplace_back(ShownCommand{number, line.substr(2), {}});
    } else if (in == In::console && !steps.empty() &&
               std::holds_alternative<ShownCommand>(steps.back())) {
      std::get<ShownCommand>(steps.back()).output.push_back(line);
    }
  }
  return steps;
}

std::string normalized(std::string_view line) {
  static const std::vector<std::pair<std::regex, const char*>> kinds{
      {std::regex(R"(\b01[0-9A-HJKMNP-TV-Z]{8}([0-9A-HJKMNP-TV-Z]{16})?(\b|…))"), "<run>"},
      {std::regex(R"(\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?Z?)"), "<date>"},
      {std::regex(R"(\b\d+[hm] \d\d[ms]\b)"), "<time>"},
      {std::regex(R"(\b\d+(\.\d+)? ?(ms|s|µs)\b)"), "<time>"},
      {std::regex(R"(\b\d\d:\d\d\b)"), "<time>"},
      {std::regex(R"(\s+)"), " "},
      {std::regex(R"( $)"), ""},
  };
  std::string text(line);
  for (const auto& [pattern, kind] : kinds) text = std::regex_replace(text, pattern, kind);
  return text;
}

namespace {

bool matches(const std::vector<std::string>& shown, std::size_t s,
             const std::vector<std::string>& actual, std::size_t a) {
  if (s == shown.size()) return a == actual.size();
  if (shown[s] == "...") {
    for (std::size_t next = a; next <= actual.size(); ++next)
      if (matches(shown, s + 1, actual, next)) return true;
    return false;
  }
  return a < actual.size() && normalized(shown[s]) == normalized(actual[a]) &&
         matches(shown, s + 1, actual, a + 1);
}

std::vector<std::string> all_matches(std::string_view text, const std::regex& pattern) {
  std::vector<std::string> found;
  for (std::cregex_iterator it(text.data(), text.data() + text.size(), pattern), end; it != end;
       ++it)
    found.push_back((*it)[1]);
  return found;
}

}  // namespace

bool is_as_shown(const std::vector<std::string>& shown, const std::vector<std::string>& actual) {
  return matches(shown, 0, actual, 0);
}

std::vector<std::string> mentioned_pages(std::string_view text) {
  static const std::regex pattern(R"re(\b(docs/[A-Za-z0-9_/-]+\.md)\b)re");
  return all_matches(text, pattern);
}

std::vector<std::string> relative_links(std::string_view page) {
  static const std::regex pattern(R"re(\]\(([^)#:\s]+)(#[^)]*)?\))re");
  return all_matches(page, pattern);
}

}  // namespace reprise::docs
