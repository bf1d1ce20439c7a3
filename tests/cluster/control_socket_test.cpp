#include <boost/test/unit_test.hpp>

#include <atomic>
#include <filesystem>
#include <fstream>

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "cluster/control_socket.hpp"
#include "cluster/frame.hpp"

BOOST_AUTO_TEST_SUITE(control_socket)

using namespace reprise;
using namespace reprise::cluster;

namespace {

struct Folder {
  Folder() {
    char name[] = "/tmp/reprise-control-XXXXXX";
    BOOST_REQUIRE(::mkdtemp(name) != nullptr);
    path = name;
  }
  ~Folder() { std::filesystem::remove_all(path); }
  std::filesystem::path path;
};

int connect_to(const std::filesystem::path& folder) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string name = (folder / "control").string();
  BOOST_REQUIRE(name.size() < sizeof address.sun_path);
  std::copy(name.begin(), name.end(), address.sun_path);
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  BOOST_REQUIRE(::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
  return fd;
}

Status accept_all(const ControlRequest&) {
  return {};
}

}  // namespace

BOOST_AUTO_TEST_CASE(a_request_survives_its_encoding_with_any_bytes_in_names) {
  const ControlRequest request{
      "cancel", {"align[s3]", "../x", "\x1b[2J", std::string("\xff\0z", 3)}, "because \xc3\xa9"};
  BOOST_TEST((ControlRequest::decode(request.encode().value()).value() == request));
}

BOOST_AUTO_TEST_CASE(a_request_reaches_the_handler_and_its_answer_comes_back) {
  Folder folder;
  ControlRequest seen;
  const auto server =
      ControlServer::open(folder.path, [&](const ControlRequest& request) -> Status {
        seen = request;
        if (request.reason == "no") return fail(ErrorCode::conflict, "run is finished already");
        return {};
      });
  BOOST_REQUIRE(server);
  BOOST_TEST(ask_control(folder.path, {"cancel", {"a", "b"}, "enough"}).has_value());
  BOOST_TEST((seen == ControlRequest{"cancel", {"a", "b"}, "enough"}));
  const auto refused = ask_control(folder.path, {"cancel", {}, "no"});
  BOOST_REQUIRE(!refused);
  BOOST_TEST((refused.error() == Error{ErrorCode::conflict, "run is finished already"}));
}

BOOST_AUTO_TEST_CASE(a_ping_is_answered_without_the_handler) {
  Folder folder;
  const auto server = ControlServer::open(folder.path, [](const ControlRequest&) -> Status {
    return fail(ErrorCode::internal, "not to be called");
  });
  BOOST_TEST(ask_control(folder.path, {"ping", {}, {}}).has_value());
}

BOOST_AUTO_TEST_CASE(the_socket_belongs_to_its_owner_alone_and_goes_with_the_server) {
  Folder folder;
  auto server = ControlServer::open(folder.path, accept_all);
  BOOST_REQUIRE(server);
  struct stat info {};
  BOOST_REQUIRE(::stat((folder.path / "control").c_str(), &info) == 0);
  BOOST_TEST((info.st_mode & 0777) == 0600u);
  server->reset();
  BOOST_TEST(!std::filesystem::exists(folder.path / "control"));
  BOOST_TEST(std::filesystem::is_empty(folder.path));
  BOOST_TEST((ask_control(folder.path, {"ping", {}, {}}).error().code == ErrorCode::not_found));
}

BOOST_AUTO_TEST_CASE(what_a_dead_process_left_is_replaced_but_a_living_one_is_not) {
  Folder folder;
  {  // a socket that nobody listens on any more
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    const std::string name = (folder.path / "control").string();
    std::copy(name.begin(), name.end(), address.sun_path);
    const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    BOOST_REQUIRE(::bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
    ::close(fd);
  }
  BOOST_TEST((ask_control(folder.path, {"ping", {}, {}}).error().code == ErrorCode::not_found));
  const auto server = ControlServer::open(folder.path, accept_all);
  BOOST_REQUIRE(server);
  BOOST_TEST(ask_control(folder.path, {"ping", {}, {}}).has_value());
  BOOST_TEST((ControlServer::open(folder.path, accept_all).error().code == ErrorCode::conflict));
}

BOOST_AUTO_TEST_CASE(a_long_path_is_no_obstacle) {
  Folder folder;
  std::filesystem::path deep = folder.path;
  for (int i = 0; i < 6; ++i) deep /= std::string(60, 'd');
  std::filesystem::create_directories(deep);
  const auto server = ControlServer::open(deep, accept_all);
  BOOST_REQUIRE_MESSAGE(server, (server ? "" : server.error().message));
  BOOST_TEST(ask_control(deep, {"ping", {}, {}}).has_value());
}

BOOST_AUTO_TEST_CASE(a_peer_that_says_nothing_or_nonsense_does_not_keep_others_out) {
  Folder folder;
  std::atomic<int> handled{0};
  const auto server = ControlServer::open(folder.path, [&](const ControlRequest&) -> Status {
    ++handled;
    return {};
  });
  BOOST_REQUIRE(server);
  const int silent = connect_to(folder.path);
  const int hostile = connect_to(folder.path);
  const std::string huge("\xff\xff\xff\xff", 4);
  BOOST_REQUIRE(::send(hostile, huge.data(), huge.size(), MSG_NOSIGNAL) == 4);
  const int vague = connect_to(folder.path);
  const std::string nonsense = encode_frame("\xc1not msgpack").value();
  BOOST_REQUIRE(::send(vague, nonsense.data(), nonsense.size(), MSG_NOSIGNAL) > 0);
  BOOST_TEST(ask_control(folder.path, {"cancel", {}, {}}, std::chrono::seconds{10}).has_value());
  BOOST_TEST(handled == 1);
  for (const int fd : {silent, hostile, vague}) ::close(fd);
}

BOOST_AUTO_TEST_SUITE_END()
