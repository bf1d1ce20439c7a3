#include "cluster/client_desk.hpp"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "actors/fork.hpp"
#include "actors/idle_runs.hpp"
#include "actors/run_options.hpp"
#include "cluster/log_relay.hpp"
#include "cluster/worker_list.hpp"
#include "core/text.hpp"
#include "journal/run_codec.hpp"
#include "journal/run_view.hpp"

namespace reprise::cluster {

namespace {

using wire::Kind;

// Runs whose outputs are told without asking for them apart.
constexpr std::size_t outputs_kept = 256;

// How soon after news the journal is read, which gathers them; then ever later, as long as news
// that were heard may not be durable yet.
constexpr Duration look_soon = std::chrono::milliseconds{10};
constexpr Duration look_late = std::chrono::milliseconds{250};
constexpr int fruitless_most = 40;
// Of changes, at most so many in a message, and messages only up to here.
constexpr std::size_t changes_per_message = 4096;
constexpr std::size_t waiting_bytes_most = 1u << 20;

// Equal for equal requests. The key itself does not count, nor where the flow file lies.
Digest digest_of(const std::string& flow, const Parameters& parameters, RunOptions options) {
  options.submit_key.reset();
  std::string all = actors::encode_options(options);
  all += journal::encode_parameters(parameters);
  return sha256(flow + sha256(all).hex());
}

// The key as it is kept with a run: with the digest of what was asked for. That cannot be had from
// the run again, whose parameters have their defaults filled in.
std::string key_to_keep(const std::string& key, const Digest& what) {
  if (key.empty()) return key;
  return key + '\0' + std::string(what.raw());
}

struct KeptKey {
  std::string key;
  std::optional<Digest> what;  // an older program kept none
};

KeptKey kept_key(const std::string& kept) {
  constexpr std::size_t digest_size = 32;
  if (kept.size() <= digest_size || kept[kept.size() - digest_size - 1] != '\0') return {kept, {}};
  const auto what = Digest::from_raw(std::string_view(kept).substr(kept.size() - digest_size));
  return {kept.substr(0, kept.size() - digest_size - 1),
          what ? std::optional(*what) : std::nullopt};
}

template <class Message>
std::optional<Message> decoded(const std::string& bytes) {
  Message message;
  if (!decode(bytes, message)) return std::nullopt;
  return message;
}

}  // namespace

Result<std::unique_ptr<ClientDesk>> ClientDesk::open(Options options) {
  std::unique_ptr<ClientDesk> desk(new ClientDesk(std::move(options)));
  auto archive = RunRecords::open(desk->options_.data);
  if (!archive) return tl::unexpected(archive.error());
  desk->records_ = *std::move(archive);
  return desk;
}

Status ClientDesk::start() {
  if (Status resumed = resume_runs(); !resumed) return resumed;
  thread_ = std::thread([this] { loop(); });
  steering_thread_ = std::thread([this] { steer_loop(); });
  return {};
}

ClientDesk::~ClientDesk() {
  stop();
}

void ClientDesk::stop() {
  {
    const std::lock_guard guard(mutex_);
    ending_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
  if (steering_thread_.joinable()) steering_thread_.join();
}

void ClientDesk::take(LinkEvent event) {
  const std::lock_guard guard(mutex_);
  events_.emplace_back(std::move(event));
  changed_.notify_all();
}

void ClientDesk::run_nested(const RunId& run) {
  const std::lock_guard guard(mutex_);
  events_.emplace_back(Nested{run});
  changed_.notify_all();
}

void ClientDesk::run_ended(const RunId& run) {
  const std::lock_guard guard(mutex_);
  events_.emplace_back(run);
  changed_.notify_all();
}

void ClientDesk::run_changed(const RunId& run) {
  if (!anybody_follows_) return;
  const std::lock_guard guard(mutex_);
  if (changed_runs_.insert(run).second) changed_.notify_all();
}

void ClientDesk::loop() {
  for (;;) {
    std::unique_lock guard(mutex_);
    const auto is_news = [&] { return ending_ || !events_.empty() || !changed_runs_.empty(); };
    const Moment look = next_look();
    if (look == Moment::max())
      changed_.wait(guard, is_news);
    else
      changed_.wait_until(guard, look, is_news);
    if (ending_) return;
    note_changes();
    std::optional<Event> event;
    if (!events_.empty()) {
      event = std::move(events_.front());
      events_.pop_front();
    }
    guard.unlock();
    if (event) handle(*event);
    serve_watchers();
  }
}

// ---- runs of the server before ----

Status ClientDesk::resume_runs() {
  journal::RunQuery all;
  all.limit = UINT32_MAX;
  auto rows = records_->journal().runs(all);
  if (!rows) return tl::unexpected(rows.error());
  std::ranges::reverse(*rows);  // the oldest first
  for (const journal::RunRow& row : *rows) {
    auto options = actors::decode_options(row.options);
    // A nested run goes on with the run that it is nested in, which asks for it.
    if (options && options->nested_in && !is_finished(row.state)) going_on_.insert(row.id);
    if (!options || !options->submit_key) continue;
    if (KeptKey kept = kept_key(*options->submit_key); !kept.key.empty()) {
      if (!kept.what) {
        auto flow = records_->journal().flow(row.flow);
        if (!flow) return tl::unexpected(flow.error());
        kept.what = digest_of(*flow, row.parameters, *std::move(options));
      }
      by_key_[kept.key] = {row.id, *kept.what};
    }
    if (is_finished(row.state) || row.state == RunState::paused) continue;
    if (const Status resumed = resume(row); !resumed)
      options_.say(
          fmt::format("run {} cannot go on: {}", row.id.short_text(), resumed.error().message));
  }
  return {};
}

Status ClientDesk::resume(const journal::RunRow& row) {
  RunOptions options;
  options.as_it_was = true;
  if (Status done = continue_run(row, std::move(options)); !done) return done;
  going_on_.insert(row.id);
  return {};
}

Status ClientDesk::continue_run(const journal::RunRow& row, RunOptions options) {
  auto flow = journal::flow_of(records_->journal(), row);
  if (!flow) return tl::unexpected(flow.error());
  options.parameters = row.parameters;
  options.resume = row.id;
  const auto started = options_.engine.submit(*std::move(flow), std::move(options));
  if (!started) return tl::unexpected(started.error());
  alive_.insert(row.id);
  options_.say(fmt::format("run {} goes on", row.id.short_text()));
  return {};
}

// ---- events ----

void ClientDesk::handle(Event& event) {
  if (const RunId* run = std::get_if<RunId>(&event)) return ended(*run);
  if (const auto* nested = std::get_if<Nested>(&event)) {
    alive_.insert(nested->run);
    return;
  }
  if (auto* steered = std::get_if<Steered>(&event)) {
    const auto client = clients_.find(steered->link);
    if (client != clients_.end())
      answer(client->second, steered->request, std::move(steered->status));
    return;
  }
  if (auto* found = std::get_if<LogFound>(&event)) {
    const auto client = clients_.find(found->link);
    if (client == clients_.end()) return;
    if (found->part) return answer(client->second, found->request, {}, encode(*found->part));
    return answer(client->second, found->request, tl::unexpected(found->part.error()));
  }
  LinkEvent& news = std::get<LinkEvent>(event);
  if (auto* up = std::get_if<LinkUp>(&news)) {
    Client& client = clients_[up->peer.link];
    client.peer = std::move(up->peer);
    client.sender = std::move(up->sender);
    client.fetches =
        std::make_unique<BlobFetches>(records_->shared_blobs(), options_.data / "incoming");
  } else if (const auto* got = std::get_if<LinkMessages>(&news)) {
    const auto client = clients_.find(got->link);
    if (client == clients_.end()) return;
    for (const Message& message : got->messages) handle(client->second, message);
  } else if (const auto* down = std::get_if<LinkDown>(&news)) {
    clients_.erase(down->link);
    std::erase_if(watchers_, [&](const Watcher& each) { return each.link == down->link; });
  }
}

void ClientDesk::send(Client& client, Kind kind, std::string bytes) {
  const Status sent = client.sender->send(static_cast<std::uint16_t>(kind), std::move(bytes));
  if (!sent) client.sender->close(sent.error());
}

void ClientDesk::answer(Client& client, std::uint64_t request, Status status, std::string body) {
  send(client, Kind::answer, encode(wire::Answer{request, std::move(status), std::move(body)}));
}

namespace {

std::function<Status()> not_run_here(const journal::RunRow& row) {
  return [why = fail(ErrorCode::conflict, fmt::format("run {} is {}; the server does not run it",
                                                      row.id.short_text(), name(row.state)))] {
    return Status(why);
  };
}

}  // namespace

void ClientDesk::steer(
    Client& client, const std::string& bytes,
    Status (Engine::*how)(const RunId&, std::vector<std::string>, std::string),
    const std::function<std::function<Status()>(const wire::Steer&, const journal::RunRow&)>&
        at_rest) {
  auto request = decoded<wire::Steer>(bytes);
  if (!request) return client.sender->close({ErrorCode::corrupt, "a request does not decode"});
  const std::uint64_t number = request->request;
  if (!alive_.contains(request->run))
    if (const auto row = records_->row(request->run); row && *row)
      return steer_later(client, number, at_rest(*request, **row));
  steer_later(client, number, [this, how, what = *std::move(request)] {
    return (options_.engine.*how)(what.run, what.tasks, what.reason);
  });
}

// By a thread of its own, since it may have to wait for the journal.
void ClientDesk::steer_later(const Client& client, std::uint64_t request,
                             std::function<Status()> action) {
  const std::lock_guard guard(mutex_);
  steering_.emplace_back(
      [this, link = client.peer.link, request, action = std::move(action)]() mutable {
        // What it holds is let go of before anybody is told: the next thing may be asked at once.
        Status done = std::exchange(action, nullptr)();
        const std::lock_guard again(mutex_);
        events_.emplace_back(Steered{link, request, std::move(done)});
        changed_.notify_all();
      });
  changed_.notify_all();
}

void ClientDesk::steer_loop() {
  for (;;) {
    std::unique_lock guard(mutex_);
    changed_.wait(guard, [&] { return ending_ || !steering_.empty(); });
    if (ending_) return;
    const auto next = std::move(steering_.front());
    steering_.pop_front();
    guard.unlock();
    next();
  }
}

// The engine has nothing of a run that waits for a person, or does not need it: it is cancelled in
// the journal.
std::function<Status()> ClientDesk::cancel_at_rest(const wire::Steer& request,
                                                   const journal::RunRow& row) {
  if (row.state != RunState::paused) return not_run_here(row);
  const auto refuse = [](Error why) {
    return [why = std::move(why)] { return Status(tl::unexpected(why)); };
  };
  if (!request.tasks.empty())
    return refuse(
        {ErrorCode::conflict, fmt::format("run {} is {}; cancel all of it, or resume it first",
                                          row.id.short_text(), name(row.state))});
  auto all =
      reprise::cancel_idle(records_->journal(), records_->folder(), row, request.reason, now());
  if (!all) return refuse(all.error());
  // Shared, since what is called later has to be copyable.
  auto cancelled = std::make_shared<std::vector<Cancellation>>(*std::move(all));
  return [this, cancelled, id = row.id] {
    for (Cancellation& each : *cancelled) {
      options_.engine.forget(each.batch.run);
      if (Status written = options_.engine.amend(std::move(each.batch), each.summary); !written)
        return written;
    }
    options_.say(fmt::format("run {} ended: {}", id.short_text(), name(RunState::cancelled)));
    return Status();
  };
}

void ClientDesk::handle(Client& client, const Message& message) {
  const auto refuse = [&] {
    client.sender->close({ErrorCode::corrupt, "a request does not decode"});
  };
  switch (static_cast<Kind>(message.kind)) {
    case Kind::submit: {
      wire::Submit request;
      const Status read = decode(message.bytes, request);
      // Of a flow that does not decode the number of the request is known all the same.
      if (read)
        submit(client, std::move(request));
      else if (request.request != 0)
        answer(client, request.request, read);
      else
        refuse();
      return;
    }
    case Kind::cancel:
      return steer(client, message.bytes, &Engine::cancel,
                   [this](const wire::Steer& request, const journal::RunRow& row) {
                     return cancel_at_rest(request, row);
                   });
    case Kind::pause:
      return steer(
          client, message.bytes, &Engine::pause,
          [](const wire::Steer&, const journal::RunRow& row) { return not_run_here(row); });
    case Kind::watch:
      if (const auto request = decoded<wire::Watch>(message.bytes)) return watch(client, *request);
      return refuse();
    case Kind::query:
      if (const auto request = decoded<wire::Query>(message.bytes)) return query(client, *request);
      return refuse();
    case Kind::blob_chunk:
      if (const auto part = decoded<wire::BlobChunk>(message.bytes))
        return take_part(client, *part);
      return refuse();
    case Kind::ping:
      return send(client, Kind::pong, message.bytes);
    default:  // what a newer client may say
      return;
  }
}

// ---- requests ----

// A flow begins once its input files are here: whoever gave it may then leave.
void ClientDesk::submit(Client& client, wire::Submit request) {
  const auto options = actors::decode_options(request.options);
  if (!options) return answer(client, request.request, tl::unexpected(options.error()));
  std::set<Digest> missing;
  for (const auto& [path, file] : options->files)
    if (!records_->blobs().contains(file.content)) missing.insert(file.content);
  if (missing.empty()) return begin(client, request);
  for (const Digest& each : missing) client.fetches->want({each, false});
  client.coming.push_back({std::move(request), std::move(missing)});
  ask_for_parts(client);
}

void ClientDesk::ask_for_parts(Client& client) {
  for (const wire::BlobRequest& part : client.fetches->take_requests())
    send(client, Kind::blob_request, encode(part));
}

void ClientDesk::take_part(Client& client, const wire::BlobChunk& part) {
  client.fetches->take(part);
  for (const BlobFetches::Arrived& arrived : client.fetches->take_arrived()) {
    for (auto it = client.coming.begin(); it != client.coming.end();) {
      if (it->missing.erase(arrived.what.digest) == 0 || (arrived.status && !it->missing.empty())) {
        ++it;
        continue;
      }
      if (arrived.status)
        begin(client, it->request);
      else
        answer(client, it->request.request,
               fail(arrived.status.error().code,
                    "an input file could not be fetched: " + arrived.status.error().message));
      it = client.coming.erase(it);
    }
  }
  ask_for_parts(client);
}

void ClientDesk::begin(Client& client, const wire::Submit& request) {
  auto options = actors::decode_options(request.options);
  if (!options) return answer(client, request.request, tl::unexpected(options.error()));
  options->parameters = request.parameters;
  if (!request.ns.empty()) options->ns = request.ns;
  auto submitted = start_run(request.flow, *std::move(options), request.idempotency, client);
  if (!submitted) return answer(client, request.request, tl::unexpected(submitted.error()));
  submitted->request = request.request;
  send(client, Kind::submitted, encode(*submitted));
}

Result<wire::Submitted> ClientDesk::start_run(std::shared_ptr<const FlowSpec> flow,
                                              RunOptions options, const std::string& key,
                                              const Client& client) {
  options.always_new = true;
  options.resume.reset();
  const Digest what = digest_of(flow->encode(), options.parameters, options);
  options.submit_key = key_to_keep(key, what);
  const auto known = by_key_.find(key);
  if (!key.empty() && known != by_key_.end()) {
    if (known->second.what != what)
      return fail(ErrorCode::conflict,
                  fmt::format("the key \"{}\" was used for something else: run {}",
                              escape_for_terminal(key), known->second.run.short_text()));
    return wire::Submitted{0, known->second.run, true, options_.is_stable};
  }
  const std::string name = flow->name;
  const auto started = options_.engine.submit(std::move(flow), std::move(options));
  if (!started) return tl::unexpected(started.error());
  alive_.insert(started->id);
  if (!key.empty()) by_key_[key] = {started->id, what};
  options_.say(fmt::format("run {} of flow \"{}\" from client \"{}\"", started->id.short_text(),
                           escape_for_terminal(name),
                           escape_for_terminal(client.peer.identity.name)));
  return wire::Submitted{0, started->id, false, started->stable};
}

// ---- questions ----

void ClientDesk::query(Client& client, const wire::Query& request) {
  if (request.op == "log") return log(client, request);
  auto body = answer_here(request, client);
  if (!body) return answer(client, request.request, tl::unexpected(body.error()));
  answer(client, request.request, {}, *std::move(body));
}

Result<std::string> ClientDesk::answer_here(const wire::Query& request, const Client& client) {
  const auto nothing = [](const Status& status) -> Result<std::string> {
    if (!status) return tl::unexpected(status.error());
    return std::string();
  };
  if (request.op == "workers") return encode_workers(options_.board->workers(), now());
  if (request.op == "functions") return worker::encode_known(options_.board->functions());
  if (auto answered = records_->answer(request.op, request.body)) return *std::move(answered);
  if (request.op == "result") return result(request.body);
  if (request.op == "resume" || request.op == "retry") {
    wire::AskAgain again;
    if (Status read = decode(request.body, again); !read) return tl::unexpected(read.error());
    return nothing(request.op == "resume" ? go_on(again) : retry(again));
  }
  if (request.op == "fork") {
    wire::AskFork question;
    if (Status read = decode(request.body, question); !read) return tl::unexpected(read.error());
    return fork(question, client);
  }
  if (!options_.query) return fail(ErrorCode::not_found, "no such query");
  return options_.query(request.op, request.body);
}

Result<std::string> ClientDesk::result(const std::string& body) {
  wire::AskResult question;
  if (Status read = decode(body, question); !read) return tl::unexpected(read.error());
  auto value = alive_.contains(question.run) ? options_.engine.result(question.run, question.node)
                                             : records_->result(question.run, question.node);
  if (!value) return tl::unexpected(value.error());
  if (Status kept = records_->keep(*value); !kept) return tl::unexpected(kept.error());
  return encode(wire::NodeResult{*std::move(value)});
}

// Where the attempt ran: here, when the run was of the embedded engine, else with a worker.
void ClientDesk::log(Client& client, const wire::Query& request) {
  wire::AskLog what;
  if (Status read = decode(request.body, what); !read) return answer(client, request.request, read);
  auto here = read_log(records_->folder().runs(), what);
  if (here) return answer(client, request.request, {}, encode(*here));
  options_.find_log(
      what, [this, link = client.peer.link, number = request.request](Result<wire::LogPart> part) {
        const std::lock_guard guard(mutex_);
        events_.emplace_back(LogFound{link, number, std::move(part)});
        changed_.notify_all();
      });
}

Result<journal::RunRow> ClientDesk::known_row(const RunId& run) {
  auto row = records_->row(run);
  if (!row) return tl::unexpected(row.error());
  if (!*row) return fail(ErrorCode::not_found, fmt::format("no run \"{}\"", run.text()));
  if (alive_.contains(run))
    return fail(ErrorCode::conflict,
                fmt::format("run {} is {}", (*row)->id.short_text(), name((*row)->state)));
  return **std::move(row);
}

Status ClientDesk::go_on(const wire::AskAgain& request) {
  const auto row = known_row(request.run);
  if (!row) return tl::unexpected(row.error());
  if (is_finished(row->state))
    return fail(ErrorCode::conflict,
                fmt::format("run {} is finished ({})", row->id.short_text(), name(row->state)));
  if (!request.tasks.empty()) {
    const auto view = journal::load_run(records_->journal(), *row);
    if (!view) return tl::unexpected(view.error());
    if (Status paused = check_resume(*row, *view, request.tasks); !paused) return paused;
  }
  RunOptions options;
  options.resume_tasks = request.tasks;
  return continue_run(*row, std::move(options));
}

Status ClientDesk::retry(const wire::AskAgain& request) {
  const auto row = known_row(request.run);
  if (!row) return tl::unexpected(row.error());
  if (!is_finished(row->state))
    return fail(ErrorCode::conflict,
                fmt::format("run {} is not finished; resume it", row->id.short_text()));
  {
    const auto lock = records_->folder().own(row->id);
    if (!lock) return tl::unexpected(lock.error());
    const auto view = journal::load_run(records_->journal(), *row);
    if (!view) return tl::unexpected(view.error());
    RetryRequest what;
    what.failed = request.failed || !request.cancelled;
    what.cancelled = request.cancelled || !request.failed;
    what.tasks = request.tasks;
    auto batch = make_retry(*row, *view, what, now());
    if (!batch) return tl::unexpected(batch.error());
    // From here on the run is one that was interrupted, should anything happen to us.
    if (Status written = options_.engine.amend(*std::move(batch), std::nullopt); !written)
      return written;
  }
  return continue_run(*row, {});
}

Result<std::string> ClientDesk::fork(const wire::AskFork& request, const Client& client) {
  const auto row = known_row(request.run);
  if (!row) return tl::unexpected(row.error());
  const auto view = journal::load_run(records_->journal(), *row);
  if (!view) return tl::unexpected(view.error());
  ForkRequest what;
  what.at = request.at;
  Parameters given = row->parameters;
  for (const auto& [name, value] : request.parameters) given.insert_or_assign(name, value);
  auto bound = bind_parameters(view->flow(), given);
  if (!bound) return tl::unexpected(bound.error());
  what.parameters = *std::move(bound);
  auto made = make_fork(*row, *view, what, records_->blobs());
  if (!made) return tl::unexpected(made.error());
  const auto began = actors::decode_options(row->options);
  if (!began) return tl::unexpected(began.error());
  made->run.context = began->context;
  made->run.files = began->files;
  made->run.cache = static_cast<CacheMode>(request.cache);
  const auto started =
      start_run(view->shared_flow(), std::move(made->run), request.idempotency, client);
  if (!started) return tl::unexpected(started.error());
  return encode(wire::Forked{started->run, made->given, made->again});
}

// ---- watching ----

// Runs that are over are told from the journal: the engine forgets them. One whose end is in the
// journal and was not told here yet still waits for that, which brings its outputs.
void ClientDesk::watch(Client& client, const wire::Watch& request) {
  if (!request.run)
    return answer(client, request.request,
                  fail(ErrorCode::invalid_argument, "a watch is of one run"));
  Watcher watcher;
  watcher.run = *request.run;
  watcher.link = client.peer.link;
  watcher.request = request.request;
  watcher.next = request.from;
  watcher.due = request.from == 0 ? Moment::max() : Moment::min();
  if (!alive_.contains(*request.run)) {
    const auto row = records_->row(*request.run);
    if (!row) return answer(client, request.request, tl::unexpected(row.error()));
    if (!*row)
      return answer(client, request.request,
                    fail(ErrorCode::not_found, fmt::format("no run \"{}\"", request.run->text())));
    if (!is_finished((*row)->state) && (*row)->state != RunState::paused)
      return answer(client, request.request,
                    fail(ErrorCode::conflict,
                         fmt::format("run {} is not the server's own; it is run by another "
                                     "process, or by none",
                                     (*row)->id.short_text())));
    watcher.end = end_of(**row);
    watcher.due = Moment::min();
  }
  watchers_.push_back(std::move(watcher));
  anybody_follows_ = anybody_follows_ || request.from != 0;
}

wire::RunEnded ClientDesk::end_of(const journal::RunRow& row) const {
  wire::RunEnded ended{0, row.id, row.state, row.message, row.summary, {}};
  if (const auto outputs = outputs_.find(row.id); outputs != outputs_.end())
    ended.outputs = outputs->second;
  return ended;
}

void ClientDesk::ended(const RunId& run) {
  auto result = options_.engine.wait(run, Duration{0});
  if (!result) return;
  options_.say(fmt::format("run {} ended: {}", run.short_text(), name(result->state)));
  alive_.erase(run);
  for (const auto& [name, value] : result->outputs)
    if (const Status kept = records_->keep(value); !kept)
      options_.say(fmt::format("an output of run {} cannot be kept: {}", run.short_text(),
                               kept.error().message));
  outputs_[run] = std::move(result->outputs);
  if (outputs_.size() > outputs_kept) outputs_.erase(outputs_.begin());  // ids sort by time
  const auto row = records_->row(run);
  for (Watcher& each : watchers_) {
    if (each.run != run || each.end) continue;
    wire::RunEnded end{0, run, result->state, result->message, result->summary, {}};
    each.end = row && *row ? end_of(**row) : std::move(end);
    each.due = Moment::min();
  }
  if (result->state != RunState::paused) options_.engine.forget(run);
}

/// The mutex is held.
void ClientDesk::note_changes() {
  if (changed_runs_.empty()) return;
  const Moment soon = std::chrono::steady_clock::now() + look_soon;
  for (Watcher& each : watchers_)
    if (each.next != 0 && changed_runs_.contains(each.run)) {
      each.due = std::min(each.due, soon);
      each.fruitless = 0;
    }
  changed_runs_.clear();
}

ClientDesk::Moment ClientDesk::next_look() const {
  Moment next = Moment::max();
  for (const Watcher& each : watchers_) next = std::min(next, each.due);
  return next;
}

void ClientDesk::serve_watchers() {
  const Moment now = std::chrono::steady_clock::now();
  std::erase_if(watchers_, [&](Watcher& each) {
    if (each.due > now) return false;
    const auto client = clients_.find(each.link);
    return client == clients_.end() || serve(each, client->second);
  });
  anybody_follows_ =
      std::ranges::any_of(watchers_, [](const Watcher& each) { return each.next != 0; });
}

bool ClientDesk::serve(Watcher& watcher, Client& client) {
  bool all_sent = true;
  if (watcher.next != 0) {
    const auto sent = send_changes(watcher, client);
    if (!sent) {
      answer(client, watcher.request, tl::unexpected(sent.error()));
      return true;
    }
    all_sent = *sent;
  }
  if (!all_sent || !watcher.end) return false;
  watcher.end->request = watcher.request;
  send(client, Kind::run_ended, encode(*watcher.end));
  return true;
}

/// @return all that is durable was sent
Result<bool> ClientDesk::send_changes(Watcher& watcher, Client& client) {
  const auto later = [&](Duration pause) {
    watcher.due = std::chrono::steady_clock::now() + pause;
  };
  if (client.sender->waiting_bytes() > waiting_bytes_most) {
    later(look_soon);
    return false;
  }
  auto entries = records_->journal().read(watcher.run, watcher.next - 1, changes_per_message);
  if (!entries) return tl::unexpected(entries.error());
  if (entries->empty()) {
    if (++watcher.fruitless > fruitless_most)
      watcher.due = Moment::max();
    else
      later(std::min<Duration>(look_soon * (1 << std::min(watcher.fruitless, 5)), look_late));
    return true;
  }
  watcher.fruitless = 0;
  wire::Changes changes{watcher.request, 0, {}};
  const auto flush = [&] {
    if (!changes.batches.empty()) send(client, Kind::changes, encode(changes));
    changes.batches.clear();
  };
  for (journal::Journal::Entry& entry : *entries) {
    const auto begun = watcher.next > entry.first ? watcher.next - entry.first : 0;
    auto& tasks = entry.batch.tasks;
    tasks.erase(tasks.begin(), tasks.begin() + static_cast<std::ptrdiff_t>(
                                                   std::min<std::uint64_t>(begun, tasks.size())));
    const journal::Offset first = entry.first + begun;
    if (first != watcher.next || changes.batches.empty()) {
      flush();
      changes.first = first;
    }
    watcher.next = first + entry.batch.count();
    changes.batches.push_back(std::move(entry.batch));
  }
  flush();
  watcher.due = Moment::min();  // there may be more
  return false;
}

}  // namespace reprise::cluster
