// Apart from the rest of the API, because it brings the command line along.
#include <cstdio>
#include <utility>

#include "api/served.hpp"
#include "cli/app.hpp"

namespace reprise::detail {

int worker_main(int argc, char** argv, std::vector<served_task> tasks) {
  const auto table = table_of(std::move(tasks));
  if (table) return cli::worker_program(argc, argv, *table);
  std::fprintf(stderr, "error: %s\n", table.error().message.c_str());
  return 2;
}

}  // namespace reprise::detail
