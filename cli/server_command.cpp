// `reprise server start` and `reprise scheduler start`.
#include <algorithm>
#include <atomic>
#include <filesystem>
#include <fstream>
#include <optional>
#include <stop_token>
#include <thread>

#include <fmt/format.h>

#include "cli/commands.hpp"
#include "cli/data_access.hpp"
#include "cli/execution.hpp"
#include "cli/remote.hpp"
#include "cli/service.hpp"
#include "cli/text.hpp"
#include "cluster/server.hpp"
#include "cluster/standby.hpp"
#include "core/service_log.hpp"
#include "core/text.hpp"

namespace reprise::cli {
namespace {

// A scheduler that is silent for so long is stuck.
constexpr Duration answer_limit = std::chrono::seconds{5};

/// Complete or not at all: whoever waits for the file never reads half a number.
Status write_port(const std::string& file, std::uint16_t port) {
  const std::string draft = file + ".new";
  std::ofstream stream(draft, std::ios::trunc);
  stream << port << '\n';
  stream.close();
  std::error_code error;
  if (stream) std::filesystem::rename(draft, file, error);
  if (!stream || error)
    return fail(ErrorCode::io,
                fmt::format("the port cannot be written to \"{}\"", escape_for_terminal(file)));
  return {};
}

/// A server without certificates needs a secret: it makes one at its first start.
Result<cluster::Credentials> server_credentials(const GlobalOptions& globals,
                                                const std::filesystem::path& data) {
  if (globals.certificates.empty() && globals.secret_file.empty()) {
    if (const Status made = journal::make_private_folders(data); !made)
      return tl::unexpected(made.error());
    if (const Status made = cluster::ensure_secret(cluster::secret_in(data)); !made)
      return tl::unexpected(made.error());
  }
  return credentials_of(globals);
}

/// What a serving process has anyway.
struct Service {
  ServiceSignals& signals;
  ServiceManager& manager;
  const ServiceLog& log;
};

/// Serves until it is asked to end (true) or another server leads (false).
/// @param seat  of a journal that is shared through `standby`
/// @error as Server::open; the port cannot be told
Result<bool> serve_once(const ServerStartOptions& options, cluster::ServerOptions server,
                        cluster::Standby* standby, const std::optional<journal::Seat>& seat,
                        const Service& service) {
  const std::string host = server.listen.host.find(':') == std::string::npos
                               ? server.listen.host
                               : "[" + server.listen.host + "]";
  std::atomic<bool> is_superseded = false;
  server.on_superseded = [&](const Error& error) {
    service.log(LogLevel::error, "this server leads no more: " + error.message);
    is_superseded = true;
    service.signals.wake();
  };
  std::stop_source stop;  // of waiting for the shared journal
  if (seat) {
    server.engine.journal_waits = [standby] { return standby->waits(); };
    server.engine.share_journal = [&](std::unique_ptr<journal::SqliteJournal> local) {
      return standby->lead(std::move(local), *seat, stop.get_token());
    };
  }
  auto opened = cluster::Server::open(std::move(server));
  if (!opened) return tl::unexpected(opened.error());
  service.log.info(fmt::format("listening on {}:{}", host, (*opened)->port()));
  if (!options.port_file.empty())
    if (const Status written = write_port(options.port_file, (*opened)->port()); !written)
      return tl::unexpected(written.error());
  cluster::Server& serving = **opened;
  bool is_asked = false;
  while (!is_asked && !is_superseded)
    is_asked =
        serve(
            service.signals, service.manager, [&] { return serving.is_responding(answer_limit); },
            [&] {
              return fmt::format("{} connected", counted(serving.worker_count(), "worker"));
            }) != 0;
  if (is_asked) {
    service.manager.stopping("ending");
    service.log.info("ending; runs that are not finished go on at the next start");
  }
  stop.request_stop();
  opened->reset();
  if (is_asked && seat) standby->resign(seat->leader);
  return is_asked;
}

/// Follows the shared journal until this server leads; nullopt: it was asked to end.
/// @error as Standby::wait
Result<std::optional<journal::Seat>> stand_by(cluster::Standby& standby, const Service& service) {
  std::stop_source stop;
  Result<std::optional<journal::Seat>> seat = std::optional<journal::Seat>{};
  std::atomic<bool> is_over = false;
  std::thread waiting([&] {
    seat = standby.wait(stop.get_token());
    is_over = true;
    service.signals.wake();
  });
  bool is_asked = false;
  while (!is_asked && !is_over)
    is_asked = serve(
                   service.signals, service.manager, [] { return true; },
                   [] { return std::string("standing by"); }) != 0;
  stop.request_stop();
  waiting.join();
  if (!is_asked || !seat || !*seat) return seat;
  standby.resign((*seat)->leader);
  return std::optional<journal::Seat>{};
}

int serve_in_turn(const ServerStartOptions& options, const cluster::ServerOptions& server,
                  cluster::Standby* standby, const Service& service, Console& console) {
  for (;;) {
    std::optional<journal::Seat> seat;
    if (standby != nullptr) {
      auto taken = stand_by(*standby, service);
      if (!taken) return console.fail(taken.error());
      if (!*taken) return exit_ok;
      seat = *std::move(taken);
      service.log.info(fmt::format("this server leads, epoch {}", seat->leader.epoch));
    }
    const auto is_asked = serve_once(options, server, standby, seat, service);
    if (!is_asked) return console.fail(is_asked.error());
    if (*is_asked) return exit_ok;
    if (standby != nullptr) continue;
    service.manager.stopping("ending");
    service.log(LogLevel::error, "ending; the runs are the other server's");
    return exit_failed;
  }
}

}  // namespace

int server_start_command(const ServerStartOptions& options, Console& console) {
  if (options.lost_after <= options.suspect_after)
    return console.fail(
        {ErrorCode::invalid_argument, "--lost-after must be longer than --suspect-after"},
        exit_invalid);
  const auto place = parse_host_port(options.listen, "--listen");
  if (!place) return console.fail(place.error(), exit_invalid);
  auto engine = engine_options(console.options(), 0, options.durability, std::chrono::seconds{10});
  if (!engine) return console.fail(engine.error(), exit_invalid);
  auto credentials = server_credentials(console.options(), engine->data);
  if (!credentials) return console.fail(credentials.error(), exit_invalid);

  ServiceSignals signals;  // before any thread
  ServiceManager manager;
  const ServiceLog log([&console](const std::string& line) { console.say(line); },
                       options.log.format, options.log.least);
  const Service service{signals, manager, log};
  const auto say = [&log](const std::string& line) { log.info(line); };
  cluster::ServerOptions server;
  server.engine = *std::move(engine);
  server.engine.warn = [&log](const std::string& line) { log(LogLevel::warning, line); };
  server.listen.host = place->host;
  server.listen.port = place->port;
  server.name = options.name.empty() ? cluster::host_name() : options.name;
  server.credentials = *std::move(credentials);
  server.fleet.suspect_after = options.suspect_after;
  server.fleet.lost_after = options.lost_after;
  server.fleet.reconcile_window = options.reconcile_window;
  server.fleet.ping_every = std::min<Duration>(options.suspect_after / 3, server.fleet.ping_every);
  server.say = say;
  server.query = [globals = console.options()](const std::string& op, const std::string& body) {
    return answer_query(op, body, globals);
  };
  if (options.journal.empty()) return serve_in_turn(options, server, nullptr, service, console);

  cluster::StandbyOptions standby;
  auto shared = redis::parse_url(options.journal);
  if (!shared) return console.fail(shared.error(), exit_invalid);
  shared->password_file = options.journal_password_file;
  // A cache can be done without for a while; who leads has to be back within the term, to renew it.
  const Duration pause = options.lead_term / 2;
  shared->breaker.longest_pause = std::min(shared->breaker.longest_pause, pause);
  shared->breaker.first_pause = std::min(shared->breaker.first_pause, pause / 2);
  standby.log = std::make_shared<journal::RedisLog>(
      std::make_shared<redis::Client>(*std::move(shared), journal::log_functions()));
  standby.data = server.engine.data;
  standby.name = server.name;
  standby.term = options.lead_term;
  standby.say = say;
  const auto opened = cluster::Standby::open(std::move(standby));
  if (!opened) return console.fail(opened.error());
  return serve_in_turn(options, server, opened->get(), service, console);
}

}  // namespace reprise::cli
