// A worker process's shell: attempts that come over the link go to the slots of this process, and
// what the slots say goes back over it. What is taken, told and stopped, Node decides.
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <caf/actor.hpp>
#include <caf/actor_system.hpp>
#include <caf/allowed_unsafe_message_type.hpp>

#include "cache/blob_store.hpp"
#include "cluster/node.hpp"
#include "cluster/wire.hpp"
#include "core/time.hpp"
#include "worker/function_message.hpp"

namespace reprise::cluster {

/// owner → node: take nothing more and leave once what is in hand is finished.
struct Leave {};

struct NodeActorOptions {
  NodeOptions node;
  caf::actor worker;  // actors::spawn_worker_actor without a cache; told here whom to serve
  std::uint32_t slots = 1;
  Resources capacity{0, 0, {}};
  std::map<std::string, std::string> labels;
  std::string enforcement;  // worker::Enforcement::name()
  std::string version;      // of this program
  std::shared_ptr<cache::BlobStore> blobs;
  std::filesystem::path incoming;                // folder for files that are still coming
  std::filesystem::path runs;                    // folder for the folders of runs
  std::vector<worker::KnownFunction> functions;  // that it can run
  std::function<void(std::string)> say;  // one line for people, from any thread; may be empty
  std::function<void()> on_stop;         // the scheduler's operator wants this process to end
  std::function<void()> on_left;         // nothing is in hand any more, after Leave
  std::function<void(const Error&)> on_refused;  // the scheduler does not take it; may be empty
};

/// Handles the events of its link (link_actor.hpp), what its worker says (Reported, Began) and
/// Leave.
[[nodiscard]] caf::actor spawn_node_actor(caf::actor_system& system, NodeActorOptions options);

}  // namespace reprise::cluster

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(reprise::cluster::Leave)
