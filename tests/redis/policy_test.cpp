#include "redis/policy.hpp"

#include <algorithm>

#include <boost/test/unit_test.hpp>

namespace reprise::redis {

BOOST_AUTO_TEST_SUITE(Policy)
namespace {

ServerFacts good_facts() {
  return facts_from_info(
      "# Server\r\nredis_version:7.0.15\r\n\r\n# Memory\r\nused_memory:1048576\r\n"
      "maxmemory:10485760\r\nmaxmemory_policy:noeviction\r\n# Persistence\r\naof_enabled:1\r\n"
      "aof_last_write_status:ok\r\n# Replication\r\nrole:master\r\n");
}

Finding gravest(const ServerFacts& facts, Role role) {
  return check_policy(facts, role).front();
}

BOOST_AUTO_TEST_CASE(what_the_server_tells_is_read) {
  ServerFacts facts = good_facts();
  const ServerFacts expected{.version = "7.0.15",
                             .is_replica = false,
                             .maxmemory_policy = "noeviction",
                             .maxmemory = 10'485'760,
                             .used_memory = 1'048'576,
                             .aof_enabled = true,
                             .appendfsync = std::nullopt,
                             .aof_write_failed = false};
  BOOST_TEST((facts == expected));
  add_config(facts, "appendfsync", "everysec");
  BOOST_TEST((facts.appendfsync == "everysec"));
  BOOST_TEST((facts_from_info("nonsense\nmaxmemory:many\n:::\n") == ServerFacts{}));
}

BOOST_AUTO_TEST_CASE(a_well_kept_server_suits_both_roles) {
  for (const Role role : {Role::cache, Role::journal})
    for (const Finding& finding : check_policy(good_facts(), role)) {
      BOOST_TEST((finding.verdict == Verdict::good), finding.text);
      BOOST_TEST(finding.fix.empty());
    }
}

BOOST_AUTO_TEST_CASE(a_cache_may_evict_what_can_be_made_again_and_is_warned_of_the_rest) {
  ServerFacts facts = good_facts();
  facts.maxmemory_policy = "volatile-lfu";
  BOOST_TEST((gravest(facts, Role::cache).verdict == Verdict::good));
  facts.maxmemory_policy = "allkeys-lru";
  const Finding expected{
      Verdict::warning,
      "maxmemory-policy allkeys-lru drops results and leases when memory is short",
      "CONFIG SET maxmemory-policy volatile-lfu"};
  BOOST_TEST((gravest(facts, Role::cache) == expected));
}

BOOST_AUTO_TEST_CASE(a_journal_needs_noeviction_and_the_append_only_file) {
  for (const char* policy : {"volatile-lfu", "allkeys-lru", "allkeys-random"}) {
    ServerFacts facts = good_facts();
    facts.maxmemory_policy = policy;
    BOOST_TEST((gravest(facts, Role::journal).verdict == Verdict::refused));
    BOOST_TEST(gravest(facts, Role::journal).fix == "CONFIG SET maxmemory-policy noeviction");
  }
  ServerFacts facts = good_facts();
  facts.aof_enabled = false;
  BOOST_TEST(gravest(facts, Role::journal).fix == "CONFIG SET appendonly yes");
  BOOST_TEST((gravest(facts, Role::cache).verdict == Verdict::good));
}

BOOST_AUTO_TEST_CASE(what_cannot_be_told_is_a_warning_for_a_cache_and_refused_for_a_journal) {
  BOOST_TEST((gravest({}, Role::cache).verdict == Verdict::warning));
  BOOST_TEST((gravest({}, Role::journal).verdict == Verdict::refused));
  BOOST_TEST(gravest({}, Role::journal).fix == "ACL SETUSER <user> +info +config|get");
}

BOOST_AUTO_TEST_CASE(old_replicated_full_and_unwritable_servers_are_named) {
  ServerFacts facts = good_facts();
  facts.version = "6.2.1";
  BOOST_TEST((gravest(facts, Role::cache).verdict == Verdict::refused));
  facts = good_facts();
  facts.is_replica = true;
  BOOST_TEST(gravest(facts, Role::cache).fix == "name the primary instead");
  facts = good_facts();
  facts.used_memory = 10'000'000;
  BOOST_TEST((gravest(facts, Role::cache).verdict == Verdict::warning));
  facts = good_facts();
  facts.aof_write_failed = true;
  BOOST_TEST((gravest(facts, Role::journal).verdict == Verdict::refused));
}

BOOST_AUTO_TEST_CASE(what_a_server_says_is_shown_escaped) {
  ServerFacts facts = good_facts();
  facts.version = "7.\x1b[31m";
  facts.maxmemory_policy = "\x1b[31m";
  for (const Finding& finding : check_policy(facts, Role::cache))
    BOOST_TEST(finding.text.find('\x1b') == std::string::npos);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace reprise::redis
