// What each command does. They return the program's exit code and print through the console alone.
#pragma once

#include <string>

#include "cli/console.hpp"
#include "cli/options.hpp"

namespace reprise::cli {

int run_command(const RunCommandOptions& options, Console& console);  // run_command.cpp
int fork_command(const ForkOptions& options, Console& console);       // fork_command.cpp
int retry_command(const RetryOptions& options, Console& console);
int replay_command(const ReplayOptions& options, Console& console);  // replay_command.cpp
int diff_command(const DiffOptions& options, Console& console);      // diff_command.cpp
int resume_command(const ResumeOptions& options, Console& console);
int submit_command(const SubmitOptions& options, Console& console);  // submit_command.cpp
int server_start_command(const ServerStartOptions& options,
                         Console& console);  // server_command.cpp
int worker_start_command(const WorkerStartOptions& options,
                         Console& console);  // worker_command.cpp
int worker_list_command(Console& console);
/// @param verb  drain, undrain or stop
int worker_steer_command(std::string_view verb, const WorkerSteerOptions& options,
                         Console& console);
int explain_task_command(const TaskExplainOptions& options,
                         Console& console);  // explain_task_command.cpp
int cluster_init_command(const ClusterOptions& options, Console& console);  // cluster_command.cpp
int cluster_add_node_command(const ClusterOptions& options, Console& console);
int check_command(const CheckOptions& options, Console& console);  // check_command.cpp
int plan_command(const PlanOptions& options, Console& console);    // plan_command.cpp
int ps_command(const ListOptions& options, Console& console);      // list_command.cpp
int history_command(const ListOptions& options, Console& console);
int status_command(const StatusOptions& options, Console& console);       // status_command.cpp
int events_command(const EventsOptions& options, Console& console);       // events_command.cpp
int graph_command(const GraphOptions& options, Console& console);         // graph_command.cpp
int trace_command(const TraceCommandOptions& options, Console& console);  // trace_command.cpp
int report_command(const ReportOptions& options, Console& console);       // report_command.cpp
int top_command(Console& console);                                        // top_command.cpp
int logs_command(const LogsOptions& options, Console& console);           // logs_command.cpp
int wait_command(const WaitOptions& options, Console& console);           // control_command.cpp
int cancel_command(const CancelOptions& options, Console& console);
int pause_command(const CancelOptions& options, Console& console);
int signal_command(const SignalOptions& options, Console& console);       // signal_command.cpp
int runs_remove_command(const RemoveOptions& options, Console& console);  // runs_command.cpp
int runs_collect_command(const CollectOptions& options, Console& console);
int cache_list_command(const CacheListOptions& options, Console& console);  // cache_command.cpp
int cache_get_command(const CacheGetOptions& options, Console& console);
int cache_show_command(const CacheShowOptions& options, Console& console);
/// Takes results of another account over into the own one.
int cache_promote_command(const CachePromoteOptions& options, Console& console);
int cache_remove_command(const CacheRemoveOptions& options,
                         Console& console);  // upkeep_command.cpp
int cache_pin_command(const CachePinOptions& options, Console& console);
int cache_collect_command(const CacheCollectOptions& options, Console& console);
int cache_verify_command(const CacheVerifyOptions& options, Console& console);
int cache_erase_command(const CacheEraseOptions& options, Console& console);  // erase_command.cpp
int cache_export_command(const CacheExportOptions& options,
                         Console& console);  // archive_command.cpp
int cache_import_command(const ImportOptions& options, Console& console);
int runs_export_command(const RunsExportOptions& options, Console& console);
int runs_import_command(const ImportOptions& options, Console& console);
int cache_explain_command(const ExplainOptions& options, Console& console);  // explain_command.cpp
int cache_stats_command(const CacheStatsOptions& options, Console& console);
int cache_init_redis_command(Console& console);                               // redis_command.cpp
int config_show_command(const ConfigShowOptions& options, Console& console);  // config_command.cpp
int config_path_command(Console& console);
int completion_command(const std::string& shell, Console& console);  // completion_command.cpp
/// @param words  what follows the program's name, the last one being completed
int complete_command(const std::vector<std::string>& words, Console& console);
int doctor_command(Console& console);                               // doctor_command.cpp
int version_command(Console& console);                              // version_command.cpp
int error_page_command(const std::string& code, Console& console);  // help_command.cpp

}  // namespace reprise::cli
