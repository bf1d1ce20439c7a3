// Command tasks: from what the flow says to a program that runs, and from what it left to a result.
//
// What a command may use enters its cache key, and nothing else is given to it: its arguments, the
// files and variables it names, and its inputs. Its folder is fresh and its paths are numbered, not
// named after tasks or runs.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "cache/blob_store.hpp"
#include "flow/attempt.hpp"
#include "flow/expression.hpp"
#include "worker/attempt_folders.hpp"
#include "worker/command_context.hpp"
#include "worker/enforcement.hpp"
#include "worker/environment.hpp"
#include "worker/staging.hpp"
#include "worker/task_log.hpp"

namespace reprise::worker {

/// An argument that a command finds in its environment, as REPRISE_INPUT_<name> or REPRISE_ITEM.
struct ExposedInput {
  std::string_view
      name;  // of the argument: the upstream's, "fetch[]" for its own element, or the map variable
  const Payload* value = nullptr;
  bool is_item = false;  // the current element of a mapped task
  std::string variable;  // "REPRISE_INPUT_fetch"
};

/// In the order of the task's inputs. A name that has to be changed to be one of a variable gives
/// way to one that need not: of `a-b` and `a_b` the second is REPRISE_INPUT_a_b, and the first has
/// no variable.
[[nodiscard]] std::vector<ExposedInput> exposed_inputs(const Attempt& attempt);

/// One that the task declares: a file of the flow's folder, by the path as written, or one that an
/// upstream made.
struct InputFile {
  std::string name;  // where it is put below the task's folder
  std::variant<std::filesystem::path, FileValue> source;
};

/// What a command's templates come to. File references in texts are whatever `file_text` made of
/// them.
struct CommandTexts {
  std::vector<std::string> arguments;  // argv; empty for a script
  std::string script;
  Environment environment;  // what the task sets
  std::vector<InputFile> files;
};
/// @error invalid_argument: a template cannot be evaluated
[[nodiscard]] Result<CommandTexts> evaluate_command(const Attempt& attempt, const CommandBody& body,
                                                    const expression::FileText& file_text);

/// A path such as ./x.sh or tools/x: a program of the flow's folder.
[[nodiscard]] bool is_flow_program(std::string_view program);

/// What the attempts of one run share in one process.
struct RunResources {
  /// A run that goes on has logs already.
  RunResources(const RunContext& run, LogLimits limits)
      : context(run),
        logs(std::make_shared<LogBudget>(limits, logged_bytes(run.folder))),
        folders(std::make_shared<AttemptFolders>(std::filesystem::path(run.folder) / "attempts")) {}
  /// The same run with another context.
  RunResources(const RunContext& run, const RunResources& before)
      : context(run), logs(before.logs), folders(before.folders) {}

  CommandContext context;
  std::shared_ptr<LogBudget> logs;
  std::shared_ptr<AttemptFolders> folders;
};

/// A command ready to be started.
struct BoundCommand {
  std::vector<std::string> arguments;
  Environment environment;
  Staging staging;
  std::vector<std::string> values;       // inputs that are no files, as JSON: value_file()
  std::filesystem::path folder;          // the attempt's own
  std::filesystem::path working_folder;  // that, or the flow's
  std::string mark;                      // an entry of the environment that no other has
  std::vector<std::string> secrets;      // contents, to be kept out of logs and results
};
/// @param folder     the attempt's own
/// @param inherited  where PATH HOME LANG TZ and the variables that the task declares come from
/// @error invalid_argument
[[nodiscard]] Result<BoundCommand> bind_command(const Attempt& attempt, const CommandBody& body,
                                                std::filesystem::path folder,
                                                const Environment& inherited);

/// The file to execute for `program`, absolute.
/// @error not_found: the message names the places that were looked at
[[nodiscard]] Result<std::string> find_program(std::string_view program,
                                               const BoundCommand& command,
                                               const std::filesystem::path& flow_folder);

class CommandRunner {
 public:
  struct Options {
    cache::BlobStore* blobs =
        nullptr;  // takes output files and gives input files; may be null when there are none
    Environment inherited;
    Duration grace{std::chrono::seconds{10}};
    std::vector<std::filesystem::path> secrets;  // folders, the first that has one wins
    std::function<void(std::string)> warn;       // one line, for people; may be empty
    Enforcement* enforcement = nullptr;          // null: memory is limited by RLIMIT_AS
  };
  explicit CommandRunner(Options options) : options_(std::move(options)) {}

  /// Result of a success: map {"exit": 0, "outputs": {path: file…}, "stdout": what it printed, up
  /// to 64 KiB, as text, or as bytes when it is not UTF-8}, and "value" when it signalled a success
  /// with one. A signal it left (worker/signal_file.hpp) goes before its exit code. Thread-safe.
  [[nodiscard]] Outcome run(const Attempt& attempt, const CommandBody& body, RunResources& run,
                            std::stop_token stop) const;
  /// The same for a hook's command, which takes note and cannot signal.
  /// @param about  further variables: what the hook is told
  [[nodiscard]] Outcome run_hook(const Attempt& attempt, const CommandBody& body, RunResources& run,
                                 const Environment& about, std::stop_token stop) const;

 private:
  [[nodiscard]] Outcome run_with(const Attempt& attempt, const CommandBody& body, RunResources& run,
                                 const Environment* about, std::stop_token stop) const;

  Options options_;
};

}  // namespace reprise::worker
