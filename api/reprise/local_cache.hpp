// The cache alone, without tasks and flows: results kept under a name, a version and inputs, for
// programs that want nothing else.
//
//   reprise::local_cache cache;
//   const reprise::local_cache::inputs in{{"text", text}, {"limit", 10}};
//   if (auto known = cache.get<ranking>("rank", "1", in); known && *known) return **known;
//   ranking made = rank(text, 10);
//   cache.set("rank", "1", in, made);
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "reprise/codec.hpp"
#include "reprise/error.hpp"
#include "reprise/value.hpp"

namespace reprise {

/// Results survive the program, and are shared by all programs that name the same folder, at the
/// same time as well. They lie beside those of flows: `reprise cache ls`, `show`, `gc`, `export`
/// and the others see them. Safe from any thread. Every call blocks on the disk.
///
/// What counts as the same: equal name, equal version (byte by byte) and equal inputs by name and
/// content, where 1 and 1.0 differ. Another version is another result, also when it was there
/// before: going back finds the old one.
class local_cache {
 public:
  using inputs = std::map<std::string, value>;
  using names = std::set<std::string>;

  /// Does not touch the disk.
  /// @param data  data directory; empty: $XDG_DATA_HOME/reprise, else ~/.local/share/reprise
  /// @param account  whose results these are: those of others are not found; not empty
  /// @param salt     another one finds nothing of what was kept so far, and deletes nothing
  explicit local_cache(std::filesystem::path data = {}, std::string account = "default",
                       std::string salt = {});
  ~local_cache();
  local_cache(const local_cache&) = delete;
  local_cache& operator=(const local_cache&) = delete;

  /// Makes what is missing in the folder. The others do this when it was not done; calling it
  /// tells early what would go wrong. @error denied, exhausted, io; conflict: written by a newer
  /// version of reprise, or no folder of its
  expected<void> initialize();

  /// From here on there is no result that this class has set, by whichever program, in this folder.
  /// Results of flows stay. @error as initialize(); unavailable
  expected<void> clear();

  /// The result that was set, or nothing. One whose bytes are damaged is nothing.
  /// @param ignored  inputs that do not count; names that are no inputs do no harm
  /// @error invalid_argument: no name or version, an input that cannot be cached (text that is not
  /// UTF-8), or a result of another type than `R`; otherwise as initialize(); unavailable
  template <codec::carriable R>
  [[nodiscard]] expected<std::optional<R>> get(std::string_view name, std::string_view version,
                                               const inputs& in, const names& ignored = {}) {
    const auto bytes = get_bytes(name, version, in, ignored);
    if (!bytes) return tl::unexpected(bytes.error());
    if (!*bytes) return std::optional<R>();
    auto result = codec::decode<R>(**bytes);
    if (!result) return tl::unexpected(result.error());
    return std::optional<R>(*std::move(result));
  }

  /// Keeps a result; one that was set before under the same is superseded.
  /// @error as get(); exhausted: the disk is full
  template <codec::carriable R>
  expected<void> set(std::string_view name, std::string_view version, const inputs& in,
                     const R& result, const names& ignored = {}) {
    codec::encoded made = codec::encode(result);
    if (!made.uncacheable.empty())
      return tl::unexpected(
          error{error_code::invalid_argument, "the result cannot be cached: " + made.uncacheable});
    return set_bytes(name, version, in, std::move(made.bytes), ignored);
  }

 private:
  struct state;
  expected<std::optional<std::string>> get_bytes(std::string_view name, std::string_view version,
                                                 const inputs& in, const names& ignored);
  expected<void> set_bytes(std::string_view name, std::string_view version, const inputs& in,
                           std::string bytes, const names& ignored);

  std::unique_ptr<state> state_;
};

}  // namespace reprise
