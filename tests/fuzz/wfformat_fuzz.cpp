// The importers of traces, from bytes to a checked flow: gzip, JSON, WfFormat, STG, all modes.
// Nothing that comes in may crash, hang or give a flow that does not hold together.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "flow/input_file.hpp"
#include "flow/stg.hpp"
#include "flow/trace.hpp"
#include "flow/wfformat.hpp"

using namespace reprise;

namespace {

void require(bool condition) {
  if (!condition) std::abort();
}

void check_result(const Checked<FlowSpec>& flow, std::string_view text) {
  if (flow) {
    require(check(*flow).has_value());
    return;
  }
  require(!flow.error().empty());
  // What went wrong must be tellable.
  require(!render(flow.error(), "input", text, true).empty());
  require(!to_json(flow.error(), "input").empty());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  InputLimits limits;
  limits.inflated_bytes_max = std::uint64_t{1} << 20;
  std::string inflated;
  std::string_view text = bytes;
  if (is_gzip(bytes)) {
    Result<std::string> content = gunzip(bytes, limits);
    if (!content) return 0;
    inflated = *std::move(content);
    text = inflated;
  }
  for (const TraceMode mode : {TraceMode::hash, TraceMode::sleep, TraceMode::noop}) {
    const TraceOptions options{.mode = mode, .scale = 0.5, .touch = {}};
    check_result(import_wfformat(text, options), text);
    check_result(import_stg(text, "name", options), text);
  }
  return 0;
}
