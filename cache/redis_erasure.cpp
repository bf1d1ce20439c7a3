#include "cache/redis_erasure.hpp"

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "cache/archive.hpp"
#include "cache/redis_keys.hpp"
#include "cache/redis_record.hpp"

namespace reprise::cache {
namespace {

using redis::Commands;
using redis::Reply;

constexpr std::size_t keys_per_page = 200;  // with their histories

/// A version with the bytes it was read from.
struct Stored {
  std::string bytes;
  std::optional<RedisRecord> record;  // none: it does not decode, or a newer program wrote it
  bool goes = false;
};

class Eraser {
 public:
  Eraser(redis::Client& client, const ErasureRequest& request, bool dry_run)
      : client_(client), keys_(client.settings().prefix), request_(request), dry_run_(dry_run) {}

  Status erase_keys(const std::set<Key>& keys) {
    std::vector<std::string> tags;
    for (const Key& key : keys) tags.push_back(RedisKeys::tag(key));
    for (std::size_t at = 0; at < tags.size(); at += keys_per_page) {
      const std::vector<std::string> page(
          tags.begin() + static_cast<std::ptrdiff_t>(at),
          tags.begin() + static_cast<std::ptrdiff_t>(std::min(at + keys_per_page, tags.size())));
      if (auto done = erase_page(page); !done) return done;
    }
    return {};
  }

  // Pages go by sequence: what is committed meanwhile moves positions.
  Status erase_all_that_fit() {
    for (std::string below = "+inf";;) {
      Commands commands;
      commands.add("ZRANGE", keys_.index(), below, "-inf", "BYSCORE", "REV", "LIMIT", 0,
                   keys_per_page, "WITHSCORES");
      auto replies = ask(commands);
      if (!replies) return tl::unexpected(replies.error());
      const std::vector<Reply>& page = replies->front().elements;
      std::vector<std::string> tags;
      for (std::size_t i = 0; i + 1 < page.size(); i += 2) tags.push_back(page[i].text);
      if (tags.empty()) return {};
      below = "(" + page.back().text;
      if (auto done = erase_page(tags); !done) return done;
    }
  }

  Status erase_values(const std::set<Digest>& digests) {
    Commands commands;
    for (const Digest& digest : digests) {
      for (const std::string& key : {keys_.value(digest), keys_.quarantined_value(digest)}) {
        if (dry_run_)
          commands.add("EXISTS", key);
        else
          commands.add("DEL", key);
      }
    }
    if (commands.empty()) return {};
    auto replies = ask(commands);
    if (!replies) return tl::unexpected(replies.error());
    for (std::size_t i = 0; i < replies->size(); ++i)
      (i % 2 == 0 ? erased_.values : erased_.set_aside) +=
          static_cast<std::uint64_t>((*replies)[i].integer);
    return {};
  }

  [[nodiscard]] const std::set<Digest>& content() const { return content_; }
  [[nodiscard]] const ErasedInRedis& erased() const { return erased_; }

 private:
  Result<std::vector<Reply>> ask(const Commands& commands, std::uint64_t bytes = 0) {
    const redis::Budgets& budgets = client_.settings().budgets;
    // Nobody waits for this but the person who asked: time counts less than an answer.
    const Duration budget = budgets.connect + budgets.of(std::max<std::uint64_t>(
                                                  bytes, keys_per_page * redis_inline_bytes * 16));
    auto replies = client_.run(commands, budget);
    if (!replies) return replies;
    for (const Reply& reply : *replies)
      if (reply.is_error()) return tl::unexpected(redis::error_of(reply, client_.name()));
    return replies;
  }

  Status erase_page(const std::vector<std::string>& tags) {
    Commands commands;
    for (const std::string& tag : tags) {
      commands.add("GET", keys_.entry(tag));
      commands.add("LRANGE", keys_.history(tag), 0, -1);
      commands.add("GET", keys_.material(tag));
    }
    auto replies = ask(commands);
    if (!replies) return tl::unexpected(replies.error());
    for (std::size_t i = 0; i < tags.size(); ++i) {
      std::vector<Stored> versions;  // the newest first
      const auto take = [&](const Reply& reply) {
        if (!reply.is_text()) return;
        Stored& stored = versions.emplace_back(Stored{reply.text, {}, false});
        if (auto record = RedisRecord::decode(stored.bytes)) stored.record = *std::move(record);
      };
      take((*replies)[3 * i]);
      const bool has_head = !versions.empty();
      const auto& older = (*replies)[3 * i + 1].elements;
      std::for_each(older.rbegin(), older.rend(), take);
      const Reply& material = (*replies)[3 * i + 2];
      if (auto done = erase_entry(tags[i], versions, has_head,
                                  material.is_text() ? material.text : std::string());
          !done)
        return done;
    }
    return {};
  }

  std::string version_of_task(const std::string& stored_material) const {
    if (!request_.selection || !request_.selection->version) return {};
    const auto bytes = decode_value(stored_material);
    if (!bytes) return {};
    const auto material = Material::decode(*bytes);
    return material ? material->version : std::string();
  }

  // That its value speaks of; none where the value is nowhere to be read.
  Result<std::vector<Digest>> files_of(const RedisRecord& version) {
    if (version.is_damaged || version.is_tombstone) return std::vector<Digest>{};
    const Payload& value = version.record.value;
    std::string stored;
    if (version.place == ValuePlace::inside) stored = '\0' + version.value;
    if (version.place == ValuePlace::inside_compressed) stored = '\1' + version.value;
    if (version.place == ValuePlace::apart) {
      Commands commands;
      commands.add("GET", keys_.value(value.digest));
      auto replies = ask(commands, value.size);
      if (!replies) return tl::unexpected(replies.error());
      stored = replies->front().text;
    }
    const auto bytes = decode_value(stored, value.size);
    if (!bytes) return std::vector<Digest>{};
    return files_named_in(*bytes);
  }

  Result<bool> is_meant(const RedisRecord& version, const std::string& task_version) {
    const Record& record = version.record;
    if (request_.values.contains(record.value.digest) ||
        request_.fits(record.key, record.name, record.task, record.run, task_version))
      return true;
    if (request_.values.empty() || version.is_damaged || version.is_tombstone) return false;
    const auto files = files_of(version);
    if (!files) return tl::unexpected(files.error());
    return std::ranges::any_of(*files,
                               [&](const Digest& file) { return request_.values.contains(file); });
  }

  static std::string tombstone_of(const RedisRecord& version) {
    RedisRecord empty;
    empty.record.key = version.record.key;
    empty.record.version = version.record.version;
    empty.record.committed = version.record.committed;
    empty.sequence = version.sequence;
    empty.is_tombstone = true;
    return empty.encode();
  }

  /// One empty version is left, so that numbers go on and copies that come back are too old.
  void replace_all(const std::string& tag, const std::vector<Stored>& versions,
                   Commands& commands) const {
    const auto newest = std::find_if(versions.begin(), versions.end(), [](const Stored& stored) {
      return stored.record.has_value();
    });
    if (newest == versions.end())
      commands.add("DEL", keys_.entry(tag));
    else
      commands.add("SET", keys_.entry(tag), tombstone_of(*newest->record));
    commands.add("DEL", keys_.material(tag));
    commands.add("ZREM", keys_.index(), tag);
    commands.add("HINCRBY", keys_.statistics(), "entries", -1);
  }

  void replace_some(const std::string& tag, const std::vector<Stored>& versions, bool has_head,
                    Commands& commands) const {
    // Nothing is left of what goes and does not decode.
    const auto rest_of = [](const Stored& stored) -> std::optional<std::string> {
      if (!stored.goes) return stored.bytes;
      return stored.record ? std::optional(tombstone_of(*stored.record)) : std::nullopt;
    };
    // Oldest first, without the newest.
    for (std::size_t i = versions.size(); i-- > (has_head ? 1u : 0u);)
      if (const auto rest = rest_of(versions[i])) commands.add("RPUSH", keys_.history(tag), *rest);
    if (!has_head) return;
    if (const auto rest = rest_of(versions.front()))
      commands.add("SET", keys_.entry(tag), *rest);
    else
      commands.add("DEL", keys_.entry(tag));
  }

  Status erase_entry(const std::string& tag, std::vector<Stored>& versions, bool has_head,
                     const std::string& material) {
    const std::string task_version = version_of_task(material);
    std::int64_t going = 0, bytes = 0, staying = 0;
    for (Stored& stored : versions) {
      // What does not decode goes when its key is asked for: it may be what has to go.
      const bool is_unknown = !stored.record;
      if (!is_unknown && stored.record->is_tombstone) continue;
      auto meant =
          is_unknown ? Result<bool>(asks_for(tag)) : is_meant(*stored.record, task_version);
      if (!meant) return tl::unexpected(meant.error());
      stored.goes = *meant;
      if (!stored.goes) {
        ++staying;
        continue;
      }
      ++going;
      if (is_unknown) continue;
      bytes += static_cast<std::int64_t>(stored.record->record.value.size);
      const auto files = files_of(*stored.record);
      if (!files) return tl::unexpected(files.error());
      content_.insert(files->begin(), files->end());
      content_.insert(stored.record->record.value.digest);
      erased_.keys.insert(stored.record->record.key);
    }
    if (going == 0) return {};
    ++erased_.entries;
    erased_.versions += static_cast<std::uint64_t>(going);
    if (!material.empty() && staying == 0) ++erased_.materials;
    if (dry_run_) return {};

    Commands commands;
    commands.add("DEL", keys_.history(tag), keys_.quarantine(tag));
    if (staying == 0)
      replace_all(tag, versions, commands);
    else
      replace_some(tag, versions, has_head, commands);
    commands.add("HINCRBY", keys_.statistics(), "versions", -going);
    commands.add("HINCRBY", keys_.statistics(), "value_bytes", -bytes);
    auto replies = ask(commands);
    if (!replies) return tl::unexpected(replies.error());
    return {};
  }

  bool asks_for(const std::string& tag) const {
    if (!request_.selection) return false;
    return std::any_of(request_.selection->keys.begin(), request_.selection->keys.end(),
                       [&](const Key& key) { return RedisKeys::tag(key) == tag; });
  }

  redis::Client& client_;
  RedisKeys keys_;
  const ErasureRequest& request_;
  const bool dry_run_;
  std::set<Digest> content_;
  ErasedInRedis erased_;
};

}  // namespace

Result<ErasedInRedis> erase_in_redis(redis::Client& client, const ErasureRequest& request,
                                     const std::set<Digest>& content, bool dry_run) {
  Eraser eraser(client, request, dry_run);
  const bool is_by_key =
      request.values.empty() && request.selection && !request.selection->keys.empty();
  const Status done =
      is_by_key ? eraser.erase_keys(request.selection->keys) : eraser.erase_all_that_fit();
  if (!done) return tl::unexpected(done.error());
  std::set<Digest> values = content;
  values.insert(eraser.content().begin(), eraser.content().end());
  values.insert(request.values.begin(), request.values.end());
  if (auto gone = eraser.erase_values(values); !gone) return tl::unexpected(gone.error());
  return eraser.erased();
}

}  // namespace reprise::cache
