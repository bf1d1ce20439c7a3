#include <charconv>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include <fmt/format.h>
#include <unistd.h>

#include "api/remote_run.hpp"
#include "api/served.hpp"
#include "cluster/credentials.hpp"
#include "cluster/host_port.hpp"
#include "cluster/peer.hpp"
#include "cluster/worker_node.hpp"
#include "core/text.hpp"
#include "core/time.hpp"
#include "journal/data_folder.hpp"
#include "worker/enforcement.hpp"
#include "worker/function_pool.hpp"
#include "worker/function_server.hpp"
#include "worker/functions.hpp"
#include "worker/process_tree.hpp"

namespace reprise::detail {
namespace {

constexpr int exit_invalid = 2;
constexpr int exit_unavailable = 3;

struct WorkerArguments {
  client_options link;
  std::string name;
  std::filesystem::path data;
  unsigned slots = 0;
  Duration grace{std::chrono::seconds{10}};
};

Status set(WorkerArguments& arguments, std::string_view option, const std::string& value) {
  if (option == "--server") {
    arguments.link.server = value;
  } else if (option == "--name") {
    arguments.name = value;
  } else if (option == "--data") {
    arguments.data = value;
  } else if (option == "--secret-file") {
    arguments.link.secret_file = value;
  } else if (option == "--certs") {
    arguments.link.certificates = value;
  } else if (option == "--slots") {
    const auto [end, error] =
        std::from_chars(value.data(), value.data() + value.size(), arguments.slots);
    if (error != std::errc{} || end != value.data() + value.size() || arguments.slots == 0)
      return fail(ErrorCode::invalid_argument,
                  fmt::format("--slots \"{}\" is no number above 0", escape_for_terminal(value)));
  } else if (option == "--grace") {
    const auto grace = parse_duration(value);
    if (!grace) return tl::unexpected(grace.error());
    arguments.grace = *grace;
  } else {
    return fail(ErrorCode::invalid_argument,
                fmt::format("no option \"{}\"; there are --server, --name, --slots, --grace, "
                            "--data, --secret-file and --certs",
                            escape_for_terminal(option)));
  }
  return {};
}

Result<WorkerArguments> read_arguments(int argc, char** argv) {
  WorkerArguments arguments;
  for (int i = 1; i < argc; ++i) {
    const std::string_view word = argv[i];
    const std::size_t equals = word.find('=');
    const std::string_view option = word.substr(0, equals);
    if (equals == std::string_view::npos && i + 1 == argc)
      return fail(ErrorCode::invalid_argument,
                  fmt::format("\"{}\" has no value", escape_for_terminal(word)));
    const std::string value(equals == std::string_view::npos ? argv[++i] : word.substr(equals + 1));
    if (Status done = set(arguments, option, value); !done) return tl::unexpected(done.error());
  }
  return arguments;
}

Result<cluster::WorkerNodeOptions> options_from(int argc, char** argv,
                                                std::shared_ptr<worker::FunctionTable> functions) {
  auto arguments = read_arguments(argc, argv);
  if (!arguments) return tl::unexpected(arguments.error());
  const auto link = load_client_options(arguments->link);
  if (!link) return tl::unexpected(link.error());
  auto servers = cluster::parse_servers(link->server, "--server");
  if (!servers) return tl::unexpected(servers.error());
  auto credentials = cluster::load_credentials({link->certificates, link->secret_file});
  if (!credentials) return tl::unexpected(credentials.error());
  cluster::WorkerNodeOptions worker;
  worker.name = credentials->tls          ? credentials->tls->self().name
                : arguments->name.empty() ? cluster::host_name()
                                          : arguments->name;
  if (!cluster::is_node_name(worker.name))
    return fail(ErrorCode::invalid_argument,
                fmt::format("--name \"{}\" is none: 1 to 64 of letters, digits, \".\", \"_\" and "
                            "\"-\"",
                            escape_for_terminal(worker.name)));
  if (arguments->data.empty()) {
    auto standard = journal::DataFolder::default_path();
    if (!standard) return tl::unexpected(standard.error());
    arguments->data = *std::move(standard);
  }
  std::error_code error;
  worker.data = std::filesystem::absolute(arguments->data, error) / "workers" / worker.name;
  worker.server = *std::move(servers);
  worker.credentials = *std::move(credentials);
  worker.slots = arguments->slots;
  worker.grace = arguments->grace;
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
  worker.isolates_functions = true;
  return worker;
}

// Whole lines, from any thread.
void say(std::string_view line) {
  const std::string text = escape_for_terminal(line) + "\n";
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
  /// @return the signal; 0: it was woken
  [[nodiscard]] int wait() const {
    siginfo_t info{};
    while (::sigwaitinfo(&signals_, &info) < 0) {
    }
    return info.si_pid == ::getpid() ? 0 : info.si_signo;
  }

 private:
  sigset_t signals_{};
};

}  // namespace

int serve_as_worker(int argc, char** argv, std::vector<served_task> tasks) {
  auto table = table_of(std::move(tasks));
  if (!table) {
    say("error: " + table.error().message);
    return exit_invalid;
  }
  worker::serve_functions_if_asked(argc, argv, [&](std::span<char*>) { return table; });
  const Endings endings;    // before any thread
  worker::adopt_orphans();  // background processes of commands stay ours to end
  auto options = options_from(argc, argv, *table);
  if (!options) {
    say("error: " + options.error().message);
    return exit_invalid;
  }
  options->say = [](const std::string& line) { say(line); };
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
    say("error: " + node.error().message);
    return exit_unavailable;
  }
  say(fmt::format("worker \"{}\" for the server at {}", (*node)->name(), place));
  say("limits: " + limits);
  (void)endings.wait();
  if (const std::lock_guard guard(mutex); refused) {
    say("error: " + refused->message);
    return exit_invalid;
  }
  say("leaving once what runs has ended; a signal stops it now");
  (*node)->leave(Endings::wake);
  const int second = endings.wait();
  node->reset();
  return second == 0 ? 0 : 128 + second;
}

}  // namespace reprise::detail
