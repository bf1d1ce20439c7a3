// The part of Server that plays the client desk: one request after the other, since it waits for
// disk and scheduler.
#include <algorithm>
#include <utility>

#include "actors/run_options.hpp"
#include "core/assert.hpp"
#include "tests/sim/server_life.hpp"

namespace reprise::sim {

using namespace std::chrono_literals;
namespace wire = cluster::wire;
using cluster::LinkNumber;
using scheduler::RunIndex;
using wire::Kind;

namespace {

RunId make_id(World& world) {
  RunId id;
  auto milliseconds = static_cast<std::uint64_t>(
      std::chrono::duration_cast<std::chrono::milliseconds>(world.now().time_since_epoch())
          .count());
  for (std::size_t i = 6; i-- > 0; milliseconds >>= 8)
    id.bytes[i] = static_cast<std::uint8_t>(milliseconds);
  for (std::size_t i = 6; i < 16; ++i) id.bytes[i] = static_cast<std::uint8_t>(world.random.next());
  return id;
}

}  // namespace

void Server::desk(std::function<void()> work) {
  life_->desk_work.push_back(std::move(work));
  if (!life_->desk_is_busy) next_at_desk();
}

void Server::next_at_desk() {
  while (!life_->desk_is_busy && !life_->desk_work.empty()) {
    const auto work = std::move(life_->desk_work.front());
    life_->desk_work.pop_front();
    work();
  }
}

void Server::desk_link(cluster::LinkEvent& event) {
  if (const auto* up = std::get_if<cluster::LinkUp>(&event)) {
    life_->clients.insert(up->peer.link);
  } else if (const auto* got = std::get_if<cluster::LinkMessages>(&event)) {
    for (const cluster::Message& message : got->messages) {
      // Each is a piece of work of its own: the first may keep the desk waiting.
      life_->desk_work.push_back([this, link = got->link, message] {
        if (life_->clients.contains(link)) desk_message(link, message);
      });
    }
  } else if (const auto* down = std::get_if<cluster::LinkDown>(&event)) {
    life_->clients.erase(down->link);
    for (auto& [run, watchers] : life_->watchers)
      std::erase_if(watchers, [&](const auto& each) { return each.link == down->link; });
  }
}

void Server::desk_message(LinkNumber link, const cluster::Message& message) {
  const auto decoded = [&](auto& request) {
    const Status read = decode(message.bytes, request);
    REPRISE_ASSERT(read.has_value(), message.kind);
  };
  switch (static_cast<Kind>(message.kind)) {
    case Kind::submit: {
      wire::Submit request;
      decoded(request);
      return submit(link, request);
    }
    case Kind::cancel: {
      wire::Steer request;
      decoded(request);
      return steer(link, request);
    }
    case Kind::watch: {
      wire::Watch request;
      decoded(request);
      return watch(link, request);
    }
    default:
      return;
  }
}

void Server::answer(LinkNumber link, std::uint64_t request, Status status) {
  if (!life_->clients.contains(link)) return;
  send(link, static_cast<std::uint16_t>(Kind::answer),
       encode(wire::Answer{request, std::move(status), {}}));
}

void Server::submit(LinkNumber link, const wire::Submit& request) {
  auto options = actors::decode_options(request.options);
  REPRISE_ASSERT(options.has_value());
  options->submit_key = request.idempotency;
  const auto tell = [this, link, number = request.request](const RunId& run, bool continued) {
    if (!life_->clients.contains(link)) return;
    send(link, static_cast<std::uint16_t>(Kind::submitted),
         encode(wire::Submitted{number, run, continued, true}));
  };
  if (const auto found = life_->by_key.find(request.idempotency);
      found != life_->by_key.end() && !has(Bug::ignore_idempotency_key))
    return tell(found->second, true);
  journal::RunRow row;
  row.id = make_id(world());
  row.flow_name = request.flow->name;
  const std::string flow_bytes = request.flow->encode();
  row.flow = sha256(flow_bytes);
  row.state = RunState::running;
  row.submitted = now();
  row.options = actors::encode_options(*options);
  const std::string key = request.idempotency;
  if (has(Bug::ack_submit_before_append)) tell(row.id, false);
  life_->desk_is_busy = true;
  const Duration wait =
      world().random.between(100us, disk_.is_slow ? Duration{300ms} : Duration{5ms});
  world().after(wait, *this, [this, row, flow_bytes, key, tell, link, number = request.request] {
    boundary("server opens a run");
    const auto job = std::ranges::find(config_.workload.jobs, key, &Job::key);
    const Status opened = disk_.open_run(row, flow_bytes);
    if (opened) checker_.run_opened(row.id, *job);
    boundary("server opened a run");
    life_->desk_is_busy = false;
    if (!opened) {
      answer(link, number, opened);
      return next_at_desk();
    }
    life_->alive.insert(row.id);
    life_->by_key[key] = row.id;
    begin(row.id, *job, {});
    if (!has(Bug::ack_submit_before_append)) tell(row.id, false);
    next_at_desk();
  });
}

void Server::steer(LinkNumber link, const wire::Steer& request) {
  const auto index = life_->index_of.find(request.run);
  if (index == life_->index_of.end())
    return answer(link, request.request, fail(ErrorCode::conflict, "the server does not run it"));
  checker_.cancel_asked(request.run);
  life_->desk_is_busy = true;
  const auto done = [this, link, request](const Status& status) {
    life_->engine_to_desk.send([this, link, request, status] {
      if (status) checker_.cancel_answered(request.run);
      life_->desk_is_busy = false;
      answer(link, request.request, status);
      next_at_desk();
    });
  };
  if (has(Bug::ignore_cancel)) return done({});
  life_->desk_to_scheduler.send([this, request, done, index = index->second] {
    scheduler::Run* run = life_->core.find(index);
    if (run == nullptr || run->ended())
      return done(fail(ErrorCode::conflict, "the run is already finished"));
    handle(scheduler::Cancel{index, {}, request.reason});
    if (has(Bug::ack_cancel_before_append)) return done({});
    carry_out(life_->recorder.write_out());
    if (life_->recorder.is_settled()) return done(life_->recorder.trouble());
    life_->questions.push_back({life_->recorder.last_ticket(), done});
  });
}

void Server::watch(LinkNumber link, const wire::Watch& request) {
  if (life_->alive.contains(*request.run)) {
    life_->watchers[*request.run].push_back({link, request.request});
    return;
  }
  tell_end(link, request.request, *request.run);
}

void Server::tell_end(LinkNumber link, std::uint64_t request, const RunId& run) {
  if (!life_->clients.contains(link)) return;
  journal::RunQuery query;
  query.id_prefix = run.text();
  auto rows = disk_.journal().runs(query);
  if (rows->empty()) return answer(link, request, fail(ErrorCode::not_found, "no such run"));
  journal::RunRow& row = rows->front();
  if (has(Bug::tell_end_before_append))
    if (const auto early = life_->ended_as.find(run); early != life_->ended_as.end())
      row.state = early->second;
  send(link, static_cast<std::uint16_t>(Kind::run_ended),
       encode(wire::RunEnded{request, run, row.state, row.message, row.summary, {}}));
}

void Server::run_ended(const RunId& run) {
  life_->alive.erase(run);
  auto watchers = life_->watchers.extract(run);
  if (!watchers.empty())
    for (const Life::Watcher& each : watchers.mapped()) tell_end(each.link, each.request, run);
  const auto known = life_->index_of.find(run);
  if (known == life_->index_of.end()) return;
  const RunIndex index = known->second;
  life_->desk_to_scheduler.send([this, index] { handle(scheduler::Forget{index}); });
  life_->index_of.erase(run);
  life_->run_of.erase(index);
}

}  // namespace reprise::sim
