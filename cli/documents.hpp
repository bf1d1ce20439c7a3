// The JSON documents that commands print (docs/schema/). Pure: values in, documents out.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "actors/engine.hpp"
#include "cache/explain.hpp"
#include "cache/store.hpp"
#include "cli/console.hpp"
#include "cli/progress_view.hpp"
#include "journal/journal.hpp"
#include "journal/run_view.hpp"

namespace reprise::cli {

/// Seconds with microseconds, as every duration in a document.
[[nodiscard]] Json seconds_json(Duration duration);
/// A value as JSON; one whose bytes are elsewhere as {"$digest": …, "size": n}.
[[nodiscard]] Json value_json(const Payload& payload);
[[nodiscard]] Json summary_json(const journal::Summary& summary);

/// Names of the tasks that wait for a person, the first hundred.
[[nodiscard]] Json paused_json(const journal::RunView& view);
/// The same for people: "a, b[0], b[1] and 12 more"; empty: there are none.
[[nodiscard]] std::string paused_text(const journal::RunView& view);

/// "hit", "stored", "miss", "bypass" or null.
[[nodiscard]] Json cache_json(journal::CacheOutcome outcome);

/// Fields of reprise.run/1, for checking --fields before anything is started.
[[nodiscard]] const std::vector<std::string>& run_fields();

struct RunDocument {
  const RunResult& result;
  std::string flow;
  bool continued = false;
  std::map<std::string, std::string> files;  // where file outputs were put, by output
  std::vector<TaskNews> failures;            // the first ones
  Json paused = Json::array();               // as paused_json()
};
[[nodiscard]] Json run_json(const RunDocument& document);

/// One change of a task or run as a line of a stream (reprise.event/1). `offset` 0 = not known yet.
[[nodiscard]] Json event_json(const RunId& run, const std::string& task_name,
                              const journal::TaskChange& change, journal::Offset offset);
[[nodiscard]] Json event_json(const RunId& run, const journal::RunChange& change,
                              journal::Offset offset);

/// A run in a list.
[[nodiscard]] Json row_json(const journal::RunRow& row, RunState state);

/// Parts of a key that differ, in order of weight.
[[nodiscard]] Json differences_json(const std::vector<cache::Difference>& differences);

/// An entry of the cache without its value.
[[nodiscard]] Json record_json(const cache::Record& record);

}  // namespace reprise::cli
