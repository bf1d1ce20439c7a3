#include "tests/sim/server.hpp"

#include <algorithm>
#include <cmath>
#include <random>
#include <tuple>
#include <utility>

#include <fmt/format.h>

#include "actors/commit.hpp"
#include "actors/run_options.hpp"
#include "core/assert.hpp"

namespace reprise::sim {

using namespace std::chrono_literals;
namespace wire = cluster::wire;
using cluster::LinkNumber;
using scheduler::RunIndex;
using wire::Kind;

namespace {

using Name = std::tuple<std::uint32_t, std::uint32_t, std::uint32_t>;  // run, task, number

Name name_of(const scheduler::AttemptRef& attempt) {
  return {attempt.run.value, attempt.task.value, attempt.number};
}

// Bodies here read no files.
class NoFiles final : public worker::FileHasher {
 public:
  Result<FileValue> hash(const std::filesystem::path&) override {
    return fail(ErrorCode::not_found, "there are no files");
  }
};

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

constexpr std::size_t links_bytes_max = 1u << 20;

}  // namespace

// What is gone with the process.
struct Server::Life {
  explicit Life(Server& server)
      : recorder(server.config_.durability, true, true),
        service({.store = server.cache_.store,
                 .leases = server.cache_.leases,
                 .hasher = std::make_unique<NoFiles>(),
                 .clock = std::make_shared<ProcessClock>(server),
                 .blobs = nullptr}),
        epoch(*server.disk_.journal().begin_epoch(server.world().random.next(), server.name(),
                                                  server.now())),
        fleet(options_of(server.config_, epoch)),
        scheduler_to_cache(server, 1us, 40us),
        scheduler_to_fleet(server, 1us, 40us),
        scheduler_to_journal(server, 1us, 40us),
        cache_to_scheduler(server, 20us,
                           server.config_.has_redis ? Duration{4ms} : Duration{300us}),
        cache_to_fleet(server, 20us, 300us),
        fleet_to_scheduler(server, 1us, 40us),
        fleet_to_cache(server, 1us, 40us),
        journal_to_scheduler(server, 1us, 40us),
        desk_to_scheduler(server, 1us, 40us),
        desk_to_fleet(server, 1us, 40us),
        engine_to_desk(server, 1us, 40us),
        hub_to_desk(server, 1us, 40us),
        hub_to_fleet(server, 1us, 40us) {}

  static cluster::FleetOptions options_of(const Config& config, const journal::Epoch& epoch) {
    cluster::FleetOptions options = config.fleet;
    options.epoch = epoch.number;
    return options;
  }

  // scheduler
  scheduler::Scheduler core{{}, {}};
  actors::Recorder recorder;
  struct Question {
    std::uint64_t ticket = 0;
    std::function<void(const Status&)> answer;
  };
  std::deque<Question> questions;
  std::optional<Time> wake;
  std::uint64_t wake_generation = 0;
  std::map<scheduler::WorkerId, scheduler::WorkerOffer> offers;  // as it was told
  std::map<Name, Taken> taken;  // by what is dispatched, and neither reported nor returned
  std::map<Name, std::uint32_t> real_number;  // planted: of attempts whose number was changed
  Payload other_value;                        // planted: of the report before
  std::map<RunId, RunState> ended_as;         // planted: told before it is on disk
  std::map<Name, Attempt> sent;               // planted: late reports need what they are about
  // journal
  bool journal_failed = false;
  Time journal_free{};
  // cache
  actors::CacheService service;
  std::map<Name, Attempt> asked;  // about, and not answered
  bool polls = false, renews = false;
  // fleet
  journal::Epoch epoch;
  cluster::Fleet fleet;
  std::map<LinkNumber, WorkerLink> links;
  actors::ResultKeeper keeper;
  std::uint64_t pings = 0;
  std::set<LinkNumber> worker_links;  // of the hub
  // engine
  std::uint32_t next_index = 0;
  std::map<RunId, RunIndex> index_of;
  std::map<RunIndex, RunId> run_of;
  // desk
  std::deque<std::function<void()>> desk_work;
  bool desk_is_busy = false;
  std::map<std::string, RunId> by_key;
  std::set<RunId> alive;
  std::set<LinkNumber> clients;
  struct Watcher {
    LinkNumber link = 0;
    std::uint64_t request = 0;
  };
  std::map<RunId, std::vector<Watcher>> watchers;

  Channel scheduler_to_cache, scheduler_to_fleet, scheduler_to_journal, cache_to_scheduler,
      cache_to_fleet, fleet_to_scheduler, fleet_to_cache, journal_to_scheduler, desk_to_scheduler,
      desk_to_fleet, engine_to_desk, hub_to_desk, hub_to_fleet;
};

Server::Server(World& world, Net& net, const Config& config, Checker& checker, Cache cache)
    : NetNode(world, net, "server"),
      config_(config),
      checker_(checker),
      cache_(std::move(cache)),
      clock_(*this) {
  disk_.keeps_late_writes = has(Bug::forget_barrier);
  net.add(*this);
}

Server::~Server() = default;

bool Server::is_stuck() const {
  return life_ && life_->journal_failed;
}

void Server::on_start() {
  life_ = std::make_unique<Life>(*this);
  checker_.recovered(life(), disk_.journal());
  life_->fleet.expect_inventories(world().now(), disk_.members);
  resume_runs();
  life_->desk_to_fleet.send([this, runs = life_->alive] {
    life_->fleet.runs_go_on(runs);
    fleet_perform();
  });
  world().after(100ms, *this, [this] { disk_.write_late(); });
  open_exchange(cluster::Role::scheduler, config_);
  const auto look_round = [this](const auto& again) -> void {
    life_->fleet.tick(world().now());
    fleet_perform();
    world().after(config_.fleet.ping_every, *this, [again] { again(again); });
  };
  world().after(config_.fleet.ping_every, *this, [look_round] { look_round(look_round); });
}

void Server::on_crash() {
  life_.reset();
  disk_.crash(world().random);
  close_exchange();
}

void Server::on_link(cluster::LinkEvent& event) {
  if (std::holds_alternative<cluster::LinkTrouble>(event)) return;
  if (const auto* up = std::get_if<cluster::LinkUp>(&event);
      up != nullptr && up->peer.identity.role == cluster::Role::worker)
    life_->worker_links.insert(up->peer.link);
  const LinkNumber link = cluster::link_of(event);
  auto shared = std::make_shared<cluster::LinkEvent>(std::move(event));
  if (!life_->worker_links.contains(link)) {
    life_->hub_to_desk.send([this, shared] { desk([this, shared] { desk_link(*shared); }); });
    return;
  }
  if (std::holds_alternative<cluster::LinkDown>(*shared)) life_->worker_links.erase(link);
  life_->hub_to_fleet.send([this, shared] { fleet_link(*shared); });
}

// ---- engine

void Server::resume_runs() {
  journal::RunQuery all;
  all.limit = UINT32_MAX;
  auto rows = disk_.journal().runs(all);
  std::ranges::reverse(*rows);
  for (const journal::RunRow& row : *rows) {
    const auto options = actors::decode_options(row.options);
    const std::string& key = *options->submit_key;
    if (!has(Bug::forget_keys_on_restart)) life_->by_key[key] = row.id;
    if (is_finished(row.state) || has(Bug::forget_resume)) continue;
    std::vector<journal::Batch> past;
    const auto entries = disk_.journal().read(row.id, 0);
    for (const journal::Journal::Entry& entry : *entries) past.push_back(entry.batch);
    if (has(Bug::skip_record_on_recovery) && !past.empty()) past.pop_back();
    if (has(Bug::start_before_inputs))
      for (journal::Batch& batch : past)
        for (journal::TaskChange& change : batch.tasks)
          if (change.state == TaskState::running) change.state = TaskState::success;
    if (cache_.leases) static_cast<void>(cache_.leases->release_all_of(row.id.text()));
    life_->alive.insert(row.id);
    begin(row.id, *checker_.job_of(row.id), std::move(past));
  }
}

void Server::begin(const RunId& run, const Job& job, std::vector<journal::Batch> past) {
  auto context = std::make_shared<RunContext>();
  context->run = run;
  context->flow = job.flow;
  context->cache = job.cache;
  const bool is_continued = !past.empty();
  context->started = now();
  context->continued = is_continued;
  context->context[Checker::life_name] = *Payload::of(Value{life()});
  context->clock = std::make_shared<ProcessClock>(*this);
  if (has(Bug::ignore_max_parallel)) {
    FlowSpec flow = *job.flow;
    for (TaskKind& kind : flow.kinds) kind.max_parallel = 0;
    context->flow = std::make_shared<const FlowSpec>(std::move(flow));
  }
  const RunIndex index{life_->next_index++};
  life_->index_of[run] = index;
  life_->run_of[index] = run;
  scheduler::Submit submit;
  submit.run = index;
  submit.context = std::move(context);
  submit.past = std::move(past);
  auto shared = std::make_shared<scheduler::Submit>(std::move(submit));
  life_->desk_to_scheduler.send([this, shared, is_continued, run, index] {
    handle(std::move(*shared));
    if (is_continued)
      if (scheduler::Run* made = life_->core.find(index)) checker_.restored(run, *made);
  });
}

// ---- desk: one request after the other, since it waits for disk and scheduler

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

// ---- scheduler

// An attempt goes by another number, or nobody has it any more.
void Server::rename(const scheduler::AttemptRef& from, std::uint32_t number) {
  const Name renamed{from.run.value, from.task.value, number};
  if (auto taken = life_->taken.extract(name_of(from))) {
    taken.key() = renamed;
    life_->taken.insert(std::move(taken));
  }
  if (auto sent = life_->sent.extract(name_of(from))) {
    sent.key() = renamed;
    life_->sent.insert(std::move(sent));
  }
}

void Server::forget(const scheduler::AttemptRef& attempt) {
  life_->taken.erase(name_of(attempt));
  life_->sent.erase(name_of(attempt));
}

// What the scheduler is told, as the checker sees it.
void Server::note(scheduler::Event& event) {
  const auto correct = [this](scheduler::AttemptRef& attempt) {
    const auto real = life_->real_number.find(name_of(attempt));
    if (real != life_->real_number.end()) attempt.number = real->second;
  };
  if (auto* changed = std::get_if<scheduler::WorkersChanged>(&event)) {
    for (const scheduler::WorkerId gone : changed->gone) life_->offers.erase(gone);
    for (scheduler::WorkerOffer& offer : changed->workers) {
      life_->offers[offer.id] = offer;
      if (!has(Bug::over_dispatch)) continue;
      ++offer.slots;
      offer.capacity.cpu_milli += 1000;
    }
  } else if (auto* reported = std::get_if<scheduler::Reported>(&event)) {
    for (scheduler::Report& report : reported->reports) {
      correct(report.attempt);
      checker_.reported(report);
      forget(report.attempt);
    }
  } else if (auto* returned = std::get_if<scheduler::Returned>(&event)) {
    for (scheduler::Returned::Attempt& back : returned->attempts) {
      correct(back.attempt);
      checker_.returned(back.attempt);
      forget(back.attempt);
    }
  } else if (const auto* adopted = std::get_if<scheduler::Adopted>(&event)) {
    for (const scheduler::Adopted::One& each : adopted->attempts) {
      checker_.adopted(each);
      if (const auto taken = life_->taken.find(name_of(each.attempt));
          taken != life_->taken.end() && each.worker != 0) {
        taken->second.worker = each.worker;
        taken->second.is_adopted = true;
      }
      rename(each.attempt, each.number);
    }
  } else if (const auto* answers = std::get_if<scheduler::LookedUp>(&event)) {
    world().trace("looked up", answers->answers.size(), answers->waits.size());
  }
}

// So much more than it runs a worker may have in hand.
std::uint32_t Server::queued_most(const scheduler::WorkerOffer& offer) const {
  const double turnaround = 150e-6 + seconds(offer.round_trip);
  const double shortest = seconds(config_.workload.shortest());
  if (shortest > 50 * turnaround) return 0;
  return offer.slots * static_cast<std::uint32_t>(std::ceil(1.5 * turnaround / shortest));
}

void Server::check_placement(const std::set<scheduler::WorkerId>& given) const {
  for (const scheduler::WorkerId id : given) {
    const scheduler::WorkerOffer& offer = life_->offers.at(id);
    std::uint32_t count = 0;
    std::uint64_t milli = 0, memory = 0;
    bool is_special = false, is_adopted = false;
    for (const auto& [name, taken] : life_->taken) {
      if (taken.worker != id) continue;
      ++count;
      milli += taken.resources.cpu_milli;
      memory += taken.resources.memory_bytes;
      is_special |= taken.resources.cpu_milli > 1000 || taken.resources.memory_bytes > 0;
      is_adopted |= taken.is_adopted || taken.is_kept;
    }
    // What was adopted is there, whether there is room or not.
    if (is_adopted) continue;
    const std::uint32_t most = offer.slots + queued_most(offer);
    checker_.took(offer.name, "attempts", count, is_special ? offer.slots : most);
    if (is_special) checker_.took(offer.name, "processors", milli, offer.capacity.cpu_milli);
    checker_.took(offer.name, "memory", memory, offer.capacity.memory_bytes);
  }
}

void Server::handle(scheduler::Event event) {
  boundary("scheduler takes an event");
  std::vector<scheduler::AttemptRef> attempts;
  note(event);
  if (const auto* reported = std::get_if<scheduler::Reported>(&event))
    for (const scheduler::Report& report : reported->reports) attempts.push_back(report.attempt);
  scheduler::Effects effects = life_->core.handle(std::move(event), now());
  life_->core.check_invariants();
  for (const journal::Batch& batch : effects.batches) {
    checker_.appended(batch);
    for (const journal::TaskChange& change : batch.tasks) check_stored(change);
  }
  std::set<scheduler::WorkerId> given;
  for (const Attempt& attempt : effects.dispatches) {
    checker_.dispatched(attempt);
    given.insert(attempt.worker);
    const auto offer = life_->offers.find(attempt.worker);
    checker_.require(offer != life_->offers.end(), Invariant::resource_safety,
                     "a task is dispatched to a worker that is not there");
    const Name name{attempt.run, attempt.task.value, attempt.number};
    life_->taken[name] = {attempt.worker, attempt.context->flow->kind_of(attempt.node).resources,
                          false, !offer->second.takes_work};
    life_->sent[name] = attempt;
  }
  check_placement(given);
  perform(std::move(effects));
  carry_out(life_->recorder.reported(std::move(attempts)));
}

void Server::perform(scheduler::Effects effects) {
  for (const journal::Batch& batch : effects.batches)
    for (const journal::TaskChange& change : batch.tasks)
      world().trace("task", change.task.value, static_cast<std::uint64_t>(change.state));
  if (effects.wake_at) wake_at(*effects.wake_at);
  if (has(Bug::tell_end_before_append) && !effects.ended.empty()) {
    actors::Recorder::Step early;
    early.ended = effects.ended;
    for (const scheduler::Ended& ended : effects.ended)
      if (const auto run = life_->run_of.find(ended.run); run != life_->run_of.end())
        life_->ended_as[run->second] = ended.state;
    carry_out(std::move(early));
  }
  const bool was_told = has(Bug::tell_end_before_append);
  actors::Recorder::Step step =
      life_->recorder.perform(std::move(effects), [this](const RunIndex& index) {
        const scheduler::Run* run = life_->core.find(index);
        REPRISE_ASSERT(run != nullptr, index.value);
        journal::Summary summary = run->totals().whole;
        if (has(Bug::miscount_executed)) ++summary.executed;
        return std::pair(run->context().run, summary);
      });
  if (was_told) step.ended.clear();
  carry_out(std::move(step));
}

void Server::carry_out(actors::Recorder::Step step) {
  for (scheduler::Effects& effects : step.act) act(effects);
  for (const scheduler::Ended& ended : step.ended) {
    const auto run = life_->run_of.find(ended.run);
    if (run == life_->run_of.end()) continue;
    const RunId id = run->second;
    scheduler::Run* made = life_->core.find(ended.run);
    const std::uint64_t past_cache = made != nullptr ? made->take_past_cache() : 0;
    life_->scheduler_to_cache.send([this, index = ended.run, past_cache] {
      const std::vector<Key> free = life_->service.end_run(index, past_cache);
      look_again(free);
    });
    if (!has(Bug::forget_run_over))
      life_->scheduler_to_fleet.send([this, id, index = ended.run] {
        for (auto& [number, link] : life_->links)
          if (link.contexts.erase(index.value) > 0)
            send(number, static_cast<std::uint16_t>(Kind::forget_run),
                 encode(wire::ForgetRun{index.value}));
        life_->fleet.run_over(id);
        fleet_perform();
      });
    if (made != nullptr && !life_->journal_failed) checker_.ended(id, ended, made->totals().whole);
    life_->engine_to_desk.send([this, id] { desk([this, id] { run_ended(id); }); });
  }
  for (actors::Append& each : step.appends) {
    boundary("scheduler appends");
    auto shared = std::make_shared<actors::Append>(std::move(each));
    life_->scheduler_to_journal.send([this, shared] { append(std::move(*shared)); });
  }
  if (!step.recorded.empty() && !has(Bug::forget_acknowledgement))
    life_->scheduler_to_fleet.send([this, recorded = std::move(step.recorded)] {
      life_->fleet.recorded(recorded);
      fleet_perform();
    });
  if (step.wants_write_out)
    world().after(actors::Recorder::group_age, *this,
                  [this] { carry_out(life_->recorder.write_out()); });
}

void Server::act(scheduler::Effects& effects) {
  if (!effects.look_ups.empty()) {
    boundary("scheduler looks up");
    auto shared = std::make_shared<std::vector<Attempt>>(std::move(effects.look_ups));
    life_->scheduler_to_cache.send([this, shared] { look_up(std::move(*shared)); });
  }
  for (scheduler::Keep& keep : effects.keeps) {
    auto shared = std::make_shared<scheduler::Keep>(std::move(keep));
    life_->scheduler_to_cache.send([this, shared] {
      if (shared->value.is_none()) {
        life_->service.give_up({&shared->key, 1}, {});
        return look_again({&shared->key, 1});
      }
      std::vector<cache::Commit> commits{actors::commit_of(*shared)};
      std::string why = std::move(commit_all(commits).front());
      const scheduler::Kept kept{shared->attempt, why.empty(), why};
      life_->cache_to_scheduler.send([this, kept] { handle(kept); });
    });
  }
  if (!effects.dispatches.empty()) {
    boundary("scheduler dispatches");
    if (has(Bug::mix_up_workers) && life_->links.size() > 1)
      for (Attempt& attempt : effects.dispatches)
        attempt.worker = attempt.worker == life_->links.begin()->first
                             ? life_->links.rbegin()->first
                             : life_->links.begin()->first;
    if (has(Bug::reuse_attempt_number))
      for (Attempt& attempt : effects.dispatches) {
        const std::uint32_t real = std::exchange(attempt.number, 1);
        life_->real_number[{attempt.run, attempt.task.value, 1}] = real;
      }
    auto shared = std::make_shared<std::vector<Attempt>>(std::move(effects.dispatches));
    life_->scheduler_to_fleet.send([this, shared] {
      life_->fleet.dispatch(std::move(*shared));
      fleet_perform();
    });
  }
  if (!effects.stops.empty()) {
    boundary("scheduler stops");
    life_->scheduler_to_fleet.send([this, stops = std::move(effects.stops)] {
      life_->fleet.stop(stops, world().now());
      fleet_perform();
    });
  }
  if (!effects.retracts.empty()) {
    boundary("scheduler retracts");
    world().trace("retracts", effects.retracts.size());
    life_->scheduler_to_fleet.send([this, retracts = std::move(effects.retracts)] {
      life_->fleet.retract(retracts);
      fleet_perform();
    });
  }
}

void Server::wake_at(Time at) {
  if (life_->wake && *life_->wake <= at) return;
  life_->wake = at;
  const std::uint64_t generation = ++life_->wake_generation;
  world().after(std::max(at - now(), Duration{0}), *this, [this, generation] {
    if (generation != life_->wake_generation) return;
    life_->wake.reset();
    handle(scheduler::Tick{});
  });
}

void Server::durable(const actors::Durable& news) {
  boundary("scheduler hears of the disk");
  if (life_->recorder.is_lost() && !news.status) return;
  if (!news.status) {
    // As the engine has it: nothing more is begun, and all runs end.
    life_->journal_failed = true;
    for (const auto& [run, index] : life_->index_of) {
      checker_.cancel_asked(run);
      life_->desk_to_scheduler.send([this, index = index] {
        scheduler::Run* open = life_->core.find(index);
        if (open != nullptr && !open->ended())
          handle(scheduler::Cancel{index, {}, "the journal could not be written"});
      });
    }
  }
  actors::Recorder::Step step = life_->recorder.durable(news);
  while (!life_->questions.empty() &&
         (life_->recorder.is_lost() ||
          life_->questions.front().ticket <= life_->recorder.durable_ticket())) {
    life_->questions.front().answer(life_->recorder.trouble());
    life_->questions.pop_front();
  }
  carry_out(std::move(step));
}

// ---- journal

void Server::append(actors::Append append) {
  if (has(Bug::append_out_of_order)) std::ranges::reverse(append.batches);
  disk_.begin(append);
  const Duration takes =
      world().random.between(50us, disk_.is_slow ? Duration{200ms} : Duration{4ms});
  life_->journal_free = std::max(life_->journal_free, world().now()) + takes;
  world().at(life_->journal_free, *this, [this, ticket = append.ticket] {
    boundary("journal writes");
    Status written = disk_.finish();
    boundary("journal has written");
    if (has(Bug::swallow_append_error)) written = {};
    life_->journal_to_scheduler.send([this, ticket, written] { durable({ticket, written}); });
  });
}

// ---- cache

void Server::look_up(std::vector<Attempt> attempts) {
  boundary("cache looks up");
  if (has(Bug::use_real_randomness)) world().trace("by chance", std::random_device{}());
  for (const Attempt& attempt : attempts)
    life_->asked[{attempt.run, attempt.task.value, attempt.number}] = attempt;
  if (has(Bug::key_without_arguments))
    for (Attempt& attempt : attempts) attempt.arguments.clear();
  answer_scheduler(life_->service.look_up(std::move(attempts)));
}

void Server::answer_scheduler(scheduler::LookedUp answers) {
  if (!answers.answers.empty() || !answers.waits.empty()) {
    auto shared = std::make_shared<scheduler::LookedUp>(std::move(answers));
    for (const scheduler::Answer& each : shared->answers) {
      const auto asked = life_->asked.find(name_of(each.attempt));
      if (asked == life_->asked.end()) continue;
      checker_.answered(asked->second, each);
      life_->asked.erase(asked);
    }
    life_->cache_to_scheduler.send([this, shared] { handle(std::move(*shared)); });
  }
  arrange_ticks();
}

void Server::arrange_ticks() {
  if (life_->service.has_waiting() && !life_->polls && !has(Bug::never_look_again)) {
    life_->polls = true;
    world().after(50ms, *this, [this] {
      life_->polls = false;
      answer_scheduler(life_->service.look_again());
    });
  }
  if (!life_->renews && life_->service.has_leases()) {
    life_->renews = true;
    world().after(actors::CacheService::lease_term / 3, *this, [this] {
      life_->renews = false;
      life_->service.renew();
      arrange_ticks();
    });
  }
}

void Server::look_again(std::span<const Key> keys) {
  if (life_->service.has_waiting() && !has(Bug::never_look_again))
    answer_scheduler(life_->service.look_again(keys));
}

std::vector<std::string> Server::commit_all(std::vector<cache::Commit>& commits) {
  boundary("cache commits");
  std::vector<Key> keys;
  for (cache::Commit& commit : commits) {
    keys.push_back(commit.key);
    if (has(Bug::backdate_commit)) commit.committed = now() - 5s;
  }
  std::vector<std::string> unkept = life_->service.commit(commits);
  boundary("cache has committed");
  look_again(keys);
  return unkept;
}

// ---- fleet

void Server::tell_scheduler(std::vector<scheduler::Report> reports) {
  if (has(Bug::lose_report))
    std::erase_if(reports, [this](const auto&) { return world().random.one_in(6); });
  if (has(Bug::mix_up_results))
    for (scheduler::Report& report : reports)
      if (report.outcome.state == TaskState::success)
        std::swap(report.outcome.value, life_->other_value);
  for (scheduler::Report& report : reports) {
    FailureClass& failure = report.outcome.failure;
    if (has(Bug::count_lost_as_try) && failure == FailureClass::worker_lost)
      failure = FailureClass::task;
    else if (has(Bug::retry_for_ever) && failure == FailureClass::task)
      failure = FailureClass::worker_lost;
  }
  if (reports.empty()) return;
  auto shared = std::make_shared<std::vector<scheduler::Report>>(std::move(reports));
  const int times = has(Bug::accept_report_twice) ? 2 : 1;
  for (int i = 0; i < times; ++i)
    life_->fleet_to_scheduler.send([this, shared] { handle(scheduler::Reported{*shared}); });
}

void Server::conclude(std::vector<cluster::EndedAttempt> ended) {
  if (ended.empty()) return;
  boundary("fleet concludes");
  std::vector<actors::Finished> batch;
  for (cluster::EndedAttempt& each : ended) {
    Attempt& attempt = each.attempt;
    if (has(Bug::cache_failure) && each.outcome.failure == FailureClass::task && attempt.key) {
      cache::Commit commit =
          actors::commit_of(*attempt.context, attempt.node, attempt.label, attempt.map_index,
                            *attempt.key, Payload::nil(), 1ms);
      static_cast<void>(cache_.store->commit({&commit, 1}, now()));
    }
    batch.push_back(
        {{{RunIndex{attempt.run}, attempt.task, attempt.number}, std::move(each.outcome)},
         std::move(attempt.context),
         attempt.node,
         attempt.map_index,
         std::move(attempt.label),
         attempt.key});
  }
  actors::ResultKeeper::Step step = life_->keeper.finished(std::move(batch), true);
  if (!step.given_up.keys.empty())
    life_->fleet_to_cache.send([this, news = std::move(step.given_up)] {
      life_->service.give_up(news.keys, news.why);
      look_again(news.keys);
    });
  tell_scheduler(std::move(step.reports));
  if (step.store.commits.empty()) return;
  if (has(Bug::report_before_store))
    tell_scheduler(life_->keeper.stored(
        {step.store.ticket, std::vector<std::string>(step.store.commits.size())}));
  auto shared = std::make_shared<actors::Store>(std::move(step.store));
  const Duration late = has(Bug::report_before_store) ? Duration{50ms} : Duration{0};
  world().after(late, *this, [this, shared] {
    life_->fleet_to_cache.send([this, shared] {
      const actors::Stored stored{shared->ticket, commit_all(shared->commits)};
      life_->cache_to_fleet.send([this, stored] { tell_scheduler(life_->keeper.stored(stored)); });
    });
  });
}

void Server::dispatch_to(LinkNumber number, std::vector<Attempt> attempts) {
  const auto found = life_->links.find(number);
  if (found == life_->links.end()) return;
  wire::Dispatch message;
  message.epoch = life_->epoch.number;
  for (Attempt& attempt : attempts) {
    if (found->second.contexts.insert(attempt.run).second)
      send(number, static_cast<std::uint16_t>(Kind::run_context),
           encode(wire::Context{attempt.run, attempt.context}));
    message.attempts.push_back({std::move(attempt), {}});
  }
  send(number, static_cast<std::uint16_t>(Kind::dispatch), encode(message));
}

void Server::fleet_perform() {
  life_->fleet.check_invariants();
  cluster::FleetEffects effects = life_->fleet.take_effects();
  for (auto& [number, attempts] : effects.dispatches) dispatch_to(number, std::move(attempts));
  for (auto& [number, attempts] : effects.stops)
    if (life_->links.contains(number))
      send(number, static_cast<std::uint16_t>(Kind::stop),
           encode(wire::Attempts{life_->epoch.number, std::move(attempts)}));
  for (auto& [number, attempts] : effects.acknowledged)
    if (life_->links.contains(number))
      send(number, static_cast<std::uint16_t>(Kind::acknowledged),
           encode(wire::Attempts{life_->epoch.number, std::move(attempts)}));
  for (auto& [number, attempts] : effects.retracts)
    if (life_->links.contains(number))
      send(number, static_cast<std::uint16_t>(Kind::retract),
           encode(wire::Attempts{life_->epoch.number, std::move(attempts)}));
  for (const LinkNumber number : effects.pings) {
    const auto link = life_->links.find(number);
    if (link == life_->links.end()) continue;
    link->second.pinged = {++life_->pings, world().now()};
    send(number, static_cast<std::uint16_t>(Kind::ping), encode(wire::Ping{life_->pings}));
  }
  for (const LinkNumber number : effects.lost) {
    const auto link = life_->links.find(number);
    if (link == life_->links.end()) continue;
    checker_.gave_up_worker(link->second.name, world().now() - link->second.heard,
                            config_.fleet.lost_after);
    close(number, {ErrorCode::unavailable, "it said nothing for too long"});
  }
  for (const LinkNumber number : effects.drained)
    close(number, {ErrorCode::cancelled, "it is drained: nothing is left to do"});
  // First: a worker is known before it is told what it has.
  if (effects.workers && !has(Bug::forget_new_workers))
    life_->fleet_to_scheduler.send(
        [this, workers = *std::move(effects.workers)] { handle(workers); });
  if (!effects.adopted.attempts.empty())
    life_->fleet_to_scheduler.send(
        [this, adopted = std::move(effects.adopted)] { handle(adopted); });
  if (!effects.began.starts.empty())
    life_->fleet_to_scheduler.send([this, began = std::move(effects.began)] { handle(began); });
  if (has(Bug::skip_worker_lost))
    std::erase_if(effects.ended, [](const cluster::EndedAttempt& each) {
      return each.outcome.failure == FailureClass::worker_lost;
    });
  conclude(std::move(effects.ended));
  if (!effects.returned.attempts.empty() && !has(Bug::forget_returned))
    life_->fleet_to_scheduler.send(
        [this, returned = std::move(effects.returned)] { handle(returned); });
  disk_.members = life_->fleet.members();
}

void Server::fleet_link(cluster::LinkEvent& event) {
  if (auto* up = std::get_if<cluster::LinkUp>(&event)) {
    WorkerLink& link = life_->links[up->peer.link];
    link.name = up->peer.identity.name;
    link.heard = world().now();
    if (up->peer.version >= wire::version_of_epochs)
      send(up->peer.link, static_cast<std::uint16_t>(Kind::welcome),
           encode(wire::Welcome{life_->epoch, config_.fleet.lost_after}));
    return;
  }
  if (auto* got = std::get_if<cluster::LinkMessages>(&event)) {
    const auto found = life_->links.find(got->link);
    if (found == life_->links.end()) return;
    found->second.heard = world().now();
    if (!has(Bug::declare_healthy_lost)) life_->fleet.heard(got->link, world().now());
    for (const cluster::Message& message : got->messages) fleet_message(got->link, message);
  } else if (const auto* down = std::get_if<cluster::LinkDown>(&event)) {
    if (life_->links.erase(down->link) == 0) return;
    life_->fleet.left(down->link, down->why.message, world().now());
  } else if (const auto* cut = std::get_if<cluster::LinkCut>(&event)) {
    life_->fleet.connected(cut->link, false);
  } else if (const auto* back = std::get_if<cluster::LinkBack>(&event)) {
    life_->fleet.connected(back->link, true);
  }
  fleet_perform();
}

void Server::fleet_message(LinkNumber number, const cluster::Message& message) {
  const auto decoded = [&](auto& request) {
    const Status read = decode(message.bytes, request);
    REPRISE_ASSERT(read.has_value(), message.kind);
  };
  switch (static_cast<Kind>(message.kind)) {
    case Kind::worker_hello: {
      wire::WorkerHello hello;
      decoded(hello);
      WorkerLink& link = life_->links.at(number);
      checker_.require(!std::exchange(link.joined, true), Invariant::fencing,
                       link.name + " said hello twice");
      cluster::WorkerCard card{link.name,       hello.slots,       hello.capacity, hello.labels,
                               hello.functions, hello.enforcement, hello.version};
      life_->fleet.joined(number, std::move(card), world().now(), std::move(hello.running));
      return;
    }
    case Kind::began: {
      wire::Began began;
      decoded(began);
      return life_->fleet.began(number, {std::move(began.starts)});
    }
    case Kind::reports: {
      wire::Reports reports;
      decoded(reports);
      const std::vector<scheduler::Report> all = reports.reports;
      auto ended = life_->fleet.reported(number, std::move(reports.reports), world().now());
      if (has(Bug::accept_late_report))
        for (const scheduler::Report& report : all) {
          const auto is_it = [&](const cluster::EndedAttempt& each) {
            return each.attempt.task == report.attempt.task;
          };
          const auto sent = life_->sent.find(name_of(report.attempt));
          if (std::ranges::none_of(ended, is_it) && sent != life_->sent.end())
            ended.push_back({sent->second, report.outcome});
        }
      // What was adopted is told of before how it ended.
      fleet_perform();
      return conclude(std::move(ended));
    }
    case Kind::rejected:
    case Kind::retracted: {
      wire::Refused refused;
      decoded(refused);
      world().trace("given back", refused.attempts.size(), refused.reason.size());
      return life_->fleet.refused(number, refused.attempts, refused.reason);
    }
    case Kind::pong: {
      wire::Ping ping;
      decoded(ping);
      const WorkerLink& link = life_->links.at(number);
      if (ping.number == link.pinged.first)
        life_->fleet.measured(number, world().now() - link.pinged.second);
      return;
    }
    case Kind::draining: {
      wire::Draining draining;
      decoded(draining);
      return life_->fleet.drain(number, draining.draining);
    }
    default:
      return;
  }
}

// ---- checks

// What is told to be kept is kept. A server that loses what it has may have lost this, too.
void Server::check_stored(const journal::TaskChange& change) const {
  if (config_.has_redis || change.cache != journal::CacheOutcome::stored) return;
  const auto kept = cache_.store->versions(change.detail->key->text());
  checker_.require(
      kept && !kept->empty(), Invariant::no_wrong_cache,
      fmt::format("task {} says that its result is kept, and it is not", change.task.value));
}

void Server::check() const {
  if (!life_ || !exchange) return;
  for (const auto& [number, link] : life_->links)
    checker_.require(exchange->unacked_bytes(number) < links_bytes_max, Invariant::bounded_memory,
                     "too much waits for " + link.name);
  checker_.require(life_->taken.size() < 10'000, Invariant::bounded_memory, "dispatched attempts");
}

void Server::check_quiet() const {
  const auto holds = [&](bool good, const std::string& what) {
    checker_.require(good, Invariant::bounded_memory, what);
  };
  holds(life_->core.is_idle() && life_->core.ready_count() == 0, "the scheduler is not idle");
  holds(life_->taken.empty(), "slots are taken by nobody");
  holds(life_->fleet.waiting() == 0, "attempts wait for a worker");
  for (const cluster::WorkerView& worker : life_->fleet.workers())
    holds(worker.in_hand == 0, worker.card.name + " has attempts in hand");
  for (const auto& [number, link] : life_->links)
    holds(link.contexts.empty(), link.name + " was not told that runs are over");
  holds(!life_->service.has_waiting(), "somebody waits for a result");
  holds(!life_->service.has_leases(), "leases are held for nobody");
  holds(life_->index_of.empty() && life_->alive.empty(), "runs were not forgotten");
  holds(life_->questions.empty(), "questions were not answered");
}

}  // namespace reprise::sim
