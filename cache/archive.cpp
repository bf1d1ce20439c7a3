// An archive is 16 bytes of heading, then one zstd stream with a checksum. The stream is a row of
// frames: four bytes of length, most significant first, then as many bytes of one item. The last
// item is the digest of everything before it.
#include "cache/archive.hpp"

#include <algorithm>

#include <fmt/format.h>
#include <zstd.h>

#include "cache/archive_tag.hpp"
#include "core/pack.hpp"
#include "core/text.hpp"

namespace reprise::cache {
namespace {

using Tag = ArchiveTag;

// As PNG does it: a byte that is no text, the name, and line ends that show conversions.
constexpr std::string_view magic{"\x89RPARCH\r\n\x1a\n", 12};
constexpr std::uint8_t format = 1;
constexpr std::size_t heading_bytes = 16;
constexpr int level = 3;

std::string heading(ArchiveContent content) {
  std::string bytes(magic);
  bytes.push_back(static_cast<char>(format));
  bytes.push_back(static_cast<char>(content));
  bytes.resize(heading_bytes, '\0');
  return bytes;
}

}  // namespace

struct ArchiveWriter::State {
  struct Free {
    void operator()(ZSTD_CCtx* used) const { ZSTD_freeCCtx(used); }
  };
  Sink sink;
  std::unique_ptr<ZSTD_CCtx, Free> context{ZSTD_createCCtx()};
  std::string buffer = std::string(ZSTD_CStreamOutSize(), '\0');
  Sha256 hash;
  std::uint64_t written = 0;

  Status put(std::string_view bytes) {
    written += bytes.size();
    return sink(bytes);
  }
  Status compress(std::string_view bytes, ZSTD_EndDirective how) {
    ZSTD_inBuffer in{bytes.data(), bytes.size(), 0};
    for (;;) {
      ZSTD_outBuffer out{buffer.data(), buffer.size(), 0};
      const std::size_t left = ZSTD_compressStream2(context.get(), &out, &in, how);
      if (ZSTD_isError(left) != 0)
        return fail(ErrorCode::exhausted,
                    fmt::format("cannot compress: {}", ZSTD_getErrorName(left)));
      if (out.pos > 0)
        if (auto done = put({buffer.data(), out.pos}); !done) return done;
      if (how == ZSTD_e_end ? left == 0 : in.pos == in.size) return {};
    }
  }
  Status frame(std::string_view item) {
    std::string length(4, '\0');
    for (int i = 0; i < 4; ++i)
      length[static_cast<std::size_t>(i)] = static_cast<char>(item.size() >> (24 - 8 * i));
    hash.update(length).update(item);
    if (auto done = compress(length, ZSTD_e_continue); !done) return done;
    return compress(item, ZSTD_e_continue);
  }
};

ArchiveWriter::ArchiveWriter(std::unique_ptr<State> state) : state_(std::move(state)) {}
ArchiveWriter::~ArchiveWriter() = default;

Result<std::unique_ptr<ArchiveWriter>> ArchiveWriter::begin(Sink sink, ArchiveContent content) {
  auto state = std::make_unique<State>();
  state->sink = std::move(sink);
  if (!state->context) return fail(ErrorCode::exhausted, "no memory to compress with");
  ZSTD_CCtx_setParameter(state->context.get(), ZSTD_c_compressionLevel, level);
  ZSTD_CCtx_setParameter(state->context.get(), ZSTD_c_checksumFlag, 1);
  if (auto done = state->put(heading(content)); !done) return tl::unexpected(done.error());
  return std::unique_ptr<ArchiveWriter>(new ArchiveWriter(std::move(state)));
}

Status ArchiveWriter::add(const ArchiveItem& item) {
  const std::string bytes = encode_item(item);
  if (bytes.size() > archive_frame_bytes)
    return fail(ErrorCode::exhausted,
                fmt::format("a part of {} does not fit into an archive",
                            describe_bytes(static_cast<std::uint64_t>(bytes.size()))));
  return state_->frame(bytes);
}

Status ArchiveWriter::finish() {
  const Digest all = state_->hash.finish();
  std::string bytes;
  Packer pack(bytes);
  pack.array(2);
  pack.integer(static_cast<int>(Tag::end));
  pack.bytes(all.raw());
  if (auto done = state_->frame(bytes); !done) return done;
  return state_->compress({}, ZSTD_e_end);
}

std::uint64_t ArchiveWriter::bytes_written() const {
  return state_->written;
}

// ---- reading ----------------------------------------------------------------------------------

struct ArchiveReader::State {
  struct Free {
    void operator()(ZSTD_DCtx* used) const { ZSTD_freeDCtx(used); }
  };
  Source source;
  ArchiveContent content = ArchiveContent::results;
  std::unique_ptr<ZSTD_DCtx, Free> context{ZSTD_createDCtx()};
  std::string compressed = std::string(ZSTD_DStreamInSize(), '\0');
  ZSTD_inBuffer in{compressed.data(), 0, 0};
  bool is_stream_over = false;
  Sha256 hash;

  // What was read so far demands of what comes.
  std::optional<ArchiveBlob> blob;  // whose chunks are coming
  std::uint64_t blob_left = 0;
  Sha256 blob_hash;
  bool in_entry = false;
  std::uint32_t last_number = 0;
  Time last_committed;
  bool in_run = false;

  /// Reads on into `bytes` until it has `size` of them. False: the stream ended before the first.
  /// Grows with what really comes, so that a length that lies costs nothing.
  Result<bool> take(std::string& bytes, std::size_t size) {
    constexpr std::size_t step = 1 << 20;
    bytes.clear();
    while (bytes.size() < size) {
      const std::size_t had = bytes.size();
      bytes.resize(std::min(size, had + step));
      ZSTD_outBuffer out{bytes.data() + had, bytes.size() - had, 0};
      while (out.pos < out.size) {
        if (is_stream_over) {
          if (had + out.pos == 0) return false;
          return damaged_archive("it ends in the middle");
        }
        if (in.pos == in.size) {
          auto more = source(compressed.data(), compressed.size());
          if (!more) return tl::unexpected(more.error());
          if (*more == 0) return fail(ErrorCode::corrupt, "the archive is cut short");
          in = {compressed.data(), *more, 0};
        }
        const std::size_t left = ZSTD_decompressStream(context.get(), &out, &in);
        if (ZSTD_isError(left) != 0) return damaged_archive(ZSTD_getErrorName(left));
        is_stream_over = left == 0;
      }
    }
    return true;
  }

  Status expect_nothing_more() {
    std::string rest;
    // The stream's own end, with its checksum, may not have been read yet.
    while (!is_stream_over) {
      auto more = take(rest, 1);
      if (!more) return tl::unexpected(more.error());
      if (*more) return damaged_archive("something follows its end");
    }
    char byte = 0;
    if (in.pos < in.size) return damaged_archive("something follows its end");
    auto more = source(&byte, 1);
    if (!more) return tl::unexpected(more.error());
    if (*more != 0) return damaged_archive("something follows its end");
    return {};
  }

  Status check(const ArchiveBlob& item) {
    in_entry = in_run = false;
    blob = item;
    blob_left = item.size;
    (void)blob_hash.finish();
    // Payload::digest is H("arg", bytes).
    if (item.kind == ArchiveBlob::Kind::value) blob_hash.update(std::string_view("rp1.arg\0", 8));
    return blob_left == 0 ? end_blob() : Status();
  }
  Status end_blob() {
    if (blob_hash.finish() != blob->digest)
      return damaged_archive(fmt::format("the bytes of \"{}\" are others", blob->digest.text()));
    return {};
  }
  Status check(const ArchiveChunk& item) {
    if (blob_left == 0 || item.bytes.empty() || item.bytes.size() > archive_chunk_bytes ||
        item.bytes.size() > blob_left)
      return damaged_archive("a blob has another size than it says");
    blob_left -= item.bytes.size();
    blob_hash.update(item.bytes);
    return blob_left == 0 ? end_blob() : Status();
  }
  Status check(const ArchiveEntry&) {
    in_entry = true;
    in_run = false;
    last_number = 0;
    return {};
  }
  Status check(const ArchiveVersion& item) {
    if (!in_entry) return damaged_archive("a version without an entry");
    if (item.number <= last_number || (last_number > 0 && item.committed <= last_committed))
      return damaged_archive("versions are not in order");
    last_number = item.number;
    last_committed = item.committed;
    return {};
  }
  Status check(const Pin&) {
    in_entry = in_run = false;
    return {};
  }
  Status check(const ArchiveRun&) {
    in_entry = false;
    in_run = true;
    if (content != ArchiveContent::runs) return damaged_archive("a run among results");
    return {};
  }
  Status check(const ArchiveBatch&) {
    return in_run ? Status() : Status(damaged_archive("what happened, without a run"));
  }
};

ArchiveReader::ArchiveReader(std::unique_ptr<State> state) : state_(std::move(state)) {}
ArchiveReader::~ArchiveReader() = default;

Result<std::unique_ptr<ArchiveReader>> ArchiveReader::begin(Source source) {
  auto state = std::make_unique<State>();
  state->source = std::move(source);
  if (!state->context) return fail(ErrorCode::exhausted, "no memory to decompress with");
  std::string head(heading_bytes, '\0');
  for (std::size_t filled = 0; filled < head.size();) {
    auto got = state->source(head.data() + filled, head.size() - filled);
    if (!got) return tl::unexpected(got.error());
    if (*got == 0) {
      head.resize(filled);
      break;
    }
    filled += *got;
  }
  if (!head.starts_with(magic))
    return fail(ErrorCode::invalid_argument,
                magic.starts_with(head) && !head.empty()
                    ? "the archive is cut short"
                    : "this is no archive of results or runs; `reprise cache export` and `reprise "
                      "runs export` make them");
  if (head.size() < heading_bytes) return fail(ErrorCode::corrupt, "the archive is cut short");
  const auto version = static_cast<std::uint8_t>(head[magic.size()]);
  if (version > format)
    return fail(ErrorCode::conflict,
                fmt::format("the archive has format {}, this version of reprise reads up to {}; "
                            "update reprise",
                            version, format));
  const auto content = static_cast<std::uint8_t>(head[magic.size() + 1]);
  if (version != format || content < 1 || content > 2 || head[14] != 0 || head[15] != 0)
    return damaged_archive("its heading does not decode");
  state->content = static_cast<ArchiveContent>(content);
  return std::unique_ptr<ArchiveReader>(new ArchiveReader(std::move(state)));
}

ArchiveContent ArchiveReader::content() const {
  return state_->content;
}

Result<std::optional<ArchiveItem>> ArchiveReader::next() {
  State& state = *state_;
  std::string length;
  auto more = state.take(length, 4);
  if (!more) return tl::unexpected(more.error());
  if (!*more) return damaged_archive("it has no end");
  std::uint64_t size = 0;
  for (const char byte : length) size = size << 8 | static_cast<std::uint8_t>(byte);
  if (size > archive_frame_bytes) return damaged_archive("a part of it is too large");
  std::string bytes;
  more = state.take(bytes, size);
  if (!more) return tl::unexpected(more.error());

  Unpacker peek(bytes);
  if (peek.array() == 2 && peek.unsigned_integer() == static_cast<std::uint64_t>(Tag::end)) {
    const auto digest = Digest::from_raw(peek.bytes());
    if (!peek.at_end() || !digest || *digest != state.hash.finish())
      return damaged_archive("it is not what was written");
    if (state.blob_left != 0) return damaged_archive("a blob has another size than it says");
    if (auto done = state.expect_nothing_more(); !done) return tl::unexpected(done.error());
    return std::optional<ArchiveItem>();
  }
  state.hash.update(length).update(bytes);
  auto item = decode_item(bytes);
  if (!item) return tl::unexpected(item.error());
  if (state.blob_left != 0 && !std::holds_alternative<ArchiveChunk>(*item))
    return damaged_archive("a blob has another size than it says");
  if (auto good = std::visit([&](const auto& each) { return state.check(each); }, *item); !good)
    return tl::unexpected(good.error());
  return std::optional(*std::move(item));
}

}  // namespace reprise::cache
