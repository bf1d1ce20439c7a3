// Builds a JsonTree out of what a parser meets, in document order, and refuses what the limits or
// the rules for keys forbid.
#pragma once

#include <algorithm>
#include <cstring>
#include <memory>
#include <memory_resource>
#include <string>
#include <string_view>
#include <unordered_set>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "core/text.hpp"
#include "flow/json_text.hpp"

namespace reprise {

class JsonTreeBuilder {
 public:
  JsonTreeBuilder(std::size_t text_bytes, const JsonLimits& limits, ParsedJson& result)
      : limits_(limits), result_(result) {
    // Traces have a value for every 8 to 40 bytes. Room that is not needed is never touched;
    // growing by copying would touch three times what is.
    nodes().reserve(text_bytes / 8 + 16);
  }

  /// What the views of texts and keys look at lives as long as the tree.
  void keep_alive(std::shared_ptr<const void> texts) { result_.tree.texts_ = std::move(texts); }

  // Each is false when nothing more is to be read, for the reason that the result tells.
  bool null(std::uint32_t position) { return add(JsonNode{}, position); }
  bool boolean(bool value, std::uint32_t position) {
    return add({.boolean = value, .kind = JsonNode::Kind::boolean}, position);
  }
  bool number(double value, std::uint32_t position) {
    return add({.number = value, .kind = JsonNode::Kind::number}, position);
  }
  bool text(std::string_view value, std::uint32_t position) {
    return add(text_node(JsonNode::Kind::text, value), position);
  }
  bool key(std::string_view value, std::uint32_t position) {
    if (!remember_key(value))
      return refuse(JsonError::Kind::duplicate_key,
                    fmt::format("key '{}' stands twice in one object",
                                shorten(escape_for_terminal(value), 80)),
                    position);
    return add(text_node(JsonNode::Kind::key, value), position);
  }
  /// Of an array or an object.
  bool open(JsonNode::Kind kind, std::uint32_t position) {
    if (open_.size() >= static_cast<std::size_t>(limits_.depth_max))
      return refuse(
          JsonError::Kind::too_deep,
          fmt::format("more than {} lists and objects within each other", limits_.depth_max),
          position);
    if (!add({.bytes = nullptr, .kind = kind}, position)) return false;
    open_.push_back({next_index() - 1, keys_.size(), nullptr});
    return true;
  }
  void close() {
    nodes()[open_.back().node].end = next_index();
    keys_.resize(open_.back().first_key);
    open_.pop_back();
  }

  /// At the end, also of what ended early.
  void close_all() {
    for (const Open& each : open_) nodes()[each.node].end = next_index();
  }

 private:
  struct Open {
    std::uint32_t node = 0;
    std::size_t first_key = 0;  // of this object in keys_
    std::unique_ptr<std::unordered_set<std::string_view>> many_keys;
  };

  std::vector<JsonNode>& nodes() { return result_.tree.nodes_; }
  std::uint32_t next_index() { return static_cast<std::uint32_t>(nodes().size()); }

  static JsonNode text_node(JsonNode::Kind kind, std::string_view text) {
    return {.bytes = text.data(), .size = static_cast<std::uint32_t>(text.size()), .kind = kind};
  }
  bool refuse(JsonError::Kind kind, std::string message, std::uint32_t position) {
    result_.error = {kind, std::move(message), position};
    return false;
  }
  bool add(JsonNode node, std::uint32_t position) {
    if (nodes().size() >= limits_.values_max)
      return refuse(JsonError::Kind::too_many,
                    fmt::format("more than {} values", limits_.values_max), position);
    node.position = position;
    node.end = next_index() + 1;
    nodes().push_back(node);
    return true;
  }

  // Objects are small nearly always: comparing is faster than hashing then.
  bool remember_key(std::string_view key) {
    constexpr std::size_t few = 24;
    Open& object = open_.back();
    if (object.many_keys) return object.many_keys->insert(key).second;
    const auto first = keys_.begin() + static_cast<std::ptrdiff_t>(object.first_key);
    if (std::find(first, keys_.end(), key) != keys_.end()) return false;
    keys_.push_back(key);
    if (keys_.size() - object.first_key > few) {
      object.many_keys = std::make_unique<std::unordered_set<std::string_view>>(
          keys_.begin() + static_cast<std::ptrdiff_t>(object.first_key), keys_.end());
    }
    return true;
  }

  JsonLimits limits_;
  ParsedJson& result_;
  std::vector<Open> open_;
  std::vector<std::string_view> keys_;  // of all open objects
};

}  // namespace reprise
