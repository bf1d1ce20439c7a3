// Finding the newest version that can be served, for many keys at once.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cache/blob_store.hpp"
#include "cache/redis_keys.hpp"
#include "cache/redis_record.hpp"
#include "redis/client.hpp"

namespace reprise::cache {

/// One use per look-up: make it, run() it, take what was found.
class RedisLookUp {
 public:
  struct Context {
    redis::Client& client;
    const RedisKeys& keys;
    BlobStore* blobs = nullptr;
    const MacKeys* mac_keys = nullptr;  // null: whoever may write is believed
    Time now{};
    bool read_only = false;  // nothing is fetched, and what is damaged stays where it is
  };

  RedisLookUp(Context context, std::span<const Query> queries);

  /// Files that found values speak of and this node lacks are in its blob store afterwards, as far
  /// as they are to be had.
  /// @error of the first round trip; when a later one fails, what needs it is not found
  Status run();
  [[nodiscard]] std::vector<Found>& found() { return found_; }
  [[nodiscard]] std::int64_t corrupt() const { return corrupt_; }
  /// Large values that were served, and files within values, to be kept longer.
  [[nodiscard]] const std::vector<Digest>& used_values() const { return used_values_; }

 private:
  struct Candidate {
    RedisRecord version{};
    std::string stored{};  // the record's bytes
    bool is_genuine = true;
  };
  // What is known of one key: versions to try, newest first.
  struct Search {
    std::size_t position = 0;  // of the key
    std::string tag{};
    std::vector<Candidate> candidates{};
    std::size_t next = 0;
    std::optional<std::size_t> stale{};  // of the candidates: to be served if none is fresh
    bool takes_stale = false;            // none is: `next` is that one
    bool is_history_loaded = false;
    bool is_done = false;
  };
  using Dropped = std::pair<std::string, std::string>;  // tag, bytes

  Status load_heads();
  void take_head(std::size_t position, redis::Reply& head);
  Status load_histories(const std::vector<Search*>& wanting);
  Status fetch_values(const std::vector<Search*>& wanting);
  void fetch_files();
  void leave_out_incomplete();
  [[nodiscard]] bool is_believed(const RedisRecord& version, std::string_view stored) const;
  bool serve_at_once(std::size_t position, std::string_view stored);
  void take(Search& search, std::string bytes);
  bool advance(Search& search);
  bool serve(Search& search, std::string bytes);
  void missed(const Search& search, Miss why);
  static void give_up_fresh(Search& search);
  void set_damaged_aside();

  Context context_;
  std::span<const Query> queries_;
  std::vector<Found> found_;
  std::vector<Search> searches_;
  std::vector<Dropped> dropped_;
  std::vector<std::pair<Digest, std::string>> dropped_values_;
  std::vector<Digest> used_values_;
  std::int64_t corrupt_ = 0;
};

}  // namespace reprise::cache
