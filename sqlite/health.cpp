#include "sqlite/health.hpp"

#include <memory>

#include <sqlite3.h>

namespace reprise::sqlite {
namespace {

struct Close {
  void operator()(sqlite3* handle) const { sqlite3_close(handle); }
};

Error error_of(sqlite3* handle, int code) {
  const bool is_busy = (code & 0xff) == SQLITE_BUSY || (code & 0xff) == SQLITE_LOCKED;
  return {is_busy ? ErrorCode::unavailable : ErrorCode::corrupt,
          handle ? sqlite3_errmsg(handle) : "out of memory"};
}

/// First column of the first row.
Result<std::string> ask(sqlite3* handle, const char* sql) {
  sqlite3_stmt* statement = nullptr;
  int code = sqlite3_prepare_v2(handle, sql, -1, &statement, nullptr);
  if (code == SQLITE_OK) code = sqlite3_step(statement);
  Result<std::string> answer = tl::unexpected(error_of(handle, code));
  if (code == SQLITE_ROW) {
    const auto* text = reinterpret_cast<const char*>(sqlite3_column_text(statement, 0));
    answer = std::string(text ? text : "");
  }
  sqlite3_finalize(statement);
  return answer;
}

}  // namespace

Result<Health> examine(const std::filesystem::path& path) {
  sqlite3* handle = nullptr;
  const int opened = sqlite3_open_v2(path.c_str(), &handle, SQLITE_OPEN_READONLY, nullptr);
  const std::unique_ptr<sqlite3, Close> database(handle);
  if (opened != SQLITE_OK) return tl::unexpected(error_of(handle, opened));
  sqlite3_busy_timeout(handle, 2000);
  const auto version = ask(handle, "PRAGMA user_version");
  if (!version) return tl::unexpected(version.error());
  const auto integrity = ask(handle, "PRAGMA quick_check(1)");
  if (!integrity) return tl::unexpected(integrity.error());
  Health health;
  health.schema_version = std::stoll(*version);
  if (*integrity != "ok") health.damage = *integrity;
  return health;
}

}  // namespace reprise::sqlite
