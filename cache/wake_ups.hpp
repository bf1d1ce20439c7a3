// News for those who wait until somebody else has computed a key.
#pragma once

#include <functional>
#include <span>

#include "core/cache_key.hpp"

namespace reprise::cache {

class WakeUps {
 public:
  virtual ~WakeUps() = default;

  /// Called, from any thread, with a key whose computation ended, or may have. Set before anything
  /// else.
  virtual void on_news(std::function<void(const Key&)> hear) = 0;
  /// Of exactly these keys from now on. Does not block.
  virtual void listen_to(std::span<const Key> keys) = 0;
  /// Nothing is missed at the moment: there is no need to look often.
  [[nodiscard]] virtual bool is_listening() const = 0;
};

}  // namespace reprise::cache
