#include "sqlite/database.hpp"

#include <cerrno>
#include <cstring>
#include <thread>
#include <utility>

#include <sys/stat.h>
#include <unistd.h>

#include <fmt/format.h>
#include <sqlite3.h>

namespace reprise::sqlite {
namespace {

// A log longer than this is folded into the file when a connection closes; a shorter one stays:
// folding costs two waits for the disk, which a run of one task would notice, and reading it back
// at the next open costs about a millisecond.
constexpr sqlite3_int64 bytes_folded_at_close = 1600 * 1024;

std::string_view bare(const char* text) {
  return text ? text : "";
}

ErrorCode code_of(int code, int system_errno) {
  switch (code & 0xff) {
    case SQLITE_FULL:
      return ErrorCode::exhausted;
    case SQLITE_TOOBIG:
      return ErrorCode::exhausted;
    case SQLITE_NOMEM:
      return ErrorCode::exhausted;
    case SQLITE_BUSY:
      return ErrorCode::unavailable;
    case SQLITE_LOCKED:
      return ErrorCode::unavailable;
    case SQLITE_PROTOCOL:
      return ErrorCode::unavailable;
    case SQLITE_CORRUPT:
      return ErrorCode::corrupt;
    case SQLITE_NOTADB:
      return ErrorCode::corrupt;
    case SQLITE_FORMAT:
      return ErrorCode::corrupt;
    case SQLITE_PERM:
      return ErrorCode::denied;
    case SQLITE_AUTH:
      return ErrorCode::denied;
    case SQLITE_READONLY:
      return ErrorCode::denied;
    case SQLITE_CONSTRAINT:
      return ErrorCode::conflict;
    case SQLITE_CANTOPEN:
    case SQLITE_IOERR: {
      // A full disk, a file size limit and a quota look like any other failure to SQLite.
      const ErrorCode why = error_code_of(system_errno);
      const bool is_told = why == ErrorCode::denied || why == ErrorCode::exhausted;
      return is_told ? why : ErrorCode::io;
    }
    case SQLITE_MISUSE:
      return ErrorCode::internal;
  }
  return ErrorCode::io;  // SQLITE_ERROR: bad SQL shows up in the first test that runs it
}

const char* pragma_of(Sync sync) {
  switch (sync) {
    case Sync::off:
      return "PRAGMA synchronous=OFF";
    case Sync::normal:
      return "PRAGMA synchronous=NORMAL";
    case Sync::full:
      return "PRAGMA synchronous=FULL";
  }
  return "";
}

// SQLite keeps errno of a failed call per file, and passes it on to the connection only sometimes.
int last_errno(sqlite3* handle) {
  if (const int known = sqlite3_system_errno(handle)) return known;
  for (const int which : {SQLITE_FCNTL_JOURNAL_POINTER, SQLITE_FCNTL_FILE_POINTER}) {
    sqlite3_file* file = nullptr;
    int value = 0;
    if (sqlite3_file_control(handle, "main", which, &file) == SQLITE_OK && file && file->pMethods &&
        file->pMethods->xFileControl(file, SQLITE_FCNTL_LAST_ERRNO, &value) == SQLITE_OK &&
        value != 0)
      return value;
  }
  return 0;
}

Result<std::int64_t> number(Database& database, std::string_view sql) {
  Statement statement(database, sql);
  auto row = statement.next();
  if (!row) return tl::unexpected(row.error());
  return *row ? statement.integer(0) : 0;
}

// Two processes that make the same file at once may see "busy" without SQLite having waited,
// because switching to the write-ahead log does not ask the busy handler.
template <class Action>
Status persist(Action action, std::chrono::milliseconds timeout) {
  const auto deadline = std::chrono::steady_clock::now() + timeout;
  for (;;) {
    Status status = action();
    if (status || status.error().code != ErrorCode::unavailable ||
        std::chrono::steady_clock::now() >= deadline)
      return status;
    std::this_thread::sleep_for(std::chrono::milliseconds{1});
  }
}

}  // namespace

Error Database::error(int code) const {
  int system_errno = handle_ ? last_errno(handle_) : 0;
  const int primary = code & 0xff;
  // Before giving up SQLite tries to open for reading only, and then reports why that failed.
  if (primary == SQLITE_CANTOPEN && !read_only_ && ::access(path_.parent_path().c_str(), W_OK) != 0)
    system_errno = errno;
  std::string why{bare(sqlite3_errstr(code))};
  // SQLite's own words name the statement's mistake; for the environment's failures errno says
  // more.
  if (handle_ && (primary == SQLITE_ERROR || primary == SQLITE_CONSTRAINT))
    why = bare(sqlite3_errmsg(handle_));
  if ((primary == SQLITE_IOERR || primary == SQLITE_CANTOPEN || primary == SQLITE_FULL) &&
      system_errno != 0)
    why += fmt::format(": {}", std::strerror(system_errno));
  if (primary == SQLITE_BUSY) why = "in use by another process for too long";
  return {code_of(code, system_errno), fmt::format("database \"{}\": {}", path_.string(), why)};
}

Result<std::unique_ptr<Database>> Database::open(const Options& options) {
  std::unique_ptr<Database> database(new Database);
  database->path_ = options.path;
  database->read_only_ = options.read_only;
  const int flags =
      SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE |
      (options.read_only ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE);
  const bool is_new = !options.read_only && ::access(options.path.c_str(), F_OK) != 0;
  if (int code = sqlite3_open_v2(options.path.c_str(), &database->handle_, flags, nullptr);
      code != SQLITE_OK)
    return tl::unexpected(database->error(code));
  // What tasks gave is its owner's alone. By name, as closing a file of our own would let go of
  // SQLite's locks; its log and index are made with the mode of the database.
  if (is_new && ::chmod(options.path.c_str(), 0600) != 0)
    return tl::unexpected(
        system_error(fmt::format("protect \"{}\"", options.path.string()), errno));
  sqlite3_busy_timeout(database->handle_, static_cast<int>(options.busy_timeout.count()));
  // Closing must not fold the log by itself: not ours for bytes_folded_at_close, and somebody
  // else's not at all.
  sqlite3_db_config(database->handle_, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, nullptr);
  if (auto ready = database->prepare_file(options); !ready) return tl::unexpected(ready.error());
  return database;
}

// The identity is read before anything else is done, so that a file of somebody else is not even
// converted to WAL.
Status Database::prepare_file(const Options& options) {
  Result<std::int64_t> identity = 0, version = 0, tables = 0;
  {
    // One view for all three: another process may be making the file at this moment, and between
    // two reads it would turn from empty into one with tables.
    auto view = Transaction::begin(*this, Transaction::Kind::read);
    if (!view) return tl::unexpected(view.error());
    identity = number(*this, "PRAGMA application_id");
    if (!identity) return tl::unexpected(identity.error());
    version = number(*this, "PRAGMA user_version");
    if (!version) return tl::unexpected(version.error());
    tables = number(*this, "SELECT count(*) FROM sqlite_schema");
    if (!tables) return tl::unexpected(tables.error());
  }
  const bool unmarked = *identity == 0 && *version == 0;
  if (unmarked && *tables != 0) identity = 1;  // somebody's unmarked database
  if (!(unmarked && *identity == 0) && *identity != options.schema.application_id)
    return fail(ErrorCode::conflict, fmt::format("\"{}\" is a database of another program, not a "
                                                 "{}; move it away or choose another folder "
                                                 "with --data DIR",
                                                 path_.string(), options.schema.what));
  const auto known = static_cast<std::int64_t>(options.schema.scripts.size());
  is_newer_ = *version > known;
  if (is_newer_ && options.read_only && options.read_newer) return {};
  if (is_newer_)
    return fail(ErrorCode::conflict,
                fmt::format("{} \"{}\" has format {}, this version of reprise reads up to {}; "
                            "update reprise or choose "
                            "another folder with --data DIR",
                            options.schema.what, path_.string(), *version, known));
  if (read_only_) {
    if (*version == known) return {};
    if (unmarked)
      return fail(ErrorCode::not_found, fmt::format("{} \"{}\" is empty: it was not written to yet",
                                                    options.schema.what, path_.string()));
    return fail(ErrorCode::conflict,
                fmt::format("{} \"{}\" has the old format {} and is opened for reading only",
                            options.schema.what, path_.string(), *version));
  }
  if (*version < known)
    if (auto made = bring_up_to_date(options, *version); !made) return made;
  is_ours_ = true;
  return set_sync(options.sync);
}

Status Database::bring_up_to_date(const Options& options, std::int64_t found) {
  if (found > 0) {
    const std::string copy = fmt::format("{}.format{}.backup", path_.string(), found);
    std::error_code ignored;
    if (!std::filesystem::exists(copy, ignored)) {
      Statement backup(*this, "VACUUM INTO ?1");
      if (auto done = backup.run(copy); !done) return done;
    }
  }
  // A new file is made without waiting for the disk at every turn; once at the end is enough, see
  // below.
  if (found == 0)
    if (auto relaxed = run(pragma_of(Sync::off)); !relaxed) return relaxed;
  auto to_wal = [&] { return run("PRAGMA journal_mode=WAL"); };
  if (auto done = persist(to_wal, options.busy_timeout); !done) return done;

  auto transaction = Transaction::begin(*this);
  if (!transaction) return tl::unexpected(transaction.error());
  auto current = number(*this, "PRAGMA user_version");  // another process may have been quicker
  if (!current) return tl::unexpected(current.error());
  const auto known = static_cast<std::int64_t>(options.schema.scripts.size());
  if (*current >= known) return {};
  for (auto i = static_cast<std::size_t>(*current); i < options.schema.scripts.size(); ++i)
    if (auto done = run(std::string(options.schema.scripts[i]).c_str()); !done) return done;
  const std::string mark = fmt::format("PRAGMA application_id={}; PRAGMA user_version={}",
                                       options.schema.application_id, known);
  if (auto done = run(mark.c_str()); !done) return done;
  if (auto done = transaction->commit(); !done) return done;
  // The first commit that waits makes the whole log durable, this transaction included; but a log
  // beside an empty file would be thrown away, so the file's first page has to be there before.
  return options.sync == Sync::full ? wait_for(SQLITE_FCNTL_FILE_POINTER) : Status();
}

Database::~Database() {
  if (!handle_) return;
  if (is_ours_ && !read_only_) {
    sqlite3_file* log = nullptr;
    sqlite3_int64 bytes = 0;
    if (sqlite3_file_control(handle_, "main", SQLITE_FCNTL_JOURNAL_POINTER, &log) == SQLITE_OK &&
        log && log->pMethods && log->pMethods->xFileSize(log, &bytes) == SQLITE_OK &&
        bytes > bytes_folded_at_close) {
      sqlite3_busy_timeout(handle_, 0);  // whoever else has it open will do it later
      (void)sqlite3_wal_checkpoint_v2(handle_, nullptr, SQLITE_CHECKPOINT_TRUNCATE, nullptr,
                                      nullptr);
    }
  }
  sqlite3_close_v2(handle_);
}

Status Database::run(const char* sql) {
  if (int code = sqlite3_exec(handle_, sql, nullptr, nullptr, nullptr); code != SQLITE_OK)
    return tl::unexpected(error(code));
  return {};
}

Status Database::set_sync(Sync sync) {
  if (auto done = run(pragma_of(sync)); !done) return done;
  sync_ = sync;
  return {};
}

Status Database::flush() {
  return wait_for(SQLITE_FCNTL_JOURNAL_POINTER);
}

Status Database::overwrite_deleted() {
  return run("PRAGMA secure_delete=ON");
}

Result<bool> Database::empty_log() {
  auto is_busy = number(*this, "PRAGMA wal_checkpoint(TRUNCATE)");
  if (!is_busy) return tl::unexpected(is_busy.error());
  return *is_busy == 0;
}

Status Database::wait_for(int which_file) {
  sqlite3_file* file = nullptr;
  if (sqlite3_file_control(handle_, "main", which_file, &file) != SQLITE_OK || !file ||
      !file->pMethods)
    return {};  // nothing was written yet
  if (int code = file->pMethods->xSync(file, SQLITE_SYNC_NORMAL | SQLITE_SYNC_DATAONLY);
      code != SQLITE_OK)
    return tl::unexpected(error(code));
  return {};
}

std::int64_t Database::last_row_id() const {
  return sqlite3_last_insert_rowid(handle_);
}
std::int64_t Database::changes() const {
  return sqlite3_changes64(handle_);
}

Statement::Statement(Database& database, std::string_view sql) : database_(&database) {
  const int code = sqlite3_prepare_v3(database.handle(), sql.data(), static_cast<int>(sql.size()),
                                      SQLITE_PREPARE_PERSISTENT, &handle_, nullptr);
  if (code != SQLITE_OK) error_ = database.error(code);
}

Statement::~Statement() {
  sqlite3_finalize(handle_);
}

Statement::Statement(Statement&& other) noexcept
    : database_(other.database_),
      handle_(std::exchange(other.handle_, nullptr)),
      error_(std::move(other.error_)),
      bind_code_(other.bind_code_) {}

void Statement::note(int code) {
  if (code != SQLITE_OK && bind_code_ == SQLITE_OK) bind_code_ = code;
}

void Statement::bind_null(int index) {
  note(sqlite3_bind_null(handle_, index));
}
void Statement::bind_integer(int index, std::int64_t value) {
  note(sqlite3_bind_int64(handle_, index, value));
}
void Statement::bind_real(int index, double value) {
  note(sqlite3_bind_double(handle_, index, value));
}

// A null pointer would bind NULL, and an empty view may hold one.
void Statement::bind_text(int index, std::string_view value) {
  note(sqlite3_bind_text64(handle_, index, value.data() ? value.data() : "", value.size(),
                           SQLITE_STATIC, SQLITE_UTF8));
}
void Statement::bind_blob(int index, std::string_view value) {
  note(sqlite3_bind_blob64(handle_, index, value.data() ? value.data() : "", value.size(),
                           SQLITE_STATIC));
}

Result<bool> Statement::next() {
  if (error_) return tl::unexpected(*error_);
  if (bind_code_ != SQLITE_OK) return tl::unexpected(database_->error(bind_code_));
  const int code = sqlite3_step(handle_);
  if (code == SQLITE_ROW) return true;
  if (code == SQLITE_DONE) return false;
  return tl::unexpected(database_->error(code));
}

Status Statement::finish() {
  for (;;) {
    auto row = next();
    if (row && *row) continue;
    reset();
    if (!row) return tl::unexpected(row.error());
    return {};
  }
}

void Statement::reset() {
  sqlite3_reset(handle_);
  bind_code_ = SQLITE_OK;
}

bool Statement::is_null(int column) const {
  return sqlite3_column_type(handle_, column) == SQLITE_NULL;
}
std::int64_t Statement::integer(int column) const {
  return sqlite3_column_int64(handle_, column);
}
double Statement::real(int column) const {
  return sqlite3_column_double(handle_, column);
}
std::string_view Statement::bytes(int column) const {
  const void* data = sqlite3_column_blob(handle_, column);
  const int size = sqlite3_column_bytes(handle_, column);
  return {static_cast<const char*>(data), data ? static_cast<std::size_t>(size) : 0};
}

Result<Transaction> Transaction::begin(Database& database, Kind kind) {
  const char* sql = kind == Kind::write ? "BEGIN IMMEDIATE" : "BEGIN";
  if (auto begun = database.run(sql); !begun) return tl::unexpected(begun.error());
  return Transaction(database);
}

Transaction::~Transaction() {
  // After some errors (disk full) SQLite has rolled back already.
  if (database_ && !sqlite3_get_autocommit(database_->handle())) (void)database_->run("ROLLBACK");
}

Status Transaction::commit() {
  if (auto done = database_->run("COMMIT"); !done) return done;  // the destructor rolls back
  database_ = nullptr;
  return {};
}

}  // namespace reprise::sqlite
