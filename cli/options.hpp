// What the person asked for: the global flags, and one struct per command.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "actors/engine.hpp"
#include "cli/style.hpp"
#include "core/log_line.hpp"
#include "core/time.hpp"
#include "worker/functions.hpp"

namespace reprise::cli {

enum class ProgressChoice { automatic, bar, counter, json, none };

/// What tasks may take of this machine, and how many of some kind may run at once.
struct MachineOptions {
  std::string cpus;                     // "2", "0.5"; empty = a processor for each slot
  std::optional<std::uint64_t> memory;  // bytes; none = what the machine has
  std::uint32_t gpus = 0;
  std::vector<std::string> resources;  // "NAME=COUNT", or several after commas; so are the others
  std::vector<std::string> labels;     // "NAME=VALUE"
  std::vector<std::string> limits;     // "NAME=COUNT"
  std::vector<std::string> weights;    // "NAMESPACE=NUMBER"
  std::uint32_t lost_limit = 5;        // workers that a task may take with it
  std::uint32_t max_runs = 0;          // at once; 0 = unlimited
  std::uint64_t max_tasks = 0;         // of those, as they were written; 0 = unlimited
};

/// Accepted before and after the command.
struct GlobalOptions {
  bool json = false;                // one document on stdout
  std::vector<std::string> fields;  // of that document; empty = all
  std::string data;                 // data directory; empty = default
  ColorChoice color = ColorChoice::automatic;
  ProgressChoice progress = ProgressChoice::automatic;
  std::string redis;                // address of the server that keeps results, too; empty = none
  std::string redis_password_file;  // empty = no password
  std::string redis_mac_key_file;   // of keys that sign results there; empty = none
  std::optional<std::uint64_t> max_value;  // bytes of a result that is cached; none = 1 GiB
  std::string account = "default";         // of the keys of the cache
  std::string also_read;                   // accounts: "acme/main, …"
  std::string salt;                        // in all of them; empty = none
  std::string task_salts;                  // "TASK=SALT, …"
  std::string server;        // HOST:PORT of the server that is asked instead; empty = none
  std::string secret_file;   // what links are proved by; empty = the one in the data directory
  std::string certificates;  // folder of a bundle; empty = the secret
  bool quiet = false;        // ids only
  int verbosity = 0;         // -v, -vv
  bool no_input = false;     // never ask
  bool yes = false;          // do not ask, do it

  MachineOptions machine;          // of commands that run tasks, or have them run
  std::string config;              // the one file of settings to read; empty = as they are found
  std::string project_from = ".";  // folder from which reprise.toml is looked for upwards
  std::map<std::string, std::string> given;  // settings that flags gave, by key
};

struct RunCommandOptions {
  std::string flow;
  std::vector<std::string> parameters;  // "name=value"
  std::vector<std::string> parameter_files;
  std::vector<std::string> context;      // "key=value"
  std::vector<std::string> labels;       // "name=text"
  std::vector<std::string> start_tasks;  // only these and what is downstream of them
  std::vector<std::string> only;         // these and what is upstream of them; empty = all
  bool single_pass = false;              // ends instead of waiting for a retry or a pause
  std::string secrets;                   // folder; empty = none
  unsigned slots = 0;                    // 0 = number of processors
  CacheMode cache = CacheMode::normal;
  bool no_cache = false;
  std::int32_t priority = 0;  // added to those of the tasks
  std::string as_of;          // time or run; empty = now
  bool always_new = false;
  std::string out = ".";  // where files among the outputs go
  Durability durability = Durability::group;
  std::string mode;                  // of a trace: hash, sleep, noop; empty = by the file's kind
  std::optional<double> scale;       // seconds slept for each recorded one
  std::vector<std::string> touches;  // "TASK=TEXT"
  Duration grace{std::chrono::seconds{10}};
  std::vector<std::string> plugins;  // paths
};

struct SubmitOptions {
  std::string flow;
  std::vector<std::string> parameters;  // "name=value"
  std::vector<std::string> parameter_files;
  std::string mode;  // of a trace
  std::optional<double> scale;
  std::vector<std::string> touches;  // "TASK=TEXT"
  std::vector<std::string> only;     // tasks; empty = all
  CacheMode cache = CacheMode::normal;
  std::string key;            // the same again is the same run; empty = none
  std::int32_t priority = 0;  // added to those of the tasks
  std::string ns;             // namespace that it counts for; empty = the default one
  bool wait = false;
  std::optional<Duration> timeout;  // of the waiting
};

/// How a service tells of itself.
struct ServiceLogOptions {
  LogFormat format = LogFormat::text;
  LogLevel least = LogLevel::info;
};

struct ServerStartOptions {
  ServiceLogOptions log;
  std::string listen = "127.0.0.1:4747";
  std::string name;       // of the node; empty = of the host
  std::string port_file;  // the port is written there once it is open; empty = nowhere
  Durability durability = Durability::group;
  Duration suspect_after{std::chrono::seconds{3}};
  Duration lost_after{std::chrono::seconds{10}};
  Duration reconcile_window{std::chrono::seconds{3}};
  std::string journal;  // address of the Redis server that holds a shared journal; empty = none
  std::string journal_password_file;
  Duration lead_term{std::chrono::seconds{5}};
};

struct WorkerStartOptions {
  ServiceLogOptions log;
  std::string name;    // empty = of the host
  unsigned slots = 0;  // 0 = number of processors
  std::string secrets;
  Duration grace{std::chrono::seconds{10}};
  Duration link_patience{std::chrono::seconds{30}};  // for a cut link to come back
  Duration orphan_after{std::chrono::seconds{60}};   // what runs is ended without a server
  std::vector<std::string> plugins;                  // paths
  bool isolates = true;  // users' functions run in processes of their own
};

struct WorkerSteerOptions {  // worker drain, undrain, stop
  std::string name;
};

struct TaskExplainOptions {  // explain
  std::string run;
  std::string task;
};

struct ClusterOptions {
  std::string folder;  // of the authority
  std::string name;    // of a node
  std::string role;
};

struct DiffOptions {
  std::string left, right;  // runs
  std::string task;         // only this one, or the elements of this one
  std::string only;         // state, key, time, output; empty = all
};

struct ForkOptions {
  std::string run;
  std::vector<std::string> at;
  std::vector<std::string> parameters;
  std::vector<std::string> parameter_files;
  std::vector<std::string> touches;  // "TASK=TEXT"
  std::string secrets;
  unsigned slots = 0;
  CacheMode cache = CacheMode::normal;
  std::string out = ".";
  Durability durability = Durability::group;
  Duration grace{std::chrono::seconds{10}};
};

struct RetryOptions {
  std::string run;
  bool failed = false;  // neither: both
  bool cancelled = false;
  std::vector<std::string> tasks;  // only these
  std::string secrets;
  unsigned slots = 0;
  std::string out = ".";
  Durability durability = Durability::group;
  Duration grace{std::chrono::seconds{10}};
};

struct ReplayOptions {
  std::string run;
  bool verify = false;
  unsigned slots = 0;
};

struct ResumeOptions {
  std::string run;                 // selector
  std::vector<std::string> tasks;  // only these paused ones; empty = all
  bool all = false;                // every interrupted run instead
  std::string secrets;
  unsigned slots = 0;
  std::string out = ".";
  Durability durability = Durability::group;
  Duration grace{std::chrono::seconds{10}};
};

struct CheckOptions {
  std::vector<std::string> files;
  bool print_schema = false;         // instead of checking anything
  std::vector<std::string> plugins;  // paths
};

struct PlanOptions {
  std::string flow;
  std::vector<std::string> parameters;
  std::vector<std::string> parameter_files;
  std::string mode;
  std::optional<double> scale;  // seconds slept for each recorded one
  std::vector<std::string> touches;
  std::vector<std::string> only;     // tasks; empty = all
  bool exit_code = false;            // 10 when something would run
  std::vector<std::string> plugins;  // paths
  std::string as_of;                 // time or run; empty = now
  std::string graph;                 // dot, svg, json; empty = none
};

struct StatusOptions {
  std::string run = "last";
  bool ready = false;  // only: can this data directory be used?
  bool live = false;   // only: does anybody answer?
  bool watch = false;  // again and again until the run is at rest
};

struct ListOptions {  // ps and history
  bool all = false;
  std::string state;
  std::string flow;
  std::string since;  // duration ago or RFC 3339 time
  std::string task;
  std::uint32_t limit = 20;
};

struct EventsOptions {
  std::string run;
  bool follow = false;
  bool lines = false;  // --jsonl
  std::uint64_t after = 0;
};

struct GraphOptions {
  std::string what;                  // run or flow
  std::string format = "dot";        // svg, json
  std::string output;                // file; "-" or empty = stdout
  std::vector<std::string> plugins;  // paths
};

struct TraceCommandOptions {
  std::string run;
  std::string format = "chrome";  // otlp
  std::string output;             // file; "-" or empty = stdout
};

struct ReportOptions {
  std::string run;
  std::string output;  // file; "-" or empty = stdout
};

struct LogsOptions {
  std::string run;
  std::string task;
  bool follow = false;
  std::string attempt;  // number, "all", or empty = the last
  std::string stream;   // "out", "err", or empty = both
  bool failed = false;
  std::string pattern;  // --grep
  bool lines = false;   // --jsonl
  bool raw = false;     // bytes as they were printed, control characters too
};

struct WaitOptions {
  std::vector<std::string> runs;
  std::optional<Duration> timeout;
  std::string until = "finished";  // or "succeeded"
};

struct CancelOptions {
  std::string run;
  std::vector<std::string> tasks;
  std::string reason;
};

struct SignalOptions {
  std::string kind;
  std::string message;
  std::optional<Duration> in;
  std::optional<std::string> value;  // JSON
};

struct RemoveOptions {
  std::vector<std::string> runs;
};

struct CollectOptions {  // runs gc
  std::optional<std::uint32_t> keep;
  std::optional<Duration> older_than;
  bool dry_run = false;
};

struct ConfigShowOptions {
  bool origin = false;
  bool sample = false;  // the sample file instead
};

struct ExplainOptions {  // cache explain
  std::string run;
  std::string task;
};

/// Which entries are meant; nothing = all.
struct CacheSelectOptions {
  std::vector<std::string> keys;  // beginnings of keys
  std::string task;
  std::string version;  // of the task
  std::string run;

  [[nodiscard]] bool is_empty() const {
    return keys.empty() && task.empty() && version.empty() && run.empty();
  }
};

struct CacheRemoveOptions {
  CacheSelectOptions select;
  std::vector<std::string> labels;  // "name=text": made by runs that have all of them
  bool downstream = false;          // and what was made of them
  bool dry_run = false;
};

struct CachePromoteOptions {
  CacheSelectOptions select;
  std::string from;  // account
  bool dry_run = false;
};

struct CacheStatsOptions {
  bool zero = false;  // counts begin anew
};

struct CacheEraseOptions {
  CacheSelectOptions select;
  std::vector<std::string> values;  // digests
  bool downstream = false;          // and what was made of them
  bool dry_run = false;
};

struct CachePinOptions {
  std::string key;  // or a digest
  std::string run;
  std::string why;
  bool remove = false;
};

struct CacheCollectOptions {
  std::uint32_t versions = 16;
  std::uint32_t days = 30;
  std::optional<Duration> max_age;
  std::optional<std::uint64_t> max_bytes;
  Duration grace{std::chrono::hours{2}};
  bool dry_run = false;
};

struct CacheVerifyOptions {
  bool repair = false;
};

struct CacheExportOptions {
  std::string file;  // "-" = stdout
  CacheSelectOptions select;
};

struct ImportOptions {  // cache import and runs import
  std::string file;     // "-" = stdin
  std::optional<std::uint64_t> max_bytes;
  bool dry_run = false;
};

struct RunsExportOptions {
  std::vector<std::string> arguments;  // runs, and last the file
};

struct CacheListOptions {
  std::string task;
  std::string as_of;
  std::string sort = "age";
  std::uint32_t limit = 1000;
};

struct CacheGetOptions {
  std::string key;     // KEY or KEY:PATH
  std::string output;  // "-" or empty = stdout
  std::string as_of;   // time or run; empty = now
};

struct CacheShowOptions {
  std::string key;
  std::string as_of;  // time or run; empty = now
  bool provenance = false;
  bool dot = false;  // the provenance as a graph
};

/// Begins like a time, "2026-": what is wrong with it then is of more use than what else it is not.
[[nodiscard]] bool is_dated(std::string_view text);
/// "2h" (ago) or an RFC 3339 time. @error invalid_argument
[[nodiscard]] Result<Time> parse_moment(std::string_view text, Time now);

}  // namespace reprise::cli
