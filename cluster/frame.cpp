#include "cluster/frame.hpp"

#include <cstdint>

#include <fmt/format.h>

namespace reprise::cluster {
namespace {

constexpr std::size_t header_bytes = 4;

std::size_t length_in(std::string_view header) {
  std::uint32_t length = 0;
  for (std::size_t i = 0; i < header_bytes; ++i)
    length = (length << 8) | static_cast<unsigned char>(header[i]);
  return length;
}

}  // namespace

Result<std::string> encode_frame(std::string_view body, std::size_t limit) {
  if (body.size() > limit || body.size() > UINT32_MAX)
    return fail(
        ErrorCode::exhausted,
        fmt::format("a frame of {} bytes is above the limit of {} bytes", body.size(), limit));
  std::string frame;
  frame.reserve(header_bytes + body.size());
  for (int shift = 24; shift >= 0; shift -= 8)
    frame += static_cast<char>((body.size() >> shift) & 0xff);
  frame += body;
  return frame;
}

void FrameReader::feed(std::string_view bytes) {
  if (broken_) return;
  buffer_.erase(0, taken_);  // once for all frames of the last call
  taken_ = 0;
  buffer_ += bytes;
}

Result<std::optional<std::string>> FrameReader::next() {
  if (broken_) return tl::unexpected(*broken_);
  const std::string_view rest = std::string_view(buffer_).substr(taken_);
  if (rest.size() < header_bytes) return std::nullopt;
  const std::size_t length = length_in(rest);
  if (length == 0) broken_ = Error{ErrorCode::invalid_argument, "the peer sent an empty frame"};
  if (length > limit_)
    broken_ = Error{ErrorCode::exhausted,
                    fmt::format("the peer announced a frame of {} bytes; the limit is {} bytes",
                                length, limit_)};
  if (broken_) {
    buffer_.clear();
    taken_ = 0;
    buffer_.shrink_to_fit();
    return tl::unexpected(*broken_);
  }
  if (rest.size() < header_bytes + length) return std::nullopt;
  std::string body(rest.substr(header_bytes, length));
  taken_ += header_bytes + length;
  if (taken_ == buffer_.size()) {
    buffer_.clear();
    taken_ = 0;
  }
  return body;
}

}  // namespace reprise::cluster
