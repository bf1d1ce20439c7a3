#include "flow/trace.hpp"

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>

#include <fmt/format.h>

#include "core/text.hpp"
#include "flow/flow_builder.hpp"

namespace reprise {
namespace {

constexpr std::size_t mistakes_kept_max = 1000;
constexpr double slept_seconds_max = 10 * 365.25 * 86400;

// Tasks of a cycle, each the parent of the next; empty = there is none.
std::vector<std::uint32_t> find_cycle(const std::vector<TraceTask>& tasks) {
  std::vector<std::vector<std::uint32_t>> children(tasks.size());
  std::vector<std::uint32_t> waiting(tasks.size());
  std::vector<std::uint32_t> done;
  for (std::uint32_t i = 0; i < tasks.size(); ++i) {
    waiting[i] = static_cast<std::uint32_t>(tasks[i].parents.size());
    for (const std::uint32_t parent : tasks[i].parents) children[parent].push_back(i);
    if (waiting[i] == 0) done.push_back(i);
  }
  for (std::size_t k = 0; k < done.size(); ++k) {
    for (const std::uint32_t child : children[done[k]]) {
      if (--waiting[child] == 0) done.push_back(child);
    }
  }
  if (done.size() == tasks.size()) return {};

  // Every task that still waits has a parent that still waits: going from parent to parent must
  // come round.
  const auto still_waits = [&](std::uint32_t i) { return waiting[i] > 0; };
  std::vector<std::uint32_t> path;
  std::vector<bool> seen(tasks.size());
  std::uint32_t at = 0;
  while (!still_waits(at)) ++at;
  for (; !seen[at]; at = *std::ranges::find_if(tasks[at].parents, still_waits)) {
    seen[at] = true;
    path.push_back(at);
  }
  std::vector<std::uint32_t> cycle(std::ranges::find(path, at), path.end());
  std::ranges::reverse(cycle);
  std::rotate(cycle.begin(), std::min_element(cycle.begin(), cycle.end()), cycle.end());
  return cycle;
}

void check_cycle(const Trace& trace, MistakeList& mistakes) {
  const std::vector<std::uint32_t> cycle = find_cycle(trace.tasks);
  if (cycle.empty()) return;
  constexpr std::size_t shown_max = 12;
  std::string path;
  for (std::size_t i = 0; i < std::min(cycle.size(), shown_max); ++i) {
    path += fmt::format("{} → ", shorten(escape_for_terminal(trace.tasks[cycle[i]].id), 60));
  }
  if (cycle.size() > shown_max) path += fmt::format("… {} more … → ", cycle.size() - shown_max);
  path += shorten(escape_for_terminal(trace.tasks[cycle.front()].id), 60);
  mistakes.add("RP2120", trace.tasks[cycle.front()].position,
               fmt::format("tasks wait for each other in a cycle: {}", path));
}

bool hashes(TraceMode mode) {
  return mode == TraceMode::hash || mode == TraceMode::timed;
}

bool sleeps(TraceMode mode) {
  return mode == TraceMode::sleep || mode == TraceMode::timed;
}

void check_touch(const Trace& trace, const TraceOptions& options, MistakeList& mistakes) {
  if (options.touch.empty()) return;
  if (!hashes(options.mode)) {
    mistakes.add("RP2130", {},
                 fmt::format("--touch changes digests and needs --mode hash or timed, not {}",
                             name(options.mode)));
    return;
  }
  std::vector<std::string> ids;
  ids.reserve(trace.tasks.size());
  for (const TraceTask& task : trace.tasks) ids.push_back(task.id);
  std::vector<std::string> sorted = ids;
  std::ranges::sort(sorted);
  for (const auto& [id, text] : options.touch) {
    if (!std::ranges::binary_search(sorted, id)) {
      const std::optional<std::string> meant = suggest(id, ids);
      std::string message =
          fmt::format("--touch names task {}, which is not in this trace", quoted(id));
      if (meant) message += fmt::format("; did you mean {}?", quoted(*meant));
      mistakes.add("RP2131", {}, std::move(message));
    } else if (!is_utf8(text)) {
      mistakes.add("RP2132", {},
                   fmt::format("the text of --touch for task {} is not valid UTF-8", quoted(id)));
    }
  }
}

void check_times(const Trace& trace, const TraceOptions& options, MistakeList& mistakes) {
  if (!sleeps(options.mode)) return;
  if (!std::isfinite(options.scale) || options.scale < 0) {
    mistakes.add("RP2133", {},
                 fmt::format("--scale must be a number from 0, not {}", options.scale));
    return;
  }
  if (std::ranges::none_of(trace.tasks,
                           [](const TraceTask& task) { return task.runtime_s.has_value(); })) {
    mistakes.add(
        "RP2134", {},
        fmt::format("the trace records no runtimes, which --mode {} needs; use --mode hash or noop",
                    name(options.mode)));
    return;
  }
  for (const TraceTask& task : trace.tasks) {
    if (!task.runtime_s) {
      mistakes.add("RP2135", task.position,
                   fmt::format("no runtime is recorded for task {}, which --mode {} needs",
                               quoted(task.id), name(options.mode)));
    } else if (*task.runtime_s * options.scale > slept_seconds_max) {
      mistakes.add("RP2136", task.position,
                   fmt::format("task {} would sleep for more than 10 years; use a smaller --scale",
                               quoted(task.id)));
    }
  }
}

TaskKind kind_for(TraceMode mode) {
  TaskKind kind;
  kind.cache_name = fmt::format("trace.{}", name(mode));
  kind.version = "1";
  kind.body = FunctionBody{fmt::format("{}@{}", kind.cache_name, kind.version)};
  switch (mode) {
    case TraceMode::hash:
      kind.signature.inputs = {{"line", "str"}, {"parents", "list<str>"}};
      kind.signature.outputs = {{"digest", "str"}};
      kind.cache.enabled = true;
      break;
    case TraceMode::sleep:
      kind.signature.inputs = {{"seconds", "f64"}};
      kind.signature.outputs = {{"result", "nil"}};
      break;
    case TraceMode::noop:
      kind.signature.outputs = {{"result", "nil"}};
      break;
    case TraceMode::timed:
      kind.signature.inputs = {{"line", "str"}, {"parents", "list<str>"}, {"seconds", "f64"}};
      kind.signature.outputs = {{"digest", "str"}};
      kind.cache.enabled = true;
      break;
  }
  return kind;
}

class FlowMaker {
 public:
  FlowMaker(const Trace& trace, const TraceOptions& options)
      : trace_(trace),
        options_(options),
        builder_(trace.name),
        empty_list_(Payload::of(encode_list({}))) {}

  /// Digest of the graph: ids and edges.
  [[nodiscard]] Digest shape() const {
    Sha256 hash;
    for (const TraceTask& task : trace_.tasks) {
      hash.update(task.id).update("\n");
      for (const std::uint32_t parent : task.parents)
        hash.update(trace_.tasks[parent].id).update("\t");
    }
    return hash.finish();
  }

  Result<FlowSpec> make() && {
    TaskKind shared = kind_for(options_.mode);
    // Ids such as "blastall_00000002" recur in traces that have nothing else in common: results are
    // shared between runs of one trace, touched or not, and not between traces.
    if (shared.cache.enabled) shared.cache.salt = shape().raw();
    const std::uint32_t kind = builder_.add_kind(std::move(shared));
    for (const TraceTask& task : trace_.tasks) {
      const double seconds = task.runtime_s.value_or(0) * options_.scale;
      builder_.add_node(task.id, kind, sleeps(options_.mode) ? static_cast<float>(seconds) : 0.0F);
      if (hashes(options_.mode))
        if (Status added = add_chain_inputs(task); !added) return tl::unexpected(added.error());
      if (sleeps(options_.mode)) {
        Result<Payload> value = Payload::of(Value(seconds));
        if (!value) return tl::unexpected(value.error());
        builder_.add_constant("seconds", *std::move(value));
      }
      if (hashes(options_.mode)) continue;
      for (const std::uint32_t parent : task.parents) builder_.add_state_only(NodeId{parent});
    }
    if (hashes(options_.mode)) {
      Output output;
      output.name = "chain_digest";
      output.kind = Output::Kind::chain_digest;
      builder_.add_output(std::move(output));
    }
    return std::move(builder_).finish();
  }

 private:
  Status add_chain_inputs(const TraceTask& task) {
    const auto touched = options_.touch.find(task.id);
    const std::string line =
        touched == options_.touch.end() ? task.id : fmt::format("{} {}", task.id, touched->second);
    Result<Payload> value = Payload::of(Value(line));
    if (!value) return tl::unexpected(value.error());
    builder_.add_constant("line", *std::move(value));

    std::vector<std::uint32_t> parents = task.parents;
    std::ranges::sort(parents, {},
                      [&](std::uint32_t i) { return std::string_view(trace_.tasks[i].id); });
    if (parents.empty()) builder_.add_constant("parents", empty_list_);
    for (const std::uint32_t parent : parents) {
      builder_.add_upstream("parents", NodeId{parent},
                            {.mapped = false, .flattened = false, .gathered = true});
    }
    return {};
  }

  const Trace& trace_;
  const TraceOptions& options_;
  FlowBuilder builder_;
  Payload empty_list_;
};

// One past the token that begins at `position`: text up to its closing quote, else up to a
// delimiter.
std::size_t token_end(std::string_view text, std::size_t position) {
  constexpr std::size_t marked_max = 200;
  if (position >= text.size()) return position + 1;
  const bool is_text = text[position] == '"';
  std::size_t at = position + 1;
  for (; at < text.size() && at - position < marked_max; ++at) {
    if (is_text && text[at] == '\\')
      ++at;
    else if (is_text && text[at] == '"')
      return at + 1;
    else if (std::string_view("\r\n").find(text[at]) != std::string_view::npos)
      break;
    else if (!is_text && std::string_view(" \t,:[]{}").find(text[at]) != std::string_view::npos)
      break;
  }
  return std::string_view("[{").find(text[position]) != std::string_view::npos
             ? position + 1
             : std::min(at, text.size());
}

std::uint32_t count_characters(std::string_view text) {
  return static_cast<std::uint32_t>(std::ranges::count_if(text, [](char c) {
    return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U;
  }));  // no continuation bytes
}

}  // namespace

std::string_view name(TraceMode mode) {
  switch (mode) {
    case TraceMode::hash:
      return "hash";
    case TraceMode::sleep:
      return "sleep";
    case TraceMode::timed:
      return "timed";
    case TraceMode::noop:
      return "noop";
  }
  return "unknown";
}

std::optional<TraceMode> trace_mode_from(std::string_view text) {
  for (const TraceMode mode :
       {TraceMode::hash, TraceMode::sleep, TraceMode::noop, TraceMode::timed}) {
    if (name(mode) == text) return mode;
  }
  return std::nullopt;
}

std::string quoted(std::string_view text) {
  constexpr std::size_t columns_max = 120;
  constexpr std::size_t bytes_max = 1000;  // do not escape megabytes to show one line of them
  return fmt::format("'{}'", shorten(escape_for_terminal(text.substr(0, bytes_max)), columns_max));
}

void MistakeList::add(std::string_view code, std::optional<std::size_t> position,
                      std::string message, Hints hints) {
  if (found_.size() >= mistakes_kept_max) {
    ++dropped_;
    return;
  }
  Diagnostic diagnostic;
  diagnostic.code = code;
  diagnostic.message = std::move(message);
  diagnostic.suggestion = std::move(hints.suggestion);
  diagnostic.help = std::move(hints.help);
  found_.push_back({position, std::move(diagnostic)});
}

std::vector<Diagnostic> MistakeList::finish() && {
  std::ranges::stable_sort(found_, {}, &Found::position);  // the file as a whole comes first
  std::vector<Diagnostic> diagnostics;
  SourceSpan place{.line = 1, .column = 1, .end_column = 1};
  std::size_t at = text_.starts_with("\xef\xbb\xbf")
                       ? 3
                       : 0;  // a byte order mark is no character of the first line
  for (Found& found : found_) {
    if (found.position) {
      const std::size_t target = std::clamp(*found.position, at, std::max(at, text_.size()));
      const std::string_view passed = text_.substr(at, target - at);
      if (const auto last = passed.rfind('\n'); last != std::string_view::npos) {
        place.line += static_cast<std::uint32_t>(std::ranges::count(passed, '\n'));
        place.column = 1 + count_characters(passed.substr(last + 1));
      } else {
        place.column += count_characters(passed);
      }
      at = target;
      place.end_column =
          place.column +
          std::max(1U, count_characters(text_.substr(at, token_end(text_, at) - at)));
      found.diagnostic.span = place;
    }
    diagnostics.push_back(std::move(found.diagnostic));
  }
  if (dropped_ > 0) {
    Diagnostic more;
    more.code = "RP2199";
    more.message = fmt::format("there are {} more mistakes of this sort", dropped_);
    diagnostics.push_back(std::move(more));
  }
  return diagnostics;
}

Checked<FlowSpec> to_flow(const Trace& trace, const TraceOptions& options, std::string_view text) {
  MistakeList mistakes(text);
  check_cycle(trace, mistakes);
  check_touch(trace, options, mistakes);
  check_times(trace, options, mistakes);
  if (mistakes.empty()) {
    Result<FlowSpec> flow = FlowMaker(trace, options).make();
    if (flow) return *std::move(flow);
    mistakes.add("RP2198", {},
                 flow.error().message);  // nothing known ends here; better told than lost
  }
  return tl::unexpected(std::move(mistakes).finish());
}

}  // namespace reprise
