// Where a command's words go: data to stdout, everything else to stderr, errors to both when a
// program is listening.
#pragma once

#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "cli/exit_code.hpp"
#include "cli/options.hpp"
#include "cli/style.hpp"

namespace reprise::cli {

using Json = nlohmann::ordered_json;  // documents begin with their schema

/// One line of JSON; text that is not UTF-8 is replaced, never an exception.
[[nodiscard]] std::string to_line(const Json& document);

/// RFC 9457 problem object of an error. `errors`: the list of single mistakes, if there is one.
[[nodiscard]] Json problem(const Error& error, int exit_code, Json errors = nullptr);

/// The document with only the chosen fields ("schema" stays). A field may be one of the document or
/// of the objects in its list `items`. @error invalid_argument: no such field
[[nodiscard]] Result<Json> select_fields(Json document, const std::vector<std::string>& fields,
                                         std::string_view items = {});

/// Lines may come from several threads. A closed pipe is no error: what follows is dropped and
/// is_open() says so.
class Console {
 public:
  explicit Console(const GlobalOptions& options);
  /// What would go to stdout and stderr.
  struct Captured {
    std::string out;
    std::string err;
  };
  /// Into memory, for somebody elsewhere.
  Console(const GlobalOptions& options, Captured& captured);
  ~Console() { flush(); }
  Console(const Console&) = delete;
  Console& operator=(const Console&) = delete;

  [[nodiscard]] bool is_json() const { return options_.json; }
  [[nodiscard]] bool is_quiet() const { return options_.quiet; }
  [[nodiscard]] const GlobalOptions& options() const { return options_; }
  [[nodiscard]] Style out_style() const { return out_style_; }
  [[nodiscard]] Style err_style() const { return err_style_; }
  /// Columns for tables: of the terminal, or plenty.
  [[nodiscard]] std::size_t out_columns() const;

  /// A line of data on stdout.
  void out(std::string_view line);
  /// Bytes on stdout as they are.
  void raw(std::string_view bytes);
  /// The one document of a command with --json. Returns what the command should exit with: `code`,
  /// or 2 for an unknown field.
  int document(Json document, int code = exit_ok, std::string_view items = {});
  /// From here on documents and problems go into this list instead of stdout, until called with
  /// null: for commands that do the same to many.
  void collect(std::vector<Json>* into) { collected_ = into; }
  /// A line for people on stderr; nothing with -q.
  void say(std::string_view line);
  void warn(std::string_view message);
  /// Text of several lines on stderr, also with -q: what is wrong with a file.
  void complain(std::string_view text);
  /// The line "error: …" on stderr and, with --json, the problem on stdout. Returns the exit code.
  int fail(const Error& error);
  int fail(const Error& error, int code, Json errors = nullptr);
  /// Only the problem on stdout, when the human form is something longer that was already said.
  void problem_only(const Error& error, int code, Json errors);

  void flush();
  /// stdout still takes what is written.
  [[nodiscard]] bool is_open() const { return open_; }
  /// Asks on the terminal. false: no, or nobody to ask.
  [[nodiscard]] bool confirm(std::string_view question);
  /// There is a person at both ends of the terminal, and --no-input was not given.
  [[nodiscard]] bool can_ask() const;

 private:
  void write_out(std::string_view bytes);
  void write_err(std::string_view bytes);

  const GlobalOptions& options_;
  Style out_style_;
  Style err_style_;
  std::mutex mutex_;
  std::string buffer_;
  bool open_ = true;
  bool interactive_ = false;
  std::vector<Json>* collected_ = nullptr;
  Captured* captured_ = nullptr;
};

}  // namespace reprise::cli
