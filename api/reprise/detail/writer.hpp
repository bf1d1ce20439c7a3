// Writes values in their canonical form (cmp1): one value, one byte string.
//
// Any msgpack_pack() that packs array and map headers followed by their elements can drive it, in
// any order of map entries: the writer knows from the headers where each container ends and puts
// maps and sets in order there. Cost: linear, plus sorting of each map and set.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace reprise::codec {

/// Canonical bytes of a value.
struct encoded {
  std::string bytes;
  /// Why the value must not be looked up or kept by its bytes, e.g. "text is not UTF-8"; empty = it
  /// may.
  std::string uncacheable;
};

/// Extension codes of the canonical form.
inline constexpr std::int8_t ext_tuple = 1;
inline constexpr std::int8_t ext_set = 2;
inline constexpr std::int8_t ext_record = 3;
inline constexpr std::int8_t ext_time = -1;

class writer {
 public:
  void nil();
  void boolean(bool value);
  void integer(std::int64_t value);
  void natural(std::uint64_t value);
  void real(double value);
  void text(std::string_view value);
  void bytes(std::string_view value);
  void extension(std::int8_t code, std::string_view payload);  // payload is canonical already
  void time(std::int64_t seconds, std::uint32_t nanoseconds);

  // Containers: the given number of items follows, each of any kind; they end by themselves.
  void begin_list(std::size_t items);
  void begin_map(std::size_t entries);  // key, value, key, value …
  void begin_tuple(std::size_t items);
  void begin_set(std::size_t items);  // repeated items count once
  void begin_record(std::string_view type, std::string_view version,
                    std::size_t fields);  // key, value …

  // Text, bytes and extensions whose content comes in pieces.
  void begin_text(std::size_t size);
  void begin_bytes(std::size_t size);
  void begin_extension(std::int8_t code, std::size_t size);
  void append(std::string_view piece);

  /// Remembers why the value must not be cached; the first reason stays.
  void not_cacheable(std::string_view why);

  /// What was written since construction. Must be called after exactly one complete value.
  [[nodiscard]] encoded finish();

 private:
  enum class shape : std::uint8_t { list, map, set, wrapper, text_body, bytes_body, ext_body };
  struct frame {
    shape kind = shape::list;
    std::int8_t code = 0;         // of the extension: wrapper, set, ext_body
    std::uint64_t remaining = 0;  // items, or bytes of a body
    std::size_t start =
        0;  // where the items begin; a header is put there for what is not list or map
    std::size_t first_mark = 0;  // map, set: marks_[first_mark …] are the offsets of its items
  };

  static bool is_body(shape kind) { return kind >= shape::text_body; }
  void open(frame next, std::size_t items);
  void pop();
  void begin_item();
  void end_item();
  void close(const frame& done);
  void sort_map(const frame& done);
  void sort_set(const frame& done);

  std::string out_;
  std::string uncacheable_;
  std::vector<frame> frames_;
  std::vector<std::size_t> marks_;
};

}  // namespace reprise::codec
