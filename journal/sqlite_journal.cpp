#include "journal/sqlite_journal.hpp"

#include <cstring>
#include <unordered_map>

#include <fmt/format.h>

#include "journal/memory_journal.hpp"
#include "journal/run_codec.hpp"
#include "sqlite/database.hpp"

namespace reprise::journal {
namespace {

using sqlite::Blob;
using sqlite::ResetAtEnd;
using sqlite::Statement;
using sqlite::Transaction;

// Times are nanoseconds since 1970. `batch.first` is the offset of a batch's first change; `number`
// keeps the offset that was given last when the rows that say so are removed. Serial numbers stand
// for 16-byte ids in the many batch rows and are never used again (AUTOINCREMENT).
constexpr std::string_view format_1 = R"(
CREATE TABLE run(
  serial INTEGER PRIMARY KEY AUTOINCREMENT, id BLOB NOT NULL UNIQUE,
  flow_name TEXT NOT NULL, flow BLOB NOT NULL, parameters_digest BLOB NOT NULL, parameters BLOB NOT NULL,
  folder TEXT NOT NULL, source_file TEXT NOT NULL, submitted_by TEXT NOT NULL,
  state INTEGER NOT NULL, message TEXT NOT NULL, submitted INTEGER NOT NULL, finished INTEGER,
  summary BLOB NOT NULL, options BLOB NOT NULL);
CREATE INDEX run_flow_name ON run(flow_name, id);
CREATE INDEX run_flow ON run(flow, parameters_digest, id);
CREATE TABLE flow(serial INTEGER PRIMARY KEY, digest BLOB NOT NULL UNIQUE, codec INTEGER NOT NULL, bytes BLOB NOT NULL);
CREATE TABLE batch(
  first INTEGER PRIMARY KEY, count INTEGER NOT NULL, run INTEGER NOT NULL, at INTEGER NOT NULL, bytes BLOB NOT NULL);
CREATE INDEX batch_run ON batch(run);
CREATE TABLE number(name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
)";
// Who led, and leads: the row with the highest number. Nonces are random bits.
constexpr std::string_view format_2 = R"(
CREATE TABLE epoch(
  number INTEGER PRIMARY KEY, nonce INTEGER NOT NULL, began INTEGER NOT NULL, server TEXT NOT NULL);
)";
constexpr std::string_view scripts[] = {format_1, format_2};
constexpr sqlite::Schema schema{"journal", 0x5250'4a31, scripts};  // "RPJ1"

constexpr std::string_view run_columns =
    "id, flow_name, flow, parameters_digest, parameters, folder, source_file, submitted_by, state, "
    "message, submitted, "
    "finished, summary, options";

std::string_view raw(const RunId& id) {
  return {reinterpret_cast<const char*>(id.bytes.data()), id.bytes.size()};
}
std::int64_t nanoseconds(Time time) {
  return time.time_since_epoch().count();
}
Time time_of(std::int64_t nanoseconds) {
  return Time(Duration(nanoseconds));
}

tl::unexpected<Error> no_such_run(const RunId& run) {
  return fail(ErrorCode::not_found, fmt::format("no run \"{}\"", run.text()));
}

Result<RunRow> row_of(const Statement& from) {
  RunRow row;
  const std::string_view id = from.bytes(0);
  auto flow = Digest::from_raw(from.bytes(2));
  auto parameters_digest = Digest::from_raw(from.bytes(3));
  const std::int64_t state = from.integer(8);
  if (id.size() != row.id.bytes.size() || !flow || !parameters_digest || state < 0 ||
      state > static_cast<std::int64_t>(RunState::interrupted))
    return fail(ErrorCode::corrupt, "a row of the table of runs does not decode");
  std::memcpy(row.id.bytes.data(), id.data(), id.size());
  row.flow_name = from.text(1);
  row.flow = *flow;
  row.parameters_digest = *parameters_digest;
  auto parameters = decode_parameters(from.bytes(4));
  if (!parameters) return tl::unexpected(parameters.error());
  row.parameters = std::move(*parameters);
  row.folder = from.text(5);
  row.source_file = from.text(6);
  row.submitted_by = from.text(7);
  row.state = static_cast<RunState>(state);
  row.message = from.text(9);
  row.submitted = time_of(from.integer(10));
  if (!from.is_null(11)) row.finished = time_of(from.integer(11));
  auto summary = decode_summary(from.bytes(12));
  if (!summary) return tl::unexpected(summary.error());
  row.summary = *summary;
  row.options = from.text(13);
  return row;
}

Time last_time_of(const Batch& batch) {
  return batch.change ? batch.change->at : batch.tasks.back().at;
}

}  // namespace

struct SqliteJournal::State {
  explicit State(std::unique_ptr<sqlite::Database> opened, bool is_durable)
      : database(std::move(opened)), durable(is_durable) {}

  std::unique_ptr<sqlite::Database> database;
  bool durable;
  std::unordered_map<RunId, std::int64_t> serials;  // of runs seen
  std::optional<Epoch> epoch;                       // that this object writes in

  // Prepared where first needed: preparing all of them would double the time it takes to open.
  std::optional<Statement> find_run, last_batch, insert_batch, update_run, leader;

  Statement& prepared(std::optional<Statement>& statement, std::string_view sql) {
    if (!statement) statement.emplace(*database, sql);
    return *statement;
  }

  // Inside the transaction that is to write: nobody can begin an epoch before it ends.
  Status check_epoch() {
    if (!epoch) return {};
    Statement& highest =
        prepared(leader, "SELECT number, nonce, server FROM epoch ORDER BY number DESC LIMIT 1");
    ResetAtEnd reset(highest);
    auto found = highest.next();
    if (!found) return tl::unexpected(found.error());
    const auto number = *found ? static_cast<std::uint64_t>(highest.integer(0)) : 0;
    if (*found && number == epoch->number &&
        static_cast<std::uint64_t>(highest.integer(1)) == epoch->nonce)
      return {};
    return fail(
        ErrorCode::denied,
        fmt::format("another server leads here since: \"{}\", epoch {}; this was epoch {}",
                    *found ? std::string(highest.text(2)) : std::string(), number, epoch->number));
  }

  Result<std::int64_t> serial_of(const RunId& run) {
    if (const auto known = serials.find(run); known != serials.end()) return known->second;
    Statement& find = prepared(find_run, "SELECT serial FROM run WHERE id = ?1");
    ResetAtEnd reset(find);
    find.start(Blob{raw(run)});
    auto found = find.next();
    if (!found) return tl::unexpected(found.error());
    if (!*found) return no_such_run(run);
    return serials[run] = find.integer(0);
  }

  Result<Offset> last_offset() {
    Statement& last = prepared(
        last_batch,
        "SELECT max(ifnull((SELECT first + count - 1 FROM batch ORDER BY first DESC LIMIT 1), 0), "
        "ifnull((SELECT value FROM number WHERE name = 'last_offset'), 0))");
    ResetAtEnd reset(last);
    auto found = last.next();
    if (!found) return tl::unexpected(found.error());
    return static_cast<Offset>(last.integer(0));
  }

  Status insert_run(const RunRow& row, std::string_view flow_bytes);

  Status insert_batch_row(const Batch& batch, Offset first, std::int64_t serial) {
    const std::string bytes = encode(batch);
    Statement& insert = prepared(
        insert_batch, "INSERT INTO batch(first, count, run, at, bytes) VALUES(?1, ?2, ?3, ?4, ?5)");
    return insert.run(first, batch.count(), serial, nanoseconds(last_time_of(batch)), Blob{bytes});
  }

  Status append_one(const Batch& batch, Offset first) {
    auto serial = serial_of(batch.run);
    if (!serial) return tl::unexpected(serial.error());
    if (auto done = insert_batch_row(batch, first, *serial); !done) return done;
    if (!batch.change) return {};
    RunRow row;
    apply(*batch.change, row);
    std::optional<std::int64_t> finished;
    if (row.finished) finished = nanoseconds(*row.finished);
    return prepared(update_run,
                    "UPDATE run SET state = ?2, message = ?3, finished = ?4 WHERE serial = ?1")
        .run(*serial, row.state, row.message, finished);
  }

  Status remove_run(const RunId& run);
  Status remove_everything();
  Status carry_out(const LogEntry& entry, Offset& last);
  Status set_log_position(LogPosition position);
  Status set_number(std::string_view name, std::uint64_t value) {
    Statement set(*database, "INSERT OR REPLACE INTO number(name, value) VALUES(?1, ?2)");
    return set.run(name, value);
  }
  Result<std::uint64_t> number(std::string_view name) {
    Statement find(*database, "SELECT value FROM number WHERE name = ?1");
    find.start(name);
    auto found = find.next();
    if (!found) return tl::unexpected(found.error());
    return *found ? static_cast<std::uint64_t>(find.integer(0)) : 0;
  }
  Status set_summary(const RunId& run, const Summary& summary) {
    Statement update(*database, "UPDATE run SET summary = ?2 WHERE id = ?1");
    const std::string bytes = encode_summary(summary);
    if (auto done = update.run(Blob{raw(run)}, Blob{bytes}); !done) return done;
    if (database->changes() == 0) return no_such_run(run);
    return {};
  }

  // A transaction that does not wait for the disk; the next one that does covers it, as both are in
  // one log.
  template <class Action>
  Status without_waiting(Action action) {
    if (durable)
      if (auto relaxed = database->set_sync(sqlite::Sync::normal); !relaxed) return relaxed;
    Status result = [&]() -> Status {
      auto transaction = Transaction::begin(*database);
      if (!transaction) return tl::unexpected(transaction.error());
      if (auto leads = check_epoch(); !leads) return leads;
      if (auto done = action(); !done) return done;
      return transaction->commit();
    }();
    if (durable)
      if (auto strict = database->set_sync(sqlite::Sync::full); !strict) return strict;
    return result;
  }
};

SqliteJournal::SqliteJournal(std::unique_ptr<State> state) : state_(std::move(state)) {}
SqliteJournal::~SqliteJournal() = default;

Result<std::unique_ptr<SqliteJournal>> SqliteJournal::open(Options options) {
  auto database =
      sqlite::Database::open({.path = options.path,
                              .schema = schema,
                              .sync = options.durable ? sqlite::Sync::full : sqlite::Sync::normal,
                              .busy_timeout = std::chrono::seconds{5},
                              .read_only = options.read_only});
  if (!database) return tl::unexpected(database.error());
  auto state = std::make_unique<State>(std::move(*database), options.durable && !options.read_only);
  return std::unique_ptr<SqliteJournal>(new SqliteJournal(std::move(state)));
}

Result<Epoch> SqliteJournal::begin_epoch(std::uint64_t nonce, const std::string& server, Time now) {
  State& state = *state_;
  auto transaction = Transaction::begin(*state.database);
  if (!transaction) return tl::unexpected(transaction.error());
  Epoch epoch;
  {
    Statement known(*state.database,
                    "SELECT ifnull(max(number), 0), (SELECT nonce FROM epoch ORDER BY number "
                    "LIMIT 1) FROM epoch");
    auto found = known.next();
    if (!found) return tl::unexpected(found.error());
    epoch.number = static_cast<std::uint64_t>(known.integer(0)) + 1;
    epoch.nonce = nonce;
    epoch.journal = known.is_null(1) ? nonce : static_cast<std::uint64_t>(known.integer(1));
  }
  Statement add(*state.database,
                "INSERT INTO epoch(number, nonce, began, server) VALUES(?1, ?2, ?3, ?4)");
  if (auto done = add.run(epoch.number, epoch.nonce, nanoseconds(now), server); !done)
    return tl::unexpected(done.error());
  if (auto done = transaction->commit(); !done) return tl::unexpected(done.error());
  if (auto flushed = flush(); !flushed) return tl::unexpected(flushed.error());
  state.epoch = epoch;
  return epoch;
}

Status SqliteJournal::State::insert_run(const RunRow& row, std::string_view flow_bytes) {
  Statement insert(*database,
                   fmt::format("INSERT INTO run({}) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, "
                               "?10, ?11, ?12, ?13, ?14)",
                               run_columns));
  const std::string parameters = encode_parameters(row.parameters);
  const std::string summary = encode_summary(row.summary);
  std::optional<std::int64_t> finished;
  if (row.finished) finished = nanoseconds(*row.finished);
  if (auto added = insert.run(
          Blob{raw(row.id)}, row.flow_name, Blob{row.flow.raw()}, Blob{row.parameters_digest.raw()},
          Blob{parameters}, row.folder, row.source_file, row.submitted_by, row.state, row.message,
          nanoseconds(row.submitted), finished, Blob{summary}, Blob{row.options});
      !added)
    return added;
  // The flow of a rerun is there already: then its bytes, maybe megabytes, are not even bound.
  Statement known(*database, "SELECT 1 FROM flow WHERE digest = ?1");
  known.start(Blob{row.flow.raw()});
  auto found = known.next();
  if (!found) return tl::unexpected(found.error());
  if (*found) return {};
  Statement add(*database, "INSERT INTO flow(digest, codec, bytes) VALUES(?1, 0, ?2)");
  return add.run(Blob{row.flow.raw()}, Blob{flow_bytes});
}

Status SqliteJournal::open_run(const RunRow& row, std::string_view flow_bytes) {
  auto done = state_->without_waiting([&] { return state_->insert_run(row, flow_bytes); });
  if (!done && done.error().code == ErrorCode::conflict)
    return fail(ErrorCode::conflict, fmt::format("run \"{}\" exists already", row.id.text()));
  return done;
}

Result<std::uint64_t> SqliteJournal::take_in(
    const std::function<Result<std::optional<Guest>>()>& next) {
  State& state = *state_;
  auto transaction = Transaction::begin(*state.database);
  if (!transaction) return tl::unexpected(transaction.error());
  auto last = state.last_offset();
  if (!last) return tl::unexpected(last.error());
  std::uint64_t taken = 0;
  for (;;) {
    auto guest = next();
    if (!guest) return tl::unexpected(guest.error());
    if (!*guest) break;
    Statement known(*state.database, "SELECT 1 FROM run WHERE id = ?1");
    known.start(Blob{raw((*guest)->row.id)});
    auto found = known.next();
    if (!found) return tl::unexpected(found.error());
    if (*found) continue;
    if (auto done = state.insert_run((*guest)->row, (*guest)->flow_bytes); !done)
      return tl::unexpected(done.error());
    auto serial = state.serial_of((*guest)->row.id);
    if (!serial) return tl::unexpected(serial.error());
    ++taken;
    for (;;) {
      auto batch = (*guest)->next_batch();
      if (!batch) return tl::unexpected(batch.error());
      if (!*batch) break;
      if ((*batch)->count() == 0) continue;
      if (auto done = state.insert_batch_row(**batch, *last + 1, *serial); !done)
        return tl::unexpected(done.error());
      *last += (*batch)->count();
    }
  }
  if (auto done = transaction->commit(); !done) return tl::unexpected(done.error());
  return taken;
}

Result<Offset> SqliteJournal::append(std::span<const Batch> batches) {
  State& state = *state_;
  auto transaction = Transaction::begin(*state.database);
  if (!transaction) return tl::unexpected(transaction.error());
  if (auto leads = state.check_epoch(); !leads) return tl::unexpected(leads.error());
  auto last = state.last_offset();
  if (!last) return last;
  for (const Batch& batch : batches) {
    if (batch.count() == 0) continue;
    if (auto done = state.append_one(batch, *last + 1); !done) return tl::unexpected(done.error());
    *last += batch.count();
  }
  if (auto done = transaction->commit(); !done) return tl::unexpected(done.error());
  return last;
}

Status SqliteJournal::set_summary(const RunId& run, const Summary& summary) {
  State& state = *state_;
  return state.without_waiting([&] { return state.set_summary(run, summary); });
}

Result<SqliteJournal::Erased> SqliteJournal::erase(
    const std::function<bool(const RunId&, const TaskChange&)>& is_meant,
    const std::function<bool(const RunRow&)>& holds, bool dry_run) {
  Erased erased;
  sqlite::Database& database = *state_->database;
  if (auto done = database.overwrite_deleted(); !done) return tl::unexpected(done.error());
  RunQuery everything;
  everything.limit = UINT32_MAX;
  auto all = runs(everything);
  if (!all) return tl::unexpected(all.error());
  for (const RunRow& row : *all) {
    if (holds(row)) erased.rows.insert(row.id);
    auto serial = state_->serial_of(row.id);
    if (!serial) return tl::unexpected(serial.error());
    auto transaction = Transaction::begin(database);
    if (!transaction) return tl::unexpected(transaction.error());
    Statement select(database, "SELECT first, bytes FROM batch WHERE run = ?1 ORDER BY first");
    select.start(*serial);
    for (;;) {
      auto more = select.next();
      if (!more) return tl::unexpected(more.error());
      if (!*more) break;
      auto batch = decode(row.id, select.bytes(1));
      if (!batch) return tl::unexpected(batch.error());
      bool has_changed = false;
      for (TaskChange& change : batch->tasks) {
        if (change.result.is_none() || !is_meant(row.id, change)) continue;
        erased.runs.insert(row.id);
        if (!change.result.bytes || change.result.is_nil()) continue;
        change.result.bytes = nullptr;
        ++erased.results;
        has_changed = true;
      }
      if (!has_changed) continue;
      const std::string bytes = encode(*batch);
      Statement update(database, "UPDATE batch SET bytes = ?2 WHERE first = ?1");
      if (auto done = update.run(select.integer(0), Blob{bytes}); !done)
        return tl::unexpected(done.error());
    }
    select.reset();
    if (!dry_run)
      if (auto done = transaction->commit(); !done) return tl::unexpected(done.error());
  }
  if (dry_run) return erased;
  auto clean = database.empty_log();
  if (!clean) return tl::unexpected(clean.error());
  erased.is_log_clean = *clean;
  return erased;
}

Status SqliteJournal::flush() {
  return state_->database->flush();
}

Result<std::vector<RunRow>> SqliteJournal::runs(const RunQuery& query) {
  std::vector<RunRow> rows;
  const auto range = ids_with_prefix(query.id_prefix.value_or(""));
  if (!range) return rows;
  std::string sql = fmt::format("SELECT {} FROM run WHERE id BETWEEN ?1 AND ?2", run_columns);
  if (query.flow_name) sql += " AND flow_name = ?3";
  if (query.state) sql += " AND state = ?4";
  if (query.flow) sql += " AND flow = ?5";
  if (query.parameters_digest) sql += " AND parameters_digest = ?6";
  if (query.since) sql += " AND submitted >= ?7";
  sql += " ORDER BY id DESC LIMIT ?8";
  Statement select(*state_->database, sql);
  select.bind_blob(1, raw(range->first));
  select.bind_blob(2, raw(range->last));
  if (query.flow_name) select.bind_text(3, *query.flow_name);
  if (query.state) select.bind(4, *query.state);
  if (query.flow) select.bind_blob(5, query.flow->raw());
  if (query.parameters_digest) select.bind_blob(6, query.parameters_digest->raw());
  if (query.since) select.bind(7, nanoseconds(*query.since));
  select.bind(8, query.limit);
  for (;;) {
    auto more = select.next();
    if (!more) return tl::unexpected(more.error());
    if (!*more) return rows;
    auto row = row_of(select);
    if (!row) return tl::unexpected(row.error());
    rows.push_back(std::move(*row));
  }
}

Result<std::string> SqliteJournal::flow(const Digest& digest) {
  Statement select(*state_->database, "SELECT bytes FROM flow WHERE digest = ?1 AND codec = 0");
  select.start(Blob{digest.raw()});
  auto found = select.next();
  if (!found) return tl::unexpected(found.error());
  if (!*found) return fail(ErrorCode::not_found, fmt::format("no flow \"{}\"", digest.text()));
  return select.text(0);
}

Result<std::vector<Journal::Entry>> SqliteJournal::read(const RunId& run, Offset after,
                                                        std::size_t limit) {
  auto serial = state_->serial_of(run);
  if (!serial) return tl::unexpected(serial.error());
  // The batch that began last at or before `after` may reach beyond it.
  Statement select(
      *state_->database,
      "SELECT first, count, bytes FROM batch WHERE run = ?1 AND first >= "
      "ifnull((SELECT max(first) FROM batch WHERE run = ?1 AND first <= ?2), 0) ORDER BY first");
  const auto clamped = static_cast<std::int64_t>(std::min<Offset>(after, INT64_MAX));
  select.start(*serial, clamped);
  std::vector<Entry> entries;
  for (std::uint64_t taken = 0;;) {
    auto more = select.next();
    if (!more) return tl::unexpected(more.error());
    if (!*more) return entries;
    const auto first = static_cast<Offset>(select.integer(0));
    const auto count = static_cast<std::uint64_t>(select.integer(1));
    if (first + count - 1 <= after) continue;
    if (taken != 0 && (taken >= limit || count > limit - taken)) return entries;
    auto batch = decode(run, select.bytes(2));
    if (!batch) return tl::unexpected(batch.error());
    taken += count;
    entries.push_back({first, std::move(*batch)});
  }
}

// Offsets are never used again, so the last one is noted where the rows that say so go.
Status SqliteJournal::State::remove_run(const RunId& run) {
  auto serial = serial_of(run);
  if (!serial) return tl::unexpected(serial.error());
  serials.erase(run);
  auto last = last_offset();
  if (!last) return tl::unexpected(last.error());
  if (auto done = set_number("last_offset", *last); !done) return done;
  Statement batches(*database, "DELETE FROM batch WHERE run = ?1");
  if (auto done = batches.run(*serial); !done) return done;
  Statement flows(
      *database,
      "DELETE FROM flow WHERE digest = (SELECT flow FROM run WHERE serial = ?1) AND NOT EXISTS("
      "SELECT 1 FROM run o WHERE o.flow = flow.digest AND o.serial <> ?1)");
  if (auto done = flows.run(*serial); !done) return done;
  Statement row(*database, "DELETE FROM run WHERE serial = ?1");
  if (auto done = row.run(*serial); !done) return done;
  return database->changes() == 0 ? Status(no_such_run(run)) : Status();
}

Status SqliteJournal::State::remove_everything() {
  serials.clear();
  auto last = last_offset();
  if (!last) return tl::unexpected(last.error());
  if (auto done = set_number("last_offset", *last); !done) return done;
  for (const char* sql : {"DELETE FROM batch", "DELETE FROM flow", "DELETE FROM run"}) {
    Statement remove(*database, sql);
    if (auto done = remove.run(); !done) return done;
  }
  return {};
}

Status SqliteJournal::remove(const RunId& run) {
  return state_->without_waiting([&] { return state_->remove_run(run); });
}

Result<LogPosition> SqliteJournal::log_position() {
  const auto epoch = state_->number("log_epoch");
  if (!epoch) return tl::unexpected(epoch.error());
  const auto sequence = state_->number("log_sequence");
  if (!sequence) return tl::unexpected(sequence.error());
  return LogPosition{*epoch, *sequence};
}

Status SqliteJournal::State::set_log_position(LogPosition position) {
  if (auto noted = set_number("log_epoch", position.epoch); !noted) return noted;
  return set_number("log_sequence", position.sequence);
}

Status SqliteJournal::note_log_position(LogPosition position) {
  return state_->without_waiting([&] { return state_->set_log_position(position); });
}

Status SqliteJournal::forget_log() {
  return state_->without_waiting([&]() -> Status {
    if (auto done = state_->remove_everything(); !done) return done;
    return state_->set_log_position({});
  });
}

Status SqliteJournal::State::carry_out(const LogEntry& entry, Offset& last) {
  const LogRecord& record = entry.record;
  if (std::holds_alternative<Restart>(record)) return remove_everything();
  if (const auto* opened = std::get_if<RunOpened>(&record))
    return insert_run(opened->row, entry.flow);
  if (const auto* summarised = std::get_if<Summarised>(&record))
    return set_summary(summarised->run, summarised->summary);
  if (const auto* removed = std::get_if<RunRemoved>(&record)) return remove_run(removed->run);
  const auto* appended = std::get_if<Appended>(&record);
  if (appended == nullptr) return {};  // a barrier
  for (const Batch& batch : appended->batches) {
    if (batch.count() == 0) continue;
    const Status done = append_one(batch, last + 1);
    if (!done && done.error().code != ErrorCode::not_found) return done;
    last += batch.count();  // as at the leader, also for a run that was removed here
  }
  return {};
}

Result<Offset> SqliteJournal::take_log(std::span<const LogEntry> entries) {
  State& state = *state_;
  auto transaction = Transaction::begin(*state.database);
  if (!transaction) return tl::unexpected(transaction.error());
  if (auto leads = state.check_epoch(); !leads) return tl::unexpected(leads.error());
  auto last = state.last_offset();
  if (!last) return last;
  auto known = log_position();
  if (!known) return tl::unexpected(known.error());
  for (const LogEntry& entry : entries) {
    if (entry.position <= *known) continue;
    *known = entry.position;
    const Status done = state.carry_out(entry, *last);
    if (!done && done.error().code != ErrorCode::not_found) return tl::unexpected(done.error());
  }
  if (auto noted = state.set_log_position(*known); !noted) return tl::unexpected(noted.error());
  if (auto written = transaction->commit(); !written) return tl::unexpected(written.error());
  return last;
}

}  // namespace reprise::journal
