#include "tests/integration/support.hpp"

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <sstream>

namespace reprise::integration {

Json Outcome::at(const std::string& pointer) const {
  const Json::json_pointer place(pointer);
  return document.is_structured() && document.contains(place) ? document.at(place) : Json();
}

long Outcome::counted(const std::string& name) const {
  const Json number = at("/summary/" + name);
  return number.is_number() ? number.get<long>() : -1;
}

std::string Outcome::text(const std::string& name) const {
  const Json value = at("/" + name);
  return value.is_string() ? value.get<std::string>() : std::string{};
}

std::string Outcome::digest() const {
  const Json value = at("/outputs/chain_digest");
  return value.is_string() ? value.get<std::string>() : std::string{};
}

std::string Outcome::shown() const {
  const auto head = [](const std::string& text) {
    return text.size() > 2000 ? text.substr(text.size() - 2000) : text;
  };
  return "exit " + std::to_string(code) + " after " + std::to_string(seconds) +
         " s\nout: " + head(out) + "\nerr: " + head(err);
}

Outcome outcome_of(Program& program, std::chrono::steady_clock::time_point begin) {
  Finished f = program.wait();
  Outcome o;
  o.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  o.code = f.code;
  o.document = Json::parse(f.out, nullptr, false);
  o.out = std::move(f.out);
  o.err = std::move(f.err);
  return o;
}

Outcome invoke(Home& home, Arguments arguments) {
  arguments.emplace_back("--json");
  const auto begin = std::chrono::steady_clock::now();
  return outcome_of(*home.start(std::move(arguments)), begin);
}

std::string joined(const Arguments& arguments) {
  std::string line;
  for (const std::string& argument : arguments) line += (line.empty() ? "" : " ") + argument;
  return line;
}

Json events_of(Home& home, const std::string& run_id) {
  Json events = invoke(home, {"events", run_id}).at("/events");
  return events.is_array() ? events : Json::array();
}

std::vector<std::string> succeeded(Home& home, const std::string& run_id) {
  std::vector<std::string> names;
  for (const Json& event : events_of(home, run_id))
    if (event.value("type", "") == "task" && !event.value("on_the_way", false) &&
        (event["state"] == "success" || event["state"] == "cached"))
      names.push_back(event.value("task", ""));
  return names;
}

std::string last_state(Home& home) {
  const Outcome o = invoke(home, {"status", "last"});
  return o.code == 5 ? std::string{} : o.text("state");
}

std::string layered_trace(int layers, int width, double runtime) {
  const auto id = [](int layer, int place) {
    return "t" + std::to_string(layer) + "_" + std::to_string(place);
  };
  const auto parents_of = [width](int place) {
    std::vector<int> places{place, (place * 7 + 1) % width, (place + 3) % width};
    std::sort(places.begin(), places.end());
    places.erase(std::unique(places.begin(), places.end()), places.end());
    return places;
  };
  std::vector<std::vector<int>> children(static_cast<std::size_t>(width));
  for (int place = 0; place < width; ++place)
    for (const int parent : parents_of(place))
      children[static_cast<std::size_t>(parent)].push_back(place);
  Json tasks = Json::array(), times = Json::array();
  for (int layer = 0; layer < layers; ++layer) {
    for (int place = 0; place < width; ++place) {
      Json task{{"id", id(layer, place)},      {"name", "step"},
                {"parents", Json::array()},    {"children", Json::array()},
                {"inputFiles", Json::array()}, {"outputFiles", Json::array()}};
      if (layer > 0)
        for (const int parent : parents_of(place)) task["parents"].push_back(id(layer - 1, parent));
      if (layer + 1 < layers)
        for (const int child : children[static_cast<std::size_t>(place)])
          task["children"].push_back(id(layer + 1, child));
      tasks.push_back(std::move(task));
      times.push_back({{"id", id(layer, place)}, {"runtimeInSeconds", runtime}});
    }
  }
  return Json{
      {"name", "layers"},
      {"schemaVersion", "1.5"},
      {"workflow",
       {{"specification", {{"tasks", tasks}, {"files", Json::array()}}},
        {"execution",
         {{"makespanInSeconds", 1}, {"executedAt", "20260101T000000+0000"}, {"tasks", times}}}}}}
      .dump();
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

std::optional<std::filesystem::path> workflows() {
  const char* shared = std::getenv("REPRISE_SHARED_DIR");
  const char* source = std::getenv("REPRISE_SOURCE_DIR");
  const std::filesystem::path folder =
      (shared ? std::filesystem::path(shared)
              : std::filesystem::path(source ? source : ".") / "../shared") /
      "workflows";
  if (std::filesystem::exists(folder / "expected.tsv")) return std::filesystem::canonical(folder);
  std::cout << "SKIPPED: " << folder.string()
            << " is absent; REPRISE_SHARED_DIR names the folder it is in\n";
  return std::nullopt;
}

std::vector<Row> expected_rows(const std::filesystem::path& folder) {
  std::ifstream stream(folder / "expected.tsv");
  const auto cells_of = [](const std::string& line) {
    std::vector<std::string> cells;
    std::istringstream parts(line);
    for (std::string cell; std::getline(parts, cell, '\t');) cells.push_back(cell);
    return cells;
  };
  std::string line;
  std::getline(stream, line);
  const std::vector<std::string> names = cells_of(line);
  std::vector<Row> rows;
  while (std::getline(stream, line)) {
    const std::vector<std::string> cells = cells_of(line);
    Row row;
    for (std::size_t i = 0; i < cells.size() && i < names.size(); ++i) row[names[i]] = cells[i];
    rows.push_back(std::move(row));
  }
  return rows;
}

}  // namespace reprise::integration
