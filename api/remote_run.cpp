#include "api/remote_run.hpp"

#include <algorithm>
#include <deque>
#include <set>
#include <thread>
#include <utility>

#include <fmt/format.h>

#include "actors/run_options.hpp"
#include "api/convert.hpp"
#include "api/states.hpp"
#include "cluster/host_port.hpp"
#include "cluster/remote_journal.hpp"
#include "cluster/run_queries.hpp"
#include "core/configuration.hpp"
#include "core/text.hpp"
#include "journal/data_folder.hpp"
#include "journal/run_view.hpp"

namespace reprise::detail {
namespace {

using steady = std::chrono::steady_clock;

// Changes that a reader of events takes at once.
constexpr std::size_t changes_at_once = 1024;
constexpr std::uint64_t log_tail_bytes = 8192;
constexpr std::size_t log_tail_lines = 20;
constexpr auto pause_between_questions = std::chrono::milliseconds(100);

std::string last_lines(std::string text, std::size_t lines) {
  std::size_t begin = text.size();
  if (begin > 0 && text.back() == '\n') --begin;
  for (; lines > 0 && begin > 0; --lines) {
    const std::size_t end = text.rfind('\n', begin - 1);
    if (end == std::string::npos) return text;
    begin = end;
  }
  return begin == 0 ? text : text.substr(begin + 1);
}

}  // namespace

// --- client_state
// -------------------------------------------------------------------------------------------------

Result<client_options> load_client_options(client_options given) {
  const auto settings = Configuration::load({.project_from = "."});
  if (!settings) {
    return tl::unexpected(settings.error().front().error());
  }
  const auto text = [&](std::string_view key) {
    const SettingValue* value = settings->find(key);
    return value == nullptr ? std::string() : value->text;
  };
  if (given.server.empty()) given.server = text("server");
  if (given.server.empty()) given.server = "127.0.0.1";
  if (!given.certificates.empty() || !given.secret_file.empty()) return given;
  given.certificates = text("link.certs");
  given.secret_file = text("link.secret_file");
  if (!given.certificates.empty() || !given.secret_file.empty()) return given;
  std::filesystem::path data = text("data");
  if (data.empty()) {
    auto standard = journal::DataFolder::default_path();
    if (!standard) return tl::unexpected(standard.error());
    data = *std::move(standard);
  }
  given.secret_file = cluster::secret_in(data);
  return given;
}

Result<std::shared_ptr<client_state>> client_state::open(const client_options& given) {
  const auto options = load_client_options(given);
  if (!options) return tl::unexpected(options.error());
  auto servers = cluster::parse_servers(options->server, "server");
  if (!servers) return tl::unexpected(servers.error());
  auto credentials = cluster::load_credentials({options->certificates, options->secret_file});
  if (!credentials) return tl::unexpected(credentials.error());
  cluster::ClientOptions link;
  link.server = *std::move(servers);
  link.credentials = *std::move(credentials);
  link.patience = options->patience;
  auto client = cluster::Client::connect(std::move(link));
  if (!client)
    return fail(
        client.error().code,
        fmt::format("server {}: {}", escape_for_terminal(options->server), client.error().message));
  return std::make_shared<client_state>(*std::move(client));
}

Result<FlowSpec> spec_for_workers(const flow_state& flow) {
  Result<FlowSpec> built = flow.build();
  if (!built) return built;
  std::set<std::string> names;
  for (const flow_state::function& function : flow.functions()) {
    const task_record& record = function.record;
    const std::string id = fmt::format("{}@{}", record.name, record.version);
    for (const auto& place : function.places)
      if (place.what != flow_state::function::use::body)
        return fail(
            ErrorCode::invalid_argument,
            fmt::format("\"{}\" is a hook, a trigger, a validator or a key function; these run in "
                        "the process of an engine only",
                        escape_for_terminal(id)));
    if (!names.insert(id).second)
      return fail(ErrorCode::conflict,
                  fmt::format("two tasks are named \"{}\", and workers could not tell them apart; "
                              "give one another name or version",
                              escape_for_terminal(id)));
    function.refer_as(id, *built);
  }
  return built;
}

Result<std::shared_ptr<live_run>> client_state::submit(const std::shared_ptr<client_state>& self,
                                                       std::shared_ptr<flow_state> flow,
                                                       const submit_options& options) {
  if (!options.resume.empty() || options.always_new)
    return fail(ErrorCode::invalid_argument,
                "a server goes on with its runs by itself: `resume` and `always_new` are for "
                "engines");
  if (options.idempotency_key.size() > 64)
    return fail(ErrorCode::invalid_argument, "the idempotency key has more than 64 bytes");
  auto built = spec_for_workers(*flow);
  if (!built) return tl::unexpected(built.error());
  auto bound = flow->bind(options.parameters);
  if (!bound) return tl::unexpected(bound.error());
  RunOptions internal;
  internal.cache = to_internal(options.cache);
  for (const auto& [name, any] : options.context)
    internal.context.emplace(name, Payload::of(any.to_bytes()));
  internal.shape = to_internal_shape(options);
  auto spec = std::make_shared<const FlowSpec>(*std::move(built));
  cluster::wire::Submit request;
  request.idempotency = options.idempotency_key;
  request.flow = spec;
  request.options = actors::encode_options(internal);
  request.parameters = *std::move(bound);
  const auto submitted = self->client().submit(std::move(request));
  if (!submitted) return tl::unexpected(submitted.error());
  return std::make_shared<remote_run>(self, std::move(flow), std::move(spec), submitted->run,
                                      submitted->continued);
}

Result<std::shared_ptr<live_run>> client_state::attach(const std::shared_ptr<client_state>& self,
                                                       std::shared_ptr<flow_state> flow,
                                                       const std::string& id) {
  const auto run = RunId::parse(id);
  if (!run) return tl::unexpected(run.error());
  auto spec = spec_for_workers(*flow);
  if (!spec) return tl::unexpected(spec.error());
  cluster::RemoteJournal journal(self->client());
  journal::RunQuery query;
  query.id_prefix = run->text();
  const auto rows = journal.runs(query);
  if (!rows) return tl::unexpected(rows.error());
  if (rows->empty()) return fail(ErrorCode::not_found, fmt::format("no run \"{}\"", run->text()));
  if (rows->front().flow != sha256(spec->encode()))
    return fail(ErrorCode::conflict,
                fmt::format("run {} is of another flow, \"{}\"", run->short_text(),
                            escape_for_terminal(rows->front().flow_name)));
  return std::make_shared<remote_run>(
      self, std::move(flow), std::make_shared<const FlowSpec>(*std::move(spec)), *run, true);
}

// --- remote_run
// ---------------------------------------------------------------------------------------------------

remote_run::remote_run(std::shared_ptr<client_state> client, std::shared_ptr<flow_state> flow,
                       std::shared_ptr<const FlowSpec> spec, const RunId& run, bool continued)
    : live_run(std::move(flow), std::move(spec), std::make_shared<run_watch>()),
      client_(std::move(client)),
      run_(run),
      continued_(continued) {
  watch().keep_no_changes();
  watch().set_nodes(this->spec().nodes.size(), {});
}

void remote_run::begin_watching() {
  const std::lock_guard guard(mutex_);
  if (following_) return;
  cluster::RunNews news;
  news.changes = [this](const cluster::wire::Changes& changes) {
    journal::Offset last = changes.first - 1;
    for (const journal::Batch& batch : changes.batches) last += batch.count();
    {
      const std::lock_guard lock(mutex_);
      told_ = last;
    }
    for (const journal::Batch& batch : changes.batches) watch().observe(batch);
  };
  news.end = [this](const Result<cluster::wire::RunEnded>& end) {
    {
      const std::lock_guard lock(mutex_);
      at_rest_ = end.has_value();
      if (!end) trouble_ = end.error();
    }
    watch().end();
  };
  following_ = client_->client().follow(run_, 1, std::move(news));
}

std::optional<error> remote_run::trouble() const {
  const std::lock_guard guard(mutex_);
  if (!trouble_) return std::nullopt;
  return to_public(*trouble_);
}

Result<Payload> remote_run::result_of(NodeId node) {
  const auto bytes =
      client_->client().query("result", encode(cluster::wire::AskResult{run_, node}));
  if (!bytes) return tl::unexpected(bytes.error());
  cluster::wire::NodeResult answer;
  if (Status read = decode(*bytes, answer); !read) return tl::unexpected(read.error());
  return cluster::fetch_value(client_->client(), answer.value);
}

std::string remote_run::log_tail(TaskId task, std::uint32_t attempt) {
  cluster::wire::AskLog what;
  what.run = run_;
  what.task = task;
  what.attempt = attempt;
  what.is_err = true;
  what.offset = what.limit = log_tail_bytes;
  what.from_end = true;
  const auto bytes = client_->client().query("log", encode(what));
  cluster::wire::LogPart part;
  if (!bytes || !decode(*bytes, part)) return {};
  return last_lines(std::move(part.bytes), log_tail_lines);
}

std::optional<run_result> remote_run::wait(std::optional<std::chrono::nanoseconds> timeout) {
  const auto limit = limit_of(timeout);
  std::unique_lock lock(mutex_);
  // A run that was paused may have gone on since.
  if (end_ && (!*end_ || (*end_)->state == RunState::paused)) {
    waiting_.reset();
    end_.reset();
  }
  if (!waiting_) {
    cluster::RunNews news;
    news.end = [this](const Result<cluster::wire::RunEnded>& end) {
      const std::lock_guard guard(mutex_);
      end_ = end;
      ended_.notify_all();
    };
    waiting_ = client_->client().follow(run_, 0, std::move(news));
  }
  const auto has_ended = [&] { return end_.has_value(); };
  if (limit == steady::time_point::max())
    ended_.wait(lock, has_ended);
  else if (!ended_.wait_until(lock, limit, has_ended))
    return std::nullopt;
  if (!*end_) throw usage_error(to_public(end_->error()));
  cluster::wire::RunEnded end = **end_;
  lock.unlock();
  for (auto& [name, value] : end.outputs)
    if (auto whole = cluster::fetch_value(client_->client(), value)) value = *std::move(whole);
  return result_from(end.run, end.state, end.message, end.summary, end.outputs);
}

expected<void> remote_run::pause(std::vector<std::string> tasks, std::string reason) {
  const Status done = client_->client().pause(run_, std::move(tasks), std::move(reason));
  if (!done) return tl::unexpected(to_public(done.error()));
  return {};
}

expected<void> remote_run::cancel(std::vector<std::string> tasks, std::string reason) {
  const Status done = client_->client().cancel(run_, std::move(tasks), std::move(reason));
  if (!done) return tl::unexpected(to_public(done.error()));
  return {};
}

std::map<std::string, given_state> remote_run::states() {
  cluster::RemoteJournal journal(client_->client());
  const auto refuse = [](const Error& why) { throw usage_error(to_public(why)); };
  auto entries = journal.read(run_, 0, SIZE_MAX);
  if (!entries) refuse(entries.error());
  journal::RunView view(std::make_shared<const FlowSpec>(spec()));
  for (const auto& entry : *entries)
    if (const Status taken = view.apply(entry.batch); !taken) refuse(taken.error());
  const auto state_of = [&](TaskId task) {
    scheduler::InitialState made;
    made.state.state = view.state(task);
    made.state.message = view.message(task);
    made.state.result = view.result(task);
    if (auto value = cluster::fetch_value(client_->client(), made.state.result))
      made.state.result = *value;
    made.run_count = view.run_count(task);
    made.loop_count = view.loop_count(task);
    return made;
  };
  std::map<std::string, given_state> all;
  for (std::uint32_t n = 0; n < spec().nodes.size(); ++n) {
    scheduler::InitialState whole = state_of(TaskId{n});
    if (const auto* elements = view.elements_of(NodeId{n})) {
      whole.labels = elements->labels;
      for (std::uint32_t i = 0; i < elements->width; ++i)
        whole.elements.emplace_back(state_of(TaskId{elements->first.value + i}));
    }
    all.emplace(spec().nodes[n].name, to_public(whole));
  }
  return all;
}

/// Reads the server's journal as far as the watch was told, which knows the elements of mapped
/// tasks.
class remote_run::read_events final : public event_source {
 public:
  read_events(std::shared_ptr<remote_run> run, std::uint64_t after)
      : run_(std::move(run)), after_(after) {}

  expected<std::optional<event>> next(std::optional<std::chrono::nanoseconds> timeout) override {
    const auto limit = limit_of(timeout);
    while (ready_.empty()) {
      const std::uint64_t heard = run_->watch().heard();
      const bool has_ended = run_->watch().run_ended();
      const std::uint64_t told = run_->told();
      if (told > after_) {
        const Status read = read_until(told);
        if (!read && read.error().code != ErrorCode::unavailable)
          return tl::unexpected(to_public(read.error()));
        if (read) continue;
      } else if (auto why = run_->trouble()) {
        return tl::unexpected(std::move(*why));
      } else if (run_->is_at_rest() && run_->told() <= after_) {
        return std::nullopt;
      }
      const auto now = steady::now();
      if (now >= limit)
        return tl::unexpected(error{error_code::unavailable, "nothing happened in that time"});
      if (told > after_ || has_ended)
        std::this_thread::sleep_until(std::min(limit, now + pause_between_questions));
      else
        (void)run_->watch().wait_for_changes(heard, limit);
    }
    event first = std::move(ready_.front());
    ready_.pop_front();
    return first;
  }

 private:
  Status read_until(std::uint64_t told) {
    cluster::RemoteJournal journal(run_->client_->client());
    const auto entries = journal.read(run_->run_, after_, changes_at_once);
    if (!entries) return tl::unexpected(entries.error());
    if (entries->empty()) after_ = told;
    for (const auto& [first, batch] : *entries) {
      std::uint64_t offset = first;
      if (offset + batch.count() - 1 > told) break;
      for (const journal::TaskChange& change : batch.tasks) {
        if (offset > after_)
          for (event& each : run_->events_of(change, offset)) ready_.push_back(std::move(each));
        ++offset;
      }
      after_ = std::max(after_, first + batch.count() - 1);
    }
    return {};
  }

  std::shared_ptr<remote_run> run_;
  std::uint64_t after_;
  std::deque<event> ready_;
};

std::shared_ptr<event_source> remote_run::events(std::uint64_t after) {
  begin_watching();
  return std::make_shared<read_events>(std::static_pointer_cast<remote_run>(shared_from_this()),
                                       after);
}

std::uint64_t remote_run::told() const {
  const std::lock_guard guard(mutex_);
  return told_;
}

bool remote_run::is_at_rest() const {
  const std::lock_guard guard(mutex_);
  return at_rest_;
}

}  // namespace reprise::detail
