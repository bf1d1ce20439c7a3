// Tasks in a shared object, for `reprise worker start --plugin`, `reprise run --plugin` and flow
// files that call them:
//
//   inline constexpr auto count = reprise::task<"wc.count", 2>([](std::string text) -> words { …
//   }); REPRISE_PLUGIN(count, merge)
//
// once in one source file, built as a shared object and linked with the library (its own copy, so
// that it need not match the program's). Dynamic tasks cannot be in a plugin.
#pragma once

#include <chrono>
#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <typeinfo>
#include <vector>

#include "reprise/plugin_abi.h"
#include "reprise/signal.hpp"
#include "reprise/task.hpp"

namespace reprise::detail {

inline reprise_bytes as_bytes(std::string_view text) {
  return {text.data() == nullptr ? "" : text.data(), text.size()};
}
inline std::string_view as_text(reprise_bytes bytes) {
  return bytes.data == nullptr ? std::string_view() : std::string_view(bytes.data, bytes.size);
}

/// The attempt, asked through C.
class plugin_source final : public context_source {
 public:
  explicit plugin_source(const reprise_about& about) : about_(about) {
    about_.on_stop(
        about_.self, [](void* self) { static_cast<plugin_source*>(self)->stop_.request_stop(); },
        this);
    if (about_.is_stopping(about_.self) != 0) stop_.request_stop();
  }
  plugin_source(const plugin_source&) = delete;
  plugin_source& operator=(const plugin_source&) = delete;
  ~plugin_source() override { about_.on_stop(about_.self, nullptr, nullptr); }

  std::string run_id() const override { return std::string(as_text(about_.run_id(about_.self))); }
  std::string flow_name() const override {
    return std::string(as_text(about_.flow_name(about_.self)));
  }
  std::string task_name() const override {
    return std::string(as_text(about_.task_name(about_.self)));
  }
  std::optional<std::size_t> map_index() const override {
    if (about_.map_index < 0) return std::nullopt;
    return static_cast<std::size_t>(about_.map_index);
  }
  std::uint32_t run_count() const override { return about_.run_count; }
  std::uint32_t loop_count() const override { return about_.loop_count; }
  std::chrono::system_clock::time_point run_started() const override {
    return std::chrono::system_clock::time_point(
        std::chrono::duration_cast<std::chrono::system_clock::duration>(
            std::chrono::nanoseconds(about_.run_started_ns)));
  }
  std::stop_token stop() const override { return stop_.get_token(); }
  std::optional<std::string_view> loop_result() const override {
    if (about_.loop_result.data == nullptr) return std::nullopt;
    return as_text(about_.loop_result);
  }
  std::optional<std::string_view> parameter(std::string_view name) const override {
    const reprise_bytes found = about_.parameter(about_.self, as_bytes(name));
    if (found.data == nullptr) return std::nullopt;
    return as_text(found);
  }
  std::optional<std::string> entry(std::string_view key) const override {
    const reprise_bytes found = about_.entry(about_.self, as_bytes(key));
    if (found.data == nullptr) return std::nullopt;
    return std::string(as_text(found));
  }

 private:
  const reprise_about& about_;
  std::stop_source stop_;
};

inline reprise_ending ending_of(signal::base::kind kind) {
  switch (kind) {
    case signal::base::kind::skip:
      return REPRISE_SKIP;
    case signal::base::kind::fail:
      return REPRISE_FAIL;
    case signal::base::kind::success:
      return REPRISE_SUCCESS;
    case signal::base::kind::retry:
      return REPRISE_RETRY;
    case signal::base::kind::pause:
      return REPRISE_PAUSE;
    case signal::base::kind::loop:
      return REPRISE_LOOP;
    case signal::base::kind::trigger_fail:
      return REPRISE_TRIGGER_FAIL;
    case signal::base::kind::validation_fail:
      return REPRISE_VALIDATION_FAIL;
  }
  return REPRISE_FAIL;
}

/// A task with everything that its C description points to.
class plugin_task {
 public:
  template <class Task>
  explicit plugin_task(const Task& task) : record_(task.record()) {
    const auto& given = task.options().names;
    for (std::size_t i = 0; i < record_.inputs.size(); ++i)
      names_.push_back(i < given.count ? std::string(given.text[i]) : "a" + std::to_string(i));
    for (const std::string& name : names_) name_pointers_.push_back(name.c_str());
    for (const std::string& type : record_.inputs) input_pointers_.push_back(type.c_str());
    for (const std::string& type : record_.outputs) output_pointers_.push_back(type.c_str());
    task_ = {.name = record_.name.c_str(),
             .version = record_.version.c_str(),
             .inputs = input_pointers_.size(),
             .input_names = name_pointers_.data(),
             .input_types = input_pointers_.data(),
             .outputs = output_pointers_.size(),
             .output_types = output_pointers_.data(),
             .call = &plugin_task::call,
             .body = this};
  }
  plugin_task(const plugin_task&) = delete;
  plugin_task& operator=(const plugin_task&) = delete;

  [[nodiscard]] const reprise_plugin_task* get() const { return &task_; }

 private:
  static void call(void* body, const reprise_bytes* arguments, std::size_t count,
                   const reprise_about* about, void (*answer)(void* to, const reprise_answer* how),
                   void* to) {
    std::vector<std::string_view> views;
    for (std::size_t i = 0; i < count; ++i) views.push_back(as_text(arguments[i]));
    codec::encoded made;
    std::string message, type;
    reprise_answer how{};
    try {
      const plugin_source source(*about);
      context around(source);
      made = static_cast<plugin_task*>(body)->record_.body(views, around);
      how.ending = REPRISE_RETURNED;
      how.value = as_bytes(made.bytes);
    } catch (const signal::base& thrown) {
      how.ending = ending_of(thrown.which());
      message = thrown.message();
      if (thrown.value()) {
        made = *thrown.value();
        how.value = as_bytes(made.bytes);
      }
      if (thrown.start_in()) {
        how.has_start_in = 1;
        how.start_in_ns = thrown.start_in()->count();
      }
    } catch (const std::exception& thrown) {
      how.ending = REPRISE_THROWN;
      message = thrown.what();
      type = typeid(thrown).name();
    } catch (...) {
      how.ending = REPRISE_THROWN;
      message = "the body threw something that is no std::exception";
    }
    how.message = as_bytes(message);
    how.type = as_bytes(type);
    if (!made.uncacheable.empty()) how.uncacheable = as_bytes(made.uncacheable);
    answer(to, &how);
  }

  task_record record_;
  std::vector<std::string> names_;
  std::vector<const char*> name_pointers_, input_pointers_, output_pointers_;
  reprise_plugin_task task_{};
};

template <class... Tasks>
std::vector<std::unique_ptr<plugin_task>> plugin_tasks(const Tasks&... tasks) {
  std::vector<std::unique_ptr<plugin_task>> all;
  (all.push_back(std::make_unique<plugin_task>(tasks)), ...);
  return all;
}

}  // namespace reprise::detail

/// What a plugin exports: these tasks. Once, outside of any namespace.
#define REPRISE_PLUGIN(...)                                                                        \
  namespace {                                                                                      \
  const std::vector<std::unique_ptr<::reprise::detail::plugin_task>>& reprise_plugin_all() {       \
    static const auto all = ::reprise::detail::plugin_tasks(__VA_ARGS__);                          \
    return all;                                                                                    \
  }                                                                                                \
  }                                                                                                \
  extern "C" __attribute__((visibility("default"))) const reprise_plugin_v1 reprise_plugin;        \
  extern "C" const reprise_plugin_v1 reprise_plugin = {                                            \
      REPRISE_PLUGIN_ABI, sizeof(reprise_plugin_v1), __VERSION__,                                  \
      [] { return reprise_plugin_all().size(); },                                                  \
      [](std::size_t index) -> const reprise_plugin_task* {                                        \
        return index < reprise_plugin_all().size() ? reprise_plugin_all()[index]->get() : nullptr; \
      }};
