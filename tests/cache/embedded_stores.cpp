#include <stdexcept>

#include <boost/test/unit_test.hpp>

#include "cache/memory_store.hpp"
#include "cache/sqlite_leases.hpp"
#include "cache/sqlite_store.hpp"
#include "tests/cache/contract_stores.hpp"

namespace reprise::cache::testing {

std::vector<NamedStore> make_stores(const std::filesystem::path& folder) {
  const auto open_sqlite = [folder]() -> std::unique_ptr<Store> {
    auto store = SqliteStore::open({.path = folder / "cache.db"});
    if (!store) BOOST_FAIL(store.error().message);
    return std::move(*store);
  };
  std::vector<NamedStore> stores;
  stores.push_back({"memory", std::make_unique<MemoryStore>(), {}, true});
  stores.push_back({"sqlite", open_sqlite(), open_sqlite, true});
  return stores;
}

std::vector<NamedLeases> make_leases(const std::filesystem::path& folder) {
  const auto open_leases = [&] {
    auto leases = SqliteLeases::open(folder / "cache.db");
    if (!leases) BOOST_FAIL(leases.error().message);
    return std::move(*leases);
  };
  auto memory = std::make_shared<MemoryStore>();
  auto sqlite = SqliteStore::open({.path = folder / "cache.db"});
  if (!sqlite) BOOST_FAIL(sqlite.error().message);
  std::vector<NamedLeases> all;
  all.push_back({"memory", memory, memory, nullptr});
  all.push_back({"sqlite", std::move(*sqlite), open_leases(), open_leases()});
  return all;
}

std::vector<Place> make_places() {
  return {{"sqlite", {}}};
}

Sharer open_sharer(const std::filesystem::path& folder, const Place&) {
  auto store = SqliteStore::open({.path = folder / "cache.db"});
  auto leases = SqliteLeases::open(folder / "cache.db");
  if (!store || !leases) throw std::runtime_error("cannot open cache.db");
  return {std::move(*store), std::move(*leases)};
}

}  // namespace reprise::cache::testing
