// A flow: tasks and what they take from each other. Building one runs nothing.
//
//   reprise::flow f{"wordcount"};
//   auto texts = f.constant(read_files());
//   auto sums  = f.reduce(merge, f.map(count, texts), words{});
//   auto best  = f.call(top, sums, 2);                     // node<std::vector<std::string>>
//   reprise::run r = f.run({.slots = 4});
//   for (auto& word : r[best].get()) …
//
// Arguments of the wrong type or number do not compile: "constraints not satisfied …
// callable_with<…>".
#pragma once

#include <concepts>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "reprise/detail/arguments.hpp"
#include "reprise/hooks.hpp"
#include "reprise/made_flow.hpp"
#include "reprise/node.hpp"
#include "reprise/task.hpp"

namespace reprise {

class run;
struct run_options;

/// Task D takes exactly these arguments: nodes and parameters of the same type (or of T for an
/// optional<T>), or values that convert to it.
template <class D, class... A>
concept callable_with = detail::all_fit<D, A...>();

/// Task D takes the elements of at least one of these arguments, which are lists of what it takes,
/// and the others whole.
template <class D, class... A>
concept mappable_with = detail::all_map<D, A...>();

/// Task D makes one T of two, the list holds Ts, and the initial value is a T.
template <class D, class List, class Initial>
concept reducible_with = detail::folds<D, List, Initial>();

namespace detail {

/// A task as the flow wants it: found again by `identity` and options, described by `record` when
/// it is new.
struct task_ref {
  const void* identity = nullptr;
  std::string_view suffix{};  // of the name: "/reduce"
  const task_options* options = nullptr;
  const void* definition = nullptr;
  task_record (*record)(const void* definition) = nullptr;
  const std::vector<std::string>* input_names = nullptr;  // instead of those in the options
};

template <class D>
[[nodiscard]] task_ref refer_to_task(const D& definition) {
  return {.identity = definition.identity(),
          .options = &definition.options(),
          .definition = &definition,
          .record = [](const void* task) { return static_cast<const D*>(task)->record(); }};
}

/// The whole of a reduction as one body: folds the list from left to right, beginning with the
/// initial value.
template <class D>
[[nodiscard]] task_record reduction(const void* definition) {
  using T = typename D::returned;
  const D& binary = *static_cast<const D*>(definition);
  return {.name = std::string(binary.name()) + "/reduce",
          .version = std::to_string(binary.version()),
          .inputs = {codec::type_name<std::vector<T>>(), codec::type_name<T>()},
          .outputs = {codec::type_name<T>()},
          .body =
              [binary](std::span<const std::string_view> given, context& about) {
                auto items = argument<std::vector<T>>(given, 0);
                T folded = argument<T>(given, 1);
                for (T& item : items) {
                  if constexpr (std::invocable<const D&, T, T>)
                    folded = binary(std::move(folded), std::move(item));
                  else
                    folded = binary(about, std::move(folded), std::move(item));
                }
                return codec::encode(folded);
              },
          .identity = binary.identity()};
}

/// It can be folded with: T of two Ts.
template <class D>
inline constexpr bool is_binary =
    std::same_as<typename D::arguments, std::tuple<typename D::returned, typename D::returned>>;

void make_known(flow_state& flow, task_record record);
template <class D>
void make_task_known(flow_state& flow, const D& definition) {
  make_known(flow, definition.record());
  if constexpr (is_binary<D>) make_known(flow, reduction<D>(&definition));
}
[[nodiscard]] std::uint32_t add_nested(flow_state& flow, const node_ref& made, std::string output);
[[nodiscard]] std::shared_ptr<flow_state> make_flow(std::string name);
[[nodiscard]] std::uint32_t add_task(flow_state& flow, const task_ref& task,
                                     const std::vector<argument_ref>& arguments);
/// Reads a given value as the parameter's type and writes it canonically: 3 becomes 3.0 where a
/// float is asked for.
using normalizer = expected<codec::encoded> (*)(std::string_view bytes);
[[nodiscard]] std::uint32_t add_parameter(flow_state& flow, std::string name,
                                          const std::string& type,
                                          std::optional<codec::encoded> otherwise,
                                          normalizer normalize);
template <class T>
[[nodiscard]] expected<codec::encoded> normalized(std::string_view bytes) {
  return codec::decode<T>(bytes).map([](const T& read) { return codec::encode(read); });
}
void add_output(flow_state& flow, std::string name, const node_ref& node);
void add_hook(flow_state& flow, const node_ref& node, std::string name, hook told,
              bool only_failures);
void add_hook(flow_state& flow, std::string name, run_hook told, bool only_at_end);
void set_trigger(flow_state& flow, const node_ref& node, std::string name,
                 trigger_function may_run);
void set_key_function(flow_state& flow, const node_ref& node, std::string name, key_function make);
void set_validator(flow_state& flow, const node_ref& node, std::string name,
                   validator_function is_valid);
void make_cleanup(flow_state& flow, const node_ref& node);
void set_reference_nodes(flow_state& flow, const std::vector<node_ref>& nodes);

template <class R>
struct list_of {
  using type = std::vector<R>;
};
template <>
struct list_of<void> {
  using type = void;
};

}  // namespace detail

/// A named input of a task of the dynamic layer.
class input {
 public:
  /// The result of another task, or a constant of the flow.
  template <class T>
  input(std::string name, const node<T>& from) : name_(std::move(name)), from_(from.ref()) {}
  template <class T>
  input(std::string name, const param<T>& from)
      : name_(std::move(name)), from_(parameter_ref(from.flow(), from.index())) {}
  input(std::string name, value constant) : name_(std::move(name)), from_(std::move(constant)) {}

  /// One call per element of it.
  [[nodiscard]] input mapped() const {
    input other = *this;
    other.mapped_ = true;
    return other;
  }
  /// A constant that enters the key by this hash instead of its content, see reprise::hashed().
  [[nodiscard]] input hashed_as(std::string method, std::string hash) const {
    input other = *this;
    other.hash_ = {std::move(method), std::move(hash)};
    return other;
  }
  /// One call per element of the lists in it.
  [[nodiscard]] input flattened() const {
    input other = mapped();
    other.flattened_ = true;
    return other;
  }

 private:
  friend class flow;
  using parameter_ref = std::pair<std::shared_ptr<detail::flow_state>, std::uint32_t>;
  std::string name_;
  std::variant<detail::node_ref, parameter_ref, value> from_;
  std::optional<std::pair<std::string, std::string>> hash_{};  // method and hash
  bool mapped_ = false;
  bool flattened_ = false;
};

/// What flow::manage() gives.
template <class T>
struct resource {
  node<T> handle;      // what the setup made
  node<void> cleanup;  // waits for the tasks inside

  /// These tasks run between setup and cleanup. Those that only take each other's results need not
  /// all be named: the first and the last do.
  template <class... Other>
  void around(const node<Other>&... inside) {
    (detail::order_after(inside.ref(), handle.ref()), ...);
    (detail::order_after(cleanup.ref(), inside.ref()), ...);
  }
};

/// Not safe for concurrent use of one object. Handles may be used as long as they live, also when
/// the flow is gone.
class flow {
 public:
  /// @param name  not empty
  explicit flow(std::string name) : state_(detail::make_flow(std::move(name))) {}
  flow(flow&&) = default;
  flow& operator=(flow&&) = default;
  flow(const flow&) = delete;
  flow& operator=(const flow&) = delete;

  /// Calls a task once.
  /// @throws usage_error invalid_argument: an argument belongs to another flow or is an integer out
  /// of range;
  ///         conflict: another task has the same name and version
  template <class D, class... A>
  requires callable_with<D, A...>
  auto call(const D& task, A&&... arguments) -> node<typename detail::task_types<D>::returned> {
    std::vector<detail::argument_ref> taken;
    taken.reserve(sizeof...(A));
    [&]<std::size_t... I>(std::index_sequence<I...>) {
      (taken.push_back(detail::take_whole<wanted<D, I>>(*state_, std::forward<A>(arguments))), ...);
    }
    (std::index_sequence_for<A...>{});
    return add<typename detail::task_types<D>::returned>(detail::refer_to_task(task), taken);
  }

  /// Calls a task once per element. Arguments that are lists of what the task takes are taken
  /// apart, several of them in step until the shortest ends, and so is range(n); all others, and
  /// unmapped(x), go to every element whole. flatten(x) takes a list of lists. The node stands for
  /// the list of results, in order; used as an argument of another map it is taken apart again,
  /// element by element, without waiting for the others. Throws as call().
  template <class D, class... A>
  requires mappable_with<D, A...>
  auto map(const D& task, A&&... arguments)
      -> node<typename detail::list_of<typename detail::task_types<D>::returned>::type> {
    std::vector<detail::argument_ref> taken;
    taken.reserve(sizeof...(A));
    [&]<std::size_t... I>(std::index_sequence<I...>) {
      (taken.push_back(detail::take_for_map<wanted<D, I>>(*state_, std::forward<A>(arguments))),
       ...);
    }
    (std::index_sequence_for<A...>{});
    return add<typename detail::list_of<typename detail::task_types<D>::returned>::type>(
        detail::refer_to_task(task), taken);
  }

  /// Folds a list from left to right: task(… task(task(initial, x0), x1) …, xn).
  ///
  /// It is one task "<name>/reduce", which waits for the whole list and takes it at once: cost and
  /// memory are those of all elements in one place, and one element that changed means folding
  /// again. For lists too long for that, call a task that takes a list on parts of it. Throws as
  /// call().
  template <class D, class List, class Initial>
  requires reducible_with<D, List, Initial>
  auto reduce(const D& task, List&& list, Initial&& initial) -> node<typename D::returned> {
    using T = typename D::returned;
    detail::task_ref whole = detail::refer_to_task(task);
    whole.suffix = "/reduce";
    whole.record = detail::reduction<D>;
    std::vector<detail::argument_ref> taken;
    taken.push_back(detail::take_whole<std::vector<T>>(*state_, std::forward<List>(list)));
    taken.push_back(detail::take_whole<T>(*state_, std::forward<Initial>(initial)));
    return add<T>(whole, taken);
  }

  /// Calls a task of the dynamic layer with inputs that are known at run time only; once, or, when
  /// some of them are mapped, once per element. Throws as call().
  node<value> call_with(const dynamic_task& task, const std::vector<input>& inputs);

  /// Runs the flow that another task makes, as a run of its own that is nested in this one
  /// (docs/semantics.md, "Nested flows"), and gives its output of this name; what is no T fails
  /// whoever reads it.
  ///
  ///   auto made = f.call(plan, 10);
  ///   auto all = f.nest<std::vector<int>>(made, "all", square);
  ///
  /// @param tasks  that flows of this task may have, which this process is to know: those of the
  /// flow itself are data. On a server its workers have to know them
  /// @throws usage_error invalid_argument: a node of another flow, empty name; conflict: another
  /// task has the same name and version
  template <codec::carriable T, class... D>
  node<T> nest(const node<made_flow>& made, std::string output, const D&... tasks) {
    (detail::make_task_known(*state_, tasks), ...);
    return node<T>({state_, detail::add_nested(*state_, made.ref(), std::move(output)), false});
  }

  /// A branch of the flow that is taken when `condition` gives `expected`. Tasks that come after()
  /// it are skipped otherwise, and so is what takes their results, up to a merge(). One case per
  /// value makes a switch.
  template <class T>
  requires codec::carriable<T> node<void> case_of(const node<T>& condition,
                                                  const std::type_identity_t<T>& expected) {
    return node<void>(add_case(condition.ref(), value::of(expected)));
  }
  /// The branches for true and for false.
  std::pair<node<void>, node<void>> if_else(const node<bool>& condition) {
    return {case_of(condition, true), case_of(condition, false)};
  }
  /// The result of the branch that was taken: the first that is not nil, in the order given.
  /// Skipped when all are; fails its trigger when one failed.
  template <class T, std::same_as<T>... Other>
  node<T> merge(const node<T>& first, const node<Other>&... others) {
    return node<T>(add_merge({first.ref(), others.ref()...}));
  }

  /// Something that is set up before some tasks and cleaned up after them, whatever becomes of
  /// them: `setup` makes it of `arguments`, `cleanup` takes it. How the cleanup ends does not
  /// decide how the run ends; it is skipped when the setup failed. Throws as call().
  template <class Setup, class Cleanup, class... A>
  requires callable_with<Setup, A...>
  auto manage(const Setup& setup, const Cleanup& cleanup, A&&... arguments)
      -> resource<typename detail::task_types<Setup>::returned> {
    auto handle = call(setup, std::forward<A>(arguments)...);
    auto last = call(cleanup, handle);
    detail::make_cleanup(*state_, last.ref());
    return {handle, node<void>(last.ref())};
  }

  /// A value that is part of the flow. It is no task: it is there before the first one starts.
  template <class T>
  requires codec::carriable<std::decay_t<T>> node<std::decay_t<T>> constant(T&& fixed) {
    return node<std::decay_t<T>>(
        {state_, detail::add_constant(*state_, codec::encode(fixed)), true});
  }
  node<std::string> constant(const char* text) { return constant(std::string(text)); }

  /// A value that is given when the flow is run; `otherwise` when it is not.
  /// @throws usage_error invalid_argument: empty name; conflict: there is a parameter of this name
  template <codec::carriable T>
  param<T> parameter(std::string name) {
    return {state_, detail::add_parameter(*state_, std::move(name), codec::type_name<T>(), {},
                                          detail::normalized<T>)};
  }
  template <codec::carriable T>
  param<T> parameter(std::string name, std::type_identity_t<T> otherwise) {
    return {state_, detail::add_parameter(*state_, std::move(name), codec::type_name<T>(),
                                          codec::encode(otherwise), detail::normalized<T>)};
  }

  /// As later.after(earlier…).
  template <class T, class... Other>
  void after(const node<T>& later, const node<Other>&... earlier) {
    (detail::order_after(later.ref(), earlier.ref()), ...);
  }

  /// `told` is asked before a task enters a state; several in the order in which they were added.
  /// For a mapped task: for each element.
  /// @param name  of the hook: shown when it fails, and part of the flow's identity
  /// @throws usage_error invalid_argument: a constant, or a node of another flow
  template <class T>
  void on_change(const node<T>& node, std::string name, hook told) {
    detail::add_hook(*state_, node.ref(), std::move(name), std::move(told), false);
  }
  /// As on_change(), told of failures of every kind only, and unable to change them.
  template <class T>
  void on_failure(const node<T>& node, std::string name,
                  std::function<void(const reprise::state& after, context&)> told) {
    detail::add_hook(
        *state_, node.ref(), std::move(name),
        [told = std::move(told)](const reprise::state&, const reprise::state& after,
                                 context& about) -> std::optional<reprise::state> {
          told(after, about);
          return std::nullopt;
        },
        true);
  }
  /// Told of the run itself: before it begins and before it ends.
  void on_change(std::string name, run_hook told) {
    detail::add_hook(*state_, std::move(name), std::move(told), false);
  }
  /// Told before the run ends only.
  void on_end(std::string name, run_hook told) {
    detail::add_hook(*state_, std::move(name), std::move(told), true);
  }

  /// Replaces the task's trigger. Throws as on_change().
  template <class T>
  void trigger_by(const node<T>& node, std::string name, trigger_function may_run) {
    detail::set_trigger(*state_, node.ref(), std::move(name), std::move(may_run));
  }
  /// What the task's results are kept under; it must be cached. Throws as on_change().
  template <class T>
  void cache_key_by(const node<T>& node, std::string name, key_function make) {
    detail::set_key_function(*state_, node.ref(), std::move(name), std::move(make));
  }

  /// Which kept result is valid for the task, in place of `cached::validator`; it must be cached.
  /// Without a function of this kind, a result is valid when its key is the same. Throws as
  /// on_change().
  template <class T>
  void valid_by(const node<T>& node, std::string name, validator_function is_valid) {
    detail::set_validator(*state_, node.ref(), std::move(name), std::move(is_valid));
  }

  /// These tasks decide how the run ended, instead of those that nothing depends on. None: back to
  /// those. @throws usage_error invalid_argument: a constant, or a node of another flow
  template <class... T>
  void decided_by(const node<T>&... nodes) {
    detail::set_reference_nodes(*state_, {nodes.ref()...});
  }
  void decided_by(const std::vector<node<value>>& nodes);

  /// What the run gives back under a name, see run_result::outputs.
  /// @throws usage_error invalid_argument: a node of another flow, empty name; conflict: the name
  /// is taken
  template <class T>
  requires(!std::is_void_v<T>) void output(std::string name, const node<T>& node) {
    detail::add_output(*state_, std::move(name), node.ref());
  }

  /// Runs the flow in this process, on an engine of its own that ends with the last handle to the
  /// run. The work goes on in the background; see reprise/run.hpp, which is to be included. May be
  /// called again, also after adding more tasks.
  /// @throws usage_error invalid_argument: the flow or its parameters; io, exhausted, denied: the
  /// data directory
  [[nodiscard]] reprise::run run() const;
  [[nodiscard]] reprise::run run(const run_options& options) const;

  [[nodiscard]] const std::shared_ptr<detail::flow_state>& state() const { return state_; }

 private:
  [[nodiscard]] detail::node_ref add_case(const detail::node_ref& condition, value expected);
  [[nodiscard]] detail::node_ref add_merge(const std::vector<detail::node_ref>& branches);

  /// Type of parameter I of a task.
  template <class D, std::size_t I>
  struct parameter_of {
    using type = std::tuple_element_t<I, typename D::arguments>;
  };
  template <std::size_t I>
  struct parameter_of<dynamic_task, I> {
    using type = value;
  };
  template <class D, std::size_t I>
  using wanted = typename parameter_of<D, I>::type;

  template <class R>
  node<R> add(const detail::task_ref& task, const std::vector<detail::argument_ref>& arguments) {
    return node<R>({state_, detail::add_task(*state_, task, arguments), false});
  }

  std::shared_ptr<detail::flow_state> state_;
};

}  // namespace reprise
