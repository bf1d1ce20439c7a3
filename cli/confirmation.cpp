#include "cli/confirmation.hpp"

#include <fmt/format.h>

namespace reprise::cli {

std::optional<int> refuse_unconfirmed(const std::string& question, std::string_view what,
                                      Console& console) {
  const GlobalOptions& globals = console.options();
  if (globals.yes || console.confirm(question)) return std::nullopt;
  if (globals.no_input || !console.can_ask())
    return console.fail(
        {ErrorCode::invalid_argument, fmt::format("this {} and nobody can be asked; add -y", what)},
        exit_invalid);
  console.say("nothing was removed");
  return exit_failed;
}

}  // namespace reprise::cli
