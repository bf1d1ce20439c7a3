// What clients ask of a server, one request after the other, on a thread of its own: requests wait
// for the disk.
//
// A client that follows a run is sent what is durable of its changes, read from the journal when
// the engine has news of the run, a part at a time and only while the client takes it: a slow one
// falls behind in the journal, not in this process's memory.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <unordered_set>
#include <variant>
#include <vector>

#include "actors/engine.hpp"
#include "cluster/fleet_actor.hpp"
#include "cluster/hub.hpp"
#include "cluster/run_records.hpp"
#include "cluster/wire.hpp"
#include "journal/journal.hpp"

namespace reprise::cluster {

class ClientDesk {
 public:
  struct Options {
    Engine& engine;              // outlives the desk
    std::filesystem::path data;  // of the engine
    std::shared_ptr<FleetBoard> board;
    /// Asks the workers for a part of a log; the answer comes from any thread.
    std::function<void(const wire::AskLog&, std::function<void(Result<wire::LogPart>)>)> find_log;
    /// Answers queries that the desk does not know; on the desk's thread. May be empty.
    std::function<Result<std::string>(const std::string& op, const std::string& body)> query;
    bool is_stable = true;  // what is answered is on disk
    std::function<void(std::string)> say;
  };
  /// @error what the data directory and its journal say
  [[nodiscard]] static Result<std::unique_ptr<ClientDesk>> open(Options options);
  ~ClientDesk();
  ClientDesk(const ClientDesk&) = delete;
  ClientDesk& operator=(const ClientDesk&) = delete;

  /// Goes on with every run that came through a server here and is not at rest, then serves.
  /// @error what the journal says
  Status start();
  /// The runs that start() goes on with. To be asked right after it.
  [[nodiscard]] std::set<RunId> going_on() const { return going_on_; }
  /// Nothing is answered any more; news are still taken, and nothing comes of them.
  void stop();

  /// Something happened on the link of a client. Returns at once; any thread.
  void take(LinkEvent event);
  /// A run was begun for a task of another one. Returns at once; any thread.
  void run_nested(const RunId& run);
  /// A run came to rest. Returns at once; any thread.
  void run_ended(const RunId& run);
  /// A run has changes, durable soon. Returns at once; any thread.
  void run_changed(const RunId& run);

 private:
  /// A flow whose input files are not all here yet.
  struct Coming {
    wire::Submit request;
    std::set<Digest> missing;
  };
  struct Client {
    Peer peer;
    std::shared_ptr<LinkSender> sender;
    std::unique_ptr<BlobFetches> fetches{};
    std::list<Coming> coming{};
  };
  using Moment = std::chrono::steady_clock::time_point;
  struct Watcher {
    RunId run;
    LinkNumber link = 0;
    std::uint64_t request = 0;
    journal::Offset next = 0;           // the first change not yet sent; 0: only the end is wanted
    Moment due{};                       // when to look for changes again
    int fruitless = 0;                  // looks in a row without any
    std::optional<wire::RunEnded> end;  // to be told once all changes are
  };
  struct LogFound {
    LinkNumber link = 0;
    std::uint64_t request = 0;
    Result<wire::LogPart> part;
  };
  struct Nested {
    RunId run;
  };
  /// What became of a run that was to be steered.
  struct Steered {
    LinkNumber link = 0;
    std::uint64_t request = 0;
    Status status;
  };
  using Event = std::variant<LinkEvent, RunId, LogFound, Nested, Steered>;

  explicit ClientDesk(Options options) : options_(std::move(options)) {}
  Status resume_runs();
  Status resume(const journal::RunRow& row);
  void loop();
  void handle(Event& event);
  void handle(Client& client, const Message& message);
  void submit(Client& client, wire::Submit request);
  void begin(Client& client, const wire::Submit& request);
  void take_part(Client& client, const wire::BlobChunk& part);
  void ask_for_parts(Client& client);
  void query(Client& client, const wire::Query& request);
  [[nodiscard]] Result<std::string> answer_here(const wire::Query& request, const Client& client);
  [[nodiscard]] Result<std::string> result(const std::string& body);
  void log(Client& client, const wire::Query& request);
  [[nodiscard]] Status go_on(const wire::AskAgain& request);
  [[nodiscard]] Status retry(const wire::AskAgain& request);
  [[nodiscard]] Result<std::string> fork(const wire::AskFork& request, const Client& client);
  /// Starts a run, unless the key says that it was started before.
  [[nodiscard]] Result<wire::Submitted> start_run(std::shared_ptr<const FlowSpec> flow,
                                                  RunOptions options, const std::string& key,
                                                  const Client& client);
  [[nodiscard]] Status continue_run(const journal::RunRow& row, RunOptions options);
  [[nodiscard]] Result<journal::RunRow> known_row(const RunId& run);

  void watch(Client& client, const wire::Watch& request);
  void ended(const RunId& run);
  [[nodiscard]] wire::RunEnded end_of(const journal::RunRow& row) const;
  void note_changes();
  void serve_watchers();
  /// Sends what there is. @return nothing more is to be told
  [[nodiscard]] bool serve(Watcher& watcher, Client& client);
  [[nodiscard]] Result<bool> send_changes(Watcher& watcher, Client& client);
  [[nodiscard]] Moment next_look() const;
  /// Steers a run, by `how` of the engine; the answer comes later.
  /// @param at_rest  what is done with runs that are known here and not under way
  void steer(Client& client, const std::string& bytes,
             Status (Engine::*how)(const RunId&, std::vector<std::string>, std::string),
             const std::function<std::function<Status()>(const wire::Steer&,
                                                         const journal::RunRow&)>& at_rest);
  void steer_later(const Client& client, std::uint64_t request, std::function<Status()> action);
  void steer_loop();
  [[nodiscard]] std::function<Status()> cancel_at_rest(const wire::Steer& request,
                                                       const journal::RunRow& row);
  void send(Client& client, wire::Kind kind, std::string bytes);
  void answer(Client& client, std::uint64_t request, Status status, std::string body = {});

  Options options_;
  std::unique_ptr<RunRecords> records_;
  std::map<LinkNumber, Client> clients_;
  std::vector<Watcher> watchers_;
  struct Submitted {
    RunId run;
    Digest what;  // of flow, parameters and options
  };
  std::map<std::string, Submitted> by_key_;
  std::set<RunId> going_on_;  // not changed after start()
  std::set<RunId> alive_;     // of the engine, their end not yet told here
  std::map<RunId, std::map<std::string, Payload>> outputs_;  // of the newest runs that ended

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Event> events_;
  std::unordered_set<RunId> changed_runs_;
  std::deque<std::function<void()>> steering_;  // to be done by the other thread
  bool ending_ = false;
  std::atomic<bool> anybody_follows_{false};
  std::thread thread_;
  // What a run was told is answered once that is durable, which may take as long as the journal is
  // away. Everybody else is served meanwhile.
  std::thread steering_thread_;
};

}  // namespace reprise::cluster
