#include "redis/settings.hpp"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <optional>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fmt/format.h>

#include "core/text.hpp"

namespace reprise::redis {
namespace {

tl::unexpected<Error> bad_url(std::string_view url, std::string_view why) {
  return fail(ErrorCode::invalid_argument,
              fmt::format("\"{}\" names no redis server: {}; write "
                          "redis://[user@]host[:port][/db][?prefix=NAME] or "
                          "unix:/path[?db=N&prefix=NAME]",
                          escape_for_terminal(url), why));
}

template <class Number>
std::optional<Number> number_in(std::string_view text) {
  Number value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

// "host", "host:port", "[::1]:port"
std::string_view parse_host(std::string_view text, Endpoint& endpoint) {
  std::string_view host = text, port;
  if (text.starts_with('[')) {
    const auto close = text.find(']');
    if (close == std::string_view::npos) return "\"[\" has no \"]\"";
    host = text.substr(1, close - 1);
    port = text.substr(close + 1);
  } else if (const auto colon = text.find(':'); colon != std::string_view::npos) {
    host = text.substr(0, colon);
    port = text.substr(colon);
  }
  if (host.empty()) return "the host is missing";
  endpoint.host = host;
  if (port.empty()) return {};
  const auto number = number_in<std::uint16_t>(port.substr(1));
  if (port[0] != ':' || !number || *number == 0) return "the port is no number from 1 to 65535";
  endpoint.port = *number;
  return {};
}

std::string_view parse_database(std::string_view text, Settings& settings) {
  const auto number = number_in<std::uint32_t>(text);
  if (!number || *number > 65'535) return "the database is no number from 0 to 65535";
  settings.database = *number;
  return {};
}

// No braces among them: a cluster takes what is in braces for the whole key.
std::string_view parse_prefix(std::string_view text, Settings& settings) {
  constexpr std::string_view plain =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.:-";
  if (text.empty() || text.size() > 64 || text.find_first_not_of(plain) != text.npos)
    return "the prefix is not 1 to 64 of letters, digits and \"_.:-\"";
  settings.prefix = text;
  return {};
}

// "?db=1&prefix=team"; `url` loses it.
std::string_view take_query(std::string_view& url, Settings& settings) {
  const auto mark = url.find('?');
  if (mark == std::string_view::npos) return {};
  std::string_view rest = url.substr(mark + 1);
  url = url.substr(0, mark);
  while (!rest.empty()) {
    const std::string_view pair = rest.substr(0, rest.find('&'));
    rest.remove_prefix(std::min(rest.size(), pair.size() + 1));
    const auto equals = pair.find('=');
    const std::string_view name = pair.substr(0, equals);
    const std::string_view given =
        equals == std::string_view::npos ? std::string_view{} : pair.substr(equals + 1);
    std::string_view why = "only db, user and prefix may follow \"?\"";
    if (name == "db") why = parse_database(given, settings);
    if (name == "prefix") why = parse_prefix(given, settings);
    if (name == "user") {
      settings.user = given;
      why = {};
    }
    if (!why.empty()) return why;
  }
  return {};
}

}  // namespace

std::string Endpoint::text() const {
  if (!socket.empty()) return "unix:" + escape_for_terminal(socket.string());
  const std::string shown = escape_for_terminal(host);
  return shown.find(':') == std::string::npos ? fmt::format("{}:{}", shown, port)
                                              : fmt::format("[{}]:{}", shown, port);
}

Duration Budgets::of(std::uint64_t bytes) const {
  if (bytes == 0) return operation;
  const double seconds_to_move =
      static_cast<double>(bytes) /
      static_cast<double>(std::max<std::uint64_t>(value_bytes_per_second, 1));
  return value + std::chrono::milliseconds{
                     static_cast<std::int64_t>(std::min(seconds_to_move, 3600.0) * 1000)};
}

Result<Settings> parse_url(std::string_view url) {
  Settings settings;
  if (url.starts_with("unix:")) {
    std::string_view path = url.substr(5);
    if (path.starts_with("//")) path.remove_prefix(2);
    if (const auto why = take_query(path, settings); !why.empty()) return bad_url(url, why);
    if (!path.starts_with('/')) return bad_url(url, "the socket's path must begin with \"/\"");
    if (path.size() > 107) return bad_url(url, "the socket's path is longer than 107 bytes");
    settings.endpoint.socket = std::filesystem::path(path);
    return settings;
  }
  std::string_view rest = url;
  if (const auto scheme = rest.find("://"); scheme != std::string_view::npos)
    rest.remove_prefix(scheme + 3);
  if (const auto at = rest.rfind('@');
      at != std::string_view::npos && rest.substr(0, at).find(':') != std::string_view::npos)
    // Not shown: the message would carry the password on.
    return fail(ErrorCode::invalid_argument,
                "the address of a redis server must not carry a password; put it into a file");
  if (url.starts_with("rediss://"))
    return bad_url(url, "TLS is not spoken here; put stunnel before the server");
  if (rest.size() != url.size() && !url.starts_with("redis://"))
    return bad_url(url, "the scheme is not redis");
  if (const auto why = take_query(rest, settings); !why.empty()) return bad_url(url, why);
  if (const auto at = rest.rfind('@'); at != std::string_view::npos) {
    settings.user = rest.substr(0, at);
    rest.remove_prefix(at + 1);
  }
  if (const auto slash = rest.find('/'); slash != std::string_view::npos) {
    if (const auto database = rest.substr(slash + 1); !database.empty())
      if (const auto why = parse_database(database, settings); !why.empty())
        return bad_url(url, why);
    rest = rest.substr(0, slash);
  }
  if (const auto why = parse_host(rest, settings.endpoint); !why.empty()) return bad_url(url, why);
  return settings;
}

Result<std::string> read_password(const std::filesystem::path& file) {
  if (file.empty()) return std::string();
  const std::string shown = escape_for_terminal(file.string());
  const auto refused = [&](int error) {
    const ErrorCode code = error == ENOENT                     ? ErrorCode::not_found
                           : error == EACCES || error == EPERM ? ErrorCode::denied
                                                               : ErrorCode::io;
    return fail(
        code, fmt::format("cannot read the password file \"{}\": {}", shown, std::strerror(error)));
  };
  const int descriptor = ::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (descriptor < 0) return refused(errno);
  struct Closer {
    int descriptor;
    ~Closer() { ::close(descriptor); }
  } closer{descriptor};
  struct stat status {};
  if (::fstat(descriptor, &status) != 0) return refused(errno);
  // Files that a service manager passes on (systemd credentials) are regular and 0400 or 0440.
  if (S_ISREG(status.st_mode) && (status.st_mode & S_IRWXO) != 0)
    return fail(ErrorCode::invalid_argument,
                fmt::format("the password file \"{}\" is open to everybody; chmod 600 it", shown));
  constexpr std::size_t limit = 4096;
  std::string bytes(limit + 1, '\0');
  const ssize_t got = ::read(descriptor, bytes.data(), bytes.size());
  if (got < 0) return refused(errno);
  if (static_cast<std::size_t>(got) > limit)
    return fail(ErrorCode::invalid_argument,
                fmt::format("the password file \"{}\" is larger than 4 KiB", shown));
  bytes.resize(static_cast<std::size_t>(got));
  if (const auto end = bytes.find_first_of("\r\n"); end != std::string::npos) bytes.resize(end);
  if (bytes.empty())
    return fail(ErrorCode::invalid_argument,
                fmt::format("the password file \"{}\" is empty", shown));
  return bytes;
}

}  // namespace reprise::redis
