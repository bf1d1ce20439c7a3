// What a task body can find out about the attempt it is, by taking a `reprise::context&` as its
// first parameter. Nothing of it is part of the cache key: a body whose result depends on it should
// not be cached.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>

#include "reprise/codec.hpp"
#include "reprise/error.hpp"

namespace reprise {

namespace detail {

/// Where a context takes its answers from: the engine, or a test.
class context_source {
 public:
  virtual ~context_source() = default;
  [[nodiscard]] virtual std::string run_id() const = 0;
  [[nodiscard]] virtual std::string flow_name() const = 0;
  [[nodiscard]] virtual std::string task_name() const = 0;
  [[nodiscard]] virtual std::optional<std::size_t> map_index() const = 0;
  [[nodiscard]] virtual std::uint32_t run_count() const = 0;
  [[nodiscard]] virtual std::uint32_t loop_count() const = 0;
  [[nodiscard]] virtual std::chrono::system_clock::time_point run_started() const = 0;
  [[nodiscard]] virtual std::stop_token stop() const = 0;
  /// Canonical bytes; nullopt: there is none.
  [[nodiscard]] virtual std::optional<std::string_view> loop_result() const = 0;
  [[nodiscard]] virtual std::optional<std::string_view> parameter(std::string_view name) const = 0;
  /// Canonical bytes of an entry of the context; nullopt: there is none.
  [[nodiscard]] virtual std::optional<std::string> entry(std::string_view key) const = 0;
};

}  // namespace detail

/// Valid until the body returns; to be used by the thread that runs it (the stop token by any).
class context {
 public:
  explicit context(const detail::context_source& source) : source_(source) {}
  context(const context&) = delete;
  context& operator=(const context&) = delete;

  [[nodiscard]] std::string run_id() const { return source_.run_id(); }
  [[nodiscard]] std::string flow_name() const { return source_.flow_name(); }
  /// Name of the node, "count"; of an element of a mapped one "count[3]".
  [[nodiscard]] std::string task_name() const { return source_.task_name(); }
  /// Index of the element within a mapped task.
  [[nodiscard]] std::optional<std::size_t> map_index() const { return source_.map_index(); }
  /// 1 in the first attempt, 2 in the first retry …
  [[nodiscard]] std::uint32_t run_count() const { return source_.run_count(); }
  /// 1, and one more after each signal::loop.
  [[nodiscard]] std::uint32_t loop_count() const { return source_.loop_count(); }
  [[nodiscard]] std::chrono::system_clock::time_point run_started() const {
    return source_.run_started();
  }

  /// Asked to stop when the attempt is cancelled or out of time. A body that runs long should look
  /// at it now and then.
  [[nodiscard]] std::stop_token stop_token() const { return source_.stop(); }
  [[nodiscard]] bool stop_requested() const { return source_.stop().stop_requested(); }

  /// What the last signal::loop carried; nullopt in the first round. @throws usage_error: it is no
  /// T
  template <codec::carriable T>
  [[nodiscard]] std::optional<T> loop_result() const {
    return read<T>(source_.loop_result());
  }

  /// Value of a parameter of the flow; nullopt: the flow has none of this name. @throws
  /// usage_error: it is no T
  template <codec::carriable T>
  [[nodiscard]] std::optional<T> parameter(std::string_view name) const {
    return read<T>(source_.parameter(name));
  }

  /// An entry of the context by its key: those that are always there (docs/semantics.md,
  /// "Context"), such as "task_run_count" or "today", and those that the run was given, which go
  /// first. nullopt: there is none. @throws usage_error: it is no T
  template <codec::carriable T>
  [[nodiscard]] std::optional<T> get(std::string_view key) const {
    const std::optional<std::string> bytes = source_.entry(key);
    return read<T>(bytes ? std::optional<std::string_view>(*bytes) : std::nullopt);
  }

 private:
  template <class T>
  static std::optional<T> read(std::optional<std::string_view> bytes) {
    if (!bytes) return std::nullopt;
    expected<T> value = codec::decode<T>(*bytes);
    if (!value) throw usage_error(std::move(value.error()));
    return std::move(*value);
  }

  const detail::context_source& source_;
};

}  // namespace reprise
