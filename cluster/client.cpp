#include "cluster/client.hpp"

#include <utility>

#include <fmt/format.h>

namespace reprise::cluster {

namespace {

using wire::Kind;

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

}  // namespace

Result<std::unique_ptr<Client>> Client::connect(ClientOptions options) {
  std::unique_ptr<Client> client(new Client(options.patience));
  HubOptions hub = hub_options(Role::client, {}, options.credentials);
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
  const std::lock_guard guard(mutex_);
  if (auto* up = std::get_if<LinkUp>(&event)) {
    sender_ = std::move(up->sender);
    ++links_;
    trouble_.reset();
  } else if (auto* got = std::get_if<LinkMessages>(&event)) {
    for (Message& message : got->messages) messages_.push_back(std::move(message));
  } else if (const auto* down = std::get_if<LinkDown>(&event)) {
    if (sender_ && sender_->link() == down->link) sender_.reset();
    trouble_ = down->why;
  } else if (const auto* trouble = std::get_if<LinkTrouble>(&event)) {
    trouble_ = trouble->why;
  }
  changed_.notify_all();
}

// Credentials do not get better by waiting; that nobody listens may.
Status Client::reach() {
  std::unique_lock guard(mutex_);
  changed_.wait_for(guard, patience_, [&] {
    return sender_ || (trouble_ && trouble_->code != ErrorCode::unavailable &&
                       trouble_->code != ErrorCode::io);
  });
  if (sender_) return {};
  if (trouble_ && trouble_->code != ErrorCode::io) return tl::unexpected(*trouble_);
  return fail(ErrorCode::unavailable, trouble_ ? trouble_->message : "the server does not answer");
}

Result<std::optional<Client::Reply>> Client::ask(Kind kind, const std::string& bytes,
                                                 std::uint64_t request,
                                                 std::optional<Duration> timeout) {
  const auto begin = std::chrono::steady_clock::now();
  std::uint64_t sent_on = 0;
  for (;;) {
    if (const Status reached = reach(); !reached) return tl::unexpected(reached.error());
    std::unique_lock guard(mutex_);
    if (!sender_) continue;
    if (sent_on != links_) {
      sent_on = links_;
      messages_.clear();
      const auto sender = sender_;
      guard.unlock();
      if (const Status sent = sender->send(static_cast<std::uint16_t>(kind), bytes);
          !sent && sent.error().code != ErrorCode::not_found)
        return tl::unexpected(sent.error());
      guard.lock();
    }
    const auto is_news = [&] { return !messages_.empty() || !sender_ || sent_on != links_; };
    if (timeout) {
      const auto left = begin + *timeout - std::chrono::steady_clock::now();
      if (!changed_.wait_for(guard, std::max(left, left.zero()), is_news)) return std::nullopt;
    } else {
      changed_.wait(guard, is_news);
    }
    while (!messages_.empty()) {
      Message message = std::move(messages_.front());
      messages_.pop_front();
      if (request_of(message) == request)
        return Reply{static_cast<Kind>(message.kind), std::move(message.bytes)};
    }
  }
}

Result<wire::Submitted> Client::submit(wire::Submit submit) {
  submit.request = ++last_request_;
  if (submit.idempotency.empty()) submit.idempotency = RunId::generate(now()).text();
  const auto reply = ask(Kind::submit, encode(submit), submit.request);
  if (!reply) return tl::unexpected(reply.error());
  wire::Submitted submitted;
  if ((*reply)->kind == Kind::submitted && decode((*reply)->bytes, submitted)) return submitted;
  wire::Answer answer;
  if (!decode((*reply)->bytes, answer) || answer.status) return tl::unexpected(odd());
  return tl::unexpected(answer.status.error());
}

Result<std::string> Client::query(std::string op, std::string body) {
  const wire::Query question{++last_request_, std::move(op), std::move(body)};
  const auto reply = ask(Kind::query, encode(question), question.request);
  if (!reply) return tl::unexpected(reply.error());
  wire::Answer answer;
  if (!decode((*reply)->bytes, answer)) return tl::unexpected(odd());
  if (!answer.status) return tl::unexpected(answer.status.error());
  return std::move(answer.body);
}

Status Client::steer(Kind kind, const RunId& run, std::vector<std::string> tasks,
                     std::string reason) {
  const wire::Steer steer{++last_request_, run, std::move(tasks), std::move(reason)};
  const auto reply = ask(kind, encode(steer), steer.request);
  if (!reply) return tl::unexpected(reply.error());
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
  const wire::Watch watch{++last_request_, run, 0};
  const auto reply = ask(Kind::watch, encode(watch), watch.request, timeout);
  if (!reply) return tl::unexpected(reply.error());
  if (!*reply) return std::nullopt;
  wire::RunEnded ended;
  if ((*reply)->kind == Kind::run_ended && decode((*reply)->bytes, ended)) return ended;
  wire::Answer answer;
  if (!decode((*reply)->bytes, answer) || answer.status) return tl::unexpected(odd());
  return tl::unexpected(answer.status.error());
}

}  // namespace reprise::cluster
