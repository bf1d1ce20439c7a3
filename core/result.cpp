#include "core/result.hpp"

#include <cerrno>
#include <system_error>

#include <fmt/format.h>

namespace reprise {

std::string_view name(ErrorCode code) {
  switch (code) {
    case ErrorCode::invalid_argument:
      return "invalid_argument";
    case ErrorCode::not_found:
      return "not_found";
    case ErrorCode::conflict:
      return "conflict";
    case ErrorCode::unavailable:
      return "unavailable";
    case ErrorCode::corrupt:
      return "corrupt";
    case ErrorCode::io:
      return "io";
    case ErrorCode::exhausted:
      return "exhausted";
    case ErrorCode::cancelled:
      return "cancelled";
    case ErrorCode::denied:
      return "denied";
    case ErrorCode::internal:
      return "internal";
  }
  return "unknown";
}

ErrorCode error_code_of(int errno_value) {
  switch (errno_value) {
    case ENOENT:
    case ENOTDIR:
      return ErrorCode::not_found;
    case EEXIST:
      return ErrorCode::conflict;
    case EACCES:
    case EPERM:
    case EROFS:
      return ErrorCode::denied;
    case ENOSPC:
    case EDQUOT:
    case EFBIG:  // a limit on the size of files
      return ErrorCode::exhausted;
    default:
      return ErrorCode::io;
  }
}

Error system_error(std::string_view what, int errno_value) {
  // generic_category().message() is the thread-safe strerror().
  return Error{ErrorCode::io,
               fmt::format("{}: {}", what, std::generic_category().message(errno_value))};
}

}  // namespace reprise
