// Doing to a database what only somebody else's program would do.
#pragma once

#include <filesystem>
#include <stdexcept>
#include <string>

#include <sqlite3.h>

namespace reprise::testing {

/// Runs the statements on the file, which is made when missing. Throws when one fails.
inline void run_sql(const std::filesystem::path& file, const std::string& sql) {
  sqlite3* handle = nullptr;
  if (sqlite3_open(file.c_str(), &handle) != SQLITE_OK) throw std::runtime_error("cannot open");
  char* error = nullptr;
  const bool worked = sqlite3_exec(handle, sql.c_str(), nullptr, nullptr, &error) == SQLITE_OK;
  const std::string why = error != nullptr ? error : "";
  sqlite3_free(error);
  sqlite3_close(handle);
  if (!worked) throw std::runtime_error(why);
}

}  // namespace reprise::testing
