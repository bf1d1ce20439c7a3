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
#include "worker/process.hpp"

namespace reprise::worker {

namespace fs = std::filesystem;

namespace {

constexpr std::size_t kept_stdout_bytes = 64 << 10;
constexpr std::size_t kept_stderr_bytes = 4 << 10;
constexpr std::size_t message_columns = 200;

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

// The last bytes of a stream, for the message, beside the log.
class TailSink final : public OutputSink {
 public:
  explicit TailSink(OutputSink& log) : log_(log) {}
  void write(std::string_view bytes) override {
    log_.write(bytes);
    tail_ += bytes.substr(bytes.size() - std::min(bytes.size(), kept_stderr_bytes));
    if (tail_.size() > 2 * kept_stderr_bytes) tail_.erase(0, tail_.size() - kept_stderr_bytes);
  }
  // The last line that is not blank, safe to print.
  [[nodiscard]] std::string last_line() const {
    std::string_view rest = tail_;
    const std::size_t last = rest.find_last_not_of(" \t\r\n");
    if (last == std::string_view::npos) return {};
    rest = rest.substr(0, last + 1);
    rest = rest.substr(rest.rfind('\n') + 1);
    rest = rest.substr(rest.rfind('\r') + 1);  // of a progress bar, what is to be seen
    return shorten(escape_for_terminal(rest), message_columns);
  }

 private:
  OutputSink& log_;
  std::string tail_;
};

std::string signal_name(int signal) {
  const char* name = ::sigabbrev_np(signal);
  return name != nullptr ? fmt::format("SIG{}", name) : "unknown";
}

void set_failed(Outcome& outcome, FailureClass failure, std::string message) {
  outcome.state = TaskState::failed;
  outcome.failure = failure;
  outcome.message = std::move(message);
}

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

std::vector<std::string> as_entries(const Environment& environment) {
  std::vector<std::string> entries;
  entries.reserve(environment.size());
  for (const auto& [name, value] : environment)
    entries.push_back(fmt::format("{}={}", name, value));
  return entries;
}

// Describes how a process that ran ended; true when all is well.
bool judge(const ProcessEnd& end, const TailSink& err, Outcome& outcome) {
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
      end.signal != 0 ? fmt::format("ended by signal {} ({})", end.signal, signal_name(end.signal))
                      : fmt::format("exit {}", end.exit_code);
  set_failed(outcome, end.signal != 0 ? FailureClass::signal : FailureClass::task,
             line.empty() ? how : fmt::format("{}: {}", how, line));
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

Outcome CommandRunner::run(const Attempt& attempt, const CommandBody& body, RunResources& run,
                           std::stop_token stop) const {
  Outcome outcome;
  outcome.started = now();
  const auto cannot_start = [&](const Error& error) {
    set_failed(outcome, FailureClass::cannot_start, error.message);
    outcome.duration = now() - outcome.started;
    return outcome;
  };
  const auto folder = run.folders.take();
  if (!folder) return cannot_start(folder.error());
  const auto command = bind_command(attempt, body, folder->path(), options_.inherited);
  if (!command) return cannot_start(command.error());
  if (auto staged = command->staging.make(command->folder, options_.blobs); !staged) {
    return cannot_start(staged.error());
  }
  if (command->arguments.empty())
    return cannot_start({ErrorCode::invalid_argument, "there is no program to run"});
  const auto program = find_program(command->arguments[0], *command, attempt.context->flow->folder);
  if (!program) return cannot_start(program.error());

  const fs::path& run_folder = attempt.context->folder;
  LogWriter out_log(log_path(run_folder, attempt.task, attempt.number, Stream::out), run.logs);
  LogWriter err_log(log_path(run_folder, attempt.task, attempt.number, Stream::err), run.logs);
  HeadSink out(out_log);
  TailSink err(err_log);
  const ProcessSpec spec{*program,
                         command->arguments,
                         as_entries(command->environment),
                         command->working_folder.string(),
                         command->mark,
                         options_.grace};
  const auto end = run_process(spec, out, err, stop);
  if (!end) {
    return cannot_start({end.error().code, fmt::format("cannot run \"{}\": {}",
                                                       escape_for_terminal(command->arguments[0]),
                                                       end.error().message)});
  }
  outcome.executed = true;
  for (const LogWriter* log : {&out_log, &err_log}) {
    if (!log->status() && options_.warn) options_.warn(log->status().error().message);
  }
  if (judge(*end, err, outcome)) {
    auto files = collect_outputs(command->working_folder, body.outputs, options_.blobs);
    const auto value = files ? Payload::of(Value(Map{{Value("exit"), Value(0)},
                                                     {Value("outputs"), Value(*std::move(files))},
                                                     {Value("stdout"), out.value()}}))
                             : Result<Payload>(tl::unexpected(files.error()));
    if (value) {
      outcome.state = TaskState::success;
      outcome.value = *value;
    } else {
      set_failed(outcome, FailureClass::task, value.error().message);
    }
  }
  outcome.duration = now() - outcome.started;
  return outcome;
}

}  // namespace reprise::worker
