// P2, P3 and P7 with a scheduler and two workers as processes of their own.
#include "bench/cluster.hpp"

#include <algorithm>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <map>
#include <thread>

#include <fmt/format.h>

#include "actors/run_options.hpp"
#include "bench/bare.hpp"
#include "bench/flows.hpp"
#include "bench/process.hpp"
#include "bench/support.hpp"
#include "bench/task_bench.hpp"
#include "cluster/worker_node.hpp"
#include "core/assert.hpp"

namespace reprise::bench {

namespace {

using namespace std::chrono_literals;

template <class Condition>
void await(Condition condition, const std::string& what) {
  const auto deadline = std::chrono::steady_clock::now() + 30s;
  while (!condition()) {
    REPRISE_ASSERT(std::chrono::steady_clock::now() < deadline, what);
    std::this_thread::sleep_for(5ms);
  }
}

bool holds(const std::string& file, const std::string& text) {
  std::ifstream stream(file);
  const std::string all{std::istreambuf_iterator<char>(stream), {}};
  return all.find(text) != std::string::npos;
}

}  // namespace

Cluster::Cluster(const Settings& settings, Trust trust, unsigned slots,
                 std::vector<std::string> worker) {
  const std::string folder = fresh_folder(settings.folder);
  const auto certificates = [&](const std::string& name, const std::string& role) {
    run_program({settings.program, "cluster", "add-node", name, "--role", role, "--dir",
                 folder + "/authority"});
    return folder + "/authority/nodes/" + name;
  };
  if (trust == Trust::tls)
    run_program({settings.program, "cluster", "init", folder + "/authority"});
  const auto start = [&](std::vector<std::string> argv, const std::string& name,
                         const std::string& role, const std::string& ready) {
    if (role == "worker" && !worker.empty())
      argv.insert(argv.begin(), worker.begin(), worker.end());
    else
      argv.insert(argv.begin(), settings.program);
    argv.insert(argv.end(), {"--data", folder + "/data"});
    if (trust == Trust::tls) argv.insert(argv.end(), {"--certs", certificates(name, role)});
    const std::string log = folder + "/" + name + ".log";
    nodes_.push_back(std::make_unique<Background>(argv, log));
    await([&] { return holds(log, ready); }, log);
  };
  const std::string port_file = folder + "/port";
  start({"server", "start", "--listen", "127.0.0.1:0", "--port-file", port_file}, "server",
        "scheduler", "listening on ");
  await([&] { return holds(port_file, "\n"); }, port_file);
  std::string port;
  std::ifstream(port_file) >> port;
  for (const std::string name : {"w1", "w2"})
    start({"worker", "start", "--server", "127.0.0.1:" + port, "--name", name, "--slots",
           std::to_string(slots)},
          name, "worker", "serving scheduler");
  cluster::CredentialFiles files;
  if (trust == Trust::tls)
    files.certificates = certificates("client", "client");
  else
    files.secret = cluster::secret_in(folder + "/data");
  auto credentials = cluster::load_credentials(files);
  REPRISE_ASSERT(credentials.has_value(), credentials.error().message);
  cluster::ClientOptions options;
  options.server.port = static_cast<std::uint16_t>(std::stoi(port));
  options.credentials = *std::move(credentials);
  auto client = cluster::Client::connect(std::move(options));
  REPRISE_ASSERT(client.has_value(), client.error().message);
  client_ = std::move(*client);
}

int serve(const std::vector<std::string>& arguments) {
  sigset_t ending;
  sigemptyset(&ending);
  sigaddset(&ending, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &ending, nullptr);  // before any thread
  std::map<std::string, std::string> given;
  for (std::size_t i = 0; i + 1 < arguments.size(); i += 2) given[arguments[i]] = arguments[i + 1];
  cluster::WorkerNodeOptions options;
  const std::string& server = given.at("--server");
  options.server.port = static_cast<std::uint16_t>(std::stoi(server.substr(server.rfind(':') + 1)));
  options.name = given.at("--name");
  options.data = given.at("--data") + "/workers/" + options.name;
  options.slots = static_cast<unsigned>(std::stoul(given.at("--slots")));
  auto credentials = cluster::load_credentials(
      {.certificates = {}, .secret = cluster::secret_in(given.at("--data"))});
  REPRISE_ASSERT(credentials.has_value(), credentials.error().message);
  options.credentials = *std::move(credentials);
  options.functions = std::make_shared<worker::FunctionTable>();
  worker::add_builtins(*options.functions);
  add_task_bench(*options.functions);
  options.say = [](const std::string& line) { std::cerr << line << std::endl; };
  auto node = cluster::WorkerNode::open(std::move(options));
  REPRISE_ASSERT(node.has_value(), node.error().message);
  int signal = 0;
  sigwait(&ending, &signal);
  return 0;
}

double Cluster::run(const std::shared_ptr<const FlowSpec>& flow) {
  return seconds_of([&] {
    const auto submitted = client_->submit({.request = 0,
                                            .idempotency = {},
                                            .flow = flow,
                                            .options = actors::encode_options({}),
                                            .ns = {},
                                            .parameters = {}});
    REPRISE_ASSERT(submitted.has_value(), submitted.error().message);
    const auto ended = client_->wait(submitted->run);
    REPRISE_ASSERT(ended && *ended && (*ended)->state == RunState::success,
                   ended ? (*ended)->message : ended.error().message);
  });
}

namespace {

Figure figure_of(std::string id, std::string what, std::string unit, std::string floor,
                 std::string goal) {
  Figure figure;
  figure.id = std::move(id);
  figure.what = std::move(what);
  figure.unit = std::move(unit);
  figure.floor_name = std::move(floor);
  figure.goal = std::move(goal);
  return figure;
}

double quantile(std::vector<double> values, double share) {
  std::sort(values.begin(), values.end());
  return values[static_cast<std::size_t>(share * static_cast<double>(values.size() - 1))];
}

}  // namespace

std::vector<Figure> cluster_p2(const Settings& settings) {
  const auto count = static_cast<std::size_t>(100'000 * settings.size);
  const auto flow = no_ops(count, false);
  std::vector<Figure> figures;
  const auto engine = open_engine(fresh_folder(settings.folder), 2);
  run_flow(*engine, flow);
  for (const Trust trust : {Trust::secret, Trust::tls}) {
    Cluster cluster(settings, trust, 1);
    cluster.run(flow);
    Figure& figure =
        figures.emplace_back(figure_of("P2",
                                       fmt::format("{} no-op functions, cluster{}, durable", count,
                                                   trust == Trust::tls ? ", TLS" : ""),
                                       "tasks/s", "the same, embedded", ">= 250,000"));
    for (int i = 0; i < settings.repetitions; ++i) {
      figure.floor.push_back(static_cast<double>(count) / run_flow(*engine, flow));
      figure.runs.push_back(static_cast<double>(count) / cluster.run(flow));
    }
    figure.met = median(figure.runs) >= 250'000;
  }
  const double cost = 1 - median(figures[1].runs) / median(figures[0].runs);
  figures[1].goal = "TLS costs < 25 %";
  figures[1].met = cost < 0.25;
  figures[1].note = fmt::format("TLS costs {:.0f} %", 100 * cost);
  // Embedded tasks and the messages of a cluster take both processors: who has both at once has
  // the sum of their times.
  Figure& messages = figures.emplace_back(
      figure_of("P2", "the messages of that, made and read by nobody else", "tasks/s", "", ""));
  for (int i = 0; i < settings.repetitions; ++i) messages.runs.push_back(bare_messages(count));
  return figures;
}

std::vector<Figure> cluster_p3(const Settings& settings) {
  const std::size_t count = 1000;
  const auto chain = no_ops(count, true);
  const auto one = no_ops(1, false);
  const auto singles = static_cast<int>(200 * std::min(settings.size, 1.0));
  std::vector<Figure> figures;
  Figure relayed =
      figure_of("P3", "there and back by TCP, where a thread reads for the one that sends", "us",
                "round trip by TCP", "");
  for (const Trust trust : {Trust::secret, Trust::tls}) {
    const std::string with = trust == Trust::tls ? ", TLS" : "";
    Cluster cluster(settings, trust, 1);
    cluster.run(chain);
    Figure each = figure_of("P3", "chain of 1,000 no-ops, cluster" + with, "us/task",
                            "round trip by TCP" + with, "<= 80");
    Figure half =
        figure_of("P3", "one task by the client API, p50" + with, "us", "fdatasync", "<= 120");
    Figure most =
        figure_of("P3", "one task by the client API, p99" + with, "us", "fdatasync", "<= 500");
    for (int i = 0; i < settings.repetitions; ++i) {
      each.floor.push_back(bare_round_trip(trust, settings.folder) * 1e6);
      each.runs.push_back(cluster.run(chain) * 1e6 / count);
      if (trust == Trust::secret) relayed.runs.push_back(bare_relayed_trip() * 1e6);
      const double sync = bare_sync(settings.folder) * 1e6;
      std::vector<double> took;
      for (int k = 0; k < singles; ++k) took.push_back(cluster.run(one) * 1e6);
      half.floor.push_back(sync);
      most.floor.push_back(sync);
      half.runs.push_back(quantile(took, 0.5));
      most.runs.push_back(quantile(took, 0.99));
    }
    each.met = median(each.runs) <= 80;
    half.met = median(half.runs) <= 120;
    most.met = median(most.runs) <= 500;
    half.note = most.note = "submitted, run, and on disk before it is told";
    if (trust == Trust::secret) relayed.floor = each.floor;
    for (Figure* figure : {&each, &half, &most}) figures.push_back(std::move(*figure));
  }
  figures.push_back(std::move(relayed));
  return figures;
}

std::vector<Figure> cluster_p7(const Settings& settings) {
  const auto count = static_cast<std::size_t>(2000 * settings.size);
  const auto flow = sleeps_and_tree(count);
  Cluster cluster(settings, Trust::secret, 1);
  cluster.run(flow);
  const double ideal = static_cast<double>(count) * 1e-3 / 2;
  Figure figure = figure_of("P7", fmt::format("{} x 1 ms on 2 workers, then a tree", count), "s",
                            "ideal", "<= 1.06 x ideal");
  for (int i = 0; i < settings.repetitions; ++i) {
    figure.floor.push_back(ideal);
    figure.runs.push_back(cluster.run(flow));
  }
  figure.met = median(figure.runs) <= 1.06 * ideal;
  return {figure};
}

}  // namespace reprise::bench
