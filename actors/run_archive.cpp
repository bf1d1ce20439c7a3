#include "actors/run_archive.hpp"

#include <set>
#include <unordered_set>

#include <fmt/format.h>

#include "actors/run_options.hpp"
#include "cache/explain.hpp"
#include "journal/run_codec.hpp"
#include "journal/run_view.hpp"

namespace reprise {
namespace {

using cache::ArchiveBatch;
using cache::ArchiveBlob;
using cache::ArchiveItem;
using cache::ArchiveRun;
using journal::Batch;
using journal::RunRow;
using journal::RunView;

constexpr std::size_t changes_at_once = 10'000;

/// Visits the batches of a run without holding all of them.
template <class Visit>
Status each_batch(journal::Journal& journal, const RunId& run, Visit visit) {
  for (journal::Offset after = 0;;) {
    auto entries = journal.read(run, after, changes_at_once);
    if (!entries) return tl::unexpected(entries.error());
    if (entries->empty()) return {};
    for (const journal::Journal::Entry& entry : *entries)
      if (auto done = visit(entry.batch); !done) return done;
    after = entries->back().first + entries->back().batch.count() - 1;
  }
}

class Exporter {
 public:
  Exporter(const RunsExport& from, cache::ArchiveExport& results, cache::ArchiveWriter& writer)
      : from_(from), results_(results), writer_(writer) {}

  Status add(const RunRow& row) {
    if (auto done = add_flow(row.flow); !done) return done;
    for (const auto& [name, value] : row.parameters)
      if (auto done = add_value(value); !done) return done;
    // Values first, as everywhere in an archive.
    cache::Selection keys;
    auto values = each_batch(from_.journal, row.id, [&](const Batch& batch) -> Status {
      for (const journal::TaskChange& change : batch.tasks) {
        if (auto done = add_value(change.result); !done) return done;
        if (change.detail && change.detail->key) keys.keys.insert(*change.detail->key);
      }
      return {};
    });
    if (!values) return values;
    if (!keys.keys.empty()) {
      if (auto done = add_neighbours(row, keys.keys); !done) return done;
      if (auto done = results_.add(keys); !done) return done;
    }
    if (auto done = writer_.add(ArchiveRun{journal::encode_row(row)}); !done) return done;
    ++exported_.runs;
    return each_batch(from_.journal, row.id, [&](const Batch& batch) {
      return writer_.add(ArchiveBatch{journal::encode(batch)});
    });
  }

  RunsExported take() {
    exported_.results = results_.counts();
    return exported_;
  }

 private:
  Status add_flow(const Digest& digest) {
    if (!flows_.insert(digest).second) return {};
    auto bytes = from_.journal.flow(digest);
    if (!bytes) return tl::unexpected(bytes.error());
    if (auto done = writer_.add(ArchiveBlob{ArchiveBlob::Kind::flow, digest, bytes->size()}); !done)
      return done;
    for (std::size_t at = 0; at < bytes->size(); at += cache::archive_chunk_bytes)
      if (auto done =
              writer_.add(cache::ArchiveChunk{bytes->substr(at, cache::archive_chunk_bytes)});
          !done)
        return done;
    return {};
  }

  Status add_value(const Payload& value) {
    if (value.is_none()) return {};
    auto whole = results_.add_value(value);
    if (!whole) return tl::unexpected(whole.error());
    if (!*whole && missing_.insert(value.digest).second) ++exported_.missing;
    return {};
  }

  /// What misses of this run are explained with: the nearest results of that time.
  Status add_neighbours(const RunRow& row, std::set<Key>& keys) {
    if (from_.store == nullptr) return {};
    auto view = journal::load_run(from_.journal, row);
    if (!view) return tl::unexpected(view.error());
    const auto options = actors::decode_options(row.options);
    cache::Explainer explainer(*from_.store,
                               options ? options->as_of.value_or(row.submitted) : row.submitted);
    for (std::uint32_t t = 0; t < view->size(); ++t) {
      const journal::ChangeDetail* detail = view->detail(TaskId{t});
      const journal::CacheOutcome outcome = view->cache(TaskId{t});
      if (detail == nullptr || !detail->key || outcome == journal::CacheOutcome::hit) continue;
      auto versions = from_.store->versions(detail->key->text());
      if (!versions) return tl::unexpected(versions.error());
      for (const cache::Record& record : *versions) {
        const auto material = Material::decode(record.material);
        if (!material) continue;
        auto miss = explainer.miss(*material, *detail->key, view->task_name(TaskId{t}));
        if (!miss) return tl::unexpected(miss.error());
        if (miss->nearest) keys.insert(miss->nearest->record.key);
        break;
      }
    }
    return {};
  }

  const RunsExport& from_;
  cache::ArchiveExport& results_;
  cache::ArchiveWriter& writer_;
  std::unordered_set<Digest> flows_, missing_;
  RunsExported exported_;
};

tl::unexpected<Error> damaged(const RunRow& row, std::string_view why) {
  return fail(ErrorCode::corrupt,
              fmt::format("the archive is damaged: run {}: {}", row.id.text(), why));
}

}  // namespace

Result<RunsExported> export_runs(const RunsExport& from, const std::vector<RunRow>& rows,
                                 cache::ArchiveWriter& writer) {
  auto results = cache::ArchiveExport::open(from.cache_file, from.blobs, writer);
  if (!results) return tl::unexpected(results.error());
  Exporter exporter(from, **results, writer);
  for (const RunRow& row : rows)
    if (auto done = exporter.add(row); !done) return tl::unexpected(done.error());
  if (auto done = (*results)->add_pins(); !done) return tl::unexpected(done.error());
  return exporter.take();
}

Result<RunsImported> import_runs(cache::ArchiveImport& archive, journal::SqliteJournal& journal,
                                 bool dry_run) {
  RunsImported imported;
  std::vector<RunRow> rows;
  std::optional<RunView> view;
  std::set<RunId> seen;
  const auto note = [&](const Payload& value) {
    if (value.is_none()) return;
    if (archive.has_blob(value.digest)) archive.need(value.digest);
    if (value.is_at_hand())
      for (const Digest& file : cache::files_named_in(value.view()))
        if (archive.has_blob(file)) archive.need(file);
  };
  // Everything is looked at before anything is shown.
  const auto check = [&](const ArchiveItem& item) -> Status {
    if (const auto* run = std::get_if<ArchiveRun>(&item)) {
      auto row = journal::decode_row(run->bytes);
      if (!row) return tl::unexpected(row.error());
      auto bytes = archive.flow(row->flow);
      if (!bytes) return tl::unexpected(bytes.error());
      auto flow = FlowSpec::decode(*bytes);
      if (!flow) return damaged(*row, flow.error().message);
      if (auto options = actors::decode_options(row->options); !options)
        return damaged(*row, options.error().message);
      if (!seen.insert(row->id).second) return damaged(*row, "it is there twice");
      for (const auto& [name, value] : row->parameters) note(value);
      view.emplace(std::make_shared<const FlowSpec>(*std::move(flow)));
      imported.ids.push_back(row->id);
      rows.push_back(*std::move(row));
      return {};
    }
    auto batch = journal::decode(rows.back().id, std::get<ArchiveBatch>(item).bytes);
    if (!batch) return damaged(rows.back(), batch.error().message);
    for (const journal::TaskChange& change : batch->tasks) note(change.result);
    if (auto fits = view->apply(*batch); !fits) return damaged(rows.back(), fits.error().message);
    return {};
  };
  for (std::size_t i = 0;; ++i) {
    auto item = archive.run_item(i);
    if (!item) return tl::unexpected(item.error());
    if (!*item) break;
    if (auto good = check(**item); !good) return tl::unexpected(good.error());
  }

  auto results = archive.apply(dry_run);
  if (!results) return tl::unexpected(results.error());
  imported.results = *results;
  if (dry_run) {
    for (const RunRow& row : rows) {
      journal::RunQuery query;
      query.id_prefix = row.id.text();
      auto known = journal.runs(query);
      if (!known) return tl::unexpected(known.error());
      ++(known->empty() ? imported.runs : imported.known);
    }
    return imported;
  }

  std::size_t row = 0;
  std::size_t item = 0;
  const auto next_run = [&]() -> Result<std::optional<journal::SqliteJournal::Guest>> {
    // The rest of a run that is here already is passed over.
    for (;; ++item) {
      auto found = archive.run_item(item);
      if (!found) return tl::unexpected(found.error());
      if (!*found) return std::optional<journal::SqliteJournal::Guest>();
      if (std::holds_alternative<ArchiveRun>(**found)) break;
    }
    ++item;
    journal::SqliteJournal::Guest guest;
    guest.row = rows[row++];
    auto bytes = archive.flow(guest.row.flow);
    if (!bytes) return tl::unexpected(bytes.error());
    guest.flow_bytes = *std::move(bytes);
    guest.next_batch = [&, id = guest.row.id]() -> Result<std::optional<Batch>> {
      auto found = archive.run_item(item);
      if (!found) return tl::unexpected(found.error());
      if (!*found || !std::holds_alternative<ArchiveBatch>(**found)) return std::optional<Batch>();
      ++item;
      auto batch = journal::decode(id, std::get<ArchiveBatch>(**found).bytes);
      if (!batch) return tl::unexpected(batch.error());
      return std::optional(*std::move(batch));
    };
    return std::optional(std::move(guest));
  };
  auto taken = journal.take_in(next_run);
  if (!taken) return tl::unexpected(taken.error());
  if (auto flushed = journal.flush(); !flushed) return tl::unexpected(flushed.error());
  imported.runs = *taken;
  imported.known = rows.size() - *taken;
  return imported;
}

}  // namespace reprise
