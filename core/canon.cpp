#include "core/canon.hpp"

#include <algorithm>
#include <functional>
#include <optional>

#include <fmt/format.h>

#include "core/pack.hpp"
#include "core/text.hpp"

namespace reprise {
namespace {

// Values that were joined from encoded parts (encode_list) may be a little deeper than what
// encode() makes.
constexpr int max_read_depth = max_value_depth + 16;

constexpr std::size_t max_length = 0xffff'ffff;

tl::unexpected<Error> too_deep() {
  return fail(ErrorCode::invalid_argument,
              fmt::format("value is nested deeper than {} levels", max_value_depth));
}

/// Depth of the deepest value in `bytes`, its root at level `level`; looks into tuples, sets and
/// records. Bytes that are no msgpack have the level of their root: they are opaque.
/// @param payloads  how many ext payloads enclose these bytes; bounds the recursion whatever the
/// bytes are.
int deepest_level(std::string_view bytes, int level, int payloads = 0) {
  if (payloads > max_value_depth) return max_value_depth + 1;
  Unpacker unpack(bytes);
  Unpacker::Token token;
  std::vector<std::uint64_t> open;  // values still to come per enclosing container
  int deepest = level;
  do {
    if (!unpack.next(token)) return level;
    int here = level + static_cast<int>(open.size());
    deepest = std::max(deepest, here);
    if (deepest > max_value_depth) return deepest;
    if (!open.empty()) --open.back();
    std::uint64_t count = 0;
    if (token.kind == Unpacker::Kind::array) count = token.count;
    if (token.kind == Unpacker::Kind::map) count = 2 * std::uint64_t{token.count};
    if (count > 0) open.push_back(count);
    if (token.kind == Unpacker::Kind::ext && token.code >= ext::tuple && token.code <= ext::record)
      deepest = std::max(
          deepest,
          deepest_level(token.data, token.code == ext::set ? here : here + 1, payloads + 1));
    while (!open.empty() && open.back() == 0) open.pop_back();
  } while (!open.empty());
  return deepest;
}

class Encoder {
 public:
  Encoder(std::string& out, bool strict) : out_(out), pack_(out), strict_(strict) {}

  Status value(const Value& value, int level) {
    if (level > max_value_depth && strict_) return too_deep();
    return std::visit([&](const auto& data) { return encode(data, level); }, value.data);
  }

 private:
  Status encode(std::monostate, int) { return pack_.nil(), Status{}; }
  Status encode(bool value, int) { return pack_.boolean(value), Status{}; }
  Status encode(std::int64_t value, int) { return pack_.integer(value), Status{}; }
  Status encode(std::uint64_t value, int) { return pack_.unsigned_integer(value), Status{}; }
  Status encode(double value, int) { return pack_.real(value), Status{}; }

  Status encode(const std::string& text, int) {
    if (auto fits = check_length(text.size()); !fits) return fits;
    if (strict_ && !is_utf8(text))
      return fail(ErrorCode::invalid_argument,
                  fmt::format("text is not UTF-8: \"{}\"", shorten(escape_for_terminal(text), 60)));
    return pack_.text(text), Status{};
  }

  Status encode(const Bytes& bytes, int) {
    if (auto fits = check_length(bytes.data.size()); !fits) return fits;
    return pack_.bytes(bytes.data), Status{};
  }

  Status encode(const Ext& extension, int level) {
    if (auto fits = check_length(extension.payload.size()); !fits) return fits;
    bool holds_values = extension.code >= ext::tuple && extension.code <= ext::record;
    int first = extension.code == ext::set ? level : level + 1;
    if (strict_ && holds_values && deepest_level(extension.payload, first) > max_value_depth)
      return too_deep();
    if (strict_ && extension.code == ext::set)
      if (const auto ordered = distinct_and_sorted(extension.payload))
        return pack_.ext(extension.code, *ordered), Status{};
    return pack_.ext(extension.code, extension.payload), Status{};
  }

  /// The elements of a set that others wrote as it is written here; nullopt: they are that already.
  static std::optional<std::string> distinct_and_sorted(std::string_view set) {
    auto elements = list_elements(set);
    if (!elements) return std::nullopt;
    if (std::adjacent_find(elements->begin(), elements->end(), std::greater_equal<>()) ==
        elements->end())
      return std::nullopt;
    std::sort(elements->begin(), elements->end());
    elements->erase(std::unique(elements->begin(), elements->end()), elements->end());
    return encode_list(*elements);
  }

  Status encode(const List& list, int level) {
    if (auto fits = check_length(list.size()); !fits) return fits;
    pack_.array(list.size());
    for (const Value& element : list)
      if (auto done = value(element, level + 1); !done) return done;
    return {};
  }

  Status encode(const Map& map, int level) {
    if (auto fits = check_length(map.size()); !fits) return fits;
    pack_.map(map.size());
    std::vector<Entry> entries;
    entries.reserve(map.size());
    bool sorted = true;
    for (const auto& [key, mapped] : map) {
      Entry entry;
      entry.begin = out_.size();
      if (auto done = value(key, level + 1); !done) return done;
      entry.key_end = out_.size();
      if (auto done = value(mapped, level + 1); !done) return done;
      entry.end = out_.size();
      if (!entries.empty() && key_of(entries.back()) >= key_of(entry)) sorted = false;
      entries.push_back(entry);
    }
    return sorted ? Status{} : sort(entries);
  }

  struct Entry {
    std::size_t begin = 0, key_end = 0, end = 0;  // offsets in out_
  };

  std::string_view key_of(const Entry& entry) const {
    return std::string_view(out_).substr(entry.begin, entry.key_end - entry.begin);
  }

  Status sort(std::vector<Entry>& entries) {
    std::size_t begin = entries.front().begin;
    std::sort(entries.begin(), entries.end(),
              [&](const Entry& a, const Entry& b) { return key_of(a) < key_of(b); });
    auto twin =
        std::adjacent_find(entries.begin(), entries.end(),
                           [&](const Entry& a, const Entry& b) { return key_of(a) == key_of(b); });
    if (twin != entries.end())
      return fail(ErrorCode::invalid_argument, "map has the same key twice");
    std::string ordered;
    ordered.reserve(out_.size() - begin);
    for (const Entry& entry : entries) ordered.append(out_, entry.begin, entry.end - entry.begin);
    out_.replace(begin, std::string::npos, ordered);
    return {};
  }

  static Status check_length(std::size_t size) {
    if (size <= max_length) return {};
    return fail(ErrorCode::invalid_argument, fmt::format("{} elements are too many", size));
  }

  std::string& out_;
  Packer pack_;
  bool strict_;  // false: only to compare keys of foreign maps
};

tl::unexpected<Error> corrupt(std::string_view what) {
  return fail(ErrorCode::corrupt, fmt::format("value does not decode: {}", what));
}

class Decoder {
 public:
  explicit Decoder(std::string_view bytes) : unpack_(bytes), bytes_(bytes) {}

  Status value(Value& value, int level) {
    if (level > max_read_depth) return corrupt("it is nested too deeply");
    Unpacker::Token token;
    if (!unpack_.next(token))
      return corrupt(fmt::format("its {} bytes end too early or make no sense at byte {}",
                                 bytes_.size(), unpack_.position()));
    switch (token.kind) {
      case Unpacker::Kind::nil:
        value = Value();
        break;
      case Unpacker::Kind::boolean:
        value = token.boolean;
        break;
      case Unpacker::Kind::integer:
        value = token.integer;
        break;
      case Unpacker::Kind::unsigned_integer:
        value = token.unsigned_integer;
        break;
      case Unpacker::Kind::real:
        value = token.real;
        break;
      case Unpacker::Kind::text:
        value = std::string(token.data);
        break;
      case Unpacker::Kind::bytes:
        value = Bytes{std::string(token.data)};
        break;
      case Unpacker::Kind::ext:
        value = Ext{token.code, payload(token)};
        break;
      case Unpacker::Kind::array:
        return list(value, token.count, level);
      case Unpacker::Kind::map:
        return map(value, token.count, level);
    }
    return {};
  }

  bool at_end() const { return unpack_.at_end(); }

 private:
  /// The shorter forms of a timestamp become the one that we write: an instant has one encoding.
  static std::string payload(const Unpacker::Token& token) {
    std::string_view data = token.data;
    if (token.code == ext::timestamp && (data.size() == 4 || data.size() == 8)) {
      std::uint64_t number = 0;
      for (char c : data) number = number << 8 | static_cast<std::uint8_t>(c);
      if (data.size() == 4) return timestamp_payload(static_cast<std::int64_t>(number), 0);
      return timestamp_payload(static_cast<std::int64_t>(number & 0x3'ffff'ffff),
                               static_cast<std::uint32_t>(number >> 34));
    }
    return std::string(data);
  }

  Status list(Value& value, std::uint32_t count, int level) {
    List& list = value.data.emplace<List>();
    list.reserve(count);  // bounded, see core/pack.hpp
    for (std::uint32_t i = 0; i < count; ++i)
      if (auto done = this->value(list.emplace_back(), level + 1); !done) return done;
    return {};
  }

  Status map(Value& value, std::uint32_t count, int level) {
    Map& map = value.data.emplace<Map>();
    map.reserve(count);
    std::string_view previous;
    bool distinct = true;  // seen to be, the cheap way
    for (std::uint32_t i = 0; i < count; ++i) {
      auto& [key, mapped] = map.emplace_back();
      std::size_t begin = unpack_.position();
      if (auto done = this->value(key, level + 1); !done) return done;
      std::string_view bytes = bytes_.substr(begin, unpack_.position() - begin);
      if (bytes <= previous || !is_short_text(bytes)) distinct = false;
      previous = bytes;
      if (auto done = this->value(mapped, level + 1); !done) return done;
    }
    return distinct ? Status{} : check_distinct(map);
  }

  /// A key that could not have been written in another way, unlike 1, which is 01 or cc 01. (A
  /// longer form of a short text does not start like this.)
  static bool is_short_text(std::string_view encoded) {
    auto head = static_cast<std::uint8_t>(encoded.front());
    return head >= 0xa0 && head < 0xc0;
  }

  static Status check_distinct(const Map& map) {
    std::vector<std::string> keys(map.size());
    for (std::size_t i = 0; i < map.size(); ++i)
      if (auto done = Encoder(keys[i], false).value(map[i].first, 0); !done) return done;
    std::sort(keys.begin(), keys.end());
    if (std::adjacent_find(keys.begin(), keys.end()) != keys.end())
      return corrupt("a map has the same key twice");
    return {};
  }

  Unpacker unpack_;
  std::string_view bytes_;
};

}  // namespace

Result<std::string> encode(const Value& value) {
  std::string bytes;
  if (auto done = Encoder(bytes, true).value(value, 0); !done)
    return tl::unexpected(std::move(done.error()));
  return bytes;
}

Result<Value> decode(std::string_view bytes) {
  Value value;
  Decoder decoder(bytes);
  if (auto done = decoder.value(value, 0); !done) return tl::unexpected(std::move(done.error()));
  if (!decoder.at_end()) return corrupt("more bytes follow");
  return value;
}

Result<std::vector<std::string_view>> list_elements(std::string_view bytes) {
  Unpacker unpack(bytes);
  Unpacker::Token token;
  if (!unpack.next(token)) return corrupt("it ends too early");
  if (token.kind == Unpacker::Kind::ext && (token.code == ext::tuple || token.code == ext::set)) {
    if (!unpack.at_end()) return corrupt("more bytes follow");
    unpack = Unpacker(token.data);
    if (!unpack.next(token)) return corrupt("it ends too early");
  }
  if (token.kind != Unpacker::Kind::array)
    return fail(ErrorCode::invalid_argument, "value is not a list, tuple or set");
  std::vector<std::string_view> elements;
  elements.reserve(token.count);
  for (std::uint32_t i = 0; i < token.count; ++i) elements.push_back(unpack.skip());
  if (!unpack.at_end()) return corrupt("its elements do not fill it");
  return elements;
}

std::string encode_list(const std::vector<std::string_view>& elements) {
  std::size_t size = 5;
  for (std::string_view element : elements) size += element.size();
  std::string bytes;
  bytes.reserve(size);
  Packer pack(bytes);
  pack.array(elements.size());
  for (std::string_view element : elements) pack.raw(element);
  return bytes;
}

}  // namespace reprise
