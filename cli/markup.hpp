// Foreign text within documents of other programs: nothing in it is taken for markup.
#pragma once

#include <string>
#include <string_view>

namespace reprise::cli {

/// For HTML and XML, also within quoted attributes; what is invisible is shown as on a terminal.
[[nodiscard]] std::string markup_text(std::string_view text);

/// In double quotes, as dot wants it.
[[nodiscard]] std::string dot_text(std::string_view text);

}  // namespace reprise::cli
