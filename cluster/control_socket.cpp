#include "cluster/control_socket.hpp"

#include <cerrno>
#include <cstring>
#include <optional>
#include <thread>
#include <utility>

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <fmt/format.h>

#include "cluster/descriptor.hpp"
#include "cluster/frame.hpp"
#include "core/canon.hpp"
#include "core/value.hpp"

namespace reprise::cluster {
namespace {

constexpr const char* socket_name = "control";
constexpr Duration connection_deadline = std::chrono::seconds{1};
constexpr std::size_t max_reply_text = 4096;

using Clock = std::chrono::steady_clock;

/// Waits until `fd` is ready for `events`. false: the deadline passed.
bool wait_for(int fd, short events, Clock::time_point deadline) {
  for (;;) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now()).count();
    if (left <= 0) return false;
    pollfd entry{fd, events, 0};
    const int ready = ::poll(&entry, 1, static_cast<int>(left));
    if (ready > 0) return true;
    if (ready < 0 && errno != EINTR) return false;
  }
}

bool send_all(int fd, std::string_view bytes, Clock::time_point deadline) {
  while (!bytes.empty()) {
    const ssize_t sent = ::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent > 0)
      bytes.remove_prefix(static_cast<std::size_t>(sent));
    else if (sent < 0 && errno == EAGAIN) {
      if (!wait_for(fd, POLLOUT, deadline)) return false;
    } else if (!(sent < 0 && errno == EINTR))
      return false;
  }
  return true;
}

/// The one frame that the peer sends.
Result<std::string> receive_frame(int fd, Clock::time_point deadline) {
  FrameReader reader;
  char buffer[16384];
  for (;;) {
    auto frame = reader.next();
    if (!frame) return tl::unexpected(frame.error());
    if (*frame) return std::move(**frame);
    if (!wait_for(fd, POLLIN, deadline)) return fail(ErrorCode::unavailable, "no answer in time");
    const ssize_t got = ::recv(fd, buffer, sizeof buffer, MSG_DONTWAIT);
    if (got > 0)
      reader.feed({buffer, static_cast<std::size_t>(got)});
    else if (got == 0)
      return fail(ErrorCode::unavailable, "the connection ended before the answer");
    else if (errno != EAGAIN && errno != EINTR)
      return tl::unexpected(system_error("receive", errno));
  }
}

/// Address of the socket below the folder that `folder` is open on.
sockaddr_un address_below(const Descriptor& folder) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string path = fmt::format("/proc/self/fd/{}/{}", folder.get(), socket_name);
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  return address;
}

Result<Descriptor> open_folder(const std::filesystem::path& folder) {
  Descriptor result{::open(folder.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC)};
  if (!result.is_open())
    return tl::unexpected(system_error(fmt::format("open \"{}\"", folder.string()), errno));
  return result;
}

Result<Descriptor> new_socket() {
  Descriptor result{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
  if (!result.is_open()) return tl::unexpected(system_error("socket", errno));
  return result;
}

/// A connection to whoever listens in `folder`.
Result<Descriptor> connect_below(const Descriptor& folder) {
  auto socket = new_socket();
  if (!socket) return socket;
  const sockaddr_un address = address_below(folder);
  if (::connect(socket->get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0)
    return socket;
  if (errno == ENOENT || errno == ECONNREFUSED)
    return fail(ErrorCode::not_found, "nobody listens in the run's folder");
  if (errno == EAGAIN)
    return fail(ErrorCode::unavailable, "the process that runs the run is busy; try again");
  if (errno == EACCES || errno == EPERM)
    return fail(ErrorCode::denied, "the run belongs to another user");
  return tl::unexpected(system_error("connect", errno));
}

const std::string* text_of(const Value& map, std::string_view key) {
  const Value* value = map.find(key);
  return value ? value->get_if<std::string>() : nullptr;
}

std::string encode_reply(const Status& status) {
  Map map{{Value("ok"), Value(status.has_value())}};
  if (!status) {
    map.emplace_back(Value("code"), Value(name(status.error().code)));
    map.emplace_back(Value("message"), Value(status.error().message.substr(0, max_reply_text)));
  }
  auto bytes = encode(Value(std::move(map)));
  if (!bytes)  // the message is not UTF-8
    bytes = encode(Value(Map{{Value("ok"), Value(false)}, {Value("code"), Value("internal")}}));
  return bytes.value_or(std::string{});
}

Status decode_reply(std::string_view bytes) {
  const auto value = decode(bytes);
  if (!value)
    return fail(ErrorCode::unavailable, "the answer does not decode: " + value.error().message);
  const Value* ok = value->find("ok");
  const bool* is_ok = ok ? ok->get_if<bool>() : nullptr;
  if (!is_ok) return fail(ErrorCode::unavailable, "the answer has no field \"ok\"");
  if (*is_ok) return {};
  const std::string* code = text_of(*value, "code");
  const std::string* message = text_of(*value, "message");
  Error error{ErrorCode::internal, message ? *message : "refused without a reason"};
  for (int i = 0; i <= static_cast<int>(ErrorCode::internal); ++i)
    if (code && name(static_cast<ErrorCode>(i)) == *code) error.code = static_cast<ErrorCode>(i);
  return tl::unexpected(std::move(error));
}

}  // namespace

Result<std::string> ControlRequest::encode() const {
  List list;
  for (const std::string& task : tasks)
    list.emplace_back(Bytes{task});  // names are bytes, not necessarily text
  return reprise::encode(Value(Map{{Value("op"), Value(op)},
                                   {Value("tasks"), Value(std::move(list))},
                                   {Value("reason"), Value(Bytes{reason})}}));
}

Result<ControlRequest> ControlRequest::decode(std::string_view bytes) {
  const auto value = reprise::decode(bytes);
  if (!value)
    return fail(ErrorCode::invalid_argument,
                "the request does not decode: " + value.error().message);
  const auto text = [](const Value& v) -> std::optional<std::string> {
    if (const auto* s = v.get_if<std::string>()) return *s;
    if (const auto* b = v.get_if<Bytes>()) return b->data;
    return std::nullopt;
  };
  ControlRequest request;
  const Value* op = value->find("op");
  if (!op || !text(*op))
    return fail(ErrorCode::invalid_argument, "the request has no field \"op\"");
  request.op = *text(*op);
  if (const Value* tasks = value->find("tasks")) {
    const List* list = tasks->get_if<List>();
    if (!list) return fail(ErrorCode::invalid_argument, "\"tasks\" of the request is no list");
    for (const Value& task : *list) {
      auto one = text(task);
      if (!one)
        return fail(ErrorCode::invalid_argument,
                    "\"tasks\" of the request holds something that is no text");
      request.tasks.push_back(std::move(*one));
    }
  }
  if (const Value* reason = value->find("reason")) {
    auto one = text(*reason);
    if (!one) return fail(ErrorCode::invalid_argument, "\"reason\" of the request is no text");
    request.reason = std::move(*one);
  }
  return request;
}

struct ControlServer::State {
  Descriptor folder;
  Descriptor listener;
  Descriptor stop{::eventfd(0, EFD_CLOEXEC)};
  Handler handler;
  std::thread thread;

  void serve() {
    for (;;) {
      pollfd entries[] = {{listener.get(), POLLIN, 0}, {stop.get(), POLLIN, 0}};
      if (::poll(entries, 2, -1) < 0 && errno != EINTR) return;
      if (entries[1].revents) return;
      if (!(entries[0].revents & POLLIN)) continue;
      const Descriptor peer{
          ::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK)};
      if (peer.is_open()) answer(peer.get());
    }
  }

  void answer(int peer) {
    const auto deadline = Clock::now() + connection_deadline;
    const auto body = receive_frame(peer, deadline);
    if (!body && body.error().code == ErrorCode::unavailable) return;  // it said nothing or left
    Status status;
    if (!body)
      status = tl::unexpected(body.error());
    else if (const auto request = ControlRequest::decode(*body); !request)
      status = tl::unexpected(request.error());
    else if (request->op != "ping")
      status = handler(*request);
    // The handler may have taken longer than the peer's time to ask; the answer has a deadline of
    // its own.
    if (const auto frame = encode_frame(encode_reply(status)))
      send_all(peer, *frame, Clock::now() + connection_deadline);
  }
};

Result<std::unique_ptr<ControlServer>> ControlServer::open(const std::filesystem::path& path,
                                                           Handler handler) {
  auto folder = open_folder(path);
  if (!folder) return tl::unexpected(folder.error());
  if (connect_below(*folder))
    return fail(ErrorCode::conflict,
                fmt::format("another process serves the run in \"{}\"", path.string()));
  auto listener = new_socket();
  if (!listener) return tl::unexpected(listener.error());

  // The socket is made under another name and moved into place: nobody sees it before its mode is
  // set, and the remains of a dead process are replaced in one step.
  const std::string temporary = fmt::format("{}.{}", socket_name, ::getpid());
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string long_name = fmt::format("/proc/self/fd/{}/{}", folder->get(), temporary);
  std::memcpy(address.sun_path, long_name.c_str(), long_name.size() + 1);
  ::unlinkat(folder->get(), temporary.c_str(), 0);
  if (::bind(listener->get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
    return tl::unexpected(
        system_error(fmt::format("make the socket \"{}/{}\"", path.string(), socket_name), errno));
  if (::fchmodat(folder->get(), temporary.c_str(), 0600, 0) != 0 ||
      ::listen(listener->get(), 16) != 0 ||
      ::renameat(folder->get(), temporary.c_str(), folder->get(), socket_name) != 0) {
    const int error = errno;
    ::unlinkat(folder->get(), temporary.c_str(), 0);
    return tl::unexpected(system_error(fmt::format("listen in \"{}\"", path.string()), error));
  }
  auto state = std::make_unique<State>();
  state->folder = std::move(*folder);
  state->listener = std::move(*listener);
  state->handler = std::move(handler);
  if (!state->stop.is_open()) return tl::unexpected(system_error("eventfd", errno));
  state->thread = std::thread([raw = state.get()] { raw->serve(); });
  return std::unique_ptr<ControlServer>(new ControlServer(std::move(state)));
}

ControlServer::ControlServer(std::unique_ptr<State> state) : state_(std::move(state)) {}

ControlServer::~ControlServer() {
  ::unlinkat(state_->folder.get(), socket_name, 0);
  const std::uint64_t one = 1;
  (void)!::write(state_->stop.get(), &one, sizeof one);
  state_->thread.join();
}

Status ask_control(const std::filesystem::path& path, const ControlRequest& request,
                   Duration deadline) {
  const auto folder = open_folder(path);
  if (!folder)
    return fail(ErrorCode::not_found, "the run has no folder: " + folder.error().message);
  const auto socket = connect_below(*folder);
  if (!socket) return tl::unexpected(socket.error());
  const auto until = Clock::now() + deadline;
  const auto body = request.encode();
  if (!body) return tl::unexpected(body.error());
  const auto frame = encode_frame(*body);
  if (!frame) return tl::unexpected(frame.error());
  if (!send_all(socket->get(), *frame, until))
    return fail(ErrorCode::unavailable, "the process that runs the run takes no requests");
  const auto reply = receive_frame(socket->get(), until);
  if (!reply) return tl::unexpected(reply.error());
  return decode_reply(*reply);
}

}  // namespace reprise::cluster
