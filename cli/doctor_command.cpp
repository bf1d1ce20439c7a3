// `reprise doctor`: what is wrong with this machine and this data directory, and the way out.
#include <algorithm>
#include <memory>
#include <system_error>
#include <thread>

#include <sched.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <fmt/format.h>

#include "cache/sqlite_store.hpp"
#include "cli/clock_text.hpp"
#include "cli/commands.hpp"
#include "cli/data_access.hpp"
#include "cli/redis_server.hpp"
#include "cli/settings.hpp"
#include "cli/text.hpp"
#include "journal/sqlite_journal.hpp"
#include "sqlite/health.hpp"
#include "worker/enforcement.hpp"

namespace reprise::cli {
namespace {

enum class Verdict { good, warning, problem };

struct Finding {
  std::string check;
  Verdict verdict = Verdict::good;
  std::string text;
  std::string fix;  // the way out
};

constexpr std::uint64_t disk_least = 100ull << 20;
constexpr std::uint64_t disk_comfortable = 1ull << 30;
constexpr rlim_t files_comfortable = 1024;

std::string_view word(Verdict verdict) {
  switch (verdict) {
    case Verdict::good:
      return "ok";
    case Verdict::warning:
      return "warning";
    case Verdict::problem:
      return "problem";
  }
  return "ok";
}

std::vector<Finding> check_folder(const std::filesystem::path& path) {
  std::error_code error;
  const std::string shown = escape_for_terminal(path.string());
  if (!std::filesystem::exists(path, error)) {
    // It is made by the first run; then the nearest existing folder above it must be writable.
    std::filesystem::path above = path;
    while (!above.empty() && above != above.parent_path() && !std::filesystem::exists(above, error))
      above = above.parent_path();
    if (above.empty()) above = ".";
    if (::access(above.c_str(), W_OK | X_OK) == 0)
      return {{"data", Verdict::good, shown + " (made by the first run)", {}}};
    return {{"data", Verdict::problem, shown + " does not exist and cannot be made",
             "choose another with --data DIR"}};
  }
  const auto folder = journal::DataFolder::open({path, true});
  if (!folder)
    return {{"data", Verdict::problem, escape_for_terminal(folder.error().message),
             "choose another with --data DIR"}};
  std::vector<Finding> findings{{"data", Verdict::good, shown, {}}};
  for (const std::string& warning : folder->warnings())
    findings.push_back({"data", Verdict::warning, escape_for_terminal(warning), {}});
  return findings;
}

Finding check_disk(std::filesystem::path path) {
  std::error_code error;
  while (!std::filesystem::exists(path, error) && path.has_parent_path() &&
         path != path.parent_path())
    path = path.parent_path();
  if (path.empty()) path = ".";
  struct statvfs info {};
  if (::statvfs(path.c_str(), &info) != 0)
    return {"disk", Verdict::warning, "free space cannot be told", {}};
  const std::uint64_t free = static_cast<std::uint64_t>(info.f_bavail) * info.f_frsize;
  const std::string text = describe_bytes(free) + " free";
  if (free < disk_least || info.f_favail == 0)
    return {"disk", Verdict::problem, text, "reprise runs gc --older-than 30d removes old runs"};
  if (free < disk_comfortable)
    return {"disk", Verdict::warning, text, "reprise runs gc --older-than 30d removes old runs"};
  return {"disk", Verdict::good, text, {}};
}

/// @param opened  how opening it for reading went
Finding check_database(const std::string& what, const std::filesystem::path& path,
                       const Status& opened) {
  std::error_code error;
  if (!std::filesystem::exists(path, error)) return {what, Verdict::good, "none yet", {}};
  const auto health = sqlite::examine(path);
  const std::string fix =
      fmt::format("move {} away to start anew", escape_for_terminal(path.filename().string()));
  if (!health) {
    const std::string why = "cannot be checked: " + escape_for_terminal(health.error().message);
    if (health.error().code == ErrorCode::unavailable)
      return {what, Verdict::warning, why, "try again"};
    return {what, Verdict::problem, why, fix};
  }
  if (!health->damage.empty())
    return {what, Verdict::problem, "damaged: " + escape_for_terminal(health->damage), fix};
  // Whole, and yet none of ours, or one that this version does not know.
  if (!opened && opened.error().code == ErrorCode::conflict)
    return {what, Verdict::problem, escape_for_terminal(opened.error().message), fix};
  const std::uint64_t bytes = std::filesystem::file_size(path, error);
  return {what,
          Verdict::good,
          fmt::format("schema {}, {}, intact", health->schema_version,
                      describe_bytes(error ? 0 : bytes)),
          {}};
}

Finding check_journal(const std::filesystem::path& path) {
  const auto journal = journal::SqliteJournal::open({.path = path, .read_only = true});
  return check_database("journal", path, journal ? Status{} : tl::unexpected(journal.error()));
}

Finding check_cache(const std::filesystem::path& folder) {
  const auto path = folder / "cache.db";
  const auto store = cache::SqliteStore::open({.path = path, .read_only = true});
  Finding finding = check_database("cache", path, store ? Status{} : tl::unexpected(store.error()));
  if (store && (*store)->is_newer() && finding.verdict == Verdict::good) {
    finding.verdict = Verdict::warning;
    finding.text += "; a newer version of reprise wrote it: what it has is used, nothing is kept";
    finding.fix = "use that version, or another data directory";
  }
  return finding;
}

Finding check_quarantine(const std::filesystem::path& blobs) {
  std::error_code error;
  std::size_t damaged = 0;
  for (const auto& entry : std::filesystem::directory_iterator(blobs / "quarantine", error)) {
    (void)entry;
    ++damaged;
  }
  if (damaged == 0) return {"blobs", Verdict::good, "none found damaged", {}};
  return {"blobs", Verdict::warning,
          fmt::format("{} found damaged and set aside", counted(damaged, "file")),
          fmt::format("look into {}", escape_for_terminal((blobs / "quarantine").string()))};
}

Finding check_clock(const GlobalOptions& globals) {
  const Time time = now();
  if (time < Time{std::chrono::hours{24 * 365 * 54}})  // before 2024
    return {"clock", Verdict::problem, "it says " + local_text(time),
            "set the clock: ids and expiry depend on it"};
  if (const auto reading = open_for_reading(globals)) {
    journal::RunQuery query;
    query.limit = 1;
    if (const auto rows = reading->journal->runs(query);
        rows && !rows->empty() && rows->front().submitted > time)
      return {"clock", Verdict::warning,
              "it is behind the newest run, of " + local_text(rows->front().submitted),
              "set the clock: ids and expiry depend on it"};
  }
  return {"clock", Verdict::good, local_text_seconds(time), {}};
}

std::vector<Finding> check_limits() {
  std::vector<Finding> findings;
  rlimit files{};
  ::getrlimit(RLIMIT_NOFILE, &files);
  const std::string text = fmt::format("{} open files", grouped(files.rlim_cur));
  if (files.rlim_cur < files_comfortable)
    findings.push_back(
        {"limits", Verdict::warning, text, fmt::format("ulimit -n {}", files_comfortable)});
  else
    findings.push_back({"limits", Verdict::good, text, {}});
  if (::access("/bin/sh", X_OK) != 0)
    findings.push_back(
        {"shell", Verdict::problem, "/bin/sh cannot be run; tasks with `shell:` need it", {}});
  return findings;
}

Finding check_enforcement() {
  worker::Enforcement enforcement{worker::Enforcement::own_folder()};
  enforcement.prepare();
  return {"cgroup", Verdict::good, enforcement.describe(), {}};
}

std::vector<Finding> check_settings(const GlobalOptions& globals) {
  const auto configuration = load_configuration(globals);
  if (!configuration) {
    std::vector<Finding> findings;
    for (const SettingMistake& mistake : configuration.error())
      findings.push_back({"config", Verdict::problem, mistake.error().message, {}});
    return findings;
  }
  std::string files;
  std::vector<Finding> findings(1);
  for (const SettingsFile& file : configuration->files()) {
    if (!file.exists) continue;
    const std::string path = escape_for_terminal(file.path.string());
    if (file.ignored_because.empty())
      files += (files.empty() ? "" : ", ") + path;
    else
      findings.push_back(
          {"config", Verdict::warning, path + " is ignored: " + file.ignored_because, {}});
  }
  findings.front() = {
      "config",
      Verdict::good,
      fmt::format("{} ({} set; `reprise config show --origin`)", files.empty() ? "no files" : files,
                  counted(configuration->values().size(), "key")),
      {}};
  return findings;
}

std::vector<Finding> check_redis(const GlobalOptions& globals) {
  const auto settings = redis_settings(globals);
  if (!settings) return {{"redis", Verdict::problem, settings.error().message, {}}};
  if (!*settings) return {{"redis", Verdict::good, "not configured", {}}};
  const auto found = examine(**settings);
  if (!found)
    return {{"redis", Verdict::problem, found.error().message,
             "start the server, or mend redis.url and redis.password_file"}};
  std::vector<Finding> findings;
  for (const redis::Finding& finding : *found) {
    Verdict verdict = Verdict::good;
    if (finding.verdict == redis::Verdict::warning) verdict = Verdict::warning;
    if (finding.verdict == redis::Verdict::refused) verdict = Verdict::problem;
    findings.push_back({"redis", verdict, finding.text, finding.fix});
  }
  if (findings.empty())
    findings.push_back({"redis", Verdict::good, (*settings)->endpoint.text() + " answers", {}});
  return findings;
}

Finding check_slots() {
  cpu_set_t set;
  CPU_ZERO(&set);
  const unsigned processors = std::max(1u, std::thread::hardware_concurrency());
  const int allowed = ::sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set)
                                                                    : static_cast<int>(processors);
  return {"slots",
          Verdict::good,
          fmt::format("{} by default, {} may be used", processors,
                      counted(static_cast<std::uint64_t>(allowed), "processor")),
          {}};
}

}  // namespace

int doctor_command(Console& console) {
  std::vector<Finding> findings = check_settings(console.options());
  const auto path = data_path(console.options());
  if (path) {
    for (Finding& finding : check_folder(*path)) findings.push_back(std::move(finding));
    findings.push_back(check_disk(*path));
    findings.push_back(check_journal(*path / "journal.db"));
    findings.push_back(check_cache(*path));
    findings.push_back(check_quarantine(*path / "blobs"));
    findings.push_back(check_clock(console.options()));
  } else {
    findings.push_back(
        {"data", Verdict::problem, path.error().message, "set HOME, XDG_DATA_HOME or --data DIR"});
  }
  for (Finding& finding : check_limits()) findings.push_back(std::move(finding));
  findings.push_back(check_enforcement());
  findings.push_back(check_slots());
  for (Finding& finding : check_redis(console.options())) findings.push_back(std::move(finding));

  const auto count = [&](Verdict verdict) {
    return static_cast<std::uint64_t>(std::count_if(
        findings.begin(), findings.end(), [&](const Finding& f) { return f.verdict == verdict; }));
  };
  const std::uint64_t problems = count(Verdict::problem), warnings = count(Verdict::warning);
  const int code = problems > 0 ? exit_failed : exit_ok;
  if (console.is_json()) {
    Json list = Json::array();
    for (const Finding& f : findings)
      list.push_back({{"check", f.check},
                      {"status", word(f.verdict)},
                      {"text", f.text},
                      {"fix", f.fix.empty() ? Json(nullptr) : Json(f.fix)}});
    return console.document({{"schema", "reprise.doctor/1"},
                             {"problems", problems},
                             {"warnings", warnings},
                             {"checks", std::move(list)}},
                            code, "checks");
  }
  const Style style = console.out_style();
  for (const Finding& f : findings) {
    const std::string_view sign = f.verdict == Verdict::good      ? "✓"
                                  : f.verdict == Verdict::warning ? "!"
                                                                  : "✗";
    const Ink ink = f.verdict == Verdict::good      ? Ink::green
                    : f.verdict == Verdict::warning ? Ink::yellow
                                                    : Ink::red;
    console.out(fmt::format("{} {}  {}{}", style(ink, sign), pad(f.check, 8), f.text,
                            f.fix.empty() ? "" : "   fix: " + f.fix));
  }
  console.out(fmt::format("{}, {}", counted(problems, "problem"), counted(warnings, "warning")));
  return code;
}

}  // namespace reprise::cli
