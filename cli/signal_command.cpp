// `reprise signal`: what a task's command says about how its attempt is to end.
#include <cstdlib>

#include <fmt/format.h>

#include "cli/commands.hpp"
#include "cli/exit_code.hpp"
#include "core/text.hpp"
#include "worker/signal_file.hpp"

namespace reprise::cli {

int signal_command(const SignalOptions& options, Console& console) {
  worker::SignalRequest request;
  request.name = options.kind;
  request.message = options.message;
  request.in = options.in;
  if (options.value) {
    auto value = from_json(*options.value);
    if (!value)
      return console.fail({ErrorCode::invalid_argument,
                           fmt::format("--value is no JSON: {}; text needs quotes of its own: "
                                       "--value '\"text\"'",
                                       value.error().message)},
                          exit_invalid);
    request.value = *std::move(value);
  }
  if (const auto state = worker::check(request); !state)
    return console.fail(state.error(), exit_invalid);
  const char* path = std::getenv("REPRISE_SIGNAL_FILE");
  if (path == nullptr || *path == '\0')
    return console.fail({ErrorCode::invalid_argument,
                         "there is no task here to signal: REPRISE_SIGNAL_FILE is not set; "
                         "`reprise signal` is for commands that a flow's task runs"},
                        exit_invalid);
  if (const auto left = worker::leave_signal(path, request); !left)
    return console.fail(left.error(), left.error().code == ErrorCode::invalid_argument
                                          ? exit_invalid
                                          : exit_code_of(left.error().code));
  if (!console.is_json()) return exit_ok;
  return console.document(
      {{"schema", "reprise.signal/1"}, {"signal", options.kind}, {"file", path}}, exit_ok);
}

}  // namespace reprise::cli
