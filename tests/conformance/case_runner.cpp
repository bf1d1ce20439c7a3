#include "tests/conformance/case_runner.hpp"

#include <optional>
#include <utility>

#include "tests/conformance/case_engine.hpp"
#include "tests/conformance/divergences.hpp"
#include "tests/conformance/policy_case.hpp"

namespace reprise::conformance {
namespace {

std::vector<Difference> run_all(const Json& test_case, const std::string& redis) {
  const Deadline deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  Tally tally;
  const Place place{{}, redis};
  if (is_policy_case(test_case)) return run_policy_case(test_case, tally, place, deadline);
  std::optional<CaseEngine> bench(std::in_place, test_case, tally, place, deadline);
  std::vector<Difference> found;
  const std::vector<CaseRun> runs = runs_of(test_case);
  for (std::size_t i = 0; i < runs.size(); ++i) {
    const Observation observed = bench->execute(i);
    const auto more = differences(*runs[i].members, runs[i].where, observed);
    found.insert(found.end(), more.begin(), more.end());
    if (!observed.is_over) break;
    if (redis.empty()) continue;
    auto states = bench->states();
    const auto now = bench->now();
    bench.emplace(test_case, tally, place, deadline);
    bench->set_states(std::move(states));
    bench->set_time(now);
  }
  return found;
}

}  // namespace

Difference misunderstanding(const std::string& why) {
  return {"case", "one that can be run", why};
}

Verdict judged(const Json& test_case, std::vector<Difference> differences) {
  Verdict verdict{test_case.value("id", ""), std::move(differences), {}, 0};
  if (!verdict.differences.empty() && test_case.value("divergence_ok", Json(false)) == true) try {
      verdict.decision = decision_about(test_case);
    } catch (const std::exception&) {  // it makes no sense: then no decision is about it
    }
  return verdict;
}

Verdict run_case(const Json& test_case, const std::string& redis) {
  try {
    return judged(test_case, run_all(test_case, redis));
  } catch (const std::exception& e) {
    return judged(test_case, {misunderstanding(e.what())});
  }
}

}  // namespace reprise::conformance
