#include "flow/json_text.hpp"

#include <algorithm>
#include <cstring>
#include <iterator>
#include <memory_resource>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "core/text.hpp"
#include "flow/json_quick.hpp"
#include "flow/json_tree_builder.hpp"

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

/// Reads with nlohmann's parser, which can say what is wrong.
class CarefulReader final : public nlohmann::json_sax<nlohmann::json> {
 public:
  CarefulReader(std::string_view text, const JsonLimits& limits, ParsedJson& result)
      : text_(text),
        result_(result),
        builder_(text.size(), limits, result),
        texts_(std::make_shared<std::pmr::monotonic_buffer_resource>(std::size_t{64} << 10)),
        reached_(text.data()),
        last_end_(text.data()) {
    builder_.keep_alive(texts_);
    if (text.starts_with(byte_order_mark)) last_end_ += byte_order_mark.size();
  }

  void parse() {
    result_.ok =
        nlohmann::json::sax_parse(TrackedIterator(text_.data(), &reached_),
                                  TrackedIterator(text_.data() + text_.size(), &reached_), this) &&
        !failed_;
    builder_.close_all();
  }

  bool null() override { return note(builder_.null(token_start())); }
  bool boolean(bool value) override { return note(builder_.boolean(value, token_start())); }
  bool number_integer(number_integer_t value) override {
    return number_float(static_cast<double>(value), {});
  }
  bool number_unsigned(number_unsigned_t value) override {
    return number_float(static_cast<double>(value), {});
  }
  bool number_float(number_float_t value, const string_t&) override {
    return note(builder_.number(value, token_start()));
  }
  bool string(string_t& value) override { return note(builder_.text(keep(value), token_start())); }
  bool binary(binary_t&) override { return false; }  // not in JSON
  bool start_object(std::size_t) override {
    return note(builder_.open(JsonNode::Kind::object, token_start()));
  }
  bool start_array(std::size_t) override {
    return note(builder_.open(JsonNode::Kind::array, token_start()));
  }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }
  bool key(string_t& value) override { return note(builder_.key(keep(value), token_start())); }

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
  bool note(bool goes_on) {
    failed_ = failed_ || !goes_on;
    return goes_on;
  }

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
    char* bytes = static_cast<char*>(texts_->allocate(value.size(), 1));
    std::memcpy(bytes, value.data(), value.size());
    return {bytes, value.size()};
  }

  bool close() {
    builder_.close();
    last_end_ = reached_;
    return true;
  }

  std::string_view text_;
  ParsedJson& result_;
  JsonTreeBuilder builder_;
  std::shared_ptr<std::pmr::monotonic_buffer_resource> texts_;
  const char* reached_;   // one past the last character the lexer has read
  const char* last_end_;  // … when the event before this one came
  bool failed_ = false;
};

}  // namespace

ParsedJson parse_json(std::string_view text, const JsonLimits& limits) {
  ParsedJson result;
  if (text.size() >= UINT32_MAX) {
    result.error = {JsonError::Kind::too_large, "more than 4 GiB of JSON", 0};
    return result;
  }
  if (auto good = parse_good_json(text, limits)) return *std::move(good);
  CarefulReader(text, limits, result).parse();
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
