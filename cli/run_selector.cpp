#include "cli/run_selector.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "actors/run_options.hpp"
#include "cli/text.hpp"

namespace reprise::cli {
namespace {

constexpr std::string_view crockford = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
constexpr std::size_t id_length = 26;
constexpr std::uint32_t listed_max = 5;

std::string line_of(const journal::RunRow& row) {
  return fmt::format("{} ({})", row.id.text(), escape_for_terminal(row.flow_name));
}

/// "; did you mean …?" from the ids and flow names of recent runs.
std::string suggestion(std::string_view text, journal::Journal& journal) {
  journal::RunQuery query;
  query.limit = 200;
  const auto recent = journal.runs(query);
  if (!recent || recent->empty()) return "; there are no runs yet";
  std::vector<std::string> names;
  for (const journal::RunRow& row : *recent) {
    names.push_back(row.id.text().substr(0, std::min<std::size_t>(text.size(), id_length)));
    if (row.flow_name == text)
      return fmt::format("; did you mean \"last:{}\"?", escape_for_terminal(text));
  }
  const std::string meant = did_you_mean(text, names);
  return meant.empty() ? "; `reprise ps --all` lists the runs" : meant;
}

/// The newest run that is not nested in another one; nullopt: there is none.
std::optional<journal::RunRow> last_of_people(journal::Journal& journal) {
  constexpr std::uint32_t few = 16;
  journal::RunQuery query;
  for (query.limit = few;; query.limit *= few) {
    const auto rows = journal.runs(query);
    if (!rows) return std::nullopt;
    for (const journal::RunRow& row : *rows) {
      const auto began = actors::decode_options(row.options);
      if (!began || !began->nested_in) return row;
    }
    if (rows->size() < query.limit || query.limit > UINT32_MAX / few) return std::nullopt;
  }
}

}  // namespace

Result<RunSelector> RunSelector::parse(std::string_view text) {
  RunSelector selector;
  if (text == "last") return selector;
  if (text.starts_with("last:")) {
    selector.flow = text.substr(5);
    if (selector.flow.empty())
      return fail(ErrorCode::invalid_argument, "\"last:\" needs the name of a flow after it");
    return selector;
  }
  selector.kind = Kind::prefix;
  bool is_id = !text.empty() && text.size() <= id_length;
  for (const char c : text) {
    char upper = c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
    if (upper == 'I' || upper == 'L') upper = '1';
    if (upper == 'O') upper = '0';
    is_id = is_id && crockford.find(upper) != std::string_view::npos;
    selector.prefix += upper;
  }
  if (!is_id)
    return fail(ErrorCode::invalid_argument,
                "a run is named by its id, the beginning of its id, last, or last:FLOW");
  return selector;
}

Result<journal::RunRow> find_run(std::string_view text, journal::Journal& journal) {
  const auto selector = RunSelector::parse(text);
  journal::RunQuery query;
  if (!selector) {
    return fail(ErrorCode::not_found,
                fmt::format("there is no run \"{}\"{}: {}", escape_for_terminal(text),
                            suggestion(text, journal), selector.error().message));
  }
  if (selector->kind == RunSelector::Kind::last) {
    query.limit = 1;
    if (!selector->flow.empty()) query.flow_name = selector->flow;
    if (selector->flow.empty())
      if (auto row = last_of_people(journal)) return *std::move(row);
  } else {
    query.limit = listed_max + 1;
    query.id_prefix = selector->prefix;
  }
  auto rows = journal.runs(query);
  if (!rows) return tl::unexpected(rows.error());
  if (rows->size() == 1) return std::move(rows->front());
  if (rows->empty()) {
    if (selector->flow.empty() && selector->kind == RunSelector::Kind::last)
      return fail(ErrorCode::not_found, "there are no runs yet; start one with `reprise run FLOW`");
    if (!selector->flow.empty())
      return fail(ErrorCode::not_found,
                  fmt::format("flow \"{}\" has no runs; `reprise ps --all` lists the runs",
                              escape_for_terminal(selector->flow)));
    return fail(ErrorCode::not_found,
                fmt::format("there is no run \"{}\"{}", escape_for_terminal(text),
                            suggestion(text, journal)));
  }
  std::string list;
  for (std::size_t i = 0; i < std::min<std::size_t>(rows->size(), listed_max); ++i)
    list += (i == 0 ? "" : ", ") + line_of((*rows)[i]);
  return fail(ErrorCode::not_found,
              fmt::format("\"{}\" is the beginning of several runs: {}{}",
                          escape_for_terminal(text), list, rows->size() > listed_max ? ", …" : ""));
}

Result<TaskId> find_task(const std::string& text, const journal::RunRow& row,
                         const journal::RunView& view) {
  if (const auto task = view.find_task(text)) return *task;
  return fail(ErrorCode::not_found,
              fmt::format("run {} has no task \"{}\"{}", row.id.short_text(),
                          escape_for_terminal(text), view.did_you_mean_task(text)));
}

Result<std::vector<journal::RunRow>> find_runs(const std::vector<std::string>& texts,
                                               journal::Journal& journal) {
  std::vector<journal::RunRow> rows;
  for (const std::string& text : texts) {
    auto row = find_run(text, journal);
    if (!row) return tl::unexpected(row.error());
    const auto is_same = [&](const journal::RunRow& other) { return other.id == row->id; };
    if (std::none_of(rows.begin(), rows.end(), is_same)) rows.push_back(std::move(*row));
  }
  return rows;
}

}  // namespace reprise::cli
