// Where a result comes from, as text, JSON and a graph for dot.
#pragma once

#include "actors/lineage.hpp"
#include "cli/console.hpp"

namespace reprise::cli {

/// The document reprise.provenance/1.
[[nodiscard]] Json provenance_json(const Provenance& provenance);
void print_provenance(const Provenance& provenance, Console& console);
/// In the language of graphviz, edges from what was taken to what was made.
[[nodiscard]] std::string provenance_dot(const Provenance& provenance);

/// What a command prints that was asked for the provenance of a result.
/// @param key  of the task, if that is known: the run may be forgotten then
int show_provenance(const RunId& run, const std::string& task, const std::optional<Key>& key,
                    bool as_dot, Console& console);
/// The same for a value, by the beginning of its digest: the newest result that is this value.
int show_value_provenance(const std::string& digest, bool as_dot, Console& console);

}  // namespace reprise::cli
