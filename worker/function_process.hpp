// One process that runs functions, as the one that started it sees it (worker/function_server.hpp
// is the other side).
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "core/result.hpp"
#include "core/time.hpp"
#include "worker/enforcement.hpp"
#include "worker/file_descriptor.hpp"
#include "worker/function_message.hpp"
#include "worker/output_tail.hpp"
#include "worker/process.hpp"
#include "worker/process_tree.hpp"

namespace reprise::worker {

/// The process ended before the body did.
struct Crash {
  FailureClass failure = FailureClass::signal;
  std::string message;  // one line, without the function's name
  std::int32_t signal = 0;
  std::int32_t exit_code = 0;
  bool out_of_memory = false;
  bool stopped = false;  // ended by us, because the body did not stop in time
};

class FunctionProcess {
 public:
  struct Spec {
    std::string program;
    std::vector<std::string> arguments;        // argv
    std::vector<std::string> environment;      // "NAME=value"
    std::string mark;                          // the entry by which its descendants are recognised
    Duration grace{std::chrono::seconds{10}};  // for a body that was asked to stop
    std::shared_ptr<Enforcement> enforcement;  // null: memory is limited by the process itself
  };

  /// Starts it and waits until it says what it knows.
  /// @error unavailable: it ended, or said nothing for 30 s; the message says what it printed last
  [[nodiscard]] static Result<std::unique_ptr<FunctionProcess>> start(const Spec& spec);
  /// Ends it with all that it started.
  ~FunctionProcess();
  FunctionProcess(const FunctionProcess&) = delete;
  FunctionProcess& operator=(const FunctionProcess&) = delete;

  [[nodiscard]] const std::vector<KnownFunction>& functions() const { return functions_; }

  /// Runs a function and waits for it. What is printed meanwhile goes to the sinks.
  /// Once `call.stop` is requested the body has the grace time; then the process is killed.
  /// After a Crash the process is of no further use.
  [[nodiscard]] std::variant<FunctionAnswer, Crash> run(std::string_view function, const Call& call,
                                                        std::uint64_t memory_bytes, OutputSink& out,
                                                        OutputSink& err);
  /// It is there, and ready for a call.
  [[nodiscard]] bool is_waiting() const;
  [[nodiscard]] std::uint64_t calls() const { return calls_; }
  [[nodiscard]] pid_t id() const { return process_.id(); }

 private:
  struct Listening;
  explicit FunctionProcess(const Spec& spec) : mark_(spec.mark), grace_(spec.grace) {}

  enum class Heard : std::uint8_t { message, ended, late };
  [[nodiscard]] int open(const Spec& spec);
  // Sends what is left of `outgoing` and waits for one message.
  Heard converse(Listening& listening);
  void drain(OutputSink& out, OutputSink& err);
  bool read_stream(FileDescriptor& stream, OutputSink& sink);
  // True when the message is whole.
  enum class Got : std::uint8_t { message, more, end };
  Got receive();
  void kill();
  [[nodiscard]] Crash crashed(std::uint64_t memory_bytes);

  const std::string mark_;
  const Duration grace_;
  StartedProcess process_;
  FileDescriptor calls_socket_;
  FileDescriptor stops_;
  FileDescriptor out_;
  FileDescriptor err_;
  std::unique_ptr<EnforcedGroup> group_;
  std::vector<KnownFunction> functions_;
  std::string incoming_;
  std::uint64_t calls_ = 0;
  std::weak_ptr<const RunContext> last_run_;
};

}  // namespace reprise::worker
