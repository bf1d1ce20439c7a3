// A data folder's cache, opened anew by each call, as by one process after the other.
#pragma once

#include <memory>
#include <string>
#include <utility>

#include <boost/test/unit_test.hpp>

#include "cache/sqlite_store.hpp"
#include "cache/upkeep.hpp"
#include "tests/cache/cache_support.hpp"
#include "tests/support/temporary_folder.hpp"

namespace reprise::cache::testing {

struct CacheFolder {
  reprise::testing::TemporaryFolder folder;
  std::shared_ptr<BlobStore> blobs = *BlobStore::open({.folder = folder / "blobs"});

  std::unique_ptr<SqliteStore> store() {
    auto opened = SqliteStore::open({.path = folder / "cache.db", .blobs = blobs});
    BOOST_REQUIRE_MESSAGE(opened.has_value(), (opened ? "" : opened.error().message));
    return std::move(*opened);
  }
  std::unique_ptr<Upkeep> upkeep() {
    return std::move(*Upkeep::open(folder / "cache.db", blobs, folder / "blobs"));
  }
  void commit(const Commit& one, Time when) {
    BOOST_REQUIRE(store()->commit({&one, 1}, when).has_value());
  }
  void keep(const std::string& name, const std::string& text, Time when) {
    commit(testing::commit(name, value(text)), when);
  }
};

}  // namespace reprise::cache::testing
