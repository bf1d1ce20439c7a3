// The public API on the real engine.
#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <thread>

#include <boost/test/unit_test.hpp>

#include "reprise/reprise.hpp"
#include "tests/api/sample_types.hpp"
#include "tests/api/tasks.hpp"

BOOST_AUTO_TEST_SUITE(end_to_end_suite)

using namespace reprise;
using namespace reprise::samples;
using namespace std::chrono_literals;

namespace {

/// A data directory of its own, gone with the test.
struct temporary_folder {
  std::filesystem::path path;
  temporary_folder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "reprise-api-XXXXXX").string();
    BOOST_REQUIRE(mkdtemp(pattern.data()) != nullptr);
    path = pattern;
  }
  ~temporary_folder() { std::filesystem::remove_all(path); }
};

const run_options in_memory{.slots = 2, .in_memory = true};

// Bodies do not capture; what they did is counted here.
std::atomic<int> bodies{0};

constexpr auto counted = task<"counted">(
    [](int n) {
      ++bodies;
      return n + 1;
    },
    {.cache = true});

template <class T>
task_error failure_of(const result<T>& from) {
  try {
    (void)from.get();
  } catch (const task_error& e) {
    return e;
  }
  BOOST_FAIL("the task has a result");
  return task_error({});
}

}  // namespace

BOOST_AUTO_TEST_CASE(a_word_count_gives_its_words) {
  flow f("wordcount");
  auto texts = f.constant(std::vector<std::string>{"a b a", "b c"});
  auto counts = f.map(count, texts);
  auto sums = f.reduce(merge, counts, words{});
  auto best = f.call(top, sums, 2);
  f.output("best", best);
  const run r = f.run(in_memory);
  BOOST_TEST(r[best].get() == (std::vector<std::string>{"a", "b"}),
             boost::test_tools::per_element());
  BOOST_TEST((r[counts].get() == std::vector<words>{{{"a", 2}, {"b", 1}}, {{"b", 1}, {"c", 1}}}));
  BOOST_TEST((r[texts].get() == std::vector<std::string>{"a b a", "b c"}));
  const run_result ended = r.wait();
  BOOST_TEST((ended.state == run_state::success));
  BOOST_TEST(ended.tasks == 4u);
  BOOST_TEST(ended.executed == 4u);
  BOOST_TEST(ended.id == r.id());
  BOOST_TEST((ended.outputs.at("best").as<std::vector<std::string>>().value() ==
              std::vector<std::string>{"a", "b"}));
}

BOOST_AUTO_TEST_CASE(a_second_run_is_served_from_the_cache) {
  const temporary_folder data;
  bodies = 0;
  flow f("cached");
  auto all = f.map(counted, std::vector<int>{1, 2, 3});
  for (const int executed : {3, 0}) {
    const run r = f.run({.slots = 2, .data = data.path});
    BOOST_TEST((r[all].get() == std::vector<int>{2, 3, 4}));
    const run_result ended = r.wait();
    BOOST_TEST(ended.executed == static_cast<std::uint64_t>(executed));
    BOOST_TEST(ended.cached == static_cast<std::uint64_t>(3 - executed));
  }
  BOOST_TEST(bodies == 3);
  flow g("other flow, same task");
  auto more = g.map(counted, std::vector<int>{3, 4});
  const run r = g.run({.data = data.path});
  BOOST_TEST((r[more].get() == std::vector<int>{4, 5}));
  BOOST_TEST(bodies == 4);
  const run again = g.run({.data = data.path, .cache = cache_mode::refresh});
  BOOST_TEST(again.wait().executed == 2u);
}

BOOST_AUTO_TEST_CASE(parameters_reach_tasks_and_contexts) {
  constexpr auto scaled = task<"scaled">([](const context& about, double n, const option& by) {
    return n * by.strike + about.parameter<int>("offset").value();
  });
  flow f("params");
  auto n = f.parameter<double>("n");
  auto by = f.parameter<option>("by", option{.strike = 2});
  (void)f.parameter<int>("offset", 100);
  auto made = f.call(scaled, n, by);
  const engine e({.in_memory = true, .slots = 1});
  BOOST_TEST(e.run(f, {.parameters = {{"n", 21}}})[made].get() == 142.0);
  BOOST_TEST(e.run(f, {.parameters = {{"n", 1.5},
                                      {"offset", 0},
                                      {"by", value::of(option{.strike = 4})}}})[made]
                 .get() == 6.0);
  const auto lacking = e.try_run(f);
  BOOST_REQUIRE(!lacking);
  BOOST_TEST((lacking.error().code == error_code::invalid_argument));
  BOOST_CHECK_THROW((void)e.run(f, {.parameters = {{"n", 1}, {"m", 1}}}), usage_error);
}

BOOST_AUTO_TEST_CASE(a_failure_tells_which_task_why_and_on_which_attempt) {
  flow f("failing");
  auto bad = f.call(samples::fail.with({.retries = 1}), 7).named("bad");
  auto after = f.call(twice, bad);
  auto mapped = f.map(samples::fail, std::vector<int>{1});
  auto good = f.call(twice, 4);
  const run r = f.run(in_memory);
  const task_error e = failure_of(r[bad]);
  BOOST_TEST(e.task() == "bad");
  BOOST_TEST(e.state() == "failed");
  BOOST_TEST(e.attempt() == 2u);
  BOOST_TEST(e.message().find("no good: 7") != std::string::npos);
  BOOST_TEST(failure_of(r[after]).state() == "trigger_failed");
  BOOST_TEST(failure_of(r[mapped]).task() == "fail[0]");
  BOOST_TEST(r[good].get() == 8);
  const auto tried = r[bad].try_get(0s);
  BOOST_REQUIRE(!tried);
  BOOST_TEST((tried.error().code == error_code::task_failed));
  BOOST_TEST((r.wait().state == run_state::failed));
}

BOOST_AUTO_TEST_CASE(results_can_be_waited_for_with_a_limit) {
  static std::atomic<bool> go{false};
  go = false;
  constexpr auto held = task<"held">([](const context& about) {
    while (!go && !about.stop_requested()) std::this_thread::yield();
  });
  flow f("held");
  auto first = f.call(held);
  auto second = f.call(twice, 1).after(first);
  const run r = f.run(in_memory);
  BOOST_TEST((r[second].try_get(1ms).error().code == error_code::unavailable));
  BOOST_TEST(!r[first].ready());
  BOOST_TEST(!r.wait_for(1ms));
  go = true;
  r[first].get();
  BOOST_TEST(r[first].ready());
  BOOST_TEST(r[second].try_get(20s).value() == 2);
  BOOST_TEST(r.wait().is_success());
}

BOOST_AUTO_TEST_CASE(a_cancelled_run_stops_its_bodies) {
  static std::atomic<bool> started{false};
  started = false;
  constexpr auto endless = task<"endless">([](const context& about) {
    started = true;
    while (!about.stop_requested()) std::this_thread::yield();
    return 1;
  });
  flow f("endless");
  auto never = f.call(endless);
  auto below = f.call(twice, never);
  const run r = f.run(in_memory);
  while (!started) std::this_thread::yield();
  BOOST_TEST(r.cancel("enough").has_value());
  const run_result ended = r.wait();
  BOOST_TEST((ended.state == run_state::cancelled));
  BOOST_TEST(!r[below].try_get(5s));
  BOOST_TEST((r.cancel().error().code == error_code::conflict));
}

BOOST_AUTO_TEST_CASE(signals_decide_how_tasks_end) {
  constexpr auto skipping =
      task<"skipping">([](int) -> int { throw signal::skip("nothing to do"); });
  constexpr auto quick = task<"quick">([](int n) -> int { throw signal::success(n * 10); });
  constexpr auto looping = task<"looping">([](const context& about, int rounds) -> int {
    const int sum = about.loop_result<int>().value_or(0) + static_cast<int>(about.loop_count());
    if (about.loop_count() < static_cast<std::uint32_t>(rounds)) throw signal::loop(sum);
    return sum;
  });
  flow f("signals");
  auto skipped = f.call(skipping, 1);
  auto below = f.call(twice, skipped);
  auto succeeded = f.call(quick, 4);
  auto looped = f.call(looping, 4);
  const run r = f.run(in_memory);
  BOOST_TEST(failure_of(r[skipped]).state() == "skipped");
  BOOST_TEST(failure_of(r[below]).state() == "skipped");
  BOOST_TEST(r[succeeded].get() == 40);
  BOOST_TEST(r[looped].get() == 1 + 2 + 3 + 4);
  BOOST_TEST(r.wait().is_success());
}

BOOST_AUTO_TEST_CASE(maps_chain_flatten_and_zip) {
  flow f("maps");
  auto base = f.call(numbers, 4);
  auto lists = f.map(numbers, base);
  auto flat = f.map(twice, flatten(lists));
  auto sums = f.map(add, base, f.map(twice, base));
  auto shorter = f.map(add, base, std::vector<int>{100, 200});
  auto none = f.map(twice, std::vector<int>{});
  const run r = f.run(in_memory);
  BOOST_TEST((r[flat].get() == std::vector<int>{0, 0, 2, 0, 2, 4}));
  BOOST_TEST((r[sums].get() == std::vector<int>{0, 3, 6, 9}));
  BOOST_TEST((r[shorter].get() == std::vector<int>{100, 201}));
  BOOST_TEST(r[none].get().empty());
  BOOST_TEST(r.wait().is_success());
}

BOOST_AUTO_TEST_CASE(dynamic_tasks_run_with_what_they_captured) {
  const engine e({.in_memory = true, .slots = 2});
  for (const int captured : {1, 2}) {  // one name, two bodies: each flow runs its own
    flow f("dynamic");
    auto made = f.call(dynamic_task("plus", 1,
                                    [captured](std::span<const value> all, context&) {
                                      return value(all[0].as<int>().value() + captured);
                                    }),
                       10);
    auto typed = f.call(twice, made);
    BOOST_TEST(e.run(f)[typed].get() == 2 * (10 + captured));
  }
}

BOOST_AUTO_TEST_CASE(one_engine_runs_many_flows_at_once) {
  const engine e({.in_memory = true, .slots = 4});
  std::vector<flow> flows;
  std::vector<node<std::vector<int>>> ends;
  std::vector<run> runs;
  for (int i = 0; i < 8; ++i) {
    flow& f = flows.emplace_back("flow " + std::to_string(i));
    ends.push_back(f.map(add, f.call(numbers, 50), i));
    runs.push_back(e.run(f));
  }
  for (int i = 0; i < 8; ++i) {
    const auto all = runs[static_cast<std::size_t>(i)][ends[static_cast<std::size_t>(i)]].get();
    BOOST_TEST(all.size() == 50u);
    BOOST_TEST(all.back() == 49 + i);
  }
  BOOST_CHECK_THROW((void)runs[0][ends[1]], usage_error);
}

BOOST_AUTO_TEST_CASE(a_flow_grows_between_runs) {
  flow f("growing");
  auto first = f.call(twice, 1);
  const run early = f.run(in_memory);
  auto second = f.call(twice, first);
  BOOST_TEST(early[first].get() == 2);
  BOOST_CHECK_THROW(early[second].get(), usage_error);
  BOOST_TEST(f.run(in_memory)[second].get() == 4);
}

BOOST_AUTO_TEST_CASE(a_data_directory_that_cannot_be_is_an_error_before_anything_starts) {
  const temporary_folder folder;
  const auto file = folder.path / "file";
  std::ofstream(file) << "x";
  flow f("nowhere");
  f.call(twice, 1);
  BOOST_CHECK_THROW((void)f.run({.data = file / "data"}), usage_error);
  const auto opened = engine::open({.data = file / "data"});
  BOOST_REQUIRE(!opened);
  BOOST_TEST(!opened.error().message.empty());
}

BOOST_AUTO_TEST_CASE(an_isolated_task_is_refused_by_a_program_that_did_not_say_init) {
  flow f("isolated");
  f.call(counted.with({.isolated = true}), 1);
  BOOST_CHECK_EXCEPTION((void)f.run(in_memory), usage_error, [](const usage_error& refused) {
    return std::string(refused.what()).find("call reprise::init(argc, argv, tasks...)") !=
           std::string::npos;
  });
}

BOOST_AUTO_TEST_CASE(an_interrupted_run_goes_on_where_it_was) {
  const temporary_folder data;
  static std::atomic<bool> may_finish{false};
  static std::atomic<int> firsts{0};
  may_finish = false;
  firsts = 0;
  constexpr auto first = task<"first">([](int n) { return ++firsts, n; });
  constexpr auto gate = task<"gate">([](const context& about, int n) {
    while (!may_finish && !about.stop_requested()) std::this_thread::yield();
    if (!may_finish) throw std::runtime_error("stopped");
    return n;
  });
  flow f("interrupted");
  auto a = f.call(first, 5);
  auto b = f.call(gate, a);
  std::string id;
  {
    const run r = f.run({.slots = 1, .data = data.path});
    BOOST_TEST(r[a].get() == 5);  // what was told is on disk
    id = r.id();
  }  // the engine ends, the run does not
  may_finish = true;
  const run r = f.run({.slots = 1, .data = data.path});
  BOOST_TEST(r.continued());
  BOOST_TEST(r.id() == id);
  BOOST_TEST(r[b].get() == 5);
  BOOST_TEST(r[a].get() == 5);
  BOOST_TEST(r.wait().is_success());
  BOOST_TEST(firsts == 1);
}

BOOST_AUTO_TEST_CASE(another_process_sees_the_run_and_cancels_it) {
  const temporary_folder data;
  constexpr auto patient = task<"patient">([](const context& about, int n) {
    while (!about.stop_requested()) std::this_thread::yield();
    return n;
  });
  flow f("patience");
  f.call(patient, 1);
  const engine own({.data = data.path, .slots = 1});
  const run r = own.run(f);
  const char* programs = std::getenv("REPRISE_BIN_DIR");
  BOOST_REQUIRE(programs != nullptr);
  const auto reprise = [&](const std::string& arguments) {
    return std::system((std::string(programs) + "/reprise --data " + data.path.string() + " " +
                        arguments + " >" + (data.path / "said").string() + " 2>&1")
                           .c_str());
  };
  const auto said = [&] {
    std::ifstream in(data.path / "said");
    return std::string(std::istreambuf_iterator<char>(in), {});
  };
  BOOST_TEST(reprise("ps") == 0);
  BOOST_TEST(said().find("patience") != std::string::npos, said());
  BOOST_TEST(reprise("cancel " + r.id() + " --reason enough") == 0, said());
  const run_result ended = r.wait();
  BOOST_TEST((ended.state == run_state::cancelled));
  BOOST_TEST(!std::filesystem::exists(data.path / "runs" / r.id() / "control"));
  BOOST_TEST(reprise("status " + r.id()) == 0);
  BOOST_TEST(said().find("cancelled") != std::string::npos, said());
  BOOST_TEST(reprise("cancel " + r.id()) != 0);
}

BOOST_AUTO_TEST_SUITE_END()
