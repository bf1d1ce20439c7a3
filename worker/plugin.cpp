#include "worker/plugin.hpp"

#include <cxxabi.h>
#include <dlfcn.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <stop_token>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "api/reprise/plugin_abi.h"
#include "core/text.hpp"
#include "flow/context_values.hpp"
#include "worker/function_pool.hpp"

namespace reprise::worker {

namespace fs = std::filesystem;

namespace {

std::string_view as_text(reprise_bytes bytes) {
  return bytes.data == nullptr ? std::string_view() : std::string_view(bytes.data, bytes.size);
}

reprise_bytes as_bytes(std::string_view text) {
  return {text.data() == nullptr ? "" : text.data(), text.size()};
}

reprise_bytes as_bytes(const Payload& payload) {
  return payload.is_none() ? reprise_bytes{nullptr, 0} : as_bytes(payload.view());
}

// Who may have put something at this path: nobody but its owner.
Status check_ownership(const fs::path& path, const fs::path& plugin) {
  struct stat info {};
  const auto refused = [&](std::string_view why) {
    return fail(ErrorCode::denied, fmt::format("plugin \"{}\" is not loaded: \"{}\" {}",
                                               escape_for_terminal(plugin.string()),
                                               escape_for_terminal(path.string()), why));
  };
  if (::stat(path.c_str(), &info) != 0) return refused("cannot be examined");
  if (info.st_uid != 0 && info.st_uid != ::geteuid())
    return refused(fmt::format("belongs to user {}; it must be root's or yours", info.st_uid));
  const bool is_shared_folder = S_ISDIR(info.st_mode) && (info.st_mode & S_ISVTX) != 0;
  if ((info.st_mode & S_IWOTH) != 0 && !is_shared_folder)
    return refused("can be written by everybody; chmod o-w it");
  return {};
}

// The attempt, as a plugin's body asks about it.
class About {
 public:
  explicit About(const Call& call) : call_(call) {
    const Attempt& attempt = call.attempt;
    about_.self = this;
    about_.run_id = [](void* self) { return of(self).keep(of(self).run().run.text()); };
    about_.flow_name = [](void* self) { return as_bytes(of(self).run().flow->name); };
    about_.task_name = [](void* self) { return of(self).task_name(); };
    about_.map_index = attempt.map_index;
    about_.run_count = attempt.run_count;
    about_.loop_count = attempt.loop_count;
    about_.run_started_ns =
        std::chrono::nanoseconds(attempt.context->started.time_since_epoch()).count();
    about_.loop_result = as_bytes(attempt.loop_result);
    about_.parameter = [](void* self, reprise_bytes name) { return of(self).parameter(name); };
    about_.entry = [](void* self, reprise_bytes key) { return of(self).entry(key); };
    about_.is_stopping = [](void* self) { return of(self).call_.stop.stop_requested() ? 1 : 0; };
    about_.on_stop = [](void* self, void (*stop)(void*), void* argument) {
      of(self).callback_.reset();
      if (stop != nullptr) of(self).callback_.emplace(of(self).call_.stop, Ring{stop, argument});
    };
  }
  About(const About&) = delete;
  About& operator=(const About&) = delete;

  [[nodiscard]] const reprise_about& get() const { return about_; }

 private:
  struct Ring {
    void (*stop)(void*);
    void* argument;
    void operator()() const { stop(argument); }
  };

  static About& of(void* self) { return *static_cast<About*>(self); }
  [[nodiscard]] const RunContext& run() const { return *call_.attempt.context; }
  reprise_bytes keep(std::string text) {
    kept_ = std::move(text);
    return as_bytes(kept_);
  }
  reprise_bytes task_name() {
    const std::string& node = run().flow->nodes[call_.attempt.node.value].name;
    return call_.attempt.map_index < 0 ? as_bytes(node)
                                       : keep(fmt::format("{}[{}]", node, call_.attempt.map_index));
  }
  reprise_bytes parameter(reprise_bytes name) {
    const auto found = run().parameters.find(std::string(as_text(name)));
    return found == run().parameters.end() ? reprise_bytes{nullptr, 0} : as_bytes(found->second);
  }
  reprise_bytes entry(reprise_bytes key) {
    const auto found = context_value(call_.attempt, as_text(key));
    const Result<std::string> bytes =
        found ? encode(*found) : fail(ErrorCode::not_found, "there is no such entry");
    return bytes ? keep(*bytes) : reprise_bytes{nullptr, 0};
  }

  const Call& call_;
  reprise_about about_{};
  std::string kept_;
  std::optional<std::stop_callback<Ring>> callback_;
};

// How a plugin's body ended, with copies of what it said.
struct Answered {
  bool is_there = false;
  reprise_ending ending = REPRISE_THROWN;
  std::optional<std::string> value, uncacheable;
  std::string message, type;
  std::optional<Duration> start_in;

  static void take(void* to, const reprise_answer* how) {
    auto& self = *static_cast<Answered*>(to);
    self.is_there = true;
    self.ending = how->ending;
    if (how->value.data != nullptr) self.value = as_text(how->value);
    if (how->uncacheable.data != nullptr) self.uncacheable = as_text(how->uncacheable);
    self.message = as_text(how->message);
    self.type = as_text(how->type);
    if (how->has_start_in != 0)
      self.start_in =
          std::chrono::duration_cast<Duration>(std::chrono::nanoseconds(how->start_in_ns));
  }
};

TaskState state_of(reprise_ending ending) {
  switch (ending) {
    case REPRISE_SKIP:
      return TaskState::skipped;
    case REPRISE_SUCCESS:
      return TaskState::success;
    case REPRISE_RETRY:
      return TaskState::retrying;
    case REPRISE_PAUSE:
      return TaskState::paused;
    case REPRISE_LOOP:
      return TaskState::looped;
    case REPRISE_TRIGGER_FAIL:
      return TaskState::trigger_failed;
    case REPRISE_VALIDATION_FAIL:
      return TaskState::validation_failed;
    case REPRISE_RETURNED:
    case REPRISE_THROWN:
    case REPRISE_FAIL:
      break;
  }
  return TaskState::failed;
}

std::string demangled(const std::string& type) {
  int status = 0;
  const std::unique_ptr<char, decltype(&std::free)> name(
      abi::__cxa_demangle(type.c_str(), nullptr, nullptr, &status), &std::free);
  return status == 0 ? std::string(name.get()) : type;
}

Returned run(const reprise_plugin_task& task, const Call& call) {
  std::vector<reprise_bytes> arguments;
  for (const Argument& argument : call.arguments) arguments.push_back(as_bytes(argument.value));
  const About about(call);
  Answered answered;
  task.call(task.body, arguments.data(), arguments.size(), &about.get(), &Answered::take,
            &answered);
  if (!answered.is_there) throw std::runtime_error("the plugin gave no answer");
  Payload value;
  if (answered.value) value = Payload::of(*std::move(answered.value));
  if (answered.ending == REPRISE_RETURNED) return {std::move(value), answered.uncacheable};
  if (answered.ending == REPRISE_THROWN)
    throw CallFailed(FailureClass::task, demangled(answered.type), answered.message);
  Ending ending;
  ending.state = state_of(answered.ending);
  ending.message = std::move(answered.message);
  ending.value = std::move(value);
  if (answered.start_in) ending.start_time = call.attempt.context->now() + *answered.start_in;
  throw ending;
}

Function function_of(const reprise_plugin_task& task) {
  Function function;
  function.name = task.name;
  function.version = task.version;
  for (std::size_t i = 0; i < task.inputs; ++i)
    function.signature.inputs.emplace_back(task.input_names[i], task.input_types[i]);
  for (std::size_t i = 0; i < task.outputs; ++i)
    function.signature.outputs.emplace_back("result", task.output_types[i]);
  function.body = [&task](const Call& call) { return run(task, call); };
  return function;
}

}  // namespace

Result<fs::path> check_plugin(const fs::path& path) {
  std::error_code error;
  const fs::path real = fs::canonical(path, error);
  const std::string shown = escape_for_terminal(path.string());
  if (error)
    return fail(ErrorCode::not_found, fmt::format("plugin \"{}\": {}", shown, error.message()));
  if (!fs::is_regular_file(real, error))
    return fail(ErrorCode::invalid_argument, fmt::format("plugin \"{}\" is no file", shown));
  if (Status owned = check_ownership(real, path); !owned) return tl::unexpected(owned.error());
  for (fs::path folder = real.parent_path();; folder = folder.parent_path()) {
    if (Status owned = check_ownership(folder, path); !owned) return tl::unexpected(owned.error());
    if (folder == folder.parent_path()) break;
  }
  std::ifstream file(real, std::ios::binary);
  char magic[4]{};
  file.read(magic, sizeof magic);
  if (std::string_view(magic, sizeof magic) != "\177ELF")
    return fail(ErrorCode::invalid_argument,
                fmt::format("plugin \"{}\" is no shared object", shown));
  return real;
}

Status load_plugin(const fs::path& path, FunctionTable& table) {
  const auto real = check_plugin(path);
  if (!real) return tl::unexpected(real.error());
  const std::string shown = escape_for_terminal(real->string());
  const auto unfit = [&](std::string_view why) {
    return fail(ErrorCode::invalid_argument, fmt::format("plugin \"{}\": {}", shown, why));
  };
  void* const library = ::dlopen(real->c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) return unfit(escape_for_terminal(::dlerror()));
  const auto* plugin = static_cast<const reprise_plugin_v1*>(::dlsym(library, "reprise_plugin"));
  if (plugin == nullptr)
    return unfit("it has no symbol reprise_plugin; REPRISE_PLUGIN(tasks...) makes it");
  if (plugin->abi != REPRISE_PLUGIN_ABI)
    return unfit(
        fmt::format("it is made for version {} of the plugin interface, this program has "
                    "version {}; build it anew",
                    plugin->abi, REPRISE_PLUGIN_ABI));
  if (plugin->size != sizeof(reprise_plugin_v1))
    return unfit(fmt::format("its layout is another one ({}); build it anew",
                             escape_for_terminal(plugin->built)));
  for (std::size_t i = 0; i < plugin->count(); ++i) {
    const reprise_plugin_task* task = plugin->task(i);
    if (task == nullptr) return unfit("it lacks a task that it announces");
    if (Status added = table.add(function_of(*task)); !added)
      return fail(added.error().code,
                  fmt::format("plugin \"{}\": {}", shown, added.error().message));
  }
  return {};
}

}  // namespace reprise::worker
