#include "tests/conformance/observation.hpp"

#include <fmt/format.h>

#include "tests/conformance/values.hpp"

namespace reprise::conformance {
namespace {

std::optional<value> result_of(const given_state& given) {
  if (given.state.kind != task_state::mapped) return given.state.result;
  value::list all;
  for (const auto& element : given.elements)
    all.push_back(element ? element->state.result.value_or(value()) : value());
  return value(all);
}

std::string shown(const std::optional<value>& result) {
  return result ? result->to_json() : "null";
}

class Comparison {
 public:
  Comparison(const Json& expectations, const std::string& where, const Observation& observed,
             Precision precision)
      : expected_(expectations), where_(where), observed_(observed), precision_(precision) {}

  std::vector<Difference> all() {
    check_states();
    if (!found_.empty() && (observed_.refusal || !observed_.is_over)) return found_;
    for (const auto& [task, wanted] : object_in(expected_, "expect_results").items()) {
      const std::optional<value> got = result_of(given(task));
      if (!is_expected(wanted, got)) differ("expect_results", task, wanted.dump(), shown(got));
    }
    for (const auto& [task, wanted] : object_in(expected_, "expect_children").items())
      check("expect_children", task, wanted, children(task));
    check_counts("expect_executions", observed_.executions, false);
    check_counts("expect_handler_calls", observed_.handler_calls, true);
    check_counts("expect_on_failure_calls", observed_.failure_calls, true);
    if (precision_ == Precision::exact)
      for (const auto& [task, wanted] : object_in(expected_, "expect_history").items()) {
        const auto kept = observed_.history.find(task);
        check("expect_history", task, wanted,
              kept == observed_.history.end() ? Json::array() : Json(kept->second));
      }
    const double least = number_in(expected_, "min_duration_s", 0);
    if (observed_.seconds < least)
      found_.push_back({where_ + "min_duration_s", fmt::format("at least {}", least),
                        fmt::format("{}", observed_.seconds)});
    return std::move(found_);
  }

 private:
  void check_states() {
    const Json& states = object_in(expected_, "expect");
    const bool wants_refusal = states.contains("error");
    if (observed_.refusal) {
      if (!wants_refusal)
        found_.push_back({where_ + "expect", states.dump(),
                          fmt::format("the run is refused: {}", *observed_.refusal)});
      return;
    }
    if (wants_refusal) differ("expect", "error", states["error"].dump(), "the run is accepted");
    if (!observed_.is_over) {
      found_.push_back({where_ + "deadline", "the run ends or comes to rest", "it goes on"});
      return;
    }
    for (const auto& [task, wanted] : states.items()) {
      if (task == "error") continue;
      const std::string got =
          task == "flow" ? observed_.flow : std::string(class_name(given(task).state.kind));
      if (wanted != got) differ("expect", task, wanted.dump(), Json(got).dump());
    }
  }

  /// Tasks that nothing is known of have not been looked at.
  const given_state& given(const std::string& task) const {
    static const given_state pending;
    const auto found = observed_.states.find(task);
    return found == observed_.states.end() ? pending : found->second;
  }

  Json children(const std::string& task) const {
    Json all = Json::array();
    for (const auto& element : given(task).elements)
      all.push_back(class_name(element ? element->state.kind : task_state::pending));
    return all;
  }

  void check_counts(const char* member, const std::map<std::string, std::uint64_t>& counts,
                    bool may_exceed) {
    for (const auto& [task, wanted] : object_in(expected_, member).items()) {
      const auto found = counts.find(task);
      const std::uint64_t got = found == counts.end() ? 0 : found->second;
      if (may_exceed && precision_ == Precision::continued && wanted.is_number() &&
          static_cast<double>(got) >= wanted.get<double>())
        continue;
      check(member, task, wanted, got);
    }
  }

  void check(const char* member, const std::string& task, const Json& wanted, const Json& got) {
    if (wanted != got) differ(member, task, wanted.dump(), got.dump());
  }

  void differ(const char* member, const std::string& task, std::string wanted, std::string got) {
    found_.push_back(
        {fmt::format("{}{}.{}", where_, member, task), std::move(wanted), std::move(got)});
  }

  const Json& expected_;
  const std::string& where_;
  const Observation& observed_;
  Precision precision_;
  std::vector<Difference> found_;
};

}  // namespace

std::vector<Difference> differences(const Json& expectations, const std::string& where,
                                    const Observation& observed, Precision precision) {
  return Comparison(expectations, where, observed, precision).all();
}

}  // namespace reprise::conformance
