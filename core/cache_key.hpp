// The cache key: everything a result depends on, framed so that different work never shares a key.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/digest.hpp"
#include "core/result.hpp"

namespace reprise {

/// Names and types of what a task takes and gives; types in the portable grammar
/// `nil bool i64 u64 f64 str bytes list<T> map<K,V> tuple<…> opt<T> set<T> file dir time
/// rec<name@ver> any`.
struct Signature {
  std::vector<std::pair<std::string, std::string>> inputs;   // (name, type), in call order
  std::vector<std::pair<std::string, std::string>> outputs;  // (name, type)

  /// S = H("sig", …): independent of the order of parameters.
  [[nodiscard]] Digest digest() const;
  bool operator==(const Signature&) const = default;
};

/// What goes into a key (format version 1). Digests only, never values, so that it can be kept and
/// compared later.
struct Material {
  std::string account = "default";
  std::string name;     // not empty
  std::string version;  // not empty or blank
  Digest signature;
  std::optional<Digest> code;
  std::string salt;
  std::map<std::string, Digest> dependencies;
  std::map<std::string, std::string> environment;  // declared variables that are set
  std::map<std::string, Digest> arguments;         // A(value) of every input that is not ignored

  /// Canonical bytes of the material, kept beside an entry to explain misses.
  [[nodiscard]] std::string encode() const;
  /// @error corrupt
  [[nodiscard]] static Result<Material> decode(std::string_view bytes);

  /// Whether a key may be made of it. @error invalid_argument: no name, a blank version, or text
  /// that is not UTF-8
  [[nodiscard]] Status check() const;

  bool operator==(const Material&) const = default;
};

/// K = H("key", material). Text form: "k1:" + 64 hex digits.
struct Key {
  Digest digest;

  [[nodiscard]] static Key of(const Material& material);
  [[nodiscard]] std::string text() const;
  [[nodiscard]] static Result<Key> parse(std::string_view text);
  auto operator<=>(const Key&) const = default;
};

}  // namespace reprise

template <>
struct std::hash<reprise::Key> {
  std::size_t operator()(const reprise::Key& key) const noexcept {
    return std::hash<reprise::Digest>{}(key.digest);
  }
};
