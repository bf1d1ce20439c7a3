// What an engine keeps, opened: its data folder with the journal, the cache and the blobs in it.
#pragma once

#include <filesystem>
#include <memory>

#include "actors/engine.hpp"
#include "cache/blob_store.hpp"
#include "cache/file_digests.hpp"
#include "cache/leases.hpp"
#include "cache/store.hpp"
#include "journal/data_folder.hpp"
#include "journal/journal.hpp"

namespace reprise::actors {

struct EngineData {
  /// Opens what the options ask for: all in a temporary folder and in memory when no data directory
  /// is named. A server begins its epoch.
  /// @error io, exhausted, denied: the folder cannot be written; unavailable: the shared journal
  [[nodiscard]] static Result<std::unique_ptr<EngineData>> open(const EngineOptions& options);

  EngineData() = default;
  EngineData(const EngineData&) = delete;
  EngineData& operator=(const EngineData&) = delete;
  ~EngineData();

  /// What is in `folder` stays when the engine is gone.
  [[nodiscard]] bool keeps() const { return temporary.empty(); }

  journal::DataFolder folder;
  std::filesystem::path temporary;  // `folder` of an engine that keeps nothing; removed at the end
  std::shared_ptr<cache::BlobStore> blobs;
  std::unique_ptr<journal::Journal> journal;  // null: none is kept, or the journal's actor has it
  bool has_journal = false;
  journal::Epoch epoch;                         // of a server
  std::shared_ptr<cache::Store> store;          // this node's, before the one that nodes share
  std::shared_ptr<cache::Leases> leases;        // null: nobody else computes what this engine does
  std::unique_ptr<cache::FileDigests> digests;  // until the cache's actor takes it
};

}  // namespace reprise::actors
