#include <algorithm>
#include <array>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include <fmt/format.h>
#include <unistd.h>

#include "api/remote_run.hpp"
#include "api/served.hpp"
#include "cluster/credentials.hpp"
#include "cluster/host_port.hpp"
#include "cluster/peer.hpp"
#include "cluster/service_manager.hpp"
#include "cluster/worker_node.hpp"
#include "core/configuration.hpp"
#include "core/log_line.hpp"
#include "core/service_log.hpp"
#include "core/setting.hpp"
#include "core/text.hpp"
#include "core/time.hpp"
#include "journal/data_folder.hpp"
#include "worker/declaration.hpp"
#include "worker/enforcement.hpp"
#include "worker/function_pool.hpp"
#include "worker/function_server.hpp"
#include "worker/functions.hpp"
#include "worker/process_tree.hpp"

namespace reprise::detail {
namespace {

constexpr int exit_invalid = 2;
constexpr int exit_unavailable = 3;

// Options that are settings, too.
struct Option {
  std::string_view flag;
  std::string_view key;
};
constexpr std::array<Option, 14> known_options{{{"--server", "server"},
                                                {"--data", "data"},
                                                {"--secret-file", "link.secret_file"},
                                                {"--certs", "link.certs"},
                                                {"--slots", "slots"},
                                                {"--grace", "grace"},
                                                {"--secrets", "secrets_dir"},
                                                {"--cpus", "cpus"},
                                                {"--memory", "memory"},
                                                {"--gpus", "gpus"},
                                                {"--resource", "resources"},
                                                {"--label", "labels"},
                                                {"--orphan-after", "orphan_after"},
                                                {"--isolation", "isolation"}}};

/// The command line over the settings.
class Arguments {
 public:
  static Result<Arguments> read(int argc, char** argv) {
    auto settings = Configuration::load({.project_from = "."});
    if (!settings) return tl::unexpected(settings.error().front().error());
    Arguments arguments(*std::move(settings));
    for (int i = 1; i < argc; ++i) {
      const std::string_view word = argv[i];
      const std::size_t equals = word.find('=');
      if (equals == std::string_view::npos && i + 1 == argc)
        return fail(ErrorCode::invalid_argument,
                    fmt::format("\"{}\" has no value", escape_for_terminal(word)));
      const std::string_view value =
          equals == std::string_view::npos ? argv[++i] : word.substr(equals + 1);
      if (Status set = arguments.set(word.substr(0, equals), value); !set)
        return tl::unexpected(set.error());
    }
    return arguments;
  }

  /// As it was said; empty: nowhere. Texts of settings are good ones of their kind.
  [[nodiscard]] std::string text(std::string_view key) const {
    if (const auto found = given_.find(key); found != given_.end()) return found->second;
    const SettingValue* value = settings_.find(key);
    return value == nullptr ? std::string() : value->text;
  }
  [[nodiscard]] unsigned number(std::string_view key) const {
    const std::string digits = text(key);
    return digits.empty() ? 0 : static_cast<unsigned>(std::stoul(digits));
  }
  [[nodiscard]] Duration duration(std::string_view key, Duration standard) const {
    return parse_duration(text(key)).value_or(standard);
  }
  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] LogFormat log_format() const { return log_format_; }
  [[nodiscard]] LogLevel log_level() const { return log_level_; }

 private:
  explicit Arguments(Configuration settings) : settings_(std::move(settings)) {}

  Status set(std::string_view flag, std::string_view value) {
    if (flag == "--name") {
      name_ = value;
      return {};
    }
    if (flag == "--log-format") return choose(flag, value, parse_log_format(value), log_format_);
    if (flag == "--log-level") return choose(flag, value, parse_log_level(value), log_level_);
    const auto option = std::ranges::find(known_options, flag, &Option::flag);
    if (option == known_options.end()) return unknown(flag);
    const auto setting = std::ranges::find(known_settings(), option->key, &Setting::key);
    auto checked = check_setting(*setting, value);
    if (!checked)
      return fail(checked.error().code, fmt::format("{}: {}", flag, checked.error().message));
    const bool is_list = option->key == "resources" || option->key == "labels";
    std::string& text = given_[std::string(option->key)];
    text = is_list && !text.empty() ? text + "," + *checked : *std::move(checked);
    return {};
  }

  template <class Choice>
  static Status choose(std::string_view flag, std::string_view value, std::optional<Choice> parsed,
                       Choice& chosen) {
    if (!parsed)
      return fail(
          ErrorCode::invalid_argument,
          fmt::format("{}: \"{}\" is none; there are {}", flag, escape_for_terminal(value),
                      std::is_same_v<Choice, LogFormat> ? "text, logfmt and json"
                                                        : "debug, info, warning and error"));
    chosen = *parsed;
    return {};
  }

  static Status unknown(std::string_view flag) {
    std::string all = "--name, --log-format, --log-level";
    for (const Option& option : known_options) all += fmt::format(", {}", option.flag);
    return fail(ErrorCode::invalid_argument,
                fmt::format("no option \"{}\"; there are {}", escape_for_terminal(flag), all));
  }

  Configuration settings_;
  std::map<std::string, std::string, std::less<>> given_;  // by key
  std::string name_;
  LogFormat log_format_ = LogFormat::text;
  LogLevel log_level_ = LogLevel::info;
};

Result<worker::Declared> declared_in(const Arguments& arguments) {
  worker::Declaration declaration;
  declaration.cpus = arguments.text("cpus");
  if (const std::string memory = arguments.text("memory"); !memory.empty()) {
    const auto bytes = parse_bytes(memory);
    if (!bytes) return fail(bytes.error().code, "--memory: " + bytes.error().message);
    declaration.memory = *bytes;
  }
  declaration.gpus = arguments.number("gpus");
  declaration.resources = {arguments.text("resources")};
  declaration.labels = {arguments.text("labels")};
  return worker::read_declaration(declaration);
}

Result<cluster::WorkerNodeOptions> options_from(const Arguments& arguments,
                                                std::shared_ptr<worker::FunctionTable> functions) {
  client_options given;
  given.server = arguments.text("server");
  given.certificates = arguments.text("link.certs");
  given.secret_file = arguments.text("link.secret_file");
  const auto link = load_client_options(given);
  if (!link) return tl::unexpected(link.error());
  auto servers = cluster::parse_servers(link->server, "--server");
  if (!servers) return tl::unexpected(servers.error());
  auto credentials = cluster::load_credentials({link->certificates, link->secret_file});
  if (!credentials) return tl::unexpected(credentials.error());
  auto declared = declared_in(arguments);
  if (!declared) return tl::unexpected(declared.error());
  cluster::WorkerNodeOptions worker;
  worker.name = credentials->tls           ? credentials->tls->self().name
                : arguments.name().empty() ? cluster::host_name()
                                           : arguments.name();
  if (!cluster::is_node_name(worker.name))
    return fail(ErrorCode::invalid_argument,
                fmt::format("--name \"{}\" is none: 1 to 64 of letters, digits, \".\", \"_\" and "
                            "\"-\"",
                            escape_for_terminal(worker.name)));
  std::filesystem::path data = arguments.text("data");
  if (data.empty()) {
    auto standard = journal::DataFolder::default_path();
    if (!standard) return tl::unexpected(standard.error());
    data = *std::move(standard);
  }
  std::error_code error;
  worker.data = std::filesystem::absolute(data, error) / "workers" / worker.name;
  if (const std::string secrets = arguments.text("secrets_dir"); !secrets.empty())
    worker.secrets = std::filesystem::absolute(secrets, error);
  worker.server = *std::move(servers);
  worker.credentials = *std::move(credentials);
  worker.slots = arguments.number("slots");
  worker.capacity = std::move(declared->capacity);
  worker.labels = std::move(declared->labels);
  worker.grace = arguments.duration("grace", worker.grace);
  worker.orphan_after = arguments.duration("orphan_after", worker.orphan_after);
  worker.functions = std::move(functions);
  worker.enforcement = std::make_shared<worker::Enforcement>(worker::Enforcement::own_folder());
  worker.enforcement->prepare();
  auto pool = worker::FunctionPool::open({.program = {},
                                          .plugins = {},
                                          .environment = worker::current_environment(),
                                          .grace = worker.grace,
                                          .enforcement = worker.enforcement});
  if (!pool) return tl::unexpected(pool.error());
  worker.pool = *std::move(pool);
  worker.isolates_functions = arguments.text("isolation") != "task";
  return worker;
}

// Whole lines, from any thread.
void write_line(const std::string& line) {
  const std::string text = line + "\n";
  (void)std::fwrite(text.data(), 1, text.size(), stderr);
}

/// Signals that end a worker, and its own wish to be woken, which is a SIGTERM from itself.
class Endings {
 public:
  Endings() {
    ::signal(SIGPIPE, SIG_IGN);
    ::sigemptyset(&signals_);
    ::sigaddset(&signals_, SIGINT);
    ::sigaddset(&signals_, SIGTERM);
    ::pthread_sigmask(SIG_BLOCK, &signals_, nullptr);  // for all threads that come
  }
  static void wake() { (void)::kill(::getpid(), SIGTERM); }
  /// Tells the manager meanwhile that the process is alive.
  /// @return the signal; 0: it was woken
  [[nodiscard]] int wait(cluster::ServiceManager& manager) const {
    const auto pause = std::chrono::duration_cast<std::chrono::nanoseconds>(
        manager.watchdog().value_or(std::chrono::seconds{60}));
    const timespec limit{pause.count() / 1'000'000'000, pause.count() % 1'000'000'000};
    siginfo_t info{};
    while (::sigtimedwait(&signals_, &info, &limit) < 0)
      if (manager.watchdog()) manager.alive();
    return info.si_pid == ::getpid() ? 0 : info.si_signo;
  }

 private:
  sigset_t signals_{};
};

}  // namespace

int serve_as_worker(int argc, char** argv, std::vector<served_task> tasks) {
  auto table = table_of(std::move(tasks));
  if (!table) {
    ServiceLog(write_line, LogFormat::text, LogLevel::info).error(table.error().message);
    return exit_invalid;
  }
  worker::serve_functions_if_asked(argc, argv, [&](std::span<char*>) { return table; });
  const Endings endings;    // before any thread
  worker::adopt_orphans();  // background processes of commands stay ours to end
  cluster::ServiceManager manager;
  const auto arguments = Arguments::read(argc, argv);
  const ServiceLog log(write_line, arguments ? arguments->log_format() : LogFormat::text,
                       arguments ? arguments->log_level() : LogLevel::info);
  auto options = arguments ? options_from(*arguments, *table)
                           : Result<cluster::WorkerNodeOptions>(tl::unexpected(arguments.error()));
  if (!options) {
    log.error(options.error().message);
    return exit_invalid;
  }
  options->say = [log](const std::string& line) { log.info(line); };
  options->on_stop = Endings::wake;
  std::mutex mutex;
  std::optional<Error> refused;
  options->on_refused = [&](const Error& why) {
    const std::lock_guard guard(mutex);
    refused = why;
    Endings::wake();
  };
  const std::string limits = options->enforcement->describe();
  const std::string place = fmt::format("{}:{}", options->server.host, options->server.port);
  auto node = cluster::WorkerNode::open(*std::move(options));
  if (!node) {
    log.error(node.error().message);
    return exit_unavailable;
  }
  log.info(fmt::format("worker \"{}\" for the server at {}", (*node)->name(), place));
  log.info("limits: " + limits);
  manager.ready("serves " + place);
  (void)endings.wait(manager);
  if (const std::lock_guard guard(mutex); refused) {
    log.error(refused->message);
    return exit_invalid;
  }
  manager.stopping("finishing what runs");
  log.info("leaving once what runs has ended; a signal stops it now");
  (*node)->leave(Endings::wake);
  const int second = endings.wait(manager);
  node->reset();
  return second == 0 ? 0 : 128 + second;
}

}  // namespace reprise::detail
