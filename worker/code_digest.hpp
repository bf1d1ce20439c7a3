// Which build of which program, or library, has a piece of code.
#pragma once

#include "core/digest.hpp"
#include "core/result.hpp"

namespace reprise::worker {

/// Of the loaded module that holds `address`; of the program itself where none does. The linker's
/// build id stands for a module; where it has none, the content of its file does.
/// @error io: the file cannot be read
[[nodiscard]] Result<Digest> code_digest(const void* address);

}  // namespace reprise::worker
