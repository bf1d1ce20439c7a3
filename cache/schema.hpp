// The tables of cache.db.
#pragma once

#include "sqlite/database.hpp"

namespace reprise::cache {

/// Schema of cache.db, for everybody who opens it.
[[nodiscard]] const sqlite::Schema& cache_schema();

}  // namespace reprise::cache
