// What a message only names and its receiver does not have: found, asked for, sent and checked.
//
// Values above 4 KiB and files travel apart from the messages that speak of them, in parts, pulled
// by whoever misses them (docs/protocol.md, "Link"). Both sides of a link do both: a worker pulls
// what its attempts take, the scheduler pulls what they gave.
#pragma once

#include <compare>
#include <cstdint>
#include <deque>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "cache/blob_store.hpp"
#include "cluster/wire.hpp"
#include "core/payload.hpp"

namespace reprise::cluster {

/// Something to be fetched: an encoded value by its own digest, or the content of a file.
struct Wanted {
  Digest digest;
  bool is_value = false;
  auto operator<=>(const Wanted&) const = default;
};

/// Fills in the bytes of a value that are kept here, and tells what of it is nowhere here: the
/// value, or files that it refers to. Nothing: it is complete. Blocks for the disk.
[[nodiscard]] std::vector<Wanted> complete(Payload& payload, cache::BlobStore& blobs);

/// Serves what this node has. Not safe for concurrent use.
class BlobSource {
 public:
  explicit BlobSource(std::shared_ptr<cache::BlobStore> blobs) : blobs_(std::move(blobs)) {}

  /// This value, which may be nowhere but in memory, is about to be named in a message. It can be
  /// asked for as long as somebody else keeps its bytes.
  void offer(const Payload& payload);
  /// The part asked for; `size` 0 when there is no such thing here. Blocks for the disk.
  [[nodiscard]] wire::BlobChunk answer(const wire::BlobRequest& request);

 private:
  std::shared_ptr<cache::BlobStore> blobs_;
  // Equal values of several attempts have an owner each, who lets go when it likes.
  std::unordered_multimap<Digest, std::weak_ptr<const std::string>> offered_;
  std::size_t prune_at_ = 1024;
  Payload last_;  // a value is asked for part by part
};

/// What is being fetched from one peer. Each thing is asked for once, part after part, a few things
/// at a time. Blocks for the disk; not safe for concurrent use.
class BlobFetches {
 public:
  /// How fetching ended; what came well is in the store.
  struct Arrived {
    Wanted what;
    Status status;
  };

  /// @param folder  for files that are not whole yet; made when missing
  BlobFetches(std::shared_ptr<cache::BlobStore> blobs, std::filesystem::path folder);
  ~BlobFetches();
  BlobFetches(const BlobFetches&) = delete;
  BlobFetches& operator=(const BlobFetches&) = delete;

  void want(const Wanted& what);
  /// The peer's answer; one that was not asked for is ignored.
  void take(const wire::BlobChunk& chunk);

  /// To be sent to the peer.
  [[nodiscard]] std::vector<wire::BlobRequest> take_requests();
  [[nodiscard]] std::vector<Arrived> take_arrived();

 private:
  struct Fetch {
    Wanted what;
    std::uint64_t got = 0;
    std::string bytes;           // of a value
    std::filesystem::path path;  // of a file, until it is whole
    std::ofstream file;
  };

  void start_some();
  [[nodiscard]] Status append(Fetch& fetch, const wire::BlobChunk& chunk);
  [[nodiscard]] Status keep(Fetch& fetch);
  void end(const Digest& digest, Status status);

  std::shared_ptr<cache::BlobStore> blobs_;
  std::filesystem::path folder_;
  std::deque<Wanted> waiting_;
  std::map<Digest, Fetch> under_way_;
  std::vector<wire::BlobRequest> requests_;
  std::vector<Arrived> arrived_;
};

}  // namespace reprise::cluster
