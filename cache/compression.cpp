#include "cache/compression.hpp"

#include <memory>

#include <fmt/format.h>
#include <zstd.h>

namespace reprise::cache {
namespace {

constexpr std::size_t sample_bytes = 128 * 1024;
constexpr int level = 3;

bool pays(std::size_t before, std::size_t after) {
  return after <= before - before / 8;
}

struct FreeContext {
  void operator()(ZSTD_CCtx* context) const { ZSTD_freeCCtx(context); }
  void operator()(ZSTD_DCtx* context) const { ZSTD_freeDCtx(context); }
};

// Contexts are a megabyte to make; one per thread is kept.
ZSTD_CCtx* compressor() {
  thread_local const std::unique_ptr<ZSTD_CCtx, FreeContext> context = [] {
    std::unique_ptr<ZSTD_CCtx, FreeContext> made(ZSTD_createCCtx());
    if (made) {
      ZSTD_CCtx_setParameter(made.get(), ZSTD_c_compressionLevel, level);
      ZSTD_CCtx_setParameter(made.get(), ZSTD_c_checksumFlag, 1);
    }
    return made;
  }();
  return context.get();
}

std::optional<std::string> frame_of(std::string_view bytes) {
  ZSTD_CCtx* context = compressor();
  if (context == nullptr) return std::nullopt;
  std::string frame(ZSTD_compressBound(bytes.size()), '\0');
  const std::size_t size =
      ZSTD_compress2(context, frame.data(), frame.size(), bytes.data(), bytes.size());
  if (ZSTD_isError(size) != 0 || !pays(bytes.size(), size)) return std::nullopt;
  frame.resize(size);
  return frame;
}

}  // namespace

std::optional<std::string> compress(std::string_view bytes) {
  if (bytes.size() < least_compressed_bytes || bytes.size() > most_compressed_bytes)
    return std::nullopt;
  if (bytes.size() > 2 * sample_bytes &&
      !frame_of(bytes.substr(bytes.size() / 2 - sample_bytes / 2, sample_bytes)))
    return std::nullopt;
  return frame_of(bytes);
}

std::uint64_t size_in(std::string_view frame) {
  const unsigned long long size = ZSTD_getFrameContentSize(frame.data(), frame.size());
  return size == ZSTD_CONTENTSIZE_UNKNOWN || size == ZSTD_CONTENTSIZE_ERROR ? 0 : size;
}

Result<std::string> decompress(std::string_view frame, std::uint64_t size) {
  if (size > most_compressed_bytes ||
      ZSTD_getFrameContentSize(frame.data(), frame.size()) != size ||
      ZSTD_findFrameCompressedSize(frame.data(), frame.size()) != frame.size())
    return fail(ErrorCode::corrupt, "the compressed value has another size");
  thread_local const std::unique_ptr<ZSTD_DCtx, FreeContext> context(ZSTD_createDCtx());
  std::string bytes(size, '\0');
  const std::size_t made =
      ZSTD_decompressDCtx(context.get(), bytes.data(), bytes.size(), frame.data(), frame.size());
  if (ZSTD_isError(made) != 0)
    return fail(ErrorCode::corrupt,
                fmt::format("the compressed value is damaged: {}", ZSTD_getErrorName(made)));
  if (made != size) return fail(ErrorCode::corrupt, "the compressed value has another size");
  return bytes;
}

}  // namespace reprise::cache
