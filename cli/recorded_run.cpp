#include "cli/recorded_run.hpp"

#include "cli/run_selector.hpp"

namespace reprise::cli {

tl::expected<RecordedRun, int> load_recorded(RunPlace& place, const std::string& selector,
                                             Console& console) {
  const auto failed = [&](const Error& why) { return tl::unexpected(console.fail(why)); };
  auto row = find_run(selector, place.journal());
  if (!row) return failed(row.error());
  const auto state = place.state(*row);
  if (!state) return failed(state.error());
  auto history = load_history(place.journal(), *row);
  if (!history) return failed(history.error());
  const Time until = end_of_open(history->view(), *row, *state, now());
  return RecordedRun(*std::move(row), *state, *std::move(history), until);
}

}  // namespace reprise::cli
