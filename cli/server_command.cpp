// `reprise server start` and `reprise scheduler start`.
#include <algorithm>
#include <atomic>
#include <filesystem>
#include <fstream>

#include <fmt/format.h>

#include "cli/commands.hpp"
#include "cli/data_access.hpp"
#include "cli/execution.hpp"
#include "cli/remote.hpp"
#include "cli/service.hpp"
#include "cli/service_log.hpp"
#include "cli/text.hpp"
#include "cluster/server.hpp"
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
    std::error_code error;
    std::filesystem::create_directories(data, error);
    if (error)
      return fail(ErrorCode::io, fmt::format("make folder \"{}\": {}",
                                             escape_for_terminal(data.string()), error.message()));
    if (const Status made = cluster::ensure_secret(cluster::secret_in(data)); !made)
      return tl::unexpected(made.error());
  }
  return credentials_of(globals);
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
  ServiceLog log(console, options.log.format, options.log.least);
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
  std::atomic<bool> is_superseded = false;
  server.on_superseded = [&](const Error& error) {
    say(error.message);
    is_superseded = true;
    signals.wake();
  };
  server.query = [globals = console.options()](const std::string& op, const std::string& body) {
    return answer_query(op, body, globals);
  };
  auto opened = cluster::Server::open(std::move(server));
  if (!opened) return console.fail(opened.error());
  const std::string host =
      place->host.find(':') == std::string::npos ? place->host : "[" + place->host + "]";
  log.info(fmt::format("listening on {}:{}", host, (*opened)->port()));
  if (!options.port_file.empty())
    if (const Status written = write_port(options.port_file, (*opened)->port()); !written)
      return console.fail(written.error());
  cluster::Server& serving = **opened;
  (void)serve(
      signals, manager, [&] { return serving.is_responding(answer_limit); },
      [&] { return fmt::format("{} connected", counted(serving.worker_count(), "worker")); });
  manager.stopping("ending");
  if (is_superseded) {
    log(LogLevel::error, "ending; the runs are the other server's");
    opened->reset();
    return exit_failed;
  }
  log.info("ending; runs that are not finished go on at the next start");
  opened->reset();
  return exit_ok;
}

}  // namespace reprise::cli
