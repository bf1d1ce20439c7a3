// A server as a process of its own, on a port that was free, with workers in data directories of
// their own: nothing is shared but the secret.
#pragma once

#include <boost/test/unit_test.hpp>

#include <filesystem>
#include <map>
#include <memory>
#include <string>

#include "tests/integration/support.hpp"

namespace reprise::integration {

struct Site {
  Home home;
  std::string place;  // of the server, as HOST:PORT
  std::unique_ptr<Program> server;
  std::map<std::string, std::unique_ptr<Program>> workers;

  Site() { start_server("127.0.0.1:0"); }
  void start_server(const std::string& listen, Arguments more = {}) {
    std::filesystem::remove(home.path / "port");
    Arguments all{"server", "start", "--listen", listen, "--port-file", "port"};
    all.insert(all.end(), more.begin(), more.end());
    server = home.start(std::move(all));
    BOOST_REQUIRE_MESSAGE(server->shows("listening on "), server->output());
    BOOST_REQUIRE(until([&] { return std::filesystem::exists(home.path / "port"); }));
    place = "127.0.0.1:" + lines_of(home.read("port")).at(0);
  }
  Program& start_worker(const std::string& name, const std::string& slots = "2") {
    auto& worker = workers[name];
    worker = home.start({"worker", "start", "--server", place, "--name", name, "--slots", slots,
                         "--data", "data-of-" + name, "--secret-file", secret().string()});
    BOOST_REQUIRE_MESSAGE(worker->shows("serving scheduler"), worker->output());
    return *worker;
  }
  [[nodiscard]] std::uint16_t port() const {
    return static_cast<std::uint16_t>(std::stoi(place.substr(place.find(':') + 1)));
  }
  [[nodiscard]] std::filesystem::path secret() const {
    return std::filesystem::path(home.environment.at("REPRISE_DATA")) / "link.secret";
  }
  /// A command about the server, from a client with a data directory of its own.
  [[nodiscard]] Arguments there(Arguments words) const {
    words.insert(words.end(), {"--server", place, "--secret-file", secret().string(), "--data",
                               "data-of-client"});
    return words;
  }
  Finished ask(Arguments words) { return home.run(there(std::move(words))); }
};

}  // namespace reprise::integration
