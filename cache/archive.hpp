// Results and runs as one file, to be moved to another data folder: written and read from one end
// to the other, never held in memory as a whole. docs/protocol.md, "Archive".
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "cache/files.hpp"
#include "cache/store.hpp"
#include "cache/upkeep.hpp"
#include "core/digest.hpp"
#include "core/result.hpp"

namespace reprise::cache {

enum class ArchiveContent : std::uint8_t {
  results = 1,
  runs = 2,  // and the results they refer to
};

/// Larger pieces are not written, and refused when read.
inline constexpr std::uint64_t archive_frame_bytes = 64ull << 20;
inline constexpr std::size_t archive_chunk_bytes = 256 * 1024;

/// Bytes by digest; chunks with all of them follow.
struct ArchiveBlob {
  enum class Kind : std::uint8_t {
    file = 0,
    value = 1,  // encoded value, its digest is Payload::digest
    flow = 2,   // FlowSpec::encode()
  };
  Kind kind = Kind::file;
  Digest digest;
  std::uint64_t size = 0;
  bool operator==(const ArchiveBlob&) const = default;
};

struct ArchiveChunk {
  std::string bytes;
  bool operator==(const ArchiveChunk&) const = default;
};

/// A key; its versions follow, oldest first.
struct ArchiveEntry {
  Key key;
  std::string name;      // the task's cache name
  std::string material;  // empty = not known
  std::optional<Time> horizon;
  bool operator==(const ArchiveEntry&) const = default;
};

/// One version of the entry before it.
struct ArchiveVersion {
  struct Renewal {
    Time at;
    std::optional<Time> expires;  // what the expiry was until then
    bool operator==(const Renewal&) const = default;
  };
  std::uint32_t number = 0;
  VersionStatus status = VersionStatus::ok;
  Time committed;
  std::optional<Time> expires;
  Payload value;  // bytes are at hand up to inline_value_bytes, larger ones are a blob
  RunId run;
  std::string task;
  Duration cost{0};
  std::vector<Renewal> renewals;
  bool operator==(const ArchiveVersion&) const = default;
};

/// A run and what happened in it, as journal/ encodes them; a run's batches follow it.
struct ArchiveRun {
  std::string bytes;
  bool operator==(const ArchiveRun&) const = default;
};
struct ArchiveBatch {
  std::string bytes;
  bool operator==(const ArchiveBatch&) const = default;
};

using ArchiveItem = std::variant<ArchiveBlob, ArchiveChunk, ArchiveEntry, ArchiveVersion, Pin,
                                 ArchiveRun, ArchiveBatch>;

/// An item as bytes of its own, without compression, and back.
[[nodiscard]] std::string encode_item(const ArchiveItem& item);
/// @error corrupt. Never allocates more than a small multiple of bytes.size().
[[nodiscard]] Result<ArchiveItem> decode_item(std::string_view bytes);

/// Digests of the files that an encoded value names, wherever in it; also of values that are too
/// large to be decoded. What does not decode names none.
[[nodiscard]] std::vector<Digest> files_named_in(std::string_view encoded);
/// The same for a value in a file, without reading it into memory.
[[nodiscard]] std::vector<Digest> files_named_in_file(const OpenFile& file);

/// Writes an archive. Not safe for concurrent use.
class ArchiveWriter {
 public:
  /// Takes bytes in order. An error ends the archive.
  using Sink = std::function<Status(std::string_view bytes)>;

  [[nodiscard]] static Result<std::unique_ptr<ArchiveWriter>> begin(Sink sink,
                                                                    ArchiveContent content);
  ~ArchiveWriter();

  /// @error of the sink; exhausted: an item above archive_frame_bytes
  Status add(const ArchiveItem& item);
  /// Nothing is added afterwards. An archive without this is refused as cut short.
  Status finish();
  [[nodiscard]] std::uint64_t bytes_written() const;

 private:
  struct State;
  explicit ArchiveWriter(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

/// Reads what an ArchiveWriter wrote, and believes nothing: order, sizes and digests are checked.
/// Items are told as they come; only when the end was reached, all of it is known to be right.
class ArchiveReader {
 public:
  /// Fills the buffer with up to `size` bytes. @return how many; 0 = the end
  using Source = std::function<Result<std::size_t>(char* buffer, std::size_t size)>;

  /// @error invalid_argument: no archive; conflict: of a newer format; of the source
  [[nodiscard]] static Result<std::unique_ptr<ArchiveReader>> begin(Source source);
  ~ArchiveReader();

  [[nodiscard]] ArchiveContent content() const;
  /// The next item; nullopt: this was all, and all is there.
  /// @error corrupt: cut short, damaged, or not as an archive has to be; of the source
  [[nodiscard]] Result<std::optional<ArchiveItem>> next();

 private:
  struct State;
  explicit ArchiveReader(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace reprise::cache
