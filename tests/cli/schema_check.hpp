// Whether a document is what its schema says; the part of JSON schema (draft 07) that docs/schema/
// uses.
#pragma once

#include <filesystem>
#include <string>

#include <nlohmann/json.hpp>

#include "tests/cli/program.hpp"

namespace reprise::cli::test {

/// Empty: it is. Else the first thing that is not, with its place.
std::string violation(const nlohmann::json& document, const nlohmann::json& schema,
                      const std::filesystem::path& folder, const std::string& place = "$");

/// The document checked against docs/schema/<its own schema>.json. Also says when it has fields the
/// schema does not name.
std::string violation(const nlohmann::json& document);

/// What a program wrote to stdout, which has to be a document that is what its schema says.
nlohmann::json document_in(const Finished& program);

}  // namespace reprise::cli::test
