#include "cli/key_selection.hpp"

#include <fmt/format.h>

#include "cache/key_prefix.hpp"
#include "cli/run_selector.hpp"
#include "cli/text.hpp"
#include "core/text.hpp"

namespace reprise::cli {

Result<Key> one_key(cache::Store& store, const std::string& prefix) {
  const auto range = cache::keys_with_prefix(prefix);
  if (!range) return tl::unexpected(range.error());
  if (range->first == range->last) return range->first;  // the whole key
  const auto versions = store.versions(prefix);
  if (!versions) return tl::unexpected(versions.error());
  std::set<Key> found;
  for (const cache::Record& record : *versions) found.insert(record.key);
  if (found.size() == 1) return *found.begin();
  if (found.empty())
    return fail(ErrorCode::not_found,
                fmt::format("the cache has no entry \"{}\"; `reprise cache ls` lists them",
                            escape_for_terminal(prefix)));
  return fail(ErrorCode::not_found,
              fmt::format("\"{}\" is the beginning of {}", escape_for_terminal(prefix),
                          counted(found.size(), "key")));
}

Result<cache::Selection> selection_of(const CacheSelectOptions& options, cache::Store& store,
                                      journal::Journal* journal) {
  cache::Selection selection;
  for (const std::string& prefix : options.keys) {
    const auto key = one_key(store, prefix);
    if (!key) return tl::unexpected(key.error());
    selection.keys.insert(*key);
  }
  if (!options.task.empty()) selection.name = options.task;
  if (!options.version.empty()) selection.version = options.version;
  if (!options.run.empty()) {
    if (journal == nullptr)
      return fail(ErrorCode::not_found, "there are no runs yet; start one with `reprise run FLOW`");
    const auto row = find_run(options.run, *journal);
    if (!row) return tl::unexpected(row.error());
    selection.run = row->id;
  }
  return selection;
}

}  // namespace reprise::cli
