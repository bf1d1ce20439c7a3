#include "worker/function_pool.hpp"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "core/text.hpp"
#include "worker/function_server.hpp"

namespace reprise::worker {
namespace {

// What is meant for this process alone, and what would put code into the other one.
constexpr std::array<std::string_view, 6> not_inherited{
    "NOTIFY_SOCKET", "WATCHDOG_PID", "CREDENTIALS_DIRECTORY",
    "LD_PRELOAD",    "LD_AUDIT",     "REPRISE_FAIL_POINTS"};

std::vector<std::string> entries_of(const Environment& environment, const std::string& mark) {
  std::vector<std::string> entries{mark};
  for (const auto& [name, value] : environment)
    if (std::find(not_inherited.begin(), not_inherited.end(), name) == not_inherited.end())
      entries.push_back(fmt::format("{}={}", name, value));
  return entries;
}

}  // namespace

Result<std::shared_ptr<FunctionPool>> FunctionPool::open(Options options) {
  if (options.program.empty()) {
    if (!can_serve_functions())
      return fail(ErrorCode::unavailable,
                  "this program cannot run a function in a process of its own; call "
                  "reprise::init(argc, argv, tasks...) first thing in main, or leave out "
                  "`isolated`");
    options.program = "/proc/self/exe";
  }
  return std::shared_ptr<FunctionPool>(new FunctionPool(std::move(options)));
}

Result<std::unique_ptr<FunctionProcess>> FunctionPool::start() {
  std::uint64_t number = 0;
  {
    const std::scoped_lock lock(mutex_);
    number = ++started_;
  }
  FunctionProcess::Spec spec;
  spec.program = options_.program;
  spec.arguments = {"reprise", std::string(functions_argument)};
  spec.arguments.insert(spec.arguments.end(), options_.plugins.begin(), options_.plugins.end());
  spec.mark = fmt::format("REPRISE_FUNCTIONS={}.{}.{}", ::getpid(),
                          reinterpret_cast<std::uintptr_t>(this), number);
  spec.environment = entries_of(options_.environment, spec.mark);
  spec.grace = options_.grace;
  spec.enforcement = options_.enforcement;
  return FunctionProcess::start(spec);
}

// The one that was used last: its memory is warm, and those that are not needed stay asleep.
Result<std::unique_ptr<FunctionProcess>> FunctionPool::take() {
  {
    const std::scoped_lock lock(mutex_);
    while (!idle_.empty()) {
      auto process = std::move(idle_.back());
      idle_.pop_back();
      if (process->is_waiting()) return process;  // nobody kept an eye on it
    }
  }
  return start();
}

void FunctionPool::give_back(std::unique_ptr<FunctionProcess> process) {
  if (process->calls() >= options_.calls_max) return;
  const std::scoped_lock lock(mutex_);
  idle_.push_back(std::move(process));
}

Result<std::vector<KnownFunction>> FunctionPool::functions() {
  auto process = take();
  if (!process) return tl::unexpected(process.error());
  auto known = (*process)->functions();
  give_back(*std::move(process));
  return known;
}

std::vector<pid_t> FunctionPool::idle() const {
  const std::scoped_lock lock(mutex_);
  std::vector<pid_t> ids;
  for (const auto& process : idle_) ids.push_back(process->id());
  return ids;
}

Returned FunctionPool::call(const std::string& function, const Call& call, CallOutput output) {
  const std::string shown = fmt::format("function \"{}\"", escape_for_terminal(function));
  auto process = take();
  if (!process)
    throw CallFailed(FailureClass::cannot_start, "Crash",
                     fmt::format("{}: {}", shown, process.error().message));
  const auto& known = (*process)->functions();
  const bool is_known = std::any_of(
      known.begin(), known.end(), [&](const KnownFunction& each) { return each.id() == function; });
  if (!is_known) {
    give_back(*std::move(process));
    throw CallFailed(FailureClass::cannot_start, "Crash",
                     fmt::format("{} is unknown to a process of its own; hand its task to "
                                 "reprise::init or reprise::worker_main",
                                 shown));
  }
  const bool is_about_task = !call.attempt.question;
  const std::uint64_t memory_bytes =
      is_about_task ? call.attempt.context->flow->kind_of(call.attempt.node).resources.memory_bytes
                    : 0;
  auto outcome = (*process)->run(function, call, memory_bytes, output.out, output.err);
  if (auto* crash = std::get_if<Crash>(&outcome)) {
    process->reset();
    std::string message = fmt::format("{}: {}", shown, crash->message);
    if (crash->stopped) message = fmt::format("{} did not stop and was killed", shown);
    if (crash->out_of_memory) message = out_of_memory(memory_bytes, message);
    CallFailed failed(crash->out_of_memory ? FailureClass::memory : crash->failure,
                      crash->out_of_memory ? "OutOfMemory" : "Crash", message);
    failed.signal = crash->signal;
    failed.exit_code = crash->exit_code;
    throw failed;
  }
  give_back(*std::move(process));
  auto& answer = std::get<FunctionAnswer>(outcome);
  if (auto* returned = std::get_if<Returned>(&answer)) return std::move(*returned);
  if (auto* ending = std::get_if<Ending>(&answer)) throw std::move(*ending);
  Thrown& thrown = std::get<Thrown>(answer);
  if (memory_bytes > 0 && thrown.type == "std::bad_alloc")
    throw CallFailed(FailureClass::memory, "OutOfMemory",
                     out_of_memory(memory_bytes, fmt::format("{}: {}", shown, thrown.type)));
  throw CallFailed(FailureClass::task, std::move(thrown.type), std::move(thrown.what));
}

Status add_functions_of(const std::shared_ptr<FunctionPool>& pool, FunctionTable& table) {
  auto functions = pool->functions();
  if (!functions) return tl::unexpected(functions.error());
  for (KnownFunction& known : *functions) {
    Function function;
    function.name = std::move(known.name);
    function.version = std::move(known.version);
    function.signature = std::move(known.signature);
    function.home = Function::Home::pool;
    if (Status added = table.add(std::move(function)); !added) return added;
  }
  return {};
}

}  // namespace reprise::worker
