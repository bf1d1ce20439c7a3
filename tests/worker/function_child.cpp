// A program that runs functions for the tests of worker/function_pool.hpp: well-behaved ones and
// others.
#include <dirent.h>
#include <signal.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "core/value.hpp"
#include "flow/context_values.hpp"
#include "worker/function_server.hpp"

using namespace reprise;
using namespace reprise::worker;

namespace {

Value argument(const Call& call) {
  return call.arguments.empty() ? Value{} : call.arguments[0].value.value().value();
}

Returned give(const Value& value) {
  return {Payload::of(value).value(), {}};
}

std::string names_in(const char* folder) {
  std::string names;
  DIR* const entries = ::opendir(folder);
  while (const dirent* entry = ::readdir(entries))
    if (entry->d_name[0] != '.') names += std::string(names.empty() ? "" : " ") + entry->d_name;
  ::closedir(entries);
  return names;
}

Returned spin(const Call& call) {
  const bool obeys = argument(call) == Value(true);
  std::cout << "spinning" << std::endl;
  while (!obeys || !call.stop.stop_requested())
    std::this_thread::sleep_for(std::chrono::milliseconds{1});
  return give(Value("obeyed"));
}

Returned take_memory(const Call& call) {
  const auto bytes = static_cast<std::size_t>(*argument(call).get_if<std::int64_t>());
  std::vector<char> memory(bytes, 'x');
  return give(Value(static_cast<std::int64_t>(memory[bytes / 2])));
}

// Starts something that leaves the process group and outlives a crash.
Returned leave_behind(const Call& call) {
  const std::string file = *argument(call).get_if<std::string>();
  static_cast<void>(
      !std::system(("setsid sh -c 'echo $$ > " + file + "; exec sleep 1000' & while ! test -s " +
                    file + "; do sleep 0.01; done")
                       .c_str()));
  ::raise(SIGKILL);
  return {};
}

Returned about(const Call& call) {
  Map all;
  for (const char* key : {"task_full_name", "flow_name", "task_run_count", "parameters", "color"})
    if (const auto value = context_value(call.attempt, key)) all.emplace_back(key, *value);
  return give(Value(all));
}

Returned end(const Call& call) {
  Ending ending;
  ending.state = TaskState::retrying;
  ending.message = "later";
  ending.start_time = now() + std::chrono::hours{1};
  (void)call;
  throw ending;
}

}  // namespace

int main(int argc, char** argv) {
  serve_functions_if_asked(argc, argv, [](std::span<char*>) {
    auto table = std::make_shared<FunctionTable>();
    const Signature any{{{"value", "any"}}, {{"result", "any"}}};
    const auto add = [&](const char* name, worker::FunctionBody body) {
      static_cast<void>(table->add({name, "1", any, std::move(body)}));
    };
    add("echo", [](const Call& call) { return give(argument(call)); });
    add("pid", [](const Call&) { return give(Value(::getpid())); });
    add("segv", [](const Call&) -> Returned {
      std::fputs("about to crash\n", stderr);
      ::raise(SIGSEGV);
      return {};
    });
    add("abort", [](const Call&) -> Returned { std::abort(); });
    add("exit", [](const Call&) -> Returned { std::_Exit(3); });
    add("throw", [](const Call&) -> Returned { throw std::out_of_range("no such thing"); });
    add("end", end);
    add("spin", spin);
    add("memory", take_memory);
    add("leave", leave_behind);
    add("about", about);
    add("open", [](const Call&) { return give(Value(names_in("/proc/self/fd"))); });
    add("print", [](const Call&) {
      std::cout << "to stdout";
      std::cerr << "to stderr";
      return give(Value{});
    });
    add("env", [](const Call& call) {
      const char* value = std::getenv(argument(call).get_if<std::string>()->c_str());
      return give(value != nullptr ? Value(value) : Value{});
    });
    return Result<std::shared_ptr<FunctionTable>>(table);
  });
  std::puts("this program only runs functions");
  return 1;
}
