#include "scheduler/placement.hpp"

#include <algorithm>
#include <cmath>
#include <tuple>

#include <fmt/format.h>

#include "core/assert.hpp"
#include "core/text.hpp"

namespace reprise::scheduler {

namespace {

// Time from the end of a body to the arrival of its successor on the same slot, measured between
// actors of one process; batches hide it only when it is covered by queued work. Besides, what the
// links to the worker take.
constexpr double turnaround_seconds = 150e-6;
constexpr std::uint32_t ahead_max_per_slot = 512;

// Values that a worker is remembered to have, and the smallest that is worth it.
constexpr std::size_t values_remembered = 4096;
constexpr std::uint64_t value_bytes_least = 64u << 10;

constexpr std::size_t named_max = 5;  // workers and functions in a text

std::uint64_t amount(const std::map<std::string, std::uint64_t>& of, const std::string& name) {
  const auto found = of.find(name);
  return found == of.end() ? 0 : found->second;
}

std::string cpus_text(std::uint64_t milli) {
  return milli % 1000 == 0 ? std::to_string(milli / 1000)
                           : fmt::format("{:.3g}", static_cast<double>(milli) / 1000);
}

std::string joined(const std::vector<std::string>& parts) {
  std::string text;
  for (std::size_t i = 0; i < parts.size() && i < named_max; ++i)
    text += (i == 0 ? "" : ", ") + parts[i];
  if (parts.size() > named_max) text += fmt::format(", and {} more", parts.size() - named_max);
  return text;
}

std::string shown(std::string_view name) {
  return escape_for_terminal(name);
}

std::string_view base_of(std::string_view function) {
  return function.substr(0, function.rfind('@'));
}

double ahead_per_slot(double mean_seconds, Duration round_trip) {
  const double turnaround = turnaround_seconds + seconds(round_trip);
  if (mean_seconds > 50 * turnaround) return 0;
  const double tasks = std::ceil(1.5 * turnaround / std::max(mean_seconds, 1e-9));
  return std::min<double>(tasks, ahead_max_per_slot);
}

}  // namespace

void Placement::set(std::vector<WorkerOffer> offers) {
  std::set<WorkerId> gone;
  for (const auto& [id, worker] : workers_)
    if (!worker.is_gone) gone.insert(id);
  for (WorkerOffer& offer : offers) {
    gone.erase(offer.id);
    put(std::move(offer));
  }
  for (const WorkerId id : gone) remove(id);
}

std::uint32_t Placement::slots_of(const Worker& worker) {
  return worker.is_gone || !worker.offer.takes_work ? 0 : worker.offer.slots;
}

void Placement::put(WorkerOffer offer) {
  const WorkerId id = offer.id;
  const auto [found, is_new] = workers_.try_emplace(id);
  Worker& worker = found->second;
  if (!is_new) slots_ -= slots_of(worker);
  is_local_ |= offer.is_local;
  worker.offer = std::move(offer);
  worker.is_gone = false;
  longest_round_trip_ = std::max(longest_round_trip_, worker.offer.round_trip);
  slots_ += slots_of(worker);
  keep_place(id, worker);
}

void Placement::remove(WorkerId id) {
  const auto found = workers_.find(id);
  if (found == workers_.end()) return;
  Worker& worker = found->second;
  slots_ -= slots_of(worker);
  worker.is_gone = true;
  keep_place(id, worker);
  if (worker.in_hand == 0) workers_.erase(found);
}

std::optional<Placement::Place> Placement::place_of(WorkerId id, const Worker& worker) {
  const std::uint32_t slots = slots_of(worker);
  if (slots == 0) return std::nullopt;
  return Place{static_cast<double>(worker.in_hand) / slots, UINT64_MAX - slots, id};
}

void Placement::keep_place(WorkerId id, Worker& worker) {
  const std::optional<Place> before = std::exchange(worker.place, place_of(id, worker));
  if (before == worker.place) return;
  if (!before) {
    by_room_.insert(*worker.place);
  } else if (!worker.place) {
    by_room_.erase(*before);
  } else {
    auto node = by_room_.extract(*before);
    node.value() = *worker.place;
    by_room_.insert(std::move(node));
  }
}

std::uint64_t Placement::cpus_for(const Worker& worker, const Need& need) {
  const std::uint64_t wanted = need.resources.cpu_milli;
  return worker.offer.is_local ? std::min<std::uint64_t>(wanted, worker.offer.capacity.cpu_milli)
                               : wanted;
}

std::uint64_t Placement::memory_for(const Worker& worker, const Need& need) {
  const std::uint64_t wanted = need.resources.memory_bytes;
  return worker.offer.memory_is_a_guess && worker.offer.is_local
             ? std::min(wanted, worker.offer.capacity.memory_bytes)
             : wanted;
}

bool Placement::may_run(const Worker& worker, const Need& need) {
  const WorkerOffer& offer = worker.offer;
  if (offer.is_boundless) return true;
  for (const auto& [name, value] : need.labels) {
    const auto own = offer.labels.find(name);
    if (own == offer.labels.end() || own->second != value) return false;
  }
  return offer.is_local || std::ranges::includes(offer.functions, need.functions);
}

bool Placement::could_hold(const Worker& worker, const Need& need) {
  const Resources& all = worker.offer.capacity;
  if (worker.offer.slots == 0 || cpus_for(worker, need) > all.cpu_milli) return false;
  if (worker.offer.is_boundless) return true;
  if (memory_for(worker, need) > all.memory_bytes) return false;
  return std::ranges::all_of(need.resources.custom, [&](const auto& each) {
    return each.second <= amount(all.custom, each.first);
  });
}

Placement::Lacking Placement::lacking(const Worker& worker, const Need& need) {
  const Resources& all = worker.offer.capacity;
  Lacking lacking;
  lacking.slots = worker.in_hand >= worker.offer.slots ||
                  worker.cpu_milli + cpus_for(worker, need) > all.cpu_milli;
  if (worker.offer.is_boundless) return lacking;
  lacking.memory = worker.memory_bytes + memory_for(worker, need) > all.memory_bytes;
  for (const auto& [name, count] : need.resources.custom)
    if (amount(worker.custom, name) + count > amount(all.custom, name))
      lacking.custom.push_back(name);
  return lacking;
}

bool Placement::fits_ahead(const Worker& worker, const Need& need, double mean_seconds) {
  const std::uint64_t slots = worker.offer.slots;
  if (!need.is_plain() || worker.special > 0) return false;
  if (slots * cpus_for(worker, need) > worker.offer.capacity.cpu_milli) return false;
  const double ahead = ahead_per_slot(mean_seconds, worker.offer.round_trip);
  return static_cast<double>(worker.in_hand) < static_cast<double>(slots) * (1 + ahead);
}

bool Placement::is_held_back(const Worker& worker, const Need& need) const {
  if (reserved_.empty()) return false;
  const auto found = reserved_.find(worker.offer.id);
  if (found == reserved_.end()) return false;
  const Lacking& kept = found->second;
  return kept.slots || (kept.memory && need.resources.memory_bytes > 0) ||
         std::ranges::any_of(kept.custom, [&](const std::string& name) {
           return need.resources.custom.contains(name);
         });
}

std::optional<WorkerId> Placement::choose(const Need& need, double mean_seconds,
                                          const std::set<WorkerId>& avoid,
                                          const Attempt* attempt) const {
  const Worker* best = nullptr;
  // Smaller is better, see the head of placement.hpp.
  using Score = std::tuple<std::size_t, std::uint64_t, double, std::uint64_t, WorkerId>;
  Score least;
  // False: none after this one is better.
  const auto consider = [&](const Place& place, auto has_room) {
    const Worker& worker = workers_.at(place.id);
    if (!has_room(worker) || avoid.contains(place.id)) return true;
    if (!may_run(worker, need) || !could_hold(worker, need)) return true;
    if (is_held_back(worker, need)) return true;
    const Score score = workers_.size() == 1
                            ? Score()
                            : std::tuple_cat(score_of(worker, need, attempt), std::tuple(place.id));
    if (best == nullptr || score < least) {
      best = &worker;
      least = score;
    }
    return !need.is_plain() || std::get<0>(least) != 0 || std::get<1>(least) != 0;
  };
  for (const Place& place : by_room_)
    if (place.room >= 1 ||
        !consider(place, [&](const Worker& each) { return lacking(each, need).nothing(); }))
      break;
  if (best == nullptr && need.is_plain()) {
    const double full = 1 + ahead_per_slot(mean_seconds, longest_round_trip_);
    for (const Place& place : by_room_)
      if (place.room >= full || !consider(place, [&](const Worker& each) {
            return fits_ahead(each, need, mean_seconds);
          }))
        break;
  }
  if (best == nullptr) return std::nullopt;
  return best->offer.id;
}

// What it has that is not needed, bytes it lacks, how full it is, and for many alike, the larger.
std::tuple<std::size_t, std::uint64_t, double, std::uint64_t> Placement::score_of(
    const Worker& worker, const Need& need, const Attempt* attempt) {
  const WorkerOffer& offer = worker.offer;
  std::size_t unwanted = 0;
  for (const auto& [name, count] : offer.capacity.custom)
    unwanted += count > 0 && !need.resources.custom.contains(name);
  std::uint64_t missing = 0;
  if (attempt != nullptr)
    for (const Argument& argument : attempt->arguments)
      if (argument.value.size >= value_bytes_least &&
          !worker.values.contains(argument.value.digest))
        missing += argument.value.size;
  const auto part = [](std::uint64_t taken, std::uint64_t all) {
    return all == 0 ? 0.0 : static_cast<double>(taken) / static_cast<double>(all);
  };
  double room = part(worker.in_hand, offer.slots);
  if (!need.is_plain()) {
    double left = 1 - part(worker.cpu_milli + cpus_for(worker, need), offer.capacity.cpu_milli);
    if (need.resources.memory_bytes > 0)
      left += 1 - part(worker.memory_bytes + memory_for(worker, need), offer.capacity.memory_bytes);
    for (const auto& [name, count] : need.resources.custom)
      left += 1 - part(amount(worker.custom, name) + count, amount(offer.capacity.custom, name));
    room = left;
  }
  return {unwanted, missing, room, UINT64_MAX - offer.slots};
}

std::optional<WorkerId> Placement::keeper(const std::set<WorkerId>& avoid) const {
  for (const auto& [id, worker] : workers_)
    if (!worker.is_gone && !worker.offer.takes_work && worker.offer.kept > 0 && !avoid.contains(id))
      return id;
  return std::nullopt;
}

bool Placement::takes_work(WorkerId id) const {
  const auto found = workers_.find(id);
  return found != workers_.end() && !found->second.is_gone && found->second.offer.takes_work;
}

const Placement::Worker* Placement::nearest(const Need& need) const {
  const Worker* best = nullptr;
  double least = 0;
  for (const auto& [id, worker] : workers_) {
    if (worker.is_gone || !worker.offer.takes_work || reserved_.contains(id)) continue;
    if (!may_run(worker, need) || !could_hold(worker, need)) continue;
    const Lacking missing = lacking(worker, need);
    // What is lacking besides slots counts most: slots become free all the time.
    const double far = static_cast<double>(missing.custom.size()) * 4 + (missing.memory ? 2 : 0) +
                       static_cast<double>(worker.cpu_milli) /
                           std::max<double>(1, worker.offer.capacity.cpu_milli);
    if (best != nullptr && far >= least) continue;
    best = &worker;
    least = far;
  }
  return best;
}

void Placement::reserve(const Need& need) {
  if (need.is_plain()) return;
  const Worker* worker = nearest(need);
  if (worker == nullptr) return;
  Lacking missing = lacking(*worker, need);
  if (!missing.nothing()) reserved_[worker->offer.id] = std::move(missing);
}

void Placement::take(WorkerId id, const Need& need) {
  Worker& worker = workers_.at(id);
  ++worker.in_hand;
  worker.special += !need.is_plain();
  worker.cpu_milli += cpus_for(worker, need);
  worker.memory_bytes += memory_for(worker, need);
  for (const auto& [name, count] : need.resources.custom) worker.custom[name] += count;
  keep_place(id, worker);
}

void Placement::release(WorkerId id, const Need& need) {
  const auto found = workers_.find(id);
  REPRISE_ASSERT(found != workers_.end(), id);
  Worker& worker = found->second;
  REPRISE_ASSERT(worker.in_hand > 0, id);
  --worker.in_hand;
  worker.has_adopted &= worker.in_hand > 0;
  worker.special -= !need.is_plain();
  worker.cpu_milli -= cpus_for(worker, need);
  worker.memory_bytes -= memory_for(worker, need);
  for (const auto& [name, count] : need.resources.custom) worker.custom.at(name) -= count;
  keep_place(id, worker);
  if (worker.is_gone && worker.in_hand == 0) workers_.erase(found);
}

bool Placement::adopt(WorkerId to, WorkerId from, const Need& need) {
  if (!workers_.contains(to)) return false;
  release(from, need);
  take(to, need);
  workers_.at(to).has_adopted = true;
  return true;
}

void Placement::has_bytes(WorkerId id, const Payload& value) {
  if (value.size < value_bytes_least || workers_.size() < 2) return;
  const auto found = workers_.find(id);
  if (found == workers_.end()) return;
  Worker& worker = found->second;
  if (!worker.values.emplace(value.digest, value.size).second) return;
  worker.order.push_back(value.digest);
  if (worker.order.size() <= values_remembered) return;
  worker.values.erase(worker.order.front());
  worker.order.pop_front();
}

WaitingReason Placement::reason(const Need& need) const {
  bool may = false;
  for (const auto& [id, worker] : workers_) {
    if (worker.is_gone || !may_run(worker, need)) continue;
    may = true;
    if (!could_hold(worker, need)) continue;
    const Lacking missing = lacking(worker, need);
    if (!missing.memory && missing.custom.empty()) return WaitingReason::slots;
  }
  if (!may) return WaitingReason::no_worker_for_task;
  return WaitingReason::resources;
}

Obstacle Placement::obstacle(const Need& need) const {
  std::vector<const Worker*> all, able, capable;
  for (const auto& [id, worker] : workers_) {
    if (worker.is_gone) continue;
    all.push_back(&worker);
    if (!may_run(worker, need)) continue;
    able.push_back(&worker);
    if (could_hold(worker, need)) capable.push_back(&worker);
  }
  if (all.empty()) return {WaitingReason::no_worker_for_task, "no worker is there"};
  if (able.empty()) {
    for (const std::string& function : need.functions) {
      std::map<std::string, std::vector<std::string>> offered;
      bool known = false;
      for (const Worker* worker : all)
        for (const std::string& own : worker->offer.functions) {
          known |= own == function;
          if (base_of(own) == base_of(function)) offered[own].push_back(shown(worker->offer.name));
        }
      if (known) continue;
      std::vector<std::string> others;
      for (const auto& [own, names] : offered)
        others.push_back(fmt::format("{} ({})", shown(own), joined(names)));
      return {WaitingReason::no_worker_for_task,
              fmt::format("it needs {}; live workers offer {}", shown(function),
                          others.empty() ? "no version of it" : joined(others))};
    }
    std::vector<std::string> labels;
    for (const auto& [name, value] : need.labels)
      labels.push_back(fmt::format("{}={}", shown(name), shown(value)));
    return {WaitingReason::no_worker_for_task,
            fmt::format("it requires {}{}; none of {} has {}", joined(labels),
                        need.functions.empty() ? "" : " and " + joined(need.functions),
                        all.size() == 1 ? "1 worker" : fmt::format("{} workers", all.size()),
                        labels.size() + need.functions.size() > 1 ? "all of that" : "it")};
  }
  // Of each thing: what is wanted, and the worker that comes nearest.
  const auto lacks = [&](const std::vector<const Worker*>& among, std::string_view thing,
                         const std::string& wanted, auto has, auto text) -> std::string {
    const Worker* best =
        *std::ranges::max_element(among, {}, [&](const Worker* worker) { return has(*worker); });
    return fmt::format("it needs {}: {}; {}", shown(thing), wanted, text(*best));
  };
  if (capable.empty()) {
    const auto most = [&](std::string amount_text, const Worker& worker) {
      return fmt::format("the most that a worker has is {} ({})", amount_text,
                         shown(worker.offer.name));
    };
    for (const auto& [name, count] : need.resources.custom) {
      const auto has = [&, &thing = name](const Worker& worker) {
        return amount(worker.offer.capacity.custom, thing);
      };
      if (std::ranges::any_of(able,
                              [&, least = count](const Worker* w) { return has(*w) >= least; }))
        continue;
      return {WaitingReason::resources,
              lacks(able, name, std::to_string(count), has, [&](const Worker& worker) {
                return has(worker) == 0 ? std::string("no worker has any")
                                        : most(std::to_string(has(worker)), worker);
              })};
    }
    const auto memory = [](const Worker& worker) { return worker.offer.capacity.memory_bytes; };
    if (std::ranges::none_of(able, [&](const Worker* worker) {
          return memory(*worker) >= memory_for(*worker, need);
        }))
      return {WaitingReason::resources,
              lacks(able, "memory", describe_bytes(need.resources.memory_bytes), memory,
                    [&](const Worker& w) { return most(describe_bytes(memory(w)), w); })};
    const auto cpus = [](const Worker& worker) { return worker.offer.capacity.cpu_milli; };
    if (std::ranges::none_of(
            able, [&](const Worker* worker) { return cpus(*worker) >= cpus_for(*worker, need); }))
      return {WaitingReason::resources,
              lacks(able, "cpus", cpus_text(need.resources.cpu_milli), cpus,
                    [&](const Worker& w) { return most(cpus_text(cpus(w)), w); })};
    return {WaitingReason::resources, "no single worker has all that it needs"};
  }
  if (reason(need) == WaitingReason::slots) {
    if (slots_ == 0) return {WaitingReason::slots, "no worker takes new work now"};
    return {WaitingReason::slots,
            fmt::format("all that it could have of {} slots are taken", slots_)};
  }
  for (const auto& [name, count] : need.resources.custom) {
    const auto free = [&, &thing = name](const Worker& worker) {
      const std::uint64_t has = amount(worker.offer.capacity.custom, thing);
      return has - std::min(has, amount(worker.custom, thing));
    };
    if (std::ranges::any_of(capable,
                            [&, least = count](const Worker* w) { return free(*w) >= least; }))
      continue;
    return {WaitingReason::resources,
            lacks(capable, name, std::to_string(count), free, [&, &thing = name](const Worker& w) {
              return fmt::format("{} has {} of {} free", shown(w.offer.name), free(w),
                                 amount(w.offer.capacity.custom, thing));
            })};
  }
  const auto free = [](const Worker& worker) {
    const std::uint64_t has = worker.offer.capacity.memory_bytes;
    return has - std::min(has, worker.memory_bytes);
  };
  return {WaitingReason::resources,
          lacks(capable, "memory", describe_bytes(need.resources.memory_bytes), free,
                [&](const Worker& w) {
                  return fmt::format("{} has {} of {} free", shown(w.offer.name),
                                     describe_bytes(free(w)),
                                     describe_bytes(w.offer.capacity.memory_bytes));
                })};
}

std::optional<std::string> Placement::hopeless(const Need& need) const {
  if (!is_local_) return std::nullopt;
  const Worker& worker = workers_.begin()->second;
  if (could_hold(worker, need) && may_run(worker, need)) return std::nullopt;
  if (worker.offer.slots == 0) return std::nullopt;
  const Resources& all = worker.offer.capacity;
  for (const auto& [name, count] : need.resources.custom)
    if (count > amount(all.custom, name))
      return fmt::format(
          "it needs {}: {}, and {} declared here; declare more with {}, or in the "
          "settings",
          shown(name), count,
          amount(all.custom, name) == 0 ? std::string("none are")
                                        : fmt::format("only {} are", amount(all.custom, name)),
          name == gpus_name ? std::string("--gpus N")
                            : fmt::format("--resource {}=N", shown(name)));
  if (memory_for(worker, need) > all.memory_bytes)
    return fmt::format("it needs memory: {}, and {} were declared here",
                       describe_bytes(need.resources.memory_bytes),
                       describe_bytes(all.memory_bytes));
  for (const auto& [name, value] : need.labels)
    if (const auto own = worker.offer.labels.find(name);
        own == worker.offer.labels.end() || own->second != value)
      return fmt::format(
          "it requires a worker with the label {}={}, which this process does not "
          "have; give it with --worker-label or the setting labels",
          shown(name), shown(value));
  return "nobody can run it here";
}

std::vector<Placement::Load> Placement::loads() const {
  std::vector<Load> loads;
  for (const auto& [id, worker] : workers_)
    loads.push_back(
        {id, worker.offer.slots, worker.in_hand, worker.offer.takes_work && !worker.is_gone});
  return loads;
}

Resources Placement::taken_at(WorkerId id) const {
  const Worker& worker = workers_.at(id);
  return {static_cast<std::uint32_t>(worker.cpu_milli), worker.memory_bytes, worker.custom};
}

void Placement::check_invariants() const {
  for (const auto& [id, worker] : workers_) {
    const Resources& all = worker.offer.capacity;
    REPRISE_ASSERT(worker.special <= worker.in_hand, id, worker.special, worker.in_hand);
    REPRISE_ASSERT(!worker.is_gone || worker.in_hand > 0, id);
    REPRISE_ASSERT(worker.place == place_of(id, worker), id);
    REPRISE_ASSERT(!worker.place || by_room_.contains(*worker.place), id);
    if (worker.offer.is_boundless || worker.has_adopted || !worker.offer.takes_work) continue;
    REPRISE_ASSERT(worker.memory_bytes <= all.memory_bytes, id, worker.memory_bytes);
    for (const auto& [name, count] : worker.custom)
      REPRISE_ASSERT(count <= amount(all.custom, name), id, name, count);
    // What is queued behind plain tasks takes no processor yet.
    const bool queues = worker.in_hand > worker.offer.slots;
    REPRISE_ASSERT(!queues || worker.special == 0, id, worker.special);
    REPRISE_ASSERT(queues || worker.cpu_milli <= all.cpu_milli, id, worker.cpu_milli);
    REPRISE_ASSERT(worker.order.size() == worker.values.size(), id);
    REPRISE_ASSERT(worker.order.size() <= values_remembered, id);
  }
}

}  // namespace reprise::scheduler
