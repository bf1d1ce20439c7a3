// Reading JSON that is as it should be, with simdjson (On Demand, https://simdjson.org): several
// times as quick as a parser that can say what is wrong.
#pragma once

#include <optional>
#include <string_view>

#include "flow/json_text.hpp"

namespace reprise {

/// As parse_json(); nothing: it is not, or it has to be looked at by one that can say why not.
[[nodiscard]] std::optional<ParsedJson> parse_good_json(std::string_view text,
                                                        const JsonLimits& limits);

}  // namespace reprise
