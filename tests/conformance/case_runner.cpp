#include "tests/conformance/case_runner.hpp"

#include "tests/conformance/case_engine.hpp"
#include "tests/conformance/divergences.hpp"
#include "tests/conformance/policy_case.hpp"

namespace reprise::conformance {
namespace {

std::vector<Difference> run_all(const Json& test_case) {
  const Deadline deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  Tally tally;
  if (is_policy_case(test_case)) return run_policy_case(test_case, tally, {}, deadline);
  CaseEngine bench(test_case, tally, {}, deadline);
  std::vector<Difference> found;
  const std::vector<CaseRun> runs = runs_of(test_case);
  for (std::size_t i = 0; i < runs.size(); ++i) {
    const Observation observed = bench.execute(i);
    const auto more = differences(*runs[i].members, runs[i].where, observed);
    found.insert(found.end(), more.begin(), more.end());
    if (!observed.is_over) break;
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

Verdict run_case(const Json& test_case) {
  try {
    return judged(test_case, run_all(test_case));
  } catch (const std::exception& e) {
    return judged(test_case, {misunderstanding(e.what())});
  }
}

}  // namespace reprise::conformance
