// Runs conformance cases on the real engine and says where they come out differently.
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <iostream>
#include <optional>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <unistd.h>
#include <CLI/CLI.hpp>

#include "redis/client.hpp"
#include "tests/conformance/case_file.hpp"
#include "tests/conformance/case_runner.hpp"
#include "tests/conformance/crash_runner.hpp"
#include "tests/conformance/process_pool.hpp"

namespace {

using namespace reprise::conformance;
namespace redis = reprise::redis;

/// One line, whatever the texts in it are.
std::string on_one_line(std::string text) {
  std::replace_if(
      text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < ' '; }, ' ');
  return text;
}

struct Totals {
  int passed = 0, failed = 0, skipped = 0;
  std::uint32_t kills = 0;
};

void show(const Verdict& verdict, Totals& totals) {
  totals.kills += verdict.kills;
  if (verdict.differences.empty()) {
    ++totals.passed;
    return;
  }
  if (!verdict.decision.empty()) {
    ++totals.skipped;
    std::cout << on_one_line(fmt::format("{} skipped: {}", verdict.id, verdict.decision)) << "\n";
    return;
  }
  ++totals.failed;
  for (const Difference& each : verdict.differences)
    std::cout << on_one_line(fmt::format("{} {}: expected {} got {}", verdict.id, each.member,
                                         each.wanted, each.got))
              << std::endl;
}

/// Those that are asked for. @throws CLI::ValidationError: there is no case of an id
std::vector<Json> chosen(std::vector<Json> all, const std::vector<std::string>& ids) {
  if (ids.empty()) return all;
  std::vector<Json> some;
  for (const std::string& id : ids) {
    const auto found =
        std::find_if(all.begin(), all.end(), [&](const Json& each) { return each["id"] == id; });
    if (found == all.end())
      throw CLI::ValidationError(fmt::format("there is no case \"{}\" in the file", id));
    some.push_back(*found);
  }
  return some;
}

/// What cases keep in a Redis server, each under a prefix of its own.
class SharedServer {
 public:
  /// @throws CLI::ValidationError: nobody is there
  explicit SharedServer(std::string url) : url_(std::move(url)) {
    if (!url_.empty()) (void)run(redis::Commands().add("PING"));
  }

  /// The address for case `number`; empty: there is no server.
  [[nodiscard]] std::string for_case(std::ptrdiff_t number) const {
    if (url_.empty()) return {};
    return fmt::format("{}{}prefix={}{}", url_, url_.find('?') == url_.npos ? '?' : '&', prefix_,
                       number);
  }

  void clean_up() const {
    if (url_.empty()) return;
    std::string cursor = "0";
    do {
      redis::Commands scan, unlink;
      scan.add("SCAN", cursor, "MATCH", prefix_ + "*", "COUNT", 1000);
      const redis::Reply page = run(scan);
      cursor = page.elements.at(0).text;
      for (const redis::Reply& key : page.elements.at(1).elements) unlink.add("UNLINK", key.text);
      if (!unlink.empty()) (void)run(unlink);
    } while (cursor != "0");
  }

 private:
  [[nodiscard]] redis::Reply run(const redis::Commands& commands) const {
    const auto settings = redis::parse_url(url_);
    if (!settings) throw CLI::ValidationError(settings.error().message);
    auto replies = redis::Client(*settings).run(commands, std::chrono::seconds(5));
    if (!replies) throw CLI::ValidationError(replies.error().message);
    return std::move(replies->front());
  }

  std::string url_;
  std::string prefix_ = fmt::format("conformance:{}:", ::getpid());
};

}  // namespace

int main(int argc, char** argv) {
  CLI::App app(
      "Runs conformance cases. Exits with 0 when all came out as expected, 1 when some did "
      "not, 2 when they cannot be read.");
  std::string file;
  std::vector<std::string> ids;
  app.add_option("FILE", file, "a list of cases (JSON)")->required();
  app.add_option("ID", ids, "only these cases");
  std::optional<std::uint64_t> seed;
  app.add_option(
      "--crash", seed,
      "kill every run at an event drawn from this number and continue it in a new process");
  std::string url;
  app.add_option("--redis", url,
                 "keep results in this server, too, and give every run an engine of its own");
  try {
    app.parse(argc, argv);
    reprise::expected<std::vector<Json>> all = read_cases(file);
    if (!all) {
      std::cerr << "conformance_runner: " << on_one_line(all.error().message) << "\n";
      return 2;
    }
    const std::vector<Json> cases = chosen(std::move(*all), ids);
    const SharedServer server(url);
    Totals totals;
    run_in_processes(
        cases,
        [&](const Json& each) {
          const std::string place = server.for_case(&each - cases.data());
          return seed ? run_case_with_crashes(each, *seed, place) : run_case(each, place);
        },
        std::chrono::seconds(seed ? 40 : 15),
        [&](const Verdict& verdict) { show(verdict, totals); });
    server.clean_up();
    if (seed) std::cout << fmt::format("killed and continued {} runs\n", totals.kills);
    std::cout << fmt::format("{} passed, {} failed, {} skipped\n", totals.passed, totals.failed,
                             totals.skipped);
    return totals.failed == 0 ? 0 : 1;
  } catch (const CLI::ParseError& e) {
    return app.exit(e) == 0 ? 0 : 2;
  } catch (const std::exception& e) {
    std::cerr << "conformance_runner: " << on_one_line(e.what()) << "\n";
    return 2;
  }
}
