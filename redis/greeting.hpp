// What is said first on every connection.
#pragma once

#include <string>

#include "core/result.hpp"
#include "redis/connection.hpp"
#include "redis/settings.hpp"

namespace reprise::redis {

/// Says who we are, with the password file as it is now, and chooses the database.
/// @param name  of the server, for messages. @error as Connection::exchange; denied, also for a
/// wrong password; of the password file. Blocks.
[[nodiscard]] Status greet(Connection& connection, const Settings& settings,
                           const std::string& name, Deadline deadline);

}  // namespace reprise::redis
