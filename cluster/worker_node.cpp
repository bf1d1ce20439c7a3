#include "cluster/worker_node.hpp"

#include <algorithm>
#include <mutex>
#include <thread>
#include <utility>

#include <caf/actor_system.hpp>
#include <caf/actor_system_config.hpp>
#include <caf/exit_reason.hpp>
#include <caf/scoped_actor.hpp>
#include <caf/send.hpp>

#include "actors/lent_thread.hpp"
#include "actors/worker_actor.hpp"
#include "cluster/folder_lock.hpp"
#include "cluster/link_actor.hpp"
#include "cluster/node_actor.hpp"
#include "journal/data_folder.hpp"
#include "worker/local_runner.hpp"
#include "worker/machine.hpp"
#include "worker/process_tree.hpp"

namespace reprise::cluster {

class WorkerNode::State {
 public:
  Status open(WorkerNodeOptions options);
  ~State();
  [[nodiscard]] const std::string& name() const { return name_; }
  void leave(std::function<void()> on_left);

 private:
  std::string name_;
  FolderLock lock_;
  std::shared_ptr<cache::BlobStore> blobs_;
  std::mutex mutex_;
  std::function<void()> on_left_;
  caf::actor_system_config config_;
  std::unique_ptr<caf::actor_system> system_;
  caf::actor worker_, node_;
  std::unique_ptr<Hub> hub_;
};

Status WorkerNode::State::open(WorkerNodeOptions options) {
  HubOptions hub = hub_options(Role::worker, options.name, options.credentials);
  hub.exchange.resume_window = options.resume_window;
  // A server that was started again waits for its workers, but not for long.
  hub.exchange.dial_max = std::chrono::seconds{1};
  name_ = hub.exchange.self.name;
  const worker::Machine machine = worker::this_machine();
  if (options.slots == 0) options.slots = worker::slots_for(options.capacity.cpu_milli, machine);
  options.capacity = worker::capacity_of(std::move(options.capacity), options.slots, machine);
  if (!options.functions) {
    options.functions = std::make_shared<worker::FunctionTable>();
    worker::add_builtins(*options.functions);
  }
  const auto runs = options.data / "runs";
  if (Status made = journal::make_private_folders(runs); !made) return made;
  std::error_code error;
  std::filesystem::permissions(options.data, std::filesystem::perms::owner_all, error);
  if (error)
    return fail(ErrorCode::io,
                "protect folder \"" + options.data.string() + "\": " + error.message());
  if (Status locked = lock_.take(options.data, "worker"); !locked) return locked;
  // What the worker before left running here when it was killed is nobody's.
  worker::end_processes("REPRISE_CONTEXT_FILE=" + runs.string() + "/", std::chrono::seconds{1});
  // What the disk loses in a power cut, the scheduler has or computes again.
  auto blobs = cache::BlobStore::open({.folder = options.data / "blobs", .sync = false});
  if (!blobs) return tl::unexpected(blobs.error());
  blobs_ = *std::move(blobs);

  actors::LentThread::use_in(config_);
  system_ = std::make_unique<caf::actor_system>(config_);
  actors::WorkerActorOptions worker;
  worker.slots = options.slots;
  worker.gpus = worker::gpus_in(options.capacity);
  worker.runner = std::make_shared<worker::LocalRunner>(
      worker::LocalRunner::Options{.functions = options.functions,
                                   .blobs = blobs_,
                                   .grace = options.grace,
                                   .secrets = options.secrets,
                                   .warn = options.say,
                                   .pool = options.pool,
                                   .isolates_functions = options.isolates_functions,
                                   .enforcement = options.enforcement});
  worker.blobs = blobs_;
  worker.grace = options.grace;
  worker.warn = options.say;
  worker_ = actors::spawn_worker_actor(*system_, std::move(worker));
  NodeActorOptions node;
  node.node.orphan_after = options.orphan_after;
  node.worker = worker_;
  node.slots = options.slots;
  node.capacity = options.capacity;
  node.labels = options.labels;
  node.version = options.version;
  node.on_stop = options.on_stop;
  node.blobs = blobs_;
  node.incoming = options.data / "incoming";
  node.runs = runs;
  node.functions = worker::known_functions(*options.functions);
  node.enforcement = options.enforcement ? std::string(options.enforcement->name()) : "rlimit";
  node.on_refused = options.on_refused;
  node.say = options.say;
  node.on_left = [this] {
    const std::lock_guard guard(mutex_);
    if (on_left_) std::exchange(on_left_, nullptr)();
  };
  node_ = spawn_node_actor(*system_, std::move(node));
  // The hub's thread carries out what the scheduler asks for: nobody else waits for it, and one
  // thread less has to be woken for each attempt.
  const auto loan = std::make_shared<std::optional<actors::LentThread::Loan>>();
  hub.before_events = [loan, thread = actors::LentThread::of(*system_)] { loan->emplace(thread); };
  hub.after_events = [loan] { loan->reset(); };
  auto connected = spawn_connector(std::move(hub), options.server, node_);
  if (!connected) return tl::unexpected(connected.error());
  hub_ = *std::move(connected);
  return {};
}

WorkerNode::State::~State() {
  hub_.reset();
  if (!system_) return;
  actors::LentThread::of(*system_)->end_loans();
  {
    caf::scoped_actor self{*system_};
    for (caf::actor* actor : {&node_, &worker_}) {
      if (!*actor) continue;
      self->send_exit(*actor, caf::exit_reason::user_shutdown);
      self->wait_for(*actor);
      *actor = {};
    }
  }
  system_.reset();
}

void WorkerNode::State::leave(std::function<void()> on_left) {
  {
    const std::lock_guard guard(mutex_);
    on_left_ = std::move(on_left);
  }
  caf::anon_send(node_, Leave{});
}

WorkerNode::WorkerNode(std::unique_ptr<State> state) : state_(std::move(state)) {}
WorkerNode::~WorkerNode() = default;

const std::string& WorkerNode::name() const {
  return state_->name();
}

void WorkerNode::leave(std::function<void()> on_left) {
  state_->leave(std::move(on_left));
}

Result<std::unique_ptr<WorkerNode>> WorkerNode::open(WorkerNodeOptions options) {
  auto state = std::make_unique<State>();
  if (const Status opened = state->open(std::move(options)); !opened)
    return tl::unexpected(opened.error());
  return std::unique_ptr<WorkerNode>(new WorkerNode(std::move(state)));
}

}  // namespace reprise::cluster
