// The stores and leases that a test program holds to the contract.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <boost/test/unit_test.hpp>

#include "cache/leases.hpp"
#include "cache/store.hpp"
#include "tests/support/temporary_folder.hpp"

namespace reprise::cache::testing {

struct NamedStore {
  std::string name;
  std::unique_ptr<Store> store;
  /// As a new process would find it; null for what is gone with its process.
  std::function<std::unique_ptr<Store>()> open_again;
  /// What the expiry of a version was before it was renewed; servers shared by nodes do not.
  bool remembers_renewals = false;

  void reopen() {
    if (!open_again) return;
    store.reset();
    store = open_again();
  }
};

/// New and empty; they may keep things in `folder`.
[[nodiscard]] std::vector<NamedStore> make_stores(const std::filesystem::path& folder);

/// For cases that every store has to pass.
struct Stores {
  reprise::testing::TemporaryFolder folder;
  std::vector<NamedStore> stores = make_stores(folder.path());

  template <class Body>
  void each(Body body) {
    for (const NamedStore& store : stores) {
      BOOST_TEST_CONTEXT(store.name) body(*store.store);
    }
  }
};

/// Leases with the store that their commits go to. `lease` goes by the clock that is passed in.
struct NamedLeases {
  std::string name;
  std::shared_ptr<Store> store;
  std::shared_ptr<Leases> leases;
  /// Leases of another process on the same store; null: there is none.
  std::shared_ptr<Leases> other;
};
[[nodiscard]] std::vector<NamedLeases> make_leases(const std::filesystem::path& folder);

/// Where several processes meet: opened by each for itself.
struct Place {
  std::string name;
  std::string prefix;  // in Redis
};
struct Sharer {
  std::unique_ptr<Store> store;
  std::unique_ptr<Leases> leases;
};
[[nodiscard]] std::vector<Place> make_places();
[[nodiscard]] Sharer open_sharer(const std::filesystem::path& folder, const Place& place);

}  // namespace reprise::cache::testing
