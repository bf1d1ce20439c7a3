#include "worker/command.hpp"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include <fmt/format.h>

#include "core/text.hpp"
#include "flow/context_values.hpp"
#include "flow/secret_reference.hpp"
#include "flow/signal.hpp"
#include "worker/functions.hpp"
#include "worker/output_tail.hpp"
#include "worker/process.hpp"
#include "worker/reused_file.hpp"
#include "worker/secrets.hpp"
#include "worker/signal_file.hpp"

namespace reprise::worker {

namespace fs = std::filesystem;

namespace {

constexpr std::size_t kept_stdout_bytes = 64 << 10;

// The first bytes of a stream, for the result, beside the log.
class HeadSink final : public OutputSink {
 public:
  explicit HeadSink(OutputSink& log) : log_(log) {}
  void write(std::string_view bytes) override {
    log_.write(bytes);
    const std::string_view part = bytes.substr(0, kept_stdout_bytes - head_.size());
    head_ += part;
    is_cut_ |= part.size() < bytes.size();
  }
  // As text when it is text; a character that was cut in two is left out.
  [[nodiscard]] Value value() const {
    if (is_utf8(head_)) return Value(head_);
    for (std::size_t drop = 1; is_cut_ && drop < 4 && drop <= head_.size(); ++drop) {
      const std::string_view shorter = std::string_view(head_).substr(0, head_.size() - drop);
      if (is_utf8(shorter)) return Value(shorter);
    }
    return Value(Bytes{head_});
  }

 private:
  OutputSink& log_;
  std::string head_;
  bool is_cut_ = false;
};

bool is_executable_file(const fs::path& path) {
  struct stat info {};
  return ::stat(path.c_str(), &info) == 0 && S_ISREG(info.st_mode) &&
         ::access(path.c_str(), X_OK) == 0;
}

// Opens an output the command has made; neither its parts nor itself may be symbolic links.
int open_beneath(int folder, const std::string& path) {
  open_how how{};
  how.flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
  return static_cast<int>(::syscall(SYS_openat2, folder, path.c_str(), &how, sizeof how));
}

Result<FileValue> collect_output(const fs::path& folder, int folder_fd, const std::string& path,
                                 cache::BlobStore* blobs) {
  const std::string shown = escape_for_terminal(path);
  if (!is_inner_path(path)) {
    return fail(ErrorCode::invalid_argument,
                fmt::format("declared output \"{}\" is no path below the task's folder", shown));
  }
  const FileDescriptor file(open_beneath(folder_fd, path));
  if (!file.is_open()) {
    if (errno == ENOENT || errno == ENOTDIR) {
      return fail(ErrorCode::not_found, fmt::format("declared output \"{}\" was not made", shown));
    }
    if (errno == ELOOP || errno == EXDEV) {
      return fail(ErrorCode::denied,
                  fmt::format("declared output \"{}\" is, or lies behind, a symbolic link; "
                              "write the file itself",
                              shown));
    }
    return tl::unexpected(system_error(fmt::format("declared output \"{}\"", shown), errno));
  }
  struct stat info {};
  if (::fstat(file.get(), &info) != 0) {
    return tl::unexpected(system_error(fmt::format("declared output \"{}\"", shown), errno));
  }
  if (!S_ISREG(info.st_mode)) {
    const char* what =
        S_ISDIR(info.st_mode) ? "a folder; name the files in it, or pack them into one" : "no file";
    return fail(ErrorCode::invalid_argument,
                fmt::format("declared output \"{}\" is {}", shown, what));
  }
  if (blobs == nullptr)
    return fail(ErrorCode::unavailable, "there is no blob store to keep output files in");
  auto kept = blobs->put_file(folder / path);
  if (!kept)
    return fail(kept.error().code,
                fmt::format("declared output \"{}\": {}", shown, kept.error().message));
  return kept;
}

Result<Map> collect_outputs(const fs::path& folder, const std::vector<std::string>& outputs,
                            cache::BlobStore* blobs) {
  Map files;
  if (outputs.empty()) return files;
  const FileDescriptor folder_fd(::open(folder.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!folder_fd.is_open()) {
    return tl::unexpected(system_error(fmt::format("open folder \"{}\"", folder.string()), errno));
  }
  for (const std::string& path : outputs) {
    auto file = collect_output(folder, folder_fd.get(), path, blobs);
    if (!file) return tl::unexpected(file.error());
    files.emplace_back(Value(path), file->to_value());
  }
  return files;
}

// Describes how a process that ran ended; true when all is well.
bool judge(const ProcessEnd& end, const TailSink& err, std::uint64_t memory_bytes,
           Outcome& outcome) {
  outcome.exit_code = end.exit_code;
  outcome.signal = end.signal;
  if (end.stopped) {
    outcome.state = TaskState::cancelled;
    outcome.failure = FailureClass::cancelled;
    outcome.message = "cancelled while it was running";
    return false;
  }
  if (end.signal == 0 && end.exit_code == 0) return true;
  const std::string line = err.last_line();
  const std::string how =
      end.signal != 0 ? described_signal(end.signal) : fmt::format("exit {}", end.exit_code);
  set_failed(outcome, end.signal != 0 ? FailureClass::signal : FailureClass::task,
             line.empty() ? how : fmt::format("{}: {}", how, line));
  if (memory_bytes > 0 && (end.out_of_memory || speaks_of_memory(line)))
    set_failed(outcome, FailureClass::memory, out_of_memory(memory_bytes, outcome.message));
  return false;
}

}  // namespace

Result<std::string> find_program(std::string_view program, const BoundCommand& command,
                                 const fs::path& flow_folder) {
  if (program.empty())
    return fail(ErrorCode::invalid_argument, "cannot run \"\": the program has no name");
  if (program.front() == '/') return std::string(program);
  const std::string shown = escape_for_terminal(program);
  if (is_flow_program(program)) {
    // A program that an upstream has built lies among the inputs; any other belongs to the flow.
    const fs::path own = command.working_folder / program;
    if (flow_folder.empty() || is_executable_file(own)) return own.string();
    const fs::path of_flow = (flow_folder / program).lexically_normal();
    struct stat info {};
    if (::stat(of_flow.c_str(), &info) == 0) return of_flow.string();
    return fail(ErrorCode::not_found,
                fmt::format("cannot run \"{}\": no such file in the flow's folder \"{}\"", shown,
                            escape_for_terminal(flow_folder.string())));
  }
  const std::string& path = command.environment.at("PATH");
  for (std::size_t at = 0; at <= path.size();) {
    const std::size_t end = std::min(path.find(':', at), path.size());
    const fs::path candidate = fs::path(path.substr(at, end - at)) / program;
    // A relative part would depend on where the command happens to run.
    if (candidate.is_absolute() && is_executable_file(candidate)) return candidate.string();
    at = end + 1;
  }
  return fail(ErrorCode::not_found, fmt::format("cannot run \"{}\": no such file in PATH {}", shown,
                                                escape_for_terminal(path)));
}

namespace {

// Puts the secrets among the variables that the task sets in the place of their references. Only a
// text that the flow's author wrote is one: what a parameter or another task gives is data.
Status put_secrets(const CommandBody& body, const std::vector<fs::path>& folders,
                   BoundCommand& command) {
  for (const auto& [name, text] : body.environment) {
    const auto reference = secret_reference(text.text);
    if (!reference) continue;
    auto secret = read_secret(folders, *reference);
    if (!secret)
      return fail(secret.error().code,
                  fmt::format("environment variable \"{}\": {}", escape_for_terminal(name),
                              secret.error().message));
    command.secrets.push_back(*secret);
    command.environment[name] = *std::move(secret);
  }
  return {};
}

// A success with what the command declared to make, and with the value it signalled.
void succeed(const std::optional<SignalRequest>& signal, const ProcessEnd& end,
             const BoundCommand& command, const CommandBody& body, Value out,
             cache::BlobStore* blobs, Outcome& outcome) {
  auto files = collect_outputs(command.working_folder, body.outputs, blobs);
  if (!files) return set_failed(outcome, FailureClass::task, files.error().message);
  Map result{{Value("exit"), Value(end.exit_code)},
             {Value("outputs"), Value(*std::move(files))},
             {Value("stdout"), std::move(out)}};
  if (signal && signal->value)
    result.emplace_back(Value("value"), redact(*signal->value, command.secrets));
  auto value = Payload::of(Value(std::move(result)));
  if (!value) return set_failed(outcome, FailureClass::task, value.error().message);
  outcome.state = TaskState::success;
  outcome.failure = FailureClass::none;
  outcome.message = signal ? redact(signal->message, command.secrets) : std::string();
  outcome.value = *std::move(value);
}

// "NAME=value", of all that the command finds in its environment.
std::vector<std::string> entries_of(const BoundCommand& command, const CommandContext& context,
                                    const Map& of_attempt) {
  std::vector<std::string> entries;
  entries.reserve(command.environment.size() + 32);
  for (const auto& [name, value] : command.environment) {
    std::string& entry = entries.emplace_back();
    entry.reserve(name.size() + 1 + value.size());
    entry += name;
    entry += '=';
    entry += value;
  }
  context.add_variables(of_attempt, command.environment, entries);
  return entries;
}

// An exit code that the task gave a meaning, as a signal.
std::optional<SignalRequest> signal_of_exit(const ProcessEnd& end, const CommandBody& body,
                                            const Value& out) {
  if (end.signal != 0) return std::nullopt;
  const auto found = body.exits.find(static_cast<std::uint32_t>(end.exit_code));
  if (found == body.exits.end()) return std::nullopt;
  SignalRequest request;
  for (const std::string& name : signal_names())
    if (signal_from(name) == found->second) request.name = name;
  // A loop hands on what it printed.
  if (found->second == TaskState::looped) {
    const auto* text = out.get_if<std::string>();
    request.value =
        text != nullptr && text->ends_with('\n') ? Value(text->substr(0, text->size() - 1)) : out;
  }
  return request;
}

// Ends the attempt as the command asked for, but for a success, whose outputs are still to be
// collected.
void obey(SignalRequest request, TaskState state, const Attempt& attempt,
          const std::vector<std::string>& secrets, std::string how, Outcome& outcome) {
  Ending ending;
  ending.state = state;
  ending.message = redact(std::move(request.message), secrets);
  if (ending.message.empty() && is_failed(state))
    ending.message = how.empty() ? fmt::format("it signalled {}", request.name) : std::move(how);
  outcome.failure = FailureClass::none;
  if (request.value) {
    auto value = Payload::of(redact(*std::move(request.value), secrets));
    if (!value) {
      set_failed(outcome, FailureClass::task, "its signal's value: " + value.error().message);
      return;
    }
    ending.value = *std::move(value);
  } else if (state == TaskState::looped) {
    ending.value = Payload::nil();
  }
  if (request.in) ending.start_time = attempt.context->now() + *request.in;
  if (state == TaskState::retrying && !request.in) {
    const RetryPolicy& retry = attempt.context->flow->kind_of(attempt.node).retry;
    ending.start_time = attempt.context->now() + retry.delay;
  }
  end_as(outcome, std::move(ending));
}

}  // namespace

Outcome CommandRunner::run(const Attempt& attempt, const CommandBody& body, RunResources& run,
                           std::stop_token stop) const {
  return run_with(attempt, body, run, nullptr, std::move(stop));
}

Outcome CommandRunner::run_hook(const Attempt& attempt, const CommandBody& body, RunResources& run,
                                const Environment& about, std::stop_token stop) const {
  return run_with(attempt, body, run, &about, std::move(stop));
}

Outcome CommandRunner::run_with(const Attempt& attempt, const CommandBody& body, RunResources& run,
                                const Environment* about, std::stop_token stop) const {
  Outcome outcome;
  outcome.started = now();
  const auto cannot_start = [&](const Error& error) {
    set_failed(outcome, FailureClass::cannot_start, error.message);
    outcome.duration = now() - outcome.started;
    return outcome;
  };
  auto folder = run.folders->take();
  if (!folder) return cannot_start(folder.error());
  auto command = bind_command(attempt, body, folder->path(), options_.inherited);
  if (!command) return cannot_start(command.error());
  if (auto put = put_secrets(body, options_.secrets, *command); !put)
    return cannot_start(put.error());
  const bool is_about_run = attempt.question && attempt.question->kind == Question::Kind::run_hooks;
  Map of_attempt = is_about_run ? Map{} : attempt_context_values(attempt);
  if (auto put = folder->put_values(command->values); !put) return cannot_start(put.error());
  command->environment["REPRISE_CONTEXT_FILE"] = folder->context_file().string();
  // Not its name: two workers of one machine may have attempts of the same name, one of them to be
  // ended.
  command->mark = "REPRISE_CONTEXT_FILE=" + folder->context_file().string();
  if (about == nullptr)
    command->environment["REPRISE_SIGNAL_FILE"] = folder->signal_file().string();
  else
    for (const auto& [name, value] : *about) command->environment[name] = value;
  auto environment = entries_of(*command, run.context, of_attempt);
  if (auto put = write_over(folder->context_file(), run.context.json(std::move(of_attempt))); !put)
    return cannot_start(put.error());
  if (auto staged = command->staging.make(command->folder, options_.blobs); !staged) {
    return cannot_start(staged.error());
  }
  if (command->arguments.empty())
    return cannot_start({ErrorCode::invalid_argument, "there is no program to run"});
  const auto program = find_program(command->arguments[0], *command, attempt.context->flow->folder);
  if (!program) return cannot_start(program.error());

  const bool is_hook = about != nullptr;  // several may be asked one question
  const auto log_of = [&](Stream stream) {
    return LogWriter(attempt.context->folder, attempt.task, attempt.number, stream, *run.logs,
                     is_hook);
  };
  LogWriter out_log = log_of(Stream::out), err_log = log_of(Stream::err);
  HeadSink out_head(out_log);
  TailSink err_tail(err_log);
  RedactingSink out(command->secrets, out_head);
  RedactingSink err(command->secrets, err_tail);
  const Resources& resources = attempt.context->flow->kind_of(attempt.node).resources;
  const ProcessSpec spec{*program,
                         command->arguments,
                         std::move(environment),
                         command->working_folder.string(),
                         command->mark,
                         options_.grace,
                         is_hook ? 0 : resources.memory_bytes,
                         resources.cpu_milli,
                         options_.enforcement};
  const auto end = run_process(spec, out, err, stop);
  out.finish();
  err.finish();
  if (!end) {
    return cannot_start({end.error().code, fmt::format("cannot run \"{}\": {}",
                                                       escape_for_terminal(command->arguments[0]),
                                                       end.error().message)});
  }
  outcome.executed = true;
  for (const LogWriter* log : {&out_log, &err_log}) {
    if (!log->status() && options_.warn) options_.warn(log->status().error().message);
  }
  const bool is_fine = judge(*end, err_tail, spec.memory_bytes, outcome);
  auto signal = is_hook || end->stopped ? Result<std::optional<SignalRequest>>{}
                                        : read_signal(folder->signal_file());
  if (!signal) {
    set_failed(outcome, FailureClass::task,
               fmt::format("the signal it left makes no sense: {}", signal.error().message));
  } else {
    if (!*signal && !is_hook && !end->stopped)
      *signal = signal_of_exit(*end, body, out_head.value());
    const TaskState state =
        *signal ? signal_from((*signal)->name).value_or(TaskState::failed) : TaskState::success;
    if (*signal && state != TaskState::success)
      obey(**std::move(signal), state, attempt, command->secrets, outcome.message, outcome);
    else if (*signal || is_fine)
      succeed(*signal, *end, *command, body, out_head.value(), options_.blobs, outcome);
  }
  outcome.duration = now() - outcome.started;
  return outcome;
}

}  // namespace reprise::worker
