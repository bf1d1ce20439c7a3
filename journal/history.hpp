// What earlier runs tell about a flow.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "core/time.hpp"
#include "journal/journal.hpp"

namespace reprise::journal {

/// How long the tasks of flow `flow_name` usually take: by node name, the median over the bodies
/// that ran to their end in its last `limit` finished runs; nodes that never ran are absent. For
/// estimates: runs that cannot be read, and what is beyond the first `changes_max` changes of a
/// run, are left out.
[[nodiscard]] std::map<std::string, Duration> usual_durations(Journal& journal,
                                                              std::string_view flow_name,
                                                              std::uint32_t limit = 5,
                                                              std::size_t changes_max = 200'000);

}  // namespace reprise::journal
