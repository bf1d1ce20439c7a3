// `reprise worker start` and `reprise worker ls`.
#include <filesystem>

#include <fmt/format.h>

#include "cli/commands.hpp"
#include "cli/data_access.hpp"
#include "cli/remote.hpp"
#include "cli/service.hpp"
#include "cli/service_log.hpp"
#include "cli/table.hpp"
#include "cluster/worker_list.hpp"
#include "cluster/worker_node.hpp"
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

}  // namespace

int worker_start_command(const WorkerStartOptions& options, Console& console) {
  const GlobalOptions& globals = console.options();
  const auto place =
      parse_host_port(globals.server.empty() ? "127.0.0.1:4747" : globals.server, "--server");
  if (!place) return console.fail(place.error(), exit_invalid);
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
  worker.server.host = place->host;
  worker.server.port = place->port;
  std::error_code error;
  worker.data = std::filesystem::absolute(*data, error) / "workers" / name;
  if (!options.secrets.empty()) worker.secrets = std::filesystem::absolute(options.secrets, error);
  worker.name = name;
  worker.credentials = *std::move(credentials);
  worker.slots = options.slots;
  worker.grace = options.grace;
  worker.resume_window = options.link_patience;
  ServiceManager manager;
  ServiceLog log(console, options.log.format, options.log.least);
  worker.say = [&log](const std::string& line) { log.info(line); };
  auto node = cluster::WorkerNode::open(std::move(worker));
  if (!node) return console.fail(node.error());
  log.info(fmt::format("worker \"{}\" for the server at {}:{}", name, place->host, place->port));
  (void)serve(
      signals, manager, [] { return true; },
      [&] { return fmt::format("serves {}", globals.server); });
  manager.stopping("finishing what runs");
  log.info("leaving once what runs has ended; again to stop it now");
  (*node)->leave([&signals] { signals.wake(); });
  const int second = signals.wait();
  node->reset();
  return second == 0 ? static_cast<int>(exit_ok) : 128 + second;
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
                      {"silence_s", seconds(each.silence)},
                      {"age_s", seconds(each.age)}});
    return console.document({{"schema", "reprise.workers/1"}, {"workers", std::move(list)}},
                            exit_ok, "workers");
  }
  Table table{{"WORKER", "STATE", "SLOTS", "IN HAND", "BEAT", "UP SINCE"},
              {false, false, true, true, true, true},
              {}};
  for (const cluster::ListedWorker& each : *workers)
    table.rows.push_back({escape_for_terminal(each.name), Cell{std::string(word_of(each.health))},
                          std::to_string(each.slots), std::to_string(each.in_hand),
                          describe(each.silence), describe(each.age)});
  for (const std::string& line : table.lines(console.out_columns(), console.out_style()))
    console.out(line);
  return exit_ok;
}

}  // namespace reprise::cli
