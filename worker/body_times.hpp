// How long bodies of one kind usually take, so that short ones can be handled in bulk and long ones
// one by one.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>

#include "flow/flow_spec.hpp"

namespace reprise::worker {

/// A small table without locks; two kinds may share a place and then forget each other, which costs
/// speed only. A kind nobody has run yet counts as long. Safe from any thread.
class BodyTimes {
 public:
  static constexpr std::uint32_t short_ns = 50'000;

  [[nodiscard]] bool is_short(const TaskKind& kind) const { return usual(kind) < short_ns; }

  /// Nanoseconds; the greatest there are for a kind that nobody has run yet.
  [[nodiscard]] std::uint32_t usual(const TaskKind& kind) const {
    const Place& place = places_[index_of(kind)];
    if (place.kind.load(std::memory_order_relaxed) != &kind) return UINT32_MAX;
    return place.ns.load(std::memory_order_relaxed);
  }

  /// Believes a long time at once and a short one slowly: handling a long body in bulk is the
  /// costlier mistake.
  void note(const TaskKind& kind, std::chrono::nanoseconds took) {
    Place& place = places_[index_of(kind)];
    const auto ns = static_cast<std::uint32_t>(std::min<std::int64_t>(took.count(), 4'000'000'000));
    if (place.kind.load(std::memory_order_relaxed) != &kind) {
      place.ns.store(ns, std::memory_order_relaxed);
      place.kind.store(&kind, std::memory_order_relaxed);
      return;
    }
    const std::uint32_t known = place.ns.load(std::memory_order_relaxed);
    if (known < short_ns / 4 && ns < short_ns / 4) return;  // spares the other processors the write
    place.ns.store(ns > known ? ns : known - (known - ns) / 8, std::memory_order_relaxed);
  }

 private:
  struct Place {
    std::atomic<const TaskKind*> kind{nullptr};
    std::atomic<std::uint32_t> ns{0};
  };
  [[nodiscard]] static std::size_t index_of(const TaskKind& kind) {
    return (reinterpret_cast<std::uintptr_t>(&kind) / sizeof(TaskKind)) % 256;
  }
  std::array<Place, 256> places_;
};

}  // namespace reprise::worker
