#include "cluster/folder_lock.hpp"

#include <fcntl.h>
#include <sys/file.h>

#include <cerrno>

#include <fmt/format.h>

#include "core/text.hpp"

namespace reprise::cluster {

Status FolderLock::take(const std::filesystem::path& folder, std::string_view who) {
  const auto file = folder / fmt::format("{}.lock", who);
  const std::string shown = escape_for_terminal(folder.string());
  descriptor_ = Descriptor(::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (descriptor_.get() < 0)
    return tl::unexpected(system_error(fmt::format("open the lock of \"{}\"", shown), errno));
  if (::flock(descriptor_.get(), LOCK_EX | LOCK_NB) == 0) return {};
  if (errno == EWOULDBLOCK)
    return fail(ErrorCode::conflict,
                fmt::format("another {} uses the folder \"{}\"; give this one its own with --data",
                            who, shown));
  return tl::unexpected(system_error(fmt::format("lock \"{}\"", shown), errno));
}

}  // namespace reprise::cluster
