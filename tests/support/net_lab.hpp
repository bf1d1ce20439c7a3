// Several hosts on one machine: a network namespace each, joined by a router in one of its own, so
// that what one sends to another can be made to vanish, in one direction or both, without anybody
// being told. Needs root and iproute2. Nothing of it is reachable from outside, and all of it goes
// with the object.
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

namespace reprise::testing {

class NetLab {
 public:
  /// Throws what could not be made, and why.
  explicit NetLab(const std::vector<std::string>& hosts);
  ~NetLab();
  NetLab(const NetLab&) = delete;
  NetLab& operator=(const NetLab&) = delete;

  /// "10.99.3.2"
  [[nodiscard]] const std::string& address(const std::string& host) const {
    return hosts_.at(host).address;
  }

  /// Calls `action` with the calling thread on that host: what it starts is there.
  template <class Action>
  auto on(const std::string& host, Action action) {
    const Visit visit(hosts_.at(host).space);
    return action();
  }

  void cut_towards(const std::string& host);  // what is sent to it vanishes
  void cut_from(const std::string& host);     // what it sends vanishes
  void cut(const std::string& host) {
    cut_towards(host);
    cut_from(host);
  }
  void heal(const std::string& host);

 private:
  struct Host {
    std::string space;  // name of its namespace
    std::string address;
    bool is_cut_towards = false;
    bool is_cut_from = false;
  };
  class Visit {
   public:
    explicit Visit(const std::string& space);
    ~Visit();
    Visit(const Visit&) = delete;
    Visit& operator=(const Visit&) = delete;

   private:
    int home_ = -1;
  };
  void add_host(const std::string& name, int number);

  std::string router_;
  std::map<std::string, Host> hosts_;
  std::vector<std::string> spaces_;  // to be removed
};

}  // namespace reprise::testing
