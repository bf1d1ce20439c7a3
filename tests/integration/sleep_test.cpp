// Scaled sleep: the makespan lies between what no schedule can beat and what every greedy one
// reaches.
#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <array>
#include <cstdio>
#include <fstream>
#include <future>
#include <sstream>

#include "tests/integration/support.hpp"

BOOST_AUTO_TEST_SUITE(scaled_sleep)

using namespace reprise::integration;

namespace {

/// By "50/rand0000.stg" and processors.
std::map<std::pair<std::string, std::string>, double> best_known(
    const std::filesystem::path& folder) {
  std::map<std::pair<std::string, std::string>, double> best;
  std::ifstream stream(folder / "stg" / "OPT.csv");
  std::string line;
  std::getline(stream, line);
  while (std::getline(stream, line)) {
    std::istringstream cells(line);
    std::string file, processors, length;
    std::getline(cells, file, ',');
    std::getline(cells, processors, ',');
    std::getline(cells, length, ',');
    best[{file, processors}] = std::stod(length);
  }
  return best;
}

/// Ten rows from `begin`, spread evenly over those that fit.
std::vector<Row> ten(const std::vector<Row>& rows, const std::string& begin) {
  std::vector<Row> fitting, chosen;
  for (const Row& row : rows)
    if (row.at("file").starts_with(begin) && std::stol(row.at("tasks")) <= 400)
      fitting.push_back(row);
  for (std::size_t i = 0; i < 10 && !fitting.empty(); ++i)
    chosen.push_back(fitting[i * fitting.size() / 10]);
  return chosen;
}

constexpr double seconds_each = 1.2;

struct Slept {
  Outcome outcome;
  double scale = 1;  // as the program read it
};

Slept sleep_through(const std::filesystem::path& folder, const Row& row, const std::string& slots) {
  const std::string scale = std::to_string(seconds_each / std::stod(row.at("list_" + slots)));
  Home home;
  return {invoke(home, {"run", (folder / row.at("file")).string(), "--mode", "sleep", "--scale",
                        scale, "--slots", slots, "--progress", "none"}),
          std::stod(scale)};
}

void check(const std::filesystem::path& folder, const std::string& begin) {
  const auto best = best_known(folder);
  std::printf("%-58s %2s %6s %9s %9s %9s %9s %6s\n", "file", "P", "tasks", "lb", "OPT", "list",
              "measured", "/list");
  for (const Row& row : ten(expected_rows(folder), begin)) {
    const std::array<std::string, 2> all_slots{"2", "8"};
    // Asleep, two runs disturb each other less than the bounds forgive.
    std::array<std::future<Slept>, 2> runs;
    for (std::size_t i = 0; i < runs.size(); ++i)
      runs[i] = std::async(std::launch::async, sleep_through, folder, row, all_slots[i]);
    for (std::size_t i = 0; i < runs.size(); ++i) {
      const std::string& p = all_slots[i];
      const Slept run = runs[i].get();
      const Outcome& o = run.outcome;
      BOOST_REQUIRE_MESSAGE(o.code == 0, o.shown());
      BOOST_TEST(o.counted("tasks") == std::stol(row.at("tasks")));
      BOOST_TEST(o.counted("executed") == std::stol(row.at("tasks")));
      const double processors = std::stod(p), tasks = std::stod(row.at("tasks"));
      const double lower = std::stod(row.at("lb_" + p)), list = std::stod(row.at("list_" + p));
      const double measured = o.at("/makespan_s").get<double>() / run.scale;
      const double overhead = (tasks * 0.001 / processors + 0.3) / run.scale;
      const auto known = best.find({row.at("file").substr(row.at("file").find('/') + 1), p});
      const double floor = known == best.end() ? lower : std::max(lower, known->second);
      const double tiny = 1e-6 * tasks / run.scale;  // the document rounds to microseconds
      BOOST_TEST(measured >= floor - tiny,
                 row.at("file") << " P=" << p << ": " << measured << " is below " << floor);
      BOOST_TEST(
          measured <= (2 - 1 / processors) * list + overhead,
          row.at("file") << " P=" << p << ": " << measured << " is too long for list " << list);
      std::printf("%-58s %2s %6s %9.2f %9.2f %9.2f %9.2f %6.3f\n", row.at("file").c_str(),
                  p.c_str(), row.at("tasks").c_str(), lower,
                  known == best.end() ? 0 : known->second, list, measured, measured / list);
    }
  }
}

}  // namespace

BOOST_AUTO_TEST_CASE(ten_recorded_traces_stay_within_the_bounds_of_list_scheduling) {
  if (const auto folder = workflows()) check(*folder, "wfformat/");
}

BOOST_AUTO_TEST_CASE(ten_standard_task_graphs_stay_within_them_and_never_beat_the_optimum) {
  if (const auto folder = workflows()) check(*folder, "stg/");
}

/// The journal's times: no task begins before its parents are over.
BOOST_AUTO_TEST_CASE(every_task_runs_once_and_after_its_parents) {
  Home home;
  home.write("trace.json", layered_trace(10, 12, 1.0));
  const Outcome o =
      invoke(home, {"run", "trace.json", "--mode", "sleep", "--scale", "0.01", "--slots", "4"});
  BOOST_REQUIRE_MESSAGE(o.code == 0, o.shown());
  BOOST_TEST(o.at("/makespan_s").get<double>() >= 0.3);  // 120 × 10 ms on 4
  std::map<std::string, std::pair<std::string, std::string>>
      times;  // ISO times of one length sort as text
  for (const Json& event : events_of(home, "last")) {
    if (event.value("type", "") != "task") continue;
    auto& [begin, end] = times[event["task"].get<std::string>()];
    std::string& which = event["state"] == "running" ? begin : end;
    if (event["state"] != "running" && event["state"] != "success") continue;
    BOOST_TEST(which == "", event["task"] << " has two of " << event["state"]);
    which = event["at"].get<std::string>();
  }
  BOOST_TEST(times.size() == 120u);
  for (const auto& [task, span] : times)
    BOOST_TEST((!span.first.empty() && !span.second.empty()),
               task << " has no beginning or no end");
  for (const Json& task :
       Json::parse(home.read("trace.json"))["workflow"]["specification"]["tasks"])
    for (const Json& parent : task["parents"])
      BOOST_TEST(
          times[task["id"].get<std::string>()].first >= times[parent.get<std::string>()].second,
          task["id"] << " began before " << parent << " was over");
}

BOOST_AUTO_TEST_SUITE_END()
