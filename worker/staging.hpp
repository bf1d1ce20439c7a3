// Which files a command finds in its folder, and where: planned first, as data, then made.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <tuple>
#include <variant>
#include <vector>

#include "cache/blob_store.hpp"
#include "core/result.hpp"
#include "core/value.hpp"

namespace reprise::worker {

/// True for a path that stays below its folder: relative, not empty, no "..", no NUL, no empty or
/// "." part.
[[nodiscard]] bool is_inner_path(std::string_view path);

/// Places below the attempt's folder. Names of tasks are no part of any path: places are numbered
/// in the order in which they are asked for, which the flow alone decides, so that a command's
/// arguments are the same in every run.
class Staging {
 public:
  struct Place {
    std::string path;  // relative to the attempt's folder
    // From the blob store, or from a local path.
    struct Local {
      std::filesystem::path from;
      bool operator==(const Local&) const = default;
    };
    std::variant<FileValue, Local> source;
    bool operator==(const Place&) const = default;
  };

  /// "inputs/<n>/<last part of name>"; the same file under the same name has one place.
  [[nodiscard]] std::string add_file(const FileValue& file, std::string_view name);
  /// "inputs/<n>", a folder with these files; names that are no inner path become numbers.
  [[nodiscard]] std::string add_folder(const std::vector<std::pair<std::string, FileValue>>& files);
  /// At exactly this inner path. @error invalid_argument: not an inner path, or taken by another
  /// file
  Status add_at(std::string path, std::variant<FileValue, Place::Local> source);

  [[nodiscard]] const std::vector<Place>& places() const { return places_; }

  /// Puts everything in place, read-only. Small files are copies, so that a command that overwrites
  /// its input harms nobody; large ones from the store are hard links, large local ones symbolic
  /// links. A local folder is made with all that is in it; links in it are copied, not followed.
  /// @error not_found, corrupt, io, exhausted
  [[nodiscard]] Status make(const std::filesystem::path& folder, cache::BlobStore* blobs) const;

 private:
  [[nodiscard]] std::string next_folder() { return "inputs/" + std::to_string(count_++); }

  std::vector<Place> places_;
  std::map<std::tuple<Digest, bool, std::string>, std::string> known_;
  std::map<std::string, std::size_t> taken_;
  std::size_t count_ = 0;
};

}  // namespace reprise::worker
