// What the tests of the whole program share: runs with their documents, made-up traces, the
// recorded ones.
#pragma once

#include <chrono>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "tests/cli/program.hpp"

namespace reprise::integration {

using cli::test::Finished;
using cli::test::Home;
using cli::test::Program;
using Json = nlohmann::json;
using Arguments = std::vector<std::string>;

/// What one invocation with --json left behind.
struct Outcome {
  int code = -1;
  Json document;  // discarded when stdout was no JSON
  std::string out, err;
  double seconds = 0;

  [[nodiscard]] long counted(
      const std::string& name) const;  // from the summary; -1: it is not there
  [[nodiscard]] std::string text(const std::string& name) const;
  [[nodiscard]] std::string digest() const;                 // of a trace
  [[nodiscard]] Json at(const std::string& pointer) const;  // null: it is not there
  /// For messages of failed checks.
  [[nodiscard]] std::string shown() const;
};

Outcome outcome_of(Program& program, std::chrono::steady_clock::time_point begin);
/// Adds --json, runs to the end.
Outcome invoke(Home& home, Arguments arguments);

/// Arguments joined, for messages.
std::string joined(const Arguments& arguments);

/// The changes of state of a run's tasks, as `reprise events` tells them.
Json events_of(Home& home, const std::string& run);
/// Tasks that reached success according to the journal; `cached` is a success that was stored, or a
/// hit.
std::vector<std::string> succeeded(Home& home, const std::string& run);
/// State of the newest run; empty: there is none.
std::string last_state(Home& home);

/// A WfFormat trace of `layers` × `width` tasks; each task has up to three parents in the layer
/// above.
std::string layered_trace(int layers, int width, double runtime);

std::vector<std::string> lines_of(const std::string& text);

/// The folder with recorded workflows; nullopt: it is absent, which has been said as "SKIPPED: …".
std::optional<std::filesystem::path> workflows();

/// One line of expected.tsv by column name.
using Row = std::map<std::string, std::string>;
std::vector<Row> expected_rows(const std::filesystem::path& workflows);

template <class Condition>
bool until(Condition condition, std::chrono::seconds patience = std::chrono::seconds{30}) {
  const auto deadline = std::chrono::steady_clock::now() + patience;
  while (std::chrono::steady_clock::now() < deadline)
    if (condition()) return true;
  return condition();
}

}  // namespace reprise::integration
