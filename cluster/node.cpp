#include "cluster/node.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "core/assert.hpp"
#include "core/text.hpp"

namespace reprise::cluster {

namespace {

Outcome ended_early(TaskState state, FailureClass failure, std::string message, Time now) {
  Outcome outcome;
  outcome.state = state;
  outcome.failure = failure;
  outcome.message = std::move(message);
  outcome.started = now;
  return outcome;
}

scheduler::AttemptRef ref_of(const Attempt& attempt) {
  return {scheduler::RunIndex{attempt.run}, attempt.task, attempt.number};
}

Resources own_of(const Attempt& attempt) {
  if (attempt.question) return {0, 0, {}};
  Resources own = attempt.context->flow->kind_of(attempt.node).resources;
  std::erase_if(own.custom, [](const auto& each) { return each.second == 0; });
  return own;
}

// Came back from the slots without having begun, and nobody had asked for that.
bool was_withdrawn(const Outcome& outcome) {
  return outcome.state == TaskState::cancelled && !outcome.executed;
}

}  // namespace

// ---- names

Node::Name Node::name_on_slots(const scheduler::AttemptRef& attempt) {
  return {attempt.run.value, attempt.task.value, attempt.number};
}

scheduler::AttemptRef Node::ref_on_slots(const Name& name) {
  const auto& [run, task, number] = name;
  return {scheduler::RunIndex{run}, TaskId{task}, number};
}

Node::Foreign Node::foreign(const scheduler::AttemptRef& attempt) const {
  return {attempt.epoch == 0 ? epoch_.number : attempt.epoch, attempt.run.value, attempt.task.value,
          attempt.number};
}

std::optional<Node::Name> Node::name_of(const scheduler::AttemptRef& attempt) const {
  const auto& [epoch, run, task, number] = foreign(attempt);
  const auto here = run_numbers_.find({epoch, run});
  if (here == run_numbers_.end()) return std::nullopt;
  return Name{here->second, task, number};
}

scheduler::AttemptRef Node::with_epoch(const Name& name) const {
  const auto& [run, task, number] = name;
  const RunHere& known = runs_.at(run);
  return {scheduler::RunIndex{known.number}, TaskId{task}, number, known.epoch};
}

scheduler::AttemptRef Node::to_scheduler(scheduler::AttemptRef attempt) const {
  if (attempt.epoch == epoch_.number) attempt.epoch = 0;
  return attempt;
}

// ---- the link

void Node::heard(Time now) {
  heard_ = now;
  is_cut_off_ = is_orphaned_ = false;
}

void Node::linked(bool has_epochs, Time now) {
  is_linked_ = true;
  has_epochs_ = has_epochs;
  if (!heard_) heard_ = now;  // links are made by threads that know nothing of the scheduler
  if (has_epochs_) return;    // it speaks first
  epoch_ = {};
  forget_scheduler();
  settle();
}

Status Node::welcomed(const journal::Epoch& epoch, Duration lost_after, Time now) {
  if (!is_linked_ || !has_epochs_ || has_joined_ || epoch.number == 0)
    return fail(ErrorCode::corrupt, "a welcome that is none");
  const bool is_known = epoch_.number > 0 && epoch_.journal == epoch.journal;
  if (is_known && epoch.number < epoch_.number)
    return fail(ErrorCode::denied,
                fmt::format("it was superseded: it leads epoch {}, and epoch {} was served here",
                            epoch.number, epoch_.number));
  if (is_known && epoch.number == epoch_.number && epoch.nonce != epoch_.nonce)
    return fail(ErrorCode::denied,
                fmt::format("two servers believe to lead epoch {}: this one, and the one that was "
                            "served here before",
                            epoch.number));
  heard(now);
  if (!is_known) forget_scheduler();  // somebody else's work is nothing to this one
  // What it goes on with it tells of again; the end of others may have been told to a link that
  // was.
  for (auto& [number, run] : runs_) run.is_over = true;
  // Whether what a server before wanted to end is to be run at all is the journal's to say.
  for (auto& [name, running] : running_) running.is_nobodys |= running.is_stopping;
  epoch_ = epoch;
  options_.lost_after = lost_after;
  if (is_leaving_ && in_hand() == 0 && ends_.empty()) {
    settle();
    return {};
  }
  say_hello();
  settle();
  return {};
}

void Node::say_hello() {
  has_joined_ = true;
  NodeHello& hello = effects_.hello.emplace();
  hello.epoch = epoch_.number;
  for (const auto& [name, running] : running_) {
    if (running.is_nobodys) continue;
    hello.inventory.push_back(running.item);
    if (running.began)
      effects_.began.starts.push_back({to_scheduler(running.item.attempt), *running.began});
  }
  for (const auto& [order, name] : end_order_) {
    const End& end = ends_.at(name);
    hello.inventory.push_back(end.item);
    effects_.reports.push_back({to_scheduler(end.item.attempt), end.outcome});
  }
}

void Node::unlinked(Time) {
  is_linked_ = has_joined_ = said_draining_ = false;
  gathering_.clear();
  for (auto& [name, running] : running_)
    if (!running.outlives) abandon(name, running);
  settle();
}

// ---- what the scheduler says

void Node::run_began(std::uint32_t run, std::shared_ptr<const RunContext> context) {
  auto [known, is_new] = run_numbers_.try_emplace({epoch_.number, run}, last_run_ + 1);
  if (is_new) ++last_run_;
  runs_[known->second] = {epoch_.number, run, std::move(context), false};
}

void Node::run_over(std::uint32_t run) {
  if (const auto here = run_numbers_.find({epoch_.number, run}); here != run_numbers_.end())
    runs_.at(here->second).is_over = true;
  forget_runs();
}

std::shared_ptr<const RunContext> Node::context_of(std::uint32_t run) const {
  const auto here = run_numbers_.find({epoch_.number, run});
  return here == run_numbers_.end() ? nullptr : runs_.at(here->second).context;
}

Status Node::check_epoch(std::uint64_t epoch) const {
  if (!has_epochs_ || (has_joined_ && epoch == epoch_.number)) return {};
  return fail(ErrorCode::denied,
              fmt::format("an order of epoch {}; epoch {} is served", epoch, epoch_.number));
}

Status Node::dispatched(std::uint64_t epoch, std::vector<Attempt> attempts) {
  if (Status valid = check_epoch(epoch); !valid) return valid;
  for (Attempt& attempt : attempts) {
    const auto name = name_of(ref_of(attempt));
    if (!name || is_leaving_) {
      effects_.refused.push_back(ref_of(attempt));
      continue;
    }
    Resources own = own_of(attempt);
    if (auto reason = lacks_room_for(own)) {
      effects_.rejected.emplace_back(ref_of(attempt), *std::move(reason));
      continue;
    }
    gathering_[*name] = {{}, {}, std::move(own)};
    attempt.run = std::get<0>(*name);
    effects_.gathers.push_back(std::move(attempt));
  }
  return {};
}

Status Node::stop(std::uint64_t epoch, const std::vector<scheduler::AttemptRef>& attempts,
                  Time now) {
  if (Status valid = check_epoch(epoch); !valid) return valid;
  for (const scheduler::AttemptRef& each : attempts) {
    const auto name = name_of(each);
    if (!name) continue;
    if (gathering_.erase(*name) > 0) {
      effects_.reports.push_back({to_scheduler(with_epoch(*name)),
                                  ended_early(TaskState::cancelled, FailureClass::cancelled,
                                              "cancelled before it started", now)});
    } else if (const auto running = running_.find(*name); running != running_.end()) {
      if (!std::exchange(running->second.is_stopping, true))
        effects_.stops.push_back(ref_on_slots(*name));
    }
  }
  settle();
  return {};
}

void Node::acknowledged(const std::vector<scheduler::AttemptRef>& attempts) {
  for (const scheduler::AttemptRef& each : attempts) forget_end(foreign(each));
  settle();
}

// ---- attempts

void Node::gathered(Attempt attempt, std::set<Digest> missing) {
  const Name name = name_on_slots(ref_of(attempt));
  const auto found = gathering_.find(name);
  if (found == gathering_.end()) return;  // stopped meanwhile
  if (!missing.empty()) {
    found->second.attempt = std::move(attempt);
    found->second.missing = std::move(missing);
    return;
  }
  Resources own = std::move(found->second.own);
  gathering_.erase(found);
  if (is_cut_off_) return give_back(name);
  Running& running = running_[name];
  running.own = std::move(own);
  running.item.attempt = with_epoch(name);
  running.outlives = has_epochs_ && outlives_its_server(attempt);
  if (running.outlives) {
    running.item.run = attempt.context->run;
    running.item.node = attempt.node;
    running.item.map_index = attempt.map_index;
    running.item.work = work_of(attempt);
  }
  effects_.starts.push_back(std::move(attempt));
}

// What came may turn out to name files that are missing, too: so it is looked at once more.
void Node::arrived(const Digest& what, const Status& status, Time now) {
  for (auto it = gathering_.begin(); it != gathering_.end();) {
    Gathering& gathering = it->second;
    if (gathering.missing.erase(what) == 0) {
      ++it;
    } else if (!status) {
      effects_.reports.push_back(
          {to_scheduler(with_epoch(it->first)),
           ended_early(TaskState::failed, FailureClass::cannot_start,
                       "an input could not be fetched: " + status.error().message, now)});
      it = gathering_.erase(it);
    } else {
      if (gathering.missing.empty()) effects_.gathers.push_back(std::move(gathering.attempt));
      ++it;
    }
  }
  settle();
}

void Node::began(const scheduler::Began& news) {
  for (const scheduler::Began::Start& each : news.starts) {
    const auto running = running_.find(name_on_slots(each.attempt));
    if (running == running_.end() || running->second.is_nobodys) continue;
    running->second.began = each.at;
    if (has_joined_)
      effects_.began.starts.push_back({to_scheduler(running->second.item.attempt), each.at});
  }
}

void Node::reported(std::vector<scheduler::Report> reports) {
  for (scheduler::Report& each : reports) {
    const Name name = name_on_slots(each.attempt);
    const auto found = running_.find(name);
    if (found == running_.end()) continue;
    const Running running = std::move(found->second);
    running_.erase(found);
    if (running.is_orphan) {
      // A scheduler that only stood still believes it to run here.
      each.outcome.state = TaskState::failed;
      each.outcome.failure = FailureClass::worker_lost;
      each.outcome.message = "ended because nothing was heard of the scheduler for long";
      each.outcome.value = {};
      if (has_joined_)
        effects_.reports.push_back({to_scheduler(running.item.attempt), std::move(each.outcome)});
      continue;
    }
    if (running.is_nobodys) continue;
    if (was_withdrawn(each.outcome) && !running.is_stopping)
      give_back(name);
    else
      ended(running, std::move(each.outcome));
  }
  settle();
}

void Node::ended(const Running& running, Outcome outcome) {
  if (has_joined_) effects_.reports.push_back({to_scheduler(running.item.attempt), outcome});
  if (!running.outlives) return;
  // To end it was the wish of one server; the next, which may know nothing of it, runs it anew.
  if (running.is_stopping && outcome.state == TaskState::cancelled) return;
  // Longer values are in the store of this node, and are asked for.
  if (outcome.value.size > journal::inline_result_bytes) outcome.value.bytes.reset();
  const Foreign name = foreign(running.item.attempt);
  end_order_[++last_end_] = name;
  ends_[name] = {running.item, std::move(outcome), last_end_};
  if (ends_.size() > options_.ends_kept) forget_end(end_order_.begin()->second);
}

void Node::forget_end(const Foreign& name) {
  const auto end = ends_.find(name);
  if (end == ends_.end()) return;
  end_order_.erase(end->second.order);
  ends_.erase(end);
}

// Somebody else may have it.
void Node::give_back(const Name& name) {
  if (has_joined_) effects_.refused.push_back(to_scheduler(with_epoch(name)));
}

void Node::abandon(const Name& name, Running& running) {
  if (std::exchange(running.is_nobodys, true)) return;
  if (!std::exchange(running.is_stopping, true)) effects_.stops.push_back(ref_on_slots(name));
}

void Node::abandon_all() {
  gathering_.clear();
  for (auto& [name, running] : running_) abandon(name, running);
}

// The next one's numbers may be the same and mean something else.
void Node::forget_scheduler() {
  abandon_all();
  ends_.clear();
  end_order_.clear();
  run_numbers_.clear();
  for (auto& [number, run] : runs_) run.is_over = true;
}

Status Node::retract(std::uint64_t epoch, const std::vector<scheduler::AttemptRef>& attempts) {
  if (Status valid = check_epoch(epoch); !valid) return valid;
  for (const scheduler::AttemptRef& each : attempts) {
    const auto name = name_of(each);
    if (!name) continue;
    if (gathering_.erase(*name) > 0)
      effects_.retracted.push_back(to_scheduler(with_epoch(*name)));
    else if (running_.contains(*name))
      effects_.retracts.push_back(ref_on_slots(*name));
  }
  settle();
  return {};
}

void Node::retracted(const std::vector<scheduler::AttemptRef>& attempts) {
  for (const scheduler::AttemptRef& each : attempts) {
    const auto found = running_.find(name_on_slots(each));
    if (found == running_.end()) continue;
    if (has_joined_ && !found->second.is_nobodys)
      effects_.retracted.push_back(to_scheduler(found->second.item.attempt));
    running_.erase(found);
  }
  settle();
}

// The scheduler counts, too; but what this node has is this node's word.
std::optional<std::string> Node::lacks_room_for(const Resources& own) const {
  if (!options_.capacity || (own.memory_bytes == 0 && own.custom.empty())) return std::nullopt;
  std::uint64_t memory = own.memory_bytes;
  std::map<std::string, std::uint64_t> custom = own.custom;
  const auto add = [&](const Resources& taken) {
    memory += taken.memory_bytes;
    for (auto& [thing, count] : custom)
      if (const auto same = taken.custom.find(thing); same != taken.custom.end())
        count += same->second;
  };
  for (const auto& [name, gathering] : gathering_) add(gathering.own);
  for (const auto& [name, running] : running_) add(running.own);
  if (own.memory_bytes > 0 && memory > options_.capacity->memory_bytes)
    return "not so much memory is free";
  for (const auto& [thing, count] : custom) {
    const auto has = options_.capacity->custom.find(thing);
    if (count > (has == options_.capacity->custom.end() ? 0 : has->second))
      return fmt::format("not so many of \"{}\" are free", escape_for_terminal(thing));
  }
  return std::nullopt;
}

void Node::leave() {
  is_leaving_ = true;
  settle();
}

void Node::tick(Time now) {
  if (!heard_) return;
  const Duration silence = now - *heard_;
  if (silence >= options_.lost_after && !std::exchange(is_cut_off_, true)) {
    for (const auto& [name, gathering] : gathering_) give_back(name);
    gathering_.clear();
    effects_.withdraw = !running_.empty();
  }
  if (silence >= options_.orphan_after && !std::exchange(is_orphaned_, true)) {
    effects_.abandoned = running_.size();
    for (auto& [name, running] : running_) running.is_orphan = !running.is_nobodys;
    abandon_all();
  }
  settle();
}

// ---- after anything that may have emptied the hands or the link

void Node::forget_runs() {
  if (std::ranges::none_of(runs_, [](const auto& each) { return each.second.is_over; })) return;
  std::set<std::uint32_t> in_hand;
  for (const auto& [name, gathering] : gathering_) in_hand.insert(std::get<0>(name));
  for (const auto& [name, running] : running_) in_hand.insert(std::get<0>(name));
  std::erase_if(runs_, [&](const auto& each) {
    const auto& [number, run] = each;
    if (!run.is_over || in_hand.contains(number)) return false;
    const auto known = run_numbers_.find({run.epoch, run.number});
    if (known != run_numbers_.end() && known->second == number) run_numbers_.erase(known);
    return true;
  });
}

void Node::settle() {
  forget_runs();
  if (is_leaving_ && has_joined_ && !std::exchange(said_draining_, true)) effects_.draining = true;
  if (in_hand() > 0) return;
  if (is_leaving_ && !has_joined_ && (ends_.empty() || is_orphaned_ || !heard_)) {
    effects_.left = true;
    return;
  }
  if (is_linked_ && !has_epochs_ && !has_joined_ && !is_leaving_) say_hello();
}

std::set<std::string> Node::folders_in_use() const {
  std::set<std::string> folders;
  for (const auto& [number, run] : runs_) folders.insert(run.context->folder);
  return folders;
}

void Node::check_invariants() const {
  for (const auto& [name, gathering] : gathering_) {
    REPRISE_ASSERT(!running_.contains(name));
    REPRISE_ASSERT(runs_.contains(std::get<0>(name)));
  }
  for (const auto& [name, running] : running_) REPRISE_ASSERT(runs_.contains(std::get<0>(name)));
  REPRISE_ASSERT(!has_joined_ || is_linked_);
  REPRISE_ASSERT(ends_.size() == end_order_.size(), ends_.size());
  REPRISE_ASSERT(ends_.size() <= options_.ends_kept, ends_.size());
  for (const auto& [theirs, ours] : run_numbers_) REPRISE_ASSERT(runs_.contains(ours), ours);
  if (!options_.capacity) return;
  std::uint64_t memory = 0;
  for (const auto& [name, gathering] : gathering_) memory += gathering.own.memory_bytes;
  for (const auto& [name, running] : running_) memory += running.own.memory_bytes;
  REPRISE_ASSERT(memory <= options_.capacity->memory_bytes, memory);
}

}  // namespace reprise::cluster
