#include "cache/blob_files.hpp"

#include <fstream>
#include <iterator>
#include <string>
#include <system_error>

#include <sys/stat.h>

#include "cache/compression.hpp"
#include "core/payload.hpp"

namespace reprise::cache {

namespace fs = std::filesystem;

std::optional<BlobFile> blob_file(const fs::path& path) {
  std::string hex = path.parent_path().filename().string();
  std::string rest = path.filename().string();
  BlobFile file;
  file.path = path;
  if (rest.ends_with(".value.zst")) {
    file.is_packed = true;
    rest.resize(rest.size() - 4);
  }
  if (rest.ends_with(".value")) {
    file.is_value = true;
    rest.resize(rest.size() - 6);
  }
  const auto digest = Digest::parse(hex + rest);
  if (!digest) return std::nullopt;
  file.digest = *digest;
  struct stat status {};
  if (::lstat(path.c_str(), &status) != 0 || !S_ISREG(status.st_mode)) return std::nullopt;
  file.bytes = static_cast<std::uint64_t>(status.st_size);
  file.modified =
      Time(std::chrono::seconds{status.st_mtim.tv_sec} + Duration{status.st_mtim.tv_nsec});
  return file;
}

std::optional<Digest> digest_of_file(const BlobFile& file) {
  std::ifstream stream(file.path, std::ios::binary);
  if (!stream) return std::nullopt;
  if (file.is_packed) {
    const std::string frame{std::istreambuf_iterator<char>(stream), {}};
    const std::uint64_t size = size_in(frame);
    if (size > most_compressed_bytes) return std::nullopt;
    const auto bytes = decompress(frame, size);
    return bytes ? std::optional(Payload::of(*bytes).digest) : std::nullopt;
  }
  Sha256 hash;
  // Payload::digest is H("arg", bytes).
  if (file.is_value) hash.update(std::string_view("rp1.arg\0", 8));
  std::string buffer(256 * 1024, '\0');
  while (stream.read(buffer.data(), static_cast<std::streamsize>(buffer.size())) ||
         stream.gcount() > 0)
    hash.update({buffer.data(), static_cast<std::size_t>(stream.gcount())});
  return hash.finish();
}

std::vector<BlobFile> blob_files(const fs::path& folder) {
  std::vector<BlobFile> files;
  std::error_code error;
  for (const auto& part : fs::directory_iterator(folder, error)) {
    if (part.path().filename().native().size() != 2) continue;  // tmp, quarantine
    std::error_code gone;
    for (const auto& blob : fs::directory_iterator(part.path(), gone))
      if (auto file = blob_file(blob.path())) files.push_back(std::move(*file));
  }
  return files;
}

}  // namespace reprise::cache
