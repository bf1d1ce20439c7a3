#include "tests/sim/server.hpp"

#include <algorithm>
#include <random>
#include <utility>

#include "actors/run_options.hpp"
#include "tests/sim/server_life.hpp"

namespace reprise::sim {

using namespace std::chrono_literals;
using cluster::LinkNumber;
using scheduler::RunIndex;

namespace {

constexpr std::size_t links_bytes_max = 1u << 20;

// Bodies here read no files.
class NoFiles final : public worker::FileHasher {
 public:
  Result<FileValue> hash(const std::filesystem::path&) override {
    return fail(ErrorCode::not_found, "there are no files");
  }
};

cluster::FleetOptions options_of(const Config& config, const journal::Epoch& epoch) {
  cluster::FleetOptions options = config.fleet;
  options.epoch = epoch.number;
  return options;
}

}  // namespace

Server::Life::Life(Server& server)
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
      cache_to_scheduler(server, 20us, server.config_.has_redis ? Duration{4ms} : Duration{300us}),
      cache_to_fleet(server, 20us, 300us),
      fleet_to_scheduler(server, 1us, 40us),
      fleet_to_cache(server, 1us, 40us),
      journal_to_scheduler(server, 1us, 40us),
      desk_to_scheduler(server, 1us, 40us),
      desk_to_fleet(server, 1us, 40us),
      engine_to_desk(server, 1us, 40us),
      hub_to_desk(server, 1us, 40us),
      hub_to_fleet(server, 1us, 40us) {}

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

// ---- checks

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
