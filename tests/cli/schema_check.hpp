// Whether a document is what its schema says; the part of JSON schema (draft 07) that docs/schema/
// uses.
#pragma once

#include <filesystem>
#include <string>

#include <nlohmann/json.hpp>

namespace reprise::cli::test {

/// Empty: it is. Else the first thing that is not, with its place.
std::string violation(const nlohmann::json& document, const nlohmann::json& schema,
                      const std::filesystem::path& folder, const std::string& place = "$");

/// The document checked against docs/schema/<its own schema>.json. Also says when it has fields the
/// schema does not name.
std::string violation(const nlohmann::json& document);

}  // namespace reprise::cli::test
