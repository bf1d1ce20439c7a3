#include "cache/explain.hpp"

#include <algorithm>

#include "core/key_space.hpp"

namespace reprise::cache {
namespace {

constexpr std::uint32_t neighbours_read = 10'000;

// A text that is there and empty is not one that is not there.
std::string as_text(const std::string& text) {
  return text.empty() ? "\"\"" : text;
}
std::string as_text(const Digest& digest) {
  return digest.text();
}

std::string dependency_reason(const std::string& name) {
  return name == "platform" || name.starts_with("param:") ? name : "dep:" + name;
}
std::string argument_reason(const std::string& name) {
  return name == "command" ? name : "arg:" + name;
}
std::string environment_reason(const std::string& name) {
  return "env:" + name;
}

template <class Value, class ReasonOf>
void compare(const std::map<std::string, Value>& before, const std::map<std::string, Value>& now,
             ReasonOf reason_of, std::vector<Difference>& found) {
  auto old = before.begin();
  auto fresh = now.begin();
  while (old != before.end() || fresh != now.end()) {
    if (fresh == now.end() || (old != before.end() && old->first < fresh->first)) {
      found.push_back({reason_of(old->first), as_text(old->second), {}});
      ++old;
    } else if (old == before.end() || fresh->first < old->first) {
      found.push_back({reason_of(fresh->first), {}, as_text(fresh->second)});
      ++fresh;
    } else {
      if (old->second != fresh->second)
        found.push_back({reason_of(old->first), as_text(old->second), as_text(fresh->second)});
      ++old;
      ++fresh;
    }
  }
}

std::string fate_of(const KeyPast& past) {
  if (past.versions.empty()) return "evicted";
  switch (past.versions.front().status) {
    case VersionStatus::ok:
    case VersionStatus::negative:
      return past.versions.front().record.expires ? "expired" : "evicted";
    case VersionStatus::tombstone:
      return "invalidated";
    case VersionStatus::damaged:
      return "corrupt";
  }
  return "evicted";
}

MissExplanation fate_explained(const KeyPast& past) {
  MissExplanation explanation;
  explanation.reason = fate_of(past);
  if (!past.versions.empty()) explanation.last = past.versions.front();
  return explanation;
}

MissExplanation differing_from(const Neighbour& nearest, std::vector<Difference> found) {
  MissExplanation explanation;
  explanation.reason = found.empty() ? "evicted" : found.front().reason;
  explanation.differences = std::move(found);
  explanation.nearest = nearest;
  return explanation;
}

}  // namespace

std::vector<Difference> differences(const Material& before, const Material& now) {
  std::vector<Difference> found;
  if (before.version != now.version) found.push_back({"version", before.version, now.version});
  if (before.signature != now.signature)
    found.push_back({"signature", before.signature.text(), now.signature.text()});
  if (before.code != now.code)
    found.push_back({"code", before.code ? before.code->text() : std::string(),
                     now.code ? now.code->text() : std::string()});
  if (before.salt != now.salt)
    found.push_back({"salt", shown_salt(before.salt), shown_salt(now.salt)});
  compare(before.dependencies, now.dependencies, dependency_reason, found);
  compare(before.environment, now.environment, environment_reason, found);
  compare(before.arguments, now.arguments, argument_reason, found);
  // What a command does comes before what it is given.
  const auto is_argument = [](const Difference& d) { return d.reason.starts_with("arg:"); };
  const auto command = std::ranges::find(found, "command", &Difference::reason);
  if (command != found.end())
    std::rotate(std::find_if(found.begin(), command, is_argument), command, command + 1);
  return found;
}

std::size_t part_count(const Material& material) {
  // version, signature, code and salt are always there.
  return 4 + material.dependencies.size() + material.environment.size() + material.arguments.size();
}

MissExplanation explain_miss(const Material& now, const KeyPast& past, std::string_view task,
                             std::span<const Neighbour> others) {
  if (!past.versions.empty()) return fate_explained(past);
  const Neighbour* nearest = nullptr;
  std::vector<Difference> fewest;
  for (const Neighbour& other : others) {
    if (other.material.account != now.account || other.material.name != now.name) continue;
    if (other.record.task != task) continue;
    return differing_from(other, differences(other.material, now));
  }
  std::size_t compared = 0;
  for (const Neighbour& other : others) {
    if (other.material.account != now.account || other.material.name != now.name) continue;
    auto found = differences(other.material, now);
    if (!nearest || found.size() < fewest.size()) {
      nearest = &other;
      fewest = std::move(found);
    }
    if (++compared == fewest_of) break;
  }
  if (nearest) return differing_from(*nearest, std::move(fewest));
  if (past.horizon) return fate_explained(past);
  MissExplanation explanation;
  explanation.reason = "first_seen";
  return explanation;
}

Result<MissExplanation> Explainer::miss(const Material& now, const Key& key, std::string_view task,
                                        std::optional<Duration> max_age) {
  auto past = store_.past_of(key, moment_);
  if (!past) return tl::unexpected(past.error());
  const auto [known, is_new] = by_name_.try_emplace(now.name);
  Neighbours& neighbours = known->second;
  if (is_new) {
    auto records = store_.recent(now.name, moment_, neighbours_read);
    if (!records) return tl::unexpected(records.error());
    for (Record& record : *records) {
      auto material = Material::decode(record.material);
      if (record.material.empty() || !material) continue;
      record.material.clear();
      if (material->account == now.account)
        neighbours.newest_of_task.try_emplace(record.task, neighbours.all.size());
      neighbours.all.push_back({std::move(record), *std::move(material)});
    }
  }
  // The task's own last result is found without going through all of them.
  std::span<const Neighbour> others = neighbours.all;
  if (const auto own = neighbours.newest_of_task.find(task); own != neighbours.newest_of_task.end())
    others = others.subspan(own->second, 1);
  else
    others = others.first(std::min(others.size(), fewest_of));
  MissExplanation explanation = explain_miss(now, *past, task, others);
  if (const auto& last = explanation.last; max_age && last && last->status == VersionStatus::ok &&
                                           last->record.is_fresh(moment_) &&
                                           moment_ - last->record.committed > *max_age)
    explanation.reason = "max_age";
  return explanation;
}

}  // namespace reprise::cache
