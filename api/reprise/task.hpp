// Tasks: a name, a version and a function.
//
//   inline constexpr auto count = reprise::task<"wc.count", 2>(
//       [](std::string text) -> words { … }, {.retries = 2, .cache = true});
//
// Name, version and arguments identify a result in the cache, so a body must not capture anything,
// and its version must be raised when it computes something else. A body may take a
// `reprise::context&` first; it is no argument.
#pragma once

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "reprise/codec.hpp"
#include "reprise/context.hpp"
#include "reprise/error.hpp"
#include "reprise/options.hpp"
#include "reprise/value.hpp"

namespace reprise {

/// Text as a template argument.
template <std::size_t size>
struct fixed_string {
  char text[size]{};

  consteval fixed_string(const char (&literal)[size]) { std::copy_n(literal, size, text); }
  [[nodiscard]] constexpr std::string_view view() const { return {text, size - 1}; }
};

namespace detail {

/// A body over encoded values.
using erased_body = std::function<codec::encoded(std::span<const std::string_view>, context&)>;

/// What a flow keeps of a task.
struct task_record {
  std::string name;
  std::string version;
  std::vector<std::string>
      inputs;  // types; empty for dynamic tasks, which take any number of anything
  std::vector<std::string> outputs;  // types: one or none
  erased_body body;
  const void* identity = nullptr;  // equal for equal bodies
  bool dynamic = false;
};

template <class F>
struct signature;  // of a function object with one call operator, or a function pointer
template <class F>
requires requires {
  &F::operator();
}
struct signature<F> : signature<decltype(&F::operator())> {};
template <class R, class... A>
struct plain_signature {
  using returned = R;
  using parameters = std::tuple<A...>;
};
template <class R, class... A>
struct signature<R (*)(A...)> : plain_signature<R, A...> {};
template <class R, class... A>
struct signature<R (*)(A...) noexcept> : plain_signature<R, A...> {};
template <class R, class C, class... A>
struct signature<R (C::*)(A...) const> : plain_signature<R, A...> {};
template <class R, class C, class... A>
struct signature<R (C::*)(A...) const noexcept> : plain_signature<R, A...> {};
template <class R, class C, class... A>
struct signature<R (C::*)(A...)> : plain_signature<R, A...> {};
template <class R, class C, class... A>
struct signature<R (C::*)(A...) noexcept> : plain_signature<R, A...> {};

template <class F>
concept has_signature = requires {
  typename signature<F>::returned;
};

template <class P>
inline constexpr bool is_context = std::is_same_v<P, context&> || std::is_same_v<P, const context&>;

/// Splits a leading context from the arguments.
template <class Parameters>
struct split;
template <>
struct split<std::tuple<>> {
  static constexpr bool takes_context = false;
  using arguments = std::tuple<>;
};
template <class First, class... Rest>
struct split<std::tuple<First, Rest...>> {
  static constexpr bool takes_context = is_context<First>;
  using arguments =
      std::conditional_t<takes_context, std::tuple<Rest...>, std::tuple<First, Rest...>>;
};

template <class P>
inline constexpr bool is_by_value =
    !std::is_pointer_v<std::remove_reference_t<P>> &&
    (!std::is_lvalue_reference_v<P> || std::is_const_v<std::remove_reference_t<P>>);

template <class Tuple>
struct decayed;
template <class... T>
struct decayed<std::tuple<T...>> {
  using type = std::tuple<std::decay_t<T>...>;
  static constexpr bool by_value = (is_by_value<T> && ...);
  static constexpr bool carriable = (codec::carriable<std::decay_t<T>> && ...);
};

template <class T>
inline constexpr bool is_result = std::is_void_v<T> || codec::carriable<T>;

/// Decodes argument `index`. @throws std::runtime_error, which fails the attempt
template <class T>
T argument(std::span<const std::string_view> arguments, std::size_t index) {
  // Nothing at all reaches a task when an upstream ended without a result and a trigger let the
  // task run all the same; of one that failed, a record of the failure, for those that take any
  // value.
  static constexpr std::string_view nil("\xc0", 1);
  const bool absent = index >= arguments.size() || arguments[index].empty() ||
                      (!std::same_as<T, value> && codec::is_failure(arguments[index]));
  expected<T> value = codec::decode<T>(absent ? nil : arguments[index]);
  if (!value)
    throw std::runtime_error("argument a" + std::to_string(index) + ": " +
                             (absent ? "there is no value" : value.error().message));
  return std::move(*value);
}

template <class T>
std::vector<std::string> output_types() {
  if constexpr (std::is_void_v<T>)
    return {};
  else
    return {codec::type_name<T>()};
}

template <class Tuple>
std::vector<std::string> input_types() {
  return []<std::size_t... I>(std::index_sequence<I...>) {
    return std::vector<std::string>{codec::type_name<std::tuple_element_t<I, Tuple>>()...};
  }
  (std::make_index_sequence<std::tuple_size_v<Tuple>>{});
}

}  // namespace detail

/// What `task` gives: a constant to be called, mapped or reduced with in a flow.
template <fixed_string Name, std::uint32_t Version, class F>
class task_definition {
  using signature = detail::signature<F>;
  using split = detail::split<typename signature::parameters>;
  using decayed = detail::decayed<typename split::arguments>;

 public:
  using returned = typename signature::returned;
  using arguments = typename decayed::type;

  static_assert(!std::is_reference_v<returned> && !std::is_pointer_v<returned>,
                "reprise: a task must return a value type (no reference, no raw pointer)");
  static_assert(decayed::by_value,
                "reprise: a task takes its arguments by value or by const reference (no pointer)");
  static_assert(decayed::carriable &&
                    (detail::is_result<returned> || std::is_reference_v<returned> ||
                     std::is_pointer_v<returned>),
                "reprise: arguments and results of a task must be values that can be carried: "
                "standard types, or "
                "structs with REPRISE_ADAPT or MSGPACK_DEFINE (see reprise/adapt.hpp)");

  constexpr task_definition(F body, const task_options& how) : body_(body), options_(how) {}

  [[nodiscard]] static constexpr std::string_view name() { return Name.view(); }
  [[nodiscard]] static constexpr std::uint32_t version() { return Version; }
  [[nodiscard]] constexpr const task_options& options() const { return options_; }
  /// The same task treated in another way: `count.with({.timeout = 5s})`.
  [[nodiscard]] constexpr task_definition with(const task_options& how) const {
    return {body_, how};
  }

  /// Calls the body directly, without any flow.
  template <class... A>
  requires std::invocable<const F&, A...> returned operator()(A&&... arguments_given) const {
    return body_(std::forward<A>(arguments_given)...);
  }

  [[nodiscard]] detail::task_record record() const {
    return {.name = std::string(name()),
            .version = std::to_string(Version),
            .inputs = detail::input_types<arguments>(),
            .outputs = detail::output_types<returned>(),
            .body =
                [body = body_](std::span<const std::string_view> given, context& about) {
                  return run(body, given, about,
                             std::make_index_sequence<std::tuple_size_v<arguments>>{});
                },
            .identity = identity()};
  }

  [[nodiscard]] const void* identity() const {
    if constexpr (std::is_pointer_v<F>)
      return reinterpret_cast<const void*>(body_);
    else
      return &codec::tag_of<F>;
  }

 private:
  template <std::size_t... I>
  static codec::encoded run(F body, std::span<const std::string_view> given, context& about,
                            std::index_sequence<I...>) {
    const auto call = [&]() -> returned {
      // Braces: arguments are decoded from left to right.
      arguments values{detail::argument<std::tuple_element_t<I, arguments>>(given, I)...};
      if constexpr (split::takes_context)
        return body(about, std::move(std::get<I>(values))...);
      else
        return body(std::move(std::get<I>(values))...);
    };
    if constexpr (std::is_void_v<returned>) {
      call();
      return codec::encode(std::monostate());
    } else {
      return codec::encode(call());
    }
  }

  F body_;
  task_options options_;
};

/// Defines a task. `body`: a lambda without captures, or a plain function.
template <fixed_string Name, std::uint32_t Version = 1, class F>
[[nodiscard]] constexpr auto task(F body, const task_options& how = {}) {
  static_assert(!Name.view().empty(), "reprise: a task needs a name");
  static_assert(std::is_empty_v<F> || std::is_pointer_v<F>,
                "reprise: a task body must not capture; pass data as arguments so that it is part "
                "of the cache key");
  static_assert(detail::has_signature<F>,
                "reprise: a task body must be a function or a lambda with one signature (no auto "
                "parameters)");
  return task_definition<Name, Version, F>(body, how);
}

/// A task whose name and body are made at run time, over values of any type. Its body may capture;
/// what it captures is not part of the cache key, so name and version must tell apart bodies that
/// compute different things.
class dynamic_task {
 public:
  using body_type = std::function<value(std::span<const value>, context&)>;

  /// @throws usage_error invalid_argument: empty name, version or body
  dynamic_task(std::string name, std::string version, body_type body, const task_options& how = {});
  dynamic_task(std::string name, std::uint32_t version, body_type body,
               const task_options& how = {})
      : dynamic_task(std::move(name), std::to_string(version), std::move(body), how) {}

  [[nodiscard]] const std::string& name() const { return record_.name; }
  [[nodiscard]] const std::string& version() const { return record_.version; }
  [[nodiscard]] const task_options& options() const { return options_; }
  [[nodiscard]] dynamic_task with(const task_options& how) const;

  [[nodiscard]] const detail::task_record& record() const { return record_; }
  [[nodiscard]] const void* identity() const { return record_.identity; }

 private:
  detail::task_record record_;
  task_options options_;
};

}  // namespace reprise
