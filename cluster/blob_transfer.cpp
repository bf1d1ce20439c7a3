#include "cluster/blob_transfer.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <system_error>
#include <utility>

#include <fmt/format.h>

#include "cache/upkeep.hpp"
#include "journal/records.hpp"

namespace reprise::cluster {

namespace {

// More at once would only compete for the same link.
constexpr std::size_t under_way_max = 8;
// A value is taken into memory whole; files are not.
constexpr std::uint64_t value_bytes_max = 1ull << 30;

std::uint64_t next_serial() {
  static std::atomic<std::uint64_t> last{0};
  return ++last;
}

// A part of the file with this content. nullopt: there is none here.
std::optional<wire::BlobChunk> part_of_file(const std::filesystem::path& path,
                                            const wire::BlobRequest& request) {
  const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
  if (file < 0) return std::nullopt;
  wire::BlobChunk chunk{request.digest, request.offset, 0, {}};
  struct stat about {};
  if (::fstat(file, &about) == 0 && S_ISREG(about.st_mode)) {
    chunk.size = static_cast<std::uint64_t>(about.st_size);
    if (request.offset < chunk.size) {
      chunk.bytes.resize(
          std::min<std::uint64_t>(wire::blob_chunk_bytes, chunk.size - request.offset));
      const ssize_t got =
          ::pread(file, chunk.bytes.data(), chunk.bytes.size(), static_cast<off_t>(request.offset));
      if (got <= 0) chunk.size = 0;
      chunk.bytes.resize(static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
    }
  }
  ::close(file);
  return chunk;
}

}  // namespace

std::vector<Wanted> complete(Payload& payload, cache::BlobStore& blobs) {
  if (!payload.is_at_hand()) {
    auto value = blobs.get_value(payload.digest);
    if (!value) return {{payload.digest, true}};
    payload = *std::move(value);
  }
  // Files are rare and decoding is not free: without the byte that marks them there is none.
  if (payload.is_none() || payload.view().find('\x05') == std::string_view::npos) return {};
  const auto value = payload.value();
  if (!value) return {};
  std::vector<Wanted> missing;
  for (const Digest& file : cache::Upkeep::files_in(*value))
    if (!blobs.contains(file)) missing.push_back({file, false});
  return missing;
}

// ---- serving ----

void BlobSource::offer(const Payload& payload) {
  if (!payload.bytes || payload.size <= journal::inline_result_bytes) return;
  const auto [first, end] = offered_.equal_range(payload.digest);
  for (auto offer = first; offer != end; ++offer)
    if (offer->second.lock() == payload.bytes) return;
  offered_.emplace(payload.digest, payload.bytes);
  if (offered_.size() < prune_at_) return;
  std::erase_if(offered_, [](const auto& one) { return one.second.expired(); });
  prune_at_ = std::max<std::size_t>(1024, 2 * offered_.size());
}

wire::BlobChunk BlobSource::answer(const wire::BlobRequest& request) {
  if (auto part = part_of_file(blobs_->path_of(request.digest), request)) return *std::move(part);
  wire::BlobChunk chunk{request.digest, request.offset, 0, {}};
  if (last_.digest != request.digest) {
    last_ = {};
    const auto [first, end] = offered_.equal_range(request.digest);
    for (auto offer = first; offer != end && last_.is_none(); ++offer)
      if (auto bytes = offer->second.lock())
        last_ = {request.digest, bytes->size(), std::move(bytes)};
    if (last_.is_none())
      if (auto value = blobs_->get_value(request.digest)) last_ = *std::move(value);
  }
  if (last_.is_none() || request.offset > last_.size) return chunk;
  chunk.size = last_.size;
  chunk.bytes = std::string(last_.view().substr(request.offset, wire::blob_chunk_bytes));
  if (request.offset + chunk.bytes.size() == last_.size) last_ = {};
  return chunk;
}

// ---- fetching ----

BlobFetches::BlobFetches(std::shared_ptr<cache::BlobStore> blobs, std::filesystem::path folder)
    : blobs_(std::move(blobs)), folder_(std::move(folder)) {}

BlobFetches::~BlobFetches() {
  std::error_code ignored;
  for (const auto& [digest, fetch] : under_way_)
    if (!fetch.path.empty()) std::filesystem::remove(fetch.path, ignored);
}

void BlobFetches::want(const Wanted& what) {
  if (under_way_.contains(what.digest) || std::ranges::find(waiting_, what) != waiting_.end())
    return;
  waiting_.push_back(what);
  start_some();
}

void BlobFetches::start_some() {
  while (!waiting_.empty() && under_way_.size() < under_way_max) {
    const Wanted what = waiting_.front();
    waiting_.pop_front();
    under_way_[what.digest].what = what;
    requests_.push_back({what.digest, 0});
  }
}

void BlobFetches::take(const wire::BlobChunk& chunk) {
  const auto found = under_way_.find(chunk.digest);
  if (found == under_way_.end() || chunk.offset != found->second.got) return;
  Fetch& fetch = found->second;
  // Of an empty file there is nothing to send, and nothing to tell it from one that is missing.
  if (chunk.size == 0 && !(fetch.what.digest == sha256("") && !fetch.what.is_value))
    return end(chunk.digest,
               fail(ErrorCode::not_found, "the other side does not have it any more"));
  if (Status appended = append(fetch, chunk); !appended) return end(chunk.digest, appended);
  if (fetch.got < chunk.size) {
    requests_.push_back({chunk.digest, fetch.got});
    return;
  }
  end(chunk.digest, keep(fetch));
}

Status BlobFetches::append(Fetch& fetch, const wire::BlobChunk& chunk) {
  if (chunk.bytes.empty() && chunk.size > 0)
    return fail(ErrorCode::corrupt, "the other side sent an empty part");
  fetch.got += chunk.bytes.size();
  if (fetch.what.is_value) {
    if (chunk.size > value_bytes_max)
      return fail(ErrorCode::exhausted, "a value is longer than 1 GiB");
    fetch.bytes += chunk.bytes;
    return {};
  }
  if (fetch.path.empty()) {
    std::error_code error;
    std::filesystem::create_directories(folder_, error);
    fetch.path = folder_ / fmt::format("{}-{}", ::getpid(), next_serial());
    fetch.file.open(fetch.path, std::ios::binary | std::ios::trunc);
  }
  fetch.file.write(chunk.bytes.data(), static_cast<std::streamsize>(chunk.bytes.size()));
  if (!fetch.file)
    return tl::unexpected(system_error(fmt::format("write \"{}\"", fetch.path.string()), errno));
  return {};
}

Status BlobFetches::keep(Fetch& fetch) {
  const auto differs = [] {
    return fail(ErrorCode::corrupt, "what came does not match its digest");
  };
  if (fetch.what.is_value) {
    const Payload value = Payload::of(std::move(fetch.bytes));
    if (value.digest != fetch.what.digest) return differs();
    return blobs_->put_value(value);
  }
  fetch.file.close();
  if (!fetch.file)
    return tl::unexpected(system_error(fmt::format("write \"{}\"", fetch.path.string()), errno));
  const auto file = blobs_->put_file(fetch.path);
  if (!file) return tl::unexpected(file.error());
  if (file->content != fetch.what.digest) return differs();
  return {};
}

void BlobFetches::end(const Digest& digest, Status status) {
  const auto found = under_way_.find(digest);
  if (!found->second.path.empty()) {
    std::error_code ignored;
    std::filesystem::remove(found->second.path, ignored);
  }
  arrived_.push_back({found->second.what, std::move(status)});
  under_way_.erase(found);
  start_some();
}

std::vector<wire::BlobRequest> BlobFetches::take_requests() {
  return std::exchange(requests_, {});
}

std::vector<BlobFetches::Arrived> BlobFetches::take_arrived() {
  return std::exchange(arrived_, {});
}

}  // namespace reprise::cluster
