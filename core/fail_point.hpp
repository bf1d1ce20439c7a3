// Places at which a test makes this process die or fail: to see what a crash, or a disk that is
// full, leaves behind exactly there.
//
//   REPRISE_FAIL_POINT=before_commit:2:kill           the second time there, kill -9
//   REPRISE_FAIL_POINT=before_blob:1+:ENOSPC          from the first time on, "no space left"
//   REPRISE_FAIL_POINT=before_blob:1:EIO,on_read:3:kill
//
// Without the variable a fail point is one comparison. It can hurt nobody but the process that has
// the variable in its environment, and whoever sets that can end the process anyway; a program that
// runs with more rights than its caller does not look at it.
#pragma once

#include <cstdint>
#include <string_view>

#include "core/result.hpp"

namespace reprise {

enum class FailPoint : std::uint8_t {
  before_blob,    // a blob is written, and has no name yet
  after_blob,     // it has its name, and nobody refers to it yet
  before_commit,  // the rows of a commit are written, and not committed yet
  after_commit,   // they are committed, and nobody was told yet
  on_read,        // results are about to be read
};

namespace fail_points {

extern const bool is_armed;  // false before main() begins

/// @return the number of the error (errno) with which the operation is to end; 0: none
[[nodiscard]] int pass(FailPoint point);

/// Whether the variable, if it is there, is understood; what is not understood does nothing.
/// @error invalid_argument
[[nodiscard]] Status check();

}  // namespace fail_points

/// To be called where the process may be made to fail. Safe from any thread.
/// @return 0: go on; else the errno with which the operation is to end
[[nodiscard]] inline int fail_at(FailPoint point) {
  return fail_points::is_armed ? fail_points::pass(point) : 0;
}

}  // namespace reprise
