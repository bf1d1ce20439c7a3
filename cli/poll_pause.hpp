// How long to wait before one looks again at what another process writes: soon after something was
// seen, ever less often while nothing comes.
#pragma once

#include <algorithm>
#include <chrono>

namespace reprise::cli {

class PollPause {
 public:
  /// The pause to make now, 50 to 250 ms; the next one is longer by half.
  [[nodiscard]] std::chrono::milliseconds next() {
    const auto now = pause_;
    pause_ = std::min(pause_ * 3 / 2, std::chrono::milliseconds{250});
    return now;
  }
  /// Something was seen: the next pause is a short one.
  void reset() { pause_ = least; }

 private:
  static constexpr std::chrono::milliseconds least{50};
  std::chrono::milliseconds pause_ = least;
};

}  // namespace reprise::cli
