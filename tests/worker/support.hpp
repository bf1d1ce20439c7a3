// Flows of one task and folders that go away, for the tests of running.
#pragma once

#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "cache/blob_store.hpp"
#include "flow/attempt.hpp"
#include "worker/process.hpp"

namespace reprise::worker::test {

class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "reprise-test-XXXXXX").string();
    path_ = ::mkdtemp(pattern.data());
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

inline std::string read_file(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

inline void write_file(const std::filesystem::path& path, const std::string& text) {
  std::filesystem::create_directories(path.parent_path());
  std::ofstream(path, std::ios::binary) << text;
}

/// Waits for a condition; false when it does not come true in time.
inline bool eventually(const std::function<bool()>& condition,
                       std::chrono::milliseconds patience = std::chrono::seconds{20}) {
  const auto until = std::chrono::steady_clock::now() + patience;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > until) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds{1});
  }
  return true;
}

/// Keeps what is written to it.
class TextSink final : public OutputSink {
 public:
  void write(std::string_view bytes) override { text += bytes; }
  std::string text;
};

/// A flow with one task and whatever upstreams its arguments need.
class OneTask {
 public:
  explicit OneTask(Body body, std::string name = "work") {
    TaskKind kind;
    kind.cache_name = name;
    kind.body = std::move(body);
    flow.kinds = {std::move(kind), TaskKind{}};
    Node node;
    node.name = std::move(name);
    flow.nodes.push_back(std::move(node));
  }

  FlowSpec flow;
  Parameters parameters;
  std::vector<std::pair<std::string, Payload>> arguments;

  TaskKind& kind() { return flow.kinds[0]; }

  OneTask& with_upstream(const std::string& name, const Value& value) {
    Node upstream;
    upstream.name = name;
    upstream.kind = 1;
    flow.nodes.push_back(upstream);
    return with_input(name, value, Input::Source::upstream,
                      static_cast<std::uint32_t>(flow.nodes.size() - 1));
  }
  OneTask& with_item(const std::string& name, const Value& value) {
    with_input(name, value, Input::Source::constant, 0);
    flow.inputs.back().mapped = true;
    return *this;
  }
  OneTask& with_constant(const std::string& name, const Value& value) {
    return with_input(name, value, Input::Source::constant, 0);
  }
  OneTask& with_parameter(const std::string& name, const Value& value) {
    parameters.emplace(name, *Payload::of(value));
    return *this;
  }

  /// The attempt, sharing a context that lives in `folder`.
  [[nodiscard]] Attempt attempt(const std::filesystem::path& folder = "/nowhere",
                                std::uint32_t task = 0) {
    if (!context_) {
      auto context = std::make_shared<RunContext>();
      context->run = RunId::parse("01ARZ3NDEKTSV4RRFFQ69G5FAV").value();
      context->flow = std::make_shared<FlowSpec>(flow);
      context->parameters = parameters;
      context->folder = folder.string();
      context_ = context;
    }
    Attempt attempt;
    attempt.task = TaskId{task};
    attempt.node = NodeId{0};
    attempt.context = context_;
    for (std::size_t i = 0; i < arguments.size(); ++i) {
      attempt.arguments.push_back({context_->flow->names[i], arguments[i].second});
    }
    return attempt;
  }

 private:
  OneTask& with_input(const std::string& name, const Value& value, Input::Source source,
                      std::uint32_t index) {
    Input input;
    input.name = static_cast<std::uint32_t>(flow.names.size());
    input.index = index;
    input.source = source;
    flow.names.push_back(name);
    flow.inputs.push_back(input);
    flow.nodes[0].input_count = static_cast<std::uint32_t>(flow.inputs.size());
    arguments.emplace_back(name, *Payload::of(value));
    return *this;
  }

  std::shared_ptr<const RunContext> context_;
};

inline CommandBody argv(std::vector<std::string> words) {
  CommandBody body;
  for (std::string& word : words) body.argv.push_back({std::move(word), {}});
  return body;
}

inline CommandBody shell(std::string script) {
  CommandBody body;
  body.script.text = std::move(script);
  return body;
}

inline FileValue file_of(std::string_view content) {
  return {sha256(content), content.size(), false};
}

/// The result of a command with these output files.
inline Value command_result(const std::vector<std::pair<std::string, FileValue>>& files) {
  Map outputs;
  for (const auto& [name, file] : files) outputs.emplace_back(Value(name), file.to_value());
  return Value(Map{
      {Value("exit"), Value(0)}, {Value("outputs"), Value(outputs)}, {Value("stdout"), Value("")}});
}

}  // namespace reprise::worker::test
