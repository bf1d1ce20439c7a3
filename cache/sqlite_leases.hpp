// Leases between the processes of one data folder: a table of cache.db.
#pragma once

#include <filesystem>
#include <memory>

#include "cache/leases.hpp"

namespace reprise::cache {

/// Safe from any thread; one at a time is served. Commits that present a lease are checked by
/// SqliteStore, in the transaction that keeps them.
class SqliteLeases final : public Leases {
 public:
  /// @param path  cache.db, of the SqliteStore that the results go to
  /// @error as sqlite::Database::open
  [[nodiscard]] static Result<std::unique_ptr<SqliteLeases>> open(
      const std::filesystem::path& path);
  ~SqliteLeases() override;

  [[nodiscard]] Result<std::vector<LeaseAnswer>> acquire(std::span<const LeaseWish> wishes,
                                                         const LeaseTerms& terms) override;
  [[nodiscard]] Result<std::vector<bool>> renew(std::span<const HeldLease> leases,
                                                const LeaseTerms& terms) override;
  [[nodiscard]] Result<std::vector<bool>> release(std::span<const HeldLease> leases,
                                                  Time now) override;
  [[nodiscard]] Status release_all_of(std::string_view owner) override;

 private:
  struct State;
  explicit SqliteLeases(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace reprise::cache
