#include "cli/run_report.hpp"

#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "actors/run_options.hpp"
#include "cli/flow_picture.hpp"
#include "cli/markup.hpp"
#include "cli/progress_view.hpp"
#include "cli/style.hpp"
#include "cli/text.hpp"
#include "cli/version.hpp"

namespace reprise::cli {
namespace {

constexpr std::size_t path_steps_max = 40;
constexpr std::size_t slowest_max = 10;
constexpr std::size_t groups_max = 200;
constexpr std::size_t boxes_max = 150;  // a larger graph is no picture any more
constexpr std::size_t value_bytes_max = 2000;
constexpr std::size_t message_lines_max = 5;

constexpr std::string_view page_style = R"(
:root{color-scheme:light dark;--paper:#fff;--panel:#f6f7f9;--ink:#1c2024;--faint:#60646c;--edge:#d9dce1;
--ok:#2b7a3d;--hit:#0b7285;--bad:#c62828;--run:#1565c0;--wait:#80848d;--stop:#9a5b00;--skip:#7b4fa3}
@media (prefers-color-scheme:dark){:root{--paper:#111214;--panel:#1b1d20;--ink:#edeef0;--faint:#b0b4ba;--edge:#363a40;
--ok:#5bb98c;--hit:#4ccce6;--bad:#ff8589;--run:#70b8ff;--wait:#8b909a;--stop:#ffb454;--skip:#c796f2}}
*{box-sizing:border-box}
body{margin:0 auto;max-width:70rem;padding:1.5rem 1rem 3rem;font:15px/1.5 system-ui,sans-serif;background:var(--paper);color:var(--ink)}
h1{font-size:1.6rem;margin:0 0 .25rem;overflow-wrap:anywhere}h2{font-size:1.1rem;margin:2.25rem 0 .6rem}
p{margin:.35rem 0}.faint{color:var(--faint)}code,pre,.mono{font:13px/1.5 ui-monospace,monospace}
pre{margin:.5rem 0 0;padding:.6rem .8rem;background:var(--panel);border-radius:6px;overflow-x:auto;white-space:pre-wrap;overflow-wrap:anywhere}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(8.5rem,1fr));gap:.6rem;margin:1.25rem 0}
.tile{background:var(--panel);border-radius:8px;padding:.6rem .8rem}.tile b{display:block;font-size:1.35rem;line-height:1.3}
.bar{display:flex;height:.8rem;border-radius:4px;overflow:hidden;background:var(--edge)}.bar i{display:block;min-width:2px}
.legend{display:flex;flex-wrap:wrap;gap:.1rem 1.1rem;margin-top:.4rem}
.scroll{overflow-x:auto}table{border-collapse:collapse;width:100%}
th,td{text-align:left;padding:.3rem .9rem .3rem 0;border-bottom:1px solid var(--edge);vertical-align:top}
th{font-weight:600;color:var(--faint);font-size:.85rem;white-space:nowrap}td.n,th.n{text-align:right;white-space:nowrap;font-variant-numeric:tabular-nums}
td.name{overflow-wrap:anywhere;min-width:8rem}td.state{white-space:nowrap}
.share{display:block;height:.5rem;margin-top:.5rem;background:var(--run);border-radius:2px;min-width:2px}
td.wide{width:30%;min-width:6rem}
.failure{border-left:3px solid var(--bad);padding:.1rem 0 .1rem .8rem;margin:.9rem 0;overflow-wrap:anywhere}
.ok{color:var(--ok)}.hit{color:var(--hit)}.bad{color:var(--bad)}.run{color:var(--run)}.wait{color:var(--wait)}.stop{color:var(--stop)}.skip{color:var(--skip)}
.bar .ok{background:var(--ok)}.bar .hit{background:var(--hit)}.bar .bad{background:var(--bad)}.bar .run{background:var(--run)}
.bar .wait{background:var(--wait)}.bar .stop{background:var(--stop)}.bar .skip{background:var(--skip)}
dl{display:grid;grid-template-columns:max-content 1fr;gap:.3rem 1rem;margin:0}dt{color:var(--faint)}dd{margin:0;min-width:0;overflow-wrap:anywhere;white-space:pre-wrap}
footer{margin-top:3rem;color:var(--faint);font-size:.85rem}
@media (max-width:40rem){dl{grid-template-columns:1fr;gap:0}dd{margin-bottom:.5rem}}
@media print{body{max-width:none}.failure,tr{break-inside:avoid}}
)";

std::string_view style_of(Ink ink) {
  switch (ink) {
    case Ink::green:
      return "ok";
    case Ink::cyan:
      return "hit";
    case Ink::red:
      return "bad";
    case Ink::blue:
      return "run";
    case Ink::yellow:
      return "stop";
    case Ink::magenta:
      return "skip";
    case Ink::plain:
    case Ink::bold:
    case Ink::dim:
      return "wait";
  }
  return "wait";
}

/// "2026-11-20 17:02:11 UTC": the page may be read anywhere.
std::string time_text(Time time) {
  std::string text = to_rfc3339(time).substr(0, 19);
  text[10] = ' ';
  return text + " UTC";
}

std::string state_text(const PastAttempt& attempt) {
  const bool is_hit = attempt.cache == journal::CacheOutcome::hit;
  const TaskState shown = is_hit                               ? TaskState::cached
                          : attempt.state == TaskState::cached ? TaskState::success
                                                               : attempt.state;
  return fmt::format("<span class=\"{}\">{} {}</span>", style_of(ink(shown)), glyph(shown),
                     is_hit ? "cached" : name(shown));
}

std::string head_cell(std::string_view text, bool is_number = false) {
  return fmt::format("<th scope=\"col\"{}>{}</th>", is_number ? " class=\"n\"" : "", text);
}

std::string cell(std::string_view text, std::string_view style = {}) {
  return style.empty() ? fmt::format("<td>{}</td>", text)
                       : fmt::format("<td class=\"{}\">{}</td>", style, text);
}

std::string percent_bar(Duration part, Duration whole) {
  const double share = whole > Duration{0} ? 100 * seconds(part) / seconds(whole) : 0;
  return fmt::format(
      "<td class=\"wide\"><span class=\"share\" style=\"width:{:.1f}%\"></span></td>",
      std::clamp(share, 0.0, 100.0));
}

/// The text of a value, cut where it is long.
std::string value_text(const Payload& value) {
  if (!value.is_at_hand())
    return fmt::format("{} ({})", value.digest.text(), describe_bytes(value.size));
  const auto decoded = value.value();
  if (!decoded) return value.digest.text();
  if (const auto file = as_file(*decoded))
    return fmt::format("file, {}, {}", describe_bytes(file->size), file->content.text());
  const std::string* text = decoded->get_if<std::string>();
  std::string shown = text != nullptr ? *text : to_json(*decoded);
  if (shown.size() <= value_bytes_max) return shown;
  shown.resize(value_bytes_max);
  // No character is cut in two.
  while (!shown.empty() && !is_utf8(shown)) shown.pop_back();
  return shown + "…";
}

/// Lines stay lines and tabs gaps; the rest is escaped.
std::string lines_text(const std::vector<std::string>& lines) {
  std::string text;
  for (std::string line : lines) {
    for (std::size_t tab = line.find('\t'); tab != std::string::npos; tab = line.find('\t', tab))
      line.replace(tab, 1, "    ");
    text += (text.empty() ? "" : "\n") + markup_text(line);
  }
  return text;
}

class Page {
 public:
  explicit Page(const RunReport& report) : r_(report) {
    for (const PastAttempt& attempt : r_.run.attempts) retries_ += attempt.number > 1;
  }

  std::string make() {
    head();
    tiles();
    failures();
    path();
    slowest();
    groups();
    graph();
    cache();
    values("Parameters", r_.run.row.parameters);
    values("Outputs", r_.outputs);
    foot();
    return std::move(out_);
  }

 private:
  template <class... Args>
  void add(fmt::format_string<Args...> format, Args&&... args) {
    fmt::format_to(std::back_inserter(out_), format, std::forward<Args>(args)...);
    out_ += '\n';
  }

  [[nodiscard]] Duration taken() const {
    return std::max(Duration{0}, r_.run.row.finished.value_or(r_.run.until) - r_.run.row.submitted);
  }
  [[nodiscard]] std::string task_text(TaskId task) const {
    return markup_text(r_.run.view().task_name(task));
  }

  void head() {
    const std::string flow = markup_text(r_.run.row.flow_name);
    out_ += "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n";
    out_ += "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n";
    out_ +=
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src "
        "'unsafe-inline'\">\n";
    add("<title>{} · {} · {}</title>", flow, name(r_.run.state), r_.run.row.id.short_text());
    add("<style>{}</style>\n</head>\n<body>", page_style);
    add("<header><h1>{} <span class=\"{}\">{} {}</span></h1>", flow, style_of(ink(r_.run.state)),
        glyph(r_.run.state), name(r_.run.state));
    add("<p class=\"faint\">Run <code>{}</code> · {}{}{}</p>", r_.run.row.id.text(),
        time_text(r_.run.row.submitted),
        r_.run.row.finished ? " → " + time_text(*r_.run.row.finished) : std::string(),
        r_.run.row.submitted_by.empty() ? std::string()
                                        : " · by " + markup_text(r_.run.row.submitted_by));
    if (!r_.run.row.source_file.empty())
      add("<p class=\"faint\">From <code>{}</code></p>", markup_text(r_.run.row.source_file));
    if (const auto began = actors::decode_options(r_.run.row.options)) {
      if (began->parent)
        add("<p class=\"faint\">Fork of run <code>{}</code></p>", began->parent->text());
      if (began->nested_in)
        add("<p class=\"faint\">Nested in run <code>{}</code>, task <code>{}</code></p>",
            began->nested_in->run.text(), markup_text(began->nested_in->task));
    }
    if (!r_.run.row.message.empty()) add("<p>{}</p>", markup_text(r_.run.row.message));
    if (r_.run.state == RunState::interrupted)
      add("<p>Its process is gone. <code>reprise resume {}</code> goes on with it.</p>",
          r_.run.row.id.short_text());
    else if (!is_finished(r_.run.state))
      add("<p>It was not finished when this page was made, {}.</p>", time_text(r_.made));
    out_ += "</header>\n";
  }

  void tile(std::string_view value, std::string_view label) {
    add("<div class=\"tile\"><b>{}</b>{}</div>", value, label);
  }

  void tiles() {
    const journal::Summary summary = r_.run.view().summary();
    out_ += "<div class=\"tiles\">\n";
    tile(describe(taken()), r_.run.row.finished ? "from submission to end" : "so far");
    tile(grouped(summary.tasks), summary.tasks == 1 ? "task" : "tasks");
    tile(grouped(summary.executed),
         fmt::format("bodies ran{}",
                     retries_ == 0 ? std::string() : fmt::format(", {} again", grouped(retries_))));
    tile(grouped(summary.cached),
         summary.tasks == 0
             ? std::string("from the cache")
             : fmt::format("from the cache, {} %", 100 * summary.cached / summary.tasks));
    tile(grouped(summary.failed), "failed");
    out_ += "</div>\n";
    const StateColumns c = columns_of(r_.run.view().counts(), summary.cached);
    struct Share {
      std::string_view style, label;
      std::uint64_t count;
    };
    const std::array<Share, 7> shares{{{"ok", "✓ success", c.success},
                                       {"hit", "≡ from the cache", c.cached},
                                       {"bad", "✗ failed", c.failed},
                                       {"run", "▶ running", c.running},
                                       {"wait", "· waiting", c.waiting},
                                       {"stop", "⊘ cancelled", c.cancelled},
                                       {"skip", "– skipped", c.skipped}}};
    out_ += "<div class=\"bar\" aria-hidden=\"true\">";
    for (const Share& share : shares)
      if (share.count > 0)
        out_ += fmt::format("<i class=\"{}\" style=\"flex:{}\"></i>", share.style, share.count);
    out_ += "</div>\n<div class=\"legend\">";
    for (const Share& share : shares)
      if (share.count > 0)
        out_ += fmt::format("<span class=\"{}\">{} {}</span>", share.style, share.label,
                            grouped(share.count));
    out_ += "</div>\n";
  }

  void failures() {
    if (r_.failures.empty()) return;
    out_ += "<h2>Failures</h2>\n";
    for (const RunReport::Failure& failure : r_.failures) {
      add("<div class=\"failure\"><b class=\"mono\">{}</b> <span class=\"bad\">✗ {}</span>{}",
          task_text(failure.task), name(r_.run.view().state(failure.task)),
          r_.run.view().run_count(failure.task) > 1
              ? fmt::format(" <span class=\"faint\">attempt {}</span>",
                            r_.run.view().run_count(failure.task))
              : std::string());
      std::vector<std::string> message = lines_of(r_.run.view().message(failure.task));
      const bool is_cut = message.size() > message_lines_max;
      if (is_cut) message.resize(message_lines_max);
      for (const std::string& line : message) add("<p>{}</p>", markup_text(line));
      if (is_cut) out_ += "<p class=\"faint\">…</p>\n";
      if (!failure.lines.empty()) {
        out_ += fmt::format("<pre>{}{}</pre>\n", lines_text(failure.lines),
                            failure.has_more ? "\n…" : "");
        if (failure.has_more)
          add("<p class=\"faint\">all of it: <code>reprise logs {} {}</code></p>",
              r_.run.row.id.short_text(),
              markup_text(shell_word(r_.run.view().task_name(failure.task))));
      }
      out_ += "</div>\n";
    }
    if (r_.failures_left > 0)
      add("<p class=\"faint\">and {} more: <code>reprise logs {} --failed</code></p>",
          grouped(r_.failures_left), r_.run.row.id.short_text());
  }

  void path() {
    const auto steps =
        critical_path(r_.run.attempts, waits_between(r_.run.view(), r_.run.attempts));
    if (steps.empty()) return;
    Duration busy{0};
    for (const std::uint32_t i : steps) busy += r_.run.attempts[i].end - r_.run.attempts[i].begin;
    out_ += "<h2>Critical path</h2>\n";
    add("<p class=\"faint\">What the end of the run waited for, back to its beginning: {} of work "
        "in {}.</p>",
        describe(busy), describe(taken()));
    out_ += "<div class=\"scroll\"><table><thead><tr>" + head_cell("Task") + head_cell("State") +
            head_cell("Began after", true) + head_cell("Waited", true) + head_cell("Took", true) +
            head_cell("") + "</tr></thead><tbody>\n";
    Time last = r_.run.row.submitted;
    for (std::size_t k = 0; k < std::min(steps.size(), path_steps_max); ++k) {
      const PastAttempt& attempt = r_.run.attempts[steps[k]];
      out_ += "<tr>" + cell(task_text(attempt.task) + attempt_text(attempt), "name mono") +
              cell(state_text(attempt), "state") +
              cell(describe(std::max(Duration{0}, attempt.begin - r_.run.row.submitted)), "n") +
              cell(describe(std::max(Duration{0}, attempt.begin - last)), "n") +
              cell(describe(attempt.end - attempt.begin), "n") +
              percent_bar(attempt.end - attempt.begin, taken()) + "</tr>\n";
      last = attempt.end;
    }
    out_ += "</tbody></table></div>\n";
    if (steps.size() > path_steps_max)
      add("<p class=\"faint\">and {} more steps</p>", grouped(steps.size() - path_steps_max));
  }

  static std::string attempt_text(const PastAttempt& attempt) {
    return attempt.number > 1
               ? fmt::format(" <span class=\"faint\">attempt {}</span>", attempt.number)
               : std::string();
  }

  void slowest() {
    std::vector<const PastAttempt*> ran;
    for (const PastAttempt& attempt : r_.run.attempts)
      if (!attempt.is_mark) ran.push_back(&attempt);
    if (ran.empty()) return;
    const std::size_t shown = std::min(ran.size(), slowest_max);
    std::partial_sort(ran.begin(), ran.begin() + static_cast<std::ptrdiff_t>(shown), ran.end(),
                      [](const PastAttempt* a, const PastAttempt* b) {
                        return std::pair(a->end - a->begin, b->task) >
                               std::pair(b->end - b->begin, a->task);
                      });
    ran.resize(shown);
    const Duration most = ran.front()->end - ran.front()->begin;
    out_ += "<h2>Slowest tasks</h2>\n<div class=\"scroll\"><table><thead><tr>" + head_cell("Task") +
            head_cell("State") + head_cell("Took", true) + head_cell("") + "</tr></thead><tbody>\n";
    for (const PastAttempt* attempt : ran)
      out_ += "<tr>" + cell(task_text(attempt->task) + attempt_text(*attempt), "name mono") +
              cell(state_text(*attempt), "state") +
              cell(describe(attempt->end - attempt->begin), "n") +
              percent_bar(attempt->end - attempt->begin, most) + "</tr>\n";
    out_ += "</tbody></table></div>\n";
  }

  void groups() {
    const auto groups = r_.run.view().groups();
    out_ += "<h2>Tasks</h2>\n<div class=\"scroll\"><table><thead><tr>" + head_cell("Group") +
            head_cell("Total", true);
    for (const char* title : {"✓ success", "≡ cached", "✗ failed", "▶ running", "· waiting",
                              "⊘ cancelled", "– skipped"})
      out_ += head_cell(title, true);
    out_ += head_cell("Median", true) + "</tr></thead><tbody>\n";
    std::size_t shown = 0;
    for (const journal::Group& group : groups) {
      if (shown++ == groups_max) break;
      const StateColumns c = columns_of(group.states, group.cached);
      out_ += "<tr>" +
              cell(markup_text(r_.run.view().flow().nodes[group.node.value].name), "name mono") +
              cell(grouped(group.total), "n");
      const std::array<std::pair<std::uint64_t, std::string_view>, 7> counts{{{c.success, "ok"},
                                                                              {c.cached, "hit"},
                                                                              {c.failed, "bad"},
                                                                              {c.running, "run"},
                                                                              {c.waiting, "wait"},
                                                                              {c.cancelled, "stop"},
                                                                              {c.skipped, "skip"}}};
      for (const auto& [count, style] : counts)
        out_ += count == 0
                    ? cell("<span class=\"faint\">0</span>", "n")
                    : cell(fmt::format("<b class=\"{}\">{}</b>", style, grouped(count)), "n");
      out_ += cell(group.median ? describe(*group.median) : "–", "n") + "</tr>\n";
    }
    out_ += "</tbody></table></div>\n";
    if (groups.size() > groups_max)
      add("<p class=\"faint\">and {} more groups: <code>reprise status {} -v</code></p>",
          grouped(groups.size() - groups_max), r_.run.row.id.short_text());
  }

  void graph() {
    if (r_.run.view().flow().nodes.size() < 2 || r_.run.view().flow().nodes.size() > boxes_max)
      return;
    out_ +=
        "<h2>Graph</h2>\n<div class=\"scroll\">" + to_svg(picture_of(r_.run.view())) + "</div>\n";
  }

  void cache() {
    std::array<std::uint64_t, 5> counts{};
    for (std::uint32_t t = 0; t < r_.run.view().size(); ++t)
      if (r_.run.view().counts_as_task(TaskId{t}))
        ++counts[static_cast<std::size_t>(r_.run.view().cache(TaskId{t}))];
    const auto count = [&](journal::CacheOutcome outcome) {
      return counts[static_cast<std::size_t>(outcome)];
    };
    const std::uint64_t hits = count(journal::CacheOutcome::hit);
    const std::uint64_t stored = count(journal::CacheOutcome::stored);
    const std::uint64_t misses = count(journal::CacheOutcome::miss);
    const std::uint64_t bypassed = count(journal::CacheOutcome::bypass);
    if (hits + stored + misses + bypassed == 0) return;
    out_ += "<h2>Cache</h2>\n";
    add("<p>{} from the cache, {} computed and kept, {} computed and not kept, {} went past "
        "it.</p>",
        grouped(hits), grouped(stored), grouped(misses), grouped(bypassed));
    if (hits > 0 && r_.saved_unknown < hits)
      add("<p>Saved <b>{}</b> of computing{}.</p>", describe(r_.saved),
          r_.saved_unknown == 0 ? std::string()
                                : fmt::format("; of {} what they cost is not known any more",
                                              counted(r_.saved_unknown, "result")));
  }

  void values(std::string_view title, const std::map<std::string, Payload>& values) {
    if (values.empty()) return;
    add("<h2>{}</h2>\n<dl>", title);
    for (const auto& [key, value] : values)
      add("<dt class=\"mono\">{}</dt><dd class=\"mono\">{}</dd>", markup_text(key),
          lines_text(lines_of(value_text(value))));
    out_ += "</dl>\n";
  }

  void foot() {
    add("<footer>Made {} by reprise {}. A trace of this run: <code>reprise trace {} -o "
        "trace.json</code></footer>\n</body>\n</html>",
        time_text(r_.made), version_text, r_.run.row.id.short_text());
  }

  const RunReport& r_;
  std::string out_;
  std::uint64_t retries_ = 0;
};

}  // namespace

std::string report_page(const RunReport& report) {
  return Page(report).make();
}

}  // namespace reprise::cli
