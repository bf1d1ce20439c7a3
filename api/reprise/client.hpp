// Running flows on a server and its workers.
//
//   reprise::client there{reprise::config::load()};           // or {.server = "build7:4747"}
//   reprise::run r = there.submit(f, {.idempotency_key = "nightly-2026-11-21"});
//   std::vector<std::string> words = r[best].get();
//   for (const reprise::event& e : r.events()) …
//
// Functions of the flow run on workers that were built with them: a task is found there by its
// name and version. A server that is away for a while, or was started again, is waited for.
#pragma once

#include <chrono>
#include <filesystem>
#include <memory>
#include <string>

#include "reprise/error.hpp"
#include "reprise/flow.hpp"
#include "reprise/run.hpp"

namespace reprise {

/// Where a server is and how to prove who asks. Empty fields: as the settings say, which are those
/// of the command line: REPRISE_SERVER and so on, reprise.toml, …
struct client_options {
  std::string server{};                  // "HOST:PORT"; without any setting 127.0.0.1:4747
  std::filesystem::path certificates{};  // folder with this client's certificate
  std::filesystem::path secret_file{};   // or a file with the secret that all nodes share; without
                                         // any setting the one in the data directory
  // For the server to be reached, again, too, before a call that does not wait for a run gives up.
  std::chrono::nanoseconds patience = std::chrono::seconds(30);
};

namespace config {

/// The settings of the command line, for a client.
/// @throws usage_error invalid_argument: a file or a variable with a mistake; io, denied
[[nodiscard]] client_options load();

}  // namespace config

namespace detail {
class client_state;
}

/// A link to a server, shared by its runs. Copies stand for the same; safe from any thread. It ends
/// with the last handle to it, its runs and their results; runs go on.
class client {
 public:
  /// Blocks until the server is reached.
  /// @throws usage_error unavailable: not in time; denied: it does not accept this client, or is
  /// not who it should be; invalid_argument, not_found, io: the settings and files
  explicit client(const client_options& options = {});
  /// The same with an error as a value.
  [[nodiscard]] static expected<client> open(const client_options& options = {});

  /// Starts a run and returns when it is durable there. Of the options those for engines only are
  /// refused: `resume`, `always_new`.
  /// @throws usage_error invalid_argument: the flow or its parameters, or hooks, triggers and key
  /// functions, which workers do not have; conflict: the key was used for something else, or two
  /// tasks have the same name and version; unavailable; exhausted: the server is too busy still
  reprise::run submit(const flow& flow, const submit_options& options = {}) const;
  [[nodiscard]] expected<reprise::run> try_submit(const flow& flow,
                                                  const submit_options& options = {}) const;

  /// A handle to a run of this flow that was submitted before, maybe by another process.
  /// @throws usage_error not_found: no such run; conflict: it is of another flow; unavailable
  [[nodiscard]] reprise::run attach(const flow& flow, const std::string& id) const;
  [[nodiscard]] expected<reprise::run> try_attach(const flow& flow, const std::string& id) const;

 private:
  explicit client(std::shared_ptr<detail::client_state> state) : state_(std::move(state)) {}

  std::shared_ptr<detail::client_state> state_;
};

}  // namespace reprise
