#include "cli/remote.hpp"

#include <algorithm>
#include <array>

#include <fmt/format.h>
#include <unistd.h>

#include "actors/run_options.hpp"
#include "cli/data_access.hpp"
#include "cli/run_selector.hpp"
#include "cli/service.hpp"
#include "cli/terminal.hpp"
#include "cluster/input_files.hpp"
#include "core/pack.hpp"
#include "core/text.hpp"

namespace reprise::cli {
namespace {

constexpr std::size_t arguments_max = 1000;

std::string encode_words(const std::vector<std::string>& words) {
  std::string bytes;
  Packer pack(bytes);
  pack.array(words.size());
  for (const std::string& word : words) pack.bytes(word);
  return bytes;
}

/// What the server's command left.
struct Left {
  int code = exit_internal;
  std::string out;
  std::string err;
};

std::string encode_left(const Left& left) {
  std::string bytes;
  Packer pack(bytes);
  pack.array(3);
  pack.integer(left.code);
  pack.bytes(left.out);
  pack.bytes(left.err);
  return bytes;
}

Result<Left> decode_left(std::string_view bytes) {
  Unpacker in(bytes);
  Left left;
  if (in.array() < 3) in.fail();
  left.code = static_cast<int>(in.integer());
  left.out = in.bytes();
  left.err = in.bytes();
  if (in.failed()) return fail(ErrorCode::corrupt, "the server's answer does not decode");
  return left;
}

/// Carries a command out here, for somebody elsewhere.
Result<std::string> carry_out(std::string_view body, const GlobalOptions& here) {
  Unpacker in(body);
  std::uint32_t count = in.array();
  if (count > arguments_max) in.fail();
  std::vector<std::string> words;
  for (; count > 0 && !in.failed(); --count) words.emplace_back(in.bytes());
  if (!in.at_end() || words.empty()) return fail(ErrorCode::corrupt, "a command does not decode");
  const std::string first = words.front();
  if (first == "wait") words.emplace_back("--timeout=0ms");  // nobody waits on a server's thread
  auto invocation = parse_command_line(std::move(words));
  if (!invocation) return tl::unexpected(invocation.error().error);
  if (!invocation->action || !is_remote_command(invocation->path) ||
      (invocation->waits && first != "wait"))
    return fail(ErrorCode::denied, "a server does not carry this command out for others");
  // Of what the other side says only how it is to look counts.
  GlobalOptions globals = here;
  const GlobalOptions& asked = invocation->globals;
  globals.json = asked.json;
  globals.fields = asked.fields;
  globals.quiet = asked.quiet;
  globals.verbosity = asked.verbosity;
  globals.color = asked.color;
  globals.no_input = true;
  globals.server.clear();
  Console::Captured captured;
  Left left;
  {
    Console console(globals, captured);
    left.code = invocation->action(console);
  }
  left.out = std::move(captured.out);
  left.err = std::move(captured.err);
  return encode_left(left);
}

}  // namespace

bool is_remote_command(const std::string& path) {
  constexpr std::array known{"reprise status",       "reprise ps",   "reprise history",
                             "reprise diff",         "reprise wait", "reprise explain",
                             "reprise cache explain"};
  return std::ranges::find(known, path) != known.end();
}

std::vector<worker::KnownFunction> offered_functions(cluster::Client& client) {
  if (const auto answer = client.query("functions"))
    if (auto functions = worker::decode_known(*answer)) return *std::move(functions);
  return {};
}

Result<std::unique_ptr<cluster::Client>> connect_client(const GlobalOptions& globals) {
  auto servers = parse_servers(globals.server, "--server");
  if (!servers) return tl::unexpected(servers.error());
  auto credentials = credentials_of(globals);
  if (!credentials) return tl::unexpected(credentials.error());
  cluster::ClientOptions options;
  options.server = *std::move(servers);
  options.credentials = *std::move(credentials);
  auto client = cluster::Client::connect(std::move(options));
  if (!client)
    return fail(
        client.error().code,
        fmt::format("server {}: {}", escape_for_terminal(globals.server), client.error().message));
  return client;
}

Result<cluster::wire::Submitted> submit_to(cluster::Client& client,
                                           std::shared_ptr<const FlowSpec> flow,
                                           const RunOptions& run, const std::string& key,
                                           std::optional<Duration> timeout) {
  cluster::wire::Submit request;
  request.idempotency = key;
  request.flow = std::move(flow);
  auto bound = bind_parameters(*request.flow, run.parameters, run.shape.single_pass);
  if (!bound) return tl::unexpected(bound.error());
  const auto brought = cluster::find_input_files(*request.flow, *bound);
  if (!brought) return tl::unexpected(brought.error());
  client.offer(brought->places);
  RunOptions with_files = run;
  with_files.files = brought->files;
  request.options = actors::encode_options(with_files);
  request.ns = run.ns;
  request.parameters = run.parameters;
  // A path means nothing there.
  for (const Parameter& parameter : request.flow->parameters)
    if (const auto file = bound->find(parameter.name);
        parameter.type == "file" && file != bound->end())
      request.parameters.insert_or_assign(parameter.name, file->second);
  return client.submit(std::move(request), timeout);
}

Result<RunId> find_remote_run(const std::string& text, cluster::Client& client) {
  const auto answer = client.query("run", text);
  if (!answer) return tl::unexpected(answer.error());
  const auto run = RunId::parse(*answer);
  if (!run) return fail(ErrorCode::corrupt, "the server's answer does not decode");
  return *run;
}

int ask_server(const std::vector<std::string>& arguments, Console& console) {
  auto client = connect_client(console.options());
  if (!client) return console.fail(client.error());
  return carry_out_there(arguments, **client, console);
}

int carry_out_there(std::vector<std::string> words, cluster::Client& client, Console& console) {
  words.push_back(console.out_style().colored ? "--color=always" : "--color=never");
  const auto answer = client.query("command", encode_words(words));
  if (!answer) return console.fail(answer.error());
  const auto left = decode_left(*answer);
  if (!left) return console.fail(left.error());
  console.raw(left->out);
  if (!left->err.empty()) console.complain(left->err);
  return left->code;
}

Result<std::string> answer_query(const std::string& op, const std::string& body,
                                 const GlobalOptions& globals) {
  if (op == "command") return carry_out(body, globals);
  if (op == "run") {
    auto reading = open_for_reading(globals);
    if (!reading) return tl::unexpected(reading.error());
    const auto row = find_run(body, *reading->journal);
    if (!row) return tl::unexpected(row.error());
    return row->id.text();
  }
  return fail(ErrorCode::not_found,
              fmt::format("this server knows no query \"{}\"", escape_for_terminal(op)));
}

}  // namespace reprise::cli
