// Everything the command line can say: the commands, their flags and where each is kept.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <CLI/CLI.hpp>

#include "cli/console.hpp"
#include "cli/options.hpp"
#include "core/configuration.hpp"

namespace reprise::cli {

/// Storage for everything the command line can set; shared by the parser and the action that is
/// chosen.
struct CommandLine {
  GlobalOptions globals;
  std::string fields;
  RunCommandOptions run;
  SubmitOptions submit;
  ServerStartOptions server_start;
  WorkerStartOptions worker_start;
  WorkerSteerOptions worker_steer;
  TaskExplainOptions explain;
  ClusterOptions cluster;
  ResumeOptions resume;
  DiffOptions diff;
  ForkOptions fork;
  RetryOptions retry;
  ReplayOptions replay;
  CheckOptions check;
  PlanOptions plan;
  StatusOptions status;
  ListOptions ps;
  ListOptions history;
  EventsOptions events;
  GraphOptions graph;
  TraceCommandOptions trace;
  ReportOptions report;
  LogsOptions logs;
  WaitOptions wait;
  CancelOptions cancel;
  CancelOptions pause;
  SignalOptions signal;
  RemoveOptions remove;
  CollectOptions collect;
  CacheListOptions cache_list;
  CacheGetOptions cache_get;
  CacheShowOptions cache_show;
  ExplainOptions cache_explain;
  CacheRemoveOptions cache_remove;
  CachePromoteOptions cache_promote;
  CachePinOptions cache_pin;
  CacheCollectOptions cache_collect;
  CacheVerifyOptions cache_verify;
  CacheEraseOptions cache_erase;
  CacheStatsOptions cache_stats;
  CacheExportOptions cache_export;
  ImportOptions cache_import;
  RunsExportOptions runs_export;
  ImportOptions runs_import;
  ConfigShowOptions config_show;
  std::string shell;  // completion
  std::vector<std::string> help_topic;
  std::function<int(Console&)> action;

  /// A flag that a setting stands in for when it is not given.
  struct Bound {
    std::string_view key;
    CLI::Option* option = nullptr;
  };
  std::vector<Bound> bound;
};

/// @param line  must outlive the app and every action
[[nodiscard]] std::unique_ptr<CLI::App> make_app(CommandLine& line);

/// Settings stand in for the flags that were not given. Their texts were checked when they were
/// read.
/// @param line  was parsed; its app still lives
void apply_settings(const Configuration& configuration, CommandLine& line);

[[nodiscard]] std::vector<const CLI::App*> commands_of(const CLI::App& app);
[[nodiscard]] std::vector<std::string> names_of_commands(const CLI::App& app);
/// The long flags that are taken after this command.
[[nodiscard]] std::vector<std::string> names_of_flags(const CLI::App& command);

}  // namespace reprise::cli
