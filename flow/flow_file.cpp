#include "flow/flow_file.hpp"

#include <algorithm>
#include <filesystem>

#include <fmt/format.h>

#include "flow/flow_file_build.hpp"
#include "flow/flow_file_check.hpp"
#include "flow/flow_file_decoder.hpp"
#include "flow/yaml.hpp"

namespace reprise {

namespace {

bool has_errors(const std::vector<Diagnostic>& diagnostics) {
  return std::ranges::any_of(
      diagnostics, [](const Diagnostic& d) { return d.severity == Diagnostic::Severity::error; });
}

}  // namespace

FlowFile decode_flow_file(std::string_view text, std::string_view file_name,
                          const FlowFileOptions& options) {
  FlowFile result;
  const yaml::Document document = yaml::Document::parse(text, result.diagnostics);
  if (document.root() != nullptr) {
    flow_file::Complaints complaints(document, result.diagnostics);
    flow_file::FlowDraft draft;
    flow_file::Decoder(complaints).flow(*document.root(), draft);
    const flow_file::FlowFacts facts = flow_file::Checker(draft, options, complaints).check();
    if (!has_errors(result.diagnostics)) {
      auto flow = flow_file::build(draft, facts, document, options);
      if (flow) {
        if (flow->name.empty()) flow->name = std::filesystem::path(file_name).stem().string();
        if (flow->name.empty()) flow->name = "flow";
        flow->folder = options.folder;
        flow->source_file = std::string(file_name);
        result.flow = *std::move(flow);
      } else {  // what the checker ought to have found
        complaints.add("RP1299", *document.root(), flow.error().message);
      }
    }
  }
  sort_by_position(result.diagnostics);
  return result;
}

}  // namespace reprise
