// Which arguments fit which parameters of a task, decided at compile time.
#pragma once

#include <array>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <list>
#include <optional>
#include <set>
#include <tuple>
#include <type_traits>
#include <unordered_set>
#include <utility>
#include <vector>

#include "reprise/node.hpp"
#include "reprise/value.hpp"

namespace reprise::detail {

// --- what stands behind an argument
// -------------------------------------------------------------------------------

/// Handles have the type of the value they stand for; anything else is a value itself.
template <class A>
struct handle_of {
  static constexpr bool is_handle = false;
  using type = A;
};
template <class T>
struct handle_of<node<T>> {
  static constexpr bool is_handle = true;
  using type = T;
};
template <class T>
struct handle_of<param<T>> {
  static constexpr bool is_handle = true;
  using type = T;
};

template <class A>
inline constexpr bool is_handle = handle_of<std::remove_cvref_t<A>>::is_handle;
template <class A>
using behind = typename handle_of<std::remove_cvref_t<A>>::type;

template <class A>
struct hashed_of : std::false_type {};
template <class A>
struct hashed_of<hashed_argument<A>> : std::true_type {
  using argument = A;
};

template <class T>
struct is_dynamic_task : std::is_same<T, dynamic_task> {};

/// What a task takes and gives; the dynamic layer takes anything.
template <class D>
struct task_types {
  static constexpr bool is_dynamic = false;
  using arguments = typename D::arguments;
  using returned = typename D::returned;
};
template <>
struct task_types<dynamic_task> {
  static constexpr bool is_dynamic = true;
  using arguments = void;
  using returned = value;
};

/// A value of type Have, made by another task, can be a parameter of type Want. `value` stands for
/// any type: what comes out of the dynamic layer is checked when the task runs.
template <class Want, class Have>
concept carries = std::same_as<Want, Have> || std::same_as<Want, std::optional<Have>> ||
                  (std::same_as<Want, value> && !std::is_void_v<Have>) ||
                  std::same_as<Have, value>;

/// A plain value of type Have can be a parameter of type Want: as C++ converts, but not from
/// floating point to integers and not to bool, where C++ would drop something silently. Integers
/// are range-checked when the flow is built.
template <class Want, class Have>
concept converts = std::convertible_to<Have, Want> &&
    !(std::integral<Want> && std::floating_point<std::remove_cvref_t<Have>>)&&!(
        std::same_as<Want, bool> && !std::same_as<std::remove_cvref_t<Have>, bool>);

/// A value with a hash of the user's fits where the value does.
template <class Want, class A>
consteval bool fits_hashed() {
  using plain = std::remove_cvref_t<A>;
  if constexpr (!hashed_of<plain>::value)
    return false;
  else
    return !is_handle<typename hashed_of<plain>::argument> &&
           converts<Want, typename hashed_of<plain>::argument>;
}
template <class A>
consteval bool carries_hashed() {
  using plain = std::remove_cvref_t<A>;
  if constexpr (!hashed_of<plain>::value)
    return false;
  else
    return codec::carriable<typename hashed_of<plain>::argument>;
}

/// A dynamic task takes every value that can be carried, typed tasks what fits.
template <class Want, class A>
concept argument_for = (is_handle<A> && carries<Want, behind<A>>) ||
                       (!is_handle<A> && converts<Want, A>) || fits_hashed<Want, A>();

template <class A>
concept any_argument = (is_handle<A> && !std::is_void_v<behind<A>>) ||
                       (!is_handle<A> && (codec::carriable<std::decay_t<A>> ||
                                          std::convertible_to<A, std::string_view>)) ||
                       carries_hashed<A>();

template <class D, class... A>
consteval bool all_fit() {
  if constexpr (task_types<D>::is_dynamic) {
    return (any_argument<A> && ...);
  } else {
    using wanted = typename D::arguments;
    if constexpr (std::tuple_size_v<wanted> != sizeof...(A)) {
      return false;
    } else {
      return []<std::size_t... I>(std::index_sequence<I...>) {
        return (argument_for<std::tuple_element_t<I, wanted>,
                             std::tuple_element_t<I, std::tuple<A...>>> &&
                ...);
      }
      (std::index_sequence_for<A...>{});
    }
  }
}

// --- mapping
// ------------------------------------------------------------------------------------------------------

template <class T>
struct list_like : std::false_type {};
template <class T, class... R>
requires(!codec::byte_like<T>) struct list_like<std::vector<T, R...>> : std::true_type {
  using item = T;
};
template <class T, class... R>
struct list_like<std::deque<T, R...>> : std::true_type {
  using item = T;
};
template <class T, class... R>
struct list_like<std::list<T, R...>> : std::true_type {
  using item = T;
};
template <class T, class... R>
struct list_like<std::set<T, R...>> : std::true_type {
  using item = T;
};
template <class T, class... R>
struct list_like<std::unordered_set<T, R...>> : std::true_type {
  using item = T;
};
template <class T, std::size_t size>
requires(!codec::byte_like<T>) struct list_like<std::array<T, size>> : std::true_type {
  using item = T;
};
template <>
struct list_like<value> : std::true_type {  // turns out when the flow runs
  using item = reprise::value;
};

template <class Want, class Have>
inline constexpr bool items_fit = false;
template <class Want, class Have>
requires list_like<Have>::value inline constexpr bool items_fit<Want, Have> =
    carries<Want, typename list_like<Have>::item>;

enum class use : std::uint8_t { none, whole, mapped, flattened };

template <class A>
struct unmapped_of : std::false_type {};
template <class A>
struct unmapped_of<unmapped_argument<A>> : std::true_type {
  using argument = A;
};
template <class A>
struct flattened_of : std::false_type {};
template <class List>
struct flattened_of<flattened_argument<List>> : std::true_type {
  using list = List;
};

template <class Want, class List>
consteval bool flattens() {
  if constexpr (list_like<List>::value)
    return items_fit<Want, typename list_like<List>::item>;
  else
    return false;
}

/// Integers are read as any of these.
template <class Want>
inline constexpr bool takes_integers =
    codec::plain_integer<Want> || std::floating_point<Want> || std::same_as<Want, value>;

/// How flow::map uses an argument of type A for a parameter of type Want: element by element where
/// that fits.
template <class Want, class A>
consteval use use_of() {
  using plain = std::remove_cvref_t<A>;
  if constexpr (unmapped_of<plain>::value) {
    return argument_for<Want, typename unmapped_of<plain>::argument> ? use::whole : use::none;
  } else if constexpr (flattened_of<plain>::value) {
    return flattens<Want, typename flattened_of<plain>::list>() ? use::flattened : use::none;
  } else if constexpr (std::same_as<plain, range>) {
    return takes_integers<Want> ? use::mapped : use::none;
  } else if constexpr (items_fit<Want, behind<A>>) {
    return use::mapped;
  } else {
    return argument_for<Want, A> ? use::whole : use::none;
  }
}

template <class D, class... A>
consteval bool all_map() {
  const auto judge = [](auto... uses) {
    return ((uses != use::none) && ...) && ((uses == use::mapped || uses == use::flattened) || ...);
  };
  if constexpr (task_types<D>::is_dynamic) {
    return judge(use_of<value, A>()...);
  } else {
    using wanted = typename D::arguments;
    if constexpr (std::tuple_size_v<wanted> != sizeof...(A)) {
      return false;
    } else {
      return [&]<std::size_t... I>(std::index_sequence<I...>) {
        return judge(use_of<std::tuple_element_t<I, wanted>,
                            std::tuple_element_t<I, std::tuple<A...>>>()...);
      }
      (std::index_sequence_for<A...>{});
    }
  }
}

template <class D, class List, class Initial>
consteval bool folds() {
  if constexpr (task_types<D>::is_dynamic) {
    return false;
  } else {
    using T = typename D::returned;
    if constexpr (!std::same_as<typename D::arguments, std::tuple<T, T>>)
      return false;
    else
      return items_fit<T, behind<List>> && argument_for<T, Initial>;
  }
}

// --- what a flow keeps of an argument
// -----------------------------------------------------------------------------

struct argument_ref {
  enum class source : std::uint8_t { constant, node, parameter, range };
  source from = source::constant;
  std::uint32_t index = 0;
  bool mapped = false;
  bool flattened = false;
};

[[nodiscard]] std::uint32_t add_constant(flow_state& flow, codec::encoded value);
[[nodiscard]] std::uint32_t add_range(flow_state& flow, const range& numbers);
/// @throws usage_error invalid_argument: no method, no hash, or not UTF-8
void hash_constant(flow_state& flow, std::uint32_t constant, std::string method, std::string hash);
/// @throws usage_error invalid_argument: the handle belongs to another flow
[[nodiscard]] argument_ref refer(const flow_state& flow, const node_ref& node);
[[nodiscard]] argument_ref refer(const flow_state& flow, const flow_state* owner,
                                 std::uint32_t parameter);
[[noreturn]] void out_of_range(std::string_view type);

/// `given` as a Want. @throws usage_error invalid_argument: an integer out of range
template <class Want, class A>
Want convert(A&& given) {
  using have = std::remove_cvref_t<A>;
  if constexpr (codec::plain_integer<Want> && codec::plain_integer<have> &&
                !std::same_as<Want, char> && !std::same_as<have, char>) {
    if (!std::in_range<Want>(given)) out_of_range(codec::type_name<Want>());
    return static_cast<Want>(given);
  } else if constexpr (std::floating_point<Want> && std::is_arithmetic_v<have>) {
    return static_cast<Want>(given);
  } else {
    return std::forward<A>(given);
  }
}

template <class T>
argument_ref refer_to(flow_state& flow, const node<T>& handle) {
  return refer(flow, handle.ref());
}
template <class T>
argument_ref refer_to(flow_state& flow, const param<T>& handle) {
  return refer(flow, handle.flow().get(), handle.index());
}

template <class Want, class A>
argument_ref take_whole(flow_state& flow, A&& argument) {
  if constexpr (hashed_of<std::remove_cvref_t<A>>::value) {
    const argument_ref taken = take_whole<Want>(flow, argument.argument);
    hash_constant(flow, taken.index, argument.method, argument.hash);
    return taken;
  } else if constexpr (is_handle<A>)
    return refer_to(flow, argument);
  else if constexpr (std::same_as<Want, value>)
    return {.index = add_constant(flow, codec::encode(argument))};
  else
    return {.index = add_constant(flow, codec::encode(convert<Want>(std::forward<A>(argument))))};
}

template <class Want, class A>
argument_ref take_for_map(flow_state& flow, A&& argument) {
  using plain = std::remove_cvref_t<A>;
  constexpr use how = use_of<Want, A>();
  if constexpr (unmapped_of<plain>::value) {
    return take_whole<Want>(flow, std::forward<A>(argument).argument);
  } else if constexpr (flattened_of<plain>::value) {
    argument_ref taken = refer_to(flow, argument.lists);
    taken.mapped = taken.flattened = true;
    return taken;
  } else if constexpr (std::same_as<plain, range>) {
    if constexpr (codec::plain_integer<Want>) {
      if (argument.first() < argument.end() &&
          !(std::in_range<Want>(argument.first()) && std::in_range<Want>(argument.end() - 1)))
        out_of_range(codec::type_name<Want>());
    }
    return {
        .from = argument_ref::source::range, .index = add_range(flow, argument), .mapped = true};
  } else if constexpr (how == use::mapped) {
    argument_ref taken = [&]() -> argument_ref {
      if constexpr (is_handle<A>)
        return refer_to(flow, argument);
      else
        return {.index = add_constant(flow, codec::encode(argument))};
    }();
    taken.mapped = true;
    return taken;
  } else {
    return take_whole<Want>(flow, std::forward<A>(argument));
  }
}

}  // namespace reprise::detail
