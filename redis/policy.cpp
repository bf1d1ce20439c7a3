#include "redis/policy.hpp"

#include <algorithm>
#include <charconv>

#include <fmt/format.h>

#include "core/text.hpp"

namespace reprise::redis {
namespace {

std::optional<std::uint64_t> number_in(std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::optional<unsigned> major_version(const std::optional<std::string>& version) {
  if (!version) return std::nullopt;
  const auto major = number_in(std::string_view(*version).substr(0, version->find('.')));
  if (!major) return std::nullopt;
  return static_cast<unsigned>(*major);
}

Finding unknown(Role role, std::string_view what) {
  return {role == Role::journal ? Verdict::refused : Verdict::warning,
          fmt::format("{} cannot be told: the user may not ask", what),
          "ACL SETUSER <user> +info +config|get"};
}

Finding check_version(const ServerFacts& facts, Role role) {
  const auto major = major_version(facts.version);
  if (!major) return unknown(role, "the version");
  const std::string shown = escape_for_terminal(*facts.version);
  if (*major < 7)
    return {Verdict::refused, fmt::format("version {} has no functions", shown),
            "install redis 7.0 or newer"};
  return {Verdict::good, "version " + shown, {}};
}

Finding check_eviction(const ServerFacts& facts, Role role) {
  if (!facts.maxmemory_policy) return unknown(role, "maxmemory-policy");
  const std::string& policy = *facts.maxmemory_policy;
  const std::string shown = "maxmemory-policy " + escape_for_terminal(policy);
  if (policy == "noeviction") return {Verdict::good, shown, {}};
  if (role == Role::journal)
    return {Verdict::refused, shown + " drops records of the journal when memory is short",
            "CONFIG SET maxmemory-policy noeviction"};
  if (policy.starts_with("volatile-")) {
    // Only large values carry a time to live, and they can be made again.
    if (policy == "volatile-lfu") return {Verdict::good, shown, {}};
    return {Verdict::good, shown + "; volatile-lfu keeps what is used most", {}};
  }
  if (policy.starts_with("allkeys-"))
    return {Verdict::warning, shown + " drops results and leases when memory is short",
            "CONFIG SET maxmemory-policy volatile-lfu"};
  return {Verdict::warning, shown + " is not known", "CONFIG SET maxmemory-policy noeviction"};
}

Finding check_memory(const ServerFacts& facts) {
  if (!facts.maxmemory || !facts.used_memory) return {Verdict::good, "memory not told", {}};
  if (*facts.maxmemory == 0)
    return {
        Verdict::good, fmt::format("{} in use, no limit", describe_bytes(*facts.used_memory)), {}};
  const std::string text = fmt::format("{} of {} in use", describe_bytes(*facts.used_memory),
                                       describe_bytes(*facts.maxmemory));
  if (*facts.used_memory >= *facts.maxmemory / 10 * 9)
    return {Verdict::warning, text + "; a full server keeps no new results",
            "CONFIG SET maxmemory <more>, or remove what is old"};
  return {Verdict::good, text, {}};
}

Finding check_append_only(const ServerFacts& facts, Role role) {
  if (!facts.aof_enabled) {
    if (role == Role::cache) return {Verdict::good, "append-only file not told", {}};
    return unknown(role, "whether the append-only file is on");
  }
  if (facts.aof_write_failed.value_or(false))
    return {role == Role::journal ? Verdict::refused : Verdict::warning,
            "the append-only file could not be written", "make room on the server's disk"};
  if (*facts.aof_enabled)
    return {Verdict::good,
            facts.appendfsync
                ? "append-only file, appendfsync " + escape_for_terminal(*facts.appendfsync)
                : std::string("append-only file"),
            {}};
  if (role == Role::journal)
    return {Verdict::refused, "without the append-only file a restart forgets the journal",
            "CONFIG SET appendonly yes"};
  return {Verdict::good, "no append-only file: a restart may forget results", {}};
}

Finding check_replica(const ServerFacts& facts, Role role) {
  if (!facts.is_replica.value_or(false)) return {Verdict::good, "primary", {}};
  return {role == Role::journal ? Verdict::refused : Verdict::warning,
          "it is a replica: nothing can be kept there", "name the primary instead"};
}

}  // namespace

std::vector<Finding> check_policy(const ServerFacts& facts, Role role) {
  std::vector<Finding> findings{check_version(facts, role), check_replica(facts, role),
                                check_eviction(facts, role), check_append_only(facts, role),
                                check_memory(facts)};
  std::stable_sort(findings.begin(), findings.end(),
                   [](const Finding& a, const Finding& b) { return a.verdict > b.verdict; });
  return findings;
}

ServerFacts facts_from_info(std::string_view info) {
  ServerFacts facts;
  while (!info.empty()) {
    const auto end = info.find('\n');
    std::string_view line = info.substr(0, end);
    info = end == std::string_view::npos ? std::string_view{} : info.substr(end + 1);
    if (line.ends_with('\r')) line.remove_suffix(1);
    const auto colon = line.find(':');
    if (colon == std::string_view::npos || line.starts_with('#')) continue;
    const std::string_view name = line.substr(0, colon), value = line.substr(colon + 1);
    if (name == "redis_version") facts.version = value;
    if (name == "role") facts.is_replica = value != "master";
    if (name == "maxmemory_policy") facts.maxmemory_policy = value;
    if (name == "maxmemory") facts.maxmemory = number_in(value);
    if (name == "used_memory") facts.used_memory = number_in(value);
    if (name == "aof_enabled") facts.aof_enabled = value == "1";
    if (name == "aof_last_write_status") facts.aof_write_failed = value != "ok";
  }
  return facts;
}

void add_config(ServerFacts& facts, std::string_view name, std::string_view value) {
  if (name == "maxmemory-policy") facts.maxmemory_policy = value;
  if (name == "maxmemory") facts.maxmemory = number_in(value);
  if (name == "appendonly") facts.aof_enabled = value == "yes";
  if (name == "appendfsync") facts.appendfsync = value;
}

Result<ServerFacts> inspect(Client& client) {
  Commands questions;
  questions.add("INFO");
  for (const char* name : {"maxmemory-policy", "maxmemory", "appendonly", "appendfsync"})
    questions.add("CONFIG", "GET", name);
  const Budgets& budgets = client.settings().budgets;
  auto replies = client.run(questions, budgets.connect + budgets.operation);
  if (!replies) return tl::unexpected(replies.error());
  ServerFacts facts;
  for (const Reply& reply : *replies) {
    if (reply.is_text()) facts = facts_from_info(reply.text);
    for (std::size_t i = 0; i + 1 < reply.elements.size(); i += 2)
      add_config(facts, reply.elements[i].text, reply.elements[i + 1].text);
  }
  return facts;
}

}  // namespace reprise::redis
