// What counts for a hit, through the public API: the table of what isolates and what shares,
// validators of the user's, and hashes that stand for values.
#include <atomic>
#include <chrono>
#include <memory>
#include <stdexcept>
#include <string>

#include <boost/test/unit_test.hpp>

#include "reprise/reprise.hpp"
#include "tests/support/temporary_folder.hpp"

BOOST_AUTO_TEST_SUITE(cache_keys_tests)

using namespace reprise;
using namespace std::chrono_literals;

namespace {

using arguments = std::span<const value>;

/// One call of a task, as its author may have written it.
struct written {
  std::string name = "align";
  std::string version = "1";
  std::vector<std::pair<std::string, value>> inputs{{"reads", "r1"}, {"quality", 30}};
  cached how{};
  bool is_cached = true;
  std::string flow = "f";
  value gives = 1;
};

struct Place {
  skipping_clock clock;
  engine_options options{.in_memory = true, .slots = 2, .grace = 1s, .clock = clock};
  std::unique_ptr<engine> where = std::make_unique<engine>(options);
  std::atomic<int> executions{0};

  dynamic_task task_of(const written& call) {
    return dynamic_task(call.name, call.version,
                        [this, gives = call.gives](arguments, context&) -> value {
                          ++executions;
                          return gives;
                        },
                        {.cache = call.is_cached ? cache_option(call.how) : cache_option()});
  }
  struct seen {
    run_state state;
    std::uint64_t cached = 0;
    value result{};
    std::string message{};
  };
  seen run(const flow& f, const node<value>& made, const submit_options& how = {}) {
    const reprise::run started = where->run(f, how);
    const run_result ended = started.wait();
    seen what{ended.state, ended.cached};
    for (const auto& [name, state] : started.states()) what.message += state.state.message;
    if (ended.state == run_state::success) what.result = started[made].get();
    return what;
  }
  bool hits(const written& call, const submit_options& how = {}) {
    flow f(call.flow);
    std::vector<input> inputs;
    for (const auto& [name, given] : call.inputs) inputs.emplace_back(name, given);
    const seen what = run(f, f.call_with(task_of(call), inputs), how);
    BOOST_TEST((what.state == run_state::success), what.message);
    return what.cached == 1;
  }
  /// Whether what `first` made is served to `second`.
  bool shares(const written& first, const written& second) {
    where = std::make_unique<engine>(options);
    BOOST_TEST(!hits(first));
    return hits(second);
  }
};

/// A task that counts and gives how often it ran, with a validator and a parameter of the run.
struct Validated : Place {
  std::atomic<int> asked{0};

  seen ask(validator_function is_valid, value x = 1, value p = 1, cached how = {},
           std::string name = "count") {
    flow f("f");
    const auto parameter = f.parameter<value>("p");
    const dynamic_task body(
        name, "1", [this](arguments, context&) -> value { return ++executions; }, {.cache = how});
    const auto made = f.call_with(body, {input("x", std::move(x))});
    if (is_valid)
      f.valid_by(made, "mine",
                 [this, is_valid](const earlier_result& earlier, const present_inputs& now,
                                  context& about) {
                   ++asked;
                   return is_valid(earlier, now, about);
                 });
    return run(f, made, {.parameters = {{"p", std::move(p)}}});
  }
};

bool always(const earlier_result&, const present_inputs&, context&) {
  return true;
}
bool never(const earlier_result&, const present_inputs&, context&) {
  return false;
}

/// Keeps results in a folder, so that one engine after the other sees them.
struct OnDisk : Place {
  reprise::testing::TemporaryFolder folder;

  ~OnDisk() { where.reset(); }
  void open_again() {
    where.reset();
    options.in_memory = false;
    options.data = folder.path();
    where = std::make_unique<engine>(options);
  }
};

}  // namespace

BOOST_FIXTURE_TEST_SUITE(isolation_of_cached_results, OnDisk)

BOOST_AUTO_TEST_CASE(the_same_call_shares) {
  BOOST_TEST(shares({}, {}));
}

BOOST_AUTO_TEST_CASE(another_account_isolates) {
  const auto hits_as = [&](const std::string& account, const std::string& salt = {},
                           std::map<std::string, std::string> task_salts = {}) {
    options.account = account;
    options.salt = salt;
    options.task_salts = std::move(task_salts);
    open_again();
    return hits({}, {.always_new = true});
  };
  BOOST_TEST(!hits_as("a"));
  BOOST_TEST(!hits_as("b"));
  BOOST_TEST(hits_as("a"));
  // An operator's salt disowns, and with the old one everything is there again.
  BOOST_TEST(!hits_as("a", "2026"));
  BOOST_TEST(!hits_as("a", "2026", {{"align", "1"}}));
  BOOST_TEST(hits_as("a", "2026", {{"report", "1"}}));
  BOOST_TEST(hits_as("a"));
}

BOOST_AUTO_TEST_CASE(another_name_isolates) {
  BOOST_TEST(!shares({}, {.name = "lab.align"}));
}

BOOST_AUTO_TEST_CASE(an_input_added_removed_or_renamed_isolates) {
  BOOST_TEST(!shares({}, {.inputs = {{"reads", "r1"}, {"quality", 30}, {"seed", nullptr}}}));
  BOOST_TEST(!shares({}, {.inputs = {{"reads", "r1"}}}));
  BOOST_TEST(!shares({}, {.inputs = {{"fastq", "r1"}, {"quality", 30}}}));
}

BOOST_AUTO_TEST_CASE(an_input_or_output_of_another_type_isolates) {
  static constexpr auto whole =
      task<"typed">([](std::int64_t x) -> std::int64_t { return x; }, {.cache = true});
  static constexpr auto real = task<"typed">(
      [](double x) -> std::int64_t { return static_cast<std::int64_t>(x); }, {.cache = true});
  static constexpr auto text = task<"typed">(
      [](std::int64_t x) -> std::string { return std::to_string(x); }, {.cache = true});
  static constexpr auto pair = task<"typed">(
      [](std::int64_t x) -> std::pair<std::int64_t, std::int64_t> {
        return {x, x};
      },
      {.cache = true});
  const auto hits_with = [&](const auto& definition) {
    open_again();  // no engine has two tasks of one name
    flow f("f");
    static_cast<void>(f.call(definition, 1));
    return where->run(f, {.always_new = true}).wait().cached == 1;
  };
  BOOST_TEST(!hits_with(whole));
  BOOST_TEST(!hits_with(real));
  BOOST_TEST(!hits_with(text));
  BOOST_TEST(!hits_with(pair));
  BOOST_TEST(hits_with(whole));
}

BOOST_AUTO_TEST_CASE(the_order_of_named_inputs_shares) {
  BOOST_TEST(shares({}, {.inputs = {{"quality", 30}, {"reads", "r1"}}}));
}

BOOST_AUTO_TEST_CASE(a_default_that_is_bound_to_the_same_value_shares) {
  const auto hits_with = [&](std::int64_t otherwise, std::optional<std::int64_t> given) {
    flow f("f");
    const auto quality = f.parameter<std::int64_t>("quality", otherwise);
    const auto made = f.call_with(task_of({}), {input("quality", quality)});
    submit_options how;
    if (given) how.parameters.emplace("quality", *given);
    return run(f, made, how).cached == 1;
  };
  BOOST_TEST(!hits_with(30, std::nullopt));
  BOOST_TEST(hits_with(20, 30));
  BOOST_TEST(!hits_with(20, std::nullopt));
}

BOOST_AUTO_TEST_CASE(any_byte_of_the_version_isolates_and_the_old_one_hits_again) {
  for (const char* other : {"2", "1.0", "1 ", "01", "V1"}) {
    BOOST_TEST(!shares({}, {.version = other}), other);
    BOOST_TEST(hits({}), other);
  }
}

BOOST_AUTO_TEST_CASE(another_body_under_the_same_version_shares) {
  where = std::make_unique<engine>(options);
  BOOST_TEST(!hits({.gives = 1}));
  flow f("f");
  const seen what = run(f, f.call_with(task_of({.gives = 2}),
                                       {input("reads", value("r1")), input("quality", value(30))}));
  BOOST_TEST(what.cached == 1u);
  BOOST_TEST((what.result == value(1)));
}

BOOST_AUTO_TEST_CASE(another_workflow_shares) {
  BOOST_TEST(shares({}, {.flow = "another"}));
}

BOOST_AUTO_TEST_CASE(a_task_that_did_not_opt_in_neither_looks_up_nor_keeps) {
  BOOST_TEST(!shares({}, {.is_cached = false}));
  BOOST_TEST(!shares({.is_cached = false}, {}));
  BOOST_TEST(!shares({.is_cached = false}, {.is_cached = false}));
}

BOOST_AUTO_TEST_CASE(a_run_can_be_told_to_use_no_cache) {
  BOOST_TEST(!hits({}));
  BOOST_TEST(!hits({}, {.cache = cache_mode::off}));
  BOOST_TEST(hits({}));
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_FIXTURE_TEST_SUITE(hashes_of_the_users, Place)

BOOST_AUTO_TEST_CASE(values_with_one_hash_are_one_value) {
  static constexpr auto length = task<"length">(
      [](std::string text) { return static_cast<std::int64_t>(text.size()); }, {.cache = true});
  const auto given = [&](std::string text, std::string method, std::string hash) {
    flow f("f");
    const auto made = f.call(length, hashed(std::move(text), std::move(method), std::move(hash)));
    const reprise::run started = where->run(f, {});
    const run_result ended = started.wait();
    return std::pair(ended.cached == 1, started[made].get());
  };
  BOOST_TEST((given("abc", "etag", "1") == std::pair(false, std::int64_t{3})));
  BOOST_TEST((given("other", "etag", "1") == std::pair(true, std::int64_t{3})));
  BOOST_TEST((given("abc", "etag", "2") == std::pair(false, std::int64_t{3})));
  BOOST_TEST((given("abc", "md5", "1") == std::pair(false, std::int64_t{3})));
  // Text that is not UTF-8 has no other way into a key.
  BOOST_TEST((given("\xff", "etag", "${{ 3 }}") == std::pair(false, std::int64_t{1})));
  BOOST_TEST((given("\xff\xff", "etag", "${{ 3 }}") == std::pair(true, std::int64_t{1})));
}

BOOST_AUTO_TEST_CASE(constants_of_the_dynamic_layer_can_have_one) {
  const auto hits_with = [&](value given, const char* hash) {
    flow f("f");
    const auto made =
        f.call_with(task_of({}), {input("reads", std::move(given)).hashed_as("etag", hash)});
    return run(f, made).cached == 1;
  };
  BOOST_TEST(!hits_with("a", "1"));
  BOOST_TEST(hits_with("b", "1"));
  BOOST_TEST(!hits_with("b", "2"));
}

BOOST_AUTO_TEST_CASE(a_hash_is_a_text_and_stands_for_a_constant) {
  flow f("f");
  BOOST_CHECK_THROW(f.call_with(task_of({}), {input("x", value(1)).hashed_as("", "1")}),
                    usage_error);
  BOOST_CHECK_THROW(f.call_with(task_of({}), {input("x", value(1)).mapped().hashed_as("m", "1")}),
                    usage_error);
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_FIXTURE_TEST_SUITE(validators_of_the_users, Validated)

BOOST_AUTO_TEST_CASE(a_result_is_served_when_the_function_says_so) {
  BOOST_TEST((ask(always).result == value(1)));
  BOOST_TEST(asked == 0);
  const seen second = ask(always, 2, 2);
  BOOST_TEST((second.result == value(1)));
  BOOST_TEST(second.cached == 1u);
  BOOST_TEST(asked == 1);
  BOOST_TEST((ask(never, 2, 2).result == value(2)));
}

BOOST_AUTO_TEST_CASE(earlier_results_are_asked_about_newest_first) {
  for (int i = 1; i <= 3; ++i) {
    BOOST_TEST((ask(never, i).result == value(i)));
    clock.advance(1min);
  }
  std::vector<value> order;
  const seen found = ask(
      [&](const earlier_result& earlier, const present_inputs&, context&) {
        order.push_back(earlier.result);
        return earlier.result == value(2);
      },
      9);
  BOOST_TEST((found.result == value(2)));
  BOOST_TEST((order == std::vector<value>{3, 2}));
}

BOOST_AUTO_TEST_CASE(it_sees_values_digests_and_times) {
  BOOST_TEST((ask(never, "a", 7, {.expires_after = 1h}).result == value(1)));
  bool is_same_input = true, is_same_parameter = false;
  std::optional<earlier_result> seen_result;
  std::optional<present_inputs> seen_now;
  ask(
      [&](const earlier_result& earlier, const present_inputs& now, context&) {
        seen_result = earlier;
        seen_now = now;
        is_same_input = earlier.inputs.at("x") == now.input_digests.at("x");
        is_same_parameter = earlier.parameters->at("p") == now.parameter_digests.at("p");
        return true;
      },
      "b", 7, {.expires_after = 1h});
  BOOST_REQUIRE(seen_result);
  BOOST_TEST((seen_result->result == value(1)));
  BOOST_TEST((*seen_result->expires - seen_result->committed == 1h));
  BOOST_TEST(!seen_result->run.empty());
  BOOST_TEST((seen_now->inputs.at("x") == value("b")));
  BOOST_TEST((seen_now->parameters.at("p") == value(7)));
  BOOST_TEST(!is_same_input);
  BOOST_TEST(is_same_parameter);
}

BOOST_AUTO_TEST_CASE(what_is_over_or_of_another_name_is_not_asked_about) {
  ask(never, 1, 1, {.expires_after = 1h});
  ask(never, 1, 1, {}, "other");
  clock.advance(1h);
  const seen late = ask(always, 1, 1, {.expires_after = 1h});
  BOOST_TEST(late.cached == 0u);
  BOOST_TEST(asked == 0);
}

BOOST_AUTO_TEST_CASE(tasks_that_share_a_key_are_candidates_for_each_other) {
  ask(never, 1, 1, {.shared_key = "numbers"}, "one");
  const seen second = ask(always, 5, 5, {.shared_key = "numbers"}, "two");
  BOOST_TEST(second.cached == 1u);
  BOOST_TEST((second.result == value(1)));
}

BOOST_AUTO_TEST_CASE(one_that_throws_fails_its_task) {
  ask(always);
  const seen failed = ask([](const earlier_result&, const present_inputs&, context&) -> bool {
    throw std::runtime_error("cannot tell");
  });
  BOOST_TEST((failed.state == run_state::failed));
  BOOST_TEST(failed.message.find("cannot tell") != std::string::npos, failed.message);
}

BOOST_AUTO_TEST_CASE(results_of_other_validators_are_candidates_without_parameters) {
  ask(nullptr);
  bool has_parameters = true;
  const seen second = ask(
      [&](const earlier_result& earlier, const present_inputs&, context&) {
        has_parameters = earlier.parameters.has_value();
        return true;
      },
      2);
  BOOST_TEST(second.cached == 1u);
  BOOST_TEST(!has_parameters);
}

// A reader that compares less than the writer did takes what the writer kept.
BOOST_AUTO_TEST_CASE(stock_validators_that_differ_from_the_writers_find_what_is_valid) {
  BOOST_TEST((ask(never, 1, 1).result == value(1)));
  const auto with = [&](validator kind, value x, value p, names on = {}) {
    return ask(nullptr, std::move(x), std::move(p), {.validator = kind, .validate_on = on}).cached;
  };
  BOOST_TEST(with(validator::duration_only, 2, 2) == 1u);
  BOOST_TEST(with(validator::partial_inputs, 1, 2, {"x"}) == 1u);
  BOOST_TEST(with(validator::all_parameters, 2, 1) == 1u);
  BOOST_TEST(with(validator::partial_parameters, 2, 1, {"p"}) == 1u);
  BOOST_TEST(with(validator::partial_inputs, 2, 1, {"x"}) == 0u);
  BOOST_TEST(with(validator::all_parameters, 1, 2) == 0u);
  BOOST_TEST(with(validator::partial_parameters, 1, 3, {"p"}) == 0u);
}

BOOST_AUTO_TEST_CASE(a_reader_that_compares_more_than_the_writer_did_misses) {
  ask(nullptr, 1, 1, {.validator = validator::duration_only});
  BOOST_TEST(
      ask(nullptr, 1, 1, {.validator = validator::partial_inputs, .validate_on = {"x"}}).cached ==
      0u);
  BOOST_TEST(ask(nullptr, 1, 1, {.validator = validator::all_parameters}).cached == 0u);
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE_END()
