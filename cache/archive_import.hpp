// Taking an archive into a data folder, wholly or not at all.
//
// First everything is read into a folder aside and checked: that the archive is complete, that
// every value and blob is what its digest says, that everything referred to is there. Only then
// blobs get their names, which nobody refers to yet, and one transaction shows the results.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "cache/archive.hpp"
#include "cache/blob_store.hpp"

namespace reprise::cache {

struct Imported {
  std::uint64_t entries = 0;   // keys that got a version
  std::uint64_t versions = 0;  // that are new here
  std::uint64_t known = 0;     // versions that were here already
  std::uint64_t repaired = 0;  // versions that were damaged here
  // Versions made before the newest one here: what is past stays as it was. What was removed or
  // erased here does not come back by this.
  std::uint64_t older = 0;
  std::uint64_t blobs = 0;  // in the archive
  std::uint64_t blob_bytes = 0;
  std::uint64_t pins = 0;  // that are new here

  bool operator==(const Imported&) const = default;
};

class ArchiveImport {
 public:
  struct Options {
    std::filesystem::path folder{};  // data folder; cache.db and blobs lie in it
    std::shared_ptr<BlobStore> blobs = nullptr;
    std::uint64_t bytes_max = UINT64_MAX;  // of what the archive holds, decompressed
  };
  /// Makes a folder aside, and sweeps those that crashed imports left. @error denied, exhausted, io
  [[nodiscard]] static Result<std::unique_ptr<ArchiveImport>> open(Options options);
  /// What is aside is removed.
  ~ArchiveImport();

  /// Reads and checks all of it; nothing can be seen of it yet. Once.
  /// @error as ArchiveReader; invalid_argument: it holds something else than `content`; corrupt:
  /// something that is referred to is missing; exhausted: too large, disk full
  Status read(ArchiveReader::Source source, ArchiveContent content);

  /// Of an archive of runs: the runs and batches in order, from 0; nullopt: there are no more.
  /// @error io
  [[nodiscard]] Result<std::optional<ArchiveItem>> run_item(std::size_t position) const;
  [[nodiscard]] bool has_blob(const Digest& digest) const;
  /// An encoded flow. @error not_found; io
  [[nodiscard]] Result<std::string> flow(const Digest& digest);

  /// Publishes this blob, too, although no result refers to it.
  void need(const Digest& digest);
  /// Shows the results to everybody. @param dry_run  only tells what would become of them
  /// @error denied, unavailable, exhausted, io: nothing is to be seen of it
  Result<Imported> apply(bool dry_run = false);

 private:
  struct State;
  explicit ArchiveImport(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace reprise::cache
