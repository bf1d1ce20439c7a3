#include "cache/candidates.hpp"

#include <algorithm>
#include <set>

namespace reprise::cache {
namespace {

constexpr std::uint32_t versions_read = 400;  // under one name; other work lies among them

constexpr std::string_view parameter_prefix = "param:";

bool is_parameter(const std::pair<const std::string, Digest>& dependency) {
  return dependency.first.starts_with(parameter_prefix);
}

/// Equal but for parameters of the run.
bool have_same_dependencies(const Material& a, const Material& b) {
  auto x = a.dependencies.begin();
  auto y = b.dependencies.begin();
  for (;;) {
    x = std::find_if_not(x, a.dependencies.end(), is_parameter);
    y = std::find_if_not(y, b.dependencies.end(), is_parameter);
    if (x == a.dependencies.end() || y == b.dependencies.end())
      return x == a.dependencies.end() && y == b.dependencies.end();
    if (*x != *y) return false;
    ++x, ++y;
  }
}

std::map<std::string, Digest> parameters_of(const Material& material) {
  std::map<std::string, Digest> parameters;
  for (const auto& dependency : material.dependencies)
    if (is_parameter(dependency))
      parameters.emplace(dependency.first.substr(parameter_prefix.size()), dependency.second);
  return parameters;
}

/// Every entry of `wanted` is in `given` with the same digest.
bool holds_all(const std::map<std::string, Digest>& wanted,
               const std::map<std::string, Digest>& given) {
  return std::all_of(wanted.begin(), wanted.end(), [&](const auto& entry) {
    const auto found = given.find(entry.first);
    return found != given.end() && found->second == entry.second;
  });
}

}  // namespace

bool is_same_work(const Material& mine, const Material& theirs) {
  return mine.account == theirs.account && mine.name == theirs.name &&
         mine.version == theirs.version && mine.signature == theirs.signature &&
         mine.code == theirs.code && mine.salt == theirs.salt &&
         mine.environment == theirs.environment && have_same_dependencies(mine, theirs);
}

bool is_valid_for(Validator validator, const Material& mine, const Material& theirs) {
  if (!is_same_work(mine, theirs)) return false;
  switch (validator) {
    case Validator::all_inputs:
    case Validator::custom:
    case Validator::never_use:
      return false;
    case Validator::all_parameters:
      if (parameters_of(mine) != parameters_of(theirs)) return false;
      break;
    case Validator::duration_only:
    case Validator::partial_inputs:
    case Validator::partial_parameters:
      if (!holds_all(mine.dependencies, theirs.dependencies)) return false;
      break;
  }
  return holds_all(mine.arguments, theirs.arguments);
}

bool has_candidates(const CachePolicy& policy) {
  return policy.validator != Validator::all_inputs && policy.validator != Validator::never_use;
}

Result<std::vector<const Neighbour*>> CandidateSearch::same_work(const std::string& name,
                                                                 const Material& mine,
                                                                 const Query& reader) {
  const auto [known, is_new] = by_name_.try_emplace(name);
  if (is_new) {
    auto records = store_.recent(name, moment_, versions_read);
    if (!records) {
      by_name_.erase(known);
      return tl::unexpected(records.error());
    }
    // A reader may leave out what its own run made, so of each key the newest of every run counts;
    // but nothing older than a removal.
    std::set<std::pair<Key, RunId>> seen;
    std::set<Key> over;
    for (Record& record : *records) {
      if (record.status != VersionStatus::ok) over.insert(record.key);
      if (over.contains(record.key) || !seen.insert({record.key, record.run}).second) continue;
      if (auto material = Material::decode(record.material))
        known->second.push_back({std::move(record), *std::move(material)});
    }
  }
  std::vector<const Neighbour*> found;
  std::set<Key> keys;
  for (const Neighbour& each : known->second) {
    if (found.size() == candidates_max) break;
    if (reader.takes(each.record, moment_) && is_same_work(mine, each.material) &&
        keys.insert(each.record.key).second)
      found.push_back(&each);
  }
  return found;
}

Result<std::vector<std::optional<Record>>> CandidateSearch::read(
    const std::vector<const Neighbour*>& chosen, const Query& reader) {
  if (!past_) {
    std::vector<Query> queries;
    for (const Neighbour* each : chosen)
      queries.push_back({.key = each->record.key, .not_of = reader.not_of});
    return store_.find(queries, moment_);
  }
  std::vector<Key> keys;
  for (const Neighbour* each : chosen) keys.push_back(each->record.key);
  auto answers = store_.look_up_as_of(keys, moment_);
  if (!answers) return tl::unexpected(answers.error());
  std::vector<std::optional<Record>> records;
  for (PastAnswer& answer : *answers) records.push_back(std::move(answer.record));
  return records;
}

Result<std::optional<Record>> CandidateSearch::valid(const std::string& name, const Material& mine,
                                                     const Query& reader, Validator validator) {
  auto all = same_work(name, mine, reader);
  if (!all) return tl::unexpected(all.error());
  for (const Neighbour* each : *all) {
    if (each->record.key == reader.key) return std::optional<Record>();
    if (!is_valid_for(validator, mine, each->material)) continue;
    auto records = read({each}, reader);
    if (!records) return tl::unexpected(records.error());
    if (records->front()) return std::move(records->front());
  }
  return std::optional<Record>();
}

Result<std::vector<Candidate>> CandidateSearch::for_user(const std::string& name,
                                                         const Material& mine,
                                                         const Query& reader) {
  auto all = same_work(name, mine, reader);
  if (!all) return tl::unexpected(all.error());
  std::uint64_t bytes = 0;
  std::vector<const Neighbour*> chosen;
  for (const Neighbour* each : *all) {
    bytes += each->record.value.size;
    if (bytes > bytes_max) break;
    chosen.push_back(each);
  }
  std::vector<Candidate> candidates;
  if (chosen.empty()) return candidates;
  auto records = read(chosen, reader);
  if (!records) return tl::unexpected(records.error());
  for (std::size_t i = 0; i < chosen.size(); ++i) {
    std::optional<Record>& record = (*records)[i];
    if (!record) continue;
    Candidate& candidate = candidates.emplace_back();
    candidate.key = record->key;
    candidate.value = std::move(record->value);
    candidate.run = record->run;
    candidate.committed = record->committed;
    candidate.expires = record->expires;
    candidate.inputs = chosen[i]->material.arguments;
    // Who keeps results of a custom validator tells all parameters; of others it is not known.
    auto parameters = parameters_of(chosen[i]->material);
    if (!parameters.empty()) candidate.parameters = std::move(parameters);
  }
  return candidates;
}

}  // namespace reprise::cache
