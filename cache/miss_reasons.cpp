#include "cache/miss_reasons.hpp"

#include <utility>

namespace reprise::cache {
namespace {

std::string_view word(Miss fate) {
  switch (fate) {
    case Miss::absent:
      return "";
    case Miss::expired:
      return "expired";
    case Miss::max_age:
      return "max_age";
    case Miss::invalidated:
      return "invalidated";
    case Miss::corrupt:
      return "corrupt";
    case Miss::evicted:
      return "evicted";
    case Miss::foreign_schema:
      return "foreign_schema";
    case Miss::bad_mac:
      return "bad_mac";
  }
  return "";
}

}  // namespace

std::string MissReasons::of(const Material& now, const Key& key, std::string_view task, Miss fate,
                            Time at) {
  if (const std::string_view known = word(fate); !known.empty()) return std::string(known);
  if (by_name_.size() >= names_most && !by_name_.contains(now.name)) by_name_.clear();
  const auto [found, is_new] = by_name_.try_emplace(now.name);
  std::vector<Neighbour>& nearby = found->second;
  if (is_new) {
    if (auto records = store_.recent(now.name, at, neighbours))
      for (Record& record : *records) {
        auto material = Material::decode(record.material);
        if (record.material.empty() || !material) continue;
        record.material.clear();
        nearby.push_back({std::move(record), *std::move(material)});
      }
  }
  KeyPast past;
  // Only where there is nothing to compare with it matters that something was removed.
  if (nearby.empty())
    if (auto told = store_.past_of(key, at)) past = *std::move(told);
  const std::string reason = explain_miss(now, past, task, nearby).reason;
  return reason.substr(0, reason.find(':'));
}

void MissReasons::kept(std::string_view task, const std::string& material) {
  auto made = Material::decode(material);
  if (material.empty() || !made) return;
  const auto found = by_name_.find(made->name);
  if (found == by_name_.end()) return;  // nobody asked for it yet
  Neighbour neighbour;
  neighbour.record.task = task;
  neighbour.material = *std::move(made);
  found->second.insert(found->second.begin(), std::move(neighbour));
  if (found->second.size() > neighbours) found->second.pop_back();
}

}  // namespace reprise::cache
