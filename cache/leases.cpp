#include "cache/leases.hpp"

#include <utility>

#include <fmt/format.h>

namespace reprise::cache {

Status LeaseTerms::check() const {
  using namespace std::chrono_literals;
  if (owner.empty() || owner.size() > 256)
    return fail(ErrorCode::invalid_argument,
                fmt::format("the owner of a lease has 1 to 256 bytes, not {}", owner.size()));
  if (term < 1ms || term > 24h)
    return fail(ErrorCode::invalid_argument,
                fmt::format("a lease lasts 1 ms to 1 day, not {}", describe(term)));
  return {};
}

Result<std::vector<FoundOrLeased>> look_up_or_lease(Store& store, Leases& leases,
                                                    std::span<const Query> queries,
                                                    const LeaseTerms& terms) {
  std::vector<FoundOrLeased> answers(queries.size());
  std::vector<std::size_t> missing(queries.size());
  for (std::size_t i = 0; i < queries.size(); ++i) missing[i] = i;
  for (const bool is_second_round : {false, true}) {
    std::vector<Query> wanted;
    for (const std::size_t i : missing) wanted.push_back(queries[i]);
    auto found = store.search(wanted, terms.now);
    if (!found) return tl::unexpected(found.error());
    std::vector<LeaseWish> wishes;
    std::vector<std::size_t> still_missing;
    for (std::size_t m = 0; m < missing.size(); ++m) {
      answers[missing[m]].tier = (*found)[m].tier;
      answers[missing[m]].miss = (*found)[m].miss;
      std::optional<Record>& record = answers[missing[m]].record = std::move((*found)[m].record);
      if (record && record->is_fresh(terms.now)) {
        answers[missing[m]].lease.reset();
        continue;
      }
      // What is fresh for others may be too old for this reader, or of its own run.
      const Query& query = queries[missing[m]];
      wishes.push_back({.key = query.key,
                        .even_if_published = is_second_round || query.max_age || query.not_of});
      still_missing.push_back(missing[m]);
    }
    if (wishes.empty()) return answers;
    auto leased = leases.acquire(wishes, terms);
    if (!leased) return tl::unexpected(leased.error());
    missing.clear();
    for (std::size_t m = 0; m < still_missing.size(); ++m) {
      LeaseAnswer& answer = (*leased)[m];
      if (answer.kind == LeaseAnswer::Kind::published) missing.push_back(still_missing[m]);
      answers[still_missing[m]].lease = std::move(answer);
    }
    if (missing.empty()) return answers;
  }
  return answers;
}

}  // namespace reprise::cache
