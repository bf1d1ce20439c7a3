#include "cluster/client.hpp"

#include <algorithm>
#include <fstream>
#include <thread>
#include <utility>

#include <fmt/format.h>

namespace reprise::cluster {

namespace {

using wire::Kind;
using steady = std::chrono::steady_clock;

// Between two attempts to give a busy server a flow.
constexpr Duration busy_least = std::chrono::milliseconds{50};
constexpr Duration busy_most = std::chrono::seconds{1};

// Every answer begins with the number of its request.
template <class Answer>
std::optional<std::uint64_t> request_of(const std::string& bytes) {
  Answer answer;
  if (!decode(bytes, answer)) return std::nullopt;
  return answer.request;
}

std::optional<std::uint64_t> request_of(const Message& message) {
  switch (static_cast<Kind>(message.kind)) {
    case Kind::submitted:
      return request_of<wire::Submitted>(message.bytes);
    case Kind::answer:
      return request_of<wire::Answer>(message.bytes);
    case Kind::run_ended:
      return request_of<wire::RunEnded>(message.bytes);
    default:
      return std::nullopt;
  }
}

Error odd() {
  return {ErrorCode::corrupt, "the server's answer does not decode"};
}

// A part of a file; one of size 0 says that it is not there.
wire::BlobChunk part_of(const std::filesystem::path& path, const wire::BlobRequest& wanted) {
  wire::BlobChunk chunk{wanted.digest, wanted.offset, 0, {}};
  std::ifstream file(path, std::ios::binary | std::ios::ate);
  if (path.empty() || !file) return chunk;
  const auto size = static_cast<std::uint64_t>(file.tellg());
  if (wanted.offset > size) return chunk;
  chunk.bytes.resize(std::min<std::uint64_t>(wire::blob_chunk_bytes, size - wanted.offset));
  file.seekg(static_cast<std::streamoff>(wanted.offset));
  file.read(chunk.bytes.data(), static_cast<std::streamsize>(chunk.bytes.size()));
  if (!file)
    chunk.bytes.clear();
  else
    chunk.size = size;
  return chunk;
}

Result<wire::RunEnded> end_in(Kind kind, const std::string& bytes) {
  wire::RunEnded ended;
  if (kind == Kind::run_ended && decode(bytes, ended)) return ended;
  wire::Answer answer;
  if (!decode(bytes, answer) || answer.status) return tl::unexpected(odd());
  return tl::unexpected(answer.status.error());
}

// Credentials do not get better by waiting; that nobody listens may.
bool may_pass(const Error& error) {
  return error.code == ErrorCode::unavailable || error.code == ErrorCode::io;
}

}  // namespace

// ---- following ----

class Following::Listener {
 public:
  explicit Listener(RunNews news) : news_(std::move(news)) {}

  /// Once it has returned nothing is told any more.
  void stop() {
    const std::lock_guard guard(mutex_);
    is_over_ = true;
  }
  void tell(const wire::Changes& changes) {
    const std::lock_guard guard(mutex_);
    if (!is_over_ && news_.changes) news_.changes(changes);
  }
  void tell_end(const Result<wire::RunEnded>& end) {
    const std::lock_guard guard(mutex_);
    if (!std::exchange(is_over_, true) && news_.end) news_.end(end);
  }

 private:
  std::mutex mutex_;  // held while telling
  RunNews news_;
  bool is_over_ = false;
};

Following::~Following() {
  listener_->stop();
}

// ---- links ----

Result<std::unique_ptr<Client>> Client::connect(ClientOptions options) {
  std::unique_ptr<Client> client(new Client(options.patience));
  HubOptions hub = hub_options(Role::client, {}, options.credentials);
  hub.exchange.resume_window = options.resume_window;
  hub.on_event = [client = client.get()](LinkEvent event) { client->take(std::move(event)); };
  auto opened = Hub::open(std::move(hub));
  if (!opened) return tl::unexpected(opened.error());
  client->hub_ = *std::move(opened);
  if (const auto dial = client->hub_->connect(options.server); !dial)
    return tl::unexpected(dial.error());
  if (const Status reached = client->reach(); !reached) return tl::unexpected(reached.error());
  return client;
}

Client::~Client() {
  hub_.reset();
}

void Client::take(LinkEvent event) {
  std::unique_lock lock(mutex_);
  if (auto* up = std::get_if<LinkUp>(&event)) {
    sender_ = std::move(up->sender);
    ++links_;
    trouble_.reset();
    send_all();
  } else if (auto* got = std::get_if<LinkMessages>(&event)) {
    for (Message& message : got->messages) take(std::move(message), lock);
  } else if (const auto* down = std::get_if<LinkDown>(&event)) {
    if (sender_ && sender_->link() == down->link) {
      sender_.reset();
      down_since_ = steady::now();
    }
    trouble_ = down->why;
  } else if (const auto* trouble = std::get_if<LinkTrouble>(&event)) {
    trouble_ = trouble->why;
  } else if (std::holds_alternative<LinkRoom>(event)) {
    send_all();
  }
  changed_.notify_all();
}

void Client::take(Message message, std::unique_lock<std::mutex>& lock) {
  if (static_cast<Kind>(message.kind) == Kind::changes) {
    wire::Changes changes;
    if (decode(message.bytes, changes)) take_changes(changes, lock);
    return;
  }
  if (static_cast<Kind>(message.kind) == Kind::blob_request) {
    wire::BlobRequest wanted;
    if (decode(message.bytes, wanted)) give_part(wanted, lock);
    return;
  }
  const auto number = request_of(message);
  if (!number) return;
  const auto found = requests_.find(*number);
  if (found == requests_.end()) return;
  const auto kind = static_cast<Kind>(message.kind);
  if (!found->second.follows) {
    found->second.reply = Reply{kind, std::move(message.bytes)};
    return;
  }
  const auto listener = found->second.listener.lock();
  requests_.erase(found);
  if (!listener) return;
  lock.unlock();
  listener->tell_end(end_in(kind, message.bytes));
  lock.lock();
}

void Client::give_part(const wire::BlobRequest& wanted, std::unique_lock<std::mutex>& lock) {
  const auto sender = sender_;
  const auto found = offered_.find(wanted.digest);
  const auto place = found == offered_.end() ? std::filesystem::path() : found->second;
  lock.unlock();
  const Status sent = sender ? sender->send(static_cast<std::uint16_t>(Kind::blob_chunk),
                                            encode(part_of(place, wanted)))
                             : Status{};
  // The server waits for the part, in vain: it is asked anew on a new link.
  if (!sent) sender->close(sent.error());
  lock.lock();
}

void Client::take_changes(const wire::Changes& changes, std::unique_lock<std::mutex>& lock) {
  const auto found = requests_.find(changes.request);
  if (found == requests_.end()) return;
  Request& request = found->second;
  const auto listener = request.listener.lock();
  if (!listener) {
    requests_.erase(found);
    return;
  }
  // Of a link before: already told.
  if (changes.first < request.watch.from) return;
  std::uint64_t count = 0;
  for (const journal::Batch& batch : changes.batches) count += batch.count();
  request.watch.from = changes.first + count;
  lock.unlock();
  listener->tell(changes);
  lock.lock();
}

void Client::send(Request& request) {
  if (!sender_ || request.sent_on == links_ || request.reply || request.refusal) return;
  if (request.follows) {
    if (request.listener.expired()) return;
    request.bytes = encode(request.watch);
  }
  const Status sent = sender_->send(static_cast<std::uint16_t>(request.kind), request.bytes);
  if (sent)
    request.sent_on = links_;
  else if (sent.error().code == ErrorCode::invalid_argument)
    request.refusal = sent.error();
}

void Client::send_all() {
  for (auto it = requests_.begin(); it != requests_.end();) {
    if (it->second.follows && it->second.listener.expired()) {
      it = requests_.erase(it);
      continue;
    }
    send(it->second);
    ++it;
  }
}

/// Why waiting for the server makes no sense any more, for somebody who began to wait at `begin`.
std::optional<Error> Client::trouble_since(steady::time_point begin) {
  if (sender_) return std::nullopt;
  if (trouble_ && !may_pass(*trouble_)) return trouble_;
  if (steady::now() < std::max(begin, down_since_) + patience_) return std::nullopt;
  return Error{ErrorCode::unavailable, trouble_ ? trouble_->message : "the server does not answer"};
}

Status Client::reach() {
  std::unique_lock lock(mutex_);
  const auto begin = steady::now();
  while (!sender_) {
    if (const auto trouble = trouble_since(begin)) return tl::unexpected(*trouble);
    changed_.wait_until(lock, std::max(begin, down_since_) + patience_);
  }
  return {};
}

// ---- requests ----

std::uint64_t Client::next_request() {
  const std::lock_guard guard(mutex_);
  return ++last_request_;
}

Result<std::optional<Client::Reply>> Client::ask(Kind kind, std::string bytes, std::uint64_t number,
                                                 std::optional<Duration> timeout) {
  const auto begin = steady::now();
  const auto limit = timeout && *timeout < std::chrono::hours{24 * 365} ? begin + *timeout
                                                                        : steady::time_point::max();
  std::unique_lock lock(mutex_);
  Request& request = requests_[number];
  request.kind = kind;
  request.bytes = std::move(bytes);
  send(request);
  std::optional<Error> trouble;
  while (!request.reply) {
    if ((trouble = request.refusal) || (trouble = trouble_since(begin))) break;
    if (steady::now() >= limit) break;
    const auto until = sender_ ? limit : std::min(limit, std::max(begin, down_since_) + patience_);
    // A wait until the end of time overflows in the library.
    if (until == steady::time_point::max())
      changed_.wait(lock);
    else
      changed_.wait_until(lock, until);
  }
  std::optional<Reply> reply = std::move(request.reply);
  requests_.erase(number);
  if (trouble) return tl::unexpected(*std::move(trouble));
  return reply;
}

Result<wire::Submitted> Client::submit_once(const wire::Submit& submit,
                                            std::optional<Duration> timeout) {
  const auto reply = ask(Kind::submit, encode(submit), submit.request, timeout);
  if (!reply) return tl::unexpected(reply.error());
  if (!*reply) return fail(ErrorCode::unavailable, "the server has not accepted the run in time");
  wire::Submitted submitted;
  if ((*reply)->kind == Kind::submitted && decode((*reply)->bytes, submitted)) return submitted;
  wire::Answer answer;
  if (!decode((*reply)->bytes, answer) || answer.status) return tl::unexpected(odd());
  return tl::unexpected(answer.status.error());
}

Result<wire::Submitted> Client::submit(wire::Submit submit, std::optional<Duration> timeout) {
  if (submit.idempotency.empty()) submit.idempotency = RunId::generate(now()).text();
  const auto begin = steady::now();
  const Duration patience = std::min(patience_, timeout.value_or(patience_));
  const auto left = [&](Duration whole) {
    return std::max(begin + whole - steady::now(), Duration{0});
  };
  Duration pause = busy_least;
  for (;;) {
    submit.request = next_request();
    // Its input files may take long, so only who asked for it is not patient.
    auto submitted = submit_once(submit, timeout ? std::optional(left(*timeout)) : std::nullopt);
    const bool is_busy = !submitted && (submitted.error().code == ErrorCode::exhausted ||
                                        submitted.error().code == ErrorCode::unavailable);
    if (!is_busy || left(patience) == Duration{0}) return submitted;
    std::this_thread::sleep_for(std::min(pause, left(patience)));
    pause = std::min(pause * 2, busy_most);
  }
}

void Client::offer(const std::map<Digest, std::filesystem::path>& files) {
  const std::lock_guard guard(mutex_);
  for (const auto& [digest, path] : files) offered_.insert_or_assign(digest, path);
}

Result<std::string> Client::query(std::string op, std::string body) {
  const wire::Query question{next_request(), std::move(op), std::move(body)};
  const auto reply = ask(Kind::query, encode(question), question.request);
  if (!reply) return tl::unexpected(reply.error());
  wire::Answer answer;
  if (!decode((*reply)->bytes, answer)) return tl::unexpected(odd());
  if (!answer.status) return tl::unexpected(answer.status.error());
  return std::move(answer.body);
}

Status Client::steer(Kind kind, const RunId& run, std::vector<std::string> tasks,
                     std::string reason) {
  const wire::Steer steer{next_request(), run, std::move(tasks), std::move(reason)};
  const auto reply = ask(kind, encode(steer), steer.request, patience_);
  if (!reply) return tl::unexpected(reply.error());
  if (!*reply)
    return fail(ErrorCode::unavailable,
                "the server has not confirmed it in time; it may come about later");
  wire::Answer answer;
  if (!decode((*reply)->bytes, answer)) return tl::unexpected(odd());
  return answer.status;
}

Status Client::cancel(const RunId& run, std::vector<std::string> tasks, std::string reason) {
  return steer(Kind::cancel, run, std::move(tasks), std::move(reason));
}

Status Client::pause(const RunId& run, std::vector<std::string> tasks, std::string reason) {
  return steer(Kind::pause, run, std::move(tasks), std::move(reason));
}

Result<std::optional<wire::RunEnded>> Client::wait(const RunId& run,
                                                   std::optional<Duration> timeout) {
  const wire::Watch watch{next_request(), run, 0};
  const auto reply = ask(Kind::watch, encode(watch), watch.request, timeout);
  if (!reply) return tl::unexpected(reply.error());
  if (!*reply) return std::nullopt;
  return end_in((*reply)->kind, (*reply)->bytes).map([](wire::RunEnded ended) {
    return std::optional<wire::RunEnded>(std::move(ended));
  });
}

std::unique_ptr<Following> Client::follow(const RunId& run, journal::Offset from, RunNews news) {
  const auto listener = std::make_shared<Following::Listener>(std::move(news));
  const std::lock_guard guard(mutex_);
  const std::uint64_t number = ++last_request_;
  Request& request = requests_[number];
  request.kind = Kind::watch;
  request.follows = true;
  request.listener = listener;
  request.watch = {number, run, from};
  send(request);
  return std::unique_ptr<Following>(new Following(listener));
}

}  // namespace reprise::cluster
