// Hubs on real sockets, with what their owners were told, for tests that wait for it.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "cluster/authority.hpp"
#include "cluster/hub.hpp"

namespace reprise::testing {

/// A hub and its log.
class Node {
 public:
  struct OneLink {
    cluster::Peer peer;
    std::shared_ptr<cluster::LinkSender> sender;
    std::vector<cluster::Message> received;
    std::vector<std::shared_ptr<const void>> holds;
    std::size_t received_bytes = 0;
    int cuts = 0, backs = 0;
    bool down = false;
    Error why;
  };

  explicit Node(cluster::HubOptions options) {
    options.on_event = [this](cluster::LinkEvent event) { note(std::move(event)); };
    auto opened = cluster::Hub::open(std::move(options));
    if (!opened) throw std::runtime_error(opened.error().message);
    hub = std::move(*opened);
  }
  ~Node() { stop(); }
  void stop() { hub.reset(); }

  std::uint16_t listen() { return hub->listen({"127.0.0.1", 0}).value(); }
  cluster::DialNumber connect(std::uint16_t port, cluster::Role role = cluster::Role::scheduler) {
    cluster::ConnectOptions to;
    to.port = port;
    to.role = role;
    return hub->connect(to).value();
  }

  /// Waits until `condition`, asked with the log locked, holds. @return whether it did in time
  bool wait(const std::function<bool()>& condition,
            std::chrono::seconds deadline = std::chrono::seconds{20}) {
    std::unique_lock lock(mutex);
    return changed.wait_for(lock, deadline, condition);
  }
  /// The newest link that is not over; nullptr: none. To be asked with the log locked.
  OneLink* current() {
    for (auto it = links.rbegin(); it != links.rend(); ++it)
      if (!it->second.down) return &it->second;
    return nullptr;
  }
  /// Waits for a link. @return how to send on it
  std::shared_ptr<cluster::LinkSender> link() {
    if (!wait([this] { return current() != nullptr; })) throw std::runtime_error("no link came up");
    const std::lock_guard lock(mutex);
    return current()->sender;
  }

  std::mutex mutex;
  std::condition_variable changed;
  std::map<cluster::LinkNumber, OneLink> links;
  std::vector<cluster::LinkTrouble> troubles;
  int rooms = 0;
  bool keep_holds = false;   // as an owner that does not get on
  bool keep_content = true;  // or only counts
  std::unique_ptr<cluster::Hub> hub;

 private:
  void note(cluster::LinkEvent event) {
    using namespace cluster;
    const std::lock_guard lock(mutex);
    if (auto* up = std::get_if<LinkUp>(&event)) {
      OneLink& link = links[up->peer.link];
      link.peer = up->peer;
      link.sender = up->sender;
    } else if (auto* got = std::get_if<LinkMessages>(&event)) {
      OneLink& link = links.at(got->link);
      for (auto& message : got->messages) {
        link.received_bytes += message.bytes.size();
        if (!keep_content) message.bytes.clear();
        link.received.push_back(std::move(message));
      }
      if (keep_holds) link.holds.push_back(got->hold);
    } else if (auto* cut = std::get_if<LinkCut>(&event)) {
      ++links.at(cut->link).cuts;
    } else if (auto* back = std::get_if<LinkBack>(&event)) {
      ++links.at(back->link).backs;
    } else if (auto* down = std::get_if<LinkDown>(&event)) {
      links.at(down->link).down = true;
      links.at(down->link).why = down->why;
    } else if (std::get_if<LinkRoom>(&event)) {
      ++rooms;
    } else if (auto* trouble = std::get_if<LinkTrouble>(&event)) {
      troubles.push_back(*trouble);
    }
    changed.notify_all();
  }
};

inline cluster::HubOptions with_secret(cluster::Role role, std::string name) {
  cluster::HubOptions options;
  options.exchange.self = {role, std::move(name), cluster::new_incarnation()};
  options.exchange.secret = std::string(32, 's');
  return options;
}

}  // namespace reprise::testing
