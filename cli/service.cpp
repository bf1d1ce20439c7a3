#include "cli/service.hpp"

#include <algorithm>
#include <csignal>

#include <fmt/format.h>
#include <unistd.h>

#include "cli/data_access.hpp"
#include "core/text.hpp"

namespace reprise::cli {
namespace {

constexpr Duration status_every = std::chrono::seconds{5};

}  // namespace

Result<cluster::Credentials> credentials_of(const GlobalOptions& globals) {
  if (!globals.certificates.empty() || !globals.secret_file.empty())
    return cluster::load_credentials({globals.certificates, globals.secret_file});
  const auto data = data_path(globals);
  if (!data) return tl::unexpected(data.error());
  auto credentials = cluster::load_credentials({{}, cluster::secret_in(*data)});
  if (!credentials && credentials.error().code == ErrorCode::not_found)
    return fail(ErrorCode::not_found,
                fmt::format("no secret for the server in \"{}\"; name its file with --secret-file, "
                            "or certificates with --certs",
                            escape_for_terminal(data->string())));
  return credentials;
}

int serve(ServiceSignals& signals, ServiceManager& manager, const std::function<bool()>& is_alive,
          const std::function<std::string()>& status) {
  std::string told = status();
  manager.ready(told);
  const Duration pause =
      std::min<Duration>(manager.watchdog().value_or(status_every), status_every);
  for (;;) {
    if (const auto signal = signals.wait_for(pause)) return *signal;
    if (manager.watchdog() && is_alive()) manager.alive();
    if (std::string now_so = status(); now_so != told) {
      told = std::move(now_so);
      manager.status(told);
    }
  }
}

ServiceSignals::ServiceSignals()
    : watcher_([this](int signal) {
        if (signal == SIGTSTP) {
          ::kill(::getpid(), SIGSTOP);
          return;
        }
        if (signal == SIGHUP) return;  // a service outlives its terminal
        const std::lock_guard guard(mutex_);
        ++signals_;
        last_ = signal;
        changed_.notify_all();
      }) {}

int ServiceSignals::wait() {
  std::unique_lock guard(mutex_);
  changed_.wait(guard, [&] { return signals_ > 0 || woken_; });
  return take();
}

std::optional<int> ServiceSignals::wait_for(Duration limit) {
  std::unique_lock guard(mutex_);
  if (!changed_.wait_for(guard, limit, [&] { return signals_ > 0 || woken_; })) return std::nullopt;
  return take();
}

// The mutex is held, and something came.
int ServiceSignals::take() {
  if (signals_ == 0) {
    woken_ = false;
    return 0;
  }
  --signals_;
  return last_;
}

void ServiceSignals::wake() {
  const std::lock_guard guard(mutex_);
  woken_ = true;
  changed_.notify_all();
}

}  // namespace reprise::cli
