// Looking after a data folder's cache: removing, pinning, collecting, verifying. Beside the store
// and while it is in use, by one transaction at a time.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "cache/blob_store.hpp"
#include "cache/store.hpp"

namespace reprise::cache {

/// What keeps a result from being collected; the numbers are part of the format of cache.db.
enum class PinKind : std::int64_t { key = 0, digest = 1, run = 2 };

struct Pin {
  PinKind kind = PinKind::key;
  std::string id;  // raw bytes of the key, digest or run
  Time at;
  std::string why;
};

/// Which current results are meant; every condition that is given has to hold.
struct Selection {
  std::set<Key> keys{};
  std::optional<std::string> name{};     // of the task in the key, or as shown in its run
  std::optional<std::string> version{};  // of the task
  std::optional<RunId> run{};            // that made it
  bool with_material = false;            // the records are to have theirs
};

/// How often and when a result was of use, for the order in which results go.
struct Usage {
  std::uint64_t count = 0;
  Time last{};
};

struct CollectRequest {
  std::uint32_t keep_versions = 16;            // superseded ones of a key that stay, at least
  Duration keep_for{std::chrono::hours{720}};  // superseded ones younger than this stay too
  std::optional<Duration> max_age{};           // entries older than this go
  // Of the results' values and files, each once; the least worth goes first. What would stay on
  // the disk all the same (pinned, in use, younger than the grace time) does not go.
  std::optional<std::uint64_t> max_bytes{};
  Duration grace{std::chrono::hours{2}};  // blobs younger than this stay
  bool dry_run = false;
  std::map<Key, Usage> uses{};              // of entries, by runs
  std::set<RunId> active{};                 // runs whose results stay
  std::set<std::pair<Key, Digest>> used{};  // results that stay, by their values
  std::set<Digest> blobs_in_use{};          // by others than the cache
  // Work is done in steps of so many rows, each a transaction of its own: others wait for no
  // longer than one, and get their turn after it.
  std::uint32_t rows_per_step = 500;
  // After each step; false: stop here. What is done is done, and collecting again does the rest.
  std::function<bool()> on_step{};
};

struct Collected {
  struct Entry {
    Record record;
    std::string why;  // "age", "size"
  };
  std::vector<Entry> entries;     // that went, or would
  std::uint64_t versions = 0;     // superseded ones that went
  std::uint64_t value_bytes = 0;  // of both, as far as they lay in their rows
  std::uint64_t blobs = 0;        // files that went
  std::uint64_t blob_bytes = 0;
  std::uint64_t evicted_bytes = 0;  // of both, freed by `entries`
  std::uint64_t pinned = 0;         // entries that would have gone, but are pinned or in use
  std::uint64_t over = 0;           // bytes above max_bytes that are left, because they cannot go
  std::uint64_t entries_left = 0;
  std::uint64_t bytes_before = 0;  // values and blobs
  Duration cost{0};                // of making again what went
  bool is_complete = true;         // false: on_step stopped it
};

struct Verified {
  enum class Fault : std::uint8_t {
    wrong,    // the bytes are not what the digest says
    missing,  // a blob that a result needs is not there
    orphan,   // a blob that nothing needs
    record,   // a row does not decode
  };
  struct Problem {
    Fault fault = Fault::wrong;
    std::string what;  // a key and version, or the digest of a blob
    bool is_repaired = false;
  };
  std::uint64_t versions = 0;  // looked at
  std::uint64_t blobs = 0;
  std::vector<Problem> problems;
};

/// Not safe for concurrent use of one object; any number of processes may have one.
class Upkeep {
 public:
  /// @param path  of cache.db, which must exist. @error as sqlite::Database::open
  [[nodiscard]] static Result<std::unique_ptr<Upkeep>> open(const std::filesystem::path& path,
                                                            std::shared_ptr<BlobStore> blobs,
                                                            std::filesystem::path blob_folder);
  ~Upkeep();

  /// Current results without values, newest first. @error io, corrupt
  [[nodiscard]] Result<std::vector<Record>> select(const Selection& selection);
  /// From now on there is no result under these keys; what was stays in the history. What is being
  /// computed under them is not kept when it is done. Many go in several transactions.
  /// @return how many there were. @error unavailable, io, exhausted
  Result<std::uint64_t> remove(const std::set<Key>& keys, Time now);

  /// What fits the selection and is being computed is not kept when it is done, also where nothing
  /// is kept yet. What is kept stays. @error unavailable, io, exhausted
  Status fence(const Selection& selection, Time now);

  Status pin(PinKind kind, std::string_view id, std::string_view why, Time now);
  /// @return false: there was no such pin
  Result<bool> unpin(PinKind kind, std::string_view id);
  [[nodiscard]] Result<std::vector<Pin>> pins();

  /// Retention of history, then age, then size, then blobs that nothing needs. What is removed
  /// moves the horizon of its key, so that nobody is told something wrong about the past.
  Result<Collected> collect(const CollectRequest& request, Time now);

  /// Looks at every version and blob. @param repair  marks damaged versions, sets damaged blobs
  /// aside and removes what nothing needs
  Result<Verified> verify(bool repair, const std::set<Digest>& blobs_in_use, Duration grace,
                          Time now);

  /// Digests of the files within a value, and nothing for other values.
  [[nodiscard]] static std::set<Digest> files_in(const Value& value);

 private:
  struct State;
  explicit Upkeep(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace reprise::cache
