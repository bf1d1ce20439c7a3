// The folder in which everything is kept: where it is, what lies where, who runs what.
//
//   <data>/journal.db     what happened
//   <data>/cache.db       results by key
//   <data>/blobs/         files and large values, by digest
//   <data>/runs/<ULID>/   logs and work folders of one run; the process that runs it holds a lock
//   on
//                         the file "owner" in there
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/result.hpp"
#include "journal/journal.hpp"

namespace reprise::journal {

/// Makes the folder and those above it, as far as they are missing, for nobody but their owner.
/// @error denied, exhausted, io
[[nodiscard]] Status make_private_folders(const std::filesystem::path& path);

/// Held while a run is being run. The system lets go of it when the process ends, however it ends.
class RunLock {
 public:
  RunLock(RunLock&& other) noexcept;
  RunLock& operator=(RunLock&& other) noexcept;
  ~RunLock();

 private:
  friend class DataFolder;
  explicit RunLock(int descriptor) : descriptor_(descriptor) {}
  int descriptor_ = -1;
};

class DataFolder {
 public:
  struct Options {
    std::filesystem::path path{};  // empty: $XDG_DATA_HOME/reprise, else $HOME/.local/share/reprise
    bool create = true;            // make it when missing, and try whether it can be written to
  };
  /// @error denied, exhausted, io: it cannot be made or written to; not_found: it is not there and
  /// `create` is false.
  ///        The message names the folder and the way out
  [[nodiscard]] static Result<DataFolder> open(const Options& options);
  /// Where the folder is when nobody says otherwise. @error not_found: neither variable is set
  [[nodiscard]] static Result<std::filesystem::path> default_path();

  [[nodiscard]] const std::filesystem::path& path() const { return path_; }
  [[nodiscard]] std::filesystem::path journal_file() const { return path_ / "journal.db"; }
  [[nodiscard]] std::filesystem::path cache_file() const { return path_ / "cache.db"; }
  [[nodiscard]] std::filesystem::path blobs() const { return path_ / "blobs"; }
  [[nodiscard]] std::filesystem::path runs() const { return path_ / "runs"; }
  [[nodiscard]] std::filesystem::path run_folder(const RunId& run) const {
    return runs() / run.text();
  }
  /// What a careful user would want to know, e.g. that the folder is on a network file system.
  [[nodiscard]] const std::vector<std::string>& warnings() const { return warnings_; }

  /// Makes the run's folder, 0700; it may exist.
  [[nodiscard]] Result<std::filesystem::path> make_run_folder(const RunId& run) const;
  /// Makes the run's folder and becomes its owner. @error conflict: a live process is, named in the
  /// message
  [[nodiscard]] Result<RunLock> own(const RunId& run) const;
  /// A live process, maybe this one, runs it.
  [[nodiscard]] bool is_owned(const RunId& run) const;
  /// A process ran it and is no more. False also where nobody can tell.
  [[nodiscard]] bool was_abandoned(const RunId& run) const;
  /// The row's state, except that an unfinished run without an owner is interrupted.
  [[nodiscard]] RunState effective_state(const RunRow& row) const;
  /// Deletes the run's folder; links in it are removed, not followed. @error conflict: the run has
  /// a live owner; io
  Status remove_run_folder(const RunId& run) const;

  struct Usage {
    std::uint64_t files = 0;
    std::uint64_t bytes = 0;
  };
  /// Of the run's folder; links are not followed.
  [[nodiscard]] Usage usage(const RunId& run) const;

 private:
  enum class Owner : std::uint8_t { never, alive, gone };
  [[nodiscard]] Owner owner_of(const RunId& run) const;

  std::filesystem::path path_;
  std::vector<std::string> warnings_;
};

}  // namespace reprise::journal
