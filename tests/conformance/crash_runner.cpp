#include "tests/conformance/crash_runner.hpp"

#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <random>
#include <system_error>
#include <thread>

#include <fmt/format.h>

#include "tests/conformance/case_engine.hpp"
#include "tests/conformance/policy_case.hpp"
#include "tests/conformance/process_pool.hpp"
#include "tests/support/temporary_folder.hpp"

namespace reprise::conformance {
namespace {

using time_point = std::chrono::system_clock::time_point;

// A process that is killed may leave a lease of a key behind, for which others wait until it ends
// by itself, after ten seconds.
constexpr std::chrono::seconds case_deadline{25};

// --- states on the way from one process to another

Json packed(const value& any) {
  const std::string bytes = any.to_bytes();
  return Json::binary(std::vector<std::uint8_t>(bytes.begin(), bytes.end()));
}

value unpacked_value(const Json& json) {
  const auto& bytes = json.get_binary();
  const auto any = value::from_bytes(
      std::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size()));
  if (!any) throw std::runtime_error("a value did not survive: " + any.error().message);
  return *any;
}

Json packed(time_point at) {
  return at.time_since_epoch().count();
}

time_point unpacked_time(const Json& json) {
  return time_point(time_point::duration(json.get<time_point::rep>()));
}

Json packed(const std::map<std::string, value>& values) {
  Json json = Json::object();
  for (const auto& [name, any] : values) json[name] = packed(any);
  return json;
}

std::map<std::string, value> unpacked_values(const Json& json) {
  std::map<std::string, value> values;
  for (const auto& [name, any] : json.items()) values.emplace(name, unpacked_value(any));
  return values;
}

Json packed(const given_state& given) {
  Json json{{"kind", static_cast<int>(given.state.kind)},
            {"message", given.state.message},
            {"run_count", given.run_count},
            {"loop_count", given.loop_count}};
  if (given.state.result) json["result"] = packed(*given.state.result);
  if (given.state.start_time) json["start_time"] = packed(*given.state.start_time);
  if (given.loop_result) json["loop_result"] = packed(*given.loop_result);
  if (given.inputs) json["inputs"] = packed(*given.inputs);
  if (given.parameters) json["parameters"] = packed(*given.parameters);
  if (given.expires) json["expires"] = packed(*given.expires);
  Json& elements = json["elements"] = Json::array();
  for (const auto& each : given.elements) elements.push_back(each ? packed(*each) : Json());
  return json;
}

given_state unpacked_state(const Json& json) {
  given_state given;
  given.state.kind = static_cast<task_state>(json["kind"].get<int>());
  given.state.message = json["message"];
  given.run_count = json["run_count"];
  given.loop_count = json["loop_count"];
  if (json.contains("loop_result")) given.loop_result = unpacked_value(json["loop_result"]);
  if (json.contains("result")) given.state.result = unpacked_value(json["result"]);
  if (json.contains("start_time")) given.state.start_time = unpacked_time(json["start_time"]);
  if (json.contains("inputs")) given.inputs = unpacked_values(json["inputs"]);
  if (json.contains("parameters")) given.parameters = unpacked_values(json["parameters"]);
  if (json.contains("expires")) given.expires = unpacked_time(json["expires"]);
  for (const Json& each : json["elements"]) {
    if (each.is_null())
      given.elements.emplace_back(std::nullopt);
    else
      given.elements.emplace_back(unpacked_state(each));
  }
  return given;
}

// --- processes

/// Calls `work` in another process and gives back what it returned; nullopt: it was killed first.
/// @throws std::runtime_error: it died in another way
std::optional<Json> in_process(const std::function<Json()>& work) {
  std::array<int, 2> answer{};
  if (::pipe(answer.data()) != 0) throw std::system_error(errno, std::generic_category(), "pipe");
  const pid_t process = ::fork();
  if (process < 0) throw std::system_error(errno, std::generic_category(), "fork");
  if (process == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    ::close(answer[0]);
    Json made;
    try {
      made = work();
    } catch (const std::exception& e) {
      made = {{"thrown", e.what()}};
    }
    const std::vector<std::uint8_t> bytes = Json::to_cbor(made);
    write_message(answer[1], std::string(bytes.begin(), bytes.end()));
    std::_Exit(0);
  }
  ::close(answer[1]);
  std::string bytes;
  const bool is_whole = read_message(answer[0], bytes);
  ::close(answer[0]);
  int status = 0;
  ::waitpid(process, &status, 0);
  if (is_whole) {
    Json made = Json::from_cbor(bytes);
    if (made.is_object() && made.contains("thrown")) throw bad_case(made["thrown"]);
    return made;
  }
  if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) return std::nullopt;
  throw std::runtime_error(fmt::format("a process died: status {}", status));
}

/// Kills its process at an event.
class Killer {
 public:
  Killer(std::uint64_t seed, const Json& test_case, std::size_t run) {
    std::seed_seq seeds{
        seed, static_cast<std::uint64_t>(run),
        static_cast<std::uint64_t>(std::hash<std::string>()(test_case.value("id", "")))};
    std::mt19937_64 random(seeds);
    const std::size_t bodies = std::max<std::size_t>(
        1, list_in(test_case, "tasks").size() + list_in(test_case, "calls").size());
    at_ = 1 + random() % (bodies + bodies / 2 + 1);
    delay_ = std::chrono::microseconds(random() % 4 == 0 ? 0 : random() % 3000);
  }

  /// The body or handler in which the event happens stays in it, so that the run cannot be over
  /// when the process is killed.
  void happened() {
    if (++events_ != at_) return;
    std::this_thread::sleep_for(delay_);
    ::kill(::getpid(), SIGKILL);
    ::pause();
  }

 private:
  std::uint64_t at_ = 0;
  std::chrono::microseconds delay_{0};
  std::atomic<std::uint64_t> events_{0};
};

class CrashRunner {
 public:
  CrashRunner(const Json& test_case, std::uint64_t seed, const std::string& redis)
      : case_(test_case),
        seed_(seed),
        place_{folder_.path() / "data", redis},
        deadline_(std::chrono::steady_clock::now() + case_deadline) {}

  std::vector<Difference> run_all() {
    if (is_policy_case(case_)) {
      take(with_a_crash(0, [&](std::optional<time_point> begun, Tally& tally) {
        return Json{{"differences", packed_differences(run_policy_case(
                                        case_, tally, place_, deadline_, begun.has_value()))}};
      }));
      return found_;
    }
    const std::vector<CaseRun> runs = runs_of(case_);
    for (std::size_t i = 0; i < runs.size() && is_over_; ++i)
      take(with_a_crash(i, [&](std::optional<time_point> begun, Tally& tally) {
        return run(runs[i], i, begun, tally);
      }));
    return found_;
  }

  [[nodiscard]] std::uint32_t kills() const { return kills_; }

 private:
  /// @param begun  when a process that was killed began with it; none: this one does
  using Work = std::function<Json(std::optional<time_point> begun, Tally&)>;

  Json with_a_crash(std::size_t run, const Work& work) {
    const std::filesystem::path log = folder_.path() / "calls";
    const time_point begun = std::max(now_, std::chrono::system_clock::now());
    const auto first = in_process([&] {
      Tally tally(log);
      Killer killer(seed_, case_, run);
      tally.on_event([&] { killer.happened(); });
      return work(std::nullopt, tally);
    });
    if (first) return *first;
    ++kills_;
    const auto second = in_process([&] {
      Tally tally(log);
      return work(begun, tally);
    });
    if (!second) throw std::runtime_error("a process was killed by somebody else");
    return *second;
  }

  Json run(const CaseRun& described, std::size_t number, std::optional<time_point> begun,
           Tally& tally) {
    CaseEngine bench(case_, tally, place_, deadline_);
    bench.set_states(states_);
    bench.set_time(now_);
    const Observation observed = bench.execute(number, begun);
    Json made{{"over", observed.is_over}, {"now", packed(bench.now())}};
    made["differences"] =
        packed_differences(differences(*described.members, described.where, observed,
                                       begun ? Precision::continued : Precision::exact));
    for (const auto& [task, given] : bench.states()) made["states"][task] = packed(given);
    return made;
  }

  static Json packed_differences(const std::vector<Difference>& all) {
    Json json = Json::array();
    for (const Difference& each : all) json.push_back({each.member, each.wanted, each.got});
    return json;
  }

  void take(const Json& made) {
    for (const Json& each : made["differences"]) found_.push_back({each[0], each[1], each[2]});
    is_over_ = made.value("over", true);
    if (made.contains("now")) now_ = unpacked_time(made["now"]);
    states_.clear();
    if (made.contains("states"))
      for (const auto& [task, given] : made["states"].items())
        states_.emplace(task, unpacked_state(given));
  }

  const Json& case_;
  std::uint64_t seed_;
  testing::TemporaryFolder folder_;
  Place place_;
  Deadline deadline_;
  std::map<std::string, given_state> states_;
  time_point now_{};
  bool is_over_ = true;
  std::uint32_t kills_ = 0;
  std::vector<Difference> found_;
};

}  // namespace

Verdict run_case_with_crashes(const Json& test_case, std::uint64_t seed, const std::string& redis) {
  CrashRunner runner(test_case, seed, redis);
  Verdict verdict;
  try {
    verdict = judged(test_case, runner.run_all());
  } catch (const std::exception& e) {
    verdict = judged(test_case, {misunderstanding(e.what())});
  }
  verdict.kills = runner.kills();
  return verdict;
}

}  // namespace reprise::conformance
