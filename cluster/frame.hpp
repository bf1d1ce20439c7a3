// Frames on a byte stream: four bytes of length, most significant first, then that many bytes
// (docs/protocol.md, "Frame").
//
// A peer may send anything. The length is judged as soon as its four bytes are there, before a byte
// of the body is kept, so that a hostile or mistaken peer costs at most the limit.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "core/result.hpp"

namespace reprise::cluster {

inline constexpr std::size_t max_frame_bytes = 1u << 20;

/// Length and body as bytes to send.
/// @error exhausted: the body is longer than `limit`
[[nodiscard]] Result<std::string> encode_frame(std::string_view body,
                                               std::size_t limit = max_frame_bytes);

/// Cuts a stream into frames. After an error the stream is lost: every later call fails the same
/// way.
class FrameReader {
 public:
  explicit FrameReader(std::size_t limit = max_frame_bytes) : limit_(limit) {}

  /// For the frames after the ones that were taken: a peer that has proved who it is may send more.
  void set_limit(std::size_t limit) { limit_ = limit; }
  /// Takes in what was received, at most this call's bytes beyond one unfinished frame.
  void feed(std::string_view bytes);
  /// The next whole frame; nullopt: more bytes are needed.
  /// @error exhausted: a length above the limit; invalid_argument: an empty frame
  [[nodiscard]] Result<std::optional<std::string>> next();
  /// Bytes of an unfinished frame are waiting: the peer left in the middle of one.
  [[nodiscard]] bool is_in_frame() const { return taken_ < buffer_.size(); }

 private:
  std::size_t limit_;
  std::string buffer_;
  std::size_t taken_ = 0;  // bytes of buffer_ that were given out as frames
  std::optional<Error> broken_;
};

}  // namespace reprise::cluster
