#include "flow/json_text.hpp"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <iterator>
#include <unordered_set>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "core/text.hpp"

namespace reprise {
namespace {

constexpr std::string_view byte_order_mark = "\xef\xbb\xbf";

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

/// The keys of all objects that are open, to find those that stand twice in one.
class OpenKeys {
 public:
  void open() { objects_.push_back({keys_.size(), nullptr}); }
  void close() {
    keys_.resize(objects_.back().first_key);
    objects_.pop_back();
  }
  /// Of the innermost object. @return whether it is new
  bool add(std::string_view key) {
    // Objects are small nearly always: comparing is faster than hashing then.
    constexpr std::size_t few = 24;
    Object& object = objects_.back();
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

 private:
  struct Object {
    std::size_t first_key = 0;  // of this object in keys_
    std::unique_ptr<std::unordered_set<std::string_view>> many_keys;
  };
  std::vector<std::string_view> keys_;
  std::vector<Object> objects_;
};

}  // namespace

// The quick way: makes the same tree of a well-formed text in a tenth of the time, and gives up on
// everything else, or anything unusual, without a word. JsonTreeBuilder below then says what is
// wrong, so that nobody has to say it in two places.
class QuickJsonReader {
 public:
  QuickJsonReader(std::string_view text, const JsonLimits& limits, JsonTree& tree)
      : limits_(limits), tree_(tree), begin_(text.data()), at_(begin_), end_(begin_ + text.size()) {
    tree_.texts_ = std::make_unique<std::pmr::monotonic_buffer_resource>(std::size_t{64} << 10);
    tree_.nodes_.reserve(std::min(text.size() / 16, limits.values_max));
    if (text.starts_with(byte_order_mark)) at_ += byte_order_mark.size();
  }

  [[nodiscard]] bool read() {
    if (!value(0)) return false;
    skip_space();
    return at_ == end_;
  }

 private:
  using Kind = JsonNode::Kind;

  void skip_space() {
    while (at_ < end_ && (*at_ == ' ' || *at_ == '\n' || *at_ == '\t' || *at_ == '\r')) ++at_;
  }
  bool take(char wanted) {
    if (at_ == end_ || *at_ != wanted) return false;
    ++at_;
    return true;
  }
  bool take(std::string_view word) {
    if (!std::string_view(at_, end_).starts_with(word)) return false;
    at_ += word.size();
    return true;
  }

  template <class Data>
  bool add(Kind kind, Data data, const char* from) {
    const std::size_t index = tree_.nodes_.size();
    if (index >= limits_.values_max) return false;
    JsonNode& node = tree_.nodes_.emplace_back();
    node.data = data;
    node.position = static_cast<std::uint32_t>(from - begin_);
    node.end = static_cast<std::uint32_t>(index) + 1;
    node.kind = kind;
    return true;
  }

  bool value(int depth) {
    skip_space();
    if (at_ == end_) return false;
    const char* const from = at_;
    switch (*at_) {
      case '{':
      case '[':
        return depth < limits_.depth_max && container(depth);
      case '"': {
        std::string_view text;
        return string(text) && add(Kind::text, text, from);
      }
      case 't':
        return take("true") && add(Kind::boolean, true, from);
      case 'f':
        return take("false") && add(Kind::boolean, false, from);
      case 'n':
        return take("null") && add(Kind::null, std::monostate{}, from);
      default:
        return number();
    }
  }

  bool container(int depth) {
    const bool is_object = *at_ == '{';
    const char close = is_object ? '}' : ']';
    const std::size_t index = tree_.nodes_.size();
    if (!add(is_object ? Kind::object : Kind::array, std::monostate{}, at_)) return false;
    if (is_object) keys_.open();
    ++at_;
    skip_space();
    if (!take(close)) {
      do {
        if (is_object && !key()) return false;
        if (!value(depth + 1)) return false;
        skip_space();
      } while (take(','));
      if (!take(close)) return false;
    }
    if (is_object) keys_.close();
    tree_.nodes_[index].end = static_cast<std::uint32_t>(tree_.nodes_.size());
    return true;
  }

  bool key() {
    skip_space();
    const char* const from = at_;
    std::string_view text;
    if (!string(text) || !keys_.add(text) || !add(Kind::key, text, from)) return false;
    skip_space();
    return take(':');
  }

  // Texts with escapes are rare in what is large, and left to the other reader's care.
  bool string(std::string_view& text) {
    if (!take('"')) return false;
    const char* const from = at_;
    bool is_ascii = true;
    for (; at_ < end_ && *at_ != '"'; ++at_) {
      const auto byte = static_cast<unsigned char>(*at_);
      if (byte == '\\') return escaped(from, text);
      if (byte < 0x20) return false;
      is_ascii = is_ascii && byte < 0x80;
    }
    const std::string_view bytes(from, static_cast<std::size_t>(at_ - from));
    if (!take('"') || (!is_ascii && !is_utf8(bytes))) return false;
    text = keep(bytes);
    return true;
  }

  bool escaped(const char* from, std::string_view& text) {
    std::string bytes(from, at_);
    while (at_ < end_ && *at_ != '"') {
      if (static_cast<unsigned char>(*at_) < 0x20) return false;
      if (*at_ != '\\') {
        bytes += *at_++;
        continue;
      }
      if (++at_ == end_) return false;
      constexpr std::string_view letters = "\"\\/bfnrt", meant = "\"\\/\b\f\n\r\t";
      const auto which = letters.find(*at_++);
      if (which == std::string_view::npos) return false;  // \u, or a mistake
      bytes += meant[which];
    }
    if (!take('"') || !is_utf8(bytes)) return false;
    text = keep(bytes);
    return true;
  }

  std::string_view keep(std::string_view bytes) {
    if (bytes.empty()) return {"", 0};
    char* const kept = static_cast<char*>(tree_.texts_->allocate(bytes.size(), 1));
    std::memcpy(kept, bytes.data(), bytes.size());
    return {kept, bytes.size()};
  }

  bool digits() {
    const char* const from = at_;
    while (at_ < end_ && *at_ >= '0' && *at_ <= '9') ++at_;
    return at_ > from;
  }

  bool number() {
    const char* const from = at_;
    const bool is_negative = take('-');
    const char* const first = at_;
    if (!digits() || (*first == '0' && at_ - first > 1)) return false;
    const bool has_fraction = take('.');
    if (has_fraction && !digits()) return false;
    const bool has_exponent = take('e') || take('E');
    if (has_exponent) {
      if (!take('+')) take('-');
      if (!digits()) return false;
    }
    const auto made = [&](auto number) {
      const auto [past, error] = std::from_chars(from, at_, number);
      return error == std::errc{} && past == at_ && add(Kind::number, number, from);
    };
    if (has_fraction || has_exponent) return made(double{});
    if (at_ - first > 18) return false;  // may not fit
    return is_negative ? made(std::int64_t{}) : made(std::uint64_t{});
  }

  JsonLimits limits_;
  JsonTree& tree_;
  const char* begin_;
  const char* at_;
  const char* end_;
  OpenKeys keys_;
};

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
  }

  void parse() {
    result_.ok =
        nlohmann::json::sax_parse(TrackedIterator(text_.data(), &reached_),
                                  TrackedIterator(text_.data() + text_.size(), &reached_), this) &&
        !failed_;
    for (const std::uint32_t open : open_)
      nodes()[open].end = next_index();  // what an error left open
  }

  bool null() override { return add(JsonNode::Kind::null, std::monostate{}); }
  bool boolean(bool value) override { return add(JsonNode::Kind::boolean, value); }
  bool number_integer(number_integer_t value) override {
    return add(JsonNode::Kind::number, std::int64_t{value});
  }
  bool number_unsigned(number_unsigned_t value) override {
    return add(JsonNode::Kind::number, std::uint64_t{value});
  }
  bool number_float(number_float_t value, const string_t&) override {
    return add(JsonNode::Kind::number, value);
  }
  bool string(string_t& value) override { return add(JsonNode::Kind::text, keep(value)); }
  bool binary(binary_t&) override { return false; }  // not in JSON
  bool start_object(std::size_t) override { return open(JsonNode::Kind::object); }
  bool start_array(std::size_t) override { return open(JsonNode::Kind::array); }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }

  bool key(string_t& value) override {
    const std::string_view kept = keep(value);
    if (!keys_.add(kept)) {
      return refuse(JsonError::Kind::duplicate_key,
                    fmt::format("key '{}' stands twice in one object",
                                shorten(escape_for_terminal(kept), 80)));
    }
    return add(JsonNode::Kind::key, kept);
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

  template <class Data>
  bool add(JsonNode::Kind kind, Data data) {
    if (nodes().size() >= limits_.values_max) {
      return refuse(JsonError::Kind::too_many,
                    fmt::format("more than {} values", limits_.values_max));
    }
    JsonNode node;
    node.data = data;
    node.position = token_start();
    node.end = next_index() + 1;
    node.kind = kind;
    nodes().push_back(node);
    return true;
  }

  bool open(JsonNode::Kind kind) {
    if (open_.size() >= static_cast<std::size_t>(limits_.depth_max)) {
      return refuse(
          JsonError::Kind::too_deep,
          fmt::format("more than {} lists and objects within each other", limits_.depth_max));
    }
    if (!add(kind, std::monostate{})) return false;
    open_.push_back(next_index() - 1);
    keys_.open();
    return true;
  }

  bool close() {
    nodes()[open_.back()].end = next_index();
    keys_.close();
    open_.pop_back();
    last_end_ = reached_;
    return true;
  }

  std::string_view text_;
  JsonLimits limits_;
  ParsedJson& result_;
  const char* reached_;   // one past the last character the lexer has read
  const char* last_end_;  // … when the event before this one came
  bool failed_ = false;
  std::vector<std::uint32_t> open_;  // nodes of the lists and objects that are open
  OpenKeys keys_;
};

ParsedJson parse_json(std::string_view text, const JsonLimits& limits) {
  ParsedJson result;
  if (text.size() >= UINT32_MAX) {
    result.error = {JsonError::Kind::too_large, "more than 4 GiB of JSON", 0};
    return result;
  }
  if (QuickJsonReader(text, limits, result.tree).read()) {
    result.ok = true;
    return result;
  }
  result.tree = {};
  JsonTreeBuilder(text, limits, result).parse();
  return result;
}

JsonTree::Index JsonTree::find(Index object, std::string_view key) const {
  if (nodes_[object].kind != JsonNode::Kind::object) return none;
  for (Index at = object + 1; at + 1 < nodes_[object].end; at = nodes_[at + 1].end) {
    if (std::get<std::string_view>(nodes_[at].data) == key) return at + 1;
  }
  return none;
}

const std::string_view* JsonTree::text(Index index) const {
  return nodes_[index].kind == JsonNode::Kind::text
             ? std::get_if<std::string_view>(&nodes_[index].data)
             : nullptr;
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
