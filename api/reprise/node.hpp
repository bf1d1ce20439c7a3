// Handles to what a flow is made of: nodes (the results of its tasks, and constants) and
// parameters.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "reprise/task.hpp"

namespace reprise {

namespace detail {

class flow_state;  // api/flow_state.hpp

/// What a handle points to: a task or a constant of a flow.
struct node_ref {
  std::shared_ptr<flow_state> flow;
  std::uint32_t index = 0;
  bool is_constant = false;
};

void name_node(const node_ref& node, std::string name);
void order_after(const node_ref& node, const node_ref& earlier);

}  // namespace detail

/// A value of type T that a task of the flow will make; void when it makes none. Handles are small
/// and copied freely; they keep the flow's description alive.
template <class T>
class node {
 public:
  using type = T;

  explicit node(detail::node_ref ref) : ref_(std::move(ref)) {}

  /// Gives the task a name of its own; names are unique in a flow. Without, it has its task's name,
  /// made unique as "count#2". @throws usage_error invalid_argument: this is a constant
  node& named(std::string name) & {
    detail::name_node(ref_, std::move(name));
    return *this;
  }
  node&& named(std::string name) && {
    detail::name_node(ref_, std::move(name));
    return std::move(*this);
  }

  /// The task waits for these others, without taking their values. For a mapped task: for all of
  /// it.
  /// @throws usage_error invalid_argument: a node of another flow, a constant, or this node itself
  template <class... Other>
  node& after(const node<Other>&... earlier) & {
    (detail::order_after(ref_, earlier.ref()), ...);
    return *this;
  }
  template <class... Other>
  node&& after(const node<Other>&... earlier) && {
    (detail::order_after(ref_, earlier.ref()), ...);
    return std::move(*this);
  }

  [[nodiscard]] const detail::node_ref& ref() const { return ref_; }

 private:
  detail::node_ref ref_;
};

/// A value of type T that is given when the flow is run.
template <class T>
class param {
 public:
  using type = T;

  param(std::shared_ptr<detail::flow_state> flow, std::uint32_t index)
      : flow_(std::move(flow)), index_(index) {}

  [[nodiscard]] const std::shared_ptr<detail::flow_state>& flow() const { return flow_; }
  [[nodiscard]] std::uint32_t index() const { return index_; }

 private:
  std::shared_ptr<detail::flow_state> flow_;
  std::uint32_t index_;
};

/// A value that enters the key of the result not by its content but by what `method` gave for it.
template <class Argument>
struct hashed_argument {
  Argument argument;
  std::string method;
  std::string hash;
};
/// The task gets the value; for its key, equal methods and hashes are equal values. For what cannot
/// be compared by its bytes, or has a name of its own: `hashed(table, "etag", "33a64df5")`. A
/// constant of the flow all the same: another value is another flow.
template <class Argument>
[[nodiscard]] hashed_argument<std::decay_t<Argument>> hashed(Argument&& value, std::string method,
                                                             std::string hash) {
  return {std::forward<Argument>(value), std::move(method), std::move(hash)};
}

/// In flow::map: every element gets the whole of it.
template <class Argument>
struct unmapped_argument {
  Argument argument;
};
template <class Argument>
[[nodiscard]] unmapped_argument<std::decay_t<Argument>> unmapped(Argument&& whole) {
  return {std::forward<Argument>(whole)};
}

/// In flow::map: the integers from `first` up to, not with, `end`, one task for each. Of a million
/// no more than these two numbers is part of the flow.
class range {
 public:
  /// 0 to count - 1; none when count is not positive.
  explicit constexpr range(std::int64_t count) : end_(count) {}
  constexpr range(std::int64_t first, std::int64_t end) : first_(first), end_(end) {}

  [[nodiscard]] constexpr std::int64_t first() const { return first_; }
  [[nodiscard]] constexpr std::int64_t end() const { return end_; }

 private:
  std::int64_t first_ = 0;
  std::int64_t end_ = 0;
};

/// In flow::map: one task per element of the lists in this list.
template <class List>
struct flattened_argument {
  node<List> lists;
};
template <class List>
[[nodiscard]] flattened_argument<List> flatten(node<List> lists) {
  return {std::move(lists)};
}

}  // namespace reprise
