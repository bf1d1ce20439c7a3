// `reprise worker start` and `reprise worker ls`.
#include <filesystem>
#include <optional>

#include <fmt/format.h>

#include "cli/commands.hpp"
#include "cli/data_access.hpp"
#include "cli/flow_source.hpp"
#include "cli/machine.hpp"
#include "cli/remote.hpp"
#include "cli/service.hpp"
#include "cli/table.hpp"
#include "cli/version.hpp"
#include "cluster/socket_address.hpp"
#include "cluster/worker_list.hpp"
#include "cluster/worker_node.hpp"
#include "core/service_log.hpp"
#include "core/text.hpp"

namespace reprise::cli {
namespace {

std::string_view word_of(cluster::WorkerView::Health health) {
  using Health = cluster::WorkerView::Health;
  switch (health) {
    case Health::alive:
      return "up";
    case Health::suspect:
      return "suspect";
    case Health::draining:
      return "draining";
  }
  return "";
}

std::string cpus_text(std::uint32_t milli) {
  return fmt::format("{:.3g}", static_cast<double>(milli) / 1000);
}

std::string memory_text(const cluster::ListedWorker& worker) {
  const std::uint64_t all = worker.capacity.memory_bytes;
  return describe_bytes(worker.memory_bytes) + "/" +
         (all == UINT64_MAX ? std::string("?") : describe_bytes(all));
}

template <class Value>
std::string listed(const std::map<std::string, Value>& entries) {
  std::string text;
  for (const auto& [name, value] : entries)
    text += escape_for_terminal(fmt::format("{}{}={}", text.empty() ? "" : " ", name, value));
  return text.empty() ? "–" : text;
}

}  // namespace

int worker_start_command(const WorkerStartOptions& options, Console& console) {
  const GlobalOptions& globals = console.options();
  auto servers =
      parse_servers(globals.server.empty() ? "127.0.0.1:4747" : globals.server, "--server");
  if (!servers) return console.fail(servers.error(), exit_invalid);
  const auto data = data_path(globals);
  if (!data) return console.fail(data.error(), exit_invalid);
  auto credentials = credentials_of(globals);
  if (!credentials) return console.fail(credentials.error(), exit_invalid);
  const std::string name = credentials->tls       ? credentials->tls->self().name
                           : options.name.empty() ? cluster::host_name()
                                                  : options.name;
  if (!cluster::is_node_name(name))
    return console.fail({ErrorCode::invalid_argument,
                         fmt::format("--name \"{}\" is none: 1 to 64 of letters, digits, \".\", "
                                     "\"_\" and \"-\"",
                                     escape_for_terminal(name))},
                        exit_invalid);

  ServiceSignals signals;  // before any thread
  cluster::WorkerNodeOptions worker;
  std::string where = cluster::endpoint_text(servers->host, servers->port);
  for (const cluster::PeerPlace& other : servers->others)
    where += ", " + cluster::endpoint_text(other.host, other.port);
  worker.server = *std::move(servers);
  std::error_code error;
  worker.data = std::filesystem::absolute(*data, error) / "workers" / name;
  if (!options.secrets.empty()) worker.secrets = std::filesystem::absolute(options.secrets, error);
  worker.name = name;
  worker.credentials = *std::move(credentials);
  worker.slots = options.slots;
  auto machine = parse_machine(globals.machine);
  if (!machine) return console.fail(machine.error(), exit_invalid);
  worker.capacity = std::move(machine->capacity);
  worker.labels = std::move(machine->labels);
  worker.version = version_text;
  worker.on_stop = [&signals] { signals.wake(); };
  worker.grace = options.grace;
  worker.resume_window = options.link_patience;
  worker.orphan_after = options.orphan_after;
  worker.enforcement = std::make_shared<worker::Enforcement>(worker::Enforcement::own_folder());
  worker.enforcement->prepare();
  auto pool = function_pool(options.plugins, options.grace, worker.enforcement);
  if (!pool) return console.fail(pool.error(), exit_invalid);
  worker.pool = *pool;
  worker.isolates_functions = options.isolates;
  worker.functions = std::make_shared<worker::FunctionTable>();
  worker::add_builtins(*worker.functions);
  if (!options.plugins.empty())
    if (const Status added = worker::add_functions_of(*pool, *worker.functions); !added)
      return console.fail(added.error(), exit_invalid);
  const std::string limits = worker.enforcement->describe();
  std::optional<Error> refused;
  worker.on_refused = [&](const Error& why) {
    refused = why;
    signals.wake();
  };
  ServiceManager manager;
  const ServiceLog log([&console](const std::string& line) { console.say(line); },
                       options.log.format, options.log.least);
  worker.say = [&log](const std::string& line) { log.info(line); };
  auto node = cluster::WorkerNode::open(std::move(worker));
  if (!node) return console.fail(node.error());
  log.info(fmt::format("worker \"{}\" for the server at {}", name, where));
  log.info("limits: " + limits);
  const bool is_told =
      serve(
          signals, manager, [] { return true; }, [&] { return "serves " + where; }) == 0;
  if (is_told && refused) {
    node->reset();
    return console.fail(*refused, exit_invalid);
  }
  manager.stopping("finishing what runs");
  log.info(is_told ? "leaving as the server says, once what runs has ended; a signal stops it now"
                   : "leaving once what runs has ended; again to stop it now");
  (*node)->leave([&signals] { signals.wake(); });
  const int second = signals.wait();
  node->reset();
  return second == 0 ? static_cast<int>(exit_ok) : 128 + second;
}

int worker_steer_command(std::string_view verb, const WorkerSteerOptions& options,
                         Console& console) {
  if (console.options().server.empty())
    return console.fail(
        {ErrorCode::invalid_argument,
         fmt::format("worker {} asks a server: name it with --server HOST:PORT", verb)},
        exit_invalid);
  auto client = connect_client(console.options());
  if (!client) return console.fail(client.error());
  const auto answer = (*client)->query(fmt::format("worker.{}", verb), options.name);
  if (!answer) return console.fail(answer.error());
  if (console.is_json())
    return console.document(
        {{"schema", "reprise.worker_steer/1"}, {"worker", options.name}, {"asked", verb}});
  console.say(fmt::format("worker \"{}\": {} asked for", escape_for_terminal(options.name), verb));
  return exit_ok;
}

int worker_list_command(Console& console) {
  if (console.options().server.empty())
    return console.fail(
        {ErrorCode::invalid_argument, "worker ls asks a server: name it with --server HOST:PORT"},
        exit_invalid);
  auto client = connect_client(console.options());
  if (!client) return console.fail(client.error());
  const auto answer = (*client)->query("workers");
  if (!answer) return console.fail(answer.error());
  const auto workers = cluster::decode_workers(*answer);
  if (!workers) return console.fail(workers.error());
  if (console.is_json()) {
    Json list = Json::array();
    for (const cluster::ListedWorker& each : *workers)
      list.push_back({{"worker", each.name},
                      {"state", word_of(each.health)},
                      {"slots", each.slots},
                      {"in_hand", each.in_hand},
                      {"cpus", static_cast<double>(each.capacity.cpu_milli) / 1000},
                      {"cpus_asked", static_cast<double>(each.cpu_milli) / 1000},
                      {"memory_bytes", each.capacity.memory_bytes},
                      {"memory_asked_bytes", each.memory_bytes},
                      {"resources", each.capacity.custom},
                      {"labels", each.labels},
                      {"functions", each.functions},
                      {"enforcement", each.enforcement},
                      {"version", each.version},
                      {"silence_s", seconds(each.silence)},
                      {"age_s", seconds(each.age)}});
    return console.document({{"schema", "reprise.workers/1"}, {"workers", std::move(list)}},
                            exit_ok, "workers");
  }
  Table table{{"WORKER", "STATE", "IN HAND", "CPUS", "MEMORY", "RESOURCES", "LABELS", "LIMITS BY",
               "BEAT", "UP SINCE", "VERSION"},
              {false, false, true, true, true, false, false, false, true, true, false},
              {}};
  for (const cluster::ListedWorker& each : *workers)
    table.rows.push_back({escape_for_terminal(each.name), Cell{std::string(word_of(each.health))},
                          fmt::format("{}/{}", each.in_hand, each.slots),
                          cpus_text(each.cpu_milli) + "/" + cpus_text(each.capacity.cpu_milli),
                          memory_text(each), listed(each.capacity.custom), listed(each.labels),
                          escape_for_terminal(each.enforcement), reprise::describe(each.silence),
                          reprise::describe(each.age), escape_for_terminal(each.version)});
  for (const std::string& line : table.lines(console.out_columns(), console.out_style()))
    console.out(line);
  return exit_ok;
}

}  // namespace reprise::cli
