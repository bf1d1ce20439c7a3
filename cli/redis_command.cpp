// `reprise cache init-redis`, and what other commands ask about the server.
#include <fmt/format.h>

#include "cache/redis_functions.hpp"
#include "cache/redis_store.hpp"
#include "cli/commands.hpp"
#include "cli/redis_server.hpp"

namespace reprise::cli {

Result<std::optional<redis::Settings>> redis_settings(const GlobalOptions& globals) {
  if (globals.redis.empty()) return std::nullopt;
  auto settings = redis::parse_url(globals.redis);
  if (!settings) return tl::unexpected(settings.error());
  settings->password_file = globals.redis_password_file;
  return std::move(*settings);
}

Result<std::vector<redis::Finding>> examine(const redis::Settings& settings) {
  redis::Client client(settings);
  const auto facts = redis::inspect(client);
  if (!facts) return tl::unexpected(facts.error());
  return redis::check_policy(*facts, redis::Role::cache);
}

Result<std::optional<SharedStatistics>> shared_statistics(const GlobalOptions& globals) {
  const auto settings = redis_settings(globals);
  if (!settings) return tl::unexpected(settings.error());
  if (!*settings) return std::nullopt;
  const auto client = std::make_shared<redis::Client>(**settings, cache::redis_functions());
  return SharedStatistics{client->name(), cache::RedisStore({.client = client}).statistics()};
}

int cache_init_redis_command(Console& console) {
  const auto settings = redis_settings(console.options());
  if (!settings) return console.fail(settings.error(), exit_invalid);
  if (!*settings)
    return console.fail(
        {ErrorCode::invalid_argument, "no server is named; give --redis URL or set redis.url"},
        exit_invalid);
  redis::Client client(**settings, cache::redis_functions());
  if (const Status done = client.install_functions(); !done) return console.fail(done.error());
  if (console.is_json())
    return console.document({{"schema", "reprise.cache-init-redis/1"}, {"server", client.name()}});
  console.say(fmt::format("{}: functions are loaded", client.name()));
  return exit_ok;
}

}  // namespace reprise::cli
