// SQLite as this program uses it: one connection per object and thread, write-ahead log, errors as
// values.
//
//   auto db = sqlite::Database::open({.path = …, .schema = my_schema});
//   sqlite::Statement insert(*db, "INSERT INTO t(a, b) VALUES(?1, ?2)");
//   auto transaction = sqlite::Transaction::begin(*db);
//   if (auto done = insert.run(17, sqlite::Blob{bytes}); !done) return done;   // rolled back by
//   the destructor return transaction->commit();
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>

#include "core/result.hpp"

struct sqlite3;
struct sqlite3_stmt;

namespace reprise::sqlite {

/// What a database file of ours looks like. `scripts[i]` turns schema version i into i + 1, so [0]
/// makes an empty file ours; scripts are only ever appended.
struct Schema {
  std::string_view what;            // "journal": for messages
  std::int32_t application_id = 0;  // in the file's header; tells our files from everybody else's
  std::span<const std::string_view> scripts;
};

/// When a commit waits for the disk. Whatever is chosen, the death of a process loses nothing that
/// was committed, and the file stays consistent through a power cut (except with `off`).
enum class Sync : std::uint8_t {
  off,     // never
  normal,  // at checkpoints only: a power cut may lose the last commits
  full,    // every commit is one fdatasync
};

struct Options {
  std::filesystem::path path;
  Schema schema;
  Sync sync = Sync::normal;
  std::chrono::milliseconds busy_timeout{5000};  // how long to wait for another writer
  bool read_only = false;                        // the file must exist
  bool read_newer = false;  // with read_only: a newer format is opened all the same, see is_newer()
};

class Database {
 public:
  /// Opens or makes the file. A file of an older schema is brought up to date after a copy was put
  /// beside it.
  /// @error conflict: not one of our files, or written by a newer version (it is left as it was);
  /// corrupt; denied; io;
  ///        exhausted; unavailable: locked for longer than the timeout. Blocks.
  [[nodiscard]] static Result<std::unique_ptr<Database>> open(const Options& options);
  ~Database();
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;

  /// The file has a newer format: what we know of it may be missing or mean something else, which
  /// then shows as an error of the statement.
  [[nodiscard]] bool is_newer() const { return is_newer_; }

  /// Runs SQL that gives no rows.
  Status run(const char* sql);
  /// For the commits from here on; not inside a transaction.
  Status set_sync(Sync sync);
  /// Waits until everything committed so far would survive a power cut.
  Status flush();
  /// From here on what this connection deletes is overwritten in the file.
  Status overwrite_deleted();
  /// Folds the log into the file and empties it, so that nothing of the past is left there.
  /// @return false: another connection still reads it. Blocks up to the timeout.
  [[nodiscard]] Result<bool> empty_log();
  [[nodiscard]] std::int64_t last_row_id() const;
  /// Rows changed by the last statement.
  [[nodiscard]] std::int64_t changes() const;
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }
  [[nodiscard]] sqlite3* handle() const { return handle_; }

  /// The error that SQLite reports now.
  [[nodiscard]] Error error(int code) const;

 private:
  Database() = default;
  Status prepare_file(const Options& options);
  Status bring_up_to_date(const Options& options, std::int64_t found);
  Status wait_for(int which_file);

  std::filesystem::path path_;
  sqlite3* handle_ = nullptr;
  Sync sync_ = Sync::normal;
  bool read_only_ = false;
  bool is_ours_ = false;  // format and owner were checked
  bool is_newer_ = false;
};

/// Bytes to bind; not copied, must live until the statement is reset.
struct Blob {
  std::string_view bytes;
};

/// A prepared statement. An error made while preparing or binding shows at the next step.
class Statement {
 public:
  Statement(Database& database, std::string_view sql);
  ~Statement();
  Statement(Statement&& other) noexcept;
  Statement(const Statement&) = delete;
  Statement& operator=(const Statement&) = delete;
  Statement& operator=(Statement&&) = delete;

  /// Binds the parameters ?1, ?2 … and runs to the end.
  template <class... Values>
  Status run(const Values&... values) {
    start(values...);
    return finish();
  }
  /// Binds; rows are then fetched by next(). Text and blobs must live until the statement is reset.
  template <class... Values>
  void start(const Values&... values) {
    reset();
    int index = 0;
    (bind(++index, values), ...);
  }
  /// True: a row is there.
  [[nodiscard]] Result<bool> next();
  void reset();

  void bind_null(int index);
  void bind_integer(int index, std::int64_t value);
  void bind_real(int index, double value);
  void bind_text(int index, std::string_view value);
  void bind_blob(int index, std::string_view value);

  template <class T>
  void bind(int index, const T& value) {
    if constexpr (std::is_same_v<T, std::nullopt_t> || std::is_same_v<T, std::nullptr_t>)
      bind_null(index);
    else if constexpr (std::is_same_v<T, Blob>)
      bind_blob(index, value.bytes);
    else if constexpr (std::is_floating_point_v<T>)
      bind_real(index, value);
    else if constexpr (std::is_integral_v<T> || std::is_enum_v<T>)
      bind_integer(index, static_cast<std::int64_t>(value));
    else
      bind_text(index, value);
  }
  template <class T>
  void bind(int index, const std::optional<T>& value) {
    if (value)
      bind(index, *value);
    else
      bind_null(index);
  }

  // Columns of the current row, from 0. Views are valid until the next step or reset.
  [[nodiscard]] bool is_null(int column) const;
  [[nodiscard]] std::int64_t integer(int column) const;
  [[nodiscard]] double real(int column) const;
  [[nodiscard]] std::string_view bytes(int column) const;  // text or blob
  [[nodiscard]] std::string text(int column) const { return std::string(bytes(column)); }

 private:
  Status finish();
  void note(int code);

  Database* database_;
  sqlite3_stmt* handle_ = nullptr;
  std::optional<Error> error_;
  int bind_code_ = 0;
};

/// Resets a statement at the end of a scope, so that a row left unread does not keep a transaction
/// open.
class ResetAtEnd {
 public:
  explicit ResetAtEnd(Statement& statement) : statement_(statement) {}
  ~ResetAtEnd() { statement_.reset(); }
  ResetAtEnd(const ResetAtEnd&) = delete;
  ResetAtEnd& operator=(const ResetAtEnd&) = delete;

 private:
  Statement& statement_;
};

/// Rolled back unless committed.
class Transaction {
 public:
  enum class Kind : std::uint8_t {
    read,   // one consistent view
    write,  // takes the write lock at once, so that it cannot fail half-way for want of it
  };
  /// @error unavailable: another writer kept the lock for longer than the timeout
  [[nodiscard]] static Result<Transaction> begin(Database& database, Kind kind = Kind::write);
  ~Transaction();
  Transaction(Transaction&& other) noexcept : database_(other.database_) {
    other.database_ = nullptr;
  }
  Transaction(const Transaction&) = delete;
  Transaction& operator=(const Transaction&) = delete;
  Transaction& operator=(Transaction&&) = delete;

  Status commit();

 private:
  explicit Transaction(Database& database) : database_(&database) {}
  Database* database_;
};

}  // namespace reprise::sqlite
