// Held while one process uses a folder for itself. The system lets go of it when the process ends,
// however it ends.
#pragma once

#include <filesystem>
#include <string_view>

#include "cluster/descriptor.hpp"
#include "core/result.hpp"

namespace reprise::cluster {

class FolderLock {
 public:
  /// Locks the file "WHO.lock" in the folder, which exists.
  /// @error conflict: another process holds it; io, denied
  [[nodiscard]] Status take(const std::filesystem::path& folder, std::string_view who);

 private:
  Descriptor descriptor_;
};

}  // namespace reprise::cluster
