// Where results come from and what was made of them: followed through the runs that the journal
// remembers, over cache hits back to the attempts that really ran.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "cache/store.hpp"
#include "journal/journal.hpp"
#include "journal/run_view.hpp"

namespace reprise {

/// Something a result was made of.
struct Ingredient {
  enum class Kind : std::uint8_t { parameter, constant, file, result, unknown };
  Kind kind = Kind::unknown;
  std::string name;                      // of the input, parameter or file
  std::string text;                      // a small value as JSON, else a digest
  std::optional<std::uint32_t> made_by;  // of a result: position in Provenance::makers
};

/// An attempt that made a result.
struct Maker {
  RunId run;
  std::string task;
  std::uint32_t attempt = 0;
  std::optional<Time> at;  // when it ended; not known: the run is forgotten
  std::string code;        // "call bam.merge@3", or the command as the flow has it
  std::string version;     // of the task
  SourceSpan span;         // in the run's flow file
  std::string source_file;
  std::optional<Key> key;
  Digest digest;  // of the result; none: it gave none
  std::uint64_t size = 0;
  bool is_forgotten = false;  // the run is not in the journal any more: what follows is what the
                              // cache knows of it
  std::vector<Ingredient> ingredients;
};

struct Provenance {
  std::vector<Maker> makers;  // the first is what was asked about; sources come last
  bool is_complete = true;    // false: more than `makers_max`, the rest is left out
};
inline constexpr std::size_t makers_max = 10'000;

/// @param store  knows what is left of forgotten runs, and the digests of files; may be null
/// @param key    of the task, if that is known: the run may be forgotten then
/// @error not_found, corrupt, unavailable, io
[[nodiscard]] Result<Provenance> provenance_of(journal::Journal& journal, cache::Store* store,
                                               const RunId& run, const std::string& task,
                                               std::optional<Key> key = {});

/// Keys of all results that were made of those under `seeds`, in any run: the downstream closure,
/// without the seeds.
/// @error unavailable, io
[[nodiscard]] Result<std::set<Key>> made_of(journal::Journal& journal, const std::set<Key>& seeds);

}  // namespace reprise
