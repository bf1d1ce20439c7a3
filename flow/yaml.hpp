// YAML 1.2 and JSON as a tree in which every key and value knows where it stands, read by libfyaml.
//
// Stricter than YAML on purpose, so that a file means what it looks like: no anchors, aliases,
// tags, merge keys, duplicate keys or several documents; scalars follow the core schema only
// (`yes`, `on`, `010`, `1:30` are text). Limits hold before and while reading, so that hostile
// input costs milliseconds.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/value.hpp"
#include "flow/diagnostics.hpp"

namespace reprise::yaml {

inline constexpr std::size_t max_bytes = 8u << 20;
inline constexpr std::size_t max_depth = 64;         // nested lists and maps
inline constexpr std::size_t max_nodes = 2'000'000;  // keys and values

struct Node;

/// One `key: value` of a map.
struct Entry {
  const Node* key = nullptr;  // always a scalar
  const Node* value = nullptr;
};

struct Node {
  enum class Kind : std::uint8_t { scalar, sequence, mapping };
  enum class Style : std::uint8_t { plain, single_quoted, double_quoted, literal, folded };

  Kind kind = Kind::scalar;
  Style style = Style::plain;
  std::uint32_t begin =
      0;  // bytes [begin, end) of the file: content of a scalar without quotes, brackets of a flow
  std::uint32_t end = 0;  // list or map, or for block ones the first character up to the last child
  const Node* parent = nullptr;
  const Node* key = nullptr;  // within a mapping, the key of this value
  std::uint32_t index = 0;    // within a sequence
  bool broken = false;  // already complained about (an alias, say): take no offence at its type
  bool incomplete =
      false;  // a map that lost entries whose keys were refused: take no offence at what it lacks
  std::string text;  // of a scalar
  std::vector<const Node*> items;
  std::vector<Entry> entries;

  [[nodiscard]] bool is_scalar() const { return kind == Kind::scalar; }
  [[nodiscard]] bool is_sequence() const { return kind == Kind::sequence; }
  [[nodiscard]] bool is_mapping() const { return kind == Kind::mapping; }
  /// Value of the entry with this key; nullptr: not a mapping or no such entry.
  [[nodiscard]] const Node* find(std::string_view name) const;
};

/// The value a scalar stands for in the YAML 1.2 core schema: nil, bool, int, float or text. Quoted
/// and block scalars are text always. Integers that do not fit 64 bits are floats.
[[nodiscard]] Value scalar_value(const Node& scalar);

/// The value of a whole tree; map keys are text.
[[nodiscard]] Value to_value(const Node& node);

class Document {
 public:
  /// Reads `text`, which must outlive the document. Mistakes end up in `diagnostics`; after one of
  /// them in the file's form there is no root.
  static Document parse(std::string_view text, std::vector<Diagnostic>& diagnostics);

  [[nodiscard]] const Node* root() const { return root_; }
  [[nodiscard]] std::string_view text() const { return text_; }

  /// Where bytes [begin, end) stand; a range over several lines is cut at the end of its first
  /// line.
  [[nodiscard]] SourceSpan span(std::size_t begin, std::size_t end) const;
  /// Where a node stands: a scalar with its quotes, a list or map with its brackets or, in block
  /// form, its first line.
  [[nodiscard]] SourceSpan span(const Node& node) const;
  /// Where bytes [begin, end) of a scalar's text stand in the file, across quotes, escapes and
  /// folded lines.
  [[nodiscard]] SourceSpan span_within(const Node& scalar, std::size_t begin,
                                       std::size_t end) const;
  /// RFC 6901.
  [[nodiscard]] static std::string pointer(const Node& node);

 private:
  friend class Reader;
  void index_lines();
  [[nodiscard]] std::uint32_t characters_before(std::size_t offset) const;

  std::string_view text_;
  std::vector<std::uint32_t> line_starts_;
  // Characters before every 256th byte: a file may be one line of megabytes, and each place in it
  // has a column.
  std::vector<std::uint32_t> characters_;
  std::deque<Node> nodes_;  // addresses stay
  const Node* root_ = nullptr;
};

}  // namespace reprise::yaml
