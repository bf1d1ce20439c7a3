#include "reprise/local_cache.hpp"

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <thread>
#include <vector>

#include <boost/test/unit_test.hpp>

BOOST_AUTO_TEST_SUITE(local_cache_)

using namespace reprise;

namespace {

struct temporary_folder {
  std::filesystem::path path;
  temporary_folder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "reprise-lc-XXXXXX").string();
    BOOST_REQUIRE(mkdtemp(pattern.data()) != nullptr);
    path = pattern;
  }
  ~temporary_folder() { std::filesystem::remove_all(path); }
};

template <class T>
T got(const expected<std::optional<T>>& answer, T otherwise) {
  BOOST_REQUIRE_MESSAGE(answer.has_value(), (answer ? "" : answer.error().message));
  return answer->value_or(otherwise);
}

const local_cache::inputs in{{"n", 3}, {"text", "abc"}};

}  // namespace

BOOST_AUTO_TEST_CASE(a_result_is_found_again_also_by_another_program) {
  temporary_folder folder;
  {
    local_cache cache(folder.path / "data");
    BOOST_TEST(!std::filesystem::exists(folder.path / "data"));  // nothing until it is used
    BOOST_TEST(got(cache.get<int>("square", "1", in), -1) == -1);
    BOOST_TEST(cache.set("square", "1", in, 9).has_value());
    BOOST_TEST(got(cache.get<int>("square", "1", in), -1) == 9);
  }
  local_cache other(folder.path / "data");
  BOOST_TEST(got(other.get<int>("square", "1", in), -1) == 9);
  BOOST_TEST(other.initialize().has_value());
  BOOST_TEST(other.initialize().has_value());
}

BOOST_AUTO_TEST_CASE(name_version_and_inputs_make_the_difference) {
  temporary_folder folder;
  local_cache cache(folder.path);
  BOOST_REQUIRE(cache.set("square", "1", in, 9).has_value());
  BOOST_TEST(got(cache.get<int>("cube", "1", in), -1) == -1);
  BOOST_TEST(got(cache.get<int>("square", "2", in), -1) == -1);
  BOOST_TEST(got(cache.get<int>("square", "1 ", in), -1) == -1);
  BOOST_TEST(got(cache.get<int>("square", "1", {{"n", 3}}), -1) == -1);
  BOOST_TEST(got(cache.get<int>("square", "1", {{"n", 3.0}, {"text", "abc"}}), -1) == -1);
  BOOST_TEST(got(cache.get<int>("square", "1", {{"m", 3}, {"text", "abc"}}), -1) == -1);
  BOOST_REQUIRE(cache.set("square", "2", in, 10).has_value());
  BOOST_TEST(got(cache.get<int>("square", "1", in), -1) == 9);  // back to the old version
  BOOST_REQUIRE(cache.set("square", "1", in, 11).has_value());
  BOOST_TEST(got(cache.get<int>("square", "1", in), -1) == 11);
}

BOOST_AUTO_TEST_CASE(ignored_inputs_do_not_count) {
  temporary_folder folder;
  local_cache cache(folder.path);
  const local_cache::names ignored{"text", "unknown"};
  BOOST_REQUIRE(cache.set("square", "1", in, 9, ignored).has_value());
  BOOST_TEST(got(cache.get<int>("square", "1", {{"n", 3}, {"text", "xyz"}}, ignored), -1) == 9);
  BOOST_TEST(got(cache.get<int>("square", "1", {{"n", 4}, {"text", "abc"}}, ignored), -1) == -1);
  BOOST_TEST(got(cache.get<int>("square", "1", in), -1) == -1);
}

BOOST_AUTO_TEST_CASE(clearing_wipes_everything_that_was_set) {
  temporary_folder folder;
  local_cache cache(folder.path), other(folder.path);
  BOOST_REQUIRE(cache.set("square", "1", in, 9).has_value());
  BOOST_REQUIRE(other.set("cube", "1", in, 27).has_value());
  BOOST_TEST(cache.clear().has_value());
  BOOST_TEST(got(other.get<int>("square", "1", in), -1) == -1);
  BOOST_TEST(got(cache.get<int>("cube", "1", in), -1) == -1);
  BOOST_REQUIRE(cache.set("square", "1", in, 10).has_value());
  BOOST_TEST(got(cache.get<int>("square", "1", in), -1) == 10);
  temporary_folder fresh;
  BOOST_TEST(local_cache(fresh.path / "new").clear().has_value());
}

BOOST_AUTO_TEST_CASE(results_of_any_type_and_size_come_back) {
  temporary_folder folder;
  local_cache cache(folder.path);
  const std::map<std::string, std::vector<double>> table{{"a", {1.5, 2}}, {"b", {}}};
  BOOST_REQUIRE(cache.set("table", "1", {}, table).has_value());
  BOOST_TEST((got(cache.get<std::map<std::string, std::vector<double>>>("table", "1", {}),
                  {{"none", {}}}) == table));
  const std::string large(3'000'000, 'x');
  BOOST_REQUIRE(cache.set("large", "1", {}, large).has_value());
  BOOST_TEST((got(cache.get<std::string>("large", "1", {}), std::string()) == large));
  BOOST_REQUIRE(cache.set("any", "1", {}, value(value::list{1, "two", 3.0})).has_value());
  BOOST_TEST(got(cache.get<value>("any", "1", {}), value()).to_json() == "[1,\"two\",3.0]");
  const auto wrong = cache.get<int>("large", "1", {});
  BOOST_REQUIRE(!wrong.has_value());
  BOOST_TEST((wrong.error().code == error_code::invalid_argument), wrong.error().message);
}

BOOST_AUTO_TEST_CASE(what_cannot_be_a_key_is_refused) {
  temporary_folder folder;
  local_cache cache(folder.path);
  for (const auto& answer : {cache.set("", "1", in, 1), cache.set("square", " ", in, 1),
                             cache.set("square", "1", {{"text", "\xff"}}, 1),
                             cache.set("square", "1", in, std::string("\xff"))}) {
    BOOST_REQUIRE(!answer.has_value());
    BOOST_TEST((answer.error().code == error_code::invalid_argument), answer.error().message);
  }
  std::ofstream(folder.path / "file") << "no folder";
  BOOST_TEST(!local_cache(folder.path / "file").initialize().has_value());
}

BOOST_AUTO_TEST_CASE(many_threads_may_use_one_or_several) {
  temporary_folder folder;
  local_cache shared(folder.path);
  std::vector<std::thread> threads;
  std::atomic<int> failures{0};
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&, t] {
      local_cache own(folder.path);
      for (int i = 0; i < 20; ++i) {
        local_cache& cache = t % 2 == 0 ? shared : own;
        const local_cache::inputs each{{"i", i}};
        if (!cache.set("double", "1", each, 2 * i)) ++failures;
        const auto found = cache.get<int>("double", "1", each);
        if (!found || *found != 2 * i) ++failures;
      }
    });
  for (std::thread& thread : threads) thread.join();
  BOOST_TEST(failures == 0);
}

BOOST_AUTO_TEST_SUITE_END()
