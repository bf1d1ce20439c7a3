#include "cluster/client_desk.hpp"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "actors/run_options.hpp"
#include "cluster/worker_list.hpp"
#include "core/text.hpp"
#include "journal/data_folder.hpp"
#include "journal/run_codec.hpp"
#include "journal/run_view.hpp"
#include "journal/sqlite_journal.hpp"

namespace reprise::cluster {

namespace {

using wire::Kind;

// Runs whose outputs are told without asking for them apart.
constexpr std::size_t outputs_kept = 256;

// Equal for equal requests. The key itself does not count, nor where the flow file lies.
Digest digest_of(const std::string& flow, const Parameters& parameters, RunOptions options) {
  options.submit_key.reset();
  std::string all = actors::encode_options(options);
  all += journal::encode_parameters(parameters);
  return sha256(flow + sha256(all).hex());
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
  auto folder = journal::DataFolder::open({.path = desk->options_.data, .create = false});
  if (!folder) return tl::unexpected(folder.error());
  auto journal = journal::SqliteJournal::open({.path = folder->journal_file()});
  if (!journal) return tl::unexpected(journal.error());
  desk->journal_ = *std::move(journal);
  return desk;
}

Status ClientDesk::start() {
  if (Status resumed = resume_runs(); !resumed) return resumed;
  thread_ = std::thread([this] { loop(); });
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
}

void ClientDesk::take(LinkEvent event) {
  const std::lock_guard guard(mutex_);
  events_.emplace_back(std::move(event));
  changed_.notify_all();
}

void ClientDesk::run_ended(const RunId& run) {
  const std::lock_guard guard(mutex_);
  events_.emplace_back(run);
  changed_.notify_all();
}

void ClientDesk::loop() {
  for (;;) {
    std::unique_lock guard(mutex_);
    changed_.wait(guard, [&] { return ending_ || !events_.empty(); });
    if (ending_) return;
    Event event = std::move(events_.front());
    events_.pop_front();
    guard.unlock();
    handle(event);
  }
}

// ---- runs of the server before ----

Status ClientDesk::resume_runs() {
  journal::RunQuery all;
  all.limit = UINT32_MAX;
  auto rows = journal_->runs(all);
  if (!rows) return tl::unexpected(rows.error());
  std::ranges::reverse(*rows);  // the oldest first
  for (const journal::RunRow& row : *rows) {
    auto options = actors::decode_options(row.options);
    if (!options || !options->submit_key) continue;
    if (!options->submit_key->empty()) {
      const std::string key = *options->submit_key;
      auto flow = journal_->flow(row.flow);
      if (!flow) return tl::unexpected(flow.error());
      by_key_[key] = {row.id, digest_of(*flow, row.parameters, *std::move(options))};
    }
    if (is_finished(row.state) || row.state == RunState::paused) continue;
    if (const Status resumed = resume(row); !resumed)
      options_.say(
          fmt::format("run {} cannot go on: {}", row.id.short_text(), resumed.error().message));
  }
  return {};
}

Status ClientDesk::resume(const journal::RunRow& row) {
  auto flow = journal::flow_of(*journal_, row);
  if (!flow) return tl::unexpected(flow.error());
  RunOptions options;
  options.parameters = row.parameters;
  options.resume = row.id;
  options.as_it_was = true;
  const auto started = options_.engine.submit(*std::move(flow), std::move(options));
  if (!started) return tl::unexpected(started.error());
  alive_.insert(row.id);
  going_on_.insert(row.id);
  options_.say(fmt::format("run {} goes on", row.id.short_text()));
  return {};
}

// ---- events ----

void ClientDesk::handle(Event& event) {
  if (const RunId* run = std::get_if<RunId>(&event)) return ended(*run);
  LinkEvent& news = std::get<LinkEvent>(event);
  if (auto* up = std::get_if<LinkUp>(&news)) {
    clients_[up->peer.link] = {std::move(up->peer), std::move(up->sender)};
  } else if (const auto* got = std::get_if<LinkMessages>(&news)) {
    const auto client = clients_.find(got->link);
    if (client == clients_.end()) return;
    for (const Message& message : got->messages) handle(client->second, message);
  } else if (const auto* down = std::get_if<LinkDown>(&news)) {
    clients_.erase(down->link);
    for (auto& [run, watchers] : watchers_)
      std::erase_if(watchers, [&](const Watcher& each) { return each.link == down->link; });
    std::erase_if(watchers_, [](const auto& each) { return each.second.empty(); });
  }
}

void ClientDesk::send(Client& client, Kind kind, std::string bytes) {
  const Status sent = client.sender->send(static_cast<std::uint16_t>(kind), std::move(bytes));
  if (!sent) client.sender->close(sent.error());
}

void ClientDesk::answer(Client& client, std::uint64_t request, Status status, std::string body) {
  send(client, Kind::answer, encode(wire::Answer{request, std::move(status), std::move(body)}));
}

template <class Action>
void ClientDesk::steer(Client& client, const std::string& bytes, Action action) {
  const auto request = decoded<wire::Steer>(bytes);
  if (!request) return client.sender->close({ErrorCode::corrupt, "a request does not decode"});
  if (!alive_.contains(request->run))
    if (const auto row = row_of(request->run); row && *row)
      return answer(
          client, request->request,
          fail(ErrorCode::conflict, fmt::format("run {} is {}; the server does not run it",
                                                (*row)->id.short_text(), name((*row)->state))));
  answer(client, request->request, action(*request));
}

void ClientDesk::handle(Client& client, const Message& message) {
  const auto refuse = [&] {
    client.sender->close({ErrorCode::corrupt, "a request does not decode"});
  };
  Engine& engine = options_.engine;
  switch (static_cast<Kind>(message.kind)) {
    case Kind::submit: {
      wire::Submit request;
      const Status read = decode(message.bytes, request);
      // Of a flow that does not decode the number of the request is known all the same.
      if (read)
        submit(client, request);
      else if (request.request != 0)
        answer(client, request.request, read);
      else
        refuse();
      return;
    }
    case Kind::cancel:
      return steer(client, message.bytes, [&](const wire::Steer& request) {
        return engine.cancel(request.run, request.tasks, request.reason);
      });
    case Kind::pause:
      return steer(client, message.bytes, [&](const wire::Steer& request) {
        return engine.pause(request.run, request.tasks, request.reason);
      });
    case Kind::watch:
      if (const auto request = decoded<wire::Watch>(message.bytes)) return watch(client, *request);
      return refuse();
    case Kind::query: {
      const auto request = decoded<wire::Query>(message.bytes);
      if (!request) return refuse();
      if (request->op == "workers")
        return answer(client, request->request, {},
                      encode_workers(options_.board->workers(), now()));
      if (!options_.query)
        return answer(client, request->request, fail(ErrorCode::not_found, "no such query"));
      auto body = options_.query(request->op, request->body);
      if (!body) return answer(client, request->request, tl::unexpected(body.error()));
      return answer(client, request->request, {}, *std::move(body));
    }
    case Kind::ping:
      return send(client, Kind::pong, message.bytes);
    default:  // what a newer client may say
      return;
  }
}

// ---- requests ----

void ClientDesk::submit(Client& client, const wire::Submit& request) {
  auto options = actors::decode_options(request.options);
  if (!options) return answer(client, request.request, tl::unexpected(options.error()));
  options->parameters = request.parameters;
  options->always_new = true;
  options->resume.reset();
  options->submit_key = request.idempotency;
  if (!request.ns.empty()) options->ns = request.ns;
  const Digest what = digest_of(request.flow->encode(), request.parameters, *options);
  if (const auto known = by_key_.find(request.idempotency);
      !request.idempotency.empty() && known != by_key_.end()) {
    if (known->second.what != what)
      return answer(client, request.request,
                    fail(ErrorCode::conflict,
                         fmt::format("the key \"{}\" was used for something else: run {}",
                                     escape_for_terminal(request.idempotency),
                                     known->second.run.short_text())));
    return send(client, Kind::submitted,
                encode(wire::Submitted{request.request, known->second.run, true, true}));
  }
  const auto started = options_.engine.submit(request.flow, *std::move(options));
  if (!started) return answer(client, request.request, tl::unexpected(started.error()));
  alive_.insert(started->id);
  if (!request.idempotency.empty()) by_key_[request.idempotency] = {started->id, what};
  options_.say(fmt::format("run {} of flow \"{}\" from client \"{}\"", started->id.short_text(),
                           escape_for_terminal(request.flow->name),
                           escape_for_terminal(client.peer.identity.name)));
  send(client, Kind::submitted,
       encode(wire::Submitted{request.request, started->id, false, started->stable}));
}

Result<std::optional<journal::RunRow>> ClientDesk::row_of(const RunId& run) {
  journal::RunQuery query;
  query.id_prefix = run.text();
  auto rows = journal_->runs(query);
  if (!rows) return tl::unexpected(rows.error());
  if (rows->empty()) return std::nullopt;
  return std::move(rows->front());
}

// Runs that are over are told from the journal: the engine forgets them. One whose end is in the
// journal and was not told here yet still waits for that, which brings its outputs.
void ClientDesk::watch(Client& client, const wire::Watch& request) {
  if (!request.run)
    return answer(client, request.request,
                  fail(ErrorCode::invalid_argument, "a watch is of one run"));
  if (alive_.contains(*request.run)) {
    watchers_[*request.run].push_back({client.peer.link, request.request});
    return;
  }
  const auto row = row_of(*request.run);
  if (!row) return answer(client, request.request, tl::unexpected(row.error()));
  if (!*row)
    return answer(client, request.request,
                  fail(ErrorCode::not_found, fmt::format("no run \"{}\"", request.run->text())));
  if (!is_finished((*row)->state) && (*row)->state != RunState::paused)
    return answer(client, request.request,
                  fail(ErrorCode::conflict,
                       fmt::format("run {} is not the server's own; it is run by another process, "
                                   "or by none",
                                   (*row)->id.short_text())));
  tell_end(client, request.request, **row);
}

void ClientDesk::tell_end(Client& client, std::uint64_t request, const journal::RunRow& row) {
  wire::RunEnded ended{request, row.id, row.state, row.message, row.summary, {}};
  if (const auto outputs = outputs_.find(row.id); outputs != outputs_.end())
    ended.outputs = outputs->second;
  send(client, Kind::run_ended, encode(ended));
}

void ClientDesk::ended(const RunId& run) {
  auto result = options_.engine.wait(run, Duration{0});
  if (!result) return;
  options_.say(fmt::format("run {} ended: {}", run.short_text(), name(result->state)));
  alive_.erase(run);
  outputs_[run] = std::move(result->outputs);
  if (outputs_.size() > outputs_kept) outputs_.erase(outputs_.begin());  // ids sort by time
  auto watchers = watchers_.extract(run);
  if (!watchers.empty()) {
    const auto row = row_of(run);
    for (const Watcher& each : watchers.mapped()) {
      const auto client = clients_.find(each.link);
      if (client == clients_.end()) continue;
      if (row && *row)
        tell_end(client->second, each.request, **row);
      else
        answer(client->second, each.request,
               fail(ErrorCode::unavailable, "the run ended; its journal cannot be read"));
    }
  }
  if (result->state != RunState::paused) options_.engine.forget(run);
}

}  // namespace reprise::cluster
