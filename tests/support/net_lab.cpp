#include "tests/support/net_lab.hpp"

#include <cstring>
#include <fstream>
#include <stdexcept>

#include <fcntl.h>
#include <sched.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

extern char** environ;

namespace reprise::testing {
namespace {

bool try_ip(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), "ip");
  std::vector<char*> line;
  for (std::string& word : arguments) line.push_back(word.data());
  line.push_back(nullptr);
  pid_t process = -1;
  if (::posix_spawnp(&process, "ip", nullptr, nullptr, line.data(), environ) != 0) return false;
  int status = 0;
  ::waitpid(process, &status, 0);
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

void ip(const std::vector<std::string>& arguments) {
  if (try_ip(arguments)) return;
  std::string line = "ip";
  for (const std::string& word : arguments) line += " " + word;
  throw std::runtime_error("failed: " + line + " (hosts of their own need root and iproute2)");
}

}  // namespace

NetLab::Visit::Visit(const std::string& space) {
  home_ = ::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
  const int there = ::open(("/run/netns/" + space).c_str(), O_RDONLY | O_CLOEXEC);
  const bool went = there >= 0 && ::setns(there, CLONE_NEWNET) == 0;
  if (there >= 0) ::close(there);
  if (!went) throw std::runtime_error("cannot go to host " + space + ": " + std::strerror(errno));
}

NetLab::Visit::~Visit() {
  ::setns(home_, CLONE_NEWNET);
  ::close(home_);
}

NetLab::NetLab(const std::vector<std::string>& hosts) {
  const std::string prefix = "rp" + std::to_string(::getpid()) + "-";
  router_ = prefix + "router";
  try {
    ip({"netns", "add", router_});
    spaces_.push_back(router_);
    ip({"-n", router_, "link", "set", "lo", "up"});
    {
      const Visit visit(router_);
      std::ofstream("/proc/sys/net/ipv4/ip_forward") << 1;
    }
    int number = 0;
    for (const std::string& host : hosts) add_host(host, ++number);
  } catch (...) {
    for (const std::string& space : spaces_) try_ip({"netns", "del", space});
    throw;
  }
}

NetLab::~NetLab() {
  for (const std::string& space : spaces_) try_ip({"netns", "del", space});
}

void NetLab::add_host(const std::string& name, int number) {
  Host host;
  host.space = "rp" + std::to_string(::getpid()) + "-" + name;
  const std::string net = "10.99." + std::to_string(number) + ".";
  host.address = net + "2";
  const std::string port = "to" + std::to_string(number);
  ip({"netns", "add", host.space});
  spaces_.push_back(host.space);
  ip({"-n", host.space, "link", "set", "lo", "up"});
  ip({"link", "add", port, "netns", router_, "type", "veth", "peer", "name", "eth0", "netns",
      host.space});
  ip({"-n", router_, "addr", "add", net + "1/30", "dev", port});
  ip({"-n", router_, "link", "set", port, "up"});
  ip({"-n", host.space, "addr", "add", net + "2/30", "dev", "eth0"});
  ip({"-n", host.space, "link", "set", "eth0", "up"});
  ip({"-n", host.space, "route", "add", "default", "via", net + "1"});
  hosts_[name] = std::move(host);
}

// A route to nowhere, more exact than the one to the host's network.
void NetLab::cut_towards(const std::string& name) {
  Host& host = hosts_.at(name);
  if (std::exchange(host.is_cut_towards, true)) return;
  ip({"-n", router_, "route", "add", "blackhole", host.address + "/32"});
}

void NetLab::cut_from(const std::string& name) {
  Host& host = hosts_.at(name);
  if (std::exchange(host.is_cut_from, true)) return;
  ip({"-n", router_, "rule", "add", "from", host.address, "blackhole"});
}

void NetLab::heal(const std::string& name) {
  Host& host = hosts_.at(name);
  if (std::exchange(host.is_cut_towards, false))
    ip({"-n", router_, "route", "del", "blackhole", host.address + "/32"});
  if (std::exchange(host.is_cut_from, false))
    ip({"-n", router_, "rule", "del", "from", host.address, "blackhole"});
}

}  // namespace reprise::testing
