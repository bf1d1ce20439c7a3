#include "tests/cli/trace_check.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <map>
#include <set>
#include <tuple>
#include <utility>
#include <vector>

namespace reprise::cli::test {
namespace {

using Thread = std::pair<std::int64_t, std::int64_t>;  // process and thread

/// Viewers round to nanoseconds.
std::int64_t nanoseconds(const nlohmann::json& microseconds) {
  return std::llround(microseconds.get<double>() * 1000);
}

struct Slice {
  std::int64_t begin, end;
  std::string name;
};

struct Arrow {
  Thread thread;
  std::int64_t at;
};

/// Whether each slice lies within, or apart from, every other. `slices` are by begin, longer first.
std::string overlap(const std::vector<Slice>& slices) {
  std::vector<const Slice*> open;
  for (const Slice& slice : slices) {
    while (!open.empty() && open.back()->end <= slice.begin) open.pop_back();
    if (!open.empty() && slice.end > open.back()->end)
      return "\"" + slice.name + "\" begins within \"" + open.back()->name + "\" and ends after it";
    open.push_back(&slice);
  }
  return {};
}

}  // namespace

std::string trace_violation(const nlohmann::json& trace) {
  if (!trace.is_object() || !trace.contains("traceEvents")) return "no trace";
  std::map<Thread, std::vector<Slice>> slices;
  std::set<std::int64_t> named_processes;
  std::set<Thread> named_threads;
  std::map<std::uint64_t, Arrow> begins, ends;
  for (const nlohmann::json& event : trace["traceEvents"]) {
    const std::string phase = event.value("ph", "");
    const Thread thread{event.value("pid", -1), event.value("tid", -1)};
    if (phase == "M") {
      if (event["name"] == "process_name") named_processes.insert(thread.first);
      if (event["name"] == "thread_name") named_threads.insert(thread);
      continue;
    }
    if (!event["ts"].is_number() || event["ts"] < 0) return "no time: " + event.dump();
    const std::int64_t at = nanoseconds(event["ts"]);
    if (phase == "X") {
      if (!event["dur"].is_number() || event["dur"] < 0) return "no length: " + event.dump();
      slices[thread].push_back({at, at + nanoseconds(event["dur"]), event["name"]});
    } else if (phase == "s" || phase == "f") {
      auto& of = phase == "s" ? begins : ends;
      if (!of.emplace(event["id"].get<std::uint64_t>(), Arrow{thread, at}).second)
        return "two arrows of one id: " + event.dump();
    } else if (phase != "C") {
      return "unknown phase: " + event.dump();
    }
  }
  for (auto& [thread, of] : slices) {
    if (!named_processes.contains(thread.first)) return "a process has no name";
    if (!named_threads.contains(thread)) return "a thread has no name";
    std::stable_sort(of.begin(), of.end(), [](const Slice& a, const Slice& b) {
      return std::pair(a.begin, -a.end) < std::pair(b.begin, -b.end);
    });
    if (std::string why = overlap(of); !why.empty()) return why;
  }
  const auto is_within = [&](const Arrow& tip) {
    const auto& of = slices[tip.thread];
    const auto after = std::upper_bound(of.begin(), of.end(), tip.at,
                                        [](auto at, const Slice& s) { return at < s.begin; });
    return after != of.begin() && tip.at < std::prev(after)->end;
  };
  for (const auto& [id, from] : begins) {
    if (!ends.contains(id)) return "an arrow leads nowhere";
    if (!is_within(from)) return "an arrow begins outside of every slice";
    if (!is_within(ends.at(id))) return "an arrow ends outside of every slice";
    if (ends.at(id).at < from.at) return "an arrow leads into the past";
  }
  return begins.size() == ends.size() ? "" : "an arrow comes from nowhere";
}

}  // namespace reprise::cli::test
