#include "flow/json_text.hpp"

#include <algorithm>
#include <cstring>
#include <iterator>
#include <unordered_set>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "core/text.hpp"

namespace reprise {
namespace {

constexpr std::string_view byte_order_mark = "\xef\xbb\xbf";
constexpr std::size_t bytes_per_value = 8;

// nlohmann's SAX events carry no positions; this iterator tells how far the lexer has read.
class TrackedIterator {
 public:
  using difference_type = std::ptrdiff_t;
  using value_type = char;
  using pointer = const char*;
  using reference = const char&;
  using iterator_category = std::input_iterator_tag;

  TrackedIterator(const char* at, const char** reached) : at_(at), reached_(reached) {}
  reference operator*() const { return *at_; }
  TrackedIterator& operator++() {
    *reached_ = ++at_;
    return *this;
  }
  TrackedIterator operator++(int) {
    TrackedIterator old = *this;
    ++*this;
    return old;
  }
  bool operator==(const TrackedIterator& other) const { return at_ == other.at_; }
  bool operator!=(const TrackedIterator& other) const { return at_ != other.at_; }

 private:
  const char* at_;
  const char** reached_;
};

// The part of nlohmann's message that is for people. It reads "[json.exception.parse_error.101]
// parse error at line 1, column 2: syntax error while parsing value - invalid literal; last read:
// '<bytes>'; expected …".
std::string readable(std::string_view what) {
  if (const auto prefix = what.find("] ");
      what.starts_with('[') && prefix != std::string_view::npos) {
    what.remove_prefix(prefix + 2);
  }
  if (what.starts_with("parse error")) {
    if (const auto colon = what.find(": "); colon != std::string_view::npos)
      what.remove_prefix(colon + 2);
  }
  std::string_view tail;
  if (const auto read = what.find("; last read: '"); read != std::string_view::npos) {
    const auto end = what.rfind("'; expected");
    if (end != std::string_view::npos && end > read) tail = what.substr(end + 1);
    what = what.substr(0, read);  // the bytes may be many, and anything
  }
  constexpr std::size_t shown_max = 200;
  return escape_for_terminal(std::string(what.substr(0, shown_max)) +
                             std::string(tail.substr(0, shown_max)));
}

}  // namespace

class JsonTreeBuilder final : public nlohmann::json_sax<nlohmann::json> {
 public:
  JsonTreeBuilder(std::string_view text, const JsonLimits& limits, ParsedJson& result)
      : text_(text),
        limits_(limits),
        result_(result),
        reached_(text.data()),
        last_end_(text.data()) {
    result_.tree.texts_ =
        std::make_unique<std::pmr::monotonic_buffer_resource>(std::size_t{64} << 10);
    if (text.starts_with(byte_order_mark)) last_end_ += byte_order_mark.size();
    // Traces have a value for every 8 to 40 bytes. Room that is not needed is never touched;
    // growing by copying would touch three times what is.
    nodes().reserve(text.size() / bytes_per_value + 16);
  }

  void parse() {
    result_.ok =
        nlohmann::json::sax_parse(TrackedIterator(text_.data(), &reached_),
                                  TrackedIterator(text_.data() + text_.size(), &reached_), this) &&
        !failed_;
    for (const Open& open : open_)
      nodes()[open.node].end = next_index();  // what an error left open
  }

  bool null() override { return add(JsonNode{}); }
  bool boolean(bool value) override {
    return add({.boolean = value, .kind = JsonNode::Kind::boolean});
  }
  bool number_integer(number_integer_t value) override {
    return number_float(static_cast<double>(value), {});
  }
  bool number_unsigned(number_unsigned_t value) override {
    return number_float(static_cast<double>(value), {});
  }
  bool number_float(number_float_t value, const string_t&) override {
    return add({.number = value, .kind = JsonNode::Kind::number});
  }
  bool string(string_t& value) override {
    return add(text_node(JsonNode::Kind::text, keep(value)));
  }
  bool binary(binary_t&) override { return false; }  // not in JSON
  bool start_object(std::size_t) override { return open(JsonNode::Kind::object); }
  bool start_array(std::size_t) override { return open(JsonNode::Kind::array); }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }

  bool key(string_t& value) override {
    const std::string_view kept = keep(value);
    if (!remember_key(kept)) {
      return refuse(JsonError::Kind::duplicate_key,
                    fmt::format("key '{}' stands twice in one object",
                                shorten(escape_for_terminal(kept), 80)));
    }
    return add(text_node(JsonNode::Kind::key, kept));
  }

  bool parse_error(std::size_t position, const std::string&,
                   const nlohmann::detail::exception& error) override {
    if (failed_) return false;
    failed_ = true;
    // nlohmann counts bytes from 1 and means the last one it read.
    const std::size_t at = std::min(position > 0 ? position - 1 : 0, text_.size());
    result_.error = {JsonError::Kind::syntax, readable(error.what()),
                     static_cast<std::uint32_t>(at)};
    return false;
  }

 private:
  struct Open {
    std::uint32_t node = 0;
    std::size_t first_key = 0;  // of this object in keys_
    std::unique_ptr<std::unordered_set<std::string_view>> many_keys;
  };

  std::vector<JsonNode>& nodes() { return result_.tree.nodes_; }
  std::uint32_t next_index() { return static_cast<std::uint32_t>(nodes().size()); }

  // Between two events the lexer passes only white space, commas and colons; a number's event comes
  // one character late.
  std::uint32_t token_start() {
    const char* at = last_end_;
    while (at < reached_ && std::strchr(" \t\r\n,:", *at) != nullptr && *at != '\0') ++at;
    last_end_ = reached_;
    return static_cast<std::uint32_t>(at - text_.data());
  }

  std::string_view keep(const std::string& value) {
    if (value.empty()) return {"", 0};
    char* bytes = static_cast<char*>(result_.tree.texts_->allocate(value.size(), 1));
    std::memcpy(bytes, value.data(), value.size());
    return {bytes, value.size()};
  }

  bool refuse(JsonError::Kind kind, std::string message) {
    failed_ = true;
    result_.error = {kind, std::move(message), token_start()};
    return false;
  }

  static JsonNode text_node(JsonNode::Kind kind, std::string_view text) {
    return {.bytes = text.data(), .size = static_cast<std::uint32_t>(text.size()), .kind = kind};
  }

  bool add(JsonNode node) {
    if (nodes().size() >= limits_.values_max) {
      return refuse(JsonError::Kind::too_many,
                    fmt::format("more than {} values", limits_.values_max));
    }
    node.position = token_start();
    node.end = next_index() + 1;
    nodes().push_back(node);
    return true;
  }

  bool open(JsonNode::Kind kind) {
    if (open_.size() >= static_cast<std::size_t>(limits_.depth_max)) {
      return refuse(
          JsonError::Kind::too_deep,
          fmt::format("more than {} lists and objects within each other", limits_.depth_max));
    }
    if (!add({.bytes = nullptr, .kind = kind})) return false;
    open_.push_back({next_index() - 1, keys_.size(), nullptr});
    return true;
  }

  bool close() {
    nodes()[open_.back().node].end = next_index();
    keys_.resize(open_.back().first_key);
    open_.pop_back();
    last_end_ = reached_;
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

  std::string_view text_;
  JsonLimits limits_;
  ParsedJson& result_;
  const char* reached_;   // one past the last character the lexer has read
  const char* last_end_;  // … when the event before this one came
  bool failed_ = false;
  std::vector<Open> open_;
  std::vector<std::string_view> keys_;  // of all open objects
};

ParsedJson parse_json(std::string_view text, const JsonLimits& limits) {
  ParsedJson result;
  if (text.size() >= UINT32_MAX) {
    result.error = {JsonError::Kind::too_large, "more than 4 GiB of JSON", 0};
    return result;
  }
  JsonTreeBuilder(text, limits, result).parse();
  return result;
}

JsonTree::Index JsonTree::find(Index object, std::string_view key) const {
  if (nodes_[object].kind != JsonNode::Kind::object) return none;
  for (Index at = object + 1; at + 1 < nodes_[object].end; at = nodes_[at + 1].end) {
    if (nodes_[at].text() == key) return at + 1;
  }
  return none;
}

std::optional<std::string_view> JsonTree::text(Index index) const {
  if (nodes_[index].kind != JsonNode::Kind::text) return std::nullopt;
  return nodes_[index].text();
}

std::string_view JsonTree::kind_name(Index index) const {
  switch (nodes_[index].kind) {
    case JsonNode::Kind::null:
      return "null";
    case JsonNode::Kind::boolean:
      return "a boolean";
    case JsonNode::Kind::number:
      return "a number";
    case JsonNode::Kind::text:
      return "a text";
    case JsonNode::Kind::array:
      return "a list";
    case JsonNode::Kind::object:
      return "an object";
    case JsonNode::Kind::key:
      return "a key";
  }
  return "something else";
}

std::size_t JsonTree::size(Index parent) const {
  std::size_t count = 0;
  for_each(parent, [&](Index) { ++count; });
  return count;
}

}  // namespace reprise
