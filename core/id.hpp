// Strong ids: a number that cannot be mistaken for another kind of number.
#pragma once

#include <compare>
#include <cstdint>
#include <functional>
#include <limits>

namespace reprise {

/// An index or serial number of one kind of thing, told apart by `Tag` at compile time.
template <class Tag, class Number = std::uint32_t>
struct Id {
  Number value = std::numeric_limits<Number>::max();  // max = no such thing

  [[nodiscard]] static constexpr Id none() { return Id{}; }
  [[nodiscard]] constexpr bool is_none() const { return *this == none(); }
  auto operator<=>(const Id&) const = default;
};

/// A task as the flow's author wrote it: its position in FlowSpec::nodes.
using NodeId = Id<struct NodeTag>;

/// One thing to run within a run: 0 … nodes-1 are the nodes themselves; the elements of mapped
/// nodes follow in the order in which they were expanded.
using TaskId = Id<struct TaskTag>;

}  // namespace reprise

template <class Tag, class Number>
struct std::hash<reprise::Id<Tag, Number>> {
  std::size_t operator()(reprise::Id<Tag, Number> id) const noexcept {
    return std::hash<Number>{}(id.value);
  }
};
