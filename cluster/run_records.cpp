#include "cluster/run_records.hpp"

#include <algorithm>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "core/canon.hpp"
#include "core/text.hpp"
#include "journal/records.hpp"
#include "journal/run_view.hpp"
#include "journal/sqlite_journal.hpp"

namespace reprise::cluster {

namespace {

// Worth of one answer: some megabytes at most.
constexpr std::uint64_t changes_per_answer = 16384;
constexpr std::uint32_t rows_per_answer = 10'000;

template <class Question>
Result<Question> decoded(std::string_view body) {
  Question question;
  if (Status read = decode(body, question); !read) return tl::unexpected(read.error());
  return question;
}

const Payload& or_nil(const Payload& payload) {
  return payload.is_none() ? Payload::nil() : payload;
}

}  // namespace

RunRecords::RunRecords(journal::DataFolder folder, std::unique_ptr<journal::Journal> journal,
                       std::shared_ptr<cache::BlobStore> blobs)
    : folder_(std::move(folder)),
      journal_(std::move(journal)),
      blobs_(std::move(blobs)),
      source_(blobs_) {}

Result<std::unique_ptr<RunRecords>> RunRecords::open(const std::filesystem::path& data) {
  auto folder = journal::DataFolder::open({.path = data, .create = false});
  if (!folder) return tl::unexpected(folder.error());
  auto journal = journal::SqliteJournal::open({.path = folder->journal_file()});
  if (!journal) return tl::unexpected(journal.error());
  auto blobs = cache::BlobStore::open({.folder = folder->blobs()});
  if (!blobs) return tl::unexpected(blobs.error());
  return std::unique_ptr<RunRecords>(
      new RunRecords(*std::move(folder), *std::move(journal), *std::move(blobs)));
}

Result<std::optional<journal::RunRow>> RunRecords::row(const RunId& run) {
  journal::RunQuery query;
  query.id_prefix = run.text();
  auto rows = journal_->runs(query);
  if (!rows) return tl::unexpected(rows.error());
  if (rows->empty()) return std::nullopt;
  return std::move(rows->front());
}

std::optional<Result<std::string>> RunRecords::answer(const std::string& op,
                                                      const std::string& body) {
  if (op == "runs") return runs(body);
  if (op == "changes") return changes(body);
  if (op == "flow") {
    const auto question = decoded<wire::AskFlow>(body);
    if (!question) return tl::unexpected(question.error());
    return journal_->flow(question->flow);
  }
  if (op == "blob") {
    const auto question = decoded<wire::BlobRequest>(body);
    if (!question) return tl::unexpected(question.error());
    return encode(source_.answer(*question));
  }
  return std::nullopt;
}

Result<std::string> RunRecords::runs(std::string_view body) {
  auto question = decoded<wire::AskRuns>(body);
  if (!question) return tl::unexpected(question.error());
  question->query.limit = std::min(question->query.limit, rows_per_answer);
  auto rows = journal_->runs(question->query);
  if (!rows) return tl::unexpected(rows.error());
  for (journal::RunRow& each : *rows) each.state = folder_.effective_state(each);
  return encode(wire::RunRows{*std::move(rows)});
}

Result<std::string> RunRecords::changes(std::string_view body) {
  const auto question = decoded<wire::AskChanges>(body);
  if (!question) return tl::unexpected(question.error());
  const std::uint64_t limit = question->limit == 0 ? changes_per_answer : question->limit;
  auto entries =
      journal_->read(question->run, question->after, std::min(limit, changes_per_answer));
  if (!entries) return tl::unexpected(entries.error());
  return encode(wire::RunEntries{*std::move(entries)});
}

Result<Payload> RunRecords::result(const RunId& run, NodeId node) {
  const auto about = row(run);
  if (!about) return tl::unexpected(about.error());
  if (!*about) return fail(ErrorCode::not_found, fmt::format("no run \"{}\"", run.text()));
  const auto view = journal::load_run(*journal_, **about);
  if (!view) return tl::unexpected(view.error());
  const FlowSpec& flow = view->flow();
  if (node.value >= flow.nodes.size())
    return fail(ErrorCode::not_found, "the run has no such task");
  const auto without = [&](TaskId task) {
    return fail(ErrorCode::not_found,
                fmt::format("task \"{}\" has no result: {}",
                            escape_for_terminal(view->task_name(task)), name(view->state(task))));
  };
  const auto* elements = view->elements_of(node);
  const TaskId whole{node.value};
  if (elements == nullptr) {
    if (!is_success(view->state(whole))) return without(whole);
    return or_nil(view->result(whole));
  }
  std::vector<Payload> values;
  std::vector<std::string_view> views;
  values.reserve(elements->width);
  for (std::uint32_t i = 0; i < elements->width; ++i) {
    const TaskId task{elements->first.value + i};
    if (!is_success(view->state(task))) return without(task);
    Payload value = or_nil(view->result(task));
    if (!value.is_at_hand()) {
      auto kept = blobs_->get_value(value.digest);
      if (!kept) return tl::unexpected(kept.error());
      value = *std::move(kept);
    }
    values.push_back(std::move(value));
  }
  // A reduction's last level is its result.
  if (flow.kind_of(node).reduce_fanin > 0 && !values.empty()) return values.back();
  views.reserve(values.size());
  for (const Payload& value : values) views.push_back(value.view());
  return Payload::of(encode_list(views));
}

Status RunRecords::keep(const Payload& value) {
  if (value.size <= journal::inline_result_bytes || !value.is_at_hand()) return {};
  return blobs_->put_value(value);
}

}  // namespace reprise::cluster
