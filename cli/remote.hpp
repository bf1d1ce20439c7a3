// Commands that are carried out by a server: asked for with --server.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "actors/engine.hpp"
#include "cli/app.hpp"
#include "cli/console.hpp"
#include "cluster/client.hpp"
#include "worker/function_message.hpp"

namespace reprise::cli {

/// A client of --server. @error as Client::connect()
[[nodiscard]] Result<std::unique_ptr<cluster::Client>> connect_client(const GlobalOptions& globals);

/// The functions that some worker of the server has; none when it does not say.
[[nodiscard]] std::vector<worker::KnownFunction> offered_functions(cluster::Client& client);

/// Gives a flow to a server, with what it needs from here.
/// @param key  the same again is the same run; empty: none
/// @error as Client::submit(); not_found, io: an input file
[[nodiscard]] Result<cluster::wire::Submitted> submit_to(cluster::Client& client,
                                                         std::shared_ptr<const FlowSpec> flow,
                                                         const RunOptions& run,
                                                         const std::string& key,
                                                         std::optional<Duration> timeout = {});

/// The run of the server that `text` selects.
[[nodiscard]] Result<RunId> find_remote_run(const std::string& text, cluster::Client& client);

/// Has the server carry out a command that only looks, and prints what it printed.
/// @param arguments  of the program, without its name
/// @return its exit code
int ask_server(const std::vector<std::string>& arguments, Console& console);

/// The same, of a client at hand.
int carry_out_there(std::vector<std::string> words, cluster::Client& client, Console& console);

/// The server's side: a query by its op, over the data directory of `globals`.
/// @error not_found: no such query, or a command that is not for others; else of the query
[[nodiscard]] Result<std::string> answer_query(const std::string& op, const std::string& body,
                                               const GlobalOptions& globals);

/// A command that a server can carry out for others: it only looks at what is in the journal.
[[nodiscard]] bool is_remote_command(const std::string& path);

}  // namespace reprise::cli
