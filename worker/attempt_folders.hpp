// Fresh folders for commands to run in, below one folder of the run.
//
// Making and removing a folder costs a journalled file system about as much as a third of a
// process. So folders are used again once they are empty, and a command that leaves nothing behind,
// or whose leavings were removed, costs none. Removing leavings may take longer than a short
// command, so it is done when somebody has time for it, at the latest for the next command.
#pragma once

#include <cstddef>
#include <cstdint>
#include <ctime>
#include <filesystem>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "core/result.hpp"

namespace reprise::worker {

/// Beside the folder of an attempt, and so out of its command's way: the n-th value it is given.
[[nodiscard]] std::filesystem::path value_file(const std::filesystem::path& folder, std::size_t n);

/// Safe from any thread. One per run and process.
class AttemptFolders {
 public:
  explicit AttemptFolders(std::filesystem::path parent) : parent_(std::move(parent)) {}
  ~AttemptFolders();  // removes the folders, all of which must have been given back
  AttemptFolders(const AttemptFolders&) = delete;
  AttemptFolders& operator=(const AttemptFolders&) = delete;

  struct Folder {
    explicit Folder(std::filesystem::path at)
        : path(std::move(at)),
          context(path.string() + ".context.json"),
          signal(path.string() + ".signal") {}
    std::filesystem::path path;
    std::filesystem::path context;  // beside it, as the rest that is about an attempt
    std::filesystem::path signal;
    std::uint64_t inode = 0;
    timespec changed{};      // when it was last seen empty
    timespec taken{};        // when the present attempt got it
    std::size_t values = 0;  // files of values that lie beside it
  };

  /// An empty folder for one attempt; given back when this goes. Beside it, and so out
  /// of the command's way, are places for what it is told, for the values it is given, and for what
  /// it answers.
  class Lease {
   public:
    Lease(AttemptFolders& folders, Folder folder)
        : folders_(&folders), folder_(std::move(folder)) {}
    Lease(Lease&& other) noexcept
        : folders_(std::exchange(other.folders_, nullptr)), folder_(std::move(other.folder_)) {}
    Lease& operator=(Lease&&) = delete;
    ~Lease() {
      if (folders_ != nullptr) folders_->give_back(std::move(folder_));
    }
    [[nodiscard]] const std::filesystem::path& path() const { return folder_.path; }
    /// Written over by each attempt.
    [[nodiscard]] const std::filesystem::path& context_file() const { return folder_.context; }
    /// Puts the values that the attempt is given where value_file() says. @error as write_over()
    [[nodiscard]] Status put_values(const std::vector<std::string>& values);
    /// Not there when the attempt begins.
    [[nodiscard]] const std::filesystem::path& signal_file() const { return folder_.signal; }

   private:
    AttemptFolders* folders_;
    Folder folder_;
  };

  /// @error io, exhausted
  [[nodiscard]] Result<Lease> take();
  /// Removes what was left in the folders that were given back.
  void tidy();

 private:
  void give_back(Folder folder);
  [[nodiscard]] static bool make_empty(Folder& folder);

  const std::filesystem::path parent_;
  std::mutex mutex_;
  std::vector<Folder> free_;
  std::vector<Folder> used_;  // given back, and perhaps not empty
  std::size_t made_ = 0;
};

/// Removes a folder with all below it, also where a command took itself the permission. Follows no
/// links.
void remove_tree(const std::filesystem::path& folder);

}  // namespace reprise::worker
