#include "cli/console.hpp"

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <iostream>

#include <poll.h>
#include <unistd.h>

#include <fmt/format.h>

#include "cli/terminal.hpp"
#include "core/text.hpp"

namespace reprise::cli {
namespace {

constexpr std::size_t buffer_bytes = 64 * 1024;

std::optional<std::string> environment(const char* name) {
  const char* value = std::getenv(name);
  if (!value) return std::nullopt;
  return std::string(value);
}

Style style_of(int fd, ColorChoice choice) {
  return {wants_color({choice, environment("NO_COLOR"), environment("CLICOLOR_FORCE"),
                       environment("FORCE_COLOR"), environment("TERM"), is_terminal(fd)})};
}

/// Writes everything, or returns the errno that prevented it.
int write_all(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(fd, bytes.data(), bytes.size());
    if (written >= 0) {
      bytes.remove_prefix(static_cast<std::size_t>(written));
    } else if (errno == EAGAIN) {
      pollfd entry{fd, POLLOUT, 0};
      ::poll(&entry, 1, -1);
    } else if (errno != EINTR) {
      return errno;
    }
  }
  return 0;
}

std::string title_of(ErrorCode code) {
  std::string title(name(code));
  std::replace(title.begin(), title.end(), '_', ' ');
  title[0] = static_cast<char>(title[0] - 'a' + 'A');
  return title;
}

std::string available(const Json& object) {
  std::string names;
  for (const auto& [key, value] : object.items())
    if (key != "schema") names += (names.empty() ? "" : ", ") + key;
  return names;
}

/// Only `fields` of `object`, in the order asked for; the name of a missing one otherwise.
tl::expected<Json, std::string> pick(const Json& object, const std::vector<std::string>& fields) {
  Json result = Json::object();
  for (const std::string& field : fields) {
    const auto found = object.find(field);
    if (found == object.end()) return tl::unexpected(field);
    result[field] = *found;
  }
  return result;
}

}  // namespace

std::string to_line(const Json& document) {
  return document.dump(-1, ' ', false, Json::error_handler_t::replace);
}

Json problem(const Error& error, int exit_code, Json errors) {
  std::string slug(name(error.code));
  std::replace(slug.begin(), slug.end(), '_', '-');
  Json document{
      {"schema", "reprise.problem/1"}, {"type", "https://reprise.example/problems/" + slug},
      {"title", title_of(error.code)}, {"status", status_of(error.code)},
      {"detail", error.message},       {"code", name(error.code)},
      {"exit_code", exit_code}};
  if (!errors.is_null()) document["errors"] = std::move(errors);
  return document;
}

Result<Json> select_fields(Json document, const std::vector<std::string>& fields,
                           std::string_view items) {
  if (fields.empty()) return document;
  const auto refuse = [](const std::string& field, const std::string& names) {
    return fail(ErrorCode::invalid_argument,
                fmt::format("there is no field \"{}\"; fields: {}", field, names));
  };
  Json result{{"schema", document.value("schema", "")}};
  if (auto picked = pick(document, fields)) {
    result.update(*picked);
    return result;
  } else if (items.empty()) {
    return refuse(picked.error(), available(document));
  }
  Json list = Json::array();
  for (const Json& item : document[std::string(items)]) {
    auto picked = pick(item, fields);
    if (!picked) return refuse(picked.error(), available(item));
    list.push_back(std::move(*picked));
  }
  result[std::string(items)] = std::move(list);
  return result;
}

Console::Console(const GlobalOptions& options)
    : options_(options),
      out_style_(style_of(STDOUT_FILENO, options.color)),
      err_style_(style_of(STDERR_FILENO, options.color)),
      interactive_(is_terminal(STDOUT_FILENO)) {}

Console::Console(const GlobalOptions& options, Captured& captured)
    : options_(options),
      out_style_{options.color == ColorChoice::always},
      err_style_{options.color == ColorChoice::always},
      captured_(&captured) {}

std::size_t Console::out_columns() const {
  return interactive_ ? terminal_size(STDOUT_FILENO).columns : 1000;
}

void Console::write_out(std::string_view bytes) {
  const std::lock_guard lock(mutex_);
  if (captured_ != nullptr) {
    captured_->out += bytes;
    return;
  }
  if (!open_) return;
  buffer_ += bytes;
  if (buffer_.size() < buffer_bytes && !interactive_) return;
  if (const int error = write_all(STDOUT_FILENO, buffer_)) {
    open_ = false;
    if (error != EPIPE)
      write_err(fmt::format("error: {}\n", system_error("write to stdout", error).message));
  }
  buffer_.clear();
}

void Console::flush() {
  const std::lock_guard lock(mutex_);
  if (open_ && !buffer_.empty()) {
    if (const int error = write_all(STDOUT_FILENO, buffer_)) {
      open_ = false;
      if (error != EPIPE)
        write_err(fmt::format("error: {}\n", system_error("write to stdout", error).message));
    }
  }
  buffer_.clear();
}

void Console::write_err(std::string_view bytes) {
  if (captured_ != nullptr)
    captured_->err += bytes;
  else
    (void)write_all(STDERR_FILENO, bytes);
}

void Console::out(std::string_view line) {
  write_out(std::string(line) + "\n");
}
void Console::raw(std::string_view bytes) {
  write_out(bytes);
}

int Console::document(Json document, int code, std::string_view items) {
  if (collected_ != nullptr) {
    collected_->push_back(std::move(document));
    return code;
  }
  auto chosen = select_fields(std::move(document), options_.fields, items);
  if (!chosen) return fail(chosen.error(), exit_invalid);
  out(interactive_ ? chosen->dump(2, ' ', false, Json::error_handler_t::replace)
                   : to_line(*chosen));
  return code;
}

void Console::say(std::string_view line) {
  if (!options_.quiet) write_err(std::string(line) + "\n");
}

void Console::warn(std::string_view message) {
  write_err(fmt::format("{} {}\n", err_style_(Ink::yellow, "warning:"), message));
}

void Console::complain(std::string_view text) {
  flush();
  write_err(text.ends_with('\n') ? std::string(text) : std::string(text) + "\n");
}

int Console::fail(const Error& error) {
  return fail(error, exit_code_of(error.code));
}

int Console::fail(const Error& error, int code, Json errors) {
  flush();
  write_err(
      fmt::format("{} {}\n", err_style_(Ink::red, "error:"), escape_for_terminal(error.message)));
  problem_only(error, code, std::move(errors));
  return code;
}

void Console::problem_only(const Error& error, int code, Json errors) {
  if (collected_ != nullptr)
    collected_->push_back(problem(error, code, std::move(errors)));
  else if (options_.json)
    out(to_line(problem(error, code, std::move(errors))));
}

bool Console::can_ask() const {
  return !options_.no_input && is_terminal(STDIN_FILENO) && is_terminal(STDERR_FILENO);
}

bool Console::confirm(std::string_view question) {
  if (options_.yes) return true;
  if (!can_ask()) return false;
  write_err(fmt::format("{} [y/N] ", question));
  std::string answer;
  std::getline(std::cin, answer);
  return answer == "y" || answer == "Y" || answer == "yes";
}

}  // namespace reprise::cli
