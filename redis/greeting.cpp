#include "redis/greeting.hpp"

#include <utility>

#include <fmt/format.h>

#include "core/text.hpp"

namespace reprise::redis {

Status greet(Connection& connection, const Settings& settings, const std::string& name,
             Deadline deadline) {
  auto password = read_password(settings.password_file);
  if (!password) return tl::unexpected(password.error());
  Commands hello;
  if (!settings.user.empty())
    hello.add("AUTH", settings.user, *password);
  else if (!password->empty())
    hello.add("AUTH", *password);
  if (settings.database != 0) hello.add("SELECT", settings.database);
  // Asks whether the server serves this user at all.
  hello.add("GET", settings.prefix + ":meta");
  auto replies = connection.exchange(hello, deadline);
  if (!replies) return tl::unexpected(replies.error());
  for (const Reply& reply : *replies) {
    if (!reply.is_error()) continue;
    Error error = error_of(reply, name);
    if (reply.text.starts_with("WRONGPASS") || reply.text.starts_with("NOAUTH"))
      error.message +=
          fmt::format("; check the user{} and the password file",
                      settings.user.empty() ? std::string()
                                            : " \"" + escape_for_terminal(settings.user) + "\"");
    return tl::unexpected(std::move(error));
  }
  return {};
}

}  // namespace reprise::redis
