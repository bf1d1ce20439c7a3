// Digests of input files for the keys of commands, remembered by the cache.
#pragma once

#include <memory>
#include <utility>

#include "cache/file_digests.hpp"
#include "worker/material.hpp"

namespace reprise::actors {

class RememberingHasher final : public worker::FileHasher {
 public:
  explicit RememberingHasher(std::unique_ptr<cache::FileDigests> digests)
      : digests_(std::move(digests)) {}
  Result<FileValue> hash(const std::filesystem::path& path) override {
    return digests_->digest(path);
  }

 private:
  std::unique_ptr<cache::FileDigests> digests_;
};

}  // namespace reprise::actors
