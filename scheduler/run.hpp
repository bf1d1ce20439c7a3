// One run of a flow: which task is in which state, and what that allows next. Pure: no clock, no
// threads, no I/O.
//
// Tasks are numbers. The first tasks are the flow's nodes; expanding a mapped node appends one task
// per element. State lies in parallel arrays, so a task that waits costs a few bytes, a finished
// one about a hundred, and a change touches few of them.
//
// A task's way, always in this order (docs/semantics.md): upstreams finished → upstream skipped? →
// trigger → `when` → cache look-up → slot → body → retry. Where a task has hooks, each state on
// this way is shown to them before it is entered (run_hooks.cpp). Consequences are worked off from
// a list instead of by recursion: a chain of a million skipped tasks is no deep stack.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <queue>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "core/paged_array.hpp"
#include "flow/attempt.hpp"
#include "journal/records.hpp"
#include "scheduler/element_labels.hpp"
#include "scheduler/events.hpp"
#include "scheduler/flow_graph.hpp"
#include "scheduler/ready_queue.hpp"

namespace reprise::scheduler {

/// A run that is nested in another one is to do as that one.
struct ChildRequest {
  enum class What : std::uint8_t { cancel, pause };
  What what = What::cancel;
  AttemptRef attempt;  // that it was begun for
  RunId run;
  std::string reason;
};

class Run {
 public:
  /// @param lost_limit  workers in a row that may be lost with a task before it is given up
  Run(RunIndex index, std::shared_ptr<const RunContext> context, std::uint32_t lost_limit = 5);

  /// What the run wants after an event, besides ready tasks.
  struct Wants {
    std::vector<Attempt> look_ups;
    std::vector<Keep> keeps;
    std::vector<AttemptRef> stops;
    journal::Batch batch;
    // Of nested runs: cancel or pause them.
    std::vector<ChildRequest> children;
  };

  /// Begins, or goes on after `past`. Ready tasks are pushed to `ready`, here and below.
  void start(const Submit& submit, Time now, ReadyQueue& ready, Wants& wants);
  void looked_up(Answer answer, Time now, ReadyQueue& ready, Wants& wants);
  /// The answer to a look-up comes later: another run computes the same.
  void waits(const Waits& news, Time now, ReadyQueue& ready, Wants& wants);
  void kept(const Kept& answer, Time now, ReadyQueue& ready, Wants& wants);
  void reported(Report report, Time now, ReadyQueue& ready, Wants& wants);
  void began(const Began::Start& start, Wants& wants);
  void adopted(const Adopted::One& news);
  /// An attempt was given back: it is as if it had never been sent.
  void returned(const AttemptRef& attempt, Time now, ReadyQueue& ready, Wants& wants);
  /// A ready task can never run here.
  void cannot_run(TaskId task, std::string why, Time now, ReadyQueue& ready, Wants& wants);
  /// Nothing comes of the result that the attempt was to have: others need not wait for it.
  void give_up_key(const AttemptRef& attempt, Wants& wants);
  /// Why a ready task waits is recorded, for people.
  void tell_waiting(TaskId task, const Obstacle& obstacle, Time now, Wants& wants);
  void cancel(const Cancel& request, Time now, ReadyQueue& ready, Wants& wants);
  void pause(const Pause& request, Time now, ReadyQueue& ready, Wants& wants);
  void tick(Time now, ReadyQueue& ready, Wants& wants);

  /// The attempt to hand to a worker for a ready task; nullopt: the task no longer wants to run
  /// (cancelled, or its arguments could not be made, in which case it has failed).
  [[nodiscard]] std::optional<Attempt> dispatch(TaskId task, Time now, ReadyQueue& ready,
                                                Wants& wants);

  /// The same for a task that runs a flow: the run to begin, or to go on with. It holds no slot.
  /// @param fresh  the id of the nested run, if it is a new one
  [[nodiscard]] std::optional<Nest> nest(TaskId task, const RunId& fresh, Time now,
                                         ReadyQueue& ready, Wants& wants);
  /// Its body is a flow.
  [[nodiscard]] bool is_nesting(TaskId task) const {
    return std::holds_alternative<NestedBody>(flow_.kind_of(node_of(task)).body);
  }
  /// Attempts of a task so far.
  [[nodiscard]] std::uint32_t attempts(TaskId task) const { return run_count_[task.value]; }
  /// "align: exited with 1": the first task of this run that failed, and why; empty: none did.
  [[nodiscard]] std::string first_failure() const;

  /// Set once, when nothing can happen any more without a person.
  [[nodiscard]] std::optional<Ended> ended() const { return ended_; }
  [[nodiscard]] std::optional<Time> next_timer() const;
  /// Something is under way: a look-up, an attempt, a question to user code.
  [[nodiscard]] bool is_busy() const {
    return !ended_ && (active_ > 0 || run_question_ || !refreshes_.empty());
  }
  /// It is in this lane of the queue, and not only its remains.
  [[nodiscard]] bool wants_slot(TaskId task, LaneId lane) const;
  /// It was sent, and is the task's latest: its end is not known yet.
  [[nodiscard]] bool is_out(const AttemptRef& attempt) const;
  /// An earlier process had begun it, and a worker may still have it.
  [[nodiscard]] bool has_begun_before(TaskId task) const { return begun_before_.contains(task); }
  /// The lane that a dispatched attempt came from.
  [[nodiscard]] LaneId lane_of(const AttemptRef& attempt) const;
  /// The run is over and leaves its lanes.
  void leave(ReadyQueue& ready);

  [[nodiscard]] const RunContext& context() const { return *context_; }
  [[nodiscard]] RunIndex index() const { return index_; }
  [[nodiscard]] TaskState state(TaskId task) const { return state_[task.value]; }
  [[nodiscard]] std::size_t task_count() const { return state_.size(); }
  [[nodiscard]] NodeId node_of(TaskId task) const;
  /// "align", "align[s3]": as people see it.
  [[nodiscard]] std::string shown_name(TaskId task) const { return name_of(task); }
  /// Result of a node, the list of its elements' results for a mapped one; nil where there is none.
  [[nodiscard]] Payload value_of(NodeId node);
  /// The same for people. @error unavailable: not finished; not_found: finished without a result,
  /// says why
  [[nodiscard]] Result<Payload> result_of(NodeId node);

  /// The state of every node by name, in the form in which another run may begin with it.
  [[nodiscard]] std::map<std::string, InitialState> states() const;

  /// The task with this name, as people see it: "align", "align[s3]", "align[2]". none: there is
  /// none.
  [[nodiscard]] std::optional<TaskId> find_task(std::string_view name) const;

  /// Counts of this process's part of the run, and of all of it.
  struct Totals {
    journal::Summary here;      // executed and cached: since start(); the rest: all tasks
    journal::Summary whole;     // with what `past` said
    std::uint64_t carried = 0;  // tasks that were finished before start()
  };
  [[nodiscard]] Totals totals() const;
  /// Tasks that would have been looked up, had the run not said off; since the last call.
  std::uint64_t take_past_cache() { return std::exchange(past_cache_, 0); }

  /// The run's outputs by name, as far as they can be made; for a run that has ended.
  [[nodiscard]] std::map<std::string, Payload> outputs();

  /// Restates every invariant; aborts on a broken one. For tests.
  void check_invariants() const;

 private:
  // What a task is doing besides its state.
  enum Flag : std::uint8_t {
    looking_up = 1,  // waits for the cache's answer
    queued = 2,      // in the ready queue
    held = 4,        // waits for a place among its node's max_parallel
    dispatched = 8,  // at the worker
    announced = 16,  // its running state was recorded
    stopping = 32,   // asked to end
    asking = 64,     // queued or dispatched to put a question to user code, not to run the body
    keeping = 128,   // waits for the cache to keep its result
  };
  static constexpr std::uint8_t active = looking_up | queued | held | dispatched | keeping;

  // Where on its way a task is that waits for an answer of user code.
  enum class Stage : std::uint8_t {
    trigger,     // its custom trigger is asked
    cache_key,   // its key function is asked
    validator,   // its validator is asked about earlier results
    entry,       // hooks: it ends, or pauses, before its body ran
    start,       // hooks: its body is about to run
    result,      // hooks: its body ended
    stored,      // hooks: its result is about to be kept
    remembered,  // its failure is in the cache, or could not be kept
    retry,       // hooks: it will run again
    expansion,   // hooks: it becomes many tasks
    overruled,   // hooks: its result is in the cache, but its trigger does not let it stand
    undone,      // hooks: the result that it was given is not valid, it is pending again
  };
  [[nodiscard]] static bool is_before_attempt(Stage stage) {
    return stage == Stage::entry || stage == Stage::start || stage == Stage::expansion ||
           stage == Stage::overruled || stage == Stage::undone;
  }
  // The state that a task is about to enter.
  struct Arrival {
    Stage stage = Stage::entry;
    journal::TaskChange change;
    Outcome outcome;  // of result, stored and retry: how the attempt ended
    std::shared_ptr<const Question> question;
    std::optional<Key> key{};  // of validator: what a new result is kept under
    std::string reason{};      // … and why it was not looked up as usual
  };

  // The elements of an expanded mapped node.
  struct Group {
    NodeId node;
    TaskId first;
    std::uint32_t width = 0;
    std::uint32_t finished = 0, successful = 0, failed = 0, skipped = 0;
    std::uint32_t in_flight = 0;  // for max_parallel
    std::deque<TaskId> held;      // waiting for in_flight to fall, first come first served
    struct Elements {             // one mapped input split into its elements
      Payload whole;
      std::vector<std::string_view> parts;  // views into whole
    };
    std::map<std::uint32_t, Elements>
        elements;          // by position of the input within the node's inputs
    ElementLabels labels;  // empty = their indices
    // A reduction level by level: elements [levels[l], levels[l + 1]) combine the results of the
    // level before, `fanin` at a time; level 0 combines the members of the input. The last
    // element's result is the node's.
    std::uint32_t fanin = 0;          // 0 = no reduction
    std::uint32_t reduced_input = 0;  // its position among the node's inputs
    std::vector<std::uint32_t> levels;
  };

  // What a person cancels: nodes with all their elements, and single elements of others.
  struct Chosen {
    std::vector<bool> nodes;
    std::unordered_set<TaskId> elements;
    [[nodiscard]] bool has(TaskId task, NodeId node) const {
      return nodes[node.value] || elements.contains(task);
    }
  };

  struct Step {
    ReadyQueue& ready;
    Wants& wants;
    Time now;
  };

  // -- structure
  [[nodiscard]] std::int32_t map_index(TaskId task) const;
  [[nodiscard]] bool is_element(TaskId task) const { return task.value >= flow_.nodes.size(); }
  [[nodiscard]] Group* group_of(NodeId node);
  [[nodiscard]] const Group* group_of(NodeId node) const;
  Group& add_group(NodeId node, std::uint32_t width);
  [[nodiscard]] bool edge_is_elementwise(NodeId from, const Input& input) const;

  /// What an output's expression comes to, when the tasks that it reads gave what it takes.
  /// @param nodes  filled once it is needed
  using NodesByName = std::unordered_map<std::string_view, NodeId>;
  [[nodiscard]] Result<std::optional<Payload>> expression_output(const Output& output,
                                                                 NodesByName& nodes);
  /// Whether all outputs can be made that have what they are made of; makes those of expressions.
  /// @error invalid_argument, exhausted: names the output
  Status check_outputs();

  // -- progress
  void restore(const std::vector<journal::Batch>& past, bool forget_cancel);
  void begin_run(Step& step);
  void begin_tasks(Step& step);
  void tick_timers(Step& step);
  void choose_start_tasks(const std::vector<std::string>& names);
  [[nodiscard]] std::optional<NodeId> find_node(std::string_view name) const;
  void add_initial(const RunShape& shape, Step& step);
  void give(TaskId task, const InitialState& given, Step& step);
  [[nodiscard]] bool count_given(Step& step);
  void note_resumed(TaskId task);
  void resume(const Submit& submit, Step& step);
  [[nodiscard]] bool is_told_to_go_on(TaskId task) const;
  void note_child(const journal::TaskChange& change);
  void ask_child(ChildRequest::What what, TaskId task, const std::string& reason, Wants& wants);
  void drop_unmade(TaskId task, const Error& why, Step& step);
  void recount();
  void settle(Step& step);                   // works off work_
  void node_ready(NodeId node, Step& step);  // all upstreams of the node are there
  // The node becomes many tasks; `is_shown`: its hooks have nothing against that.
  void expand(NodeId node, bool is_shown, Step& step);
  void reduce(NodeId node, bool is_shown, Step& step);
  void show_expansion(NodeId node, std::uint32_t width, Step& step);
  [[nodiscard]] std::optional<std::uint32_t> reduced_input(NodeId node) const;
  [[nodiscard]] static std::vector<std::uint32_t> reduction_levels(std::size_t members,
                                                                   std::uint32_t fanin);
  [[nodiscard]] std::uint32_t fanin_of(NodeId node) const;
  void restore_reductions();
  void drop_new_timers();
  void count_reduction_waits(const Group& group);
  void task_ready(TaskId task, Step& step);
  void want_slot(TaskId task, Step& step);
  void open_lanes(const Submit& submit, ReadyQueue& ready);
  [[nodiscard]] LaneId body_lane(TaskId task) const {
    return lanes_[flow_.nodes[node_of(task).value].kind];
  }
  [[nodiscard]] LaneId question_lane(TaskId task) const;
  void judged(TaskId task, Verdict verdict, Step& step);
  void admit(TaskId task, Step& step);  // nothing upstream objects: cache, then body
  void look_up(TaskId task);
  void send_look_ups(Step& step);
  void missed(TaskId task, const std::optional<Key>& key, std::string reason, Step& step);
  void begin(TaskId task, Step& step);      // towards the body, past the hooks
  void propagate(TaskId task, Step& step);  // tells downstreams that `task` is finished
  void node_done(NodeId node, Step& step);
  void finish(TaskId task, journal::TaskChange change, Step& step);
  void set_result(TaskId task, const Payload& result);
  void fail_task(TaskId task, TaskState state, FailureClass failure, std::string message,
                 Step& step);
  void release_held(Group& group, Step& step);
  void admit_held(Group& group, Step& step);  // as far as max_parallel allows
  void leave_active(TaskId task, std::uint8_t flag);
  void enter_active(TaskId task, std::uint8_t flag);
  void attempt_ended(TaskId task, Outcome outcome, bool asked_to_stop, Step& step);
  void succeed_or_fail(TaskId task, Outcome outcome, bool cancelled, Step& step);
  void end_task(TaskId task, Outcome outcome, bool cancelled, Step& step);
  [[nodiscard]] std::optional<Time> retry_at(TaskId task, const Outcome& outcome, Time now) const;
  void retry(TaskId task, const Outcome& outcome, Time at, Step& step);
  [[nodiscard]] bool repeat(TaskId task, Outcome& outcome, Step& step);
  [[nodiscard]] bool repeat_lost(TaskId task, Outcome& outcome, Step& step);
  [[nodiscard]] bool is_held_back(TaskId task) const;
  [[nodiscard]] journal::TaskChange paused_by_person(TaskId task, Time now) const;
  void leave_queues(TaskId task);
  [[nodiscard]] Chosen with_dependents(const std::vector<TaskId>& tasks);
  void cancel_elements_of(const Group& group, Step& step);
  [[nodiscard]] bool has_live_timer();
  void wait_in(TaskId task, journal::TaskChange change, Step& step);
  void wait_until(TaskId task, Time at) {
    timers_.push({at, task});
    due_.insert_or_assign(task, at);
  }
  void go_on(TaskId task, Step& step);
  [[nodiscard]] bool is_waiting(TaskId task) const;
  [[nodiscard]] bool is_resumed(TaskId task) const;
  [[nodiscard]] bool must_be_asked_for(TaskId task) const;
  // An attempt ended with the change that is to be made again as if it had not been.
  [[nodiscard]] static bool puts_off(const journal::TaskChange& change) {
    return change.executed &&
           (change.state == TaskState::paused || change.state == TaskState::scheduled);
  }
  [[nodiscard]] std::uint32_t first_loop_count() const;
  [[nodiscard]] std::uint32_t tries(TaskId task) const;
  journal::TaskChange ending(TaskId task, TaskState state, const Outcome& outcome, Time at) const;
  void conclude(Step& step);
  [[nodiscard]] RunState final_state(std::string& message) const;
  [[nodiscard]] bool decides(NodeId node) const;
  [[nodiscard]] bool is_cleanup(NodeId node) const;

  // -- what is past its time, remembered, or computed by others (run_life.cpp)
  void fail_as_before(TaskId task, Answer& answer, Step& step);
  [[nodiscard]] bool remember(TaskId task, Outcome& outcome, Step& step);
  [[nodiscard]] bool fall_back(TaskId task, const Outcome& outcome, Step& step);
  void keep_nothing(TaskId task, const Key& key, const Outcome& outcome, Step& step);
  void keep_nothing(TaskId task, const Key& key, Step& step);
  void refresh(TaskId task, const Key& key, Step& step);
  void queue_refresh(TaskId task, Step& step);
  [[nodiscard]] std::optional<Attempt> dispatch_refresh(TaskId task);
  [[nodiscard]] bool is_refresh(const AttemptRef& attempt) const;
  void refreshed(TaskId task, const Outcome& outcome, Step& step);
  void stop_refreshes(const std::function<bool(TaskId)>& is_chosen, Wants& wants);

  // -- user code (run_hooks.cpp)
  [[nodiscard]] bool has_hooks(TaskId task) const;
  void enter(TaskId task, journal::TaskChange change, Step& step);  // past the hooks, if any
  void settle_in(TaskId task, journal::TaskChange change, Step& step);
  void arrive(TaskId task, Arrival arrival, Step& step);
  void arrive(TaskId task, Stage stage, journal::TaskChange change, Step& step);
  [[nodiscard]] bool show_overruled(TaskId task, Verdict verdict, Step& step);
  void looked_up_overruled(TaskId task, Answer answer, Step& step);
  void judged_again(TaskId task, Step& step);
  void ask(TaskId task, Arrival arrival, Step& step);
  void ask_validator(TaskId task, Answer answer, Step& step);
  void validated(TaskId task, const Arrival& arrival, Outcome outcome, Step& step);
  void answered(TaskId task, Outcome outcome, Step& step);
  void land(TaskId task, Arrival arrival, bool is_final, Step& step);
  void ask_run_hooks(RunState after, std::string message, Step& step);
  void ask_run_again(Step& step);
  void run_answered(Outcome outcome, Step& step);
  [[nodiscard]] std::optional<Attempt> dispatch_question(TaskId task);
  [[nodiscard]] StateRecord record_of(TaskId task) const;
  [[nodiscard]] std::string name_of(TaskId task) const;
  [[nodiscard]] std::string label_of(TaskId task) const;  // of an element; empty: its index
  [[nodiscard]] std::vector<Question::Upstream> upstreams_of(TaskId task) const;

  // -- questions about upstreams
  [[nodiscard]] UpstreamCounts upstream_counts(TaskId task) const;
  [[nodiscard]] bool has_skipped_upstream(NodeId node, std::int32_t index) const;

  // -- values (run_values.cpp)
  [[nodiscard]] Result<std::vector<Argument>> arguments(TaskId task);
  [[nodiscard]] Result<Payload> input_value(NodeId node, std::uint32_t position,
                                            std::int32_t index);
  [[nodiscard]] Result<Payload> source_value(NodeId node, const Input& input, std::int32_t index);
  [[nodiscard]] Result<Payload> reduction_members(const Group& group, std::uint32_t element);
  [[nodiscard]] Status split_elements(NodeId node, std::uint32_t position, Group::Elements& out);
  [[nodiscard]] Result<bool> when_holds(TaskId task);
  [[nodiscard]] const Payload* given_input(TaskId task, const Input& input) const;
  [[nodiscard]] Result<bool> is_valid(TaskId task, const InitialState& cached, Time now);
  [[nodiscard]] Result<std::vector<Argument>> scope_values(NodeId node, std::int32_t index);
  [[nodiscard]] Result<Value> evaluate(std::string_view text, NodeId node, std::int32_t index);
  [[nodiscard]] ElementLabels labels(NodeId node, const Group& group);
  [[nodiscard]] Result<Attempt> make_attempt(TaskId task);

  RunIndex index_;
  std::uint32_t lost_limit_;
  std::shared_ptr<const RunContext> context_;
  const FlowSpec& flow_;
  FlowGraph graph_;

  // per node
  std::vector<std::uint32_t> waiting_;      // edges not yet satisfied
  std::vector<bool> node_done_;             // finished, with all its elements
  std::vector<std::uint32_t> group_index_;  // of mapped nodes once expanded; none otherwise
  std::vector<Group> groups_;               // in order of expansion

  std::vector<LaneId> lanes_;                  // per kind: of its tasks' bodies
  std::map<std::uint32_t, LaneId> ask_lanes_;  // per kind: of questions about its tasks, if any
  LaneId run_lane_ = 0;                        // of questions about the run

  // per task
  std::vector<TaskState> state_;
  std::vector<std::uint8_t> flags_;
  std::vector<std::uint16_t> run_count_;  // attempts so far
  PagedArray<Payload> result_;
  std::vector<NodeId> element_node_;            // per element task
  std::vector<std::uint32_t> element_waiting_;  // per element task: upstream elements not finished

  // However many tasks are ready at once, few of them lie before the cache as attempts with all
  // their arguments; the others wait here as numbers.
  static constexpr std::size_t look_ups_max = 8192;
  std::unordered_set<TaskId> looked_up_;  // by the cache, which has not answered yet
  std::deque<TaskId> look_up_later_;      // first come, first served; some may have been cancelled

  std::unordered_map<TaskId, Key> keys_;            // of tasks that missed and will be stored
  std::unordered_map<TaskId, std::string> bypass_;  // why a task went past the cache
  std::unordered_map<TaskId, std::string> losses_;  // what became of a result that was there
  std::uint64_t past_cache_ = 0;  // tasks with a policy that were not looked up: the run says off
  std::unordered_map<TaskId, std::string> failures_;  // messages of failed tasks
  std::optional<TaskId> first_failed_;

  // Nested runs that are not over, by the task whose latest attempt each was begun for.
  std::unordered_map<TaskId, RunId> children_;
  bool all_go_on_ = false;                    // a person said so, also to those
  std::unordered_set<TaskId> told_to_go_on_;  // … or to these: tasks, or nodes with all elements

  std::unordered_map<TaskId, Fallback> fallbacks_;  // of tasks that missed: may stand in
  // A finished task's stale result that is computed anew.
  struct Refresh {
    Attempt attempt;
    bool is_queued = false;  // not held back by the node's max_parallel
    bool is_sent = false;    // to the worker
  };
  static constexpr float refresh_rank = -1;  // below that of every task
  std::unordered_map<TaskId, Refresh> refreshes_;
  std::unordered_map<TaskId, journal::ChangeDetail> stale_;  // what was told of their hits
  std::uint32_t last_refresh_ = 0;

  // A task that runs its body over and over (docs/semantics.md, "Looping").
  struct Loop {
    std::uint32_t count = 1;     // of the iteration that runs or is next
    Payload result;              // of the one before
    std::uint32_t attempts = 0;  // made before this iteration: retries are counted anew in each
  };
  std::unordered_map<TaskId, Loop> loops_;
  // Attempts of this round that ended with their process or worker: they are no tries of the task.
  std::unordered_map<TaskId, std::uint32_t> lost_;
  // … that ended by asking to be run later: neither are they, the next one is the same try.
  std::unordered_map<TaskId, std::uint32_t> put_off_;
  std::unordered_map<TaskId, std::uint32_t> begun_before_;  // number of what may still run
  std::unordered_map<TaskId, bool> resumed_;  // tasks that a person, or their start time, let go on

  std::unordered_map<TaskId, Arrival> arrivals_;       // that user code is asked about
  std::unordered_map<TaskId, Verdict> overruled_;      // … or the cache, for the hooks alone
  std::unordered_map<TaskId, std::uint32_t> asked_;    // number of the question that is under way
  std::unordered_map<TaskId, std::string> user_keys_;  // what key functions gave
  std::uint32_t last_question_ = 0;
  // A question about the run itself: whether it may begin, or end as it wants to.
  std::shared_ptr<const Question> run_question_;
  bool run_question_sent_ = false;
  std::optional<Ended> end_approved_;  // hooks have seen this end

  std::unordered_map<TaskId, InitialState> initial_;  // what a task was given before it began
  std::vector<bool> evaluated_;                       // by node; empty = all
  std::vector<bool> is_start_;                        // by node: upstreams are not asked
  // Elements that a person cancelled of nodes that are not expanded yet.
  std::unordered_map<NodeId, std::set<std::uint32_t>> cancelled_elements_;
  bool pauses_all_ = false;     // a person asked for it, in this process
  std::vector<TaskId> pauses_;  // or for these: tasks, or nodes with all their elements
  std::string pause_reason_;
  std::string refusal_;  // why no task is run at all
  bool resumes_all_ = false;
  bool single_pass_ = false;
  std::optional<RunState> finished_as_;
  bool is_new_ = true;      // continues nothing
  bool has_begun_ = false;  // tasks have been started, in this process

  struct Timer {
    Time at;
    TaskId task;
    bool operator>(const Timer& other) const {
      return std::pair(at, task) > std::pair(other.at, other.task);
    }
  };
  std::priority_queue<Timer, std::vector<Timer>, std::greater<>> timers_;
  std::unordered_map<TaskId, Time> due_;  // what was put off last until when, waited for or not

  std::uint64_t executed_ = 0, hits_ = 0, executed_before_ = 0, hits_before_ = 0, carried_ = 0;

  std::vector<TaskId> work_;    // finished tasks whose downstreams do not know yet
  std::size_t open_nodes_ = 0;  // not done
  std::size_t active_ = 0;      // tasks with an active flag
  bool cancelled_ = false;
  bool forgets_cancel_ = false;  // as Submit says
  std::string cancel_reason_;
  std::optional<Ended> ended_;
  std::optional<std::map<std::string, Payload>> expression_outputs_;  // of a success
};

}  // namespace reprise::scheduler
