// `reprise version`. Opens nothing: it answers in milliseconds.
#include <fmt/format.h>

#include "cli/commands.hpp"
#include "cli/version.hpp"

namespace reprise::cli {

int version_command(Console& console) {
  if (console.is_json())
    return console.document({{"schema", "reprise.version/1"},
                             {"version", version_text},
                             {"compiler", compiler_text},
                             {"build", build_text}});
  console.out(fmt::format("reprise {}", version_text));
  if (console.options().verbosity > 0)
    console.out(fmt::format("{}, {}", compiler_text, build_text));
  return exit_ok;
}

}  // namespace reprise::cli
